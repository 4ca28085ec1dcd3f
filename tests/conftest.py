"""Fixtures that more than one test file uses."""

import subprocess
import sys
import textwrap

import pytest
import torch


@pytest.fixture
def fresh_python():
    """Runs code in a Python of its own, which has to end well, and gives what it printed."""

    def run(code: str, *arguments: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
        process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert process.returncode == 0, process.stderr
        return process.stdout

    return run


@pytest.fixture
def set_num_threads():
    """torch.set_num_threads, undone after the test."""
    threads = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(threads)
