"""The examples: each runs as its reader would run it, and does what it says."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest
import torch
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> str:
    """What an example prints; nothing goes wrong, each warning is an error, and no progress bar where nobody looks."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


@pytest.fixture
def preprocess(monkeypatch, capsys):
    """Runs preprocess.py in this process, since to load torch takes longer; gives its code, and what it tells where."""
    pytest.importorskip("torchvision")
    monkeypatch.syspath_prepend(EXAMPLES)

    def run_here(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["preprocess.py", *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(EXAMPLES / "preprocess.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code
        told = capsys.readouterr()
        return (1, told.out, f"{told.err}{code}\n") if isinstance(code, str) else (code, *told)

    return run_here


def shares_right(told: str) -> dict[str, float]:
    return {name: float(share) for name, share in re.findall(r"(\w+) accuracy: ([\d.]+)% of", told)}


def test_train_digits_learns():
    shares = shares_right(run("train_digits.py", "--epochs", "3"))
    assert set(shares) == {"train", "test"}
    assert min(shares.values()) > 65  # of ten classes, after seconds; the default number of epochs makes it 95


def test_train_digits_without_training_guesses():
    shares = shares_right(run("train_digits.py", "--epochs", "0"))
    assert max(shares.values()) < 40  # else the test above would say nothing


def test_train_distributed_learns_on_two_processes():
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.run(
        [*command, EXAMPLES / "train_distributed.py", "--epochs", "4"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr
    same, share = process.stdout.splitlines()
    assert same == "2 ranks, the same weights: True, places of their own: True"
    assert float(re.fullmatch(r"test accuracy: ([\d.]+)%", share)[1]) > 60


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ((), "(4, 1, 220, 220) to (4, 36, 36)"),
        (("--channels", 2, "--size", 572, "--steps", 1), "(4, 1, 572, 572) to (4, 388, 388)"),
    ],
    ids=["small", "size_of_the_paper"],
)
def test_unet_learns(options, shapes):
    told = re.fullmatch(r"(.*), loss ([\d.]+) to ([\d.]+)\n", run("unet.py", *options))
    assert told[1] == shapes
    assert float(told[2]) > 0.6  # it guesses
    assert float(told[3]) < 0.3 or "--steps" in options


LIKE_TORCHVISION = (
    "the first batch equals torchvision's resize, center_crop, to_dtype and normalize, up to float rounding\n"
)


def rate_hidden(told: str) -> str:
    return re.sub(r"\d+ pictures a second", "N pictures a second", told)


def write_pictures(folder: Path) -> None:
    """Of mixed sizes and kinds."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    for name, mode, size in (
        ("a.jpg", "RGB", (61, 40)),
        ("b.JPEG", "L", (37, 90)),
        ("c.png", "L", (50, 33)),
        ("d.png", "RGBA", (33, 34)),
        ("e.png", "P", (32, 32)),
        ("f.png", "RGB", (7, 200)),
    ):
        shape = (*reversed(size), *([len(mode)] if len(mode) > 1 else []))
        pixels = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        Image.frombytes(mode, size, bytes(pixels.flatten().tolist())).save(folder / name)
    (folder / "notes.txt").write_text("no picture, and none by its name\n")


SMALL = ("--size", 24, "--resize", 33)


def test_preprocess_without_a_folder(tmp_path):
    pytest.importorskip("torchvision")
    sheet = tmp_path / "sheet.png"
    assert rate_hidden(run("preprocess.py", "--output", sheet)) == (
        "12 of 12 pictures, 2 batches, N pictures a second\noutput: (12, 10), by a network of random weights\n"
        f"{LIKE_TORCHVISION}{sheet}: the first pictures, before and after\n"
    )
    assert matplotlib.image.imread(sheet).std() > 0.05


@pytest.mark.parametrize(("batch", "batches"), [(1, 6), (4, 2), (100, 1)])
def test_preprocess_of_mixed_pictures(preprocess, tmp_path, batch, batches):
    write_pictures(tmp_path / "pictures")
    sheet = tmp_path / "sheet.png"
    code, printed, complaint = preprocess(tmp_path / "pictures", *SMALL, "--batch-size", batch, "--output", sheet)
    assert (code, complaint) == (0, "")
    assert rate_hidden(printed) == (
        f"6 of 6 pictures, {batches} batches, N pictures a second\noutput: (6, 10), by a network of random weights\n"
        f"{LIKE_TORCHVISION}{sheet}: the first pictures, before and after\n"
    )


def test_preprocess_goes_on_after_broken_files(preprocess, tmp_path):
    write_pictures(tmp_path)
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "cut.png").write_bytes((tmp_path / "f.png").read_bytes()[:300])
    (tmp_path / "d.jpg").mkdir()
    Image.new("I;16", (40, 40)).save(tmp_path / "deep.png")
    code, printed, complaint = preprocess(tmp_path, *SMALL, "--batch-size", 2)
    assert code == 0
    assert printed.startswith("6 of 11 pictures, ")
    assert LIKE_TORCHVISION in printed
    names = ["0.png", "broken.jpg", "cut.png", "d.jpg", "deep.png"]
    assert len(complaint.splitlines()) == len(names)
    for name, line in zip(names, complaint.splitlines(), strict=True):
        assert line.startswith(f"{tmp_path / name}: left out, since it cannot be read: ")
    assert complaint.endswith(": its pixels have more than 8 bits\n")


def test_preprocess_runs_a_network_of_ones_own(preprocess, tmp_path):
    write_pictures(tmp_path)
    network = tmp_path / "network.pt"
    torch.jit.save(torch.jit.script(torch.nn.Flatten()), network)
    code, printed, complaint = preprocess(tmp_path, *SMALL, "--model", network)
    assert (code, complaint) == (0, "")
    assert f"output: (6, {3 * 24 * 24}), by {network}\n{LIKE_TORCHVISION}" in printed


def test_preprocess_of_nothing(preprocess, tmp_path):
    assert preprocess(tmp_path) == (1, "", f"{tmp_path}: no JPEG or PNG file in it.\n")
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    code, printed, complaint = preprocess(tmp_path)
    assert (code, printed) == (1, "")
    assert complaint.endswith(f"\n{tmp_path}: none of its 1 files could be read.\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere"], "directory must be one that exists, got nowhere"),
        (["--size", "300"], "--size must be 1 to --resize, 256, got 300"),
        (["--size", "0"], "--size must be 1 to --resize, 256, got 0"),
        (["--batch-size", "0"], "--batch-size must be positive, got 0"),
        (["--output", "nowhere/sheet.png"], "--output must be in a directory that exists, got nowhere/sheet.png"),
        (["--model", "nowhere.pt"], "--model must be a TorchScript file, got nowhere.pt"),
        (["--model", __file__], f"--model must be a TorchScript file, got {__file__}"),
    ],
)
def test_preprocess_says_what_is_wrong(preprocess, arguments, text):
    code, printed, complaint = preprocess(*arguments)
    assert (code, printed) == (2, "")
    assert complaint.endswith(f"preprocess.py: error: {text}\n")
