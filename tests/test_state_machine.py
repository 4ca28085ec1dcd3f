"""Random programs over the Python API, by hypothesis: each live tensor keeps the value that torch's own ops give it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pad_cases
import pytest
import reference
import torch
from crop_at_cases import BORDERS, empty_like_images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from op_tester import assert_same, random_bits
from torch import Tensor

from torchcrop_fast import functional, memory

DTYPES = (torch.uint8, torch.bool, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.complex64)
MODES = ("constant", "constant", *pad_cases.REPEATING)
INT64 = st.integers(-(2**63), 2**63 - 1)
ENTRIES = st.integers(-4, 5) | st.integers(-4, 5) | st.integers(-4, 5) | INT64.filter(lambda entry: abs(entry) > 2**48)
ENDS = st.integers(0, 7).map(lambda i: 2**63 - 1 - i) | st.integers(0, 7).map(lambda i: i - 2**63)
OFFSETS = st.integers(-9, 9) | INT64 | ENDS


@dataclass
class Twin:
    """A tensor that our functions made or write to, and the same made by torch, in memory of its own."""

    ours: Tensor
    theirs: Tensor

    def map(self, view: Callable[[Tensor], Tensor]) -> "Twin":
        return Twin(view(self.ours), view(self.theirs))


def padded_shape(shape: tuple[int, ...], pad: list[int]) -> list[int] | None:
    """None where a dimension loses more than it has."""
    sizes = list(shape)
    for i, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        if sizes[-1 - i] + min(before, 0) + min(after, 0) < 0:
            return None
        sizes[-1 - i] += before + after
    return sizes if min(sizes, default=0) >= 0 else None


class Program(RuleBasedStateMachine):
    """Makes, views, crops, pads, writes to and frees tensors, while the cache and the threads change."""

    names: Bundle[int] = Bundle("names")  # of live tensors: what a bundle holds is never freed

    def __init__(self) -> None:
        super().__init__()
        self.limit, self.threads = memory.stats()["limit"], torch.get_num_threads()
        self.live: dict[int, Twin] = {}
        self.made = 0

    def teardown(self) -> None:
        memory.set_cache_limit(self.limit)
        torch.set_num_threads(self.threads)

    def keep(self, twin: Twin) -> int:
        self.made += 1
        self.live[self.made] = twin
        return self.made

    @rule(
        target=names,
        shape=st.lists(st.integers(0, 5), max_size=4) | st.tuples(st.just(1), st.integers(30_000, 40_000)),
        dtype=st.sampled_from(DTYPES),
        seed=st.integers(0, 2**20),
    )
    def make(self, shape: list[int], dtype: torch.dtype, seed: int) -> int:
        torch.default_generator.manual_seed(seed)
        base = random_bits(tuple(shape), dtype)
        return self.keep(Twin(base, base.clone()))

    @rule(target=names, name=names, data=st.data())
    def view(self, name: int, data: st.DataObject) -> int:
        twin = self.live[name]
        dims = twin.ours.dim()
        if dims == 0 or data.draw(st.integers(0, 3), "expand") == 0:
            place, times = data.draw(st.integers(0, dims)), data.draw(st.integers(1, 3))
            if dims >= 5 or twin.ours.numel() > 1000:
                return multiple()
            sizes = [*twin.ours.shape[:place], times, *twin.ours.shape[place:]]
            return self.keep(twin.map(lambda t: t.unsqueeze(place).expand(sizes)))
        first, second = data.draw(st.integers(0, dims - 1)), data.draw(st.integers(0, dims - 1))
        size = twin.ours.size(first)
        begin = data.draw(st.integers(0, size))
        end, step = data.draw(st.integers(begin, size)), data.draw(st.integers(1, 3))
        cut = (slice(None),) * first + (slice(begin, end, step),)
        return self.keep(twin.map(lambda t: t.transpose(first, second) if first != second else t[cut]))

    @rule(target=names, name=names, mode=st.sampled_from(MODES), data=st.data())
    def pad(self, name: int, mode: str, data: st.DataObject) -> int:
        twin = self.live[name]
        input = twin.ours
        pairs = data.draw(st.integers(0, input.dim()))
        pad = data.draw(st.lists(ENTRIES, min_size=2 * pairs, max_size=2 * pairs), "pad")
        value = data.draw(st.sampled_from([None, 1])) if mode == "constant" else None
        shape = padded_shape(tuple(input.shape), pad)
        fits = mode == "constant" or pad_cases.repeats(tuple(input.shape), tuple(pad), mode)
        if shape is None or not fits or math.prod(shape) > 2**44:
            with pytest.raises(RuntimeError):
                functional.pad(input, pad, mode, value)
            return multiple()
        if max(shape, default=0) > 2**44 or (mode != "constant" and math.prod(shape) > 10_000):
            return multiple()  # nothing, of a huge shape; or too much for the slow reference
        case = pad_cases.Case(tuple(input.shape), tuple(pad), dtype=input.dtype, value=value, mode=mode)
        return self.keep(Twin(functional.pad(input, pad, mode, value), case.expect(twin.theirs)))

    @rule(target=names, name=names, mode=st.sampled_from(BORDERS), crops=st.none() | st.integers(0, 2), data=st.data())
    def crop_at(self, name: int, mode: str, crops: int | None, data: st.DataObject) -> int:
        twin = self.live[name]
        input = twin.ours
        if input.dim() < 2 or input.numel() > 1000:
            return multiple()
        dims = data.draw(st.integers(1, min(input.dim() - 1, 3)))
        images, spatial = input.size(0), input.shape[input.dim() - dims :]
        places = (images, dims) if crops is None else (images, crops, dims)
        count = math.prod(places)
        offsets = torch.tensor(data.draw(st.lists(OFFSETS, min_size=count, max_size=count), "offsets")).long()
        flip = torch.tensor(data.draw(st.lists(st.booleans(), min_size=count, max_size=count), "flip")).bool()
        offsets, flip = offsets.view(places), flip.view(places)
        size = tuple(data.draw(st.lists(st.integers(0, 5), min_size=dims, max_size=dims), "size"))
        if 0 in size or (mode != "constant" and 0 in spatial):
            with pytest.raises(RuntimeError, match=r"^crop_at: "):
                functional.crop_at(input, offsets, size, flip=flip, padding_mode=mode)
            return multiple()
        values = reference.crop_at(twin.theirs, offsets, size, flip, mode, 1)
        expected = empty_like_images(twin.theirs, tuple(values.shape), crops is not None).copy_(values)
        return self.keep(Twin(functional.crop_at(input, offsets, size, flip=flip, padding_mode=mode, fill=1), expected))

    @rule(name=names, data=st.data())
    def write(self, name: int, data: st.DataObject) -> None:
        """Into a tensor that others may be views of; not into one whose elements share memory."""
        twin = self.live[name]
        out = twin.ours
        pad = data.draw(st.lists(st.integers(-3, 3), min_size=2 * out.dim(), max_size=2 * out.dim()), "pad")
        pairs = list(zip(pad[::2], pad[1::2], strict=True))
        sizes = [size - before - after for size, (before, after) in zip(out.shape, reversed(pairs), strict=True)]
        if padded_shape(tuple(sizes), pad) is None:
            return
        torch.default_generator.manual_seed(self.made)
        source = random_bits(tuple(sizes), out.dtype)
        shared = any(size > 1 and stride == 0 for size, stride in zip(out.shape, out.stride(), strict=True))
        if shared and out.numel() > 0:
            with pytest.raises(RuntimeError, match=r"^pad: out"):
                functional.pad(source, pad, out=out)
            return
        assert functional.pad(source, pad, out=out) is out
        twin.theirs.copy_(torch.constant_pad_nd(source, pad))

    @rule(name=names)
    def write_to_itself(self, name: int) -> None:
        twin = self.live[name]
        if twin.ours.numel() > 0:
            with pytest.raises(RuntimeError, match=r"^pad: out"):
                functional.crop(twin.ours, [0, 0] * min(twin.ours.dim(), 1), out=twin.ours)

    @rule(limit=st.sampled_from([0, 1000, 1 << 20, 1 << 30]), threads=st.integers(1, 3), empty=st.booleans())
    def tune(self, limit: int, threads: int, empty: bool) -> None:
        memory.set_cache_limit(limit)
        torch.set_num_threads(threads)
        if empty:
            memory.empty_cache()

    @rule(name=consumes(names))
    def free(self, name: int) -> None:
        del self.live[name]

    @invariant()
    def all_keep_their_values(self) -> None:
        for twin in self.live.values():
            assert_same(twin.ours, twin.theirs)


def settings_for(examples: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=30,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_random_programs_give_what_torch_gives(scale: int) -> None:
    run_state_machine_as_test(Program, settings=settings_for(20 * scale))


@given(rows=st.integers(1, 4), size=st.integers(1, 2**58), data=st.data())
def check_a_window_onto_a_huge_tensor(rows: int, size: int, data: st.DataObject) -> None:
    """Rows that are each one number, as often as there is no memory for."""
    numbers = torch.arange(1, rows + 1)[:, None]
    input, width = numbers.expand(rows, size), data.draw(st.integers(1, 6))
    start = data.draw(st.integers(-width, size))
    seen = torch.tensor([0 <= index < size for index in range(start, start + width)])
    expected = numbers * seen
    if -start + width >= 0:
        assert torch.equal(functional.pad(input, (-start, start + width - size)), expected)
    assert torch.equal(functional.crop_at(input, torch.tensor(start).expand(rows, 1), (width,)), expected)
    for mode in BORDERS[1:]:
        offsets = torch.tensor(data.draw(st.lists(INT64, min_size=rows, max_size=rows)))[:, None]
        assert torch.equal(functional.crop_at(input, offsets, (width,), padding_mode=mode), numbers.expand(rows, width))


def test_windows_onto_huge_tensors_show_what_is_there(scale: int) -> None:
    settings_for(100 * scale)(check_a_window_onto_a_huge_tensor)()
