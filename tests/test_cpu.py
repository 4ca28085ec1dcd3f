"""The CPU's kernels under each capability, and the fast entry, which hides nothing that the dispatcher would show."""

import itertools
import json
import math
import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from op_tester import LAYOUTS, assert_same
from torch import Tensor, nn
from torch._C import DispatchKey, _IncludeDispatchKeyGuard
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual
from torch.fx.experimental.proxy_tensor import make_fx
from torch.profiler import ExecutionTraceObserver, ProfilerActivity, profile, record_function

import torchcrop_fast as tcf
from torchcrop_fast import functional, memory

VARIABLE = "TORCHCROP_FAST_CPU_CAPABILITY"
HAS_AVX2 = "avx2" in Path("/proc/cpuinfo").read_text().split()
DTYPES = (torch.uint8, torch.bfloat16, torch.float32, torch.float64, torch.complex128)  # 1, 2, 4, 8, 16 bytes
INPUT_LAYOUTS = {
    **{name: LAYOUTS[name] for name in ("contiguous", "channels_last", "permuted", "expanded", "expanded_last")},
    "sliced": lambda shape: ((*shape[:-1], shape[-1] + 5), lambda base: base[..., 3:-2]),
    "stepped": lambda shape: ((*shape[:-1], 2 * shape[-1] + 1), lambda base: base[..., 1::2]),
}


def random_input(rng: random.Random, shape: tuple[int, ...], dtype: torch.dtype, layout: str) -> Tensor:
    """Random bytes, which begin at any element of their storage."""
    base_shape, view = INPUT_LAYOUTS[layout](shape)
    count, offset = math.prod(base_shape), rng.randint(0, 9)
    words = torch.empty((count + offset) * dtype.itemsize // 8 + 2, dtype=torch.int64).random_()
    return view(words.view(dtype)[offset : offset + count].view(base_shape))


def random_pad(rng: random.Random, shape: tuple[int, ...], most: int) -> list[int]:
    """Crops and borders of several widths, for an output of at most ``most`` elements."""
    pad, numel = [], math.prod(shape)
    for size in shape[::-1][: rng.randint(0, len(shape))]:
        before, after = (rng.choice((0, 0, -1, -2, -size // 3, 1, 2, 5, 17, 70, 300)) for _ in "12")
        if size + min(before, 0) + min(after, 0) < 1 or numel // size * (size + before + after) > most:
            before = after = 0
        pad += [before, after]
        numel = numel // size * (size + before + after)
    return pad


def raw(tensor: Tensor) -> Tensor:
    return tensor.flatten().as_strided((tensor.numel(),), (1,)).view(torch.uint8)  # whatever the stride of one element


def check_window(rng: random.Random, input: Tensor, pad: Sequence[int], value: float | None) -> Tensor:
    """A new output, one in memory that was used before, and one in the middle of a tensor."""
    expected = F.pad(input, pad, value=value)
    for reused in range(2):
        hits = memory.stats()["hits"]
        result = functional.pad(input, pad, value=value)
        assert memory.stats()["hits"] >= hits + reused
        assert (result.dtype, result.shape, result.stride()) == (expected.dtype, expected.shape, expected.stride())
        assert torch.equal(raw(result), raw(expected))
        result.fill_(99)
        del result
    base = torch.full((expected.numel() + 32,), 99, dtype=input.dtype)
    wanted, begin = base.clone(), rng.randint(0, 31)
    wanted[begin : begin + expected.numel()] = expected.flatten()
    functional.pad(input, pad, value=value, out=base[begin : begin + expected.numel()].view(expected.shape))
    assert torch.equal(raw(base), raw(wanted))
    return expected


def check_windows(count: int) -> None:
    """Rows of 1 byte to more than 1 MB, in up to five dimensions, in one thread and in two."""
    for seed in range(count):
        rng = random.Random(seed)
        dtype, layout = DTYPES[seed % 5], rng.choice(list(INPUT_LAYOUTS))
        torch.set_num_threads(seed // 5 % 2 + 1)
        width = int(2 ** rng.uniform(0, 20.5) / dtype.itemsize) + 1
        rows = int(2 ** rng.uniform(0, math.log2(max(2**21 // (width * dtype.itemsize), 1))))
        dims = rng.randint(2 if layout == "channels_last" else 1, 5)
        outer = [rng.choice((1, 2, 3, 5)) for _ in range(dims - 2)]
        shape = (*outer, rows // math.prod(outer) + 1, width)[-dims:]
        input, pad = random_input(rng, shape, dtype, layout), random_pad(rng, shape, 2**21 // dtype.itemsize)
        check_window(rng, input, pad, rng.choice((None, 7.9)))


LARGE_PADS = ((-1, -2, 1, -1), (1, 0, 2, -1, 0, 1), (17, -3), (3, 40))


def check_large_windows() -> None:
    """Outputs that are stored past the caches where their memory was used before."""
    cache = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    streamed = min(int(cache.read_text().rstrip("K\n")) * 1024 if cache.exists() else 2**25, 2**28)
    for seed, pad in enumerate(LARGE_PADS):
        rng = random.Random(seed)
        dtype, layout = DTYPES[seed], rng.choice(("contiguous", "sliced"))
        torch.set_num_threads(seed % 2 + 1)
        width = int(2 ** rng.uniform(8.5, 20.5) / dtype.itemsize) + 4
        shape = (2, streamed // (2 * (width - 3) * dtype.itemsize) + 5, width)
        assert check_window(rng, random_input(rng, shape, dtype, layout), pad, 7.9).nbytes > streamed


@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_each_capability_copies_right_and_is_told(capability, monkeypatch, fresh_python):
    if capability == "avx2" and not HAS_AVX2:
        pytest.skip("this CPU has no AVX2")
    monkeypatch.setenv(VARIABLE, capability)
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # threads that wait take no core from those that work
    printed = fresh_python(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import test_cpu
        from torchcrop_fast import _C, __main__, memory

        memory.set_cache_limit(2**30)
        test_cpu.check_windows(400)
        test_cpu.check_large_windows()
        __main__.main(["info"])
        print(_C.cpu_capability())
        """,
        str(Path(__file__).parent),
    )
    assert re.search(rf"(?s)\ncpu features +{capability} in our kernels, .*\n{capability}\n$", printed)


def test_the_best_capability_is_chosen_where_none_is_asked_for(monkeypatch, fresh_python):
    for prepare in (lambda: monkeypatch.delenv(VARIABLE, raising=False), lambda: monkeypatch.setenv(VARIABLE, "")):
        prepare()
        printed = fresh_python("from torchcrop_fast import _C; print(_C.cpu_capability())")
        assert printed.strip() == ("avx2" if HAS_AVX2 else "default")


@pytest.mark.parametrize("capability", ["garbage", "avx512"])
def test_an_unknown_capability_is_one_sentence(capability, monkeypatch, fresh_python):
    """At each crop, not at the import, in one thread or several."""
    monkeypatch.setenv(VARIABLE, capability)
    printed = fresh_python(
        """
        import torch
        from torchcrop_fast import functional

        torch.set_num_threads(2)
        for input, out in ((torch.zeros(5), None), (torch.zeros(2, 1 << 22), None), (torch.zeros(5), torch.ones(3))):
            try:
                functional.crop(input, (1, 1), out=out)
            except RuntimeError as error:
                print(error)
        print(out.tolist())
        """
    )
    assert printed == f"{VARIABLE} must be default or avx2, got '{capability}'\n" * 3 + "[1.0, 1.0, 1.0]\n"


# The fast entry. What it must not hide, and torch.ops, which goes through the dispatcher, shows.
PAD = (1, -2)
OFFSETS = torch.tensor([[-1], [1]])
OP = torch.ops.torchcrop_fast.pad
CROP_AT = torch.ops.torchcrop_fast.crop_at
WAYS = {
    "pad": lambda x: functional.pad(x, PAD),
    "crop": lambda x: functional.crop(x, (-1, 2)),
    "out": lambda x: functional.pad(x, PAD, out=torch.empty(2, 4, 4)),
    "layer": tcf.ZeroPad1d(PAD),
    "crop_at": lambda x: functional.crop_at(x, OFFSETS, (4,)),
    "crop_at, out": lambda x: functional.crop_at(x, OFFSETS, [4], fill=0.5, out=torch.empty(2, 4, 4)),
}


def op_of(way: str) -> str:
    return "torchcrop_fast::crop_at" if way.startswith("crop_at") else "torchcrop_fast::pad"


def example() -> Tensor:
    return torch.arange(1.0, 41.0).view(2, 4, 5)


def answer(*_: object) -> Tensor:
    return torch.full((1,), 42.0)


@pytest.mark.parametrize("name", WAYS)
def test_profilers_see_the_op(name, tmp_path):
    way, op, x = WAYS[name], op_of(name), example()
    way(x)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as kineto, record_function("around"):
        way(x)
    (event,) = [event for event in kineto.events() if event.name == op]
    assert event.cpu_parent.name == "around"
    assert event.input_shapes[0] == [2, 4, 5]
    with torch.autograd.profiler.profile() as old:
        way(x)
    assert op in [event.name for event in old.function_events]
    observer = ExecutionTraceObserver().register_callback(str(tmp_path / "trace.json"))
    observer.start()
    way(x)
    observer.stop()
    observer.unregister_callback()
    nodes = json.loads((tmp_path / "trace.json").read_text())["nodes"]
    assert op in [node["name"] for node in nodes]


@pytest.mark.filterwarnings("ignore:Warning only once for all operators")  # of a kernel in place of ours
@pytest.mark.parametrize("key", ["AutocastCPU", "FuncTorchVmapMode", "PreDispatch", "PythonTLSSnapshot"])
def test_kernels_of_a_key_that_is_switched_on_run(key):
    with torch.library._scoped_library("torchcrop_fast", "IMPL") as library:
        library.impl("pad", answer, key)
        library.impl("crop_at", answer, key)
        on = torch.autocast("cpu") if key == "AutocastCPU" else _IncludeDispatchKeyGuard(getattr(DispatchKey, key))
        with on:
            assert functional.pad(example(), PAD).tolist() == [42]
            assert functional.pad(example().requires_grad_(), PAD).tolist() == [42]
            assert functional.crop_at(example(), OFFSETS, (4,)).tolist() == [42]


class Answering(Tensor):
    """Has no say in torch's functions, but in what is dispatched."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    __torch_dispatch__ = classmethod(
        lambda cls, func, *_: answer() if func in (OP.default, CROP_AT.default) else cls.seen.append(func)
    )
    seen: list = []


def test_subclasses_with_a_dispatch_of_their_own_see_the_op():
    x, out = example(), torch.zeros(2, 4, 4)
    assert functional.pad(x.as_subclass(Answering), PAD).tolist() == [42]
    functional.pad(x.as_subclass(Answering), PAD, out=out)
    functional.pad(x, PAD, out=out.as_subclass(Answering))
    assert Answering.seen[-2:] == [OP.out, OP.out]
    assert out.sum() == 0
    flip = torch.zeros(2, dtype=torch.bool)
    for arguments in itertools.product((x, x.as_subclass(Answering)), (OFFSETS, OFFSETS.as_subclass(Answering))):
        for flips in (None, flip, flip.as_subclass(Answering)):
            answered = any(type(tensor) is Answering for tensor in (*arguments, flips))
            assert (functional.crop_at(*arguments, (4,), flip=flips).tolist() == [42]) is answered
    functional.crop_at(x, OFFSETS, (4,), out=out.as_subclass(Answering))
    assert Answering.seen[-1] == CROP_AT.out


NOT_PLAIN = Tensor.to_sparse, Tensor.to_mkldnn, lambda x: torch._nested_tensor_from_tensor_list([x[0], x[1, :2]])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize("make", NOT_PLAIN, ids=["sparse", "mkldnn", "nested"])
def test_layouts_without_a_kernel_raise_as_through_the_dispatcher(make):
    x = make(example())
    with pytest.raises(RuntimeError) as expected:
        OP(x, PAD)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value).splitlines()[0])):
        functional.pad(x, PAD)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:.*quantized:UserWarning")
def test_quantized_tensors_are_padded_as_by_the_reference():
    x = torch.quantize_per_tensor(example(), 0.5, 3, torch.quint8)
    assert_same(functional.pad(x, PAD, value=1.0).int_repr(), F.pad(x, PAD, value=1.0).int_repr())


def test_autograd_follows_views_of_a_base_that_it_follows_since():
    leaf, base = torch.rand(2, 4, 5, requires_grad=True), example()
    view = base[:1]
    base.mul_(leaf)
    functional.pad(view, PAD).sum().backward()
    assert_same(leaf.grad, F.pad(example()[:1, :, :3], (0, 2, 0, 0, 0, 1)))


def test_autograd_records_nothing_where_it_is_switched_off():
    with torch._C._AutoDispatchBelowAutograd():
        assert functional.pad(example().requires_grad_(), PAD).grad_fn is None


def test_tangents_of_views_and_without_gradients():
    tangent = torch.rand(2, 4, 5)
    with dual_level():
        dual = make_dual(example(), tangent)
        with torch.no_grad():
            assert_same(unpack_dual(functional.pad(dual, PAD)).tangent, F.pad(tangent, PAD))
        base = torch.zeros(2, 4, 5)
        view = base[:1]
        base.copy_(dual)
        assert_same(unpack_dual(functional.pad(view, PAD)).tangent, F.pad(tangent[:1], PAD))


def test_inference_tensors_stay_what_they_are():
    with torch.inference_mode():
        x, out = example(), torch.zeros(2, 4, 4)
        inferred = functional.pad(x, PAD)
    assert not functional.pad(x, PAD).is_inference()
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        inferred * torch.ones(4, requires_grad=True)
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        functional.pad(x, PAD, out=out)


@pytest.mark.parametrize("name", WAYS)
def test_real_tensors_under_a_fake_mode_give_fake_ones(name):
    x = example()
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert type(WAYS[name](x)) is FakeTensor


CONSTANT = torch.rand(2, 4, 5)


class Constants(nn.Module):
    """Pads the input, a buffer, a tensor from outside and one made here: a graph must hold them all."""

    def __init__(self):
        super().__init__()
        self.register_buffer("buffer", torch.rand(2, 4, 5))

    def forward(self, x):
        padded = [way(tensor) for way in (WAYS["pad"], WAYS["crop"]) for tensor in (x, self.buffer, CONSTANT)]
        return torch.stack([*padded, functional.pad(torch.ones(2, 4, 5), PAD)])


@pytest.mark.parametrize("strict", [False, True], ids=["non_strict", "strict"])
def test_exports_hold_the_pads_of_constants(strict):
    module = Constants()
    exported = torch.export.export(module, (example(),), strict=strict)
    calls = [node.target for node in exported.graph.nodes if node.op == "call_function"]
    assert {call.namespace for call in calls} == {"aten"}
    assert calls.count(torch.ops.aten.constant_pad_nd.default) == 7
    assert_same(exported.module()(example()), module(example()))


@pytest.mark.parametrize("pre_dispatch", [False, True])
@pytest.mark.parametrize("tracing_mode", ["real", "fake"])
def test_make_fx_and_traces_record_the_pads_of_constants(pre_dispatch, tracing_mode):
    traced = make_fx(Constants(), pre_dispatch=pre_dispatch, tracing_mode=tracing_mode, _allow_non_fake_inputs=True)
    assert [node.target for node in traced(example()).graph.nodes].count(OP.default) == 7
    graph = torch.jit.trace(Constants(), example()).inlined_graph
    assert len(graph.findAllNodes("torchcrop_fast::pad")) == 7


def test_brief_crops_of_four_threads_beside_a_large_one(set_num_threads):
    set_num_threads(1)
    large, stamps = torch.zeros(100 << 20, dtype=torch.uint8), []

    def crop_large():
        """Again and again, until enough tiny ones fell within a call, however busy the machine is."""
        within = 0
        while within <= 20:
            start = time.perf_counter()
            assert functional.crop(large, (1, 1)).numel() == (100 << 20) - 2
            end = time.perf_counter()
            within += sum(start < stamp < end for stamp in list(stamps))

    def crop_tiny(number):
        while not future.done() or len(stamps) < 1000:
            stamps.append(time.perf_counter())
            x = torch.full((number + 2, 10 + len(stamps) % 400), float(len(stamps)))
            out = torch.empty(x.size(0), x.size(1) - 2)
            assert functional.crop(x, (1, 1), out=out) is out
            assert torch.equal(out, x[:, 1:-1])
            assert torch.equal(functional.crop(x, (number, 1)), x[:, number:-1])
            assert torch.equal(functional.pad(x, (number, -1), value=-1), F.pad(x, (number, -1), value=-1))

    with ThreadPoolExecutor(5) as pool:
        future = pool.submit(crop_large)
        for tiny in [pool.submit(crop_tiny, number) for number in range(4)]:
            tiny.result()
    future.result()
