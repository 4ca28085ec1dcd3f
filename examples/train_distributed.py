"""Train the digits net on several processes, or machines: each draws its own places for RandomCrop.

``torchrun --nproc-per-node 2 examples/train_distributed.py`` takes a minute on two cores; on several machines torchrun
is told where they meet (``--rdzv-endpoint``).
"""

import argparse

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
from train_digits import BATCH, TEST_DIGITS, accuracy, load_digits, make_network


def main() -> None:
    """Train, then print from the first process what all of them got."""
    parser = argparse.ArgumentParser(description="Train a small network on the shipped digits, by torchrun.")
    parser.add_argument("--epochs", type=int, default=20, help="how often to show all digits; default: %(default)s")
    epochs = parser.parse_args().epochs
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()

    torch.manual_seed(0)  # the same network everywhere
    images, labels = load_digits()
    model = DistributedDataParallel(make_network())
    torch.manual_seed(rank)  # from here on each rank draws its own: places for RandomCrop, and dropout

    shown = TensorDataset(images[TEST_DIGITS:], labels[TEST_DIGITS:])
    sampler = DistributedSampler(shown, seed=0)
    loader = DataLoader(shown, batch_size=BATCH // ranks, sampler=sampler)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for batch, wanted in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(batch), wanted).backward()
            optimizer.step()

    network = model.module
    weights = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
    offsets = network[0].sample(images[:8])[0]
    of_ranks: list[tuple[float, list[list[int]]]] = [(0.0, [])] * ranks
    dist.all_gather_object(of_ranks, (weights.sum().item(), offsets.tolist()))
    if rank == 0:
        sums, places = zip(*of_ranks, strict=True)
        print(f"{ranks} ranks, the same weights: {len(set(sums)) == 1}, places of their own: {places[0] != places[-1]}")
        print(f"test accuracy: {accuracy(network, images[:TEST_DIGITS], labels[:TEST_DIGITS]):.1%}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
