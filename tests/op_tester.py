"""check_op(): all that must hold for one case of any op."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._C import DispatchKey
from torch.autograd import gradcheck, gradgradcheck

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


def _meaningless(shape: Shape, stride: int = 2**59) -> tuple[Shape, View]:
    def view(base: Tensor) -> Tensor:
        strides = [stride + d if shape[d] == 1 else of_base for d, of_base in enumerate(base.stride())]
        return base.as_strided(shape, strides)

    return shape, view


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
    "meaningless": _meaningless,  # strides of dimensions of one element
    "meaningless_small": functools.partial(_meaningless, stride=0),
}
# Those where each element has memory of its own, and so can be written; all but the first leave gaps or change order.
OUT_LAYOUTS = ("contiguous", "sliced", "stepped", "permuted", "meaningless")


@dataclass(frozen=True)
class Call:
    """The arguments of a case."""

    op: Any  # torch.ops.torchcrop_fast...
    function: Callable[..., Tensor]  # of the same arguments
    input: Tensor
    base: Tensor  # the dense tensor that input is a view of,
    view: View  # by this
    arguments: tuple[Any, ...]  # but for input
    options: dict[str, Any]  # those by keyword
    expect: Callable[[], Tensor]  # what the op must make of them, maybe slowly
    adjoint: Any
    adjoint_arguments: tuple[Any, ...]  # but for the gradient
    adjoint_options: dict[str, Any] = field(default_factory=dict)
    sources: Callable[[], Tensor] | None = None  # the input's element that each of the result's shows, -1 for the fill
    float32_in_autocast: bool = False  # on the CPU
    derivatives: bool = False  # check them numerically: slow, needs float64 or complex128
    opcheck: bool = False  # run torch.library.opcheck: slow

    @functools.cached_property
    def expected(self) -> Tensor:
        return self.expect()

    def run(self, input: Tensor, out: Tensor | None = None) -> Tensor:
        return self.function(input, *self.arguments, **self.options, out=out)

    def run_op(self, input: Tensor) -> Tensor:
        result: Tensor = self.op(input, *self.arguments, **self.options)
        return result

    def others(self) -> Iterator[tuple[Tensor, Callable[[Tensor], "Call"]]]:
        """Each other tensor among the arguments, and how to make the call with another in its place."""
        for i, argument in enumerate(self.arguments):
            if isinstance(argument, Tensor):
                yield argument, lambda t, i=i: self._with(arguments=(*self.arguments[:i], t, *self.arguments[i + 1 :]))
        for name, option in self.options.items():
            if isinstance(option, Tensor):
                yield option, lambda t, name=name: self._with(options={**self.options, name: t})

    def _with(self, **changes: Any) -> "Call":
        return replace(self, **changes)


class Case(Protocol):
    """A row of a table: what to draw a call from. Random numbers come from torch's default generator, seeded."""

    def call(self) -> Call:
        """Draw the arguments."""

    def also(self, call: Call) -> None:
        """Check what holds for this op alone."""


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


def assert_values(result: Tensor, expected: Tensor) -> None:
    """The same but for how it lies in memory."""
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert torch.equal(bits(result.detach()), bits(expected.detach())), f"got {result}, expected {expected}"


def check_writes_everywhere(
    expected: Tensor,
    write: Callable[[Tensor], Any],
    layouts: tuple[str, ...] = OUT_LAYOUTS,
    to_device: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    from_device: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> None:
    """What write(out) does: out becomes what is expected, whatever its layout, and nothing around it changes."""
    for layout in layouts:
        base_shape, view = LAYOUTS[layout](tuple(expected.shape))
        # Random bits all over: those between and around out's elements must stay, out's own must not shine through.
        base = random_bits(base_shape, expected.dtype)
        on_device = to_device(base.clone())
        view(base).copy_(expected)
        out = view(on_device)
        strides, version = out.stride(), out._version
        write(out)
        assert out.shape == expected.shape
        assert out.stride() == strides
        assert out._version >= version
        assert torch.equal(bits(from_device(on_device)), bits(base)), f"wrong in or around a {layout} out"


def to_meta(tensor: Any) -> Any:
    """The same tensor without data; anything else as it is."""
    if not isinstance(tensor, Tensor):
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def check_op(case: Case) -> None:
    """Run a case through every check that applies to it."""
    torch.default_generator.manual_seed(getattr(case, "seed", 0))  # torch.manual_seed costs more than all the rest
    call = case.call()
    before = bits(call.base).clone(), [other.clone() for other, _ in call.others()]
    version = call.input._version

    for check in CHECKS:
        check(call)
    case.also(call)

    assert torch.equal(bits(call.base), before[0]), "the input was changed"
    assert call.input._version == version
    for (other, _), was in zip(call.others(), before[1], strict=True):
        assert torch.equal(other, was), "an argument was changed"


def _check_result(call: Call) -> None:
    for result in (call.run(call.input), call.run_op(call.input)):
        assert_same(result, call.expected)
        assert result._base is None
        assert not result.requires_grad
        if result.numel() > 0:
            storage = result.untyped_storage()
            assert storage.nbytes() == result.numel() * result.itemsize
            assert storage.data_ptr() != call.input.untyped_storage().data_ptr()


def _check_out(call: Call) -> None:
    def write(out: Tensor) -> Tensor:
        version = out._version
        result = call.run(call.input, out)
        assert result is out
        assert out._version == version + 1
        return result

    check_writes_everywhere(call.expected, write)


def _check_lazy_views(call: Call) -> None:
    if call.input.dtype.is_complex:
        _check_lazy_view(call, torch.conj)
    if _has_kernel(torch.neg, call.input.dtype):
        _check_lazy_view(call, torch._neg_view)
    for other, with_other in call.others():
        if other.dtype == torch.int64:
            minus = torch._neg_view(-other)
            assert minus.is_neg()
            assert_same(with_other(minus).run(call.input), call.expected)
            out = torch.empty_like(call.expected)
            with_other(minus).run(call.input, out)
            assert_values(out, call.expected)


def _check_lazy_view(call: Call, view: View) -> None:
    expected_of_view = call.run(view(call.input).resolve_conj().resolve_neg())
    assert_same(call.run(view(call.input)), expected_of_view)
    if not _has_kernel(view, call.expected.dtype):
        return
    for argument, wanted in ((call.input, call.expected), (view(call.input), expected_of_view)):
        out = view(torch.full_like(call.expected, 1))
        version = out._version
        assert call.run(argument, out) is out
        copied = view(torch.zeros_like(call.expected)).copy_(wanted)  # torch's own negation quiets some NaNs
        assert torch.equal(bits(out), bits(copied))
        assert out.is_conj() == copied.is_conj()
        assert out.is_neg() == copied.is_neg()
        assert out._version == version + 1


@functools.cache
def _has_kernel(function: Callable[[Tensor], Tensor], dtype: torch.dtype) -> bool:
    try:
        function(torch.empty(1, dtype=dtype))
    except (NotImplementedError, RuntimeError):
        return False
    return True


def _check_contexts(call: Call) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        in_autocast = call.expected.float() if call.float32_in_autocast else call.expected
        assert_same(call.run(call.input), in_autocast)
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
        assert_values(out, call.expected)


class Tagged(Tensor):
    """A subclass that sees what is called on it."""

    calls: list[Any] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


def _check_subclasses(call: Call) -> None:
    Tagged.calls.clear()
    result = call.run(call.input.as_subclass(Tagged))
    assert Tagged.calls == [call.function]
    assert type(result) is Tagged
    assert_same(result.as_subclass(Tensor), call.expected)

    for other, with_other in call.others():
        Tagged.calls.clear()
        result = with_other(other.as_subclass(Tagged)).run(call.input)
        assert Tagged.calls == [call.function]
        assert_same(result.as_subclass(Tensor), call.expected)

    Tagged.calls.clear()
    out = torch.empty_like(call.expected).as_subclass(Tagged)
    assert call.run(call.input, out) is out
    assert Tagged.calls == [call.function]
    assert_values(out.as_subclass(Tensor), call.expected)

    assert_same(call.run(nn.Parameter(call.input, requires_grad=False)), call.expected)


def _check_meta(call: Call) -> None:
    arguments = [to_meta(argument) for argument in (call.input, *call.arguments)]
    options = {name: to_meta(option) for name, option in call.options.items()}
    expected = to_meta(call.expected)
    assert_same(call.function(*arguments, **options), expected)
    for out in (to_meta(call.expected), torch.empty(0, dtype=expected.dtype, device="meta")):
        assert call.function(*arguments, **options, out=out) is out
        assert out.shape == expected.shape


@functools.cache
def _scripted(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.jit.script(function)


def _check_scripted(call: Call) -> None:
    scripted = _scripted(call.function)
    assert_same(scripted(call.input, *call.arguments, **call.options), call.expected)
    out = torch.empty_like(call.expected)
    scripted(call.input, *call.arguments, **call.options, out=out)
    assert_same(out, call.expected)


def by_fallback(op: Any, *args: Any, **kwargs: Any) -> Any:
    """What other devices run: the op in terms of ATen's."""
    return op._op_dk(DispatchKey.CompositeExplicitAutograd, *args, **kwargs)


def whole_numbers(shape: Shape, dtype: torch.dtype) -> Tensor:
    """Whole numbers, whose sums are exact in float32."""
    numbers = torch.empty(shape).random_(-9, 10).to(dtype)
    return numbers * (1 - 2j) if dtype.is_complex else numbers


def adds_up(dtype: torch.dtype) -> bool:
    """Whether torch has arithmetic for gradients of this dtype."""
    is_float = dtype.is_floating_point or dtype.is_complex
    return is_float and dtype.itemsize > 1 and dtype != torch.complex32


def _check_gradient(call: Call) -> None:
    dtype = call.input.dtype
    if call.sources is None or not adds_up(dtype):
        return
    # Autograd through an indexing that shows the same elements. Sums are exact, and rounded once.
    wide = torch.complex128 if dtype.is_complex else torch.float64
    looked_up = torch.zeros(call.input.shape, dtype=wide, requires_grad=True)
    shown = torch.cat([looked_up.flatten(), torch.zeros(1, dtype=wide)])[call.sources()]
    leaf = nn.Parameter(call.input)
    result = call.run(leaf)
    assert_same(result, call.expected)
    arguments, options = call.adjoint_arguments, call.adjoint_options
    for layout in ("contiguous", "channels_last", "permuted", "expanded"):
        if layout == "channels_last" and result.dim() < 3:
            continue
        upstream_shape, view = LAYOUTS[layout](tuple(result.shape))
        upstream = view(whole_numbers(upstream_shape, dtype))
        (gradient,) = torch.autograd.grad(result, leaf, upstream, retain_graph=True)
        (wanted,) = torch.autograd.grad(shown, looked_up, upstream.to(wide), retain_graph=True)
        assert gradient.dtype == dtype
        assert torch.equal(gradient, wanted.to(dtype))

        adjoint = call.adjoint(upstream, *arguments, **options)
        assert torch.equal(adjoint, gradient)
        meta = call.adjoint(
            to_meta(upstream), *map(to_meta, arguments), **{name: to_meta(option) for name, option in options.items()}
        )
        fallback = by_fallback(call.adjoint.default, upstream, *arguments, **options)
        assert adjoint.stride() == meta.stride() == fallback.stride()
        if dtype not in (torch.float16, torch.bfloat16):  # there ATen rounds each sum
            assert torch.equal(fallback, adjoint)


def _check_derivatives(call: Call) -> None:
    if not call.derivatives:
        return
    base = torch.randn(call.base.shape, dtype=call.base.dtype, requires_grad=True)

    def function(base: Tensor) -> Tensor:
        return call.run(call.view(base))

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
    if not call.opcheck:
        return
    input = call.view(whole_numbers(tuple(call.base.shape), call.base.dtype))  # NaNs are not equal, to opcheck
    torch.library.opcheck(call.op.default, (input, *call.arguments), call.options)
    out = torch.empty_like(call.expected)
    torch.library.opcheck(call.op.out, (input, *call.arguments), {**call.options, "out": out})
    if adds_up(call.input.dtype):
        torch.library.opcheck(call.op.default, (nn.Parameter(input), *call.arguments), call.options)
        windows = whole_numbers(tuple(call.expected.shape), call.input.dtype)
        for grad in (windows, nn.Parameter(windows)):
            torch.library.opcheck(call.adjoint.default, (grad, *call.adjoint_arguments), call.adjoint_options)


CHECKS: tuple[Callable[[Call], None], ...] = (
    _check_result,
    _check_out,
    _check_lazy_views,
    _check_contexts,
    _check_subclasses,
    _check_meta,
    _check_scripted,
    _check_gradient,
    _check_derivatives,
    _check_opcheck,
)
