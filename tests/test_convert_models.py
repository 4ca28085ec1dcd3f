"""convert() on whole models, real ones too: the same results and training; and what else is done with a model."""

import copy
import io
import re
import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from op_tester import assert_same
from test_random_crop import seeded
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, grad, jvp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.package import PackageExporter, PackageImporter

import torchcrop_fast as tcf
from torchcrop_fast.reference import CroppingNetwork

timm = partial(pytest.importorskip, "timm")
torchvision = partial(pytest.importorskip, "torchvision")
ROOT = Path(__file__).parents[1]
UNET = runpy.run_path(str(ROOT / "examples/unet.py"))["UNet"]


class Residual(nn.Module):
    """A block of the generator below."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels), nn.ReLU()]
        self.block = nn.Sequential(*half, nn.Dropout(0.5), *map(copy.deepcopy, half[:3]))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def generator() -> nn.Module:
    """CycleGAN's, of fewer channels and blocks."""
    return nn.Sequential(
        nn.ReflectionPad2d(3),
        nn.Conv2d(3, 4, 7),
        nn.InstanceNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
        Residual(8),
        Residual(8),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1),
        nn.ReflectionPad2d(3),
        nn.Conv2d(4, 3, 7),
        nn.Tanh(),
    )


def digits() -> nn.Module:
    """The article's crop before a network, with all that draws or counts in training."""
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ConstantPad2d(1, 0.5), nn.ReplicationPad2d((0, 1, 2, 0))]
    return nn.Sequential(CroppingNetwork(), *layers, nn.Dropout(0.3), nn.Flatten(), nn.Linear(4 * 22 * 21, 10))


def volumes() -> nn.Module:
    """Chains of pads and of crops in three dimensions, one of them in one."""
    return nn.Sequential(
        nn.ZeroPad3d(1),
        nn.ConstantPad3d((1, 0, 1, 0, 1, 0), 0.0),
        nn.Conv3d(1, 2, 3),
        nn.BatchNorm3d(2),
        nn.ZeroPad3d(-1),
        nn.ZeroPad1d((-1, 0)),
        nn.ReplicationPad3d(1),
    )


# A model, the shape of an input, and how many layers are converted and chains joined in it.
PADDED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    "article": (digits, (4, 1, 28, 28), 6, 1),
    "cyclegan": (generator, (2, 3, 16, 20), 6, 0),
    "volumes": (volumes, (2, 1, 5, 6, 7), 5, 2),
    "nasnet": (
        lambda: timm().models.nasnet.NASNetALarge(5, stem_size=8, channel_multiplier=2, num_features=96),
        (2, 3, 32, 32),
        4,
        0,
    ),
    "pnasnet": (lambda: timm().models.pnasnet.FactorizedReduction(3, 8), (2, 3, 16, 16), 1, 0),
    "resnetv2": (
        lambda: timm().models.resnetv2.ResNetV2(
            (1, 1), (8, 16), 5, stem_chs=8, stem_type="fixed", norm_layer=timm().layers.BatchNormAct2d
        ),
        (2, 3, 32, 32),
        1,
        0,
    ),
}
UNPADDED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "unet": (lambda: UNET(2), (1, 1, 188, 188)),
    "lraspp": (
        lambda: torchvision().models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None),
        (2, 3, 32, 32),
    ),
    "ssdlite": (
        lambda: torchvision().models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None),
        (1, 3, 64, 64),
    ),
    "faster_rcnn": (
        lambda: torchvision().models.detection.fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, min_size=64, max_size=64
        ),
        (1, 3, 64, 64),
    ),
}


@pytest.fixture(autouse=True)
def _one_thread(set_num_threads: Callable[[int], None]) -> None:
    set_num_threads(1)


def made(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make()


def leaves(output: Any) -> list[Tensor]:
    return torch.utils._pytree.tree_leaves(output)


@pytest.mark.parametrize(("make", "shape"), UNPADDED.values(), ids=UNPADDED)
def test_models_without_pads_stay_as_they_are(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    model = made(make).eval()
    converted, summary = tcf.convert(model, return_summary=True)
    assert str(summary) == "0 layers converted, 0 chains joined, 0 modules left"
    assert repr(converted) == repr(model)
    x = torch.rand(shape)
    with torch.no_grad():
        for ours, expected in zip(leaves(converted(x)), leaves(model(x)), strict=True):
            assert_same(ours, expected)


def train(model: nn.Module, shape: tuple[int, ...]) -> list[Tensor]:
    """The losses of five steps, then all that was learned and counted."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(torch.rand(shape)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    assert losses[0] != losses[-1]
    return [*losses, *model.state_dict().values()]


@pytest.mark.parametrize("way", ["copy", "inplace", "there_and_back"])
@pytest.mark.parametrize(("make", "shape", "layers", "chains"), PADDED.values(), ids=PADDED)
def test_converted_models_train_alike(
    make: Callable[[], nn.Module], shape: tuple[int, ...], layers: int, chains: int, way: str
) -> None:
    model = made(make)
    converted, summary = tcf.convert(made(make), inplace=way == "inplace", return_summary=True)
    assert (len(summary.converted), len(summary.joined), summary.left) == (layers, chains, [])
    if way == "there_and_back":
        converted = tcf.convert(converted, to="torch")
        assert not any(type(module).__module__.startswith("torchcrop_fast.pads") for module in converted.modules())
    for ours, expected in zip(train(converted, shape), train(model, shape), strict=True):
        assert_same(ours, expected)
    assert_same(converted.eval()(torch.ones(shape)), model.eval()(torch.ones(shape)))


class Ours(nn.Module):
    """A network that holds each of our layers that a model holds."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Sequential(tcf.RandomCrop(14, 1), tcf.Crop2d(1), tcf.ReflectionPad2d(2))
        self.network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), tcf.ZeroPad2d((1, -1, 0, 2)))
        self.after = nn.Sequential(tcf.CenterCrop((9, 20)), tcf.CircularPad2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.network(self.before(x)))


class OursInTorch(Ours):
    """The same by torch alone."""

    def __init__(self) -> None:
        super().__init__()
        for name, module in tcf.convert(nn.ModuleDict(self.named_children()), to="torch").items():
            setattr(self, name, module)


LIVING: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]] = {
    "article": (lambda: tcf.convert(digits()), digits, (4, 1, 28, 28)),
    "cyclegan": (lambda: tcf.convert(generator()), generator, (2, 3, 16, 20)),
    "volumes": (lambda: tcf.convert(volumes()), volumes, (2, 1, 5, 6, 7)),
    "ours": (Ours, OursInTorch, (2, 3, 16, 18)),
    "plain": (OursInTorch, Ours, (2, 3, 16, 18)),
}


def call(model: nn.Module, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    return functional_call(model, {**parameters, **dict(model.named_buffers())}, (x,))


def loss_of(model: nn.Module, x: Tensor) -> Callable[[dict[str, Tensor]], Tensor]:
    return lambda parameters: call(model, parameters, x).square().mean()


def gradients(model: nn.Module, x: Tensor) -> Any:
    return grad(loss_of(model, x))(dict(model.named_parameters()))


def gradients_of_each_sample(model: nn.Module, x: Tensor) -> Any:
    parameters = dict(model.named_parameters())
    return vmap(lambda one: grad(loss_of(model, one.unsqueeze(0)))(parameters))(x)


def tangents(model: nn.Module, x: Tensor) -> Any:
    return jvp(model, (x,), (x.cos(),))


def in_autocast(model: nn.Module, x: Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(x)
    return output, torch.autograd.grad(output.float().square().sum(), list(model.parameters()))


def deterministic(model: nn.Module, x: Tensor) -> Any:
    torch.use_deterministic_algorithms(True)
    try:
        return model(x), torch.autograd.grad(model(x).square().sum(), list(model.parameters()))
    finally:
        torch.use_deterministic_algorithms(False)


def of_fakes(model: nn.Module, x: Tensor) -> Any:
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        output = model(mode.from_tensor(x))
    return torch.empty(output.shape, dtype=output.dtype).fill_(0), torch.tensor(output.stride())


def recorded(model: nn.Module, x: Tensor) -> Any:
    return make_fx(model, tracing_mode="symbolic", _allow_non_fake_inputs=True)(x)(x)


def traced(model: nn.Module, x: Tensor) -> Any:
    return torch.fx.symbolic_trace(model)(x)


def saved_and_loaded(model: nn.Module, x: Tensor) -> Any:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return copy.deepcopy(torch.load(file, weights_only=False))(x)


def packaged(model: nn.Module, x: Tensor) -> Any:
    file = io.BytesIO()
    with PackageExporter(file) as exporter:
        exporter.extern(["torchcrop_fast.**", f"{__name__}.**", "torch.**"])
        exporter.save_pickle("model", "model.pkl", model)
    file.seek(0)
    return PackageImporter(file).load_pickle("model", "model.pkl")(x)


USES = [gradients, gradients_of_each_sample, tangents, in_autocast, deterministic, of_fakes, recorded, traced]
USES += [saved_and_loaded, packaged]


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")  # torch.package's
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize(("make", "make_reference", "shape"), LIVING.values(), ids=LIVING)
def test_what_is_done_with_a_model_gives_what_torchs_layers_give(
    make: Callable[[], nn.Module], make_reference: Callable[[], nn.Module], shape: tuple[int, ...], use: Any
) -> None:
    x = torch.rand(shape)
    model, reference = made(make), made(make_reference)
    if use in (gradients, gradients_of_each_sample, tangents, recorded):  # which take nothing that draws or counts
        model, reference = model.eval(), reference.eval()
    results, expected = (leaves(seeded(use, module, x)) for module in (model, reference))
    assert len(results) > 0
    for result, wanted in zip(results, expected, strict=True):
        torch.testing.assert_close(result, wanted, rtol=1e-5, atol=1e-6)
        assert result.dtype == wanted.dtype


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_the_page_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/convert.md").read_text()
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert capsys.readouterr().out == re.search(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[1]
