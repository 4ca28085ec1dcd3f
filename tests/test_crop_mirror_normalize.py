"""crop_mirror_normalize: values in float64 and as torchvision's, memory, gradients, errors; each way that it is run."""

import contextlib
import copy
import io
import itertools
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from normalize_cases import (
    BORDERS,
    CASES,
    FORMATS,
    IN_DTYPES,
    MEAN,
    OUT_DTYPES,
    STD,
    Case,
    assert_near,
    centered,
    channels,
    expect,
    random_case,
)
from op_tester import assert_same, check_op
from torch import Tensor
from torch._C import DispatchKey
from torch._dynamo import compiled_autograd
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual
from torch.func import functionalize, vmap

from torchcrop_fast import CropMirrorNormalize, _scripted, memory
from torchcrop_fast.functional import crop_at, crop_mirror_normalize

OP = torch.ops.torchcrop_fast.crop_mirror_normalize
VARIABLE = "TORCHCROP_FAST_CPU_CAPABILITY"
HAS_AVX2 = "avx2" in Path("/proc/cpuinfo").read_text().split()


def raises_exactly(kind: type[BaseException], text: str) -> Any:
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def by_fallback(*arguments: Any, **options: Any) -> Tensor:
    return OP.default._op_dk(DispatchKey.CompositeExplicitAutograd, *arguments, **options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case) -> None:
    check_op(case)


@pytest.mark.parametrize("memory_format", FORMATS, ids=str)
@pytest.mark.parametrize("order", ["CHW", "HWC"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16], ids=str)
def test_each_width_of_each_number_of_channels(
    dtype: torch.dtype, order: str, memory_format: torch.memory_format
) -> None:
    """Rows within the images, straight and mirrored: vectors of 16, and what is left of them."""
    offsets, flip = torch.tensor([[0, 3], [1, 2]]), torch.tensor([False, True])
    for c in range(1, 6):
        case = Case((2, c, 3, 76), (2, 70), dtype=dtype, order=order, memory_format=memory_format)
        torch.default_generator.manual_seed(c)
        input = case.make_input()
        expected, tolerance = expect(input, case, offsets, None)
        for width in range(1, 71):
            result = crop_mirror_normalize(input, offsets, (2, width), flip=flip, **case.options)
            seen, near = (torch.cat([t[:1, ..., :width], t[1:, ..., :width].flip(-1)]) for t in (expected, tolerance))
            assert_near(result, seen, near)


@pytest.mark.parametrize("part", range(5))
def test_random_cases(part: int) -> None:
    for seed in range(part * 80, part * 80 + 80):
        case = random_case(seed)
        try:
            check_op(case)
        except Exception as error:
            raise AssertionError(f"case {seed}: {case}") from error


@pytest.mark.parametrize("order", ["CHW", "HWC"])
@pytest.mark.parametrize("dtype", IN_DTYPES, ids=str)
def test_torchvision_in_float32(dtype: torch.dtype, order: str) -> None:
    TF = pytest.importorskip("torchvision.transforms.v2.functional")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    images = torch.randint(256, (3, 3, 41, 52), dtype=torch.uint8)
    images = images if dtype == torch.uint8 else (images / 255).to(dtype)
    input = images if order == "CHW" else images.permute(0, 2, 3, 1).contiguous()
    offsets = [[3, 4], [-5, 17], [20, -6]]

    def normalized(window: Tensor) -> Tensor:
        return TF.normalize(TF.to_dtype(window, torch.float32, scale=True), mean, std)

    windows = []
    for image, (y, x), flip in zip(images, offsets, (True, False, True), strict=True):
        window = TF.crop(image, y, x, 30, 40)
        windows.append(normalized(TF.horizontal_flip(window) if flip else window))
    result = crop_mirror_normalize(
        input,
        torch.tensor(offsets),
        (30, 40),
        mean=mean,
        std=std,
        flip=torch.tensor([True, False, True]),
        layout=order,
    )
    bound = 2**-21 * ((1 + channels(mean)) / channels(std))
    assert_near(result, torch.stack(windows).double(), bound)
    for size in ((30, 40), (31, 41), (60, 33), (41, 71), (64, 65)):
        result = crop_mirror_normalize(input, None, size, mean=mean, std=std, layout=order)
        assert_near(result, normalized(TF.center_crop(images, list(size))).double(), bound)


@pytest.mark.parametrize("dtype", IN_DTYPES[1:], ids=str)
@pytest.mark.parametrize("out_dtype", OUT_DTYPES, ids=str)
def test_nan_and_infinity(dtype: torch.dtype, out_dtype: torch.dtype) -> None:
    images = torch.randn(2, 3, 4, 45).to(dtype)
    images.view(-1)[::7] = float("nan")
    images.view(-1)[3::11] = float("inf")
    images.view(-1)[5::13] = -float("inf")
    expected = ((images.float() - channels(MEAN[:3])) / channels(STD[:3])).to(out_dtype)
    for memory_format in FORMATS:
        result = crop_mirror_normalize(
            images,
            torch.zeros(2, 2, dtype=torch.int64),
            (4, 45),
            mean=MEAN[:3],
            std=STD[:3],
            dtype=out_dtype,
            memory_format=memory_format,
        )
        torch.testing.assert_close(result.contiguous(), expected, equal_nan=True)


DALI_CASES: list[dict[str, Any]] = [
    {"size": (20, 24), "mirror": 0, "position": (0.5, 0.5)},
    {"size": (20, 24), "mirror": 1, "position": (0.0, 1.0)},
    {"size": (33, 47), "mirror": 1, "position": (1.0, 0.25)},
    {"size": (33, 1), "mirror": 0, "position": (0.3, 0.7)},
]


@pytest.mark.parametrize("case", DALI_CASES, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_dali(case: dict[str, Any]) -> None:
    pytest.importorskip("nvidia.dali")
    from nvidia.dali import fn, pipeline_def, types

    images = torch.randint(256, (2, 40, 50, 3), dtype=torch.uint8)
    (h, w), (down, right) = case["size"], case["position"]
    mean, std = [123.7, 116.3, 103.5], [58.4, 57.1, 57.4]

    @pipeline_def(batch_size=2, num_threads=1, device_id=None)
    def pipeline() -> Any:
        source = fn.external_source(source=lambda: [image.numpy() for image in images], layout="HWC")
        return fn.crop_mirror_normalize(
            source,
            dtype=types.FLOAT,
            output_layout="CHW",
            crop=(h, w),
            crop_pos_y=down,
            crop_pos_x=right,
            mirror=case["mirror"],
            mean=mean,
            std=std,
        )

    built = pipeline()
    built.build()
    (batch,) = built.run()
    expected = torch.stack([torch.from_numpy(batch.at(i).copy()) for i in range(2)])
    start = [round(down * (40 - h)), round(right * (50 - w))]
    in_units, out_units = [m / 255 for m in mean], [s / 255 for s in std]
    result = crop_mirror_normalize(
        images,
        torch.tensor([start, start]),
        (h, w),
        mean=in_units,
        std=out_units,
        flip=torch.tensor([bool(case["mirror"])] * 2),
        layout="HWC",
    )
    assert_near(result, expected.double(), 2**-21 * (1 + channels(mean) / 255) / channels(out_units))


def as_they_are(pixels: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """A line of pixels, converted: in vectors, one by one, and by the fallback; planar and channel by channel."""
    line = pixels.view(1, 1, 1, -1)
    start = torch.zeros(1, 2, dtype=torch.int64)
    results = []
    for memory_format, of_each_width in itertools.product(FORMATS, (16, 7)):
        n = line.size(-1) // of_each_width
        rows = line[..., : n * of_each_width].view(1, 1, n, of_each_width)
        results.append(
            crop_mirror_normalize(
                rows, start, rows.shape[-2:], mean=[0], std=[1], dtype=dtype, memory_format=memory_format
            ).flatten()
        )
    results.append(by_fallback(line, start, line.shape[-2:], mean=[0.0], std=[1.0], dtype=dtype).flatten())
    return results


def assert_same_bits(results: list[Tensor], expected: Tensor) -> None:
    nan = expected.isnan()
    for result in results:
        assert result.dtype == expected.dtype
        n = result.numel()
        assert expected.numel() - n < 16
        assert torch.equal(result.isnan(), nan[:n])
        bits = (torch.where(nan[:n], torch.zeros_like(t[:n]), t[:n]) for t in (result, expected))
        whole = torch.int32 if expected.itemsize == 4 else torch.int16
        assert torch.equal(*(b.view(whole) for b in bits))


@pytest.mark.parametrize("dtype", OUT_DTYPES[1:], ids=str)
def test_every_half_and_bfloat16(dtype: torch.dtype) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    for out_dtype in (torch.float32, dtype):
        assert_same_bits(as_they_are(every, out_dtype), every.to(out_dtype))


def ties_and_their_neighbors() -> Tensor:
    """Floats around all that a half or bfloat16 may be rounded at: its numbers, the middles between them, the ends."""
    every = torch.arange(2**16, dtype=torch.int32)
    halves = every.to(torch.int16).view(torch.float16).float()
    halves = halves[halves.isfinite()].sort().values
    middles = (halves[1:] + halves[:-1]) / 2
    patterns = [(every << 16), (every << 16) + 2**15, halves.view(torch.int32), middles.view(torch.int32)]
    patterns += [torch.tensor([65519.0, 65520.0, 65536.0, 3.4e38, 1e-45, 2.0**-25, 2.0**-24]).view(torch.int32)]
    near = torch.cat([(p + step) for p in patterns for step in (-1, 0, 1)])
    return near.view(torch.float32)


@pytest.mark.parametrize("dtype", OUT_DTYPES[1:], ids=str)
def test_floats_are_rounded_to_nearest_even(dtype: torch.dtype) -> None:
    floats = ties_and_their_neighbors()
    expected = floats.to(dtype)
    assert expected.isinf().any()
    assert (expected.abs() < torch.finfo(dtype).tiny).sum() > 1000
    assert_same_bits(as_they_are(floats, dtype), expected)


@pytest.mark.parametrize("dtype", OUT_DTYPES, ids=str)
def test_every_byte(dtype: torch.dtype) -> None:
    every = torch.arange(256, dtype=torch.uint8)
    for result in as_they_are(every, dtype):
        exact = every[: result.numel()].double() / 255
        assert_near(result, exact, exact * {4: 2**-22, 2: 2**-8 if dtype == torch.bfloat16 else 2**-11}[dtype.itemsize])
    scaled = [
        crop_mirror_normalize(every.view(1, 1, 1, -1), None, (1, w), mean=[0], std=[1 / 255], dtype=torch.float32)
        for w in (256, 255, 15)
    ]
    assert torch.equal(scaled[0].flatten(), every.float())


PHOTOS = torch.randint(256, (2, 5, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NUMBERS: dict[str, Any] = {"mean": [0.5, 0.2, 0.1], "std": [0.5, 2.0, 1.5]}


def places(*batch: int, crops: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(-3, 4, (*batch, 2) if crops is None else (*batch, crops, 2), generator=generator)


def test_negative_views_and_lazy_clones() -> None:
    images = torch.randn(2, 3, 5, 7)
    expected = crop_mirror_normalize(-images, places(2), (4, 6), **NUMBERS)
    assert torch.equal(crop_mirror_normalize(torch._neg_view(images), places(2), (4, 6), **NUMBERS), expected)
    out = torch.zeros_like(expected)
    crop_mirror_normalize(-images, -torch._neg_view(places(2)), (4, 6), **NUMBERS, out=torch._neg_view(out))
    assert torch.equal(-out, expected) or torch.equal(out, -expected)
    was = images.clone()
    clone = torch._lazy_clone(images)
    crop_mirror_normalize(images, None, (5, 7), **NUMBERS, out=clone)
    assert torch.equal(images, was)
    assert torch.equal(clone, crop_mirror_normalize(images, None, (5, 7), **NUMBERS))


def test_out_is_resized() -> None:
    for memory_format in FORMATS:
        arguments = {**NUMBERS, "layout": "HWC", "memory_format": memory_format}
        expected = crop_mirror_normalize(PHOTOS, places(2), (4, 6), **arguments)
        for out, warned in ((torch.empty(0), False), (torch.empty(3, 3), True)):
            resized = pytest.warns(UserWarning, match="An output with one or more elements was resized")
            with resized if warned else contextlib.nullcontext():
                assert crop_mirror_normalize(PHOTOS, places(2), (4, 6), **arguments, out=out) is out
            assert torch.equal(out, expected)


def _write(way: str, *arguments: Any, **options: Any) -> None:
    if way == "fallback":
        OP.out._op_dk(DispatchKey.CompositeExplicitAutograd, *arguments, **options)
    else:
        crop_mirror_normalize(*arguments, **options)


@pytest.mark.parametrize("way", ["eager", "fallback"])
def test_out_that_shares_memory(way: str) -> None:
    base = torch.zeros(100)
    images = base[10:80].view(1, 2, 5, 7)
    offsets, flip = base[:4].view(torch.int64).view(1, 2), base[99:].view(torch.bool)[:1]
    arguments = {"mean": [0.5, 0.5], "std": [0.5, 0.5], "flip": flip}
    for begin, count, argument in ((79, 6, "input"), (5, 6, "input"), (3, 3, "offsets"), (94, 3, "flip")):
        out = base[begin : begin + 2 * count].view(1, 2, 1, count)
        with raises_exactly(RuntimeError, f"crop_mirror_normalize: out must not share memory with {argument}"):
            _write(way, images, offsets, [1, count], **arguments, out=out)
    assert not base.any()
    _write(way, images, offsets, [1, 5], **arguments, out=base[80:90].view(1, 2, 1, 5))
    assert (base[80:90] == -1).all()
    assert base.count_nonzero() == 10


def test_out_that_is_refused() -> None:
    images = torch.randn(2, 3, 5, 7)

    def write(images: Tensor, out: Tensor, **options: Any) -> None:
        crop_mirror_normalize(images, places(2), (4, 6), **NUMBERS, **options, out=out)

    for out, options, text in (
        (torch.empty(2, 3, 4, 6).half(), {}, "out must be of dtype float32, got float16"),
        (torch.empty(2, 3, 4, 6), {"dtype": torch.bfloat16}, "out must be of dtype bfloat16, got float32"),
        (torch.empty(2, 3, 4, 6, device="meta"), {}, "out must be on device cpu, got meta"),
        (
            torch.empty(3, 4, 6).expand(2, 3, 4, 6),
            {},
            "out must not have elements that share memory, got one of sizes [2, 3, 4, 6] and strides [0, 24, 6, 1]",
        ),
    ):
        with raises_exactly(RuntimeError, f"crop_mirror_normalize: {text}"):
            write(images, out, **options)
    text = "crop_mirror_normalize: out= does not support autograd, but input or out requires grad or has a tangent"
    expected = crop_mirror_normalize(images, places(2), (4, 6), **NUMBERS)
    for input, out in (
        (images.clone().requires_grad_(), torch.empty(2, 3, 4, 6)),
        (images, torch.empty(2, 3, 4, 6, requires_grad=True)),
    ):
        with raises_exactly(RuntimeError, text):
            write(input, out)
        with torch.no_grad():
            write(input, out)
        assert torch.equal(out, expected)
    with dual_level(), raises_exactly(RuntimeError, text):
        write(make_dual(images, images), torch.empty(2, 3, 4, 6))


def composed(
    images: Tensor,
    offsets: Tensor | None,
    size: tuple[int, int],
    *,
    mean: list[float],
    std: list[float],
    order: str,
    fill: float,
    **places: Any,
) -> Tensor:
    """The same of ops that have gradients of their own, in float64."""
    images = (images if order == "CHW" else images.permute(0, 3, 1, 2)).double()
    if offsets is None:
        starts = [centered(available, wanted) for available, wanted in zip(images.shape[-2:], size, strict=True)]
        offsets = torch.tensor([starts]).expand(images.size(0), 2)
    cropped = crop_at(images, offsets, size, fill=fill, **places)
    return (cropped - channels(mean)) / channels(std)


DERIVATIVE_CASES = [
    (crops, padding_mode, order, flips, dtype)
    for crops, padding_mode, order, flips in itertools.product(
        (None, "center", 2), BORDERS, ("CHW", "HWC"), (None, "last", "each")
    )
    for dtype in (torch.float32, torch.float16)
    if dtype == torch.float32 or flips == "last"
]


def test_derivatives() -> None:
    """Gradients, tangents, and the gradients of the gradients."""
    for crops, padding_mode, order, flips, dtype in DERIVATIVE_CASES:
        torch.default_generator.manual_seed(0)
        images = torch.randn((2, 3, 5, 6) if order == "CHW" else (2, 5, 6, 3)).to(dtype).requires_grad_()
        shape = (2, crops, 2) if isinstance(crops, int) else (2, 2)
        offsets = None if crops == "center" else torch.randint(-3, 4, shape)
        flip = None if flips is None else torch.rand(shape if flips == "each" else shape[:-1]) < 0.5
        around = {"flip": flip, "padding_mode": padding_mode}
        rough = 1e-5 if dtype == torch.float32 else 2e-2

        options = {**NUMBERS, **around, "layout": order, "fill": 0.25}
        ours = partial(crop_mirror_normalize, offsets=offsets, size=(4, 7), **options)
        result, expected = ours(images), composed(images, offsets, (4, 7), **NUMBERS, **around, order=order, fill=0.25)
        torch.testing.assert_close(result.double(), expected, atol=1e-5, rtol=1e-5)
        upstream = torch.randn(result.shape, requires_grad=True)
        (gradient,) = torch.autograd.grad(result, images, upstream, create_graph=True)
        (wanted,) = torch.autograd.grad(expected, images, upstream.double(), create_graph=True)
        assert (gradient.dtype, gradient.shape) == (dtype, images.shape)
        torch.testing.assert_close(gradient, wanted, atol=rough, rtol=rough)
        for _ in range(2):
            assert torch.equal(torch.autograd.grad(ours(images), images, upstream)[0], gradient)
        other = torch.randn_like(gradient)
        (second,) = torch.autograd.grad(gradient, upstream, other)
        (wanted,) = torch.autograd.grad(wanted, upstream, other)
        torch.testing.assert_close(second, wanted, atol=rough, rtol=rough)
        # It is linear but for what mean and fill add: the tangent's product with upstream is that of the gradient.
        tangent = torch.randn_like(images)
        with dual_level():
            moved = unpack_dual(ours(make_dual(images.detach(), tangent))).tangent
        torch.testing.assert_close(
            (moved.double() * upstream).sum(), (tangent.double() * gradient).sum(), atol=20 * rough, rtol=rough
        )
        linear = ours(tangent, mean=[0] * 3, fill=0)
        torch.testing.assert_close(moved, linear, atol=rough, rtol=rough)


def test_bytes_have_no_gradient() -> None:
    result = crop_mirror_normalize(PHOTOS, None, (4, 6), **NUMBERS, layout="HWC")
    assert not result.requires_grad


def test_gradient_of_a_low_precision_result() -> None:
    images = torch.randn(2, 3, 5, 6, requires_grad=True)
    for dtype in OUT_DTYPES[1:]:
        result = crop_mirror_normalize(images, places(2), (4, 7), **NUMBERS, dtype=dtype)
        upstream = torch.randn_like(result)
        (gradient,) = torch.autograd.grad(result, images, upstream)
        wide = crop_mirror_normalize(images, places(2), (4, 7), **NUMBERS)
        (wanted,) = torch.autograd.grad(wide, images, upstream.float())
        assert torch.equal(gradient, wanted)


@pytest.mark.parametrize("changed", ["offsets", "flip"])
def test_places_changed_before_backward_raise(changed: str) -> None:
    images = torch.randn(2, 3, 5, 7, requires_grad=True)
    arguments = {"offsets": places(2), "flip": torch.tensor([True, False])}
    result = crop_mirror_normalize(images, arguments["offsets"], (4, 6), **NUMBERS, flip=arguments["flip"])
    result.sum().backward(retain_graph=True)
    arguments[changed].zero_()
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        result.sum().backward()


def test_backward_needs_not_the_images() -> None:
    images = torch.randn(2, 3, 5, 7, requires_grad=True)
    scaled = images * 1
    loss = crop_mirror_normalize(scaled, places(2), (4, 6), **NUMBERS).sum()
    with torch.no_grad():
        scaled.zero_()
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("crops", [None, "center", 3])
@pytest.mark.parametrize("padding_mode", BORDERS)
def test_vmap(padding_mode: str, crops: int | str | None) -> None:
    k = crops if isinstance(crops, int) else None
    batch, many = torch.randn(4, 2, 5, 7, 3), places(4, 2, crops=k)
    flips = torch.rand(many.shape[:-1]) < 0.5

    def crop(images: Tensor, offsets: Tensor, flip: Tensor | None) -> Tensor:
        return crop_mirror_normalize(
            images,
            None if crops == "center" else offsets,
            (4, 9),
            **NUMBERS,
            flip=flip,
            padding_mode=padding_mode,
            layout="HWC",
            fill=[2.5, 1.0, 0.0],
        )

    for arguments in itertools.product((batch, batch[0]), (many, many[0]), (flips, flips[0], None)):
        in_dims = tuple(
            0 if any(argument is batched for batched in (batch, many, flips)) else None for argument in arguments
        )
        if in_dims == (None, None, None) or (crops == "center" and in_dims[0] is None):
            continue
        expected = [
            crop(*(a if d is None else a[i] for a, d in zip(arguments, in_dims, strict=True)))  # type: ignore
            for i in range(4)
        ]
        assert torch.equal(vmap(crop, in_dims)(*arguments), torch.stack(expected))
    last = vmap(crop, (-1, 1, None))(batch.movedim(0, -1), many.movedim(0, 1), None)
    assert torch.equal(last, vmap(crop, (0, 0, None))(batch, many, None))


def test_out_under_functionalize() -> None:
    def write(images: Tensor, offsets: Tensor) -> Tensor:
        base = torch.zeros(4, 3, 4, 8)
        crop_mirror_normalize(images, offsets, (4, 6), **NUMBERS, layout="HWC", out=base[1:3, ..., 1:7])
        return base * 2

    assert_same(functionalize(write)(PHOTOS, places(2)), write(PHOTOS, places(2)))
    text = "crop_mirror_normalize: out must be of dtype float32, got float64"
    with raises_exactly(RuntimeError, text):
        functionalize(lambda x: crop_mirror_normalize(x, None, (4, 6), **NUMBERS, out=x.new_empty(1).double()))(
            torch.zeros(2, 3, 5, 7)
        )


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_opcheck() -> None:
    images = torch.randn(2, 3, 5, 7, requires_grad=True)
    flip = torch.tensor([True, False])
    last = {"layout": "HWC", "dtype": torch.bfloat16, "memory_format": torch.channels_last}
    torch.library.opcheck(OP.default, (images, places(2, crops=3), [4, 9]), {**NUMBERS, "padding_mode": "reflect"})
    torch.library.opcheck(OP.default, (images, None, [4, 4]), {**NUMBERS, "flip": flip})
    torch.library.opcheck(OP.default, (PHOTOS, None, [4, 4]), {**NUMBERS, **last})
    torch.library.opcheck(
        OP.out, (PHOTOS, places(2), [4, 4]), {**NUMBERS, "layout": "HWC", "out": torch.empty(2, 3, 4, 4)}
    )


ADJOINT = torch.ops.torchcrop_fast._crop_mirror_normalize_adjoint


@pytest.mark.parametrize("order", ["CHW", "HWC"])
@pytest.mark.parametrize("crops", [None, "center", 2])
def test_the_adjoint_of_crop_mirror_normalize(crops: int | str | None, order: str) -> None:
    """By itself: under opcheck and vmap, twice differentiated, and of a part of a batch."""
    offsets = None if crops == "center" else places(4, crops=crops if isinstance(crops, int) else None)
    flip = torch.rand(4 if offsets is None else offsets.shape[:-1]) < 0.5
    options = {"std": NUMBERS["std"], "layout": order, "padding_mode": "reflect"}
    grad = torch.randn((4, 2, 3, 4, 7) if crops == 2 else (4, 3, 4, 7), requires_grad=True)
    leaf = torch.randn((4, 3, 5, 6) if order == "CHW" else (4, 5, 6, 3), requires_grad=True)
    result = crop_mirror_normalize(leaf, offsets, (4, 7), mean=[0] * 3, flip=flip, **options)
    adjoint = ADJOINT(grad, offsets, [5, 6], flip=flip, **options)
    assert_same(adjoint.detach(), torch.autograd.grad(result, leaf, grad, retain_graph=True)[0])
    other = torch.randn_like(adjoint)
    (back,) = torch.autograd.grad(adjoint, grad, other)
    torch.testing.assert_close(back, crop_mirror_normalize(other, offsets, (4, 7), mean=[0] * 3, flip=flip, **options))
    half = slice(0, 2)  # sizes of the batch stand nowhere in the op
    part = ADJOINT(grad[half], None if offsets is None else offsets[half], [5, 6], flip=flip[half], **options)
    assert torch.equal(part, adjoint[half])
    assert ADJOINT(grad, offsets, [5, 6], flip=flip, **options, dtype=torch.bfloat16).dtype == torch.bfloat16
    batched = vmap(lambda grad: ADJOINT(grad, offsets, [5, 6], flip=flip, **options))(torch.stack([grad, 2 * grad]))
    torch.testing.assert_close(batched, torch.stack([adjoint, 2 * adjoint]))
    torch.library.opcheck(ADJOINT.default, (grad.detach(), offsets, [5, 6]), {"flip": flip, **options})


def test_errors_of_the_adjoint() -> None:
    text = "crop_mirror_normalize: size must have 2 entries and grad 4 or 5 dims, got {} and {}"
    for grad, size in ((torch.zeros(2, 3, 4), [5, 6]), (torch.zeros(2, 3, 4, 7), [5])):
        with raises_exactly(RuntimeError, text.format(len(size), grad.dim())):
            ADJOINT(grad, None, size, std=NUMBERS["std"])


@pytest.fixture
def _fresh_dynamo() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@pytest.mark.usefixtures("_fresh_dynamo")
def test_compile(backend: str) -> None:
    def program(images: Tensor, offsets: Tensor | None, flip: Tensor) -> Tensor:
        size = (images.size(-2) - 1, images.size(-1) + 2)
        return crop_mirror_normalize(images.sin(), offsets, size, **NUMBERS, flip=flip, fill=1.0).cos()

    compiled = torch.compile(program, fullgraph=True, dynamic=True, backend=backend)
    shapes = ((5, 3, 8, 10), (6, 3, 9, 17))[: 1 if backend == "inductor" else 2]
    for shape, center in itertools.product(shapes, (False, True)):
        leaf = torch.randn(shape, requires_grad=True)
        arguments = (leaf, None if center else places(shape[0]), torch.rand(shape[0]) < 0.5)
        result, expected = compiled(*arguments), program(*arguments)
        torch.testing.assert_close(result, expected)
        assert result.stride() == expected.stride()
        upstream = torch.randn_like(result)
        torch.testing.assert_close(*(torch.autograd.grad(output, leaf, upstream)[0] for output in (result, expected)))


@pytest.mark.usefixtures("_fresh_dynamo")
def test_compile_with_out() -> None:
    def write(images: Tensor, offsets: Tensor) -> Tensor:
        out = torch.empty(2, 3, 4, 6)
        crop_mirror_normalize(images, offsets, (4, 6), **NUMBERS, layout="HWC", out=out)
        return out * 2

    compiled = torch.compile(write, fullgraph=True, backend="aot_eager")
    assert_same(compiled(PHOTOS, places(2)), write(PHOTOS, places(2)))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.usefixtures("_fresh_dynamo")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiled_autograd(backend: str) -> None:
    flips = torch.tensor([[True, False], [False, True]])
    chw, hwc = torch.randn(2, 3, 5, 7), torch.randn(2, 5, 7, 3)
    # Each differs in one thing that the graph is compiled for, or that it reads.
    for images, offsets, flip, padding_mode, std in (
        (chw, places(2), None, "constant", [0.5, 2.0, 1.5]),
        (chw, places(2) + 1, None, "constant", [0.5, 2.0, 1.5]),
        (chw, places(2) + 1, None, "constant", [0.5, 2.5, 1.5]),
        (chw, places(2) + 1, None, "reflect", [0.5, 2.5, 1.5]),
        (chw, places(2) + 1, flips, "reflect", [0.5, 2.5, 1.5]),
        (chw, places(2) + 1, ~flips, "reflect", [0.5, 2.5, 1.5]),
        (hwc, places(2) + 1, ~flips, "reflect", [0.5, 2.5, 1.5]),
        (chw, None, ~flips, "reflect", [0.5, 2.5, 1.5]),
        (chw, places(2, crops=3), None, "reflect", [0.5, 2.5, 1.5]),
        (chw.half(), places(2), None, "reflect", [0.5, 2.5, 1.5]),
    ):
        leaf = images.clone().requires_grad_()
        result = crop_mirror_normalize(
            leaf * 2,
            offsets,
            (4, 6),
            mean=[0.0] * 3,
            std=std,
            flip=flip,
            padding_mode=padding_mode,
            layout="HWC" if images is hwc else "CHW",
        )
        loss = (result * torch.arange(result.numel()).view(result.shape)).sum()
        (expected,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        with compiled_autograd._enable(torch.compile(backend=backend, fullgraph=True)):
            loss.backward()
        assert torch.equal(leaf.grad, expected)


def test_traces() -> None:
    def crop(images: Tensor, offsets: Tensor) -> Tensor:
        return crop_mirror_normalize(images, offsets, (4, 6), **NUMBERS, padding_mode="circular")

    arguments = torch.randn(2, 3, 5, 7), places(2)
    others = torch.randn(4, 3, 8, 6), places(4)
    for traced in (
        torch.jit.trace(crop, arguments),
        torch.fx.experimental.proxy_tensor.make_fx(crop, tracing_mode="symbolic")(*arguments),
    ):
        for each in (arguments, others):
            assert torch.equal(traced(*each), crop(*each))


@dataclass(frozen=True)
class Large:
    """Many small images in one call, whose results are known from calls that are small: stored past the caches."""

    channels: int
    order: str
    dtype: torch.dtype
    out_dtype: torch.dtype
    memory_format: torch.memory_format
    padding_mode: str
    width: int


LARGE = [
    Large(3, "HWC", torch.uint8, torch.float32, torch.contiguous_format, "constant", 301),
    Large(3, "HWC", torch.uint8, torch.bfloat16, torch.channels_last, "reflect", 300),
    Large(4, "CHW", torch.uint8, torch.float16, torch.contiguous_format, "constant", 283),
    Large(2, "CHW", torch.float16, torch.float32, torch.channels_last, "constant", 290),
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_large_results_are_as_small_ones(case: Large, threads: int, set_num_threads: Callable[[int], None]) -> None:
    cache = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    streamed = min(int(cache.read_text().rstrip("K\n")) * 1024 if cache.exists() else 2**25, 2**28)
    h, c = 257, case.channels
    bytes_a_window = h * case.width * c * (case.dtype.itemsize + case.out_dtype.itemsize)
    k = int(streamed * 1.2) // bytes_a_window // 2 + 2
    few = Case((2, c, 260, 290), (h, case.width), dtype=case.dtype, order=case.order)
    torch.default_generator.manual_seed(0)
    images = few.make_input()
    few = replace(few, out_dtype=case.out_dtype, padding_mode=case.padding_mode, memory_format=case.memory_format)
    different = torch.tensor([[0, 0], [-20, -30], [30, 25]])
    which = (torch.arange(2 * k) % 3).view(2, k)
    flip = (torch.arange(2 * k) % 2 == 1).view(2, k)

    def crop(images: Tensor, offsets: Tensor, flip: Tensor, out: Tensor | None = None) -> Tensor:
        return crop_mirror_normalize(images, offsets, few.size, **few.options, flip=flip, out=out)

    set_num_threads(threads)
    small = {
        (i, j, mirrored): crop(images[i : i + 1], different[j : j + 1], torch.tensor([mirrored]))[0]
        for i, j, mirrored in itertools.product(range(2), range(3), (False, True))
    }

    def assert_right(large: Tensor) -> None:
        for i, j in itertools.product(range(2), range(k)):
            assert torch.equal(large[i, j], small[i, int(which[i, j]), bool(flip[i, j])])

    memory.set_cache_limit(2**30)
    for reused in range(2):
        hits = memory.stats()["hits"]
        large = crop(images, different[which], flip)
        assert large.nbytes / large.itemsize * (large.itemsize + images.itemsize) > 1.2 * streamed
        assert memory.stats()["hits"] >= hits + reused
        assert_right(large)
        strides = large.stride()
        large.fill_(99)
        del large
    # Memory that begins at no cache line.
    numel = 2 * k * c * h * case.width
    for begin in (1, 9):
        base = torch.full((numel + 64,), -77.0, dtype=case.out_dtype)
        out = base.as_strided((2, k, c, h, case.width), strides, begin)
        crop(images, different[which], flip, out)
        assert_right(out)
        assert (base[:begin] == -77).all()
        assert (base[begin + numel :] == -77).all()


def random_results(count: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Results of random cases in float32, their values, and how far they may be from them."""
    results = []
    for seed in range(count):
        case = replace(random_case(seed), out_dtype=torch.float32)
        torch.default_generator.manual_seed(seed)
        input = case.make_input()
        offsets, flip = case.make_places()
        result = crop_mirror_normalize(input, offsets, case.size, **case.options, flip=flip)
        results.append((result, *expect(input, case, offsets, flip)))
    return results


@pytest.mark.skipif(not HAS_AVX2, reason="this CPU has no AVX2")
def test_each_capability_is_as_near(monkeypatch, fresh_python, tmp_path) -> None:
    computed = {}
    for capability in ("default", "avx2"):
        monkeypatch.setenv(VARIABLE, capability)
        monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # threads that wait take no core from those that work
        path = tmp_path / capability
        printed = fresh_python(
            """
            import sys
            sys.path.insert(0, sys.argv[1])
            import test_crop_mirror_normalize as tests
            import torch
            from torchcrop_fast import _C

            for seed in range(1000, 1150):
                tests.check_op(tests.random_case(seed))
            for dtype in tests.OUT_DTYPES[1:]:
                tests.test_every_half_and_bfloat16(dtype)
                tests.test_floats_are_rounded_to_nearest_even(dtype)
            torch.save([result for result, *_ in tests.random_results(100)], sys.argv[2])
            print(_C.cpu_capability())
            """,
            str(Path(__file__).parent),
            str(path),
        )
        assert printed.strip() == capability
        computed[capability] = torch.load(path)
    for default, avx2, (_, _, tolerance) in zip(*computed.values(), random_results(100), strict=True):
        assert_near(default, avx2.double(), 2 * tolerance)


Arguments = dict[str, Any]


def _with_out(arguments: Arguments) -> Tensor:
    dtype = arguments.get("dtype", torch.float32)
    return crop_mirror_normalize(**arguments, out=torch.empty(0, dtype=dtype, device=arguments["input"].device))


def _to_meta(arguments: Arguments) -> Arguments:
    return {name: a.to("meta") if isinstance(a, Tensor) else a for name, a in arguments.items()}


def _fake(arguments: Arguments) -> Tensor:
    with FakeTensorMode(allow_non_fake_inputs=True):
        return crop_mirror_normalize(**arguments)


def _with_grad(arguments: Arguments) -> Tensor:
    input = arguments["input"].clone()
    return crop_mirror_normalize(**{**arguments, "input": input.requires_grad_(input.is_floating_point())})


def _vmap(arguments: Arguments) -> Tensor:
    rest = {**arguments}
    input = rest.pop("input")
    return vmap(lambda input: crop_mirror_normalize(input, **rest))(input.expand(2, *input.shape))


# The ways into the op that raise its text as it is. TorchScript wraps it.
WAYS: dict[str, Callable[[Arguments], Tensor]] = {
    "eager": lambda arguments: crop_mirror_normalize(**arguments),
    "op": lambda arguments: OP(**arguments),
    "out": _with_out,
    "meta": lambda arguments: crop_mirror_normalize(**_to_meta(arguments)),
    "meta out": lambda arguments: _with_out(_to_meta(arguments)),
    "fake": _fake,
    "grad": _with_grad,
    "vmap": _vmap,
    "fallback": lambda arguments: by_fallback(**arguments),
}


def whole(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


OUTS = "must be float32, float16 or bfloat16, got"
OFFSETS = "offsets must be of shape [2, 2] or [2, K, 2], got"
# What is wrong with a crop of (3, 4) from two images (3, 8, 9), and the text after the op's name.
ERRORS: list[tuple[Arguments, str]] = [
    *(
        ({"input": torch.zeros(2, 3, 8, 9, dtype=dtype)}, f"{text}, got {str(dtype).removeprefix('torch.')}")
        for text in ("input must be of dtype uint8, float16, bfloat16 or float32",)
        for dtype in (torch.float64, torch.int32, torch.bool, torch.int8)
    ),
    ({"dtype": torch.int32}, f"dtype {OUTS} int32"),
    ({"dtype": torch.float64}, f"dtype {OUTS} float64"),
    ({"dtype": torch.uint8}, f"dtype {OUTS} uint8"),
    ({"layout": "WHC"}, "layout must be 'CHW' or 'HWC', got 'WHC'"),
    ({"layout": "chw"}, "layout must be 'CHW' or 'HWC', got 'chw'"),
    (
        {"memory_format": torch.preserve_format},
        "memory_format must be contiguous_format or channels_last, got Preserve",
    ),
    (
        {"memory_format": torch.channels_last_3d},
        "memory_format must be contiguous_format or channels_last, got ChannelsLast3d",
    ),
    ({"input": torch.zeros(3, 8, 9)}, "input must be of shape [N, C, H, W], got [3, 8, 9]"),
    (
        {"input": torch.zeros(1, 2, 3, 8, 9), "layout": "HWC"},
        "input must be of shape [N, H, W, C], got [1, 2, 3, 8, 9]",
    ),
    ({"size": (3,)}, "size must contain two positive ints, got [3]"),
    ({"size": (3, 4, 5)}, "size must contain two positive ints, got [3, 4, 5]"),
    ({"size": (0, 4)}, "size must contain two positive ints, got [0, 4]"),
    ({"size": (3, -4)}, "size must contain two positive ints, got [3, -4]"),
    ({"mean": [0.5, 0.5]}, "mean must have 3 values, one per channel, got 2"),
    ({"mean": [0.5]}, "mean must have 3 values, one per channel, got 1"),
    ({"std": [0.5] * 4}, "std must have 3 values, one per channel, got 4"),
    ({"std": []}, "std must have 3 values, one per channel, got 0"),
    ({"layout": "HWC"}, "mean must have 9 values, one per channel, got 3"),
    ({"fill": [1.0, 2.0]}, "fill must have 1 value, or 3 values, one per channel, got 2"),
    ({"fill": []}, "fill must have 1 value, or 3 values, one per channel, got 0"),
    ({"mean": [0.5, float("nan"), 0.5]}, "mean must contain finite numbers, got nan"),
    ({"std": [1.0, 1.0, float("inf")]}, "std must contain finite numbers, got inf"),
    ({"fill": [-float("inf")]}, "fill must contain finite numbers, got -inf"),
    ({"std": [1.0, 0.0, 1.0]}, "std must not be 0"),
    ({"std": [1.0, -0.0, 1.0]}, "std must not be 0"),
    ({"offsets": whole(2, 2).int()}, "offsets must be of dtype int64, got int32"),
    ({"offsets": whole(3, 2)}, f"{OFFSETS} [3, 2]"),
    ({"offsets": whole(2, 3)}, f"{OFFSETS} [2, 3]"),
    ({"offsets": whole(2)}, f"{OFFSETS} [2]"),
    ({"offsets": whole(2, 5, 3)}, f"{OFFSETS} [2, 5, 3]"),
    ({"flip": whole(2)}, "flip must be of dtype bool, got int64"),
    ({"flip": whole(3) > 0}, "flip must be of shape [2] or [2, 2], got [3]"),
    ({"flip": whole(3) > 0, "offsets": None}, "flip must be of shape [2] or [2, 2], got [3]"),
    ({"flip": whole(2) > 0, "offsets": whole(2, 5, 2)}, "flip must be of shape [2, 5] or [2, 5, 2], got [2]"),
    (
        {"padding_mode": "edge"},
        "padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular', got 'edge'",
    ),
    *(
        (
            {"input": torch.zeros(2, 3, *spatial), "padding_mode": padding_mode},
            f"dim {dim} must not be empty with padding_mode '{padding_mode}'",
        )
        for padding_mode in BORDERS[1:]
        for spatial, dim in (((0, 9), 2), ((8, 0), 3))
    ),
    (
        {"size": (2**40, 2**40)},
        "the result must be smaller than 2^63 bytes, got sizes [2, 3, 1099511627776, 1099511627776]"
        " and 4 bytes an element",
    ),
]


def with_defaults(wrong: Arguments) -> Arguments:
    usual = {"input": torch.zeros(2, 3, 8, 9), "offsets": whole(2, 2), "size": [3, 4]}
    return usual | {"mean": [0.5] * 3, "std": [0.5] * 3} | wrong


@pytest.mark.parametrize("way", WAYS)
def test_errors(way: str) -> None:
    assert WAYS[way](with_defaults({})).shape[-4:] == (2, 3, 3, 4)
    for wrong, text in ERRORS:
        arguments = with_defaults(wrong)
        if "out" in way and text.startswith("dtype"):
            continue  # says what is wrong with out
        with raises_exactly(RuntimeError, f"crop_mirror_normalize: {text}"):
            WAYS[way](arguments)


def test_errors_in_torchscript() -> None:
    scripted = torch.jit.script(crop_mirror_normalize)
    for wrong, text in ERRORS:
        arguments = with_defaults(wrong)
        if arguments.get("fill") == []:
            continue  # TorchScript cannot tell of what it is a list
        with pytest.raises(RuntimeError, match=re.escape(f"crop_mirror_normalize: {text}")):
            scripted(**{**arguments, "size": list(arguments["size"])})


def test_places_on_another_device() -> None:
    for device, other in (("cpu", "meta"), ("meta", "cpu")):
        input = torch.zeros(2, 3, 8, 9, device=device)
        for places in ({"offsets": whole(2, 2).to(other)}, {"offsets": None, "flip": (whole(2) > 0).to(other)}):
            (name,) = (name for name, value in places.items() if value is not None)
            text = f"crop_mirror_normalize: {name} must be on device {device}, got {other}"
            with raises_exactly(RuntimeError, text):
                crop_mirror_normalize(**with_defaults({"input": input, **places}))


NO_NUMBERS = [
    ({"mean": "abc"}, "mean must contain numbers, got 'abc'"),
    ({"mean": "123"}, "mean must contain numbers, got '123'"),
    ({"mean": ["0.5", 0.2, 0.1]}, "mean must contain numbers, got ['0.5', 0.2, 0.1]"),
    ({"mean": 0.5}, "mean must contain numbers, got 0.5"),
    ({"mean": [0.5, True, 0.1]}, "mean must contain numbers, got [0.5, True, 0.1]"),
    ({"mean": [[0.5, 0.2, 0.1]]}, "mean must contain numbers, got [[0.5, 0.2, 0.1]]"),
    ({"mean": torch.zeros(1, 3)}, "mean must contain numbers, got tensor([[0., 0., 0.]])"),
    ({"std": None}, "std must contain numbers, got None"),
    ({"std": [1.0, None, 1.0]}, "std must contain numbers, got [1.0, None, 1.0]"),
    ({"std": [1, 10**400, 1]}, f"std must contain numbers, got [1, {10**400}, 1]"),
    ({"fill": None}, "fill must contain numbers, got None"),
    ({"fill": 1j}, "fill must contain numbers, got 1j"),
    ({"fill": True}, "fill must contain numbers, got True"),
    ({"fill": "7"}, "fill must contain numbers, got '7'"),
    ({"fill": [1, 2, [3]]}, "fill must contain numbers, got [1, 2, [3]]"),
]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        *NO_NUMBERS,
        ({"input": [1.0]}, "input must be a Tensor, got list"),
        ({"input": None}, "input must be a Tensor, got NoneType"),
        ({"offsets": [[0, 0]]}, "offsets must be a Tensor or None, got list"),
        ({"flip": True}, "flip must be a Tensor or None, got bool"),
        ({"size": 3}, "size must be a list or tuple of ints, got int"),
        ({"size": (3, 4.0)}, "size must contain ints, got float at position 1"),
        ({"dtype": 3}, "dtype must be a torch.dtype, got 3"),
        ({"dtype": "float32"}, "dtype must be a torch.dtype, got 'float32'"),
    ],
)
def test_wrong_types(wrong: Arguments, text: str) -> None:
    with raises_exactly(TypeError, f"crop_mirror_normalize: {text}"):
        crop_mirror_normalize(**with_defaults(wrong))


def test_numbers_of_all_kinds() -> None:
    expected = crop_mirror_normalize(PHOTOS, None, (9, 9), mean=[1, 0, 2], std=[1, 2, 4], fill=3, layout="HWC")
    for numbers in (
        {"mean": (1.0, 0, 2.0), "std": [1.0, 2, 4], "fill": [3]},
        {"mean": torch.tensor([1, 0, 2]), "std": torch.tensor([1.0, 2.0, 4.0]), "fill": (3, 3.0, 3)},
        {"mean": [1.0, 0.0, 2.0], "std": (1.0, 2.0, 4.0), "fill": torch.tensor([3, 3, 3])},
    ):
        assert torch.equal(crop_mirror_normalize(PHOTOS, None, (9, 9), **numbers, layout="HWC"), expected)
        assert torch.equal(CropMirrorNormalize(9, **numbers, layout="HWC")(PHOTOS), expected)


LAYERS = [
    CropMirrorNormalize(6, **NUMBERS),
    CropMirrorNormalize((4, 9), **NUMBERS, padding_mode="reflect", memory_format=torch.channels_last),
    CropMirrorNormalize([9, 4], **NUMBERS, layout="HWC", dtype=torch.bfloat16, fill=[1, 2, 3]),
    CropMirrorNormalize((9, 9), **NUMBERS, layout="HWC", dtype=torch.float16, fill=7.5),
]


def saved_and_loaded(module: Any) -> Any:
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(module), file)
    file.seek(0)
    return torch.jit.load(file)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_layer(layer: CropMirrorNormalize) -> None:
    options = {name: getattr(layer, name) for name in ("mean", "std", "dtype", "layout", "padding_mode", "fill")}
    options["memory_format"] = FORMATS[layer.channels_last]
    images = PHOTOS if layer.layout == "HWC" else PHOTOS.permute(0, 3, 1, 2)
    twins = [layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), saved_and_loaded(layer)]
    twins += [torch.jit.script(layer), eval(repr(layer), {"CropMirrorNormalize": CropMirrorNormalize, "torch": torch})]
    assert repr(twins[1]) == repr(twins[2]) == repr(twins[-1]) == repr(layer)
    flip = torch.tensor([True, False])
    for twin in twins:
        for arguments in (
            (None, None),
            (places(2), None),
            (places(2), flip),
            (None, flip),
            (places(2, crops=3), None),
            (places(2, crops=3), torch.tensor([[True, False, True]] * 2)),
        ):
            offsets, mirrored = arguments
            expected = crop_mirror_normalize(images, offsets, layer.size, **options, flip=mirrored)
            assert_same(twin(images, offsets, mirrored), expected)
            one = [None if a is None else a[0] for a in arguments]
            assert torch.equal(twin(images[0], *one), expected[0])
        assert twin(images[:0]).shape == (0, 3, *layer.size)


def test_layer_says_how_to_make_it() -> None:
    always = "mean=[0.5, 0.2, 0.1], std=[0.5, 2.0, 1.5]"
    assert [repr(layer) for layer in LAYERS] == [
        f"CropMirrorNormalize(size=(6, 6), {always})",
        f"CropMirrorNormalize(size=(4, 9), {always}, padding_mode='reflect', memory_format=torch.channels_last)",
        f"CropMirrorNormalize(size=(9, 4), {always}, dtype=torch.bfloat16, layout='HWC', fill=[1.0, 2.0, 3.0])",
        f"CropMirrorNormalize(size=(9, 9), {always}, dtype=torch.float16, layout='HWC', fill=[7.5])",
    ]


def test_scripted_function() -> None:
    class Module(torch.nn.Module):
        def forward(self, images: Tensor, offsets: Tensor | None) -> Tensor:
            return crop_mirror_normalize(
                images, offsets, [4, 6], mean=[0.5, 0.2, 0.1], std=[0.5, 2.0, 1.5], layout="HWC", fill=9.0
            )

    for module in (torch.jit.script(Module()), saved_and_loaded(Module())):
        for offsets in (None, places(2)):
            assert_same(module(PHOTOS, offsets), Module()(PHOTOS, offsets))
    scripted = torch.jit.script(crop_mirror_normalize)
    out = torch.empty(2, 3, 4, 6)
    numbers = (NUMBERS["mean"], NUMBERS["std"])
    result = scripted(PHOTOS, None, [4, 6], *numbers, layout="HWC", fill=[1.0, 2.0, 3.0], out=out)
    assert result is out
    assert torch.equal(out, crop_mirror_normalize(PHOTOS, None, [4, 6], **NUMBERS, layout="HWC", fill=[1, 2, 3]))


@pytest.mark.parametrize(
    ("wrong", "kind", "text"),
    [
        *((wrong, TypeError, f"CropMirrorNormalize: {text}") for wrong, text in NO_NUMBERS),
        ({"size": 0}, RuntimeError, "crop_mirror_normalize: size must contain two positive ints, got [0, 0]"),
        ({"size": "4"}, TypeError, "CropMirrorNormalize: size must be an int or (height, width), got '4'"),
        ({"size": (1, 2, 3)}, ValueError, "CropMirrorNormalize: size must be an int or (height, width), got (1, 2, 3)"),
        ({"mean": [0.5]}, RuntimeError, "crop_mirror_normalize: std must have 1 values, one per channel, got 3"),
        ({"std": [1, 0, 1]}, RuntimeError, "crop_mirror_normalize: std must not be 0"),
        ({"mean": []}, RuntimeError, "crop_mirror_normalize: std must have 0 values, one per channel, got 3"),
        (
            {"fill": [1, 2]},
            RuntimeError,
            "crop_mirror_normalize: fill must have 1 value, or 3 values, one per channel, got 2",
        ),
        ({"dtype": torch.int32}, RuntimeError, f"crop_mirror_normalize: dtype {OUTS} int32"),
        ({"dtype": 3}, TypeError, "CropMirrorNormalize: dtype must be a torch.dtype, got 3"),
        ({"layout": "WHC"}, RuntimeError, "crop_mirror_normalize: layout must be 'CHW' or 'HWC', got 'WHC'"),
        (
            {"padding_mode": "edge"},
            RuntimeError,
            "crop_mirror_normalize: padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular',"
            " got 'edge'",
        ),
        (
            {"memory_format": torch.preserve_format},
            ValueError,
            "CropMirrorNormalize: memory_format must be torch.contiguous_format or torch.channels_last,"
            " got torch.preserve_format",
        ),
    ],
)
def test_errors_of_the_layer(wrong: Arguments, kind: type[Exception], text: str) -> None:
    with raises_exactly(kind, text):
        CropMirrorNormalize(**({"size": 4, **NUMBERS} | wrong))


# What the fast entry answers, and what it leaves to Python.
PLAIN: dict[str, dict[str, Any]] = {
    "nothing else": {},
    "places and flips": {"offsets": torch.tensor([[0, 1], [3, -2]]), "flip": torch.tensor([True, False])},
    "tuples and ints": {"size": (3, 2), "mean": (0, 1), "std": (1, 2)},
    "fill, one": {"fill": 7, "offsets": torch.tensor([[-1, 1], [3, -2]])},
    "fill, each": {"fill": [7.5, 1], "offsets": torch.tensor([[-1, 1], [3, -2]])},
    "all else": {"dtype": torch.bfloat16, "memory_format": torch.channels_last, "padding_mode": "reflect"},
    "gradient": {"input": torch.rand(2, 2, 4, 5, requires_grad=True)},
    "out": {"out": torch.empty(2, 2, 2, 3)},
}
NOT_PLAIN: dict[str, dict[str, Any]] = {
    "numpy ints": {"size": (np.int64(2), 3)},
    "tensors": {"mean": torch.tensor([0.1, 0.2]), "std": torch.tensor([0.1, 0.2])},
}


@pytest.mark.parametrize("arguments", [*PLAIN.values(), *NOT_PLAIN.values()], ids=[*PLAIN, *NOT_PLAIN])
def test_the_fast_entry_gives_what_the_op_gives(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    common = {"offsets": None, "size": [2, 3], "mean": [0.1, 0.2], "std": [0.3, 0.4]}
    used = {"input": torch.randint(256, (2, 2, 4, 5), dtype=torch.uint8), **common, **arguments}
    slow = []
    scripted = _scripted.crop_mirror_normalize
    monkeypatch.setattr(_scripted, scripted.__name__, lambda *args: (slow.append(args), scripted(*args))[1])
    fast = crop_mirror_normalize(**used)
    assert (not slow) is any(arguments is plain for plain in PLAIN.values())
    numbers = {name: [float(number) for number in used[name]] for name in ("mean", "std")}
    fill = used.get("fill", 0.0)
    fills = [float(number) for number in (fill if isinstance(fill, list) else [fill])]
    through_op = OP(**{name: value for name, value in used.items() if name != "out"} | numbers | {"fill": fills})
    assert_same(fast, through_op)
    assert type(fast.grad_fn) is type(through_op.grad_fn)
