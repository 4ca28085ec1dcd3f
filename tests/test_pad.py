"""The pad op on plain CPU tensors: case tables, fuzzing, properties of its geometry, large tensors and memory."""

import itertools
import random
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import normalize_cases
import pytest
import reference
import torch
import torch.nn.functional as F
from crop_at_cases import CropAtCase
from hypothesis import given, settings
from hypothesis import strategies as st
from op_tester import LAYOUTS, Shape, assert_same, bits, by_fallback, check_op, random_bits, whole_numbers
from pad_cases import CASES, REPEATING, REPEATING_CASES, VALUES, Case, repeats
from torch import Tensor
from torch.func import functionalize
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils._python_dispatch import TorchDispatchMode

from torchcrop_fast.functional import center_crop, crop, pad

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

settings.register_profile("torchcrop_fast", deadline=None, derandomize=True, database=None, max_examples=300)
settings.load_profile("torchcrop_fast")


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.default_generator.manual_seed(0)


@pytest.mark.one_in(2)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    check_op(case)


def test_the_cases_are_many_and_of_all_kinds() -> None:
    assert len(set(CASES)) == len(CASES) >= 2000
    assert {case.dtype for case in CASES} == set(VALUES)
    for dtype, values in VALUES.items():
        assert len({str(case.value) for case in CASES if case.dtype == dtype}) == len(values)
        assert {case.layout for case in CASES if case.dtype == dtype} == set(LAYOUTS)
        assert {len(case.shape) for case in CASES if case.dtype == dtype} == {1, 2, 3, 4, 5}


def test_images_stay_what_torch_keeps_them() -> None:
    """Of torchvision's own type."""
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    images = [case for case in CASES + REPEATING_CASES if len(case.shape) >= 3]
    assert len(images) > 2000
    for case in images:
        call = case.call()
        image = tv_tensors.Image(call.input)
        assert type(call.run(image)) is type(torch.constant_pad_nd(image, ())), case
        with tv_tensors.set_return_type("TVTensor"):
            result = call.run(image)
            assert type(result) is type(torch.constant_pad_nd(image, ())), case
        assert_same(result.as_subclass(Tensor), call.expected)


OPCHECK_CASES = [
    Case((2, 3, 4), (1, 2), dtype=torch.float64, opcheck=True),
    Case((2, 3, 4, 5), (-1, 2, 1, -1), "channels_last", torch.float64, 1.5, opcheck=True),
    Case((2, 3, 4), (-1, -2, -1, 0), "expanded", torch.int64, opcheck=True),
    Case((2, 3, 4), (1, 2), dtype=torch.float64, mode="reflect", opcheck=True),
    Case((2, 3, 4, 5), (-1, 2, 1, -1), "channels_last", torch.float64, mode="replicate", opcheck=True),
    Case((2, 3, 4, 5), (-1, 2, 1, -1), "channels_last", torch.float64, mode="circular", opcheck=True),
    Case((3, 4), (2, 3, 0, 1), "expanded", torch.complex128, mode="circular", opcheck=True),
    Case((3, 4), (2, 3, 0, 1), "expanded", torch.int64, mode="reflect", opcheck=True),
]


@pytest.mark.parametrize("case", OPCHECK_CASES, ids=str)
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # opcheck's own
def test_opcheck(case: Case) -> None:
    check_op(case)


class OpRecorder(TorchDispatchMode):
    """Notes the names of the ops that run in it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def test_every_op_has_cases() -> None:
    with OpRecorder() as recorder:
        check_op(CASES[-1])
        check_op(Case((2, 3, 4), (1, 1), mode="reflect"))
        check_op(CropAtCase((2, 3, 4), (2,)))
        check_op(normalize_cases.CASES[-1])
    ops = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("torchcrop_fast::")}
    # One is written in others, and so is never seen: test_the_adjoint_of_crop_mirror_normalize.
    ops.remove("torchcrop_fast::_crop_mirror_normalize_adjoint")
    assert ops == {name for name in recorder.names if name.startswith("torchcrop_fast::")}


def random_view(rng: random.Random, shape: Shape, dtype: torch.dtype, *, writable: bool) -> tuple[Tensor, Tensor]:
    """A base and a view of it, its dimensions in any order, with gaps, and unless writable with overlaps."""
    strides = [0] * len(shape)
    extent = 1
    for d in rng.sample(range(len(shape)), len(shape)):
        strides[d] = extent * rng.choice((1, 1, 2)) + rng.choice((0, 0, 0, 1, 3))
        if not writable and rng.random() < 0.15:
            strides[d] = rng.choice((0, 1))
        extent += max(shape[d] - 1, 0) * strides[d]
    offset = rng.randrange(4)
    base = random_bits((offset + extent + 3,), dtype)
    return base, base.as_strided(shape, strides, offset)


@pytest.mark.parametrize("seed", range(20))
def test_fuzz(seed: int) -> None:
    rng = random.Random(seed)
    torch.default_generator.manual_seed(seed)
    over_cropped = 0
    for _ in range(200):
        shape = tuple(rng.choice((0, 1, 1, 2, 3, 4, 5, 9)) for _ in range(rng.randrange(7)))
        dtype, values = rng.choice(list(VALUES.items()))
        value = rng.choice(values)
        _, input = random_view(rng, shape, dtype, writable=False)
        entries = [
            rng.choice((0, 0, 1, 2, 7, -1, -1, -2, -shape[-1 - i // 2])) for i in range(2 * rng.randint(0, len(shape)))
        ]
        described = f"{dtype} {shape} strides {input.stride()} pad {entries} value {value}"
        try:
            expected = torch.constant_pad_nd(input, entries, 0 if value is None else value)
        except RuntimeError:
            over_cropped += 1
            with pytest.raises(RuntimeError, match=r"pad: cannot crop \d \+ \d elements from dim \d of size \d"):
                pad(input, entries, value=value)
            continue
        result = pad(input, entries, value=value)
        assert result.stride() == expected.stride(), described
        assert torch.equal(bits(result), bits(expected)), described

        base, out = random_view(rng, tuple(expected.shape), dtype, writable=True)
        wanted = base.clone()
        wanted.as_strided(out.shape, out.stride(), out.storage_offset()).copy_(expected)
        pad(input, entries, value=value, out=out)
        assert torch.equal(bits(base), bits(wanted)), f"{described} out strides {out.stride()}"
    assert 0 < over_cropped < 150


@st.composite
def geometries(draw: st.DrawFn, least: int = -4, most: int = 4) -> tuple[Tensor, list[int]]:
    """A tensor of different numbers, and a pad that it can take."""
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    entries = []
    for size in reversed(shape[draw(st.integers(0, len(shape))) :]):
        before = draw(st.integers(max(least, -size), most))
        after = draw(st.integers(max(least, -size - min(before, 0)), most))
        entries += [before, after]
    return torch.arange(1, 1 + torch.Size(shape).numel()).reshape(shape), entries


@given(geometries())
def test_property_equals_the_slow_reference(geometry: tuple[Tensor, list[int]]) -> None:
    input, entries = geometry
    assert torch.equal(pad(input, entries, value=-1), reference.pad(input, tuple(entries), -1))


@given(geometries(least=0))
def test_property_a_crop_undoes_a_pad(geometry: tuple[Tensor, list[int]]) -> None:
    input, entries = geometry
    assert torch.equal(crop(pad(input, entries), entries), input)
    assert pad(input, entries).sum() == input.sum()


@given(geometries(least=0), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_property_pads_add_up_and_crops_do(geometry: tuple[Tensor, list[int]], more: list[int]) -> None:
    input, entries = geometry
    more = more[: len(entries)]
    total = [a + b for a, b in zip(entries, more, strict=True)]
    padded = pad(input, total)
    assert torch.equal(pad(pad(input, entries), more), padded)
    assert torch.equal(crop(crop(padded, more), entries), crop(padded, total))


@given(geometries())
def test_property_dimensions_are_independent(geometry: tuple[Tensor, list[int]]) -> None:
    input, entries = geometry
    one_by_one = input
    for i in range(0, len(entries), 2):
        one_by_one = pad(one_by_one, [0] * i + entries[i : i + 2])
    assert torch.equal(one_by_one, pad(input, entries))


@given(geometries())
def test_property_the_adjoint_is_the_pad_with_signs_turned(geometry: tuple[Tensor, list[int]]) -> None:
    x, entries = geometry
    padded = pad(x, entries)
    y = torch.arange(padded.numel()).reshape(padded.shape) + 5
    assert (padded * y).sum() == (x * crop(y, entries)).sum()


@given(geometries())
def test_property_a_mirrored_input_gives_a_mirrored_output(geometry: tuple[Tensor, list[int]]) -> None:
    input, entries = geometry
    swapped = [entry for i in range(0, len(entries), 2) for entry in (entries[i + 1], entries[i])]
    dims = list(range(input.dim()))
    assert torch.equal(pad(input.flip(dims), swapped, value=-1), pad(input, entries, value=-1).flip(dims))


@given(st.integers(0, 6), st.integers(-9, 9), st.integers(-9, 9))
def test_property_raises_exactly_where_too_little_is_left(size: int, before: int, after: int) -> None:
    input = torch.arange(size)
    if size + min(before, 0) + min(after, 0) < 0:
        with pytest.raises(RuntimeError, match="cannot crop"):
            pad(input, (before, after))
    else:
        assert len(pad(input, (before, after))) == size + before + after


@pytest.mark.parametrize("layout", LAYOUTS)
def test_crop_is_slicing(layout: str) -> None:
    base_shape, view = LAYOUTS[layout]((3, 4, 5))
    input = view(random_bits(base_shape, torch.float32))
    for left, right, top, bottom in itertools.product((0, 1, 3), (0, 2), (0, 1), (0, 3)):
        window = input[:, top : 4 - bottom, left : 5 - right]
        copy = crop(input, (left, right, top, bottom))
        assert torch.equal(bits(copy), bits(window))
        out = torch.empty_like(copy)
        assert crop(input, (left, right, top, bottom), out=out) is out
        assert torch.equal(bits(out), bits(window))
        seen = crop(input, (left, right, top, bottom), copy=False)
        assert seen.data_ptr() == window.data_ptr()
        assert seen.stride() == window.stride()
        assert seen.shape == window.shape


def test_center_crop_is_torchvisions() -> None:
    torchvision = pytest.importorskip("torchvision.transforms.v2.functional")
    for height, width in itertools.product(range(1, 7), range(1, 7)):
        image = torch.rand(2, height, width)
        for size in itertools.product(range(1, 9), range(1, 9)):
            assert torch.equal(center_crop(image, size), torchvision.center_crop(image, size)), (image.shape, size)


@pytest.mark.parametrize(
    ("rounding", "starts"),
    # The first index that each of the sizes 5, 4, 3, 2, 1 shows of 5 elements, then each of 4, 3, 2, 1 of 4.
    [
        ("torchvision", (0, 0, 1, 2, 2, 0, 0, 1, 2)),
        ("keras", (0, 0, 1, 1, 2, 0, 0, 1, 1)),
        ("dali", (0, 1, 1, 2, 2, 0, 1, 1, 2)),
        ("monai", (0, 0, 1, 1, 2, 0, 1, 1, 2)),
    ],
)
def test_center_crop_rounding(rounding: str, starts: tuple[int, ...]) -> None:
    results = [center_crop(torch.arange(n), [size], rounding)[0].item() for n in (5, 4) for size in range(n, 0, -1)]
    assert tuple(results) == starts
    # Where the input is smaller, all agree: the odd zero goes last.
    assert center_crop(torch.tensor([1, 2]), [5], rounding).tolist() == [0, 1, 2, 0, 0]


def test_no_dimensions() -> None:
    assert_same(pad(torch.tensor(1.5), ()), torch.tensor(1.5))
    out = torch.tensor(0.0)
    assert pad(torch.tensor(1.5), (), out=out) is out
    assert out == 1.5


@pytest.mark.parametrize(
    "entries",
    [(), (0, 0), (-1, 1), (1, -1), (1, 1), (-1, 0), (-1, 1) * 70, (1, 0) * 3, (0, 0) * 69 + (2, 1), (-1, 1) * 69],
    ids=lambda entries: f"{len(entries)} entries {entries[:4]}",
)
def test_seventy_dimensions_of_one(entries: tuple[int, ...]) -> None:
    input = torch.ones((1,) * 70)
    assert_same(pad(input, entries, value=7.0), F.pad(input, entries, value=7.0))


@pytest.mark.parametrize("seed", range(10))
def test_many_dimensions_that_cannot_merge(seed: int) -> None:
    rng = random.Random(seed)
    base = random_bits((3,) * 11, torch.int16)[(slice(0, 2),) * 11].permute(rng.sample(range(11), 11))
    shape = list(base.shape)
    for _ in range(rng.choice((0, 40))):  # dimensions of one element in between: past 64 in all is past nothing
        shape.insert(rng.randrange(len(shape)), 1)
    input = base.reshape(base.shape)
    for d, size in enumerate(shape):
        if size == 1:
            input = input.unsqueeze(d)
    assert list(input.shape) == shape
    entries = [rng.choice((0, 1) if rng.random() < 0.2 else (0, -1, 0)) for _ in range(0, 2 * len(shape), 2)]
    entries = [number for entry in entries for number in ((entry, 0) if rng.random() < 0.5 else (0, entry))]
    for d, size in enumerate(reversed(shape)):
        if size == 1:
            entries[2 * d : 2 * d + 2] = rng.choice(((0, 0), (0, 0), (0, 0), (-1, 1)))
    assert_same(pad(input, entries, value=258), F.pad(input, entries, value=258))


# What a border shows of 1 to n elements: mode, n, pad, result.
BORDER_TABLE: list[tuple[str, int, tuple[int, int], list[int]]] = [
    ("reflect", 4, (0, 0), [1, 2, 3, 4]),
    ("reflect", 4, (3, 0), [4, 3, 2, 1, 2, 3, 4]),
    ("reflect", 4, (0, 3), [1, 2, 3, 4, 3, 2, 1]),
    ("reflect", 4, (1, 2), [2, 1, 2, 3, 4, 3, 2]),
    ("reflect", 4, (-2, 3), [3, 4, 3, 2, 1]),  # of the whole input, not of what the crop leaves
    ("reflect", 4, (3, -2), [4, 3, 2, 1, 2]),
    ("reflect", 4, (-5, 3), [2, 1]),
    ("reflect", 4, (3, -5), [4, 3]),
    ("reflect", 4, (-1, -2), [2]),
    ("reflect", 4, (-4, 0), []),
    ("reflect", 4, (-7, 3), []),
    ("reflect", 2, (1, 1), [2, 1, 2, 1]),
    ("reflect", 1, (0, 0), [1]),
    ("reflect", 0, (0, 0), []),
    ("replicate", 3, (0, 0), [1, 2, 3]),
    ("replicate", 3, (2, 0), [1, 1, 1, 2, 3]),
    ("replicate", 3, (0, 4), [1, 2, 3, 3, 3, 3, 3]),
    ("replicate", 3, (-2, 2), [3, 3, 3]),
    ("replicate", 3, (2, -2), [1, 1, 1]),
    ("replicate", 3, (-5, 4), [3, 3]),
    ("replicate", 3, (4, -5), [1, 1]),
    ("replicate", 3, (-1, -1), [2]),
    ("replicate", 3, (-1, -2), []),
    ("replicate", 1, (2, 3), [1] * 6),
    ("replicate", 0, (0, 0), []),
    ("circular", 3, (0, 0), [1, 2, 3]),
    ("circular", 3, (3, 3), [1, 2, 3] * 3),
    ("circular", 3, (2, 0), [2, 3, 1, 2, 3]),
    ("circular", 3, (0, 2), [1, 2, 3, 1, 2]),
    ("circular", 3, (1, 2), [3, 1, 2, 3, 1, 2]),
    ("circular", 4, (-2, 2), [3, 4, 3, 4]),  # of what the crop leaves
    ("circular", 4, (2, -2), [1, 2, 1, 2]),
    ("circular", 4, (1, -1), [3, 1, 2, 3]),
    ("circular", 4, (-1, -2), [2]),
    ("circular", 4, (-4, 0), []),
    ("circular", 1, (1, 1), [1, 1, 1]),
    ("circular", 0, (0, 0), []),
]


@pytest.mark.parametrize(("mode", "size", "entries", "expected"), BORDER_TABLE)
def test_borders(mode: str, size: int, entries: tuple[int, int], expected: list[int]) -> None:
    row = torch.arange(1, 1 + size)
    assert pad(row, entries, mode).tolist() == expected
    assert reference.repeat(row, entries, mode).tolist() == expected
    column = row[:, None].expand(size, 2)
    assert pad(column, (0, 0, *entries), mode).tolist() == [[number] * 2 for number in expected]


@pytest.mark.parametrize("case", REPEATING_CASES, ids=str)
def test_repeating_case(case: Case) -> None:
    check_op(case)


def test_the_repeating_cases_are_of_all_kinds() -> None:
    assert {case.dtype for case in REPEATING_CASES} == set(VALUES)
    for mode in REPEATING:
        of_mode = [case for case in REPEATING_CASES if case.mode == mode]
        assert {case.layout for case in of_mode} == set(LAYOUTS)
        assert {len(case.shape) for case in of_mode} == {1, 2, 3, 4, 5}
        assert len([case for case in of_mode if case.torch_takes]) > 50
        assert len([case for case in of_mode if not case.torch_takes]) > 50


@pytest.mark.parametrize("mode", REPEATING)
@pytest.mark.parametrize("seed", range(10))
def test_fuzz_repeating(seed: int, mode: str) -> None:
    rng = random.Random(seed)
    torch.default_generator.manual_seed(seed)
    taken = 0
    for _ in range(200):
        padded = rng.choice((1, 2, 3))
        shape = tuple(rng.choice((1, 2, 3, 4, 5, 9)) for _ in range(padded + rng.choice((1, 2))))
        dtype = rng.choice((torch.uint8, torch.float16, torch.float32, torch.float64, torch.complex128))
        _, input = random_view(rng, shape, dtype, writable=False)
        numbers = [rng.randint(-shape[-1 - i // 2] - 2, shape[-1 - i // 2] + 1) for i in range(2 * padded)]
        entries = [number if rng.random() < 0.8 else 0 for number in numbers]
        described = f"{dtype} {shape} strides {input.stride()} pad {entries}"
        if not repeats(shape, tuple(entries), mode):
            with pytest.raises(RuntimeError, match=r"^pad: (cannot crop|dim \d of size \d cannot be) "):
                pad(input, entries, mode)
            continue
        taken += 1
        result = pad(input, entries, mode)
        if result.numel() > 0:  # else F.pad raises in two of the modes
            expected = F.pad(input, entries, mode)
            assert result.stride() == expected.stride(), described
            assert torch.equal(bits(result), bits(expected)), described
        base, out = random_view(rng, tuple(result.shape), dtype, writable=True)
        wanted = base.clone()
        wanted.as_strided(out.shape, out.stride(), out.storage_offset()).copy_(result)
        pad(input, entries, mode, out=out)
        assert torch.equal(bits(base), bits(wanted)), f"{described} out strides {out.stride()}"
    assert 20 < taken < 180


@pytest.mark.parametrize("mode", REPEATING)
@given(data=st.data())
def test_property_the_adjoint_of_a_repeating_pad(mode: str, data: st.DataObject) -> None:
    x, entries = data.draw(geometries().filter(lambda geometry: repeats(geometry[0].shape, tuple(geometry[1]), mode)))
    x = x.double()
    padded = pad(x, entries, mode)
    assert torch.equal(padded, reference.repeat(x, tuple(entries), mode))
    y = torch.arange(padded.numel(), dtype=torch.float64).reshape(padded.shape) + 5
    adjoint = torch.ops.torchcrop_fast._pad_adjoint(y, entries, x.shape[x.dim() - len(entries) // 2 :], mode)
    assert (padded * y).sum() == (x * adjoint).sum()


LARGE_REPEATING_CASES = [
    Case((2, 3, 300, 401), (100, 57, 3, -30), mode="reflect"),
    Case((2, 3, 300, 401), (-100, 57, 3, 250), "channels_last", mode="reflect"),
    Case((1, 3_000_001), (-7, 999), dtype=torch.uint8, mode="circular"),
    Case((4, 16, 57, 61), (20, 61, 1, 2), "permuted", torch.float64, mode="circular"),
    Case((2, 5, 20, 41, 37), (1, 7, 2, 2, 3, 3), "channels_last", torch.bfloat16, mode="replicate"),
    Case((3, 1), (500_000, 300_001), dtype=torch.complex128, mode="replicate"),
    Case((1, 500, 700), (9, 1, 2, 3), "transposed", torch.float32, mode="replicate"),
]


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("case", LARGE_REPEATING_CASES, ids=str)
def test_large_repeating(case: Case, threads: int, set_num_threads: Callable[[int], None]) -> None:
    base_shape, view = LAYOUTS[case.layout](case.shape)
    input = view(random_bits(base_shape, case.dtype))
    expected = F.pad(input, case.pad, case.mode)
    assert expected.numel() * expected.itemsize > 2 * 128 * 1024
    set_num_threads(threads)
    assert_same(case.run(input), expected)
    base = random_bits((expected.numel() + 64,), case.dtype)
    wanted = base.clone()
    wanted[37:-27] = expected.flatten()
    case.run(input, base[37:-27].view(expected.shape))
    assert torch.equal(bits(base), bits(wanted))
    if case.dtype in (torch.float32, torch.float64, torch.complex128):
        upstream = whole_numbers(tuple(expected.shape), case.dtype)
        arguments = (upstream, case.pad, case.padded_size, case.mode)
        adjoint = torch.ops.torchcrop_fast._pad_adjoint(*arguments)
        assert_same(adjoint, by_fallback(torch.ops.torchcrop_fast._pad_adjoint.default, *arguments))


@pytest.mark.parametrize("mode", REPEATING)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.complex64], ids=str)
def test_gradients_of_repeating_borders_are_deterministic(
    dtype: torch.dtype, mode: str, set_num_threads: Callable[[int], None]
) -> None:
    upstream = torch.randn(2, 3, 150, 170, dtype=dtype)
    gradients = []
    for threads in (1, 2, 3, 2):
        set_num_threads(threads)
        image = torch.zeros(2, 3, 61, 71, dtype=dtype, requires_grad=True)
        pad(image, (50, 49, 45, 44), mode).backward(upstream)
        gradients.append(image.grad)
    for gradient in gradients[1:]:
        assert_same(gradient, gradients[0])


def test_low_precision_gradients_of_borders_are_rounded_once() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        row = torch.zeros(1, dtype=dtype, requires_grad=True)
        pad(row, (3000, 2000), "replicate").sum().backward()
        assert row.grad.item() == torch.tensor(5001.0).to(dtype).item()


def test_gradients_that_cannot_be_added_up() -> None:
    row = torch.zeros(3).to(torch.float8_e5m2).requires_grad_()
    upstream = torch.zeros(5).to(torch.float8_e5m2)
    text = "pad: grad must be float16, bfloat16, float32, float64 or complex, got float8_e5m2"
    with pytest.raises(RuntimeError, match=text):
        pad(row, (1, 1), "reflect").backward(upstream)
    text = r"pad: grad must be of sizes \[5\], got \[4\]"
    with pytest.raises(RuntimeError, match=text):
        torch.ops.torchcrop_fast._pad_adjoint(torch.zeros(4), [1, 1], [3], "reflect")


@pytest.mark.parametrize("mode", REPEATING)
def test_seventy_dimensions_that_repeat(mode: str) -> None:
    input = torch.arange(12.0).view((1,) * 68 + (3, 4)).requires_grad_()
    padded = pad(input, (1, 2, 2, 1) + (0, 0) * 30, mode)
    flat = input.detach().view(1, 3, 4).requires_grad_()
    expected = F.pad(flat, (1, 2, 2, 1), mode)
    assert torch.equal(padded.view(1, 6, 7), expected)
    upstream = torch.arange(42.0)
    padded.backward(upstream.view(padded.shape))
    expected.backward(upstream.view(1, 6, 7))
    assert torch.equal(input.grad.view(1, 3, 4), flat.grad)


# Each output is past the 128 KiB that one thread takes.
LARGE_CASES = [
    Case((3_000_001,), (-1, -7), dtype=torch.uint8),
    Case((1_000_003,), (5, -11), dtype=torch.complex128, value=1j),
    Case((1,), (500_000, 300_001), dtype=torch.int16, value=258),
    Case((60_001, 2, 3), (1, -1), dtype=torch.int16, value=258),
    Case((50_001, 1, 1), (1, 1, 1, 1), dtype=torch.uint8, value=7),
    Case((100_003, 3), (0, 0, -2, 1), dtype=torch.float32),
    Case((8, 16, 57, 61), (-3, -4, -1, -2), dtype=torch.float32),
    Case((8, 16, 57, 61), (3, -4, -1, 2), dtype=torch.bfloat16, value=1.5),
    Case((8, 16, 57, 61), (3, -4, -1, 2), "channels_last", torch.float32, 1.5),
    Case((4, 16, 57, 61), (-3, -4, -1, -2), "permuted", torch.float64),
    Case((4, 16, 57, 61), (2, 1), "transposed", torch.uint8, 9),
    Case((4, 16, 57, 61), (2, 1, -1, 1), "stepped", torch.int32, 258),
    Case((4, 16, 57, 61), (0, 0, 0, 0, 1, -1), "expanded_last", torch.int32, 258),
    Case((3, 100, 99, 5), (0, 0, 30, 30, -99, 99), dtype=torch.float32, value=2.0),
    Case((2, 3, 20, 41, 37), (1, -1, -2, 2, 3, -3, 1, 1), "channels_last", torch.float16, 0.5),
]


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("case", LARGE_CASES, ids=str)
def test_large(case: Case, threads: int, set_num_threads: Callable[[int], None]) -> None:
    base_shape, view = LAYOUTS[case.layout](case.shape)
    input = view(random_bits(base_shape, case.dtype))
    expected = case.expect(input)
    assert expected.numel() * expected.itemsize > 128 * 1024
    set_num_threads(threads)
    assert_same(case.run(input), expected)
    base = random_bits((expected.numel() + 64,), case.dtype)
    wanted = base.clone()
    wanted[37:-27] = expected.flatten()
    case.run(input, base[37:-27].view(expected.shape))
    assert torch.equal(bits(base), bits(wanted))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64, torch.complex128], ids=str)
def test_rows_of_each_width(dtype: torch.dtype) -> None:
    source, poison = random_bits((3, 330), dtype), random_bits((3, 640), dtype)
    fill = 258 if dtype.itemsize > 1 else 7
    for width in range(1, 301):
        offset, border = width % 13, width * 7 % 301
        window = source[:, offset : offset + width]
        # Where the result begins in the poisoned memory, how many columns of border come first, and the arguments.
        for start, before, input, entries in (
            (5, 0, source, (-offset, offset + width - 330)),
            (1, border, window, (border, 0)),
            (3, 0, window, (0, border)),
        ):
            base, wanted = poison.clone(), poison.clone()
            stop = start + input.size(1) + sum(entries)
            pad(input, entries, value=fill, out=base[:, start:stop])
            wanted[:, start:stop] = fill
            wanted[:, start + before : start + before + width] = window
            assert torch.equal(bits(base), bits(wanted)), f"width {width}, pad {entries}"


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.float64, torch.complex128], ids=str)
@pytest.mark.parametrize("offset", [1, 2, 3, 7])
def test_unaligned_storage(dtype: torch.dtype, offset: int) -> None:
    rows, columns = 5, 37
    aligned = random_bits((rows, columns), dtype)  # torch's own pad does not survive all that is not
    input_bytes = bytearray(offset) + bytes(bits(aligned).tolist())
    input = torch.frombuffer(input_bytes, dtype=dtype, offset=offset).view(rows, columns)
    assert (input.data_ptr() - offset) % 8 == 0
    for entries in [(), (-1, -1), (3, -2), (-5, 40, 1, -1), (1, 1, 1, 1)]:
        expected = torch.constant_pad_nd(aligned, entries, 258)
        assert_same(pad(input, entries, value=258), expected)
        size = expected.numel() * dtype.itemsize
        output_bytes = bytearray(b"\xa5") * (offset + size + 9)
        out = torch.frombuffer(output_bytes, dtype=dtype, offset=offset, count=expected.numel()).view(expected.shape)
        pad(input, entries, value=258, out=out)
        assert output_bytes == b"\xa5" * offset + bytes(bits(expected).tolist()) + b"\xa5" * 9


@pytest.mark.parametrize("kind", ["conj", "neg"])
def test_out_that_is_a_lazy_view(kind: str) -> None:
    base = torch.zeros(5, dtype=torch.complex64)
    out = base.conj() if kind == "conj" else torch._neg_view(base)
    assert pad(torch.tensor([1 + 2j, 3 - 4j]), (1, 2), value=5j, out=out) is out
    assert out.tolist() == [5j, 1 + 2j, 3 - 4j, 5j, 5j]


def test_out_under_functionalize() -> None:
    def write(input: Tensor) -> Tensor:
        base = torch.zeros(4, 6)
        pad(input, (1, 1), value=2.0, out=base[1:3, 1:])
        return base * 2

    input = torch.randn(2, 3)
    assert_same(functionalize(write)(input), write(input))


def peak_memory() -> int:
    """The most memory that this process has held, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def test_a_window_onto_a_huge_file_reads_only_that(tmp_path: Path) -> None:
    height, width = 50_000, 40_000  # 8 GB, of which the file holds no more than is written
    image = torch.from_file(str(tmp_path / "image"), shared=True, size=height * width).view(height, width)
    image[30_000:30_003, 20_000:20_005] = 7.0
    before = peak_memory()
    window = crop(image, (19_999, width - 20_006, 29_999, height - 30_004))
    assert torch.equal(window, F.pad(torch.full((3, 5), 7.0), (1, 1, 1, 1)))
    corner = pad(image, (2, 3 - width, 1, 4 - height), value=9.0)
    assert torch.equal(corner, F.pad(torch.zeros(4, 3), (2, 0, 1, 0), value=9.0))
    turned = crop(image.t(), (29_999, height - 30_004, 19_999, width - 20_006))
    assert torch.equal(turned, window.t())
    assert peak_memory() - before < 2**26


def test_a_window_onto_a_huge_expanded_tensor_reads_only_that() -> None:
    size = 2**30
    before = peak_memory()
    input = torch.tensor([[1.0], [2.0]]).expand(size, 2, size)
    window = pad(input, (3 - size, 1, 1, 0, -5, 10 - size), value=9.0)
    assert torch.equal(window, F.pad(torch.tensor([[1.0] * 3, [2.0] * 3]), (0, 1, 1, 0), value=9.0).expand(5, 3, 4))
    assert peak_memory() - before < 2**26


OP_INFOS = [op for op in op_db if op.name in ("constant_pad_nd", "nn.functional.pad")]


def test_torchs_own_samples_are_there() -> None:
    variants = {(op.name, op.variant_test_name) for op in OP_INFOS}
    assert {("constant_pad_nd", ""), ("nn.functional.pad", "constant"), ("nn.functional.pad", "reflect")} <= variants


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        pytest.param(op, dtype, id=f"{op.name}-{op.variant_test_name}-{dtype}")
        for op in OP_INFOS
        for dtype in sorted(op.supported_dtypes("cpu"), key=str)
    ],
)
def test_torchs_own_samples(op, dtype: torch.dtype) -> None:
    differentiable = dtype.is_floating_point or dtype.is_complex
    samples = list(op.sample_inputs("cpu", dtype, requires_grad=differentiable))
    assert len(samples) >= 2
    for sample in samples:
        names = ["pad", "value"] if op.name == "constant_pad_nd" else ["pad", "mode", "value"]
        arguments = dict(zip(names, sample.args, strict=False)) | sample.kwargs
        expected = op(sample.input, *sample.args, **sample.kwargs)
        result = pad(sample.input, **arguments)
        assert_same(result, expected)
        assert result.requires_grad == expected.requires_grad
        if expected.requires_grad and arguments.get("mode", "constant") == "constant":
            upstream = random_bits(tuple(expected.shape), dtype)
            gradients = [torch.autograd.grad(output, sample.input, upstream)[0] for output in (result, expected)]
            assert_same(*gradients)
        elif expected.requires_grad:  # what a border repeats is added up: once rounded by us, at each step by torch
            upstream = torch.randn(expected.shape, dtype=torch.complex64 if dtype.is_complex else torch.float32).to(
                dtype
            )
            wide = sample.input.detach().to(torch.complex128 if dtype.is_complex else torch.float64).requires_grad_()
            (exact,) = torch.autograd.grad(op(wide, *sample.args, **sample.kwargs), wide, upstream.to(wide.dtype))
            torch.testing.assert_close(torch.autograd.grad(result, sample.input, upstream)[0], exact.to(dtype))
