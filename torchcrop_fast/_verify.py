"""``python -m torchcrop_fast verify``: proves on the user's machine that ours equals torch's pad."""

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from torchcrop_fast import functional
from torchcrop_fast._progress import progress

_DTYPES = (
    torch.float32,
    torch.bfloat16,
    torch.float16,
    torch.float64,
    torch.complex64,
    torch.complex128,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.bool,
)
_LAYOUTS = ("contiguous", "channels_last", "permuted", "sliced", "expanded")
_FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.complex64, torch.complex128)


@dataclass(frozen=True)
class Case:
    """One input and one pad."""

    shape: tuple[int, ...]
    layout: str
    dtype: torch.dtype
    pad: tuple[int, ...]
    value: float
    seed: int

    def input(self, device: str) -> Tensor:
        """Build it: random bits, NaNs among them, and of the layout's strides."""
        shape = list(self.shape)
        if self.layout == "sliced":
            shape[-1] = 2 * shape[-1] + 1
        elif self.layout == "expanded":
            shape[0] = 1
        elif self.layout == "permuted":
            shape.reverse()
        generator = torch.Generator().manual_seed(self.seed)
        values = 2 if self.dtype == torch.bool else 256
        raw = torch.randint(values, (*shape, self.dtype.itemsize), dtype=torch.uint8, generator=generator)
        x = raw.view(self.dtype).squeeze(-1).to(device)
        if self.layout == "sliced":
            return x[..., 1::2]
        if self.layout == "expanded":
            return x.expand(self.shape)
        if self.layout == "permuted":
            return x.permute(*reversed(range(x.dim())))
        return x.contiguous(memory_format=torch.channels_last) if self.layout == "channels_last" else x


def _cases(count: int, seed: int) -> Iterator[Case]:
    rng = random.Random(seed)
    for number in range(count):
        layout = rng.choice(_LAYOUTS)
        dims = 4 if layout == "channels_last" else rng.randint(1, 5)
        top = 64 if number % 50 == 0 else 9  # now and then one that is worth several threads
        shape = tuple(rng.randint(1, top if dims < 5 else 9) for _ in range(dims))
        pad: list[int] = []
        for size in reversed(shape[rng.randrange(dims) :]):
            before = rng.randint(-size, 4)
            pad += [before, rng.randint(-size - min(before, 0), 4)]
        dtype = rng.choice(_DTYPES)
        yield Case(shape, layout, dtype, tuple(pad), rng.choice((0, 1)), rng.randrange(2**31))


def _same_bits(a: Tensor, b: Tensor) -> bool:
    raw = [tensor.clone(memory_format=torch.contiguous_format).view(torch.uint8) for tensor in (a, b)]
    return torch.equal(*raw)


def _differences(case: Case, device: str) -> list[str]:
    """What of ours isn't the reference's, in words."""
    x = case.input(device)
    expected = F.pad(x, case.pad, "constant", case.value)
    result = functional.pad(x, case.pad, "constant", case.value)
    different = []
    if result.dtype != expected.dtype or not _same_bits(result, expected):
        different.append("values")
    if result.stride() != expected.stride():
        different.append("strides")
    if case.dtype in _FLOATS:
        weights = torch.randint(-9, 9, expected.shape, generator=torch.Generator().manual_seed(case.seed))
        grads: list[Tensor] = []
        for pad in (F.pad, functional.pad):
            leaf = x.clone().requires_grad_()
            grads += torch.autograd.grad(pad(leaf, case.pad, "constant", case.value), leaf, weights.to(x))
        if not _same_bits(*grads):
            different.append("gradients")
    return different


def run(device: str, cases: int, seed: int) -> int:
    """Compare case after case and print a verdict; 1 if anything differs."""
    if cases < 1:
        sys.exit(f"verify: --cases must be at least 1, got {cases}.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        sys.exit(f"verify: --device {device} cannot be used: {str(error).splitlines()[0]}")
    failures = []
    for case in progress(list(_cases(cases, seed)), "verify"):
        different = _differences(case, device)
        if different:
            failures.append(f"{' and '.join(different)} differ: {case}")
    print(*failures, sep="\n", end="\n" if failures else "")
    if failures:
        print(f"verify: {len(failures)} of {cases} cases differ from torch.nn.functional.pad on {device}.")
        return 1
    print(f"verify: all {cases} cases equal torch.nn.functional.pad on {device}: values, strides and gradients.")
    return 0
