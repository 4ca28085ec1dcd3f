"""ONNX: models exported with open sizes, run by onnxruntime at many sizes; and our ops in standard ONNX operators."""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import crop_at_cases
import normalize_cases
import pytest
import torch
from crop_at_cases import CropAtCase
from op_tester import assert_values, random_bits
from programs import LAYERS, Programs, example
from torch import Tensor, nn
from torch.export import Dim

import torchcrop_fast as tcf
from torchcrop_fast import export, functional

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# Warnings of the exporter about itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

SIZES = [2, 3, 26, 27, 38, 39, 40, 41, 42, 50, 55, 64]
OPEN = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}


MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


def to_onnx(
    model: nn.Module, arguments: tuple[Tensor, ...], sizes: Any, table: bool = True, **options: Any
) -> torch.onnx.ONNXProgram:
    translations = export.onnx_translations() if table else None
    program = torch.onnx.export(
        model.eval(),
        arguments,
        dynamo=True,
        dynamic_shapes=sizes,
        custom_translation_table=translations,
        verbose=False,
        **options,
    )
    onnx.checker.check_model(program.model_proto, full_check=True)
    assert {node.domain for node in program.model.graph} == {""}
    return program


def assert_equal(results: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    for one, other in zip(results, expected, strict=True):
        assert_values(one, other)


def operators(program: torch.onnx.ONNXProgram) -> list[str]:
    return [node.op_type for node in program.model.graph]


def pads(program: torch.onnx.ONNXProgram, arguments: tuple[Tensor, ...]) -> list[Tensor]:
    """What each Pad of a model adds, when it is run."""
    names = {node.inputs[1].name for node in program.model.graph if node.op_type == "Pad"}
    return list(program.compute_values(sorted(names), arguments))


class ToMultiple(nn.Module):
    """Pads images to sizes that a network can halve four times."""

    def __init__(self, mode: str):
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, -x.size(3) % 16, 0, -x.size(2) % 16), self.mode)


def to_multiple_or_less(x: Tensor) -> Tensor:
    """An entry that crops, and one whose sign depends on the size."""
    return functional.pad(x, (1, -(x.size(3) % 16), x.size(2) // 8 - 2, 3), value=0.5)


MODELS = [
    *[tcf.CenterCrop(size, rounding) for rounding in ("torchvision", "keras", "dali", "monai") for size in (40, 27)],
    tcf.RandomCrop(40, fill=0.5),
    tcf.RandomCrop(39),
    tcf.Crop2d(1),
    tcf.ConstantPad2d((1, -2, -1, 3), 0.5),
    tcf.ReflectionPad2d((1, -2, -1, 1)),
    tcf.ReplicationPad2d((3, -2, -1, 2)),
    tcf.CircularPad2d((1, -1, -1, 1)),
    ToMultiple("constant"),
    ToMultiple("replicate"),
]


# Called as ops: ATen's, and, which takes the table, ours.
ATENS_PAD = [lambda x: torch.constant_pad_nd(x, (1, -2, -1, 0), 7)]
OUR_PAD = [lambda x: torch.ops.torchcrop_fast.pad(x, (1, -2, -1, 0), value=0.5)]


@pytest.mark.parametrize(
    ("shown", "table"), [((64, 50), False), ((27, 31), True)], ids=["of_large", "of_small_by_table"]
)
def test_models_are_right_for_all_sizes(shown, table):
    """With the table no pad is negative, where only a run tells the signs of its entries."""
    model = Programs(*MODELS, to_multiple_or_less, *(ATENS_PAD + OUR_PAD if table else []))
    program = to_onnx(model, (torch.rand(2, 3, *shown),), ((OPEN,),), table)
    for i, height in enumerate(SIZES):
        x = torch.rand(2, 3, height, SIZES[(5 * i + 3) % len(SIZES)])
        assert_equal(program(x), model(x))
    for size in [(2, 3), (39, 64), (64, 27)] if table else []:
        added = pads(program, (torch.rand(2, 3, *size),))
        assert len(added) > 10
        assert min(int(entries.min()) for entries in added) == 0


REPEATING_1D = ("ReflectionPad1d", "ReplicationPad1d", "CircularPad1d")  # of a batch of images ATen has none


def test_no_pad_of_known_entries_is_negative():
    x = example(20, 21)
    in_1d = [lambda x, layer=layer: layer(x[0]) for layer in LAYERS if type(layer).__name__ in REPEATING_1D]
    program = to_onnx(Programs(*LAYERS, *in_1d), (x,), None, table=False)
    assert_equal(program(x), Programs(*LAYERS, *in_1d)(x))
    added = pads(program, (x,))
    assert len(added) == 10
    assert min(int(entries.min()) for entries in added) == 0


FLOAT8 = (torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz)
DTYPES = (torch.bool, torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64)
DTYPES += (torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64, *FLOAT8)


def without_nan(x: Tensor, dtypes: Sequence[torch.dtype] = FLOAT8) -> Tensor:
    """Of dtypes that onnxruntime takes for other ones: NaNs stay NaN, but not their bits."""
    return torch.where(x.float().isnan(), 1.5, x.float()).to(x.dtype) if x.dtype in dtypes else x


def from_onnxruntime(result: Tensor) -> Tensor:
    """As a tensor that torch can get of onnxruntime."""
    return result.to(torch.int64) if result.dtype == torch.uint64 else result


def crops_of(case: CropAtCase) -> Callable[..., Tensor]:
    def crops(x: Tensor, offsets: Tensor, flip: Tensor | None) -> Tensor:
        options = {"flip": flip, "padding_mode": case.padding_mode, "fill": case.fill}
        result = functional.crop_at(x, offsets, case.size, **options)
        return (
            result.to(torch.int64) if result.dtype == torch.uint64 else result
        )  # which torch cannot get of onnxruntime

    return crops


class Each(Programs):
    """What each of them makes of arguments of its own."""

    def forward(self, *arguments: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
        return tuple(program(*own) for program, own in zip(self.programs, arguments, strict=True))


def open_sizes(x: Tensor, offsets: Tensor | None, flip: Tensor | None) -> tuple[dict[int, Any] | None, ...]:
    """All that may be open: not how many dimensions the offsets have."""
    kept = 1 if offsets is None else offsets.dim() - 1
    return tuple(
        None if tensor is None else dict.fromkeys(range(dims), Dim.DYNAMIC)
        for tensor, dims in ((x, x.dim()), (offsets, kept), (flip, kept))
    )


IMAGES = [((3, 2, 5, 6), (4, 7)), ((2, 9), (12,)), ((2, 2, 3, 4, 5), (4, 3, 2)), ((4, 5, 6), (2, 9))]
IMAGES += [((2, 3, 2, 6), (3,))]  # shapes, and sizes of windows
OTHER_SHAPES = [
    lambda shape: (1,) * len(shape),
    lambda shape: (5, *(n + 3 for n in shape[1:])),
    lambda shape: (0, *shape[1:]),
]


def test_crop_at_equals_eager():
    """In bits, for all dtypes and borders, places as far as can be, and other sizes than those of the export."""
    torch.manual_seed(0)
    cases = [
        CropAtCase(
            *IMAGES[i // 5 % 5],
            crops=(None, 2, 3)[i % 3],
            flip=(None, "last", "each", "last")[i % 4],
            padding_mode=crop_at_cases.BORDERS[i % 5],
            fill=(3, 0, 1)[i % 3],
            dtype=DTYPES[i % len(DTYPES)],
            far=True,
            seed=i,
        )
        for i in range(2 * len(DTYPES) + 1)
    ]

    def arguments(cases: list[CropAtCase]) -> Any:
        return tuple((without_nan(case.make_input()[0]), *case.make_places()) for case in cases)

    model, shown = Each(*map(crops_of, cases)), arguments(cases)
    program = to_onnx(model, shown, (tuple(open_sizes(*own) for own in shown),))
    assert_equal(program(*shown), model(*shown))
    for other in OTHER_SHAPES:
        given = arguments([replace(case, shape=other(case.shape)) for case in cases])
        assert_equal(program(*given), model(*given))
    empty = [replace(case, shape=(*case.shape[:-1], 0 if case.padding_mode == "constant" else 1)) for case in cases]
    given = arguments(empty)
    assert_equal(program(*given), model(*given))


def normalized_of(case: normalize_cases.Case) -> Callable[..., Tensor]:
    def normalized(x: Tensor, offsets: Tensor | None, flip: Tensor | None) -> Tensor:
        return functional.crop_mirror_normalize(x, offsets, case.size, flip=flip, **case.options)

    return normalized


NORMALIZE_CASES = [
    normalize_cases.Case(
        (3, 3, 8, 9),
        ((5, 7), (12, 6), (3, 30))[i % 3],
        crops=("center", None, 2)[i // 5 % 3],
        flip=(None, "last", None, "each")[i % 4],
        padding_mode=normalize_cases.BORDERS[i % 5],
        dtype=normalize_cases.IN_DTYPES[i // 2 % 4],
        out_dtype=normalize_cases.OUT_DTYPES[i // 3 % 3],
        order=("CHW", "HWC")[i // 4 % 2],
        fills=i % 7 < 4,
        memory_format=normalize_cases.FORMATS[i % 2],
    )
    for i in range(30)
]
IMAGE_SIZES = [(8, 9), (1, 1), (5, 40), (30, 7), (13, 12)]


def test_crop_mirror_normalize_equals_eager():
    """To float32's rounding, which eager does once and ONNX twice; in half precision to its last bit."""
    torch.manual_seed(0)

    def arguments(size: tuple[int, int]) -> Any:
        cases = [replace(case, shape=(case.shape[0], 3, *size)) for case in NORMALIZE_CASES]
        given = [(case.make_input(), *case.make_places()) for case in cases]
        for _, offsets, _ in given[1::4]:
            if offsets is not None:
                offsets.flatten()[:2] = torch.tensor([-(2**63), 2**63 - 1])  # a view, offsets are dense
        return tuple(given)

    model, shown = Each(*map(normalized_of, NORMALIZE_CASES)), arguments((8, 9))
    sizes = tuple(
        (
            {0: Dim.DYNAMIC, **dict.fromkeys((1, 2) if case.order == "HWC" else (2, 3), Dim.DYNAMIC)},
            *open_sizes(*own)[1:],
        )
        for case, own in zip(NORMALIZE_CASES, shown, strict=True)
    )
    program = to_onnx(model, shown, (sizes,))
    for size in IMAGE_SIZES:
        given = arguments(size)
        for case, result, expected in zip(NORMALIZE_CASES, program(*given), model(*given), strict=True):
            assert result.dtype == expected.dtype
            tolerance = case.rounded(expected)
            if expected.dtype != torch.float32:
                tolerance += torch.finfo(expected.dtype).eps * expected.double().abs() + 2**-24
            normalize_cases.assert_near(result, expected.double(), tolerance)


def test_the_center_is_a_slice():
    """Padded where a run finds the image smaller, and not at all where it is known to be large enough."""
    x = example()
    reflected = tcf.CropMirrorNormalize((4, 7), MEAN, STD, padding_mode="reflect")
    program = to_onnx(Programs(reflected), (x,), None)
    assert operators(program) == ["Slice", "Mul", "Add"]
    torch.testing.assert_close(program(x)[0], reflected(x), rtol=2**-21, atol=2**-20)
    filled = tcf.CropMirrorNormalize(4, MEAN, STD, fill=[1.0, 2.0, 3.0])
    program = to_onnx(Programs(filled), (x,), ((OPEN,),))
    assert operators(program).count("Slice") == operators(program).count("Pad") == 1
    assert not {"Gather", "GatherND"} & set(operators(program))


@pytest.mark.parametrize("options", [{}, {"opset_version": 18, "optimize": False}], ids=["usual", "oldest"])
def test_layers_export_whole(options):
    torch.manual_seed(0)

    def arguments(height: int, width: int) -> tuple[Tensor, ...]:
        return torch.rand(3, 3, height, width), torch.randint(-9, 30, (3, 2)), torch.rand(3) < 0.5

    programs = [
        tcf.RandomCrop((6, 12), fill=2, padding_mode=mode).eval()
        for mode in ("constant", "edge", "reflect", "symmetric")
    ]
    programs.append(tcf.CropMirrorNormalize((6, 12), MEAN, STD, fill=0.5))
    for layer in programs[:]:
        programs.append(lambda x, offsets, flip, layer=layer: layer(x))
        programs.append(lambda x, offsets, flip, layer=layer: layer(x[0], offsets[0], flip[0]))
    programs.append(lambda x, offsets, flip: functional.five_crop(x, (6, 5)))
    programs.append(lambda x, offsets, flip: functional.ten_crop(x, (6, 5), vertical_flip=True))
    model, shown = Programs(*programs), arguments(20, 21)
    sizes = ({0: Dim.DYNAMIC, **OPEN}, {0: Dim.DYNAMIC}, {0: Dim.DYNAMIC})
    program = to_onnx(model, shown, (sizes,), **options)
    for size in [(20, 21), (8, 14), (30, 5)]:
        given = arguments(*size)
        for result, expected in zip(program(*given), model(*given), strict=True):
            torch.testing.assert_close(result, expected, rtol=2**-21, atol=2**-20)


PADS = [("reflect", (-1, 2)), ("replicate", (3, -2, -1, 0)), ("circular", (-2, 3))]
PADS += [("reflect", (1, 2, -1, 1, 1, 0, 1, 1))]


def test_pads_of_every_dtype_equal_eager():
    """By index, by ATen's pads, by our op; but for crops of float8, which ONNX cannot slice."""
    torch.manual_seed(0)
    cases = [(dtype, *PADS[i % len(PADS)]) for i, dtype in enumerate(DTYPES)]
    cases += [(dtype, "constant", (1, 0, 0, 3)) for dtype in FLOAT8]
    cases += [(dtype, "constant", (1, -2, -1, 3)) for dtype in DTYPES if dtype.itemsize <= 2 and dtype not in FLOAT8]

    def padded(mode: str, pad: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
        return lambda x: from_onnxruntime(functional.pad(x, pad, mode, 1 if mode == "constant" else None))

    def arguments(*shape: int) -> Any:
        return tuple(
            (without_nan(random_bits(shape, dtype), (*FLOAT8, torch.float16, torch.bfloat16)),) for dtype, _, _ in cases
        )

    model, shown = Each(*(padded(mode, pad) for _, mode, pad in cases)), arguments(2, 3, 6, 7)
    program = to_onnx(model, shown, (tuple((OPEN,) for _ in cases),))
    for size in [(6, 7), (9, 5)]:
        given = arguments(2, 3, *size)
        assert_equal(program(*given), model(*given))


def test_training_draws_windows_within_the_image():
    layer = tcf.RandomCrop((3, 5), flip=0.5)
    with pytest.warns(UserWarning, match="training mode"):
        program = torch.onnx.export(
            layer,
            (torch.rand(2, 1, 8, 9),),
            dynamo=True,
            dynamic_shapes=({0: Dim.DYNAMIC, **OPEN},),
            custom_translation_table=export.onnx_translations(),
            verbose=False,
        )
    x = torch.arange(100.0).expand(500, 1, 100).reshape(500, 1, 10, 10)
    (result,) = program(x)
    windows = result.int().flatten(1)
    flipped = windows[:, 1] < windows[:, 0]
    first = torch.where(flipped, windows[:, 4], windows[:, 0])
    offsets = torch.stack([first // 10, first % 10], 1).long()
    assert torch.equal(functional.crop_at(x, offsets, (3, 5), flip=flipped), result)
    assert len(offsets.unique(dim=0)) == 8 * 6
    assert 150 < flipped.sum() < 350


PLACES = torch.zeros(2, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("dtype", "table", "text"),
    [
        (
            torch.float32,
            False,
            "No ONNX function found for <OpOverload(op='torchcrop_fast.crop_at', overload='default')>.",
        ),
        (torch.complex64, True, "No decompositions registered for the complex-valued input"),
        (torch.float8_e8m0fnu, True, "<class 'KeyError'>: torch.float8_e8m0fnu"),
    ],
    ids=["no_table", "complex", "float8_e8m0fnu"],
)
def test_says_what_it_cannot_export(dtype, table, text):
    def program(x: Tensor) -> Tensor:
        return functional.crop_at(x, PLACES, (3, 4), fill=1)

    with pytest.raises(torch.onnx.errors.OnnxExporterError, match=re.escape(text)):
        to_onnx(Programs(program), (example().to(dtype),), None, table)


@pytest.mark.parametrize("module", ["onnxscript.onnx_opset", "onnx_ir"])
def test_missing_packages_are_named(monkeypatch, module):
    monkeypatch.delitem(sys.modules, "torchcrop_fast._onnx", raising=False)
    monkeypatch.delattr(tcf, "_onnx", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    text = f"onnx_translations: {module.split('.')[0]} is not installed: run pip install 'torchcrop_fast[onnx]'"
    with pytest.raises(ImportError, match=re.escape(text)):
        export.onnx_translations()


def test_nothing_of_onnx_is_loaded_before_its_use(fresh_python):
    printed = fresh_python("""
        import sys

        import torchcrop_fast

        print("torchcrop_fast.export" in sys.modules)
        import torchcrop_fast.export

        print([name for name in sys.modules if name.startswith("onnx") or name == "torchcrop_fast._onnx"])
    """)
    assert printed.split("\n")[:2] == ["False", "[]"]
