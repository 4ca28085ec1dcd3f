"""The layers: pads against torch.nn's, crops against slices, center crops against torchvision and golden tables."""

import copy
import pickle
import re
from functools import partial
from typing import get_type_hints

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from op_tester import assert_same
from programs import FUNCTIONS, LAYERS, OUT_FUNCTIONS, assert_same_with_grad, example, name_of, output_and_grad
from torch import nn

import torchcrop_fast as tcf
from torchcrop_fast import functional
from torchcrop_fast.reference import CroppingNetwork, ZeroPadCrop2d


def inputs(dims: int) -> list[torch.Tensor]:
    """Images of ``dims`` dims: bare, unbatched, batched, channels last, transposed, a batch of none."""
    sizes = (7, 8, 9)[-dims:]
    batch = torch.rand(2, 3, *sizes)
    transposed = torch.rand(2, 3, *reversed(sizes)).permute(0, 1, *range(dims + 1, 1, -1))
    images = [batch[0, 0], batch[0], batch, batch.movedim(1, -1).contiguous().movedim(-1, 1), transposed, batch[:0]]
    assert {tuple(image.shape[-dims:]) for image in images} == {sizes}
    return images


PADDINGS = {
    1: [2, -1, (1, 2), (-1, 2), (-2, -1), [3, 0], (0, 0), (-4, -5)],
    2: [1, -2, (1, 2, 3, 4), (-1, 2, -3, 0), (-1, -2, -3, -4), [1, -1, 0, 2], (1, 2), (-9, 3, 1, 1)],
    3: [1, -1, (1, 2, 0, 1, 2, 1), (-1, 2, -1, 0, 1, -2), [-1, -2, -3, -4, -3, -3], (1, -2, 3, 1), (0,) * 6],
}
PADS = [
    pytest.param(dims, f"{kind}{dims}d", (padding, *value), id=f"{kind}{dims}d{(padding, *value)}".replace(" ", ""))
    for dims, paddings in PADDINGS.items()
    for padding in paddings
    for kind, value in [("ZeroPad", ()), ("ConstantPad", (-1.5,)), ("ConstantPad", (7,))]
]
REPEATING_PADDINGS = {
    1: [2, -1, (1, 2), (-1, 2), (-2, -1), [3, 0], (0, 0)],
    2: [1, -2, (1, 2, 3, 4), (-1, 2, -3, 0), (-1, -2, -3, -4), [1, -1, 0, 2], (-4, 3, 1, 1)],
    3: [1, -1, (1, 2, 0, 1, 2, 1), (-1, 2, -1, 0, 1, -2), [-1, -2, -3, -2, -3, -3], (0,) * 6],
}
PADS += [
    pytest.param(dims, f"{kind}{dims}d", (padding,), id=f"{kind}{dims}d{padding}".replace(" ", ""))
    for dims, paddings in REPEATING_PADDINGS.items()
    for padding in paddings
    for kind in ("ReflectionPad", "ReplicationPad", "CircularPad")
]


@pytest.mark.parametrize(("dims", "name", "arguments"), PADS)
def test_pads_equal_torch_nn(dims, name, arguments):
    ours, reference = getattr(tcf, name)(*arguments), getattr(nn, name)(*arguments)
    repeats = not name.startswith(("Zero", "Constant"))
    for input in inputs(dims)[repeats:]:  # torch.nn repeats nothing of a bare image
        assert_same_with_grad(ours, reference, input)


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", ["ReflectionPad", "ReplicationPad", "CircularPad"])
def test_repeating_pads_take_any_rank_and_dtype(kind, dims):
    layer, reference = getattr(tcf, f"{kind}{dims}d")(1), getattr(nn, f"{kind}{dims}d")(1)
    batch = torch.rand(2, 3, *(7, 8, 9)[3 - dims :])
    expected = reference(batch)
    for shape in [batch.shape[2:], (2, 1, 3, *batch.shape[2:])]:
        wanted = expected[0, 0] if len(shape) == dims else expected.unsqueeze(1)
        image = batch[0, 0] if len(shape) == dims else batch.unsqueeze(1)
        assert torch.equal(layer(image), wanted)
    assert torch.equal(layer(batch > 0.5), expected > 0.5)


@pytest.mark.parametrize("kind", ["ReflectionPad", "ReplicationPad", "CircularPad"])
def test_repeating_pads_refuse_what_torch_nn_refuses(kind):
    ours, reference = getattr(tcf, f"{kind}2d"), getattr(nn, f"{kind}2d")
    for arguments in [(), (1, 2)]:
        for layer in [ours, reference]:
            with pytest.raises(TypeError):
                layer(*arguments)
    image = torch.rand(1, 3, 8, 9)
    for padding in [(1, 2, 3), (1.5, 1, 1, 1), (10, 0, 0, 0), ("1", 0, 0, 0), None, 1.5]:
        if kind == "ReplicationPad" and padding == (10, 0, 0, 0):
            continue
        for layer in [ours(padding), reference(padding)]:
            with pytest.raises((RuntimeError, TypeError)):
                layer(image)


@pytest.mark.parametrize(("dims", "name", "arguments"), PADS)
def test_pads_look_like_torch_nn(dims, name, arguments):
    ours, reference = getattr(tcf, name)(*arguments), getattr(nn, name)(*arguments)
    assert isinstance(ours, type(reference))
    assert repr(ours) == repr(reference)
    assert ours.padding == reference.padding
    assert vars(ours).get("value") == vars(reference).get("value")
    assert type(ours).__constants__ == type(reference).__constants__
    assert get_type_hints(type(ours)) == get_type_hints(type(reference))
    assert get_type_hints(type(ours).forward) == get_type_hints(type(reference).forward)
    assert type(ours).__name__ == type(ours).__qualname__ == name


def test_pads_take_keywords_and_numpy_ints():
    assert repr(tcf.ZeroPad2d(padding=2)) == repr(nn.ZeroPad2d(2))
    assert repr(tcf.ConstantPad3d(padding=1, value=0.5)) == repr(nn.ConstantPad3d(1, 0.5))
    image = torch.rand(3, 8, 9)
    assert_same(tcf.ZeroPad2d(np.int64(-2))(image), nn.ZeroPad2d(-2)(image))
    layer = tcf.ConstantPad1d((np.int32(1), np.int16(-2)), np.float32(0.5))
    assert_same(layer(image), F.pad(image, (1, -2), value=0.5))


def test_pads_take_what_users_assign():
    image = torch.rand(1, 3, 8, 9)
    layer = tcf.ConstantPad2d(1, 0.0)
    layer.padding, layer.value = (1, -1, 0, 2), 2.5
    assert_same(layer(image), F.pad(image, (1, -1, 0, 2), value=2.5))


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_layers_are_modules_like_torch_nns(layer):
    image = example()
    expected = layer(image)
    assert list(layer.state_dict()) == list(layer.parameters()) == list(layer.buffers()) == []
    assert str(layer.load_state_dict({})) == "<All keys matched successfully>"
    for twin in [pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer), copy.copy(layer)]:
        assert type(twin) is type(layer)
        assert repr(twin) == repr(layer)
        assert_same(twin(image), expected)

    layer = copy.deepcopy(layer)
    assert layer.training
    assert_same(layer.eval()(image), expected)
    assert not layer.training
    assert layer.train().training
    assert layer.to(torch.float64) is layer.half() is layer.cpu() is layer
    assert_same(layer(image), expected)
    assert_same(layer(image.double()), expected.double())
    assert_same(layer(image.half()), expected.half())


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_layers_say_how_to_make_them(layer):
    text = repr(layer)
    twin = eval(text, {type(layer).__name__: type(layer)})
    assert repr(twin) == text
    image = example()
    assert_same(twin(image), layer(image))


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_layers_trace_with_fx(layer):
    traced = torch.fx.symbolic_trace(layer)
    for image in [example(), example(11, 13), example()[0]]:
        assert_same_with_grad(traced, layer, image)


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if f.__name__ != "crop_view"], ids=name_of)
def test_functions_trace_with_fx(function):
    traced = torch.fx.symbolic_trace(function)
    for image in [example(), example(11, 13)]:
        assert_same(traced(image), function(image))


def test_layers_in_a_sequential():
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 4, 3)
    ours = nn.Sequential(tcf.ZeroPad2d(1), convolution, tcf.Crop2d((1, 2, 0, 1)), tcf.ConstantPad2d(2, 0.5))
    reference = nn.Sequential(nn.ZeroPad2d(1), convolution, nn.ZeroPad2d((-1, -2, 0, -1)), nn.ConstantPad2d(2, 0.5))
    for image in inputs(2)[1:]:
        assert_same_with_grad(ours, reference, image)
    assert list(ours.state_dict()) == list(reference.state_dict())


def test_reference_and_ours_are_bit_equal():
    torch.manual_seed(0)
    digits = torch.randn(10, 1, 28, 28)
    expected = digits[:, :, 4:24, 4:24].contiguous()
    results = [
        output_and_grad(network, digits)
        for network in [
            ZeroPadCrop2d(4),
            tcf.Crop2d(4),
            tcf.ZeroPad2d(-4),
            CroppingNetwork(),
            CroppingNetwork(tcf.ZeroPad2d),
            CroppingNetwork(lambda padding: tcf.Crop2d(-padding)),
        ]
    ]
    for output, grad in results:
        assert_same(output, expected)
        assert_same(grad, results[0][1])
        assert torch.count_nonzero(grad) == expected.numel()
    assert {type(layer) for layer in CroppingNetwork().layers} == {nn.ZeroPad2d}
    assert {type(layer) for layer in CroppingNetwork(tcf.ZeroPad2d).layers} == {tcf.ZeroPad2d}


# A layer, what it is given, and what that is in torch's order.
CROPS = [
    (tcf.Crop1d, 2, (2, 2)),
    (tcf.Crop1d, 0, (0, 0)),
    (tcf.Crop1d, -1, (-1, -1)),
    (tcf.Crop1d, np.int64(3), (3, 3)),
    (tcf.Crop1d, (1, 2), (1, 2)),
    (tcf.Crop1d, [1, 2], (1, 2)),
    (tcf.Crop1d, ((1, 2),), (1, 2)),
    (tcf.Crop1d, (-1, 2), (-1, 2)),
    (tcf.Crop1d, (4, 5), (4, 5)),
    (tcf.Crop2d, 3, (3, 3, 3, 3)),
    (tcf.Crop2d, 4, (4, 4, 4, 4)),
    (tcf.Crop2d, -2, (-2, -2, -2, -2)),
    (tcf.Crop2d, np.int32(1), (1, 1, 1, 1)),
    (tcf.Crop2d, (1, 2, 3, 4), (1, 2, 3, 4)),
    (tcf.Crop2d, [1, 2, 3, 4], (1, 2, 3, 4)),
    (tcf.Crop2d, torch.Size([1, 2, 3, 4]), (1, 2, 3, 4)),
    (tcf.Crop2d, tuple(np.arange(4)), (0, 1, 2, 3)),
    (tcf.Crop2d, ((1, 2), (3, 4)), (3, 4, 1, 2)),
    (tcf.Crop2d, [[1, 2], [3, 4]], (3, 4, 1, 2)),
    (tcf.Crop2d, [(1, 2), [3, np.int64(4)]], (3, 4, 1, 2)),
    (tcf.Crop2d, (-1, 2, 0, -3), (-1, 2, 0, -3)),
    (tcf.Crop2d, ((0, -3), (-1, 2)), (-1, 2, 0, -3)),
    (tcf.Crop3d, 1, (1, 1, 1, 1, 1, 1)),
    (tcf.Crop3d, -1, (-1, -1, -1, -1, -1, -1)),
    (tcf.Crop3d, (1, 2, 3, 4, 5, 1), (1, 2, 3, 4, 5, 1)),
    (tcf.Crop3d, ((1, 2), (3, 4), (0, 5)), (0, 5, 3, 4, 1, 2)),
    (tcf.Crop3d, [[1, -2], [3, 0], [-5, 6]], (-5, 6, 3, 0, 1, -2)),
]
CROP_IDS = [f"{layer.__name__}({cropping})".replace(" ", "") for layer, cropping, _ in CROPS]


@pytest.mark.parametrize(("layer_type", "cropping", "torch_order"), CROPS, ids=CROP_IDS)
def test_crops_equal_torch_nn_with_turned_signs(layer_type, cropping, torch_order):
    layer = layer_type(cropping)
    assert layer.cropping == torch_order
    assert {type(entry) for entry in layer.cropping} == {int}
    assert repr(layer) == f"{layer_type.__name__}({torch_order})"
    dims = len(torch_order) // 2
    reference = getattr(nn, f"ZeroPad{dims}d")(tuple(-entry for entry in torch_order))
    for input in inputs(dims):
        assert_same_with_grad(layer, reference, input)


@pytest.mark.parametrize("input", inputs(3), ids=lambda input: f"{tuple(input.shape)}{input.stride()}".replace(" ", ""))
def test_crops_equal_slices(input):
    depth, height, width = input.shape[-3:]
    for layer, window in [
        (tcf.Crop1d((1, 2)), input[..., 1 : width - 2]),
        (tcf.Crop2d((1, 2, 0, 3)), input[..., 0 : height - 3, 1 : width - 2]),
        (tcf.Crop2d(((0, 3), (1, 2))), input[..., 0 : height - 3, 1 : width - 2]),
        (tcf.Crop3d((1, 2, 0, 3, 4, 1)), input[..., 4 : depth - 1, 0 : height - 3, 1 : width - 2]),
        (tcf.Crop3d(((4, 1), (0, 3), (1, 2))), input[..., 4 : depth - 1, 0 : height - 3, 1 : width - 2]),
    ]:
        assert_same(layer(input), window.clone())


WRONG_CROPS = [
    (
        tcf.Crop2d,
        (1, 2),
        ValueError,
        "Crop2d: cropping (1, 2) has two readings: for (height, width) as in Keras write ((1, 1), (2, 2)),"
        " for (left, right) as in torch write (1, 2, 0, 0)",
    ),
    (
        tcf.Crop3d,
        [3, -4],
        ValueError,
        "Crop3d: cropping [3, -4] has two readings: for (height, width) as in Keras write ((0, 0), (3, 3), (-4, -4)),"
        " for (left, right) as in torch write (3, -4, 0, 0, 0, 0)",
    ),
    *[
        (layer, cropping, error, f"{layer.__name__}: cropping must be {expected}, got {cropping!r}")
        for layer, expected, wrong_lengths, wrong_types in [
            (
                tcf.Crop1d,
                "an int or (left, right)",
                [(), (1,), (1, 2, 3), ((1, 2), (3, 4)), ((1, 2, 3),)],
                [1.5, None, "12", (1, 2.5), (1, None), ("a", "b"), {1, 2}, (1, (2, 3)), ((1, 2.5),)],
            ),
            (
                tcf.Crop2d,
                "an int, (left, right, top, bottom) or ((top, bottom), (left, right))",
                [(), (1,), (1, 2, 3), (1,) * 6, ((1, 2),), ((1, 2), (3,)), ((1, 2), (3, 4), (5, 6))],
                [2.0, None, "1234", (1, 2, 3, 4.0), ((1, 2), (3, "4")), (1, 2, (3, 4)), torch.ones(2)],
            ),
            (
                tcf.Crop3d,
                "an int, (left, right, top, bottom, front, back) or ((front, back), (top, bottom), (left, right))",
                [(), (1, 2, 3), (1, 2, 3, 4), ((1, 2), (3, 4)), ((1,), (2,), (3,))],
                [1j, "123456", (1, 2, 3, 4, 5, 6.0), (1, 2, (3, 4)), ((1, 2), (3, 4), None)],
            ),
        ]
        for error, croppings in [(ValueError, wrong_lengths), (TypeError, wrong_types)]
        for cropping in croppings
    ],
]


@pytest.mark.parametrize(
    ("layer", "cropping", "error", "text"),
    WRONG_CROPS,
    ids=[f"{layer.__name__}({cropping})".replace(" ", "") for layer, cropping, *_ in WRONG_CROPS],
)
def test_wrong_croppings_raise(layer, cropping, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        layer(cropping)


def test_both_readings_of_a_flat_pair_can_be_written():
    image = torch.rand(1, 3, 8, 9)
    assert_same(tcf.Crop2d(((1, 1), (2, 2)))(image), image[:, :, 1:7, 2:7].clone())
    assert_same(tcf.Crop2d((1, 2, 0, 0))(image), image[..., 1:7].clone())


@pytest.mark.parametrize(
    ("layer", "input", "text"),
    [
        (tcf.Crop2d(5), torch.rand(1, 8, 9), "cannot crop 5 + 5 elements from dim 2 of size 9"),
        (tcf.Crop3d(1), torch.rand(8, 9), "must have at most 4 entries for an input of 2 dims, got 6"),
        (tcf.ZeroPad2d((0, 0, -5, -4)), torch.rand(1, 8, 9), "pad: cannot crop 5 + 4 elements from dim 1 of size 8"),
        (tcf.CenterCrop(4), torch.rand(8), "center_crop: size has 2 entries, more than the 1 dims of input"),
    ],
    ids=["Crop2d", "Crop3d", "ZeroPad2d", "CenterCrop"],
)
def test_layers_say_what_does_not_fit(layer, input, text):
    with pytest.raises((RuntimeError, ValueError), match=re.escape(text)):
        layer(input)


@pytest.mark.parametrize("available", range(10))
@pytest.mark.parametrize("wanted", range(1, 10))
def test_center_crop_equals_torchvision(available, wanted):
    torchvision = pytest.importorskip("torchvision.transforms.v2.functional")
    # The two dims together meet all that one can: equal, larger and smaller inputs, even and odd differences.
    for size in [(wanted, 10 - wanted), (wanted, wanted)]:
        for shape in [(3, available, 9 - available), (2, 1, available, available)]:
            image = torch.rand(shape)
            # torchvision reshapes an empty image, and fails.
            empty = torch.zeros(shape[:-2] + size)
            expected = torchvision.center_crop(image, list(size)) if image.numel() > 0 else empty
            layer = tcf.CenterCrop(size)
            torch.testing.assert_close(layer(image), expected, rtol=0, atol=0)
            torch.testing.assert_close(functional.center_crop(image, list(size)), expected, rtol=0, atol=0)


# (of, wanted): where each rounding begins. "dali" rounds half of the difference away from zero; "monai" takes half of
# each size, downwards; "keras" half of the difference, downwards.
CENTER_STARTS = {
    (5, 5): {"torchvision": 0, "keras": 0, "dali": 0, "monai": 0},
    (6, 4): {"torchvision": 1, "keras": 1, "dali": 1, "monai": 1},
    (5, 3): {"torchvision": 1, "keras": 1, "dali": 1, "monai": 1},
    (6, 2): {"torchvision": 2, "keras": 2, "dali": 2, "monai": 2},
    (4, 0): {"torchvision": 2, "keras": 2, "dali": 2, "monai": 2},
    (5, 4): {"torchvision": 0, "keras": 0, "dali": 1, "monai": 0},
    (4, 3): {"torchvision": 0, "keras": 0, "dali": 1, "monai": 1},
    (5, 2): {"torchvision": 2, "keras": 1, "dali": 2, "monai": 1},
    (6, 3): {"torchvision": 2, "keras": 1, "dali": 2, "monai": 2},
    (7, 2): {"torchvision": 2, "keras": 2, "dali": 3, "monai": 2},
    (6, 1): {"torchvision": 2, "keras": 2, "dali": 3, "monai": 3},
    (9, 2): {"torchvision": 4, "keras": 3, "dali": 4, "monai": 3},
    (8, 1): {"torchvision": 4, "keras": 3, "dali": 4, "monai": 4},
    (29, 20): {"torchvision": 4, "keras": 4, "dali": 5, "monai": 4},
    (28, 19): {"torchvision": 4, "keras": 4, "dali": 5, "monai": 5},
}


@pytest.mark.parametrize("rounding", ["torchvision", "keras", "dali", "monai"])
@pytest.mark.parametrize(("available", "wanted"), CENTER_STARTS)
def test_center_crop_roundings(available, wanted, rounding):
    start = CENTER_STARTS[available, wanted][rounding]
    line = torch.arange(available)
    assert_same(functional.center_crop(line, [wanted], rounding), torch.arange(start, start + wanted))
    plane = line.expand(3, available)
    assert_same(tcf.CenterCrop((3, wanted), rounding)(plane), plane[:, start : start + wanted].clone())


@pytest.mark.parametrize("rounding", ["torchvision", "keras", "dali", "monai"])
@pytest.mark.parametrize(
    ("line", "padded"),
    [
        ([1], [1, 0]),
        ([1], [0, 1, 0]),
        ([1, 2], [0, 1, 2, 0]),
        ([1, 2], [0, 1, 2, 0, 0]),
        ([1, 2, 3], [0, 0, 1, 2, 3, 0, 0, 0]),
        ([], [0, 0, 0]),
    ],
)
def test_center_crop_pads_what_is_smaller(line, padded, rounding):
    line, padded = torch.tensor(line, dtype=torch.uint8), torch.tensor(padded, dtype=torch.uint8)
    assert_same(functional.center_crop(line, [len(padded)], rounding), padded)


@pytest.mark.parametrize(
    ("size", "entries"),
    [
        (4, (4, 4)),
        ([5], (5, 5)),
        ((5,), (5, 5)),
        ((3, 6), (3, 6)),
        ([2, 3, 4], (2, 3, 4)),
        (np.int64(3), (3, 3)),
        ((np.int32(2), 1), (2, 1)),
        (torch.Size([2, 2]), (2, 2)),
        (0, (0, 0)),
    ],
    ids=str,
)
def test_center_crop_sizes(size, entries):
    layer = tcf.CenterCrop(size)
    assert layer.size == entries
    assert {type(entry) for entry in layer.size} == {int}
    assert layer(example()).shape[-len(entries) :] == entries
    assert repr(layer) == f"CenterCrop(size={entries})"
    assert repr(tcf.CenterCrop(size, rounding="dali")) == f"CenterCrop(size={entries}, rounding='dali')"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((1.5,), TypeError, "CenterCrop: size must be an int or a sequence of ints, got 1.5"),
        ((None,), TypeError, "CenterCrop: size must be an int or a sequence of ints, got None"),
        (((1, "2"),), TypeError, "CenterCrop: size must be an int or a sequence of ints, got (1, '2')"),
        (("12",), TypeError, "CenterCrop: size must be an int or a sequence of ints, got '12'"),
        ((-1,), ValueError, "center_crop: size must not be negative, got -1"),
        (((3, -2),), ValueError, "center_crop: size must not be negative, got -2"),
        (
            (4, "half"),
            ValueError,
            "center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got 'half'",
        ),
    ],
)
def test_wrong_center_crops_raise(arguments, error, text):
    with pytest.raises(error, match=re.escape(text)):
        tcf.CenterCrop(*arguments)


@pytest.mark.parametrize(
    ("layer", "shape", "memory_format"),
    [
        (layer, shape, memory_format)
        for shape, memory_format, layers in [
            ((2, 3, 8, 9), torch.channels_last, [tcf.ZeroPad2d(1), tcf.ZeroPad2d((-1, 2, 0, -3)), tcf.Crop2d(2)]),
            ((2, 3, 8, 9), torch.channels_last, [tcf.CenterCrop(4), tcf.CenterCrop((20, 3)), tcf.ConstantPad2d(-1, 1)]),
            ((2, 3, 6, 7, 8), torch.channels_last_3d, [tcf.ZeroPad3d(1), tcf.Crop3d(2), tcf.CenterCrop((2, 3, 20))]),
        ]
        for layer in layers
    ],
    ids=lambda parameter: name_of(parameter) if isinstance(parameter, nn.Module) else "",
)
def test_channels_last_stays(layer, shape, memory_format):
    image = torch.rand(shape).contiguous(memory_format=memory_format)
    assert layer(image).is_contiguous(memory_format=memory_format)
    assert not layer(image).is_contiguous()
    assert_same(layer(image), layer(image.contiguous()).contiguous(memory_format=memory_format))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_crop_without_copy_is_a_view(dims):
    cropping = (1, 2, 0, 3, 4, 1)[: 2 * dims]
    for image in inputs(dims):
        begins, ends = cropping[0::2], cropping[1::2]
        window = tuple(
            slice(begin, size - end)
            for begin, end, size in reversed(list(zip(begins, ends, reversed(image.shape[-dims:]), strict=True)))
        )
        view, expected = functional.crop(image, cropping, copy=False), image[(..., *window)]
        assert_same(view, expected)
        assert view.data_ptr() == expected.data_ptr()
        assert view.untyped_storage().data_ptr() == image.untyped_storage().data_ptr()
        assert_same(functional.crop(image, cropping), view.clone())
        assert_same_with_grad(
            partial(functional.crop, cropping=cropping, copy=False), lambda x, window=window: x[(..., *window)], image
        )
        view.fill_(-1)
        assert torch.count_nonzero(image == -1) == view.numel()


def test_crop_with_copy_never_shares_memory():
    image = torch.rand(3, 8, 9)
    for cropping in [(), (0, 0), (1, 2), (0, 0, 0, 0, 1, 1)]:
        window = functional.crop(image, cropping)
        assert window.untyped_storage().data_ptr() != image.untyped_storage().data_ptr()
        assert functional.crop(image, cropping, copy=False).untyped_storage().data_ptr() == image.data_ptr()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"cropping": (-1, 2)}, ValueError, "crop: cropping must not be negative with copy=False, got [-1, 2]"),
        ({"cropping": (0, 0, 1, -2)}, ValueError, "must not be negative with copy=False, got [0, 0, 1, -2]"),
        ({"cropping": (1, 2), "out": torch.empty(0)}, ValueError, "crop: out cannot be given with copy=False"),
        ({"cropping": (5, 5)}, RuntimeError, "cannot crop 5 + 5 elements from dim 2 of size 9"),
        ({"cropping": (1,)}, RuntimeError, "must have an even number of entries, got 1"),
        ({"cropping": (0,) * 8}, RuntimeError, "must have at most 6 entries for an input of 3 dims, got 8"),
    ],
    ids=["negative", "a_later_negative", "out", "too_much", "odd", "too_long"],
)
def test_wrong_views_raise(arguments, error, text):
    with pytest.raises(error, match=re.escape(text)):
        functional.crop(torch.rand(3, 8, 9), copy=False, **arguments)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("shape", "pad"),
    [
        ((3, 9), (2, 1)),
        ((2, 3, 9), (0, 4)),
        ((3, 8, 9), (1, 2, 3, 0)),
        ((2, 3, 8, 9), (1, 2, 0, 4)),
        ((3, 6, 8, 9), (1, 2, 3, 4, 2, 1)),
        ((2, 3, 6, 8, 9), (1, 0, 2, 1, 0, 3)),
        ((2, 3, 8, 9), (-1, 2, 3, -2)),
    ],
    ids=str,
)
def test_repeating_modes_equal_torchs_pad(mode, shape, pad):
    assert_same_with_grad(
        partial(functional.pad, pad=pad, mode=mode), partial(F.pad, pad=pad, mode=mode), torch.rand(shape)
    )


def test_tables_hold_every_layer_and_function():
    # Else a new one would be scripted, traced, compiled and exported in no test.
    in_files_of_their_own = {"CropMirrorNormalize", "RandomCrop", "crop_at", "crop_mirror_normalize", "five_crop"}
    in_files_of_their_own |= {"random_offsets", "ten_crop"}
    others = {"Conversion", "PadOverride", "cmake_prefix_path", "convert", "functional", "memory", "override_torch_pad"}
    layers = set(tcf.__all__) - others - in_files_of_their_own
    assert {type(layer).__name__ for layer in LAYERS} == layers
    called = {name for function in FUNCTIONS + OUT_FUNCTIONS for name in function.__code__.co_names}
    assert set(functional.__all__) - in_files_of_their_own <= called
