"""Calls whose tensors lie between pages that must not be touched: what reads or writes behind one ends the process."""

import ctypes
import dataclasses
import mmap
import random
import sys
import warnings
from typing import Any

import crop_at_cases
import normalize_cases
import pad_cases
import torch
from op_tester import LAYOUTS, OUT_LAYOUTS, Call, Case, adds_up, bits, whole_numbers
from torch import Tensor

ROOM = 64 << 20  # for any tensor of the cases; what none touches takes no memory

_mprotect = ctypes.CDLL(None).mprotect
_mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Arena:
    """Memory for one tensor at a time, between two pages that must not be touched."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, ROOM + 2 * mmap.PAGESIZE)
        first = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        for page in (first, first + mmap.PAGESIZE + ROOM):
            assert _mprotect(page, mmap.PAGESIZE, 0) == 0

    def place(self, like: Tensor, at_end: bool) -> Tensor:
        """The same tensor, whose last byte is the last before a page, or whose first is the first behind one."""
        if like.numel() == 0:
            return like
        extent = 1 + sum((size - 1) * stride for size, stride in zip(like.shape, like.stride(), strict=True))
        bytes = extent * like.itemsize
        offset = mmap.PAGESIZE + (ROOM - bytes if at_end else 0)
        line = torch.frombuffer(self._map, dtype=like.dtype, count=extent, offset=offset)
        line.copy_(like.as_strided((extent,), (1,)))
        return line.as_strided(like.shape, like.stride())


_arenas = [Arena() for _ in range(4)]


def guarded(call: Call, at_end: bool) -> Call:
    """The same call, each tensor of its arguments in an arena of its own."""
    placed: dict[int, Tensor] = {}

    def place(argument: Any) -> Any:
        if isinstance(argument, Tensor) and id(argument) not in placed:
            placed[id(argument)] = _arenas[len(placed)].place(argument, at_end)
        return placed.get(id(argument), argument)

    def all_of(options: dict[str, Any]) -> dict[str, Any]:
        return {name: place(option) for name, option in options.items()}

    return dataclasses.replace(
        call,
        input=place(call.input),
        arguments=tuple(map(place, call.arguments)),
        options=all_of(call.options),
        adjoint_arguments=tuple(map(place, call.adjoint_arguments)),
        adjoint_options=all_of(call.adjoint_options),
    )


def check(case: Case) -> int:
    """Run a case forward, with out= and backward, all tensors at either end of their memory; tell how many calls."""
    torch.default_generator.manual_seed(getattr(case, "seed", 0))
    call, calls = case.call(), 0
    for at_end in (False, True):
        moved = guarded(call, at_end)
        assert torch.equal(bits(moved.run(moved.input)), bits(call.expected))
        for layout in OUT_LAYOUTS:
            base_shape, view = LAYOUTS[layout](tuple(call.expected.shape))
            out = _arenas[3].place(view(torch.zeros(base_shape, dtype=call.expected.dtype)), at_end)
            moved.run(moved.input, out)
            assert torch.equal(bits(out), bits(call.expected))
        calls += 1 + len(OUT_LAYOUTS)
        if adds_up(call.input.dtype):
            for layout in ("contiguous", "permuted", "expanded"):
                base_shape, view = LAYOUTS[layout](tuple(call.expected.shape))
                upstream = view(whole_numbers(base_shape, call.expected.dtype))
                expected = call.adjoint(upstream, *call.adjoint_arguments, **call.adjoint_options)
                there = _arenas[3].place(upstream, at_end)
                gradient = moved.adjoint(there, *moved.adjoint_arguments, **moved.adjoint_options)
                assert torch.equal(bits(gradient), bits(expected))
                calls += 1
    return calls


def random_pad(seed: int) -> pad_cases.Case:
    """Rows of many lengths, some more than a thread takes: what reads too much reads behind the last of them."""
    rng = random.Random(seed)
    while True:
        long = seed % 5 == 0
        rows = [rng.randint(1, 3) for _ in range(rng.randint(0, 1 if long else 3))]
        shape = (*rows, rng.randint(20_000, 40_000) if long else rng.randint(1, 200))
        pads = tuple(rng.choice((0, rng.randint(-9, 9))) for _ in range(2 * rng.randint(1, len(shape))))
        mode = "constant" if long else rng.choice(("constant", "constant", *pad_cases.REPEATING))
        kept = [size + min(a, 0) + min(b, 0) for size, a, b in zip(shape[::-1], pads[::2], pads[1::2], strict=False)]
        if min(kept) >= 0 and (mode == "constant" or pad_cases.repeats(shape, pads, mode)):
            layout, dtype = rng.choice(pad_cases.layouts(shape)), rng.choice(list(pad_cases.VALUES))
            value = pad_cases.VALUES[dtype][0] if mode == "constant" else None
            return pad_cases.Case(shape, pads, layout, dtype, value, mode)


def main(scale: int) -> None:
    """Check a sample of all tables; each case is named first, for when it is the last."""
    torch.set_num_threads(2)
    warnings.filterwarnings("ignore", "ComplexHalf support is experimental")
    cases: list[Case] = [
        *pad_cases.CASES[:: 200 // scale],
        *pad_cases.REPEATING_CASES[:: 100 // scale],
        *crop_at_cases.CASES[:: 20 // scale],
        *map(normalize_cases.random_case, range(20 * scale)),
        *(normalize_cases.Case((1, 3, 2, width), (2, width), "center", order="HWC") for width in range(9, 70, 4)),
        *map(random_pad, range(60 * scale)),
    ]
    calls = 0
    for case in cases:
        print(case, file=sys.stderr, flush=True)
        calls += check(case)
    print(len(cases), calls)
