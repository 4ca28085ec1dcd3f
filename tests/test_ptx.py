"""The GPU's kernels as nvcc compiles them: their PTX, run on the CPU in warps, each access watched."""

import subprocess
from pathlib import Path

import pytest
from builds import compiled
from mutants import KERNELS, plant
from test_emulation import FUZZERS, IN_64_BITS, SMALL_BLOCKS, check, fuzz
from torchcrop_fast.bench import gpu_counts

LACKED = gpu_counts.missing()
if LACKED is not None:
    pytest.skip(f"there is no {LACKED}", allow_module_level=True)


def fuzzer(stem, *options, kernels=KERNELS, compile_=compiled):
    """The fuzzer of a kernel, and the environment in which it runs the kernel's PTX."""
    ptx = gpu_counts.ptx_of(compile_, stem, kernels, options)
    host = gpu_counts.host_of(compile_, stem, kernels, options)
    program = gpu_counts.machine(compile_, host, main=f"{stem}_cuda_fuzz")
    return program, {"TORCHCROP_FAST_PTX": str(ptx)}


def check_ptx(stem, count, seeds, *options, settings=()):
    program, environment = fuzzer(stem, *settings)
    check(program, stem, count, seeds, *options, environment=environment)


@pytest.mark.parametrize("stem", FUZZERS)
def test_random_cases(stem):
    check_ptx(stem, 2000, [5])


@pytest.mark.parametrize(
    ("stem", "settings"),
    [("window", (IN_64_BITS,)), ("adjoint", (IN_64_BITS,)), ("window", tuple(SMALL_BLOCKS))],
    ids=["window, 64 bits", "adjoint, 64 bits", "window, several chunks a thread"],
)
def test_random_cases_otherwise(stem, settings):
    check_ptx(stem, 1000, [6], settings=settings)


def test_elements_gigabytes_apart():
    check_ptx("window", 1000, [7], "far")


@pytest.mark.emulation
@pytest.mark.parametrize("stem", FUZZERS)
def test_very_many_random_cases(stem):
    check_ptx(stem, 10_000, range(400, 404))


MUTANTS = [
    # a wrong byte
    ("window", "chunks_cuda.h", "__funnelshift_r(b3, b4, bits)};", "__funnelshift_r(b3, b4, bits) ^ 1};"),
    # a read out of range
    ("window", "chunks_cuda.h", "high <= p.last_chunk", "high <= p.last_chunk + kChunkBytes"),
    # a seam that two threads write
    ("window", "window_cuda.cu", "(row_at <= first && first + kChunkBytes <= row_end", "(true"),
    # a seam that none writes
    ("window", "window_cuda.cu", "p.leaves_borders || row_bytes() % kChunkBytes != 0 ||", "p.leaves_borders ||"),
    # pixels behind the image's last column
    ("normalize", "normalize_cuda.cu", "first < row.begin || row.end < end ||", "first < row.begin ||"),
    # the last image again instead of the next one
    ("adjoint", "adjoint_cuda.cu", "nth /= count;", ""),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant[2])
def test_mutants_are_noticed(tmp_path, mutant):
    stem, *change = mutant
    kernels = plant(tmp_path, *change)

    def compile_(name, command):
        ours = any({kernels, tmp_path} & set(getattr(word, "parents", ())) for word in command)
        return gpu_counts.compile_into(tmp_path, name, command) if ours else compiled(name, command)

    program, environment = fuzzer(stem, kernels=kernels, compile_=compile_)
    assert fuzz(program, 5000, 8, environment=environment).returncode == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("mul.hi.u32", "mul.odd.u32", "an instruction that is not known: mul.odd.u32"),
        ("%ctaid.x", "%ctaid.y", "a register that is not known: %ctaid.y"),
        ("\t.reg .pred", "\t.shared .pred", "a directive that is not known: .shared .pred"),
    ],
)
def test_what_is_not_known_of_ptx_is_named(tmp_path, old, new, said):
    program, environment = fuzzer("adjoint")
    text = Path(environment["TORCHCROP_FAST_PTX"]).read_text().replace(old, new)
    (tmp_path / "other.ptx").write_text(text)
    line = next(i for i, one in enumerate(text.splitlines(), 1) if new in one)
    done = fuzz(program, 1, 0, environment={"TORCHCROP_FAST_PTX": str(tmp_path / "other.ptx")})
    assert f"other.ptx, line {line}: {said}" in done.stdout
    assert done.returncode == 1


LOOP = """
.visible .entry loop(
	.param .align 8 .b8 loop_param_0[16]
)
{
	.reg .pred %p<2>;
	.reg .b32 %r<4>;
	.reg .b64 %rd<4>;
	mov.u32 %r1, %tid.x;
	and.b32 %r2, %r1, 3;
	mov.u32 %r3, 0;
$L__again:
	add.s32 %r3, %r3, %r1;
	add.s32 %r2, %r2, -1;
	setp.ge.s32 %p1, %r2, 0;
	@%p1 bra $L__again;
	ld.param.u64 %rd1, [loop_param_0+8];
	mul.wide.u32 %rd2, %r1, 4;
	add.s64 %rd3, %rd1, %rd2;
	st.global.u32 [%rd3], %r3;
	ret;
}
"""


def test_lanes_of_a_warp_go_together_and_wait_for_each_other(tmp_path):
    """A loop of one to four rounds: four for the warp, 80 of 128 lanes busy; what follows is done once, by all."""
    (tmp_path / "loop.ptx").write_text(LOOP)
    program = gpu_counts.machine(compiled, main="ptx_loop")
    done = subprocess.run([program, tmp_path / "loop.ptx"], capture_output=True, text=True, check=True)
    *counted, numbers, sectors = done.stdout.splitlines()
    text = LOOP.splitlines()
    did = {text[int(line) - 1].strip(): what for line, what in (one.split(": ") for one in counted)}
    assert did["mov.u32 %r1, %tid.x;"] == "1 warps, 32 lanes"
    assert did["add.s32 %r3, %r3, %r1;"] == "4 warps, 80 lanes"
    assert did["@%p1 bra $L__again;"] == "4 warps, 80 lanes"
    assert did["st.global.u32 [%rd3], %r3;"] == "1 warps, 32 lanes"
    assert numbers.split()[1:] == [str((lane % 4 + 1) * lane) for lane in range(32)]
    assert sectors == "sectors: 4 written, 4 requested"
