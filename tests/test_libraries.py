"""The built libraries: links, threads, the GIL, fork, the cost of an import, and when the fast entry steps aside."""

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import torchcrop_fast as tcf
from torchcrop_fast import _C, _library, functional


def tool(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_ops_library_carries_no_python_abi():
    assert _library.OPS_LIBRARY.name == "libtorchcrop_fast.so"
    assert _library.OPS_LIBRARY.exists()


def test_ops_library_needs_no_python():
    library = str(_library.OPS_LIBRARY)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", tool("readelf", "--dynamic", "--wide", library))
    assert "libtorch_cpu.so" in needed
    assert not [name for name in needed if "python" in name]
    symbols = tool("nm", "--dynamic", "--demangle", library)
    assert "torchcrop_fast::pad" in symbols
    python = re.compile(r"(?<!c10::impl::)\b_?Py[A-Z_]|pybind11|THPVariable|torch::python")
    assert not [line for line in symbols.splitlines() if python.search(line)]
    # The pattern finds Python where there is some.
    assert python.search(tool("nm", "--dynamic", "--demangle", _C.__file__))


def test_ops_library_exports_the_public_functions_alone():
    symbols = tool("nm", "--dynamic", "--defined-only", "--demangle", str(_library.OPS_LIBRARY))
    functions = set(re.findall(r" T ([^(\n]*)", symbols))
    headers = (Path(__file__).parent.parent / "csrc" / "include" / "torchcrop_fast").glob("*.h")
    text = "\n".join(header.read_text() for header in headers)
    declared = re.findall(r"^TORCHCROP_FAST_API (?:const )?[\w:&*]+ (\w+)\(", text, re.MULTILINE)
    assert len(declared) > 7
    (handle,) = re.findall(r"^class TORCHCROP_FAST_API (\w+)", text, re.MULTILINE)
    members = {name for name in functions if name.startswith(f"torchcrop_fast::{handle}::")}
    assert f"torchcrop_fast::{handle}::remove" in members
    assert functions - members == {f"torchcrop_fast::{name}" for name in declared}


def test_ops_library_loads_without_python(tmp_path):
    """A program that is no Python loads it."""
    source, program = tmp_path / "load.c", tmp_path / "load"
    source.write_text(
        """
        #include <dlfcn.h>
        #include <stdio.h>
        int main(int argc, char** argv) {
          void* const library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
          puts(library ? "loaded" : dlerror());
          return dlsym(RTLD_DEFAULT, "Py_IsInitialized") != 0;
        }
        """
    )
    tool("c++", "-x", "c", str(source), "-x", "none", "-ldl", "-o", str(program))
    torch_libraries = str(Path(torch.__file__).parent / "lib")
    command = ["env", f"LD_LIBRARY_PATH={torch_libraries}", str(program), str(_library.OPS_LIBRARY)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (process.stdout.strip(), process.returncode) == ("loaded", 0)


def test_one_openmp_serves_torch_and_us(fresh_python):
    printed = fresh_python(
        """
        import torch, torchcrop_fast

        torch.set_num_threads(2)
        torchcrop_fast.functional.pad(torch.zeros(1 << 22), (1, 1))
        torch.zeros(1 << 22).exp()
        paths = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
        print(*sorted(path for path in paths if "gomp" in path or "libomp" in path or "iomp" in path))
        """
    )
    assert len(printed.split()) == 1


def test_large_pads_run_in_parallel(fresh_python):
    """The work itself is shared out: with passive waiting, a thread's CPU time is work."""
    printed = fresh_python(
        """
        import os
        os.environ["OMP_WAIT_POLICY"] = "passive"
        import time, torch
        from torchcrop_fast import functional

        def cpu_times():
            times = {}
            for thread in os.listdir("/proc/self/task"):
                fields = open(f"/proc/self/task/{thread}/stat").read().rpartition(")")[2].split()
                times[thread] = int(fields[11]) + int(fields[12])
            return times

        torch.set_num_threads(2)
        input, out = torch.empty(16, 1024, 1024), torch.empty(16, 1024, 1026)
        before = cpu_times()
        end = time.perf_counter() + 1
        while time.perf_counter() < end:
            functional.pad(input, (1, 1), out=out)
        spent = sorted(ticks - before.get(thread, 0) for thread, ticks in cpu_times().items())
        print(spent[-2] / spent[-1], sum(1 for ticks in spent if ticks > 0.2 * spent[-1]))
        """
    )
    second, workers = printed.split()
    assert float(second) > 0.5
    assert int(workers) == 2


def test_small_pads_start_no_threads(fresh_python):
    printed = fresh_python(
        """
        import os, torch
        from torchcrop_fast import functional

        torch.set_num_threads(2)
        before = len(os.listdir("/proc/self/task"))
        functional.pad(torch.empty(10, 1, 28, 28), (-4, -4, -4, -4))
        print(len(os.listdir("/proc/self/task")) - before)
        """
    )
    assert printed.split() == ["0"]


LONG_INPUT_BYTES = 256 << 20  # zeros that nobody wrote: they take no memory

# Each of them ready to be called: what makes its arguments gives the GIL away, too.
LONG_CALLS = {
    "pad": lambda input: partial(functional.pad, input, (1, 1)),
    "crop": lambda input: partial(functional.crop, input, (1, 1)),
    "pad_out": lambda input: partial(functional.pad, input, (1, -1), out=torch.empty_like(input)),
    "layer": lambda input: partial(tcf.ZeroPad1d((1, -1)), input),
    "op": lambda input: partial(torch.ops.torchcrop_fast.pad, input, [1, 1]),
    "crop_at": lambda input: partial(
        functional.crop_at, input[None], torch.zeros(1, 1, dtype=torch.int64), [input.numel()]
    ),
    "crop_mirror_normalize": lambda input: partial(
        functional.crop_mirror_normalize, input.view(4, 1, -1, 1024)[:1], None, (2**16, 1024), mean=[0], std=[1]
    ),
    "gradient": lambda input: partial(
        torch.ops.torchcrop_fast._pad_adjoint,
        input.view(torch.float32)[None],
        [1, 1],
        [input.numel() // 4 - 2],
        "reflect",
    ),
}


def timed(call) -> tuple[float, float]:
    start = time.perf_counter()
    result = call()
    end = time.perf_counter()
    del result  # only now: to free a tensor gives the GIL away, too
    return start, end


TRIES = 100  # on a busy machine a thread may not get to run in time; where the GIL is kept, none ever helps


@pytest.fixture
def _threads_keep_the_gil():
    """No thread loses the GIL that does not give it away: between a look at the clock and a call it can't."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_threads_keep_the_gil")
@pytest.mark.parametrize("call", LONG_CALLS.values(), ids=LONG_CALLS)
def test_python_runs_during_a_call(call, set_num_threads):
    """The GIL is released: the main thread looks at the clock within another's call."""
    set_num_threads(1)
    input = torch.zeros(LONG_INPUT_BYTES, dtype=torch.uint8)

    def runs_within() -> bool:
        stamps = []
        future = pool.submit(timed, call(input))
        while not future.done():
            time.sleep(0)  # lets the other thread have the GIL
            stamps.append(time.perf_counter())
        start, end = future.result()
        return any(start < stamp < end for stamp in stamps)

    with ThreadPoolExecutor(1) as pool:
        assert any(runs_within() for _ in range(TRIES))


@pytest.mark.usefixtures("_threads_keep_the_gil")
@pytest.mark.parametrize("call", LONG_CALLS.values(), ids=LONG_CALLS)
def test_calls_of_two_threads_overlap(call, set_num_threads):
    set_num_threads(1)
    input = torch.zeros(LONG_INPUT_BYTES, dtype=torch.uint8)
    together = threading.Barrier(2)

    def wait_and_call():
        ready = call(input)
        together.wait()
        return timed(ready)

    def overlap() -> bool:
        (start_1, end_1), (start_2, end_2) = [future.result() for future in [pool.submit(wait_and_call) for _ in "12"]]
        return min(end_1, end_2) - max(start_1, start_2) > min(end_1 - start_1, end_2 - start_2) / 2

    with ThreadPoolExecutor(2) as pool:
        assert any(overlap() for _ in range(TRIES))


def test_threads_get_their_own_results(set_num_threads):
    """Many threads, each with other shapes, small ones and such that run in parallel themselves."""
    set_num_threads(2)
    generator = torch.Generator().manual_seed(0)

    def case(i: int):
        width = int(torch.randint(3, 60, (), generator=generator))
        input = torch.rand(40_000 if i % 4 == 0 else 5, width, generator=generator)
        pad = tuple(torch.randint(-(width // 2), 5, (2,), generator=generator).tolist())
        return input, pad, F.pad(input, pad, value=i)

    cases = [case(i) for i in range(160)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            results = pool.map(lambda i: functional.pad(cases[i][0], cases[i][1], value=i), range(len(cases)))
            assert all(torch.equal(result, expected) for result, (_, _, expected) in zip(results, cases, strict=True))


def test_forked_children_pad_right(fresh_python):
    """As the workers of a DataLoader do: they set the number of threads to 1, since OpenMP does not survive a fork."""
    printed = fresh_python(
        """
        import os, torch
        import torch.nn.functional as F
        from torchcrop_fast import functional

        torch.set_num_threads(2)
        input = torch.rand(64, 256, 256)
        expected = F.pad(input, (1, -2, 3, 0))
        functional.pad(input, (1, -2, 3, 0))  # in parallel, in the parent
        for _ in range(3):
            child = os.fork()
            if child == 0:
                torch.set_num_threads(1)
                right = torch.equal(functional.pad(input, (1, -2, 3, 0)), expected)
                os._exit(0 if right else 1)
            print(os.waitpid(child, 0)[1])
        print(torch.equal(functional.pad(input, (1, -2, 3, 0)), expected))
        """
    )
    assert printed.split() == ["0", "0", "0", "True"]


def test_workers_of_a_data_loader_crop(fresh_python):
    printed = fresh_python(
        """
        import torch
        from torch.utils.data import DataLoader
        from torchcrop_fast import functional

        def collate(images):
            return functional.crop(torch.stack(images), (4, 4, 4, 4))

        torch.manual_seed(0)
        torch.set_num_threads(2)
        images = torch.rand(12, 3, 256, 256)
        functional.pad(images, (1, 1))  # in parallel, in the parent
        for _ in range(2):
            loader = DataLoader(
                images, batch_size=4, num_workers=2, collate_fn=collate, multiprocessing_context="fork", timeout=60
            )
            print(torch.equal(torch.cat(list(loader)), images[:, :, 4:-4, 4:-4]))
        """
    )
    assert printed.split() == ["True", "True"]


def test_import_brings_nothing_but_torch_and_us(fresh_python):
    """What costs time is what is imported; how long it takes, a busy machine would decide."""
    printed = fresh_python(
        """
        import sys, torch

        before = set(sys.modules)
        import torchcrop_fast
        print(*sorted(set(sys.modules) - before))
        """
    )
    modules = printed.split()
    assert {name.partition(".")[0] for name in modules} == {"torchcrop_fast"}
    assert len(modules) < 20


@pytest.fixture
def build_info(monkeypatch):
    """What the libraries say they were built with; a test may say otherwise."""
    info = sys.modules["torchcrop_fast._build_info"]
    monkeypatch.setattr(info, "TORCH_VERSION", info.TORCH_VERSION)
    return info


HOW_TO_BUILD = "run 'pip install --no-build-isolation .' in the directory of torchcrop_fast's sources."


def import_error() -> str:
    with pytest.raises(ImportError) as error:
        _library.load()
    return str(error.value)


def test_unbuilt_package_says_how_to_build_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcrop_fast._build_info", None)
    assert import_error() == f"torchcrop_fast is not built: {HOW_TO_BUILD}"


def test_unbuilt_sources_say_how_to_build_them(tmp_path, fresh_python):
    """The package's Python files alone, as a fresh clone has them."""
    package = tmp_path / "torchcrop_fast"
    package.mkdir()
    for path in Path(tcf.__file__).parent.glob("*.py"):
        if path.name != "_build_info.py":
            (package / path.name).write_text(path.read_text())
    printed = fresh_python(
        """
        import sys

        sys.path.insert(0, sys.argv[1])
        # An editable install would lend them its own build.
        sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
        try:
            import torchcrop_fast
        except ImportError as error:
            print(error)
        """,
        str(tmp_path),
    )
    assert printed.strip() == f"torchcrop_fast is not built: {HOW_TO_BUILD}"


@pytest.mark.parametrize("built", ["1.13.0", "2.99.1+cu130", "3.14.1"])
def test_libraries_of_another_torch_say_so(build_info, built):
    build_info.TORCH_VERSION = built
    assert import_error() == (
        f"torchcrop_fast was built for torch {built}, and torch {torch.__version__} is installed: {HOW_TO_BUILD}"
    )


def test_libraries_of_another_patch_release_load(build_info):
    major, minor, *_ = torch.__version__.split(".")
    build_info.TORCH_VERSION = f"{major}.{minor}.99+cpu"
    _library.load()


@pytest.mark.parametrize("content", [b"", b"not a library" * 100, None], ids=["empty", "garbage", "missing"])
def test_broken_ops_library_says_so(monkeypatch, tmp_path, content):
    broken = tmp_path / "libtorchcrop_fast.so"
    if content is not None:
        broken.write_bytes(content)
    monkeypatch.setattr(_library, "OPS_LIBRARY", broken)
    text = import_error()
    assert text.startswith("torchcrop_fast's libraries do not load (")
    assert str(broken) in text
    assert text.endswith(f"): {HOW_TO_BUILD}")


def test_missing_entry_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcrop_fast._C", None)
    text = import_error()
    assert text.startswith("torchcrop_fast's libraries do not load (")
    assert text.endswith(f"): {HOW_TO_BUILD}")


class Image(torch.Tensor):
    """A subclass that notes the functions it is asked about."""

    seen: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.seen.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


class Recorder(TorchFunctionMode):
    """A mode that notes the functions it is asked about."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func)
        return func(*args, **(kwargs or {}))


ENTRIES = {
    "pad": lambda x: functional.pad(x, (1, -2), value=0.5),
    "pad_out": lambda x: functional.pad(x, (1, -2), out=OUT),
    "crop": lambda x: functional.crop(x, [1, 2]),
    "crop_out": lambda x: functional.crop(x, [-1, 2], out=OUT),
    "Crop2d": tcf.Crop2d(1),
    "ZeroPad2d": tcf.ZeroPad2d((1, -1, 2, -2)),
}
OUT = torch.empty(2, 8, 8)


@pytest.mark.parametrize(("name", "call"), ENTRIES.items(), ids=ENTRIES)
def test_entry_steps_aside_for_subclasses(name, call):
    x = torch.rand(2, 8, 9)
    expected = call(x).clone()
    Image.seen = []
    result = call(x.as_subclass(Image))
    assert Image.seen == [functional.crop if "crop" in name.lower() else functional.pad]
    assert torch.equal(result.as_subclass(torch.Tensor), expected)
    assert type(result) is (torch.Tensor if result is OUT else Image)


def test_entry_steps_aside_for_a_subclass_as_out():
    x, out = torch.rand(2, 8, 9), torch.empty(2, 8, 8).as_subclass(Image)
    Image.seen = []
    assert functional.pad(x, (1, -2), out=out) is out
    assert Image.seen == [functional.pad]
    assert torch.equal(out.as_subclass(torch.Tensor), F.pad(x, (1, -2)))


@pytest.mark.parametrize(("name", "call"), ENTRIES.items(), ids=ENTRIES)
def test_entry_steps_aside_for_modes(name, call):
    x = torch.rand(2, 8, 9)
    expected = call(x).clone()
    with Recorder() as mode:
        result = call(x)
    assert mode.seen == [functional.crop if "crop" in name.lower() else functional.pad]
    assert torch.equal(result, expected)
    call(x)
    assert len(mode.seen) == 1


def test_center_crop_tells_subclasses_and_modes():
    x = torch.rand(2, 8, 9)
    expected = functional.center_crop(x, [3, 4])
    Image.seen = []
    result = functional.center_crop(x.as_subclass(Image), [3, 4])
    assert type(result) is Image
    assert torch.equal(result.as_subclass(torch.Tensor), expected)
    with Recorder() as mode:
        assert torch.equal(functional.center_crop(x, [3, 4]), expected)
    assert Image.seen[:1] == mode.seen[:1] == [functional.center_crop]


def test_parameters_take_the_fast_way():
    """A Parameter says nothing about torch's functions, and gives a plain tensor."""
    parameter = torch.nn.Parameter(torch.rand(2, 8, 9))
    result = functional.pad(parameter, (1, -2))
    assert type(result) is torch.Tensor
    assert torch.equal(result, F.pad(parameter, (1, -2)))
    result.sum().backward()
    assert parameter.grad.sum() == 2 * 8 * 7


def test_dispatch_modes_see_the_op():
    class Seen(TorchDispatchMode):
        ops: list = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.ops.append(func)
            return func(*args, **(kwargs or {}))

    x, out = torch.rand(2, 8, 9), torch.empty(2, 8, 8)
    with Seen() as mode:
        functional.pad(x, (1, -2))
        functional.crop(x, (1, 2))
        functional.pad(x, (1, -2), out=out)
    pad = torch.ops.torchcrop_fast.pad
    assert mode.ops == [pad.default, pad.default, pad.out]


def test_entry_steps_aside_for_fx_proxies():
    graph = torch.fx.symbolic_trace(ENTRIES["pad"]).graph
    assert [node.target for node in graph.nodes if node.op == "call_function"] == [functional.pad]
    traced = torch.fx.symbolic_trace(lambda x: functional.crop(x, [x.size(0), 1]))
    assert functional.crop in [node.target for node in traced.graph.nodes]
    x = torch.rand(2, 8, 9)
    assert torch.equal(traced(x), x[..., 2:-1])


def test_entry_steps_aside_for_traces():
    traced = torch.jit.trace(ENTRIES["crop"], torch.rand(2, 8, 9))
    assert len(traced.graph.findAllNodes("torchcrop_fast::pad")) == 1
    x = torch.rand(3, 4, 5)
    assert torch.equal(traced(x), x[..., 1:-2])


def test_many_threads_may_step_aside_at_once(fresh_python):
    fresh_python(
        """
        import sys, threading
        import torch
        from torchcrop_fast import functional

        class Subclass(torch.Tensor):
            pass

        sys.setswitchinterval(1e-6)
        x = torch.zeros(3).as_subclass(Subclass)
        threads = [threading.Thread(target=functional.pad, args=(x, (1, 1))) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        """
    )
