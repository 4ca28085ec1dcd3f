"""Several processes: DTensors, DDP and FSDP give what one gives. The checks are in sharded.py and trained.py."""

import re
from pathlib import Path

import on_ranks
import pytest
import torch
from torch._library import simple_registry
from torch.distributed.tensor import DTensor

import torchcrop_fast.distributed  # noqa: F401  (registers the rules)

HERE = Path(__file__).parent


def test_every_op_has_a_rule_for_dtensors():
    ops = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("torchcrop_fast::")}
    assert len(ops) >= 9
    without = {op for op in ops if simple_registry.singleton.find(op).torch_dispatch_rules.find(DTensor) is None}
    assert without == {"torchcrop_fast::_crop_mirror_normalize_adjoint"}  # which is made of others


@pytest.mark.one_in(2)
@pytest.mark.parametrize("ranks", [4, 2])
def test_dtensors_give_what_plain_tensors_give(ranks, tmp_path):
    counts = on_ranks.run_checks(HERE / "sharded.py", ranks, tmp_path)
    assert counts["check_keeping"] == 24
    assert counts["check_gradients"] > 300
    assert counts["check_second_gradients"] > 15
    assert counts["check_cases"] > 300
    assert min(counts.values()) > 0
    assert len(counts) == 8


@pytest.mark.one_in(2)
@pytest.mark.parametrize("ranks", [4, 2])
def test_training_on_several_processes_is_that_on_one(ranks, tmp_path):
    assert on_ranks.run_checks(HERE / "trained.py", ranks, tmp_path) == {
        "check_ddp": 3,
        "check_fsdp": 3,
        "check_seeds": 2,
    }


def test_the_page_on_several_processes_does_what_it_says(tmp_path):
    page = (HERE.parent / "docs/distributed.md").read_text()
    program = tmp_path / "program.py"
    program.write_text("\n".join(re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)))
    done = on_ranks.torchrun(2, program)
    assert done.returncode == 0, done.stderr[-3000:]


def test_dtensors_are_loaded_on_use_alone(fresh_python):
    fresh_python(
        """
        import sys
        import torch

        before = set(sys.modules)
        import torchcrop_fast

        loaded = {name for name in set(sys.modules) - before if not name.startswith("torchcrop_fast")}
        assert not any(name.startswith("torch.distributed") for name in loaded), loaded
        assert "torchcrop_fast.distributed" not in sys.modules
        """
    )
