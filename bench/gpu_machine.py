"""What the GPU jobs need of a machine, and how they run programs on it; imports torch only where it is asked for."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
LOGS = ROOT / "build" / "gpu"


def refuse_without_gpu(job: str, modules: Sequence[str]) -> None:
    """End in one sentence if something is missing that a job needs."""
    for module in ("torch", *modules):
        if find_spec(module) is None and shutil.which(module) is None:  # ninja may be a program
            sys.exit(f"{job} needs {module}, and {sys.executable} has none: name another Python with PYTHON=.")
    import torch

    if not torch.cuda.is_available():
        sys.exit(f"{job} needs a GPU, and torch sees none here.")
    if nvcc() is None:
        sys.exit(f"{job} needs nvcc, and there is none: put it on the PATH, or set CUDA_HOME to its toolkit.")


def nvcc() -> str | None:
    """The CUDA compiler, as torch finds it."""
    from torch.utils.cpp_extension import CUDA_HOME

    return shutil.which("nvcc", path=os.path.join(CUDA_HOME, "bin") if CUDA_HOME else None) or shutil.which("nvcc")


def gpu_name() -> str:
    """What the first visible GPU calls itself."""
    import torch

    return torch.cuda.get_device_name(0)


def file_name(gpu: str) -> str:
    """A GPU's name as part of the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")


def architecture() -> str:
    """Of the first visible GPU, as 9.0."""
    import torch

    return "{}.{}".format(*torch.cuda.get_device_capability(0))


class Program:
    """A program that runs beside others, its output in a log."""

    def __init__(
        self, name: str, command: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = LOGS / f"{file_name(name)}.log"
        self._begin = time.monotonic()
        self._end = self._begin + seconds
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Whether it has ended, or should have."""
        return self._process.poll() is not None or time.monotonic() > self._end

    def wait(self) -> int | None:
        """Its exit status; None if it took too long, and was ended."""
        try:
            status: int | None = self._process.wait(max(self._end - time.monotonic(), 1))
        except subprocess.TimeoutExpired:
            self.stop()
            status = None
        self.seconds = time.monotonic() - self._begin
        return status

    def stop(self) -> None:
        """End it, and what it has started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")
