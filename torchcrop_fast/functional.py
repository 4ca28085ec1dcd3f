"""Windows onto tensors, as functions.

In eager mode and in TorchScript each runs our kernel. Under ``torch.compile``, ``torch.export`` and all that builds on
them ``pad`` and ``crop`` trace ATen's ops instead, which fuse, need no library at run time, and give no exporter a
negative pad.
"""

from collections.abc import Sequence
from types import NoneType
from typing import Any, cast

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling, is_exporting
from torch.fx._symbolic_trace import is_fx_symbolic_tracing
from torch.overrides import handle_torch_function, has_torch_function_unary

from torchcrop_fast import _C, _check, _eager, _scripted
from torchcrop_fast._scripted import center_pads, center_start, scripts_as, scripts_while_tracing

__all__ = ["center_crop", "crop", "crop_at", "crop_mirror_normalize", "five_crop", "pad", "random_offsets", "ten_crop"]


@scripts_as(_scripted.pad)
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
    padded: Tensor = NotImplemented
    if not is_dynamo_compiling():
        padded = _C.pad(input, pad, mode, value, out)
    elif (
        out is None
        and type(input) is Tensor
        and type(pad) in (tuple, list)
        and all(type(entry) is int for entry in pad)
        and type(mode) is str
        and type(value) in (NoneType, int, float)
        and not is_exporting()
    ):  # a short way, since what is decided in Python, a graph checks again at each call
        padded = torch.ops.torchcrop_fast.pad(input, pad, mode, value)
    return padded if padded is not NotImplemented else _eager.pad(_pad, input, pad, mode, value, out)


_pad = pad  # which its argument hides


@scripts_as(_scripted.crop)
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
    cropped: Tensor = NotImplemented
    if copy is True and not is_dynamo_compiling():
        cropped = _C.crop(input, cropping, out)
    elif copy is True and out is None and type(cropping) in (tuple, list) and all(type(c) is int for c in cropping):
        return _pad(input, [-entry for entry in cropping])
    return cropped if cropped is not NotImplemented else _eager.crop(crop, input, cropping, out, copy)


@scripts_as(_scripted.crop_at)
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
        cropped: Tensor = _C.crop_at(input, offsets, size, flip, padding_mode, fill, out)
        if cropped is not NotImplemented:
            return cropped
    return _eager.crop_at(crop_at, input, offsets, size, flip, padding_mode, fill, out)


@scripts_as(_scripted.crop_mirror_normalize)
def crop_mirror_normalize(
    input: Tensor,
    offsets: Tensor | None,
    size: Sequence[int],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    flip: Tensor | None = None,
    dtype: torch.dtype | None = None,
    layout: str = "CHW",
    memory_format: torch.memory_format | None = None,
    padding_mode: str = "constant",
    fill: float | Sequence[float] = 0.0,
    out: Tensor | None = None,
) -> Tensor:
    r"""Crop every image at its own place, mirror it, and normalize it to ``(x - mean) / std``, in one pass over memory.

    The result is that of torchvision's ``crop``, ``horizontal_flip``, ``to_dtype(scale=True)`` and ``normalize``, one
    after the other: uint8 pixels are divided by 255 first, floats are not.

    Args:
        input: A batch of images in uint8, float16, bfloat16 or float32: ``(N, C, H, W)``, or ``(N, H, W, C)`` with
            ``layout="HWC"``; of any strides and number of channels.
        offsets: As for :func:`crop_at`: int64 ``(N, 2)`` or ``(N, K, 2)``, ``(y, x)``. None is the center, rounded as
            by torchvision.
        size: The windows' ``(h, w)``.
        mean: A number for each channel, in units of what is normalized: of pixels in 0 to 1 for uint8.
        std: A number for each channel, not 0.
        flip: Which windows to mirror, as for :func:`crop_at`. None is none.
        dtype: The result's: float32, float16 or bfloat16. None is float32.
        layout: ``"CHW"`` or ``"HWC"``: the order of the input's dimensions.
        memory_format: The result's: ``torch.contiguous_format`` or ``torch.channels_last``. None is contiguous.
        padding_mode: What lies outside, as for :func:`crop_at`.
        fill: What a constant border holds, before it is normalized like any pixel: a number, or one for each channel,
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
    arguments = (input, offsets, size, mean, std, flip, dtype, layout, memory_format, padding_mode, fill, out)
    if not is_dynamo_compiling():
        normalized: Tensor = _C.crop_mirror_normalize(*arguments)
        if normalized is not NotImplemented:
            return normalized
    return _eager.crop_mirror_normalize(crop_mirror_normalize, *arguments)


@scripts_as(_scripted.random_offsets)
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
    if is_fx_symbolic_tracing():  # has_torch_function() would heed modes, too
        given = [n, input_size, size, padding]
        given += [entry for entries in given if isinstance(entries, (list, tuple)) for entry in entries]
        if any(isinstance(entry, torch.fx.Proxy) for entry in given):
            options: dict[str, Any] = {"padding": padding, "generator": generator, "device": device}
            return handle_torch_function(random_offsets, given, n, input_size, size, **options)
    input_sizes = _check.ints("random_offsets", "input_size", input_size)
    sizes = _check.ints("random_offsets", "size", size)
    if isinstance(padding, (list, tuple)):
        around = _check.ints("random_offsets", "padding", padding)
    else:
        one = _check.integer("random_offsets", "padding", cast(int, padding), "an int or a list of ints")
        around = [one] * len(input_sizes)
    n = _check.integer("random_offsets", "n", n)
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"random_offsets: generator must be a Generator or None, got {type(generator).__name__}")
    if device is None and generator is not None:
        device = generator.device
    elif isinstance(device, (torch.device, str)):
        device = torch.device(device)
    elif device is not None:
        raise TypeError(f"random_offsets: device must be a torch.device, a str or None, got {type(device).__name__}")
    return _scripted.draw_offsets("random_offsets", n, input_sizes, sizes, around, around, generator, device)


@scripts_while_tracing
def _corners_and_center(function: str, input: Tensor, size: int | list[int], flip: bool, flip_dim: int) -> Tensor:
    """Crop at the corners and the center; with flip, then at those of the flipped image."""
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
    offsets[4, 0].fill_(center_start(height, entries[0], "torchvision"))
    offsets[4, 1].fill_(center_start(width, entries[1], "torchvision"))
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
    return _corners_and_center("five_crop", input, size, False, 1)


def _scripted_ten_crop(input: Tensor, size: int | list[int], vertical_flip: bool = False) -> Tensor:
    return _corners_and_center("ten_crop", input, size, True, 0 if vertical_flip else 1)


@scripts_as(_scripted_five_crop)
def five_crop(input: Tensor, size: int | Sequence[int]) -> Tensor:
    r"""Crop at the four corners and the center, in one pass: torchvision's ``five_crop``, as one tensor.

    Args:
        input: A batch ``(N, ..., H, W)`` or an image ``(C, H, W)``, of any dtype and strides.
        size: The crops' size, at most the input's: ``(h, w)``; an int or a sequence of one is a square.

    Returns:
        A tensor ``(N, 5, ..., h, w)``, or ``(5, C, h, w)`` of an image: top left, top right, bottom left, bottom right
        and, rounded as by torchvision, center.

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
    if not is_dynamo_compiling() and has_torch_function_unary(input):
        return handle_torch_function(five_crop, (input,), input, size)
    entries = size if isinstance(size, Sequence) else [size]
    _check.tensor("five_crop", "input", input)
    return _scripted_five_crop(input, _check.ints("five_crop", "size", entries))


@scripts_as(_scripted_ten_crop)
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
    if not is_dynamo_compiling() and has_torch_function_unary(input):
        return handle_torch_function(ten_crop, (input,), input, size, vertical_flip)
    entries = size if isinstance(size, Sequence) else [size]
    _check.tensor("ten_crop", "input", input)
    _check.flag("ten_crop", "vertical_flip", vertical_flip)
    return _scripted_ten_crop(input, _check.ints("ten_crop", "size", entries), vertical_flip)


@scripts_while_tracing
def _center_crop(input: Tensor, size: list[int], rounding: str = "torchvision") -> Tensor:
    return pad(input, center_pads(input, size, rounding))


@scripts_as(_center_crop)
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
    if not is_dynamo_compiling() and has_torch_function_unary(input):
        return handle_torch_function(center_crop, (input,), input, size, rounding)
    _check.tensor("center_crop", "input", input)
    _check.text("center_crop", "rounding", rounding)
    return _center_crop(input, _check.ints("center_crop", "size", size), rounding)
