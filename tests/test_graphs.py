"""Graphs of sizes that only a run will tell: exported where F.pad is, as few as of F.pad, right for all sizes."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from op_tester import assert_same, bits
from pad_cases import CASES, REPEATING_CASES, VALUES, Case, layouts, repeats
from programs import FUNCTIONS, LAYERS, OUT_FUNCTIONS, name_of
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.export import Dim

import torchcrop_fast as tcf
from torchcrop_fast import _traced, functional

Pad = Callable[..., Tensor]


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    torch._dynamo.reset()


def images(height: int, width: int) -> Tensor:
    return torch.rand(2, 3, height, width)


class ToMultiple(nn.Module):
    """Pads images to sizes that a network can halve four times."""

    def __init__(self, pad: Pad):
        super().__init__()
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        return self.pad(x, (0, -x.size(3) % 16, 0, -x.size(2) % 16))


class ToSizeOf(ToMultiple):
    """Pads or crops images to the size of others, around the center."""

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        height, width = other.size(2) - x.size(2), other.size(3) - x.size(3)
        return self.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)) + other


class ToSizeOfAtTheEnd(ToMultiple):
    """The same, but for a row and a column, after the last ones."""

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return self.pad(x, (1, other.size(3) - x.size(3) - 1, 1, other.size(2) - x.size(2) - 1)) + other


class Skips(ToMultiple):
    """A network that halves images and doubles them again, where odd sizes lose an element."""

    def forward(self, x: Tensor) -> Tensor:
        halved = F.max_pool2d(x, 2)
        doubled = halved.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        height, width = x.size(2), x.size(3)
        return torch.cat([x, self.pad(doubled, (0, width - 2 * (width // 2), 0, height - 2 * (height // 2)))], dim=1)


class ByValue(ToMultiple):
    """Pads by a tensor's value."""

    def forward(self, x: Tensor, most: Tensor) -> Tensor:
        entry = most.item()
        torch._check(entry >= 0)
        torch._check(entry <= 7)
        return self.pad(x, (0, entry))


class ByValueOfAnySign(ToMultiple):
    """Pads or crops by a tensor's value."""

    def forward(self, x: Tensor, most: Tensor) -> Tensor:
        entry = most.item()
        torch._check(entry >= -3)
        torch._check(entry <= 7)
        return self.pad(x, (0, entry))


RANGES = {2: Dim("height", min=2, max=500), 3: Dim("width", min=2, max=500)}
OTHER_RANGES = {2: Dim("other_height", min=2, max=500), 3: Dim("other_width", min=2, max=500)}
DYNAMIC = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
SIZES = [(17, 23), (32, 32), (16, 48), (20, 9), (31, 64), (18, 17), (12, 30)]
OTHERS = [(images(*size),) for size in [(20, 20), (17, 23), (13, 40)]]
VALUES_TO_PAD_BY = [(torch.tensor(value),) for value in (3, 0, 1, 7)]

REPEATING = ("reflect", "replicate", "circular")
# A model of a pad, what else than images it takes, the sizes that an export leaves open, and modes that F.pad exports.
EXPORTS: list[tuple[type[ToMultiple], list[tuple[Tensor, ...]], tuple[Any, ...], tuple[str, ...]]] = [
    (ToMultiple, [()], (RANGES,), ("constant", "replicate")),
    (ToMultiple, [()], (DYNAMIC,), ("constant", *REPEATING)),
    (ToSizeOf, OTHERS, (DYNAMIC, DYNAMIC), ("constant", *REPEATING)),
    (ToSizeOfAtTheEnd, OTHERS, (RANGES, OTHER_RANGES), ("constant",)),
    (Skips, [()], (DYNAMIC,), ("constant", *REPEATING)),
    (ByValue, VALUES_TO_PAD_BY, (DYNAMIC, None), ("constant",)),
    (ByValueOfAnySign, [*VALUES_TO_PAD_BY, (torch.tensor(-3),)], (DYNAMIC, None), ("constant",)),
]
EXPORTS_BY_MODE = [
    pytest.param(model, others, sizes, mode, id=f"{model.__name__}-{'range' if RANGES in sizes else 'dynamic'}-{mode}")
    for model, others, sizes, modes in EXPORTS
    for mode in modes
]


def result_for(exported: nn.Module, arguments: tuple[Tensor, ...]) -> Tensor | None:
    """What an exported program makes of sizes; None where a condition that the export made refuses them."""
    try:
        result: Tensor = exported(*arguments)
    except (AssertionError, RuntimeError):
        return None
    return result


@pytest.mark.parametrize("strict", [False, True], ids=["non_strict", "strict"])
@pytest.mark.parametrize(("model", "others", "sizes", "mode"), EXPORTS_BY_MODE)
def test_exported_pads_take_all_sizes_that_the_reference_takes(model, others, sizes, mode, strict):
    reference, ours = (
        torch.export.export(
            model(partial(pad, mode=mode)), (images(*SIZES[0]), *others[0]), dynamic_shapes=sizes, strict=strict
        ).module()
        for pad in (F.pad, functional.pad)
    )
    taken = 0
    for size in SIZES:
        for other in others:
            arguments = (images(*size), *other)
            expected = result_for(reference, arguments)
            if expected is not None:
                taken += 1
                result = result_for(ours, arguments)
                assert result is not None, f"refuses {size}, {other}"
                assert_same(result, expected)
    assert taken > 0
    if mode == "constant":
        assert taken == len(SIZES) * len(others)


def center_crop_of_one_pad(x: Tensor) -> Tensor:
    """What F.pad needs."""
    top, left = (x.size(2) - 32) // 2, (x.size(3) - 32) // 2
    return F.pad(x, (-left, left + 32 - x.size(3), -top, top + 32 - x.size(2)))


@pytest.mark.parametrize("dynamic", [True, None], ids=["dynamic", "automatic"])
@pytest.mark.parametrize(
    ("program", "reference"),
    [
        (ToMultiple(functional.pad), ToMultiple(F.pad)),
        (lambda x: functional.center_crop(x, (32, 32)), center_crop_of_one_pad),
        (lambda x: functional.center_crop(x, (32, 32), "monai"), center_crop_of_one_pad),
        (tcf.CenterCrop(32), center_crop_of_one_pad),
        (tcf.RandomCrop(32).eval(), center_crop_of_one_pad),
        (lambda x: functional.five_crop(x, 16), center_crop_of_one_pad),
    ],
    ids=["to_multiple", "center_crop", "monai", "CenterCrop", "RandomCrop", "five_crop"],
)
def test_no_more_graphs_than_the_reference_needs(program, reference, dynamic):
    sizes = [(height, width) for height in (20, 31, 32, 33, 34, 40, 64) for width in (24, 32, 35, 48, 31)]
    counters = [CompileCounter() for _ in (program, reference)]
    for function, counter in zip((program, reference), counters, strict=True):
        torch._dynamo.reset()
        compiled = torch.compile(function, fullgraph=True, dynamic=dynamic, backend=counter)
        for size in sizes:
            x = images(*size)
            assert_same(compiled(x), function(x))
    assert counters[0].frame_count <= counters[1].frame_count <= 3


def test_entries_and_values_that_change_need_no_graph_each():
    counters = CompileCounter(), CompileCounter()
    for pad, counter in zip((functional.pad, F.pad), counters, strict=True):
        compiled = torch.compile(pad, fullgraph=True, backend=counter)
        for entry in (1, 2, 3, -1, -2, 0, 4):
            x = torch.arange(5)
            assert_same(compiled(x, (entry, 0), "constant", 7), F.pad(x, (entry, 0), "constant", 7))
    assert counters[0].frame_count <= counters[1].frame_count
    compiled = torch.compile(functional.pad, backend="eager")
    for value in (1, 2, 3, 255):
        assert compiled(torch.zeros(1, dtype=torch.uint8), (1, 0), "constant", value).tolist() == [value, 0]
    for value in (256, -1):
        with pytest.raises(RuntimeError, match=f"pad: value must fit dtype uint8, got {value}"):
            compiled(torch.zeros(1, dtype=torch.uint8), (1, 0), "constant", value)


LIMITS = [
    0,
    1,
    -1,
    True,
    0.5,
    -0.5,
    -0.0,
    127,
    127.5,
    128,
    -128,
    -128.9,
    -129,
    240,
    241,
    255,
    255.5,
    256,
    -255,
    32767.5,
]
LIMITS += [2**15, -(2**15) - 1, 65504, 65519, 65520.0, 2**16, 448, 448.5, 464, 57344, 57345, 2**31, -(2**31) - 1, 2**32]
LIMITS += [
    3.4028234663852886e38,
    3.4028235677973366e38,
    1e39,
    -1e39,
    float("inf"),
    -float("inf"),
    float("nan"),
    2**53 + 1,
]
LIMITS += [2**63 - 1, -(2**63), 2.0**63, 2.0**64, 1e19, 2.0**127, 1e-45, 1e300, 1j, 1e39j, 1 - 2j, complex(65519, 0)]


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_values_fit_in_graphs_where_they_fit_in_eager(dtype):
    def outcome(pad: Callable[[complex], Tensor]) -> Any:
        try:
            return bits(pad(value)).tolist()
        except RuntimeError as error:
            return str(error)

    x = torch.empty(0, dtype=dtype)
    for value in LIMITS:
        eager = outcome(lambda value: functional.pad(x, (1, 0), value=value))
        assert outcome(lambda value: _traced.pad(x, [1, 0], "constant", value)) == eager


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("mode", ["constant", *REPEATING])
def test_what_graphs_run_has_the_strides_of_eager(mode):
    cases = [case for case in CASES + REPEATING_CASES if case.mode == mode]
    assert len(cases) > 400
    for case in cases:
        torch.default_generator.manual_seed(0)
        call = case.call()
        assert_same(_traced.pad(call.input, list(case.pad), mode, case.value), call.expected)


def random_case(rng: random.Random) -> Case:
    """Small sizes, whose strides say little, in any layout."""
    while True:
        shape = tuple(rng.choice((0, 1, 1, 2, 3, 4)) for _ in range(rng.randint(1, 5)))
        entries = tuple(rng.randint(-3, 3) for _ in range(2 * rng.randint(0, len(shape))))
        mode = rng.choice(("constant", *REPEATING))
        crops = tuple(min(entry, 0) for entry in entries)
        if repeats(shape, entries, mode) if mode != "constant" else repeats(shape, crops, "circular"):
            return Case(shape, entries, rng.choice(layouts(shape)), mode=mode)


@pytest.mark.parametrize("seed", range(4))
def test_compiled_strides_are_those_of_eager(seed):
    rng = random.Random(seed)
    for case in [random_case(rng) for _ in range(25)] + [Case((1, 1), (-1, 3), mode="replicate")]:
        torch._dynamo.reset()
        call = case.call()
        compiled = torch.compile(case.run, fullgraph=True, dynamic=False, backend="aot_eager")
        assert_same(compiled(call.input), call.expected)


class Plain(Tensor):
    """A subclass that changes nothing."""


STATISTICS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}


def offsets_of_sizes(x: Tensor) -> Tensor:
    offsets = functional.random_offsets(x.size(0), [x.size(2), x.size(3)], (4, 4), padding=1)
    return functional.crop_at(x, offsets, (4, 4))


def offsets_of_shape(x: Tensor) -> Tensor:
    return functional.crop_at(x, functional.random_offsets(x.shape[0], x.shape[-2:], (4, 4)), (4, 4))


MORE_PROGRAMS = [
    tcf.RandomCrop(4, padding=1, flip=0.5),
    tcf.RandomCrop(12, padding_mode="reflect").eval(),
    tcf.CropMirrorNormalize(4, **STATISTICS),
    nn.Sequential(nn.ReLU(), tcf.CropMirrorNormalize(4, **STATISTICS, memory_format=torch.channels_last)),
    offsets_of_sizes,
    offsets_of_shape,
    lambda x: functional.crop_at(x, torch.zeros(2, 2, dtype=torch.int64), (4, 4), padding_mode="reflect"),
    lambda x: functional.crop_mirror_normalize(x, None, (4, 4), **STATISTICS),
    lambda x: functional.five_crop(x, 4),
    lambda x: functional.ten_crop(x, (4, 3), vertical_flip=True),
]


@pytest.mark.parametrize("program", FUNCTIONS + OUT_FUNCTIONS + LAYERS + MORE_PROGRAMS, ids=name_of)
def test_fx_traces_layers_and_functions(program):
    traced = torch.fx.symbolic_trace(program)
    for x in [images(8, 9), images(11, 13)]:
        torch.manual_seed(0)
        expected = program(x)
        torch.manual_seed(0)
        assert_same(traced(x), expected)


def test_fx_traces_each_layer_and_function():
    layers = {
        type(module).__name__
        for program in LAYERS + MORE_PROGRAMS
        if isinstance(program, nn.Module)
        for module in program.modules()
    }
    assert {*tcf.layers.__all__, *tcf.pads.__all__} <= layers
    functions = [program for program in FUNCTIONS + MORE_PROGRAMS if not isinstance(program, nn.Module)]
    assert set(functional.__all__) <= {name for function in functions for name in function.__code__.co_names}


@pytest.mark.parametrize("layer", [tcf.RandomCrop(4), tcf.CropMirrorNormalize(4, **STATISTICS)], ids=name_of)
def test_fx_traces_of_one_image(layer):
    traced = torch.fx.symbolic_trace(layer.eval())
    for x in [images(8, 9)[0], images(8, 9)]:
        assert_same(traced(x), layer(x))


def as_image(x: Tensor) -> Tensor:
    return pytest.importorskip("torchvision.tv_tensors").Image(x)


@pytest.mark.parametrize("make", [as_image, lambda x: x.as_subclass(Plain)], ids=["tv_tensor", "subclass"])
@pytest.mark.parametrize(
    "program",
    [
        lambda x: functional.pad(x, (1, -2), value=0.5),
        lambda x: functional.pad(x, (1, -2), "reflect"),
        tcf.Crop2d(1),
        tcf.CenterCrop(4),
        tcf.RandomCrop(4).eval(),
        tcf.CropMirrorNormalize(4, **STATISTICS),
    ],
    ids=["pad", "reflect", "Crop2d", "CenterCrop", "RandomCrop", "CropMirrorNormalize"],
)
def test_subclasses_compile(program, make):
    x = make(images(8, 9))
    compiled = torch.compile(program, fullgraph=True, backend="eager")
    assert_same(compiled(x).as_subclass(Tensor), program(x).as_subclass(Tensor))
