"""convert() on pads and chains of them: results as torch.nn's, what stays of a module, what is told of it."""

import copy
import itertools
import logging
import math
import operator
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from op_tester import LAYOUTS, assert_same, assert_values, random_bits
from torch import Tensor, nn
from torch.nn.utils import parametrize

import torchcrop_fast as tcf
from torchcrop_fast import pads
from torchcrop_fast.reference import CroppingNetwork

nan, inf = math.nan, math.inf
FILLS = (0.0, 0.0, 0.0, 0, 0, -0.0, 1.0, 1, -1, -1.0, nan, True)


@st.composite
def pad_layers(draw: st.DrawFn, kinds: tuple[str, ...]) -> nn.Module:
    """A pad of torch.nn, of one sign more often than not."""
    kind, dims = draw(st.sampled_from(kinds)), draw(st.sampled_from((1, 2, 2, 3)))
    ranges = [(-2, 0), (-1, 0), (0, 2), (0, 1), (0, 0)]
    if kind != "CircularPad":  # torch's then shows memory that it never wrote, if it takes all there is
        ranges.append((-2, 2))
    padding = draw(st.tuples(*[st.integers(*draw(st.sampled_from(ranges)))] * (2 * dims)))
    value = (draw(st.sampled_from(FILLS)),) if kind == "ConstantPad" else ()
    return getattr(nn, f"{kind}{dims}d")(padding, *value)


@st.composite
def images(draw: st.DrawFn, least_dims: int) -> Tensor:
    dims = draw(st.sampled_from((least_dims, 3, 3, 4, 4, 5)))
    shape = draw(st.tuples(*[st.sampled_from((0, 1, 1, 2, 3, 5, 6, 7, 8))] * dims))
    layout = draw(st.sampled_from([name for name in LAYOUTS if name != "overlapping"]))
    if len(shape) < {"channels_last": 3, "transposed": 2, "permuted": 3}.get(layout, 1):
        layout = "contiguous"
    dtype = draw(
        st.sampled_from((torch.float32, torch.float32, torch.float32, torch.uint8, torch.bool, torch.complex64))
    )
    torch.manual_seed(draw(st.integers(0, 99)))
    base_shape, view = LAYOUTS[layout](shape)
    return view(random_bits(base_shape, dtype))


def outcome(program: Callable[[Tensor], Tensor], x: Tensor) -> Tensor | None:
    """What it makes of x, None if it refuses."""
    try:
        return program(x)
    except (RuntimeError, ValueError, TypeError):
        return None


def may_lie_otherwise(converted: nn.Sequential, x: Tensor) -> bool:
    """Whether crops were joined where their strides are arbitrary."""
    for layer, next_layer in itertools.pairwise([*converted, nn.ReLU()]):
        shares_memory, x = 0 in x.stride(), layer(x)
        crops = isinstance(next_layer, nn.Identity) and max(getattr(layer, "padding", [1])) <= 0
        if crops and (shares_memory or min(x.shape) <= 1):
            return True
    return False


def assert_chain_stays(chain: nn.Sequential, x: Tensor) -> None:
    """Converted, it accepts what it accepted, and makes the same of it."""
    converted = tcf.convert(chain)
    result, expected = outcome(converted, x), outcome(chain, x)
    if expected is None and any(not hasattr(layer, "value") for layer in chain):
        # torch.nn repeats elements of some ranks and dtypes only: ours one by one say whether joining changed anything.
        expected = outcome(nn.Sequential(*[tcf.convert(layer) for layer in chain]), x)
    assert (result is None) == (expected is None)
    event("refused" if result is None else f"{sum(isinstance(layer, nn.Identity) for layer in converted)} joined")
    if result is not None:
        (assert_values if may_lie_otherwise(converted, x) else assert_same)(result, expected)


CHECKED = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
EXPANDED = torch.rand(1, 3, 4, 5).to(memory_format=torch.channels_last).expand(2, -1, -1, -1)


@settings(CHECKED, max_examples=1500)
@given(st.lists(pad_layers(("ZeroPad", "ConstantPad")), min_size=2, max_size=4), images(1))
@example([nn.ZeroPad2d(0), nn.ZeroPad2d(1)], EXPANDED)
@example([nn.ZeroPad2d((-1, 0, 0, 0)), nn.ZeroPad2d((0, 1, 0, 0))], EXPANDED)
@example([nn.ZeroPad2d((0, 0, 1, -5)), nn.ZeroPad2d((1, 0, 0, 0))], EXPANDED.contiguous())
def test_chains_of_constant_pads_are_those_of_torch_nn(layers: list[nn.Module], x: Tensor) -> None:
    assert_chain_stays(nn.Sequential(*layers), x)


@settings(CHECKED, max_examples=800)
@given(
    st.lists(
        pad_layers(("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad", "ReplicationPad")),
        min_size=1,
        max_size=3,
    ),
    images(2),
)
def test_chains_of_all_pads_are_those_of_torch_nn(layers: list[nn.Module], x: Tensor) -> None:
    assert_chain_stays(nn.Sequential(*layers), x)


def zeros(*entries: int) -> nn.Module:
    return getattr(nn, f"ZeroPad{len(entries) // 2}d")(entries)


def constant(value: Any, entry: int = 1) -> nn.Module:
    return nn.ConstantPad1d(entry, value)


JOINED = {
    "crops": ([nn.ZeroPad2d(-1)] * 4, "ZeroPad2d((-4, -4, -4, -4))"),
    "crops_of_other_sides": ([zeros(-1, 0), zeros(0, -2)], "ZeroPad1d((-1, -2))"),
    "crops_of_any_value": ([constant(nan, -1), constant(7, -2)], "ConstantPad1d(padding=(-3, -3), value=nan)"),
    "crops_of_other_ranks": ([zeros(-1, 0), zeros(0, -1, -1, 0)], "ZeroPad2d((-1, -1, -1, 0))"),
    "crops_behind_more_dims": ([zeros(0, 0, -1, 0, -1, -1), zeros(-2, 0)], "ZeroPad3d((-2, 0, -1, 0, -1, -1))"),
    "crops_and_nothing": ([zeros(0, 0), zeros(-1, 0), zeros(0, 0)], "ZeroPad1d((-1, 0))"),
    "pads": ([nn.ZeroPad2d(1), nn.ZeroPad2d((0, 1, 0, 2))], "ZeroPad2d((1, 2, 1, 3))"),
    "pads_and_nothing": ([zeros(1, 0), zeros(0, 0)], "ZeroPad1d((1, 0))"),
    "zeros_of_two_types": ([zeros(1, 1), constant(0)], "ZeroPad1d((2, 2))"),
    "one_value": ([constant(0.5), constant(0.5)], "ConstantPad1d(padding=(2, 2), value=0.5)"),
    "infinity": ([constant(-inf), constant(-inf)], "ConstantPad1d(padding=(2, 2), value=-inf)"),
    "ours": ([tcf.ZeroPad2d(-1), nn.ZeroPad2d(-1)], "ZeroPad2d((-2, -2, -2, -2))"),
}


@pytest.mark.parametrize(("layers", "expected"), JOINED.values(), ids=JOINED)
def test_joins(layers: list[nn.Module], expected: str) -> None:
    for front in ([], [nn.ReLU()]):
        model = nn.Sequential(*front, *map(copy.deepcopy, layers))
        converted = tcf.convert(model)
        assert len(converted) == len(model)
        first = len(model) - len(layers)
        assert repr(converted[first]) == expected
        assert type(converted[first]).__module__ == "torchcrop_fast.pads"
        assert {type(layer) for layer in converted[first + 1 :]} == {nn.Identity}
        assert repr(tcf.convert(converted)) == repr(converted)


APART = {
    "a_crop_after_a_pad": [zeros(2, 2), zeros(-1, -1)],
    "a_pad_after_a_crop": [zeros(-1, -1), zeros(1, 1)],
    "a_pad_of_the_other_side": [zeros(-1, 0), zeros(0, 1)],
    "both_signs": [zeros(-1, 2), zeros(-1, 2)],
    "pads_behind_nothing": [zeros(0, 0), zeros(1, 1)],
    "an_int_and_a_float": [constant(-1), constant(-1.0)],
    "zeros_of_two_signs": [constant(0.0), constant(-0.0)],
    "nan": [constant(nan), constant(nan)],
    "a_bool_and_an_int": [constant(True), constant(1)],
    "tensors": [constant(torch.tensor(0.5)), constant(torch.tensor(0.5))],
    "complex": [constant(1j), constant(1j)],
    "reflections": [nn.ReflectionPad1d(1), nn.ReflectionPad1d(1)],
    "replications": [nn.ReplicationPad1d(1), nn.ReplicationPad1d(1)],
    "circles": [nn.CircularPad1d(1), nn.CircularPad1d(1)],
    "odd_paddings": [nn.ZeroPad2d((1, 1, 1)), nn.ZeroPad2d(1)],
    "paddings_of_no_ints": [nn.ZeroPad2d(1.0), nn.ZeroPad2d(1.0)],
    "sums_beyond_int64": [nn.ZeroPad1d(2**62), nn.ZeroPad1d(2**62)],
    "something_between": [zeros(1, 1), nn.Identity(), zeros(1, 1)],
}


@pytest.mark.parametrize("layers", APART.values(), ids=APART)
def test_leaves_apart(layers: list[nn.Module]) -> None:
    converted, summary = tcf.convert(nn.Sequential(*layers), return_summary=True)
    assert summary.joined == []
    assert [repr(layer) for layer in converted] == [repr(layer) for layer in layers]
    assert len(summary.converted) == sum(hasattr(layer, "padding") for layer in layers)


class Halves(nn.Sequential):
    """Has a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., ::2]


def with_method(model: nn.Sequential) -> nn.Sequential:
    model.forward = lambda x: model[1](x) + 1
    return model


def with_attribute(layer: nn.Module) -> nn.Module:
    layer.note = "mine"
    return layer


def with_buffer(layer: nn.Module) -> nn.Module:
    layer.register_buffer("count", torch.zeros(2))
    layer.register_parameter("weight", nn.Parameter(torch.ones(3)))
    return layer


ONE = nn.ZeroPad2d(-1)
NOT_JOINED = {
    "subclass_of_sequential": lambda: Halves(zeros(1, 1), zeros(1, 1)),
    "sequential_with_a_forward": lambda: with_method(nn.Sequential(zeros(1, 1), zeros(1, 1))),
    "two_sequentials": lambda: nn.Sequential(nn.Sequential(zeros(1, 1)), nn.Sequential(zeros(1, 1))),
    "list": lambda: nn.ModuleList([zeros(1, 1), zeros(1, 1)]),
    "twice": lambda: nn.Sequential(ONE, ONE),
    "slice": lambda: nn.ModuleList([chain := nn.Sequential(zeros(1, 1), zeros(1, 1)), chain[:1], chain[1:]]),
    "attribute": lambda: nn.Sequential(with_attribute(zeros(1, 1)), zeros(1, 1)),
    "buffer": lambda: nn.Sequential(zeros(1, 1), with_buffer(zeros(1, 1))),
    "compiled": lambda: nn.Sequential(zeros(1, 1), operator.methodcaller("compile")(one := zeros(1, 1)) or one),
}


@pytest.mark.parametrize("make", NOT_JOINED.values(), ids=NOT_JOINED)
def test_swaps_but_does_not_join(make: Callable[[], nn.Module]) -> None:
    model = make()
    before = [type(module) for module in model.modules()]
    same, summary = tcf.convert(model, inplace=True, return_summary=True)
    assert same is model
    assert summary.joined == []
    assert [type(module) for module in model.modules()] == [getattr(pads, kind.__name__, kind) for kind in before]
    assert len(summary.converted) == sum(isinstance(module, nn.ZeroPad1d | nn.ZeroPad2d) for module in model.modules())


HOOKS = {
    "forward": lambda layer, call: layer.register_forward_hook(call("forward")),
    "forward_with_kwargs": lambda layer, call: layer.register_forward_hook(call("kwargs"), with_kwargs=True),
    "always": lambda layer, call: layer.register_forward_hook(call("always"), always_call=True),
    "pre": lambda layer, call: layer.register_forward_pre_hook(call("pre")),
    "pre_with_kwargs": lambda layer, call: layer.register_forward_pre_hook(call("pre kwargs"), with_kwargs=True),
    "backward": lambda layer, call: layer.register_full_backward_hook(call("backward")),
    "backward_pre": lambda layer, call: layer.register_full_backward_pre_hook(call("backward pre")),
    "state_dict": lambda layer, call: layer.register_state_dict_post_hook(call("state dict")),
    "state_dict_pre": lambda layer, call: layer.register_state_dict_pre_hook(call("state dict pre")),
    "load_pre": lambda layer, call: layer.register_load_state_dict_pre_hook(call("load pre")),
    "load": lambda layer, call: layer.register_load_state_dict_post_hook(call("load")),
}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
@pytest.mark.parametrize("place", [0, 1])
def test_hooks_stay_and_keep_their_layers_apart(hook: Callable[..., Any], place: int) -> None:
    called: list[str] = []

    def call(name: str) -> Callable[..., None]:
        return lambda *arguments: called.append(f"{name} {type(arguments[0]).__name__} {len(arguments)}")

    def run(model: nn.Module) -> list[str]:
        called.clear()
        model(torch.rand(1, 4, 4, requires_grad=True)).sum().backward()
        model.load_state_dict(model.state_dict())
        return [*called]

    model = nn.Sequential(nn.ZeroPad1d(1), nn.ZeroPad1d(1))
    hook(model[place], call)
    expected = run(model)
    assert expected
    converted, summary = tcf.convert(model, inplace=True, return_summary=True)
    assert (len(summary.converted), summary.joined) == (2, [])
    assert run(converted) == expected
    assert run(tcf.convert(converted, to="torch")) == expected


def test_everything_attached_stays() -> None:
    layer = with_buffer(with_attribute(nn.ConstantPad2d((1, -1, 0, 2), 3.0))).eval()
    model = nn.Sequential(OrderedDict(pad=layer, again=layer, relu=nn.ReLU()))
    parameter, state = layer.weight, model.state_dict()
    tcf.convert(model, inplace=True)
    assert model.again is model.pad is layer
    assert type(layer) is tcf.ConstantPad2d
    assert (layer.note, layer.training, layer.padding, layer.value) == ("mine", False, (1, -1, 0, 2), 3.0)
    assert layer.weight is parameter
    assert list(model.state_dict()) == list(state)
    twin = tcf.convert(model, to="torch")
    assert twin.again is twin.pad is not layer
    assert (twin.pad.note, twin.pad.training) == ("mine", False)
    assert list(twin.state_dict()) == list(state)


def test_places_names_and_flags_stay_in_a_joined_chain() -> None:
    model = nn.Sequential(
        OrderedDict(a=nn.ZeroPad2d(-1), b=nn.ZeroPad2d(-1).eval(), conv=nn.Conv2d(1, 2, 3), c=nn.ZeroPad2d(1))
    )
    first, state, conv = model.a, model.state_dict(), model.conv
    assert tcf.convert(model, inplace=True) is model
    assert list(model._modules) == ["a", "b", "conv", "c"]
    assert list(model.state_dict()) == list(state)
    assert model.conv is model[2] is conv
    assert [module.training for module in model] == [True, False, True, True]
    assert type(model.b) is nn.Identity
    assert first.padding == (-1,) * 4, "who else holds the first layer still has what it was"


def test_a_copy_is_converted_unless_inplace() -> None:
    model = CroppingNetwork()
    converted = tcf.convert(model)
    assert {type(layer) for layer in model.layers} == {nn.ZeroPad2d}
    assert [type(layer) for layer in converted.layers] == [tcf.ZeroPad2d, *[nn.Identity] * 3]
    digits = torch.rand(2, 1, 28, 28)
    for twin in (converted, copy.deepcopy(converted), pickle.loads(pickle.dumps(converted))):
        assert_same(twin(digits), model(digits))


def test_a_model_that_cannot_be_copied_says_why() -> None:
    model = nn.Sequential(nn.ZeroPad1d(1))
    model.computed = torch.rand(2, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="deepcopy"):
        tcf.convert(model)
    assert tcf.convert(model, inplace=True) is model


@pytest.mark.parametrize("name", pads.__all__)
@pytest.mark.parametrize("inplace", [False, True])
def test_the_model_may_be_a_pad_itself(name: str, inplace: bool) -> None:
    layer = getattr(nn, name)(*([1, 0.5] if name.startswith("Constant") else [1]))
    converted = tcf.convert(layer, inplace)
    assert type(converted) is getattr(tcf, name)
    assert (converted is layer) == inplace
    assert repr(converted) == repr(layer)
    assert type(tcf.convert(converted, to="torch")) is getattr(nn, name)


class OwnPad(nn.ZeroPad2d):
    """Has a forward of its own."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + 1


def with_forward(layer: nn.Module) -> nn.Module:
    layer.forward = lambda x: x + 1
    return layer


def parametrized() -> nn.Module:
    layer = with_buffer(nn.ZeroPad2d(1))
    parametrize.register_parametrization(layer, "weight", nn.Identity())
    return layer


SUBCLASS = "its class is a subclass, which may have a forward of its own"
SCRIPTED = "TorchScript has compiled it: convert the model first, then script it"
LEFT = {
    "subclass": (lambda: OwnPad(1), "torchcrop_fast", SUBCLASS),
    "subclass_of_ours": (lambda: type("Mine", (tcf.ZeroPad2d,), {})(1), "torchcrop_fast", SUBCLASS),
    "subclass_towards_torch": (lambda: type("Mine", (tcf.RandomCrop,), {})(1), "torch", SUBCLASS),
    "forward": (lambda: with_forward(nn.ZeroPad2d(1)), "torchcrop_fast", "it has a forward of its own"),
    "forward_of_ours": (lambda: with_forward(tcf.Crop2d(1)), "torch", "it has a forward of its own"),
    "parametrized": (parametrized, "torchcrop_fast", SUBCLASS),
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.ZeroPad2d(1))), "torchcrop_fast", SCRIPTED),
    "traced": (lambda: torch.jit.trace(nn.ZeroPad2d(1), torch.rand(2, 2)), "torchcrop_fast", SCRIPTED),
    "scripted_ours": (lambda: torch.jit.script(tcf.ZeroPad2d(1)), "torch", SCRIPTED),
    "graph": (
        lambda: torch.fx.symbolic_trace(nn.Sequential(tcf.Crop2d(1))),
        "torch",
        "its graph calls our functions: convert the model first, then trace it",
    ),
}


@pytest.mark.parametrize(("make", "to", "reason"), LEFT.values(), ids=LEFT)
def test_leaves_what_it_cannot_convert_and_says_why(make: Callable[[], nn.Module], to: str, reason: str) -> None:
    module = make()
    kind = type(module)
    for model, name in ((module, ""), (nn.Sequential(nn.ReLU(), module), "1")):
        _, summary = tcf.convert(model, inplace=True, to=to, return_summary=True)
        assert (summary.converted, summary.joined) == ([], [])
        assert [(left.name, left.reason) for left in summary.left] == [(name, reason)]
        assert summary.left[0].before.endswith(kind.__qualname__)
        assert type(module) is kind
        assert str(summary).endswith(f"left {name or 'the model'}, {summary.left[0].before}: {reason}")


def compiled(model: nn.Module) -> nn.Module:
    return torch.compile(model, backend="eager")


WRAPPERS = {
    "graph": torch.fx.symbolic_trace,
    "parallel": nn.DataParallel,
    "compiled": compiled,
    "dict": lambda model: nn.Sequential(nn.ModuleDict({"net": model})["net"]),
}


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_converts_within_what_wraps_a_model(wrap: Callable[[nn.Module], nn.Module], inplace: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(1, 2, 3), nn.Sequential(nn.ZeroPad2d(-1), nn.ZeroPad2d(-2))
    )
    model, x = wrap(network), torch.rand(1, 1, 9, 9)
    expected = model(x)
    converted, summary = tcf.convert(model, inplace, return_summary=True)
    assert len(summary.converted) == 3
    assert summary.left == []
    calls = []
    for module in converted.modules():
        if isinstance(module, nn.ReflectionPad2d):
            assert type(module) is tcf.ReflectionPad2d
            calls.append(module)
    assert len(calls) == 1
    assert_same(converted(x), expected)
    torch._dynamo.reset()


def test_a_compiled_model_runs_the_converted_layers() -> None:
    graphs: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph.code)
        return graph

    torch._dynamo.reset()
    model = torch.compile(CroppingNetwork(), backend=backend)
    digits = torch.rand(2, 1, 28, 28)
    expected = model(digits)
    assert tcf.convert(model, inplace=True) is model
    assert_same(model(digits), expected)
    assert [graph.count("nn.pad(") for graph in graphs] == [4, 0], "ours is traced as slices"


def test_reads_well_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.ModuleDict({"net": CroppingNetwork(), "own": OwnPad(1), "edge": nn.ReplicationPad1d(2)})
    with caplog.at_level(logging.DEBUG, "torchcrop_fast"):
        _, summary = tcf.convert(model, return_summary=True)
    before, after = "torch.nn.ZeroPad2d((-1, -1, -1, -1))", "torchcrop_fast.ZeroPad2d((-1, -1, -1, -1))"
    assert str(summary).splitlines() == [
        "5 layers converted, 1 chain joined, 1 module left",
        *[f"converted net.layers.{i}: {before} to {after}" for i in range(4)],
        "converted edge: torch.nn.ReplicationPad1d((2, 2)) to torchcrop_fast.ReplicationPad1d((2, 2))",
        f"joined net.layers.0, net.layers.1, net.layers.2, net.layers.3: {', '.join([after] * 4)}"
        " to torchcrop_fast.ZeroPad2d((-4, -4, -4, -4))",
        f"left own, {OwnPad.__module__}.OwnPad: {SUBCLASS}",
    ]
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", *["DEBUG"] * 7]
    assert [record.getMessage() for record in caplog.records] == [
        f"convert: {line}" for line in str(summary).split("\n")
    ]
    assert str(tcf.convert(nn.ReLU(), return_summary=True)[1]) == "0 layers converted, 0 chains joined, 0 modules left"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("model",), TypeError, "convert: model must be an nn.Module, got str"),
        ((nn.ZeroPad2d,), TypeError, "convert: model must be an nn.Module, got type"),
        ((nn.ReLU(), "torch"), TypeError, "convert: inplace must be a bool, got str"),
        ((nn.ReLU(), False, None), TypeError, "convert: to must be a str, got NoneType"),
        ((nn.ReLU(), False, "keras"), ValueError, "convert: to must be 'torchcrop_fast' or 'torch', got 'keras'"),
    ],
)
def test_wrong_arguments_raise(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        tcf.convert(*arguments)
    with pytest.raises(TypeError, match=r"^convert: return_summary must be a bool, got int$"):
        tcf.convert(nn.ReLU(), return_summary=1)
