"""The examples: each runs as its reader would run it, and does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: str) -> str:
    """What an example prints; nothing goes wrong, no warning comes, and no progress bar where nobody looks."""
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def shares_right(told: str) -> dict[str, float]:
    return {name: float(share) for name, share in re.findall(r"(\w+) accuracy: ([\d.]+)% of", told)}


def test_train_digits_learns():
    shares = shares_right(run("train_digits.py", "--epochs", "3"))
    assert set(shares) == {"train", "test"}
    assert min(shares.values()) > 65  # of ten classes, after seconds; the default number of epochs makes it 95


def test_train_digits_without_training_guesses():
    shares = shares_right(run("train_digits.py", "--epochs", "0"))
    assert max(shares.values()) < 40  # else the test above would say nothing
