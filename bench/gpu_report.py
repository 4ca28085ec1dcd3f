"""What make gpu-report found, to read: a report in Markdown."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .gpu import METRICS
from .gpu_goals import EAGER, GRAPH, Row, judge


def goals_of(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Each goal's verdict."""
    return [verdict.as_dict() for verdict in judge(rows)]


def as_markdown(report: Mapping[str, Any]) -> str:
    """The report to read; the goals come last."""
    parts = [f"# torchcrop_fast on {report['machine']['gpu']}"]
    parts.append(", ".join(f"{name}: {fact}" for name, fact in report["machine"].items() if name != "gpu") + ".")
    stages = [(stage["stage"], stage["outcome"], f"{stage['seconds']:.0f}") for stage in report["stages"]]
    parts += ["## Checks", table(("stage", "outcome", "seconds"), stages)]
    parts.append(
        "## Times\n\nMedians of the rounds, in which all take their turns in random order, ± from their first to their"
        " third quartile; inputs rotate beyond the L2 cache. A case's bytes are what it must read and write, each byte"
        " once; % of the copy is the share of the speed of a device copy of as many bytes in the same rounds. Launch to"
        " launch includes the host's work; in a graph the GPU works alone, and the last columns go by that where it is"
        " there. torch.compile's own graphs are off, since all contenders are replayed in ours. With out= it is the"
        " kernel alone, else the whole call. % counted is what the counted instructions and bytes leave of the copy's"
        " speed; moved, how many times the bytes that must be moved the kernel's blocks move."
    )
    parts.append(table(TIME_HEADERS, time_lines(report["rows"])))
    parts += comparison(report["rows"])
    if report["notes"]:
        parts.append("\n".join(f"- {note}" for note in report["notes"]))
    if report["ncu"]:
        headers = ("case", "kernel", *METRICS.values())
        lines = [[str(row.get(header, "")) for header in headers] for row in report["ncu"]]
        parts += ["## What ncu says of the kernels", table(headers, lines)]
    lines = []
    for goal in report["goals"]:
        worst = "not measured" if goal["worst"] is None else f"{goal['worst']:.2f}"
        outcome = "**met**" if goal["met"] else "**missed**" if goal["worst"] is not None else "open"
        lines.append([goal["goal"], f"{goal['wanted']:.2f}", worst, outcome, goal["case"], goal["clock"]])
    parts += ["## Goals", table(("goal", "wanted", "worst", "", "the worst case", "clock"), lines)]
    parts.append(f"All took {report['seconds']} seconds.")
    return "\n\n".join(parts) + "\n"


TIME_HEADERS = (
    "case",
    "what",
    "contender",
    "us, launch to launch",
    "us, graph",
    "GB/s",
    "% of the copy",
    "% counted",
    "moved",
    "ours is",
)


def time_lines(rows: Iterable[Row]) -> Iterator[Sequence[str]]:
    """A line for each contender of a case, its clocks side by side."""
    by_contender: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        if row["contender"]:
            by_contender.setdefault((row["case"], row["what"], row["contender"]), {})[row["clock"]] = row
    for key, clocks in by_contender.items():
        times = [
            f"{clocks[clock]['median_us']:,.1f} ± {clocks[clock]['spread_us']:,.1f}" if clock in clocks else ""
            for clock in (EAGER, GRAPH)
        ]
        best = clocks.get(GRAPH) or clocks[EAGER]
        faster = f"{best['ours_is_times_faster']:.2f} times faster"
        counted = ("", "")
        if "counted_of_limit" in best:
            counted = (f"{100 * best['counted_of_limit']:.0f}", f"{best['count']['moved']:.2f}")
        yield (*key, *times, f"{best['gb_per_s']:,.0f}", f"{100 * best['of_limit']:.0f}", *counted, faster)


FAR = 0.2  # of the copy's speed, by which count and clock may differ


def comparison(rows: Iterable[Row]) -> list[str]:
    """Whether the clock confirms what was counted, kind by kind; nothing where nothing was."""
    measured: dict[str, Row] = {}  # in a graph, where it is there
    for row in rows:
        name = f"{row['case']}, {row['what']}"
        if "counted_of_limit" in row and (row["clock"] == GRAPH or name not in measured):
            measured[name] = row
    if not measured:
        return []
    kinds: dict[str, list[float]] = {}
    for row in measured.values():
        kinds.setdefault(row["count"]["kind"], []).append(row["of_limit"] / row["counted_of_limit"])
    told = "; ".join(f"{kind} {statistics.median(ratios):.2f}" for kind, ratios in kinds.items())
    text = f"Measured against counted, the median of each kind of case: {told}."
    far = [name for name, row in measured.items() if abs(row["of_limit"] - row["counted_of_limit"]) > FAR]
    return [f"{text} More than {100 * FAR:.0f} points apart: {'; '.join(far) or 'none'}."]


def table(headers: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    rows = [headers, ["---"] * len(headers), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows)
