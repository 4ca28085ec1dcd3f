"""CenterCrop against torchvision's and Kornia's."""

from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec

import torch

import torchcrop_fast

from .harness import OURS, Case, Run

# The shape (N, C, H, W), the size of the crop, the dtype. Kornia crops by resampling, so it takes floats only.
SHAPES = (
    ((1, 3, 256, 256), 224, torch.uint8),
    ((1, 3, 256, 256), 224, torch.float32),
    ((64, 3, 256, 256), 224, torch.uint8),
    ((64, 3, 256, 256), 224, torch.float32),
    ((128, 3, 40, 40), 32, torch.float32),
)
PEERS = {"torchvision": "torchvision", "Kornia": "kornia"}


def missing() -> list[str]:
    """The peers that aren't installed."""
    return [name for name, module in PEERS.items() if find_spec(module) is None]


def cases(quick: bool) -> Iterator[Case]:
    """Every shape."""
    for shape, size, dtype in SHAPES[:2] if quick else SHAPES:
        name = f"{shape} to {size}, {str(dtype).removeprefix('torch.')}"
        moved = 2 * shape[0] * shape[1] * size * size * dtype.itemsize
        # Kornia resamples even where the crop is exact: equal up to rounding.
        yield Case(name, "CenterCrop", partial(_make, shape, size, dtype), moved, exact=not dtype.is_floating_point)


def _make(shape: tuple[int, ...], size: int, dtype: torch.dtype) -> Mapping[str, Run]:
    x = torch.randint(0, 256, shape).to(dtype)
    runs: dict[str, Run] = {OURS: partial(torchcrop_fast.CenterCrop(size), x)}
    if find_spec("torchvision"):
        from torchvision.transforms import v2

        runs["torchvision v2"] = partial(v2.CenterCrop(size), x)
        runs["torchvision v2, contiguous"] = lambda: v2.functional.center_crop(x, [size]).contiguous()
    if find_spec("kornia") and dtype.is_floating_point:
        from kornia.augmentation import CenterCrop

        runs["Kornia"] = partial(CenterCrop(size, p=1.0), x)
    return runs
