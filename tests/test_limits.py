"""Sizes, storages and numbers at their limits: the right result, or an error at once that says what is wrong."""

import pytest
import torch
import torch.nn.functional as F

from torchcrop_fast import _build_info, functional

BORDERS = ("constant", "replicate", "reflect", "symmetric", "circular")
MOST_REPEATED = 2**61
ENDS = (-(2**63), -(2**62) - 1, -1, 0, 2**61 - 3, 2**61 + 1, 2**62, 2**63 - 1)


@torch.jit.script
def scripted_pad(input: torch.Tensor, pad: list[int]) -> torch.Tensor:
    padded: torch.Tensor = torch.ops.torchcrop_fast.pad(input, pad)
    return padded


@pytest.mark.parametrize(
    "pad",
    [
        lambda x: F.pad(x, (1, 1)),
        lambda x: functional.pad(x, (1, 1)),
        lambda x: functional.pad(x, (-1, 1), value=0),
        lambda x: functional.pad(x, (-1, 1), value=0.0),
        lambda x: functional.pad(x, (1, 1), out=x.new_empty(5)),
        lambda x: functional.pad(x.to("meta"), (1, 1)),
        lambda x: scripted_pad(x, [1, 1]),
        lambda x: functional.crop_at(x.view(1, 1, 3), torch.tensor([[-1]]), (2,)),
    ],
)
def test_a_dtype_without_zero_is_not_padded_with_another_number(pad):
    with pytest.raises(
        RuntimeError, match=r"value cannot be converted|(value|fill) must fit dtype float8_e8m0fnu, got 0"
    ):
        pad(torch.ones(3).to(torch.float8_e8m0fnu))


def test_a_dtype_without_zero_is_cropped_and_padded_with_what_it_has():
    ones = torch.ones(3).to(torch.float8_e8m0fnu)
    assert functional.pad(ones, (-1, -1)).float().tolist() == [1]
    assert functional.pad(ones, (1, -1), value=4).float().tolist() == [4, 1, 1]
    assert functional.crop_at(ones.view(1, 3), torch.tensor([[2]]), (2,), fill=0.5).float().tolist() == [[1, 0.5]]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("size", [MOST_REPEATED - 1, MOST_REPEATED])
def test_windows_on_the_largest_dimensions(border, size):
    """Of an expanded tensor, which needs no memory: elements 7 all over."""
    images = torch.tensor([[[7]]]).expand(1, 1, size)
    offsets = torch.tensor([[start] for start in ENDS]).view(1, -1, 1)
    windows = functional.crop_at(images, offsets, (9,), padding_mode=border, fill=-1)
    for window, start in zip(windows[0], ENDS, strict=True):
        inside = [0 <= start + i < size for i in range(9)]
        assert window.tolist() == [[7 if border != "constant" or seen else -1 for seen in inside]]
    if border != "symmetric":
        padded = functional.pad(images, (10 - size, 5), "constant" if border == "constant" else border)
        assert padded.tolist() == [[[7] * 10 + [0 if border == "constant" else 7] * 5]]


@pytest.mark.parametrize("size", [MOST_REPEATED + 1, 2**62 - 1, 2**63 - 1])
def test_larger_dimensions_are_not_repeated(size):
    images = torch.tensor([[[7]]]).expand(1, 1, size)
    text = f"dim 2 must have at most {MOST_REPEATED} elements for a border that repeats them, got {size}"
    for border in BORDERS[1:]:
        for on in (images, images.to("meta")):
            with pytest.raises(RuntimeError, match=f"crop_at: {text}"):
                functional.crop_at(
                    on, torch.zeros(1, 1, dtype=torch.int64, device=on.device), (9,), padding_mode=border
                )
            if border != "symmetric":
                with pytest.raises(RuntimeError, match=f"pad: {text}"):
                    functional.pad(on, (10 - size, 5), border)
    assert functional.pad(images, (10 - size, 5)).tolist() == [[[7] * 10 + [0] * 5]]
    windows = functional.crop_at(images, torch.tensor([[[size - 4], [size - 1], [-3], [2**63 - 1]]]), (5,), fill=1)
    assert windows[0, :, 0].tolist() == [[7] * 4 + [1], [7] + [1] * 4, [1] * 3 + [7] * 2, [1] * 5]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("mean", [0.0, 0.485, -1e30, 1e-40])
def test_std_of_any_size_normalizes_right_or_raises(dtype, mean):
    """What torch computes in float64, but for the rounding of three float32 numbers."""
    images = torch.tensor([0, 1, 100, 255], dtype=dtype).view(1, 1, 2, 2)
    pixels = images.double() / (255 if dtype == torch.uint8 else 1)
    right, refused = 0, 0
    for exponent in range(-46, 41):
        for std in (10.0**exponent, -1.7 * 10.0**exponent):
            try:
                result = functional.crop_mirror_normalize(images, None, (2, 2), mean=[mean], std=[std])
            except RuntimeError as error:
                if not str(error).startswith("crop_mirror_normalize: std must be such that"):
                    raise
                refused += 1
                continue
            wanted = (pixels - mean) / std
            parts = (pixels / std).abs() + abs(mean / std)
            held = wanted.abs() < 3e38  # beyond, float32 has no number
            assert ((result - wanted).abs() <= parts * 2**-22 + 2**-148)[held].all(), (std, result, wanted)
            assert not result.isnan().any()
            right += 1
    assert right > (20 if mean == -1e30 else 100)
    assert refused > 15


def tensors():
    """The arguments of crop_at and crop_mirror_normalize: two images, each tensor with a storage of its own."""
    return {
        "input": torch.rand(2, 3, 8, 8),
        "offsets": torch.zeros(2, 2, dtype=torch.int64),
        "flip": torch.zeros(2, dtype=torch.bool),
        "out": torch.empty(2, 3, 4, 4),
    }


CALLS = {
    "pad": lambda t: functional.pad(t["input"], (0, -4, 0, -4), out=t["out"]),
    "crop_at": lambda t: functional.crop_at(t["input"], t["offsets"], (4, 4), flip=t["flip"], out=t["out"]),
    "crop_mirror_normalize": lambda t: functional.crop_mirror_normalize(
        t["input"], t["offsets"], (4, 4), mean=[0.0] * 3, std=[1.0] * 3, flip=t["flip"], out=t["out"]
    ),
}


@pytest.mark.parametrize("bytes_left", [0, 1])
@pytest.mark.parametrize(
    ("op", "argument"), [(op, name) for op in CALLS for name in tensors() if op != "pad" or name in ("input", "out")]
)
def test_a_freed_storage_is_not_read_or_written(op, argument, bytes_left):
    """As FSDP frees parameters: F.pad raises, too."""
    arguments = tensors()
    wanted = arguments[argument].untyped_storage().nbytes()
    arguments[argument].untyped_storage().resize_(bytes_left)
    text = f"{op}: {argument} must have a storage of at least {wanted} bytes, got one of {bytes_left}"
    with pytest.raises(RuntimeError, match=text):
        CALLS[op](arguments)
    if argument != "out":
        with pytest.raises(RuntimeError, match=text):
            CALLS[op]({**arguments, "out": None})


@pytest.mark.parametrize("mode", ["constant", "reflect", "circular"])
def test_a_freed_gradient_is_not_read(mode):
    leaf = torch.rand(2, 8, requires_grad=True)
    padded = functional.pad(leaf, (-2, 3), mode) if mode != "constant" else functional.crop(leaf, (2, 1))
    gradient = torch.ones_like(padded)
    gradient.untyped_storage().resize_(4)
    with pytest.raises(RuntimeError, match="pad: input must have a storage of at least"):
        torch.autograd.grad(padded, leaf, gradient)


def test_a_view_needs_only_the_bytes_up_to_its_last_element():
    base = torch.arange(100.0)
    view = base[10:16].view(2, 3)
    base.untyped_storage().resize_(16 * 4)
    assert functional.crop(view, (1, 0)).tolist() == [[11, 12], [14, 15]]
    base.untyped_storage().resize_(16 * 4 - 1)
    with pytest.raises(RuntimeError, match="pad: input must have a storage of at least 64 bytes, got one of 63"):
        functional.crop(view, (1, 0))


def test_both_builds_leave_overflow_undefined():
    """So that sanitizers see in one what the other does: Python's own flags would define it in setup.py's."""
    assert "-fno-wrapv" in _build_info.FLAGS.split()


@pytest.mark.parametrize("strides", [(4, 1, 1), (4, 4, 1), (4, 2, 1), (4, 9, 1), (4, 0, 1), (4, 2**59, 1)])
def test_strides_that_mean_nothing_lead_where_they_lead_torch(strides):
    """Of a dimension of one element: contiguous by torch's rule, whatever it is."""
    input = torch.rand(16).as_strided((4, 1, 4), strides)
    for pad in ((0, -1), (0, -1, 0, 0, -1, -1), (-1, 2), (0, 0, 0, 1)):
        result, expected = functional.pad(input, pad), F.pad(input, pad)
        assert (result.stride(), result.tolist()) == (expected.stride(), expected.tolist())
