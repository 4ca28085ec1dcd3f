"""Models under torch.compile: converted to our layers and as they were, in inference and in training.

By one thread's time: what else the machine does disturbs that least, and what differs are the compiled loops.
"""

import copy
import time
import timeit
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchcrop_fast import convert, functional

from .harness import OURS, Case, Run


def _chain() -> nn.Module:
    return nn.Sequential(*(nn.ZeroPad2d(-1) for _ in range(4)))


def _crop_relu() -> nn.Module:
    return nn.Sequential(nn.ZeroPad2d(-4), nn.ReLU())


def _pad_relu() -> nn.Module:
    return nn.Sequential(nn.ZeroPad2d((2, 1, 0, 3)), nn.ReLU())


def _mixed_relu() -> nn.Module:
    return nn.Sequential(nn.ConstantPad2d((-2, 3, 4, -1), 0.5), nn.ReLU())


def _conv_crop(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1), nn.ZeroPad2d(-4), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3)
    )


def _conv_reflect(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(channels, 16, 3),
        nn.InstanceNorm2d(16),
        nn.ReLU(),
        nn.ReflectionPad2d(1),
        nn.Conv2d(16, 8, 3),
    )


def _replicate_relu() -> nn.Module:
    """No convolution: behind one, or in channels_last, torch cannot train its compiled ReplicationPad2d."""
    return nn.Sequential(nn.ReplicationPad2d(1), nn.ReLU())


def _conv_circular(channels: int) -> nn.Module:
    return nn.Sequential(nn.CircularPad2d(1), nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.ZeroPad2d((1, -2, -1, 2)))


class _Skip(nn.Module):
    """A step of a U-Net: what comes up is joined by the crop of what went down."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, 16, 3)
        self.up = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Upsample(scale_factor=2))
        self.crop = nn.ZeroPad2d(-2)
        self.last = nn.Conv2d(32, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Go down, up, and across."""
        down = torch.relu(self.down(x))
        output: Tensor = self.last(torch.cat([self.up(down), self.crop(down)], dim=1))
        return output


# The shape, how its model is named, and the model.
MODELS: tuple[tuple[tuple[int, ...], str, Callable[[], nn.Module]], ...] = (
    ((10, 1, 28, 28), "chain of four ZeroPad2d(-1)", _chain),
    ((8, 64, 32, 32), "crop + relu", _crop_relu),
    ((16, 64, 112, 112), "crop + relu", _crop_relu),
    ((8, 64, 32, 32), "pad + relu", _pad_relu),
    ((8, 64, 32, 32), "crop and pad + relu", _mixed_relu),
    ((8, 16, 64, 64), "conv + crop + batch_norm + relu + conv", partial(_conv_crop, 16)),
    ((10, 1, 28, 28), "replicate + relu", _replicate_relu),
    ((8, 64, 32, 32), "replicate + relu", _replicate_relu),
    ((8, 16, 64, 64), "reflect + conv + instance_norm + relu + reflect + conv", partial(_conv_reflect, 16)),
    ((8, 16, 64, 64), "circular + conv + relu + crop and pad", partial(_conv_circular, 16)),
    ((8, 3, 66, 66), "step of a U-Net", partial(_Skip, 3)),
)
QUICK = MODELS[:1]
# Batches of images, and the size of their crops.
WINDOWS = (((64, 3, 256, 256), 224), ((128, 3, 32, 32), 28))


def cases(quick: bool) -> Iterator[Case]:
    """Every model: in inference and in training, in both memory formats, and for sizes that stay open."""
    for shape, name, make in QUICK if quick else MODELS:
        moved = 8 * torch.empty(shape, device="meta").numel()
        formats = {"": torch.contiguous_format, ", channels_last": torch.channels_last}
        for format_name, format in formats.items():
            for dynamic in (False, True):
                for train in (False, True):
                    if train and make is _replicate_relu and format is torch.channels_last:
                        continue
                    what = ("training" if train else "inference") + (", open sizes" if dynamic else "")
                    make_it = partial(_make, shape, format, make, dynamic, train)
                    yield _case(f"{shape} {name}{format_name}, float32", what, make_it, moved)
    for shape, size in WINDOWS[1:] if quick else WINDOWS:
        moved = 8 * shape[0] * shape[1] * size * size
        yield _case(f"{shape} to {size}, float32", "crop_at + relu", partial(_make_crop_at, shape, size), moved)
        yield _case(
            f"{shape} to {size}, uint8 to float32",
            "crop_mirror_normalize + relu",
            partial(_make_normalize, shape, size),
            moved // 8 * 5,
        )


def _case(name: str, what: str, make: Callable[[], Mapping[str, Run]], moved: int) -> Case:
    one_thread = torch.get_num_threads() == 1
    return Case(name, what, make, moved, exact=False, clock=time.thread_time if one_thread else timeit.default_timer)


def _make(
    shape: tuple[int, ...], format: torch.memory_format, make: Callable[[], nn.Module], dynamic: bool, train: bool
) -> Mapping[str, Run]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    model = make().to(memory_format=format).train(train)
    x = torch.rand(shape).contiguous(memory_format=format)

    grad = torch.rand_like(copy.deepcopy(model)(x))

    def compiled(model: nn.Module) -> Run:
        fast = torch.compile(model, fullgraph=True, dynamic=dynamic)
        if train:
            leaf = x.clone().requires_grad_()
            return lambda: torch.autograd.grad(fast(leaf), [leaf, *model.parameters()], grad)[0]

        def infer() -> Tensor:
            with torch.inference_mode():
                result: Tensor = fast(x)
                return result

        return infer

    return {OURS: compiled(convert(model)), "as it was": compiled(copy.deepcopy(model))}


def _gather(x: Tensor, offsets: Tensor, size: int) -> Tensor:
    """The crops that crop_at takes, by indexes: all within the input."""
    span = torch.arange(size)
    rows, columns = offsets[:, 0, None] + span, offsets[:, 1, None] + span
    images, channels = torch.arange(x.size(0))[:, None, None, None], torch.arange(x.size(1))[:, None, None]
    return x[images, channels, rows[:, None, :, None], columns[:, None, None, :]]


def _make_crop_at(shape: tuple[int, ...], size: int) -> Mapping[str, Run]:
    x = torch.rand(shape)
    offsets = functional.random_offsets(shape[0], shape[2:], (size, size))
    crop_at = torch.compile(lambda x, at: torch.relu(functional.crop_at(x, at, (size, size)) - 0.5), fullgraph=True)
    gather = torch.compile(lambda x, at: torch.relu(_gather(x, at, size) - 0.5), fullgraph=True)
    return {OURS: partial(crop_at, x, offsets), "gather": partial(gather, x, offsets)}


def _make_normalize(shape: tuple[int, ...], size: int) -> Mapping[str, Run]:
    x = torch.randint(256, shape, dtype=torch.uint8)
    offsets = functional.random_offsets(shape[0], shape[2:], (size, size))
    flip = torch.rand(shape[0]) < 0.5
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

    def ours(x: Tensor, offsets: Tensor, flip: Tensor) -> Tensor:
        return F.relu(functional.crop_mirror_normalize(x, offsets, (size, size), mean=mean, std=std, flip=flip))

    def theirs(x: Tensor, offsets: Tensor, flip: Tensor) -> Tensor:
        windows = _gather(x, offsets, size)
        windows = torch.where(flip[:, None, None, None], windows.flip(-1), windows)
        pixels = windows.float() / 255
        return F.relu((pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])

    runs = {OURS: torch.compile(ours, fullgraph=True), "gather": torch.compile(theirs, fullgraph=True)}
    return {name: partial(run, x, offsets, flip) for name, run in runs.items()}
