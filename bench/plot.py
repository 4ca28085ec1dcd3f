"""The picture of the results: how many times longer the reference takes, job by job and over the sweep."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

WAYS = ("function", "layer", "scripted layer", "forward + backward")


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw the families that the rows hold: bars for the layers, and the sweep's ratios in order."""
    layers = [row for row in rows if row["family"] == "layers" and row["contender"].startswith("nn.ZeroPad2d")]
    sweep = [row for row in rows if row["family"] == "sweep" and row["contender"] == "F.pad"]
    panels = [panel for panel in ((_bars, layers), (_curve, sweep)) if panel[1]]
    figure = Figure(figsize=(7 * max(len(panels), 1), 6), layout="constrained")
    for number, (panel, its_rows) in enumerate(panels, 1):
        panel(figure.add_subplot(1, len(panels), number), its_rows)
    figure.savefig(file, dpi=120)


def _bars(axes: Any, rows: list[dict[str, Any]]) -> None:
    threads = max(row["threads"] for row in rows)
    rows = [row for row in rows if row["threads"] == threads]
    names = list(dict.fromkeys(row["case"] for row in rows))
    height = 0.8 / len(WAYS)
    for number, way in enumerate(WAYS):
        ratios = {row["case"]: row["ours_is_times_faster"] for row in rows if row["what"] == way}
        places = [place + number * height for place, name in enumerate(names) if name in ratios]
        bars = axes.barh(places, [ratios[name] for name in names if name in ratios], height, label=way)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(names))], names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times that nn.ZeroPad2d takes longer")
    axes.set_title(f"float32 unless named, {threads} threads, whole call, steady state", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")


def _curve(axes: Any, rows: list[dict[str, Any]]) -> None:
    for threads in sorted({row["threads"] for row in rows}):
        ratios = sorted(row["ours_is_times_faster"] for row in rows if row["threads"] == threads)
        name = f"{threads} {'thread' if threads == 1 else 'threads'}: worst {ratios[0]:.2f}"
        axes.plot(range(1, len(ratios) + 1), ratios, marker=".", markersize=3, linewidth=1, label=name)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_yscale("log")
    axes.set_yticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"])
    axes.set_xlabel("cases of the sweep, by ratio")
    axes.set_ylabel("times that F.pad takes longer")
    axes.set_title("shapes, dtypes, layouts and pads of all kinds", fontsize=10)
    axes.legend(fontsize=8, loc="upper left")
