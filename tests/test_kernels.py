"""The torch-free kernels on their own, under AddressSanitizer and UndefinedBehaviorSanitizer."""

import subprocess

import pytest
from builds import ROOT, SANITIZED, compiled, released, sanitized
from mutants import plant

# As fast to compile as can be: the mutants are many.
MUTATED = ["g++", "-std=c++20", "-O0", "-fsanitize=address", "-mavx2", "-mfma", "-mf16c"]
CPU = ROOT / "tests/cpp"
WINDOW_SOURCES = ("window_cpu", "window_cpu_default", "window_cpu_avx2")


def program(name, *objects):
    return compiled(name, [*SANITIZED, *objects])


def check(program, count, seed, what):
    done = subprocess.run([program, str(count), str(seed)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{count} {what} right\n"), done.stdout + done.stderr[-3000:]


def test_random_windows():
    fuzzer = program("window_cpu_fuzz", sanitized("window_cpu_fuzz"), *map(sanitized, WINDOW_SOURCES))
    for seed in range(4):
        check(fuzzer, 5000, seed, "windows")


@pytest.mark.parametrize(("stem", "what"), [("window", "windows"), ("adjoint", "gradients")])
def test_random_windows_at_places(stem, what):
    """Every border, many windows on many images: what GPUs are given, and the same fuzzers."""
    kernels = [*WINDOW_SOURCES, "adjoint_cpu", "windows_on_cpu"]
    fuzzer = program(f"{stem}_on_cpu_fuzz", sanitized(f"{stem}_cuda_fuzz"), *map(sanitized, kernels))
    for seed in range(2):
        check(fuzzer, 5000, seed, what)


def test_random_windows_as_released():
    """The optimizer's say, too."""
    optimized = ["g++", "-std=c++20", "-O3"]
    kernels = [
        released(f"csrc/kernels/{source}.cpp")
        or compiled(f"{source}.o", [*optimized, "-c", ROOT / f"csrc/kernels/{source}.cpp"])
        for source in WINDOW_SOURCES
    ]
    check(compiled("released_fuzz", [*optimized, *kernels, CPU / "window_cpu_fuzz.cpp"]), 50_000, 0, "windows")


@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    "mutation",
    [
        # bytes in no block
        ("copy_rows.h", "if (n <= kHeads * kVector) {", "if (n <= (kHeads + 1) * kVector) {"),
        # borders apart, filled as if together
        ("window_writer.h", "joined = rows_contiguous(between + rows.seen)", "joined = true"),
        # writes behind a row
        ("copy_rows.h", "i + 2 * kVector <= n", "i + kVector <= n"),
        # a line that another range began, overwritten
        ("line_stream.h", "if (first_ > 0) {", "if (false) {"),
        # a line gathered and lost
        ("line_stream.h", "stream_line<kVector>(waiting_, waiting_line_);", ""),
        # a streamed border that begins anew in the middle of an element
        ("line_stream.h", "+ bytes) % 16", ") % 16"),
        # the second plane's rows misplaced
        ("copy_rows.h", "last ? rows.count : left_in_plane;", "last ? 1 : left_in_plane;"),
        # reads behind a row
        ("window_writer.h", "std::clamp(column_.end(), inside, last)", "last"),
        # an unwritten tail
        (
            "window_writer.h",
            "fill_rows(after, end, first, last);\n  }\n\n  void fill_rows",
            "}\n\n  void fill_rows",
        ),
        # the border of outer dimensions
        ("window_writer.h", "outside_ += is_inside(dim, index_[d]) ? 0 : 1;\n      if", "if"),
    ],
    ids=lambda mutation: mutation[1].splitlines()[0],
)
def test_the_fuzzer_notices(tmp_path, mutation):
    fuzzer, kernel = compiled("mutated_fuzz.o", [*MUTATED, "-c", CPU / "window_cpu_fuzz.cpp"]), tmp_path / "fuzz"
    sources = plant(tmp_path, *mutation)
    subprocess.run([*MUTATED, f"-I{sources}", CPU / "window_cpu_only.cpp", fuzzer, "-o", kernel], check=True)
    assert subprocess.run([kernel, "5000", "0"], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(
    ("stem", "old", "new"),
    [
        # starts that are not brought near
        ("window", "near_start(first.border, given, size, image_size)", "given"),
        # a mirrored window that begins where the other would
        ("window", "image_size - size - start", "start"),
        # an image's second crop in place of the first one's
        ("window", "nth * windows.out_window_stride", "0"),
        # a mirrored gradient read from its beginning
        ("adjoint", "window.out += (dim.size - 1) * dim.out_stride * out_bytes;", ""),
    ],
)
def test_the_fuzzers_of_places_notice(tmp_path, stem, old, new):
    sources = plant(tmp_path, "windows.h", old, new)
    text = (CPU / "windows_on_cpu.cpp").read_text().replace("../../csrc/kernels", str(sources))
    (tmp_path / "windows_on_cpu.cpp").write_text(text)
    objects = [sanitized(f"{stem}_cuda_fuzz"), *map(sanitized, WINDOW_SOURCES)]
    kernels = [tmp_path / "windows_on_cpu.cpp", sources / "adjoint_cpu.cpp"]
    subprocess.run([*SANITIZED, *kernels, *objects, "-o", tmp_path / "fuzz"], check=True)
    assert subprocess.run([tmp_path / "fuzz", "5000", "0"], capture_output=True, check=False).returncode != 0
