"""Layers: the crops that torch.nn lacks."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch._jit_internal import is_scripting
from torch.compiler import is_exporting

from torchcrop_fast import _check
from torchcrop_fast._scripted import center_start, draw_offsets, scripts_while_tracing
from torchcrop_fast.functional import center_crop, crop, crop_at, crop_mirror_normalize, pad

__all__ = ["CenterCrop", "Crop1d", "Crop2d", "Crop3d", "CropMirrorNormalize", "RandomCrop"]


class _Crop(nn.Module):
    """A crop of the last dimensions, as many as the subclass says."""

    __constants__ = ["cropping"]
    _dims: int
    cropping: tuple[int, ...]

    def __init__(self, cropping: int | Sequence[int] | Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.cropping = _torch_order(type(self).__name__, self._dims, cropping)

    def forward(self, input: Tensor) -> Tensor:
        return crop(input, self.cropping)

    def extra_repr(self) -> str:
        return f"{self.cropping}"


class Crop1d(_Crop):
    """Take elements off the ends of the last dimension: ``Crop1d(c)`` is ``ZeroPad1d(-c)``.

    Args:
        cropping: An int for both ends, or ``(left, right)``, in elements. Negative entries add zeros.

    Shape:
        ``(..., W)`` to ``(..., W - left - right)``.

    Attributes:
        cropping (tuple[int, int]): ``(left, right)``.

    Example:
        >>> Crop1d((1, 2))(torch.arange(6))
        tensor([1, 2, 3])
    """

    _dims = 1


class Crop2d(_Crop):
    """Take elements off the sides of the last two dimensions: ``Crop2d(c)`` is ``ZeroPad2d(-c)``.

    Args:
        cropping: An int for all sides; or torch's order, ``(left, right, top, bottom)``; or pairs as Keras has them,
            ``((top, bottom), (left, right))``; in elements. Negative entries add zeros. A flat pair is refused: Keras
            reads it as (height, width), torch as (left, right).

    Shape:
        ``(..., H, W)`` to ``(..., H - top - bottom, W - left - right)``.

    Attributes:
        cropping (tuple[int, int, int, int]): ``(left, right, top, bottom)``.

    Raises:
        ValueError: If ``cropping`` is of another length.
        TypeError: If it is, or holds, something else than ints.

    Example:
        >>> Crop2d(((2, 2), (4, 4)))
        Crop2d((4, 4, 2, 2))
        >>> Crop2d(4)(torch.rand(10, 1, 28, 28)).shape
        torch.Size([10, 1, 20, 20])
    """

    _dims = 2


class Crop3d(_Crop):
    """Take elements off the sides of the last three dimensions: ``Crop3d(c)`` is ``ZeroPad3d(-c)``.

    Args:
        cropping: An int for all sides; or torch's order, ``(left, right, top, bottom, front, back)``; or pairs as Keras
            has them, ``((front, back), (top, bottom), (left, right))``; in elements. Negative entries add zeros.

    Shape:
        ``(..., D, H, W)`` to ``(..., D - front - back, H - top - bottom, W - left - right)``.

    Attributes:
        cropping (tuple[int, ...]): ``(left, right, top, bottom, front, back)``.

    Raises:
        ValueError: If ``cropping`` is of another length.
        TypeError: If it is, or holds, something else than ints.

    Example:
        >>> Crop3d(((0, 0), (1, 1), (2, 2)))(torch.rand(2, 1, 8, 16, 16)).shape
        torch.Size([2, 1, 8, 14, 12])
    """

    _dims = 3


def _torch_order(layer: str, dims: int, cropping: int | Sequence[int] | Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Bring all that a Crop layer takes into torch's order."""
    names = ["left", "right", "top", "bottom", "front", "back"][: 2 * dims]
    pairs = [f"({names[i]}, {names[i + 1]})" for i in range(0, len(names), 2)]
    flat_or_pairs = f"({', '.join(names)})" + (f" or ({', '.join(reversed(pairs))})" if dims > 1 else "")
    expected = f"an int{',' if dims > 1 else ' or'} {flat_or_pairs}"
    wrong = f"{layer}: cropping must be {expected}, got {cropping!r}"
    try:
        if isinstance(cropping, (str, bytes)):
            raise TypeError
        if not isinstance(cropping, Sequence):
            return (_check.int64(cropping),) * (2 * dims)
        if all(isinstance(entry, Sequence) and not isinstance(entry, (str, bytes)) for entry in cropping):
            keras = cast(Sequence[Sequence[int]], cropping)
            if len(keras) != dims or any(len(pair) != 2 for pair in keras):
                raise ValueError(wrong)
            return tuple(_check.int64(entry) for pair in reversed(keras) for entry in pair)
        flat = tuple(_check.int64(entry) for entry in cast(Sequence[int], cropping))
    except TypeError:
        raise TypeError(wrong) from None
    if len(flat) == 2 and dims > 1:
        first, second = flat
        raise ValueError(
            f"{layer}: cropping {cropping!r} has two readings: for (height, width) as in Keras write"
            f" {((0, 0),) * (dims - 2) + ((first, first), (second, second))}, for (left, right) as in torch write"
            f" {flat + (0,) * (2 * dims - 2)}"
        )
    if len(flat) != 2 * dims:
        raise ValueError(wrong)
    return flat


class CenterCrop(nn.Module):
    """Crop the middle out of the last dimensions, zero-padding what is smaller: torchvision's ``CenterCrop``.

    Args:
        size: The result's last sizes, ``(H, W)`` or for any number of dimensions; an int or a sequence of one is a
            square of two.
        rounding: Which side loses the odd element, see :func:`torchcrop_fast.functional.center_crop`.

    Shape:
        ``(..., H_in, W_in)`` to ``(..., H, W)``.

    Raises:
        ValueError: If a size is negative, or ``rounding`` is unknown.
        TypeError: If ``size`` is, or holds, something else than ints.

    Example:
        >>> CenterCrop(20)(torch.rand(10, 1, 28, 28)).shape
        torch.Size([10, 1, 20, 20])
    """

    __constants__ = ["rounding", "size"]
    size: tuple[int, ...]
    rounding: str

    def __init__(self, size: int | Sequence[int], rounding: str = "torchvision") -> None:
        super().__init__()
        self.size = tuple(_entries("CenterCrop: size must be an int or a sequence of ints", size))
        if len(self.size) == 1:
            self.size *= 2
        self.rounding = rounding
        self.forward(torch.empty([1] * len(self.size), device="meta"))  # raises where size or rounding is wrong

    def forward(self, input: Tensor) -> Tensor:
        return center_crop(input, self.size, self.rounding)

    def extra_repr(self) -> str:
        return f"size={self.size}" + (f", rounding='{self.rounding}'" if self.rounding != "torchvision" else "")


class RandomCrop(nn.Module):
    """Crop every image of a batch at a random place of its own: torchvision's ``RandomCrop``, sample by sample.

    In training, the places are drawn uniformly among those within the padded input. In evaluation the center is
    cropped, rounded as by torchvision and never flipped; where the input is smaller, the border shows on both sides. No
    padded input is ever made.

    With one seed, all ranks of a distributed training draw the same places. Give each rank a ``generator`` or, once
    the model is made, a default generator with a seed of its own, as ``rank`` is. (DTensors need one seed on all ranks,
    see :mod:`torchcrop_fast.distributed`.)

    To crop masks or boxes like their images, draw first: ``offsets, flip = layer.sample(images)``, then
    ``layer(images, offsets, flip)`` and ``layer(masks, offsets, flip)``.

    Args:
        size: The result's ``(h, w)``; an int or a sequence of one is a square.
        padding: How far outside of the input a window may reach, in elements: an int for all sides, ``(left/right,
            top/bottom)`` or ``(left, top, right, bottom)``. None is 0.
        pad_if_needed: Whether to pad an input that, padded, is still smaller than ``size`` by what is missing, on both
            sides. Else that is an error.
        fill: What a constant border holds: a number that the input's dtype can hold.
        padding_mode: What lies outside: ``"constant"``, ``"edge"``, ``"reflect"`` or ``"symmetric"``.
        flip: The probability of each image to be mirrored left to right.
        generator: What to draw from: a ``torch.Generator`` of the input's device. Default: torch's default generator of
            that device. A copied or pickled layer has a generator of its own, in the same state; ``state_dict()`` holds
            none. A scripted layer that has one can't be saved; ``torch.compile`` draws outside of its graphs.

    Attributes:
        generator (torch.Generator | None): As given.

    Shape:
        - input: ``(N, ..., H, W)``, or one image ``(C, H, W)``, of any dtype.
        - offsets: int64 ``(N, 2)``, or ``(2)`` for one image: the input's ``(y, x)`` of each window's first element.
          ``(N, K, 2)`` takes K crops of each image.
        - flip: bool ``(N)``, or ``()`` for one image, or as :func:`torchcrop_fast.functional.crop_at` takes it.
        - output: ``(N, ..., h, w)``, ``(C, h, w)``, or ``(N, K, ..., h, w)``.

    What is not given is drawn in training; in evaluation, given offsets and flips count as well.

    Raises:
        ValueError: If an argument is out of its range, or ``size`` is larger than the padded input in training.
        RuntimeError: If ``generator`` is of another device than the input.
        TypeError: If an argument is of a wrong type.

    Example:
        >>> layer = RandomCrop(28, padding=2, flip=0.5)
        >>> images, masks = torch.rand(8, 3, 28, 28), torch.ones(8, 1, 28, 28)
        >>> offsets, flip = layer.sample(images)
        >>> layer(images, offsets, flip).shape, layer(masks, offsets, flip).shape
        (torch.Size([8, 3, 28, 28]), torch.Size([8, 1, 28, 28]))
        >>> torch.equal(layer.eval()(images), images)
        True
    """

    __constants__ = ["fill", "flip", "pad_if_needed", "padding", "padding_mode", "size"]
    size: tuple[int, int]
    padding: tuple[int, int, int, int]
    pad_if_needed: bool
    fill: complex
    padding_mode: str
    flip: float
    generator: torch.Generator | None

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: complex = 0,
        padding_mode: str = "constant",
        *,
        flip: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        sizes = _entries("RandomCrop: size must be an int or (height, width)", size, (1, 2))
        self.size = (sizes[0], sizes[-1])
        if min(self.size) <= 0:
            raise ValueError(f"RandomCrop: size must be positive, got {size!r}")
        expected = "RandomCrop: padding must be an int, (left/right, top/bottom) or (left, top, right, bottom)"
        sides = _entries(expected, 0 if padding is None else padding, (1, 2, 4))
        left, top, right, bottom = sides * (4 // len(sides))
        self.padding = (left, top, right, bottom)
        if not isinstance(fill, (int, float, complex)):
            raise TypeError(f"RandomCrop: fill must be a number, got {fill!r}")
        _check.text("RandomCrop", "padding_mode", padding_mode)
        if padding_mode not in _BORDERS:
            modes = ", ".join(f"'{mode}'" for mode in _BORDERS)
            raise ValueError(f"RandomCrop: padding_mode must be one of {modes}, got {padding_mode!r}")
        if isinstance(flip, bool) or not isinstance(flip, (int, float)):
            raise TypeError(f"RandomCrop: flip must be a probability, got {flip!r}")
        if not 0 <= flip <= 1:
            raise ValueError(f"RandomCrop: flip must be a probability, from 0 to 1, got {flip!r}")
        _check.flag("RandomCrop", "pad_if_needed", pad_if_needed)
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode
        self.flip = float(flip)
        if generator is not None and not isinstance(generator, torch.Generator):
            name = type(generator).__name__
            raise TypeError(f"RandomCrop: generator must be a torch.Generator or None, got {name}")
        self.generator = generator

    @torch.jit.export
    def sample(self, input: Tensor) -> tuple[Tensor, Tensor | None]:
        """Draw what :meth:`forward` takes for an input of this shape and device: offsets, and flips or None."""
        return _draw(input, self.size, self.padding, self.pad_if_needed, self.flip, generator=self.generator)

    def forward(self, input: Tensor, offsets: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
        if self.training:
            offsets, flip = _draw(
                input, self.size, self.padding, self.pad_if_needed, self.flip, offsets, flip, self.generator
            )
        return self._crop(input, offsets, flip)

    def _crop(self, input: Tensor, offsets: Tensor | None, flip: Tensor | None) -> Tensor:
        return _crop_each(input, offsets, flip, self.size, self.fill, self.padding_mode)

    def extra_repr(self) -> str:
        options = {
            "padding": (self.padding, (0, 0, 0, 0)),
            "pad_if_needed": (self.pad_if_needed, False),
            "fill": (self.fill, 0),
            "padding_mode": (self.padding_mode, "constant"),
            "flip": (self.flip, 0.0),
        }
        shown = [f"{name}={value!r}" for name, (value, usual) in options.items() if value != usual]
        if self.generator is not None:
            shown.append(f"generator=torch.Generator('{self.generator.device}')")
        return ", ".join([f"size={self.size}", *shown])


class CropMirrorNormalize(nn.Module):
    """Crop, mirror and normalize images in one pass: the preprocessing that a deployed model starts with.

    Args:
        size: The result's ``(h, w)``; an int is a square.
        mean: A number for each channel, of pixels in 0 to 1 for uint8 images.
        std: A number for each channel, not 0.
        dtype: The result's: float32, float16 or bfloat16.
        layout: ``"CHW"`` or ``"HWC"``: the order of the input's dimensions.
        memory_format: The result's: ``torch.contiguous_format`` or ``torch.channels_last``.
        padding_mode: What lies outside, as :func:`torchcrop_fast.functional.crop_at` names it.
        fill: What a constant border holds, in units of the input: a number, or one for each channel.

    Shape:
        - input: ``(N, C, H, W)`` or ``(N, H, W, C)``, or one image without ``N``, of uint8 or a float dtype.
        - offsets: int64 ``(N, 2)`` or ``(N, K, 2)``, ``(2)`` for one image; None is the center.
        - flip: bool ``(N)`` or ``(N, K)``, ``()`` for one image; None is none.
        - output: ``(N, C, h, w)``, ``(N, K, C, h, w)`` or ``(C, h, w)``.

    Raises:
        RuntimeError: If an argument is out of its range, or ``mean``, ``std`` and ``fill`` are of different lengths.
        ValueError: If ``size`` or ``memory_format`` is none of those above.
        TypeError: If an argument is of a wrong type, or holds something else than numbers.

    Source: :func:`torchcrop_fast.functional.crop_mirror_normalize`.

    Example:
        >>> layer = CropMirrorNormalize(224, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], layout="HWC")
        >>> layer(torch.zeros(2, 256, 300, 3, dtype=torch.uint8)).shape
        torch.Size([2, 3, 224, 224])
    """

    __constants__ = ["channels_last", "dtype", "layout", "padding_mode"]
    size: list[int]
    mean: list[float]
    std: list[float]
    fill: list[float]

    def __init__(
        self,
        size: int | Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        dtype: torch.dtype = torch.float32,
        layout: str = "CHW",
        memory_format: torch.memory_format = torch.contiguous_format,
        padding_mode: str = "constant",
        fill: float | Sequence[float] = 0.0,
    ) -> None:
        super().__init__()
        sizes = _entries("CropMirrorNormalize: size must be an int or (height, width)", size, (1, 2))
        self.size = [sizes[0], sizes[-1]]
        self.mean, self.std, self.fill = _check.normalization("CropMirrorNormalize", mean, std, fill)
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"CropMirrorNormalize: dtype must be a torch.dtype, got {dtype!r}")
        _check.text("CropMirrorNormalize", "layout", layout)
        _check.text("CropMirrorNormalize", "padding_mode", padding_mode)
        if not isinstance(memory_format, torch.memory_format):
            raise TypeError(f"CropMirrorNormalize: memory_format must be a torch.memory_format, got {memory_format!r}")
        self.dtype = dtype
        self.layout = layout
        self.channels_last = memory_format == torch.channels_last  # TorchScript keeps no memory format
        self.padding_mode = padding_mode
        # Validate now, not at the first image.
        channels = len(self.mean)
        shape = (0, 1, 1, channels) if layout == "HWC" else (0, channels, 1, 1)
        self(torch.empty(shape, dtype=torch.uint8))
        if memory_format not in (torch.contiguous_format, torch.channels_last):
            raise ValueError(
                "CropMirrorNormalize: memory_format must be torch.contiguous_format or torch.channels_last,"
                f" got {memory_format}"
            )

    def forward(self, input: Tensor, offsets: Tensor | None = None, flip: Tensor | None = None) -> Tensor:
        return _normalize_each(
            input,
            offsets,
            flip,
            self.size,
            self.mean,
            self.std,
            self.dtype,
            self.layout,
            self.channels_last,
            self.padding_mode,
            self.fill,
        )

    def extra_repr(self) -> str:
        options = [f"size={tuple(self.size)}", f"mean={self.mean}", f"std={self.std}"]
        usual = {"dtype": torch.float32, "layout": "CHW", "padding_mode": "constant", "fill": [0.0]}
        options += [f"{name}={getattr(self, name)!r}" for name in usual if getattr(self, name) != usual[name]]
        return ", ".join(options + ["memory_format=torch.channels_last"] * self.channels_last)


@torch.fx.wrap
def _normalize_each(
    input: Tensor,
    offsets: Tensor | None,
    flip: Tensor | None,
    size: list[int],
    mean: list[float],
    std: list[float],
    dtype: torch.dtype,
    layout: str,
    channels_last: bool,
    padding_mode: str,
    fill: list[float],
) -> Tensor:
    """Normalize the windows of a batch, or of one image."""
    if not is_scripting():
        _check_tensors("CropMirrorNormalize", input, offsets, flip)
    one = input.dim() == 3
    if one:
        input = input.unsqueeze(0)
        offsets = None if offsets is None else offsets.unsqueeze(0)
        flip = None if flip is None else flip.unsqueeze(0)
    result = crop_mirror_normalize(
        input,
        offsets,
        size,
        mean=mean,
        std=std,
        flip=flip,
        dtype=dtype,
        layout=layout,
        memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        padding_mode=padding_mode,
        fill=fill,
    )
    return result.squeeze(0) if one else result


def _check_tensors(layer: str, input: object, offsets: object, flip: object) -> None:
    _check.tensor(layer, "input", input)
    _check.optional_tensor(layer, "offsets", offsets)
    _check.optional_tensor(layer, "flip", flip)


_BORDERS = ("constant", "edge", "reflect", "symmetric")


def _entries(expected: str, value: int | Sequence[int], lengths: tuple[int, ...] | None = None) -> list[int]:
    """The ints of a value that is one, or a sequence of one of these lengths, or of any."""
    wrong = f"{expected}, got {value!r}"
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError
        entries = [_check.int64(entry) for entry in (value if isinstance(value, Sequence) else [value])]
    except TypeError:
        raise TypeError(wrong) from None
    if lengths is not None and len(entries) not in lengths:
        raise ValueError(wrong)
    return entries


def _batch_shape(input: Tensor) -> list[int]:
    """``(N,)``, or ``()`` of one image."""
    if not is_scripting():
        _check.tensor("RandomCrop", "input", input)
    if input.dim() < 3:
        raise ValueError(f"RandomCrop: input must have at least 3 dims, (C, H, W), got {input.dim()}")
    shape: list[int] = []
    if input.dim() > 3:
        shape.append(input.size(0))
    return shape


@scripts_while_tracing
def _draw_offsets_for(
    input: Tensor,
    size: tuple[int, int],
    padding: tuple[int, int, int, int],
    pad_if_needed: bool,
    generator: torch.Generator | None,
) -> Tensor:
    batch = _batch_shape(input)
    input_size = [input.size(-2), input.size(-1)]
    left, top, right, bottom = padding
    before, after = [top, left], [bottom, right]
    if pad_if_needed:
        for d in range(2):
            missing = max(0, size[d] - before[d] - input_size[d] - after[d])
            before[d] += missing
            after[d] += missing
    n = batch[0] if len(batch) > 0 else 1
    offsets = draw_offsets("RandomCrop", n, input_size, list(size), before, after, generator, input.device)
    return offsets if len(batch) > 0 else offsets.squeeze(0)


@scripts_while_tracing
def _draw_flip_for(input: Tensor, probability: float, generator: torch.Generator | None) -> Tensor:
    batch = _batch_shape(input)
    if generator is None:  # this overload also takes symbolic sizes
        return torch.rand(batch, dtype=torch.float32, device=input.device) < probability
    return torch.rand(batch, generator=generator, dtype=torch.float32, device=input.device) < probability


@torch.fx.wrap
def _draw(
    input: Tensor,
    size: tuple[int, int],
    padding: tuple[int, int, int, int],
    pad_if_needed: bool,
    flip_probability: float,
    offsets: Tensor | None = None,
    flip: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Draw the offsets and flips that are not given."""
    if offsets is None:
        offsets = _draw_offsets_for(input, size, padding, pad_if_needed, generator)
    if flip is None and flip_probability > 0:
        flip = _draw_flip_for(input, flip_probability, generator)
    return offsets, flip


def _fits(size: tuple[int, int], height: int, width: int) -> bool:
    """Whether windows show no border; of an export's open sizes, whether they never do."""
    if not is_scripting():
        return _is_true(size[0] <= height) and _is_true(size[1] <= width)
    return size[0] <= height and size[1] <= width


def _is_true(condition: bool) -> bool:
    if not is_exporting():
        return condition
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # slow to import

    return statically_known_true(condition)


@torch.fx.wrap
@scripts_while_tracing
def _crop_each(
    input: Tensor,
    offsets: Tensor | None,
    flip: Tensor | None,
    size: tuple[int, int],
    fill: int | float | complex,
    padding_mode: str,
) -> Tensor:
    """Crop at the offsets, or at the center."""
    if not is_scripting():
        _check_tensors("RandomCrop", input, offsets, flip)
    batch = _batch_shape(input)
    if offsets is None:
        available_height, available_width = input.size(-2), input.size(-1)
        height, width = size
        y = center_start(available_height, height, "torchvision")
        x = center_start(available_width, width, "torchvision")
        if flip is None and (padding_mode == "constant" or _fits(size, available_height, available_width)):
            # One window for all: faster, and graphs hold ATen's ops alone.
            return pad(input, [-x, x + width - available_width, -y, y + height - available_height], value=fill)
        ys = torch.full(batch, y, dtype=torch.int64, device=input.device)
        xs = torch.full(batch, x, dtype=torch.int64, device=input.device)
        offsets = torch.stack([ys, xs], dim=-1)
    border = "replicate" if padding_mode == "edge" else padding_mode
    if len(batch) > 0:
        return crop_at(input, offsets, list(size), flip=flip, padding_mode=border, fill=fill)
    if offsets.dim() != 1:
        raise ValueError(
            f"RandomCrop: offsets must be of shape [2] for one image (C, H, W), got {list(offsets.shape)};"
            " a batch is (N, C, H, W)"
        )
    flips = None if flip is None else flip.unsqueeze(0)
    images = input.unsqueeze(0)
    return crop_at(images, offsets.unsqueeze(0), list(size), flip=flips, padding_mode=border, fill=fill).squeeze(0)
