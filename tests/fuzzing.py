"""The fuzz targets of tests/fuzz: how they are built, and the inputs that are kept of them.

`python tests/fuzzing.py TARGET SECONDS` fuzzes one from its inputs, and keeps the few that cover all that is covered.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from builds import BUILDS, ROOT, SANITIZED, compiled, sanitized
from mutants import KERNELS

FOLDER = ROOT / "tests/fuzz"
WINDOWS = ("window_cpu", "window_cpu_default", "window_cpu_avx2")
# Each target, and the kernels it calls.
TARGETS = {"window": WINDOWS, "places": WINDOWS, "adjoint": ("adjoint_cpu",), "normalize": WINDOWS, "border": ()}
KEPT_BYTES = 160  # of an input; longer ones are as if they ended there, nearly always

# Without what libFuzzer offers for magic numbers, of which there are none: most of its time would go there.
FUZZED = ["-std=c++20", "-O2", "-g1", "-fno-sanitize-recover=all", "-fno-sanitize-coverage=trace-cmp"]
FUZZER_OPTIONS = [f"-max_len={KEPT_BYTES}", "-entropic=0", "-timeout=60", "-print_final_stats=1"]
# libFuzzer's own limit counts the most that a process has ever had, that which started this one included.
FUZZER_OPTIONS += ["-rss_limit_mb=0", "-malloc_limit_mb=2048"]
MEMORY_LIMIT = "hard_rss_limit_mb=2048"


def replayer(target: str) -> Path:
    """The target under sanitizers with a main function that reads inputs: replay.cpp, which says how."""
    options = [*SANITIZED, f"-I{KERNELS}", "-c"]
    main = compiled("sanitized-replay.o", [*options, FOLDER / "replay.cpp"])
    code = compiled(f"sanitized-{target}_target.o", [*options, "-O1", FOLDER / f"{target}.cpp"])
    return compiled(f"replay-{target}", [*SANITIZED, main, code, *map(sanitized, TARGETS[target])])


@cache
def clang() -> str | None:
    """A clang++ that has libFuzzer, if there is one."""
    for name in ("clang++", *(f"clang++-{version}" for version in range(25, 13, -1))):
        if path := shutil.which(name):
            program = '#include <version>\nextern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }'
            command = [path, *FUZZED, "-fsanitize=fuzzer,address,undefined", "-x", "c++", "-", "-o", os.devnull]
            if subprocess.run(command, input=program, text=True, capture_output=True, check=False).returncode == 0:
                return path
    return None


def fuzzed(kernel: str) -> Path:
    """An object of a kernel that tells libFuzzer what ran."""
    source = KERNELS / f"{kernel}.cpp"
    if kernel == "window_cpu":  # older versions of clang lack a name of a CPU's features that stands there
        return compiled("not-fuzzed-window_cpu.o", ["g++", "-std=c++20", "-O2", "-c", source])
    sanitizers = "-fsanitize=fuzzer-no-link,address,undefined"
    return compiled(f"fuzzed-{kernel}.o", [clang(), *FUZZED, sanitizers, "-c", source])


def fuzzer(target: str) -> Path:
    """The target as a program of libFuzzer's."""
    command = [clang(), *FUZZED, "-fsanitize=fuzzer,address,undefined", f"-I{KERNELS}"]
    return compiled(f"fuzz-{target}", [*command, FOLDER / f"{target}.cpp", *map(fuzzed, TARGETS[target])])


def kept(target: str) -> Path:
    """The file of inputs: hexadecimal digits, one input a line."""
    return FOLDER / f"corpus/{target}.txt"


def unpack(target: str, folder: Path) -> Path:
    """Writes each input that is kept into a file of its own, as libFuzzer and replay.cpp read them."""
    folder.mkdir(parents=True)
    for number, line in enumerate(kept(target).read_text().splitlines()):
        (folder / f"{number:03}").write_bytes(bytes.fromhex(line))
    return folder


def fuzz(target: str, corpus: Path, *options: str) -> subprocess.CompletedProcess:
    """Runs libFuzzer from the inputs of a folder, which gets the new ones; what fails is written beside the folder."""
    found = f"-artifact_prefix={corpus.parent}/"
    command = [fuzzer(target), corpus, *FUZZER_OPTIONS, found, *options]
    environment = {**os.environ, "ASAN_OPTIONS": f"malloc_context_size=2:{MEMORY_LIMIT}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def keep(target: str, corpus: Path) -> int:
    """Keeps, of the inputs of a folder, few that run all code that these run; returns how many."""
    few = corpus.parent / "few"
    few.mkdir()
    # Not how often code runs: that would keep thousands.
    merge = ["-set_cover_merge=1", "-use_counters=0", f"-max_len={KEPT_BYTES}", few, corpus]
    subprocess.run([fuzzer(target), *merge], check=True, capture_output=True)
    inputs = sorted((path.read_bytes() for path in few.iterdir()), key=lambda data: (len(data), data))
    kept(target).write_text("".join(f"{data.hex()}\n" for data in inputs))
    return len(inputs)


def main(target: str, seconds: str) -> None:
    folder = BUILDS / f"fuzzing-{target}"
    shutil.rmtree(folder, ignore_errors=True)
    done = fuzz(target, unpack(target, folder / "corpus"), f"-max_total_time={seconds}")
    print(done.stderr[-3000:])
    done.check_returncode()
    print(f"{keep(target, folder / 'corpus')} inputs are kept")


if __name__ == "__main__":
    main(*sys.argv[1:])
