"""The GPU's kernels without a GPU: the same sources compiled by g++, under sanitizers and a watch on every access."""

import os
import subprocess
import sys

import pytest
from builds import ROOT, compiled, released
from mutants import KERNELS, plant
from torch.utils import cpp_extension

GXX = ["g++", "-std=c++20", "-O1"]
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
SANITIZED = [*GXX, *STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fPIC", "-fvisibility=hidden"]
IN_64_BITS = "-DTORCHCROP_FAST_32_BIT_LIMIT=0"
IN_PARTS = "-DTORCHCROP_FAST_32_BIT_LIMIT=3000"  # of large copies, in which numbers fit into 32 bits
FUZZERS = {"window": "windows", "adjoint": "gradients", "normalize": "batches"}


def compile_kernel(compiler, stem, to, folder=KERNELS):
    subprocess.run([*compiler, "-x", "c++", "-c", folder / f"{stem}_cuda.cu", "-o", to], check=True)


def link(compiler, program, *objects):
    subprocess.run([*compiler, *objects, "-o", program], check=True)
    return program


def fuzz(program, count, seed, *options, environment=None):
    command = [program, str(count), str(seed), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def sanitized(stem, *options):
    """The fuzzer of a kernel, with the kernel's numbers in 32 bits where they fit, or all in 64."""
    name = "-".join([stem, *(option.removeprefix("-DTORCHCROP_FAST_") for option in options)])
    fuzzer = compiled(f"emulated-{stem}_fuzz.o", [*SANITIZED, "-c", ROOT / f"tests/cpp/{stem}_cuda_fuzz.cpp"])
    return compiled(f"emulated-{name}_fuzz", [*SANITIZED, fuzzer, emulated_kernel(stem, *options)])


def emulated_kernel(stem, *options):
    name = "-".join([stem, *(option.removeprefix("-DTORCHCROP_FAST_") for option in options)])
    return compiled(f"emulated-{name}.o", [*SANITIZED, *options, "-x", "c++", "-c", KERNELS / f"{stem}_cuda.cu"])


def check(program, stem, count, seeds, *options, environment=None):
    for seed in seeds:
        done = fuzz(program, count, seed, *options, environment=environment)
        assert (done.returncode, done.stdout) == (0, f"{count} {FUZZERS[stem]} right\n"), (
            done.stdout + done.stderr[-3000:]
        )


@pytest.mark.parametrize("stem", FUZZERS)
def test_random_cases(stem):
    check(sanitized(stem), stem, 2000, range(2))


@pytest.mark.parametrize("stem", ["window", "adjoint"])
def test_random_cases_in_64_bits(stem):
    check(sanitized(stem, IN_64_BITS), stem, 1000, [2])


# Blocks in which threads write several chunks, as for large outputs; and other values of what bench/gpu_tune.py lists.
SMALL_BLOCKS = [f"-DTORCHCROP_FAST_{macro}" for macro in ("MANY_BLOCKS=1", "BLOCK_CHUNKS=64", "THREADS=32")]
OTHERWISE = [f"-DTORCHCROP_FAST_{macro}" for macro in ("LOAD_WORDS", "SMALL_THREADS=64", "MANY_THREADS=1")]


SETTINGS = {
    "window, several chunks a thread": SMALL_BLOCKS,
    "window, otherwise": OTHERWISE,
    "window, in parts": [IN_PARTS],
    "normalize, otherwise": OTHERWISE,
    "normalize, in parts": [IN_PARTS],
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_random_cases_of_other_settings(setting):
    stem = setting.partition(",")[0]
    check(sanitized(stem, *SETTINGS[setting]), stem, 1000, [4])


def test_elements_gigabytes_apart():
    check(sanitized("window"), "window", 1000, [3], "far")


@pytest.mark.emulation
@pytest.mark.parametrize("stem", FUZZERS)
def test_very_many_random_cases(stem):
    check(sanitized(stem), stem, 10_000, range(100, 104))
    if stem != "normalize":
        check(sanitized(stem, IN_64_BITS), stem, 5000, range(200, 202))
    if stem == "window":
        check(sanitized(stem), stem, 10_000, [300], "far")


# What a backend calls; the latter two compute with sizes and strides.
OPS_SOURCES, SANITIZED_OPS_SOURCES = ("check", "layout"), ("geometry", "overlap")


def emulated_ops():
    """A library that registers the ops for CUDA, with the emulated kernels."""
    includes = [f"-isystem{path}" for path in cpp_extension.include_paths()]
    sanitized_ops = [*SANITIZED, "-fno-sanitize=vptr", *includes, "-c"]
    objects = [compiled("emulated_ops.o", [*sanitized_ops, ROOT / "tests/cpp/emulated_ops.cpp"])]
    objects += map(emulated_kernel, FUZZERS)
    for stem in SANITIZED_OPS_SOURCES:
        objects.append(compiled(f"sanitized-{stem}.o", [*sanitized_ops, ROOT / f"csrc/ops/{stem}.cpp"]))
    for stem in OPS_SOURCES:
        source = f"csrc/ops/{stem}.cpp"
        ready = released(source)
        objects.append(ready or compiled(f"{stem}.o", [*GXX, "-fPIC", *includes, "-c", ROOT / source]))
    libraries = [f"-L{path}" for path in cpp_extension.library_paths()]
    return compiled("libemulated.so", [*SANITIZED, "-shared", *objects, *libraries, "-ltorch_cpu", "-lc10"])


def run_ops(library, one_of):
    names = ("libasan.so", "libubsan.so")
    sanitizers = [subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip() for name in names]
    environment = {**os.environ, "LD_PRELOAD": " ".join(sanitizers), "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, ROOT / "tests/emulated_ops.py", library, str(one_of)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return [int(line.split()[1]) for line in done.stdout.splitlines()]


def test_a_sample_of_the_ops_cases():
    assert min(run_ops(emulated_ops(), one_of=15)) > 5


@pytest.mark.emulation
def test_every_case_of_the_ops():
    pad, crop_at, normalize = run_ops(emulated_ops(), one_of=1)
    assert pad > 9000
    assert crop_at > 100
    assert normalize > 400


@pytest.fixture
def build_mutant(tmp_path):
    """Compile a kernel with one replacement, in it or in a header of its folder."""

    def build(stem, file, old, new):
        fuzzer = compiled(f"plain-{stem}_fuzz.o", [*GXX, "-c", ROOT / f"tests/cpp/{stem}_cuda_fuzz.cpp"])
        compile_kernel(GXX, stem, tmp_path / "kernel.o", plant(tmp_path, file, old, new))
        return link(GXX, tmp_path / "mutant", fuzzer, tmp_path / "kernel.o")

    return build


MUTANTS = [
    # a read behind the input's last whole chunk
    ("window", "chunks_cuda.h", "high <= p.last_chunk", "high <= p.last_chunk + kChunkBytes"),
    # an unwritten tail
    ("window", "window_cuda.cu", "+ out_bytes() + kChunkBytes - 1)", "+ out_bytes())"),
    # a misaligned vector
    (
        "window",
        "chunks_cuda.h",
        "const Index low_at = at & ~static_cast<Index>(kChunkBytes - 1);",
        "const Index low_at = at;",
    ),
    # a seam that two threads write: of a border and a row's end in one chunk, and of a border on both sides of it
    ("window", "window_cuda.cu", "(row_at <= first && first + kChunkBytes <= row_end", "(true"),
    ("window", "window_cuda.cu", "!(seam == kInputEnds && first < row_at + row.begin)", "true"),
    # a seam that none writes
    ("window", "window_cuda.cu", "p.leaves_borders || row_bytes() % kChunkBytes != 0 ||", "p.leaves_borders ||"),
    # rows joined one byte off
    ("window", "window_cuda.cu", "static_cast<int>(-byte)", "static_cast<int>(1 - byte)"),
    # mirrored chunks one pixel off
    ("window", "chunks_cuda.h", "(columns.base + 1) * pixel", "columns.base * pixel"),
    # mirrored pixels of 3 bytes of which a word shows the ends of two
    ("window", "chunks_cuda.h", "pixels < 2 && part >= pixel", "pixels < 1 && part >= pixel"),
    # borders that lead out of the input again
    ("window", "chunks_cuda.h", "(seen < 0 || seen + next - at > p.in_columns * pixel)", "false"),
    # borders of pixels whose bytes lie apart in units
    ("window", "window_cuda.cu", "p.reverses_chunks && unit_ == std::min<int64_t>(pixel, 8)", "p.reverses_chunks"),
    # fill that begins in the middle of an element
    ("window", "window_cuda.cu", "kChunkBytes - shift(window_.out)", "shift(window_.out)"),
    # chunks copied out of pixels that lie apart
    ("window", "window_cuda.cu", "return column().in_stride == pixel_;", "return true;"),
    # the places of another window
    ("window", "rows_cuda.h", "is_new = nth != known.nth;", "is_new = known.nth < 0;"),
    # starts far away whose lower half alone is looked at
    ("window", "places_cuda.h", "start == given ?", "true ?"),
    # words read in front of the input
    ("normalize", "normalize_cuda.cu", "(at & ~int64_t{3}) < p.first_word ||", ""),
    # elements read behind it
    ("normalize", "normalize_cuda.cu", "from + wide(kNumbers - 1) * step <= p.last_element", "true"),
    # pixels behind the image's last column
    ("normalize", "normalize_cuda.cu", "first < row.begin || row.end < end ||", "first < row.begin ||"),
    # the rest of a row written as if it were whole
    ("normalize", "normalize_cuda.cu", "behind < size ? behind : size", "behind"),
    # the fill of a mirrored row at its other end
    ("normalize", "normalize_cuda.cu", "mirrored ? of.first + kNumbers - end : begin - of.first", "begin - of.first"),
    # rows that begin inside of a chunk, and have one part more
    ("normalize", "normalize_cuda.cu", "(aligned ? 0 : elements - 1)", "0"),
    # a channel of a pixel taken for the one of the next
    ("normalize", "normalize_cuda.cu", "(channels - 1) * to_channel", "channels * to_channel"),
    # channels of the second launch with the coefficients of the first
    ("normalize", "normalize_cuda.cu", "std::copy_n(all.bias + channel,", "std::copy_n(all.bias,"),
    # images of an element left out
    ("adjoint", "border.h", "(occurrences.has_second ? count_of(occurrences.second) : 0)", "0"),
    # the last image again instead of the next one
    ("adjoint", "adjoint_cuda.cu", "nth /= count;", ""),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[2])
def test_the_emulation_notices(build_mutant, mutant):
    assert fuzz(build_mutant(*mutant), 5000, 0).returncode != 0


def test_the_emulation_notices_32_bits_that_overflow(build_mutant):
    mutant = build_mutant("window", "window_cuda.cu", "return fits_32_bits() ?", "return true ?")
    assert fuzz(mutant, 5000, 0).returncode == 0
    assert fuzz(mutant, 5000, 0, "far").returncode != 0
