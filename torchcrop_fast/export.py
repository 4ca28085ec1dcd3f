"""For torch.onnx.export: what our ops are in standard ONNX operators."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["onnx_translations"]


def onnx_translations() -> dict[Any, Callable[..., Any]]:
    """Say what the ops are in ONNX: the ``custom_translation_table`` that :func:`torch.onnx.export` takes.

    Models with ``crop_at``, ``crop_mirror_normalize``, five_crop and ten_crop, or with the layers RandomCrop and
    CropMirrorNormalize, then export to operators of standard ONNX, for any border, offsets, flips and sizes. Pads and
    crops need no table; with it those whose sign only a run will tell become Slice and Pad, so that no runtime is given
    a negative pad.

    Results are those of eager, bit for bit; of ``crop_mirror_normalize`` to the rounding of float32.

    Returns:
        A translation for each op that a graph may hold. Complex numbers and float8_e8m0fnu, which ONNX's operators
        don't take, are an error of :func:`torch.onnx.export`.

    Raises:
        ImportError: If onnxscript is not installed, as ``pip install "torchcrop_fast[onnx]"`` does.

    Example:
        >>> import torchcrop_fast as tcf
        >>> layer = tcf.CropMirrorNormalize(224, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], layout="HWC")
        >>> program = torch.onnx.export(
        ...     layer.eval(),
        ...     (torch.zeros(2, 256, 300, 3, dtype=torch.uint8),),
        ...     dynamo=True,
        ...     dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        ...     custom_translation_table=onnx_translations(),
        ...     verbose=False,
        ... )
        >>> [node.op_type for node in program.model_proto.graph.node]
        ['Slice', 'Transpose', 'Cast', 'Mul', 'Add']
    """
    try:
        from torchcrop_fast import _onnx
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in ("onnx", "onnx_ir", "onnxscript"):
            raise
        raise ImportError(
            f"onnx_translations: {package} is not installed: run pip install 'torchcrop_fast[onnx]'"
        ) from None
    ops = torch.ops.torchcrop_fast
    return {
        ops.crop_at.default: _onnx.crop_at,
        ops.crop_mirror_normalize.default: _onnx.crop_mirror_normalize,
        ops.pad.default: _onnx.pad,
        torch.ops.aten.constant_pad_nd.default: _onnx.constant_pad,
    }
