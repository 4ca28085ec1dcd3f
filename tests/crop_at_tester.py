"""One case of the crop_at op, and check_crop_at(): all that must hold for it."""

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import reference
import torch
from op_tester import (
    LAYOUTS,
    OUT_LAYOUTS,
    Shape,
    Tagged,
    View,
    assert_same,
    bits,
    by_fallback,
    random_bits,
    whole_numbers,
)
from torch import Tensor, nn
from torch._prims_common import suggest_memory_format
from torch.autograd import gradcheck, gradgradcheck

from torchcrop_fast import functional

OP = torch.ops.torchcrop_fast.crop_at
ADJOINT = torch.ops.torchcrop_fast._crop_at_adjoint

BORDERS = ("constant", "replicate", "reflect", "symmetric", "circular")
EXTREMES = (-(2**63), 1 - 2**63, -(2**62), -10_000_000, 10_000_000, 2**62, 2**63 - 2, 2**63 - 1)


@dataclass(frozen=True)
class CropAtCase:
    """A call of crop_at: an input of this shape, dtype and layout in memory, random places, and the arguments."""

    shape: Shape
    size: tuple[int, ...]
    crops: int | None = None  # of each image; None for one, without a dimension of its own
    flip: str | None = None  # "last" or "each" dimension
    padding_mode: str = "constant"
    fill: complex = 0
    layout: str = "contiguous"
    dtype: torch.dtype = torch.float32
    places_layout: str = "contiguous"  # of offsets and flip
    far: bool = False  # some offsets are as far away as can be
    seed: int = 0
    derivatives: bool = False  # check them numerically: slow, needs float64 or complex128
    opcheck: bool = False  # run torch.library.opcheck: slow

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        shape = "x".join(map(str, self.shape))
        size = "x".join(map(str, self.size))
        return f"{dtype}-{shape}-{self.layout}-to{size}-{self.crops}-{self.flip}-{self.padding_mode}-{self.fill}"

    @property
    def image_size(self) -> Shape:
        """The input's spatial sizes."""
        return self.shape[len(self.shape) - len(self.size) :]

    def make_input(self) -> tuple[Tensor, Tensor]:
        """The input, and the dense base that it is a view of."""
        base_shape, view = LAYOUTS[self.layout](self.shape)
        base = random_bits(base_shape, self.dtype)
        return view(base), base

    def make_places(self) -> tuple[Tensor, Tensor | None]:
        """Offsets and flip: the windows begin on the input, around it or far away."""
        rng = random.Random(self.seed)
        dims = len(self.size)
        shape = (self.shape[0], dims) if self.crops is None else (self.shape[0], self.crops, dims)
        base_shape, view = LAYOUTS[self.places_layout](shape)
        offsets = view(torch.empty(base_shape, dtype=torch.int64).random_(-12, 13))
        base = offsets if offsets._base is None else offsets._base
        if self.far:
            for i in range(base.numel()):
                if rng.random() < 0.4:
                    base.view(-1)[i] = rng.choice(EXTREMES)
        if self.flip is None:
            return offsets, None
        flip_shape = shape if self.flip == "each" else shape[:-1]
        layout = self.places_layout if len(flip_shape) > 1 else "contiguous"
        base_shape, view = LAYOUTS[layout](flip_shape)
        return offsets, view(torch.rand(base_shape) < 0.5)


@dataclass(frozen=True)
class Call:
    """A case's arguments, and what they must make."""

    case: CropAtCase
    input: Tensor
    offsets: Tensor
    flip: Tensor | None
    expected: Tensor

    @property
    def options(self) -> dict[str, Any]:
        return {"flip": self.flip, "padding_mode": self.case.padding_mode, "fill": self.case.fill}

    def run(self, input: Tensor, out: Tensor | None = None) -> Tensor:
        return functional.crop_at(input, self.offsets, self.case.size, **self.options, out=out)

    def run_op(self, input: Tensor) -> Tensor:
        return OP(input, self.offsets, self.case.size, **self.options)


def empty_like_images(images: Tensor, shape: Shape, several: bool) -> Tensor:
    """A tensor of the images' memory format; several crops of an image count as images."""
    memory_format = suggest_memory_format(images)
    if not several:
        return torch.empty(shape, dtype=images.dtype, memory_format=memory_format)
    flat = torch.empty((shape[0] * shape[1], *shape[2:]), dtype=images.dtype, memory_format=memory_format)
    return flat.as_strided(shape, (flat.stride(0) * max(shape[1], 1), *flat.stride()))


def check_crop_at(case: CropAtCase) -> None:
    """Run a case through every check that applies to it."""
    torch.default_generator.manual_seed(case.seed)
    input, base = case.make_input()
    offsets, flip = case.make_places()
    assert input.shape == case.shape
    before = [tensor.clone() for tensor in (bits(base), offsets, *([] if flip is None else [flip]))]
    values = reference.crop_at(input, offsets, case.size, flip, case.padding_mode, case.fill)
    expected = empty_like_images(input, tuple(values.shape), case.crops is not None).copy_(values)
    call = Call(case, input, offsets, flip, expected)

    for check in CHECKS:
        check(call)

    for tensor, was in zip((bits(base), offsets, *([] if flip is None else [flip])), before, strict=True):
        assert torch.equal(tensor, was), "an argument was changed"
    assert input._version == 0


def _assert_values(result: Tensor, expected: Tensor) -> None:
    """The same but for how it lies in memory."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert torch.equal(bits(result.detach()), bits(expected.detach())), f"got {result}, expected {expected}"


def _check_result(call: Call) -> None:
    for result in (call.run(call.input), call.run_op(call.input)):
        assert_same(result, _plain(call.expected))
        assert result._base is None
        assert not result.requires_grad
        if result.numel() > 0:
            storage = result.untyped_storage()
            assert storage.nbytes() == result.numel() * result.itemsize
            assert storage.data_ptr() != call.input.untyped_storage().data_ptr()


def _plain(tensor: Tensor) -> Tensor:
    return tensor.resolve_conj().resolve_neg()


def _check_out(call: Call) -> None:
    for layout in OUT_LAYOUTS:
        base_shape, view = LAYOUTS[layout](tuple(call.expected.shape))
        # Random bits all over: those between and around out's elements must stay, out's own must not shine through.
        base = random_bits(base_shape, call.case.dtype)
        wanted = base.clone()
        view(wanted).copy_(call.expected)
        out = view(base)
        strides, version = out.stride(), out._version
        assert call.run(call.input, out) is out
        assert out.shape == call.expected.shape
        assert out.stride() == strides
        assert out._version == version + 1
        assert torch.equal(bits(base), bits(wanted)), f"wrong in or around a {layout} out"


def _check_lazy_views(call: Call) -> None:
    if call.case.dtype.is_complex:
        _check_lazy_view(call, torch.conj)
    if call.case.dtype != torch.bool:
        _check_lazy_view(call, torch._neg_view)
    minus = torch._neg_view(-call.offsets)
    assert minus.is_neg()
    assert_same(functional.crop_at(call.input, minus, call.case.size, **call.options), call.expected)
    out = torch.empty_like(call.expected)
    functional.crop_at(call.input, minus, call.case.size, **call.options, out=out)
    _assert_values(out, call.expected)


def _check_lazy_view(call: Call, view: View) -> None:
    expected_of_view = call.run(_plain(view(call.input)))
    _assert_values(call.run(view(call.input)), expected_of_view)
    for argument, wanted in ((call.input, call.expected), (view(call.input), expected_of_view)):
        out = view(torch.full_like(call.expected, 1))
        version = out._version
        assert call.run(argument, out) is out
        copied = view(torch.zeros_like(call.expected)).copy_(wanted)  # torch's own negation quiets some NaNs
        assert torch.equal(bits(out), bits(copied))
        assert out.is_conj() == view(call.input).is_conj()
        assert out.is_neg() == view(call.input).is_neg()
        assert out._version == version + 1


def _check_contexts(call: Call) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(call.run(call.input), call.expected)
    with torch.no_grad():
        assert_same(call.run(call.input), call.expected)
    with torch.device("cpu"):  # a mode that sees each call
        assert_same(call.run(call.input), call.expected)
    with torch.inference_mode():
        result = call.run(call.input)
        assert result.is_inference()
        assert_same(result, call.expected)
        out = torch.empty_like(call.expected)
        assert call.run(call.input, out) is out
        _assert_values(out, call.expected)


def _check_subclasses(call: Call) -> None:
    Tagged.calls.clear()
    result = call.run(call.input.as_subclass(Tagged))
    assert Tagged.calls == [functional.crop_at]
    assert type(result) is Tagged
    assert_same(result.as_subclass(Tensor), call.expected)

    Tagged.calls.clear()
    result = functional.crop_at(call.input, call.offsets.as_subclass(Tagged), call.case.size, **call.options)
    assert Tagged.calls == [functional.crop_at]
    assert_same(result.as_subclass(Tensor), call.expected)

    Tagged.calls.clear()
    out = torch.empty_like(call.expected).as_subclass(Tagged)
    assert call.run(call.input, out) is out
    assert Tagged.calls == [functional.crop_at]
    _assert_values(out.as_subclass(Tensor), call.expected)

    assert_same(call.run(nn.Parameter(call.input, requires_grad=False)), call.expected)


def _to_meta(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _check_meta(call: Call) -> None:
    options = {**call.options, "flip": None if call.flip is None else _to_meta(call.flip)}
    arguments = (_to_meta(call.input), _to_meta(call.offsets), call.case.size)
    assert_same(functional.crop_at(*arguments, **options), _to_meta(call.expected))
    out = torch.empty(0, dtype=call.case.dtype, device="meta")
    assert functional.crop_at(*arguments, **options, out=out) is out
    assert out.shape == call.expected.shape


@functools.cache
def _scripted() -> Callable[..., Tensor]:
    return torch.jit.script(functional.crop_at)


def _check_scripted(call: Call) -> None:
    options = (call.flip, call.case.padding_mode, call.case.fill)
    assert_same(_scripted()(call.input, call.offsets, call.case.size, *options), call.expected)
    out = torch.empty_like(call.expected)
    _scripted()(call.input, call.offsets, call.case.size, *options, out)
    _assert_values(out, call.expected)


def _check_fallback(call: Call) -> None:
    arguments = (call.input, call.offsets, call.case.size)
    assert_same(by_fallback(OP.default, *arguments, **call.options), call.expected)
    base_shape, view = LAYOUTS["sliced"](tuple(call.expected.shape))
    base = random_bits(base_shape, call.case.dtype)
    wanted = base.clone()
    view(wanted).copy_(call.expected)
    by_fallback(OP.out, *arguments, **call.options, out=view(base))
    assert torch.equal(bits(base), bits(wanted))


def _check_gradient(call: Call) -> None:
    case = call.case
    if not (case.dtype.is_floating_point or case.dtype.is_complex):
        return
    # Autograd through an indexing that sees the same elements. Sums are exact, and rounded once.
    wide = torch.complex128 if case.dtype.is_complex else torch.float64
    sources = reference.crop_at_sources(case.shape, call.offsets, case.size, call.flip, case.padding_mode)
    looked_up = torch.zeros(case.shape, dtype=wide, requires_grad=True)
    seen = torch.cat([looked_up.flatten(), torch.zeros(1, dtype=wide)])[sources]
    leaf = nn.Parameter(call.input)
    result = call.run(leaf)
    assert_same(result, call.expected)
    options = {"flip": call.flip, "padding_mode": case.padding_mode}
    for layout in ("contiguous", "channels_last", "permuted", "expanded"):
        upstream_shape, view = LAYOUTS[layout](tuple(result.shape))
        upstream = view(whole_numbers(upstream_shape, case.dtype))
        (gradient,) = torch.autograd.grad(result, leaf, upstream, retain_graph=True)
        (wanted,) = torch.autograd.grad(seen, looked_up, upstream.to(wide), retain_graph=True)
        assert gradient.dtype == case.dtype
        assert torch.equal(gradient, wanted.to(case.dtype))

        arguments = (upstream, call.offsets, case.image_size)
        adjoint = ADJOINT(*arguments, **options)
        assert_same(adjoint, gradient)
        meta = {**options, "flip": None if call.flip is None else _to_meta(call.flip)}
        assert_same(ADJOINT(_to_meta(upstream), _to_meta(call.offsets), case.image_size, **meta), _to_meta(adjoint))
        fallback = by_fallback(ADJOINT.default, *arguments, **options)
        assert (fallback.shape, fallback.stride()) == (adjoint.shape, adjoint.stride())
        if case.dtype not in (torch.float16, torch.bfloat16):  # there ATen rounds each sum
            assert torch.equal(fallback, adjoint)


def _check_derivatives(call: Call) -> None:
    if not call.case.derivatives:
        return
    base_shape, view = LAYOUTS[call.case.layout](call.case.shape)
    base = torch.randn(base_shape, dtype=call.case.dtype, requires_grad=True)

    def function(base: Tensor) -> Tensor:
        return call.run(view(base))

    if call.expected.numel() > 0:  # gradcheck's own forward check cannot do without
        gradcheck(
            function,
            (base,),
            check_forward_ad=True,
            check_backward_ad=True,
            check_batched_grad=True,
            check_batched_forward_grad=True,
            check_undefined_grad=True,
        )
    gradgradcheck(function, (base,), check_batched_grad=True, check_fwd_over_rev=True, check_rev_over_rev=True)


def _check_opcheck(call: Call) -> None:
    if not call.case.opcheck:
        return
    base_shape, view = LAYOUTS[call.case.layout](call.case.shape)
    input = view(whole_numbers(base_shape, call.case.dtype))  # NaNs are not equal, to opcheck
    windows = whole_numbers(tuple(call.expected.shape), call.case.dtype)
    arguments = (input, call.offsets, call.case.size)
    torch.library.opcheck(OP.default, arguments, call.options)
    torch.library.opcheck(OP.out, arguments, {**call.options, "out": torch.empty_like(call.expected)})
    if call.case.dtype.is_floating_point or call.case.dtype.is_complex:
        torch.library.opcheck(OP.default, (nn.Parameter(input), *arguments[1:]), call.options)
        options = {"flip": call.flip, "padding_mode": call.case.padding_mode}
        for grad in (windows, nn.Parameter(windows)):
            torch.library.opcheck(ADJOINT.default, (grad, call.offsets, call.case.image_size), options)


CHECKS: tuple[Callable[[Call], None], ...] = (
    _check_result,
    _check_out,
    _check_lazy_views,
    _check_contexts,
    _check_subclasses,
    _check_meta,
    _check_scripted,
    _check_fallback,
    _check_gradient,
    _check_derivatives,
    _check_opcheck,
)
