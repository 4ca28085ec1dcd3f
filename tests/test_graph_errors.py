"""Errors in graphs: what pad and crop raise compiled and exported is what they raise in eager."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from programs import Program
from test_errors import (
    COMPLEX_VALUE_ERRORS,
    GEOMETRY_ERRORS,
    REPEAT_ERRORS,
    ROW,
    TYPE_ERRORS,
    VALUE_ERRORS,
)
from torch import Tensor

from torchcrop_fast.functional import crop, pad

Call = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def _forget_compiled_code():
    torch._dynamo.reset()


def call_of(function: Callable[..., Tensor], *arguments: Any, **options: Any) -> Call:
    """A function of the input alone, which Dynamo sees written out: it must not take the arguments for inputs."""
    return lambda x: function(x, *arguments, **options)


def check_raises_as_eager(call: Call, input: Tensor, in_one_graph: bool = True) -> None:
    """Compiled, with fullgraph and without, and exported, a call raises what it raises in eager.

    What the op raises, Dynamo wraps, as it does with torch's own ops.
    """
    with pytest.raises(Exception) as error:  # noqa: PT011  (test_errors.py knows which)
        call(input)
    text = re.escape(str(error.value))
    whole = text if error.type is RuntimeError else f"^{text}$"
    for dynamic in (False, True):
        torch._dynamo.reset()
        with pytest.raises(error.type, match=whole):
            torch.compile(call, dynamic=dynamic, backend="eager")(input)
    for dynamic in (False, True) if in_one_graph else ():
        torch._dynamo.reset()
        with pytest.raises(Exception, match=text):  # Dynamo's own, which tells of this one
            torch.compile(call, dynamic=dynamic, backend="eager", fullgraph=True)(input)
    for strict in (False, True) if in_one_graph else ():
        with pytest.raises(Exception, match=text):
            torch.export.export(Program(call), (input,), strict=strict)


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("value", "name", "dtype", "text"), VALUE_ERRORS + COMPLEX_VALUE_ERRORS)
def test_value_out_of_range(value: complex, name: str, dtype: torch.dtype, text: str) -> None:
    check_raises_as_eager(call_of(pad, [1, -1], value=value), torch.ones(3).to(dtype))


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("shape", "entries", "text"), GEOMETRY_ERRORS)
def test_geometry(shape: tuple[int, ...], entries: tuple[int, ...], text: str) -> None:
    check_raises_as_eager(call_of(pad, entries), torch.ones(shape))
    check_raises_as_eager(call_of(crop, [-entry for entry in entries]), torch.ones(shape))


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("mode", "shape", "entries", "text"), REPEAT_ERRORS)
def test_what_a_border_cannot_repeat(mode: str, shape: tuple[int, ...], entries: tuple[int, ...], text: str) -> None:
    check_raises_as_eager(call_of(pad, entries, mode), torch.ones(shape))


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("entries", "text"), TYPE_ERRORS, ids=repr)
def test_pad_of_a_wrong_type(entries: Any, text: str) -> None:
    has_numpy = isinstance(entries, tuple) and isinstance(entries[0], np.generic)  # which Dynamo takes for a tensor
    check_raises_as_eager(call_of(pad, entries), ROW, not has_numpy)
    check_raises_as_eager(call_of(crop, entries), ROW, not has_numpy)


@pytest.mark.parametrize(
    "options",
    [
        {"value": "a"},
        {"value": [1.0]},
        {"value": object},
        {"value": {}},
        {"mode": None},
        {"mode": 3},
        {"mode": "symmetric"},
        {"mode": "reflect", "value": 1},
        {"mode": "replicate", "value": 1.5},
        {"mode": "circular", "value": 1j},
        {"out": [1.0]},
        {"out": "out"},
    ],
    ids=str,
)
def test_an_option_that_is_wrong(options: dict[str, Any]) -> None:
    check_raises_as_eager(call_of(pad, (1, 1), **options), ROW.view(1, 8))
