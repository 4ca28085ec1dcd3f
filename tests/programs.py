"""Every layer, and every function with each of its arguments: what is scripted, traced, compiled and exported."""

import copy
from collections.abc import Callable

import torch
from op_tester import assert_same
from torch import Tensor, nn

import torchcrop_fast as tcf
from torchcrop_fast import functional


def example(height: int = 8, width: int = 9) -> Tensor:
    """What all of them take."""
    return torch.rand(2, 3, height, width)


def pad(x: Tensor) -> Tensor:
    return functional.pad(x, [1, -2, -1, 3])


def pad_nothing(x: Tensor) -> Tensor:
    return functional.pad(x, [0, 0])


def pad_crops_only(x: Tensor) -> Tensor:
    return functional.pad(x, (-1, -2, -1, 0), "constant")


def pad_value_int(x: Tensor) -> Tensor:
    return functional.pad(x.to(torch.int64), [1, 2], "constant", 9007199254740993)


def pad_value_float(x: Tensor) -> Tensor:
    return functional.pad(x, [1, 2], value=-0.5)


def pad_value_complex(x: Tensor) -> Tensor:
    return functional.pad(x.to(torch.complex64), [1, 2], value=1.0 + 2.0j)


def pad_value_none(x: Tensor) -> Tensor:
    return functional.pad(x, [1, 2], "constant", None)


def pad_by_sizes(x: Tensor) -> Tensor:
    return functional.pad(x, [x.size(0), 1 - x.size(3) // 2])


def pad_out(x: Tensor) -> Tensor:
    out = torch.empty([x.size(0), x.size(1), x.size(2), x.size(3) - 1], dtype=x.dtype)
    return functional.pad(x.detach(), [1, -2], "constant", 0.5, out=out)


def pad_reflect(x: Tensor) -> Tensor:
    return functional.pad(x, [1, 2, 2, 1], mode="reflect")


def pad_replicate(x: Tensor) -> Tensor:
    return functional.pad(x, [1, 2, 0, 3], mode="replicate")


def pad_circular(x: Tensor) -> Tensor:
    return functional.pad(x, [1, 2, 3, 0], mode="circular")


def pad_reflect_and_crop(x: Tensor) -> Tensor:
    return functional.pad(x, [-3, 5, 1, -2], "reflect")


def pad_circular_and_crop(x: Tensor) -> Tensor:
    return functional.pad(x, [-3, 2, 1, -2], "circular", 0)


def pad_replicate_crops_only(x: Tensor) -> Tensor:
    return functional.pad(x, [-3, 0, -1, -2], "replicate")


def pad_reflect_out(x: Tensor) -> Tensor:
    out = torch.empty([x.size(0), x.size(1), x.size(2), x.size(3) - 1], dtype=x.dtype)
    return functional.pad(x.detach(), [1, -2, 0, 0], "reflect", out=out)


def crop(x: Tensor) -> Tensor:
    return functional.crop(x, [1, 2, 0, 1])


def crop_and_pad(x: Tensor) -> Tensor:
    return functional.crop(x, (-1, 2))


def crop_out(x: Tensor) -> Tensor:
    out = torch.empty([x.size(0), x.size(1), x.size(2), x.size(3) - 3], dtype=x.dtype)
    return functional.crop(x.detach(), [1, 2], out=out)


def crop_view(x: Tensor) -> Tensor:
    return functional.crop(x, [1, 2, 0, 1], copy=False)


def center_crop(x: Tensor) -> Tensor:
    return functional.center_crop(x, [3, 6])


def center_crop_pads(x: Tensor) -> Tensor:
    return functional.center_crop(x, [20, 4])


def center_crop_keras(x: Tensor) -> Tensor:
    return functional.center_crop(x, [3], "keras")


def center_crop_dali(x: Tensor) -> Tensor:
    return functional.center_crop(x, [3, 4], rounding="dali")


def center_crop_monai(x: Tensor) -> Tensor:
    return functional.center_crop(x, [2, 3, 4], rounding="monai")


# Those that write to an out of their own, which autograd does not support.
OUT_FUNCTIONS = [pad_out, pad_reflect_out, crop_out]

FUNCTIONS = [
    pad,
    pad_nothing,
    pad_crops_only,
    pad_value_int,
    pad_value_float,
    pad_value_complex,
    pad_value_none,
    pad_by_sizes,
    pad_reflect,
    pad_replicate,
    pad_circular,
    pad_reflect_and_crop,
    pad_circular_and_crop,
    pad_replicate_crops_only,
    crop,
    crop_and_pad,
    crop_view,
    center_crop,
    center_crop_pads,
    center_crop_keras,
    center_crop_dali,
    center_crop_monai,
]

LAYERS = [
    tcf.ZeroPad1d((1, -2)),
    tcf.ZeroPad2d(-1),
    tcf.ZeroPad3d((1, 1, -1, 2, 0, -1)),
    tcf.ConstantPad1d(2, 0.5),
    tcf.ConstantPad2d((1, -2, -1, 3), -1.5),
    tcf.ConstantPad3d(1, 7),
    tcf.ReflectionPad1d((1, -2)),
    tcf.ReflectionPad2d(2),
    tcf.ReflectionPad3d((1, 2, -1, 2, 1, 0)),
    tcf.ReplicationPad1d((1, -2)),
    tcf.ReplicationPad2d((3, -2, -1, 2)),
    tcf.ReplicationPad3d(1),
    tcf.CircularPad1d((1, -2)),
    tcf.CircularPad2d((3, -2, -1, 2)),
    tcf.CircularPad3d((1, 2, -1, 2, 1, 0)),
    tcf.Crop1d((1, 2)),
    tcf.Crop2d(((1, 0), (2, 1))),
    tcf.Crop3d((1, 2, 0, 1, -1, 1)),
    tcf.CenterCrop((3, 6)),
    tcf.CenterCrop(4, "keras"),
    tcf.CenterCrop((2, 3, 20), "dali"),
    tcf.CenterCrop(3, "monai"),
]


class Program(nn.Module):
    """A module around a function or a layer, as torch.jit.save, torch.jit.freeze and torch.export want one."""

    def __init__(self, program):
        super().__init__()
        self.program = program

    def forward(self, x: Tensor) -> Tensor:
        return self.program(x)


class Programs(nn.Module):
    """What functions and layers make of the same arguments."""

    def __init__(self, *programs: Callable[..., Tensor]):
        super().__init__()
        self.programs = copy.deepcopy(programs)  # which other tests use, too
        self.layers = nn.ModuleList(program for program in self.programs if isinstance(program, nn.Module))

    def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        return tuple(program(*arguments) for program in self.programs)


def name_of(program) -> str:
    """How a test's id names a function or a layer."""
    return getattr(program, "__name__", repr(program).replace(" ", ""))


def output_and_grad(program: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor | None]:
    """What a program makes of x, and what then is the gradient of x, if any: elements differ in what they send back."""
    leaf = x.detach().requires_grad_()
    output = program(leaf)
    if output.requires_grad:  # not an integer
        output.real.backward(torch.arange(1.0, output.numel() + 1).view(output.shape))
    return output.detach(), leaf.grad


def assert_same_with_grad(program: Callable[[Tensor], Tensor], expected: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Two programs make the same of x, and of its gradient."""
    output, grad = output_and_grad(program, x)
    expected_output, expected_grad = output_and_grad(expected, x)
    assert_same(output, expected_output)
    assert (grad is None) == (expected_grad is None)
    if grad is not None:
        assert_same(grad, expected_grad)
