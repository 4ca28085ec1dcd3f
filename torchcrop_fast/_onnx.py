"""The ops in standard ONNX operators: what torch.onnx.export calls for each of them in a graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir import DataType
from onnx_ir.tensor_adapters import to_torch_dtype
from onnxscript.onnx_opset import opset18, opset19
from torch import Tensor

op: Any = opset18  # what it is annotated with is less than what it takes while an export runs
Value = Any  # a tensor of the graph
Size = int | Value  # or an int64 scalar of it, where only a run will tell

_FLOAT8 = (DataType.FLOAT8E4M3FN, DataType.FLOAT8E4M3FNUZ, DataType.FLOAT8E5M2, DataType.FLOAT8E5M2FNUZ)
# Dtypes for which onnxruntime has no kernels, that move or that pad; and others that hold their numbers.
_MOVED_AS = dict.fromkeys(_FLOAT8, DataType.FLOAT16)
_PADDED_AS = {DataType.INT16: DataType.INT32, DataType.UINT16: DataType.INT32, DataType.BFLOAT16: DataType.FLOAT}
_PADDED_AS |= _MOVED_AS


def pad(input: Value, pad: Sequence[Size], mode: str = "constant", value: float | None = None) -> Value:
    """Gather what the border repeats, one dimension after the other."""
    if mode == "constant":
        return constant_pad(input, pad, 0 if value is None else value)
    result = _cast(input, _MOVED_AS, input.dtype)
    for i in range(0, len(pad), 2):
        axis, before, after = len(input.shape) - 1 - i // 2, pad[i], pad[i + 1]
        available = _size(result, axis)
        first, last = (_at_least_zero(-before), _at_least_zero(-after)) if mode == "circular" else (0, 0)
        indexes = op.Range(-before - first, available + after - first, 1)  # circular wraps what a crop leaves
        result = op.Gather(result, _shown(mode, indexes, available - first - last) + first, axis=axis)
    return _cast_back(result, _MOVED_AS, input.dtype)


def constant_pad(input: Value, pad: Sequence[Size], value: float | Value = 0) -> Value:
    """Slice, then pad by what is positive: runtimes disagree on negative pads."""
    axes = [len(input.shape) - 1 - i for i in range(len(pad) // 2)]
    before, after = pad[::2], pad[1::2]
    result = _cast(input, _PADDED_AS, input.dtype)
    if any(not isinstance(entry, int) or entry < 0 for entry in pad):
        ends = [_size(result, axis) - _at_least_zero(-entry) for axis, entry in zip(axes, after, strict=True)]
        result = op.Slice(result, [_at_least_zero(-entry) for entry in before], ends, axes)
    if any(not isinstance(entry, int) or entry > 0 for entry in pad):
        fill = value if isinstance(value, ir.Value) else op.Constant(value=ir.tensor(_number(value, input.dtype)[0]))
        added = [_at_least_zero(entry) for entry in [*before, *after]]
        result = op.Pad(result, added, op.CastLike(fill, result), axes)
    return _cast_back(result, _PADDED_AS, input.dtype)


def crop_at(
    input: Value,
    offsets: Value,
    size: Sequence[Size],
    *,
    flip: Value | None = None,
    padding_mode: str = "constant",
    fill: float = 0,
) -> Value:
    """Gather the pixels that windows show."""
    dims, leading = len(size), len(offsets.shape) - 1
    others = len(input.shape) - 1 - dims  # dimensions between the batch's and the spatial ones
    images = _swap(_cast(input, _MOVED_AS, input.dtype), 1, others, dims)
    number = _number(fill, input.dtype)
    number = number.half() if input.dtype in _MOVED_AS else number
    crops, _ = _gather(images, offsets, leading, size, flip, padding_mode, number)
    return _cast_back(_swap(crops, leading, dims, others), _MOVED_AS, input.dtype)


def crop_mirror_normalize(
    input: Value,
    offsets: Value | None,
    size: Sequence[Size],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    flip: Value | None = None,
    dtype: int | None = None,
    layout: str = "CHW",
    memory_format: object = None,
    padding_mode: str = "constant",
    fill: Sequence[float] = (0.0,),
) -> Value:
    """Slice the center, or gather the pixels that windows show; then cast and multiply-add them."""
    if offsets is None and flip is None:
        crops, inside = _center(input, layout, size, padding_mode)
    else:
        images = input if layout == "HWC" else _swap(input, 1, 1, 2)
        leading = 1 if offsets is None else len(offsets.shape) - 1
        offsets = _center_offsets(images, size) if offsets is None else offsets
        crops, inside = _gather(images, offsets, leading, size, flip, padding_mode, _number(0, input.dtype))
        crops = op.Cast(_swap(crops, leading, 2, 1), to=DataType.FLOAT)
    unit = 255 if input.dtype == DataType.UINT8 else 1
    scale = _a_channel([1 / (unit * s) for s in std])
    bias = _a_channel([-m / s for m, s in zip(mean, std, strict=True)])
    result = crops * scale + bias
    if inside is not None:
        fills = [*fill] * (len(mean) // len(fill))
        border = _a_channel([(f / unit - m) / s for f, m, s in zip(fills, mean, std, strict=True)])
        result = op.Where(op.Unsqueeze(inside, [-3]), result, border)
    return op.Cast(result, to=DataType.FLOAT if dtype in (None, -1) else dtype)  # -1 is the exporter's None


def _gather(
    images: Value, offsets: Value, leading: int, size: Sequence[Size], flip: Value | None, border: str, fill: Tensor
) -> tuple[Value, Value | None]:
    """Windows of images (N, spatial, others), at offsets of so many leading dimensions: (leading, size, others).

    And where they show an image, (leading, size), if a border may show the fill.
    """
    dims = len(size)
    flips_each = flip is not None and len(flip.shape) > leading
    pixels, inside = None, None
    for d, wanted in enumerate(size):
        available = _size(images, 1 + d)
        place = op.Unsqueeze(op.Range(0, wanted, 1), list(range(1, dims - d)))
        if flips_each or (flip is not None and d == dims - 1):
            mirrored = op.Gather(flip, d, axis=-1) if flips_each else flip
            place = op.Where(op.Unsqueeze(mirrored, list(range(-dims, 0))), wanted - 1 - place, place)
        start = op.Unsqueeze(op.Gather(offsets, d, axis=-1), list(range(-dims, 0)))
        index = _near_start(border, start, wanted, available) + place
        if border == "constant":
            within = _is_within(index, available)
            inside = within if inside is None else op.And(inside, within)
        else:
            index = _shown(border, index, available)
        pixels = index if pixels is None else pixels * available + index
    batch, spatial = op.Shape(images, end=1), op.Shape(images, start=1, end=1 + dims)
    count, others = op.ReduceProd(spatial), op.Shape(images, start=1 + dims)
    images = op.Reshape(images, op.Concat(batch, count, others, axis=0), allowzero=1)
    if inside is not None:  # one more pixel of each image is the fill
        one = op.Constant(value_ints=[1])
        fills = op.ConstantOfShape(op.Concat(batch, one, others, axis=0), value=ir.tensor(fill))
        images, pixels = op.Concat(images, fills, axis=1), op.Where(inside, pixels, count)
    return op.GatherND(images, op.Unsqueeze(pixels, [-1]), batch_dims=1), inside


def _center(input: Value, layout: str, size: Sequence[Size], border: str) -> tuple[Value, Value | None]:
    """The middle of all images, (N, C, size) in float32; and where it shows them, if that is not everywhere."""
    axes = [1, 2] if layout == "HWC" else [2, 3]
    available = [_size(input, axis) for axis in axes]
    starts = [_center_start(*both) for both in zip(available, size, strict=True)]
    ends = [start + wanted for start, wanted in zip(starts, size, strict=True)]
    indexes = [op.Range(start, end, 1) for start, end in zip(starts, ends, strict=True)]
    known = [(input.shape[axis], wanted) for axis, wanted in zip(axes, size, strict=True)]
    fits = all(isinstance(there, int) and isinstance(wanted, int) and wanted <= there for there, wanted in known)
    crops = input
    if fits or border == "constant":
        crops = op.Slice(input, [_at_least_zero(start) for start in starts], ends, axes)
    else:
        for d, axis in enumerate(axes):
            crops = op.Gather(crops, _shown(border, indexes[d], available[d]), axis=axis)
    crops = op.Cast(_swap(crops, 1, 2, 1) if layout == "HWC" else crops, to=DataType.FLOAT)
    if fits or border != "constant":
        return crops, None
    missing = [_at_least_zero(-start) for start in starts]
    missing += [_at_least_zero(end - there) for end, there in zip(ends, available, strict=True)]
    rows, columns = (_is_within(*both) for both in zip(indexes, available, strict=True))
    return op.Pad(crops, missing, None, [2, 3]), op.And(op.Unsqueeze(rows, [-1]), columns)


def _center_offsets(images: Value, size: Sequence[Size]) -> Value:
    starts = [op.Reshape(_center_start(_size(images, 1 + d), wanted), [1]) for d, wanted in enumerate(size)]
    return op.Expand(op.Concat(*starts, axis=0), [_size(images, 0), len(size)])


def _center_start(available: Value, wanted: Size) -> Value:
    """As torchvision rounds. ONNX truncates, so nothing negative is divided."""
    surplus, missing = _at_least_zero(available - wanted), _at_least_zero(wanted - available)
    return op.Div(surplus + op.Mod(op.Div(surplus, 2), 2), 2) - op.Div(missing, 2)


def _near_start(border: str, start: Value, wanted: Size, available: Value) -> Value:
    """A start that shows the same, near enough to the input that it may be added to a size."""
    if border in ("constant", "replicate"):
        return op.Clip(start, -wanted, available)
    return op.Mod(start, _period(border, available))


def _shown(border: str, index: Value, available: Value) -> Value:
    """Which index of the input a border that repeats it shows at an index of any value."""
    if border == "replicate":
        return op.Clip(index, 0, available - 1)
    period = _period(border, available)
    index = op.Mod(index, period)
    if border == "circular":
        return index
    return op.Min(index, period - index if border == "reflect" else period - 1 - index)  # on the way back


def _period(border: str, available: Value) -> Value:
    if border == "reflect":
        return op.Max(2 * available - 2, 1)
    return 2 * available if border == "symmetric" else available


def _is_within(index: Value, available: Value) -> Value:
    return op.And(index >= 0, index < available)


def _size(tensor: Value, axis: int) -> Value:
    return op.Squeeze(op.Shape(tensor, start=axis, end=axis + 1))


def _swap(tensor: Value, start: int, first: int, second: int) -> Value:
    """From start on so many dimensions, and so many after them, which are the last, change places."""
    middle = start + first
    return op.Transpose(tensor, perm=[*range(start), *range(middle, middle + second), *range(start, middle)])


def _at_least_zero(number: Size) -> Size:
    return max(number, 0) if isinstance(number, int) else op.Max(number, 0)


def _number(value: float, dtype: DataType) -> Tensor:
    return torch.full((1,), value, dtype=to_torch_dtype(dtype))


def _a_channel(numbers: list[float]) -> Value:
    return op.Constant(value=ir.tensor(torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1)))


def _cast(tensor: Value, others: Mapping[DataType, DataType], dtype: DataType) -> Value:
    return op.Cast(tensor, to=others[dtype]) if dtype in others else tensor


def _cast_back(tensor: Value, others: Mapping[DataType, DataType], dtype: DataType) -> Value:
    if dtype in _FLOAT8:
        return opset19.Cast(tensor, to=dtype, saturate=0)  # which keeps infinities
    return op.Cast(tensor, to=dtype) if dtype in others else op.Identity(tensor)
