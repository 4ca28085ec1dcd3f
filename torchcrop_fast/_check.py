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


def flag(function: str, name: str, value: object) -> None:
    """It is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{function}: {name} must be a bool, got {type(value).__name__}")


def is_int(value: object) -> bool:
    """Whether it is an int of any kind, symbolic and traced ones included. Bools are none."""
    if isinstance(value, Tensor):
        return not (value.dtype.is_floating_point or value.dtype.is_complex or value.dtype == torch.bool)
    return isinstance(value, (int, torch.SymInt, SupportsIndex)) and not isinstance(value, bool)


def index(value: object) -> int:
    """operator.index() without bools."""
    if not is_int(value):
        raise TypeError
    return operator.index(cast(SupportsIndex, value))


def int64(value: object) -> int:
    """The same of what fits int64."""
    number = index(value)
    if not -(2**63) <= number < 2**63:
        raise TypeError
    return number


def integer(function: str, name: str, value: int, expected: str = "an int") -> int:
    """The int of a value; symbolic and traced ones stay as they are."""
    if _stays(value) or (type(value) is int and -(2**63) <= value < 2**63):
        return value
    try:
        return int64(value)
    except TypeError:
        got = "one beyond int64" if is_int(value) else type(value).__name__
        raise TypeError(f"{function}: {name} must be {expected}, got {got}") from None


def _stays(value: object) -> bool:
    return is_int(value) and (is_compiling() or isinstance(value, torch.SymInt) or _is_traced(value))


def ints(function: str, name: str, entries: Sequence[int], least: int = -(2**63)) -> list[int]:
    """The ints of a list or tuple, from `least` on; symbolic and traced ones stay as they are."""
    if not isinstance(entries, (list, tuple)):
        raise TypeError(f"{function}: {name} must be a list or tuple of ints, got {type(entries).__name__}")
    checked: list[int] = []
    compiles = is_compiling()
    for position, entry in enumerate(entries):
        if not compiles and type(entry) is int and least <= entry < 2**63:  # nearly always, and in less time
            checked.append(entry)
            continue
        if _stays(entry):
            checked.append(entry)
            continue
        try:
            number = index(entry)
        except TypeError:
            text = f"{function}: {name} must contain ints, got {type(entry).__name__} at position {position}"
            raise TypeError(text) from None
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
            item = cast(Tensor, value).item() if hasattr(value, "item") and not differentiates else None
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
        if isinstance(value, (bytes, dict, set)):
            raise TypeError
        numbers = list(value)
        if any(isinstance(number, (bool, str)) for number in numbers):  # float() takes them
            raise TypeError
        return [float(number) for number in numbers]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise TypeError(f"{function}: {name} must contain numbers, got {value!r}") from None
