"""The tables of cases of the crop_at op: all dtypes, layouts, borders and kinds of places."""

import itertools

import torch
from crop_at_tester import BORDERS, CropAtCase

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
