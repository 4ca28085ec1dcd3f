"""What we must match: cropping by ``nn.ZeroPad2d`` with negative padding, as "Cropping layers with PyTorch" does."""

from collections.abc import Callable

from torch import Tensor, nn


class ZeroPadCrop2d(nn.Module):
    """Crop the last two dimensions by :class:`torch.nn.ZeroPad2d` with negative padding.

    Args:
        cropping: Elements to take off each side.

    Shape:
        ``(..., H, W)`` to ``(..., H - 2 * cropping, W - 2 * cropping)``.

    Example:
        >>> import torch
        >>> ZeroPadCrop2d(4)(torch.rand(10, 1, 28, 28)).shape
        torch.Size([10, 1, 20, 20])
    """

    def __init__(self, cropping: int) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d(-cropping)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.pad(input)
        return output


class CroppingNetwork(nn.Module):
    """The article's network: four pads by -1, one behind the other, turn 28 x 28 digits into 20 x 20.

    Args:
        pad: Makes a layer from a padding: ``nn.ZeroPad2d``, as in the article, or a drop-in for it.

    Shape:
        ``(..., H, W)`` to ``(..., H - 8, W - 8)``.

    Example:
        >>> import torch
        >>> CroppingNetwork()(torch.rand(10, 1, 28, 28)).shape
        torch.Size([10, 1, 20, 20])
    """

    def __init__(self, pad: Callable[[int], nn.Module] = nn.ZeroPad2d) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(pad(-1) for _ in range(4)))

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.layers(input)
        return output
