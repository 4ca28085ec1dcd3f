"""``python -m torchcrop_fast bench``: runs the families, prints their tables, keeps the results."""

import os
import statistics
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from torchcrop_fast import _info, memory
from torchcrop_fast._files import write_whole
from torchcrop_fast._progress import progress

from . import center_crop, compiled, layers, override, per_sample, sweep, view
from .harness import LIMIT, LIMITS, OURS, Case, Timing, as_json, measure

try:
    from tabulate import tabulate
except ImportError:
    sys.exit("bench: tabulate is missing: install it with pip install 'torchcrop_fast[bench]'.")

FAMILIES: dict[str, ModuleType] = {
    "layers": layers,
    "override": override,
    "center_crop": center_crop,
    "view": view,
    "per_sample": per_sample,
    "compiled": compiled,
    "sweep": sweep,
}

# Where ours should not be slower: the speed below which a case is measured again. Compiled code is often the same.
SUSPICIOUS = {"sweep": 1.0, "compiled": 0.99}

# Of families with more cases than time, and of one whose ratios are near 1.
ROUNDS = {"sweep": 7, "compiled": 31}

Row = dict[str, Any]


def run(family: str | None, quick: bool, json_file: Path | None, plot: Path | None, threads: str) -> int:
    """Measure and print; 1 if a result is wrong."""
    counts = _thread_counts(threads)
    for file in (json_file, plot):
        if file and not file.parent.is_dir():
            sys.exit(f"bench: {file} must be in a directory that exists.")
    warnings.filterwarnings("ignore", "`torch.jit", FutureWarning)  # scripted layers are what we measure
    names = [family] if family else list(FAMILIES)
    rows: list[Row] = []
    try:
        for name in names:
            for count in counts:
                torch.set_num_threads(count)
                found = _measure_family(name, quick, count)
                print(_table(name, found, count), end="\n\n")
                rows += found
    except AssertionError as wrong:
        print(f"bench: a result is wrong: {wrong}")
        return 1
    if json_file:
        facts = _info.facts()
        machine = {
            name: facts[name] for name in ("cpu", "cpu cores", "cpu features", "torchcrop_fast", "torch", "python")
        }
        results = as_json({"machine": machine, "cache_limit": memory.stats()["limit"], "rows": rows})
        write_whole("bench", json_file, lambda path: path.write_text(results))
        print(f"{json_file}: the results.")
    if plot:
        from .plot import draw

        write_whole("bench", plot, lambda path: draw(rows, path))
        print(f"{plot}: the picture.")
    return 0


def _thread_counts(threads: str) -> list[int]:
    try:
        counts = [int(count) for count in threads.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        sys.exit(f"bench: --threads must be numbers like 1,2, got {threads}.")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if max(counts) > cores:
        print(f"bench: --threads asks for {max(counts)}, and there are {cores} cores.")
    return [count for count in counts if count <= cores] or [cores]


def _measure_family(name: str, quick: bool, threads: int) -> list[Row]:
    module = FAMILIES[name]
    missing = module.missing() if hasattr(module, "missing") else []
    if missing:
        print(f"bench {name}: left out, since not installed: {', '.join(missing)}.")
    rounds, seconds = (7, 3e-4) if quick else (15, 2e-3)
    rounds = ROUNDS.get(name, rounds)
    rows = []
    for case in progress(list(module.cases(quick)), f"{name}, {threads} threads"):
        timings = measure(case, rounds, seconds)
        if _speedup(timings) < SUSPICIOUS.get(name, 0):
            timings = _believe(case, rounds, seconds)
        rows += list(_rows(name, case, threads, timings))
    return rows


def _believe(case: Case, rounds: int, seconds: float) -> dict[str, Timing]:
    """Measure a case ten times more, and keep the middle one."""
    repeats = sorted((measure(case, rounds, seconds) for _ in range(10)), key=_speedup)
    return repeats[len(repeats) // 2]


def _speedup(timings: dict[str, Timing]) -> float:
    """How many times longer than ours the reference took: it is the second contender."""
    return timings[OURS].ratio(list(timings.values())[1])


def _rows(family: str, case: Case, threads: int, timings: dict[str, Timing]) -> Iterable[Row]:
    for contender, timing in timings.items():
        yield {
            "family": family,
            "case": case.name,
            "what": case.what,
            "threads": threads,
            "contender": contender,
            "median_us": timing.median,
            "spread_us": timing.spread,
            "first_us": None if contender in LIMITS else timing.first,
            "gb_per_s": case.bytes / timing.median / 1e3,
            "of_limit": timing.ratio(timings[LIMIT]),
            "ours_is_times_faster": timings[OURS].ratio(timing),
        }


def _table(family: str, rows: list[Row], threads: int) -> str:
    title = f"{family}, {threads} {'thread' if threads == 1 else 'threads'}"
    if family == "sweep":
        return f"{title}: {_sweep_summary(rows)}"
    headers = ("case", "what", "contender", "us", "spread", "first call", "GB/s", "% of the copy", "ours is faster")
    lines = []
    for row in rows:
        first = "" if row["first_us"] is None else f"{row['first_us']:,.0f}"
        times = "" if row["contender"] == OURS else f"{row['ours_is_times_faster']:.2f} times"
        share = f"{100 * row['of_limit']:.0f}"
        timing = (f"{row['median_us']:,.2f}", f"{row['spread_us']:,.2f}", first, f"{row['gb_per_s']:.1f}", share, times)
        lines.append((row["case"], row["what"], row["contender"], *timing))
    return f"{title}:\n{tabulate(lines, headers, disable_numparse=True)}"


def _sweep_summary(rows: list[Row]) -> str:
    ranked = sorted((row["ours_is_times_faster"], row["median_us"], row["case"]) for row in rows if _is_reference(row))
    ratios = [ratio for ratio, _, _ in ranked]
    worst = [(f"{ratio:.2f} times", f"{us:,.2f}", case) for ratio, us, case in ranked[:10]]
    return (
        f"{len(ratios)} cases; ours is faster than F.pad {statistics.median(ratios):.2f} times in the median,"
        f" {ratios[0]:.2f} times at worst. The ten worst:\n"
        + tabulate(worst, ("ours is faster", "F.pad us", "case"), disable_numparse=True)
    )


def _is_reference(row: Row) -> bool:
    return row["contender"] not in (OURS, *LIMITS)
