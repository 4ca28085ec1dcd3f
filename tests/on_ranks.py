"""How tests run checks on several processes: a file's checks on each rank, and what every rank tells of them."""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

FAILED = "failed"


def torchrun(ranks: int, *command: object) -> subprocess.CompletedProcess[str]:
    """A program and its arguments, on so many processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return subprocess.run(
        [*launcher, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def run_checks(program: Path, ranks: int, folder: Path) -> dict[str, int]:
    """What each check of a program counted, which no rank sees fail."""
    process = torchrun(ranks, program, folder)
    told = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    failed = "\n\n".join(f"rank {rank}, {of_rank[FAILED]}" for rank, of_rank in enumerate(told) if FAILED in of_rank)
    assert not failed, failed
    assert process.returncode == 0, process.stderr[-20000:]
    assert len(told) == ranks
    counts: dict[str, int] = told[0]
    assert all(of_rank == counts for of_rank in told)
    return counts


def tell(checks: list[Callable[[], int]], folder: Path) -> None:
    """Run the checks on this rank until one fails, which ends the others' waiting, too."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=120))
    told: dict[str, int | str] = {}
    for check in checks:
        torch.manual_seed(0)
        try:
            told[check.__name__] = check()
        except BaseException:  # pytest's are no Exceptions
            told[FAILED] = f"{check.__name__}:\n{traceback.format_exc()}"
            break
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(told))
    if FAILED in told:
        os._exit(1)
    dist.barrier()  # a rank that goes while another still talks to it aborts that one
    dist.destroy_process_group()
