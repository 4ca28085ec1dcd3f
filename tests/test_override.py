"""The override of torch's own pads: the same results, strides, errors and graphs as torch's kernels give."""

import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from builds import ROOT
from op_tester import bits
from pad_cases import CASES, REPEATING_CASES
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import OpInfo, SampleInput

import torchcrop_fast as tcf
from torchcrop_fast import _library, memory

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

INFOS = {
    f"{info.name}-{info.variant_test_name}": info
    for info in op_db
    if info.name in ("constant_pad_nd", "nn.functional.pad")
}
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def outputs_of_ours() -> int:
    """How many tensors our kernels have made on the CPU."""
    stats = memory.stats()
    return stats["hits"] + stats["misses"]


def made_by_ours(call: Callable[[], Any]) -> int:
    """How many tensors our kernels make in a call."""
    before = outputs_of_ours()
    call()
    return outputs_of_ours() - before


def result_of(call: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...] | Exception:
    try:
        return call()
    except Exception as error:
        return error


def assert_same_with_override(call: Callable[[], tuple[Tensor, ...]], sums: bool = False) -> None:
    """The same results or error. The last result may be sums that are added up in another order."""
    expected = result_of(call)
    with tcf.override_torch_pad():
        result = result_of(call)
    if isinstance(expected, Exception) or isinstance(result, Exception):
        assert (type(result), str(result)) == (type(expected), str(expected))
        return
    for i, (one, other) in enumerate(zip(result, expected, strict=True)):
        assert (one.shape, one.dtype, one.stride()) == (other.shape, other.dtype, other.stride())
        if sums and i + 1 == len(expected):
            torch.testing.assert_close(one, other)
        else:
            assert torch.equal(bits(one), bits(other))


def layouts_of(input: Tensor) -> list[Tensor]:
    """The same elements in other layouts."""
    all_layouts = [input]
    if input.dim() in FORMATS:
        all_layouts.append(input.contiguous(memory_format=FORMATS[input.dim()]))
    if input.dim() > 1:
        all_layouts.append(input.transpose(-1, -2).contiguous().transpose(-1, -2))
    return all_layouts


def run_sample(info: OpInfo, sample: SampleInput, input: Tensor, differentiable: bool) -> tuple[Tensor, ...]:
    leaf = input.detach().requires_grad_(differentiable)
    result = info.op(leaf, *sample.args, **sample.kwargs)
    if not differentiable:
        return (result,)
    upstream = torch.arange(result.numel()).remainder(7).to(result.dtype).view(result.shape)
    return result.detach(), *torch.autograd.grad(result, leaf, upstream)


@pytest.mark.parametrize("name", INFOS)
def test_every_case_of_torchs_own_tests_is_the_same(name):
    info = INFOS[name]
    count = 0
    for dtype in sorted(info.supported_dtypes("cpu"), key=str):
        differentiable = dtype.is_floating_point or dtype.is_complex
        samples = list(info.sample_inputs("cpu", dtype, requires_grad=False))
        if dtype != torch.complex32:  # of which torch cannot make them
            samples += [error.sample_input for error in info.error_inputs("cpu")] if info.error_inputs_func else []
        for sample in samples:
            for input in layouts_of(sample.input):
                sums = differentiable and "re" in info.variant_test_name
                assert_same_with_override(partial(run_sample, info, sample, input, differentiable), sums)
                count += 1
    assert count > 100


def test_every_case_of_ours_is_the_same():
    cases = [*CASES, *(case for case in REPEATING_CASES if case.mode != "circular")]
    assert len(cases) > 2000
    for case in cases:
        torch.manual_seed(0)
        input = case.call().input
        value = case.value if case.mode == "constant" else None
        try:
            assert_same_with_override(lambda: (F.pad(input, case.pad, case.mode, value),))  # noqa: B023
        except AssertionError as wrong:
            raise AssertionError(f"{case}: {wrong}") from None


PADS: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "constant": ((4, 3, 20, 20), (2, -1, -3, 4), "constant"),
    "crop": ((4, 3, 20, 20), (-4, -4, -4, -4), "constant"),
    "reflect1d": ((4, 3, 200), (2, 3), "reflect"),
    "reflect2d": ((4, 3, 20, 20), (2, 3, 1, 2), "reflect"),
    "reflect3d": ((4, 3, 5, 20, 20), (2, 3, 1, 2, 3, 1), "reflect"),
    "replicate1d": ((4, 3, 200), (2, 3), "replicate"),
    "replicate2d": ((4, 3, 20, 20), (2, 3, 1, 2), "replicate"),
    "replicate3d": ((4, 3, 5, 20, 20), (2, 3, 1, 2, 3, 1), "replicate"),
}


@pytest.mark.parametrize("name", PADS)
def test_our_kernels_run_forward_and_backward_while_it_is_on(name):
    shape, pad, mode = PADS[name]
    leaf = torch.rand(shape, requires_grad=True)

    def train() -> None:
        F.pad(leaf, pad, mode).sum().backward()

    assert made_by_ours(train) == 0
    with tcf.override_torch_pad():
        assert made_by_ours(train) == 2
    assert made_by_ours(train) == 0


@pytest.mark.parametrize("name", PADS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bfloat16, torch.complex128], ids=str)
def test_our_kernels_run_for_all_dtypes_of_torchs(name, dtype):
    shape, pad, mode = PADS[name]
    with tcf.override_torch_pad():
        assert made_by_ours(lambda: F.pad(torch.ones(shape, dtype=dtype), pad, mode)) == 1


@pytest.mark.parametrize("name", [name for name in PADS if "2d" in name or "3d" in name])
def test_gradient_lies_in_memory_as_torchs_does(name):
    shape, pad, mode = PADS[name]
    format = FORMATS[len(shape)]
    for input_format in (torch.contiguous_format, format):
        for upstream_format in (torch.contiguous_format, format):

            def differentiate(input_format=input_format, upstream_format=upstream_format) -> tuple[Tensor, ...]:
                leaf = torch.ones(shape).contiguous(memory_format=input_format).requires_grad_()
                result = F.pad(leaf, pad, mode)
                upstream = torch.ones(result.shape).contiguous(memory_format=upstream_format)
                return torch.autograd.grad(result, leaf, upstream)

            assert_same_with_override(differentiate)


WRONG: list[Callable[[], Tensor]] = [
    lambda: F.pad(torch.rand(2, 3, 8), (1,)),
    lambda: F.pad(torch.rand(2, 3, 8), (-5, -5)),
    lambda: F.pad(torch.rand(8), (1, 1, 1, 1)),
    lambda: F.pad(torch.ones(8, dtype=torch.uint8), (1, 1), value=300),
    lambda: F.pad(torch.rand(8), (1, 1), value=1e300),
    lambda: torch.constant_pad_nd(torch.rand(8), (1, 1), 1j),
    lambda: torch.constant_pad_nd(torch.rand(8), (2**62, 2**62)),
    lambda: F.pad(torch.rand(2, 3, 8), (8, 1), "reflect"),
    lambda: F.pad(torch.rand(2, 0, 8), (1, 1), "reflect"),
    lambda: F.pad(torch.rand(2, 3, 0), (1, 1), "replicate"),
    lambda: F.pad(torch.rand(2, 3, 8), (-5, -5), "replicate"),
    lambda: F.pad(torch.rand(2, 3, 8), (-4, -4), "replicate"),
    lambda: F.pad(torch.ones(2, 3, 8, dtype=torch.bool), (1, 1), "reflect"),
    lambda: F.pad(torch.ones(2, 3, 8, dtype=torch.uint16), (1, 1), "replicate"),
    lambda: torch.ops.aten.replication_pad1d_backward(torch.ones(3, 9).int(), torch.ones(3, 8).int(), (1, 0)),
    lambda: F.pad(torch.rand(2, 3, 8, dtype=torch.float16).to(torch.float8_e5m2), (1, 1), "replicate"),
    lambda: torch.ops.aten.reflection_pad1d(torch.rand(2, 3, 4, 8), (1, 1)),
    lambda: torch.ops.aten.reflection_pad2d(torch.rand(2, 3, 8), (1, 1)),
    lambda: torch.ops.aten.reflection_pad1d_backward(torch.rand(2, 3, 9), torch.rand(2, 3, 8), (1, 1)),
    lambda: torch.ops.aten.replication_pad1d_backward(torch.rand(3, 9).double(), torch.rand(3, 8), (1, 0)),
    lambda: F.pad(torch.rand(2, 3, names=("N", "C")), (1, 1)),
]


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.filterwarnings("ignore:Named tensors")
def test_what_torch_refuses_it_refuses_in_its_own_words(call):
    with pytest.raises(Exception, match=r"\w"):
        call()
    assert_same_with_override(lambda: (call(),))


def is_on() -> bool:
    return made_by_ours(lambda: F.pad(torch.ones(100), (1, 1))) == 1


def test_each_override_ends_by_its_own_handle():
    first = tcf.override_torch_pad()
    with tcf.override_torch_pad() as second:
        assert is_on()
        first.remove()
        first.remove()
        assert is_on()
    assert not is_on()
    second.remove()
    assert not is_on()
    with pytest.raises(ZeroDivisionError), tcf.override_torch_pad():
        raise ZeroDivisionError
    assert not is_on()


def test_dropped_handle_leaves_the_override_on(fresh_python):
    told = fresh_python(
        """
        import gc, torch, torchcrop_fast as tcf
        tcf.override_torch_pad()
        gc.collect()
        torch.nn.ZeroPad2d(1)(torch.ones(100, 100))
        print(tcf.memory.stats()["misses"])
        """
    )
    assert told == "1\n"


def test_threads_may_pad_while_others_turn_it_on_and_off():
    shapes = [(shape, pad, mode) for shape, pad, mode in PADS.values()]
    jobs = []
    for seed, (shape, pad, mode) in enumerate(shapes):
        torch.manual_seed(seed)
        input = torch.rand(shape)
        jobs.append((input, pad, mode, bits(F.pad(input, pad, mode))))
    done = threading.Event()

    def toggle(seed: int) -> int:
        rng, times = random.Random(seed), 0
        while not done.is_set():
            handles = [tcf.override_torch_pad() for _ in range(rng.randrange(3))]
            rng.shuffle(handles)
            for handle in handles:
                handle.remove()
            times += 1
        return times

    def pad(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(500):
            input, entries, mode, expected = rng.choice(jobs)
            assert torch.equal(bits(F.pad(input, entries, mode)), expected)

    with ThreadPoolExecutor(6) as pool:
        toggling = [pool.submit(toggle, seed) for seed in range(2)]
        try:
            list(pool.map(pad, range(4)))
        finally:
            done.set()
    assert all(times.result() > 0 for times in toggling)
    assert not is_on()


def test_one_handle_removed_by_many_threads_ends_one_override():
    with tcf.override_torch_pad():
        for _ in range(50):
            handle = tcf.override_torch_pad()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _, handle=handle: handle.remove(), range(4)))
        assert is_on()
    assert not is_on()


def test_forked_child_has_an_override_of_its_own(fresh_python):
    told = fresh_python(
        """
        import os, torch, torchcrop_fast as tcf

        def is_on():
            before = tcf.memory.stats()["misses"] + tcf.memory.stats()["hits"]
            torch.nn.ZeroPad2d(1)(torch.ones(100, 100))
            return tcf.memory.stats()["misses"] + tcf.memory.stats()["hits"] > before

        handle = tcf.override_torch_pad()
        child = os.fork()
        if child == 0:
            on = is_on()
            handle.remove()
            os._exit(0 if on and not is_on() else 1)
        print(os.waitpid(child, 0)[1], is_on())
        """
    )
    assert told == "0 True\n"


# Loads the library as a program without our Python package would.
PROGRAM = """
import sys, torch
if len(sys.argv) > 1:
    torch.ops.load_library(sys.argv[1])
scripted = torch.jit.script(torch.nn.ZeroPad2d(-4))
with torch.profiler.profile(profile_memory=True) as profile:
    scripted(torch.ones(500, 500))
assert "torchcrop_fast" not in sys.modules
here = [line for line in open("/proc/self/maps") if "torchcrop_fast" in line]
print(bool(here), sum("aten::narrow" == event.key for event in profile.key_averages()))
"""


def run_program(*arguments: str, **environment: str) -> tuple[str, str]:
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return process.stdout, process.stderr


def test_environment_turns_it_on_wherever_the_library_is_loaded():
    library = str(_library.OPS_LIBRARY)
    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    # torch's own kernel narrows; ours doesn't.
    assert run_program(library)[0] == "True 1\n"
    assert run_program(library, TORCHCROP_FAST_OVERRIDE="1")[0] == "True 0\n"
    preloaded = {"LD_PRELOAD": library, "LD_LIBRARY_PATH": folder}
    assert run_program(TORCHCROP_FAST_OVERRIDE="1", **preloaded)[0] == "True 0\n"
    told, warned = run_program(library, TORCHCROP_FAST_OVERRIDE="yes")
    assert told == "True 1\n"
    assert "TORCHCROP_FAST_OVERRIDE must be 0 or 1, got 'yes'" in warned


def test_what_the_page_on_converting_tells_of_it():
    page = (ROOT / "docs/convert.md").read_text()
    (command,) = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    told = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=True, env=os.environ | {"PATH": path}
    )
    assert told.stdout == "torch.Size([10, 1, 20, 20])\n"
    (code,) = re.findall(r"^```cpp\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    suite = (ROOT / "tests/cpp/library_test.cpp").read_text()
    for line in code.splitlines():  # its calls are tested there
        assert line.partition("  //")[0].replace("torchcrop_fast::", "tcf::") in suite


class Padded(nn.Module):
    """A model with torch's own pads in it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(1), nn.Conv2d(2, 3, 3), nn.ZeroPad2d((-1, 2, 1, -1)), nn.ReplicationPad2d(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def test_graphs_do_not_change():
    torch.manual_seed(0)
    model, x = Padded(), torch.rand(2, 2, 8, 8)

    def graphs() -> list[str]:
        eager = make_fx(model)(x).code
        backward = make_fx(torch.func.grad(lambda x: model(x).sum()))(x).code
        exported = torch.export.export(model, (x,)).graph_module.code
        traced = sorted(node.kind() for node in torch.jit.trace(model, x).inlined_graph.nodes())
        return [eager, backward, exported, str(traced)]

    expected = graphs()
    with tcf.override_torch_pad():
        assert graphs() == expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transforms_and_compiled_models_give_the_same():
    torch.manual_seed(0)
    model, x, tangent = Padded().double(), torch.rand(2, 2, 8, 8).double(), torch.rand(2, 2, 8, 8).double()
    compiled = torch.compile(model, backend="aot_eager")
    pads = nn.Sequential(nn.ReflectionPad1d(2), nn.ConstantPad1d((-1, 3), 0.5), nn.ReplicationPad1d((1, 0)))
    row = torch.rand(2, 5).double()
    calls: list[Callable[[], Any]] = [
        lambda: torch.func.vmap(pads)(torch.stack([row, row + 1])),
        lambda: torch.func.vmap(torch.func.grad(lambda row: pads(row).square().sum()))(torch.stack([row, row + 1])),
        lambda: torch.func.jvp(model, (x,), (tangent,))[1],
        lambda: torch.func.hessian(lambda row: pads(row).pow(3).sum())(row),
        lambda: compiled(x),
        lambda: torch.jit.script(model)(x),
    ]
    for call in calls:
        assert_same_with_override(lambda call=call: (call().detach(),), sums=True)
    with tcf.override_torch_pad():
        assert made_by_ours(lambda: torch.func.vmap(pads)(torch.stack([row, row + 1]))) == 3
        assert torch.autograd.gradcheck(pads, row.requires_grad_(), check_forward_ad=True, check_batched_grad=True)


def test_deterministic_mode_and_inference_mode_are_the_same():
    x = torch.rand(2, 2, 8, 8)
    torch.use_deterministic_algorithms(True)
    try:
        for shape, pad, mode in PADS.values():
            assert_same_with_override(lambda shape=shape, pad=pad, mode=mode: (F.pad(torch.ones(shape), pad, mode),))
    finally:
        torch.use_deterministic_algorithms(False)
    with torch.inference_mode(), tcf.override_torch_pad():
        assert F.pad(x, (1, 1)).is_inference()
