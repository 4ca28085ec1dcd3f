"""Writes what a version scripts and saves, once a version: ``python tests/saved_by.py tests/saved/0.1.pt``.

The file has every layer and function, an input, and what they made of it. Later versions load it and make the same.
"""

import sys

import torch
from programs import LAYERS
from torch import Tensor, nn

import torchcrop_fast as tcf
from torchcrop_fast import functional as tcff

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


class Functions(nn.Module):
    """Each function, with the arguments that have defaults and without."""

    def forward(self, x: Tensor, photos: Tensor, offsets: Tensor, flip: Tensor) -> list[Tensor]:
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        made = [
            tcff.pad(x, [1, -2]),
            tcff.pad(x, [1, 2, -1, 1], "constant", 0.5),
            tcff.pad(x, [2, 1, 1, 2], "reflect"),
            tcff.pad(x, [2, 1, 1, 2], "replicate", out=torch.empty([2, 3, 11, 12])),
            tcff.crop(x, [1, 2, 0, 1]),
            tcff.crop(x, [1, 2, 0, 1], copy=False),
            tcff.center_crop(x, [3, 12]),
            tcff.center_crop(x, [3, 4], "keras"),
            tcff.crop_at(x, offsets, [4, 5]),
            tcff.crop_at(x, offsets, [4, 5], flip=flip, padding_mode="circular", fill=2.5),
            tcff.crop_at(x, offsets, [4, 5], out=torch.empty([2, 3, 4, 5])),
            tcff.crop_mirror_normalize(photos, None, [4, 5], mean=mean, std=std),
            tcff.crop_mirror_normalize(
                photos.permute(0, 2, 3, 1),
                offsets,
                [4, 5],
                mean=mean,
                std=std,
                flip=flip,
                dtype=torch.bfloat16,
                layout="HWC",
                memory_format=torch.channels_last,
                padding_mode="constant",
                fill=[1.0, 2.0, 3.0],
            ),
            tcff.five_crop(x, 5),
            tcff.ten_crop(x, [5, 4], True),
        ]
        out = torch.empty([2, 3, 4, 5])
        made.append(tcff.crop_mirror_normalize(photos, offsets, [4, 5], mean=mean, std=std, out=out))
        return made


class Saved(nn.Module):
    """All of them, with an input and what they made of it."""

    expected: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("x", torch.rand(2, 3, 8, 9, generator=generator))
        self.register_buffer("photos", torch.randint(256, (2, 3, 8, 9), generator=generator, dtype=torch.uint8))
        self.register_buffer("offsets", torch.tensor([[1, 2], [-3, 6]]))
        self.register_buffer("flip", torch.tensor([True, False]))
        self.layers = nn.ModuleList(LAYERS)
        self.functions = Functions()
        self.random_crop = tcf.RandomCrop((4, 5), padding=1, fill=7, padding_mode="edge", flip=0.5)
        self.preprocess = tcf.CropMirrorNormalize((4, 5), MEAN, STD, fill=9.0)
        self.expected = []
        self.eval()

    def forward(self) -> list[Tensor]:
        made: list[Tensor] = self.functions(self.x, self.photos, self.offsets, self.flip)
        for layer in self.layers:
            made.append(layer(self.x))
        made.append(self.random_crop(self.x))
        made.append(self.random_crop(self.x, self.offsets, self.flip))
        made.append(self.preprocess(self.photos))
        made.append(self.preprocess(self.photos, self.offsets, self.flip))
        return made


def main(file: str) -> None:
    saved = Saved()
    saved.expected = saved()
    torch.jit.save(torch.jit.script(saved), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
