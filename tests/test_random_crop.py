"""Random crops, sample by sample, and crops at the corners: against torchvision's, image by image."""

import copy
import io
import itertools
import pickle
import random
import re
from typing import Any

import numpy as np
import pytest
import torch
from op_tester import assert_same
from torch import Tensor
from torch._subclasses import FakeTensorMode

import torchcrop_fast as tcf
from torchcrop_fast import functional

MODES = ["constant", "edge", "reflect", "symmetric"]


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    torch._dynamo.reset()


def random_images(generator: random.Random, height: int, width: int) -> Tensor:
    """A batch that tells its elements apart, of some dtype and memory format."""
    images = torch.arange(1, 2 * 3 * height * width + 1).view(2, 3, height, width)
    images = images.to(generator.choice([torch.float32, torch.int64, torch.float64]))
    return images.contiguous(memory_format=generator.choice([torch.contiguous_format, torch.channels_last]))


def assert_equal(result: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


# five_crop and ten_crop


def torchvision_crops(name: str, input: Tensor, size, *arguments) -> Tensor:
    v1_functional = pytest.importorskip("torchvision.transforms.functional")
    return torch.stack(getattr(v1_functional, name)(input, size, *arguments), dim=input.dim() - 3)


CALLS = [("five_crop", ()), ("ten_crop", ()), ("ten_crop", (False,)), ("ten_crop", (True,))]


@pytest.mark.parametrize(("name", "arguments"), CALLS)
@pytest.mark.parametrize("seed", range(20))
def test_corner_crops_equal_torchvision(name, arguments, seed):
    generator = random.Random(seed)
    height, width = generator.randint(1, 12), generator.randint(1, 12)
    size = (generator.randint(1, height), generator.randint(1, width))
    batch = random_images(generator, height, width)
    function = getattr(functional, name)
    scripted = torch.jit.script(function)
    for input in (batch, batch[0], batch.transpose(0, 1), batch[:0]):
        expected = torchvision_crops(name, input, size, *arguments)
        assert_equal(function(input, size, *arguments), expected)
        assert_equal(scripted(input, list(size), *arguments), expected)
    square = min(size)
    for entries in (square, [square], np.int64(square)):
        assert_equal(function(batch, entries, *arguments), torchvision_crops(name, batch, square, *arguments))
    assert_equal(scripted(batch, square, *arguments), torchvision_crops(name, batch, square, *arguments))


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_corner_crops_send_back_what_torchvisions_do(name, arguments):
    ours, theirs = (torch.rand(2, 3, 7, 8, requires_grad=True) for _ in range(2))
    weights = torch.rand(2, 5 if name == "five_crop" else 10, 3, 5, 6)
    (getattr(functional, name)(ours, (5, 6), *arguments) * weights).sum().backward()
    (torchvision_crops(name, theirs, (5, 6), *arguments) * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_corner_crops_in_graphs(name, arguments):
    def program(x):
        return getattr(functional, name)(x, [4, 3], *arguments)

    images = [torch.rand(2, 3, 8, 9), torch.rand(3, 2, 11, 6), torch.rand(5, 1, 4, 3)]
    for graph in [
        torch.jit.trace(program, images[0]),
        torch.compile(program, fullgraph=True, dynamic=True, backend="aot_eager"),
        torch.fx.symbolic_trace(program),
    ]:
        for x in images:
            assert_same(graph(x), program(x))
    assert program(images[0].to("meta")).shape == program(images[0]).shape


@pytest.mark.parametrize("name", ["five_crop", "ten_crop"])
@pytest.mark.parametrize(
    ("input", "size", "error", "text"),
    [
        (torch.ones(3, 8, 9), 9, ValueError, "size must be positive and fit into the input, [8, 9], got [9, 9]"),
        (torch.ones(3, 8, 9), (8, 10), ValueError, "size must be positive and fit into the input, [8, 9], got [8, 10]"),
        (torch.ones(3, 8, 9), (0, 4), ValueError, "size must be positive and fit into the input, [8, 9], got [0, 4]"),
        (torch.ones(3, 8, 9), -1, ValueError, "size must be positive and fit into the input, [8, 9], got [-1, -1]"),
        (torch.ones(3, 8, 9), (1, 2, 3), ValueError, "size must be an int or (height, width), got [1, 2, 3]"),
        (torch.ones(3, 8, 9), (), ValueError, "size must be an int or (height, width), got []"),
        (torch.ones(8, 9), 4, ValueError, "input must have at least 3 dims, (C, H, W), got 2"),
        (torch.ones(3, 8, 9), 4.0, TypeError, "size must contain ints, got float at position 0"),
        (torch.ones(3, 8, 9), (4, True), TypeError, "size must contain ints, got bool at position 1"),
        (torch.ones(3, 8, 9), "44", TypeError, "size must be a list or tuple of ints, got str"),
        (np.ones((3, 8, 9)), 4, TypeError, "input must be a Tensor, got ndarray"),
    ],
    ids=str,
)
def test_wrong_corner_crops_raise(name, input, size, error, text):
    with pytest.raises(error, match=re.escape(f"{name}: {text}")):
        getattr(functional, name)(input, size)


# random_offsets


@pytest.mark.parametrize(
    ("input_size", "size", "padding", "places"),
    [
        ((6,), (4,), 0, [range(3)]),
        ((6,), (4,), 2, [range(-2, 5)]),
        ((6,), (4,), -1, [range(1, 2)]),
        ((6, 5), (4, 4), 0, [range(3), range(2)]),
        ((6, 5), (4, 4), (1, 0), [range(-1, 4), range(2)]),
        ((6, 5), (6, 7), (0, 1), [range(1), range(-1, 0)]),
        ((1, 2, 3), (3, 2, 1), [1, 0, 1], [range(-1, 0), range(1), range(-1, 4)]),
    ],
    ids=str,
)
def test_random_offsets_are_uniform_among_all_places(input_size, size, padding, places):
    draws = 4000
    generator = torch.Generator().manual_seed(0)
    offsets = functional.random_offsets(draws, input_size, size, padding=padding, generator=generator)
    assert offsets.dtype == torch.int64
    assert offsets.shape == (draws, len(input_size))
    every = list(itertools.product(*places))
    drawn = [tuple(place) for place in offsets.tolist()]
    assert set(drawn) == set(every)
    expected = draws / len(every)
    assert all(abs(drawn.count(place) - expected) < 6 * expected**0.5 for place in every)


def draw_offsets(
    n: int,
    input_size: list[int],
    size: list[int],
    padding: int,
    paddings: list[int],
    generator: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    first = functional.random_offsets(n, input_size, size, padding=padding)
    return first, functional.random_offsets(n, input_size, size, padding=paddings, generator=generator)


def test_random_offsets_follow_the_seed():
    arguments = 20, [30, 40], [8, 9], 3, [1, 2]
    scripted = torch.jit.script(draw_offsets)
    results = []
    for function in (draw_offsets, draw_offsets, scripted, scripted):
        torch.manual_seed(7)
        results.append(function(*arguments, torch.Generator().manual_seed(8)))
    for first, second in results:
        assert_same(first, results[0][0])
        assert_same(second, results[0][1])
    torch.manual_seed(9)
    other, same = draw_offsets(*arguments, torch.Generator().manual_seed(8))
    assert not torch.equal(other, results[0][0])
    assert_same(same, results[0][1])


def test_a_generator_leaves_the_default_one_alone():
    before = torch.get_rng_state()
    functional.random_offsets(4, (8, 9), (4, 4), generator=torch.Generator())
    assert torch.equal(torch.get_rng_state(), before)
    functional.random_offsets(4, (8, 9), (4, 4))
    assert not torch.equal(torch.get_rng_state(), before)


def test_random_offsets_are_drawn_where_told():
    assert functional.random_offsets(4, (8, 9), (4, 4)).device.type == "cpu"
    for device in ("meta", torch.device("meta")):
        offsets = functional.random_offsets(4, (8, 9), (4, 4), device=device)
        assert (offsets.device.type, offsets.shape) == ("meta", (4, 2))
    with torch.device("meta"):
        assert functional.random_offsets(4, (8, 9), (4, 4)).device.type == "meta"
        on_cpu = functional.random_offsets(4, (8, 9), (4, 4), generator=torch.Generator())
        assert on_cpu.device.type == "cpu"
    with FakeTensorMode():  # which nothing can be read from
        assert functional.random_offsets(4, (8, 9), (4, 4), device="cuda").device.type == "cuda"
    assert functional.random_offsets(0, (8, 9), (4, 4)).shape == (0, 2)


def test_random_offsets_compile():
    def program(x):
        return functional.random_offsets(x.size(0), x.shape[-2:], (4, 4), padding=1)

    compiled = torch.compile(program, fullgraph=True, dynamic=True, backend="aot_eager")
    for x in [torch.rand(50, 3, 8, 9), torch.rand(60, 3, 5, 12)]:
        offsets = compiled(x)
        assert offsets.shape == (x.size(0), 2)
        assert offsets.min() >= -1
        assert (offsets.amax(dim=0) <= torch.tensor(x.shape[-2:]) - 3).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((4, (8, 9), (9, 4)), {}, ValueError, "size 9 must not be larger than the padded input, 0 + 8 + 0, in spatial"),
        ((4, (8, 9), (9, 12)), {"padding": 1}, ValueError, "size 12 must not be larger than the padded input, 1 + 9 +"),
        ((4, (8, 9), (4, 4)), {"padding": (0, -3)}, ValueError, "-3 + 9 + -3, in spatial dim 1"),
        ((4, (8, 9), (4,)), {}, ValueError, "size must have as many entries as input_size, 2, got 1"),
        ((4, (8,), (4,)), {"padding": (1, 2)}, ValueError, "padding must have as many entries as input_size, 1, got 2"),
        ((4, (), ()), {}, ValueError, "input_size must not be empty"),
        ((4, (8, 9), (4, 0)), {}, ValueError, "size must contain positive ints, got [4, 0]"),
        ((-1, (8, 9), (4, 4)), {}, ValueError, "n must not be negative, got -1"),
        ((4.0, (8, 9), (4, 4)), {}, TypeError, "n must be an int, got float"),
        ((True, (8, 9), (4, 4)), {}, TypeError, "n must be an int, got bool"),
        ((4, 8, (4, 4)), {}, TypeError, "input_size must be a list or tuple of ints, got int"),
        ((4, (8, 9.0), (4, 4)), {}, TypeError, "input_size must contain ints, got float at position 1"),
        ((4, (8, 9), 4), {}, TypeError, "size must be a list or tuple of ints, got int"),
        ((4, (8, 9), (4, "4")), {}, TypeError, "size must contain ints, got str at position 1"),
        ((4, (8, 9), (4, 4)), {"padding": 0.5}, TypeError, "padding must be an int or a list of ints, got float"),
        (
            (4, (8, 9), (4, 4)),
            {"padding": (1, None)},
            TypeError,
            "padding must contain ints, got NoneType at position 1",
        ),
        ((4, (8, 9), (4, 4)), {"generator": 3}, TypeError, "generator must be a Generator or None, got int"),
    ],
    ids=str,
)
def test_wrong_random_offsets_raise(arguments, options, error, text):
    with pytest.raises(error, match=f"^random_offsets: .*{re.escape(text)}"):
        functional.random_offsets(*arguments, **options)


# RandomCrop


def sides(padding) -> tuple[int, int, int, int]:
    """Left, top, right, bottom, as torchvision reads its paddings."""
    if padding is None or isinstance(padding, int):
        return (padding or 0,) * 4
    return tuple(padding) * 2 if len(padding) == 2 else tuple(padding)


def v2_crop(image: Tensor, y: int, x: int, crop: Any, flip: bool) -> Tensor:
    """What torchvision crops when it draws the window that begins at the image's (y, x)."""
    params = crop.make_params([image])
    left, top, *_ = params["padding"]
    params |= {"top": y + top, "left": x + left, "needs_crop": True}
    cropped = crop.transform(image, params)
    return cropped.flip(-1) if flip else cropped


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(30))
def test_random_crop_equals_torchvision(mode, seed):
    generator = random.Random(seed)
    torch.manual_seed(seed)
    height, width = generator.randint(4, 12), generator.randint(4, 12)
    pair = (generator.randint(0, 2), generator.randint(0, 2))
    four = tuple(generator.randint(0, 3) for _ in range(4))
    padding = generator.choice([None, 0, 1, 2, pair, list(pair), four, four])
    left, top, right, bottom = sides(padding)
    # What is missing goes to both sides, and torchvision reflects less than there is.
    extra = generator.choice([0, 0, 3 - max(top, bottom, left, right)])
    size = (generator.randint(1, height + top + bottom + extra), generator.randint(1, width + left + right + extra))
    options = {"padding": padding, "pad_if_needed": extra > 0, "fill": 7, "padding_mode": mode}
    images = random_images(generator, height, width)
    layer = tcf.RandomCrop(size, **options, flip=0.5)
    crop = pytest.importorskip("torchvision.transforms.v2").RandomCrop(size, **options)
    for _ in range(5):
        offsets, flip = layer.sample(images)
        assert (offsets.dtype, offsets.shape, flip.dtype, flip.shape) == (torch.int64, (2, 2), torch.bool, (2,))
        expected = [
            v2_crop(image, *place, crop, mirrored)
            for image, place, mirrored in zip(images, offsets.tolist(), flip.tolist(), strict=True)
        ]
        assert_equal(layer(images, offsets, flip), torch.stack(expected))
        assert_equal(layer(images[0], offsets[0], flip[0]), expected[0])
        assert_equal(layer(images, offsets.unsqueeze(1), flip.unsqueeze(1)), torch.stack(expected).unsqueeze(1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", [None, 2, (1, 2), (1, 0, 3, 2)], ids=str)
def test_random_crop_equals_torchvisions_first_one(monkeypatch, mode, padding):
    left, top, *_ = sides(padding)
    image = torch.rand(3, 6, 7)
    layer = tcf.RandomCrop((5, 4), padding, padding_mode=mode)
    v1 = pytest.importorskip("torchvision.transforms")
    reference = v1.RandomCrop((5, 4), padding, padding_mode=mode)
    for _ in range(20):
        offsets, flip = layer.sample(image)
        assert offsets.shape == (2,)
        assert flip is None
        y, x = offsets.tolist()
        drawn = (y + top, x + left, *reference.size)
        monkeypatch.setattr(reference, "get_params", lambda img, size, drawn=drawn: drawn)
        assert_equal(layer(image, offsets), reference(image))


@pytest.mark.parametrize(
    ("layer", "ys", "xs"),
    [
        (tcf.RandomCrop(4), range(3), range(2)),
        (tcf.RandomCrop((6, 5)), range(1), range(1)),
        (tcf.RandomCrop(4, 1), range(-1, 4), range(-1, 3)),
        (tcf.RandomCrop(4, (1, 0)), range(3), range(-1, 3)),
        (tcf.RandomCrop(4, (0, 1, 2, 3)), range(-1, 6), range(4)),
        (tcf.RandomCrop(4, -1), range(1, 2), range(1, 1)),
        (tcf.RandomCrop((4, 3), -1), range(1, 2), range(1, 2)),
        (tcf.RandomCrop(7, pad_if_needed=True), range(-1, 1), range(-2, 1)),
        (tcf.RandomCrop((7, 9), (1, 1, 0, 0), pad_if_needed=True), range(-1, 0), range(-4, 0)),
        (tcf.RandomCrop(8, pad_if_needed=True, padding_mode="edge"), range(-2, 1), range(-3, 1)),
    ],
    ids=str,
)
def test_random_crop_reaches_every_place_and_none_else(layer, ys, xs):
    images = torch.rand(2000, 1, 6, 5)
    torch.manual_seed(0)
    if not ys or not xs:
        with pytest.raises(ValueError, match="must not be larger than the padded input"):
            layer.sample(images)
        return
    offsets, flip = layer.sample(images)
    assert flip is None
    assert {tuple(place) for place in offsets.tolist()} == set(itertools.product(ys, xs))


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1, 1.0])
def test_random_crop_flips_so_often(probability):
    torch.manual_seed(0)
    images = torch.rand(4000, 1, 1, 2)
    _, flip = tcf.RandomCrop((1, 2), flip=probability).sample(images)
    assert (flip is None) == (probability == 0)
    expected = 4000 * probability
    mirrored = (tcf.RandomCrop((1, 2), flip=probability)(images) == images.flip(-1)).flatten(1).all(dim=1)
    for count in [0 if flip is None else int(flip.sum()), int(mirrored.sum())]:
        assert abs(count - expected) <= 6 * (expected * (1 - probability)) ** 0.5


LAYERS = [
    tcf.RandomCrop(4),
    tcf.RandomCrop(4, 2, flip=0.5),
    tcf.RandomCrop((3, 10), (1, 2), True, 0.5),
    tcf.RandomCrop((10, 3), (1, 2, 3, 4), pad_if_needed=True, padding_mode="reflect", flip=1),
    tcf.RandomCrop([12, 12], pad_if_needed=True, padding_mode="symmetric"),
    tcf.RandomCrop((9, 4), padding=3, fill=-1, padding_mode="edge", flip=0.25),
]


def seeded(program, *arguments):
    torch.manual_seed(3)
    return program(*arguments)


def saved_and_loaded(scripted):
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_way_to_run_it_equals_eager(layer, training):
    layer = copy.deepcopy(layer).train(training)
    images = torch.rand(5, 3, 8, 9)
    offsets, flip = layer.sample(images)
    scripted = torch.jit.script(layer)
    traced = torch.fx.symbolic_trace(layer)
    for twin in [scripted, saved_and_loaded(scripted), traced, pickle.loads(pickle.dumps(layer)), copy.copy(layer)]:
        for x in [images, images[0], images[:1], images.transpose(0, 1)]:
            for _ in range(3):  # the executor profiles, then optimizes
                assert_same(seeded(twin, x), seeded(layer, x))
        assert_same(seeded(twin, images, offsets), seeded(layer, images, offsets))
        assert_same(seeded(twin, images, offsets, flip), seeded(layer, images, offsets, flip))
        assert_same(seeded(twin, images[0], offsets[0]), seeded(layer, images[0], offsets[0]))
    for x in [images, images[0]]:
        for ours, expected in zip(seeded(scripted.sample, x), seeded(layer.sample, x), strict=True):
            assert (ours is None) == (expected is None)
            assert ours is None or torch.equal(ours, expected)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_traces_and_graphs_work_for_other_sizes(layer, training):
    layer = copy.deepcopy(layer).train(training)
    images = [torch.rand(5, 3, 8, 9), torch.rand(4, 1, 11, 7)]
    traced = torch.jit.trace(layer, images[0], check_trace=False)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for x in images:
        assert_same(seeded(traced, x), seeded(layer, x))
        assert compiled(x).shape == layer(x).shape  # a graph draws other numbers
        given = layer.sample(x)
        assert_same(compiled(x, *given), layer(x, *given))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_it_says_how_to_make_it(layer):
    twin = eval(repr(layer), {"RandomCrop": tcf.RandomCrop})
    assert repr(twin) == repr(layer)
    images = torch.rand(5, 3, 8, 9)
    assert_same(seeded(twin, images), seeded(layer, images))


def test_repr_leaves_out_what_is_usual():
    assert repr(tcf.RandomCrop(28)) == "RandomCrop(size=(28, 28))"
    assert repr(tcf.RandomCrop(np.int64(4), [1, 2], True, 0.5, "edge", flip=1)) == (
        "RandomCrop(size=(4, 4), padding=(1, 2, 1, 2), pad_if_needed=True, fill=0.5, padding_mode='edge', flip=1.0)"
    )


def test_it_holds_no_state():
    layer = tcf.RandomCrop(4, 2, flip=0.5)
    before = pickle.dumps(layer)
    layer(torch.rand(5, 3, 8, 9))
    layer.sample(torch.rand(3, 8, 9))
    assert pickle.dumps(layer) == before
    assert list(layer.state_dict()) == []


def test_seeds_rule():
    layer = tcf.RandomCrop(4, 2, flip=0.5)
    images = torch.rand(20, 3, 8, 9)
    first, again, other = seeded(layer, images), seeded(layer, images), layer(images)
    assert_same(first, again)
    assert not torch.equal(first, other)
    given = seeded(layer.sample, images)
    assert_same(layer(images, *given), first)
    generator_state = torch.get_rng_state()
    layer(images, *given)
    layer.eval()(images)
    assert torch.equal(torch.get_rng_state(), generator_state)


def test_only_what_is_not_given_is_drawn():
    layer = tcf.RandomCrop(4, 2, flip=0.5)
    images = torch.rand(40, 1, 8, 9)
    offsets, flip = layer.sample(images)
    straight = layer(images, offsets, torch.zeros(40, dtype=torch.bool))
    some_flipped = layer(images, offsets)
    is_straight = (some_flipped == straight).flatten(1).all(dim=1)
    is_flipped = (some_flipped == straight.flip(-1)).flatten(1).all(dim=1)
    assert (is_straight | is_flipped).all()
    assert is_straight.any()
    assert is_flipped.any()
    moved = layer(images, flip=flip)
    assert not torch.equal(moved, layer(images, offsets, flip))
    ours, expected = seeded(layer, images, None, flip), layer(images, seeded(layer.sample, images)[0], flip)
    assert_same(ours, expected)


def test_images_and_masks_move_together():
    layer = tcf.RandomCrop(6, 3, padding_mode="reflect", flip=0.5)
    images = torch.rand(10, 3, 8, 9)
    masks = images.sum(dim=1, keepdim=True) > 1.5
    given = layer.sample(images)
    assert_same(layer(masks, *given), layer(images, *given).sum(dim=1, keepdim=True) > 1.5)
    assert_same(layer(masks[:, 0].unsqueeze(1), *given), layer(masks, *given))


@pytest.mark.parametrize("given", ["nothing", "flip", "offsets"])
@pytest.mark.parametrize("mode", MODES)
def test_evaluation_crops_the_center(mode, given):
    v1_functional = pytest.importorskip("torchvision.transforms.functional")
    for height, width, h, w in itertools.product((4, 5, 7), (4, 6, 9), (2, 3, 5), (1, 6, 7)):
        layer = tcf.RandomCrop((h, w), padding=1, fill=7, padding_mode=mode, flip=1.0).eval()
        image = torch.arange(1.0, 3 * height * width + 1).view(3, height, width)
        # torchvision pads what is smaller by half of what is missing, the odd element to the end, then crops.
        before = [max(0, (w - width) // 2), max(0, (h - height) // 2)]
        after = [max(0, (w - width + 1) // 2), max(0, (h - height + 1) // 2)]
        padded = v1_functional.pad(image, before + after, 7, mode)
        expected = v1_functional.center_crop(padded, [h, w])
        batch, flip = torch.stack([image, image + 1000]), None
        if given == "offsets":
            offsets = torch.tensor([[0, 0], [1, 1]])
            expected = layer(image, offsets[0])
            assert_equal(expected, v1_functional.pad(image, [0, 0, 3, 3], 7, mode)[:, :h, :w])
            assert_equal(layer(batch, offsets)[0], expected)
            continue
        if given == "flip":
            flip, expected = torch.tensor([True, False]), expected.flip(-1)
        result = layer(batch, flip=flip)
        assert_equal(result[0], expected)
        assert_equal(layer(image, flip=None if flip is None else flip[0]), expected)
        assert torch.equal(result[1], layer(batch[1]))


def test_evaluation_exports_plain_ops():
    layer = tcf.RandomCrop((6, 12), padding=2, fill=0.5).eval()
    images = torch.rand(5, 3, 8, 9)
    exported = torch.export.export(layer, (images,))
    operators = [node.target for node in exported.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    assert {operator.namespace for operator in operators} == {"aten"}
    assert_same(exported.module()(images), layer(images))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_gradients_flow(layer):
    images = torch.rand(2, 2, 8, 9, dtype=torch.float64, requires_grad=True)
    given = layer.sample(images)
    assert torch.autograd.gradcheck(lambda x: layer(x, *given), images)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1, dtype=torch.float64), layer)
    network(images).sum().backward()
    assert network[0].weight.grad.count_nonzero() > 0


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_meta_and_fake_tensors(layer, training):
    layer = copy.deepcopy(layer).train(training)
    images = torch.rand(5, 3, 8, 9)
    for x in [images, images[0], images.contiguous(memory_format=torch.channels_last), images[:0], images[:, None]]:
        expected = layer(x)
        on_meta = layer(x.to("meta"))
        with FakeTensorMode() as mode:  # which nothing can be read from
            fake = layer(mode.from_tensor(x))
        for result in (on_meta, fake):
            assert (result.shape, result.stride()) == (expected.shape, expected.stride())
        offsets, flip = layer.sample(x.to("meta"))
        assert offsets.shape == ((2,) if x.dim() == 3 else (x.size(0), 2))
        assert flip is None or flip.shape == offsets.shape[:-1]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float16, torch.bfloat16, torch.complex64])
def test_dtypes_stay(dtype):
    images = (torch.rand(5, 3, 8, 9) * 9).to(dtype)
    layer = tcf.RandomCrop(6, 2, flip=0.5)
    for training in (True, False):
        assert layer.train(training)(images).dtype == dtype


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((1.5,), {}, TypeError, "size must be an int or (height, width), got 1.5"),
        (("44",), {}, TypeError, "size must be an int or (height, width), got '44'"),
        ((None,), {}, TypeError, "size must be an int or (height, width), got None"),
        (((4, 4.0),), {}, TypeError, "size must be an int or (height, width), got (4, 4.0)"),
        (((1, 2, 3),), {}, ValueError, "size must be an int or (height, width), got (1, 2, 3)"),
        (((),), {}, ValueError, "size must be an int or (height, width), got ()"),
        ((0,), {}, ValueError, "size must be positive, got 0"),
        (((4, -1),), {}, ValueError, "size must be positive, got (4, -1)"),
        *[
            (
                (4, padding),
                {},
                error,
                f"padding must be an int, (left/right, top/bottom) or (left, top, right, bottom), got {padding!r}",
            )
            for error, paddings in [(ValueError, [(), (1, 2, 3), (1,) * 6]), (TypeError, [0.5, "1", (1, None), {1}])]
            for padding in paddings
        ],
        ((4,), {"fill": "0"}, TypeError, "fill must be a number, got '0'"),
        ((4,), {"fill": (0, 1, 2)}, TypeError, "fill must be a number, got (0, 1, 2)"),
        ((4,), {"fill": None}, TypeError, "fill must be a number, got None"),
        (
            (4,),
            {"padding_mode": "replicate"},
            ValueError,
            "padding_mode must be one of 'constant', 'edge', 'reflect', 'symmetric', got 'replicate'",
        ),
        ((4,), {"padding_mode": None}, TypeError, "padding_mode must be a str, got NoneType"),
        ((4,), {"flip": "yes"}, TypeError, "flip must be a probability, got 'yes'"),
        ((4,), {"flip": True}, TypeError, "flip must be a probability, got True"),
        ((4,), {"flip": 1.5}, ValueError, "flip must be a probability, from 0 to 1, got 1.5"),
        ((4,), {"flip": -0.1}, ValueError, "flip must be a probability, from 0 to 1, got -0.1"),
        ((4,), {"flip": float("nan")}, ValueError, "flip must be a probability, from 0 to 1, got nan"),
    ],
    ids=str,
)
def test_wrong_random_crops_raise(arguments, options, error, text):
    with pytest.raises(error, match=f"^RandomCrop: .*{re.escape(text)}$"):
        tcf.RandomCrop(*arguments, **options)


@pytest.mark.parametrize(
    ("layer", "arguments", "text"),
    [
        (
            tcf.RandomCrop(9),
            (torch.rand(2, 3, 8, 9),),
            "RandomCrop: size 9 must not be larger than the padded input, 0 + 8 + 0, in spatial dim 0",
        ),
        (
            tcf.RandomCrop(12, (1, 2, 0, 3)),
            (torch.rand(3, 8, 9),),
            "RandomCrop: size 12 must not be larger than the padded input, 1 + 9 + 0, in spatial dim 1",
        ),
        (tcf.RandomCrop(4), (torch.rand(8, 9),), "RandomCrop: input must have at least 3 dims, (C, H, W), got 2"),
        (tcf.RandomCrop(4).eval(), (torch.rand(8, 9),), "RandomCrop: input must have at least 3 dims, (C, H, W), got"),
        (
            tcf.RandomCrop(4),
            (torch.rand(5, 8, 9), torch.zeros(5, 2, dtype=torch.int64)),
            "RandomCrop: offsets must be of shape [2] for one image (C, H, W), got [5, 2]",
        ),
        (
            tcf.RandomCrop(4),
            (torch.rand(5, 3, 8, 9), torch.zeros(4, 2, dtype=torch.int64)),
            "crop_at: offsets must be of shape [5, 2] or [5, K, 2], got [4, 2]",
        ),
        (tcf.RandomCrop(4), (torch.rand(5, 3, 8, 9), torch.zeros(5, 2)), "crop_at: offsets must be of dtype int64"),
        (tcf.RandomCrop(4, 1, fill=300), (torch.ones(5, 3, 8, 9, dtype=torch.uint8),), "crop_at: fill must fit"),
    ],
    ids=["too_large", "too_wide", "two_dims", "two_dims_evaluated", "batch_of_masks", "shape", "dtype", "fill"],
)
def test_calls_say_what_does_not_fit(layer, arguments, text):
    for program in (layer, torch.jit.script(layer)):
        with pytest.raises((ValueError, RuntimeError, torch.jit.Error), match=re.escape(text)):
            program(*arguments)
