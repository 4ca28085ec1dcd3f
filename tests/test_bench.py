"""The benchmark harness: it compares before it times, times in turn, counts right, and fails in one sentence."""

import functools
import importlib.util
import itertools
import json
import math
import os
import re
import sys
import timeit
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby, pairwise

import matplotlib.image
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torchcrop_fast.bench import center_crop, command, compiled, layers, override, per_sample, sweep, view
from torchcrop_fast.bench.harness import LIMIT, LIMITS, OURS, Case, Timing, measure

from torchcrop_fast import functional
from torchcrop_fast.__main__ import main

FAMILIES = {"layers": layers, "override": override, "center_crop": center_crop, "view": view}
FAMILIES |= {"per_sample": per_sample, "compiled": compiled, "sweep": sweep}
GOOD = torch.arange(1.0, 5.0)


WRONG = {"values": GOOD + 0.1, "a nan": GOOD.log().log(), "dtype": GOOD.double(), "shape": GOOD[None]}


def case_of(runs, exact=True, size=64):
    return Case("some data", "function", lambda: runs, size, exact)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "rounded"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("who", [OURS, "other"])
def test_a_wrong_result_is_found_before_anything_is_timed(who, wrong, exact):
    calls = []

    def run(name):
        calls.append(name)
        return WRONG[wrong] if name == who else GOOD

    runs = {name: lambda name=name: run(name) for name in (OURS, "reference", "other")}
    with pytest.raises(AssertionError, match=f"^some data, function, {who}: "):
        measure(case_of(runs, exact), 7, 0)
    assert sorted(set(calls)) == sorted(calls)


def test_calls_run_within_what_the_case_puts_around_them():
    calls = []

    def run(name):
        calls.append((name, within[-1]))
        return GOOD

    @contextmanager
    def around(name):
        within.append(name)
        yield
        within.pop()

    within = [None]
    runs = {name: partial(run, name) for name in (OURS, "reference")}
    measure(Case("some data", "function", lambda: runs, 64, around=around), 3, 0)
    assert set(calls) == {(OURS, OURS), ("reference", "reference")}
    assert within == [None]


def test_time_is_read_from_the_cases_clock():
    ticks = itertools.count()
    case = Case("some data", "function", lambda: dict.fromkeys((OURS, "reference"), lambda: GOOD), 64)
    timings = measure(replace(case, clock=lambda: float(next(ticks))), 3, 0)
    assert timings[OURS].rounds == (1e6,) * 3  # a tick a turn of one call


def test_rounding_is_allowed_where_the_case_says_so():
    runs = {OURS: lambda: GOOD * (1 + 1e-6), "reference": lambda: GOOD}
    assert len(measure(case_of(runs, exact=False), 2, 0)) == 3
    with pytest.raises(AssertionError, match="Tensor-likes are not equal"):
        measure(case_of(runs), 2, 0)


def test_what_the_reference_gave_counts_and_not_what_lies_there_later():
    memory = GOOD.clone()
    runs = {OURS: lambda: memory.add_(1), "reference": lambda: memory}
    with pytest.raises(AssertionError, match="not equal"):
        measure(case_of(runs), 2, 0)


@pytest.mark.parametrize("rounds", [2, 7])
def test_contenders_are_timed_in_turn(rounds):
    calls = []
    names = [OURS, "reference", "other"]
    runs = {name: lambda name=name: calls.append(name) or GOOD for name in names}
    timings = measure(case_of(runs), rounds, 1e-4)
    assert sorted(calls[:3]) == sorted(names)  # the check
    calibration = [(name, len(list(turn))) for name, turn in groupby(calls[3:15])]
    assert calibration == [(name, 4) for name in names]
    size, rest = divmod(len(calls[15:]), rounds)
    assert rest == 0
    turns = [
        {name: len(list(turn)) for name, turn in groupby(calls[begin : begin + size])}
        for begin in range(15, len(calls), size)
    ]
    assert all(turn == turns[0] for turn in turns)  # everyone in every round, as often in each
    assert sum(turns[0].values()) == size  # in one go
    assert all(length > 10 for length in turns[0].values())  # a call of nothing takes far less than a turn
    assert len({tuple(turn) for turn in turns}) > 1  # not always in the same order
    for name in names:
        assert len(timings[name].rounds) == rounds


def test_a_timing_is_microseconds_a_call(monkeypatch):
    clock = [0.0]

    def lasting(*seconds):
        """A run that takes so long by this clock; the last number stands for all further calls."""
        left = iter(seconds[:-1])

        def run():
            clock[0] += next(left, seconds[-1])
            return GOOD

        return run

    monkeypatch.setattr(timeit, "default_timer", lambda: clock[0])
    timer = functools.partial(timeit.Timer, timer=lambda: clock[0])
    runs = {OURS: lasting(0.03, 0.002), "reference": lasting(0.005)}
    timing = measure(case_of(runs), 2, 0.1, timer, copy=lambda size: lasting(0.001))[OURS]
    assert timing.first == pytest.approx(30_000)
    assert timing.rounds == pytest.approx((2_000, 2_000))  # 50 calls take 100,000


def test_the_numbers_of_a_timing():
    timing = Timing.of(5.0, [4.0, 1.0, 2.0, 3.0, 8.0, 6.0, 7.0])
    assert timing == Timing(5.0, 4.0, 5.0, (4.0, 1.0, 2.0, 3.0, 8.0, 6.0, 7.0))
    ours, theirs = Timing(0, 2, 0, (1.0, 10.0, 2.0)), Timing(0, 3, 0, (3.0, 20.0, 2.0))
    assert ours.ratio(theirs) == 2  # round by round 3, 2 and 1; of the medians it would be 1.5
    with pytest.raises(ValueError, match="zip"):
        ours.ratio(timing)


@pytest.mark.parametrize("size", [2, 64, 100_000])
def test_the_limit_moves_the_bytes_of_the_case(size):
    class Copies(TorchDispatchMode):
        seen: set = set()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func is torch.ops.aten.copy_.default:
                assert args[0].data_ptr() != args[1].data_ptr()
                self.seen.add(args[0].nbytes + args[1].nbytes)
            return func(*args, **(kwargs or {}))

    with Copies() as copies:
        measure(case_of({OURS: lambda: GOOD, "reference": lambda: GOOD}, size=size), 2, 0)
    assert copies.seen == {size}


REFERENCES = {
    "out=": "slice, copy_",
    "scripted layer": "nn.ZeroPad2d, scripted",
    "CenterCrop": "torchvision v2",
    "crop_at": "loop + stack",
    "crop_at, out=": "loop, copy_",
    "crop_at, forward + backward": "loop + stack",
    "crop_mirror_normalize": "torchvision v2",
}


OF_FAMILIES = {"view": "view", "sweep": "F.pad", "override": "torch's own kernels", "compiled": "as it was"}


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "full"])
@pytest.mark.parametrize("family", FAMILIES)
def test_cases_are_well_formed(family, quick):
    cases = list(FAMILIES[family].cases(quick))
    assert len({(case.name, case.what) for case in cases}) == len(cases) > 0
    assert all(isinstance(case.bytes, int) and case.bytes > 0 for case in cases)
    for case in sorted(cases, key=lambda case: case.bytes)[:5]:
        reference = OF_FAMILIES.get(family, REFERENCES.get(case.what, "nn.ZeroPad2d"))
        if "torchvision" in reference:
            pytest.importorskip("torchvision")
        assert list(case.make())[:2] == [OURS, reference]


def counted_bytes(shape, pad, itemsize):
    """Slowly: pad the elements' numbers, and see which ones are left."""
    numbers = F.pad(torch.arange(1, math.prod(shape) + 1).view(shape), pad)
    return (numbers.numel() + numbers[numbers > 0].unique().numel()) * itemsize


def test_the_sweep_says_how_many_bytes_it_moves():
    small = [case for case in sweep.cases(False) if math.prod(case.make.args[0]) < 10_000]
    assert len(small) > 100
    for case in small:
        shape, pad, dtype, _ = case.make.args
        assert case.bytes == counted_bytes(shape, pad, dtype.itemsize), case.name


def test_layers_center_crop_and_view_say_how_many_bytes_they_move():
    for case in list(layers.cases(True))[:5]:
        forward = counted_bytes((10, 1, 28, 28), (-4,) * 4, 4)
        backward = counted_bytes((10, 1, 20, 20), (4,) * 4, 4) if "backward" in case.what else 0
        assert case.bytes == forward + backward, case.what
    expected = [counted_bytes((1, 3, 256, 256), (-16,) * 4, itemsize) for itemsize in (1, 4)]
    assert [case.bytes for case in center_crop.cases(True)] == expected
    assert {case.bytes for case in view.cases(True)} == {counted_bytes((8, 64, 32, 32), (-2,) * 4, 4)}


def test_the_sweep_covers_what_it_should():
    cases = [case.make.args for case in sweep.cases(False)]
    assert len(cases) >= 300
    assert {layout for *_, layout in cases} == {"contiguous", "channels_last", "permuted", "sliced"}
    assert {len(shape) for shape, *_ in cases} == {1, 2, 3, 4, 5}
    sizes = {math.prod(shape) for shape, *_ in cases}
    assert (min(sizes), max(sizes)) == (1, 10**8)
    assert {len(str(size)) for size in sizes} >= {1, 4, 6, 7, 8, 9}  # digits
    for signs in ({-1}, {1}, {-1, 1}):  # crops, pads, both at once
        found = {dtype.itemsize for _, pad, dtype, _ in cases if {(x > 0) - (x < 0) for x in pad} - {0} == signs}
        assert found == {1, 2, 4, 8, 16}
    # Rows of bytes, the only ones that are 2-D and wide: how long, where the first begins, how far it is to the next.
    rows = [(shape[1] + sum(pad), -pad[0], shape[1]) for shape, pad, *_ in cases if len(shape) == 2 and shape[1] > 3]
    widths = sorted(width for width, *_ in rows)
    assert 1 <= widths[0] < 100
    assert 4900 < widths[-1] <= 5000
    assert max(later - earlier for earlier, later in pairwise(widths)) < 500
    assert sum(start % 2 and pitch % 64 > 0 for _, start, pitch in rows) > 20


@pytest.mark.parametrize("dtype", sweep.DTYPES, ids=str)
def test_the_layouts_of_the_sweep(dtype):
    strides = {"contiguous": (60, 20, 5, 1), "channels_last": (60, 1, 15, 3), "permuted": (1, 2, 6, 24)}
    for layout in sweep.LAYOUTS:
        x = sweep._input((2, 3, 4, 5), dtype, layout)
        assert (x.shape, x.dtype) == ((2, 3, 4, 5), dtype)
        assert x.stride() == strides.get(layout, (120, 40, 10, 2))
        assert len(set(x.flatten().tolist())) > 10


KEYS = {"family", "case", "what", "threads", "contender", "median_us", "spread_us", "first_us", "gb_per_s", "of_limit"}
KEYS.add("ours_is_times_faster")


PER_SAMPLE = per_sample.cases


@pytest.fixture
def _few_tiny_cases(monkeypatch, set_num_threads):
    monkeypatch.setattr(layers, "QUICK", (((2, 1, 12, 12), 4, torch.float32), ((2, 1, 12, 12), 2, torch.uint8)))
    monkeypatch.setattr(layers, "SHAPES", layers.QUICK[:1])
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    monkeypatch.setattr(center_crop, "SHAPES", (((1, 3, 16, 16), 8, torch.uint8), ((1, 3, 16, 16), 8, torch.float32)))
    monkeypatch.setattr(view, "SHAPES", (((2, 3, 12, 12), 2),))
    pads = (((2, 3, 12, 12), "ZeroPad2d(-4)", lambda: nn.ZeroPad2d(-4)),)
    for family in (override, compiled):
        monkeypatch.setattr(family, "QUICK", pads)
        monkeypatch.setattr(family, "MODELS", pads)
    monkeypatch.setattr(compiled, "WINDOWS", (((2, 3, 12, 12), 8),) * 2)
    crops = [((2, 3, 12, 12), 8, overhang, "constant", torch.float32) for overhang in (0, 0, 2, 2, 2, 2)]
    monkeypatch.setattr(per_sample, "CROPS", crops)
    monkeypatch.setattr(per_sample, "cases", lambda quick: iter(list(PER_SAMPLE(True))[:6]))
    few = [sweep._case((3, 4), pad, torch.float32, "contiguous") for pad in ((-1, -1), (1, 2), (-1, 2, 0, 1))]
    monkeypatch.setattr(sweep, "cases", lambda quick: iter(few))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)


@pytest.fixture
def measured(monkeypatch):
    """Says what measure() is asked, in its stead: ours is `times[case]` times faster than all others."""

    class Measured(list):
        def __call__(self, case, rounds, seconds):
            self.append((case.name, rounds, torch.get_num_threads()))
            times = self.times.pop(0)
            others = {name: Timing(9.0, times, 0.5, (times,) * 7) for name in [*list(case.make())[1:], LIMIT]}
            return {OURS: Timing(8.0, 1.0, 0.25, (1.0,) * 7), **others}

    fake = Measured()
    fake.times = [2.0] * 100
    monkeypatch.setattr(command, "measure", fake)
    return fake


@pytest.mark.usefixtures("_few_tiny_cases")
def test_all_families_are_measured_printed_and_kept(capsys, tmp_path):
    file = tmp_path / "results.json"
    assert main(["bench", "--quick", "--threads", "1", "--json", str(file)]) == 0
    told = capsys.readouterr()
    assert told.err == ""  # no progress bar where nobody looks
    titles = [told.out.index(f"{family}, 1 thread:") for family in FAMILIES]
    assert titles == sorted(titles)
    assert told.out.endswith(f"{file}: the results.\n")

    kept = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert {"torch", "cpu", "cpu cores", "torchcrop_fast", "cpu features"} <= set(kept["machine"])
    assert kept["cache_limit"] > 0
    rows = kept["rows"]
    assert file.read_text().count("\n{") == len(rows)  # a row a line
    figures = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert figures == [float(f"{value:.4g}") for value in figures]
    assert all(set(row) == KEYS and row["threads"] == 1 for row in rows)
    stated = {(f, case.name, case.what): case.bytes for f, module in FAMILIES.items() for case in module.cases(True)}
    assert {(row["family"], row["case"], row["what"]) for row in rows} == set(stated)
    for row in rows:
        moved = pytest.approx(row["gb_per_s"] * row["median_us"] * 1e3, rel=2e-3)  # of four digits each
        assert stated[row["family"], row["case"], row["what"]] == moved
        assert (row["first_us"] is None) == (row["contender"] in LIMITS)
        assert row["of_limit"] == 1 or row["contender"] != LIMIT
        assert row["ours_is_times_faster"] == 1 or row["contender"] != OURS
        assert row["contender"] in told.out or row["family"] == "sweep"
    contenders = {family: {row["contender"] for row in rows if row["family"] == family} for family in FAMILIES}
    assert {"torch.compile of nn.ZeroPad2d", "chain of four nn.ZeroPad2d(-1)", "F.pad"} < contenders["layers"]
    peers = {"torchvision v2", "torchvision v2, contiguous", "Kornia"}
    peers = {peer for peer in peers if peer.split()[0] not in center_crop.missing()}
    assert contenders["center_crop"] == {OURS, *peers, LIMIT}
    assert contenders["view"] == {OURS, "view", "F.pad", LIMIT}
    assert contenders["override"] == {OURS, "torch's own kernels", LIMIT}
    assert contenders["compiled"] == {OURS, "as it was", "gather", LIMIT}
    assert contenders["sweep"] == {OURS, "F.pad", LIMIT}


@pytest.mark.usefixtures("_few_tiny_cases")
def test_a_picture_is_drawn(capsys, tmp_path):
    pytest.importorskip("torchcrop_fast.bench.plot")
    picture = tmp_path / "picture.png"
    assert main(["bench", "--quick", "--threads", "1", "--plot", str(picture)]) == 0
    assert capsys.readouterr().out.endswith(f"{picture}: the picture.\n")
    assert matplotlib.image.imread(picture).std() > 0.05


@pytest.mark.usefixtures("_few_tiny_cases")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("quick", [["--quick"], []], ids=["quick", "full"])
def test_each_case_is_measured_in_at_least_seven_rounds(family, quick, measured, capsys):
    assert main(["bench", family, *quick, "--threads", "2,1"]) == 0
    cases = [case.name for case in FAMILIES[family].cases(quick != [])]
    assert [(name, threads) for name, _, threads in measured] == [(n, t) for t in (2, 1) for n in cases]
    assert min(rounds for _, rounds, _ in measured) >= 7
    assert re.search(
        rf"^{family}, 2 threads:(?s:.*)2\.00 times(?s:.*)^{family}, 1 thread:", capsys.readouterr().out, re.M
    )


@pytest.mark.usefixtures("_few_tiny_cases")
def test_only_a_slow_case_of_the_sweep_is_measured_again(measured, capsys, tmp_path):
    repeats = [0.7, 1.4, 0.5, 0.9, 1.1, 0.6, 1.3, 0.4, 1.2, 0.95]
    measured.times = [3.0, 0.99, *repeats, 1.0]
    file = tmp_path / "results.json"
    assert main(["bench", "sweep", "--threads", "1", "--json", str(file)]) == 0
    names = [case.name for case in sweep.cases(False)]
    assert [name for name, *_ in measured] == [names[0], *[names[1]] * 11, names[2]]
    rows = [row for row in json.loads(file.read_text())["rows"] if row["contender"] == "F.pad"]
    assert [row["ours_is_times_faster"] for row in rows] in ([3.0, 0.9, 1.0], [3.0, 0.95, 1.0])
    worst = min(row["ours_is_times_faster"] for row in rows)
    summary = f"3 cases; ours is faster than F.pad 1.00 times in the median, {worst:.2f} times at worst"
    assert summary in capsys.readouterr().out
    measured.times = [0.5] * 4
    assert main(["bench", "view", "--threads", "1"]) == 0
    assert measured.times == []


@pytest.mark.usefixtures("_few_tiny_cases")
def test_a_wrong_result_is_told_and_fails(monkeypatch, capsys, tmp_path):
    real = functional.pad
    monkeypatch.setattr(functional, "pad", lambda x, pad: real(x, pad) + (1 if max(pad) == 2 else 0))
    assert main(["bench", "sweep", "--quick", "--threads", "1", "--json", str(tmp_path / "results.json")]) == 1
    name = list(sweep.cases(True))[1].name
    assert f"bench: a result is wrong: {name}, function, {OURS}: " in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_few_tiny_cases")
@pytest.mark.parametrize("missing", [["Kornia"], ["torchvision", "Kornia"]], ids=" and ".join)
def test_peers_that_are_missing_are_named_and_left_out(missing, monkeypatch, capsys, tmp_path):
    pytest.importorskip("torchvision")
    real = importlib.util.find_spec
    monkeypatch.setattr(center_crop, "find_spec", lambda name: None if name in str(missing).lower() else real(name))
    file = tmp_path / "results.json"
    assert main(["bench", "center_crop", "--quick", "--threads", "1", "--json", str(file)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"bench center_crop: left out, since not installed: {', '.join(missing)}.\n")
    assert not [name for name in missing if name in told.partition("\n")[2]]
    peers = {"torchvision v2", "torchvision v2, contiguous"} if "torchvision" not in missing else set()
    assert {row["contender"] for row in json.loads(file.read_text())["rows"]} == {OURS, LIMIT, *peers}


@pytest.mark.usefixtures("_few_tiny_cases", "measured")
def test_progress_shows_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["bench", "view", "--quick", "--threads", "1"]) == 0
    assert "view, 1 " in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["0", "x", "", "1,,2", "1,0", "-1", "1.5"])
def test_wrong_threads_are_told_before_anything_is_measured(threads, measured):
    with pytest.raises(SystemExit) as error:
        main(["bench", "--quick", f"--threads={threads}"])
    assert (error.value.code, measured) == (f"bench: --threads must be numbers like 1,2, got {threads}.", [])


@pytest.mark.usefixtures("_few_tiny_cases")
def test_more_threads_than_cores_are_told_and_left_out(measured, capsys):
    for threads, left in (("1,64", 1), ("64", 2)):
        measured.clear()
        assert main(["bench", "view", "--threads", threads]) == 0
        assert {count for *_, count in measured} == {left}
        assert capsys.readouterr().out.startswith("bench: --threads asks for 64, and there are 2 cores.\n")


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_a_missing_folder_is_told_before_anything_is_measured(option, measured, tmp_path):
    with pytest.raises(SystemExit) as error:
        main(["bench", "--quick", option, str(file := tmp_path / "missing" / "file")])
    assert (error.value.code, measured) == (f"bench: {file} must be in a directory that exists.", [])


def test_an_unknown_family(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "everything"])
    assert "invalid choice: 'everything'" in capsys.readouterr().err


def test_without_tabulate_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "tabulate", None)
    monkeypatch.delitem(sys.modules, "torchcrop_fast.bench.command")
    with pytest.raises(SystemExit, match=r"^bench: tabulate is missing: install it with pip install"):
        main(["bench", "view"])
