"""How long work shows where it stands: on a terminal, where tqdm is installed; else silently."""

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str) -> Iterable[Item]:
    """Iterate over items and show how far along that is."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, description, disable=None, leave=False)  # None: not where the output isn't a terminal
