"""One case of the crop_mirror_normalize op, and the table of them."""

import random
from dataclasses import dataclass
from typing import Any

import torch
from op_tester import LAYOUTS
from torch import Tensor

BORDERS = ("constant", "replicate", "reflect", "symmetric", "circular")
IN_DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
OUT_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
FORMATS = (torch.contiguous_format, torch.channels_last)
INPUT_LAYOUTS = ("contiguous", "channels_last", "permuted", "transposed", "sliced", "stepped", "expanded")
# A channel that is taken for another one is seen: no two have the same.
MEAN = (0.485, -0.456, 0.406, 0.1, 0.9)
STD = (0.229, 0.6, 1.5, -0.4, 3.0)
FILL = {True: (10.0, 20.5, 250.0, 0.0, 99.0), False: (0.3, -1.7, 2.5, 0.0, 9.0)}  # of uint8 or not


@dataclass(frozen=True)
class Case:
    """A call: random images of this shape (N, C, H, W), dtype and layout in memory, random places, the arguments."""

    shape: tuple[int, int, int, int]
    size: tuple[int, int]
    crops: int | str | None = None  # of each image; None for one, "center" for no offsets
    flip: str | None = None  # "last" or "each" dimension
    padding_mode: str = "constant"
    dtype: torch.dtype = torch.uint8
    out_dtype: torch.dtype = torch.float32
    order: str = "CHW"
    layout: str = "contiguous"
    memory_format: torch.memory_format = torch.contiguous_format
    fills: bool = True  # a fill for each channel, else one
    seed: int = 0

    def __str__(self) -> str:
        """A name that pytest can show."""
        fields = (self.shape, self.size, self.crops, self.flip, self.padding_mode, self.dtype, self.out_dtype)
        return f"{fields}{self.order}-{self.layout}-{self.memory_format}".replace("torch.", "").replace(" ", "")

    def make_input(self) -> Tensor:
        n, c, h, w = self.shape
        base_shape, view = LAYOUTS[self.layout](self.shape if self.order == "CHW" else (n, h, w, c))
        if self.dtype == torch.uint8:
            return view(torch.randint(256, base_shape, dtype=torch.uint8))
        return view(torch.randn(base_shape).to(self.dtype))

    def make_places(self) -> tuple[Tensor | None, Tensor | None]:
        """Offsets and flip: the windows begin on the input or around it."""
        n, _, h, w = self.shape
        shape = (n, self.crops, 2) if isinstance(self.crops, int) else (n, 2)
        y, x = (torch.randint(-s // 2 - 2, max(i, 1), shape[:-1]) for s, i in zip(self.size, (h, w), strict=True))
        offsets = None if self.crops == "center" else torch.stack([y, x], -1)
        if self.flip is None:
            return offsets, None
        return offsets, torch.rand(shape if self.flip == "each" else shape[:-1]) < 0.5

    @property
    def options(self) -> dict[str, Any]:
        c = self.shape[1]
        fill = FILL[self.dtype == torch.uint8]
        return {
            "mean": MEAN[:c],
            "std": STD[:c],
            "dtype": self.out_dtype,
            "layout": self.order,
            "memory_format": self.memory_format,
            "padding_mode": self.padding_mode,
            "fill": fill[:c] if self.fills else fill[:1],
        }


CASES = [
    Case((0, 3, 5, 6), (4, 4)),
    Case((0, 3, 5, 6), (4, 4), crops=2, order="HWC", memory_format=torch.channels_last),
    Case((2, 3, 5, 6), (4, 4), crops=0),
    Case((2, 3, 0, 6), (4, 4)),
    Case((2, 3, 5, 0), (4, 20), order="HWC"),
    Case((2, 0, 5, 6), (4, 4)),
    Case((2, 0, 5, 6), (4, 4), order="HWC", fills=False, memory_format=torch.channels_last),
    Case((1, 1, 1, 1), (1, 1), crops="center"),
    Case((2, 3, 30, 40), (20, 33), crops="center", order="HWC", flip="last"),
    Case((2, 3, 30, 41), (21, 34), crops="center", flip="each"),
    Case((2, 3, 9, 40), (20, 33), crops="center", order="HWC"),
    Case((2, 3, 30, 7), (21, 34), crops="center", padding_mode="reflect"),
    Case((2, 3, 8, 7), (21, 34), crops="center", fills=False),
    Case((2, 3, 7, 8), (20, 33), crops="center", order="HWC", memory_format=torch.channels_last),
    Case((2, 3, 24, 90), (20, 70), crops=5, flip="last", order="HWC"),
    Case((2, 4, 24, 90), (20, 70), crops=2, flip="each", order="HWC", padding_mode="symmetric"),
    Case((2, 5, 24, 90), (20, 70), crops=2, flip="each", order="HWC", memory_format=torch.channels_last),
]


def random_case(seed: int) -> Case:
    rng = random.Random(seed)
    c = rng.choice((1, 2, 3, 3, 4, 5))
    return Case(
        (rng.randint(1, 2), c, rng.randint(1, 7), rng.randint(1, 50)),
        (rng.randint(1, 6), rng.randint(1, 70)),
        crops=rng.choice((None, None, 2, "center")),
        flip=rng.choice((None, "last", "each")),
        padding_mode=rng.choice(("constant", *BORDERS)),
        dtype=rng.choice((torch.uint8, *IN_DTYPES)),
        out_dtype=rng.choice(OUT_DTYPES),
        order=rng.choice(("CHW", "HWC")),
        layout=rng.choice(INPUT_LAYOUTS),
        memory_format=rng.choice(FORMATS),
        fills=rng.random() < 0.5,
        seed=seed,
    )
