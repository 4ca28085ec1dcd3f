"""CenterCrop, RandomCrop and CropMirrorNormalize in torch's own ops, for runtimes that load no library."""

import torch
import torch.nn.functional as F
from torch import Tensor

from torchcrop_fast import layers
from torchcrop_fast._scripted import center_pads, center_start, scripts_while_tracing
from torchcrop_fast.layers import _fits

__all__ = ["CenterCrop", "CropMirrorNormalize", "RandomCrop"]


class CenterCrop(layers.CenterCrop):
    """What :class:`torchcrop_fast.CenterCrop` does."""

    def forward(self, input: Tensor) -> Tensor:
        return _crop_center(input, list(self.size), self.rounding)


class RandomCrop(layers.RandomCrop):
    """What :class:`torchcrop_fast.RandomCrop` does: the same draws, too."""

    def _crop(self, input: Tensor, offsets: Tensor | None, flip: Tensor | None) -> Tensor:
        return _crop_each(input, offsets, flip, self.size, self.fill, self.padding_mode)


class CropMirrorNormalize(layers.CropMirrorNormalize):
    """What :class:`torchcrop_fast.CropMirrorNormalize` does, up to the rounding of float32."""

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


@torch.fx.wrap
@scripts_while_tracing
def _crop_center(input: Tensor, size: list[int], rounding: str) -> Tensor:
    return F.pad(input, center_pads(input, size, rounding))


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
    fits = padding_mode == "constant" or _fits(size, input.size(-2), input.size(-1))
    if offsets is None and flip is None and fits:
        return torch.constant_pad_nd(input, center_pads(input, list(size), "torchvision"), fill)
    border = "replicate" if padding_mode == "edge" else padding_mode
    channels_last = (
        input.dim() == 4 and input.is_contiguous(memory_format=torch.channels_last) and not input.is_contiguous()
    )
    fills = torch.full([1, 1, 1], fill, dtype=input.dtype, device=input.device)
    return _windows(input, offsets, flip, list(size), border, fills, channels_last)


@torch.fx.wrap
@scripts_while_tracing
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
    images = input.movedim(-1, -3) if layout == "HWC" else input
    fills, means, stds = [
        torch.tensor(numbers, dtype=torch.float32, device=input.device).reshape(-1, 1, 1)
        for numbers in (fill, mean, std)
    ]
    pixels = _windows(images, offsets, flip, size, padding_mode, fills, channels_last)
    unit = 255.0 if input.dtype == torch.uint8 else 1.0
    return ((pixels / unit - means) / stds).to(dtype)


def _windows(
    input: Tensor,
    offsets: Tensor | None,
    flip: Tensor | None,
    size: list[int],
    border: str,
    fill: Tensor,
    channels_last: bool,
) -> Tensor:
    """The windows of a batch or of one image, in fill's dtype; fill is (C, 1, 1) or (1, 1, 1)."""
    one = input.dim() == 3
    images = input.unsqueeze(0) if one else input
    if offsets is None:
        center = [center_start(images.size(d - 2), size[d], "torchvision") for d in range(2)]
        starts = torch.stack([torch.full([images.size(0)], start, device=input.device) for start in center], dim=1)
    else:
        starts = offsets.unsqueeze(0) if one else offsets
    flips = flip.unsqueeze(0) if flip is not None and one else flip
    if flips is not None and flips.dim() < starts.dim():  # of the last dimension alone
        flips = torch.stack([torch.zeros_like(flips), flips], dim=-1)
    several = starts.dim() == 3
    if not several:
        starts = starts.unsqueeze(1)
        flips = None if flips is None else flips.unsqueeze(1)

    shape = list(starts.shape)[:2] + list(images.shape)[1:-2] + size
    format = torch.channels_last if channels_last else torch.contiguous_format
    windows = _gather(images.flatten(1, -3), starts, flips, size, border, fill)
    windows = windows.flatten(0, 1).contiguous(memory_format=format).reshape(shape)
    windows = windows if several else windows.squeeze(1)
    return windows.squeeze(0) if one else windows


def _gather(images: Tensor, starts: Tensor, flips: Tensor | None, size: list[int], border: str, fill: Tensor) -> Tensor:
    """Windows (N, K, C, h, w) of images (N, C, H, W), from starts and flips (N, K, 2)."""
    y, y_inside = _shown(starts, flips, 0, size[0], images.size(2), border)
    x, x_inside = _shown(starts, flips, 1, size[1], images.size(3), border)
    if border == "constant" and images.size(2) * images.size(3) == 0:
        images = torch.constant_pad_nd(images, [0, 1, 0, 1])  # something to index, never shown
    n = torch.arange(images.size(0), device=images.device).reshape(-1, 1, 1, 1)
    shown = images[n, :, y.unsqueeze(3), x.unsqueeze(2)].permute(0, 1, 4, 2, 3).to(fill.dtype)
    if border != "constant":
        return shown
    return torch.where((y_inside.unsqueeze(3) & x_inside.unsqueeze(2)).unsqueeze(2), shown, fill)


def _shown(
    starts: Tensor, flips: Tensor | None, dim: int, size: int, available: int, border: str
) -> tuple[Tensor, Tensor]:
    """Which index of a dimension windows show, (N, K, size), and whether it lies within."""
    start = starts[:, :, dim].unsqueeze(2)
    place = torch.arange(size, device=starts.device)
    if flips is not None:
        place = torch.where(flips[:, :, dim].unsqueeze(2), size - 1 - place, place)
    period = 0
    if border == "circular":
        period = available
    elif border == "symmetric":
        period = 2 * available
    elif border == "reflect":
        period = 2 * available - 2
    if period <= 0:
        index = start.clamp(-size, available) + place
        return index.clamp(0, max(available - 1, 0)), (index >= 0) & (index < available)
    index = (start.remainder(period) + place).remainder(period)
    if border != "circular":
        index = torch.minimum(index, (period if border == "reflect" else period - 1) - index)
    return index, torch.ones_like(index, dtype=torch.bool)
