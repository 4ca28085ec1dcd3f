"""crop_at: values, memory format, gradients and errors, in each way that it is run."""

import hashlib
import itertools
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from crop_at_cases import (
    ADJOINT,
    BORDERS,
    CASE_LAYOUTS,
    CASES,
    DERIVATIVE_CASES,
    DTYPES,
    LARGE_CASES,
    OP,
    CropAtCase,
    fills,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from op_tester import LAYOUTS, assert_same, bits, check_op, random_bits
from torch import Tensor
from torch._C import DispatchKey
from torch._dynamo import compiled_autograd
from torch._dynamo.testing import CompileCounterWithBackend
from torch._functorch import config as functorch_config
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functionalize, grad, hessian, jacfwd, jacrev, jvp, vmap

from torchcrop_fast import _scripted
from torchcrop_fast.functional import crop_at, crop_mirror_normalize

VARIABLE = "TORCHCROP_FAST_CPU_CAPABILITY"
HAS_AVX2 = "avx2" in Path("/proc/cpuinfo").read_text().split()
# What a border shows of an input, in a window of five: the input, where the window begins, the elements.
BORDER_TABLE: dict[str, list[tuple[list[int], int, list[int]]]] = {
    "constant": [
        ([1, 2, 3], -2, [9, 9, 1, 2, 3]),
        ([1, 2, 3], 0, [1, 2, 3, 9, 9]),
        ([1, 2, 3], 2, [3, 9, 9, 9, 9]),
        ([1, 2, 3], 3, [9] * 5),
        ([1, 2, 3], -4, [9, 9, 9, 9, 1]),
        ([1, 2, 3], -5, [9] * 5),
        ([1, 2, 3], -10_000_000, [9] * 5),
        ([1, 2, 3], 10_000_000, [9] * 5),
        ([1, 2, 3], 2**63 - 1, [9] * 5),
        ([1, 2, 3], 1 - 2**63, [9] * 5),
        ([1, 2, 3], -(2**63), [9] * 5),
        ([7], -2, [9, 9, 7, 9, 9]),
        ([7], 2**63 - 1, [9] * 5),
        ([], -2, [9] * 5),
        ([], -(2**63), [9] * 5),
        ([1, 2, 3, 4, 5, 6, 7], 1, [2, 3, 4, 5, 6]),
    ],
    "replicate": [
        ([1, 2, 3], -2, [1, 1, 1, 2, 3]),
        ([1, 2, 3], 0, [1, 2, 3, 3, 3]),
        ([1, 2, 3], 2, [3] * 5),
        ([1, 2, 3], -5, [1] * 5),
        ([1, 2, 3], -10_000_000, [1] * 5),
        ([1, 2, 3], 10_000_000, [3] * 5),
        ([1, 2, 3], 2**63 - 1, [3] * 5),
        ([1, 2, 3], 1 - 2**63, [1] * 5),
        ([1, 2, 3], -(2**63), [1] * 5),
        ([7], -2, [7] * 5),
        ([7], 2**63 - 1, [7] * 5),
    ],
    "reflect": [
        ([1, 2, 3], -2, [3, 2, 1, 2, 3]),
        ([1, 2, 3], 0, [1, 2, 3, 2, 1]),
        ([1, 2, 3], 2, [3, 2, 1, 2, 3]),
        ([1, 2, 3], -5, [2, 1, 2, 3, 2]),
        ([1, 2, 3], -10_000_000, [1, 2, 3, 2, 1]),
        ([1, 2, 3], 10_000_000, [1, 2, 3, 2, 1]),
        ([1, 2, 3], 2**63 - 1, [2, 1, 2, 3, 2]),
        ([1, 2, 3], 1 - 2**63, [2, 3, 2, 1, 2]),
        ([1, 2, 3], -(2**63), [1, 2, 3, 2, 1]),
        ([1, 2], -1, [2, 1, 2, 1, 2]),
        ([7], -2, [7] * 5),
        ([7], -(2**63), [7] * 5),
    ],
    "symmetric": [
        ([1, 2, 3], -2, [2, 1, 1, 2, 3]),
        ([1, 2, 3], 0, [1, 2, 3, 3, 2]),
        ([1, 2, 3], 2, [3, 3, 2, 1, 1]),
        ([1, 2, 3], -5, [2, 3, 3, 2, 1]),
        ([1, 2, 3], -10_000_000, [3, 3, 2, 1, 1]),
        ([1, 2, 3], 10_000_000, [2, 1, 1, 2, 3]),
        ([1, 2, 3], 2**63 - 1, [2, 3, 3, 2, 1]),
        ([1, 2, 3], 1 - 2**63, [1, 1, 2, 3, 3]),
        ([1, 2, 3], -(2**63), [2, 1, 1, 2, 3]),
        ([1, 2], -1, [1, 1, 2, 2, 1]),
        ([7], -2, [7] * 5),
        ([7], 2**63 - 1, [7] * 5),
    ],
    "circular": [
        ([1, 2, 3], -2, [2, 3, 1, 2, 3]),
        ([1, 2, 3], 0, [1, 2, 3, 1, 2]),
        ([1, 2, 3], 2, [3, 1, 2, 3, 1]),
        ([1, 2, 3], -5, [2, 3, 1, 2, 3]),
        ([1, 2, 3], -10_000_000, [3, 1, 2, 3, 1]),
        ([1, 2, 3], 10_000_000, [2, 3, 1, 2, 3]),
        ([1, 2, 3], 2**63 - 1, [2, 3, 1, 2, 3]),
        ([1, 2, 3], 1 - 2**63, [3, 1, 2, 3, 1]),
        ([1, 2, 3], -(2**63), [2, 3, 1, 2, 3]),
        ([7], -2, [7] * 5),
        ([7], 1 - 2**63, [7] * 5),
    ],
}


@pytest.mark.parametrize(
    ("padding_mode", "input", "start", "expected"),
    [(padding_mode, *line) for padding_mode, lines in BORDER_TABLE.items() for line in lines],
)
def test_borders(padding_mode: str, input: list[int], start: int, expected: list[int]) -> None:
    row = torch.tensor([input], dtype=torch.int32)
    offsets = torch.tensor([[start]])
    for flip, wanted in ((None, expected), ([False], expected), ([True], expected[::-1])):
        mirror = None if flip is None else torch.tensor(flip)
        cropped = crop_at(row, offsets, [5], flip=mirror, padding_mode=padding_mode, fill=9)
        assert cropped.tolist() == [wanted]


def test_the_border_table_holds_every_border() -> None:
    assert set(BORDER_TABLE) == set(BORDERS)


IMAGES = torch.arange(12).view(2, 2, 3)  # two of 2 x 3: 0 1 2 / 3 4 5 and 6 7 8 / 9 10 11


@pytest.mark.parametrize(
    ("flip", "expected"),
    [
        (None, [[[1, 2], [4, 5]], [[9, 10], [0, 0]]]),
        ([True, False], [[[2, 1], [5, 4]], [[9, 10], [0, 0]]]),
        ([False, True], [[[1, 2], [4, 5]], [[10, 9], [0, 0]]]),
        ([[True, False], [True, True]], [[[4, 5], [1, 2]], [[0, 0], [10, 9]]]),
        ([[False, True], [False, False]], [[[2, 1], [5, 4]], [[9, 10], [0, 0]]]),
    ],
)
def test_flips(flip: Any, expected: list[Any]) -> None:
    mirror = None if flip is None else torch.tensor(flip)
    offsets = torch.tensor([[0, 1], [1, 0]])
    assert crop_at(IMAGES, offsets, (2, 2), flip=mirror).tolist() == expected
    # The same as the second of two crops.
    two = crop_at(
        IMAGES,
        torch.stack([offsets * 0, offsets], 1),
        (2, 2),
        flip=None if mirror is None else torch.stack([~mirror, mirror], 1),
    )
    assert two.shape == (2, 2, 2, 2)
    assert two[:, 1].tolist() == expected


def test_several_crops_of_each_image() -> None:
    offsets = torch.tensor([[[0, 0], [1, 1], [-1, 0]], [[0, 1], [0, 1], [0, 2]]])
    assert crop_at(IMAGES, offsets, [1, 2]).tolist() == [
        [[[0, 1]], [[4, 5]], [[0, 0]]],
        [[[7, 8]], [[7, 8]], [[8, 0]]],
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: CropAtCase) -> None:
    check_op(case)


@st.composite
def cases(draw: st.DrawFn) -> CropAtCase:
    dims = draw(st.integers(1, 3))
    padding_mode = draw(st.sampled_from(BORDERS))
    least = 0 if padding_mode == "constant" else 1
    middle = draw(st.lists(st.integers(0, 3), max_size=2))
    spatial = draw(st.lists(st.integers(least, 6), min_size=dims, max_size=dims))
    dtype = draw(st.sampled_from(DTYPES))
    return CropAtCase(
        (draw(st.integers(0, 3)), *middle, *spatial),
        tuple(draw(st.lists(st.integers(1, 9 if dims < 3 else 5), min_size=dims, max_size=dims))),
        crops=draw(st.none() | st.integers(0, 3)),
        flip=draw(st.sampled_from((None, "last", "each"))),
        padding_mode=padding_mode,
        fill=draw(st.sampled_from(fills(dtype))),
        layout=draw(st.sampled_from(CASE_LAYOUTS)),
        dtype=dtype,
        places_layout=draw(st.sampled_from(("contiguous", "permuted", "sliced", "expanded"))),
        far=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32)),
    )


@given(cases())
@settings(max_examples=600, deadline=None)
def test_property_all_that_holds_for_a_case(case: CropAtCase) -> None:
    check_op(case)


# Shape, memory format, how many crops, strides of the result of 4 x 5 (x 2).
MEMORY_FORMATS: list[tuple[tuple[int, ...], torch.memory_format, int | None, tuple[int, ...]]] = [
    ((2, 3, 8, 9), torch.contiguous_format, None, (60, 20, 5, 1)),
    ((2, 3, 8, 9), torch.channels_last, None, (60, 1, 15, 3)),
    ((2, 3, 8, 9), torch.contiguous_format, 3, (180, 60, 20, 5, 1)),
    ((2, 3, 8, 9), torch.channels_last, 3, (180, 60, 1, 15, 3)),
    ((2, 3, 8, 9, 7), torch.contiguous_format, None, (120, 40, 10, 2, 1)),
    ((2, 3, 8, 9, 7), torch.channels_last_3d, None, (120, 1, 30, 6, 3)),
    ((2, 3, 8, 9, 7), torch.channels_last_3d, 3, (360, 120, 1, 30, 6, 3)),
]


@pytest.mark.parametrize(("shape", "memory_format", "crops", "strides"), MEMORY_FORMATS)
def test_memory_format(
    shape: tuple[int, ...], memory_format: torch.memory_format, crops: int | None, strides: tuple[int, ...]
) -> None:
    dims = len(shape) - 2
    images = torch.rand(shape).contiguous(memory_format=memory_format).requires_grad_()
    places = (2, dims) if crops is None else (2, crops, dims)
    cropped = crop_at(images, torch.zeros(places, dtype=torch.int64), (4, 5, 2)[:dims])
    assert cropped.stride() == strides
    for upstream in (torch.ones_like(cropped), cropped.detach() * 2):
        (gradient,) = torch.autograd.grad(cropped, images, upstream, retain_graph=True)
        assert gradient.stride() == images.stride()


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("case", LARGE_CASES, ids=str)
def test_large(case: CropAtCase, threads: int, set_num_threads: Callable[[int], None]) -> None:
    """More than one thread in a window."""
    torch.default_generator.manual_seed(0)
    input, _ = case.make_input()
    offsets, flip = case.make_places()
    options = {"flip": flip, "padding_mode": case.padding_mode}
    # Checked above against the reference, which would take minutes.
    by_fallback = OP.default._op_dk(
        DispatchKey.CompositeExplicitAutograd, input, offsets, case.size, **options, fill=case.fill
    )
    assert by_fallback.nbytes / (case.shape[0] * (case.crops or 1)) > 2 * 128 * 1024
    set_num_threads(threads)
    assert_same(crop_at(input, offsets, case.size, **options, fill=case.fill), by_fallback)
    base = random_bits((by_fallback.numel() + 64,), case.dtype)
    wanted = base.clone()
    wanted[37:-27] = by_fallback.flatten()
    crop_at(input, offsets, case.size, **options, fill=case.fill, out=base[37:-27].view(by_fallback.shape))
    assert torch.equal(bits(base), bits(wanted))

    if case.dtype.is_floating_point and case.dtype.itemsize >= 4:
        upstream = torch.empty(by_fallback.shape, dtype=case.dtype).random_(-9, 10)
        arguments = (upstream, offsets, case.image_size)
        wanted = ADJOINT.default._op_dk(DispatchKey.CompositeExplicitAutograd, *arguments, **options)
        assert_same(ADJOINT(*arguments, **options), wanted)


@pytest.mark.parametrize("padding_mode", BORDERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
def test_gradients_of_overlapping_crops_are_deterministic(
    dtype: torch.dtype, padding_mode: str, set_num_threads: Callable[[int], None]
) -> None:
    torch.default_generator.manual_seed(0)
    offsets = torch.randint(-20, 60, (2, 7, 2))
    upstream = torch.randn(2, 7, 3, 40, 50, dtype=dtype)
    gradients = []
    for threads in (1, 2, 3, 2):
        set_num_threads(threads)
        images = torch.zeros(2, 3, 61, 67, dtype=dtype, requires_grad=True)
        crop_at(images, offsets, (40, 50), padding_mode=padding_mode).backward(upstream)
        gradients.append(images.grad)
    for gradient in gradients[1:]:
        assert_same(gradient, gradients[0])


def test_low_precision_gradients_are_rounded_once() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        row = torch.zeros(1, 1, dtype=dtype, requires_grad=True)
        seen = crop_at(row, torch.zeros(1, 1, dtype=torch.int64), [5001], padding_mode="replicate")
        seen.sum().backward()
        assert row.grad.item() == torch.tensor(5001.0).to(dtype).item()


@pytest.mark.parametrize("case", DERIVATIVE_CASES, ids=str)
def test_derivatives(case: CropAtCase) -> None:
    check_op(case)


OPCHECK_CASES = [
    CropAtCase((2, 3, 4), (2,), opcheck=True),
    CropAtCase((2, 3, 4, 5), (3, 6), flip="last", layout="channels_last", padding_mode="reflect", opcheck=True),
    CropAtCase((2, 3, 4, 5), (3, 6), crops=2, flip="each", layout="expanded", fill=3, opcheck=True),
    CropAtCase((2, 3, 4), (2,), crops=2, padding_mode="circular", dtype=torch.int64, opcheck=True),
]


# opcheck's own.
ignore_grad_of_non_leaf = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.mark.parametrize("case", OPCHECK_CASES, ids=str)
@ignore_grad_of_non_leaf
def test_opcheck(case: CropAtCase) -> None:
    check_op(case)


SIZE = (3, 6)


def places(*batch: int, crops: int | None = None) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(-4, 6, (*batch, 2) if crops is None else (*batch, crops, 2), generator=generator)


@pytest.mark.parametrize("crops", [None, 3])
@pytest.mark.parametrize("padding_mode", BORDERS)
def test_vmap(padding_mode: str, crops: int | None) -> None:
    batch, images = torch.randn(4, 2, 3, 5, 7), torch.randn(2, 3, 5, 7)
    many, one = places(4, 2, crops=crops), places(2, crops=crops)
    flips = torch.rand(4, *one.shape[:-1]) < 0.5

    def crop(images: Tensor, offsets: Tensor, flip: Tensor | None) -> Tensor:
        return crop_at(images, offsets, SIZE, flip=flip, padding_mode=padding_mode, fill=2.5)

    for arguments in itertools.product((batch, images), (many, one), (flips, flips[0], None)):
        in_dims = tuple(
            0 if any(argument is batched for batched in (batch, many, flips)) else None for argument in arguments
        )
        if in_dims == (None, None, None):
            continue
        expected = torch.stack(
            [
                crop(*(a if d is None else a[i] for a, d in zip(arguments, in_dims, strict=True)))  # type: ignore
                for i in range(4)
            ]
        )
        assert torch.equal(vmap(crop, in_dims)(*arguments), expected)
    last = vmap(crop, (-1, 1, None))(batch.movedim(0, -1), many.movedim(0, 1), None)
    assert torch.equal(last, vmap(crop, (0, 0, None))(batch, many, None))
    nested = vmap(vmap(crop, (0, None, None)), (None, 0, 0))(batch, many, flips)
    assert torch.equal(
        nested,
        torch.stack([torch.stack([crop(a, o, f) for a in batch]) for o, f in zip(many, flips, strict=True)]),
    )


@pytest.mark.parametrize("crops", [None, 3])
@pytest.mark.parametrize("padding_mode", BORDERS)
def test_torch_func(padding_mode: str, crops: int | None) -> None:
    offsets = places(2, crops=crops)
    images, tangent = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)

    def crop(images: Tensor) -> Tensor:
        return crop_at(images, offsets, SIZE, padding_mode=padding_mode, fill=2)

    def cube(images: Tensor) -> Tensor:
        return crop(images).pow(3).sum()

    # Which elements are seen, one after the other.
    jacobian = torch.stack(
        [crop(unit.view(2, 3, 4)) - crop(torch.zeros(2, 3, 4)) for unit in torch.eye(24)], dim=-1
    ).unflatten(-1, (2, 3, 4))
    assert torch.equal(jacrev(crop)(images), jacobian.double())
    assert torch.equal(jacfwd(crop)(images), jacobian.double())
    value, pushed = jvp(crop, (images,), (tangent,))
    assert torch.equal(value, crop(images))
    torch.testing.assert_close(pushed, (jacobian * tangent).flatten(-3).sum(-1))
    rows = jacobian.double().reshape(-1, 24)
    by_hand = rows.T @ torch.diag(6 * crop(images).flatten()) @ rows
    torch.testing.assert_close(hessian(cube)(images).reshape(24, 24), by_hand)
    batch = torch.randn(3, 2, 3, 4, dtype=torch.float64)
    assert torch.equal(vmap(grad(cube))(batch), torch.stack([grad(cube)(images) for images in batch]))


def test_gradients_of_offsets_that_differ_within_vmap() -> None:
    images, offsets = torch.randn(2, 5, 7), places(4, 2, crops=3)

    def energy(images: Tensor, offsets: Tensor) -> Tensor:
        return crop_at(images, offsets, SIZE, padding_mode="reflect").square().sum()

    result = vmap(grad(energy), (None, 0))(images, offsets)
    assert torch.equal(result, torch.stack([grad(energy)(images, each) for each in offsets]))


def test_out_under_functionalize() -> None:
    def write(images: Tensor, offsets: Tensor) -> Tensor:
        base = torch.zeros(4, 3, 8)
        crop_at(images, offsets, SIZE, fill=2.0, out=base[1:3, :, 1:7])
        return base * 2

    arguments = torch.randn(2, 5, 7), places(2)
    assert_same(functionalize(write)(*arguments), write(*arguments))
    with raises_exactly(
        RuntimeError, "crop_at: out must be an input of the functionalized function or be created inside it"
    ):
        outside = torch.zeros(2, 3, 6)
        functionalize(lambda images, offsets: crop_at(images, offsets, SIZE, out=outside))(*arguments)


def test_double_backward() -> None:
    images = torch.randn(2, 5, 7, dtype=torch.float64, requires_grad=True)
    cropped = crop_at(images, places(2, crops=3), SIZE, padding_mode="symmetric")
    (gradient,) = torch.autograd.grad(cropped.pow(3).sum() / 3, images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), images, retain_graph=True)
    # The first gradient is x^2, once for each time that the element is seen.
    (times,) = torch.autograd.grad(cropped.sum(), images)
    torch.testing.assert_close(second, 2 * images.detach() * times)


@pytest.mark.parametrize("changed", ["offsets", "flip"])
def test_places_changed_before_backward_raise(changed: str) -> None:
    images = torch.randn(2, 5, 7, requires_grad=True)
    arguments = {"offsets": places(2), "flip": torch.tensor([True, False])}
    loss = crop_at(images, arguments["offsets"], SIZE, flip=arguments["flip"]).sum()
    loss.backward(retain_graph=True)
    arguments[changed].zero_()
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        loss.backward()


def test_backward_needs_not_the_images() -> None:
    images = torch.randn(2, 5, 7, requires_grad=True)
    scaled = images * 1
    loss = crop_at(scaled, places(2), SIZE).sum()
    with torch.no_grad():
        scaled.zero_()
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.fixture
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def compiled_program(images: Tensor, offsets: Tensor, flip: Tensor) -> Tensor:
    size = (images.size(-2) - 1, images.size(-1) + 2)
    return crop_at(images.sin(), offsets, size, flip=flip, padding_mode="reflect", fill=1).cos()


# Sizes that differ, since equal ones share a symbol.
COMPILED_SHAPES = [
    ((5, 3, 8, 10), torch.contiguous_format),
    ((6, 4, 9, 17), torch.contiguous_format),
    ((7, 5, 12, 8), torch.contiguous_format),
    ((5, 3, 8, 10), torch.channels_last),
]


@pytest.mark.parametrize(("backend", "count"), [("eager", 4), ("aot_eager", 4), ("inductor", 2)])
@pytest.mark.usefixtures("_fresh_dynamo")
@functorch_config.patch(enable_autograd_cache=False)  # it would keep what an older version of the op compiled to
def test_compile(backend: str, count: int) -> None:
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(compiled_program, fullgraph=True, dynamic=True, backend=counter)
    for shape, memory_format in COMPILED_SHAPES[:count]:
        leaf = torch.randn(shape).contiguous(memory_format=memory_format).requires_grad_()
        arguments = (leaf, places(shape[0]), torch.rand(shape[0]) < 0.5)
        result, expected = compiled(*arguments), compiled_program(*arguments)
        torch.testing.assert_close(result, expected)
        assert result.stride() == expected.stride()
        upstream = torch.randn_like(result)
        gradients = [torch.autograd.grad(output, leaf, upstream)[0] for output in (result, expected)]
        torch.testing.assert_close(*gradients)
        assert gradients[0].stride() == gradients[1].stride()
    assert counter.frame_count == len({memory_format for _, memory_format in COMPILED_SHAPES[:count]})


@pytest.mark.usefixtures("_fresh_dynamo")
def test_compile_with_out() -> None:
    def write(images: Tensor, offsets: Tensor) -> Tensor:
        out = torch.empty(2, 3, 6)
        crop_at(images, offsets, SIZE, fill=2.0, out=out)
        return out * 2

    arguments = torch.randn(2, 5, 7), places(2)
    compiled = torch.compile(write, fullgraph=True, backend="aot_eager")
    assert_same(compiled(*arguments), write(*arguments))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.usefixtures("_fresh_dynamo")
@ignore_grad_of_non_leaf
def test_compiled_autograd(backend: str) -> None:
    images = torch.randn(2, 5, 7)
    flips = torch.tensor([[True, False], [False, True]])
    # Each differs in one thing that the graph is compiled for, or that it reads.
    for crops, flip, padding_mode, start in (
        (None, None, "constant", 0),
        (None, None, "constant", 1),
        (None, None, "reflect", 1),
        (None, flips, "reflect", 1),
        (None, ~flips, "reflect", 1),
        (3, None, "reflect", 1),
    ):
        leaf = images.clone().requires_grad_()
        offsets = places(2, crops=crops) + start
        cropped = crop_at(leaf.sin(), offsets, SIZE, flip=flip, padding_mode=padding_mode)
        loss = (cropped * torch.arange(cropped.numel()).view(cropped.shape)).sum()
        (expected,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        with compiled_autograd._enable(torch.compile(backend=backend, fullgraph=True)):
            loss.backward()
        assert torch.equal(leaf.grad, expected)


def test_traces() -> None:
    def crop(images: Tensor, offsets: Tensor) -> Tensor:
        return crop_at(images, offsets, SIZE, padding_mode="circular")

    arguments = torch.randn(2, 5, 7), places(2)
    others = torch.randn(3, 8, 4), places(3)
    for traced in (
        torch.fx.symbolic_trace(crop),
        torch.jit.trace(crop, arguments),
        torch.fx.experimental.proxy_tensor.make_fx(crop, tracing_mode="symbolic")(*arguments),
    ):
        for each in (arguments, others):
            assert torch.equal(traced(*each), crop(*each))


def raises_exactly(kind: type[BaseException], text: str) -> Any:
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def test_out_is_resized() -> None:
    images, offsets = torch.randn(2, 5, 7), places(2)
    expected = crop_at(images, offsets, SIZE)
    out = torch.empty(0)
    assert crop_at(images, offsets, SIZE, out=out) is out
    assert_same(out, expected)
    out = torch.empty(3, 3)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        crop_at(images, offsets, SIZE, out=out)
    assert_same(out, expected)


def _write(way: str, images: Tensor, offsets: Tensor, flip: Tensor | None, out: Tensor) -> None:
    if way == "fallback":
        OP.out._op_dk(DispatchKey.CompositeExplicitAutograd, images, offsets, [4], flip=flip, out=out)
    else:
        crop_at(images, offsets, [4], flip=flip, out=torch._neg_view(out) if way == "lazy view" else out)


@pytest.mark.parametrize("way", ["eager", "lazy view", "fallback"])
def test_out_that_shares_memory(way: str) -> None:
    base = torch.arange(60)
    images, offsets = base[:14].view(2, 7), base[20:22].view(2, 1)
    apart = base[30:38].view(2, 4)
    expected = crop_at(images.clone(), offsets.clone(), [4])
    for overlapping, argument in ((base[13:21].view(2, 4), "input"), (base[21:29].view(2, 4), "offsets")):
        with raises_exactly(RuntimeError, f"crop_at: out must not share memory with {argument}"):
            _write(way, images, offsets, None, overlapping)
    assert torch.equal(base, torch.arange(60))
    _write(way, images, offsets, None, apart)
    assert torch.equal(-apart if way == "lazy view" else apart, expected)


@pytest.mark.parametrize("way", ["eager", "fallback"])
def test_out_that_shares_memory_with_flip(way: str) -> None:
    base = torch.rand(40) < 0.5
    was = base.clone()
    images, flip = torch.rand(2, 7) < 0.5, base[7:9]
    with raises_exactly(RuntimeError, "crop_at: out must not share memory with flip"):
        _write(way, images, torch.zeros(2, 1, dtype=torch.int64), flip, base[:8].view(2, 4))
    assert torch.equal(base, was)


def test_out_that_is_refused() -> None:
    images, offsets = torch.randn(2, 5, 7), places(2)
    with raises_exactly(RuntimeError, "crop_at: out must be of dtype float32, got float64"):
        crop_at(images, offsets, SIZE, out=torch.empty(2, 3, 6).double())
    with raises_exactly(RuntimeError, "crop_at: out must be on device cpu, got meta"):
        crop_at(images, offsets, SIZE, out=torch.empty(2, 3, 6, device="meta"))
    text = "crop_at: out must not have elements that share memory, got one of sizes [2, 3, 6] and strides [0, 6, 1]"
    with raises_exactly(RuntimeError, text):
        crop_at(images, offsets, SIZE, out=torch.empty(3, 6).expand(2, 3, 6))
    text = "crop_at: out= does not support autograd, but input or out requires grad or has a tangent"
    for input, out in (
        (images.clone().requires_grad_(), torch.empty(2, 3, 6)),
        (images, torch.empty(2, 3, 6, requires_grad=True)),
    ):
        with raises_exactly(RuntimeError, text):
            crop_at(input, offsets, SIZE, out=out)
        with torch.no_grad():
            assert torch.equal(crop_at(input, offsets, SIZE, out=out), crop_at(images, offsets, SIZE))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(images, images)
        with raises_exactly(RuntimeError, text):
            crop_at(dual, offsets, SIZE, out=torch.empty(2, 3, 6))


def test_out_and_lazy_clones() -> None:
    images, offsets = torch.arange(14.0).view(2, 7), torch.tensor([[0], [1]])
    expected = crop_at(images, offsets, [7], fill=3)
    clone = torch._lazy_clone(images)
    assert torch.equal(crop_at(images, offsets, [7], fill=3, out=clone), expected)
    assert torch.equal(images, torch.arange(14.0).view(2, 7))


Arguments = dict[str, Any]


def _eager(arguments: Arguments) -> Tensor:
    return crop_at(**arguments)


def _op(arguments: Arguments) -> Tensor:
    return OP(**arguments)


def _with_out(arguments: Arguments) -> Tensor:
    input = arguments["input"]
    return crop_at(**arguments, out=torch.empty(0, dtype=input.dtype, device=input.device))


def _meta(arguments: Arguments) -> Tensor:
    return crop_at(**{name: a.to("meta") if isinstance(a, Tensor) else a for name, a in arguments.items()})


def _fake(arguments: Arguments) -> Tensor:
    with FakeTensorMode(allow_non_fake_inputs=True):
        return crop_at(**arguments)


def _with_grad(arguments: Arguments) -> Tensor:
    floating = arguments["input"].dtype.is_floating_point
    return crop_at(**{**arguments, "input": arguments["input"].clone().requires_grad_(floating)})


def _vmap(arguments: Arguments) -> Tensor:
    rest = {**arguments}
    input = rest.pop("input")
    return vmap(lambda input: crop_at(input, **rest))(input.expand(2, *input.shape))


def _fallback(arguments: Arguments) -> Tensor:
    return OP.default._op_dk(DispatchKey.CompositeExplicitAutograd, **arguments)


# The ways into the op that raise its text as it is. TorchScript wraps it.
WAYS = {
    "eager": _eager,
    "op": _op,
    "out": _with_out,
    "meta": _meta,
    "meta out": lambda arguments: _with_out(
        {name: a.to("meta") if isinstance(a, Tensor) else a for name, a in arguments.items()}
    ),
    "fake": _fake,
    "grad": _with_grad,
    "vmap": _vmap,
    "fallback": _fallback,
}


def whole(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


BYTES = torch.zeros(2, 3, 8, 9, dtype=torch.uint8)
# What is wrong with a crop of (3, 4) from two images (3, 8, 9), and the text.
ERRORS: list[tuple[Arguments, str]] = [
    ({"offsets": whole(2, 2).int()}, "crop_at: offsets must be of dtype int64, got int32"),
    ({"offsets": torch.zeros(2, 2)}, "crop_at: offsets must be of dtype int64, got float32"),
    ({"offsets": torch.zeros(2, 2) > 0}, "crop_at: offsets must be of dtype int64, got bool"),
    ({"offsets": whole(3, 2)}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [3, 2]"),
    ({"offsets": whole(1, 2)}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [1, 2]"),
    ({"offsets": whole(2, 3)}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [2, 3]"),
    ({"offsets": whole(2)}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [2]"),
    ({"offsets": whole()}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got []"),
    ({"offsets": whole(2, 5, 1)}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [2, 5, 1]"),
    ({"offsets": whole(5, 2, 2)}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [5, 2, 2]"),
    ({"offsets": whole(2, 1, 1, 2)}, "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [2, 1, 1, 2]"),
    ({"size": (3,)}, "crop_at: offsets must be of shape [2, 1] or [2, K, 1], got [2, 2]"),
    ({"size": (3, 4, 5)}, "crop_at: offsets must be of shape [2, 3] or [2, K, 3], got [2, 2]"),
    ({"size": ()}, "crop_at: size must contain positive ints, got []"),
    ({"size": (3, 0)}, "crop_at: size must contain positive ints, got [3, 0]"),
    ({"size": (-1, 4)}, "crop_at: size must contain positive ints, got [-1, 4]"),
    (
        {"size": (1, 2, 3, 4)},
        "crop_at: input must have at least 5 dims, the batch and the 4 of size, got 4",
    ),
    (
        {"input": torch.zeros(8, 9)},
        "crop_at: input must have at least 3 dims, the batch and the 2 of size, got 2",
    ),
    (
        {"size": (2**40, 2**40)},
        "crop_at: the result must be smaller than 2^63 bytes, got sizes [2, 3, 1099511627776, 1099511627776]"
        " and 4 bytes an element",
    ),
    ({"flip": torch.zeros(2, dtype=torch.uint8)}, "crop_at: flip must be of dtype bool, got uint8"),
    ({"flip": torch.zeros(3) > 0}, "crop_at: flip must be of shape [2] or [2, 2], got [3]"),
    ({"flip": torch.zeros(2, 1) > 0}, "crop_at: flip must be of shape [2] or [2, 2], got [2, 1]"),
    ({"flip": torch.zeros(()) > 0}, "crop_at: flip must be of shape [2] or [2, 2], got []"),
    (
        {"offsets": whole(2, 5, 2), "flip": torch.zeros(2) > 0},
        "crop_at: flip must be of shape [2, 5] or [2, 5, 2], got [2]",
    ),
    (
        {"padding_mode": "zeros"},
        "crop_at: padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular', got 'zeros'",
    ),
    (
        {"padding_mode": ""},
        "crop_at: padding_mode must be 'constant', 'replicate', 'reflect', 'symmetric' or 'circular', got ''",
    ),
    ({"input": BYTES, "fill": 300}, "crop_at: fill must fit dtype uint8, got 300"),
    ({"input": BYTES, "fill": -1}, "crop_at: fill must fit dtype uint8, got -1"),
    ({"fill": 1j}, "crop_at: fill must fit dtype float32, got (0,1)"),
    ({"input": BYTES, "fill": 1j}, "crop_at: fill must fit dtype uint8, got (0,1)"),
    ({"fill": 1e300}, "crop_at: fill must fit dtype float32, got 1e+300"),
    *(
        (
            {"input": torch.zeros(2, 3, *spatial), "padding_mode": padding_mode},
            f"crop_at: dim {dim} must not be empty with padding_mode '{padding_mode}'",
        )
        for padding_mode in BORDERS[1:]
        for spatial, dim in (((0, 9), 2), ((8, 0), 3))
    ),
]


def with_defaults(wrong: Arguments) -> Arguments:
    return {"input": torch.zeros(2, 3, 8, 9), "offsets": whole(2, 2), "size": (3, 4)} | wrong


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("wrong", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_errors(wrong: Arguments, text: str, way: str) -> None:
    with raises_exactly(RuntimeError, text):
        WAYS[way](with_defaults(wrong))


@pytest.mark.parametrize(("wrong", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_errors_in_torchscript(wrong: Arguments, text: str) -> None:
    arguments = {**with_defaults(wrong)}
    arguments["size"] = list(arguments["size"])
    with pytest.raises(RuntimeError, match=re.escape(text)):
        torch.jit.script(crop_at)(**arguments)


def test_without_errors_each_way_runs() -> None:
    for way, run in WAYS.items():
        assert run(with_defaults({})).shape[-4:] == (2, 3, 3, 4), way


def test_places_on_another_device() -> None:
    for device, other in (("cpu", "meta"), ("meta", "cpu")):
        input = torch.zeros(2, 3, 8, 9, device=device)
        with raises_exactly(RuntimeError, f"crop_at: offsets must be on device {device}, got {other}"):
            crop_at(input, whole(2, 2).to(other), (3, 4))
        flip = torch.zeros(2, dtype=torch.bool, device=other)
        with raises_exactly(RuntimeError, f"crop_at: flip must be on device {device}, got {other}"):
            crop_at(input, whole(2, 2).to(device), (3, 4), flip=flip)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"input": [1.0]}, "crop_at: input must be a Tensor, got list"),
        ({"offsets": [[0, 0]]}, "crop_at: offsets must be a Tensor, got list"),
        ({"offsets": None}, "crop_at: offsets must be a Tensor, got NoneType"),
        ({"flip": True}, "crop_at: flip must be a Tensor or None, got bool"),
        ({"fill": None}, "crop_at: fill must be a number, got NoneType"),
        ({"fill": "0"}, "crop_at: fill must be a number, got str"),
        ({"size": 3}, "crop_at: size must be a list or tuple of ints, got int"),
        ({"size": (3, 4.0)}, "crop_at: size must contain ints, got float at position 1"),
        ({"size": (True, 4)}, "crop_at: size must contain ints, got bool at position 0"),
        ({"size": (3, 2**63)}, "crop_at: size entry 1 does not fit int64"),
    ],
)
def test_wrong_types(wrong: Arguments, text: str) -> None:
    with raises_exactly(TypeError, text):
        crop_at(**with_defaults(wrong))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("padding_mode", BORDERS[1:])
def test_a_fill_that_is_not_used_need_not_fit(padding_mode: str, way: str) -> None:
    for shape in ((2, 3, 8, 9), (2, 0, 8, 9)):
        arguments = {"input": torch.zeros(shape, dtype=torch.uint8), "padding_mode": padding_mode, "fill": 300}
        WAYS[way](with_defaults(arguments))


@pytest.mark.parametrize(
    ("grad", "offsets", "size", "text"),
    [
        ((2, 4), (2,), [7], "crop_at: offsets must be of shape [2, 1] or [2, K, 1], got [2]"),
        ((3, 4), (2, 1), [7], "crop_at: offsets must be of shape [3, 1] or [3, K, 1], got [2, 1]"),
        ((2, 4), (2, 1), [7, 7], "crop_at: grad must have at least 3 dims, those of size among them, got 2"),
        ((2, 5, 4), (2, 1), [6, 7], "crop_at: offsets must be of shape [2, 2] or [2, K, 2], got [2, 1]"),
        (
            (2, 2, 4),
            (2, 3, 1),
            [7],
            "crop_at: grad must have 3 crops of each image, as offsets have, got sizes [2, 2, 4]",
        ),
        ((2, 4), (2, 3, 1), [7], "crop_at: grad must have at least 3 dims, those of size among them, got 2"),
        ((2, 4), (2, 1), [], "crop_at: size must not be empty"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_errors_of_the_gradient(
    grad: tuple[int, ...], offsets: tuple[int, ...], size: list[int], text: str, device: str
) -> None:
    with raises_exactly(RuntimeError, text):
        ADJOINT(torch.zeros(grad, device=device), whole(*offsets).to(device), size)
    if device == "cpu":
        with raises_exactly(RuntimeError, text):
            ADJOINT.default._op_dk(DispatchKey.CompositeExplicitAutograd, torch.zeros(grad), whole(*offsets), size)


@pytest.mark.parametrize("padding_mode", BORDERS)
@pytest.mark.parametrize("dims", [63, 64, 65, 70, 200])
def test_dimensions_of_one_element_cost_nothing(dims: int, padding_mode: str) -> None:
    """However many: a window keeps those that show something, and the batch."""
    places = torch.tensor([[-1]]), (4,)
    options = {"padding_mode": padding_mode, "flip": torch.tensor([True])}
    many = torch.arange(1.0, 3.0).view([1] * (dims - 1) + [2]).requires_grad_()
    few = torch.arange(1.0, 3.0).view(1, 2).requires_grad_()
    results = crop_at(many, *places, **options), crop_at(few, *places, **options)
    assert results[0].shape == (1,) * (dims - 1) + (4,)
    assert torch.equal(results[0].flatten(), results[1].flatten())
    upstream = torch.tensor([1.0, 2.0, 3.0, 4.0])
    for tensor, result in zip((many, few), results, strict=True):
        result.backward(upstream.view(result.shape))
        assert tensor.grad is not None
    assert torch.equal(many.grad.flatten(), few.grad.flatten())


def test_more_dimensions_than_a_window_has_are_refused() -> None:
    text = "pad: at most 64 dimensions larger than 1 are supported"
    grad = torch.zeros(1).expand([1] * 8 + [2] * 58)
    with raises_exactly(RuntimeError, text):
        torch.ops.torchcrop_fast._pad_adjoint(grad, [1, 0] * 58 + [-1, 0] * 8, [2] * 8 + [1] * 58, "replicate")
    text = "crop_at: at most 64 dimensions larger than 1 are supported"
    with raises_exactly(RuntimeError, text):
        crop_at(torch.zeros([1] * 66), torch.zeros(1, 65, dtype=torch.int64), [1] * 65)
    assert crop_at(torch.zeros([1] * 65), torch.zeros(1, 64, dtype=torch.int64), [1] * 64).shape == (1,) * 65


@pytest.mark.parametrize(("batch", "images", "crops"), [(0, 1, None), (0, 0, None), (3, 0, 2), (0, 2, 0), (3, 2, 0)])
def test_vmap_of_nothing(batch: int, images: int, crops: int | None) -> None:
    x = torch.rand(batch, images, 2, 4, 5)
    offsets = torch.zeros((images, 2) if crops is None else (images, crops, 2), dtype=torch.int64)
    shape = (images, 2, 3, 3) if crops is None else (images, crops, 2, 3, 3)
    assert vmap(lambda x: crop_at(x, offsets, (3, 3)))(x).shape == (batch, *shape)
    normalize = partial(crop_mirror_normalize, offsets=offsets, size=(3, 3), mean=[0, 0], std=[1, 1])
    assert vmap(normalize)(x).shape == (batch, *shape)
    if batch > 0:
        assert jacrev(lambda x: crop_at(x, offsets, (3, 3)))(x[0]).shape == (*shape, *x.shape[1:])


def test_a_window_onto_a_huge_expanded_tensor() -> None:
    size = 2**30
    images = torch.tensor([[[1.0], [2.0]]]).expand(3, 2, size)
    windows = crop_at(images, torch.tensor([[size - 2], [5], [-1]]), [3], fill=9)
    row = torch.tensor([[1.0], [2.0]])
    expected = [
        F.pad(row.expand(2, 2), (0, 1), value=9.0),
        row.expand(2, 3),
        F.pad(row.expand(2, 2), (1, 0), value=9.0),
    ]
    assert torch.equal(windows, torch.stack(expected))


def digest() -> str:
    """Of all that many crops and their gradients hold: rows of all widths and layouts."""
    torch.default_generator.manual_seed(0)
    hashed = hashlib.sha256()
    layouts, dtypes = ("contiguous", "channels_last", "sliced", "permuted"), (torch.uint8, *DTYPES[2:])
    for i, (dtype, layout, padding_mode) in enumerate(itertools.product(dtypes, layouts, BORDERS)):
        for width in (1 + i % 40, 150 + i % 90):
            case = CropAtCase(
                (2, 3, 20, width + 12 - i % 11),
                (17, width),
                crops=(None, 2)[i % 2],
                flip=(None, "last", "each")[i % 3],
                padding_mode=padding_mode,
                layout=layout,
                dtype=dtype,
            )
            base_shape, view = LAYOUTS[layout](case.shape)
            input = view(torch.empty(base_shape).random_(0, 100).to(dtype))
            offsets, flip = case.make_places()
            cropped = crop_at(input, offsets, case.size, flip=flip, padding_mode=padding_mode, fill=7)
            hashed.update(bytes(bits(cropped).numpy()))
            if dtype.is_floating_point or dtype.is_complex:
                gradient = ADJOINT(cropped, offsets, case.image_size, flip=flip, padding_mode=padding_mode)
                hashed.update(bytes(bits(gradient).numpy()))
    return hashed.hexdigest()


@pytest.mark.skipif(not HAS_AVX2, reason="this CPU has no AVX2")
def test_each_capability_crops_the_same(monkeypatch, fresh_python) -> None:
    digests = set()
    for capability in ("default", "avx2"):
        monkeypatch.setenv(VARIABLE, capability)
        monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # threads that wait take no core from those that work
        printed = fresh_python(
            """
            import sys
            sys.path.insert(0, sys.argv[1])
            import test_crop_at
            from torchcrop_fast import _C

            print(_C.cpu_capability(), test_crop_at.digest())
            """,
            str(Path(__file__).parent),
        )
        told, printed_digest = printed.split()
        assert told == capability
        digests.add(printed_digest)
    assert digests == {digest()}


# What the fast entry answers, and what it leaves to Python.
PLAIN: dict[str, Arguments] = {
    "nothing else": {},
    "a list": {"size": [2, 3]},
    "flip": {"flip": torch.tensor([True, False])},
    "flip, each dim": {"flip": torch.tensor([[True, False], [True, True]])},
    "border": {"padding_mode": "reflect"},
    "fill, int": {"fill": 7},
    "fill, float": {"fill": -0.5},
    "several": {"offsets": torch.tensor([[[0, 1], [-9, 9]]]).expand(2, 2, 2)},
    "out": {"out": torch.full((2, 1, 2, 3), 77.0)},
    "out that is resized": {"out": torch.empty(0)},
    "gradient": {"input": torch.rand(2, 1, 4, 5, requires_grad=True)},
    "parameter": {"input": torch.nn.Parameter(torch.rand(2, 1, 4, 5))},
    "a bool": {"fill": True},
    "numpy float": {"fill": np.float64(0.5)},
    "complex": {"input": torch.rand(2, 1, 4, 5, dtype=torch.complex64), "fill": 1j},
}
NOT_PLAIN: dict[str, Arguments] = {
    "numpy ints": {"size": (np.int64(2), 3)},
    "another float": {"fill": np.float32(0.5)},
    "an int that no int64 is": {"fill": 2**64},
}


@pytest.mark.parametrize("arguments", [*PLAIN.values(), *NOT_PLAIN.values()], ids=[*PLAIN, *NOT_PLAIN])
def test_the_fast_entry_gives_what_the_op_gives(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    used = {"input": torch.rand(2, 1, 4, 5), "offsets": torch.tensor([[0, 1], [3, -2]]), "size": (2, 3), **arguments}
    slow = []
    scripted = _scripted.crop_at
    monkeypatch.setattr(_scripted, "crop_at", lambda *args: (slow.append(args), scripted(*args))[1])
    version = used["out"]._version if "out" in used else None
    fast = crop_at(**used)
    assert (not slow) is any(arguments is plain for plain in PLAIN.values())
    if version is not None:
        assert fast is used["out"]
        assert fast._version > version
        used = {**used, "out": torch.empty_like(fast)}
    if arguments is NOT_PLAIN.get("another float") or arguments is NOT_PLAIN.get("an int that no int64 is"):
        used = {**used, "fill": float(used["fill"])}  # which is all that the op takes
    through_op = scripted(**used)
    assert_same(fast, through_op)
    assert type(fast.grad_fn) is type(through_op.grad_fn)
    if fast.requires_grad:
        grad = torch.rand_like(fast)
        (from_fast,), (from_op,) = (torch.autograd.grad(made, used["input"], grad) for made in (fast, through_op))
        assert_same(from_fast, from_op)
