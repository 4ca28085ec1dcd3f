"""Planting defects: a copy of the kernels' sources with one place changed, which their tests must notice."""

import shutil
from pathlib import Path

KERNELS = Path(__file__).parents[1] / "csrc/kernels"


def plant(folder: Path, file: str, old: str, new: str) -> Path:
    """The folder of a copy of the kernels in which `old` is replaced in `file`, where it must stand just once."""
    source = (KERNELS / file).read_text()
    assert source.count(old) == 1, old
    copy = Path(shutil.copytree(KERNELS, folder / "kernels"))
    (copy / file).write_text(source.replace(old, new))
    return copy
