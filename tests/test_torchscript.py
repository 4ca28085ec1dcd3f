"""TorchScript: every layer and function scripted, traced, saved, loaded without Python's help, frozen and trained."""

import copy
import inspect
import io
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from op_tester import assert_same
from programs import FUNCTIONS, LAYERS, OUT_FUNCTIONS, Program, assert_same_with_grad, example, name_of
from torch import Tensor, nn

import torchcrop_fast as tcf
from torchcrop_fast import _C, functional
from torchcrop_fast._library import OPS_LIBRARY

PROGRAMS = FUNCTIONS + OUT_FUNCTIONS + LAYERS
TRACED_PROGRAMS = FUNCTIONS + LAYERS


def saved_and_loaded(scripted):
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def records_op(scripted) -> bool:
    """Whether its graph calls torchcrop_fast::pad."""
    return len(scripted.inlined_graph.findAllNodes("torchcrop_fast::pad")) > 0


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_scripted_equals_eager(program):
    scripted = torch.jit.script(program)
    for x in [example(), example(11, 13), example(), example(12, 9).transpose(2, 3)]:
        for _ in range(3):  # the executor profiles, then optimizes
            assert_same(scripted(x), program(x))
    with torch.inference_mode():
        x = example()
        assert_same(scripted(x), program(x))
        assert scripted(x).is_inference()


@pytest.mark.parametrize("program", TRACED_PROGRAMS, ids=name_of)
def test_scripted_gradients_equal_eager(program):
    scripted = torch.jit.script(program)
    for x in [example(), example(11, 13), example(), example()]:
        assert_same_with_grad(scripted, program, x)


@pytest.mark.parametrize("program", TRACED_PROGRAMS, ids=name_of)
def test_trace_works_for_other_sizes(program):
    traced = torch.jit.trace(program, example())
    for x in [example(), example(11, 13), example(13, 8)]:
        assert_same(traced(x), program(x))


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_scripts_and_traces_call_the_op(layer):
    assert records_op(torch.jit.script(layer))
    assert records_op(torch.jit.trace(layer, example()))
    assert records_op(saved_and_loaded(torch.jit.script(layer)))


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_saved_and_loaded_equals_eager(program):
    loaded = saved_and_loaded(torch.jit.script(Program(program)))
    for x in [example(), example(11, 13), example()]:
        assert_same(loaded(x), program(x))


@pytest.mark.parametrize("program", TRACED_PROGRAMS, ids=name_of)
def test_saved_and_loaded_trace_equals_eager(program):
    loaded = saved_and_loaded(torch.jit.trace(Program(program), example()))
    for x in [example(), example(11, 13), example()]:
        assert_same(loaded(x), program(x))


@pytest.mark.parametrize("optimize", [torch.jit.freeze, torch.jit.optimize_for_inference])
@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_frozen_equals_eager(program, optimize):
    frozen = optimize(torch.jit.script(Program(copy.deepcopy(program)).eval()))
    for x in [example(), example(11, 13), example()]:
        with torch.inference_mode():
            assert_same(frozen(x), program(x))


def test_saved_files_run_with_the_ops_library_alone(fresh_python, tmp_path):
    """A process that never imports the package: it loads the ops, then what was scripted."""
    x = example()
    names = [f"{i}_{name_of(program)}" for i, program in enumerate(PROGRAMS)]
    for name, program in zip(names, PROGRAMS, strict=True):
        torch.jit.save(torch.jit.script(Program(program)), str(tmp_path / f"{name}.pt"))
    outputs = {name: program(x) for name, program in zip(names, PROGRAMS, strict=True)}
    torch.save({"x": x, "outputs": outputs}, tmp_path / "expected")
    printed = fresh_python(
        """
        import sys
        import torch

        library, folder = sys.argv[1:]
        torch.ops.load_library(library)
        expected = torch.load(folder + "/expected")
        for name, output in expected["outputs"].items():
            got = torch.jit.load(f"{folder}/{name}.pt")(expected["x"])
            torch.testing.assert_close(got, output, rtol=0, atol=0, check_stride=True)
        print(len(expected["outputs"]), any(name.startswith("torchcrop_fast") for name in sys.modules))
        """,
        str(OPS_LIBRARY),
        str(tmp_path),
    )
    assert printed.split() == [str(len(PROGRAMS)), "False"]


class Block(nn.Module):
    """A part of a network that crops: by layers, by a function, and by another module."""

    def __init__(self, channels: int, pad: nn.Module, crop: nn.Module):
        super().__init__()
        self.pad = pad
        self.convolution = nn.Conv2d(channels, channels, 3)
        self.crops = nn.ModuleList([crop, nn.Sequential(crop, nn.ReLU())])

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(self.pad(x))
        for crop in self.crops:
            x = crop(x)
        return x


class Network(nn.Module):
    """A small convolutional network of nested blocks."""

    def __init__(self, blocks: nn.Module):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.blocks = blocks
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean(dim=[2, 3]))


def cropping_network() -> Network:
    torch.manual_seed(0)
    return Network(
        nn.Sequential(
            Block(4, tcf.ZeroPad2d(2), tcf.Crop2d(1)),
            Block(4, tcf.ConstantPad2d((1, 0, 2, -1), 0.5), tcf.Crop2d(((1, 0), (0, 2)))),
        )
    )


def reference_network() -> Network:
    torch.manual_seed(0)
    return Network(
        nn.Sequential(
            Block(4, nn.ZeroPad2d(2), nn.ZeroPad2d(-1)),
            Block(4, nn.ConstantPad2d((1, 0, 2, -1), 0.5), nn.ZeroPad2d((0, -2, -1, 0))),
        )
    )


def trained(network, steps: int = 4) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Its losses and gradients on the way, and its weights in the end."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    digits = torch.rand(8, 1, 28, 28, generator=generator)
    labels = torch.randint(10, (8,), generator=generator)
    losses, grads = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(digits), labels)
        loss.backward()
        losses.append(loss.detach())
        grads += [parameter.grad.clone() for parameter in network.parameters()]
        optimizer.step()
    return losses, grads, [parameter.detach().clone() for parameter in network.parameters()]


@pytest.mark.parametrize(
    "prepare",
    [
        lambda network: network,
        torch.jit.script,
        lambda network: saved_and_loaded(torch.jit.script(network)),
        lambda network: torch.jit.trace(network, torch.rand(8, 1, 28, 28)),
    ],
    ids=["eager", "scripted", "scripted_saved_loaded", "traced"],
)
def test_networks_train_like_the_reference(prepare):
    histories = trained(prepare(cropping_network())), trained(reference_network())
    for ours, reference in zip(*histories, strict=True):
        for result, expected in zip(ours, reference, strict=True):
            assert_same(result, expected)
    losses, _, _ = histories[0]
    assert losses[-1] < losses[0]


def test_frozen_network_equals_the_reference():
    digits = torch.rand(2, 1, 28, 28)
    frozen = torch.jit.freeze(torch.jit.script(cropping_network().eval()))
    with torch.inference_mode():
        assert_same(frozen(digits), reference_network().eval()(digits))


def pad_by(x: Tensor, pad: list[int], mode: str, value: float) -> Tensor:
    return functional.pad(x, pad, mode, value)


def crop_by(x: Tensor, cropping: list[int], copy: bool) -> Tensor:
    return functional.crop(x, cropping, copy=copy)


def center_crop_to(x: Tensor, size: list[int], rounding: str) -> Tensor:
    return functional.center_crop(x, size, rounding)


def pad_to_out(x: Tensor, pad: list[int], mode: str, out: Tensor) -> Tensor:
    return functional.pad(x, pad, mode, out=out)


def crop_to_out(x: Tensor, cropping: list[int], copy: bool, out: Tensor) -> Tensor:
    return functional.crop(x, cropping, copy=copy, out=out)


def test_scripts_take_arguments_of_the_caller():
    x = example()
    pad, crop = torch.jit.script(pad_by), torch.jit.script(crop_by)
    assert_same(pad(x, [2, -1], "constant", 0.5), F.pad(x, (2, -1), value=0.5))
    assert_same(pad(x, [], "constant", 0.5), x)
    assert_same(crop(x, [1, 2], True), x[..., 1:-2].clone())
    view = crop(x, [1, 2], False)
    assert_same(view, x[..., 1:-2])
    assert view.data_ptr() == x[..., 1:].data_ptr()
    for rounding in ["torchvision", "keras", "dali", "monai"]:
        for size in ([3], [3, 6], [2, 20, 5]):
            expected = functional.center_crop(x, size, rounding)
            assert_same(torch.jit.script(center_crop_to)(x, size, rounding), expected)
    out = torch.full((2, 3, 8, 10), -1.0)
    assert torch.jit.script(pad_to_out)(x, [2, -1], "constant", out).data_ptr() == out.data_ptr()
    assert_same(out, F.pad(x, (2, -1)))


@pytest.mark.parametrize("name", functional.__all__)
def test_functions_script_by_themselves(name):
    x = example()
    arguments = {
        "crop_at": (x, torch.tensor([[1, 2], [3, 4]]), [2, 1]),
        "random_offsets": (2, [8, 9], [8, 9]),  # there is but one place
        "crop_mirror_normalize": (x, None, [2, 1]),
    }.get(name, (x, [2, 1]))
    channels = x.size(1)
    numbers = {"mean": [0.5] * channels, "std": [2.0] * channels} if name == "crop_mirror_normalize" else {}
    scripted = torch.jit.script(getattr(functional, name))
    assert_same(scripted(*arguments, **numbers), getattr(functional, name)(*arguments, **numbers))


WRONG_CALLS = [
    (pad_by, ([-5, -5], "constant", 0.0), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
    (pad_by, ([1], "constant", 0.0), "pad: pad must have an even number of entries, got 1"),
    (pad_by, ([0] * 10, "constant", 0.0), "pad: pad must have at most 8 entries for an input of 4 dims, got 10"),
    (pad_by, ([2**62, 2**62], "constant", 0.0), "the result's size would overflow int64"),
    (pad_by, ([1, 1], "constant", 1e300), "pad: value must fit dtype float32, got 1e+300"),
    (pad_by, ([1, 1], "reflect", 1.5), "pad: value must be None or 0 unless mode is 'constant', got 1.5"),
    (
        pad_by,
        ([1, 1], "symmetric", 0.0),
        "pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got 'symmetric'",
    ),
    (
        pad_by,
        ([9, 0], "reflect", 0.0),
        "pad: dim 3 of size 9 cannot be reflected by (9, 0): both must be less than its size",
    ),
    (
        pad_by,
        ([-6, 4], "circular", 0.0),
        "pad: dim 3 of size 9 cannot be wrapped by (-6, 4): both must be at most the 3 elements to wrap",
    ),
    (crop_by, ([5, 5], True), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
    (crop_by, ([5, 5], False), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
    (crop_by, ([-1, 5], False), "crop: cropping must not be negative with copy=False, got [-1, 5]"),
    (center_crop_to, ([1] * 5, "keras"), "center_crop: size has 5 entries, more than the 4 dims of input"),
    (center_crop_to, ([3, -2], "keras"), "center_crop: size must not be negative, got -2"),
    (
        center_crop_to,
        ([3], "half"),
        "center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got 'half'",
    ),
    (pad_to_out, ([1, 1], "reflect", torch.empty(0).int()), "pad: out must be of dtype float32, got int32"),
    (pad_to_out, ([1, 1], "constant", torch.empty(0).int()), "pad: out must be of dtype float32, got int32"),
    (crop_to_out, ([1, 1], False, torch.empty(0)), "crop: out cannot be given with copy=False"),
]


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    WRONG_CALLS,
    ids=[f"{function.__name__}{arguments}".replace(" ", "") for function, arguments, _ in WRONG_CALLS],
)
def test_scripts_raise_the_texts_of_eager(function, arguments, text):
    x = example()
    with pytest.raises((RuntimeError, ValueError), match=re.escape(text)) as eager:
        function(x, *arguments)
    with pytest.raises((RuntimeError, torch.jit.Error)) as scripted:
        torch.jit.script(function)(x, *arguments)
    assert str(eager.value).splitlines()[0] in str(scripted.value)


# What one version has saved, every later one loads: these may be joined by others, and gain arguments with defaults at
# the end, but never change.
CROP_AT = (
    '(Tensor input, Tensor offsets, SymInt[] size, *, Tensor? flip=None, str padding_mode="constant", Scalar fill=0'
)
NORMALIZE = (
    "(Tensor input, Tensor? offsets, SymInt[] size, *, float[] mean, float[] std, Tensor? flip=None,"
    ' ScalarType? dtype=None, str layout="CHW", MemoryFormat? memory_format=None, str padding_mode="constant",'
    " float[] fill=[0.]"
)
SCHEMAS = {
    "torchcrop_fast::_crop_at_adjoint": (
        '(Tensor grad, Tensor offsets, SymInt[] size, *, Tensor? flip=None, str padding_mode="constant") -> Tensor'
    ),
    "torchcrop_fast::_crop_mirror_normalize_adjoint": (
        "(Tensor grad, Tensor? offsets, SymInt[] size, *, float[] std, Tensor? flip=None, ScalarType? dtype=None,"
        ' str layout="CHW", str padding_mode="constant") -> Tensor'
    ),
    "torchcrop_fast::_pad_adjoint": "(Tensor grad, SymInt[] pad, SymInt[] size, str mode) -> Tensor",
    "torchcrop_fast::crop_at": CROP_AT + ") -> Tensor",
    "torchcrop_fast::crop_at.out": CROP_AT + ", Tensor(a!) out) -> ()",
    "torchcrop_fast::crop_mirror_normalize": NORMALIZE + ") -> Tensor",
    "torchcrop_fast::crop_mirror_normalize.out": NORMALIZE + ", Tensor(a!) out) -> ()",
    "torchcrop_fast::pad": '(Tensor input, SymInt[] pad, str mode="constant", Scalar? value=None) -> Tensor',
    "torchcrop_fast::pad.out": (
        '(Tensor input, SymInt[] pad, str mode="constant", Scalar? value=None, *, Tensor(a!) out) -> ()'
    ),
}


def schemas() -> dict[str, torch.FunctionSchema]:
    """All of the ops' schemas, by their names."""
    ours = [schema for schema in torch._C._jit_get_all_schemas() if schema.name.startswith("torchcrop_fast::")]
    return {schema.name + (f".{schema.overload_name}" if schema.overload_name else ""): schema for schema in ours}


def test_schemas_only_grow():
    assert {name: str(schema) for name, schema in schemas().items()} == {
        name: name + schema for name, schema in SCHEMAS.items()
    }


@pytest.mark.parametrize("name", ["pad", "crop_at", "crop_mirror_normalize"])
def test_python_signatures_are_those_of_the_schemas(name):
    parameters = list(inspect.signature(getattr(functional, name)).parameters.values())
    arguments = schemas()[f"torchcrop_fast::{name}.out"].arguments
    assert [parameter.name for parameter in parameters] == [argument.name for argument in arguments]
    for parameter, argument in zip(parameters, arguments, strict=True):
        is_keyword_only = parameter.kind == inspect.Parameter.KEYWORD_ONLY
        assert is_keyword_only == argument.kwarg_only
        if argument.name == "fill":  # one number will do
            assert [parameter.default] in ([argument.default_value], argument.default_value)
        elif argument.has_default_value():
            assert parameter.default == argument.default_value
        else:
            assert parameter.default is (None if argument.name == "out" else inspect.Parameter.empty)


def test_every_schema_with_an_out_has_a_function():
    ours = {name.removesuffix(".out").removeprefix("torchcrop_fast::") for name in schemas() if name.endswith(".out")}
    assert ours == {"pad", "crop_at", "crop_mirror_normalize"} <= set(functional.__all__)


SAVED = sorted((Path(__file__).parent / "saved").glob("*.pt"))


@pytest.mark.parametrize("file", SAVED, ids=lambda file: file.stem)
def test_what_a_version_saved_makes_the_same(file):
    """Every layer and function, with the bits that they gave when they were saved."""
    saved = torch.jit.load(file)
    for made, expected in zip(saved(), saved.expected, strict=True):
        if _C.cpu_capability() == "avx2":  # as where it was saved
            assert_same(made, expected)
        else:  # others round the multiply-add of pixels twice
            torch.testing.assert_close(made, expected)


def test_this_version_has_saved_a_file():
    assert ".".join(tcf.__version__.split(".")[:2]) in [file.stem for file in SAVED]
