"""The functions on what the fast entry leaves to Python: overrides, modes, traces, graphs, numbers of other kinds."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling, is_dynamo_compiling, is_exporting
from torch.overrides import handle_torch_function, has_torch_function

from torchcrop_fast import _check, _scripted, _traced

_Function = Callable[..., Tensor]


def _override(function: _Function, tensors: tuple[Any, ...], *args: Any, **kwargs: Any) -> Any:
    """What a subclass, an object of another library or a mode makes of the call; NotImplemented if none has a say."""
    # Dynamo cannot trace handle_torch_function(); what it traces instead, the subclass sees op by op.
    if not is_dynamo_compiling() and has_torch_function(tensors):
        return handle_torch_function(function, tensors, *args, **kwargs)
    return NotImplemented


def pad(
    function: _Function,
    input: Tensor,
    pad: Sequence[int],
    mode: str,
    value: complex | None,
    out: Tensor | None,
) -> Tensor:
    """Pad, for functional.pad."""
    overridden = _override(function, (input, out), input, pad, mode, value, out=out)
    if overridden is not NotImplemented:
        return cast(Tensor, overridden)
    _check.tensor("pad", "input", input)
    _check.optional_tensor("pad", "out", out)
    _check.text("pad", "mode", mode)
    entries = _check.ints("pad", "pad", pad)
    return _pad("pad", input, entries, mode, None if value is None else _check.number("pad", "value", value), out)


def crop(function: _Function, input: Tensor, cropping: Sequence[int], out: Tensor | None, copy: bool) -> Tensor:
    """Crop, for functional.crop."""
    overridden = _override(function, (input, out), input, cropping, out=out, copy=copy)
    if overridden is not NotImplemented:
        return cast(Tensor, overridden)
    _check.tensor("crop", "input", input)
    _check.optional_tensor("crop", "out", out)
    _check.flag("crop", "copy", copy)
    entries = _check.ints("crop", "cropping", cropping, least=1 - 2**63)
    if not copy:
        return _scripted.view(input, entries, out)
    return _pad("crop", input, [-entry for entry in entries], "constant", None, out)


def _pad(function: str, input: Tensor, pad: list[int], mode: str, value: complex | None, out: Tensor | None) -> Tensor:
    if is_compiling():
        padded: Tensor = (_traced.pad if is_exporting() else torch.ops.torchcrop_fast.pad)(input, pad, mode, value)
        return padded if out is None else _traced.copy_to(out, padded)
    if not any(isinstance(entry, Tensor) for entry in pad) or not torch._C._is_tracing():
        return _scripted.pad(input, pad, mode, value, out)
    # Sizes that a trace records: the op cannot take such entries, ATen's pad can.
    if out is not None:
        raise RuntimeError(f"{function}: out= is not supported while tracing with traced sizes")
    return F.pad(input, pad, mode, cast(float, value))


def crop_at(
    function: _Function,
    input: Tensor,
    offsets: Tensor,
    size: Sequence[int],
    flip: Tensor | None,
    padding_mode: str,
    fill: complex,
    out: Tensor | None,
) -> Tensor:
    """Crop every image, for functional.crop_at."""
    tensors = (input, offsets, flip, out)
    options = {"flip": flip, "padding_mode": padding_mode, "fill": fill, "out": out}
    overridden = _override(function, tensors, input, offsets, size, **options)
    if overridden is not NotImplemented:
        return cast(Tensor, overridden)
    _check.tensor("crop_at", "input", input)
    _check.tensor("crop_at", "offsets", offsets)
    _check.optional_tensor("crop_at", "flip", flip)
    _check.optional_tensor("crop_at", "out", out)
    _check.text("crop_at", "padding_mode", padding_mode)
    entries = _check.ints("crop_at", "size", size)
    return _scripted.crop_at(input, offsets, entries, flip, padding_mode, _check.number("crop_at", "fill", fill), out)


def crop_mirror_normalize(
    function: _Function,
    input: Tensor,
    offsets: Tensor | None,
    size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    flip: Tensor | None,
    dtype: torch.dtype | None,
    layout: str,
    memory_format: torch.memory_format | None,
    padding_mode: str,
    fill: float | Sequence[float],
    out: Tensor | None,
) -> Tensor:
    """Crop, mirror and normalize, for functional.crop_mirror_normalize."""
    name = "crop_mirror_normalize"
    options: dict[str, Any] = {
        "dtype": dtype,
        "layout": layout,
        "memory_format": memory_format,
        "padding_mode": padding_mode,
    }
    options |= {"mean": mean, "std": std, "flip": flip, "fill": fill, "out": out}
    overridden = _override(function, (input, offsets, flip, out), input, offsets, size, **options)
    if overridden is not NotImplemented:
        return cast(Tensor, overridden)
    _check.tensor(name, "input", input)
    for argument, tensor in (("offsets", offsets), ("flip", flip), ("out", out)):
        _check.optional_tensor(name, argument, tensor)
    entries = _check.ints(name, "size", size)
    means, stds, fills = _check.normalization(name, mean, std, fill)
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f"{name}: dtype must be a torch.dtype, got {dtype!r}")
    if memory_format is not None and not isinstance(memory_format, torch.memory_format):
        raise TypeError(f"{name}: memory_format must be a torch.memory_format, got {memory_format!r}")
    _check.text(name, "layout", layout)
    _check.text(name, "padding_mode", padding_mode)
    format = cast("int | None", memory_format)  # how TorchScript has it
    return _scripted.crop_mirror_normalize(
        input, offsets, entries, means, stds, flip, dtype, layout, format, padding_mode, fills, out
    )
