"""One case of the pad op, and check_op(): all that must hold for it."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import reference
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._C import DispatchKey
from torch._prims_common import suggest_memory_format
from torch.autograd import gradcheck, gradgradcheck

from torchcrop_fast import functional

OP = torch.ops.torchcrop_fast.pad
ADJOINT = torch.ops.torchcrop_fast._pad_adjoint

Shape = tuple[int, ...]
View = Callable[[Tensor], Tensor]


def _contiguous(shape: Shape) -> tuple[Shape, View]:
    return shape, lambda base: base


def _channels_last(shape: Shape) -> tuple[Shape, View]:
    return (shape[0], *shape[2:], shape[1]), lambda base: base.movedim(-1, 1)


def _transposed(shape: Shape) -> tuple[Shape, View]:
    return (*shape[:-2], shape[-1], shape[-2]), lambda base: base.mT


def _permuted(shape: Shape) -> tuple[Shape, View]:
    return shape[::-1], lambda base: base.permute(*reversed(range(base.dim())))


def _sliced(shape: Shape) -> tuple[Shape, View]:
    return tuple(size + 3 for size in shape), lambda base: base[tuple(slice(1, 1 + size) for size in shape)]


def _stepped(shape: Shape) -> tuple[Shape, View]:
    return tuple(2 * size + 1 for size in shape), lambda base: base[(slice(1, None, 2),) * len(shape)]


def _expanded(shape: Shape) -> tuple[Shape, View]:
    return tuple(size if d % 2 else 1 for d, size in enumerate(shape)), lambda base: base.expand(shape)


def _expanded_last(shape: Shape) -> tuple[Shape, View]:
    return (*shape[:-1], 1), lambda base: base.expand(shape)


def _overlapping(shape: Shape) -> tuple[Shape, View]:
    return (sum(shape) + 1,), lambda base: base.as_strided(shape, (1,) * len(shape))


# How a tensor lies in memory: from its shape to a dense base's shape and the view of the base that the tensor is.
LAYOUTS: dict[str, Callable[[Shape], tuple[Shape, View]]] = {
    "contiguous": _contiguous,
    "channels_last": _channels_last,  # channels_last_3d in 5-D
    "transposed": _transposed,
    "permuted": _permuted,
    "sliced": _sliced,
    "stepped": _stepped,
    "expanded": _expanded,
    "expanded_last": _expanded_last,
    "overlapping": _overlapping,
}
# Those where each element has memory of its own, and so can be written; all but the first leave gaps or change order.
OUT_LAYOUTS = ("contiguous", "sliced", "stepped", "permuted")


@dataclass(frozen=True)
class Case:
    """A call of pad: an input of this shape, dtype and layout in memory, and the arguments."""

    shape: Shape
    pad: tuple[int, ...]
    layout: str = "contiguous"
    dtype: torch.dtype = torch.float32
    value: complex | None = None
    mode: str = "constant"
    derivatives: bool = False  # check them numerically: slow, needs float64 or complex128
    opcheck: bool = False  # run torch.library.opcheck: slow

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        shape = "x".join(map(str, self.shape))
        border = self.value if self.mode == "constant" else self.mode
        return f"{dtype}-{shape}-{self.layout}-pad{self.pad}-{border}".replace(" ", "")

    @property
    def padded_size(self) -> Shape:
        """The input's sizes, of the dimensions that are padded."""
        return self.shape[len(self.shape) - len(self.pad) // 2 :]

    @property
    def fill(self) -> complex:
        return 0 if self.value is None else self.value

    def run(self, input: Tensor, out: Tensor | None = None) -> Tensor:
        return functional.pad(input, self.pad, self.mode, self.value, out=out)

    def expect(self, input: Tensor) -> Tensor:
        if self.mode == "constant":
            return torch.constant_pad_nd(input, self.pad, self.fill)
        values = reference.repeat(input, self.pad, self.mode)
        return torch.empty(values.shape, dtype=values.dtype, memory_format=self.memory_format(input)).copy_(values)

    def memory_format(self, input: Tensor) -> torch.memory_format:
        """The result's where the border repeats elements. F.pad wraps around into a contiguous tensor."""
        padded = len(self.pad) // 2
        if self.mode == "circular" and padded in (1, 2, 3) and input.dim() - padded in (1, 2):
            return torch.contiguous_format
        return suggest_memory_format(input)

    @property
    def torch_takes(self) -> bool:
        """Whether F.pad takes such a border, this dtype and rank, and that nothing is empty."""
        padded = len(self.pad) // 2
        result = [*self.shape]
        for i in range(padded):
            result[-1 - i] += self.pad[2 * i] + self.pad[2 * i + 1]
        has_kernel = self.mode == "circular" or self.dtype in REFERENCE_DTYPES
        return has_kernel and padded in (1, 2, 3) and len(self.shape) - padded in (1, 2) and 0 not in result


# Those that F.pad reflects and replicates.
REFERENCE_DTYPES = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16}
REFERENCE_DTYPES |= {torch.float32, torch.float64, torch.complex64, torch.complex128}


def random_bits(shape: Shape, dtype: torch.dtype) -> Tensor:
    """A dense tensor of random bytes, NaNs of all kinds included: pad must move bits, not numbers."""
    if dtype == torch.bool:
        return torch.rand(shape) < 0.5
    if math.prod(shape) == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.randint(0, 256, (math.prod(shape) * dtype.itemsize,), dtype=torch.uint8).view(dtype).reshape(shape)


def bits(tensor: Tensor) -> Tensor:
    """All elements' bytes, in the order of the indexes."""
    dense = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.flatten())
    return dense.view(torch.uint8)


def assert_same(result: Tensor, expected: Tensor) -> None:
    """Type, dtype, shape, strides and each bit are the same, and neither is a view waiting to be resolved."""
    assert type(result) is type(expected)
    assert result.dtype == expected.dtype
    assert result.device == expected.device
    assert result.shape == expected.shape
    assert result.stride() == expected.stride()
    assert result.is_conj() == expected.is_conj()
    assert result.is_neg() == expected.is_neg()
    assert result._is_zerotensor() == expected._is_zerotensor()
    if not result.is_meta:
        assert torch.equal(bits(result.detach()), bits(expected.detach())), f"got {result}, expected {expected}"


def check_op(case: Case) -> None:
    """Run a case through every check that applies to it."""
    torch.default_generator.manual_seed(0)  # torch.manual_seed costs more than all the rest
    base_shape, view = LAYOUTS[case.layout](case.shape)
    base = random_bits(base_shape, case.dtype)
    input = view(base)
    assert input.shape == case.shape
    before, version = bits(base).clone(), input._version
    expected = case.expect(input)

    for check in CHECKS:
        check(case, input, expected)

    assert torch.equal(bits(base), before), "the input was changed"
    assert input._version == version


def _check_result(case: Case, input: Tensor, expected: Tensor) -> None:
    result = case.run(input)
    assert_same(result, expected)
    if case.mode == "constant":
        assert reference.to_bytes(result) == reference.to_bytes(reference.pad(input, case.pad, case.fill))
    elif case.torch_takes:
        assert_same(result, F.pad(input, case.pad, case.mode))
    assert result._base is None
    if result.numel() > 0:
        storage = result.untyped_storage()
        assert storage.nbytes() == result.numel() * result.itemsize
        assert storage.data_ptr() != input.untyped_storage().data_ptr()
    assert not result.requires_grad


def _check_other_entries(case: Case, input: Tensor, expected: Tensor) -> None:
    assert_same(OP(input, case.pad, case.mode, case.value), expected)
    assert_same(functional.pad(input, list(case.pad), mode=case.mode, value=case.value), expected)
    if case.value is None and case.mode == "constant":
        assert_same(functional.crop(input, [-entry for entry in case.pad]), expected)


def _check_out(case: Case, input: Tensor, expected: Tensor) -> None:
    for layout in OUT_LAYOUTS:
        base_shape, view = LAYOUTS[layout](expected.shape)
        # Random bits all over: those between and around out's elements must stay, out's own must not shine through.
        base = random_bits(base_shape, case.dtype)
        wanted = base.clone()
        view(wanted).copy_(expected)
        out = view(base)
        strides, version = out.stride(), out._version
        assert case.run(input, out) is out
        assert out.shape == expected.shape
        assert out.stride() == strides
        assert out._version == version + 1
        assert torch.equal(bits(base), bits(wanted)), f"wrong in or around a {layout} out"


def _check_lazy_views(case: Case, input: Tensor, expected: Tensor) -> None:
    if case.dtype.is_complex:
        _check_lazy_view(case, input, expected, torch.conj)
    if _has_kernel(torch.neg, case.dtype):
        _check_lazy_view(case, input, expected, torch._neg_view)
    if case.dtype != torch.float8_e8m0fnu:  # it has no zero
        zero = torch._efficientzerotensor(case.shape, dtype=case.dtype)
        assert_same(case.run(zero), case.expect(zero if case.mode == "constant" else zero.clone()))


def _check_lazy_view(case: Case, input: Tensor, expected: Tensor, view: View) -> None:
    seen = view(input)
    if case.mode != "constant":  # torch's own negation quiets some NaNs, by how they lie in memory
        seen = seen.resolve_conj().resolve_neg()
    expected_of_view = case.expect(seen)
    assert_same(case.run(view(input)), expected_of_view)
    for argument, wanted in ((input, expected), (view(input), expected_of_view)):
        out = view(torch.full_like(expected, 1))
        version = out._version
        assert case.run(argument, out) is out
        copied = view(torch.zeros_like(expected)).copy_(wanted)  # torch's own negation quiets some NaNs
        assert torch.equal(bits(out), bits(copied))
        assert out.is_conj() == view(input).is_conj()
        assert out.is_neg() == view(input).is_neg()
        assert out._version == version + 1


@functools.cache
def _has_kernel(function: Callable[[Tensor], Tensor], dtype: torch.dtype) -> bool:
    try:
        function(torch.empty(1, dtype=dtype))
    except (NotImplementedError, RuntimeError):
        return False
    return True


def _check_contexts(case: Case, input: Tensor, expected: Tensor) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(case.run(input), expected)
    with torch.no_grad():
        assert_same(case.run(input), expected)
    with torch.device("cpu"):  # a mode that sees each call
        assert_same(case.run(input), expected)
    with torch.inference_mode():
        result = case.run(input)
        assert result.is_inference()
        assert_same(result, expected)
        out = torch.empty_like(expected)
        assert case.run(input, out) is out
        assert torch.equal(bits(out), bits(expected))


class Tagged(Tensor):
    """A subclass that sees what is called on it."""

    calls: list[Any] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


def _check_subclasses(case: Case, input: Tensor, expected: Tensor) -> None:
    Tagged.calls.clear()
    result = case.run(input.as_subclass(Tagged))
    assert len(Tagged.calls) == 1
    assert type(result) is Tagged
    assert_same(result.as_subclass(Tensor), expected)

    Tagged.calls.clear()
    out = torch.empty_like(expected).as_subclass(Tagged)
    assert case.run(input, out) is out
    assert len(Tagged.calls) == 1
    assert torch.equal(bits(out.as_subclass(Tensor)), bits(expected))

    parameter = nn.Parameter(input, requires_grad=False)
    assert_same(case.run(parameter), expected)

    if input.dim() >= 3:
        from torchvision import tv_tensors

        image = tv_tensors.Image(input)
        assert type(case.run(image)) is type(torch.constant_pad_nd(image, ()))
        with tv_tensors.set_return_type("TVTensor"):
            result = case.run(image)
            assert type(result) is type(torch.constant_pad_nd(image, ()))
        assert_same(result.as_subclass(Tensor), expected)


def _check_empty_batch(case: Case, input: Tensor, expected: Tensor) -> None:
    if len(case.pad) < 2 * input.dim():
        assert_same(case.run(input[:0]), case.expect(input[:0]))


def _check_meta(case: Case, input: Tensor, expected: Tensor) -> None:
    meta = torch.empty_strided(input.shape, input.stride(), dtype=case.dtype, device="meta")
    result = case.run(meta)
    assert_same(result, torch.empty_strided(expected.shape, expected.stride(), dtype=case.dtype, device="meta"))
    out = torch.empty_strided(expected.shape, expected.stride(), dtype=case.dtype, device="meta")
    assert case.run(meta, out) is out
    assert_same(out, result)


@functools.cache
def _scripted() -> Callable[..., Tensor]:
    return torch.jit.script(functional.pad)


def _check_scripted(case: Case, input: Tensor, expected: Tensor) -> None:
    assert_same(_scripted()(input, case.pad, case.mode, case.value), expected)
    out = torch.empty_like(expected)
    _scripted()(input, case.pad, case.mode, case.value, out)
    assert_same(out, expected)


def by_fallback(op: Any, *args: Any, **kwargs: Any) -> Any:
    """What other devices run: the op in terms of ATen's."""
    return op._op_dk(DispatchKey.CompositeExplicitAutograd, *args, **kwargs)


def _check_fallback(case: Case, input: Tensor, expected: Tensor) -> None:
    if case.mode == "constant":  # it is ATen's pad
        return
    assert_same(by_fallback(OP.default, input, case.pad, case.mode), expected)
    base_shape, view = LAYOUTS["sliced"](tuple(expected.shape))
    base = random_bits(base_shape, case.dtype)
    wanted = base.clone()
    view(wanted).copy_(expected)
    by_fallback(OP.out, input, case.pad, case.mode, out=view(base))
    assert torch.equal(bits(base), bits(wanted))


def whole_numbers(shape: Shape, dtype: torch.dtype) -> Tensor:
    """Whole numbers, whose sums are exact in float32."""
    numbers = torch.empty(shape).random_(-9, 10).to(dtype)
    return numbers * (1 - 2j) if dtype.is_complex else numbers


def _check_adjoint(case: Case, input: Tensor, expected: Tensor) -> None:
    if case.mode == "constant" or not (case.dtype.is_complex or case.dtype.is_floating_point):
        return
    if case.dtype.itemsize == 1 or case.dtype == torch.complex32:  # torch has no arithmetic for these
        return
    # Autograd through an indexing that sees the same elements. Sums are exact, and rounded once.
    wide = torch.complex128 if case.dtype.is_complex else torch.float64
    looked_up = torch.zeros(case.shape, dtype=wide, requires_grad=True)
    seen = looked_up.flatten()[reference.repeat_sources(case.shape, case.pad, case.mode)]
    leaf = nn.Parameter(input)
    result = case.run(leaf)
    assert_same(result, expected)
    for layout in ("contiguous", "channels_last", "permuted", "expanded"):
        if layout == "channels_last" and len(case.shape) < 3:
            continue
        upstream_shape, view = LAYOUTS[layout](tuple(expected.shape))
        upstream = view(whole_numbers(upstream_shape, case.dtype))
        (gradient,) = torch.autograd.grad(result, leaf, upstream, retain_graph=True)
        (wanted,) = torch.autograd.grad(seen, looked_up, upstream.to(wide), retain_graph=True)
        wanted = wanted.to(case.dtype).contiguous(memory_format=suggest_memory_format(upstream))
        assert torch.equal(gradient, wanted)
        adjoint = ADJOINT(upstream, case.pad, case.padded_size, case.mode)
        assert torch.equal(adjoint, wanted)
        if any(entry > 0 for entry in case.pad):
            assert gradient.stride() == adjoint.stride()
        meta = torch.empty_strided(upstream.shape, upstream.stride(), dtype=case.dtype, device="meta")
        meta = ADJOINT(meta, case.pad, case.padded_size, case.mode)
        fallback = by_fallback(ADJOINT.default, upstream, case.pad, case.padded_size, case.mode)
        assert adjoint.stride() == meta.stride() == fallback.stride()
        assert adjoint.stride() == torch.empty(case.shape, memory_format=suggest_memory_format(upstream)).stride()
        if case.dtype not in (torch.float16, torch.bfloat16):  # there ATen rounds each sum
            assert torch.equal(fallback, adjoint)


def _check_gradient(case: Case, input: Tensor, expected: Tensor) -> None:
    if case.mode != "constant" or not (case.dtype.is_floating_point or case.dtype.is_complex):
        return
    leaf = nn.Parameter(input)
    results = case.run(leaf), case.expect(leaf)
    for result in results:
        assert_same(result, expected)
        assert result.requires_grad
    for layout in ("contiguous", "permuted", "expanded"):
        upstream_shape, view = LAYOUTS[layout](expected.shape)
        upstream = view(random_bits(upstream_shape, case.dtype))
        gradient, wanted = (torch.autograd.grad(result, leaf, upstream, retain_graph=True)[0] for result in results)
        assert_same(gradient, wanted)


def _check_derivatives(case: Case, input: Tensor, expected: Tensor) -> None:
    if not case.derivatives:
        return
    base_shape, view = LAYOUTS[case.layout](case.shape)
    base = torch.randn(base_shape, dtype=case.dtype, requires_grad=True)

    def function(base: Tensor) -> Tensor:
        return case.run(view(base))

    if expected.numel() > 0:  # gradcheck's own forward check cannot do without
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


def _check_opcheck(case: Case, input: Tensor, expected: Tensor) -> None:
    if not case.opcheck:
        return
    if case.mode != "constant":  # NaNs are not equal, to opcheck
        base_shape, view = LAYOUTS[case.layout](case.shape)
        input = view(whole_numbers(base_shape, case.dtype))
        expected = case.expect(input)
    arguments = (input.detach(), case.pad, case.mode, case.value)
    torch.library.opcheck(OP.default, arguments)
    torch.library.opcheck(OP.out, arguments, {"out": torch.empty_like(expected)})
    if case.dtype.is_floating_point or case.dtype.is_complex:
        torch.library.opcheck(OP.default, (nn.Parameter(input), *arguments[1:]))
        for grad in (expected.detach(), nn.Parameter(expected)):
            torch.library.opcheck(ADJOINT.default, (grad, case.pad, case.padded_size, case.mode))


CHECKS: tuple[Callable[[Case, Tensor, Tensor], None], ...] = (
    _check_result,
    _check_other_entries,
    _check_out,
    _check_lazy_views,
    _check_contexts,
    _check_subclasses,
    _check_empty_batch,
    _check_meta,
    _check_scripted,
    _check_fallback,
    _check_adjoint,
    _check_gradient,
    _check_derivatives,
    _check_opcheck,
)
