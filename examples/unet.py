"""Train the original U-Net on synthetic blobs: valid convolutions, whose skips our Crop2d cuts to size.

``python examples/unet.py`` takes seconds; the progress bar needs tqdm. ``--channels 64 --size 572`` is the network of
Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", with results of 388 x 388.
"""

import argparse
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import trange

import torchcrop_fast as tcf

CROPPED = (4, 16, 40, 88)  # off each side of a skip, from the deepest one: the same whatever the image's size
MARGIN = 92  # what the network takes off each side of an image


def two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3 x 3 convolutions without padding: 4 rows and 4 columns less."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.Conv2d(outputs, outputs, 3), nn.ReLU())


class UNet(nn.Module):
    """Of images (N, 1, H, W) the scores (N, 2, H - 184, W - 184) of background and blob; sizes are 188 + 16 n."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(5)]
        self.down = nn.ModuleList(map(two_convolutions, [1, *widths], widths))
        steps = list(pairwise(widths[::-1]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(*step, 2, stride=2) for step in steps)
        self.crop = nn.ModuleList(map(tcf.Crop2d, CROPPED))
        self.merge = nn.ModuleList(two_convolutions(*step) for step in steps)
        self.score = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = [self.down[0](x)]
        for convolve in self.down[1:]:
            skips.append(convolve(F.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for up, crop, merge, skip in zip(self.up, self.crop, self.merge, reversed(skips), strict=True):
            x = merge(torch.cat([crop(skip), up(x)], dim=1))
        return self.score(x)


def draw_blobs(n: int, size: int) -> tuple[Tensor, Tensor]:
    """Noisy images (n, 1, size, size) of bright discs, and int64 masks of them, without the network's margin."""
    y, x = torch.meshgrid(*[torch.arange(float(size))] * 2, indexing="ij")
    centers, radii = torch.rand(n, 6, 2, 1, 1) * size, 5 + torch.rand(n, 6, 1, 1) * size / 12
    masks = ((y - centers[:, :, 0]) ** 2 + (x - centers[:, :, 1]) ** 2 < radii**2).any(dim=1)
    return (masks + torch.randn(n, size, size) / 2).unsqueeze(1), tcf.functional.crop(masks, [MARGIN] * 4).long()


def main() -> None:
    """Train, then print sizes and losses."""
    parser = argparse.ArgumentParser(description="Train a U-Net on synthetic blobs.")
    parser.add_argument("--steps", type=int, default=80, help="how many batches to show; default: %(default)s")
    parser.add_argument("--channels", type=int, default=4, help="of the first level; default: %(default)s")
    parser.add_argument("--size", type=int, default=220, help="of the images, 188 + 16 n; default: %(default)s")
    options = parser.parse_args()
    torch.manual_seed(0)
    network = UNet(options.channels)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in trange(options.steps, unit="step", disable=None):  # None: on a terminal only
        images, masks = draw_blobs(4, options.size)
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), masks)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"{tuple(images.shape)} to {tuple(masks.shape)}, loss {losses[0]:.3f} to {losses[-1]:.3f}")


if __name__ == "__main__":
    main()
