"""Windows onto tensors, as functions.

In eager mode and in TorchScript each runs our kernel. Under ``torch.compile``, ``torch.export`` and all that builds on
them they trace ATen's ops instead, which fuse, need no library at run time, and hand no exporter a negative pad.
"""

import operator
from collections.abc import Callable, Sequence
from typing import SupportsIndex, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling, is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_unary

from torchcrop_fast import _C

__all__ = ["center_crop", "crop", "crop_at", "crop_mirror_normalize", "five_crop", "pad", "random_offsets", "ten_crop"]

_Function = TypeVar("_Function", bound=Callable[..., object])


def _scripts_as(twin: Callable[..., Tensor]) -> Callable[[_Function], _Function]:
    """Have torch.jit.script compile the twin instead: TorchScript has no keyword-only arguments and cannot enter _C."""

    def mark(function: _Function) -> _Function:
        vars(function)["__prepare_scriptable__"] = lambda: twin
        return function

    return mark


def _scripts_while_tracing(function: _Function) -> _Function:
    """Have a trace record what the function decides by sizes, so that it works for other sizes, too."""
    return cast(_Function, torch.jit.script_if_tracing(function))  # type: ignore[no-untyped-call]


def _scripted_pad(
    input: Tensor,
    pad: list[int],
    mode: str = "constant",
    value: int | float | complex | None = None,
    out: Tensor | None = None,
) -> Tensor:
    if out is not None:
        torch.ops.torchcrop_fast.pad(input, pad, mode, value, out=out)
        return out
    padded: Tensor = torch.ops.torchcrop_fast.pad(input, pad, mode, value)
    return padded


def _scripted_crop(input: Tensor, cropping: list[int], out: Tensor | None = None, copy: bool = True) -> Tensor:
    if copy:
        return _scripted_pad(input, [-entry for entry in cropping], out=out)
    return _view(input, cropping, out)


@_scripts_as(_scripted_pad)
def pad(
    input: Tensor,
    pad: Sequence[int],
    mode: str = "constant",
    value: complex | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    r"""Pad the last dimensions of a tensor, or crop them: :func:`torch.nn.functional.pad` in one pass.

    Values, dtype, shape, strides and gradients are those of the reference, for every input it takes; a border that
    repeats elements takes any dtype and any number of dimensions, too. The input is never copied, whatever its strides,
    and the result never shares its memory. Gradients are deterministic.

    Args:
        input: A tensor of any shape, dtype and strides.
        pad: How many elements to add before and after a dimension, the last dimension first:
            ``(left, right, top, bottom, front, back, ...)``, at most two entries a dimension. Negative entries take
            elements away; that happens before any are added, but in the modes ``"reflect"`` and ``"replicate"`` after.
        mode: What the border holds: ``"constant"`` (``value``), ``"reflect"`` (``cb abc ba``; each entry must be less
            than the dimension's size), ``"replicate"`` (the edge) or ``"circular"`` (``bc abc ab``; each entry at most
            as large as what is left of the dimension).
        value: What the border holds in mode ``"constant"``: a number that ``input.dtype`` can hold, exact for ints that
            fit int64, complex for complex dtypes only. Integer dtypes truncate it, as in the reference. Default: 0. The
            other modes take None or 0.
        out: Where to write the result: of ``input``'s dtype and device, sharing no memory with it. Its strides are
            kept; it is resized if its shape is another. Autograd doesn't support it.

    Returns:
        The padded tensor, or ``out``.

    Raises:
        RuntimeError: If ``pad`` is odd or too long, takes or repeats more than there is, or ``value`` or ``out``
            doesn't fit.
        NotImplementedError: If ``mode`` is unknown.
        TypeError: If an argument is of a wrong type.

    Example:
        >>> digits = torch.rand(10, 1, 28, 28)
        >>> pad(digits, (-4, -4, -4, -4)).shape
        torch.Size([10, 1, 20, 20])
        >>> pad(torch.tensor([1, 2, 3]), (2, -1), value=7)
        tensor([7, 7, 1, 2])
        >>> pad(torch.tensor([1, 2, 3]), (2, 1), "reflect")
        tensor([3, 2, 1, 2, 3, 2])
    """
    if is_dynamo_compiling():  # other tracers _C itself notices, at no cost for plain tensors
        return _traced_pad(input, list(pad), mode, value, out)
    return _C.pad(input, pad, mode, value, out)


@_scripts_as(_scripted_crop)
def crop(input: Tensor, cropping: Sequence[int], *, out: Tensor | None = None, copy: bool = True) -> Tensor:
    r"""Take elements off the ends of the last dimensions: :func:`pad` with the signs turned.

    Args:
        input: A tensor of any shape, dtype and strides.
        cropping: How many elements to take off the ends of a dimension, the last dimension first:
            ``(left, right, top, bottom, front, back, ...)``. Negative entries add zeros.
        out: As for :func:`pad`.
        copy: If False, return a view of ``input`` instead of a new tensor. That costs no copy, but what reads the view
            next pays for its strides. No entry may be negative, and ``out`` cannot be given.

    Returns:
        The cropped tensor, with the strides :func:`torch.nn.functional.pad` gives, or ``out``, or a view.

    Raises:
        RuntimeError: As for :func:`pad`.
        TypeError: If an argument is of a wrong type.
        ValueError: If ``copy`` is False and an entry is negative or ``out`` is given.

    Example:
        >>> crop(torch.arange(6), (1, 2))
        tensor([1, 2, 3])
        >>> image = torch.rand(3, 28, 28)
        >>> crop(image, (4, 4, 2, 2), copy=False).data_ptr() == image[:, 2:, 4:].data_ptr()
        True
    """
    if not copy:
        if has_torch_function_unary(input):
            return handle_torch_function(crop, (input,), input, cropping, out=out, copy=copy)
        _check_types("crop", input, "cropping", cropping)
        return _view(input, list(cropping), out)
    if is_dynamo_compiling():
        return _traced_pad(input, [-entry for entry in cropping], "constant", None, out)
    return _C.crop(input, cropping, out)


def _scripted_crop_at(
    input: Tensor,
    offsets: Tensor,
    size: list[int],
    flip: Tensor | None = None,
    padding_mode: str = "constant",
    fill: int | float | complex = 0,
    out: Tensor | None = None,
) -> Tensor:
    if out is not None:
        torch.ops.torchcrop_fast.crop_at(input, offsets, size, flip=flip, padding_mode=padding_mode, fill=fill, out=out)
        return out
    cropped: Tensor = torch.ops.torchcrop_fast.crop_at(
        input, offsets, size, flip=flip, padding_mode=padding_mode, fill=fill
    )
    return cropped


@_scripts_as(_scripted_crop_at)
def crop_at(
    input: Tensor,
    offsets: Tensor,
    size: Sequence[int],
    *,
    flip: Tensor | None = None,
    padding_mode: str = "constant",
    fill: complex = 0,
    out: Tensor | None = None,
) -> Tensor:
    r"""Crop every image of a batch at its own place, all in one pass.

    Args:
        input: A batch of any dtype and strides: ``(N, ..., spatial)``, for images ``(N, C, H, W)``.
        offsets: The input index of each window's first element, an int64 tensor ``(N, D)``, in the order of the
            dimensions: ``(y, x)`` or ``(z, y, x)``. Any value is right: what lies outside of the input is border.
            ``(N, K, D)`` takes K crops of each image.
        size: The windows' ``D`` sizes, in the same order: ``(h, w)``.
        flip: Which windows to mirror: a bool tensor ``(N)`` or ``(N, K)`` for the last dimension, or of offsets' shape
            for each dimension.
        padding_mode: What lies outside: ``"constant"`` (``fill``), ``"replicate"`` (the edge), ``"reflect"``
            (``cb abc ba``), ``"symmetric"`` (``ba abc cb``) or ``"circular"``; repeated as often as needed.
        fill: What a constant border holds; it must fit the dtype.
        out: A tensor to write to, as for :func:`pad`.

    Returns:
        A tensor ``(N, ..., size)``, or ``(N, K, ..., size)``, in ``input``'s memory format. Its gradient with respect
        to ``input`` is exact and deterministic, also where windows overlap.

    Raises:
        RuntimeError: If shapes, dtypes or devices don't go together, ``padding_mode`` is unknown, ``fill`` doesn't fit,
            or there is nothing for the border to repeat.
        TypeError: If an argument is of a wrong type.

    Example:
        >>> images = torch.arange(18).view(2, 3, 3)
        >>> crop_at(images, torch.tensor([[0, 0], [1, 2]]), (2, 2))
        tensor([[[ 0,  1],
                 [ 3,  4]],
        <BLANKLINE>
                [[14,  0],
                 [17,  0]]])
    """
    if not is_dynamo_compiling():
        cropped = _C.crop_at(input, offsets, size, flip, padding_mode, fill, out)
        if cropped is not NotImplemented:  # every argument is plain, and nobody else has a say
            return cast(Tensor, cropped)
    tensors = (input, offsets, flip, out)
    if has_torch_function(tensors):
        return handle_torch_function(
            crop_at, tensors, input, offsets, size, flip=flip, padding_mode=padding_mode, fill=fill, out=out
        )
    _check_types("crop_at", input, "size", size)
    if not isinstance(offsets, Tensor):
        raise TypeError(f"crop_at: offsets must be a Tensor, got {type(offsets).__name__}")
    if flip is not None and not isinstance(flip, Tensor):
        raise TypeError(f"crop_at: flip must be a Tensor or None, got {type(flip).__name__}")
    if not isinstance(fill, (int, float, complex)):
        raise TypeError(f"crop_at: fill must be a number, got {type(fill).__name__}")
    return _scripted_crop_at(input, offsets, list(size), flip, padding_mode, fill, out)


def _scripted_crop_mirror_normalize(
    input: Tensor,
    offsets: Tensor | None,
    size: list[int],
    mean: list[float],
    std: list[float],
    flip: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    layout: str = "CHW",
    memory_format: int | None = None,  # how TorchScript has it
    padding_mode: str = "constant",
    fill: float | list[float] = 0.0,
    out: Tensor | None = None,
) -> Tensor:
    fills = [fill] if isinstance(fill, float) else fill
    format = torch.contiguous_format if memory_format is None else memory_format
    if out is not None:
        torch.ops.torchcrop_fast.crop_mirror_normalize(
            input,
            offsets,
            size,
            mean=mean,
            std=std,
            flip=flip,
            dtype=dtype,
            layout=layout,
            memory_format=format,
            padding_mode=padding_mode,
            fill=fills,
            out=out,
        )
        return out
    result: Tensor = torch.ops.torchcrop_fast.crop_mirror_normalize(
        input,
        offsets,
        size,
        mean=mean,
        std=std,
        flip=flip,
        dtype=dtype,
        layout=layout,
        memory_format=format,
        padding_mode=padding_mode,
        fill=fills,
    )
    return result


@_scripts_as(_scripted_crop_mirror_normalize)
def crop_mirror_normalize(
    input: Tensor,
    offsets: Tensor | None,
    size: Sequence[int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    flip: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    layout: str = "CHW",
    memory_format: torch.memory_format = torch.contiguous_format,
    padding_mode: str = "constant",
    fill: float | Sequence[float] = 0.0,
    out: Tensor | None = None,
) -> Tensor:
    r"""Crop every image at its own place, mirror it, and normalise it to ``(x - mean) / std``, in one pass over memory.

    The result is that of torchvision's ``crop``, ``horizontal_flip``, ``to_dtype(scale=True)`` and ``normalize``, one
    after the other: uint8 pixels are divided by 255 first, floats are not.

    Args:
        input: A batch of images in uint8, float16, bfloat16 or float32: ``(N, C, H, W)``, or ``(N, H, W, C)`` with
            ``layout="HWC"``; of any strides and number of channels.
        offsets: As for :func:`crop_at`: int64 ``(N, 2)`` or ``(N, K, 2)``, ``(y, x)``. None is the centre, rounded as
            by torchvision.
        size: The windows' ``(h, w)``.
        mean: A number for each channel, in units of what is normalised: of pixels in 0 to 1 for uint8.
        std: A number for each channel, not 0.
        flip: Which windows to mirror, as for :func:`crop_at`. None is none.
        dtype: The result's: float32, float16 or bfloat16.
        layout: ``"CHW"`` or ``"HWC"``: the order of the input's dimensions.
        memory_format: The result's: ``torch.contiguous_format`` or ``torch.channels_last``.
        padding_mode: What lies outside, as for :func:`crop_at`.
        fill: What a constant border holds, before it is normalised like any pixel: a number, or one for each channel,
            in units of the input: 0 to 255 for uint8.
        out: A tensor to write to, as for :func:`pad`, of ``dtype``.

    Returns:
        A tensor ``(N, C, h, w)``, or ``(N, K, C, h, w)``, whatever the layout. It is differentiable with respect to
        float inputs.

    Raises:
        RuntimeError: If shapes, dtypes or devices don't go together, or an argument is out of its range.
        TypeError: If an argument is of a wrong type.

    Example:
        >>> photos = torch.randint(256, (8, 64, 80, 3), dtype=torch.uint8)
        >>> y = crop_mirror_normalize(
        ...     photos, None, (56, 56), mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], layout="HWC"
        ... )
        >>> y.shape, y.dtype
        (torch.Size([8, 3, 56, 56]), torch.float32)
    """
    if out is None and not is_dynamo_compiling():
        normalized = _C.crop_mirror_normalize(
            input, offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill
        )
        if normalized is not NotImplemented:  # every argument is plain, and nobody else has a say
            return cast(Tensor, normalized)
    _check_types("crop_mirror_normalize", input, "size", size)
    for name, tensor in (("offsets", offsets), ("flip", flip)):
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"crop_mirror_normalize: {name} must be a Tensor or None, got {type(tensor).__name__}")
    means, stds, fills = _normalization("crop_mirror_normalize", mean, std, fill)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"crop_mirror_normalize: dtype must be a torch.dtype, got {dtype!r}")
    return _scripted_crop_mirror_normalize(
        input,
        offsets,
        list(size),
        means,
        stds,
        flip,
        dtype,
        layout,
        cast(int, memory_format),
        padding_mode,
        fills,
        out,
    )


def _normalization(
    function: str, mean: Sequence[float], std: Sequence[float], fill: float | Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """The numbers that say how to normalise; of fill, one will do."""
    fills = [fill] if isinstance(fill, (int, float)) and not isinstance(fill, bool) else cast(Sequence[float], fill)
    return _floats(function, "mean", mean), _floats(function, "std", std), _floats(function, "fill", fills)


def _floats(function: str, name: str, value: Sequence[float]) -> list[float]:
    """The numbers of a list, tuple or 1-D tensor."""
    try:
        numbers = list(value)
        if any(isinstance(number, (bool, str)) for number in numbers):  # float() takes them
            raise TypeError
        return [float(number) for number in numbers]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise TypeError(f"{function}: {name} must contain numbers, got {value!r}") from None


def _scripted_random_offsets(
    n: int,
    input_size: list[int],
    size: list[int],
    padding: int | list[int] = 0,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    around = [padding] * len(input_size) if isinstance(padding, int) else padding
    return _draw_offsets("random_offsets", n, input_size, size, around, around, generator, device)


@_scripts_as(_scripted_random_offsets)
def random_offsets(
    n: int,
    input_size: Sequence[int],
    size: Sequence[int],
    *,
    padding: int | Sequence[int] = 0,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Draw where :func:`crop_at` crops each image of a batch: uniformly among all places that are within the input.

    Keep the offsets, and the masks and boxes of the images can be cropped by them, too. They are drawn on the device,
    without waiting for it.

    Args:
        n: How many to draw: one for each image.
        input_size: The ``D`` spatial sizes of the input, without padding, in the order of the dimensions: ``(H, W)`` or
            ``(D, H, W)``.
        size: The windows' sizes, in the same order.
        padding: How many elements on both sides of the input also count as within: an int, or one for each dimension.
            Negative ones keep off the edge.
        generator: What to draw from. Default: torch's default generator of the device.
        device: Where to. Default: the generator's device; without a generator, or in TorchScript, torch's default.

    Returns:
        An int64 tensor ``(n, D)``: the input indices of the windows' first elements, from ``-padding`` to
        ``input_size + padding - size``.

    Raises:
        ValueError: If ``n`` is negative, ``size`` not positive or larger than the padded input, or lengths differ.
        TypeError: If an argument is of a wrong type.

    Example:
        >>> images, masks = torch.rand(8, 3, 32, 32), torch.ones(8, 1, 32, 32)
        >>> offsets = random_offsets(8, images.shape[-2:], (28, 28), padding=2)
        >>> crop_at(images, offsets, (28, 28)).shape, crop_at(masks, offsets, (28, 28)).shape
        (torch.Size([8, 3, 28, 28]), torch.Size([8, 1, 28, 28]))
    """
    _check_ints("random_offsets", "input_size", input_size)
    _check_ints("random_offsets", "size", size)
    if isinstance(padding, (list, tuple)):
        _check_ints("random_offsets", "padding", padding)
        around = list(padding)
    elif _is_int(padding):
        around = [padding] * len(input_size)
    else:
        raise TypeError(f"random_offsets: padding must be an int or a list of ints, got {type(padding).__name__}")
    if not _is_int(n):
        raise TypeError(f"random_offsets: n must be an int, got {type(n).__name__}")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"random_offsets: generator must be a Generator or None, got {type(generator).__name__}")
    if device is None and generator is not None:
        device = generator.device
    elif device is not None:
        device = torch.device(device)
    return _draw_offsets("random_offsets", n, list(input_size), list(size), around, around, generator, device)


def _draw_offsets(
    function: str,
    n: int,
    input_size: list[int],
    size: list[int],
    before: list[int],
    after: list[int],
    generator: torch.Generator | None,
    device: torch.device | None,
) -> Tensor:
    """Draw offsets (n, D), each from -before to input_size + after - size."""
    if n < 0:
        raise ValueError(f"{function}: n must not be negative, got {n}")
    dims = len(input_size)
    if dims == 0:
        raise ValueError(f"{function}: input_size must not be empty")
    if len(size) != dims:
        raise ValueError(f"{function}: size must have as many entries as input_size, {dims}, got {len(size)}")
    if len(before) != dims:
        raise ValueError(f"{function}: padding must have as many entries as input_size, {dims}, got {len(before)}")
    columns: list[Tensor] = []
    for d in range(dims):
        if size[d] <= 0:
            raise ValueError(f"{function}: size must contain positive ints, got {size}")
        end = input_size[d] + after[d] - size[d] + 1
        if end <= -before[d]:
            raise ValueError(
                f"{function}: size {size[d]} must not be larger than the padded input,"
                f" {before[d]} + {input_size[d]} + {after[d]}, in spatial dim {d}"
            )
        if generator is None:  # this overload also takes symbolic sizes
            column = torch.randint(-before[d], end, [n], device=device, dtype=torch.int64)
        else:
            column = torch.randint(-before[d], end, [n], generator=generator, device=device, dtype=torch.int64)
        columns.append(column)
    return torch.stack(columns, dim=1)


@_scripts_while_tracing
def _corners_and_centre(function: str, input: Tensor, size: int | list[int], flip: bool, flip_dim: int) -> Tensor:
    """Crop at the corners and the centre; with flip, then at those of the flipped image."""
    entries = [size] if isinstance(size, int) else size
    if len(entries) == 1:
        entries = [entries[0], entries[0]]
    if len(entries) != 2:
        raise ValueError(f"{function}: size must be an int or (height, width), got {entries}")
    if input.dim() < 3:
        raise ValueError(f"{function}: input must have at least 3 dims, (C, H, W), got {input.dim()}")
    height, width = input.size(-2), input.size(-1)
    bottom, right = height - entries[0], width - entries[1]
    if min(entries) <= 0 or bottom < 0 or right < 0:
        raise ValueError(f"{function}: size must be positive and fit into the input, {[height, width]}, got {entries}")

    # Filled in on the device: what comes from the host, the device would have to wait for.
    offsets = torch.zeros([5, 2], dtype=torch.int64, device=input.device)
    offsets[2:4, 0].fill_(bottom)
    offsets[1:4:2, 1].fill_(right)
    offsets[4, 0].fill_(_center_start(height, entries[0], "torchvision"))
    offsets[4, 1].fill_(_center_start(width, entries[1], "torchvision"))
    flips: Tensor | None = None
    if flip:
        mirrored = offsets.clone()
        mirrored[:, flip_dim] = (bottom if flip_dim == 0 else right) - offsets[:, flip_dim]
        offsets = torch.cat([offsets, mirrored])
        flips = torch.zeros([10, 2], dtype=torch.bool, device=input.device)
        flips[5:, flip_dim].fill_(True)

    batch = input.unsqueeze(0) if input.dim() == 3 else input
    offsets = offsets.expand(batch.size(0), -1, -1)
    if flips is not None:
        flips = flips.expand(batch.size(0), -1, -1)
    crops = crop_at(batch, offsets, entries, flip=flips)
    return crops.squeeze(0) if input.dim() == 3 else crops


def _scripted_five_crop(input: Tensor, size: int | list[int]) -> Tensor:
    return _corners_and_centre("five_crop", input, size, False, 1)


def _scripted_ten_crop(input: Tensor, size: int | list[int], vertical_flip: bool = False) -> Tensor:
    return _corners_and_centre("ten_crop", input, size, True, 0 if vertical_flip else 1)


@_scripts_as(_scripted_five_crop)
def five_crop(input: Tensor, size: int | Sequence[int]) -> Tensor:
    r"""Crop at the four corners and the centre, in one pass: torchvision's ``five_crop``, as one tensor.

    Args:
        input: A batch ``(N, ..., H, W)`` or an image ``(C, H, W)``, of any dtype and strides.
        size: The crops' size, at most the input's: ``(h, w)``; an int or a sequence of one is a square.

    Returns:
        A tensor ``(N, 5, ..., h, w)``, or ``(5, C, h, w)`` of an image: top left, top right, bottom left, bottom right
        and, rounded as by torchvision, centre.

    Raises:
        ValueError: If ``size`` is not positive, larger than the input or not of two dimensions, or ``input`` has less
            than three.
        TypeError: If an argument is of a wrong type.

    Example:
        >>> five_crop(torch.rand(10, 3, 32, 32), 28).shape
        torch.Size([10, 5, 3, 28, 28])
        >>> five_crop(torch.arange(9).view(1, 3, 3), 1).flatten()
        tensor([0, 2, 6, 8, 4])
    """
    if has_torch_function_unary(input):
        return handle_torch_function(five_crop, (input,), input, size)
    entries = size if isinstance(size, Sequence) else [size]
    _check_types("five_crop", input, "size", entries)
    return _scripted_five_crop(input, list(entries))


@_scripts_as(_scripted_ten_crop)
def ten_crop(input: Tensor, size: int | Sequence[int], vertical_flip: bool = False) -> Tensor:
    r"""Crop as :func:`five_crop` does, then the flipped image likewise, all in one pass: torchvision's ``ten_crop``.

    Args:
        input: As for :func:`five_crop`.
        size: As for :func:`five_crop`.
        vertical_flip: Flip upside down instead of left to right.

    Returns:
        A tensor ``(N, 10, ..., h, w)``, or ``(10, C, h, w)`` of an image: the five crops of ``input``, then those of
        the flipped ``input``.

    Raises:
        ValueError: As for :func:`five_crop`.
        TypeError: If an argument is of a wrong type.

    Example:
        >>> ten_crop(torch.arange(9).view(1, 3, 3), (1, 2))[:, 0, 0]
        tensor([[0, 1],
                [1, 2],
                [6, 7],
                [7, 8],
                [3, 4],
                [2, 1],
                [1, 0],
                [8, 7],
                [7, 6],
                [5, 4]])
    """
    if has_torch_function_unary(input):
        return handle_torch_function(ten_crop, (input,), input, size, vertical_flip)
    entries = size if isinstance(size, Sequence) else [size]
    _check_types("ten_crop", input, "size", entries)
    return _scripted_ten_crop(input, list(entries), bool(vertical_flip))


@_scripts_while_tracing
def _center_crop(input: Tensor, size: list[int], rounding: str = "torchvision") -> Tensor:
    if len(size) > input.dim():
        raise ValueError(f"center_crop: size has {len(size)} entries, more than the {input.dim()} dims of input")
    entries: list[int] = []
    for i in range(len(size)):
        wanted = size[len(size) - 1 - i]
        if wanted < 0:
            raise ValueError(f"center_crop: size must not be negative, got {wanted}")
        available = input.size(input.dim() - 1 - i)
        start = _center_start(available, wanted, rounding)
        entries.append(-start)
        entries.append(start + wanted - available)
    return pad(input, entries)


@_scripts_as(_center_crop)
def center_crop(input: Tensor, size: Sequence[int], rounding: str = "torchvision") -> Tensor:
    r"""Crop the middle out of the last dimensions; where the input is smaller, pad it with zeros on both sides.

    Args:
        input: A tensor of any dtype and strides, of shape ``(..., H, W)`` for a size of two entries.
        size: The result's last sizes, in the order of the dimensions: ``(W,)``, ``(H, W)``, ``(D, H, W)``, ...
        rounding: Who decides which side loses the odd element when one cannot be split: ``"torchvision"`` (to the even
            start), ``"keras"`` (the end), ``"dali"`` (the beginning, its ``rounding="round"``) or ``"monai"`` (starts
            at ``input // 2 - size // 2``). Where an odd number of zeros is added, the end gets the odd one.

    Returns:
        A new tensor, with ``size`` as its last sizes.

    Raises:
        ValueError: If ``size`` has more entries than ``input`` dims or a negative one, or ``rounding`` is unknown.

    Example:
        >>> center_crop(torch.arange(5), [2])
        tensor([2, 3])
        >>> center_crop(torch.arange(5), [2], rounding="keras")
        tensor([1, 2])
        >>> center_crop(torch.tensor([1, 2]), [5])
        tensor([0, 1, 2, 0, 0])
    """
    if has_torch_function_unary(input):
        return handle_torch_function(center_crop, (input,), input, size, rounding)
    _check_types("center_crop", input, "size", size)
    return _center_crop(input, list(size), rounding)


def _center_start(available: int, wanted: int, rounding: str) -> int:
    """Where the middle begins: negative where zeros come first."""
    surplus = available - wanted
    half = surplus // 2
    odd = surplus % 2
    if rounding == "torchvision":
        start = half + odd * (half % 2)
    elif rounding == "keras":
        start = half
    elif rounding == "dali":
        start = half + odd
    elif rounding == "monai":
        start = available // 2 - wanted // 2
    else:
        raise ValueError(f"center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got '{rounding}'")
    return start if surplus >= 0 else -(-surplus // 2)


def _check_types(function: str, input: Tensor, name: str, entries: Sequence[int]) -> None:
    """What _C checks, in its words, for the functions that don't enter it."""
    if not isinstance(input, Tensor):
        raise TypeError(f"{function}: input must be a Tensor, got {type(input).__name__}")
    _check_ints(function, name, entries)


def _check_ints(function: str, name: str, entries: Sequence[int]) -> None:
    if not isinstance(entries, (list, tuple)):
        raise TypeError(f"{function}: {name} must be a list or tuple of ints, got {type(entries).__name__}")
    for position, entry in enumerate(entries):
        if not _is_int(entry):
            raise TypeError(f"{function}: {name} must contain ints, got {type(entry).__name__} at position {position}")
        plain = not is_compiling() and not isinstance(entry, (torch.SymInt, Tensor))
        if plain and not -(2**63) < operator.index(entry) < 2**63:
            raise TypeError(f"{function}: {name} entry {position} does not fit int64")


def _is_int(entry: object) -> bool:
    return isinstance(entry, (int, torch.SymInt, Tensor, SupportsIndex)) and not isinstance(entry, bool)


@_scripts_while_tracing
def _view(input: Tensor, cropping: list[int], out: Tensor | None) -> Tensor:
    """Crop without a copy."""
    if out is not None:
        raise ValueError("crop: out cannot be given with copy=False")
    _check_pad(input, [-entry for entry in cropping])
    for i in range(0, len(cropping), 2):
        if min(cropping[i], cropping[i + 1]) < 0:
            raise ValueError("crop: cropping must not be negative with copy=False, got " + str(cropping))
        dim = input.dim() - 1 - i // 2
        input = input.narrow(dim, cropping[i], input.size(dim) - cropping[i] - cropping[i + 1])
    return input


def _traced_pad(input: Tensor, pad: list[int], mode: str, value: complex | None, out: Tensor | None) -> Tensor:
    """Pad for graphs: slices for what is taken away, ATen's pad for what is added."""
    if out is not None:
        return _copy_to(out, _traced_pad(input, pad, mode, value, None))
    if mode != "constant":
        return _traced_repeat(input, pad, mode, value)
    _check_pad(input, pad)
    adds = any(entry > 0 for entry in pad)
    window = _traced_crop(input, pad)
    if not adds:
        return window.clone()
    cropped = [input.dim() - 1 - i // 2 for i in range(len(pad)) if pad[i] < 0]
    if any(window.size(dim) == 0 for dim in cropped):  # its memory format would no longer be the input's
        return torch.constant_pad_nd(input, pad, 0 if value is None else value)
    return torch.constant_pad_nd(window, _added(pad), 0 if value is None else value)


def _traced_repeat(input: Tensor, pad: list[int], mode: str, value: complex | None) -> Tensor:
    """The same where the border repeats elements. What ATen's pad doesn't take stays our op."""
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '{mode}'")
    _check_pad(input, pad, mode)
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
        return F.pad(_traced_crop(input, pad), _added(pad), mode)
    window = _traced_crop(F.pad(input, _added(pad), mode), pad)
    return window.clone() if any(entry < 0 for entry in pad) else window


# Those that ATen's pad repeats on every device.
_REPEATED_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)


def _traced_crop(input: Tensor, pad: list[int]) -> Tensor:
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


def _check_pad(input: Tensor, pad: list[int], mode: str = "constant") -> None:
    """What the op checks, in its words, for the ways around it."""
    if len(pad) % 2 != 0:
        raise RuntimeError("pad: pad must have an even number of entries, got " + str(len(pad)))
    dims = input.dim()
    if len(pad) > 2 * dims:
        raise RuntimeError(f"pad: pad must have at most {2 * dims} entries for an input of {dims} dims, got {len(pad)}")
    for i in range(0, len(pad), 2):
        dim = dims - 1 - i // 2
        size, before, after = input.size(dim), max(-pad[i], 0), max(-pad[i + 1], 0)
        last = mode in ["reflect", "replicate"]  # the crop comes last
        if size < before + after and not last:
            raise RuntimeError(f"pad: cannot crop {before} + {after} elements from dim {dim} of size {size}")
        _check_repeats_once(dim, size, size - before - after, pad[i], pad[i + 1], mode)
        if last and size + pad[i] + pad[i + 1] < 0:
            raise RuntimeError(f"pad: cannot crop {before} + {after} elements from dim {dim} of size {size}")


def _check_repeats_once(dim: int, size: int, left: int, before: int, after: int, mode: str) -> None:
    # A text with sizes in it is made only where it is raised: it makes them constants of a graph.
    if mode == "constant" or (before <= 0 and after <= 0):
        return
    if mode == "reflect" and (before >= size or after >= size):
        raise RuntimeError(
            f"pad: dim {dim} of size {size} cannot be reflected by ({before}, {after}): both must be less than its size"
        )
    if mode == "circular" and (before > left or after > left):
        raise RuntimeError(
            f"pad: dim {dim} of size {size} cannot be wrapped by ({before}, {after}): both must be at most the {left}"
            " elements to wrap"
        )
    if mode == "replicate" and size == 0:
        raise RuntimeError(
            f"pad: dim {dim} of size {size} cannot be replicated by ({before}, {after}): it has no element to repeat"
        )
