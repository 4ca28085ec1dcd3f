"""How one case is measured: all contenders on the same data, compared first, then timed in turn."""

import json
import math
import random
import statistics
import timeit
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

OURS = "torchcrop_fast"
LIMIT = "copy of the same bytes"
FILL = "fill of the output"
LIMITS = (LIMIT, FILL)

Run = Callable[[], Tensor]


@dataclass(frozen=True)
class Case:
    """One job, done by several contenders.

    Attributes:
        name: The data and what happens to it.
        what: How it is asked for: a layer, a function, into ``out=``, with its backward pass, ...
        make: Builds the contenders, ours first; the second one is the reference. Each takes nothing, does the whole
            job, and returns its result.
        bytes: How many bytes the job moves at least: each window reads what it sees of its input and writes its output,
            every byte once.
        exact: Whether the results must be equal bit for bit; else up to rounding.
        same_dtype: Whether they must be of one dtype: not where a peer lacks it.
        fill: Whether filling the output, by torch's ``fill_``, is timed as a second limit: for what reads little.
        around: Gives what a contender's calls run within, by its name.
        clock: What time is read from: for one thread's work ``time.thread_time``, which others' work disturbs less.
    """

    name: str
    what: str
    make: Callable[[], Mapping[str, Run]]
    bytes: int
    exact: bool = True
    same_dtype: bool = True
    fill: bool = False
    around: Callable[[str], AbstractContextManager[Any]] = nullcontext
    clock: Callable[[], float] = timeit.default_timer


@dataclass(frozen=True)
class Timing:
    """What one contender took, a call, in microseconds."""

    first: float  # the first call, whatever it had to set up or compile
    median: float  # of the rounds
    spread: float  # from the first to the third quartile of the rounds
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, first: float, rounds: Sequence[float]) -> "Timing":
        """Sum the rounds up."""
        low, median, high = statistics.quantiles(rounds, n=4)
        return cls(first, median, high - low, tuple(rounds))

    def ratio(self, other: "Timing") -> float:
        """How many times longer the other one took: the median over the rounds, each of which timed both in turn."""
        return statistics.median(theirs / ours for ours, theirs in zip(self.rounds, other.rounds, strict=True))


class Timer(Protocol):
    """Times calls, as timeit's does."""

    def timeit(self, number: int) -> float:
        """The seconds that ``calls`` calls take."""

    def repeat(self, repeat: int, number: int) -> list[float]:
        """The same, several times."""


def copy_of(size: int) -> Run:
    """A copy of ``bytes`` bytes."""
    source = torch.ones(size, dtype=torch.uint8)
    target = torch.ones_like(source)
    return lambda: target.copy_(source)


def measure(
    case: Case,
    rounds: int,
    seconds: float,
    timer: Callable[[Run], Timer] | None = None,
    copy: Callable[[int], Run] = copy_of,
) -> dict[str, Timing]:
    """Compare the contenders' results, then time them in turn, round by round: A B C, C A B, and so on.

    Args:
        case: What to measure.
        rounds: How often each contender's turn comes.
        seconds: How long a turn lasts, at least; one call, where that takes longer.
        timer: Makes what times a contender. Default: timeit's, by the case's clock.
        copy: Makes the limit: a copy of as many bytes.

    Raises:
        AssertionError: If a result isn't that of the reference.
    """
    runs = dict(case.make())
    firsts = check(case, runs)
    runs[LIMIT] = copy(max(case.bytes // 2, 1))
    if case.fill:
        runs[FILL] = partial(torch.empty_like(runs[OURS]()).fill_, 1)
    timer = timer or partial(timeit.Timer, timer=case.clock)
    timers = {name: timer(run) for name, run in runs.items()}
    calls = {}
    for name, its_timer in timers.items():
        with case.around(name):
            its_timer.timeit(1)
            calls[name] = max(1, math.ceil(seconds / max(min(its_timer.repeat(3, 1)), 1e-9)))
    rounds_of: dict[str, list[float]] = {name: [] for name in runs}
    rng = random.Random(0)
    for _ in range(rounds):
        # Each finds in the caches what the one before left there: an untimed turn first, and an order drawn anew each
        # round, keep that from favoring anyone.
        for name in rng.sample(list(timers), len(timers)):
            with case.around(name):
                timers[name].timeit(calls[name])
                rounds_of[name].append(timers[name].timeit(calls[name]) / calls[name] * 1e6)
    return {name: Timing.of(firsts.get(name, math.nan), taken) for name, taken in rounds_of.items()}


def check(case: Case, runs: Mapping[str, Run]) -> dict[str, float]:
    """Call every contender for the first time, and compare what it gives with what the reference gave.

    Returns:
        What the calls took, in microseconds.

    Raises:
        AssertionError: If a result isn't that of the reference.
    """
    expected = None
    firsts = {}
    for name in sorted(runs, key=lambda name: name == OURS):  # ours last: the others warm nothing up that it keeps
        with case.around(name):
            start = timeit.default_timer()
            result = runs[name]()
            firsts[name] = (timeit.default_timer() - start) * 1e6
        if expected is None:
            expected = result.clone()
            continue
        few_bits = torch.bfloat16 in (result.dtype, expected.dtype)
        rtol, atol = (0.0, 0.0) if case.exact else (1e-2 if few_bits else 1e-3, 1e-3 if few_bits else 1e-5)
        try:
            torch.testing.assert_close(
                result, expected, rtol=rtol, atol=atol, equal_nan=True, check_dtype=case.same_dtype
            )
        except AssertionError as wrong:
            raise AssertionError(f"{case.name}, {case.what}, {name}: {wrong}") from None
    return firsts


def as_json(kept: dict[str, Any]) -> str:
    """What is kept, its rows last and a row a line, their figures to four digits: a committed file is read by line."""
    rows = [
        {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in row.items()}
        for row in kept["rows"]
    ]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return json.dumps(kept | {"rows": []}, indent=1).removesuffix("[]\n}") + f"[\n{lines}\n]\n}}\n"
