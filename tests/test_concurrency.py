"""Many threads and processes at once: each gets what it would get alone, and the cache has no data race."""

import os
import random
import subprocess
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import crop_at_cases
import normalize_cases
import pad_cases
import pytest
import torch
from builds import ROOT, compiled
from op_tester import Call, Case, adds_up, bits, random_bits, whole_numbers
from torch import Tensor, nn
from torch.utils import cpp_extension
from torch.utils.data import DataLoader, Dataset

import torchcrop_fast as tcf
from torchcrop_fast import functional, memory

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

THREADS = 8

CASES: list[Case] = [
    *pad_cases.CASES[:: len(pad_cases.CASES) // 60],
    *pad_cases.REPEATING_CASES[:: len(pad_cases.REPEATING_CASES) // 40],
    *crop_at_cases.CASES[::4],
    *(normalize_cases.random_case(seed) for seed in range(25)),
]
# Each more than one thread takes, and long enough to meet others.
LONG_CASES: list[Case] = [
    pad_cases.Case((8, 16, 37, 41), (-3, 4, 1, -2), "channels_last", value=1.5),
    pad_cases.Case((4, 16, 57, 61), (20, 61, 1, 2), "permuted", torch.float64, mode="circular"),
    crop_at_cases.CropAtCase((2, 3, 60, 100), (50, 301), crops=2, flip="last", padding_mode="reflect"),
    crop_at_cases.CropAtCase((9, 2, 40, 100), (50, 90), flip="each", fill=3),
    normalize_cases.Case((2, 3, 120, 130), (90, 110), crops=3, flip="each", order="HWC"),
    normalize_cases.Case((4, 3, 120, 130), (90, 110), padding_mode="reflect", dtype=torch.float32),
]


def crop_alone(call: Call) -> Callable[[Tensor], Tensor] | None:
    """The function crop() where it does what this call does."""
    if call.function is not functional.pad or call.arguments[1:] != ("constant", None):
        return None
    return partial(functional.crop, cropping=[-entry for entry in call.arguments[0]])


class Job:
    """A call with all that must come of it, made once by one thread: torch's own results, or the slow reference's."""

    def __init__(self, case: Case) -> None:
        self.call = call = case.call()
        self.name = str(case)
        self.result = bits(call.expected)
        self.crop = crop_alone(call)
        self.upstream: Tensor | None = None
        if adds_up(call.input.dtype):
            self.upstream = whole_numbers(tuple(call.expected.shape), call.expected.dtype)
            self.gradient = bits(self.backward())

    def backward(self) -> Tensor:
        leaf = nn.Parameter(self.call.input)
        (gradient,) = torch.autograd.grad(self.call.run(leaf), leaf, self.upstream)
        return gradient

    def run(self, rng: random.Random) -> tuple[Tensor, Tensor]:
        """What one of the ways to call gives, and what it must be."""
        call, way = self.call, rng.randrange(5)
        if way == 0:
            out = random_bits(tuple(call.expected.shape), call.expected.dtype)
            assert call.run(call.input, out) is out
            return out, self.result
        if way == 1 and self.upstream is not None:
            return self.backward(), self.gradient
        if way == 2:
            return call.run_op(call.input), self.result
        if way == 3 and self.crop is not None:
            return self.crop(call.input), self.result
        return call.run(call.input), self.result


def test_mixed_calls_of_eight_threads_give_what_one_gives(scale: int, set_num_threads: Callable[[int], None]) -> None:
    """While results live, die and are checked late, the cache is emptied and its limit changes."""
    torch.default_generator.manual_seed(0)
    set_num_threads(1)
    short, long = ([Job(case) for case in cases] for cases in (CASES, LONG_CASES))
    set_num_threads(2)
    limit = memory.stats()["limit"]
    passed: deque[tuple[Tensor, Tensor, str]] = deque()

    def work(seed: int) -> int:
        rng, checked = random.Random(seed), 0
        for _ in range(500 * scale):
            job = rng.choice(long if rng.random() < 0.2 else short)
            passed.append((*job.run(rng), f"{job.name}, thread of seed {seed}"))
            if len(passed) > 40:
                try:
                    result, expected, name = passed.popleft()  # of any thread
                except IndexError:
                    continue
                assert torch.equal(bits(result), expected), name
                checked += 1
            if rng.random() < 0.02:
                rng.choice((memory.empty_cache, lambda: memory.set_cache_limit(rng.choice((0, 5000, 1 << 30)))))()
        return checked

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            checked = sum(pool.map(work, range(THREADS)))
    finally:
        memory.set_cache_limit(limit)
    for result, expected, name in passed:
        assert torch.equal(bits(result), expected), name
    assert checked + len(passed) == THREADS * 500 * scale


CACHE = ROOT / "csrc/ops/output_cache.cpp"
LOCK = "const std::lock_guard lock(mutex_);"
FUNCTIONS = ("stats", "set_limit", "empty", "find_or_make: kept", "find_or_make: made", "keep")


def race_detector(source: Path) -> list[str | Path]:
    """The command that compiles threads which use a cache, of this source, for ThreadSanitizer."""
    includes = [f"-isystem{path}" for path in cpp_extension.include_paths()]
    libraries = [f"-L{path}" for path in cpp_extension.library_paths()]
    libraries += [f"-Wl,-rpath,{path}" for path in cpp_extension.library_paths()]
    ours = [f"-I{ROOT / 'csrc/ops'}", f"-I{ROOT / 'csrc/include'}"]
    program = [ROOT / "tests/cpp/output_cache_threads.cpp", source]
    return ["g++", "-std=c++20", "-O1", "-g", "-fsanitize=thread", *ours, *includes, *program, *libraries, "-lc10"]


def run_race_detector(program: Path, rounds: int) -> subprocess.CompletedProcess[str]:
    command = [program, str(rounds)]
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)


def test_the_cache_has_no_data_race(scale: int) -> None:
    done = run_race_detector(compiled("output_cache_threads", race_detector(CACHE)), 50_000 * scale)
    assert (done.returncode, done.stdout) == (0, "all right\n"), done.stdout + done.stderr[-3000:]


@pytest.mark.reliability
@pytest.mark.parametrize("number", range(len(FUNCTIONS)), ids=FUNCTIONS)
def test_a_lock_that_is_missing_is_a_data_race(number: int, tmp_path: Path) -> None:
    parts = CACHE.read_text().split(LOCK)
    assert len(parts) == len(FUNCTIONS) + 1
    source = tmp_path / "unlocked.cpp"
    source.write_text(LOCK.join(parts[: number + 1]) + LOCK.join(parts[number + 1 :]))
    subprocess.run([*race_detector(source), "-o", tmp_path / "unlocked"], check=True)
    assert "data race" in run_race_detector(tmp_path / "unlocked", 500_000).stderr


class Photos(Dataset[tuple[Tensor, Tensor]]):
    """Images of random bytes, cropped, mirrored and normalized where they are loaded, each by its own seed."""

    def __init__(self) -> None:
        self.crop = tcf.RandomCrop((21, 30), padding=3, padding_mode="reflect", flip=0.5)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(index)
        photo = torch.randint(256, (3, 40 + index, 50), dtype=torch.uint8)
        cropped = self.crop(photo)
        return cropped, functional.center_crop(photo, (400, 500))  # from 400 kB on a block of the cache


def collate(samples: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    images, centers = map(torch.stack, zip(*samples, strict=True))
    places = torch.tensor([[-1, 2]]).expand(4, 2)
    options: dict[str, Any] = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    return {
        "normalized": functional.crop_mirror_normalize(images, places, (20, 20), **options),
        "at": functional.crop_at(images, places - 7, (9, 17), padding_mode="symmetric"),
        "padded": functional.pad(centers, (-200, -190, 5, -300), value=7),
    }


def load(method: str) -> None:
    """Compare what workers that start in this way load with what this process loads."""
    functional.pad(torch.rand(4, 256, 256), (1, 1))  # in parallel, and of a block that workers must not touch
    alone = list(DataLoader(Photos(), batch_size=4, collate_fn=collate))
    pinned = torch.cuda.is_available()
    loader = DataLoader(
        Photos(),
        batch_size=4,
        collate_fn=collate,
        num_workers=2,
        multiprocessing_context=method,
        pin_memory=pinned,
        timeout=100,
    )
    for batch, expected in zip(loader, alone, strict=True):
        for name, tensor in batch.items():
            print(tensor.is_pinned() == pinned, torch.equal(tensor, expected[name]))


@pytest.mark.one_in(3)
@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_workers_load_what_one_process_loads(method: str, fresh_python: Callable[..., str]) -> None:
    """Pinned where there is CUDA."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_concurrency; test_concurrency.load(sys.argv[2])"
    assert fresh_python(code, str(Path(__file__).parent), method).split() == ["True"] * 2 * 3 * 3
