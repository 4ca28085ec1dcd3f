"""One case of the crop_mirror_normalize op, and the table of them."""

import random
from dataclasses import dataclass
from functools import partial
from typing import Any

import reference
import torch
from op_tester import LAYOUTS, OUT_LAYOUTS, Call, Shape, View, by_fallback, check_writes_everywhere
from torch import Tensor

from torchcrop_fast import functional

OPS = torch.ops.torchcrop_fast

BORDERS = ("constant", "replicate", "reflect", "symmetric", "circular")
IN_DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
OUT_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
FORMATS = (torch.contiguous_format, torch.channels_last)
INPUT_LAYOUTS = ("contiguous", "channels_last", "permuted", "transposed", "sliced", "stepped", "expanded")
INPUT_LAYOUTS += ("meaningless",)
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

    def make_base(self) -> Tensor:
        base_shape, _ = self.in_memory
        if self.dtype == torch.uint8:
            return torch.randint(256, base_shape, dtype=torch.uint8)
        return torch.randn(base_shape).to(self.dtype)

    @property
    def in_memory(self) -> tuple[Shape, View]:
        n, c, h, w = self.shape
        return LAYOUTS[self.layout](self.shape if self.order == "CHW" else (n, h, w, c))

    def make_input(self) -> Tensor:
        return self.in_memory[1](self.make_base())

    def call(self) -> Call:
        """What must come out is what comes out, once: also() says whether it is right."""
        base = self.make_base()
        input = self.in_memory[1](base)
        offsets, flip = self.make_places()
        options = {**self.options, "flip": flip}
        adjoint_options = {name: options[name] for name in ("std", "flip", "layout", "padding_mode")}
        return Call(
            OPS.crop_mirror_normalize,
            functional.crop_mirror_normalize,
            input,
            base,
            self.in_memory[1],
            (offsets, self.size),
            options,
            partial(functional.crop_mirror_normalize, input, offsets, self.size, **options),
            OPS._crop_mirror_normalize_adjoint,
            (offsets, self.shape[2:]),
            {**adjoint_options, "dtype": self.dtype},
        )

    def also(self, call: Call) -> None:
        """Values in float64; low precision; strides; other devices' way."""
        input, (offsets, size), result = call.input, call.arguments, call.expected
        expected, tolerance = expect(input, self, offsets, call.options["flip"])
        wide = call.function(input, offsets, size, **{**call.options, "dtype": torch.float32})
        assert_near(wide, expected, tolerance)
        assert (result.dtype, result.shape) == (self.out_dtype, expected.shape)
        assert torch.equal(result, wide.to(self.out_dtype)), "not rounded from float32, once"
        flat = torch.empty(result.shape[-3:], device="meta").unsqueeze(0).to(memory_format=self.memory_format)
        assert result.stride()[-3:] == flat.stride()[1:] or result.numel() == 0

        again = by_fallback(call.op.default, input, offsets, size, **call.options)
        assert again.stride() == result.stride()
        rounding = {torch.float32: 0.0, torch.float16: 2**-11, torch.bfloat16: 2**-8}[self.out_dtype]
        assert_near(again, expected, tolerance + expected.abs() * rounding * 1.01 + (2**-24 if rounding else 0))

        if self.shape[1] == 0:
            assert torch.equal(call.function(input, offsets, size, **{**call.options, "fill": []}), result)

        # Its own strides among others.
        line = torch.full((result.numel() + 40,), -77.0, dtype=self.out_dtype)
        wanted = line.clone()
        out = torch.as_strided(line, result.shape, result.stride(), 19)
        torch.as_strided(wanted, result.shape, result.stride(), 19).copy_(result)
        call.run(input, out)
        assert torch.equal(line, wanted)
        check_writes_everywhere(result, lambda out: call.run(input, out), (*OUT_LAYOUTS, "channels_last"))

    def rounded(self, numbers: Tensor) -> Tensor:
        """How far from these another device's float32 may be: a multiply-add may round once or twice."""
        ratios = [abs(m / s) for m, s in zip(self.options["mean"], self.options["std"], strict=True)]
        return 2**-21 * (numbers.double().abs() + 2 * max(ratios, default=0))

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
            "fill": list(fill[: c if self.fills and c else 1]),  # a list, and not empty: so TorchScript takes it
        }


def channels(numbers: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1)


def centered(available: int, wanted: int) -> int:
    """Where torchvision's center crop begins: it rounds to even what it crops, and down what it pads."""
    return -((wanted - available) // 2) if wanted > available else round((available - wanted) / 2)


def expect(input: Tensor, case: Case, offsets: Tensor | None, flip: Tensor | None) -> tuple[Tensor, Tensor]:
    """The values in float64, and how far from them a float32 may be."""
    images = input if case.order == "CHW" else input.permute(0, 3, 1, 2)
    n, c, h, w = case.shape
    if offsets is None:
        starts = [centered(available, wanted) for available, wanted in zip((h, w), case.size, strict=True)]
        offsets = torch.tensor([starts]).expand(n, 2)
    sources = reference.crop_at_sources((n, 1, h, w), offsets, case.size, flip, case.padding_mode).squeeze(-3)
    scale = 255 if input.dtype == torch.uint8 else 1
    pixels = images.double().transpose(0, 1).reshape(c, n * h * w) / scale
    fill = torch.tensor(case.options["fill"], dtype=torch.float64).expand(c) / scale
    cropped = torch.cat([pixels, fill[:, None]], 1)[:, sources].movedim(0, -3)  # index -1 is the fill
    mean, std = channels(MEAN[:c]), channels(STD[:c])
    return (cropped - mean) / std, 2**-22 * ((cropped / std).abs() + (mean / std).abs())


def assert_near(result: Tensor, expected: Tensor, tolerance: Tensor) -> None:
    assert result.shape == expected.shape
    wrong = ~((result.double() - expected).abs() <= tolerance)
    assert not wrong.any(), f"at {wrong.nonzero()[:3]}: got {result[wrong][:3]}, expected {expected[wrong][:3]}"


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
