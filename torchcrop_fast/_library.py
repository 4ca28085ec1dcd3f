"""Finds the built libraries and loads them: the ops, then the fast Python entry that links them."""

import importlib
from pathlib import Path

import torch

OPS_LIBRARY = Path(__file__).with_name("libtorchcrop_fast.so")
# For CMAKE_PREFIX_PATH: where find_package() finds torchcrop_fast, and the torch of this Python.
CMAKE_PREFIX_PATH = f"{OPS_LIBRARY.parent / 'share' / 'cmake'};{torch.utils.cmake_prefix_path}"
_HOW_TO_BUILD = "run 'pip install --no-build-isolation .' in the directory of torchcrop_fast's sources"


def load() -> None:
    """Load both libraries.

    Raises:
        ImportError: If they are not built, or were built for another torch than the installed one.
    """
    try:
        built = importlib.import_module("torchcrop_fast._build_info").TORCH_VERSION
    except ModuleNotFoundError:
        raise ImportError(f"torchcrop_fast is not built: {_HOW_TO_BUILD}.") from None
    if _release(built) != _release(torch.__version__):
        raise ImportError(
            f"torchcrop_fast was built for torch {built}, and torch {torch.__version__} is installed: {_HOW_TO_BUILD}."
        )
    try:
        torch.ops.load_library(str(OPS_LIBRARY))  # type: ignore[no-untyped-call]
        importlib.import_module("torchcrop_fast._C")
    except (OSError, ImportError) as error:
        reason = error.__cause__ or error  # torch tells only which file it was, and keeps the reason behind
        raise ImportError(f"torchcrop_fast's libraries do not load ({reason}): {_HOW_TO_BUILD}.") from error


def _release(version: str) -> list[str]:
    """Major and minor: torch keeps its C++ ABI within them."""
    return version.split(".")[:2]
