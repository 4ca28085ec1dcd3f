"""The goals of the GPU kernels, and whether what was measured meets them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .harness import LIMIT, OURS

Row = dict[str, Any]

# A row's "clock": launch to launch, the host's work included; or replayed from a graph, the GPU's alone.
EAGER, GRAPH = "launch to launch", "graph"


@dataclass(frozen=True)
class Goal:
    """What must hold for every case with a tag.

    Attributes:
        text: The goal, in words.
        tag: Of the cases that decide it.
        against: The contender that is compared with ours: the copy, for a share of its speed, or a peer. Of a peer that
            goes by several names, those.
        wanted: How many times as fast as that one ours must be at least.
        clock: By which times; what a graph cannot hold is compared launch to launch.
    """

    text: str
    tag: str
    wanted: float
    against: tuple[str, ...] = (LIMIT,)
    clock: str = GRAPH


@dataclass(frozen=True)
class Verdict:
    """How a goal came out: the worst case decides."""

    goal: Goal
    worst: float | None  # None: nothing was measured
    case: str = ""
    clock: str = ""

    @property
    def met(self) -> bool:
        """As precisely as it is shown: to a hundredth."""
        return self.worst is not None and round(self.worst, 2) >= self.goal.wanted

    def as_dict(self) -> dict[str, Any]:
        """What is kept in the results."""
        goal = self.goal
        worst = None if self.worst is None else float(f"{self.worst:.4g}")
        told = {"goal": goal.text, "wanted": goal.wanted, "worst": worst, "case": self.case, "clock": self.clock}
        return told | {"met": self.met}


ZERO_PAD = ("nn.ZeroPad2d",)
GOALS: tuple[Goal, ...] = (
    Goal("forward, 64 MB and more, elements of 1, 2, 4, 8 bytes, any offset: share of the copy", "forward", 0.9),
    Goal("mixed pad, the same", "mixed", 0.9),
    Goal("backward, the same", "backward", 0.9),
    Goal("backward against ZeroPad2d's", "backward", 1.7, ZERO_PAD),
    Goal("forward at odd offsets against ZeroPad2d, float32", "float32 against ZeroPad2d", 1.1, ZERO_PAD),
    Goal("forward at odd offsets against ZeroPad2d, bfloat16", "bfloat16 against ZeroPad2d", 1.4, ZERO_PAD),
    Goal("forward at odd offsets against ZeroPad2d, uint8", "uint8 against ZeroPad2d", 3.0, ZERO_PAD),
    Goal("crop_at 256x3x256x256 to 224 against loop + stack", "crop_at", 50.0, ("loop + stack",), EAGER),
    Goal("crop_at 256x3x256x256 to 224: share of the copy", "crop_at, out=", 0.85),
    Goal(
        "crop_mirror_normalize uint8 HWC to float16 CHW, 256x3x256x256 to 224: share of the copy",
        "crop_mirror_normalize, out=",
        0.8,
    ),
    Goal(
        "crop_mirror_normalize against torch.compile of the torchvision chain",
        "crop_mirror_normalize",
        3.0,
        ("torch.compile (max-autotune) of torchvision v2", "torch.compile (max-autotune) of the chain"),
    ),
    Goal("tiny, launch to launch, against ZeroPad2d", "tiny", 1.0, ZERO_PAD, EAGER),
    Goal("tiny, launch to launch in a graph, against ZeroPad2d", "tiny", 1.0, ZERO_PAD),
)


def judge(rows: Iterable[Row], goals: Sequence[Goal] = GOALS) -> list[Verdict]:
    """Decide each goal by its worst case; a case that should decide it and has no figure leaves it open."""
    kept = list(rows)
    return [_judge(kept, goal) for goal in goals]


def _judge(rows: list[Row], goal: Goal) -> Verdict:
    cases = dict.fromkeys((row["case"], row["what"]) for row in rows if goal.tag in row["goals"])
    found = []
    for case, what in cases:
        of_case = [row for row in rows if (row["case"], row["what"]) == (case, what)]
        figure = _figure(of_case, goal)
        if figure is None:
            return Verdict(goal, None, f"{case}, {what}")
        found.append((*figure, f"{case}, {what}"))
    if not found:
        return Verdict(goal, None)
    worst, clock, name = min(found)
    return Verdict(goal, worst, name, clock)


def _figure(rows: list[Row], goal: Goal) -> tuple[float, str] | None:
    """How many times as fast as the other ours is, and by which clock."""
    for clock in dict.fromkeys((goal.clock, EAGER)):
        of_clock = {row["contender"]: row for row in rows if row["clock"] == clock}
        other = next((of_clock[name] for name in goal.against if name in of_clock), None)
        if other is not None and OURS in of_clock:
            return float(other["ours_is_times_faster"]), clock
    return None
