"""Train a small network on the digits that torchcrop_fast ships; its first layer moves each digit of a batch by itself.

``python examples/train_digits.py`` takes less than a minute on two cores; the progress bar needs tqdm.
"""

import argparse
import gzip
from importlib.resources import files

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

import torchcrop_fast as tcf

TEST_DIGITS = 200
BATCH = 50


def load_digits() -> tuple[Tensor, Tensor]:
    """Float images ``(1000, 1, 28, 28)`` in [0, 1] and int64 labels ``(1000,)``, in a fixed random order."""
    folder = files("torchcrop_fast") / "data"
    raw = {}
    for name, header in (("digits-images-idx3-ubyte.gz", 16), ("digits-labels-idx1-ubyte.gz", 8)):
        content = gzip.decompress((folder / name).read_bytes())
        raw[name] = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header)
    images, labels = raw.values()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return images.view(-1, 1, 28, 28)[order] / 255, labels[order].long()


def make_network() -> nn.Sequential:
    """Two convolutions and a linear layer, behind a crop that draws in training and is the identity in evaluation."""
    return nn.Sequential(
        tcf.RandomCrop(28, padding=2),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64 * 7 * 7, 10),
    )


def train(network: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    """Show the network all images so often, in random batches."""
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(epochs, 1))
    network.train()
    with tqdm(total=epochs * -(-len(images) // BATCH), unit="batch", disable=None) as bar:  # None: on a terminal only
        for epoch in range(epochs):
            for batch in torch.randperm(len(images)).split(BATCH):
                optimizer.zero_grad()
                loss = F.cross_entropy(network(images[batch]), labels[batch])
                loss.backward()
                optimizer.step()
                bar.set_description(f"epoch {epoch + 1}, loss {loss.item():.3f}")
                bar.update()
            schedule.step()


def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of images that the network, evaluated, tells right."""
    network.eval()
    with torch.inference_mode():
        return (network(images).argmax(dim=1) == labels).float().mean().item()


def main() -> None:
    """Train, then print the accuracy on digits that were not trained on."""
    parser = argparse.ArgumentParser(description="Train a small network on the shipped digits.")
    parser.add_argument("--epochs", type=int, default=40, help="how often to show all digits; default: %(default)s")
    epochs = parser.parse_args().epochs
    torch.manual_seed(0)
    images, labels = load_digits()
    network = make_network()
    train(network, images[TEST_DIGITS:], labels[TEST_DIGITS:], epochs)
    for name, part in (("train", slice(TEST_DIGITS, None)), ("test", slice(TEST_DIGITS))):
        share = accuracy(network, images[part], labels[part])
        print(f"{name} accuracy: {share:.1%} of {len(labels[part])} digits")


if __name__ == "__main__":
    main()
