"""The machine code that nvcc makes of the kernels for GPUs: no spills, 128-bit copies, few instructions a chunk."""

import importlib.util
import re
import shutil
import subprocess
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import pytest
from torchcrop_fast.bench.gpu_machine import nvcc

ROOT = Path(__file__).parents[1]
ARCHITECTURES = ("80", "90", "100")
STEMS = ("window", "adjoint", "normalize")


def find_cuobjdump() -> str | None:
    """The toolkit's, or the one that triton brings along."""
    triton = importlib.util.find_spec("triton")
    if triton and triton.origin:
        folder = Path(triton.origin).parent / "backends/nvidia/bin"
        if (folder / "cuobjdump").exists():
            return str(folder / "cuobjdump")
    return shutil.which("cuobjdump")


NVCC, CUOBJDUMP = nvcc(), find_cuobjdump()
if NVCC is None or CUOBJDUMP is None:
    pytest.skip("there is no nvcc or no cuobjdump", allow_module_level=True)


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel: its name, such as copy_rows_kernel<false, 2, int>, what ptxas says of it, and its code."""

    name: str
    registers: int
    stack: int
    spills: int
    code: tuple[tuple[int, str], ...]  # address and instruction


def demangle(names: list[str]) -> list[str]:
    lines = subprocess.run(["c++filt", *names], capture_output=True, text=True, check=True).stdout.splitlines()
    inner = [line.replace("(anonymous namespace)::", "").replace("torchcrop_fast::", "") for line in lines]
    return [re.sub(r"^void |\(.*\)$", "", line) for line in inner]


def compile_kernels(stem: str, architecture: str, folder: Path) -> list[Kernel]:
    cubin = folder / f"{stem}-{architecture}.cubin"
    command = [NVCC, "-std=c++20", "-O3", "--expt-relaxed-constexpr", f"-arch=sm_{architecture}", "-Xptxas", "-v"]
    source = ROOT / f"csrc/kernels/{stem}_cuda.cu"
    report = subprocess.run(
        [*command, "-cubin", source, "-o", cubin], capture_output=True, text=True, check=True
    ).stderr
    said = {
        name: (int(registers), int(stack), int(stores) + int(loads))
        for name, stack, stores, loads, registers in re.findall(
            r"Function properties for (\w+)\n\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill"
            r" loads\n.*?Used (\d+) registers",
            report,
        )
    }
    dump = subprocess.run([CUOBJDUMP, "-sass", cubin], capture_output=True, text=True, check=True).stdout
    parts = [part.split("\n", 1) for part in re.split(r"\n\s*Function : ", dump)[1:]]
    names = demangle([mangled for mangled, _ in parts])
    kernels = []
    for name, (mangled, text) in zip(names, parts, strict=True):
        code = [(int(at, 16), said.strip()) for at, said in re.findall(r"/\*([0-9a-f]{4,5})\*/\s+(.*?);", text)]
        registers, stack, spills = said[mangled]
        kernels.append(Kernel(name, registers, stack, spills, tuple(code)))
    return kernels


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cubins")
    return {
        architecture: [kernel for stem in STEMS for kernel in compile_kernels(stem, architecture, folder)]
        for architecture in ARCHITECTURES
    }


# Registers of a thread, so that an SM, which has 65,536, holds 1,536 threads of the main kernel and 1,024, 512 or so of
# the others.
BUDGET = {
    r"copy_rows_kernel<false, .*, int>": 40,
    r"(copy|add)_.*int>": 64,
    r"normalize_.*": 64,
    r"(copy|add)_.*long>": 128,
}


def budget_of(kernel: Kernel) -> int:
    return next(most for pattern, most in BUDGET.items() if re.fullmatch(pattern, kernel.name))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_registers_suffice(kernels, architecture):
    assert len(kernels[architecture]) > 50
    for kernel in kernels[architecture]:
        assert (kernel.stack, kernel.spills) == (0, 0), kernel.name
        assert kernel.registers <= budget_of(kernel), kernel.name
        # No local memory, no shared memory, no barrier and no atomics.
        assert not [said for _, said in kernel.code if re.search(r"\b(LDL|STL|LDS|STS|BAR|ATOM|ATOMG|RED)\b", said)]


def following(code: tuple[tuple[int, str], ...]) -> list[list[int]]:
    """For each instruction those that may come next."""
    place = {at: i for i, (at, _) in enumerate(code)}
    follow = []
    for i, (_, said) in enumerate(code):
        branch = re.search(r"\bBRA\b.*?(0x[0-9a-f]+)", said)
        conditional = said.startswith("@") or re.search(r"\bBRA(\.\w+)* !?U?P\d", said)
        ends = branch or re.search(r"\b(EXIT|RET)\b", said)
        follow.append([place[int(branch[1], 16)]] if branch else [])
        if (conditional or not ends) and i + 1 < len(code):
            follow[-1].append(i + 1)
    return follow


def places_of(kernel: Kernel, pattern: str) -> set[int]:
    return {i for i, (_, said) in enumerate(kernel.code) if re.search(pattern, said)}


def shortest_way(follow: list[list[int]], start: int, ends: set[int], work: list[set[int]]) -> int | None:
    """How many instructions lie on the way that comes by one of each of the places of work, in their order."""
    distance = {(start, 0): 1}
    queue = deque(distance)
    while queue:
        i, done = queue.popleft()
        now = done + 1 if done < len(work) and i in work[done] else done
        if i in ends and now == len(work):
            return distance[i, done]
        for to in follow[i]:
            if (to, now) not in distance:
                distance[to, now] = distance[i, done] + 1
                queue.append((to, now))
    return None


def instructions_for_a_chunk(kernel: Kernel) -> int:
    """The shortest way round the loop that loads two chunks and stores one."""
    follow = following(kernel.code)
    loads, stores = places_of(kernel, r"LDG\.E\.128"), places_of(kernel, r"STG\.E\.128")
    back = [(i, to) for i, next_ones in enumerate(follow) for to in next_ones if to <= i]
    ways = [shortest_way(follow, head, {tail}, [loads, loads, stores]) for tail, head in back]
    return min(way for way in ways if way is not None)


def instructions_for_chunks(kernel: Kernel, chunks: int) -> int:
    """The shortest way through a thread that stores as many."""
    way = shortest_way(
        following(kernel.code), 0, places_of(kernel, r"\bEXIT\b"), [places_of(kernel, r"STG\.E\.128")] * chunks
    )
    assert way is not None
    return way


SLOTS = 305  # issue slots that an SM has for each 512 bytes a warp reads and writes at 3 TB/s: a chunk a lane


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_copies_are_of_128_bits_and_few_instructions(kernels, architecture):
    copies = [kernel for kernel in kernels[architecture] if re.match(r"copy_(rows|chunks)_kernel", kernel.name)]
    assert len(copies) == 12
    for kernel in copies:
        assert instructions_for_a_chunk(kernel) <= SLOTS, kernel.name
    main = next(kernel for kernel in copies if kernel.name == "copy_rows_kernel<false, 2, int>")
    assert instructions_for_a_chunk(main) <= SLOTS // 2


BYTES = {"unsigned char": 1, "BFloat16": 2, "Half": 2, "float": 4}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_normalized_rows_are_stored_by_128_bits_and_few_instructions(kernels, architecture):
    normalizers = [kernel for kernel in kernels[architecture] if kernel.name.startswith("normalize_planes_kernel")]
    assert len(normalizers) == 18
    for kernel in normalizers:
        source, target, channels = re.fullmatch(r"normalize_planes_kernel<(.*), (.*), (\d)>", kernel.name).groups()
        elements = int(channels) * 16 // BYTES[target]  # of a thread
        moved = 32 * elements * (BYTES[source] + BYTES[target])  # by a warp
        assert instructions_for_chunks(kernel, int(channels)) <= SLOTS * moved / 512, kernel.name
