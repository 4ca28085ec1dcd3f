"""``python -m torchcrop_fast demo``: the job of "Cropping layers with PyTorch" on real digits, by three networks."""

import gzip
import shutil
import statistics
import sys
import tempfile
import timeit
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

import torchcrop_fast
from torchcrop_fast._files import write_whole
from torchcrop_fast._progress import progress
from torchcrop_fast.reference import CroppingNetwork

try:
    import matplotlib.figure
    import torchvision
    from tabulate import tabulate
except ImportError as error:
    sys.exit(f"demo: {error.name} is missing: install it with pip install 'torchcrop_fast[demo]'.")

_BATCH = 10
_ROUNDS = 15
_CALLS = 300
_ARTICLE = "four nn.ZeroPad2d(-1), as in the article"
_DROP_IN = "four torchcrop_fast.ZeroPad2d(-1)"
_ONE_LAYER = "one torchcrop_fast.Crop2d(4)"


def run(data: Path | None, download: bool, out: Path) -> int:
    """Do it; 1 if any result is wrong."""
    if not out.parent.is_dir():
        sys.exit(f"demo: --out must be in a directory that exists, got {out}.")
    digits = _load_digits(data, download)
    loader = torch.utils.data.DataLoader(digits, batch_size=_BATCH)
    networks = {
        _ARTICLE: CroppingNetwork(nn.ZeroPad2d),
        _DROP_IN: CroppingNetwork(torchcrop_fast.ZeroPad2d),
        _ONE_LAYER: torchcrop_fast.Crop2d(4),
    }
    print(f"{len(digits)} digits of 28 x 28, in batches of {_BATCH}, through three networks:")

    failures = _check(networks, loader, "crop")
    loaded = {name: _script_save_load(network) for name, network in networks.items() if name != _ARTICLE}
    failures += _check({_ARTICLE: networks[_ARTICLE], **loaded}, loader, "crop, scripted")
    if failures:
        print(*failures, sep="\n")
        return 1
    print("Outputs and input gradients are equal bit for bit, also of ours scripted, saved and loaded.\n")

    print(_time(networks, next(iter(loader))[0]))
    _draw(digits, networks[_ONE_LAYER], out)
    print(f"\n{out}: digits before and after.")
    return 0


def _load_digits(folder: Path | None, download: bool) -> torch.utils.data.TensorDataset:
    """The digits shipped, or torchvision's MNIST test set: float images (N, 1, 28, 28) in [0, 1] and labels (N,)."""
    if folder is not None:
        try:
            mnist = torchvision.datasets.MNIST(str(folder), train=False, download=download)
        except RuntimeError as error:
            sys.exit(
                f"demo: --data must be a directory that contains torchvision's MNIST, or come with --download: {error}"
            )
        images, labels = mnist.data, mnist.targets
    else:
        shipped = Path(__file__).with_name("data")
        with tempfile.TemporaryDirectory() as scratch:
            for packed in shipped.glob("*.gz"):
                with gzip.open(packed) as source, Path(scratch, packed.stem).open("wb") as target:
                    shutil.copyfileobj(source, target)
            images = torchvision.datasets.mnist.read_image_file(f"{scratch}/digits-images-idx3-ubyte")
            labels = torchvision.datasets.mnist.read_label_file(f"{scratch}/digits-labels-idx1-ubyte")
    return torch.utils.data.TensorDataset(images.unsqueeze(1) / 255, labels)


def _check(
    networks: dict[str, nn.Module], loader: "torch.utils.data.DataLoader[tuple[Tensor, ...]]", job: str
) -> list[str]:
    """Run every batch forward and backward through all networks; say where one differs from the first."""
    failures = []
    for number, (images, _) in enumerate(progress(loader, job)):
        results = {}
        for name, network in networks.items():
            leaf = images.clone().requires_grad_()
            output = network(leaf)
            output.square().sum().backward()
            results[name] = (output.detach(), leaf.grad)
        expected = results[_ARTICLE]
        for name, result in results.items():
            for what, ours, theirs in zip(("output", "input gradient"), result, expected, strict=True):
                if not torch.equal(ours, theirs):
                    failures.append(f"{job}: batch {number}: the {what} of {name} is not that of {_ARTICLE}")
    return failures


def _script_save_load(network: nn.Module) -> nn.Module:
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit")  # it is deprecated, and what this job is about
        path = f"{scratch}/network.pt"
        torch.jit.save(torch.jit.script(network), path)
        loaded: nn.Module = torch.jit.load(path)  # type: ignore[no-untyped-call]
    return loaded


def _time(networks: dict[str, nn.Module], images: Tensor) -> str:
    """Time one batch through each network in turn, many times over, and tell the medians."""
    jobs = {"forward": "network(images)", "forward + backward": "network(leaf).sum().backward()"}
    leaf = images.clone().requires_grad_()
    timers = {
        (name, job): timeit.Timer(statement, globals={"network": network, "images": images, "leaf": leaf})
        for name, network in networks.items()
        for job, statement in jobs.items()
    }
    for timer in timers.values():
        timer.timeit(_CALLS)  # warm
    times: dict[tuple[str, str], list[float]] = {key: [] for key in timers}
    for _ in progress(range(_ROUNDS), "time"):
        for key, timer in timers.items():
            times[key].append(timer.timeit(_CALLS) / _CALLS * 1e6)
    rows = []
    for name in networks:
        row = [name]
        for job in jobs:
            median = statistics.median(times[name, job])
            ratio = statistics.median(a / b for a, b in zip(times[_ARTICLE, job], times[name, job], strict=True))
            row += [f"{median:.1f}", f"{ratio:.2f} x"]
        rows.append(row)
    headers = ["network", "forward, us", "speed", "forward + backward, us", "speed"]
    table = tabulate(rows, headers, colalign=("left", *["right"] * 4), disable_numparse=True)
    threads = torch.get_num_threads()
    return (
        f"{table}\nMedians of {_ROUNDS} rounds, taken in turn; a batch of {_BATCH} digits; {threads} threads in an op."
    )


def _draw(digits: torch.utils.data.TensorDataset, crop: nn.Module, out: Path) -> None:
    """Draw several digits, original left and cropped right."""
    images, labels = digits.tensors
    chosen = [int((labels == digit).nonzero()[0]) for digit in range(6)]
    figure = matplotlib.figure.Figure(figsize=(7.2, 6.4), layout="constrained")
    panels = figure.subplots(3, 4)
    for i, index in enumerate(chosen):
        row, column = divmod(i, 2)
        original = images[index]
        for panel, image, what in ((0, original, "original"), (1, crop(original), "cropped")):
            axes = panels[row, 2 * column + panel]
            axes.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
            axes.set_title(f"{what}, {image.shape[-2]} x {image.shape[-1]}", fontsize=10)
            axes.set_xticks(range(0, image.shape[-1], 4))
            axes.set_yticks(range(0, image.shape[-2], 4))
            axes.tick_params(labelsize=7)
    figure.suptitle("Crop2d(4) on MNIST digits")
    write_whole("demo", out, lambda path: figure.savefig(path, dpi=110))
