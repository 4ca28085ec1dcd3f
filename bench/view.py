"""A copy or a view? Crop and consumer together, for both: what the view saves, its consumer may pay."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from torchcrop_fast import functional

from .harness import OURS, Case, Run

SHAPES = (((32, 3, 256, 256), 16), ((16, 64, 112, 112), 4), ((8, 64, 32, 32), 2))


def cases(quick: bool) -> Iterator[Case]:
    """Every shape, read by every consumer."""
    for shape, crop in SHAPES[-1:] if quick else SHAPES:
        for consumer in _consumers(shape[1]):
            height, width = shape[2] - 2 * crop, shape[3] - 2 * crop
            moved = 2 * shape[0] * shape[1] * height * width * 4
            make = partial(_make, shape, crop, consumer)
            yield Case(f"{shape} crop {crop}, float32", f"crop + {consumer}", make, moved, exact=False)


def _consumers(channels: int) -> dict[str, Callable[[Tensor], Tensor]]:
    weight = torch.rand(16, channels, 3, 3) - 0.5
    mean, variance = torch.zeros(channels), torch.ones(channels)
    return {
        "conv2d": lambda x: F.conv2d(x, weight, padding=1),
        "batch_norm": lambda x: F.batch_norm(x, mean, variance),
        "max_pool2d": lambda x: F.max_pool2d(x, 2),
        "relu": F.relu,
    }


def _make(shape: tuple[int, ...], crop: int, consumer: str) -> Mapping[str, Run]:
    x = torch.rand(shape)
    consume = _consumers(shape[1])[consumer]
    cropping = (crop,) * 4
    return {
        OURS: lambda: consume(functional.crop(x, cropping)),
        "view": lambda: consume(functional.crop(x, cropping, copy=False)),
        "F.pad": lambda: consume(F.pad(x, tuple(-entry for entry in cropping))),
    }
