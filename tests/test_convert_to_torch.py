"""convert(to="torch"): each layer in torch's own ops makes what ours makes, scripts, exports, and runs without us."""

import copy
import dataclasses
import io
import pickle
from pathlib import Path
from typing import Any

import crop_at_cases
import normalize_cases
import pytest
import torch
from op_tester import assert_same, assert_values
from programs import LAYERS, Program, assert_same_with_grad, example, name_of
from test_random_crop import LAYERS as RANDOM_CROPS
from test_random_crop import saved_and_loaded, seeded
from torch import Tensor, nn

import torchcrop_fast as tcf


def plain(layer: nn.Module) -> nn.Module:
    converted, summary = tcf.convert(layer, to="torch", return_summary=True)
    assert (len(summary.converted), summary.left) == (1, [])
    assert type(converted).__module__ in ("torch.nn.modules.padding", "torchcrop_fast._plain")
    return converted


@pytest.mark.parametrize("layer", LAYERS, ids=name_of)
def test_pads_and_center_crops_are_the_same_in_torch(layer: nn.Module) -> None:
    converted = plain(layer)
    repeats_one_dim = isinstance(layer, (tcf.ReflectionPad1d, tcf.ReplicationPad1d, tcf.CircularPad1d))
    for image in [example(), example(11, 13), example().to(memory_format=torch.channels_last), example()[:1]]:
        x = image[0] if repeats_one_dim else image  # the ranks that torch.nn takes
        for program in (converted, saved_and_loaded(torch.jit.script(converted))):
            assert_same_with_grad(program, layer, x)
    assert "torchcrop_fast::" not in str(torch.jit.script(converted).inlined_graph)
    assert_same(tcf.convert(converted)(x), layer(x))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("layer", RANDOM_CROPS, ids=str)
def test_random_crops_draw_and_crop_the_same_in_torch(layer: tcf.RandomCrop, training: bool) -> None:
    layer = copy.deepcopy(layer).train(training)
    converted = plain(layer)
    assert repr(converted) == repr(layer)
    scripted = torch.jit.script(converted)
    assert "torchcrop_fast::" not in str(scripted.inlined_graph)
    traced = torch.jit.trace(converted, torch.rand(2, 1, 9, 9), check_trace=False)
    images = torch.rand(5, 3, 8, 9)
    given = layer.sample(images)
    twins = [converted, scripted, saved_and_loaded(scripted), pickle.loads(pickle.dumps(converted))]
    for twin in [*twins, torch.fx.symbolic_trace(converted)]:
        for x in [images, images[0], images[:1], images[:0], images.transpose(0, 1), images[:, None], images > 0.5]:
            assert_same(seeded(twin, x), seeded(layer, x))
        x = images.to(memory_format=torch.channels_last)
        assert_same(seeded(twin, x), seeded(layer, x))
        assert_same(twin(images, *given), layer(images, *given))
        one = [None if tensor is None else tensor[0] for tensor in given]
        assert_same(twin(images[0], *one), layer(images[0], *one))
    for x in (images, images[:3, :1, 1:]):
        assert_same(seeded(traced, x), seeded(layer, x))
    for twin in twins[:3]:
        for drawn, expected in zip(seeded(twin.sample, images), seeded(layer.sample, images), strict=True):
            assert (drawn is None) == (expected is None)
            assert drawn is None or torch.equal(drawn, expected)


MODES = {"constant": "constant", "replicate": "edge", "reflect": "reflect", "symmetric": "symmetric"}
CROP_CASES = [
    dataclasses.replace(case, padding_mode=mode, far=far, flip=(None, "last", "each")[i // 3 % 3])
    for i, case in enumerate(crop_at_cases.CASES)
    if len(case.size) == 2
    for mode, far in [(list(MODES)[i % 4], i % 2 == 1), ("constant", i % 2 == 0)]
]
CROP_CASES += [
    crop_at_cases.CropAtCase((2, 3, *image), (4, 3), crops, "each", fill=7, dtype=torch.uint8)
    for image in [(0, 5), (5, 0), (0, 0), (1, 1)]
    for crops in (None, 0, 2)
]


def test_random_crop_draws_from_its_generator_in_torch() -> None:
    layer = tcf.RandomCrop(4, padding=3, flip=0.5, generator=torch.Generator().manual_seed(3))
    images = torch.rand(9, 3, 8, 9)
    converted = plain(layer)  # whose generator is one of its own, in the same state
    for _ in range(3):
        assert_same(converted(images), layer(images))


@pytest.mark.parametrize("border", ["edge", "reflect", "symmetric"])
def test_exported_center_is_right_for_smaller_images_in_torch(border: str) -> None:
    layer = tcf.RandomCrop((7, 9), padding_mode=border).eval()
    sizes = ({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(plain(layer), (torch.rand(2, 3, 12, 14),), dynamic_shapes=sizes).module()
    for height, width in [(12, 14), (5, 6), (3, 20), (9, 4)]:
        images = torch.rand(2, 3, height, width)
        assert_same(exported(images), layer(images))


@pytest.mark.parametrize("case", CROP_CASES, ids=str)
def test_crops_at_given_places_are_the_same_in_torch(case: crop_at_cases.CropAtCase) -> None:
    torch.manual_seed(case.seed)
    (images, _), (offsets, flip) = case.make_input(), case.make_places()
    layer = tcf.RandomCrop(case.size, fill=case.fill, padding_mode=MODES[case.padding_mode])
    converted = plain(layer)
    same = assert_same if case.layout in ("contiguous", "channels_last") else assert_values
    scripts = not isinstance(case.fill, complex)  # nor does ours
    for program in (converted, *([torch.jit.script(converted)] if scripts else [])):
        same(program(images, offsets, flip), layer(images, offsets, flip))
        if case.crops is None:
            same(program.eval()(images, None, flip), layer.eval()(images, None, flip))
        if images.dtype.is_floating_point:
            assert_same_gradient(lambda x, p=program: p(x, offsets, flip), lambda x: layer(x, offsets, flip), images)


def assert_same_gradient(program: Any, expected: Any, images: Tensor) -> None:
    leaves = [torch.zeros_like(images.float()).requires_grad_() for _ in range(2)]
    for leaf, function in zip(leaves, (program, expected), strict=True):
        output = function(leaf)
        output.backward(torch.arange(output.numel()).reshape(output.shape).float() % 7)
    assert torch.equal(leaves[0].grad, leaves[1].grad)


def make_normalize(case: normalize_cases.Case) -> tcf.CropMirrorNormalize:
    return tcf.CropMirrorNormalize(case.size, **case.options)


def told_strides(tensor: Tensor) -> list[int]:
    """Those that matter: of dimensions of several elements."""
    sizes = tensor.shape if tensor.numel() > 0 else ()
    return [stride for size, stride in zip(sizes, tensor.stride(), strict=False) if size > 1]


NORMALIZE_CASES = [*normalize_cases.CASES, *map(normalize_cases.random_case, range(60))]


@pytest.mark.parametrize("case", NORMALIZE_CASES, ids=str)
def test_normalized_crops_are_those_of_ours_but_for_rounding(case: normalize_cases.Case) -> None:
    torch.manual_seed(case.seed)
    images, (offsets, flip) = case.make_input(), case.make_places()
    layer = make_normalize(case)
    converted, expected = plain(layer), layer(images, offsets, flip)
    programs = (
        [converted, torch.jit.script(converted)] if case.shape[1] > 0 else [converted]
    )  # empty lists have no type
    for program in programs:
        result = program(images, offsets, flip)
        assert result.dtype == expected.dtype
        assert told_strides(result) == told_strides(expected)
        # One step of a low precision's numbers may part two that float32 rounds.
        step = {torch.float32: 0.0, torch.float16: 2**-10, torch.bfloat16: 2**-7}[case.out_dtype]
        tolerance = case.rounded(expected) + expected.double().abs() * step + (2**-23 if step else 0)
        normalize_cases.assert_near(result, expected.double(), tolerance)
        if case.shape[0] > 0:
            one = program(images[0], *[None if tensor is None else tensor[0] for tensor in (offsets, flip)])
            assert torch.equal(one, result[0])


EXPORTED = {
    "random_crop": (
        tcf.RandomCrop((6, 12), 2, fill=0.5, padding_mode="reflect", pad_if_needed=True, flip=0.5),
        "given",
    ),
    "random_crop_draws": (tcf.RandomCrop(6, 2, flip=0.5), "drawn"),
    "random_crop_evaluated": (tcf.RandomCrop((6, 12), padding_mode="edge").eval(), ""),
    "random_crop_center": (tcf.RandomCrop((6, 12), fill=0.5).eval(), ""),
    "center_crop": (tcf.CenterCrop((6, 12), "keras"), ""),
    "crop": (tcf.Crop2d((1, 2, 3, 0)), ""),
    "normalize": (tcf.CropMirrorNormalize(6, [0.5, 0.2, 0.1], [0.5, 2.0, 1.5], fill=9), ""),
    "normalize_given": (tcf.CropMirrorNormalize(6, [0.5, 0.2, 0.1], [0.5, 2.0, 1.5], padding_mode="circular"), "given"),
}


@pytest.mark.parametrize(("layer", "places"), EXPORTED.values(), ids=EXPORTED)
def test_exports_hold_torchs_ops_alone(layer: nn.Module, places: str) -> None:
    def arguments(n: int, height: int, width: int) -> tuple[Any, ...]:
        torch.manual_seed(n)
        offsets, flip = torch.randint(-4, 5, (n, 2)), torch.rand(n) < 0.5
        return (torch.rand(n, 3, height, width), *([offsets, flip] if places == "given" else []))

    batch = {0: torch.export.Dim.DYNAMIC}
    sizes = {**batch, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    inputs = arguments(4, 15, 17)
    shapes = (sizes, *[batch] * (len(inputs) - 1))
    exported = torch.export.export(plain(layer), inputs, dynamic_shapes=shapes)
    targets = [node.target for node in exported.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    assert {target.namespace for target in targets} <= {"aten"}
    for n, height, width in ((4, 15, 17), (2, 14, 19)):
        x = arguments(n, height, width)
        result, expected = exported.module()(*x), layer(*x)
        assert result.shape == expected.shape
        assert places == "drawn" or torch.allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_pads_come_back_and_so_do_the_others() -> None:
    layers = [*LAYERS, *RANDOM_CROPS, make_normalize(normalize_cases.CASES[-1])]
    model = nn.ModuleList(layers)
    back, summary = tcf.convert(tcf.convert(model, to="torch"), return_summary=True)
    assert len(summary.converted) == len(layers)
    images = example()
    for layer, converted in zip(layers, back, strict=True):
        if isinstance(layer, (tcf.Crop1d, tcf.Crop2d, tcf.Crop3d)):
            assert type(converted).__name__ == type(layer).__name__.replace("Crop", "ZeroPad")
            assert_same(converted(images), layer(images))
        else:
            assert type(converted) is type(layer)
            assert repr(converted).replace("=7.0", "=7") == repr(layer)  # a fill is a float in torch


def test_files_load_and_run_where_we_are_not_imported(tmp_path: Path, fresh_python: Any) -> None:
    model = nn.ModuleDict(
        {
            "crop": tcf.Crop2d(1),
            "pad": tcf.ReflectionPad2d(2),
            "constant": tcf.ConstantPad2d((1, -1, 2, 0), 0.5),
            "center": tcf.CenterCrop((20, 4)),
            "drawn": tcf.RandomCrop(6, 2, flip=0.5, padding_mode="symmetric"),
            "evaluated": tcf.RandomCrop((6, 20), fill=0.5).eval(),
            "normalize": tcf.CropMirrorNormalize(
                6, [0.5, 0.2, 0.1], [0.5, 2.0, 1.5], memory_format=torch.channels_last
            ),
        }
    )
    images = torch.rand(2, 3, 8, 9)
    for name, layer in tcf.convert(model, to="torch").items():
        program = Program(layer)
        torch.jit.script(program).save(tmp_path / f"{name}.pt")
        torch.export.save(torch.export.export(program, (images,)), tmp_path / f"{name}.pt2")
    torch.save({"images": images, **{name: seeded(layer, images) for name, layer in model.items()}}, tmp_path / "data")
    printed = fresh_python(
        """
        import pathlib, sys, torch

        folder = pathlib.Path(sys.argv[1])
        data = torch.load(folder / "data")
        for name, expected in data.items():
            if name == "images":
                continue
            exported = torch.export.load(folder / f"{name}.pt2").module()
            for program in (torch.jit.load(folder / f"{name}.pt"), exported):
                torch.manual_seed(3)
                result = program(data["images"])
                same = torch.allclose(result, expected, rtol=1e-6, atol=1e-6) and result.stride() == expected.stride()
                print(name, same)
        print(sorted(name for name in sys.modules if name.startswith("torchcrop_fast")))
        """,
        str(tmp_path),
    )
    lines = printed.splitlines()
    assert lines[:-1] == [f"{name} True" for name in model for _ in range(2)]
    assert lines[-1] == "[]"


def test_a_pickle_of_plain_modules_loads() -> None:
    model = tcf.convert(nn.Sequential(tcf.RandomCrop(4, 2), tcf.CenterCrop(3)), to="torch")
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    images = example()
    assert_same(seeded(loaded, images), seeded(model, images))
