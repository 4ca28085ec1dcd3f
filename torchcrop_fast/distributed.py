"""Functions and layers on DTensors: importing this module is all it takes.

Images stay where they are, and so do channels (but those of
:func:`torchcrop_fast.functional.crop_mirror_normalize`, which has numbers for each) and all dimensions that are neither
padded nor cropped. An input that is sharded otherwise, or partial, is gathered first. The result is sharded as the
input then is. Values, shapes, strides and gradients are those of one process.

Offsets and flips may be DTensors on the input's mesh, or plain tensors, equal on all ranks, with a row for each image
of the global batch: each rank uses those of its own images. RandomCrop draws such ones, so all ranks need one seed.

``out=`` must be a DTensor, which is never resized. Forward-mode AD is not supported by DTensors.

>>> import torch, torchcrop_fast as tcf
>>> import torchcrop_fast.distributed
>>> from torch.distributed import HashStore, destroy_process_group, init_process_group
>>> from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh
>>> init_process_group("gloo", store=HashStore(), rank=0, world_size=1)  # torchrun tells the last three
>>> mesh = init_device_mesh("cpu", (1,))
>>> images = distribute_tensor(torch.rand(8, 3, 32, 32), mesh, [Shard(0)])
>>> crops = tcf.RandomCrop(28)(images)
>>> crops.shape, crops.placements
(torch.Size([8, 3, 28, 28]), (Shard(dim=0),))
>>> destroy_process_group()
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.library import register_torch_dispatch

from torchcrop_fast import _traced

__all__: list[str] = []

_Arguments = dict[str, Any]


def _pad_keeps(input: Tensor, arguments: _Arguments) -> dict[int, int]:
    pad, last = arguments["pad"], input.dim() - 1
    unpadded = [last - i // 2 for i in range(0, len(pad), 2) if pad[i] == pad[i + 1] == 0]
    return {dim: dim for dim in [*range(input.dim() - len(pad) // 2), *unpadded]}


def _pad_adjoint_keeps(grad: Tensor, arguments: _Arguments) -> dict[int, int]:
    return {dim: dim for dim in range(grad.dim() - len(arguments["size"]))}


def _crop_at_keeps(input: Tensor, arguments: _Arguments) -> dict[int, int]:
    several = arguments["offsets"].dim() - 2
    return {0: 0} | {dim: dim + several for dim in range(1, input.dim() - len(arguments["size"]))}


def _crop_at_adjoint_keeps(grad: Tensor, arguments: _Arguments) -> dict[int, int]:
    several = arguments["offsets"].dim() - 2
    return {0: 0} | {dim: dim - several for dim in range(1 + several, grad.dim() - len(arguments["size"]))}


def _normalize_keeps(input: Tensor, arguments: _Arguments) -> dict[int, int]:
    return {0: 0}


# For each op, the dimensions of its input that may stay sharded, and where they are in the result. What sends
# crop_mirror_normalize's gradient back is made of these.
_KEEPS: dict[str, Callable[[Tensor, _Arguments], dict[int, int]]] = {
    "pad": _pad_keeps,
    "_pad_adjoint": _pad_adjoint_keeps,
    "crop_at": _crop_at_keeps,
    "_crop_at_adjoint": _crop_at_adjoint_keeps,
    "crop_mirror_normalize": _normalize_keeps,
}


def _named(op: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: _Arguments | None) -> _Arguments:
    """The arguments by name, the input first. Every rank raises alike where they are wrong, so that none waits."""
    arguments = dict(zip((a.name for a in op._schema.arguments), args, strict=False)) | (kwargs or {})
    first = next(iter(arguments))
    for name in (first, "out"):
        if not isinstance(arguments.get(name, arguments[first]), DTensor):
            raise TypeError(f"{op._opname}: {name} must be a DTensor where another argument is one, got Tensor")
    mesh = arguments[first].device_mesh
    for name, value in arguments.items():
        if isinstance(value, DTensor) and value.device_mesh != mesh:
            raise RuntimeError(f"{op._opname}: {name} must be on {first}'s mesh, {mesh}, got {value.device_mesh}")
    return arguments


def _on_meta(arguments: _Arguments) -> _Arguments:
    """The arguments with tensors that have the global sizes, but no memory."""
    return {
        name: torch.empty_strided(value.size(), value.stride(), dtype=value.dtype, device="meta")
        if isinstance(value, Tensor)
        else value
        for name, value in arguments.items()
    }


def _call(
    cls: type, op: torch._ops.OpOverload, types: object, args: tuple[Any, ...], kwargs: _Arguments | None = None
) -> DTensor:
    """Run the op on every rank's share."""
    arguments = _named(op, args, kwargs)
    whole = op(**_on_meta(arguments))  # checks the global sizes
    first = next(iter(arguments))
    input = arguments[first]
    mesh = input.device_mesh
    keeps = _KEEPS[op._opname](input, arguments)
    of_input = [p if type(p) is Shard and p.dim in keeps else Replicate() for p in input.placements]
    of_places = [p if p == Shard(0) else Replicate() for p in of_input]

    def share(name: str, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        global_tensor: Any = value if isinstance(value, DTensor) else DTensor.from_local(value, mesh, run_check=False)
        return global_tensor.detach().redistribute(placements=of_input if name == first else of_places).to_local()

    with torch.no_grad():
        shares = {name: share(name, value) for name, value in arguments.items()}
        has_share = mesh.get_coordinate() is not None
        result = op(**shares) if has_share else torch.empty(0, dtype=whole.dtype, device=input.device)
        of_result = [Shard(keeps[p.dim]) if isinstance(p, Shard) else p for p in of_input]
        return DTensor.from_local(result, mesh, of_result, run_check=False, shape=whole.size(), stride=whole.stride())


def _call_out(
    cls: type, op: torch._ops.OpOverload, types: object, args: tuple[Any, ...], kwargs: _Arguments | None = None
) -> None:
    """Run the op without out on every rank's share, and write what of it is out's share."""
    arguments = _named(op, args, kwargs)
    out = arguments.pop("out")
    whole = torch.empty(0, dtype=out.dtype, device="meta")
    op(**_on_meta(arguments), out=whole)  # checks all, and resizes whole
    if out.size() != whole.size():
        sizes = f"{list(whole.size())}, got {list(out.size())}"
        raise RuntimeError(f"{op._opname}: out must have sizes {sizes}: a DTensor is not resized")
    without_out = getattr(torch.ops.torchcrop_fast, op._opname).default
    with torch.no_grad():
        result = _call(cls, without_out, types, (), arguments)
        out.to_local().copy_(result.redistribute(placements=out.placements).to_local())


for _name in _KEEPS:
    register_torch_dispatch(f"torchcrop_fast::{_name}", DTensor, _call)
for _name in ("pad", "crop_at", "crop_mirror_normalize"):
    register_torch_dispatch(f"torchcrop_fast::{_name}.out", DTensor, _call_out)
_traced.UNREPEATED.append(DTensor)
