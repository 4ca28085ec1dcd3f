"""The torch-free kernels on their own, under AddressSanitizer and UndefinedBehaviorSanitizer."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KERNELS = sorted((ROOT / "csrc/kernels").glob("window_cpu*.cpp"))
SANITIZED = ["g++", "-std=c++20", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Compile the fuzzer against the kernel's source, changed by replacements that must each match once."""
    folder = tmp_path_factory.mktemp("kernels")
    fuzzer = folder / "fuzzer.o"
    subprocess.run([*SANITIZED, "-c", ROOT / "tests/cpp/window_cpu_fuzz.cpp", "-o", fuzzer], check=True)

    def compile_with(*replacements):
        source = (ROOT / "csrc/kernels/window_writer.h").read_text()
        for old, new in replacements:
            assert source.count(old) == 1, old
            source = source.replace(old, new)
        for file in (*KERNELS, *(ROOT / "csrc/kernels").glob("*.h")):
            shutil.copy(file, folder)
        (folder / "window_writer.h").write_text(source)
        program = folder / "fuzz"
        kernels = [folder / kernel.name for kernel in KERNELS]
        subprocess.run([*SANITIZED, *kernels, fuzzer, "-o", program], check=True)
        return program

    return compile_with


def fuzz(program, count, seed):
    return subprocess.run([program, str(count), str(seed)], capture_output=True, text=True, check=False)


def test_random_windows(build):
    program = build()
    for seed in range(4):
        done = fuzz(program, 5000, seed)
        assert (done.returncode, done.stdout) == (0, "5000 windows right\n"), done.stderr[-3000:]


def test_random_windows_as_released(tmp_path):
    program = tmp_path / "fuzz"
    sources = [*KERNELS, ROOT / "tests/cpp/window_cpu_fuzz.cpp"]
    subprocess.run(["g++", "-std=c++20", "-O3", *sources, "-o", program], check=True)  # the optimiser's say, too
    done = fuzz(program, 200_000, 0)
    assert (done.returncode, done.stdout) == (0, "200000 windows right\n")


@pytest.mark.parametrize(
    "mutation",
    [
        ("if (n <= kHeads * kVector) {", "if (n <= (kHeads + 1) * kVector) {"),  # bytes in no block
        ("joined = one_behind_the_other(between + rows.seen)", "joined = true"),  # borders apart, filled as if together
        ("i + 2 * kVector <= n", "i + kVector <= n"),  # writes behind a row
        ("if (first_ > 0) {", "if (false) {"),  # a line that another range began, overwritten
        ("stream_line<kVector>(waiting_, waiting_line_);", ""),  # a line gathered and lost
        ("+ bytes) % 16", ") % 16"),  # a streamed border that begins anew in the middle of an element
        ("last ? rows.count : left_in_plane;", "last ? 1 : left_in_plane;"),  # the second plane's rows misplaced
        ("std::clamp(column_.end(), inside, last)", "last"),  # reads behind a row
        ("fill_rows(after, end, first, last);\n  }\n\n  void fill_rows", "}\n\n  void fill_rows"),  # an unwritten tail
        ("outside_ += is_inside(dim, index_[d]) ? 0 : 1;\n      if", "if"),  # the border of outer dimensions
    ],
)
def test_the_fuzzer_notices(build, mutation):
    assert fuzz(build(mutation), 5000, 0).returncode != 0
