"""A build that is killed at any step: the next one makes all that a whole one makes."""

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

# In place of the compiler and the linker: what it writes holds all that it read. Halfway through the file that STOP_AT
# names it stops and waits for its end.
COMPILER = """#!/bin/sh
for argument; do
    case "$argument" in
        -dump*|--version|-v) echo 12.2.0; exit ;;
        *.cpp|*.o) [ "$before" = -o ] || inputs="$inputs $argument" ;;
    esac
    [ "$before" = -o ] && out="$argument"
    before="$argument"
done
echo "$(basename "$out") begins" > "$out"
case "$out" in *"$STOP_AT") touch "$STOPPED"; exec sleep 1000 ;; esac
cat $inputs >> "$out"
echo "$(basename "$out") ends" >> "$out"
"""

# Builds in each folder, in children of a Python that has imported torch. What stops is killed, and all that it started.
BUILDS = """
    import glob, os, runpy, signal, sys, time, setuptools, torch.utils.cpp_extension
    from pathlib import Path
    from setuptools.command.build_ext import build_ext

    def copy_half(self, source, target, **options):
        Path(target).write_bytes(Path(source).read_bytes()[:50])
        Path(os.environ["STOPPED"]).touch()
        time.sleep(1000)

    def build(folder, stop_at):
        stopped = f"{folder}/stopped"
        if (child := os.fork()) == 0:
            os.setsid()
            os.chdir(folder)
            os.environ.update(STOP_AT=stop_at, STOPPED=stopped)
            if stop_at == "copy":
                build_ext.copy_file = copy_half
            sys.argv = ["setup.py", "--quiet", "build_ext", "--inplace"]
            runpy.run_path("setup.py", run_name="__main__")
            os._exit(0)
        while (status := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if os.path.exists(stopped):
                os.remove(stopped)
                for file in glob.glob("/proc/[0-9]*/stat"):
                    try:
                        if int(Path(file).read_text().rpartition(")")[2].split()[3]) == child:
                            os.kill(int(file.split("/")[2]), signal.SIGKILL)
                    except (FileNotFoundError, ProcessLookupError):
                        pass  # it has just ended
            time.sleep(0.01)
        return status[1]

    if sys.argv.pop(1) == "without":
        torch.utils.cpp_extension.is_ninja_available = lambda: False
    for folder, stop_at in zip(sys.argv[1::2], sys.argv[2::2]):
        if stop_at:
            assert build(folder, stop_at) == signal.SIGKILL, f"{stop_at} is not reached"
        assert build(folder, "nowhere") == 0
"""


@pytest.fixture
def _stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    settings = dict.fromkeys(("CC", "CXX", "LDSHARED", "LDCXXSHARED"), str(compiler))
    settings |= {"TORCH_DONT_CHECK_COMPILER_ABI": "1", "FORCE_CUDA": "0", "MAX_JOBS": "1"}
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)


def copy_sources(folder: Path) -> None:
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        folder.mkdir(exist_ok=True)
        shutil.copy2(ROOT / file, folder)
    made = shutil.ignore_patterns("*.so", "_build_info.py", "__pycache__")
    for part in ("csrc", "cmake", "torchcrop_fast", "bench"):
        shutil.copytree(ROOT / part, folder / part, ignore=made)


def built(folder: Path) -> dict[str, bytes]:
    package = folder / "torchcrop_fast"
    return {file.name: file.read_bytes() for file in [*package.glob("*.so"), package / "_build_info.py"]}


@pytest.mark.usefixtures("_stand_in")
@pytest.mark.parametrize("ninja", ["without", pytest.param("with", marks=pytest.mark.reliability)])
def test_the_next_build_repairs_what_a_killed_one_left(
    ninja: str, tmp_path: Path, fresh_python: Callable[..., str]
) -> None:
    stops = {"whole": "", "object": "ops/check.o", "library": "libtorchcrop_fast.so", "entry": f"_C{SUFFIX}"}
    stops["copied"] = "copy"
    for name in stops:
        copy_sources(tmp_path / name)
    fresh_python(BUILDS, ninja, *(text for name, stop_at in stops.items() for text in (str(tmp_path / name), stop_at)))
    whole = built(tmp_path / "whole")
    assert len(whole) == 3
    for file, content in whole.items():
        if file.endswith(".so"):
            lines = content.decode().splitlines()
            assert (lines[0], lines[-1]) == (f"{file} begins", f"{file} ends")
            assert len(lines) > 100
    assert [name for name in stops if built(tmp_path / name) != whole] == []
