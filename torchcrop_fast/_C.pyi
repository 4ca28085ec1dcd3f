"""The fast Python entry, csrc/python.cpp."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, dtype, memory_format

# Each gives the result, or NotImplemented unless all arguments are plain and no mode is active.
def pad(input: Tensor, pad: Sequence[int], mode: str, value: complex | None, out: Tensor | None, /) -> Any: ...
def crop(input: Tensor, cropping: Sequence[int], out: Tensor | None, /) -> Any: ...
def crop_at(
    input: Tensor,
    offsets: Tensor,
    size: Sequence[int],
    flip: Tensor | None,
    padding_mode: str,
    fill: complex,
    out: Tensor | None,
    /,
) -> Any: ...
def crop_mirror_normalize(
    input: Tensor,
    offsets: Tensor | None,
    size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    flip: Tensor | None,
    dtype: dtype | None,
    layout: str,
    memory_format: memory_format | None,
    padding_mode: str,
    fill: float | Sequence[float],
    out: Tensor | None,
    /,
) -> Any: ...
def memory_stats() -> dict[str, int]: ...
def empty_cache() -> None: ...
def set_cache_limit(bytes: int, /) -> None: ...
def cpu_capability() -> str: ...
