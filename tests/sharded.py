"""What test_distributed.py has every rank check: our ops and layers on DTensors do what they do on plain tensors."""

import random
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import crop_at_cases
import normalize_cases
import on_ranks
import pad_cases
import pytest
import torch
import torch.distributed as dist
from op_tester import Call, assert_values
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor, init_device_mesh
from torch.distributed.tensor.debug import CommDebugMode

import torchcrop_fast as tcf
import torchcrop_fast.distributed
from torchcrop_fast import functional

PLACES = torch.tensor([[0, 0], [-2, 3], [4, -1], [1, 2], [9, 9]])
SEVERAL = torch.stack([PLACES, PLACES + 1, -PLACES], 1)
FLIP = torch.tensor([True, False, True, True, False])
NORMALIZE = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7], "flip": FLIP}
CALLS: dict[str, Callable[[Tensor], Tensor]] = {
    "pad": lambda x: functional.pad(x, (1, -2, 0, 0), value=3),
    "reflect": lambda x: functional.pad(x, (1, 2, 2, 1), "reflect"),
    "crop": lambda x: functional.crop(x, (1, 2, 3, 1)),
    "view": lambda x: functional.crop(x, (1, 2, 3, 1), copy=False),
    "center_crop": lambda x: functional.center_crop(x, (5, 11)),
    "crop_at": lambda x: functional.crop_at(x, PLACES, (4, 5), flip=FLIP, fill=3),
    "crop_at_several": lambda x: functional.crop_at(x, SEVERAL, (4, 5), padding_mode="symmetric"),
    "normalize": lambda x: functional.crop_mirror_normalize(x, PLACES, (4, 5), **NORMALIZE),
    "normalize_center": lambda x: functional.crop_mirror_normalize(x, None, (4, 5), **NORMALIZE),
    "five_crop": lambda x: functional.five_crop(x, 4),
    "ten_crop": lambda x: functional.ten_crop(x, 4, vertical_flip=True),
    "Crop2d": tcf.Crop2d(2),
    "CenterCrop": tcf.CenterCrop(6),
    "ReplicationPad2d": tcf.ReplicationPad2d((2, 1, -1, 3)),
    "RandomCrop": tcf.RandomCrop(6, 2, flip=0.5),
    "RandomCrop_of_one": lambda x: tcf.RandomCrop(6, 2)(x[3]).expand(2, -1, -1, -1),
    "RandomCrop_evaluated": tcf.RandomCrop((6, 12), padding_mode="edge").eval(),
    "CropMirrorNormalize": tcf.CropMirrorNormalize((5, 4), [0.1, 0.2, 0.3], [0.5, 0.6, 0.7]),
}


def meshes() -> list[DeviceMesh]:
    ranks = dist.get_world_size()
    return [init_device_mesh("cpu", shape) for shape in ((ranks,), (2, ranks // 2))]


def shard(tensor: Tensor, mesh: DeviceMesh, placements: Any) -> DTensor:
    """The tensor, which every rank has, as a DTensor."""
    if Partial() not in placements:
        return distribute_tensor(tensor.detach(), mesh, placements, src_data_rank=None)
    zero = any(p == Partial() and mesh.get_local_rank(d) for d, p in enumerate(placements))
    whole = [Replicate() if p == Partial() else p for p in placements]
    share = shard(tensor, mesh, whole).to_local()
    return DTensor.from_local(
        share * (not zero), mesh, placements, run_check=False, shape=tensor.shape, stride=tensor.stride()
    )


def draw_placements(rng: random.Random, dims: int, mesh: DeviceMesh) -> list[Placement]:
    return [rng.choice([Replicate(), Shard(0), Shard(rng.randrange(dims))]) for _ in range(mesh.ndim)]


def assert_share(result: object, expected: Tensor) -> None:
    """Type, sizes, strides and this rank's elements are right."""
    assert isinstance(result, DTensor)
    assert (result.shape, result.stride(), result.dtype) == (expected.shape, expected.stride(), expected.dtype)
    if Partial() in result.placements:
        result = result.full_tensor()
        assert_values(result, expected)
    else:
        assert_values(result.to_local(), shard(expected, result.device_mesh, result.placements).to_local())


def check_keeping() -> int:
    """What may stay sharded does, forward and backward, without communication; what may not is gathered."""
    (mesh, _), count = meshes(), 0
    kept = {
        "pad": {0: 0, 1: 1, 2: 2},
        "reflect": {0: 0, 1: 1},
        "crop_at": {0: 0, 1: 1},
        "crop_at_several": {0: 0, 1: 2},
        "normalize": {0: 0},
        "normalize_center": {0: 0},
    }
    for name, dims in kept.items():
        for dim in range(4):
            x = shard(torch.rand(5, 3, 8, 9), mesh, [Shard(dim)]).requires_grad_()
            with CommDebugMode() as communication:
                result = CALLS[name](x)
                grad = shard(torch.rand(result.shape), mesh, result.placements)
                (back,) = torch.autograd.grad(result, x, grad)
            placement = Shard(dims[dim]) if dim in dims else Replicate()
            assert result.placements == (placement,), (name, dim, result.placements)
            assert back.placements == (Shard(dim) if dim in dims else Replicate(),), (name, dim, back.placements)
            assert (communication.get_total_counts() == 0) == (dim in dims), (name, dim)
            count += 1
    return count


def check_gradients() -> int:
    """Functions and layers, and what they send back, for shards of all dimensions and for partial sums."""
    count = 0
    for mesh in meshes():
        placements: list[list[Placement]] = [[Shard(0), Shard(0)], [Shard(0), Shard(1)], [Shard(2), Shard(0)]]
        placements += [[Partial(), Shard(0)]]
        if mesh.ndim == 1:
            placements = [[Shard(0)], [Shard(1)], [Shard(2)], [Shard(3)], [Replicate()], [Partial()]]
        for call in CALLS.values():
            images = torch.rand(5, 3, 8, 9).requires_grad_()
            torch.manual_seed(0)
            expected = call(images)
            upstream = torch.rand(expected.shape)
            (wanted,) = torch.autograd.grad(expected, images, upstream)
            for of_input in placements:
                x = shard(images.detach(), mesh, of_input).requires_grad_()
                torch.manual_seed(0)
                result = call(x)
                assert_share(result, expected)
                for of_grad in (result.placements, of_input):
                    grad = shard(upstream, mesh, of_grad)
                    (back,) = torch.autograd.grad(result, x, grad, retain_graph=True)
                    assert_share(back, wanted)
                    count += 1
    return count


def check_second_gradients() -> int:
    """A gradient's gradient."""
    mesh, _ = meshes()
    for name, call in CALLS.items():
        found = []
        for place in (lambda tensor: tensor, partial(shard, mesh=mesh, placements=[Shard(0)])):
            torch.manual_seed(0)
            x = place(torch.rand(5, 3, 8, 9)).requires_grad_()
            result = call(x)
            grad = place(torch.rand(result.shape)).requires_grad_()
            (back,) = torch.autograd.grad(result, x, grad, create_graph=True)
            found.append(torch.autograd.grad(back, grad, place(torch.ones(x.shape)))[0])
        assert_share(found[1], found[0])
        assert found[0].count_nonzero() > 0, name
    return len(CALLS)


def cases() -> Iterator[Any]:
    yield from pad_cases.CASES[::97]
    yield from pad_cases.REPEATING_CASES[::17]
    yield from crop_at_cases.CASES[::2]
    yield from normalize_cases.CASES
    yield from map(normalize_cases.random_case, range(30))


# What gloo moves.
DTYPES = {torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64}


def check_cases() -> int:
    """Cases of the ops' tables and their adjoints, sharded at random: all borders, layouts, and shards of no images."""
    all_meshes, count = meshes(), 0
    for seed, case in enumerate(case for case in cases() if case.dtype in DTYPES):
        rng = random.Random(seed)
        torch.manual_seed(seed)
        try:
            count += compare_case(case.call(), rng, rng.choice(all_meshes))
        except Exception as error:
            raise AssertionError(f"case {seed}: {case}") from error
    return count


def compare_case(call: Call, rng: random.Random, mesh: DeviceMesh) -> int:
    def placed(tensor: Tensor) -> DTensor:
        return shard(tensor, mesh, draw_placements(rng, tensor.dim(), mesh))

    def some_placed(values: Any) -> Any:
        return [placed(value) if isinstance(value, Tensor) and rng.random() < 0.5 else value for value in values]

    expected = call.run(call.input)
    options = dict(zip(call.options, some_placed(call.options.values()), strict=True))
    assert_share(call.op(placed(call.input), *some_placed(call.arguments), **options), expected)
    if not expected.is_floating_point() or not call.input.is_floating_point():
        return 1
    grad = torch.rand(expected.shape).to(expected.dtype)
    wanted = call.adjoint(grad, *call.adjoint_arguments, **call.adjoint_options)
    options = dict(zip(call.adjoint_options, some_placed(call.adjoint_options.values()), strict=True))
    assert_share(call.adjoint(placed(grad), *some_placed(call.adjoint_arguments), **options), wanted)
    return 2


def check_out() -> int:
    """A given DTensor is written, however it is sharded."""
    mesh, _ = meshes()
    images = torch.rand(5, 3, 8, 9)
    names = {"pad": ((1, -2),), "crop_at": (PLACES, (4, 5)), "crop_mirror_normalize": (PLACES, (4, 5))}
    for name, arguments in names.items():
        options = NORMALIZE if name == "crop_mirror_normalize" else {}
        function = partial(getattr(functional, name), **options)
        expected = function(images, *arguments)
        for of_input in (Shard(0), Shard(1), Replicate()):
            for of_out in (Shard(0), Shard(3), Replicate()):
                out = shard(torch.zeros(expected.shape), mesh, [of_out])
                assert function(shard(images, mesh, [of_input]), *arguments, out=out) is out
                assert out.placements == (of_out,)
                assert_share(out, expected)
    return len(names)


def check_errors() -> int:
    """Every rank raises, alike, so that none waits for another."""
    mesh, square = meshes()
    images = torch.rand(5, 3, 8, 9)
    x, places, out = shard(images, mesh, [Shard(0)]), shard(PLACES, mesh, [Shard(0)]), torch.zeros(5, 3, 8, 11)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: functional.pad(x, (-5, -5)), "pad: cannot crop 5 + 5 elements from dim 3 of size 9"),
        (
            lambda: functional.crop_at(x, PLACES[:2], (4, 4)),
            "crop_at: offsets must be of shape [5, 2] or [5, K, 2], got",
        ),
        (
            lambda: functional.crop_at(images, places, (4, 4)),
            "crop_at: input must be a DTensor where another argument is one, got Tensor",
        ),
        (
            lambda: functional.crop_at(x, shard(PLACES, square, [Shard(0)] * 2), (4, 4)),
            "crop_at: offsets must be on input's mesh, DeviceMesh(",
        ),
        (
            lambda: functional.pad(x, (1, 1), out=out),
            "pad: out must be a DTensor where another argument is one, got Tensor",
        ),
        (
            lambda: functional.pad(x, (1, 2), out=shard(out, mesh, [Shard(0)])),
            "pad: out must have sizes [5, 3, 8, 12], got [5, 3, 8, 11]",
        ),
        (
            lambda: functional.pad(x, (1, 1), out=shard(out.double(), mesh, [Shard(0)])),
            "pad: out must be of dtype float",
        ),
    ]
    for call, text in wrong:
        with pytest.raises((RuntimeError, TypeError), match=f"^{re.escape(text)}"):
            call()
    return len(wrong)


def check_part_of_the_ranks() -> int:
    """A mesh of some ranks: the others have nothing, and wait for nothing."""
    mesh = DeviceMesh("cpu", [0])
    images = torch.rand(5, 3, 8, 9)
    result = functional.crop_at(distribute_tensor(images, mesh, [Shard(0)]), PLACES, (4, 4))
    assert result.shape == (5, 3, 4, 4)
    if dist.get_rank() == 0:
        assert_values(result.to_local(), functional.crop_at(images, PLACES, (4, 4)))
    else:
        assert result.to_local().numel() == 0
    return 1


def check_compiled() -> int:
    """One graph each, forward and backward."""
    mesh, _ = meshes()
    names = ("pad", "reflect", "crop_at", "normalize", "ten_crop", "CropMirrorNormalize")
    for name in names:
        images = torch.rand(8, 3, 8, 9) if name == "pad" else torch.rand(5, 3, 8, 9)
        expected = CALLS[name](images.requires_grad_())
        upstream = torch.rand(expected.shape)
        (wanted,) = torch.autograd.grad(expected, images, upstream)
        x = shard(images.detach(), mesh, [Shard(0)]).requires_grad_()
        torch._dynamo.reset()
        result = torch.compile(CALLS[name], fullgraph=True, backend="aot_eager")(x)
        assert_share(result, expected)
        (back,) = torch.autograd.grad(result, x, shard(upstream, mesh, result.placements))
        assert_share(back, wanted)
    return len(names)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]

if __name__ == "__main__":
    on_ranks.tell(CHECKS, Path(sys.argv[1]))
