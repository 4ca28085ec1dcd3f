"""What graphs get in place of pads and crops: ATen's ops, which fuse and need no library."""

import torch
import torch.nn.functional as F
from torch import Tensor

from torchcrop_fast._scripted import check_pad


def pad(input: Tensor, pad: list[int], mode: str, value: complex | None, out: Tensor | None) -> Tensor:
    """Pad, for functional.pad: slices for what is taken away, ATen's pad for what is added."""
    padded = _fill(input, pad, value) if mode == "constant" else _repeat(input, pad, mode, value)
    return padded if out is None else _copy_to(out, padded)


def _fill(input: Tensor, pad: list[int], value: complex | None) -> Tensor:
    check_pad(input, pad)
    adds = any(entry > 0 for entry in pad)
    window = _crop(input, pad)
    if not adds:
        return window.clone()
    cropped = [input.dim() - 1 - i // 2 for i in range(len(pad)) if pad[i] < 0]
    if any(window.size(dim) == 0 for dim in cropped):  # its memory format would no longer be the input's
        return torch.constant_pad_nd(input, pad, 0 if value is None else value)
    return torch.constant_pad_nd(window, _added(pad), 0 if value is None else value)


def _repeat(input: Tensor, pad: list[int], mode: str, value: complex | None) -> Tensor:
    """The same where the border repeats elements. What ATen's pad doesn't take stays our op."""
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '{mode}'")
    check_pad(input, pad, mode)
    if value is not None and (isinstance(value, complex) or value != 0):
        number = str(value).removesuffix(".0")
        raise RuntimeError(f"pad: value must be None or 0 unless mode is 'constant', got {number}")
    padded, dims = len(pad) // 2, input.dim()
    has_dtype = input.dtype in _REPEATED_DTYPES or mode == "circular"
    has_dims = 1 <= padded <= 3 and 1 <= dims - padded <= 2
    if not has_dtype or not has_dims or any(input.size(dim) == 0 for dim in range(dims)):
        result: Tensor = torch.ops.torchcrop_fast.pad(input, pad, mode)
        return result
    if mode == "circular":  # which wraps what a crop leaves
        return F.pad(_crop(input, pad), _added(pad), mode)
    window = _crop(F.pad(input, _added(pad), mode), pad)
    return window.clone() if any(entry < 0 for entry in pad) else window


# Those that ATen's pad repeats on every device.
_REPEATED_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)


def _crop(input: Tensor, pad: list[int]) -> Tensor:
    """Take away what negative entries say, as a view."""
    for i in range(0, len(pad), 2):
        dim = input.dim() - 1 - i // 2
        before, after = (-entry if entry < 0 else 0 for entry in pad[i : i + 2])
        if before > 0 or after > 0:
            input = input.narrow(dim, before, input.size(dim) - before - after)
    return input


def _added(pad: list[int]) -> list[int]:
    return [entry if entry > 0 else 0 for entry in pad]  # no max(): it would stay in the graph


def _copy_to(out: Tensor, padded: Tensor) -> Tensor:
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
