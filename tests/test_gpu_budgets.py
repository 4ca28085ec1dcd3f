"""What the GPU's kernels cost, counted: their instructions leave memory its speed, and they move little in vain."""

from functools import cache

import pytest
from builds import compiled
from torchcrop_fast.bench import gpu_counts

LACKED = gpu_counts.missing()
if LACKED is not None:
    pytest.skip(f"there is no {LACKED}", allow_module_level=True)

# Cases that take more issue slots than there are while memory moves their bytes: what share of its speed is left at
# least, and why.
OVER = {
    # Two chunks a row, half of all at a border: these are made of two loads, one of them in reverse, while others wait.
    "uint8 placed, reflect": 0.88,
}
# Of a chunk that lies across four sectors of the input's rows of 32 bytes, of which 27 are wanted.
MOVED = 1.15


@cache
def counts():
    return {one.case: one for one in gpu_counts.count(gpu_counts.build(compiled))}


def test_large_windows_move_at_the_speed_of_memory():
    large = [one for one in counts().values() if one.large]
    assert len(large) > 55
    slow = {one.case: round(one.share, 2) for one in large if one.share < OVER.get(one.case, 1)}
    assert not slow
    # A case that has come into its budget is to be no exception any more.
    assert not [case for case in OVER if counts()[case].share >= 1]


def test_little_is_moved_in_vain():
    assert not {one.case: round(one.moved, 2) for one in counts().values() if one.large and one.moved > MOVED}


def test_windows_that_are_upright_are_counted_without_flips():
    for case in ("uint8", "float32"):
        assert counts()[f"{case} upright"].slots < counts()[f"{case} placed"].slots
