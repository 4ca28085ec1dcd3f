"""The CMake build: setup.py's sources and flags, kernels tested without torch, and the suite of the C++ functions."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builds import ROOT, finish, of_torch
from filelock import FileLock

import torchcrop_fast

# That of the environment which runs this, and else of the machine.
CMAKE = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
LEFT_OUT = "ops_test is left out: there is no GoogleTest (Debian: libgtest-dev)"


def configure(build: Path, *options: str) -> tuple[dict[str, dict[str, str]], str]:
    """For each target how each source, named from the root, is compiled; and what CMake tells."""
    told = finish(CMAKE, "-S", ROOT, "-B", build, "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *options)
    commands: dict[str, dict[str, str]] = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        target = re.search(r"CMakeFiles/(\w+)\.dir/", entry["output"])[1]
        commands.setdefault(target, {})[str(Path(entry["file"]).relative_to(ROOT))] = entry["command"]
    return commands, told


@pytest.fixture(scope="module")
def setup_py():
    """The sources of the ops library and the flags, of setup.py itself."""
    code = """
import json
import setuptools
from distutils.core import run_setup

distribution = run_setup("setup.py", stop_after="init")
library = distribution.ext_modules[0]
print(json.dumps([library.sources, library.extra_compile_args["cxx"]]))
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(process.stdout.splitlines()[-1])


def test_sources_and_flags_are_those_of_setup_py(setup_py, tmp_path):
    sources, flags = setup_py
    cuda = any(source.endswith(".cu") for source in sources)
    targets, told = configure(tmp_path, f"-DPython3_EXECUTABLE={sys.executable}", f"-DTORCHCROP_FAST_CUDA={cuda}")
    ops = targets["torchcrop_fast"]
    kernels = targets["torchcrop_fast_kernels"] | targets.get("torchcrop_fast_cuda_kernels", {})
    assert sorted([*ops, *kernels]) == sorted(sources)
    # Nothing to debug with is CMake's default, and kernels start no threads.
    for command in ops.values():
        assert set(flags) - {"-g0"} <= set(command.split())
    for source, command in kernels.items():
        if source.endswith(".cpp"):
            assert set(flags) - {"-g0", "-fopenmp"} <= set(command.split())
    assert ("ops_test" in targets) != (LEFT_OUT in told)


def test_kernels_pass_their_tests_without_torch(tmp_path):
    targets, _ = configure(
        tmp_path,
        "-DTORCHCROP_FAST_WITH_TORCH=OFF",
        "-DTORCHCROP_FAST_CUDA=OFF",
        "-DTORCHCROP_FAST_SANITIZE=address,undefined",
        "-DTORCHCROP_FAST_FUZZ_COUNT=500",
        "-DCMAKE_BUILD_TYPE=Debug",
    )
    fuzzers = {path.stem for path in (ROOT / "tests/cpp").glob("*_fuzz.cpp")}
    fuzzers |= {"window_on_cpu_fuzz", "adjoint_on_cpu_fuzz"}
    assert set(targets) - {"torchcrop_fast_emulated_kernels"} == {"torchcrop_fast_kernels", *fuzzers}
    for source, command in [item for sources in targets.values() for item in sources.items()]:
        assert "-fsanitize=address,undefined" in command, source
        assert "torch/include" not in command, source
    emulated = targets.get("torchcrop_fast_emulated_kernels", {})
    assert set(emulated) == {f"csrc/kernels/{path.name}" for path in (ROOT / "csrc/kernels").glob("*.cu")}

    finish(CMAKE, "--build", tmp_path, "--parallel", "2")
    told = finish(Path(CMAKE).with_name("ctest"), "--test-dir", tmp_path, "--parallel", "2")
    assert set(re.findall(r"(\w+) \.+ +Passed", told)) == fuzzers


@pytest.fixture(scope="session")
def ops_test() -> Path:
    """The suite of the C++ functions, built as a program that uses the package, once for all processes of a run."""
    folder = of_torch("installed")
    with FileLock(folder / "lock"):
        options = f"-DCMAKE_PREFIX_PATH={torchcrop_fast.cmake_prefix_path}", "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON"
        if LEFT_OUT in finish(CMAKE, "-S", ROOT / "tests/cpp/installed", "-B", folder, *options):
            pytest.skip(LEFT_OUT)
        finish(CMAKE, "--build", folder, "--target", "ops_test", "--parallel", 2)
    return folder / "ops_test"


@pytest.mark.parametrize("capability", [None, "default"])
def test_cpp_suite_passes(ops_test, monkeypatch, capability):
    monkeypatch.delenv("TORCHCROP_FAST_CPU_CAPABILITY", raising=False)
    if capability:
        monkeypatch.setenv("TORCHCROP_FAST_CPU_CAPABILITY", capability)
    told = finish(ops_test, "--gtest_brief=1")
    assert int(re.search(r"\[  PASSED  \] (\d+) tests", told)[1]) > 400
    assert not re.search("SKIPPED|DISABLED", told)


def test_cpp_suite_calls_every_public_function(ops_test):
    headers = (ROOT / "csrc/include/torchcrop_fast").glob("*.h")
    text = "\n".join(header.read_text() for header in headers)
    declared = set(re.findall(r"^TORCHCROP_FAST_API [^(]*?(\w+)\(", text, re.MULTILINE))
    called = re.findall(r" U torchcrop_fast::(\w+)", finish("nm", "--demangle", "--undefined-only", ops_test))
    assert len(declared) > 10
    handle = re.search(r"^class TORCHCROP_FAST_API (\w+)", text, re.MULTILINE)[1]
    assert set(called) - {handle} == declared


@pytest.mark.parametrize(("project", "target"), [("", "torchcrop_fast"), ("tests/cpp/installed", "installed_test")])
def test_all_but_the_suite_is_built_without_google_test(tmp_path, project, target):
    prefix = f"-DCMAKE_PREFIX_PATH={torchcrop_fast.cmake_prefix_path}"
    options = f"-DPython3_EXECUTABLE={sys.executable}", prefix, "-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON"
    told = finish(CMAKE, "-S", ROOT / project, "-B", tmp_path, *options)
    assert told.count(LEFT_OUT) == 1
    targets = finish(CMAKE, "--build", tmp_path, "--target", "help")
    assert target in targets
    assert "ops_test" not in targets


def complaint(build: Path, *options: str) -> str:
    """What CMake says where it cannot configure."""
    command = [CMAKE, "-S", ROOT, "-B", build, *options]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode != 0
    return " ".join(process.stderr.split())


def test_a_lack_of_torch_is_said(tmp_path):
    assert "There is no torch: set Python3_EXECUTABLE" in complaint(tmp_path, "-DPython3_EXECUTABLE=no-python")


def test_an_old_torch_is_refused(tmp_path):
    folder = tmp_path / "torch"
    header = folder / "include/torch/headeronly/version.h"
    header.parent.mkdir(parents=True)
    for minor, problem in ((10, "needs torch 2.11 or later"), (11, "There are no libraries torch, torch_cpu and c10")):
        numbers = {"MAJOR": 2, "MINOR": minor, "PATCH": 0}
        header.write_text("".join(f"#define TORCH_VERSION_{part} {number}\n" for part, number in numbers.items()))
        assert problem in complaint(tmp_path / "build", f"-DTORCHCROP_FAST_TORCH_FOLDER={folder}")
