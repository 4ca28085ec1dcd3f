"""Every image cropped at its own place: against loops, gathers, masks and shifts, Kornia, torchvision and DALI."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchcrop_fast import functional

from .harness import OURS, Case, Run

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
PEERS = {"torchvision": "torchvision", "Kornia": "kornia", "DALI": "nvidia.dali"}

# Shapes (N, C, H, W), the size of the crops, how far they may reach beyond the image, and what lies there.
CROPS = (
    ((64, 3, 256, 256), 224, 0, "constant", torch.float32),
    ((64, 3, 256, 256), 224, 0, "constant", torch.uint8),
    ((128, 3, 40, 40), 32, 0, "constant", torch.float32),
    ((128, 3, 40, 40), 32, 0, "constant", torch.uint8),
    ((128, 3, 32, 32), 32, 4, "constant", torch.float32),
    ((128, 3, 32, 32), 32, 4, "reflect", torch.float32),
    ((512, 9, 84, 84), 84, 4, "replicate", torch.float32),
)
PHOTOS = (64, 3, 256, 256)


def missing() -> list[str]:
    """The peers that aren't installed."""
    return [name for name, module in PEERS.items() if not installed(module)]


def cases(quick: bool) -> Iterator[Case]:
    """Crops forward, into ``out=``, and with their gradient; then crop + normalize of photos."""
    for shape, size, overhang, border, dtype in CROPS[2:6:3] if quick else CROPS:
        beyond = f", {border} border of {overhang}" if overhang else ""
        name = f"{shape} to {size}{beyond}, {str(dtype).removeprefix('torch.')}"
        moved = 2 * shape[0] * shape[1] * size * size * dtype.itemsize
        arguments = (shape, size, overhang, border, dtype)
        yield Case(name, "crop_at", partial(_forward, *arguments), moved, exact=False)
        yield Case(name, "crop_at, out=", partial(_out, *arguments), moved)
        if dtype.is_floating_point:
            image = shape[0] * shape[1] * shape[2] * shape[3] * dtype.itemsize
            both = moved + moved // 2 + image
            yield Case(name, "crop_at, forward + backward", partial(_backward, *arguments), both, exact=False)
    for layout in ("HWC",) if quick else ("CHW", "HWC"):
        for dtype in (torch.float32,) if quick else (torch.float32, torch.bfloat16, torch.float16):
            name = f"{PHOTOS} uint8 {layout} to 224, {str(dtype).removeprefix('torch.')}"
            moved = PHOTOS[0] * PHOTOS[1] * 224 * 224 * (1 + dtype.itemsize)
            yield Case(
                name,
                "crop_mirror_normalize",
                partial(_photos, layout, dtype),
                moved,
                exact=False,
                same_dtype=dtype != torch.bfloat16,
                fill=True,
            )


def installed(module: str) -> bool:
    """Whether there is such a module; it is not imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of its parent
        return False


def _draw(shape: tuple[int, ...], size: int, overhang: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    x = torch.randint(0, 256, shape).to(dtype)
    return x, functional.random_offsets(shape[0], shape[-2:], (size, size), padding=overhang)


def _forward(shape: tuple[int, ...], size: int, overhang: int, border: str, dtype: torch.dtype) -> Mapping[str, Run]:
    x, offsets = _draw(shape, size, overhang, dtype)
    runs: dict[str, Run] = {OURS: partial(functional.crop_at, x, offsets, (size, size), padding_mode=border)}
    runs["loop + stack"] = partial(loop, x, offsets, size, overhang, border)
    runs["gather by indexes"] = partial(gather, x, offsets, size, overhang, border)
    if overhang:
        runs["masks, one for each shift"] = partial(_masks, x, offsets, size, overhang, border)
    if overhang and dtype.is_floating_point:
        runs["grid_sample shift"] = partial(_grid_sample, x, offsets, size, overhang, border)
    if installed("kornia") and dtype.is_floating_point and not overhang:
        runs["Kornia RandomCrop"] = kornia_crops(x, offsets, size)
    return runs


def _out(shape: tuple[int, ...], size: int, overhang: int, border: str, dtype: torch.dtype) -> Mapping[str, Run]:
    x, offsets = _draw(shape, size, overhang, dtype)
    ours, theirs = (torch.full((*shape[:2], size, size), 77, dtype=dtype) for _ in range(2))
    run = partial(functional.crop_at, x, offsets, (size, size), padding_mode=border, out=ours)
    return {OURS: run, "loop, copy_": partial(_loop_into, theirs, x, offsets, size, overhang, border)}


def _backward(shape: tuple[int, ...], size: int, overhang: int, border: str, dtype: torch.dtype) -> Mapping[str, Run]:
    x, offsets = _draw(shape, size, overhang, dtype)
    leaf = x.requires_grad_()
    grad = torch.randint(0, 9, (*shape[:2], size, size)).to(dtype)

    def train(crop: Callable[[], Tensor]) -> Tensor:
        return torch.autograd.grad(crop(), leaf, grad)[0]

    ours = partial(functional.crop_at, leaf, offsets, (size, size), padding_mode=border)
    return {
        OURS: partial(train, ours),
        "loop + stack": partial(train, partial(loop, leaf, offsets, size, overhang, border)),
        "gather by indexes": partial(train, partial(gather, leaf, offsets, size, overhang, border)),
    }


def _padded(x: Tensor, overhang: int, border: str) -> Tensor:
    return F.pad(x, (overhang,) * 4, border) if overhang else x


def _slices(x: Tensor, offsets: Tensor, size: int, overhang: int, border: str) -> Iterator[Tensor]:
    for image, (y, w) in zip(_padded(x, overhang, border), (offsets + overhang).tolist(), strict=True):
        yield image[:, y : y + size, w : w + size]


def loop(x: Tensor, offsets: Tensor, size: int, overhang: int, border: str) -> Tensor:
    """A slice of each image: its place is read on the host."""
    return torch.stack(list(_slices(x, offsets, size, overhang, border)))


def _loop_into(out: Tensor, x: Tensor, offsets: Tensor, size: int, overhang: int, border: str) -> Tensor:
    for to, window in zip(out, _slices(x, offsets, size, overhang, border), strict=True):
        to.copy_(window)
    return out


def gather(x: Tensor, offsets: Tensor, size: int, overhang: int, border: str) -> Tensor:
    """One indexing by four tensors of indexes."""
    rows, columns = ((offsets + overhang)[:, d, None] + torch.arange(size, device=x.device) for d in (0, 1))
    images, channels = (torch.arange(x.size(d), device=x.device) for d in (0, 1))
    index = (images[:, None, None, None], channels[:, None, None], rows[:, None, :, None], columns[:, None, None, :])
    return _padded(x, overhang, border)[index]


def _masks(x: Tensor, offsets: Tensor, size: int, overhang: int, border: str) -> Tensor:
    """A pass for each vertical shift, then for each horizontal one, over the images that have it."""
    padded = _padded(x, overhang, border)
    rows = torch.empty((*x.shape[:2], size, padded.size(3)), dtype=x.dtype)
    out = torch.empty((*x.shape[:2], size, size), dtype=x.dtype)
    for shift in range(padded.size(2) - size + 1):
        mask = offsets[:, 0] + overhang == shift
        rows[mask] = padded[mask, :, shift : shift + size]
    for shift in range(padded.size(3) - size + 1):
        mask = offsets[:, 1] + overhang == shift
        out[mask] = rows[mask, :, :, shift : shift + size]
    return out


def _grid_sample(x: Tensor, offsets: Tensor, size: int, overhang: int, border: str) -> Tensor:
    """As DrQ shifts its observations: by bilinear sampling, at whole pixels."""
    padded = _padded(x, overhang, border)
    h = padded.size(-1)
    steps = (2 * torch.arange(size, dtype=x.dtype) + 1) / h - 1
    base = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    shift = (offsets + overhang).flip(-1).to(x.dtype) * 2 / h
    return F.grid_sample(padded, base + shift[:, None, None], mode="nearest", align_corners=False)


def kornia_crops(x: Tensor, offsets: Tensor, size: int) -> Run:
    """Kornia's random crop, told where to crop."""
    from kornia.augmentation import RandomCrop

    crop = RandomCrop((size, size), p=1.0)
    parameters = crop.forward_parameters(x.shape)
    y, left = offsets.to(torch.float32).unbind(1)
    corners = ((0, 0), (size - 1, 0), (size - 1, size - 1), (0, size - 1))
    parameters["src"] = torch.stack([torch.stack([left + dx, y + dy], -1) for dx, dy in corners], 1)
    return lambda: crop(x, params=parameters)


def _photos(layout: str, dtype: torch.dtype) -> Mapping[str, Run]:
    x = torch.randint(0, 256, PHOTOS, dtype=torch.uint8)
    offsets = torch.tensor([[16, 16]]).expand(PHOTOS[0], 2)  # one place for all: more than that torchvision cannot
    photos = x if layout == "CHW" else x.permute(0, 2, 3, 1).contiguous()
    numbers: dict[str, Any] = {"mean": MEAN, "std": STD, "dtype": dtype, "layout": layout}
    runs: dict[str, Run] = {OURS: partial(functional.crop_mirror_normalize, photos, offsets, (224, 224), **numbers)}
    images = photos if layout == "CHW" else photos.permute(0, 3, 1, 2)
    if installed("torchvision"):
        from torchvision.transforms.v2 import functional as v2

        def chain(images: Tensor) -> Tensor:
            cropped = v2.to_dtype(v2.crop(images, 16, 16, 224, 224), torch.float32, scale=True)
            normalized: Tensor = v2.normalize(cropped, MEAN, STD)
            return normalized.to(dtype)

        runs["torchvision v2"] = partial(chain, images)
        runs["torch.compile of torchvision v2"] = partial(torch.compile(chain, dynamic=False), images)
    if installed("nvidia.dali") and dtype != torch.bfloat16:
        runs["DALI"] = _dali(photos, layout, dtype)
    elif installed("nvidia.dali"):  # it has no bfloat16
        runs["DALI, float32"] = _dali(photos, layout, torch.float32)
        runs["DALI, float16"] = _dali(photos, layout, torch.float16)
    return runs


def _dali(photos: Tensor, layout: str, dtype: torch.dtype) -> Run:
    """A pipeline on the CPU that crops and normalizes a batch that is there; its output is read without a copy."""
    dali: Any = import_module("nvidia.dali")
    batch = [photo.numpy() for photo in photos]
    scale = 255.0

    pipe = dali.Pipeline(len(batch), torch.get_num_threads(), device_id=None, prefetch_queue_depth=1)
    with pipe:
        images = dali.fn.external_source(source=lambda: batch, no_copy=True, layout=layout)
        pipe.set_outputs(
            dali.fn.crop_mirror_normalize(
                images,
                crop=(224, 224),
                crop_pos_x=0.5,
                crop_pos_y=0.5,
                mean=[scale * number for number in MEAN],
                std=[scale * number for number in STD],
                dtype=dali.types.FLOAT16 if dtype == torch.float16 else dali.types.FLOAT,
                output_layout="CHW",
            )
        )
    pipe.build()

    def run() -> Tensor:
        (output,) = pipe.run()
        return torch.utils.dlpack.from_dlpack(output.as_tensor())

    return run
