"""The harness' cases under pytest-benchmark, ours and the reference, for --benchmark-save and --benchmark-compare.

``pytest bench`` runs a sample of each family; ``BENCH_ALL=1 pytest bench`` all cases, the sweep's hundreds included.
"""

import os
from typing import Any

import pytest

from . import center_crop, compiled, layers, override, per_sample, sweep, view
from .harness import Case, check

QUICK = not os.environ.get("BENCH_ALL")
CASES = [
    case
    for family in (layers, override, center_crop, view, per_sample, compiled, sweep)
    for case in family.cases(QUICK)
]


@pytest.mark.parametrize("contender", ["ours", "reference"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}, {case.what}")
def test_case(benchmark: Any, case: Case, contender: str) -> None:
    """Compare all contenders' results, then time this one."""
    runs = dict(case.make())
    check(case, runs)
    benchmark.group = f"{case.name}, {case.what}"
    name = list(runs)[0 if contender == "ours" else 1]
    with case.around(name):
        benchmark(runs[name])
