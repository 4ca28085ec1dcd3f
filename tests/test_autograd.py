"""Derivatives of pad: numerically, through torch.func, forward mode, compiled autograd, and around the engine."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from op_tester import LAYOUTS, assert_same, check_op
from pad_cases import Case
from torch import Tensor
from torch._dynamo import compiled_autograd
from torch.autograd import forward_ad
from torch.func import functionalize, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap
from torch.utils.checkpoint import checkpoint

from torchcrop_fast.functional import crop, pad

DERIVATIVE_CASES = [
    Case((3,), (1, 2), dtype=torch.float64, derivatives=True),
    Case((4,), (-1, -2), dtype=torch.float64, derivatives=True),
    Case((4,), (-4, 0), dtype=torch.float64, derivatives=True),
    Case((2, 3), (), dtype=torch.float64, derivatives=True),
    Case((2, 3), (0, 0), dtype=torch.float64, derivatives=True),
    Case((2, 3), (-3, 2), "permuted", torch.float64, 2.0, derivatives=True),
    Case((2, 0), (1, 1, -1, 0), dtype=torch.float64, derivatives=True),
    Case((2, 2, 3), (-1, 2, 1, -1), "stepped", torch.float64, 1.5, derivatives=True),
    Case((1, 2, 2, 3), (1, -1, 0, 1), "channels_last", torch.float64, derivatives=True),
    Case((2, 2, 2), (1, 0), "expanded", torch.float64, derivatives=True),
    Case((1, 2, 1, 2, 2), (1, 1, -1, 0, 0, 1), "channels_last", torch.float64, derivatives=True),
    Case((2, 3), (1, -1), "transposed", torch.complex128, 1 + 2j, derivatives=True),
    Case((3,), (-1, 2), dtype=torch.complex128, derivatives=True),
    *[
        Case(shape, entries, layout, dtype, mode=mode, derivatives=True)
        for mode in ("reflect", "replicate", "circular")
        for shape, entries, layout, dtype in [
            ((3,), (1, 2), "contiguous", torch.float64),
            ((4,), (-1, 2), "stepped", torch.float64),
            ((4,), (-1, -2), "contiguous", torch.float64),
            ((2, 3), (0, 0), "permuted", torch.float64),
            ((2, 2, 3), (-1, 2, 1, -1), "expanded", torch.float64),
            ((1, 2, 2, 3), (1, -1, 0, 1), "channels_last", torch.float64),
            ((1, 2, 1, 2, 2), (1, 1, -1, 0, 0, 0), "channels_last", torch.float64),
            ((2, 3), (1, 2), "transposed", torch.complex128),
        ]
    ],
]


@pytest.mark.parametrize("case", DERIVATIVE_CASES, ids=str)
def test_numerically(case: Case) -> None:
    check_op(case)


Function = Callable[[Tensor], Any]


def _value(x: Tensor) -> Tensor:
    """One number out of many, with a curvature that is not zero."""
    return (x * x.cos()).sum()


# What torch.func makes of a function from (2, 3, 4) to a padded tensor, applied to a tensor of that shape; where it
# works on a batch, the last two dimensions are the function's input.
TRANSFORMS: dict[str, Callable[[Function, Tensor], Any]] = {
    "grad": lambda f, x: grad(lambda x: _value(f(x)))(x),
    "grad of grad": lambda f, x: grad(lambda x: _value(grad(lambda x: _value(f(x)))(x)))(x),
    "vjp": lambda f, x: vjp(f, x)[1](torch.ones_like(f(x)).cumsum(-1)),
    "vjp of vjp": lambda f, x: vjp(lambda x: vjp(f, x)[1](f(x))[0], x)[1](x),
    "jvp": lambda f, x: jvp(f, (x,), (x.sin(),)),
    "jvp of jvp": lambda f, x: jvp(lambda x: jvp(f, (x,), (x.sin(),))[1], (x,), (x.cos(),)),
    "jvp of grad": lambda f, x: jvp(grad(lambda x: _value(f(x))), (x,), (x.sin(),)),
    "grad of jvp": lambda f, x: grad(lambda x: _value(jvp(f, (x,), (x.sin(),))[1]))(x),
    "linearize": lambda f, x: linearize(f, x)[1](x.sin()),
    "jacrev": lambda f, x: jacrev(f)(x),
    "jacfwd": lambda f, x: jacfwd(f)(x),
    "jacrev in chunks": lambda f, x: jacrev(f, chunk_size=5)(x),
    "jacfwd of jacrev": lambda f, x: jacfwd(jacrev(f))(x),
    "jacrev of jacfwd": lambda f, x: jacrev(jacfwd(f))(x),
    "hessian": lambda f, x: hessian(lambda x: _value(f(x)))(x),
    "vmap": lambda f, x: vmap(f)(x),
    "vmap over dim 1": lambda f, x: vmap(f, in_dims=1)(x),
    "vmap over the last dim": lambda f, x: vmap(f, in_dims=-1)(x),
    "vmap to dim 1": lambda f, x: vmap(f, out_dims=1)(x),
    "vmap to the last dim": lambda f, x: vmap(f, in_dims=1, out_dims=-1)(x),
    "vmap in chunks": lambda f, x: vmap(f, chunk_size=1)(x),
    "vmap of vmap": lambda f, x: vmap(vmap(f, in_dims=1), in_dims=0, out_dims=1)(x[None].expand(2, 2, 3, 4)),
    "vmap of vmap of vmap": lambda f, x: vmap(vmap(vmap(f, 2), 1), 0)(x.expand(2, 2, 2, 3, 4)),
    "vmap of grad": lambda f, x: vmap(grad(lambda x: _value(f(x))), in_dims=1)(x),
    "grad of vmap": lambda f, x: grad(lambda x: _value(vmap(f, in_dims=1)(x)))(x),
    "vmap of jvp": lambda f, x: vmap(lambda x: jvp(f, (x,), (x.sin(),)), in_dims=1)(x),
    "jvp of vmap": lambda f, x: jvp(vmap(f, in_dims=1), (x,), (x.sin(),)),
    "vmap of jacrev": lambda f, x: vmap(jacrev(f))(x),
    "vmap of jacfwd": lambda f, x: vmap(jacfwd(f), in_dims=1)(x),
    "vmap of hessian": lambda f, x: vmap(hessian(lambda x: _value(f(x))))(x),
    "jacrev of vmap": lambda f, x: jacrev(vmap(f))(x),
    "per-sample grad, grad of grad": lambda f, x: vmap(grad(lambda x: _value(grad(lambda x: _value(f(x)))(x))))(x),
    "vmap, input not in the batch": lambda f, x: vmap(lambda scale: f(x) * scale)(torch.arange(3.0)),
    "vmap of grad, input not in the batch": lambda f, x: vmap(lambda s: grad(lambda x: _value(f(x) * s))(x))(
        x.sum(0)[0]
    ),
    "functionalize": lambda f, x: functionalize(f)(x),
    "functionalize of vmap of grad": lambda f, x: functionalize(vmap(grad(lambda x: _value(f(x)))))(x),
}


@pytest.mark.parametrize(
    "entries", [(1, 2), (-1, -1), (2, -1), (-2, 1, 1, -1), (-2, 2), (0, 0), ()], ids=lambda entries: f"pad{entries}"
)
@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # linearize's, whatever the function
def test_torch_func(name: str, entries: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    if "vmap" in name and "not in the batch" not in name:
        entries = tuple(entries[:2])  # over dim 1 the inputs are (2, 4), over the last (2, 3)
    transform = TRANSFORMS[name]
    result = transform(lambda x: pad(x.sin(), entries, value=0.5) * 2, x)
    expected = transform(lambda x: F.pad(x.sin(), entries, value=0.5) * 2, x)
    torch.testing.assert_close(result, expected, rtol=0, atol=0)


@pytest.mark.parametrize("entries", [(1, 2), (2, -1, -1, 2), (-1, -1)], ids=lambda entries: f"pad{entries}")
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name != "vmap of grad, input not in the batch"])
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
@pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet implemented the batching rule")
def test_torch_func_of_borders_that_repeat(name: str, mode: str, entries: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    if ("vmap" in name and "not in the batch" not in name) or name.startswith("per-sample"):
        entries = tuple(entries[:2])  # over dim 1 the inputs are (2, 4), over the last (2, 3)
    transform = TRANSFORMS[name]
    result = transform(lambda x: pad(x.sin(), entries, mode) * 2, x)
    expected = transform(lambda x: F.pad(x.sin(), entries, mode) * 2, x)
    torch.testing.assert_close(result, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("in_dim", "out_dim"), [(0, 0), (0, 2), (1, 1), (2, 0), (-1, -1), (-2, -3)])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "permuted", "stepped", "expanded"])
def test_vmap_shapes_and_values(layout: str, in_dim: int, out_dim: int) -> None:
    base_shape, view = LAYOUTS[layout]((4, 5, 6))
    x = view(torch.randn(base_shape))
    for entries in ((1, -2), (-1, 2, 0, -3), (1, 1, 1, 1)):
        result = vmap(lambda x, entries=entries: pad(x, entries, value=3.0), in_dim, out_dim)(x)
        expected = torch.stack([F.pad(part, entries, value=3.0) for part in x.unbind(in_dim)], out_dim)
        assert torch.equal(result, expected)
        assert result.shape == vmap(lambda x, entries=entries: F.pad(x, entries), in_dim, out_dim)(x).shape


def test_vmap_of_crop() -> None:
    x = torch.randn(3, 4, 5)
    assert torch.equal(vmap(lambda x: crop(x, (1, 2)))(x), x[:, :, 1:3])
    assert torch.equal(vmap(lambda x: crop(x, (1, 2), copy=False), in_dims=1)(x), x[:, :, 1:3].movedim(1, 0))


def test_vmap_keeps_values_that_are_not_in_the_batch_exact() -> None:
    x = torch.zeros(3, 1, dtype=torch.int64)
    assert vmap(lambda x: pad(x, (1, 0), value=2**62 + 1))(x).tolist() == [[2**62 + 1, 0]] * 3


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "permuted", "stepped"])
@pytest.mark.parametrize(
    "entries", [(1, 2), (-1, -1), (2, -1, -2, 1), (-5, 1), ()], ids=lambda entries: f"pad{entries}"
)
def test_forward_mode(layout: str, entries: tuple[int, ...]) -> None:
    base_shape, view = LAYOUTS[layout]((2, 3, 4, 5))
    primal, dense = view(torch.randn(base_shape)), torch.randn(2, 3, 4, 5)
    for tangent in (torch.randn_like(primal), dense, dense.mT.contiguous().mT, torch.ones(()).expand(primal.shape)):
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(primal, tangent)
            result, expected = pad(dual, entries, value=3.0), F.pad(dual, entries, value=3.0)
            for part, wanted in zip(forward_ad.unpack_dual(result), forward_ad.unpack_dual(expected), strict=True):
                assert_same(part, wanted)
            assert torch.equal(forward_ad.unpack_dual(result).tangent, F.pad(tangent, entries))
            expanded = dual[:, :, :1].expand(dual.shape)
            parts = [forward_ad.unpack_dual(function(expanded, entries)) for function in (pad, F.pad)]
            for part, wanted in zip(*parts, strict=True):
                assert_same(part, wanted)


def test_forward_mode_where_it_does_not_apply() -> None:
    with forward_ad.dual_level():
        result = pad(torch.arange(3.0), (1, 1))
        assert forward_ad.unpack_dual(result).tangent is None
        dual = forward_ad.make_dual(torch.arange(3.0), torch.ones(3))
        with torch.no_grad():  # which is about the backward mode alone
            assert forward_ad.unpack_dual(pad(dual, (1, 1))).tangent.tolist() == [0, 1, 1, 1, 0]
        with forward_ad._set_fwd_grad_enabled(False):
            assert forward_ad.unpack_dual(pad(dual, (1, 1))).tangent is None
        assert forward_ad.unpack_dual(pad(dual.detach(), (1, 1))).tangent is None


def test_forward_over_reverse() -> None:
    x, direction = torch.randn(2, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    products = []
    for function in (pad, F.pad):
        leaf = x.clone().requires_grad_()
        with forward_ad.dual_level():
            value = _value(function(forward_ad.make_dual(leaf, direction).sin(), (1, -2, -1, 1), value=2.0))
            (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
            products.append(forward_ad.unpack_dual(gradient).tangent.detach())
    assert_same(*products)
    assert products[0].abs().sum() > 0


def test_forward_mode_of_complex_inputs() -> None:
    x, tangent = torch.randn(2, 3, dtype=torch.complex64), torch.randn(2, 3, dtype=torch.complex64)
    for primal, direction in ((x, tangent), (x.conj(), tangent), (x, tangent.conj()), (x.conj().imag, tangent.imag)):
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(primal, direction)
            parts = [forward_ad.unpack_dual(function(dual, (1, -1))) for function in (pad, F.pad)]
            for part, wanted in zip(*parts, strict=True):
                assert_same(part, wanted)


def test_a_zero_tensor_as_gradient_and_tangent() -> None:
    zero = torch._efficientzerotensor((2, 3))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.randn(2, 3), zero)
        assert forward_ad.unpack_dual(pad(dual, (1, -1))).tangent.tolist() == torch.zeros(2, 3).tolist()
    leaf = torch.randn(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(pad(leaf, (1, -1)), leaf, zero)
    assert_same(gradient, torch.zeros(2, 3))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_gradients(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 4, dtype=dtype)
    for entries, value in (((1, -1), 1 + 2j), ((-2, 1, 1, 1), 0), ((-4, 0), 0)):
        gradients = []
        for function in (pad, torch.constant_pad_nd):
            leaf = x.clone().requires_grad_()
            padded = function(leaf.conj() * 1j, entries, value=value)
            (padded.abs().square().sum() + (padded * (2 - 1j)).sum().real).backward()
            gradients.append(leaf.grad)
        assert_same(*gradients)


@pytest.fixture
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


# Compiled autograd's own, when it reads saved tensors.
ignore_grad_of_non_leaf = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


def _check_compiled_backward(
    shape: tuple[int, ...], entries: tuple[int, ...], compiler: Callable[..., Any], mode: str = "constant"
) -> None:
    leaf = torch.randn(shape, requires_grad=True)
    value = 2.0 if mode == "constant" else None
    loss = _value(pad(leaf.sin(), entries, mode, value))
    (expected,) = torch.autograd.grad(_value(F.pad(leaf.sin(), entries, mode, value)), leaf)
    with compiled_autograd._enable(compiler):
        loss.backward()
    if mode == "constant":
        torch.testing.assert_close(leaf.grad, expected, rtol=0, atol=0)
    else:
        torch.testing.assert_close(leaf.grad, expected)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.usefixtures("_fresh_dynamo")
@ignore_grad_of_non_leaf
def test_compiled_autograd_of_borders_that_repeat(mode: str, backend: str) -> None:
    compiler = torch.compile(backend=backend, fullgraph=True)
    for shape, entries in (
        ((2, 3, 4), (1, 2)),
        ((2, 3, 4), (2, 1)),
        ((2, 3, 4), (-1, 2, 2, -1)),
        ((2, 3, 5), (-1, 2, 2, -1)),
        ((2, 3, 4), (-1, 0)),
    ):
        _check_compiled_backward(shape, entries, compiler, mode)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(
    ("shape", "entries"),
    [
        ((2, 3, 4), (1, -1)),
        ((2, 3, 4), (-2, -1, 1, 1)),
        ((2, 3, 4), (1, 1, 1, 1, 1, 1)),
        ((2, 3, 4), (-1, 2, 0, -1, -1, 3)),
        ((5,), (-2, -3)),
        ((5,), (1, 2)),
        ((2, 3, 4), ()),
    ],
)
@pytest.mark.usefixtures("_fresh_dynamo")
@ignore_grad_of_non_leaf
def test_compiled_autograd(shape: tuple[int, ...], entries: tuple[int, ...], backend: str) -> None:
    _check_compiled_backward(shape, entries, torch.compile(backend=backend, fullgraph=True))


@pytest.mark.usefixtures("_fresh_dynamo")
@ignore_grad_of_non_leaf
def test_compiled_autograd_takes_no_other_pads_backward() -> None:
    for shape, entries in (
        ((2, 3, 4), (1, -1)),
        ((2, 3, 4), (1, -1)),
        ((2, 3, 4), (-1, 1)),
        ((2, 3, 4), (2, 1)),
        ((2, 3, 9), (2, 1)),
        ((2, 3, 9), (2, 1, -1, -2)),
        ((5,), (-2, -3)),
        ((5,), ()),
    ):
        _check_compiled_backward(shape, entries, torch.compile(backend="eager"))


@pytest.mark.usefixtures("_fresh_dynamo")
@ignore_grad_of_non_leaf
def test_compiled_autograd_of_two_pads_and_hooks() -> None:
    leaf = torch.randn(3, 4, requires_grad=True)
    hooked: list[Tensor] = []
    for entries in ((1, -1), (-1, 2)):
        inner = pad(leaf, entries)
        inner.register_hook(lambda gradient: gradient * 2)
        outer = pad(inner, (0, -1, 1, 1))
        outer.register_hook(lambda gradient: hooked.append(gradient))  # noqa: PLW0108  (older Dynamos trace no builtin)
        expected = 2 * F.pad(F.pad(outer.detach() * 2, (0, 1, -1, -1)), [-entry for entry in entries])
        leaf.grad = None
        with compiled_autograd._enable(torch.compile(backend="eager")):
            outer.square().sum().backward()
        torch.testing.assert_close(leaf.grad, expected, rtol=0, atol=0)
    assert len(hooked) == 2


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_activation_checkpointing(use_reentrant: bool) -> None:
    x = torch.randn(2, 3, 4)
    gradients = []
    for function in (pad, F.pad):
        leaf = x.clone().requires_grad_()
        padded = checkpoint(
            lambda x, function=function: function(x.sin(), (1, -2), value=1.0).cos(), leaf, use_reentrant=use_reentrant
        )
        padded.square().sum().backward()
        gradients.append(leaf.grad)
    assert_same(*gradients)


def test_nothing_is_saved_for_backward() -> None:
    leaf = torch.randn(2, 3, requires_grad=True)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        padded = pad(leaf, (1, -1))
        pad(leaf, (1, 1), "reflect")
        assert saved == []
        padded.square().sum().backward()
    assert len(saved) == 1  # by square
    assert_same(leaf.grad, F.pad(2 * padded.detach(), (-1, 1)))
    with torch.no_grad():
        other = pad(leaf, (1, -1)).requires_grad_()
    assert other.grad_fn is None


def test_the_input_may_change_before_backward() -> None:
    leaf = torch.randn(2, 3, requires_grad=True)
    input = leaf * 1
    padded = pad(input, (1, -1))
    input.zero_()
    padded.sum().backward()
    assert_same(leaf.grad, F.pad(torch.ones(2, 3), (-1, 1)))


def test_the_result_may_change_in_place() -> None:
    leaf = torch.randn(2, 3, requires_grad=True)
    padded = pad(leaf, (1, -1))
    padded.mul_(3.0)
    padded[:, 1] = 0.0
    padded.sum().backward()
    assert leaf.grad.tolist() == [[0, 3, 0]] * 2


class NoGradient(torch.autograd.Function):
    """Passes its input on, and no gradient back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.set_materialize_grads(False)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> None:
        return None


def test_undefined_gradients() -> None:
    leaf = torch.randn(3, requires_grad=True)
    NoGradient.apply(pad(leaf, (1, 1))).sum().backward()
    assert leaf.grad is None
    (gradient,) = torch.autograd.grad(NoGradient.apply(pad(leaf, (1, 1))).sum(), leaf, allow_unused=True)
    assert gradient is None
    # Once with a gradient and once without: the sum is the one.
    padded = pad(leaf, (1, 1))
    (NoGradient.apply(padded).sum() + padded.sum()).backward()
    assert leaf.grad.tolist() == [1, 1, 1]
    # A result that no loss uses.
    leaf.grad = None
    unused, used = pad(leaf, (2, 2)), pad(leaf, (0, -1))
    used.sum().backward()
    assert leaf.grad.tolist() == [1, 1, 0]
    assert torch.autograd.grad(leaf.sum(), unused, allow_unused=True) == (None,)


def test_only_the_asked_gradients_are_computed() -> None:
    a, b = torch.randn(3, requires_grad=True), torch.randn(5, requires_grad=True)
    calls: list[str] = []
    padded = pad(a, (1, 1))
    padded.grad_fn.register_hook(lambda *_: calls.append("pad"))
    product = padded * b
    (gradient,) = torch.autograd.grad(product.sum(), b, retain_graph=True)
    assert_same(gradient, padded.detach())
    assert calls == []
    (gradient,) = torch.autograd.grad(product.sum(), a)
    assert_same(gradient, b.detach()[1:-1].clone())
    assert calls == ["pad"]


def test_the_graph_is_kept_or_made() -> None:
    leaf = torch.randn(4, dtype=torch.float64, requires_grad=True)
    loss = pad(leaf, (1, -2)).pow(3).sum()
    loss.backward(retain_graph=True)
    once = leaf.grad.clone()
    loss.backward(retain_graph=True)
    assert_same(leaf.grad, 2 * once)
    (first,) = torch.autograd.grad(loss, leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), leaf, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), leaf)
    kept = torch.tensor([1.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(first, 3 * leaf.square() * kept)
    torch.testing.assert_close(second, 6 * leaf * kept)
    torch.testing.assert_close(third, 6 * kept)
    assert first.grad_fn is not None


def test_batched_gradients() -> None:
    leaf = torch.randn(2, 3, requires_grad=True)
    upstream = torch.randn(5, 2, 4)
    batches = [
        torch.autograd.grad(function(leaf, (2, -1)), leaf, upstream, is_grads_batched=True)[0]
        for function in (pad, F.pad)
    ]
    assert torch.equal(*batches)
    for keywords in ({}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}):
        jacobians = [
            torch.autograd.functional.jacobian(
                lambda x, function=function: function(x.sin(), (2, -1)), leaf, **keywords
            )
            for function in (pad, F.pad)
        ]
        assert torch.equal(*jacobians)


def test_the_node() -> None:
    leaf = torch.randn(2, 3, requires_grad=True)
    result = pad(leaf, (1, -1))
    node = result.grad_fn
    assert node.name() == "PadBackward"
    assert result.requires_grad
    assert not result.is_leaf
    assert result.output_nr == 0
    ((next_node, index),) = node.next_functions
    assert next_node.variable is leaf
    assert index == 0
    assert pad(pad(leaf, (1, 1)), (1, 1)).grad_fn.next_functions[0][0].name() == "PadBackward"
    assert crop(leaf, (1, 1)).grad_fn.name() == "PadBackward"
    reflected = pad(leaf, (1, 1), "reflect")
    assert reflected.grad_fn.name() == "PadBackward"
    (gradient,) = torch.autograd.grad(reflected.square().sum(), leaf, create_graph=True)
    assert gradient.grad_fn.name() == "PadAdjointBackward"
    NoGradient.apply(pad(leaf, (1, 1), "reflect")).sum().backward()  # undefined
    assert leaf.grad is None


def test_hooks() -> None:
    leaf = torch.randn(2, 3, requires_grad=True)
    seen: list[str] = []
    result = pad(leaf, (1, -1))
    result.retain_grad()
    result.register_hook(lambda gradient: seen.append("tensor") or gradient * 2)
    result.grad_fn.register_prehook(lambda gradients: seen.append("before") or (gradients[0] * 5,))
    result.grad_fn.register_hook(lambda inputs, outputs: seen.append("after") or (inputs[0] * 7,))
    leaf.register_post_accumulate_grad_hook(lambda leaf: seen.append("accumulated"))
    result.sum().backward()
    assert sorted(seen[:2]) == ["before", "tensor"]
    assert seen[2:] == ["after", "accumulated"]
    assert_same(leaf.grad, F.pad(torch.full((2, 3), 2.0 * 5 * 7), (-1, 1)))
    assert result.grad is not None


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_anomaly_mode() -> None:
    leaf = torch.randn(3, requires_grad=True)
    with torch.autograd.detect_anomaly():
        pad(leaf, (1, 1)).square().sum().backward()
        assert_same(leaf.grad, 2 * leaf.detach())
        loss = pad(leaf, (1, -1)).mul(torch.tensor([nan := float("nan"), nan, nan])).sum()
        with pytest.raises(RuntimeError, match=r"PadBackward|Function 'MulBackward0' returned nan"):
            loss.backward()


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool], ids=str)
def test_dtypes_without_gradients(dtype: torch.dtype) -> None:
    result = pad(torch.ones(3, dtype=dtype), (1, 1))
    assert not result.requires_grad
    assert result.grad_fn is None


def test_where_no_gradient_is_recorded() -> None:
    leaf = torch.randn(3, requires_grad=True)
    with torch.no_grad():
        assert pad(leaf, (1, 1)).grad_fn is None
    with torch.set_grad_enabled(False):
        assert not pad(leaf, (1, 1)).requires_grad
    with torch.inference_mode():
        assert pad(leaf, (1, 1)).is_inference()
    assert pad(leaf.detach(), (1, 1)).grad_fn is None
    with torch.inference_mode():
        inferred = torch.ones(3)
    assert not pad(inferred, (1, 1)).requires_grad


def test_accumulated_gradients_lie_in_memory_as_the_references() -> None:
    for layout in ("contiguous", "channels_last", "permuted", "stepped"):
        base_shape, view = LAYOUTS[layout]((2, 3, 4, 5))
        x = view(torch.randn(base_shape))
        gradients = []
        for function in (pad, F.pad):
            leaf = x.detach().requires_grad_()
            function(leaf, (1, -1, -1, 1)).cos().sum().backward()
            function(leaf, (-1, -1)).cos().sum().backward()
            gradients.append(leaf.grad)
        assert_same(*gradients)


def test_out_raises_its_version() -> None:
    x, out = torch.randn(4), torch.randn(4)
    assert out._version == 0
    pad(x, (1, -1), out=out)
    assert out._version == 1
    with torch.no_grad():
        pad(x, (1, -1), out=out)
    assert out._version == 2
    crop(x, (-1, 1), out=out)
    torch.ops.torchcrop_fast.pad(x, (1, -1), out=out)
    assert out._version == 4
    pad(x, (1, -1), out=out[:])  # a view shares it
    assert out._version == 5
    with torch.inference_mode():
        pad(x, (1, -1), out=out)
    assert out._version == 6
    torch.jit.script(pad)(x, [1, -1], "constant", None, out)
    assert out._version == 7
    assert x._version == 0


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_out_that_a_backward_needs(mode: Any) -> None:
    weight, saved = torch.randn(4, requires_grad=True), torch.randn(4)
    loss = (weight * saved).sum()
    with mode():
        pad(torch.randn(4), (1, -1), out=saved)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_backward_in_many_threads() -> None:
    x = torch.randn(8, 96, 96)  # enough for a forward in several threads, too
    shared = torch.randn(8, 96, 96, requires_grad=True)
    shared_loss = pad(shared, (-3, 2, 1, -1)).square().sum()
    expected = F.pad(2 * F.pad(x, (-3, 2, 1, -1)), (3, -2, -1, 1))
    expected_shared = F.pad(2 * F.pad(shared.detach(), (-3, 2, 1, -1)), (3, -2, -1, 1))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                leaf = x.clone().requires_grad_()
                pad(leaf, (-3, 2, 1, -1)).square().sum().backward()
                assert_same(leaf.grad, expected)
                (gradient,) = torch.autograd.grad(shared_loss, shared, retain_graph=True)
                assert_same(gradient, expected_shared)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
