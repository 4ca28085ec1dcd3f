"""The GPU report and the tuning, as far as they go without a GPU: refusals, cases, verdicts, what programs print."""

import math
import os
import re
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torchcrop_fast.bench import gpu, gpu_cases, gpu_counts, gpu_machine, gpu_report, gpu_timers, gpu_tune
from torchcrop_fast.bench.gpu_goals import EAGER, GOALS, GRAPH, Goal, judge
from torchcrop_fast.bench.harness import LIMIT, OURS
from torchcrop_fast.bench.per_sample import installed

ROOT = Path(__file__).parent.parent
SMALL = gpu_cases.Place("cpu", cache=2**14, side=32, images=4, volume=2**19, most_copies=4)
CLOCKS = {EAGER: timeit.Timer, GRAPH: timeit.Timer}


@pytest.mark.parametrize("job", ["gpu-report", "gpu-tune"])
def test_make_refuses_in_one_sentence(job: str) -> None:
    process = subprocess.run(
        ["make", "--silent", "--no-print-directory", job, f"PYTHON={sys.executable}"],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode != 0
    assert process.stdout == ""
    told, status = process.stderr.splitlines()
    assert told == f"make {job} needs a GPU, and torch sees none here."
    assert "Error 1" in status


def test_what_else_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"^make it needs no_such_module, and .* has none: name another Python"):
        gpu_machine.refuse_without_gpu("make it", ("pytest", "no_such_module"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu_machine, "nvcc", lambda: None)
    with pytest.raises(SystemExit, match=r"^make it needs nvcc, and there is none: "):
        gpu_machine.refuse_without_gpu("make it", ())
    monkeypatch.setattr(gpu_machine, "nvcc", lambda: "nvcc")
    gpu_machine.refuse_without_gpu("make it", ("pytest",))


def test_results_are_named_for_the_gpu() -> None:
    assert gpu_machine.file_name("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"


def test_a_program_is_waited_for_and_ended_in_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_machine, "LOGS", tmp_path)
    code = "import os, sys; print(os.environ['TOLD'], file=sys.stderr); sys.exit(3)"
    program = gpu_machine.Program("a name", [sys.executable, "-c", code], 60, {"TOLD": "something"})
    assert program.wait() == 3
    assert program.ended()
    assert program.output == "something\n"
    begin = time.monotonic()
    program = gpu_machine.Program("slow", ["sleep", "600"], 0)
    assert program.wait() is None
    assert time.monotonic() - begin < 60


def test_what_is_counted_beside_a_build_that_fails_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[gpu_machine.Program] = []

    class Noted(gpu_machine.Program):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)

    monkeypatch.setattr(gpu_machine, "LOGS", tmp_path)
    monkeypatch.setattr(gpu, "Program", Noted)
    monkeypatch.setattr(gpu, "refuse_without_gpu", lambda *_: None)
    monkeypatch.setattr(gpu, "build", lambda _: False)
    monkeypatch.setattr(gpu_counts, "missing", lambda: None)
    monkeypatch.setattr(gpu_counts, "COMMAND", ("sleep", "600"))
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 1
    (counting,) = started
    ended = counting.ended()
    counting.stop()  # whatever came of it
    assert ended


@pytest.fixture
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)


@pytest.mark.usefixtures("_uncompiled")
def test_all_contenders_of_every_case_agree_and_every_goal_is_decided(capsys: pytest.CaptureFixture[str]) -> None:
    told: gpu.Told = []
    rows, notes = gpu.measure_all(told, lambda: 1, SMALL, CLOCKS, rounds=2, seconds=0)
    assert notes == [f"{name} is not installed, and so was not measured." for name in gpu_cases.missing()]
    cases = list(gpu_cases.cases(SMALL))
    assert [stage["outcome"] for stage in told] == [f"{len(cases)} cases"]
    assert told[0]["good"]
    assert "benchmarks: " in capsys.readouterr().out
    assert len({(case.name, case.what) for case in cases}) == len(cases)
    for case in cases:
        of_case = [row for row in rows if (row["case"], row["what"]) == (case.name, case.what)]
        by_clock = {clock: [row["contender"] for row in of_case if row["clock"] == clock] for clock in CLOCKS}
        assert by_clock[EAGER][0] == OURS
        assert by_clock[EAGER][-1] == LIMIT
        assert len(by_clock[EAGER]) >= 3
        assert set(by_clock[EAGER]) - set(by_clock[GRAPH]) <= set(gpu_cases.ON_THE_HOST)
    contenders = {row["contender"] for row in rows}
    assert set(gpu_cases.ON_THE_HOST) <= contenders or not installed("kornia")
    for verdict in judge(rows):
        assert verdict.worst is not None, verdict.goal.text
        assert verdict.clock == verdict.goal.clock
    tags = {tag for case in cases for tag in case.goals}
    assert tags == {goal.tag for goal in GOALS}


def counted(shape: tuple[int, ...], cropping: tuple[int, ...], itemsize: int) -> tuple[int, int]:
    """Slowly: the bytes read and written."""
    numbers = F.pad(torch.arange(1, math.prod(shape) + 1).view(shape), [-entry for entry in cropping])
    return numbers[numbers > 0].unique().numel() * itemsize, numbers.numel() * itemsize


def test_cases_say_how_many_bytes_they_move() -> None:
    windows = [case for case in gpu_cases.cases(SMALL) if case.make.func is gpu_cases._on_images]
    assert len(windows) > 15
    for case in windows:
        _, _, shape, cropping, dtype, moved = case.make.args
        read, written = counted(shape, cropping, dtype.itemsize)
        wanted = written + math.prod(shape) * dtype.itemsize if case.what == "backward" else read + written
        assert case.bytes == moved == wanted, case.name


def test_the_cases_on_a_gpu_are_those_of_the_goals() -> None:
    cases = list(gpu_cases.cases(gpu_cases.Place()))
    for goal in ("forward", "mixed", "backward"):
        of_goal = [case for case in cases if goal in case.goals]
        assert all(case.bytes >= 2 * 64e6 for case in of_goal)
        sizes = {case.make.args[4].itemsize for case in of_goal}
        assert sizes == ({2, 4, 8} if goal == "backward" else {1, 2, 4, 8})
        assert any(case.make.args[3][0] % 2 for case in of_goal)
    names = {goal: [case.name for case in cases if goal in case.goals] for goal in ("crop_at", "crop_mirror_normalize")}
    assert names["crop_at"] == ["(256, 3, 256, 256) to 224, float32", "(256, 3, 256, 256) to 224, uint8"]
    assert names["crop_mirror_normalize"] == ["(256, 256, 256, 3) uint8 HWC to float16 CHW 224"]
    assert len([case for case in cases if case.profiled]) > 10


def test_calls_rotate_beyond_the_cache() -> None:
    place = gpu_cases.Place(cache=100)
    assert [place.copies(size) for size in (1, 99, 101, 10_000)] == [200, 3, 2, 2]
    seen: list[Any] = []
    run = gpu_cases.rotating(lambda *pair: seen.append(pair) or torch.zeros(1), (1, 2, 3), "abc")
    for _ in range(4):
        run()
    assert seen == [(1, "a"), (2, "b"), (3, "c"), (1, "a")]
    copy = replace(SMALL, cache=100, most_copies=64).copy_of(10)
    assert len({copy().data_ptr() for _ in range(20)}) == 10


def case_of(runs: dict[str, Callable[[], torch.Tensor]]) -> gpu_cases.GpuCase:
    return gpu_cases.GpuCase("some data", "pad", lambda: runs, 64, goals=("forward",))


def fail() -> torch.Tensor:
    raise RuntimeError("no such kernel\nand more")


def test_a_peer_that_fails_is_told_and_left_out() -> None:
    good = torch.arange(4.0)
    runs = {OURS: lambda: good, "reference": lambda: good, "peer": fail}
    rows, notes = gpu.measure_case(case_of(runs), SMALL, CLOCKS, 2, 0)
    assert {row["contender"] for row in rows} == {OURS, "reference", LIMIT}
    assert notes == [f"some data, pad: peer failed ({clock}): no such kernel" for clock in CLOCKS]


@pytest.mark.parametrize("ours", [fail, lambda: torch.arange(4.0) + 1], ids=["raises", "is wrong"])
def test_ours_failing_leaves_its_goals_open(ours: Callable[[], torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of({OURS: ours, "reference": lambda: torch.arange(4.0)})
    monkeypatch.setattr(gpu_cases, "cases", lambda place: iter([case]))
    told: gpu.Told = []
    rows, notes = gpu.measure_all(told, lambda: 1, SMALL, CLOCKS, rounds=2, seconds=0)
    assert not told[0]["good"]
    assert any("some data, pad" in note for note in notes)
    (verdict,) = judge(rows, [GOALS[0]])
    assert (verdict.worst, verdict.met) == (None, False)


def test_a_case_that_time_does_not_allow_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_cases, "cases", lambda place: iter([case_of({OURS: fail})]))
    rows, notes = gpu.measure_all([], lambda: -1, SMALL, CLOCKS)
    assert "some data, pad: left out, since time was up." in notes
    assert judge(rows, [GOALS[0]])[0].worst is None


def row(case: str, contender: str, times: float, clock: str = GRAPH, goals: tuple[str, ...] = ("tag",)) -> gpu.Row:
    """A row of figures, of which only some matter to a goal."""
    figures = {"median_us": 10.0, "spread_us": 1.0, "gb_per_s": 2000.0, "of_limit": 0.9, "ours_is_times_faster": times}
    return {"case": case, "what": "pad", "contender": contender, "clock": clock, "goals": list(goals), **figures}


SHARE = Goal("share of the copy", "tag", 0.9)
TIMES = Goal("against the reference", "tag", 1.7, ("its name", "another name"))


@pytest.mark.parametrize(
    ("goal", "rows", "worst", "met"),
    [
        (SHARE, [row("a", OURS, 1), row("a", LIMIT, 0.9)], 0.9, True),
        (SHARE, [row("a", OURS, 1), row("a", LIMIT, 0.8951)], 0.8951, True),  # it is shown as 0.90
        (SHARE, [row("a", OURS, 1), row("a", LIMIT, 0.894)], 0.894, False),
        (SHARE, [row(case, name, t) for case, t in (("a", 0.99), ("b", 0.7)) for name in (OURS, LIMIT)], 0.7, False),
        (SHARE, [row("a", OURS, 1, EAGER), row("a", LIMIT, 0.95, EAGER)], 0.95, True),  # no graph could hold it
        (SHARE, [row("a", OURS, 1), row("a", LIMIT, 0.95), row("b", OURS, 1)], None, False),
        (SHARE, [row("a", OURS, 1), row("a", LIMIT, 0.95, goals=("other",))][1:], None, False),
        (SHARE, [], None, False),
        (SHARE, [row("a", LIMIT, 0.95)], None, False),
        (TIMES, [row("a", OURS, 1), row("a", LIMIT, 0.9), row("a", "another name", 1.8)], 1.8, True),
        (TIMES, [row("a", OURS, 1), row("a", "its name", 1.6), row("a", "another name", 1.8)], 1.6, False),
        (TIMES, [row("a", OURS, 1), row("a", LIMIT, 0.9)], None, False),
    ],
)
def test_goals(goal: Goal, rows: list[gpu.Row], worst: float | None, met: bool) -> None:
    (verdict,) = judge(rows, [goal])
    assert (verdict.worst, verdict.met) == (worst, met)


def test_the_worst_case_is_named() -> None:
    rows = [row(case, name, times) for case, times in (("a", 0.99), ("b", 0.7)) for name in (OURS, LIMIT)]
    told = judge(rows, [SHARE])[0].as_dict()
    assert told == {"goal": SHARE.text, "wanted": 0.9, "worst": 0.7, "case": "b, pad", "clock": GRAPH, "met": False}


@pytest.mark.parametrize(
    ("output", "status", "expected"),
    [
        ("....\n10386 passed in 84.27s (0:01:24)\n", 0, ("10386 passed", True)),
        ("===== 3 failed, 10 passed, 2 skipped in 4.27s =====\n", 1, ("3 failed, 10 passed, 2 skipped", False)),
        ("1 skipped in 2.14s\n", 0, ("1 skipped", False)),
        (
            "========= COMPUTE-SANITIZER\n9 passed in 4s\n========= ERROR SUMMARY: 0 errors\n",
            0,
            ("9 passed, ERROR SUMMARY: 0 errors", True),
        ),
        (
            "9 passed in 4s\n========= ERROR SUMMARY: 2 errors\n",
            9,
            ("9 passed, ERROR SUMMARY: 2 errors", False),
        ),
        ("9 passed in 4s\n========= ERROR SUMMARY: 2 errors\n", 0, ("9 passed, ERROR SUMMARY: 2 errors", False)),
        ("1 failed, 9 passed in 4s", 0, ("1 failed, 9 passed", False)),
        ("Segmentation fault", -11, ("failed with status -11", False)),
        ("9 passed in 4s", None, ("ended, since it took too long", False)),
    ],
)
def test_how_the_tests_came_out(output: str, status: int | None, expected: tuple[str, bool]) -> None:
    assert gpu.outcome_of(output, status) == expected


NCU = """==PROF== Connected to process 7
"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"0","7","void torchcrop_fast::<unnamed>::copy_rows_kernel<(bool)0, (int)2, int>(T3)","dram__bytes.sum","Mbyte","201.2"
"0","7","void torchcrop_fast::<unnamed>::copy_rows_kernel<(bool)0, (int)2, int>(T3)","other","","1"
"1","7","void torchcrop_fast::<unnamed>::other_kernel<int>(T1)","launch__registers_per_thread","register/thread","32"
"""


def test_what_ncu_says() -> None:
    rows = gpu.profile_of(NCU, ["first", "second"])
    assert rows == [
        {"case": "first", "kernel": "copy_rows_kernel<0, 2, int>", "DRAM": "201.2 Mbyte"},
        {"case": "second", "kernel": "other_kernel<int>", "registers": "32 register/thread"},
    ]
    assert [row["case"] for row in gpu.profile_of(NCU, ["first"])] == ["", ""]  # whose is whose?
    assert gpu.short_name("copy_rows_kernel") == "copy_rows_kernel"
    assert gpu.profile_of("==ERROR== ERR_NVGPUCTRPERM\n", ["first"]) == []


def test_the_report_to_read() -> None:
    rows = [row("a", OURS, 1), row("a", OURS, 1, EAGER), row("a", LIMIT, 0.93), row("b|c", OURS, 1, EAGER)]
    report = {
        "machine": {"gpu": "Some GPU", "torch": "2.11"},
        "stages": [{"stage": "GPU tests", "outcome": "9 passed", "good": True, "seconds": 12.0}],
        "notes": ["Kornia is not installed, and so was not measured."],
        "ncu": gpu.profile_of(NCU, ["first", "second"]),
        "goals": gpu_report.goals_of([row("a", OURS, 1, goals=("mixed",)), row("a", LIMIT, 0.93, goals=("mixed",))]),
        "seconds": 300,
        "rows": [*rows, gpu.no_row(case_of({}))],
    }
    text = gpu_report.as_markdown(report)
    lines = text.splitlines()
    assert lines[0] == "# torchcrop_fast on Some GPU"
    assert "| GPU tests | 9 passed | 12 |" in lines
    assert "| a | pad | torchcrop_fast | 10.0 ± 1.0 | 10.0 ± 1.0 | 2,000 | 90 |  |  | 1.00 times faster |" in lines
    assert "| b/c | pad | torchcrop_fast | 10.0 ± 1.0 |  | 2,000 | 90 |  |  | 1.00 times faster |" in lines
    assert "- Kornia is not installed, and so was not measured." in lines
    assert "| mixed pad, the same | 0.90 | 0.93 | **met** | a, pad | graph |" in lines
    assert sum("| open |" in line for line in lines) == len(GOALS) - 1
    assert text.index("## Times") < text.index("## What ncu says") < text.index("## Goals")
    assert text.endswith("All took 300 seconds.\n")


SHARES = {EAGER: 0.1, GRAPH: 0.5}  # of the copy's speed, launch to launch and in a graph


def counts_of(**shares: float) -> dict[str, gpu.Row]:
    return {
        name: {"case": name, "kind": "rows", "slots": 100.0, "budget": 100 * share, "moved": 1.25}
        for name, share in shares.items()
    }


def test_counts_stand_beside_what_was_measured() -> None:
    rows = [{**row(case, OURS, 1), "counted": case} for case in ("a", "b", "c")]
    rows += [{**row("a", LIMIT, 0.9), "counted": "a"}]
    rows += [{**row("another like b", OURS, 1, clock), "counted": "b", "of_limit": of} for clock, of in SHARES.items()]
    gpu.add_counts(rows, counts_of(a=2.5, b=0.5))
    assert [one.get("counted_of_limit") for one in rows] == [0.8, 0.4, None, None, 0.4, 0.4]
    assert "| 2,000 | 90 | 40 | 1.25 | 1.00 times faster |" in gpu_report.table((), gpu_report.time_lines(rows))
    (text,) = gpu_report.comparison(rows)
    told = "Measured against counted, the median of each kind of case: rows 1.25."
    assert text == f"{told} More than 20 points apart: b, pad."
    assert gpu_report.comparison([row("a", OURS, 1)]) == []


def test_counts_that_cannot_be_had_are_left_out_or_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_machine, "LOGS", tmp_path)
    monkeypatch.setattr(gpu_counts, "missing", lambda: "nvdisasm")
    stages: gpu.Stages = []
    assert gpu.counted(stages, None) == {}
    printed_counts = 'print(\'a warning\'); print(\'[{"case": "a", "slots": 5}]\')'
    found = gpu.counted(stages, gpu_machine.Program("counts", [sys.executable, "-c", printed_counts], 60))
    assert found == {"a": {"case": "a", "slots": 5}}
    assert gpu.counted(stages, gpu_machine.Program("counts", [sys.executable, "-c", "1 / 0"], 60)) == {}
    assert [(stage["outcome"], stage["good"]) for stage in stages] == [
        ("left out: there is no nvdisasm here", True),
        ("1 cases", True),
        ("failed", False),
    ]


def launch_of(case: gpu_cases.GpuCase) -> list[str]:
    """What gpu_windows.h must say of a case's launch, from an element's bytes on, but for how many images it takes."""
    if case.make.func is gpu_cases._on_images:
        _, _, (_, channels, height, width), (left, right, top, bottom), dtype, _ = case.make.args
        rows, columns = height - top - bottom, width - left - right
        window = [channels, height, width, top, left, rows, columns]
        if case.what == "backward":
            window = [channels, rows, columns, -top, -left, height, width]
        return list(map(str, [dtype.itemsize, *window]))
    mirrored = case.make.func is gpu_cases._cmn_out
    upright = [] if mirrored else ["false", "false", "true"]
    if case.make.func in (gpu_cases._cmn, gpu_cases._cmn_out):
        _, (_, height, width, channels), size, _ = case.make.args
        places = ["true", "true", "Border::kConstant", "0", "2", "PixelType::kUint8", "PixelType::kHalf"]
        return [*map(str, [1, channels, height, width, 0, 0, size, size]), *places, *upright]
    _, (_, channels, height, width), size, overhang, border, dtype, _ = case.make.args
    places = ["false", "true", f"Border::k{border.title()}", str(overhang), "0", "{}", "{}"]
    return [*map(str, [dtype.itemsize, channels, height, width, 0, 0, size, size]), *places, *upright]


def test_every_case_is_counted_by_a_launch_like_its_own() -> None:
    lines = re.findall(
        r'^    \{"(.+?)", +"(.+?)", (.+)\},$', (ROOT / "bench" / "gpu_windows.h").read_text(), re.MULTILINE
    )
    table = {name: [word.strip() for word in words.split(",")] for name, _, words in lines}
    assert len(table) == len(lines) > 60
    for case in gpu_cases.cases(gpu_cases.Place()):
        element_size, _, *window = table[case.counted]
        assert [element_size, *window] == launch_of(case), (case.name, case.what)


class FakeGpu:
    """Stands for torch.cuda: notes what it is asked for; each call takes it a millisecond."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.done = 0, []
        fake = self

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing

            def record(self) -> None:
                self.at = fake.now
                fake.done.append("record")

            def synchronize(self) -> None:
                fake.done.append("wait")

            def elapsed_time(self, end: "Event") -> float:
                return end.at - self.at

        class Graph:
            def capture_begin(self) -> None:
                self.begin = fake.now

            def capture_end(self) -> None:
                self.taken, fake.now = fake.now - self.begin, self.begin
                fake.done.append("capture")

            def replay(self) -> None:
                fake.now += self.taken
                fake.done.append("replay")

        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)

    def run(self) -> torch.Tensor:
        self.now += 1
        self.done.append("call")
        return torch.zeros(1)


def test_times_from_launch_to_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGpu(monkeypatch)
    timer = gpu_timers.EventTimer(fake.run)
    assert timer.timeit(5) == 5e-3
    assert fake.done == ["call", "record", *["call"] * 5, "record", "wait"]  # the first one is not timed
    assert timer.repeat(3, 2) == [2e-3] * 3


def test_times_in_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGpu(monkeypatch)
    timer = gpu_timers.GraphTimer(fake.run)
    assert timer.timeit(5) == 5e-3
    assert fake.done == [*["call"] * 5, "capture", "replay", "record", "replay", "record", "wait"]
    fake.done.clear()
    assert timer.timeit(5) == 5e-3
    assert fake.done == ["replay", "record", "replay", "record", "wait"]  # captured once
    assert timer.repeat(2, 3) == [3e-3] * 2


CHOICE = gpu_tune.Choice("threads of a block", "THREADS", (128, 512))
STORES = gpu_tune.Choice("stores", "STORE_STREAMING", (None,))
HEADER = "case,kind,bytes,round,us,copy_us,checksum\n"
KINDS = {"large": "rows", "tiny": "small"}


def printed(**us: float) -> str:
    """What a program prints whose cases take so long, a copy 10 us; one round of each is far off."""
    lines = [
        f'"{case}","{KINDS[case]}",100,{nth},{taken * far},10.0,77'
        for case, taken in us.items()
        for nth, far in enumerate((1, 1, 50))
    ]
    return HEADER + "\n".join(lines) + "\n"


def tuned(**speed: tuple[float, float]) -> list[gpu_tune.Figure]:
    """Figures of settings, this many times as fast as the default in two cases; turns differ, as machines do."""
    names = {"again": gpu_tune.AGAIN, "together": gpu_tune.TOGETHER, "t128": "THREADS=128", "t512": "THREADS=512"}
    names |= {"streaming": "STORE_STREAMING", "default": gpu_tune.DEFAULT}
    figures = []
    for turn, machine in enumerate((1.0, 1.3, 0.8)):
        for name, (first, second) in {"default": (1.0, 1.0), **speed}.items():
            text = printed(large=20 * machine / first, tiny=2 * machine / second).replace(",10.0,", f",{10 * machine},")
            figures += gpu_tune.figures_of(names[name], turn, text)
    return figures


def test_what_a_program_prints_is_read() -> None:
    figures = gpu_tune.figures_of("THREADS=128", 3, printed(large=20, tiny=2))
    assert figures == [
        gpu_tune.Figure("THREADS=128", 3, "large", "rows", 100, 20.0, 10.0, "77"),
        gpu_tune.Figure("THREADS=128", 3, "tiny", "small", 100, 2.0, 10.0, "77"),
    ]


def test_settings_and_their_flags() -> None:
    assert gpu_tune.settings([CHOICE, STORES]) == {
        "default": (),
        "default again": (),
        "THREADS=128": ("-DTORCHCROP_FAST_THREADS=128",),
        "THREADS=512": ("-DTORCHCROP_FAST_THREADS=512",),
        "STORE_STREAMING": ("-DTORCHCROP_FAST_STORE_STREAMING",),
    }
    text = "#if !defined(TORCHCROP_FAST_THREADS)\n"
    assert gpu_tune.offered_choices([CHOICE, STORES], text) == ([CHOICE], [STORES])


def test_settings_are_compared_turn_by_turn() -> None:
    found = gpu_tune.scores_of(tuned(t128=(1.21, 1.0)))["THREADS=128"]
    assert found.speed == pytest.approx(1.1)
    assert (found.worst, found.worst_case) == (pytest.approx(1.0), "tiny")
    assert (found.best, found.best_case) == (pytest.approx(1.21), "large")
    assert gpu_tune.noise_of(tuned(again=(1.02, 0.96))) == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("speed", "best"),
    [
        ({"t128": (1.05, 1.02), "t512": (1.10, 1.00)}, ["THREADS=512"]),
        ({"t128": (1.05, 1.00), "t512": (1.00, 0.99)}, ["THREADS=128"]),  # a kind that it does nothing for
        ({"t128": (1.05, 0.90), "t512": (0.90, 1.05)}, []),  # each for a kind of its own
        ({"t128": (1.06, 1.06), "t512": (1.30, 0.90)}, ["THREADS=128"]),  # the other one slows a case down
        ({"t128": (1.06, 1.00), "t512": (1.30, 0.90)}, ["THREADS=128"]),  # and is the fastest wherever that one wins
        ({"t128": (1.005, 1.005), "t512": (0.9, 0.9)}, []),
        ({"t128": (1.05, 1.05), "t512": (1, 1), "again": (1.03, 0.97)}, []),  # within the noise
        ({"t128": (1.10, 1.10), "t512": (1, 1), "streaming": (1.03, 1.04)}, ["THREADS=128", "STORE_STREAMING"]),
    ],
)
def test_the_best_settings(speed: dict[str, tuple[float, float]], best: list[str]) -> None:
    figures = tuned(**speed)
    found = gpu_tune.best_of([CHOICE, STORES], figures, gpu_tune.noise_of(figures))
    assert found == best


def test_kinds_of_cases_that_disagree_get_settings_of_their_own() -> None:
    figures = tuned(t128=(1.05, 0.9), t512=(0.9, 1.06), streaming=(1, 1))
    advice = gpu_tune.advice_on(CHOICE, figures, gpu_tune.noise_of(figures))
    assert advice.for_all is None
    assert {kind: score.setting for kind, score in advice.by_kind.items()} == {
        "rows": "THREADS=128",
        "small": "THREADS=512",
    }
    text = gpu_tune.recommendation([CHOICE, STORES], figures, gpu_tune.settings([CHOICE, STORES]))
    assert (
        "- threads of a block: by kind, since none does for all. rows: THREADS=128 1.050 times as fast, at worst 1.050"
        " (large); small: THREADS=512 1.060 times as fast, at worst 1.060 (tiny); else the default.\n"
    ) in text
    assert "| **rows** |  | 1.050 | 0.900 | 1.000 |" in text


def test_a_kind_that_another_setting_serves_better_is_told_beside_the_one_for_all() -> None:
    figures = tuned(t128=(1.06, 1.0), t512=(1.30, 0.9), streaming=(1, 1))
    text = gpu_tune.recommendation([CHOICE, STORES], figures, gpu_tune.settings([CHOICE, STORES]))
    assert (
        "- threads of a block: take -DTORCHCROP_FAST_THREADS=128, 1.030 times as fast, 1.000 (tiny) to 1.060 (large);"
        " or faster still, by kind. rows: THREADS=512 1.300 times as fast, at worst 1.300 (large).\n"
    ) in text


@pytest.mark.parametrize(
    ("together", "verdict"),
    [
        ((1.015, 1.0), "take them all"),  # less than 1% in the mean of all
        ((1.005, 1.005), "they don't add up: take the best one alone"),
        ((1.3, 0.9), "they don't add up: take the best one alone"),
    ],
)
def test_what_is_recommended_together_is_judged_by_kind(together: tuple[float, float], verdict: str) -> None:
    figures = tuned(t128=(1.02, 1.0), t512=(1, 1), streaming=(1.02, 1.0), together=together)
    flags = {**gpu_tune.settings([CHOICE, STORES]), gpu_tune.TOGETHER: ("-D1", "-D2")}
    assert gpu_tune.recommendation([CHOICE, STORES], figures, flags).endswith(f": {verdict}.\n")


def test_recommendation() -> None:
    figures = tuned(
        again=(1.002, 0.998), t128=(0.95, 1.005), t512=(0.97, 0.99), streaming=(1.04, 1.0), together=(1.03, 1.0)
    )
    flags = {**gpu_tune.settings([CHOICE, STORES]), gpu_tune.TOGETHER: ("-DTORCHCROP_FAST_STORE_STREAMING",)}
    text = gpu_tune.recommendation([CHOICE, STORES], figures, flags)
    assert "| large | 50% | 1.002 | 0.950 | 0.970 | 1.040 | 1.030 |" in text
    assert "| tiny | 500% |" in text
    assert "The default against itself differs by 0.2% a case." in text
    assert "- threads of a block: keep the default. THREADS=128 0.977 times as fast, at worst 0.950 (large);" in text
    assert (
        "- stores: take -DTORCHCROP_FAST_STORE_STREAMING, 1.020 times as fast, 1.000 (tiny) to 1.040 (large)." in text
    )
    assert text.endswith("1.015 times as fast, at worst 1.000 (tiny): take them all.\n")


def test_settings_whose_results_differ_are_found() -> None:
    figures = tuned(t128=(1, 1))
    assert gpu_tune.disagreements(figures) == []
    assert gpu_tune.disagreements([*figures, replace(figures[-1], checksum="78")]) == ["THREADS=128, tiny"]


def test_every_choice_is_one_that_the_kernels_offer() -> None:
    offered, absent = gpu_tune.offered_choices(gpu_tune.CHOICES, gpu_tune.kernel_text())
    assert (offered, absent) == (list(gpu_tune.CHOICES), [])


@pytest.mark.skipif(gpu_machine.nvcc() is None, reason="there is no nvcc")
def test_the_program_that_is_timed_compiles(tmp_path: Path) -> None:
    source, result = ROOT / "bench" / "gpu_tune.cu", tmp_path / "result.o"
    command = [*gpu_tune.compiler(), "-arch=sm_90", "-Werror=all-warnings", "-c", str(source), "-o", str(result)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (process.returncode, process.stderr) == (0, "")
