"""torch.export and AOTInductor: every layer with open sizes, and their files in programs that don't import us."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from builds import ROOT, finish
from op_tester import assert_same
from programs import LAYERS, Programs
from torch import Tensor
from torch.export import Dim

import torchcrop_fast as tcf
from torchcrop_fast import _library, functional

pytestmark = [
    pytest.mark.filterwarnings("ignore:No CUDA runtime is found"),
    # Of the exporter to ONNX, about itself.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

STATISTICS: dict[str, Any] = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
OPEN_IMAGES = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
OPEN_PHOTOS = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC}
OPEN_BATCH = {0: Dim.DYNAMIC}
SIZES = [(12, 13), (8, 30), (7, 6)]


def images(n: int, height: int, width: int) -> tuple[Tensor]:
    return (torch.rand(n, 3, height, width),)


# Whose graphs hold ATen's ops alone.
PADS = Programs(
    *LAYERS,
    *(tcf.CenterCrop((5, 20), rounding) for rounding in ("torchvision", "keras", "dali", "monai")),
    tcf.RandomCrop(10, padding=2, fill=0.5),
).eval()
# Of each kind one, for what takes long to compile.
KINDS = {type(layer).__name__.rstrip("123d"): layer for layer in PADS.programs if "3d" not in str(layer)}
SOME_PADS = Programs(*KINDS.values())


def images_and_places(n: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Images, the same as photos, and places, two of them as far as can be."""
    offsets = torch.randint(-5, 9, (n, 2))
    offsets[0, 0], offsets[1, 1] = -(2**63), 2**63 - 1
    photos = torch.randint(256, (n, height, width, 3), dtype=torch.uint8)
    return (*images(n, height, width), photos, offsets, torch.rand(n) < 0.5)


RANDOM_CROPS = [
    tcf.RandomCrop((5, 9), fill=2.5, padding_mode=mode, flip=0.5).eval()
    for mode in ("constant", "edge", "reflect", "symmetric")
]
NORMALIZATIONS = [
    tcf.CropMirrorNormalize(9, **STATISTICS),
    tcf.CropMirrorNormalize((5, 20), **STATISTICS, dtype=torch.float16, padding_mode="replicate"),
    tcf.CropMirrorNormalize(
        9, **STATISTICS, dtype=torch.bfloat16, memory_format=torch.channels_last, fill=[9.0, 0.0, 1.0]
    ),
]
OF_PHOTOS = [
    tcf.CropMirrorNormalize(9, **STATISTICS, layout="HWC", padding_mode="reflect"),
    tcf.CropMirrorNormalize(9, **STATISTICS, layout="HWC", padding_mode="circular", memory_format=torch.channels_last),
]
# Whose graphs hold ours.
OPS = Programs(
    *(
        lambda x, _, offsets, flip, border=border: functional.crop_at(
            x, offsets, (4, x.size(3) - 2), flip=flip, padding_mode=border
        )
        for border in ("constant", "replicate", "reflect", "symmetric", "circular")
    ),
    lambda x, photos, offsets, flip: functional.crop_at(x, offsets[:, None].expand(-1, 2, -1), (3, 3), fill=1),
    lambda x, photos, offsets, flip: functional.crop_mirror_normalize(x, offsets, (4, 6), **STATISTICS),
    lambda x, photos, offsets, flip: functional.five_crop(x, 4),
    lambda x, photos, offsets, flip: functional.ten_crop(photos.movedim(3, 1), (3, 5), vertical_flip=True),
    *(lambda x, _, offsets, flip, layer=layer: layer(x, offsets, flip) for layer in RANDOM_CROPS + NORMALIZATIONS),
    *(lambda x, _, offsets, flip, layer=layer: layer(x, flip=flip) for layer in RANDOM_CROPS + NORMALIZATIONS),
    *(lambda x, _, offsets, flip, layer=layer: layer(x) for layer in RANDOM_CROPS + NORMALIZATIONS),
    *(lambda x, _, offsets, flip, layer=layer: layer(x[0]) for layer in NORMALIZATIONS),
    *(lambda _, photos, offsets, flip, layer=layer: layer(photos, offsets, flip) for layer in OF_PHOTOS),
    *(lambda _, photos, offsets, flip, layer=layer: layer(photos) for layer in OF_PHOTOS),
)
MODELS = {
    "pads": (PADS, images, (OPEN_IMAGES,)),
    "some_pads": (SOME_PADS, images, (OPEN_IMAGES,)),
    "ops": (OPS, images_and_places, (OPEN_IMAGES, OPEN_PHOTOS, OPEN_BATCH, OPEN_BATCH)),
}


def exported(name: str, strict: bool) -> torch.export.ExportedProgram:
    model, arguments, sizes = MODELS[name]
    with torch.no_grad():
        return torch.export.export(model, arguments(4, *SIZES[0]), dynamic_shapes=(sizes,), strict=strict)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("strict", [False, True], ids=["non_strict", "strict"])
@pytest.mark.parametrize("name", ["pads", "ops"])
def test_exported_and_decomposed_programs_equal_eager(name, strict):
    model, arguments, _ = MODELS[name]
    program = exported(name, strict)
    programs = [program.module()]
    if torch.__version__ >= "2.14":
        programs.append(program.run_decompositions().module())
    for size in SIZES:
        given = arguments(3, *size)
        for program in programs:
            for result, expected in zip(program(*given), model(*given), strict=True):
                assert_same(result, expected)
    if len(programs) == 1:
        pytest.skip("equal as exported; older torches than 2.14 decompose for the sizes of the export alone")


def test_random_crop_holds_our_op_only_where_it_may_show_a_repeating_border():
    layer = tcf.RandomCrop((5, 9), padding_mode="reflect").eval()
    for sizes, namespace in ((OPEN_IMAGES, "torchcrop_fast"), (OPEN_BATCH, "aten")):
        graph = torch.export.export(layer, images(3, 12, 13), dynamic_shapes=(sizes,)).graph
        assert namespace in {node.target.namespace for node in graph.nodes if "default" in str(node.target)}


@pytest.mark.parametrize("strict", [False, True], ids=["non_strict", "strict"])
def test_random_crops_draw_in_exported_programs_as_in_eager(strict):
    layer = tcf.RandomCrop((4, 5), padding=1, flip=0.5)
    program = torch.export.export(layer, images(4, 12, 13), dynamic_shapes=(OPEN_IMAGES,), strict=strict).module()
    for size in SIZES:
        (x,) = images(50, *size)
        torch.manual_seed(3)
        results = [program(x), program(x)]
        torch.manual_seed(3)
        for result in results:
            assert_same(result, layer(x))
        assert not torch.equal(*results)


RUN = """
    import sys
    from pathlib import Path

    import torch

    folder, library = Path(sys.argv[1]), sys.argv[2]
    saved, package = folder / "saved.pt2", folder / "package.pt2"
    loads = lambda: torch.export.load(saved).module(), lambda: torch._inductor.aoti_load_package(package)
    if library:
        for load in loads:
            try:
                load()
            except Exception as error:
                print(type(error).__name__, error)
        torch.ops.load_library(library)
    for load in loads:
        model = load()
        for arguments, expected in torch.load(folder / "expected"):
            for result, wanted in zip(model(*arguments), expected, strict=True):
                torch.testing.assert_close(result, wanted, rtol=0, atol=0, check_stride=True)
    assert not [name for name in sys.modules if name.startswith("torchcrop_fast")]
"""


def files_of(name: str, folder: Path) -> str:
    """A folder with a saved program, a compiled one, and what they should make of several sizes."""
    model, arguments, _ = MODELS[name]
    program = exported(name, strict=False)
    torch.export.save(program, folder / "saved.pt2")
    torch._inductor.aoti_compile_and_package(program, package_path=str(folder / "package.pt2"))
    given = [arguments(3, *size) for size in SIZES]
    torch.save([(one, model(*one)) for one in given], folder / "expected")
    return str(folder)


def test_files_of_pads_and_crops_need_no_library(tmp_path, fresh_python):
    assert fresh_python(RUN, files_of("some_pads", tmp_path), "") == ""


def test_files_of_other_ops_need_the_library_alone(tmp_path, fresh_python):
    """Without it, one sentence says so: of saved programs it is among warnings."""
    printed = fresh_python(RUN, files_of("ops", tmp_path), str(_library.OPS_LIBRARY)).splitlines()
    assert printed == [
        "RuntimeError We ran into an error when deserializing the saved file. Please check the warnings above for"
        " possible errors. ",
        "RuntimeError Could not find schema for torchcrop_fast::crop_at.",
    ]


NAMED_IMAGES = {2: Dim("height", min=4, max=500), 3: Dim("width", min=4, max=500)}


def test_named_sizes_do_for_all_but_centers():
    model = Programs(tcf.Crop2d(1), tcf.ReflectionPad2d(2), tcf.CircularPad2d((1, -1, 2, 0)))
    program = torch.export.export(model, images(3, 12, 13), dynamic_shapes=((NAMED_IMAGES,),)).module()
    for size in [*SIZES, (4, 500)]:
        given = images(3, *size)
        for result, expected in zip(program(*given), model(*given), strict=True):
            assert_same(result, expected)


@pytest.mark.parametrize(
    "center_crop",
    [lambda: tcf.CenterCrop(5), lambda: pytest.importorskip("torchvision.transforms.v2").CenterCrop(5)],
    ids=["ours", "theirs"],
)
def test_named_sizes_cannot_be_halved(center_crop):
    with pytest.raises(torch._dynamo.exc.UserError, match="Constraints violated"):
        torch.export.export(Programs(center_crop()), images(3, 12, 13), dynamic_shapes=((NAMED_IMAGES,),))


def test_the_page_on_exporting_does_what_it_says(tmp_path, monkeypatch):
    """Its Python and its commands, in their order, as a reader would type them."""
    pytest.importorskip("onnxruntime")
    page = (ROOT / "docs/export.md").read_text()
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for language, code in re.findall(r"^```(\w*)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if code.startswith("# serve.py\n"):
            Path("serve.py").write_text(code)
        elif language == "python":
            exec(compile(code, "docs/export.md", "exec"), names)
        else:
            assert language == "sh"
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            finish("bash", "-e", "-c", code, env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)})
    assert all(Path(name).stat().st_size for name in ("saved.pt2", "compiled.pt2", "serve.py", "model.onnx"))
