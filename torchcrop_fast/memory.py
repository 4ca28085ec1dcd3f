"""The memory of CPU outputs, named as in :mod:`torch.cuda.memory`.

Fresh memory from the system costs many times the copy into it, so a freed output's block is kept for the next output.
The limit on what is kept is one sixteenth of the memory that the process may use (the machine's, that of the process's
cgroups, or its address space), or what the environment variable ``TORCHCROP_FAST_CACHE`` says, in bytes; 0 turns the
cache off. With the cache off, outputs over 32 MB still use huge pages. Tensors made before keep their blocks.

Where memory runs out, what is kept is given back: an allocation on the CPU that fails, torch's own included, empties
the cache and is tried once more.

>>> empty_cache()
>>> stats()["cached_bytes"]
0
"""

from torchcrop_fast import _C, _check

__all__ = ["empty_cache", "set_cache_limit", "stats"]


def stats() -> dict[str, int]:
    """Tell how the cache stands.

    Returns:
        ``limit``: the most bytes kept in freed blocks; 0 if the cache is off. ``cached_bytes``: in freed blocks now.
        ``allocated_bytes``: in blocks that tensors hold now. ``hits`` and ``misses``: outputs that got a kept block and
        those that got a fresh one. ``evictions``: blocks given back to the system because of the limit. A block is up
        to a quarter larger than its output, and at least 64 bytes.
    """
    return _C.memory_stats()


def empty_cache() -> None:
    """Give all kept blocks back to the system. Blocks that tensors hold stay."""
    _C.empty_cache()


def set_cache_limit(bytes: int) -> None:
    """Keep at most ``bytes`` in freed blocks; 0 turns the cache off.

    Raises:
        TypeError: If ``bytes`` is no int.
        RuntimeError: If it is negative.
    """
    try:
        limit = _check.index(bytes)
    except TypeError:
        raise TypeError(f"set_cache_limit: bytes must be an int, got {type(bytes).__name__}") from None
    _C.set_cache_limit(limit)
