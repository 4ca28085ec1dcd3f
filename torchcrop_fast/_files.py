"""Files that commands write: whole, or not at all."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_whole(command: str, path: Path, write: Callable[[Path], object]) -> None:
    """Have write() make the file, under another name until it is complete; end with a sentence if it can't."""
    try:
        if path.exists() and not path.is_file():  # a pipe or a device, which cannot be replaced
            write(path)
            return
        target = path.resolve()
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=target.parent) as folder:
            part = Path(folder, target.name)
            write(part)
            os.replace(part, target)
    except OSError as error:
        sys.exit(f"{command}: cannot write {path}: {error.strerror or error}.")
