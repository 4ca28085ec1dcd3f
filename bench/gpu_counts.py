"""What the GPU kernels cost, counted without a GPU: ``make gpu-count``.

nvcc's PTX of the kernels is run on the CPU, warp by warp (``tests/cpp/ptx.h``), for some blocks of each case of
``gpu_windows.h``. Each line of PTX that a warp comes by costs the machine instructions that ptxas makes of it.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .gpu_machine import LOGS, ROOT, nvcc

JOB = "make gpu-count"
STEMS = ("window", "adjoint", "normalize")
ARCHITECTURE = "90"
BLOCKS = 24  # of a launch that are run
JSON = "--json"
COMMAND = (sys.executable, "-m", "bench.gpu_counts", JSON)
MACHINE = ("ptx", "ptx_instructions", "ptx_runtime")
KERNELS, CPP = ROOT / "csrc" / "kernels", ROOT / "tests" / "cpp"

# What an H100 has: issue slots of all its multiprocessors while its memory moves 1,024 bytes, a warp's 512 read and 512
# written. 132 of them issue 4 instructions a clock at 1.7 GHz, beside 3 TB/s.
SLOTS_A_KIB = 305
WARP = 512  # bytes that a warp writes at once, 16 a lane

Compile = Callable[[str, Sequence[str | Path]], Path]  # as builds.compiled in tests: a name, and a command without -o


@dataclass(frozen=True)
class Built:
    """A program that runs kernels on PTX, and what it needs.

    Attributes:
        program: The program.
        environment: Of its own.
        weights: For each kernel and line of its PTX how many machine instructions ptxas makes of it.
    """

    program: Path
    environment: Mapping[str, str]
    weights: Mapping[str, Mapping[int, int]]


@dataclass(frozen=True)
class Count:
    """What a case costs, for each 512 bytes of its output: a chunk of 16 bytes for each lane of a warp.

    Attributes:
        case: Its name in ``gpu_windows.h``.
        kind: Of the case.
        large: Whether it moves 64 MB or more.
        slots: Issue slots that its instructions take, one each.
        budget: Issue slots that an H100 has while its memory moves what must be moved.
        busy: Lanes that are not masked, of 32.
        moved: Bytes of the sectors that its blocks read and write, each once a block, against what must be moved.
        requested: Sectors that warps ask for.
    """

    case: str
    kind: str
    large: bool
    slots: float
    budget: float
    busy: float
    moved: float
    requested: float

    @property
    def share(self) -> float:
        """The budget against the slots: what of the memory's speed they leave, if more than that."""
        return self.budget / self.slots


def tool(name: str) -> str | None:
    """One of CUDA's programs that read machine code: the toolkit's, or the one that triton brings along."""
    triton = find_spec("triton")
    if triton and triton.origin:
        path = Path(triton.origin).parent / "backends/nvidia/bin" / name
        if path.exists():
            return str(path)
    compiler = nvcc()
    beside = Path(compiler).with_name(name) if compiler else None
    return str(beside) if beside and beside.exists() else shutil.which(name)


def missing() -> str | None:
    """Which program counting needs and this machine lacks."""
    if nvcc() is None:
        return "nvcc"
    return next((name for name in ("nvdisasm", "g++") if tool(name) is None), None)


def ptx_of(compile_: Compile, stem: str, kernels: Path = KERNELS, options: Sequence[str] = ()) -> Path:
    """The PTX of a kernel's file."""
    return compile_(_name(f"{stem}.ptx", options), _compiler(stem, kernels, *options, "-arch=compute_90", "-ptx"))


def host_of(compile_: Compile, stem: str, kernels: Path = KERNELS, options: Sequence[str] = ()) -> Path:
    """The object of what a kernel's file does on the host."""
    told = ("-DTORCHCROP_FAST_TELL_ACCESSES", "-gencode", "arch=compute_90,code=compute_90", "-c")
    return compile_(_name(f"{stem}-host.o", options), _compiler(stem, kernels, *options, *told))


def _compiler(stem: str, kernels: Path, *options: str) -> list[str | Path]:
    command = [str(nvcc()), "-std=c++20", "-O3", "--expt-relaxed-constexpr", *options]
    return [*command, kernels / f"{stem}_cuda.cu"]


def _name(name: str, options: Sequence[str]) -> str:
    return "-".join([*(option.removeprefix("-DTORCHCROP_FAST_") for option in options), name])


def machine(compile_: Compile, *objects: Path, main: str, includes: Sequence[Path] = ()) -> Path:
    """The program of a source under tests/cpp that runs these objects' kernels on PTX."""
    gxx = ["g++", "-std=c++20", "-O2", "-c"]
    parts = [compile_(f"{name}.o", [*gxx, CPP / f"{name}.cpp"]) for name in MACHINE]
    parts.append(compile_(f"{main}.o", [*gxx, *(f"-I{path}" for path in includes), CPP / f"{main}.cpp"]))
    # Of other kernels it is another program.
    return compile_("-".join([main, *(path.stem for path in objects)]), ["g++", *parts, *objects])


def weights_of(cubin: Path) -> dict[str, Counter[int]]:
    """For each kernel how many machine instructions stem from each line of its PTX."""
    dump = subprocess.run([str(tool("nvdisasm")), "-gp", cubin], capture_output=True, text=True, check=True).stdout
    found: dict[str, Counter[int]] = {}
    for part in dump.split("//--------------------- .text.")[1:]:
        name = part.partition(" ")[0]
        counter, line, calls, called = found.setdefault(name, Counter()), 0, [], 0
        in_function = False  # that the kernel calls, for a division of 64 bits
        for said in part.splitlines():
            in_function = in_function or said.startswith("$__internal")
            place = re.search(r'nv_debug_ptx_txt", line (\d+)', said)
            line = int(place[1]) if place else line
            instruction = re.match(r"\s+/\*[0-9a-f]+\*/\s+(?!NOP)(.*?)\s*;", said)
            if instruction and in_function:
                called += 1
            elif instruction:
                counter[line] += 1
                calls += [line] if "CALL" in instruction[1] else []
        counter.update({line: called * calls.count(line) for line in set(calls)})
    return found


def cubin_of(compile_: Compile, ptx: Path) -> Path:
    """The machine code that ptxas makes of a PTX file."""
    return compile_(f"{ptx.stem}.cubin", [str(nvcc()), f"-arch=sm_{ARCHITECTURE}", "-lineinfo", "-cubin", ptx])


def build(compile_: Compile, kernels: Path = KERNELS, options: Sequence[str] = ()) -> Built:
    """The program that counts, with what ptxas makes of the PTX."""
    files = [ptx_of(compile_, stem, kernels, options) for stem in STEMS]
    objects = [host_of(compile_, stem, kernels, options) for stem in STEMS]
    program = machine(compile_, *objects, main="count_launches", includes=[kernels])
    weights: dict[str, Counter[int]] = {}
    for file in files:
        weights |= weights_of(cubin_of(compile_, file))
    return Built(program, {"TORCHCROP_FAST_PTX": ":".join(map(str, files))}, weights)


def count(built: Built, *names: str, blocks: int = BLOCKS) -> list[Count]:
    """Count all cases, or those whose names hold one of these."""
    command = [str(built.program), str(blocks), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(built.environment))
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or done.stdout[-1000:])
    return [_count(json.loads(line), built.weights) for line in done.stdout.splitlines()]


def _count(row: Mapping[str, Any], weights: Mapping[str, Mapping[int, int]]) -> Count:
    slots = warps = lanes = 0
    for kernel, lines in row["lines"].items():
        for line, (of_warps, of_lanes) in lines.items():
            slots += of_warps * weights[kernel].get(int(line), 0)
            warps += of_warps
            lanes += of_lanes
    written = row["written"] * 32 / WARP
    least = row["moved"] / row["out_bytes"] * WARP
    return Count(
        row["case"],
        row["kind"],
        row["moved"] >= 64e6,
        slots / written,
        SLOTS_A_KIB * least / 1024,
        lanes / warps,
        (row["read"] + row["written"]) * 32 / written / least,
        row["requested"] / written,
    )


HEADERS = ("case", "slots", "budget", "share", "lanes", "moved", "requested")


def lines_of(counts: Iterable[Count]) -> list[tuple[str, ...]]:
    """The table's lines."""
    return [
        (
            one.case,
            f"{one.slots:.0f}",
            f"{one.budget:.0f}",
            f"{100 * one.share:.0f}%",
            f"{one.busy:.0f}",
            f"{one.moved:.2f}",
            f"{one.requested:.0f}",
        )
        for one in counts
    ]


def compile_into(folder: Path, name: str, command: Sequence[str | Path]) -> Path:
    """Run a compiler, its output in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([*command, "-o", folder / name], check=True)
    return folder / name


def main() -> int:
    """Build, count, print a table in Markdown."""
    lacked = missing()
    if lacked:
        sys.exit(f"{JOB} needs {lacked}, and there is none here.")
    from .gpu_report import table

    names = [name for name in sys.argv[1:] if name != JSON]
    counts = count(build(partial(compile_into, LOGS / "count")), *names)
    print(json.dumps([asdict(one) for one in counts]) if JSON in sys.argv else table(HEADERS, lines_of(counts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
