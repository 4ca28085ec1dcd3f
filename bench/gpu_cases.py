"""What is measured on a GPU: each case's contenders, its bytes, and the goals that it decides."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import torchcrop_fast
from torchcrop_fast import functional

from .harness import OURS, Case, Run
from .per_sample import MEAN, STD, gather, installed, kornia_crops, loop

ZERO_PAD = "nn.ZeroPad2d"
LOOP = "loop + stack"
TORCHVISION = "torchvision v2"
COMPILED = "torch.compile (max-autotune) of"
PEERS = {"torchvision": "torchvision", "Kornia": "kornia"}

Cropping = tuple[int, int, int, int]  # left, right, top, bottom

# Those that read places on the host: no graph can hold them.
ON_THE_HOST = (LOOP, "Kornia RandomCrop", "Kornia CenterCrop")


@dataclass(frozen=True)
class Place:
    """Where and how large: on a GPU as below; tests make it small, on the CPU."""

    device: str = "cuda"
    cache: int = 50 * 2**20  # bytes, of the last level
    side: int = 256  # of images, in pixels
    images: int = 256  # of three channels
    volume: int = 2**27  # bytes of an input
    most_copies: int = 4096  # of an input, to rotate through

    def copies(self, moved: int) -> int:
        """Through how many inputs and outputs to rotate, so that none is in the cache when its turn comes."""
        return min(max(math.ceil(2 * self.cache / moved), 2), self.most_copies)

    def copy_of(self, size: int) -> Run:
        """The limit: a copy of as many bytes."""
        source = torch.ones((self.copies(2 * size), size), dtype=torch.uint8, device=self.device)
        return rotating(Tensor.copy_, torch.empty_like(source).unbind(), source.unbind())


@dataclass(frozen=True)
class GpuCase(Case):
    """A case, and the goals that it decides."""

    goals: tuple[str, ...] = ()
    profiled: bool = False  # ours is one launch, which ncu looks at
    counted: str = ""  # the case of gpu_windows.h whose launch is like ours, but for how many images it takes


def missing() -> list[str]:
    """The peers that aren't installed."""
    return [name for name, module in PEERS.items() if not installed(module)]


def rotating(run: Callable[..., Tensor], *arguments: tuple[Any, ...]) -> Run:
    """Calls with the first of each of the arguments, then with the second of each, and so on, round and round."""
    turns = itertools.cycle(zip(*arguments, strict=True))
    return lambda: run(*next(turns))


def compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compiled for speed alone; without graphs of its own, since all contenders are timed in ours."""
    run: Callable[..., Tensor] = torch.compile(function, mode="max-autotune-no-cudagraphs", dynamic=False)
    return run


DTYPES = (torch.uint8, torch.bfloat16, torch.float32, torch.float64)


def cases(place: Place) -> Iterator[GpuCase]:
    """All of them."""
    even, odd, mixed = (place.side // 16,) * 4, (7, 10, 3, 4), (3, -5, -2, 7)
    for dtype in DTYPES:
        for cropping in (even, odd):
            counted = "224" if cropping is even else "239"
            yield _window(place, "pad, out=", _out, cropping, counted, dtype, ("forward",), profiled=True)
    yield _window(place, "pad, out=", _out, odd, "239", torch.float32, ("forward",), times=4)
    for dtype in DTYPES:
        yield _window(place, "pad, out=", _out, mixed, "mixed pad", dtype, ("mixed",), profiled=True)
    for dtype in DTYPES[:3]:
        against = (f"{str(dtype).removeprefix('torch.')} against ZeroPad2d",)
        yield _window(place, "pad", _forward, odd, "239", dtype, against)
    yield _window(place, "CenterCrop", _center, even, "224", torch.float32)
    yield _window(place, "layer", _chain, (4,) * 4, "248", torch.float32)
    for dtype in DTYPES[1:]:
        yield _window(place, "backward", _backward, odd, "gradient of 239", dtype, ("backward",))
    yield from _placed(place)
    yield from _normalized(place)
    tiny = (10, 1, 28, 28)
    for what, make, goals in (("layer", _chain, ("tiny",)), ("function", _forward_tiny, ())):
        moved = 2 * 10 * 20 * 20 * 4
        make_it = partial(_on_images, make, place, tiny, (4,) * 4, torch.float32, moved)
        yield GpuCase(f"{tiny} crop 4, float32", what, make_it, moved, goals=goals, counted="tiny")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _window(
    place: Place,
    what: str,
    make: Callable[..., Mapping[str, Run]],
    cropping: Cropping,
    counted: str,
    dtype: torch.dtype,
    goals: tuple[str, ...] = (),
    *,
    times: int = 1,
    profiled: bool = False,
) -> GpuCase:
    """The case of one window onto images (N, 64, side, side), which take the place's volume, or some times that.

    With its dtype before it, ``counted`` is the name in ``gpu_windows.h``.
    """
    side = place.side
    shape = (max(times * place.volume // (64 * side * side * dtype.itemsize), 1), 64, side, side)
    left, right, top, bottom = cropping
    planes = shape[0] * shape[1] * dtype.itemsize
    written = planes * (side - top - bottom) * (side - left - right)
    read = planes * (side - max(top, 0) - max(bottom, 0)) * (side - max(left, 0) - max(right, 0))
    if what == "backward":  # of a crop: it reads the gradient of what forward has written, and writes an image's
        written = planes * side * side
    same = len(set(cropping)) == 1
    name = f"{shape} crop {cropping[0] if same else cropping}, {_name(dtype)}"
    make_it = partial(_on_images, make, place, shape, cropping, dtype, read + written)
    exact, counted = what != "CenterCrop", f"{_name(dtype)} {counted}"
    return GpuCase(name, what, make_it, read + written, exact=exact, goals=goals, profiled=profiled, counted=counted)


def _on_images(
    make: Callable[..., Mapping[str, Run]],
    place: Place,
    shape: tuple[int, ...],
    cropping: Cropping,
    dtype: torch.dtype,
    moved: int,
) -> Mapping[str, Run]:
    image = torch.empty(shape, device=place.device).random_(0, 100).to(dtype)
    return make(_copies(image, place.copies(moved)), cropping)


def _copies(x: Tensor, count: int) -> tuple[Tensor, ...]:
    return x.expand(count, *x.shape).contiguous().unbind()


def _turned(cropping: Cropping) -> Cropping:
    left, right, top, bottom = cropping
    return -left, -right, -top, -bottom


def _inner(x: Tensor, cropping: Cropping) -> Tensor:
    """What a crop leaves; negative entries leave all."""
    left, right, top, bottom = (max(entry, 0) for entry in cropping)
    return x[..., top : x.size(-2) - bottom, left : x.size(-1) - right]


def _outputs(images: tuple[Tensor, ...], cropping: Cropping) -> tuple[Tensor, ...]:
    return _copies(torch.full_like(F.pad(images[0], _turned(cropping)), 77), len(images))


def _out(images: tuple[Tensor, ...], cropping: Cropping) -> Mapping[str, Run]:
    """Into outputs that are there: the kernel alone."""
    left, right, top, bottom = (max(-entry, 0) for entry in cropping)
    before = (left, right, top, bottom)

    def ours(x: Tensor, out: Tensor) -> Tensor:
        return functional.pad(x, _turned(cropping), out=out)

    def copy(x: Tensor, out: Tensor) -> Tensor:
        if any(before):
            out.zero_()
        _inner(out, before).copy_(_inner(x, cropping))
        return out

    reference = "zero_, slice, copy_" if any(before) else "slice, copy_"
    outputs = [_outputs(images, cropping) for _ in range(2)]
    return {OURS: rotating(ours, images, outputs[0]), reference: rotating(copy, images, outputs[1])}


def _forward(images: tuple[Tensor, ...], cropping: Cropping) -> Mapping[str, Run]:
    pad = _turned(cropping)
    left, _, top, _ = cropping
    runs = {
        OURS: rotating(lambda x: functional.pad(x, pad), images),
        ZERO_PAD: rotating(nn.ZeroPad2d(pad), images),
        "slice, contiguous": rotating(lambda x: _inner(x, cropping).contiguous(), images),
        f"{COMPILED} {ZERO_PAD}": rotating(compiled(nn.ZeroPad2d(pad)), images),
    }
    if installed("torchvision"):
        from torchvision.transforms.v2 import functional as v2

        h, w = _inner(images[0], cropping).shape[-2:]
        runs["torchvision v2, contiguous"] = rotating(lambda x: v2.crop(x, top, left, h, w).contiguous(), images)
    return runs


def _forward_tiny(images: tuple[Tensor, ...], cropping: Cropping) -> Mapping[str, Run]:
    runs = dict(_forward(images, cropping))
    runs["F.pad"] = rotating(lambda x: F.pad(x, _turned(cropping)), images)
    return runs


def _center(images: tuple[Tensor, ...], cropping: Cropping) -> Mapping[str, Run]:
    size = images[0].size(-1) - 2 * cropping[0]
    runs = {
        OURS: rotating(torchcrop_fast.CenterCrop(size), images),
        ZERO_PAD: rotating(nn.ZeroPad2d(-cropping[0]), images),
    }
    if installed("torchvision"):
        from torchvision.transforms import v2

        center_crop = v2.CenterCrop(size)
        runs["torchvision v2, contiguous"] = rotating(lambda x: center_crop(x).contiguous(), images)
    if installed("kornia"):
        from kornia.augmentation import CenterCrop

        runs["Kornia CenterCrop"] = rotating(CenterCrop(size, p=1.0), images)
    return runs


def _chain(images: tuple[Tensor, ...], cropping: Cropping) -> Mapping[str, Run]:
    """The layer against the article's: a crop of four by four layers."""
    return {
        OURS: rotating(torchcrop_fast.ZeroPad2d(-cropping[0]), images),
        ZERO_PAD: rotating(nn.ZeroPad2d(-cropping[0]), images),
        "chain of four nn.ZeroPad2d(-1)": rotating(nn.Sequential(*(nn.ZeroPad2d(-1) for _ in range(4))), images),
    }


def _backward(images: tuple[Tensor, ...], cropping: Cropping) -> Mapping[str, Run]:
    """The backward pass alone, again and again."""
    leaves = tuple(image.detach().requires_grad_() for image in images)
    grads = _copies(F.pad(images[0].flip(-1), _turned(cropping)), len(images))

    def back(layer: nn.Module) -> Run:
        results = tuple(layer(leaf) for leaf in leaves)
        return rotating(lambda y, x, g: torch.autograd.grad(y, x, g, retain_graph=True)[0], results, leaves, grads)

    pad = _turned(cropping)
    return {OURS: back(torchcrop_fast.ZeroPad2d(pad)), ZERO_PAD: back(nn.ZeroPad2d(pad))}


def _placed(place: Place) -> Iterator[GpuCase]:
    """Every image cropped at its own place."""
    side, size = place.side, place.side * 7 // 8
    photos = ((place.images, 3, side, side), size, 0, "constant")
    small = ((16 * place.images, 3, 32, 32), 32, 4, "reflect")
    for (shape, size, overhang, border), dtype in (
        (photos, torch.float32),
        (photos, torch.uint8),
        (small, torch.float32),
    ):
        beyond = f", {border} border of {overhang}" if overhang else ""
        name = f"{shape} to {size}{beyond}, {_name(dtype)}"
        moved = 2 * shape[0] * shape[1] * size * size * dtype.itemsize
        arguments = (place, shape, size, overhang, border, dtype, moved)
        counted = f"{_name(dtype)} upright" + (f", {border}" if overhang else "")
        make_it, goals = partial(_crop_at, *arguments), () if overhang else ("crop_at",)
        yield GpuCase(name, "crop_at", make_it, moved, exact=False, goals=goals, counted=counted)
        make_it, goals = partial(_crop_at_out, *arguments), () if overhang else ("crop_at, out=",)
        yield GpuCase(name, "crop_at, out=", make_it, moved, goals=goals, profiled=True, counted=counted)


def _draw(
    place: Place, shape: tuple[int, ...], size: int, overhang: int, dtype: torch.dtype, moved: int
) -> tuple[tuple[Tensor, ...], Tensor]:
    x = torch.empty(shape, device=place.device).random_(0, 256).to(dtype)
    offsets = functional.random_offsets(
        shape[0], shape[-2:], (size, size), padding=overhang, device=torch.device(place.device)
    )
    return _copies(x, place.copies(moved)), offsets


def _crop_at(
    place: Place, shape: tuple[int, ...], size: int, overhang: int, border: str, dtype: torch.dtype, moved: int
) -> Mapping[str, Run]:
    images, offsets = _draw(place, shape, size, overhang, dtype, moved)
    known = [tuple(place) for place in (offsets + overhang).tolist()]

    def loop_known(x: Tensor) -> Tensor:
        padded = F.pad(x, (overhang,) * 4, border) if overhang else x
        slices = zip(padded, known, strict=True)
        return torch.stack([image[:, y : y + size, left : left + size] for image, (y, left) in slices])

    runs = {
        OURS: rotating(lambda x: functional.crop_at(x, offsets, (size, size), padding_mode=border), images),
        LOOP: rotating(lambda x: loop(x, offsets, size, overhang, border), images),
        "loop + stack, places on the host": rotating(loop_known, images),
        "gather by indexes": rotating(lambda x: gather(x, offsets, size, overhang, border), images),
    }
    if dtype.is_floating_point and not overhang:
        whole = compiled(lambda x: gather(x, offsets, size, overhang, border))
        runs[f"{COMPILED} the gather"] = rotating(whole, images)
        if installed("kornia"):
            runs["Kornia RandomCrop"] = kornia_crops(images[0], offsets, size)
    return runs


def _crop_at_out(
    place: Place, shape: tuple[int, ...], size: int, overhang: int, border: str, dtype: torch.dtype, moved: int
) -> Mapping[str, Run]:
    images, offsets = _draw(place, shape, size, overhang, dtype, moved)
    outputs = _copies(torch.full((*shape[:2], size, size), 77, dtype=dtype, device=place.device), len(images))

    def ours(x: Tensor, out: Tensor) -> Tensor:
        return functional.crop_at(x, offsets, (size, size), padding_mode=border, out=out)

    reference = rotating(lambda x: gather(x, offsets, size, overhang, border), images)
    return {OURS: rotating(ours, images, outputs), "gather by indexes": reference}


def _normalized(place: Place) -> Iterator[GpuCase]:
    """Crop, convert, normalize and re-lay photos of bytes (N, H, W, C), as half (N, C, H, W)."""
    side, size = place.side, place.side * 7 // 8
    shape = (place.images, side, side, 3)
    moved = place.images * 3 * size * size * (1 + torch.float16.itemsize)
    name = f"{shape} uint8 HWC to float16 CHW {size}"
    for what, make, goals, profiled in (
        ("crop_mirror_normalize", _cmn, ("crop_mirror_normalize",), False),
        ("crop_mirror_normalize, places and flips, out=", _cmn_out, ("crop_mirror_normalize, out=",), True),
    ):
        make_it = partial(make, place, shape, size, moved)
        counted = "uint8 HWC to float16" if make is _cmn_out else "uint8 HWC to float16, upright"
        yield GpuCase(name, what, make_it, moved, exact=False, goals=goals, profiled=profiled, counted=counted)


def _cmn(place: Place, shape: tuple[int, ...], size: int, moved: int) -> Mapping[str, Run]:
    photos = _copies(torch.empty(shape, device=place.device).random_(0, 256).to(torch.uint8), place.copies(moved))
    begin = (place.side - size) // 2
    # One place for all: more than that the chain cannot.
    offsets = torch.full((shape[0], 2), begin, device=place.device)
    numbers: dict[str, Any] = {"mean": MEAN, "std": STD, "dtype": torch.float16, "layout": "HWC"}
    # On the device already: the chain need not send them there each time.
    mean, std = (torch.tensor(of_channels, device=place.device).view(3, 1, 1) for of_channels in (MEAN, STD))

    def chain(photos: Tensor) -> Tensor:
        cropped = photos.permute(0, 3, 1, 2)[..., begin : begin + size, begin : begin + size]
        return ((cropped.float() / 255 - mean) / std).to(torch.float16, memory_format=torch.contiguous_format)

    fused: tuple[str, Callable[[Tensor], Tensor]] = ("the chain", chain)
    runs = {
        OURS: rotating(lambda x: functional.crop_mirror_normalize(x, offsets, (size, size), **numbers), photos),
        "the chain in torch's ops": rotating(chain, photos),
    }
    if installed("torchvision"):
        from torchvision.transforms.v2 import functional as v2

        def torchvisions(photos: Tensor) -> Tensor:
            cropped = v2.crop(photos.permute(0, 3, 1, 2), begin, begin, size, size)
            normalized: Tensor = v2.normalize(v2.to_dtype(cropped, torch.float32, scale=True), mean, std)
            return normalized.to(torch.float16, memory_format=torch.contiguous_format)

        fused = (TORCHVISION, torchvisions)
        runs[TORCHVISION] = rotating(torchvisions, photos)
    name, function = fused
    runs[f"{COMPILED} {name}"] = rotating(compiled(function), photos)
    return runs


def _cmn_out(place: Place, shape: tuple[int, ...], size: int, moved: int) -> Mapping[str, Run]:
    photos = _copies(torch.empty(shape, device=place.device).random_(0, 256).to(torch.uint8), place.copies(moved))
    offsets = functional.random_offsets(shape[0], shape[1:3], (size, size), device=torch.device(place.device))
    flip = torch.arange(shape[0], device=place.device) % 2 == 0
    outputs = _copies(torch.full((shape[0], 3, size, size), 7.0, dtype=torch.float16, device=place.device), len(photos))
    numbers: dict[str, Any] = {"mean": MEAN, "std": STD, "dtype": torch.float16, "layout": "HWC"}
    mean, std = (torch.tensor(of_channels, device=place.device).view(3, 1, 1) for of_channels in (MEAN, STD))

    def ours(x: Tensor, out: Tensor) -> Tensor:
        return functional.crop_mirror_normalize(x, offsets, (size, size), flip=flip, out=out, **numbers)

    def crop_then_normalize(x: Tensor) -> Tensor:
        cropped = functional.crop_at(x.permute(0, 3, 1, 2), offsets, (size, size), flip=flip)
        return ((cropped.float() / 255 - mean) / std).to(torch.float16, memory_format=torch.contiguous_format)

    return {
        OURS: rotating(ours, photos, outputs),
        "crop_at, then torch's ops": rotating(crop_then_normalize, photos),
    }
