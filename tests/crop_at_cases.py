"""One case of the crop_at op, and the tables of them: all dtypes, layouts, borders and kinds of places."""

import itertools
import random
from dataclasses import dataclass
from functools import partial

import reference
import torch
from op_tester import LAYOUTS, Call, Shape, assert_same, by_fallback, check_writes_everywhere, random_bits
from torch import Tensor
from torch._prims_common import suggest_memory_format

from torchcrop_fast import functional

OP = torch.ops.torchcrop_fast.crop_at
ADJOINT = torch.ops.torchcrop_fast._crop_at_adjoint

BORDERS = ("constant", "replicate", "reflect", "symmetric", "circular")
EXTREMES = (-(2**63), 1 - 2**63, -(2**62), -10_000_000, 10_000_000, 2**62, 2**63 - 2, 2**63 - 1)


@dataclass(frozen=True)
class CropAtCase:
    """A call of crop_at: an input of this shape, dtype and layout in memory, random places, and the arguments."""

    shape: Shape
    size: tuple[int, ...]
    crops: int | None = None  # of each image; None for one, without a dimension of its own
    flip: str | None = None  # "last" or "each" dimension
    padding_mode: str = "constant"
    fill: complex = 0
    layout: str = "contiguous"
    dtype: torch.dtype = torch.float32
    places_layout: str = "contiguous"  # of offsets and flip
    far: bool = False  # some offsets are as far away as can be
    seed: int = 0
    derivatives: bool = False
    opcheck: bool = False

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        shape = "x".join(map(str, self.shape))
        size = "x".join(map(str, self.size))
        return f"{dtype}-{shape}-{self.layout}-to{size}-{self.crops}-{self.flip}-{self.padding_mode}-{self.fill}"

    @property
    def image_size(self) -> Shape:
        """The input's spatial sizes."""
        return self.shape[len(self.shape) - len(self.size) :]

    def make_input(self) -> tuple[Tensor, Tensor]:
        """The input, and the dense base that it is a view of."""
        base_shape, view = LAYOUTS[self.layout](self.shape)
        base = random_bits(base_shape, self.dtype)
        return view(base), base

    def make_places(self) -> tuple[Tensor, Tensor | None]:
        """Offsets and flip: the windows begin on the input, around it or far away."""
        rng = random.Random(self.seed)
        dims = len(self.size)
        shape = (self.shape[0], dims) if self.crops is None else (self.shape[0], self.crops, dims)
        base_shape, view = LAYOUTS[self.places_layout](shape)
        offsets = view(torch.empty(base_shape, dtype=torch.int64).random_(-12, 13))
        base = offsets if offsets._base is None else offsets._base
        if self.far:
            for i in range(base.numel()):
                if rng.random() < 0.4:
                    base.view(-1)[i] = rng.choice(EXTREMES)
        if self.flip is None:
            return offsets, None
        flip_shape = shape if self.flip == "each" else shape[:-1]
        layout = self.places_layout if len(flip_shape) > 1 else "contiguous"
        base_shape, view = LAYOUTS[layout](flip_shape)
        return offsets, view(torch.rand(base_shape) < 0.5)

    def call(self) -> Call:
        input, base = self.make_input()
        offsets, flip = self.make_places()
        assert input.shape == self.shape

        def expect() -> Tensor:
            values = reference.crop_at(input, offsets, self.size, flip, self.padding_mode, self.fill)
            return empty_like_images(input, tuple(values.shape), self.crops is not None).copy_(values)

        places = {"flip": flip, "padding_mode": self.padding_mode}
        return Call(
            OP,
            functional.crop_at,
            input,
            base,
            LAYOUTS[self.layout](self.shape)[1],
            (offsets, self.size),
            {**places, "fill": self.fill},
            expect,
            ADJOINT,
            (offsets, self.image_size),
            places,
            sources=partial(reference.crop_at_sources, self.shape, offsets, self.size, flip, self.padding_mode),
            derivatives=self.derivatives,
            opcheck=self.opcheck,
        )

    def also(self, call: Call) -> None:
        fallback = partial(by_fallback, OP.default, call.input, *call.arguments)
        assert_same(fallback(**call.options), call.expected)
        write = partial(by_fallback, OP.out, call.input, *call.arguments, **call.options)
        check_writes_everywhere(call.expected, lambda out: write(out=out), ("sliced",))


def empty_like_images(images: Tensor, shape: Shape, several: bool) -> Tensor:
    """A tensor of the images' memory format; several crops of an image count as images."""
    memory_format = suggest_memory_format(images)
    if not several:
        return torch.empty(shape, dtype=images.dtype, memory_format=memory_format)
    flat = torch.empty((shape[0] * shape[1], *shape[2:]), dtype=images.dtype, memory_format=memory_format)
    return flat.as_strided(shape, (flat.stride(0) * max(shape[1], 1), *flat.stride()))


DTYPES = (
    torch.uint8,
    torch.bool,
    torch.int64,
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.complex64,
    torch.complex128,
)
CASE_LAYOUTS = ("contiguous", "channels_last", "permuted", "sliced", "expanded")


def fills(dtype: torch.dtype) -> list[complex]:
    """Numbers that a dtype holds, or truncates."""
    if dtype.is_complex:
        return [0, 7, -1.5, 1 - 2j]
    if dtype.is_floating_point:
        return [0, 7, -1.5, float("nan")]
    return [0, 7, 1.5] if dtype in (torch.uint8, torch.bool) else [0, 7, -1.5, 2**62 + 1]


# Every dtype in every layout, and with it borders, fills, flips and numbers of crops in turn.
CASES = [
    CropAtCase(
        shape,
        tuple((4, 7, 3)[(d + i) % 3] for d in range(dims)),
        crops=(None, 2, None, 3, 1)[i % 5],
        flip=(None, "last", "each")[i % 3],
        padding_mode=BORDERS[(i + i // 5) % 5],
        fill=fills(dtype)[i % len(fills(dtype))],
        layout=layout,
        dtype=dtype,
        places_layout=("contiguous", "permuted", "expanded", "sliced")[i % 4],
        seed=i,
    )
    for i, (dtype, layout, (shape, dims)) in enumerate(
        itertools.product(DTYPES, CASE_LAYOUTS, [((2, 3, 5, 6), 2), ((3, 9), 1), ((2, 2, 3, 4, 5), 3)])
    )
]

# One image, one channel, one row, one crop.
CASES += [
    CropAtCase(shape, size, crops, "each", border, layout="meaningless", places_layout="meaningless")
    for border in BORDERS
    for shape, size, crops in [((1, 1, 1, 6), (3, 4), 1), ((1, 3, 5, 1), (1, 3), None), ((2, 1, 1), (1,), 1)]
]

LARGE_CASES = [
    CropAtCase((3, 2, 300, 500), (400, 301), padding_mode="constant", fill=2.5),
    CropAtCase((2, 3, 300, 500), (200, 301), crops=2, flip="last", padding_mode="reflect"),
    CropAtCase((2, 3, 300, 400), (299, 401), flip="each", layout="channels_last", padding_mode="symmetric"),
    CropAtCase((1, 700, 900), (650, 1000), padding_mode="circular", dtype=torch.uint8),
    CropAtCase((2, 200_000), (250_000,), crops=3, flip="last", padding_mode="replicate", dtype=torch.float64),
    CropAtCase((3, 16, 90, 91), (64, 64), crops=2, flip="each", dtype=torch.complex64, fill=1j),
    CropAtCase((2, 500, 400), (450, 350), layout="permuted", padding_mode="reflect", dtype=torch.bfloat16),
]

DERIVATIVE_CASES = [
    CropAtCase(
        (2, 2, 3, 4),
        (3, 5),
        crops=crops,
        flip=flip,
        padding_mode=padding_mode,
        fill=2,
        layout=layout,
        dtype=dtype,
        derivatives=True,
    )
    for padding_mode, (crops, flip, layout, dtype) in itertools.product(
        BORDERS,
        [
            (None, None, "contiguous", torch.float64),
            (None, "each", "channels_last", torch.float64),
            (2, "last", "expanded", torch.float64),
            (2, None, "permuted", torch.complex128),
        ],
    )
] + [
    CropAtCase((2, 5), (3,), dtype=torch.float64, derivatives=True),
    CropAtCase((2, 5), (3,), crops=0, dtype=torch.float64, derivatives=True),
    CropAtCase((0, 5), (3,), dtype=torch.float64, derivatives=True),
    CropAtCase((2, 2, 3, 2), (2, 3, 2), crops=2, padding_mode="reflect", dtype=torch.float64, derivatives=True),
]
