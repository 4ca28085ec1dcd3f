"""The layer and the function against ``nn.ZeroPad2d``, the article's chain, slicing, and the compiled reference."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import torchcrop_fast
from torchcrop_fast import functional

from .harness import OURS, Case, Run

# The shape (N, C, H, W) and how much is cropped off each side: tiny, in the caches, around their size, far larger.
SHAPES: tuple[tuple[tuple[int, ...], int, torch.dtype], ...] = (
    ((10, 1, 28, 28), 4, torch.float32),
    ((64, 1, 28, 28), 4, torch.float32),
    ((8, 64, 32, 32), 2, torch.float32),
    ((8, 64, 32, 32), 2, torch.bfloat16),
    ((8, 64, 32, 32), 2, torch.uint8),
    ((32, 3, 256, 256), 16, torch.float32),
    ((16, 64, 112, 112), 4, torch.float32),
    ((2, 64, 568, 568), 88, torch.float32),
)
QUICK = (SHAPES[0], SHAPES[2], SHAPES[5])


def cases(quick: bool) -> Iterator[Case]:
    """Every shape, asked for in every way."""
    for shape, crop, dtype in QUICK if quick else SHAPES:
        height, width = shape[-2] - 2 * crop, shape[-1] - 2 * crop
        name = f"{tuple(shape)} crop {crop}, {str(dtype).removeprefix('torch.')}"
        moved = 2 * shape[0] * shape[1] * height * width * dtype.itemsize
        ways: dict[str, Callable[[Tensor, int], Mapping[str, Run]]] = {
            "layer": _layer,
            "function": _function,
            "out=": _out,
            "scripted layer": _scripted,
        }
        for what, make in ways.items():
            yield Case(name, what, partial(_on_data, make, shape, crop, dtype), moved)
        if dtype.is_floating_point:
            # The gradient is a window, too: it reads the output's gradient and writes one of the input's size.
            backward = moved // 2 + shape[0] * shape[1] * shape[2] * shape[3] * dtype.itemsize
            yield Case(name, "forward + backward", partial(_on_data, _backward, shape, crop, dtype), moved + backward)


def _on_data(
    make: Callable[[Tensor, int], Mapping[str, Run]], shape: tuple[int, ...], crop: int, dtype: torch.dtype
) -> Mapping[str, Run]:
    return make(torch.randint(0, 100, shape).to(dtype), crop)


def _inner(x: Tensor, crop: int) -> Tensor:
    return x[..., crop:-crop, crop:-crop]


def _chain(crop: int) -> nn.Module:
    return nn.Sequential(*(nn.ZeroPad2d(-1) for _ in range(crop)))


def _layer(x: Tensor, crop: int) -> Mapping[str, Run]:
    runs: dict[str, Run] = {
        OURS: partial(torchcrop_fast.ZeroPad2d(-crop), x),
        "nn.ZeroPad2d": partial(nn.ZeroPad2d(-crop), x),
        "torch.compile of nn.ZeroPad2d": partial(torch.compile(nn.ZeroPad2d(-crop), dynamic=False), x),
    }
    if crop == 4:
        runs["chain of four nn.ZeroPad2d(-1)"] = partial(_chain(crop), x)
    return runs


def _function(x: Tensor, crop: int) -> Mapping[str, Run]:
    pad = (-crop,) * 4
    return {
        OURS: partial(functional.pad, x, pad),
        "nn.ZeroPad2d": partial(nn.ZeroPad2d(-crop), x),
        "F.pad": partial(F.pad, x, pad),
        "slice, contiguous": lambda: _inner(x, crop).contiguous(),
    }


def _out(x: Tensor, crop: int) -> Mapping[str, Run]:
    pad = (-crop,) * 4
    ours, theirs = (torch.full_like(_inner(x, crop), 77, memory_format=torch.contiguous_format) for _ in range(2))
    return {
        OURS: partial(functional.pad, x, pad, out=ours),
        "slice, copy_": lambda: theirs.copy_(_inner(x, crop)),
    }


def _scripted(x: Tensor, crop: int) -> Mapping[str, Run]:
    return {
        OURS: partial(torch.jit.script(torchcrop_fast.ZeroPad2d(-crop)), x),
        "nn.ZeroPad2d, scripted": partial(torch.jit.script(nn.ZeroPad2d(-crop)), x),
    }


def _backward(x: Tensor, crop: int) -> Mapping[str, Run]:
    leaf = x.clone().requires_grad_()
    grad = torch.rand_like(_inner(x, crop), memory_format=torch.contiguous_format)

    def train(layer: nn.Module) -> Tensor:
        return torch.autograd.grad(layer(leaf), leaf, grad)[0]

    runs = {OURS: partial(train, torchcrop_fast.ZeroPad2d(-crop)), "nn.ZeroPad2d": partial(train, nn.ZeroPad2d(-crop))}
    if crop == 4:
        runs["chain of four nn.ZeroPad2d(-1)"] = partial(train, _chain(crop))
    return runs
