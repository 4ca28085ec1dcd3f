"""torch's own pads, with their kernels overridden by ours and without: what a model gains that nobody changed."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from torchcrop_fast import override_torch_pad

from .harness import OURS, Case, Run

# The shape, and the layers: torch's own.
MODELS: tuple[tuple[tuple[int, ...], str, Callable[[], nn.Module]], ...] = (
    ((10, 1, 28, 28), "chain of four ZeroPad2d(-1)", lambda: nn.Sequential(*(nn.ZeroPad2d(-1) for _ in range(4)))),
    ((10, 1, 28, 28), "ZeroPad2d(-4)", lambda: nn.ZeroPad2d(-4)),
    ((10, 1, 28, 28), "ZeroPad2d(1)", lambda: nn.ZeroPad2d(1)),
    ((8, 64, 32, 32), "ReflectionPad2d(1)", lambda: nn.ReflectionPad2d(1)),
    ((8, 64, 32, 32), "ReplicationPad2d(1)", lambda: nn.ReplicationPad2d(1)),
    ((32, 3, 256, 256), "ZeroPad2d(-16)", lambda: nn.ZeroPad2d(-16)),
    ((32, 3, 256, 256), "ZeroPad2d(3)", lambda: nn.ZeroPad2d(3)),
    ((16, 64, 112, 112), "ZeroPad2d(-4)", lambda: nn.ZeroPad2d(-4)),
    ((16, 64, 112, 112), "ReflectionPad2d(3)", lambda: nn.ReflectionPad2d(3)),
    ((16, 64, 112, 112), "ReplicationPad2d(3)", lambda: nn.ReplicationPad2d(3)),
)
QUICK = (MODELS[0], MODELS[2], MODELS[3])


def cases(quick: bool) -> Iterator[Case]:
    """Every model, called in every way."""
    for shape, name, make in QUICK if quick else MODELS:
        x = torch.empty(shape, device="meta")
        outside = make()(x)
        moved = 4 * (min(x.numel(), outside.numel()) + outside.numel())
        both = moved + 4 * (min(x.numel(), outside.numel()) + x.numel())
        ways: dict[str, tuple[Callable[[nn.Module, Tensor], Run], int]] = {
            "eager": (_eager, moved),
            "scripted": (_scripted, moved),
            "forward + backward": (_backward, both),
        }
        for what, (way, bytes) in ways.items():
            # Gradients of borders that repeat elements are summed up in another order.
            exact = what != "forward + backward" or "Zero" in name
            make_it = partial(_make, shape, make, way)
            yield Case(f"{shape} {name}, float32", what, make_it, bytes, exact, around=_around)


def _around(contender: str) -> AbstractContextManager[Any]:
    return override_torch_pad() if contender == OURS else nullcontext()


def _make(
    shape: tuple[int, ...], make: Callable[[], nn.Module], way: Callable[[nn.Module, Tensor], Run]
) -> Mapping[str, Run]:
    run = way(make(), torch.rand(shape))
    return {OURS: run, "torch's own kernels": run}


def _eager(model: nn.Module, x: Tensor) -> Run:
    return partial(model, x)


def _scripted(model: nn.Module, x: Tensor) -> Run:
    return partial(torch.jit.script(model), x)


def _backward(model: nn.Module, x: Tensor) -> Run:
    leaf = x.requires_grad_()
    grad = torch.rand_like(model(leaf))
    return lambda: torch.autograd.grad(model(leaf), leaf, grad)[0]
