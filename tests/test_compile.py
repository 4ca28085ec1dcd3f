"""torch.compile, torch.export, make_fx and fake tensors: results, strides and gradients, and what the graphs hold."""

import io
import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from op_tester import assert_same
from programs import (
    FUNCTIONS,
    LAYERS,
    OUT_FUNCTIONS,
    Program,
    assert_same_with_grad,
    example,
    name_of,
)
from torch import Tensor, nn
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.testing import CompileCounter
from torch._functorch.aot_autograd import make_boxed_func
from torch._subclasses import FakeTensorMode
from torch.export import Dim
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import statically_known_true

import torchcrop_fast as tcf
from torchcrop_fast import functional

PROGRAMS = FUNCTIONS + LAYERS


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    torch._dynamo.reset()


class Recorder:
    """A backend that runs the graphs it is given, and keeps them: as Python wrote them, and as ATen sees them."""

    def __init__(self):
        self.python_graphs = []
        self.aten_graphs = []

    def __call__(self, module, inputs):
        self.python_graphs.append(module.graph)
        return aot_autograd(fw_compiler=self.keep, bw_compiler=self.run)(module, inputs)

    def keep(self, module, inputs):
        self.aten_graphs.append(module.graph)
        return self.run(module, inputs)

    def run(self, module, inputs):
        return make_boxed_func(module)


def calls(graph) -> list[str]:
    """The names of what a graph calls."""
    return [str(node.target) for node in graph.nodes if node.op in ("call_function", "call_method")]


def negative_pads(graph) -> list[torch.fx.Node]:
    """The pads of a graph that are known to crop. An exporter would have to get them right."""

    def is_negative(entry) -> bool:
        value = entry.meta.get("val", entry.meta.get("example_value")) if isinstance(entry, torch.fx.Node) else entry
        return statically_known_true(value < 0)

    pads = [node for node in graph.nodes if node.op == "call_function" and "pad" in str(node.target)]
    return [node for node in pads if any(is_negative(entry) for entry in node.args[1])]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_compiled_equals_eager(program, dynamic):
    recorder = Recorder()
    compiled = torch.compile(program, fullgraph=True, dynamic=dynamic, backend=recorder)
    for x in [example(), example(9, 12).transpose(2, 3)] + [example(11, 13)] * dynamic:
        assert_same_with_grad(compiled, program, x)
    assert recorder.aten_graphs
    for graph in recorder.aten_graphs:
        assert not any("torchcrop_fast" in name for name in calls(graph))


@pytest.mark.one_in(2)
@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_graphs_of_open_sizes_have_no_negative_pad_in_inference(program):
    recorder = Recorder()
    with torch.no_grad():
        torch.compile(program, fullgraph=True, dynamic=True, backend=recorder)(example())
    assert recorder.aten_graphs
    assert not any(negative_pads(graph) for graph in recorder.aten_graphs)


PADS = [
    *[
        (kind, entries)
        for kind in ("ZeroPad2d", "ReflectionPad2d", "ReplicationPad2d")
        for entries in (2, (1, 0, 2, 3))
    ],
    ("CircularPad2d", (1, 0, 2, 3)),
    ("ZeroPad2d", -2),
    ("ZeroPad2d", (1, -2, -3, 1)),
    ("ZeroPad2d", 0),
]


def graphs_of(layer: nn.Module, x: Tensor, dynamic: bool) -> list[list[str]]:
    """What the graphs of a small network's forward and backward pass call."""
    graphs = []

    def keep(module, inputs):
        graphs.append(calls(module.graph))
        return make_boxed_func(module)

    torch._dynamo.reset()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.BatchNorm2d(4), nn.ReLU()).to(memory_format=torch.channels_last)
    compiled = torch.compile(net, fullgraph=True, dynamic=dynamic, backend=aot_autograd(fw_compiler=keep))
    compiled(x).sum().backward()
    return graphs


# Each pad of the sample once, in turn with sizes given and open.
@pytest.mark.one_in(2)
@pytest.mark.parametrize(
    ("kind", "entries", "dynamic"),
    [(*pad, dynamic) for i, pad in enumerate(PADS) for dynamic in (i % 2 == 1, i % 2 == 0)],
)
def test_graphs_of_training_are_the_references_own(kind, entries, dynamic):
    x = torch.rand(2, 3, 12, 13).contiguous(memory_format=torch.channels_last)
    ours, theirs = (graphs_of(getattr(module, kind)(entries), x, dynamic) for module in (tcf, nn))
    assert len(ours) == 2
    gradient = {"aten.replication_pad2d_backward.default": "torchcrop_fast._pad_adjoint.default"}
    sizes = "aten.sym_size.int"  # that the gradient's op wants, too
    expected = [[gradient.get(name, name) for name in graph if name != sizes] for graph in theirs]
    assert [[name for name in graph if name != sizes] for graph in ours] == expected


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_replicated_border_trains_behind_a_convolution(format):
    """Where torch's own, compiled, ends in an error about strides."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(4, 16, 3), nn.ReLU(), tcf.ReplicationPad2d((1, 2, 0, -1)), nn.Conv2d(16, 8, 3))
    net = net.double().to(memory_format=format)
    x = torch.rand(2, 4, 12, 13).double().contiguous(memory_format=format).requires_grad_()
    inputs = [x, *net.parameters()]
    expected = torch.autograd.grad(net(x).square().sum(), inputs)
    result = torch.autograd.grad(torch.compile(net, fullgraph=True)(x).square().sum(), inputs)
    torch.testing.assert_close(result, expected)


def guards_of(layer: nn.Module) -> int:
    """How much a compiled layer checks at each call."""

    def run(x):
        return layer(x)

    torch._dynamo.reset()
    torch.compile(run, fullgraph=True, backend="eager")(torch.rand(2, 3, 12, 13))
    (entry,) = torch._dynamo.eval_frame._debug_get_cache_entry_list(run)
    return len(str(entry.guard_manager).splitlines())


@pytest.mark.parametrize(("kind", "entries"), PADS)
def test_compiled_layers_check_little_more_than_the_references(kind, entries):
    ours, theirs = (guards_of(getattr(module, kind)(entries)) for module in (tcf, nn))
    assert ours <= theirs + 30


def test_negative_pads_are_found():
    graph = make_fx(lambda x: F.pad(x, (1, -1)))(example()).graph
    assert len(negative_pads(graph)) == 1
    assert not negative_pads(make_fx(lambda x: F.pad(x, (1, 1)))(example()).graph)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_other_sizes_need_no_other_graph(program):
    counter = CompileCounter()
    compiled = torch.compile(program, fullgraph=True, dynamic=True, backend=counter)
    for size in [(2, 3, 10, 11), (2, 3, 12, 13), (4, 3, 11, 12), (2, 3, 14, 10), (5, 3, 15, 17)]:
        x = torch.rand(size)
        assert_same(compiled(x), program(x))
    assert counter.frame_count == 1


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_sizes_become_dynamic_by_themselves(program):
    counter = CompileCounter()
    compiled = torch.compile(program, fullgraph=True, backend=counter)
    for height, width in [(10, 11), (12, 13), (11, 12), (14, 10), (15, 17)]:
        x = example(height, width)
        assert_same(compiled(x), program(x))
    assert counter.frame_count == 2  # the first sizes, and all others


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("function", OUT_FUNCTIONS, ids=name_of)
def test_compiled_out(function, dynamic, backend):
    compiled = torch.compile(function, fullgraph=True, dynamic=dynamic, backend=backend)
    for x in [example(), example(11, 13)]:
        assert_same(compiled(x), function(x))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("step", [1, 2], ids=["contiguous", "strided"])
def test_compiled_out_of_the_caller(step, backend):
    # Dynamo leaves the graph for any op, torch's own too, where out is not contiguous.
    call = partial(functional.pad, pad=[1, -2], value=0.5)
    compiled = torch.compile(call, fullgraph=step == 1, backend=backend)
    x = example()
    base = torch.full((2, 3, 8, 8 * step), -1.0)
    out = base[..., ::step]
    assert compiled(x, out=out) is out
    wanted = torch.full((2, 3, 8, 8 * step), -1.0)
    wanted[..., ::step] = F.pad(x, (1, -2), value=0.5)
    assert_same(base, wanted)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_inductor(dynamic):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                tcf.Crop2d((1, 2, 0, 1)), tcf.ConstantPad2d((1, -1, 2, 0), 0.5), tcf.CenterCrop(5)
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x * 2)

    model = Model()
    compiled = torch.compile(model, fullgraph=True, dynamic=dynamic)
    for x in [example(), example(11, 13)][: 1 + dynamic]:
        assert_same_with_grad(compiled, model, x)


WRONG_CALLS = [
    (lambda x: functional.pad(x, (-5, -5)), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
    (lambda x: functional.pad(x, (0, 0, -9, 1)), "pad: cannot crop 9 + 0 elements from dim 2 of size 8"),
    (lambda x: functional.pad(x, (1, 2, 3)), "pad: pad must have an even number of entries, got 3"),
    (lambda x: functional.pad(x, [0] * 10), "pad: pad must have at most 8 entries for an input of 4 dims, got 10"),
    (
        lambda x: functional.pad(x, (9, 1), "reflect"),
        "pad: dim 3 of size 9 cannot be reflected by (9, 1): both must be less than its size",
    ),
    (
        lambda x: functional.pad(x, (0, 0, -7, 2), "circular"),
        "pad: dim 2 of size 8 cannot be wrapped by (-7, 2): both must be at most the 1 elements to wrap",
    ),
    (
        lambda x: functional.pad(x[:, :0], (0, 0, 0, 0, 1, 2), "replicate"),
        "pad: dim 1 of size 0 cannot be replicated by (1, 2): it has no element to repeat",
    ),
    (lambda x: functional.pad(x, (3, -13), "replicate"), "pad: cannot crop 0 + 13 elements from dim 3 of size 9"),
    (
        lambda x: functional.pad(x, (1, 1), "reflect", 1.5),
        "pad: value must be None or 0 unless mode is 'constant', got 1.5",
    ),
    (
        lambda x: functional.pad(x, (1, 1), "symmetric"),
        "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'symmetric'",
    ),
    (
        lambda x: functional.pad(x, (1, 1), "reflect", out=torch.empty(2, 3, 8, 11, dtype=torch.int32)),
        "pad: out must be of dtype float32, got int32",
    ),
    (
        lambda x: functional.pad(x, (1, 1), out=torch.empty(2, 3, 8, 11, dtype=torch.int32)),
        "pad: out must be of dtype float32, got int32",
    ),
    (lambda x: functional.crop(x, (5, 5)), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
    (lambda x: functional.crop(x, (5, 5), copy=False), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
    (
        lambda x: functional.crop(x, (-1, 2), copy=False),
        "crop: cropping must not be negative with copy=False, got [-1, 2]",
    ),
    (lambda x: functional.crop(x, (1, 2), copy=False, out=x), "crop: out cannot be given with copy=False"),
    (
        lambda x: functional.center_crop(x, [1] * 5),
        "center_crop: size has 5 entries, more than the 4 dims of input",
    ),
    (lambda x: functional.center_crop(x, [3, -2]), "center_crop: size must not be negative, got -2"),
    (
        lambda x: functional.center_crop(x, [3], "half"),
        "center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got 'half'",
    ),
    (tcf.Crop2d(5), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
    (tcf.ZeroPad2d((0, 0, -9, 1)), "pad: cannot crop 9 + 0 elements from dim 2 of size 8"),
]


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize(("call", "text"), WRONG_CALLS, ids=[text for _, text in WRONG_CALLS])
def test_compiled_raises_the_texts_of_eager(call, text, dynamic):
    x = example()
    with pytest.raises((RuntimeError, ValueError), match=re.escape(text)) as eager:
        call(x)
    with pytest.raises(eager.type, match=re.escape(text)):
        torch.compile(call, dynamic=dynamic, backend="eager")(x)
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.TorchDynamoException, match=re.escape(text)):
        torch.compile(call, fullgraph=True, dynamic=dynamic, backend="eager")(x)


@pytest.mark.one_in(5)  # of the layers test_export.py exports all
@pytest.mark.parametrize("strict", [False, True], ids=["non_strict", "strict"])
@pytest.mark.parametrize("program", PROGRAMS + OUT_FUNCTIONS, ids=name_of)
def test_exported_equals_eager(program, strict):
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    exported = torch.export.export(Program(program), (example(),), dynamic_shapes=(sizes,), strict=strict)
    images = [example(), example(11, 13), torch.rand(5, 3, 13, 10)]
    for x in images:
        assert_same(exported.module()(x), program(x))
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    buffer.seek(0)
    loaded = torch.export.load(buffer)
    for x in images:
        assert_same(loaded.module()(x), program(x))

    operators = [node.target for node in exported.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    assert {operator.namespace for operator in operators} == {"aten"}
    assert not negative_pads(exported.graph)


def test_exported_file_runs_without_us(fresh_python, tmp_path):
    model = Program(nn.Sequential(tcf.Crop2d(1), tcf.ZeroPad2d((1, -2, -1, 3)), tcf.CenterCrop(6)))
    x = example()
    torch.export.save(torch.export.export(model, (x,)), tmp_path / "model.pt2")
    torch.save((x, model(x)), tmp_path / "expected")
    printed = fresh_python(
        """
        import sys
        import torch

        x, expected = torch.load(sys.argv[1] + "/expected")
        output = torch.export.load(sys.argv[1] + "/model.pt2").module()(x)
        torch.testing.assert_close(output, expected, rtol=0, atol=0, check_stride=True)
        print(any(name.startswith("torchcrop_fast") for name in sys.modules))
        """,
        str(tmp_path),
    )
    assert printed.split() == ["False"]


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("shape", "entries", "dtype"),
    [((9,), (2, 3), torch.float32), ((2, 3, 4, 9), (2, 3), torch.float32), ((3, 4, 9), (1, -1), torch.bool)],
)
def test_what_atens_pad_does_not_take_is_graphed_by_indexes(mode, shape, entries, dtype):
    recorder = Recorder()
    compiled = torch.compile(partial(functional.pad, pad=entries, mode=mode), fullgraph=True, backend=recorder)
    for x in [torch.rand(shape).to(dtype), torch.rand(shape).to(dtype).flip(0)]:
        assert_same(compiled(x), functional.pad(x, entries, mode))
    assert all("torchcrop_fast" not in name for graph in recorder.aten_graphs for name in calls(graph))


def op(x: Tensor) -> Tensor:
    return torch.ops.torchcrop_fast.pad(x, [1, -2, -1, 3], "constant", 0.5)


def op_by_sizes(x: Tensor) -> Tensor:
    return torch.ops.torchcrop_fast.pad(x, [x.size(2), -(x.size(3) // 2)])


def op_out(x: Tensor) -> Tensor:
    out = torch.empty(x.size(0), x.size(1), x.size(2), x.size(3) - 1)
    torch.ops.torchcrop_fast.pad(x.detach(), [1, -2], "constant", 0.5, out=out)
    return out


def op_reflect(x: Tensor) -> Tensor:
    return torch.ops.torchcrop_fast.pad(x, [1, -2, -1, 3], "reflect")


def op_circular_by_sizes(x: Tensor) -> Tensor:
    return torch.ops.torchcrop_fast.pad(x, [x.size(3) // 2, -(x.size(3) // 3)], "circular")


@pytest.mark.parametrize("program", [op, op_by_sizes, op_out, op_reflect, op_circular_by_sizes], ids=name_of)
def test_op_compiles(program):
    recorder = Recorder()
    compiled = torch.compile(program, fullgraph=True, dynamic=True, backend=recorder)
    for x in [example(), example(11, 13), example(9, 12).transpose(2, 3)]:
        assert_same_with_grad(compiled, program, x)
    # Of pads that are written to a tensor there is no other op.
    stays = program is op_out
    assert all(any("torchcrop_fast" in name for name in calls(graph)) == stays for graph in recorder.aten_graphs)


def test_compiled_autograd():
    """The backward of what eager recorded, compiled."""
    x = example().requires_grad_()
    outputs = [
        functional.pad(x, (1, -2)),
        functional.pad(x, (1, 5), "reflect"),
        functional.crop(x, (1, 2, 3, 0)),
        functional.center_crop(x, [3, 20]),
    ]
    loss = sum((output * torch.rand(output.shape)).sum() for output in outputs)
    (expected,) = torch.autograd.grad(loss, x, retain_graph=True)
    recorder = Recorder()
    with torch._dynamo.compiled_autograd._enable(torch.compile(backend=recorder)):
        loss.backward()
    assert_same(x.grad, expected)
    assert len(recorder.python_graphs) == 1


@pytest.mark.one_in(2)
@pytest.mark.parametrize("tracing_mode", ["real", "fake", "symbolic"])
@pytest.mark.parametrize("program", PROGRAMS + OUT_FUNCTIONS, ids=name_of)
def test_make_fx(program, tracing_mode):
    module = make_fx(program, tracing_mode=tracing_mode)(example())
    images = [example()] + [example(11, 13), torch.rand(5, 3, 13, 10)] * (tracing_mode == "symbolic")
    for x in images:
        assert_same(module(x), program(x))


@pytest.mark.parametrize("program", PROGRAMS + OUT_FUNCTIONS, ids=name_of)
def test_fake_tensors(program):
    for x in [example(), example().contiguous(memory_format=torch.channels_last), example(9, 12).transpose(2, 3)]:
        expected = program(x)
        with FakeTensorMode() as mode:
            fake = program(mode.from_tensor(x))
        assert (fake.shape, fake.stride(), fake.dtype) == (expected.shape, expected.stride(), expected.dtype)


@pytest.mark.parametrize(
    ("call", "text"),
    # Fake tensors take the error for an unknown mode for that of an op without a kernel.
    [call for call in WRONG_CALLS if "dtype" not in call[1] and "pad: mode" not in call[1]],
    ids=lambda parameter: parameter[:60] if isinstance(parameter, str) else "call",
)
def test_fake_tensors_raise_the_texts_of_eager(call, text):
    with FakeTensorMode() as mode, pytest.raises((RuntimeError, ValueError), match=re.escape(text)):
        call(mode.from_tensor(example()))


def test_channels_last_cropped_to_nothing_and_padded_keeps_its_strides():
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(functional.pad, fullgraph=True, backend="aot_eager")
    expected = F.pad(x, (-8, 5))
    assert_same(functional.pad(x, (-8, 5)), expected)
    assert_same(compiled(x, (-8, 5)), expected)
