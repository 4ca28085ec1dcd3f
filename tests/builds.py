"""C++ that tests compile: once for all processes of a run, and again only when a source has changed."""

import hashlib
import subprocess
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

ROOT = Path(__file__).parents[1]
BUILDS = ROOT / "build/tests"
SANITIZED = ["g++", "-std=c++20", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
RELEASED = ROOT / "build" / f"torch-{torch.__version__}-{sysconfig.get_config_var('SOABI')}"


@cache
def _sources() -> bytes:
    """A digest of all that our compilers read, but for torch."""
    digest = hashlib.sha256(torch.__version__.encode())
    for folder in ("csrc", "tests/cpp", "tests/fuzz", "bench"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cpp", ".cu"):
                digest.update(path.read_bytes())
    return digest.digest()


def compiled(name: str, command: Sequence[str | Path]) -> Path:
    """What a compiler writes with this command, which lacks its -o, under a name that stands for nothing else."""
    key = hashlib.sha256(_sources() + "\0".join(map(str, command)).encode()).hexdigest()[:16]
    folder = BUILDS / name
    folder.mkdir(parents=True, exist_ok=True)
    built = folder / key / name
    with FileLock(folder / "lock"):
        if not built.exists():
            for old in folder.glob("*/*"):  # of other sources
                old.unlink()
            built.parent.mkdir(exist_ok=True)
            part = built.with_suffix(".part")
            subprocess.run([*command, "-o", part], check=True)
            part.rename(built)
    return built


def of_torch(name: str) -> Path:
    """A folder for what CMake builds with this environment's torch, which its cache points to."""
    key = hashlib.sha256(f"{torch.__version__} {torch.__file__}".encode()).hexdigest()[:8]
    folder = BUILDS / f"{name}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(*command: object, **options: Any) -> str:
    """What a command prints, which has to end well."""
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=1800, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sanitized(source: str, *options: str) -> Path:
    """An object of a source under csrc/kernels or tests/cpp."""
    path = ROOT / f"tests/cpp/{source}.cpp"
    path = path if path.exists() else ROOT / f"csrc/kernels/{source}.cpp"
    return compiled(f"sanitized-{source}.o", [*SANITIZED, *options, "-c", path])


def released(source: str) -> Path | None:
    """The object that setup.py made of a source under csrc/, if none of them changed since it last ran."""
    ready = (RELEASED / source).with_suffix(".o")
    ran = ROOT / "torchcrop_fast/_build_info.py"  # which it writes
    newest = max(path.stat().st_mtime for path in (ROOT / "csrc").rglob("*.*"))
    return ready if ready.exists() and ran.exists() and ran.stat().st_mtime >= newest else None
