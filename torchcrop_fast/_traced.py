"""What graphs get in place of pads and crops: ATen's ops, which fuse and need no library.

torch.compile first sees our op: what it followed through Python, its graph would check again at each call. What is made
of the op here, as of torch's own composite ops, is what gets compiled. Exports call this as it is.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._C import DispatchKey
from torch._prims_common import suggest_memory_format
from torch.compiler import is_dynamo_compiling, is_exporting

from torchcrop_fast._scripted import at_least_zero, cannot_crop, check_length

_OP = torch.ops.torchcrop_fast.pad.default


@_OP.py_impl(DispatchKey.Autograd)
def _decompose(input: Tensor, pad: list[int], mode: str = "constant", value: complex | None = None) -> Tensor:
    if mode != "constant" and _stays_our_op(input):
        result: Tensor = _OP._op_dk(DispatchKey.Autograd, input, pad, mode, value)
        return result
    return _pad(input, pad, mode, value)


def pad(input: Tensor, pad: list[int], mode: str = "constant", value: complex | None = None) -> Tensor:
    """Pad, for the op: slices for what is taken away, ATen's pad for what is added.

    ATen's pad also gets the entries whose sign only a run will tell, and leaves graphs free of conditions on them.
    """
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # slow to import

    cropping = [-entry if statically_known_true(entry < 0) else 0 for entry in pad]
    added = [entry + crop for entry, crop in zip(pad, cropping, strict=True)]
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise NotImplementedError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '{mode}'")
    check_length(input, pad)
    for i in range(0, len(pad), 2):
        taken = at_least_zero(-pad[i]) + at_least_zero(-pad[i + 1])  # conditions on it hold for all right calls
        _check_sizes(input, input.dim() - 1 - i // 2, pad[i : i + 2], taken, mode)
    if mode == "constant":
        return _fill(input, pad, cropping, added, 0 if value is None else value)
    return _repeat(input, pad, cropping, added, mode, value)


def _fill(input: Tensor, pad: list[int], cropping: list[int], added: list[int], value: complex) -> Tensor:
    from torch.fx.experimental.symbolic_shapes import guard_or_true, statically_known_true

    window = _crop(input, cropping)
    if all(statically_known_true(entry <= 0) for entry in added):
        if _differentiates(input):  # whose backward fuses, as that of slices does not
            return torch.constant_pad_nd(input, pad)
        return window.clone()
    plain = _plain(input)
    dtype = plain.dtype
    if not _fits(value, dtype):
        if any(guard_or_true(entry > 0) for entry in added):
            name = str(dtype).removeprefix("torch.")
            raise RuntimeError(f"pad: value must fit dtype {name}, got {_number(value)}")
        value = 0
    is_fixed = not is_exporting() and all(isinstance(size, int) for size in input.shape)  # or it is slower
    # A window of few elements may look like one of another memory format.
    if is_fixed or _differentiates(input) or suggest_memory_format(_plain(window)) != suggest_memory_format(plain):
        return torch.constant_pad_nd(input, pad, value)
    return torch.constant_pad_nd(window, added, value)


def _differentiates(input: Tensor) -> bool:
    """Whether a graph is for training."""
    return torch.is_grad_enabled() and input.requires_grad and not is_exporting()


def _plain(input: Tensor) -> Tensor:
    """The same tensor. Of what a subclass's override says of dtypes and strides, Dynamo cannot take decisions."""
    return input[...] if is_dynamo_compiling() and type(input) not in (Tensor, nn.Parameter) else input


def _fits(value: complex, dtype: torch.dtype) -> bool:
    """Whether the dtype can hold a value, which may be a symbol."""
    if isinstance(value, complex):
        return dtype.is_complex and _fits(value.real, dtype) and _fits(value.imag, dtype)
    if dtype == torch.bool:
        return True
    if not dtype.is_floating_point and not dtype.is_complex:
        integers = torch.iinfo(dtype)
        return integers.min <= value and (value < integers.max + 1 if _TRUNCATES else value <= float(integers.max))
    floats = torch.finfo(dtype)  # NaN fits all
    if dtype in _FINITE_DTYPES:
        return not (value < floats.min or value > floats.max)
    return not floats.max < abs(value) < float("inf")


_TRUNCATES = torch.__version__ >= "2.14"  # whether 255.5 becomes 255, as in F.pad
_FINITE_DTYPES = (torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu)


def _number(value: complex) -> str:
    """A number as the op's texts have it. It becomes a constant of the graph."""
    from torch.fx.experimental.symbolic_shapes import guard_scalar

    if isinstance(value, complex):
        return f"({_number(value.real)},{_number(value.imag)})"
    number = guard_scalar(value)
    return f"{number:g}" if isinstance(number, float) else str(number)


def _repeat(
    input: Tensor, pad: list[int], cropping: list[int], added: list[int], mode: str, value: complex | None
) -> Tensor:
    """The same where the border repeats elements: by indexes, what ATen's pad doesn't take."""
    from torch.fx.experimental.symbolic_shapes import guard_or_false

    if value is not None and (isinstance(value, complex) or value != 0):
        raise RuntimeError(f"pad: value must be None or 0 unless mode is 'constant', got {_number(value)}")
    padded, dims = len(pad) // 2, input.dim()
    plain = _plain(input)
    has_dtype = plain.dtype in _REPEATED_DTYPES or mode == "circular"
    has_dims = 1 <= padded <= 3 and 1 <= dims - padded <= 2
    is_empty = any(guard_or_false(input.size(dim) == 0) for dim in range(dims))
    if _stays_our_op(input):
        result: Tensor = _OP(input, pad, mode)
        return result
    if not has_dtype or not has_dims or is_empty:
        return _repeat_by_index(plain, pad, mode)
    if mode == "circular":  # which wraps what a crop leaves
        return F.pad(_crop(input, cropping), added, mode)
    if mode == "replicate" and _differentiates(input):
        result = _Replicated.apply(input, added)
    else:
        result = F.pad(input, added, mode)
    if cropping == [0] * len(cropping):
        return result
    return _crop(result, cropping).clone(memory_format=suggest_memory_format(plain))


# Kinds of tensors that ATen's pad repeats nothing of.
UNREPEATED: list[type[Tensor]] = []
# Those that ATen's pad repeats on every device.
_REPEATED_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)


_pad = pad  # which its argument hides


def _stays_our_op(input: Tensor) -> bool:
    """Whether a pad that repeats is no other op: of tensors of some kinds, and for ONNX, which moves float8 by ours."""
    dtype = _plain(input).dtype
    is_float8 = dtype.is_floating_point and dtype.itemsize == 1
    return isinstance(input, tuple(UNREPEATED)) or (is_float8 and is_exporting())


class _Replicated(torch.autograd.Function):
    """A replicated border whose gradient is our op: torch's own, compiled, ends in an error behind a convolution."""

    generate_vmap_rule = True

    @staticmethod
    def forward(input: Tensor, pad: list[int]) -> Tensor:
        return F.pad(input, pad, "replicate")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, list[int]], output: Tensor) -> None:
        input, ctx.pad = inputs
        ctx.size = input.shape[input.dim() - len(ctx.pad) // 2 :]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return torch.ops.torchcrop_fast._pad_adjoint(grads[0], ctx.pad, ctx.size, "replicate"), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return F.pad(tangents[0], ctx.pad, "replicate")


def _repeat_by_index(input: Tensor, pad: list[int], mode: str) -> Tensor:
    """What a border shows, dimension by dimension."""
    result = input
    for i in range(0, len(pad), 2):
        dim = input.dim() - 1 - i // 2
        before, after = pad[i], pad[i + 1]
        size = input.size(dim)
        if isinstance(before, int) and isinstance(after, int) and before == after == 0:
            continue
        index = torch.arange(-before, size + after, device=input.device)
        if mode == "replicate":
            index = index.clamp(0, size - 1)
        elif mode == "circular":  # wraps what a crop leaves, once
            first, last = at_least_zero(-before), size - at_least_zero(-after)
            index = torch.where(index < first, index + last - first, index)
            index = torch.where(index >= last, index - last + first, index)
        else:
            index = index.abs()
            index = torch.minimum(index, 2 * (size - 1) - index)
        result = result[(slice(None),) * dim + (index,)]
    return result.clone(memory_format=suggest_memory_format(input))


def _check_sizes(input: Tensor, dim: int, pad: list[int], taken: int, mode: str) -> None:
    """Raise where more is cropped or repeated than there is, if that is known now: if not, ATen will tell."""
    from torch.fx.experimental.symbolic_shapes import guard_or_false

    size, (before, after) = input.size(dim), pad
    left = size - taken
    crops_last = mode in ("reflect", "replicate")
    if not crops_last and guard_or_false(left < 0):
        raise RuntimeError(cannot_crop(dim, size, before, after))
    wrong = None
    if mode == "reflect" and any(guard_or_false(entry >= size) and entry > 0 for entry in pad):
        wrong = "reflected", "both must be less than its size"
    if mode == "circular" and any(guard_or_false(entry > left) and entry > 0 for entry in pad):
        wrong = "wrapped", f"both must be at most the {int(left)} elements to wrap"
    if mode == "replicate" and guard_or_false(size == 0) and any(entry > 0 for entry in pad):
        wrong = "replicated", "it has no element to repeat"
    if wrong is not None:
        verb, reason = wrong
        raise RuntimeError(
            f"pad: dim {dim} of size {int(size)} cannot be {verb} by ({int(before)}, {int(after)}): {reason}"
        )
    if crops_last and guard_or_false(size + before + after < 0):
        raise RuntimeError(cannot_crop(dim, size, before, after))


def _crop(input: Tensor, cropping: list[int]) -> Tensor:
    """Take away what these entries say, as a view."""
    for i in range(0, len(cropping), 2):
        before, after = cropping[i : i + 2]
        if before != 0 or after != 0:
            dim = input.dim() - 1 - i // 2
            input = input.narrow(dim, before, input.size(dim) - before - after)
    return input


def copy_to(out: Tensor, padded: Tensor) -> Tensor:
    """Write to out in a graph. The errors are the op's."""
    if torch.is_grad_enabled() and (padded.requires_grad or out.requires_grad):
        raise RuntimeError("pad: out= does not support autograd, but input or out requires grad or has a tangent")
    if out.dtype != padded.dtype:
        dtypes = [str(dtype).removeprefix("torch.") for dtype in (padded.dtype, out.dtype)]
        raise RuntimeError("pad: out must be of dtype {}, got {}".format(*dtypes))
    if out.device != padded.device:
        raise RuntimeError(f"pad: out must be on device {padded.device}, got {out.device}")
    if out.shape != padded.shape:
        raise RuntimeError(
            f"pad: out must have sizes {list(padded.shape)}, got {list(out.shape)}: a graph cannot resize it"
        )
    return out.copy_(padded)
