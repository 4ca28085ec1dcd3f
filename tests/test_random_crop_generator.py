"""RandomCrop with a generator: what it draws comes from that alone, however the layer is copied, compiled or saved."""

import copy
import io
import pickle
import re

import pytest
import torch
from op_tester import assert_same
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

import torchcrop_fast as tcf
from torchcrop_fast import functional

IMAGES = torch.arange(20 * 3 * 8 * 9.0).view(20, 3, 8, 9)


def make_layer(seed: int = 5) -> tcf.RandomCrop:
    return tcf.RandomCrop(4, 2, flip=0.5, generator=torch.Generator().manual_seed(seed))


def draw(layer: nn.Module, times: int = 3) -> list[Tensor]:
    return [layer(IMAGES) for _ in range(times)]


def test_a_generator_decides_alone():
    default = torch.get_rng_state()
    crops = draw(make_layer())
    for ours, again, other in zip(crops, draw(make_layer()), draw(make_layer(6)), strict=True):
        assert_same(ours, again)
        assert not torch.equal(ours, other)
    assert not torch.equal(crops[0], crops[1])
    assert torch.equal(torch.get_rng_state(), default)

    generator = torch.Generator().manual_seed(5)
    layer = tcf.RandomCrop(4, 2, flip=0.5, generator=generator)
    assert layer.generator is generator
    offsets, flip = layer.sample(IMAGES)
    assert_same(layer(IMAGES, offsets, flip), crops[0])
    generator.manual_seed(5)
    assert_same(offsets, functional.random_offsets(20, (8, 9), (4, 4), padding=2, generator=generator))
    assert_same(flip, torch.rand(20, generator=generator) < 0.5)


@pytest.mark.parametrize(
    ("training", "given"), [(True, "offsets, flip"), (True, "offsets"), (True, "flip"), (False, ""), (False, "flip")]
)
def test_only_what_is_missing_is_drawn(training, given):
    offsets, flip = make_layer().sample(IMAGES)
    layer = make_layer().train(training)
    before = layer.generator.get_state()
    layer(IMAGES, offsets if "offsets" in given else None, flip if "flip" in given else None)
    draws = training and given != "offsets, flip"
    assert torch.equal(layer.generator.get_state(), before) == (not draws)


def through_torch_save(layer: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    loaded: nn.Module = torch.load(buffer, weights_only=False)
    return loaded


# Whether what is made of a layer has the layer's generator, or one of its own in the same state.
TWINS = {
    "deepcopy": (copy.deepcopy, False),
    "pickle": (lambda layer: pickle.loads(pickle.dumps(layer)), False),
    "save": (through_torch_save, False),
    "copy": (copy.copy, True),
    "script": (torch.jit.script, True),
    "trace": (lambda layer: torch.jit.trace(layer, IMAGES[:1], check_trace=False), True),
    "fx": (torch.fx.symbolic_trace, True),
    "compile": (lambda layer: torch.compile(layer, backend="aot_eager"), True),
    "compile_nested": (lambda layer: torch.compile(nn.Sequential(layer, nn.Tanhshrink()), backend="inductor"), True),
}


@pytest.mark.parametrize("name", TWINS)
def test_twins_draw_what_the_layer_would(name):
    torch._dynamo.reset()
    make, shares = TWINS[name]
    layer = make_layer()
    twin = make(layer)
    layer.generator.manual_seed(5)  # a trace has drawn
    then = nn.Tanhshrink() if name == "compile_nested" else nn.Identity()
    for ours, expected in zip(draw(twin), draw(make_layer()), strict=True):
        torch.testing.assert_close(ours, then(expected))
    assert torch.equal(layer(IMAGES), draw(make_layer(), 4)[3]) == shares


def test_layers_without_a_generator_script_and_save_as_before():
    layer = tcf.RandomCrop(4, 2, flip=0.5)
    assert layer.generator is None
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(layer), buffer)
    buffer.seek(0)
    torch.manual_seed(5)
    crops = torch.jit.load(buffer)(IMAGES)
    torch.manual_seed(5)
    assert_same(crops, layer(IMAGES))


def test_what_torch_cannot_do_raises():
    with pytest.raises(RuntimeError, match="Generator"):
        torch.jit.save(torch.jit.script(make_layer()), io.BytesIO())
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="Generator"):
        torch.compile(make_layer(), fullgraph=True, backend="eager")(IMAGES)


def test_shapes_need_no_data():
    layer = make_layer()
    assert layer(IMAGES.to("meta")).shape == (20, 3, 4, 4)
    with FakeTensorMode() as mode:
        assert layer(mode.from_tensor(IMAGES)).shape == (20, 3, 4, 4)


def test_repr_tells_of_a_generator_and_its_device():
    made = "RandomCrop(size=(4, 4), padding=(2, 2, 2, 2), flip=0.5, generator=torch.Generator('cpu'))"
    assert repr(make_layer()) == made
    assert repr(eval(made, {"RandomCrop": tcf.RandomCrop, "torch": torch})) == made
    assert list(make_layer().state_dict()) == []


@pytest.mark.parametrize("wrong", [7, "cpu", True, torch.Generator], ids=str)
def test_other_types_raise(wrong):
    text = f"RandomCrop: generator must be a torch.Generator or None, got {type(wrong).__name__}"
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        tcf.RandomCrop(4, generator=wrong)


def test_a_generator_comes_by_keyword_alone():
    with pytest.raises(TypeError, match="positional"):
        tcf.RandomCrop(4, 0, False, 0, "constant", 0.5, torch.Generator())
