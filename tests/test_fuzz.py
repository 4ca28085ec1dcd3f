"""Coverage-guided fuzzing of the CPU's kernels: inputs that are kept, random ones, and new ones of libFuzzer's."""

import re
import subprocess

import fuzzing
import pytest
from builds import compiled
from mutants import KERNELS, plant

RANDOM = 20_000  # inputs
SECONDS = 3
MANY = 10_000_000  # runs

# As fast to compile as can be: the mutants are many.
MUTATED = ["g++", "-std=c++20", "-O0", "-fsanitize=address"]


def replay(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture
def corpus(tmp_path):
    return lambda target: fuzzing.unpack(target, tmp_path / "corpus")


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_inputs_that_are_kept_and_random_ones(target, corpus):
    count = len(fuzzing.kept(target).read_text().splitlines())
    assert count > 10
    done = replay(fuzzing.replayer(target), corpus(target), "--random", RANDOM, 1)
    assert (done.returncode, done.stdout) == (0, f"{count + RANDOM} right\n"), done.stderr[-3000:]


@pytest.fixture
def runs_right(corpus):
    """Fuzzes a target up to a limit, an option of libFuzzer's; gives how often it ran."""
    if fuzzing.clang() is None:
        pytest.skip("needs a clang++ with libFuzzer, and there is none")

    def fuzz(target, limit):
        done = fuzzing.fuzz(target, corpus(target), limit)
        assert done.returncode == 0, done.stderr[-3000:]
        return int(re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)[1])

    return fuzz


@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_new_inputs(target, runs_right):
    assert runs_right(target, f"-max_total_time={SECONDS}") > 1000


@pytest.mark.reliability
@pytest.mark.parametrize("target", fuzzing.TARGETS)
def test_very_many_new_inputs(target, runs_right):
    assert runs_right(target, f"-runs={MANY}") >= MANY


MUTANTS = [
    # writes behind a row
    ("window", "copy_rows.h", "i + 2 * kVector <= n", "i + kVector <= n"),
    # reads behind the last of every second element
    ("window", "copy_rows.h", "for (; n > kTogether; n -=", "for (; n >= kTogether; n -="),
    # the bytes in front of a range, overwritten
    ("window", "line_stream.h", "if (first_ > 0) {", "if (false) {"),
    # the rows that a border shows in the opposite order, in their own
    ("window", "repeat_writer.h", "rows.step * in_step(), ", "in_step(), "),
    # starts that are not brought near
    ("places", "windows.h", "near_start(first.border, given, size, image_size)", "given"),
    # a window written to a mirrored image where the other would begin
    ("places", "windows.h", "windows.windows_to_images ? dim.start : image_size", "image_size"),
    # a flip read where none is
    ("places", "windows.h", "return flips && d >= first_flipped &&", "return flips &&"),
    # too few bytes for a GPU to read
    (
        "places",
        "windows.h",
        "last += (dim.in_size - 1) * dim.in_stride;",
        "last += dim.in_size > 1 ? dim.in_stride : 0;",
    ),
    # a mirrored gradient read from its beginning
    ("adjoint", "windows.h", "window.out += (dim.size - 1) * dim.out_stride * out_bytes;", ""),
    # rows of the next plane, misplaced
    ("adjoint", "adjoint_cpu.cpp", "in_offset_ -= shape_.dim[d].in_size * shape_.dim[d].in_stride;", ""),
    # of two numbers as near, the odd one
    ("adjoint", "pixel.h", "rest + 0xc8000fffu + ((rest >> 13) & 1)", "rest + 0xc8001000u"),
    # pixels read behind a row
    ("normalize", "normalize_writer.h", "for (; x + 16 <= n; x += 16)", "for (; x < n - 8; x += 16)"),
    # every channel filled as the first one
    ("normalize", "normalize_writer.h", "from_float<Out>(window.fill[c])", "from_float<Out>(window.fill[0])"),
    # coefficients of the wrong elements behind a streamed line
    ("normalize", "normalize_writer.h", "last - first, by.from(first)", "last - first, by.from(0)"),
    # NaN as another number
    ("normalize", "pixel.h", "(bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded", "rounded"),
    # the way back, one element off
    ("border", "border.h", "period - at : period - 1 - at;", "period - at : period - at;"),
    # a start behind the input's end
    ("border", "border.h", "(start > in_size ? in_size : start)", "start"),
    # of what a border shows twice, the second left out
    ("border", "border.h", "(occurrences.has_second ? count_of(occurrences.second) : 0)", "0"),
    # a sum beyond int64
    ("border", "window.h", "in_size - size < start ? in_size - start", "in_size - start < size ? in_size - start"),
    # dimensions joined that a border keeps apart
    ("border", "window.h", "const bool joins = window.border == Border::kConstant ||", "const bool joins = true ||"),
    # a dimension lost where another moves behind it
    ("border", "window.h", "window.dim[d] = window.dim[d + 1];", ""),
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant[0]}: {mutant[2]}")
def test_the_targets_notice(tmp_path, corpus, mutant):
    target, *change = mutant
    sources = plant(tmp_path, *change)
    main = compiled("mutated-replay.o", [*MUTATED, f"-I{KERNELS}", "-c", fuzzing.FOLDER / "replay.cpp"])
    kernels = [sources / f"{kernel}.cpp" for kernel in fuzzing.TARGETS[target]]
    program = tmp_path / "replay"
    code = fuzzing.FOLDER / f"{target}.cpp"
    subprocess.run([*MUTATED, f"-I{sources}", code, *kernels, main, "-o", program], check=True)
    done = replay(program, corpus(target), "--random", RANDOM, 1)
    assert done.returncode != 0
    told = re.search(r"^(.*): ([0-9a-f]*)$", done.stderr, re.MULTILINE)
    (tmp_path / "input").write_bytes(bytes.fromhex(told[2]))
    assert replay(program, tmp_path / "input").returncode != 0
