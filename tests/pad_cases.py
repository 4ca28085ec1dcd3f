"""The tables of cases of the pad op: all dtypes, layouts and kinds of pads."""

from collections.abc import Iterator

import torch
from op_tester import LAYOUTS, Case, Shape

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
    return [layout for layout in LAYOUTS if len(shape) >= fewest_dims.get(layout, 1)]


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
