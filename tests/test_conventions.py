"""The rules that a reader relies on: which folder of csrc may include what, and that every file says what it is."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
README = (CSRC / "README.md").read_text()


def files(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes)


SOURCES = files(CSRC, ".h", ".cpp", ".cu", ".cuh")
PYTHON_FILES = [ROOT / "setup.py"]
for folder in ("torchcrop_fast", "tests", "bench", "examples"):
    PYTHON_FILES += files(ROOT / folder, ".py")
CMAKE_FILES = [
    ROOT / "CMakeLists.txt",
    *files(ROOT / "cmake", ".cmake", ".in"),
    *files(ROOT / "tests/cpp", ".txt", ".cmake"),
]


def from_root(path: Path) -> str:
    return str(path.relative_to(ROOT))


def table(header: str) -> list[list[str]]:
    """The cells of the table in csrc/README.md that has this column first."""
    rows = re.findall(rf"^\| {header} \|.*\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# "`kernels/`" -> {"the standard library", "kernels/"}, and so on.
MAY_INCLUDE = {
    quoted(folder)[0]: {item.strip(" `") for item in included.split(",")} for folder, _, included in table("folder")
}
INTRINSICS, CUDA, POSIX = (
    quoted(re.search(rf"{name}((?:\s*(?:,|and)?\s*`<[\w/.]+>`)+)", README)[1])
    for name in ("Intrinsics means", "CUDA", "POSIX")
)
TORCH_FOLDERS = tuple(quoted(re.search(r"^Torch means the headers under (.*?)\.", README, re.MULTILINE)[1]))


def folder_of(path: Path) -> str:
    """The row of the table a file under csrc/ falls under."""
    first, *rest = path.relative_to(CSRC).parts
    return f"{first}/" if rest else first


def kind_of(include: str, source: Path) -> str:
    """What the table calls the header that a line of a source includes."""
    name = include[1:-1]
    if include.startswith('"'):
        return folder_of((source.parent / name).resolve())
    if (CSRC / "include" / name).exists():
        return "include/"
    if name.startswith(TORCH_FOLDERS):
        return "torch"
    if name == "Python.h":
        return "Python"
    if include in INTRINSICS:
        return "intrinsics"
    if include in CUDA:
        return "CUDA"
    if include in POSIX:
        return "POSIX"
    return "the standard library" if re.fullmatch(r"[a-z_0-9]+", name) else f"<{name}>"


def test_include_table_is_read():
    assert {"kernels/", "ops/", "include/", "python.cpp"} <= set(MAY_INCLUDE)
    assert MAY_INCLUDE["kernels/"] == {"the standard library", "intrinsics", "CUDA", "kernels/"}
    assert INTRINSICS == ["<immintrin.h>"]
    assert len(POSIX) > 1
    assert {"ATen/", "c10/", "torch/"} <= set(TORCH_FOLDERS)
    known = {"the standard library", "intrinsics", "CUDA", "POSIX", "torch", "Python", *MAY_INCLUDE}
    assert set().union(*MAY_INCLUDE.values()) <= known


@pytest.mark.parametrize("source", SOURCES, ids=from_root)
def test_files_include_what_their_room_may(source):
    includes = re.findall(r'^\s*#\s*include\s*(<[^>]+>|"[^"]+")', source.read_text(), re.MULTILINE)
    assert len(includes) == source.read_text().count("#include")
    kinds = {include: kind_of(include, source) for include in includes}
    assert {include for include, kind in kinds.items() if kind not in MAY_INCLUDE[folder_of(source)]} == set()


@pytest.mark.parametrize(
    ("include", "source", "kind"),
    [
        ("<cstdint>", "kernels/window.h", "the standard library"),
        ("<ATen/Parallel.h>", "kernels/window.h", "torch"),
        ("<c10/util/irange.h>", "ops/cpu.cpp", "torch"),
        ("<torch/library.h>", "ops/cpu.cpp", "torch"),
        ("<torchcrop_fast/ops.h>", "ops/cpu.cpp", "include/"),
        ('"../kernels/window.h"', "ops/cpu.cpp", "kernels/"),
        ('"check.h"', "ops/cpu.cpp", "ops/"),
        ('"../ops/check.h"', "kernels/window.h", "ops/"),
        ("<Python.h>", "python.cpp", "Python"),
        ("<pybind11/pybind11.h>", "python.cpp", "<pybind11/pybind11.h>"),
        ("<immintrin.h>", "kernels/window.h", "intrinsics"),
        ("<unistd.h>", "kernels/window.h", "POSIX"),
        ("<fcntl.h>", "ops/cpu.cpp", "<fcntl.h>"),
    ],
)
def test_kinds_of_includes(include, source, kind):
    assert kind_of(include, CSRC / source) == kind


def test_every_file_of_ops_is_explained():
    stems = {re.match(r"\w+", name)[0] for names, _ in table("file") for name in quoted(names)}
    assert stems == {path.stem for path in SOURCES if folder_of(path) == "ops/"}


@pytest.mark.parametrize("source", SOURCES, ids=from_root)
def test_sources_say_in_the_first_line_what_they_are(source):
    first = source.read_text().splitlines()[0]
    assert re.match(r"// [A-Z]", first)
    words = re.findall(r"[A-Za-z]{2,}", first)
    assert len(words) >= 4
    assert source.name not in first


@pytest.mark.parametrize("path", [*SOURCES, *files(ROOT / "torchcrop_fast", ".py")], ids=from_root)
def test_files_are_read_in_one_go(path):
    assert len(path.read_text().splitlines()) <= 600


@pytest.mark.parametrize("path", CMAKE_FILES, ids=from_root)
def test_cmake_files_say_in_the_first_line_what_they_are(path):
    first = path.read_text().splitlines()[0]
    assert re.match(r"# [A-Za-z]", first)
    assert len(re.findall(r"[A-Za-z]{2,}", first)) >= 4


@pytest.mark.parametrize("path", PYTHON_FILES, ids=from_root)
def test_python_files_begin_with_a_docstring(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring is not None
    first = docstring.splitlines()[0]
    assert len(first.split()) >= 4
    assert first.endswith(".")


@pytest.mark.parametrize("path", SOURCES + PYTHON_FILES + CMAKE_FILES, ids=from_root)
def test_nothing_is_left_to_do(path):
    assert re.findall(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b", path.read_text()) == []


def compiles(*arguments: str) -> str:
    """What the compiler says against a file, alone: no include path, and every warning an error."""
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("source", files(CSRC / "kernels", ".cpp"), ids=from_root)
def test_kernels_compile_alone(source):
    assert compiles(str(source)) == ""


@pytest.mark.parametrize("header", files(CSRC / "kernels", ".h"), ids=from_root)
def test_headers_of_kernels_include_what_they_use(header):
    assert compiles("-include", str(header), "-x", "c++", os.devnull) == ""


def test_ops_do_not_compile_alone():
    # Else the two tests above would say nothing.
    assert "No such file" in compiles(str(CSRC / "ops" / "cpu.cpp"))
