"""``make gpu-report``: builds, tests, checks and measures on a machine with a GPU, and tells how it came out.

It needs torch, nvcc, ninja and pytest, no network, and less than eight minutes on an H100.
"""

import csv
import dataclasses
import io
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from . import gpu_counts
from .gpu_machine import LOGS, RESULTS, Program, architecture, file_name, gpu_name, refuse_without_gpu

JOB = "make gpu-report"
SECONDS = 480.0  # for everything
TESTS = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_cuda.py"]
SAMPLE = [*TESTS, "-m", "sampled"]

METRICS = {
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": "DRAM, % of peak",
    "dram__bytes.sum": "DRAM",
    "gpu__time_duration.sum": "time",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed": "SM, % of peak",
    "sm__warps_active.avg.pct_of_peak_sustained_active": "warps, % of most",
    "launch__registers_per_thread": "registers",
}

Row = dict[str, Any]
Stages = list[dict[str, Any]]  # of each stage: its name, how it came out, whether well, its seconds


def main() -> int:
    """Do it all; 1 if something failed."""
    if sys.argv[1:] == ["--profiled"]:
        run_profiled()
        return 0
    refuse_without_gpu(JOB, ("ninja", "pytest", "setuptools"))
    begin = time.monotonic()

    def left() -> float:
        return SECONDS - (time.monotonic() - begin)

    stages: Stages = []
    counting = None if gpu_counts.missing() else Program("counts", gpu_counts.COMMAND, 400)
    if not build(stages):
        if counting:
            counting.stop()
        return 1
    check(stages, left)
    counts = counted(stages, counting)
    rows, notes = measure_all(stages, lambda: left() - 45)
    add_counts(rows, counts)
    profile = profiled(stages, left)

    from .gpu_report import as_markdown, goals_of
    from .harness import as_json

    report: dict[str, Any] = {
        "machine": machine(),
        "stages": stages,
        "notes": notes,
        "ncu": profile,
        "goals": goals_of(rows),
    }
    report |= {"seconds": round(time.monotonic() - begin), "rows": rows}
    stem = f"gpu-{file_name(gpu_name())}"
    (RESULTS / f"{stem}.json").write_text(as_json(report))
    markdown = as_markdown(report)
    (RESULTS / f"{stem}.md").write_text(markdown)
    print(f"\n{RESULTS / stem}.json and .md: the results.\n\n{markdown}")
    return 0 if all(stage["good"] for stage in stages) else 1


def counted(stages: Stages, program: Program | None) -> dict[str, Row]:
    """What the kernels cost by count, by the names of gpu_windows.h."""
    if program is None:
        add_stage(stages, "counts", f"left out: there is no {gpu_counts.missing()} here", True, 0)
        return {}
    good = program.wait() == 0
    counts = {}
    if good:
        counts = {count["case"]: count for count in json.loads(program.output.splitlines()[-1])}
    add_stage(stages, "counts", f"{len(counts)} cases" if good else "failed", good, program.seconds)
    if not good:
        show_end(program)
    return counts


def add_counts(rows: Iterable[Row], counts: Mapping[str, Row]) -> None:
    """Put beside ours what the count leaves of the copy's speed."""
    from .harness import OURS

    for row in rows:
        count = counts.get(row.get("counted", ""))
        if row["contender"] == OURS and count:
            row["count"] = count
            row["counted_of_limit"] = min(count["budget"] / count["slots"], 1) / count["moved"]


def add_stage(stages: Stages, name: str, outcome: str, good: bool, seconds: float) -> None:
    """Note how a stage came out, and print it at once."""
    stages.append({"stage": name, "outcome": outcome, "good": good, "seconds": round(seconds, 1)})
    print(f"[{seconds:5.1f} s] {name}: {outcome}", flush=True)


def show_end(program: Program, lines: int = 40) -> None:
    """Print the end of what a program that failed has printed."""
    print(f"{program.log}:", *program.output.splitlines()[-lines:], sep="\n    ", flush=True)


def build(stages: Stages) -> bool:
    """Build the libraries into the source tree, for this GPU alone."""
    environment = {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": architecture()}
    program = Program("build", [sys.executable, "setup.py", "build_ext", "--inplace"], 300, environment)
    # What `make` has built into the source tree for another environment is there no more.
    (LOGS.parent / ".venv").unlink(missing_ok=True)
    good = program.wait() == 0
    add_stage(stages, "build", f"for {architecture()}" if good else "failed", good, program.seconds)
    if not good:
        show_end(program)
    return good


def check(stages: Stages, left: Callable[[], float]) -> None:
    """The GPU tests, and beside them compute-sanitizer over a sample."""
    seconds = max(left() - 200, 60)
    workers = ["-p", "xdist.plugin", "-n", str(min(os.cpu_count() or 1, 4))] if find_spec("xdist") else []
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # whatever else is installed there
    uncached = {**alone, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    programs = [
        Program("GPU tests", [*TESTS, *workers, "-k", "not huge"], seconds, alone),
        Program("GPU tests of 2^31 elements", [*TESTS, "-k", "huge"], seconds, alone),
        Program("sample, each allocation by itself", SAMPLE, seconds, uncached),
    ]
    sanitizer = shutil.which("compute-sanitizer")
    for tool in ("memcheck", "initcheck"):
        if sanitizer is None:
            add_stage(stages, f"compute-sanitizer {tool}", "left out: there is no compute-sanitizer here", True, 0)
            continue
        # torch itself makes calls of the runtime that fail, and copes.
        options = ["--tool", tool, "--report-api-errors", "no", "--error-exitcode", "9"]
        programs.append(Program(f"compute-sanitizer {tool}", [sanitizer, *options, *SAMPLE], seconds, uncached))
    while programs:
        program = next((program for program in programs if program.ended()), None)
        if program is None:
            time.sleep(0.1)
            continue
        programs.remove(program)
        status = program.wait()
        outcome, good = outcome_of(program.output, status)
        add_stage(stages, program.name, outcome, good, program.seconds)
        if not good:
            show_end(program)


def outcome_of(output: str, status: int | None) -> tuple[str, bool]:
    """What a run of pytest says last, and compute-sanitizer around it; and whether all is well."""
    tests = re.findall(r"^=* ?((?:\d+ \w+, )*\d+ \w+) in [\d.]+ ?s.*$", output, re.MULTILINE)
    errors = re.findall(r"^=+ (ERROR SUMMARY: .+)$", output, re.MULTILINE)
    if status is None:
        return "ended, since it took too long", False
    if not tests:
        return f"failed with status {status}", False
    good = status == 0 and "passed" in tests[-1] and not re.search("failed|error", tests[-1])
    good = good and all(re.match(r"ERROR SUMMARY: 0 ", error) for error in errors)
    return ", ".join([tests[-1], *dict.fromkeys(errors)]), good


def measure_all(
    stages: Stages,
    left: Callable[[], float],
    place: Any = None,
    clocks: Mapping[str, Any] | None = None,
    rounds: int = 11,
    seconds: float = 4e-3,
) -> tuple[list[Row], list[str]]:
    """Measure every case by every clock, until time is up.

    Args:
        stages: The stages so far.
        left: How many seconds are left.
        place: Where and how large; default on this GPU.
        clocks: What times a contender, by name; default launch to launch, and in a graph.
        rounds: How often each contender's turn comes.
        seconds: How long a turn lasts.

    Returns:
        A row for each contender and clock, and what else there is to say.
    """
    import torch

    from . import gpu_cases
    from .gpu_goals import EAGER, GRAPH
    from .gpu_timers import EventTimer, GraphTimer

    begin = time.monotonic()
    if place is None:
        new_stream: Any = torch.cuda.Stream
        torch.cuda.set_stream(new_stream())  # the default one cannot be captured
        place = gpu_cases.Place(cache=torch.cuda.get_device_properties(0).L2_cache_size)
    notes = [f"{name} is not installed, and so was not measured." for name in gpu_cases.missing()]
    rows: list[Row] = []
    good = True
    for case in gpu_cases.cases(place):
        if left() < 0:
            notes.append(f"{case.name}, {case.what}: left out, since time was up.")
            rows.append(no_row(case))
            continue
        found, told_of = measure_case(case, place, clocks or {EAGER: EventTimer, GRAPH: GraphTimer}, rounds, seconds)
        good = good and bool(found)
        rows += found or [no_row(case)]
        notes += told_of
        if place.device == "cuda":
            torch.cuda.empty_cache()
    count = len({(row["case"], row["what"]) for row in rows if row["contender"]})
    add_stage(stages, "benchmarks", f"{count} cases", good, time.monotonic() - begin)
    return rows, notes


def no_row(case: Any) -> Row:
    """Stands for a case without figures, so that its goals are not taken for met."""
    return {"case": case.name, "what": case.what, "contender": "", "clock": "", "goals": list(case.goals)}


def measure_case(
    case: Any, place: Any, clocks: Mapping[str, Any], rounds: int, seconds: float
) -> tuple[list[Row], list[str]]:
    """One case by every clock; no rows if ours or the reference fails, or a result is wrong."""
    from .gpu_cases import ON_THE_HOST
    from .gpu_goals import GRAPH
    from .harness import OURS, Timing, measure

    name = f"{case.name}, {case.what}"
    notes: list[str] = []
    rows: list[Row] = []
    try:
        runs = dict(case.make())
    except (RuntimeError, TypeError, ValueError) as error:
        return [], [f"{name}: failed: {first_line(error)}"]
    reference = list(runs)[1]
    for clock, timer in clocks.items():
        able = {contender: run for contender, run in runs.items() if clock != GRAPH or contender not in ON_THE_HOST}
        if reference not in able:  # then the next one is what results are compared with
            able = {OURS: able.pop(OURS), **able}
        for contender, run in list(able.items()):
            try:
                timer(run).timeit(1)
            except Exception as error:  # a peer's, whatever it is, must not end the report
                notes.append(f"{name}: {contender} failed ({clock}): {first_line(error)}")
                del able[contender]
        if OURS not in able or len(able) < 2:
            if clock != GRAPH:
                return [], notes
            continue
        try:
            timings: dict[str, Timing] = measure(
                dataclasses.replace(case, make=lambda able=able: able), rounds, seconds, timer, place.copy_of
            )
        except (AssertionError, RuntimeError) as error:
            return [], [*notes, f"{name}: wrong or failed ({clock}): {first_line(error)}"]
        rows += rows_of(case, clock, timings)
    return rows, notes


def first_line(error: BaseException) -> str:
    """What it says first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def rows_of(case: Any, clock: str, timings: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each contender."""
    from .harness import LIMIT, OURS

    for contender, timing in timings.items():
        yield {
            "case": case.name,
            "what": case.what,
            "contender": contender,
            "clock": clock,
            "median_us": timing.median,
            "spread_us": timing.spread,
            "gb_per_s": case.bytes / timing.median / 1e3,
            "of_limit": timing.ratio(timings[LIMIT]),
            "ours_is_times_faster": timings[OURS].ratio(timing),
            "goals": list(case.goals),
            "counted": case.counted,
        }


def run_profiled() -> None:
    """Run ours once for each case that ncu looks at: each is one launch."""
    from . import gpu_cases

    for case in gpu_cases.cases(gpu_cases.Place(most_copies=2)):
        if case.profiled:
            next(iter(case.make().values()))()


def profiled(stages: Stages, left: Callable[[], float]) -> list[Row]:
    """What ncu says of the main kernels, a row for each case."""
    from . import gpu_cases

    ncu = shutil.which("ncu")
    if ncu is None:
        add_stage(stages, "ncu", "left out: there is no ncu here", True, 0)
        return []
    # The GPU's clocks are left as they are.
    options = ["--csv", "--clock-control", "none", "--metrics", ",".join(METRICS)]
    options += ["--kernel-name-base", "demangled", "--kernel-name", "regex:torchcrop_fast"]
    program = Program("ncu", [ncu, *options, sys.executable, "-m", "bench.gpu", "--profiled"], max(left(), 30))
    status = program.wait()
    names = [f"{case.name}, {case.what}" for case in gpu_cases.cases(gpu_cases.Place()) if case.profiled]
    rows = profile_of(program.output, names)
    refused = re.findall(r"^==ERROR== (.+)$", program.output, re.MULTILINE)
    if refused and not rows:  # it may not read the counters, say
        add_stage(stages, "ncu", f"no figures: {refused[0]}", True, program.seconds)
        return []
    good = status == 0 and len(rows) == len(names)
    add_stage(stages, "ncu", f"{len(rows)} of {len(names)} kernels", good, program.seconds)
    if not good:
        show_end(program)
    return rows


def profile_of(output: str, names: Sequence[str]) -> list[Row]:
    """What ncu's table holds, a row for each launch: they came in the order of these cases."""
    lines = output.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), len(lines))
    launches: dict[str, Row] = {}
    for line in csv.DictReader(io.StringIO("\n".join(lines[start:]))):
        if line.get("Metric Name") not in METRICS or line["ID"] is None:
            continue
        row = launches.setdefault(line["ID"], {"case": "", "kernel": short_name(line["Kernel Name"])})
        row[METRICS[line["Metric Name"]]] = f"{line['Metric Value']} {line['Metric Unit']}".removesuffix(" %")
    if len(launches) == len(names):
        for row, name in zip(launches.values(), names, strict=True):
            row["case"] = name
    return list(launches.values())


def short_name(kernel: str) -> str:
    """A kernel's name with its template's arguments, without namespaces, parameters and casts."""
    name = re.sub(r"\([^()]*\)$", "", kernel).removeprefix("void ")
    return re.sub(r"(?:\w+|<unnamed>|\(anonymous namespace\))::|\((?:bool|int)\)", "", name)


def machine() -> dict[str, str]:
    """The GPU and what drives it."""
    import torch

    from torchcrop_fast import _info

    properties = torch.cuda.get_device_properties(0)
    smi = shutil.which("nvidia-smi")
    driver = ""
    if smi:
        query = Program(
            "nvidia-smi", [smi, "--query-gpu=driver_version,clocks.sm,clocks.mem", "--format=csv,noheader"], 20
        )
        driver = query.output.strip() if query.wait() == 0 else ""
    facts = _info.facts()
    return {
        "gpu": properties.name,
        "multiprocessors": str(properties.multi_processor_count),
        "L2": f"{properties.L2_cache_size / 2**20:.0f} MiB",
        "memory": f"{properties.total_memory / 2**30:.0f} GiB",
        "driver, clocks": driver,
        "torch": facts["torch"],
        "torchcrop_fast": facts["torchcrop_fast"],
        "built with": facts["built with"],
        "python": facts["python"],
        "cpu": facts["cpu"],
    }


if __name__ == "__main__":
    sys.exit(main())
