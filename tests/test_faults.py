"""Faults: no memory, no disk, a build cut off. One clear error, nothing lost, and afterwards all is as before."""

import os
import re
import resource
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torchcrop_fast.bench import command

from torchcrop_fast import Crop2d
from torchcrop_fast.__main__ import main
from torchcrop_fast._files import write_whole

# Runs with less address space than a call asks for.
SCARCE = """
    import random, resource, sys, torch, torch.nn.functional as F
    from torchcrop_fast import functional, memory

    torch.set_num_threads(1)  # threads have stacks of their own
    MB = 1 << 20
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    in_use = lambda: int(open("/proc/self/status").read().split("VmSize")[1].split()[1]) << 10

    def leave(room):
        resource.setrlimit(resource.RLIMIT_AS, (in_use() + room, unlimited[1]))
"""


@pytest.fixture
def run(fresh_python: Callable[..., str]) -> Callable[..., str]:
    return lambda code, *arguments: fresh_python(textwrap.dedent(SCARCE) + textwrap.dedent(code), *arguments)


def test_kept_blocks_go_back_before_an_output_fails(run: Callable[..., str]) -> None:
    code = """
        memory.set_cache_limit(1 << 30)
        held = functional.pad(torch.ones(5), (0, 1 << 20), value=7.0)
        for _ in [functional.pad(torch.ones(5), (0, i << 20)) for i in (2, 3, 4)]:
            pass
        del _
        before = memory.stats()["cached_bytes"]
        leave(30 * MB)
        large = functional.pad(torch.ones(5), (0, 12 << 20), value=3.0)
        print(before > 30 * MB, memory.stats()["cached_bytes"], bool(large[5:].eq(3).all()), bool(held[5:].eq(7).all()))
        """
    assert run(code).split() == ["True", "0", "True", "True"]


def test_calls_without_memory_raise_torchs_error_and_lose_nothing(scale: int, run: Callable[..., str]) -> None:
    """Any of the allocations of a call, a gradient or a resized output may be the one that fails."""
    code = """
        x = torch.rand(2, 3, 500, 701)
        photos = torch.randint(256, (2, 3, 500, 701), dtype=torch.uint8)
        leaf = x.clone().requires_grad_()
        places = torch.tensor([[1, 2], [-3, 4]])
        several = places[:, None].expand(2, 3, 2)
        calls = {
            "pad": lambda: functional.pad(x, (500, -1, 3, 3), value=2.0),
            "circular": lambda: functional.pad(x, (500, -1, 3, 3), "circular"),
            "crop": lambda: functional.crop(x, (1, 1)),
            "crop_at": lambda: functional.crop_at(x, several, (450, 690), padding_mode="reflect"),
            "normalize": lambda: functional.crop_mirror_normalize(
                photos, several, (450, 690), mean=(0.1,) * 3, std=(2.0,) * 3, memory_format=torch.channels_last
            ),
            "resized": lambda: functional.pad(x, (9, 9), out=torch.empty(0)),
            "gradient": lambda: torch.autograd.grad(functional.pad(leaf, (9, 9), "reflect").square().sum(), leaf)[0],
            "crop_at's": lambda: torch.autograd.grad(functional.crop_at(leaf, several, (450, 690)).sum(), leaf)[0],
        }
        expected = {name: call() for name, call in calls.items()}
        rng, failed, right = random.Random(0), 0, 0
        memory.set_cache_limit(1000 * MB)
        memory.empty_cache()
        held = memory.stats()["allocated_bytes"]
        for _ in range(int(sys.argv[1])):
            name = rng.choice(list(calls))
            memory.empty_cache()
            leave(rng.randrange(20 * MB))
            try:
                result = calls[name]()
            except RuntimeError as error:
                assert "can't allocate memory: you tried to allocate" in str(error), error
                failed += 1
            else:
                assert torch.equal(result, expected[name]), name
                right += 1
                del result
            resource.setrlimit(resource.RLIMIT_AS, unlimited)
            assert memory.stats()["allocated_bytes"] == held, name
        assert all(torch.equal(call(), expected[name]) for name, call in calls.items())
        assert x.isfinite().all()
        print(failed, right)
        """
    failed, right = map(int, run(code, str(80 * scale)).split())
    assert failed + right == 80 * scale
    assert min(failed, right) > 15 * scale


@pytest.fixture
def full_disk() -> Iterator[Callable[[], None]]:
    """Makes the disk full: from then on no file gets larger than 100 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def draw_demo(path: Path) -> None:
    digits = torch.utils.data.TensorDataset(torch.rand(10, 1, 28, 28), torch.arange(10))
    pytest.importorskip("torchvision")
    from torchcrop_fast import _demo

    _demo._draw(digits, Crop2d(4), path)


# What writes files, and what its sentence begins with.
WRITERS = {
    "the demo's picture": ("demo", draw_demo),
    "results": ("bench", lambda path: main(["bench", "view", "--threads", "1", "--json", str(path)])),
    "a plot": ("bench", lambda path: main(["bench", "view", "--threads", "1", "--plot", str(path)])),
}


@pytest.fixture
def _nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_measure_family", lambda *_: [])
    monkeypatch.setattr(command, "_table", lambda *_: "")


@pytest.mark.usefixtures("_nothing_to_measure", "capsys")
@pytest.mark.parametrize("old", [None, "what was there"])
@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_one_sentence_and_leaves_no_part_of_a_file(
    name: str, write: Callable[[Path], object], old: str | None, tmp_path: Path, full_disk: Callable[[], None]
) -> None:
    path = tmp_path / "file.png"
    write(tmp_path / "warm.png")  # fonts are looked up, and their list is written
    (tmp_path / "warm.png").unlink()
    if old is not None:
        path.write_text(old)
    full_disk()
    with pytest.raises(SystemExit, match=f"^{name}: cannot write {re.escape(str(path))}: File too large.$"):
        write(path)
    left = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert left == ({} if old is None else {path.name: old})


def test_files_are_written_whole_where_they_lead(tmp_path: Path) -> None:
    """A new file, an old one, a link to one, a pipe; and none where writing is interrupted."""

    def write(path: Path, text: str = "new") -> None:
        write_whole("test", path, lambda file: file.write_text(text))

    plain, link = tmp_path / "plain", tmp_path / "link"
    write(plain, "old")
    link.symlink_to(plain)
    write(link)
    (tmp_path / "other").write_text("")
    assert link.is_symlink()
    assert plain.read_text() == "new"
    assert plain.stat().st_mode == (tmp_path / "other").stat().st_mode

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(pipe)
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert pipe.is_fifo()

    def interrupt(file: Path) -> None:
        file.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole("test", tmp_path / "interrupted", interrupt)
    assert {file.name for file in tmp_path.iterdir()} == {"plain", "link", "other", "pipe"}
