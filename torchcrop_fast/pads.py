"""Layers: torch.nn's pads over our kernel."""

import torch
from torch import nn

from torchcrop_fast.functional import pad

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _Pad(nn.modules.padding._ConstantPadNd):
    """The forward pass of torch.nn's constant pads, over our kernel."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
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


class _Reflection(nn.modules.padding._ReflectionPadNd):
    """The forward pass of torch.nn's reflection pads, over our kernel."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return pad(input, self.padding, "reflect")


class ReflectionPad1d(_Reflection, nn.ReflectionPad1d):
    """Mirror the ends of the last dimension (``cb abc ba``): a drop-in for :class:`torch.nn.ReflectionPad1d`.

    Args:
        padding: An int for both ends, or ``(left, right)``, in elements. Negative entries crop.

    Shape:
        ``(..., W)`` to ``(..., left + W + right)``.

    Example:
        >>> ReflectionPad1d((2, 1))(torch.tensor([1, 2, 3]))
        tensor([3, 2, 1, 2, 3, 2])
    """


class ReflectionPad2d(_Reflection, nn.ReflectionPad2d):
    """Mirror the ends of the last two dimensions (``cb abc ba``): a drop-in for :class:`torch.nn.ReflectionPad2d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom)``, in elements. Negative entries crop.

    Shape:
        ``(..., H, W)`` to ``(..., top + H + bottom, left + W + right)``.

    Example:
        >>> ReflectionPad2d((1, 1, 2, 2))(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 36, 34])
    """


class ReflectionPad3d(_Reflection, nn.ReflectionPad3d):
    """Mirror the ends of the last three dimensions (``cb abc ba``): a drop-in for :class:`torch.nn.ReflectionPad3d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom, front, back)``. Negative entries crop.

    Shape:
        ``(..., D, H, W)`` to ``(..., front + D + back, top + H + bottom, left + W + right)``.

    Example:
        >>> ReflectionPad3d(1)(torch.rand(2, 1, 8, 16, 16)).shape
        torch.Size([2, 1, 10, 18, 18])
    """


class _Replication(nn.modules.padding._ReplicationPadNd):
    """The forward pass of torch.nn's replication pads, over our kernel."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return pad(input, self.padding, "replicate")


class ReplicationPad1d(_Replication, nn.ReplicationPad1d):
    """Repeat the edges of the last dimension (``aa abc cc``): a drop-in for :class:`torch.nn.ReplicationPad1d`.

    Args:
        padding: An int for both ends, or ``(left, right)``, in elements. Negative entries crop.

    Shape:
        ``(..., W)`` to ``(..., left + W + right)``.

    Example:
        >>> ReplicationPad1d((2, 1))(torch.tensor([1, 2, 3]))
        tensor([1, 1, 1, 2, 3, 3])
    """


class ReplicationPad2d(_Replication, nn.ReplicationPad2d):
    """Repeat the edges of the last two dimensions (``aa abc cc``): a drop-in for :class:`torch.nn.ReplicationPad2d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom)``, in elements. Negative entries crop.

    Shape:
        ``(..., H, W)`` to ``(..., top + H + bottom, left + W + right)``.

    Example:
        >>> ReplicationPad2d((1, 1, 2, 2))(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 36, 34])
    """


class ReplicationPad3d(_Replication, nn.ReplicationPad3d):
    """Repeat the edges of the last three dimensions (``aa abc cc``): a drop-in for :class:`torch.nn.ReplicationPad3d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom, front, back)``. Negative entries crop.

    Shape:
        ``(..., D, H, W)`` to ``(..., front + D + back, top + H + bottom, left + W + right)``.

    Example:
        >>> ReplicationPad3d(1)(torch.rand(2, 1, 8, 16, 16)).shape
        torch.Size([2, 1, 10, 18, 18])
    """


class _Circular(nn.modules.padding._CircularPadNd):
    """The forward pass of torch.nn's circular pads, over our kernel."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return pad(input, self.padding, "circular")


class CircularPad1d(_Circular, nn.CircularPad1d):
    """Wrap around the ends of the last dimension (``bc abc ab``): a drop-in for :class:`torch.nn.CircularPad1d`.

    Args:
        padding: An int for both ends, or ``(left, right)``, in elements. Negative entries crop.

    Shape:
        ``(..., W)`` to ``(..., left + W + right)``.

    Example:
        >>> CircularPad1d((2, 1))(torch.tensor([1, 2, 3]))
        tensor([2, 3, 1, 2, 3, 1])
    """


class CircularPad2d(_Circular, nn.CircularPad2d):
    """Wrap around the ends of the last two dimensions (``bc abc ab``): a drop-in for :class:`torch.nn.CircularPad2d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom)``, in elements. Negative entries crop.

    Shape:
        ``(..., H, W)`` to ``(..., top + H + bottom, left + W + right)``.

    Example:
        >>> CircularPad2d((1, 1, 2, 2))(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 36, 34])
    """


class CircularPad3d(_Circular, nn.CircularPad3d):
    """Wrap around the ends of the last three dimensions (``bc abc ab``): a drop-in for :class:`torch.nn.CircularPad3d`.

    Args:
        padding: An int for all sides, or ``(left, right, top, bottom, front, back)``. Negative entries crop.

    Shape:
        ``(..., D, H, W)`` to ``(..., front + D + back, top + H + bottom, left + W + right)``.

    Example:
        >>> CircularPad3d(1)(torch.rand(2, 1, 8, 16, 16)).shape
        torch.Size([2, 1, 10, 18, 18])
    """
