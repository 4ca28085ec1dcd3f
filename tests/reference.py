"""A slow, obviously right pad: it looks each output element up by its index. It knows values and shape, not strides."""

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
