"""The ops on a GPU: what they give is what they give on the CPU, and they keep the rules of CUDA programs.

They need torch and pytest alone. ``-m sampled`` chooses a small sample of all kinds of cases, for compute-sanitizer.
"""

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import crop_at_cases
import normalize_cases
import pad_cases
import pytest
import torch
import torch.nn.functional as F
from crop_at_cases import CropAtCase
from op_tester import LAYOUTS, assert_same, bits, check_writes_everywhere, random_bits, whole_numbers
from pad_cases import Case
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchcrop_fast import CropMirrorNormalize, RandomCrop, ZeroPad2d, functional, override_torch_pad
from torchcrop_fast.functional import crop_at, crop_mirror_normalize, pad

DEVICE = "cuda"

if not torch.cuda.is_available():
    pytest.skip("torch sees no GPU", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
needs_torchs_memory = pytest.mark.skipif(
    os.environ.get("PYTORCH_NO_CUDA_MEMORY_CACHING") == "1", reason="each allocation waits for the GPU"
)


def with_sample(cases: Iterable[Any], count: int) -> list[Any]:
    """All of them, of which ``sampled`` are in the sample, too."""
    every = list(cases)
    chosen = set(random.Random(0).sample(range(len(every)), min(count, len(every))))
    return [pytest.param(case, marks=pytest.mark.sampled) if i in chosen else case for i, case in enumerate(every)]


def on_cpu(tensor: Tensor) -> Tensor:
    """The same tensor in the CPU's memory: its strides, each bit, and what lies around it."""
    tensor = tensor.detach()
    place = (tensor.storage_offset(), tensor.shape, tensor.stride())
    return torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage().cpu(), *place)


def on_gpu(tensor: Tensor | None) -> Tensor | None:
    """The same tensor in the GPU's memory, its strides included."""
    if tensor is None:
        return None
    base = tensor.untyped_storage().to(device=DEVICE)
    place = (tensor.storage_offset(), tensor.shape, tensor.stride())
    return torch.empty(0, dtype=tensor.dtype, device=DEVICE).set_(base, *place)


def assert_is(result: Tensor, expected: Tensor) -> None:
    """What the GPU gave is what the CPU gave."""
    assert result.device.type == torch.device(DEVICE).type
    assert_same(on_cpu(result), expected.detach())


def check_out(run: Callable[[Tensor], Tensor], expected: Tensor) -> None:
    """Writes into tensors of all layouts, and nothing around them."""

    def write(out: Tensor) -> None:
        assert run(out) is out

    check_writes_everywhere(expected, write, to_device=lambda base: base.to(DEVICE), from_device=on_cpu)


def gradients(result: Tensor, leaf: Tensor, others: tuple[Tensor, Tensor], make: Callable[..., Tensor]) -> None:
    """Gradients of one upstream, in several layouts, on the CPU and on the GPU."""
    for layout in ("contiguous", "permuted", "expanded"):
        upstream_shape, view = LAYOUTS[layout](tuple(result.shape))
        upstream = make(upstream_shape, result.dtype)
        (expected,) = torch.autograd.grad(others[0], others[1], view(upstream), retain_graph=True)
        (gradient,) = torch.autograd.grad(result, leaf, view(upstream.to(DEVICE)), retain_graph=True)
        assert_is(gradient, expected)


@pytest.mark.parametrize("case", with_sample(pad_cases.CASES, 40) + with_sample(pad_cases.REPEATING_CASES, 20), ids=str)
def test_pad(case: Case) -> None:
    torch.default_generator.manual_seed(0)
    base_shape, view = LAYOUTS[case.layout](case.shape)
    base = random_bits(base_shape, case.dtype)
    input, on_device = view(base), view(base.to(DEVICE))
    before = bits(on_cpu(on_device)).clone()
    expected = case.run(input)
    assert_is(case.run(on_device), expected)
    check_out(lambda out: case.run(on_device, out), expected)
    if len(case.pad) < 2 * input.dim():
        assert_is(case.run(on_device[:0]), case.run(input[:0]))
    assert torch.equal(bits(on_cpu(on_device)), before), "the input was changed"

    if not (case.dtype.is_floating_point or case.dtype.is_complex):
        return
    repeats = case.mode != "constant"
    if repeats and (case.dtype.itemsize == 1 or case.dtype == torch.complex32):  # torch has no arithmetic for these
        return
    leaves = [tensor.detach().requires_grad_() for tensor in (on_device, input)]
    # Sums of whole numbers are exact in any order; what is only moved keeps all bits.
    make = whole_numbers if repeats else random_bits
    gradients(case.run(leaves[0]), leaves[0], (case.run(leaves[1]), leaves[1]), make)


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.bfloat16, torch.float32, torch.float64, torch.complex128], ids=str
)
@pytest.mark.parametrize("entries", [(-3, -2), (-5, 7), (9, -1), (33, 18)], ids=str)
@pytest.mark.sampled
def test_pad_of_any_alignment(entries: tuple[int, int], dtype: torch.dtype) -> None:
    """Inputs, rows and outputs that begin anywhere in 16 bytes, and views of elements that aren't aligned."""
    torch.default_generator.manual_seed(0)
    elements = max(16 // dtype.itemsize, 1)
    for width in (17, 64, 223):
        rows = random_bits((elements + 5 * width,), dtype)
        on_device = rows.to(DEVICE)
        size = 5 * (width + sum(entries))
        for shift in range(elements):
            input, expected = (tensor[shift : shift + 5 * width].view(5, width) for tensor in (on_device, rows))
            expected = pad(expected, entries, value=1)
            assert_is(pad(input, entries, value=1), expected)
            base = random_bits((size + elements,), dtype)
            out = base.to(DEVICE)
            pad(input, entries, value=1, out=out[elements - shift :][:size].view(expected.shape))
            base[elements - shift :][:size] = expected.flatten()
            assert torch.equal(bits(on_cpu(out)), bits(base))


@pytest.mark.parametrize(
    "case", with_sample(crop_at_cases.CASES, 20) + with_sample(crop_at_cases.LARGE_CASES, 2), ids=str
)
@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
def test_crop_at(case: CropAtCase, far: bool) -> None:
    case = replace(case, far=far)
    torch.default_generator.manual_seed(case.seed)
    _, view = LAYOUTS[case.layout](case.shape)
    input, base = case.make_input()
    on_device = view(base.to(DEVICE))
    offsets, flip = case.make_places()
    options = {"padding_mode": case.padding_mode, "fill": case.fill}
    places = (on_gpu(offsets), case.size)

    def run(input: Tensor, out: Tensor | None = None) -> Tensor:
        return crop_at(input, *places, flip=on_gpu(flip), **options, out=out)

    expected = crop_at(input, offsets, case.size, flip=flip, **options)
    assert_is(run(on_device), expected)
    check_out(lambda out: run(on_device, out), expected)
    if case.dtype.is_floating_point or case.dtype.is_complex:
        leaves = [tensor.detach().requires_grad_() for tensor in (on_device, input)]
        others = crop_at(leaves[1], offsets, case.size, flip=flip, **options), leaves[1]
        gradients(run(leaves[0]), leaves[0], others, whole_numbers)


@pytest.mark.parametrize(
    "case",
    with_sample([*normalize_cases.CASES, *map(normalize_cases.random_case, range(400))], 30),
    ids=str,
)
def test_crop_mirror_normalize(case: normalize_cases.Case) -> None:
    torch.default_generator.manual_seed(case.seed)
    input = case.make_input()
    offsets, flip = case.make_places()
    options = {**case.options, "flip": on_gpu(flip)}
    arguments = (on_gpu(input), on_gpu(offsets), case.size)
    expected = crop_mirror_normalize(input, offsets, case.size, **{**case.options, "flip": flip})

    result = crop_mirror_normalize(*arguments, **options)
    assert (result.dtype, result.shape, result.stride()) == (expected.dtype, expected.shape, expected.stride())
    # The multiply-add may round once or twice: near in float32, and rounded from there once.
    wide = crop_mirror_normalize(*arguments, **{**options, "dtype": torch.float32})
    wanted = crop_mirror_normalize(input, offsets, case.size, **{**case.options, "flip": flip, "dtype": torch.float32})
    normalize_cases.assert_near(on_cpu(wide), wanted.double(), case.rounded(wanted))
    assert torch.equal(result, wide.to(case.out_dtype)), "not rounded from float32, once"
    check_out(lambda out: crop_mirror_normalize(*arguments, **options, out=out), on_cpu(result))

    if case.dtype != torch.uint8:
        leaves = [tensor.detach().requires_grad_() for tensor in (arguments[0], input)]
        upstream = torch.randn(expected.shape).to(case.out_dtype)
        results = (
            crop_mirror_normalize(leaves[0], *arguments[1:], **options),
            crop_mirror_normalize(leaves[1], offsets, case.size, **{**case.options, "flip": flip}),
        )
        (gradient,) = torch.autograd.grad(results[0], leaves[0], upstream.to(DEVICE))
        (wanted,) = torch.autograd.grad(results[1], leaves[1], upstream)
        assert (gradient.dtype, gradient.shape, gradient.stride()) == (wanted.dtype, wanted.shape, wanted.stride())
        rough = 1e-5 if case.dtype == torch.float32 else 2e-2
        torch.testing.assert_close(on_cpu(gradient), wanted, atol=rough, rtol=rough)


def test_lazy_views() -> None:
    for view, dtype in ((torch.conj, torch.complex64), (torch._neg_view, torch.float32)):
        input = whole_numbers((2, 3, 4, 5), dtype)
        offsets = torch.tensor([[1, -2], [0, 3]])
        expected = pad(view(input), (1, -2, -1, 3)), crop_at(view(input), offsets, (3, 4))
        on_device = view(input.to(DEVICE))
        for result, wanted in zip(
            (pad(on_device, (1, -2, -1, 3)), crop_at(on_device, offsets.to(DEVICE), (3, 4))), expected, strict=True
        ):
            assert torch.equal(result.cpu(), wanted)


GRADCHECK_CASES = [
    Case((2, 3, 4, 5), (1, -2, -1, 3), dtype=torch.float64),
    Case((2, 3, 4, 5), (-1, 2, 1, -1), "channels_last", torch.float64, 1.5),
    Case((2, 3, 4), (-1, -2, -1, 0), "expanded", torch.complex128),
    Case((2, 3, 4, 5), (2, 1, -1, 2), dtype=torch.float64, mode="reflect"),
    Case((2, 3, 4), (3, -1), "permuted", torch.float64, mode="replicate"),
    Case((2, 3, 4, 5), (2, 3, 1, 0), dtype=torch.float64, mode="circular"),
]


def check_derivatives(run: Callable[[Tensor], Tensor], case: Case | CropAtCase) -> None:
    """First and second derivatives by finite differences, forwards, backwards and batched."""
    base_shape, view = LAYOUTS[case.layout](case.shape)
    base = torch.randn(base_shape, dtype=case.dtype, device=DEVICE, requires_grad=True)

    def function(base: Tensor) -> Tensor:
        return run(view(base))

    gradcheck(function, (base,), check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)
    gradgradcheck(function, (base,), check_batched_grad=True, check_fwd_over_rev=True, check_rev_over_rev=True)


@pytest.mark.parametrize("case", GRADCHECK_CASES, ids=str)
def test_gradcheck_of_pad(case: Case) -> None:
    torch.manual_seed(0)
    check_derivatives(case.run, case)


@pytest.mark.parametrize("case", crop_at_cases.DERIVATIVE_CASES[::3], ids=str)
def test_gradcheck_of_crop_at(case: CropAtCase) -> None:
    torch.manual_seed(0)
    offsets, flip = (on_gpu(tensor) for tensor in case.make_places())
    options = {"flip": flip, "padding_mode": case.padding_mode, "fill": case.fill}
    if 0 not in case.shape and case.crops != 0:
        check_derivatives(lambda input: crop_at(input, offsets, case.size, **options), case)


# What every rule below is tried with: functions of images, offsets and flip.
NUMBERS: dict[str, Any] = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}


def with_gradient(job: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The gradient of a job's result, for one upstream."""

    def run(images: Tensor, offsets: Tensor, flip: Tensor) -> Tensor:
        leaf = images.detach().requires_grad_()
        result = job(leaf, offsets, flip)
        return torch.autograd.grad(result, leaf, torch.ones_like(result))[0]

    return run


JOBS: dict[str, Callable[..., Tensor]] = {
    "pad": lambda images, offsets, flip: pad(images, (-3, 5, 2, -1), value=2),
    "pad, reflect": lambda images, offsets, flip: pad(images, (-3, 5, 2, -1), "reflect"),
    "layer": lambda images, offsets, flip: ZeroPad2d(-2)(images),
    "crop_at": lambda images, offsets, flip: crop_at(images, offsets, (20, 23), flip=flip),
    "crop_at, several": lambda images, offsets, flip: crop_at(images, offsets[:, None].expand(-1, 3, -1), (20, 23)),
    "crop_at, symmetric": lambda images, offsets, flip: crop_at(
        images, offsets, (20, 23), flip=flip, padding_mode="symmetric"
    ),
    "crop_mirror_normalize": lambda images, offsets, flip: crop_mirror_normalize(
        images, offsets, (20, 23), flip=flip, **NUMBERS, dtype=torch.float16
    ),
}
JOBS |= {f"gradient of {name}": with_gradient(job) for name, job in list(JOBS.items())}


def draw(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images of whole numbers, offsets and flip, on the CPU."""
    torch.default_generator.manual_seed(seed)
    images = torch.empty(4, 3, 30, 37).random_(0, 16)
    return images, torch.empty(4, 2, dtype=torch.int64).random_(-5, 20), torch.rand(4) < 0.5


def assert_near(result: Tensor, expected: Tensor) -> None:
    """Up to the rounding of what is normalized."""
    assert (result.shape, result.stride(), result.dtype) == (expected.shape, expected.stride(), expected.dtype)
    torch.testing.assert_close(result.cpu(), expected, rtol=2e-3, atol=1e-4)


@needs_torchs_memory
@pytest.mark.parametrize("name", JOBS)
def test_graphs_replay_with_new_data(name: str) -> None:
    """Nothing is read on the host: images, offsets and flips are those that lie there when the graph runs."""
    job = JOBS[name]
    arguments = [tensor.to(DEVICE) for tensor in draw(0)]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(2):
            job(*arguments)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = job(*arguments)
    for seed in (1, 2):
        fresh = draw(seed)
        for argument, tensor in zip(arguments, fresh, strict=True):
            argument.copy_(tensor)
        graph.replay()
        assert_near(result, job(*fresh))


@needs_torchs_memory
@pytest.mark.parametrize("name", JOBS)
def test_the_current_stream_is_used_and_nothing_waits(name: str) -> None:
    job = JOBS[name]
    fresh = draw(3)
    ready = [tensor.to(DEVICE) for tensor in fresh]
    arguments = [torch.zeros_like(tensor) for tensor in ready]
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        job(*arguments)  # kernels are loaded, memory is there
        stream.synchronize()
        torch.cuda._sleep(600_000_000)  # cycles
        for argument, tensor in zip(arguments, ready, strict=True):
            argument.copy_(tensor)
        result = job(*arguments)
        waited = stream.query()
        for argument in arguments:
            argument.zero_()
    stream.synchronize()
    assert not waited
    assert_near(result, job(*fresh))


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("name", JOBS)
def test_torch_sees_no_synchronization(name: str) -> None:
    arguments = [tensor.to(DEVICE) for tensor in draw(4)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        JOBS[name](*arguments)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
@pytest.mark.parametrize("name", JOBS)
def test_on_another_gpu_than_the_current_one(name: str) -> None:
    fresh = draw(5)
    result = JOBS[name](*(tensor.to("cuda:1") for tensor in fresh))
    assert result.device == torch.device("cuda:1")
    assert torch.cuda.current_device() == 0
    assert_near(result, JOBS[name](*fresh))


@pytest.fixture
def _deterministic_algorithms():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
@pytest.mark.parametrize("padding_mode", crop_at_cases.BORDERS)
@pytest.mark.usefixtures("_deterministic_algorithms")
def test_gradients_are_deterministic(padding_mode: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    offsets = torch.randint(-20, 60, (2, 7, 2), device=DEVICE)
    images = torch.zeros(2, 3, 61, 67, dtype=dtype, device=DEVICE, requires_grad=True)
    results = [crop_at(images, offsets, (40, 50), padding_mode=padding_mode)]
    if padding_mode != "symmetric":
        results.append(pad(images, (25, 30, 11, 40), padding_mode))
    for result in results:
        upstream = torch.randn(result.shape, dtype=dtype, device=DEVICE)
        found = [torch.autograd.grad(result, images, upstream, retain_graph=True)[0] for _ in range(4)]
        for gradient in found[1:]:
            assert_same(on_cpu(gradient), on_cpu(found[0]))


def test_places_are_drawn_on_the_gpu() -> None:
    drawn = []
    for _ in range(2):
        generator = torch.Generator(DEVICE).manual_seed(5)
        drawn.append(functional.random_offsets(1000, (40, 50), (32, 32), padding=4, generator=generator, device=DEVICE))
    assert torch.equal(*drawn)
    assert drawn[0].device.type == DEVICE
    assert drawn[0].amin(0).tolist() == [-4, -4]
    assert drawn[0].amax(0).tolist() == [12, 22]


def test_layers() -> None:
    images, _, _ = draw(6)
    torch.manual_seed(0)
    crop = RandomCrop(24, padding=4, padding_mode="reflect", flip=0.5)
    offsets, flip = crop.sample(images.to(DEVICE))
    assert_is(crop(images.to(DEVICE), offsets, flip), crop(images, offsets.cpu(), flip.cpu()))
    assert_is(crop.eval()(images.to(DEVICE)), crop(images))
    layer = CropMirrorNormalize((20, 23), **NUMBERS)
    assert_near(layer.to(DEVICE)(images.to(DEVICE)), layer.to("cpu")(images))
    assert_is(torch.jit.script(ZeroPad2d(-3))(images.to(DEVICE)), ZeroPad2d(-3)(images))


def test_errors_are_those_of_the_cpu() -> None:
    images, offsets, flip = draw(7)
    on_device = images.to(DEVICE)
    with pytest.raises(RuntimeError, match=r"pad: cannot crop 20 \+ 18 elements from dim 3 of size 37"):
        pad(on_device, (-20, -18))
    with pytest.raises(RuntimeError, match="crop_at: offsets must be on device cuda:0, got cpu"):
        crop_at(on_device, offsets, (3, 4))
    with pytest.raises(RuntimeError, match="crop_at: flip must be on device cuda:0, got cpu"):
        crop_at(on_device, offsets.to(DEVICE), (3, 4), flip=flip)


def test_empty_results() -> None:
    empty = torch.empty(0, 3, 30, 37, device=DEVICE)
    assert crop_at(empty, torch.empty(0, 2, dtype=torch.int64, device=DEVICE), (20, 23)).shape == (0, 3, 20, 23)
    assert pad(empty, (1, 1)).shape == (0, 3, 30, 39)
    assert pad(torch.empty(2, 3, 4, device=DEVICE), (-4, 0)).shape == (2, 3, 0)
    torch.cuda.synchronize()


# More elements than 32-bit indexes reach.
HUGE = 3 * 2**14 * 43_700


@pytest.fixture
def _much_memory():
    torch.cuda.empty_cache()
    if torch.cuda.mem_get_info()[0] < 20 * 2**30:
        pytest.skip("less than 20 GiB of the GPU's memory are free")
    yield
    torch.cuda.empty_cache()


def huge_bytes(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.uint8, device=DEVICE).random_(0, 256)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
@pytest.mark.parametrize("shape", [(4, 3, 40), (4, 3, 20, 20), (4, 3, 5, 20, 20)], ids=len)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int16], ids=str)
def test_override_of_torchs_pads_gives_the_same_on_our_kernels(mode, shape, dtype) -> None:
    torch.manual_seed(0)
    entries = (2, 3, 1, 2, 3, 1)[: 2 * (len(shape) - 2)]
    x = torch.randint(-9, 10, shape, device=DEVICE).to(dtype).requires_grad_(dtype.is_floating_point)

    def run() -> list[Tensor] | str:
        try:
            padded = F.pad(x, entries, mode)
        except NotImplementedError as error:
            return str(error)
        if not x.requires_grad:
            return [padded]
        return [padded, *torch.autograd.grad(padded, x, torch.ones_like(padded))]

    def kernels() -> set[str]:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            run()
        return {event.key for event in profile.key_averages()}

    expected, theirs = run(), kernels()
    with override_torch_pad():
        result, ours = run(), kernels()
    if isinstance(expected, str):
        assert result == expected
        return
    assert not any("torchcrop_fast" in name for name in theirs)
    assert any("torchcrop_fast" in name for name in ours)
    for one, other in zip(result, expected, strict=True):
        assert_is(one, on_cpu(other))


@pytest.mark.usefixtures("_much_memory")
def test_pad_of_huge_tensors() -> None:
    row = huge_bytes(HUGE)
    padded = pad(row, (-3, 5), value=7)
    assert torch.equal(padded[:-5], row[3:])
    assert padded[-5:].tolist() == [7] * 5
    images = row.view(3, 2**14, 43_700)
    padded = pad(images, (-1, 2, 3, -5), value=7)
    assert padded.numel() > 2**31
    for image, result in zip(images, padded, strict=True):
        assert torch.equal(result[3:, :-2], image[:-5, 1:])
        assert (result[:3] == 7).all()
        assert (result[:, -2:] == 7).all()


@pytest.mark.usefixtures("_much_memory")
def test_crop_at_of_huge_tensors() -> None:
    images = huge_bytes(2, 1, 2**15, 2**15 + 3)
    h, w = images.shape[2:]
    offsets = torch.tensor([[1, 5], [-2, -3]], device=DEVICE)
    cropped = crop_at(images, offsets, (h, w), flip=torch.tensor([True, False], device=DEVICE), fill=7)
    assert cropped.numel() > 2**31
    assert torch.equal(cropped[0, 0, :-1, 5:], images[0, 0, 1:, 5:].flip(-1))
    assert (cropped[0, 0, :, :5] == 7).all()
    assert torch.equal(cropped[1, 0, 2:, 3:], images[1, 0, :-2, :-3])
    assert (cropped[1, 0, :2] == 7).all()


@pytest.mark.usefixtures("_much_memory")
def test_crop_mirror_normalize_of_huge_tensors() -> None:
    photos = huge_bytes(1024, 850, 850, 3)
    offsets = torch.randint(0, 11, (1024, 2), device=DEVICE)
    options = {**NUMBERS, "dtype": torch.float16, "layout": "HWC"}
    result = crop_mirror_normalize(photos, offsets, (840, 840), **options)
    assert result.numel() > 2**31
    for some in (slice(0, 2), slice(500, 502), slice(1022, 1024)):
        assert torch.equal(
            result[some], crop_mirror_normalize(photos[some].clone(), offsets[some], (840, 840), **options)
        )


@pytest.mark.usefixtures("_much_memory")
def test_gradients_of_huge_tensors() -> None:
    row = torch.zeros(1, HUGE, dtype=torch.bfloat16, device=DEVICE, requires_grad=True)
    for mode, before, after in (("constant", -3, 5), ("reflect", 3, 5)):
        result = pad(row, (before, after), mode)
        upstream = torch.empty_like(result).random_(-9, 10)
        ((gradient,),) = torch.autograd.grad(result, row, upstream)
        ((sent,),) = (upstream,)
        if mode == "constant":
            assert gradient[:3].tolist() == [0] * 3
            assert torch.equal(gradient[3:], sent[:-5])
            continue
        assert torch.equal(gradient[4:-6], sent[7:-11])
        begin, end = gradient[:4].tolist(), gradient[-6:].tolist()
        assert begin == (sent[3:7] + torch.cat([sent.new_zeros(1), sent[:3].flip(0)])).tolist()
        assert end == (sent[-11:-5] + torch.cat([sent[-5:].flip(0), sent.new_zeros(1)])).tolist()
