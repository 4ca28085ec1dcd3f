"""ONNX: models exported with open sizes, run by onnxruntime at many sizes."""

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

import torchcrop_fast as tcf
from torchcrop_fast import functional

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

# Warnings of the exporter about itself.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

SIZES = [2, 3, 26, 27, 38, 39, 40, 41, 42, 50, 55, 64]


class ToMultiple(nn.Module):
    """Pads images to sizes that a network can halve four times."""

    def __init__(self, mode: str):
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, -x.size(3) % 16, 0, -x.size(2) % 16), self.mode)


MODELS = [
    *[tcf.CenterCrop(size, rounding) for rounding in ("torchvision", "keras", "dali", "monai") for size in (40, 27)],
    tcf.RandomCrop(40, fill=0.5),
    tcf.RandomCrop(39),
    tcf.Crop2d(1),
    tcf.ConstantPad2d((1, -2, -1, 3), 0.5),
    tcf.ReflectionPad2d((1, -2, -1, 1)),
    tcf.ReplicationPad2d((3, -2, -1, 2)),
    tcf.CircularPad2d((1, -1, -1, 1)),
    ToMultiple("constant"),
    ToMultiple("replicate"),
]


@pytest.mark.one_in(2)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: repr(model).replace(" ", ""))
@pytest.mark.parametrize("example", [(64, 50), (27, 31)], ids=["of_large", "of_small"])
def test_onnx_model_is_right_for_all_sizes(model, example):
    sizes = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    model.eval()
    program = torch.onnx.export(
        model, (torch.rand(2, 3, *example),), dynamo=True, dynamic_shapes=(sizes,), verbose=False
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (name,) = (input.name for input in session.get_inputs())
    for height in SIZES:
        for width in SIZES:
            x = torch.rand(2, 3, height, width)
            (result,) = session.run(None, {name: x.numpy()})
            torch.testing.assert_close(torch.from_numpy(result), model(x), rtol=0, atol=0)
