"""``python -m torchcrop_fast info``: what a bug report needs."""

import os
import platform
from pathlib import Path

import torch

import torchcrop_fast
from torchcrop_fast import _C, _build_info, _library, memory


def run() -> int:
    """Print it."""
    printed = facts()
    width = max(map(len, printed))
    for name, fact in printed.items():
        print(f"{name:{width}}  {fact}")
    return 0


def facts() -> dict[str, str]:
    """Everything, by name."""
    found = {
        "torchcrop_fast": torchcrop_fast.__version__,
        "library": _library.OPS_LIBRARY,
        "built for": f"torch {_build_info.TORCH_VERSION}",
        "built with": f"{_build_info.COMPILER} {_build_info.FLAGS}",
        "on GPUs": f"our kernels, CUDA {_build_info.CUDA_VERSION}" if _build_info.CUDA_VERSION else "torch's ops",
        "torch": torch.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": platform.platform(),
        "cpu": _cpu(),
        "cpu features": f"{_C.cpu_capability()} in our kernels, {torch.backends.cpu.get_cpu_capability()} in torch's",
        "cpu cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": f"{torch.get_num_threads()} in an op, {torch.get_num_interop_threads()} between ops",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "torch's pads": "our kernels, by an override" if _C.torch_pad_overridden() else "torch's own kernels",
        "output cache": f"at most {memory.stats()['limit'] / 2**20:,.0f} MiB",
        "devices": ", ".join(_devices()),
    }
    return {name: str(fact) for name, fact in found.items()}


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _devices() -> list[str]:
    names = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    return ["cpu", *names]
