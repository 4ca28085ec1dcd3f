"""Hundreds of shapes, dtypes, layouts and pads against ``F.pad``: the worst ratio is what counts."""

import random
from collections.abc import Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from torchcrop_fast import functional

from .harness import OURS, Case, Run

DTYPES = (torch.uint8, torch.bfloat16, torch.float32, torch.float64, torch.complex128)  # 1, 2, 4, 8, 16 bytes

# Shapes, and pads of each: crops, pads, and both at once.
SHAPES: dict[tuple[int, ...], tuple[tuple[int, ...], ...]] = {
    (1,): ((0, 0), (2, 3)),
    (1, 1, 3, 3): ((-1,) * 4, (1,) * 4),
    (10, 1, 28, 28): ((-4,) * 4, (2,) * 4, (-1, 2, 3, -4)),
    (3, 224, 224): ((-16,) * 4, (3,) * 4),
    (128, 3, 32, 32): ((-2,) * 4, (4,) * 4, (-3, 3, 1, -1)),
    (8, 3, 224, 224): ((-16,) * 4, (3,) * 4, (-5, 5, 5, -5)),
    (16, 64, 56, 56): ((-1,) * 4, (1,) * 4),
    (1_000_000,): ((-7, -9), (7, 9)),
    (2, 4, 16, 32, 32): ((-1,) * 6, (1,) * 6),
    (64, 3, 32, 32): ((0, 0, 0, 0, 0, 0, -3, -3),),
    (100_000, 3): ((-1, -1), (1, 1), (-1, 2)),
}
LAYOUTS = ("contiguous", "channels_last", "permuted", "sliced")

# Large ones, of 4-byte elements: up to 10^8 elements.
LARGE = (((16, 64, 112, 112), (-4,) * 4), ((2, 64, 568, 568), (-88,) * 4), ((16, 64, 112, 112), (1,) * 4))
LARGEST = (((100_000_000,), (-3, -5)), ((10, 10, 1000, 1000), (-1,) * 4), ((100_000_000,), (3, 5)))


def cases(quick: bool) -> Iterator[Case]:
    """All of them; a sample if quick."""
    every = list(_cases())
    yield from every[:: len(every) // 24] if quick else every


def _cases() -> Iterator[Case]:
    for dtype in DTYPES:
        for shape, pads in SHAPES.items():
            for pad in pads:
                for layout in LAYOUTS:
                    if layout != "channels_last" or len(shape) == 4:
                        yield _case(shape, pad, dtype, layout)
    rng = random.Random(0)
    for _ in range(60):  # rows of 1 to 5,000 bytes that begin at odd places
        width, left = rng.randint(1, 5000), rng.randint(1, 63)
        shape = (max(2_000_000 // width, 2), width + left + rng.randint(0, 63))
        yield _case(shape, (-left, left + width - shape[1]), torch.uint8, "contiguous")
    for shape, pad in LARGE:
        for layout in ("contiguous", "channels_last"):
            yield _case(shape, pad, torch.float32, layout)
    for shape, pad in LARGEST:
        yield _case(shape, pad, torch.float32, "contiguous")


def _case(shape: tuple[int, ...], pad: tuple[int, ...], dtype: torch.dtype, layout: str) -> Case:
    output, seen = dtype.itemsize, dtype.itemsize
    for i, size in enumerate(reversed(shape)):
        before, after = pad[2 * i : 2 * i + 2] if 2 * i < len(pad) else (0, 0)
        output *= size + before + after
        seen *= size + min(before, 0) + min(after, 0)
    name = f"{shape} {str(dtype).removeprefix('torch.')} {layout} pad {pad}"
    return Case(name, "function", partial(_make, shape, pad, dtype, layout), output + seen)


def _make(shape: tuple[int, ...], pad: tuple[int, ...], dtype: torch.dtype, layout: str) -> Mapping[str, Run]:
    x = _input(shape, dtype, layout)
    return {OURS: partial(functional.pad, x, pad), "F.pad": partial(F.pad, x, pad)}


def _input(shape: tuple[int, ...], dtype: torch.dtype, layout: str) -> Tensor:
    if layout == "permuted":  # every dimension's neighbors in memory are elsewhere
        return _random(shape[::-1], dtype).permute(*reversed(range(len(shape))))
    if layout == "sliced":  # every second element
        return _random((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2]
    x = _random(shape, dtype)
    return x.contiguous(memory_format=torch.channels_last) if layout == "channels_last" else x


def _random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randint(0, 100, shape, dtype=torch.int8).to(dtype)
