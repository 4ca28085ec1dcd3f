"""Fixtures that more than one test file uses; and tables of which a sample runs unless --all-cases is given."""

import itertools
import subprocess
import sys
import textwrap
from collections import defaultdict

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--all-cases", action="store_true", help="run all cases of tests marked one_in")


def pytest_collection_modifyitems(config, items):
    """Of a test marked one_in(n) keep the first case and each nth after it."""
    if config.getoption("--all-cases"):
        return
    numbers = defaultdict(itertools.count)  # of the cases of a test

    def is_kept(item):
        marker = item.get_closest_marker("one_in")
        return marker is None or next(numbers[item.parent, item.originalname]) % marker.args[0] == 0

    kept = [item for item in items if is_kept(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


@pytest.fixture(params=[1, pytest.param(20, marks=pytest.mark.reliability)], ids=["sample", "full"])
def scale(request) -> int:
    """How many times as much a test does as its sample in make test."""
    return request.param


@pytest.fixture
def fresh_python():
    """Runs code in a Python of its own, which has to end well, and gives what it printed."""

    def run(code: str, *arguments: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
        process = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
        assert process.returncode == 0, process.stderr[-3000:]
        return process.stdout

    return run


@pytest.fixture
def set_num_threads():
    """torch.set_num_threads, undone after the test."""
    threads = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(threads)
