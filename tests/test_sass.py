"""The machine code that nvcc makes of the kernels for GPUs: registers that suffice, and nothing that threads share."""

import re
import subprocess

import pytest
from builds import ROOT, compiled
from torchcrop_fast.bench import gpu_counts
from torchcrop_fast.bench.gpu_machine import nvcc

CUOBJDUMP = gpu_counts.tool("cuobjdump")
if nvcc() is None or CUOBJDUMP is None:
    pytest.skip("there is no nvcc or no cuobjdump", allow_module_level=True)


def cubin_of(stem, architecture):
    if architecture == gpu_counts.ARCHITECTURE:
        return gpu_counts.cubin_of(compiled, gpu_counts.ptx_of(compiled, stem))
    command = [nvcc(), "-std=c++20", "-O3", "--expt-relaxed-constexpr", f"-arch=sm_{architecture}", "-cubin"]
    return compiled(f"{stem}-{architecture}.cubin", [*command, ROOT / f"csrc/kernels/{stem}_cuda.cu"])


def dump(cubin, what):
    return subprocess.run([CUOBJDUMP, what, cubin], capture_output=True, text=True, check=True).stdout


def demangled(names):
    """As copy_rows_kernel<false, 2, int>."""
    lines = subprocess.run(["c++filt", *names], capture_output=True, text=True, check=True).stdout.splitlines()
    inner = [re.sub(r"(torchcrop_fast|\(anonymous namespace\))::|\((bool|int)\)", "", line) for line in lines]
    return [re.sub(r"^void |\(.*\)$", "", line) for line in inner]


# Registers of a thread, so that an SM, which has 65,536, holds 1,536 threads of the main kernel and 1,024, 768, 512 or
# so of the others.
BUDGET = {
    r"copy_rows_kernel<false, false, .*, int>": 40,
    r"copy_rows_kernel<true, true, .*, int>": 80,
    r"(copy|add)_.*int>": 64,
    r"normalize_.*": 64,
    r"(copy|add)_.*long>": 128,
}


@pytest.mark.parametrize("architecture", ["80", "90", "100"])
def test_registers_suffice_and_nothing_is_shared(architecture):
    count = 0
    for stem in gpu_counts.STEMS:
        cubin = cubin_of(stem, architecture)
        usage = re.findall(
            r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", dump(cubin, "-res-usage")
        )
        for name, (_, registers, *memory) in zip(demangled([kernel for kernel, *_ in usage]), usage, strict=True):
            budget = next(most for pattern, most in BUDGET.items() if re.fullmatch(pattern, name))
            assert int(registers) <= budget, name
            assert memory == ["0", "0", "0"], name
            count += 1
        # No spills either: nothing local. No barrier and no atomics.
        code = re.findall(r"/\*[0-9a-f]{4,5}\*/\s+(.*?);", dump(cubin, "-sass"))
        assert len(code) > 1000
        assert not [said for said in code if re.search(r"\b(LDL|STL|LDS|STS|BAR|ATOM|ATOMG|RED)\b", said)]
    assert count > 100
