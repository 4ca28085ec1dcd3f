"""Slow, obviously right ops: they look each output element up by its index. They know values and shape, not strides."""

import itertools
import math

import torch
from torch import Tensor


def pad(input: Tensor, pad: tuple[int, ...], value: complex = 0) -> Tensor:
    """Pad the last dimensions, or crop them where an entry is negative: first all is cropped, then padded.

    Raises:
        ValueError: If a dimension cannot lose what it should.
    """
    before, after = [0] * input.dim(), [0] * input.dim()
    for i in range(len(pad) // 2):
        before[-1 - i], after[-1 - i] = pad[2 * i], pad[2 * i + 1]
    # For each dimension, where each output index comes from: an input index, or None for the border.
    sources = [_along(*numbers) for numbers in zip(input.shape, before, after, strict=True)]

    elements = to_bytes(input)
    (fill,) = to_bytes(torch.full((1,), value, dtype=input.dtype))
    output = []
    for index in itertools.product(*sources):
        if None in index:
            output.append(fill)
            continue
        position = 0
        for i, size in zip(index, input.shape, strict=True):
            position = position * size + i
        output.append(elements[position])

    shape = [len(along) for along in sources]
    if math.prod(shape) == 0:
        return torch.empty(shape, dtype=input.dtype)
    return torch.frombuffer(bytearray(b"".join(output)), dtype=torch.uint8).view(input.dtype).reshape(shape)


def repeat_sources(shape: tuple[int, ...], pad: tuple[int, ...], mode: str) -> Tensor:
    """Which element of the flattened input each element of a pad is, whose border repeats elements."""
    shown = [list(range(size)) for size in shape]
    for i in range(len(pad) // 2):
        line, before, after = shown[-1 - i], pad[2 * i], pad[2 * i + 1]
        if mode == "circular":  # what the crop leaves, again and again
            line = line[max(-before, 0) : len(line) - max(-after, 0)]
            before, after = max(before, 0), max(after, 0)
        indexes = [_in_border(mode, index, len(line)) for index in range(-before, len(line) + after)]
        shown[-1 - i] = [line[index] for index in indexes if index is not None]
    sources = []
    for index in itertools.product(*shown):
        position = 0
        for i, size in zip(index, shape, strict=True):
            position = position * size + i
        sources.append(position)
    return torch.tensor(sources, dtype=torch.int64).reshape([len(along) for along in shown])


def repeat(input: Tensor, pad: tuple[int, ...], mode: str) -> Tensor:
    """Pad the last dimensions with what is in them, or crop them."""
    sources = repeat_sources(tuple(input.shape), pad, mode)
    if sources.numel() == 0:
        return torch.empty(sources.shape, dtype=input.dtype)
    elements = to_bytes(input)
    output = b"".join(elements[source] for source in sources.flatten().tolist())
    return torch.frombuffer(bytearray(output), dtype=torch.uint8).view(input.dtype).reshape(sources.shape)


def to_bytes(tensor: Tensor) -> list[bytes]:
    """Each element's bytes, in the order of the indexes."""
    dense = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.flatten())
    raw = bytes(dense.view(torch.uint8).tolist())
    return [raw[i : i + tensor.itemsize] for i in range(0, len(raw), tensor.itemsize)]


def _along(size: int, before: int, after: int) -> list[int | None]:
    kept: list[int | None] = list(range(size))
    if size + min(before, 0) + min(after, 0) < 0:
        raise ValueError(f"{size} elements cannot lose {-min(before, 0)} and {-min(after, 0)}")
    if before < 0:
        kept = kept[-before:]
    if after < 0:
        kept = kept[: len(kept) + after]
    return [None] * before + kept + [None] * after


def crop_at(
    input: Tensor, offsets: Tensor, size: tuple[int, ...], flip: Tensor | None, padding_mode: str, fill: complex
) -> Tensor:
    """Crop every image of a batch at its own place."""
    sources = crop_at_sources(tuple(input.shape), offsets, size, flip, padding_mode)
    elements = to_bytes(input) + to_bytes(torch.full((1,), fill, dtype=input.dtype))
    if sources.numel() == 0:
        return torch.empty(sources.shape, dtype=input.dtype)
    output = b"".join(elements[source] for source in sources.flatten().tolist())
    return torch.frombuffer(bytearray(output), dtype=torch.uint8).view(input.dtype).reshape(sources.shape)


def crop_at_sources(
    shape: tuple[int, ...], offsets: Tensor, size: tuple[int, ...], flip: Tensor | None, padding_mode: str
) -> Tensor:
    """Which element of the flattened input each element of the output is, -1 for the fill."""
    dims = len(size)
    middle, spatial = shape[1:-dims], shape[-dims:]
    several = offsets.dim() == 3
    crops = offsets.size(1) if several else 1
    starts = offsets.reshape(shape[0], crops, dims).tolist()
    mirrored = torch.zeros(shape[0], crops, dims, dtype=torch.bool)
    if flip is not None and flip.dim() == offsets.dim():
        mirrored[...] = flip.reshape(mirrored.shape)
    elif flip is not None:
        mirrored[..., -1] = flip.reshape(mirrored.shape[:-1])

    sources = []
    for image in range(shape[0]):
        for crop in range(crops):
            # For each dimension, which input index each output index shows.
            shown = []
            for d in range(dims):
                along = [_in_border(padding_mode, starts[image][crop][d] + i, spatial[d]) for i in range(size[d])]
                shown.append(along[::-1] if mirrored[image, crop, d] else along)
            for index in itertools.product(*(range(n) for n in middle), *shown):
                position = image
                for i, n in zip(index, shape[1:], strict=True):
                    position = -1 if i is None or position < 0 else position * n + i
                sources.append(position)
    output_shape = (shape[0], crops, *middle, *size) if several else (shape[0], *middle, *size)
    return torch.tensor(sources, dtype=torch.int64).reshape(output_shape)


def _in_border(padding_mode: str, index: int, size: int) -> int | None:
    """Which of ``size`` elements is shown at an index of any value, None for the fill."""
    line = list(range(size))
    if padding_mode == "constant":
        return index if index in line else None
    if padding_mode == "replicate":
        return min(max(index, 0), size - 1)
    # What comes again and again.
    cycles = {"reflect": line + line[-2:0:-1], "symmetric": line + line[::-1], "circular": line}
    return cycles[padding_mode][index % len(cycles[padding_mode])]
