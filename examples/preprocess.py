"""Put a directory of photos through a scripted model whose first layer normalizes them.

``python examples/preprocess.py FOLDER`` reads its JPEG and PNG files; without FOLDER it makes some pictures itself. It
needs torchvision and tqdm, and matplotlib for ``--output``.
"""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as vision
from tqdm import tqdm
from train_digits import load_digits

import torchcrop_fast as tcf

SUFFIXES = (".jpeg", ".jpg", ".png")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # ImageNet's
SHOWN = 6


def make_pictures(folder: Path) -> None:
    """Write 12 pictures of many sizes, JPEG and PNG, in color and gray: tiles of the shipped digits."""
    generator = torch.Generator().manual_seed(0)
    digits = (load_digits()[0] * 255).byte()
    for number in range(12):
        rows, columns = torch.randint(8, 20, (2,), generator=generator).tolist()
        chosen = torch.randint(len(digits), (rows * columns,), generator=generator)
        tiles = digits[chosen].view(rows, columns, 28, 28).permute(0, 2, 1, 3).reshape(1, rows * 28, columns * 28)
        if number % 4 == 3:
            vision.to_pil_image(tiles).save(folder / f"{number:02}.png")
        else:
            ink = 0.7 * torch.rand(3, 1, 1, generator=generator)
            vision.to_pil_image((255 - tiles * (1 - ink)).byte()).save(folder / f"{number:02}.jpg")


def read(path: Path) -> Tensor | None:
    """The RGB picture ``(3, H, W)`` in uint8, upright; None, and a line that says so, if the file holds none."""
    try:
        with Image.open(path) as image:
            if image.mode[0] in "FI":  # which convert would clip
                raise ValueError("its pixels have more than 8 bits")
            return vision.pil_to_tensor(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # PIL's for broken files
        tqdm.write(f"{path}: left out, since it cannot be read: {error}", file=sys.stderr)
        return None


def resize(image: Tensor, short_side: int) -> Tensor:
    """The picture with its short side so long, in uint8 still."""
    return vision.resize(image, [short_side], antialias=True)


def make_network() -> nn.Module:
    """A small convolutional network of random weights, which makes ``(N, 10)`` of normalized images."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 7, stride=4, padding=3),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def deploy(network: nn.Module, size: int) -> nn.Module:
    """The network behind our layer, scripted, saved and loaded: it takes batches of uint8 images."""
    model = nn.Sequential(tcf.CropMirrorNormalize(size, MEAN, STD), network).eval()
    with tempfile.TemporaryDirectory() as scratch:
        path = f"{scratch}/model.pt"
        torch.jit.save(torch.jit.script(model), path)
        return torch.jit.load(path)


def torchvisions(images: list[Tensor], short_side: int, size: int) -> Tensor:
    """The same preprocessing by torchvision alone."""
    cropped = [vision.center_crop(resize(image, short_side), [size, size]) for image in images]
    return vision.normalize(vision.to_dtype(torch.stack(cropped), torch.float32, scale=True), MEAN, STD)


def draw(images: list[Tensor], normalized: Tensor, file: Path) -> None:
    """Draw pictures as they were read, and as the network sees them."""
    from matplotlib.figure import Figure

    shown = min(len(images), SHOWN)
    rows = -(-shown // 2)
    figure = Figure(figsize=(10, 2.7 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, 4, squeeze=False).flatten()
    low = min(-mean / std for mean, std in zip(MEAN, STD, strict=True))
    high = max((1 - mean) / std for mean, std in zip(MEAN, STD, strict=True))
    for i in range(shown):
        before, after = images[i], normalized[i]
        panels[2 * i].imshow(before.permute(1, 2, 0).numpy())
        panels[2 * i].set_title(f"{before.shape[1]} x {before.shape[2]}, uint8", fontsize=10)
        panels[2 * i + 1].imshow(((after - low) / (high - low)).permute(1, 2, 0).numpy())
        panels[2 * i + 1].set_title(
            f"{after.shape[1]} x {after.shape[2]}, {after.min():.1f} to {after.max():.1f}", fontsize=10
        )
    for axes in panels:
        axes.axis("off")
    figure.suptitle("Pictures as read, and as the network sees them")
    figure.savefig(file, dpi=110)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Put a directory of photos through a scripted model.")
    parser.add_argument(
        "directory", nargs="?", type=Path, help="JPEG and PNG files; default: pictures made for the occasion"
    )
    parser.add_argument("--size", type=int, default=224, help="height and width of the crop; default: %(default)s")
    parser.add_argument("--resize", type=int, default=256, help="short side before the crop; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=8, help="pictures at a time; default: %(default)s")
    parser.add_argument("--model", type=Path, help="a TorchScript file: a network for normalized (N, 3, size, size)")
    parser.add_argument("--output", type=Path, help="where to draw the first pictures, before and after: a PNG file")
    options = parser.parse_args()
    if not 0 < options.size <= options.resize:
        parser.error(f"--size must be 1 to --resize, {options.resize}, got {options.size}")
    if options.batch_size < 1:
        parser.error(f"--batch-size must be positive, got {options.batch_size}")
    if options.output and not options.output.parent.is_dir():
        parser.error(f"--output must be in a directory that exists, got {options.output}")
    if options.directory and not options.directory.is_dir():
        parser.error(f"directory must be one that exists, got {options.directory}")
    warnings.filterwarnings("ignore", "`torch.jit")  # it is deprecated, and what many deploy with
    torch.manual_seed(0)
    try:
        network = torch.jit.load(options.model) if options.model else make_network()
    except (RuntimeError, ValueError):
        parser.error(f"--model must be a TorchScript file, got {options.model}")
    with tempfile.TemporaryDirectory() as scratch:
        if options.directory is None:
            make_pictures(Path(scratch))
        run(network, options.directory or Path(scratch), options)


def run(network: nn.Module, folder: Path, options: argparse.Namespace) -> None:
    """Put the folder's pictures through the network, compare the first batch with torchvision, and tell."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        sys.exit(f"{folder}: no JPEG or PNG file in it.")
    model = deploy(network, options.size)

    first = None
    outputs = []
    start = time.perf_counter()
    bar = tqdm(total=len(paths), unit="picture", disable=None)  # None: on a terminal only
    with bar, torch.inference_mode():
        for begin in range(0, len(paths), options.batch_size):
            some = paths[begin : begin + options.batch_size]
            images = [image for image in map(read, some) if image is not None]
            if images:
                # One by one: only now are they of one size. The layer, too, crops at the center, where there is more.
                crops = [
                    tcf.functional.center_crop(resize(image, options.resize), (options.size, options.size))
                    for image in images
                ]
                batch = torch.stack(crops)
                outputs.append(model(batch))
                first = first or (images, batch)
            bar.update(len(some))
    seconds = time.perf_counter() - start
    if first is None:
        sys.exit(f"{folder}: none of its {len(paths)} files could be read.")

    output = torch.cat(outputs)
    print(
        f"{len(output)} of {len(paths)} pictures, {len(outputs)} batches, {len(output) / seconds:.0f} pictures a second"
    )
    print(f"output: {tuple(output.shape)}, by {options.model or 'a network of random weights'}")
    images, batch = first
    normalized = next(model.children())(batch)
    torch.testing.assert_close(normalized, torchvisions(images, options.resize, options.size))
    print("the first batch equals torchvision's resize, center_crop, to_dtype and normalize, up to float rounding")
    if options.output:
        draw(images, normalized, options.output)
        print(f"{options.output}: the first pictures, before and after")


if __name__ == "__main__":
    main()
