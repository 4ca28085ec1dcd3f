"""The command line, and what make says where a tool is missing."""

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest
import torch

import torchcrop_fast
from torchcrop_fast import _verify, functional, layers
from torchcrop_fast.__main__ import main

ROOT = Path(__file__).parents[1]
SHIPPED = Path(torchcrop_fast.__file__).with_name("data")


@pytest.fixture
def quick_demo(monkeypatch):
    pytest.importorskip("torchvision")
    from torchcrop_fast import _demo

    monkeypatch.setattr(_demo, "_ROUNDS", 1)
    return _demo


def test_info_holds_what_a_bug_report_needs(capsys):
    assert main(["info"]) == 0
    told = capsys.readouterr().out
    for fact in (torch.__version__, torchcrop_fast.__version__, "libtorchcrop_fast.so", "-fopenmp", "threads", "cpu"):
        assert fact in told


def test_what_compares_with_torch_refuses_to_compare_ours_with_ours(capsys):
    with torchcrop_fast.override_torch_pad():
        assert main(["info"]) == 0
        assert "our kernels, by an override" in capsys.readouterr().out
        for command in ("verify", "demo", "bench"):
            with pytest.raises(SystemExit) as ended:
                main([command])
            assert ended.value.code == 2
            text = f"{command} compares with torch's own pads, which run our kernels: unset TORCHCROP_FAST_OVERRIDE"
            assert text in capsys.readouterr().err
    assert main(["info"]) == 0
    assert "our kernels, by an override" not in capsys.readouterr().out


def test_verify_ends_with_a_verdict(capsys):
    assert main(["verify", "--cases", "150", "--seed", "3"]) == 0
    told = capsys.readouterr()
    assert told.out == "verify: all 150 cases equal torch.nn.functional.pad on cpu: values, strides and gradients.\n"
    assert told.err == ""  # no progress bar where nobody looks


def with_zero_gradient(out):
    if out.requires_grad:
        out.register_hook(torch.zeros_like)
    return out


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda out: out.clone().fill_(1), "values"),
        (lambda out: out.clone(memory_format=torch.contiguous_format), "strides"),
        (with_zero_gradient, "gradients"),
    ],
)
def test_verify_notices(monkeypatch, capsys, damage, what):
    real = functional.pad
    monkeypatch.setattr(functional, "pad", lambda *args: damage(real(*args)))
    assert main(["verify", "--cases", "60"]) == 1
    told = capsys.readouterr().out
    assert f"{what}" in told
    assert "of 60 cases differ from torch.nn.functional.pad on cpu." in told.splitlines()[-1]


def test_verify_draws_every_layout_and_dtype():
    cases = list(_verify._cases(500, 0))
    assert {case.layout for case in cases} == set(_verify._LAYOUTS)
    assert {case.dtype for case in cases} == set(_verify._DTYPES)
    assert any(max(case.pad) <= 0 for case in cases)
    assert any(min(case.pad) >= 0 for case in cases)


def test_demo_writes_table_and_picture(quick_demo, capsys, tmp_path):
    picture = tmp_path / "digits.png"
    assert main(["demo", "--out", str(picture)]) == 0
    told = capsys.readouterr().out
    assert "1000 digits of 28 x 28, in batches of 10" in told
    assert "equal bit for bit" in told
    for network in (quick_demo._ARTICLE, quick_demo._DROP_IN, quick_demo._ONE_LAYER):
        assert network in told
    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[0] > 300
    assert pixels.std() > 0.1


def test_demo_reads_torchvisions_mnist(quick_demo, capsys, tmp_path):
    raw = tmp_path / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for packed, name in (
        ("digits-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"),
        ("digits-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte"),
    ):
        unpacked = gzip.decompress((SHIPPED / packed).read_bytes())
        (raw / name).write_bytes(unpacked)
        (raw / name.replace("t10k", "train")).write_bytes(unpacked)
    assert main(["demo", "--data", str(tmp_path / "mnist"), "--out", str(tmp_path / "out.png")]) == 0
    assert "1000 digits" in capsys.readouterr().out


def test_demo_says_where_data_is_missing(quick_demo, tmp_path):
    with pytest.raises(SystemExit, match="demo: --data must be a directory that contains torchvision's MNIST"):
        main(["demo", "--data", str(tmp_path), "--out", str(tmp_path / "out.png")])


def test_demo_download_needs_a_folder(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--download"])
    assert "--download needs --data" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["output", "input gradient"])
def test_demo_fails_on_a_wrong_result(quick_demo, monkeypatch, capsys, tmp_path, wrong):
    real = layers.crop

    def spoilt(input, cropping):
        out = real(input, cropping)
        return out + 1e-3 if wrong == "output" else out + 1e-3 * (out - out.detach())

    monkeypatch.setattr(layers, "crop", spoilt)
    assert main(["demo", "--out", str(tmp_path / "out.png")]) == 1
    assert f"the {wrong} of one torchcrop_fast.Crop2d(4) is not that of" in capsys.readouterr().out
    assert not (tmp_path / "out.png").exists()


def test_shipped_digits():
    images = gzip.decompress((SHIPPED / "digits-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((SHIPPED / "digits-labels-idx1-ubyte.gz").read_bytes())
    assert struct.unpack(">IIII", images[:16]) == (0x803, 1000, 28, 28)
    assert struct.unpack(">II", labels[:8]) == (0x801, 1000)
    assert sorted(labels[8:]) == sorted(list(range(10)) * 100)
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 250_000
    notice = (SHIPPED / "README.md").read_text()
    assert "LeCun" in notice
    assert "ShareAlike 3.0" in notice


def run_setup(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "setup.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_tools_are_there():
    done = run_setup("--check-tools")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_compiler_is_one_sentence():
    done = run_setup("--check-tools", CXX="no-such-compiler")
    assert done.returncode == 1
    assert done.stderr == "torchcrop_fast needs a C++20 compiler, and there is no 'no-such-compiler': install g++.\n"


# setup.py where no folder has a CUDA toolkit.
WITHOUT_TOOLKIT = """
import runpy, sys
from pathlib import Path

exists = Path.exists
Path.exists = lambda path: path.name != "cuda_runtime.h" and exists(path)
sys.argv = ["setup.py", "--version"]
runpy.run_path("setup.py", run_name="__main__")
"""


def test_a_missing_toolkit_is_one_sentence():
    environment = {**os.environ, "FORCE_CUDA": "1", "CUDA_HOME": "/nowhere"}
    command = [sys.executable, "-c", WITHOUT_TOOLKIT]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    start = "FORCE_CUDA=1 asks for the kernels for GPUs, and "
    assert done.stderr.startswith(start)
    if torch.version.cuda is None:
        assert done.stderr == f"{start}the torch that is installed has no CUDA.\n"
    else:
        assert done.stderr.startswith(f"{start}there is no CUDA toolkit in /nowhere, ")
        assert done.stderr.endswith(": set CUDA_HOME to its directory.\n")


@pytest.mark.parametrize(
    "target", ["demo", "test", "test-emulation", "lint", "install", "check-torch", "check-wheel", "format", "help"]
)
def test_make_lists_its_targets(target):
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert any(line.split()[0] == target for line in told.splitlines()[1:])
