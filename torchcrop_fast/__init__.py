"""The crop layer that PyTorch lacks: ``nn.ZeroPad2d`` with negative padding, bit for bit, in one pass.

Layers live here as they do in ``torch.nn``, functions in :mod:`torchcrop_fast.functional`.

>>> import torch, torchcrop_fast as tcf
>>> tcf.Crop2d(4)(torch.rand(10, 1, 28, 28)).shape
torch.Size([10, 1, 20, 20])
"""

from torchcrop_fast import _library

_library.load()

from torchcrop_fast import functional, memory  # noqa: E402  (use the libraries)
from torchcrop_fast.layers import (  # noqa: E402
    CenterCrop,
    CircularPad1d,
    CircularPad2d,
    CircularPad3d,
    ConstantPad1d,
    ConstantPad2d,
    ConstantPad3d,
    Crop1d,
    Crop2d,
    Crop3d,
    CropMirrorNormalize,
    RandomCrop,
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    ZeroPad1d,
    ZeroPad2d,
    ZeroPad3d,
)

__version__ = "0.1.0"

__all__ = [
    "CenterCrop",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "Crop1d",
    "Crop2d",
    "Crop3d",
    "CropMirrorNormalize",
    "RandomCrop",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "functional",
    "memory",
]
