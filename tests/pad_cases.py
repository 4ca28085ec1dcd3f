"""One case of the pad op, and the tables of them: all dtypes, layouts and kinds of pads."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import reference
import torch
import torch.nn.functional as F
from op_tester import LAYOUTS, Call, Shape, assert_same, by_fallback, check_writes_everywhere, random_bits
from torch import Tensor, nn
from torch._prims_common import suggest_memory_format

from torchcrop_fast import functional

OP = torch.ops.torchcrop_fast.pad
ADJOINT = torch.ops.torchcrop_fast._pad_adjoint


@dataclass(frozen=True)
class Case:
    """A call of pad: an input of this shape, dtype and layout in memory, and the arguments."""

    shape: Shape
    pad: tuple[int, ...]
    layout: str = "contiguous"
    dtype: torch.dtype = torch.float32
    value: complex | None = None
    mode: str = "constant"
    derivatives: bool = False
    opcheck: bool = False

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        shape = "x".join(map(str, self.shape))
        border = self.value if self.mode == "constant" else self.mode
        return f"{dtype}-{shape}-{self.layout}-pad{self.pad}-{border}".replace(" ", "")

    @property
    def padded_size(self) -> Shape:
        """The input's sizes, of the dimensions that are padded."""
        return self.shape[len(self.shape) - len(self.pad) // 2 :]

    @property
    def fill(self) -> complex:
        return 0 if self.value is None else self.value

    def expect(self, input: Tensor) -> Tensor:
        if self.mode == "constant":
            return torch.constant_pad_nd(input, self.pad, self.fill)
        values = reference.repeat(input, self.pad, self.mode)
        return torch.empty(values.shape, dtype=values.dtype, memory_format=self.memory_format(input)).copy_(values)

    def memory_format(self, input: Tensor) -> torch.memory_format:
        """The result's where the border repeats elements. F.pad wraps around into a contiguous tensor."""
        padded = len(self.pad) // 2
        if self.mode == "circular" and padded in (1, 2, 3) and input.dim() - padded in (1, 2):
            return torch.contiguous_format
        return suggest_memory_format(input)

    @property
    def torch_takes(self) -> bool:
        """Whether F.pad takes such a border, this dtype and rank, and that nothing is empty."""
        padded = len(self.pad) // 2
        result = [*self.shape]
        for i in range(padded):
            result[-1 - i] += self.pad[2 * i] + self.pad[2 * i + 1]
        has_kernel = self.mode == "circular" or self.dtype in REFERENCE_DTYPES
        return has_kernel and padded in (1, 2, 3) and len(self.shape) - padded in (1, 2) and 0 not in result

    @property
    def float32_in_autocast(self) -> bool:
        """Whether torch's autocast on the CPU has such a pad in float32."""
        most = {"reflect": 4, "replicate": 6}.get(self.mode, 0)
        return self.dtype in (torch.float16, torch.bfloat16) and 0 < len(self.pad) <= most

    def run(self, input: Tensor, out: Tensor | None = None) -> Tensor:
        return functional.pad(input, self.pad, self.mode, self.value, out=out)

    def call(self) -> Call:
        base_shape, view = LAYOUTS[self.layout](self.shape)
        base = random_bits(base_shape, self.dtype)
        input = view(base)
        assert input.shape == self.shape
        repeats = self.mode != "constant"
        return Call(
            OP,
            functional.pad,
            input,
            base,
            view,
            (self.pad, self.mode, self.value),
            {},
            partial(self.expect, input),
            ADJOINT,
            (self.pad, self.padded_size, self.mode),
            sources=partial(reference.repeat_sources, self.shape, self.pad, self.mode) if repeats else None,
            float32_in_autocast=self.float32_in_autocast,
            derivatives=self.derivatives,
            opcheck=self.opcheck,
        )

    def also(self, call: Call) -> None:
        input, expected = call.input, call.expected
        if self.mode == "constant":
            assert reference.to_bytes(expected) == reference.to_bytes(reference.pad(input, self.pad, self.fill))
        elif self.torch_takes:
            assert_same(expected, F.pad(input, self.pad, self.mode))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert F.pad(input, self.pad, self.mode).dtype == (
                    torch.float32 if self.float32_in_autocast else self.dtype
                )
        assert_same(functional.pad(input, list(self.pad), mode=self.mode, value=self.value), expected)
        if self.value is None and self.mode == "constant":
            assert_same(functional.crop(input, [-entry for entry in self.pad]), expected)
        arguments = (self.pad, self.mode, self.value)
        assert_same(by_fallback(OP.default, input, *arguments), expected)
        check_writes_everywhere(expected, lambda out: by_fallback(OP.out, input, *arguments, out=out), ("sliced",))
        if self.dtype != torch.float8_e8m0fnu:  # it has no zero
            zero = torch._efficientzerotensor(self.shape, dtype=self.dtype)
            assert_same(call.run(zero), self.expect(zero if self.mode == "constant" else zero.clone()))
        if len(self.pad) < 2 * input.dim():
            assert_same(call.run(input[:0]), self.expect(input[:0]))
        if self.mode == "constant" and (self.dtype.is_floating_point or self.dtype.is_complex):
            self._check_moved_gradient(call)

    def _check_moved_gradient(self, call: Call) -> None:
        """Of a constant border gradients are only moved: each bit is that of torch's."""
        leaf = nn.Parameter(call.input)
        results = call.run(leaf), self.expect(leaf)
        for result in results:
            assert_same(result, call.expected)
            assert result.requires_grad
        for layout in ("contiguous", "permuted", "expanded"):
            upstream_shape, view = LAYOUTS[layout](tuple(call.expected.shape))
            upstream = view(random_bits(upstream_shape, self.dtype))
            gradient, wanted = (torch.autograd.grad(result, leaf, upstream, retain_graph=True)[0] for result in results)
            assert_same(gradient, wanted)


# Those that F.pad reflects and replicates.
REFERENCE_DTYPES = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16}
REFERENCE_DTYPES |= {torch.float32, torch.float64, torch.complex64, torch.complex128}

nan, inf = float("nan"), float("inf")

# What the border holds, by dtype.
VALUES: dict[torch.dtype, tuple[complex | None, ...]] = {
    torch.bool: (None, True, 0.5),
    torch.uint8: (None, 255, 1.5),
    torch.int8: (None, -128, -1.5),
    torch.int16: (None, -32768, 7.9),
    torch.int32: (None, -(2**31), 258),
    torch.int64: (None, -(2**63), 2**62 + 1),
    torch.uint16: (None, 2**16 - 1, 258),
    torch.uint32: (None, 2**32 - 1, 258),
    torch.uint64: (None, 2**63 - 1, 258),
    torch.float8_e4m3fn: (None, 448.0, nan),
    torch.float8_e5m2: (None, -inf, 1.1),
    torch.float8_e4m3fnuz: (None, 240.0, nan),
    torch.float8_e5m2fnuz: (None, 57344.0, 1.1),
    torch.float8_e8m0fnu: (1, 2.0, 3.0),  # it has no zero
    torch.float16: (None, -65504.0, 0.1),
    torch.bfloat16: (None, inf, 0.1),
    torch.float32: (None, nan, -0.0),
    torch.float64: (None, 1e300, 0.1),
    torch.complex32: (None, 1 - 2j, 0.1),
    torch.complex64: (None, complex(nan, inf), 0.1),
    torch.complex128: (None, 1 - 2j, complex(0.0, -0.0)),
}
SHAPES: tuple[Shape, ...] = (
    (7,),
    (1,),
    (0,),
    (4, 5),
    (3, 0),
    (0, 3),
    (2, 3, 5),
    (2, 3, 4, 5),
    (2, 1, 3, 4),
    (2, 3, 1, 1),
    (0, 2, 3, 4),
    (2, 3, 2, 3, 4),
    (1, 2, 1, 3, 2),
)


def layouts(shape: Shape) -> list[str]:
    fewest_dims = {"channels_last": 3, "transposed": 2, "permuted": 3}
    fitting = [layout for layout in LAYOUTS if len(shape) >= fewest_dims.get(layout, 1)]
    return [layout for layout in fitting if not layout.startswith("meaningless") or 1 in shape]


def pads(shape: Shape) -> list[tuple[int, ...]]:
    """All kinds of pads that an input of this shape can take."""
    last, first = shape[-1], shape[0]
    inner = (0, 0) * (len(shape) - 1)
    kinds: list[tuple[int, ...]] = [
        (),
        (0, 0),
        (0, 0) * len(shape),
        (1, 2),
        (-1, -2),
        (-2, 3),
        (2, -1),
        (-last, 0),
        (0, -last),
        (1 - last, -1),
        (-last, 2),
        (2, -last),
        (-2, 2 - last, 1, 0),
        (1, -1, -1, 2),
        (-1, -1, -1, -1),
        (1, 1, 2, 2),
        (0, 0, 1, 0),
        (0, 0, -1, 0),
        (*inner, 1, 1),
        (*inner, -1, 0),
        (*inner, -first, 1),
        (1, 0) * len(shape),
        (-1, 1) * len(shape),
        (0, -1, 1, 0, -1, 0),
        (1, 1, -1, 0, 0, 2, -1, 1),
    ]
    fitting = [
        entries
        for entries in dict.fromkeys(kinds)
        if len(entries) <= 2 * len(shape)
        and all(
            shape[-1 - i] + min(entries[2 * i], 0) + min(entries[2 * i + 1], 0) >= 0 for i in range(len(entries) // 2)
        )
    ]
    assert len(fitting) >= 6
    return fitting


def cases() -> Iterator[Case]:
    """All combinations for float32, each third for one more dtype of each width, each tenth for the others."""
    combinations = [
        (shape, layout, entries) for shape in SHAPES for layout in layouts(shape) for entries in pads(shape)
    ]
    steps = {torch.float32: 1, torch.uint8: 3, torch.bfloat16: 3, torch.int64: 3, torch.complex128: 3}
    for first, (dtype, values) in enumerate(VALUES.items()):
        step = steps.get(dtype, 10)
        for i, (shape, layout, entries) in enumerate(combinations[first % step :: step]):
            yield Case(shape, entries, layout, dtype, values[i % len(values)])


CASES = list(cases())

REPEATING = ("reflect", "replicate", "circular")


def repeats(shape: Shape, entries: tuple[int, ...], mode: str) -> bool:
    """Whether a border can repeat what is there."""
    for i, (before, after) in enumerate(zip(entries[::2], entries[1::2], strict=True)):
        size, most = shape[-1 - i], max(before, after)
        left = size + min(before, 0) + min(after, 0)
        fits = {
            "reflect": most <= 0 or most < size,
            "replicate": most <= 0 or size > 0,
            "circular": left >= 0 and most <= left,
        }
        if not fits[mode] or size + before + after < 0:
            return False
    return True


def repeating_cases() -> Iterator[Case]:
    """All layouts and borders for float32, and in turn the other dtypes."""
    more_pads = [(3, 3), (2, 2, 2, 2), (4, -4), (-4, 4), (-6, 3), (3, -6), (1, 2, -1, 2, 2, -1), (1, 1) * 4]
    shapes = ((7,), (1,), (4, 5), (2, 3, 5), (2, 3, 4, 5), (2, 1, 3, 4), (3, 0, 4), (2, 3, 2, 3, 4), (5, 4, 3, 1, 2))
    combinations = [
        (mode, shape, layout, entries)
        for shape in shapes
        for layout in layouts(shape)
        for entries in dict.fromkeys([*pads(shape), *more_pads])
        for mode in REPEATING
        if len(entries) <= 2 * len(shape) and repeats(shape, entries, mode)
    ]
    for first, dtype in enumerate((torch.float32, *VALUES)):
        step = 11 if first == 0 else 97
        for mode, shape, layout, entries in combinations[first % step :: step]:
            yield Case(shape, entries, layout, dtype, (None, 0)[first % 2], mode)


REPEATING_CASES = list(repeating_cases())
