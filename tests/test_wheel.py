"""The wheel and the sdist: what they hold and require, and that a fresh environment uses the wheel, from C++, too."""

import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import torch
from builds import BUILDS, ROOT, finish
from filelock import FileLock
from test_cmake import CMAKE

import torchcrop_fast

TORCH_MINOR = ".".join(torch.__version__.split(".")[:2])


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist, of the objects that setup.py has made: nothing is compiled again."""
    folder = tmp_path_factory.mktemp("dist")
    with FileLock(BUILDS / "dist.lock"):
        for stale in [*ROOT.glob("build/lib.*"), *ROOT.glob("build/bdist.*")]:
            shutil.rmtree(stale)
        for kind in ("--wheel", "--sdist"):
            finish(sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", folder, ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel(built) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_wheel_holds_what_programs_need_and_no_more(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    share = "torchcrop_fast/share/cmake/torchcrop_fast"
    needed = {"torchcrop_fast/py.typed", "torchcrop_fast/_C.pyi", "torchcrop_fast/libtorchcrop_fast.so"}
    needed |= {f"torchcrop_fast/{path.relative_to(ROOT / 'csrc')}" for path in (ROOT / "csrc/include").rglob("*.h")}
    needed |= {f"{share}/{name}" for name in ("torch.cmake", "torchcrop_fastConfig.cmake")}
    needed |= {f"{share}/torchcrop_fastConfigVersion.cmake"}
    needed |= {f"torchcrop_fast/{path.name}" for path in (ROOT / "torchcrop_fast").glob("*.py")}
    assert needed <= names
    assert any(re.fullmatch(r"torchcrop_fast-[\d.]+\+torch[\d.]+\.dist-info/licenses/LICENSE", name) for name in names)
    libraries = {Path(name).name.split(".")[0] for name in names if ".so" in name}
    assert libraries == {"_C", "libtorchcrop_fast"}  # neither OpenMP nor torch
    assert not [name for name in names if "test" in name.lower() or name.startswith(("csrc", "build"))]


def test_wheel_requires_the_torch_it_was_built_for(metadata):
    required = [entry for entry in metadata.get_all("Requires-Dist") if "extra" not in entry]
    assert required == [f"torch=={TORCH_MINOR}.*"]
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert {"Source", "Changelog", "Documentation", "Issues"} == {
        entry.split(",")[0] for entry in metadata.get_all("Project-URL")
    }


def test_the_wheels_version_names_the_torch_and_what_is_built_of_the_sdist_has_its_plain_one(built, wheel, tmp_path):
    version = torchcrop_fast.__version__
    assert wheel.name.startswith(f"torchcrop_fast-{version}+torch{TORCH_MINOR}-cp")
    (sdist,) = built.glob("*.tar.gz")
    assert sdist.name == f"torchcrop_fast-{version}.tar.gz"
    shutil.unpack_archive(sdist, tmp_path, filter="data")
    told = finish(sys.executable, "setup.py", "--version", cwd=tmp_path / f"torchcrop_fast-{version}")
    assert told.splitlines()[-1] == version  # else pip refuses it


def test_an_isolated_build_takes_a_torch_within_our_bounds():
    requires = re.search(r"^requires = (.*)$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert '"torch>=2.11,<2.15"' in requires


def test_sdist_holds_all_that_git_has(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = set(finish("git", "ls-files", cwd=ROOT).split())
    assert {"csrc/ops/cuda.cpp", "csrc/kernels/window_cuda.cu", "cmake/torch.cmake", "CMakeLists.txt"} <= tracked
    assert {name for name in tracked - names if not name.startswith((".ci/", ".git"))} == set()
    assert not [name for name in names if name.endswith((".so", ".pyc", "_build_info.py"))]


def test_both_pass_twine(built):
    told = finish(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built.iterdir())
    assert told.count("PASSED") == 2


@pytest.fixture(scope="session")
def fresh(wheel, tmp_path_factory) -> Path:
    """The Python of a new environment that has the wheel, and this one's torch."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "torch.pth").write_text(str(Path(torch.__file__).parents[1]))
    python = folder / "bin/python"
    finish(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    return python


def test_a_fresh_environment_runs_the_wheel(fresh, tmp_path):
    told = finish(fresh, "-c", "import torchcrop_fast; print(torchcrop_fast.__file__)", cwd=tmp_path)
    assert Path(told.strip()).is_relative_to(fresh.parents[1])
    assert "all 100 cases equal" in finish(fresh, "-m", "torchcrop_fast", "verify", "--cases", 100, cwd=tmp_path)


PREFIX = "import torchcrop_fast; print(torchcrop_fast.cmake_prefix_path)"


def test_a_program_is_built_with_the_wheel(fresh, tmp_path):
    prefix = finish(fresh, "-c", PREFIX, cwd=tmp_path).strip()
    finish(CMAKE, "-S", ROOT / "tests/cpp/installed", "-B", tmp_path, f"-DCMAKE_PREFIX_PATH={prefix}")
    finish(CMAKE, "--build", tmp_path, "--target", "installed_test")
    assert finish(tmp_path / "installed_test") == "the installed library crops\n"


ASKS = """
cmake_minimum_required(VERSION 3.25)
project(asks LANGUAGES CXX)
foreach(version IN LISTS VERSIONS)
  unset(torchcrop_fast_DIR CACHE)
  find_package(torchcrop_fast ${version} QUIET)
  message(STATUS "${version}: ${torchcrop_fast_FOUND}")
endforeach()
find_package(torchcrop_fast REQUIRED)
"""


def test_find_package_asks_for_the_same_minor_version(fresh, tmp_path):
    prefix = finish(fresh, "-c", PREFIX, cwd=tmp_path).strip()
    found = {"0.1": "1", "0.2": "0", "0.1.0": "1", "0.0": "0", "0.1.9": "0"}
    (tmp_path / "CMakeLists.txt").write_text(ASKS)
    options = f"-DCMAKE_PREFIX_PATH={prefix}", f"-DVERSIONS={';'.join(found)}"
    told = finish(CMAKE, "-S", tmp_path, "-B", tmp_path / "build", *options)
    assert dict(re.findall(r"^-- ([\d.]+): (\d)$", told, re.MULTILINE)) == found


def test_another_torch_is_refused_in_one_sentence(fresh, tmp_path):
    """By find_package(): the version of torch is what its headers say."""
    folder = tmp_path / "torch"
    header = folder / "include/torch/headeronly/version.h"
    header.parent.mkdir(parents=True)
    (folder / "include/ATen").mkdir()
    (folder / "include/ATen/ATen.h").touch()
    (folder / "lib").mkdir()
    for name in ("torch", "torch_cpu", "c10"):
        (folder / f"lib/lib{name}.so").touch()
    numbers = {"MAJOR": 2, "MINOR": 99, "PATCH": 1}
    header.write_text("".join(f"#define TORCH_VERSION_{part} {number}\n" for part, number in numbers.items()))
    prefix = finish(fresh, "-c", PREFIX, cwd=tmp_path).strip()
    command = [CMAKE, "-S", ROOT / "tests/cpp/installed", "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"]
    command.append(f"-DTORCHCROP_FAST_TORCH_FOLDER={folder}")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"torchcrop_fast was built for torch {TORCH_MINOR}, and this is 2.99.1:" in " ".join(done.stderr.split())
