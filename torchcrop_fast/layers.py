"""Layers: torch.nn's pads over our kernel, and the crops that torch.nn lacks."""

import operator
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from torchcrop_fast.functional import center_crop, crop, pad

__all__ = [
    "CenterCrop",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Crop1d",
    "Crop2d",
    "Crop3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(nn.modules.padding._ConstantPadNd):
    """The forward pass of torch.nn's constant pads, over our kernel."""

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, "constant", self.value)


class ConstantPad1d(_Pad, nn.ConstantPad1d):
    """Pad or crop the last dimension: a drop-in for :class:`torch.nn.ConstantPad1d`.

    Args:
        padding: An int for both ends, or ``(left, right)``, in elements. Negative entries crop.
        value: What the border holds.

    Shape:
        ``(..., W)`` to ``(..., left + W + right)``.

    Example:
        >>> ConstantPad1d((1, -2), 9.0)(torch.tensor([1.0, 2.0, 3.0]))
        tensor([9., 1.])
    """


class ConstantPad2d(_Pad, nn.ConstantPad2d):
    """Pad or crop the last two dimensions: a drop-in for :class:`torch.nn.ConstantPad2d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom)``, in elements. Negative entries crop.
        value: What the border holds.

    Shape:
        ``(..., H, W)`` to ``(..., top + H + bottom, left + W + right)``.

    Example:
        >>> ConstantPad2d((1, 1, -1, -1), 0.5)(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 30, 34])
    """


class ConstantPad3d(_Pad, nn.ConstantPad3d):
    """Pad or crop the last three dimensions: a drop-in for :class:`torch.nn.ConstantPad3d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom, front, back)``. Negative entries crop.
        value: What the border holds.

    Shape:
        ``(..., D, H, W)`` to ``(..., front + D + back, top + H + bottom, left + W + right)``.

    Example:
        >>> ConstantPad3d(-1, 0.0)(torch.rand(2, 1, 8, 16, 16)).shape
        torch.Size([2, 1, 6, 14, 14])
    """


class ZeroPad1d(_Pad, nn.ZeroPad1d):
    """Pad the last dimension with zeros, or crop it: a drop-in for :class:`torch.nn.ZeroPad1d`.

    Args:
        padding: An int for both ends, or ``(left, right)``, in elements. Negative entries crop.

    Shape:
        ``(..., W)`` to ``(..., left + W + right)``.

    Example:
        >>> ZeroPad1d((2, -1))(torch.tensor([1, 2, 3]))
        tensor([0, 0, 1, 2])
    """


class ZeroPad2d(_Pad, nn.ZeroPad2d):
    """Pad the last two dimensions with zeros, or crop them: a drop-in for :class:`torch.nn.ZeroPad2d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom)``, in elements. Negative entries crop.

    Shape:
        ``(..., H, W)`` to ``(..., top + H + bottom, left + W + right)``.

    Example:
        >>> ZeroPad2d(-4)(torch.rand(10, 1, 28, 28)).shape
        torch.Size([10, 1, 20, 20])
    """


class ZeroPad3d(_Pad, nn.ZeroPad3d):
    """Pad the last three dimensions with zeros, or crop them: a drop-in for :class:`torch.nn.ZeroPad3d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom, front, back)``. Negative entries crop.

    Shape:
        ``(..., D, H, W)`` to ``(..., front + D + back, top + H + bottom, left + W + right)``.

    Example:
        >>> ZeroPad3d((1, 1, 1, 1, -2, -2))(torch.rand(2, 1, 8, 16, 16)).shape
        torch.Size([2, 1, 4, 18, 18])
    """


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
            return (operator.index(cropping),) * (2 * dims)
        if all(isinstance(entry, Sequence) and not isinstance(entry, (str, bytes)) for entry in cropping):
            keras = cast(Sequence[Sequence[int]], cropping)
            if len(keras) != dims or any(len(pair) != 2 for pair in keras):
                raise ValueError(wrong)
            return tuple(operator.index(entry) for pair in reversed(keras) for entry in pair)
        flat = tuple(operator.index(entry) for entry in cast(Sequence[int], cropping))
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
        try:
            entries = tuple(size) if isinstance(size, Sequence) else (size,)
            self.size = tuple(operator.index(entry) for entry in entries)
        except TypeError:
            raise TypeError(f"CenterCrop: size must be an int or a sequence of ints, got {size!r}") from None
        if len(self.size) == 1:
            self.size *= 2
        self.rounding = rounding
        self.forward(torch.empty([1] * len(self.size), device="meta"))  # raises where size or rounding is wrong

    def forward(self, input: Tensor) -> Tensor:
        return center_crop(input, self.size, self.rounding)

    def extra_repr(self) -> str:
        return f"size={self.size}" + (f", rounding='{self.rounding}'" if self.rounding != "torchvision" else "")
