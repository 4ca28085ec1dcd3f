"""Numbers: every bit pattern of every float dtype comes through, and any number of threads makes the same bits."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from op_tester import bits, random_bits
from torch import Tensor

from torchcrop_fast import functional

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

FLOATS = {
    torch.float16: (5, 10),  # bits of exponent and mantissa
    torch.bfloat16: (8, 7),
    torch.float32: (8, 23),
    torch.float64: (11, 52),
}
TINY_FLOATS = [dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype) and "float8" in str(dtype)]
COMPLEX = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}
INTS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def special_patterns(dtype: torch.dtype) -> Tensor:
    """As ints: zeros, subnormals, infinities, quiet and signaling NaNs of many payloads, all of both signs."""
    exponent, mantissa = FLOATS[dtype]
    width, ones = dtype.itemsize * 8, ((1 << exponent) - 1) << mantissa
    quiet = 1 << (mantissa - 1)
    positive = [
        0,
        1,
        2,
        (1 << mantissa) - 1,
        1 << mantissa,
        ones - 1,
        ones,
        (1 << (mantissa + exponent - 1)) + 12345 % quiet,
    ]
    positive += [ones | payload for payload in (1, 2, quiet - 1, quiet, quiet + 1, 2 * quiet - 1)]
    positive += [ones | (quiet >> shift) | 1 for shift in range(1, min(mantissa - 1, 12))]
    patterns = positive + [pattern | 1 << (width - 1) for pattern in positive]
    return torch.tensor(
        [pattern - (pattern >> (width - 1) << width) for pattern in patterns], dtype=INTS[dtype.itemsize]
    )


def every_pattern(dtype: torch.dtype) -> Tensor:
    """All that there are, where there are no more than 65,536; else the special ones, and complex of all pairs."""
    if dtype in COMPLEX:
        real = special_patterns(COMPLEX[dtype]).view(COMPLEX[dtype])
        return torch.cartesian_prod(real, real).contiguous().view(dtype).flatten()
    if dtype.itemsize <= 2:
        return torch.arange(2 ** (8 * dtype.itemsize)).to(INTS[dtype.itemsize]).view(dtype)
    return special_patterns(dtype).view(dtype)


def shown(input: Tensor, sources: Tensor, fill: Tensor) -> Tensor:
    """The bytes of what is shown: which element of the input each is, and of the fill at -1."""
    elements = torch.cat([bits(input).view(-1, input.itemsize), bits(fill).view(1, -1)])
    return elements[sources.flatten()].flatten()


@pytest.fixture(params=[False, True], ids=["denormals", "flushed"])
def _denormals(request: pytest.FixtureRequest) -> Iterator[None]:
    if not torch.set_flush_denormal(request.param):
        pytest.skip("this CPU cannot flush denormals")
    yield
    torch.set_flush_denormal(False)


def views(line: Tensor) -> Iterator[Tensor]:
    """The elements as rows, as columns, and far from each other."""
    rows = line[: len(line) // 6 * 6].reshape(2, 3, -1)
    yield rows
    yield rows.transpose(1, 2)
    yield torch.stack([rows, rows], -1)[..., 1]


@pytest.mark.usefixtures("_denormals")
@pytest.mark.parametrize("dtype", [*TINY_FLOATS, *FLOATS, *COMPLEX], ids=str)
def test_every_pattern_comes_through_bit_for_bit(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    fill = torch.ones(1, dtype=dtype)
    for input in views(every_pattern(dtype)):
        places = torch.arange(input.numel(), dtype=torch.float64).view(input.shape)
        at = torch.randint(-3, 4, (2, 2), generator=generator)
        flip = torch.tensor([False, True])
        size = (input.size(1) + 2, input.size(2) + 3)

        # Where elements come from is told by the same windows onto their numbers: that is tested elsewhere.
        def check(result: Tensor, sources: Tensor, input: Tensor = input) -> None:
            assert torch.equal(bits(result), shown(input, sources.long(), fill))

        for pad in ((2, 3, 1, -1), (-1, -1), (-2, 5, 0, 1)):
            check(functional.pad(input, pad, value=1), F.pad(places, pad, value=-1))
            out = random_bits(tuple(F.pad(places, pad).shape[::-1]), dtype).permute(2, 1, 0)
            check(functional.pad(input, pad, value=1, out=out), F.pad(places, pad, value=-1))
        check(functional.crop(input, (1, 1, 0, 1)), places[:, :-1, 1:-1])
        for mode in ("reflect", "replicate", "circular"):
            check(functional.pad(input, (1, 1, 1, -1), mode), F.pad(places, (1, 1, 1, -1), mode))
        for mode in ("constant", "reflect", "replicate", "circular", "symmetric"):
            sources = functional.crop_at(places, at, size, flip=flip, padding_mode=mode, fill=-1)
            check(functional.crop_at(input, at, size, flip=flip, padding_mode=mode, fill=1), sources)


@pytest.mark.usefixtures("_denormals")
@pytest.mark.parametrize("dtype", [*FLOATS, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("value", [-0.0, 5e-324, 1e-45, 6e-8, math.nan, -math.inf], ids=str)
def test_a_border_holds_the_bits_of_torchs(dtype: torch.dtype, value: float) -> None:
    """A subnormal value is what torch makes of it, also where the processor flushes it."""
    input = random_bits((3, 50), dtype)
    for fill in [value, complex(value, -value)] if dtype.is_complex else [value]:
        assert torch.equal(
            bits(functional.pad(input, (3, 400), value=fill)), bits(torch.constant_pad_nd(input, (3, 400), fill))
        )
        filled = functional.crop_at(input, torch.full((3, 1), 1000), (9,), fill=fill)
        assert torch.equal(bits(filled), bits(torch.full((3, 9), fill, dtype=dtype)))


def jobs_for_threads(dtype: torch.dtype, layout: torch.memory_format) -> dict[str, Callable[[], Tensor]]:
    """Each op and its gradient: more than several threads take, of numbers whose sums depend on the order."""
    torch.default_generator.manual_seed(0)
    ops, size, window = torch.ops.torchcrop_fast, (211, 223), (301, 307)
    image = torch.randn(2, 3, *size).to(dtype, memory_format=layout)
    photos = torch.randint(256, (2, 3, *size), dtype=torch.uint8).contiguous(memory_format=layout)
    places, flip = torch.randint(-99, 20, (2, 3, 2)), torch.rand(2, 3) < 0.5
    upstream = torch.randn(2, 3, 3, *window).to(dtype)
    jobs: dict[str, Callable[[], Tensor]] = {}
    for mode in ("constant", "reflect", "replicate", "circular"):
        pad = (49, 35, -3, 60)
        jobs[f"pad, {mode}"] = partial(functional.pad, image, pad, mode)
        jobs[f"pad's gradient, {mode}"] = partial(ops._pad_adjoint, F.pad(image, pad, mode), pad, size, mode)
    for mode in ("constant", "reflect", "symmetric"):
        options = {"flip": flip, "padding_mode": mode}
        jobs[f"crop_at, {mode}"] = partial(functional.crop_at, image, places, window, **options)
        jobs[f"crop_at's gradient, {mode}"] = partial(ops._crop_at_adjoint, upstream, places, size, **options)
    if dtype != torch.float64:
        numbers = {"mean": (0.1, 0.2, 0.3), "std": (0.3, 0.7, -1.3), "dtype": dtype, "memory_format": layout}
        normalize = partial(functional.crop_mirror_normalize, offsets=places, size=window, flip=flip, **numbers)
        jobs |= {f"normalize {input.dtype}": partial(normalize, input) for input in (image, photos)}
        jobs["normalize's gradient"] = partial(
            ops._crop_mirror_normalize_adjoint, upstream, places, size, std=(0.3, 0.7, -1.3), flip=flip, dtype=dtype
        )
    return jobs


@pytest.mark.parametrize(
    ("dtype", "layout"),
    [
        (torch.float32, torch.contiguous_format),
        (torch.bfloat16, torch.channels_last),
        (torch.float64, torch.channels_last),
    ],
    ids=str,
)
def test_any_number_of_threads_makes_the_same_bits(
    dtype: torch.dtype, layout: torch.memory_format, set_num_threads: Callable[[int], None]
) -> None:
    jobs = jobs_for_threads(dtype, layout)
    set_num_threads(1)
    alone = {name: bits(job()) for name, job in jobs.items()}
    for threads in (2, 3, 8):
        set_num_threads(threads)
        assert [name for name, job in jobs.items() if not torch.equal(bits(job()), alone[name])] == [], threads
