"""The example of deployment: exported models run in a C++ program, linked with the library or loading it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from builds import ROOT, finish, of_torch
from filelock import FileLock
from test_cmake import CMAKE

import torchcrop_fast
from torchcrop_fast import _library

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def folder() -> Path:
    """Programs and models, made once for all processes of a run."""
    folder = of_torch("deploy")
    with FileLock(folder / "lock"):
        prefix = f"-DCMAKE_PREFIX_PATH={torchcrop_fast.cmake_prefix_path}"
        finish(CMAKE, "-S", ROOT / "examples/deploy", "-B", folder, prefix)
        finish(CMAKE, "--build", folder, "--parallel", 2)
        newest = max(path.stat().st_mtime for path in (ROOT / "torchcrop_fast").glob("*.*"))
        package = folder / "models/digits.pt2"
        if not package.exists() or package.stat().st_mtime < newest:
            finish(sys.executable, ROOT / "examples/deploy/export.py", folder / "models", "--epochs", 2)
    return folder


@pytest.fixture
def run(folder) -> Run:
    def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(folder / program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder / "models")

    return run


LIBRARY = ("--library", _library.OPS_LIBRARY)


@pytest.mark.parametrize(("program", "options"), [("deploy", ()), ("deploy_unlinked", LIBRARY)])
@pytest.mark.parametrize("model", ["digits.pt", "digits.pt2"])
def test_classifies_as_python_does(run, folder, model, program, options):
    (digit,), (photo,) = (list((folder / "models").glob(kind)) for kind in ("digit_*.pgm", "photo_*.ppm"))
    done = run(program, *options, "classify", model, digit.name, photo.name)
    assert (done.returncode, done.stderr) == (0, "")
    told = re.findall(r"(.*): (\d), (\d+\.\d)%\n", done.stdout)
    assert [name for name, _, _ in told] == [digit.name, photo.name]
    assert told[0][1:] == told[1][1:]  # the photo shows the digit in its middle
    pixels = torch.frombuffer(bytearray(digit.read_bytes()[-28 * 28 :]), dtype=torch.uint8).view(1, 28, 28, 1)
    with torch.inference_mode():
        probability, label = torch.jit.load(folder / "models/digits.pt")(pixels)[0].max(0)
    assert int(told[0][1]) == label
    assert float(told[0][2]) == pytest.approx(100 * float(probability), abs=0.06)


def test_trains_a_step(run):
    done = run("deploy", "train", "network.pt")
    before, after = map(float, re.findall(r"\d+\.\d+", done.stdout))
    assert (done.returncode, done.stderr) == (0, "")
    assert after < before


def test_compares(run):
    """That the models agree, and that there is a time for each; for torch's pads on our kernels where it is linked."""
    for program, options, columns in (("deploy", (), 4), ("deploy_unlinked", LIBRARY, 3)):
        done = run(program, *options, "compare", ".")
        assert (done.returncode, done.stderr) == (0, "")
        rows = [re.findall(r" (\d+\.\d)\b", line) for line in done.stdout.splitlines()[1:]]
        assert [len(row) for row in rows] == [columns] * 3


NEEDS_OPS = "needs torchcrop_fast's ops: link the program with torchcrop_fast::torchcrop_fast, or pass --library with"


@pytest.mark.parametrize(
    ("program", "arguments", "text"),
    [
        ("deploy", ("classify", "no.pt", "digit.pgm"), "there is no file no.pt"),
        ("deploy", ("classify", "no.pt2", "digit.pgm"), "there is no file no.pt2"),
        ("deploy", ("classify", "digits.pt", "no.pgm"), "there is no file no.pgm"),
        ("deploy", ("classify", "digits.pt", "digits.pt"), "is no binary PGM or PPM image with 8 bits a channel"),
        ("deploy", ("classify", "digits.pt", "cut.pgm"), "cut.pgm ends before its last pixel"),
        ("deploy", ("classify", "cut.pgm", "cut.pgm"), "cut.pgm is no scripted model that this torch loads"),
        ("deploy", ("classify", "cut.pt2", "cut.pgm"), "cut.pt2 is no compiled model that this torch loads"),
        ("deploy", ("compare", "no"), "there is no file no/four_zero_pads.pt"),
        ("deploy_unlinked", ("classify", "digits.pt", "digit.pgm"), f"digits.pt {NEEDS_OPS}"),
        ("deploy_unlinked", ("classify", "digits.pt2", "digit.pgm"), f"digits.pt2 {NEEDS_OPS}"),
        ("deploy_unlinked", ("--library", "no.so", "compare", "."), "the library does not load: no.so"),
    ],
)
def test_says_what_is_missing_in_one_sentence(run, folder, program, arguments, text):
    (digit,) = (folder / "models").glob("digit_*.pgm")
    for name in ("cut.pgm", "cut.pt2"):
        (folder / "models" / name).write_bytes(digit.read_bytes()[:-1])
    done = run(program, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("deploy: ")
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


def test_tells_its_usage(run):
    for arguments in ((), ("classify", "digits.pt"), ("unknown", "word")):
        done = run("deploy", *arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: deploy")


def test_the_page_on_deployment_does_what_it_says(tmp_path):
    """Its Python, its CMake, its program and its commands, in their order, as a reader would type them."""
    page = (ROOT / "docs/deploy.md").read_text()

    def blocks(language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)

    (tmp_path / "model.py").write_text("\n".join(blocks("python")))
    (tmp_path / "CMakeLists.txt").write_text(blocks("cmake")[0])
    (tmp_path / "program.cpp").write_text(blocks("cpp")[0])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for command in ("python model.py", blocks("sh")[0]):
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "CPUFloatType{1,10}" in done.stdout
    assert (tmp_path / "model.pt2").exists()
    assert blocks("cpp")[1].splitlines()[1].startswith("at::Tensor crops = torchcrop_fast::crop_at(")
