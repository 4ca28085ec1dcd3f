"""The fast Python entry, csrc/python.cpp."""

from collections.abc import Sequence

from torch import Tensor

def pad(input: Tensor, pad: Sequence[int], value: complex | None, out: Tensor | None, /) -> Tensor: ...
def crop(input: Tensor, cropping: Sequence[int], out: Tensor | None, /) -> Tensor: ...
