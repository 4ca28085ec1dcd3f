"""torch's own pads on our kernels, no model changed."""

from types import TracebackType

from torchcrop_fast import _C

__all__ = ["PadOverride", "override_torch_pad"]


class PadOverride:
    """What :func:`override_torch_pad` returns: an override that is on until it is removed. Also a context manager."""

    def __init__(self) -> None:
        self._override = _C.override_torch_pad()

    def remove(self) -> None:
        """Have torch's own kernels run again, unless another override is on. To call it again does nothing."""
        _C.remove_override(self._override)

    def __enter__(self) -> "PadOverride":
        return self

    def __exit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def override_torch_pad() -> PadOverride:
    """Have torch's own pads run our kernels: ``F.pad``, torch.nn's layers, torchvision, scripted models, C++ programs.

    From now on, in every thread, ``aten::constant_pad_nd``, ``reflection_pad1d/2d/3d``, ``replication_pad1d/2d/3d`` and
    their backwards run our kernels on the CPU and, where these are built, on CUDA. Values, strides, errors and graphs
    stay as they are; the gradients of borders that repeat elements are summed up in another order. ``F.pad``'s mode
    ``"circular"``, and ops called with ``out=``, stay torch's own.

    The environment variable ``TORCHCROP_FAST_OVERRIDE=1`` does the same wherever the library is loaded, in programs
    without Python, too. ``torchcrop_fast::override_torch_pad()`` does in C++.

    Returns:
        A handle: its ``remove()`` ends the override; so does leaving ``with override_torch_pad():``. Like torch's
        ``RemovableHandle``, it may be dropped: the override stays. Where there are several, each must be removed.

    Example:
        >>> import torch
        >>> with override_torch_pad():
        ...     torch.nn.ZeroPad2d(-4)(torch.rand(10, 1, 28, 28)).shape
        torch.Size([10, 1, 20, 20])
    """
    return PadOverride()
