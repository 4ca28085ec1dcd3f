"""The memory of CPU outputs: blocks are reused, never while in use; the limit holds; tensors are as any other."""

import copy
import gc
import inspect
import io
import itertools
import os
import pickle
import queue
import random
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from torchcrop_fast import ZeroPad2d, functional, memory

MB = 1 << 20


@pytest.fixture(autouse=True)
def _cache(monkeypatch):
    """The cache is empty and on, here and by default in each Python of its own; afterwards its limit is as it was."""
    limit = memory.stats()["limit"]
    if memory.stats()["allocated_bytes"] > 0:  # perhaps in garbage of other tests
        gc.collect()
    monkeypatch.delenv("TORCHCROP_FAST_CACHE", raising=False)
    memory.set_cache_limit(1024 * MB)
    memory.empty_cache()
    yield
    memory.set_cache_limit(limit)
    memory.empty_cache()


def output(size: int, value: int = 0) -> torch.Tensor:
    """``bytes`` bytes of this value, in a block of the cache."""
    return functional.pad(torch.tensor([value], dtype=torch.uint8), (0, size - 1), value=value)


@pytest.fixture
def run(fresh_python):
    """Runs code in a Python of its own, with output() and the bytes in_use(), and gives the words it printed."""
    start = "import multiprocessing, os, random, signal, sys, threading, torch, torch.nn.functional as F\n"
    start += "from torchcrop_fast import functional, memory\n" + inspect.getsource(output)
    start += "in_use = lambda key='VmRSS': int(open('/proc/self/status').read().split(key)[1].split()[1]) << 10\n"
    return lambda code, *arguments: fresh_python(start + textwrap.dedent(code), *arguments).split()


def change(before: dict[str, int]) -> dict[str, int]:
    """What is different in the stats since then."""
    return {key: value - before[key] for key, value in memory.stats().items() if value != before[key]}


def test_stats_count_what_they_say():
    before = memory.stats()
    assert set(before) == {"limit", "cached_bytes", "allocated_bytes", "hits", "misses", "evictions"}
    empty = functional.crop(torch.rand(8), (4, 4))
    assert (before["limit"], before["cached_bytes"], change(before), len(empty)) == (1024 * MB, 0, {}, 0)
    first, second = output(3 * MB), output(5 * MB)
    assert change(before) == {"misses": 2, "allocated_bytes": 8 * MB}
    del first
    assert change(before) == {"misses": 2, "allocated_bytes": 5 * MB, "cached_bytes": 3 * MB}
    first = output(3 * MB)
    assert change(before) == {"misses": 2, "hits": 1, "allocated_bytes": 8 * MB}
    del first, second
    memory.set_cache_limit(5 * MB)
    limited = {"limit": -1019 * MB, "misses": 2, "hits": 1, "evictions": 1}
    assert change(before) == {**limited, "cached_bytes": 5 * MB}
    memory.empty_cache()
    assert change(before) == limited


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
@pytest.mark.parametrize("size", [1, 1000, MB, 5 * MB])
def test_freed_block_serves_the_next_output(size, mode):
    with mode():
        first, second = output(size, 1), output(size, 2)
        address = first.data_ptr()
        del first
        third = output(size, 3)
        assert (third.data_ptr(), int(second.unique()), int(third.unique())) == (address, 2, 3)


def test_live_outputs_stay_as_they_are():
    """Outputs of many sizes live for a while; none shares a byte with another, and none changes."""
    rng, source, live = random.Random(0), torch.rand(2 * MB), []
    for _ in range(1500):
        size, fill = int(2 ** rng.uniform(0, 12 if rng.random() < 0.9 else 21)), rng.randint(0, 3)
        begin = rng.randrange(len(source) - size + 1)
        pad = (-begin, begin + size - len(source)) if fill == 0 else (begin - len(source) + size, fill - begin)
        live.append((functional.pad(source, pad, value=0.5), F.pad(source, pad, value=0.5)))
        if len(live) > 30:
            assert torch.equal(*live.pop(rng.randrange(len(live))))
    assert all(itertools.starmap(torch.equal, live))
    ranges = sorted((result.data_ptr(), result.data_ptr() + result.nbytes) for result, _ in live)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(ranges))
    assert memory.stats()["hits"] > 500


def test_blocks_are_little_larger_and_aligned():
    sizes = [2**power + more for power in range(1, 27) for more in (-1, 0, 1)]
    sizes += [int(2 ** (8 + step / 4)) for step in range(73)] + [4_000_000, 5 * MB, 100_000_000]
    for size in sizes:
        before = memory.stats()["allocated_bytes"]
        tensor = output(size)
        block, lines = memory.stats()["allocated_bytes"] - before, -(-size // 64)
        assert size <= block <= max(64 * lines, 1.25 * size), size
        assert tensor.data_ptr() % (2 * MB if size >= 4_000_000 else 64) == 0, size
        del tensor


def test_limit_of_zero_turns_the_cache_off():
    held = output(2 * MB, 1)
    output(3 * MB)
    memory.set_cache_limit(0)
    before = memory.stats()
    assert (before["limit"], before["cached_bytes"]) == (0, 0)
    torchs = [output(size, 7) for size in (1, 1000, 2 * MB, 5 * MB)]
    assert change(before) == {}
    assert [int(tensor.unique()) for tensor in [held, *torchs]] == [1, 7, 7, 7, 7]
    del held
    assert change(before) == {"allocated_bytes": -2 * MB, "evictions": 1}
    memory.set_cache_limit(1024 * MB)
    del torchs
    assert memory.stats()["cached_bytes"] == 0


def test_what_malloc_would_never_keep_lies_on_huge_pages_even_with_the_cache_off():
    memory.set_cache_limit(0)
    before = memory.stats()
    large = output(40 * MB, 7)
    assert large.data_ptr() % (2 * MB) == 0
    assert int(large.unique()) == 7
    assert change(before) == {"allocated_bytes": 40 * MB, "misses": 1}
    del large
    assert change(before) == {"misses": 1, "evictions": 1}


def test_what_was_freed_first_goes_first():
    blocks = {size: output(size * MB) for size in (1, 2, 3, 5)}
    for size in (3, 1, 5, 2):
        del blocks[size]
    before = memory.stats()["evictions"]
    for evictions, kept in enumerate([8, 7, 2, 0], 1):
        memory.set_cache_limit(memory.stats()["cached_bytes"] - 1)
        assert (memory.stats()["cached_bytes"], memory.stats()["evictions"] - before) == (kept * MB, evictions)
    memory.set_cache_limit(3 * MB)
    first, second, third = (output(2 * MB) for _ in range(3))
    address = second.data_ptr()
    del third, first, second
    assert memory.stats()["cached_bytes"] == 2 * MB
    assert output(2 * MB).data_ptr() == address
    before = memory.stats()
    output(3 * MB + 1)  # in a block that is larger than the limit
    assert change(before) == {"misses": 1, "evictions": 1}


def test_negative_limits_raise_and_huge_ones_are_none():
    for limit, got in ((-1, "-1"), (-(2**70), r"a number below -2\^63")):
        with pytest.raises(RuntimeError, match=f"^set_cache_limit: bytes must not be negative, got {got}$"):
            memory.set_cache_limit(limit)
    for limit in (True, 1e6, "1000", None):
        with pytest.raises(TypeError, match=f"^set_cache_limit: bytes must be an int, got {type(limit).__name__}$"):
            memory.set_cache_limit(limit)
    assert memory.stats()["limit"] == 1024 * MB
    memory.set_cache_limit(np.int64(5000))
    assert memory.stats()["limit"] == 5000
    for limit in (2**63 - 1, 2**63, 2**64 + 5, 2**200):
        memory.set_cache_limit(limit)
        output(5 * MB)
        assert (memory.stats()["limit"], memory.stats()["cached_bytes"]) == (2**63 - 1, 5 * MB)


def test_environment_sets_the_limit(run):
    """Read on first use, here in children of a Python that has not used it."""
    expected = {"0": "5 0", "1000000": "5 1000000", "9" * 30: f"5 {2**63 - 1}"}
    for wrong in ("garbage", "-1", "1e6"):
        expected[wrong] = f"TORCHCROP_FAST_CACHE must be a number of bytes, got '{wrong}' " * 2
    code = """
        for value in sys.argv[1:]:
            if (child := os.fork()) > 0:
                assert os.waitpid(child, 0)[1] == 0
                continue
            signal.alarm(20)
            os.environ.update({} if value == "unset" else {"TORCHCROP_FAST_CACHE": value})
            for use in (lambda: output(5).numel(), lambda: memory.stats()["limit"]):
                try:
                    print(use(), flush=True)
                except RuntimeError as error:
                    print(error, flush=True)
            os._exit(0)
        """
    *printed, _, unset, _, empty = run(code, *expected, "unset", "")
    assert printed == " ".join(expected.values()).split()
    assert 0 < int(unset) <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") // 16
    assert empty == unset


def test_memory_goes_back_to_the_system(run):
    returned = {"del block": 0, "memory.empty_cache()": 0, "del block; memory.empty_cache()": 64}
    returned |= {"memory.set_cache_limit(0); del block": 64, "del block; memory.set_cache_limit(8)": 64}
    code = """
        kept = output(5 << 20, 7)
        for way in sys.argv[1:]:
            memory.empty_cache()
            memory.set_cache_limit(1 << 30)
            before, block, held = in_use(), output(64 << 20, 1), in_use()
            exec(way)
            print((held - in_use()) >> 20)
            assert held - before > 60 << 20 and kept.eq(7).all()
            block = None
        before = in_use("VmSize")
        for _ in range(99):
            output(4 << 20)
            memory.empty_cache()
        print((in_use("VmSize") - before) >> 20)
        """
    assert list(map(int, run(code, *returned))) == pytest.approx([*returned.values(), 0], abs=4)


def test_resident_memory_stays_bounded(run):
    """Many outputs, mostly small, some held for a while: beyond those, no more than the limit is resident."""
    code = """
        memory.set_cache_limit(100_000_000)
        rng, source, live = random.Random(0), torch.ones(40_000_000, dtype=torch.uint8), []
        highest, before = 0, in_use()
        for i in range(10_000):
            size = rng.randint(1_000_000, 40_000_000) if i % 200 < 5 else int(1000 * 100 ** rng.random())
            live = [*live[-7:], functional.crop(source, (0, 40_000_000 - size))]
            highest = max(highest, in_use() - before - sum(output.nbytes for output in live))
            assert memory.stats()["cached_bytes"] <= 100_000_000
        print(highest, memory.stats()["evictions"], memory.stats()["hits"])
        """
    highest, evictions, hits = map(int, run(code))
    assert (50_000_000 < highest < 100_000_000 + 40_000_000, evictions > 50, hits > 5000) == (True, True, True)


def test_impossible_outputs_raise_as_torchs_do():
    output(5 * MB)
    with pytest.raises(RuntimeError, match=f"can't allocate memory: you tried to allocate {4 * (2**45 + 1)} bytes"):
        functional.pad(torch.zeros(1), (0, 2**45))
    assert memory.stats()["cached_bytes"] == 0  # to make room
    assert output(5 * MB, 7).eq(7).all()


USES = {
    "resize_larger": lambda x: x.resize_(3 * len(x))[: len(x) // 3],
    "resize_smaller": lambda x: x.resize_(len(x) // 2),
    "storage_larger": lambda x: [x, x.untyped_storage().resize_(2 * len(x))][0],
    "storage_freed": lambda x: torch.tensor(x.untyped_storage().resize_(0).nbytes()),
    "set_to_its_storage": lambda x: torch.empty(0, dtype=x.dtype).set_(x.untyped_storage(), 1, (300,), (3,)),
    "set_to_another": lambda x: x.set_(torch.arange(100, dtype=torch.uint8)),
    "share_memory": torch.Tensor.share_memory_,
    "pin_memory": torch.Tensor.pin_memory,
    "save_and_load": lambda x: [torch.save(x, file := io.BytesIO()), file.seek(0), torch.load(file)][-1],
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "deepcopy": copy.deepcopy,
    "numpy": lambda x: torch.from_numpy(x.numpy()[3:]),
    "dlpack": torch.from_dlpack,
    "in_place": lambda x: x.mul_(3).add_(1).t_(),
}


@pytest.mark.parametrize("size", [3000, 5 * MB])
@pytest.mark.parametrize("name", USES)
def test_tensors_are_as_any_other(name, size):
    """A use gives what it gives with torch's own, keeps it while the memory goes round, and gives the block back."""
    if name == "pin_memory" and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    start = memory.stats()["allocated_bytes"]
    source = torch.randint(256, (size + 5,), dtype=torch.uint8)
    result, expected = USES[name](functional.crop(source, (2, 3))), USES[name](F.pad(source, (-2, -3)))
    for value in (0, 255):
        assert all([tensor.eq(value).all() for tensor in [output(size, value) for _ in range(6)]])
        assert torch.equal(result, expected)
    del result
    assert memory.stats()["allocated_bytes"] == start


@pytest.mark.parametrize("shape", [(2, 3, 20, 30), (8, 64, 56, 56)], ids=str)
def test_training_steps_reuse_blocks(shape):
    layer, input = ZeroPad2d(-4), torch.rand(shape, requires_grad=True)
    expected = F.pad(2 * input.detach()[..., 4:-4, 4:-4], (4, 4, 4, 4))
    for step in range(12):
        input.grad = None
        layer(input).square().sum().backward()
        assert torch.equal(input.grad, expected)
        if step == 1:
            before = memory.stats()
    assert change(before) == {"hits": 20}


def test_profiler_sees_the_memory():
    before, size = memory.stats(), 5 * MB - 1000
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        assert [output(size).nbytes for _ in range(2)] == [size, size]
    assert change(before) == {"misses": 1, "hits": 1, "cached_bytes": 5 * MB}
    used = [(event.name, event.cpu_memory_usage) for event in profile.events()]
    assert used.count(("torchcrop_fast::pad", size)) == used.count(("[memory]", -size)) == 2


def test_threads_free_each_others_outputs(set_num_threads):
    set_num_threads(1)
    source = torch.randint(256, (4 * MB + 10,), dtype=torch.uint8)
    start, passed = memory.stats(), queue.SimpleQueue()

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for i in range(150):
            size = int(2 ** rng.uniform(0, 22 if i % 8 == 0 else 16))
            begin = rng.randrange(len(source) - size)
            pad = (-begin, begin + size - len(source))
            passed.put((functional.pad(source, pad), pad))
            if i >= 3:
                result, pad = passed.get()
                assert torch.equal(result, F.pad(source, pad))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert all(torch.equal(result, F.pad(source, pad)) for result, pad in [passed.get() for _ in range(8 * 3)])
    difference = change(start)
    assert difference.pop("hits") + difference.pop("misses") == 8 * 150
    assert difference.keys() == {"cached_bytes"}


def test_children_start_with_an_empty_cache_while_threads_crop(run):
    code = """
        torch.set_num_threads(1)
        input, stop = torch.rand(64, 600), threading.Event()
        output(20 << 20)
        def crop_on():
            while not stop.is_set():
                functional.crop(input, (1, 2))

        def crop_in_child():
            assert memory.stats()["cached_bytes"] == 0
            assert all(torch.equal(functional.pad(input, (-n, 1)), F.pad(input, (-n, 1))) for n in range(30))
        threads = [threading.Thread(target=crop_on, daemon=True) for _ in range(4)]
        list(map(threading.Thread.start, threads))
        for _ in range(40):
            child = multiprocessing.get_context("fork").Process(target=crop_in_child, daemon=True)
            child.start()
            child.join(20)
            assert child.exitcode == 0
        stop.set()
        list(map(threading.Thread.join, threads))
        print(memory.stats()["cached_bytes"] >> 20)
        """
    assert int(run(code)[0]) >= 20


def test_workers_of_a_data_loader_return_large_crops(run):
    code = """
        crop = lambda i: functional.crop(torch.full((5 << 18,), i), (i, (5 << 17) - i))
        output(20 << 20)
        multiprocessing.set_start_method("fork")
        loader = torch.utils.data.DataLoader(range(24), batch_size=None, collate_fn=crop, num_workers=2)
        print(*(bool(crop.eq(i).all()) and crop.nbytes == 5 << 20 for i, crop in enumerate(loader)))
        """
    assert run(code) == ["True"] * 24


def test_a_wrong_environment_leaves_fork_alone(fresh_python):
    code = """
        import os, sys
        os.environ["TORCHCROP_FAST_CACHE"] = "garbage"
        from torchcrop_fast import memory
        try:
            memory.stats()
        except RuntimeError as error:
            print("TORCHCROP_FAST_CACHE" in str(error))
        if len(sys.argv) > 1:
            os.environ["TORCHCROP_FAST_CACHE"] = "1000"
            print(memory.stats()["limit"])
        child = os.fork()
        if child == 0:
            os._exit(0)
        print(os.waitpid(child, 0)[1])
    """
    assert fresh_python(code).split() == ["True", "0"]
    assert fresh_python(code, "again").split() == ["True", "1000", "0"]
