"""Checks of the types of arguments, and what is read of them: numbers and ints of any kind."""

import operator
from collections.abc import Sequence
from typing import SupportsIndex, cast

import torch
from torch import Tensor
from torch.compiler import is_compiling


def tensor(function: str, name: str, value: object) -> None:
    """It is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{function}: {name} must be a Tensor, got {type(value).__name__}")


def optional_tensor(function: str, name: str, value: object) -> None:
    """It is a tensor or None."""
    if value is not None and not isinstance(value, Tensor):
        raise TypeError(f"{function}: {name} must be a Tensor or None, got {type(value).__name__}")


def text(function: str, name: str, value: object) -> None:
    """It is a string."""
    if not isinstance(value, str):
        raise TypeError(f"{function}: {name} must be a str, got {type(value).__name__}")


def is_int(value: object) -> bool:
    """Whether it is an int of any kind, symbolic and traced ones included."""
    return isinstance(value, (int, torch.SymInt, Tensor, SupportsIndex)) and not isinstance(value, bool)


def ints(function: str, name: str, entries: Sequence[int], least: int = -(2**63)) -> list[int]:
    """The ints of a list or tuple, from `least` on; symbolic and traced ones stay as they are."""
    if not isinstance(entries, (list, tuple)):
        raise TypeError(f"{function}: {name} must be a list or tuple of ints, got {type(entries).__name__}")
    checked: list[int] = []
    for position, entry in enumerate(entries):
        if not is_int(entry):
            raise TypeError(f"{function}: {name} must contain ints, got {type(entry).__name__} at position {position}")
        if is_compiling() or isinstance(entry, (torch.SymInt, Tensor)):
            checked.append(entry)
            continue
        number = operator.index(entry)
        if not least <= number < 2**63:
            raise TypeError(f"{function}: {name} entry {position} does not fit int64")
        checked.append(number)
    return checked


def number(function: str, name: str, value: object) -> complex:
    """A number of any kind, as one that the ops take; symbolic and traced ones stay as they are."""
    if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)) or _is_traced(value):
        return cast(complex, value)
    item = value
    if not isinstance(value, (int, float, complex)):
        try:
            differentiates = isinstance(value, Tensor) and value.requires_grad
            item = None if differentiates else cast(Tensor, value).item()
        except Exception:
            item = None
    if not isinstance(item, (int, float, complex)):
        raise TypeError(f"{function}: {name} must be a number, got {type(value).__name__}")
    return float(item) if isinstance(item, int) and not -(2**63) <= item < 2**63 else item


def _is_traced(value: object) -> bool:
    return isinstance(value, Tensor) and torch._C._is_tracing()


def normalization(
    function: str, mean: Sequence[float], std: Sequence[float], fill: float | Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """The numbers that say how to normalize; of fill, one will do."""
    fills = [fill] if isinstance(fill, (int, float)) and not isinstance(fill, bool) else cast(Sequence[float], fill)
    return _floats(function, "mean", mean), _floats(function, "std", std), _floats(function, "fill", fills)


def _floats(function: str, name: str, value: Sequence[float]) -> list[float]:
    """The numbers of a list, tuple or 1-D tensor."""
    try:
        numbers = list(value)
        if any(isinstance(number, (bool, str)) for number in numbers):  # float() takes them
            raise TypeError
        return [float(number) for number in numbers]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise TypeError(f"{function}: {name} must contain numbers, got {value!r}") from None
