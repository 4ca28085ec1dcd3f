"""Write the models and images that deploy.cpp runs: train the digits net, script it, compile it ahead of time.

``python examples/deploy/export.py DIRECTORY`` takes a minute on two cores.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import torchcrop_fast as tcf

sys.path.insert(0, str(Path(__file__).parents[1]))
from train_digits import TEST_DIGITS, load_digits, make_network, train

MEAN, STD = 0.1307, 0.3081  # of the digits' pixels, from 0 to 1


class Classifier(nn.Module):
    """From uint8 images ``(N, H, W, 1)`` of any size to the probabilities of the digits, ``(N, 10)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.preprocess = tcf.CropMirrorNormalize(28, [MEAN], [STD], layout="HWC")
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        probabilities: Tensor = self.network(self.preprocess(images)).softmax(dim=1)
        return probabilities


def around(digit: Tensor, height: int, width: int) -> Tensor:
    """The digit ``(28, 28)`` in the middle of a larger uint8 image."""
    return tcf.functional.center_crop((digit * 255).to(torch.uint8), [height, width])


def write_image(path: Path, image: Tensor, channels: int) -> None:
    """As binary PGM or, with three channels, PPM."""
    height, width = image.shape
    header = f"P{6 if channels == 3 else 5}\n{width} {height}\n255\n".encode()
    path.write_bytes(header + image.unsqueeze(-1).expand(-1, -1, channels).contiguous().numpy().tobytes())


def main() -> None:
    """Write everything into a directory."""
    parser = argparse.ArgumentParser(description="Write the models and images that the C++ program deploys.")
    parser.add_argument("directory", type=Path, help="where to; it is made if it does not exist")
    parser.add_argument("--epochs", type=int, default=10, help="how long to train; default: %(default)s")
    arguments = parser.parse_args()
    folder: Path = arguments.directory
    folder.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    images, labels = load_digits()
    network = make_network()
    train(network, (images[TEST_DIGITS:] - MEAN) / STD, labels[TEST_DIGITS:], arguments.epochs)
    torch.jit.script(network).save(folder / "network.pt")  # in training mode, for a step in C++
    classifier = Classifier(network).eval()
    torch.jit.script(classifier).save(folder / "digits.pt")
    batch = (images[:2, 0, :, :, None] * 255).to(torch.uint8)
    exported = torch.export.export(classifier, (batch,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch._inductor.aoti_compile_and_package(exported, package_path=str(folder / "digits.pt2"))

    # Crops of the article, to compare: four layers of torch.nn, four of ours, one of ours; and with what follows.
    crops = {
        "four_zero_pads": nn.Sequential(*(nn.ZeroPad2d(-1) for _ in range(4))),
        "four_of_ours": nn.Sequential(*(tcf.ZeroPad2d(-1) for _ in range(4))),
        "one_crop": tcf.Crop2d(4),
    }
    follows = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 18 * 18, 10))
    for name, crop in crops.items():
        torch.jit.script(crop.eval()).save(folder / f"{name}.pt")
        torch.jit.script(nn.Sequential(crop, follows).eval()).save(folder / f"{name}_model.pt")

    digit, label = images[0, 0], int(labels[0])
    write_image(folder / f"digit_{label}.pgm", around(digit, 28, 28), channels=1)
    write_image(folder / f"photo_of_{label}.ppm", around(digit, 40, 60), channels=3)
    print(f"wrote {len(list(folder.iterdir()))} files to {folder}")


if __name__ == "__main__":
    main()
