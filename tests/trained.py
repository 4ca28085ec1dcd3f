"""What test_distributed.py has every rank check: our layers train on several processes as they do on one."""

import sys
from collections.abc import Callable
from pathlib import Path

import on_ranks
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import torchcrop_fast as tcf
from torchcrop_fast import functional

BATCH, STEPS = 8, 3


class Network(nn.Module):
    """Convolutions between layers of ours, each of which sends gradients back."""

    def __init__(self) -> None:
        super().__init__()
        self.normalize = tcf.CropMirrorNormalize(14, [0.4, 0.5, 0.6], [0.2, 0.3, 0.25], padding_mode="reflect")
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3), tcf.ReflectionPad2d((1, 2, -1, 1)), nn.Tanh())
        self.crop = tcf.RandomCrop(9, 1, flip=0.5)
        self.second = nn.Sequential(nn.Conv2d(8, 4, 3), tcf.Crop2d(1), tcf.ZeroPad2d(1), nn.Tanh())
        self.last = nn.Sequential(nn.Flatten(), nn.Linear(4 * 5 * 5, 10))

    def forward(self, images: Tensor, places: Tensor, flip: Tensor) -> Tensor:
        x = self.normalize(images, places, flip).double()
        x = self.second(self.crop(self.first(x), -places, flip))
        return self.last(functional.crop_at(x, places - 3, (5, 5), padding_mode="replicate"))


def make_network() -> nn.Module:
    torch.manual_seed(1)
    return Network().double()


def make_batches() -> list[tuple[Tensor, ...]]:
    torch.manual_seed(2)
    return [
        (
            torch.randint(256, (BATCH, 3, 16, 18), dtype=torch.uint8),
            torch.randint(-2, 4, (BATCH, 2)),
            torch.rand(BATCH) < 0.5,
            torch.randint(10, (BATCH,)),
        )
        for _ in range(STEPS)
    ]


def train(network: nn.Module, batches: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """The losses of all steps."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for *inputs, wanted in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(*inputs), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


def check_as_alone(wrap: Callable[[nn.Module], nn.Module], whole: Callable[[Tensor], Tensor]) -> int:
    """Losses and weights, each rank training on its own images, are those of one process on all of them."""
    alone = make_network()
    expected = train(alone, make_batches())
    network = make_network()
    share = BATCH // dist.get_world_size()
    mine = slice(dist.get_rank() * share, (dist.get_rank() + 1) * share)
    losses = train(wrap(network), [tuple(tensor[mine] for tensor in batch) for batch in make_batches()])
    for loss, of_all in zip(losses, expected, strict=True):
        dist.all_reduce(loss)
        torch.testing.assert_close(loss / dist.get_world_size(), of_all)
    start = dict(make_network().named_parameters())
    for (name, weight), of_all in zip(network.named_parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(whole(weight.detach()), of_all.detach())
        assert not torch.allclose(start[name], of_all, rtol=1e-3), name  # else it learned nothing
    return len(losses)


def check_ddp() -> int:
    return check_as_alone(DistributedDataParallel, lambda weight: weight)


def check_fsdp() -> int:
    def wrap(network: nn.Module) -> nn.Module:
        fully_shard(network.first)
        fully_shard(network.second)
        return fully_shard(network)

    return check_as_alone(wrap, lambda weight: weight.full_tensor())


def check_seeds() -> int:
    """With one seed every rank draws the same places; with a generator or a seed of its own, others."""
    images = torch.rand(64, 3, 16, 18)

    def drawn(layer: tcf.RandomCrop) -> list[list[int]]:
        of_ranks: list[list[list[int]]] = [[]] * dist.get_world_size()
        dist.all_gather_object(of_ranks, layer.sample(images)[0].tolist())
        return of_ranks

    first, *others = drawn(tcf.RandomCrop(9))
    assert all(places == first for places in others)
    torch.manual_seed(dist.get_rank())
    first, *others = drawn(tcf.RandomCrop(9))
    assert all(places != first for places in others)
    return 2


if __name__ == "__main__":
    on_ranks.tell([check_ddp, check_fsdp, check_seeds], Path(sys.argv[1]))
