"""The crop layer that PyTorch lacks: ``nn.ZeroPad2d`` with negative padding, bit for bit, in one pass.

Layers live here as they do in ``torch.nn``, functions in :mod:`torchcrop_fast.functional`.

>>> import torch, torchcrop_fast as tcf
>>> tcf.Crop2d(4)(torch.rand(10, 1, 28, 28)).shape
torch.Size([10, 1, 20, 20])
"""

from torchcrop_fast import _library

_library.load()

from torchcrop_fast import _convert, _override, functional, layers, memory, pads  # noqa: E402  (use the libraries)
from torchcrop_fast._convert import *  # noqa: E402, F403
from torchcrop_fast._override import *  # noqa: E402, F403
from torchcrop_fast.layers import *  # noqa: E402, F403
from torchcrop_fast.pads import *  # noqa: E402, F403

__version__ = "0.1.0"
cmake_prefix_path = _library.CMAKE_PREFIX_PATH

__all__ = ["cmake_prefix_path", "functional", "memory"]
__all__ += _convert.__all__
__all__ += _override.__all__
__all__ += layers.__all__
__all__ += pads.__all__
