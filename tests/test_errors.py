"""Errors: their texts, the same from each way in, and that F.pad raises the same classes. What is taken instead."""

import decimal
import fractions
import functools
import itertools
import random
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from op_tester import Tagged, assert_same
from pad_cases import OP
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functionalize

from torchcrop_fast import _traced
from torchcrop_fast.functional import center_crop, crop, pad

nan, inf = float("nan"), float("inf")
ROW = torch.arange(8.0)


def raises_exactly(kind: type[BaseException], text: str) -> Any:
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def reference_error(*args: Any, **kwargs: Any) -> type[BaseException]:
    """The class of what F.pad raises."""
    with pytest.raises(Exception) as error:  # noqa: PT011  (the class is what is asked for)
        F.pad(*args, **kwargs)
    return error.type


Way = Callable[[Tensor, list[int], complex | None], Tensor]


def _in_inference_mode(input: Tensor, entries: list[int], value: complex | None) -> Tensor:
    with torch.inference_mode():
        return pad(input, entries, value=value)


def _on_fake_tensors(input: Tensor, entries: list[int], value: complex | None) -> Tensor:
    with FakeTensorMode(allow_non_fake_inputs=True):
        return pad(input, entries, value=value)


def _with_grad(input: Tensor, entries: list[int], value: complex | None) -> Tensor:
    floating = input.dtype.is_floating_point or input.dtype.is_complex
    return pad(input.clone().requires_grad_(floating), entries, value=value)


def _to_empty(input: Tensor, entries: list[int], value: complex | None) -> Tensor:
    return pad(input, entries, value=value, out=torch.empty(0, dtype=input.dtype, device=input.device))


# The ways into the op that raise its text as it is. TorchScript wraps it.
WAYS: dict[str, Way] = {
    "eager": lambda input, entries, value: pad(input, entries, value=value),
    "tuple": lambda input, entries, value: pad(input, tuple(entries), value=value),
    "op": lambda input, entries, value: OP(input, entries, value=value),
    "out": _to_empty,
    "inference_mode": _in_inference_mode,
    "grad": _with_grad,
    "subclass": lambda input, entries, value: pad(input.as_subclass(Tagged), entries, value=value),
    "meta": lambda input, entries, value: pad(input.to("meta"), entries, value=value),
    "meta out": lambda input, entries, value: _to_empty(input.to("meta"), entries, value),
    "fake": _on_fake_tensors,
    "vmap": lambda input, entries, value: torch.vmap(lambda x: pad(x, entries, value=value))(
        input.expand(2, *input.shape)
    ),
    "vmap of meta": lambda input, entries, value: torch.vmap(lambda x: pad(x, entries, value=value), in_dims=-1)(
        input.to("meta")[..., None].expand(*input.shape, 3)
    ),
}


# Shape, pad, text.
GEOMETRY_ERRORS: list[tuple[tuple[int, ...], tuple[int, ...], str]] = [
    ((8,), (-4, -5), "pad: cannot crop 4 + 5 elements from dim 0 of size 8"),
    ((8,), (-9, 5), "pad: cannot crop 9 + 0 elements from dim 0 of size 8"),
    ((8,), (5, -9), "pad: cannot crop 0 + 9 elements from dim 0 of size 8"),
    ((8,), (-9, 0), "pad: cannot crop 9 + 0 elements from dim 0 of size 8"),
    ((0,), (-1, 1), "pad: cannot crop 1 + 0 elements from dim 0 of size 0"),
    ((2, 3, 8), (0, 0, -2, -2), "pad: cannot crop 2 + 2 elements from dim 1 of size 3"),
    ((2, 3, 8), (1, 1, -3, 3, 9, -3), "pad: cannot crop 0 + 3 elements from dim 0 of size 2"),
    ((2, 3, 8), (-9, 0, -9, 0), "pad: cannot crop 9 + 0 elements from dim 2 of size 8"),
    ((2, 0, 8), (-9, 0), "pad: cannot crop 9 + 0 elements from dim 2 of size 8"),
    ((8,), (1,), "pad: pad must have an even number of entries, got 1"),
    ((8, 8), (1, 2, 3), "pad: pad must have an even number of entries, got 3"),
    ((8,), (1, 2, 3, 4), "pad: pad must have at most 2 entries for an input of 1 dims, got 4"),
    ((2, 3), (0,) * 6, "pad: pad must have at most 4 entries for an input of 2 dims, got 6"),
    ((), (1, 1), "pad: pad must have at most 0 entries for an input of 0 dims, got 2"),
    ((), (0, 0), "pad: pad must have at most 0 entries for an input of 0 dims, got 2"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("shape", "entries", "text"), GEOMETRY_ERRORS)
def test_geometry(shape: tuple[int, ...], entries: tuple[int, ...], text: str, way: str) -> None:
    input = torch.ones(shape)
    with raises_exactly(RuntimeError, text):
        WAYS[way](input, list(entries), None)
    assert reference_error(input, entries) is RuntimeError


@pytest.mark.parametrize(("shape", "entries", "text"), GEOMETRY_ERRORS)
def test_geometry_in_crop_and_torchscript(shape: tuple[int, ...], entries: tuple[int, ...], text: str) -> None:
    input, cropping = torch.ones(shape), [-entry for entry in entries]
    with raises_exactly(RuntimeError, text):
        crop(input, cropping)
    with raises_exactly(RuntimeError, text):
        crop(input, cropping, copy=False)
    for function, numbers in ((pad, list(entries)), (crop, cropping)):
        with pytest.raises(RuntimeError, match=re.escape(text)):
            torch.jit.script(function)(input, numbers)


def test_the_crop_comes_first() -> None:
    assert_same(pad(ROW, (-8, 5)), torch.zeros(5))
    assert_same(pad(ROW, (5, -8)), torch.zeros(5))
    assert_same(pad(ROW, (-4, -4)), torch.zeros(0))


EXTREMES = (-(2**63), 1 - 2**63, -(2**62), 2**62, 2**63 - 9, 2**63 - 8, 2**63 - 1)


def overflow_text(before: int, after: int) -> str:
    """What pad says to a float32 input of shape (8, 1) whose first dimension is to be padded so."""
    if 8 + min(before, 0) + min(after, 0) < 0:
        return f"pad: cannot crop {-min(before, 0)} + {-min(after, 0)} elements from dim 0 of size 8"
    size = 8 + before + after
    if size >= 2**63:
        return f"pad: dim 0 of size 8 cannot be padded by ({before}, {after}): the result's size would overflow int64"
    return f"pad: the result must be smaller than 2^63 bytes, got sizes [{size}, 1] and 4 bytes an element"


EXTREME_PAIRS = [
    pair for pair in itertools.product((0, 1, -1, *EXTREMES), repeat=2) if not set(EXTREMES).isdisjoint(pair)
]


@pytest.mark.parametrize("way", WAYS)
def test_the_ends_of_int64(way: str) -> None:
    input = ROW.view(8, 1)
    for before, after in EXTREME_PAIRS:
        with raises_exactly(RuntimeError, overflow_text(before, after)):
            WAYS[way](input, [0, 0, before, after], None)
    # Each dimension fits, all of them together do not.
    text = (
        f"pad: the result must be smaller than 2^63 bytes, got sizes [{2**40 + 8}, {2**40 + 1}] and 4 bytes an element"
    )
    with raises_exactly(RuntimeError, text):
        WAYS[way](input, [2**40, 0, 0, 2**40], None)


def test_the_ends_of_int64_in_torchscript() -> None:
    for before, after in EXTREME_PAIRS:
        with pytest.raises(RuntimeError, match=re.escape(overflow_text(before, after))):
            torch.jit.script(pad)(ROW.view(8, 1), [0, 0, before, after])


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_ends_of_int64_fit_where_there_is_no_element(device: str) -> None:
    input = torch.ones((0, 8), device=device)
    for entries in ((2**62, 0), (0, 2**63 - 9), (-8, 2**63 - 1)):
        assert_same(pad(input, entries), F.pad(input, entries))


@pytest.mark.parametrize("entry", [2**63, -(2**63) - 1, 2**64, -(2**100)])
def test_entries_beyond_int64(entry: int) -> None:
    for entries in ((entry, 0), (0, entry), (entry, entry)):
        position = entries.index(entry)
        text = f" entry {position} does not fit int64"
        with raises_exactly(TypeError, f"pad: pad{text}"):
            pad(ROW, entries)
        with raises_exactly(TypeError, f"crop: cropping{text}"):
            crop(ROW, entries)
        assert reference_error(ROW, entries) is TypeError


def test_the_smallest_int64_has_no_opposite_to_pad_by() -> None:
    with raises_exactly(TypeError, "crop: cropping entry 1 does not fit int64"):
        crop(ROW, (0, -(2**63)))


# Value, dtype as its errors name it, dtype, and the value as the text has it.
VALUE_ERRORS: list[tuple[complex, str, torch.dtype, str]] = [
    (300, "uint8", torch.uint8, "300"),
    (256, "uint8", torch.uint8, "256"),
    (-1, "uint8", torch.uint8, "-1"),
    (-255, "uint8", torch.uint8, "-255"),
    (-0.5, "uint8", torch.uint8, "-0.5"),
    (128, "int8", torch.int8, "128"),
    (-129, "int8", torch.int8, "-129"),
    (-128.9, "int8", torch.int8, "-128.9"),
    (2**15, "int16", torch.int16, "32768"),
    (2**31, "int32", torch.int32, "2147483648"),
    (nan, "int32", torch.int32, "nan"),
    (inf, "int32", torch.int32, "inf"),
    (nan, "int64", torch.int64, "nan"),
    (-inf, "int64", torch.int64, "-inf"),
    (1e19, "int64", torch.int64, "1e+19"),
    (2**16, "uint16", torch.uint16, "65536"),
    (-1, "uint16", torch.uint16, "-1"),
    (-1, "uint32", torch.uint32, "-1"),
    (-1, "uint64", torch.uint64, "-1"),
    (-(2**62), "uint64", torch.uint64, str(-(2**62))),
    (2e19, "uint64", torch.uint64, "2e+19"),
    (1e6, "float16", torch.float16, "1e+06"),
    (65519.0, "float16", torch.float16, "65519"),
    (-65536, "float16", torch.float16, "-65536"),
    (1e39, "bfloat16", torch.bfloat16, "1e+39"),
    (1e39, "float32", torch.float32, "1e+39"),
    (1e3, "float8_e4m3fn", torch.float8_e4m3fn, "1000"),
    (inf, "float8_e4m3fn", torch.float8_e4m3fn, "inf"),
    (1e6, "float8_e5m2", torch.float8_e5m2, "1e+06"),
    (1e3, "float8_e4m3fnuz", torch.float8_e4m3fnuz, "1000"),
    (1e6, "float8_e5m2fnuz", torch.float8_e5m2fnuz, "1e+06"),
    (-1.0, "float8_e8m0fnu", torch.float8_e8m0fnu, "-1"),
    (-1, "float8_e8m0fnu", torch.float8_e8m0fnu, "-1"),
    (0.0, "float8_e8m0fnu", torch.float8_e8m0fnu, "0"),
    (1e39, "complex64", torch.complex64, "1e+39"),
]
# F.pad takes no complex value at all.
COMPLEX_VALUE_ERRORS: list[tuple[complex, str, torch.dtype, str]] = [
    (1e39j, "complex64", torch.complex64, "(0,1e+39)"),
    (1j, "float32", torch.float32, "(0,1)"),
    (complex(1, 0), "float32", torch.float32, "(1,0)"),
    (complex(1, 0), "int32", torch.int32, "(1,0)"),
    (1 - 2j, "uint8", torch.uint8, "(1,-2)"),
    (1j, "bool", torch.bool, "(0,1)"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("value", "name", "dtype", "text"), VALUE_ERRORS + COMPLEX_VALUE_ERRORS)
def test_value_out_of_range(value: complex, name: str, dtype: torch.dtype, text: str, way: str) -> None:
    input = torch.ones(3).to(dtype)
    with raises_exactly(RuntimeError, f"pad: value must fit dtype {name}, got {text}"):
        WAYS[way](input, [1, -1], value)
    with pytest.raises(RuntimeError, match=re.escape(f"pad: value must fit dtype {name}, got {text}")):
        torch.jit.script(pad)(input, [1, -1], "constant", value)


@pytest.mark.parametrize(("value", "dtype"), [(value, dtype) for value, _, dtype, _ in VALUE_ERRORS])
def test_the_reference_raises_for_these_values_too(value: float, dtype: torch.dtype) -> None:
    assert reference_error(torch.ones(3).to(dtype), (1, -1), value=value) is RuntimeError


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entries", [(), (0, 0), (-1, -2), (0, 0, -1, 0)])
def test_a_value_that_does_not_fit_is_taken_where_nothing_is_padded(entries: tuple[int, ...], way: str) -> None:
    for value, dtype in ((300, torch.uint8), (-1, torch.uint8), (inf, torch.int32), (1e39, torch.float16)):
        input = torch.ones((2, 3)).to(dtype)
        result = WAYS[way](input, list(entries), value)
        if way.startswith("vmap"):
            result = result[0]
        assert result.shape == F.pad(input, entries, value=value).shape


def test_a_value_that_does_not_fit_raises_even_where_the_border_is_empty() -> None:
    input = torch.ones((0, 3), dtype=torch.uint8)
    with raises_exactly(RuntimeError, "pad: value must fit dtype uint8, got 300"):
        pad(input, (1, 1), value=300)
    assert reference_error(input, (1, 1), value=300) is RuntimeError


@pytest.mark.parametrize("entries", [(1, 1), (-1, -1)])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("a", "str"),
        ([1.0], "list"),
        ({}, "dict"),
        (object(), "object"),
        (len, "builtin_function_or_method"),
        (fractions.Fraction(1, 2), "Fraction"),
        (decimal.Decimal(1), "Decimal"),
        (np.str_("a"), "str_"),
        (np.array([1.0, 2.0]), "ndarray"),
        (torch.tensor([1.0, 2.0]), "Tensor"),
        (torch.tensor(1.0, requires_grad=True), "Tensor"),
        (torch.float32, "dtype"),
    ],
    ids=lambda parameter: parameter if isinstance(parameter, str) else type(parameter).__name__,
)
def test_value_of_a_wrong_type(value: Any, name: str, entries: tuple[int, int]) -> None:
    with raises_exactly(TypeError, f"pad: value must be a number, got {name}"):
        pad(ROW, entries, value=value)
    assert reference_error(ROW, entries, value=value) is TypeError


def test_an_int_too_large_for_any_dtype() -> None:
    with raises_exactly(OverflowError, "int too large to convert to float"):
        pad(ROW, (1, 1), value=2**1100)
    assert reference_error(ROW, (1, 1), value=2**1100) is OverflowError


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (torch.float32, True),
        (torch.float32, 2**70),
        (torch.float64, -(2**1000)),
        (torch.float32, np.float32(2.5)),
        (torch.float32, np.float64(2.5)),
        (torch.float32, np.float16(2.5)),
        (torch.float32, np.int8(-2)),
        (torch.float32, np.bool_(True)),
        (torch.float32, torch.tensor(3)),
        (torch.float32, torch.tensor(True)),
        (torch.float64, torch.tensor(0.1, dtype=torch.float64)),
        (torch.float16, inf),
        (torch.float16, nan),
        (torch.float8_e5m2, -inf),
        (torch.int32, torch.tensor(3.5)),
        (torch.int64, np.int64(-3)),
        (torch.uint8, 254.5),
        (torch.uint64, 2**63),
        (torch.uint64, np.uint64(2**63 + 2048)),
        (torch.bool, 2),
        (torch.bool, 0.1),
        (torch.bool, nan),
        (torch.complex64, 2**70),
        (torch.complex64, nan),
    ],
    ids=repr,
)
def test_numbers_that_the_reference_takes(dtype: torch.dtype, value: Any) -> None:
    input = torch.ones(3).to(dtype)
    assert_same(pad(input, (1, -1), value=value), F.pad(input, (1, -1), value=value))


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint64], ids=str)
@pytest.mark.parametrize("value", [2**62 + 1, 2**63 - 1, 2**53 + 1])
def test_ints_are_exact(dtype: torch.dtype, value: int) -> None:
    assert pad(torch.zeros(1, dtype=dtype), (1, 0), value=value).tolist() == [value, 0]
    assert torch.jit.script(pad)(torch.zeros(1, dtype=dtype), [1, 0], "constant", value).tolist() == [value, 0]
    assert pad(torch.zeros(1, dtype=dtype), (1, 0), value=np.int64(value)).tolist() == [value, 0]


def test_complex_values_for_complex_dtypes() -> None:
    for value in (1 - 2j, np.complex64(1 - 2j), np.complex128(1 - 2j), torch.tensor(1 - 2j)):
        assert pad(torch.zeros(1, dtype=torch.complex64), (1, 0), value=value).tolist() == [1 - 2j, 0]


# Pad, and what is said of it.
TYPE_ERRORS: list[tuple[Any, str]] = [
    (1, "{0}: {1} must be a list or tuple of ints, got int"),
    (None, "{0}: {1} must be a list or tuple of ints, got NoneType"),
    ("ab", "{0}: {1} must be a list or tuple of ints, got str"),
    (np.array([1, 2]), "{0}: {1} must be a list or tuple of ints, got ndarray"),
    (torch.tensor([1, 2]), "{0}: {1} must be a list or tuple of ints, got Tensor"),
    (range(2), "{0}: {1} must be a list or tuple of ints, got range"),
    ({1, 2}, "{0}: {1} must be a list or tuple of ints, got set"),
    (1.5, "{0}: {1} must be a list or tuple of ints, got float"),
    ((1.0, 2), "{0}: {1} must contain ints, got float at position 0"),
    ([0, 2.0], "{0}: {1} must contain ints, got float at position 1"),
    ((True, 1), "{0}: {1} must contain ints, got bool at position 0"),
    ((1, None), "{0}: {1} must contain ints, got NoneType at position 1"),
    (("1", 0), "{0}: {1} must contain ints, got str at position 0"),
    ((np.float32(1), 0), "{0}: {1} must contain ints, got float32 at position 0"),
    (((1, 1), (2, 2)), "{0}: {1} must contain ints, got tuple at position 0"),
]


@pytest.mark.parametrize(("entries", "text"), TYPE_ERRORS, ids=repr)
def test_pad_of_a_wrong_type(entries: Any, text: str) -> None:
    with raises_exactly(TypeError, text.format("pad", "pad")):
        pad(ROW, entries)
    with raises_exactly(TypeError, text.format("crop", "cropping")):
        crop(ROW, entries)
    assert reference_error(ROW, entries) is TypeError


@pytest.mark.parametrize(("entries", "text"), TYPE_ERRORS, ids=repr)
def test_cropping_of_a_wrong_type_without_a_copy(entries: Any, text: str) -> None:
    with raises_exactly(TypeError, text.format("crop", "cropping")):
        crop(ROW, entries, copy=False)


class Two:
    """Not an int, but as good as one."""

    def __index__(self) -> int:
        return 2

    def __repr__(self) -> str:
        return "Two()"


@pytest.mark.parametrize(
    "entries",
    [[1, np.int64(2)], (np.int8(-1), 1), (torch.tensor(1), 2), (Two(), 1), torch.Size([1, 2]), (0, Two()), []],
    ids=repr,
)
def test_pads_that_the_reference_takes(entries: Any) -> None:
    assert_same(pad(ROW, entries), F.pad(ROW, entries))


class Broken:
    """Cannot say which int it is."""

    def __index__(self) -> int:
        raise ValueError("no index today")


def test_an_entrys_own_error_comes_through() -> None:
    with raises_exactly(ValueError, "no index today"):
        pad(ROW, (0, Broken()))


@pytest.mark.parametrize(
    ("input", "name"),
    [(3, "int"), ([3.0], "list"), (np.zeros(3), "ndarray"), (None, "NoneType"), ("a", "str")],
    ids=repr,
)
@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("pad", lambda input: pad(input, (1, 1))),
        ("crop", lambda input: crop(input, (1, 1))),
        ("crop", lambda input: crop(input, (1, 1), copy=False)),
        ("center_crop", lambda input: center_crop(input, [1])),
    ],
    ids=["pad", "crop", "crop without a copy", "center_crop"],
)
def test_input_that_is_no_tensor(function: str, call: Callable[[Any], Tensor], input: Any, name: str) -> None:
    with raises_exactly(TypeError, f"{function}: input must be a Tensor, got {name}"):
        call(input)
    assert reference_error(input, (1, 1)) is TypeError


LESS, WRAP = "both must be less than its size", "both must be at most the {} elements to wrap"
# Mode, shape, pad, text.
REPEAT_ERRORS: list[tuple[str, tuple[int, ...], tuple[int, ...], str]] = [
    ("reflect", (1, 8), (8, 0), f"pad: dim 1 of size 8 cannot be reflected by (8, 0): {LESS}"),
    ("reflect", (1, 8), (-9, 8), f"pad: dim 1 of size 8 cannot be reflected by (-9, 8): {LESS}"),
    ("reflect", (2, 1), (0, 1), f"pad: dim 1 of size 1 cannot be reflected by (0, 1): {LESS}"),
    ("reflect", (2, 0), (1, 1), f"pad: dim 1 of size 0 cannot be reflected by (1, 1): {LESS}"),
    ("reflect", (2, 3, 8), (1, 1, 3, 0), f"pad: dim 1 of size 3 cannot be reflected by (3, 0): {LESS}"),
    ("reflect", (2, 8), (-9, 0), "pad: cannot crop 9 + 0 elements from dim 1 of size 8"),
    ("reflect", (2, 8), (5, -14), "pad: cannot crop 0 + 14 elements from dim 1 of size 8"),
    ("replicate", (2, 8), (-14, 5), "pad: cannot crop 14 + 0 elements from dim 1 of size 8"),
    ("replicate", (2, 0), (0, 1), "pad: dim 1 of size 0 cannot be replicated by (0, 1): it has no element to repeat"),
    ("circular", (2, 8), (9, 0), f"pad: dim 1 of size 8 cannot be wrapped by (9, 0): {WRAP.format(8)}"),
    ("circular", (2, 8), (-6, 3), f"pad: dim 1 of size 8 cannot be wrapped by (-6, 3): {WRAP.format(2)}"),
    ("circular", (2, 8), (1, -8), f"pad: dim 1 of size 8 cannot be wrapped by (1, -8): {WRAP.format(0)}"),
    ("circular", (2, 0), (0, 1), f"pad: dim 1 of size 0 cannot be wrapped by (0, 1): {WRAP.format(0)}"),
    ("circular", (2, 8), (-9, 5), "pad: cannot crop 9 + 0 elements from dim 1 of size 8"),
    ("reflect", (2, 8), (1, 2, 3), "pad: pad must have an even number of entries, got 3"),
    ("replicate", (2, 8), (0,) * 6, "pad: pad must have at most 4 entries for an input of 2 dims, got 6"),
]


def pads_in_mode(way: str, input: Tensor, entries: list[int], mode: str, value: complex | None = None) -> Tensor:
    """One of the ways into the op, which are written for a constant border."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(globals(), "pad", functools.partial(pad, mode=mode))
        patched.setitem(globals(), "OP", functools.partial(OP, mode=mode))
        return WAYS[way](input, entries, value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("mode", "shape", "entries", "text"), REPEAT_ERRORS)
def test_what_a_border_cannot_repeat(
    mode: str, shape: tuple[int, ...], entries: tuple[int, ...], text: str, way: str
) -> None:
    with raises_exactly(RuntimeError, text):
        pads_in_mode(way, torch.ones(shape), list(entries), mode)


@pytest.mark.parametrize(("mode", "shape", "entries", "text"), REPEAT_ERRORS)
def test_what_a_border_cannot_repeat_in_torchscript_and_graphs(
    mode: str, shape: tuple[int, ...], entries: tuple[int, ...], text: str
) -> None:
    with pytest.raises(RuntimeError, match=re.escape(text)):
        torch.jit.script(pad)(torch.ones(shape), list(entries), mode)
    with raises_exactly(RuntimeError, text):  # what torch.compile traces
        _traced.pad(torch.ones(shape), list(entries), mode)
    # Where nothing is left, or too little to wrap around once, torch's circular pad may return memory as it finds it.
    if text.endswith((WRAP.format(0), WRAP.format(2))):
        return
    assert reference_error(torch.ones(shape), entries, mode) is RuntimeError


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_a_value_in_other_modes(mode: str, way: str) -> None:
    input = ROW.view(1, 8)
    for value, shown in ((1, "1"), (1.5, "1.5"), (1e-9, "1e-09"), (nan, "nan")):
        text = f"pad: value must be None or 0 unless mode is 'constant', got {shown}"
        with raises_exactly(RuntimeError, text):
            pads_in_mode(way, input, [1, 2], mode, value)
        with raises_exactly(RuntimeError, text):
            _traced.pad(input, [1, 2], mode, value)
        with pytest.raises(RuntimeError, match=re.escape(text)):
            torch.jit.script(pad)(input, [1, 2], mode, value)
        assert reference_error(input, (1, 1), mode, value) is RuntimeError
    for zero in (None, 0, 0.0, False):
        expected = F.pad(input, (1, 2), mode, zero)
        result = pads_in_mode(way, input, [1, 2], mode, zero)
        assert result.shape[-2:] == expected.shape
        assert_same(pad(input, (1, 2), mode, zero), expected)


# Fake tensors take this class of error for an op without a kernel.
@pytest.mark.parametrize("way", [way for way in WAYS if way != "fake"])
@pytest.mark.parametrize("mode", ["symmetric", "", "Reflect"])
def test_unknown_modes(mode: str, way: str) -> None:
    text = f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got '{mode}'"
    input = ROW.view(1, 8)
    with raises_exactly(NotImplementedError, text):
        pads_in_mode(way, input, [1, 1], mode)
    with raises_exactly(NotImplementedError, text):
        _traced.pad(input, [1, 1], mode)
    with pytest.raises(RuntimeError, match=re.escape(text)):
        torch.jit.script(pad)(input, [1, 1], mode)
    assert reference_error(input, (1, 1), mode) is NotImplementedError


@pytest.mark.parametrize(("mode", "name"), [(3, "int"), (None, "NoneType"), (b"reflect", "bytes")])
def test_mode_of_a_wrong_type(mode: Any, name: str) -> None:
    with raises_exactly(TypeError, f"pad: mode must be a str, got {name}"):
        pad(ROW.view(1, 8), (1, 1), mode)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_repeating_pads_near_the_ends_of_int64(mode: str) -> None:
    for before, after in EXTREME_PAIRS:
        if mode == "replicate" and 0 <= 8 + before + after <= 16:  # what the crop takes, it takes of what was added
            edge = ROW[0 if before > 0 else -1]
            assert torch.equal(pad(ROW.view(1, 8), (before, after), mode), edge.expand(1, 8 + before + after))
            continue
        with pytest.raises(
            RuntimeError, match=r"^pad: (cannot crop|dim 1 of size 8 cannot be|the result must be smaller) "
        ):
            pad(ROW.view(1, 8), (before, after), mode)


def test_out_of_a_wrong_kind() -> None:
    meta = ROW.to("meta")
    for input, out, kind, text in (
        (ROW, torch.empty(10, dtype=torch.int32), RuntimeError, "pad: out must be of dtype float32, got int32"),
        (
            meta,
            torch.empty(10).half().to("meta"),
            RuntimeError,
            "pad: out must be of dtype float32, got float16",
        ),
        (ROW, torch.empty(10, device="meta"), RuntimeError, "pad: out must be on device cpu, got meta"),
        (meta, torch.empty(10), RuntimeError, "pad: out must be on device meta, got cpu"),
        (ROW, [1.0] * 10, TypeError, "pad: out must be a Tensor or None, got list"),
        (ROW, np.zeros(10), TypeError, "pad: out must be a Tensor or None, got ndarray"),
    ):
        with raises_exactly(kind, text):
            pad(input, (1, 1), out=out)
    with pytest.raises(RuntimeError, match="pad: out must be of dtype float32, got int32"):
        torch.jit.script(pad)(ROW, [1, 1], "constant", None, torch.empty(10, dtype=torch.int32))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_out_of_another_shape_is_resized(device: str) -> None:
    input = ROW.to(device)
    expected = F.pad(input, (1, 1))
    out = torch.empty((2, 3), device=device)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized since it had shape"):
        assert pad(input, (1, 1), out=out) is out
    assert_same(out, expected)
    out = torch.empty((0, 5), device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pad(input, (1, 1), out=out) is out
        assert_same(out, expected)
        crop(input, (4, 4), out=torch.empty(0, device=device))


def test_out_is_not_touched_where_an_argument_is_wrong() -> None:
    out = torch.full((10,), 5.0)
    for arguments in (((-9, 1), 0.0), ((1,), 0.0), ((1, 1), 1e39), ((1, 1, 1, 1), 0.0)):
        with pytest.raises(RuntimeError):
            pad(ROW, arguments[0], value=arguments[1], out=out)
        assert_same(out, torch.full((10,), 5.0))
    assert out._version == 0


OVERLAP = "pad: out must not share memory with input"


def test_out_that_overlaps_the_input() -> None:
    base = torch.arange(48.0).view(6, 8)
    before = base.clone()
    row = base[0]
    for input, entries, out in (
        (row, (1, -1), row),
        (row, (), row),
        (row[:4], (0, 0), row[3:7]),
        (row[4:], (0, 0), row[1:5]),
        (base[:, :6], (-1, -1), base[:, 2:6]),
        (base[:3], (0, 0, 1, 0), base[2:6]),
        (base.t(), (0, 2, -7, 5), base),
        (base.view(-1)[::2], (0, -8), base.view(-1)[::3]),
        (base[:1, :1].expand(6, 4), (), base[:, :4]),
        (row.view(torch.int32), (-4, 0), row.view(torch.int32)[4:]),
    ):
        with raises_exactly(RuntimeError, OVERLAP):
            pad(input, entries, out=out)
    assert_same(base, before)


def test_out_that_is_the_input_and_of_another_shape() -> None:
    for entries in ((1, 1), (-1, -1)):
        input = torch.arange(8.0)
        with raises_exactly(RuntimeError, OVERLAP):
            pad(input, entries, out=input)
        assert_same(input, torch.arange(8.0))


def test_out_that_lies_between_the_input() -> None:
    for input_columns, out_columns in (
        (slice(0, 4), slice(4, 8)),
        (slice(4, 8), slice(0, 4)),
        (slice(0, 8, 2), slice(1, 8, 2)),
        (slice(1, 8, 2), slice(0, 8, 2)),
    ):
        base = torch.arange(48.0).view(6, 8)
        expected = F.pad(base[:, input_columns].clone(), (1, -1, -1, 1), value=9.0)
        assert_same(pad(base[:, input_columns], (1, -1, -1, 1), value=9.0, out=base[:, out_columns]).clone(), expected)
        assert torch.equal(base[:, input_columns], torch.arange(48.0).view(6, 8)[:, input_columns])


@pytest.mark.parametrize("seed", range(10))
def test_overlap_is_found_exactly(seed: int) -> None:
    rng = random.Random(seed)
    found = 0
    for _ in range(200):
        base = torch.arange(60, dtype=torch.int32)
        shape = tuple(rng.randrange(1, 4) for _ in range(rng.randrange(1, 4)))
        input_strides = [rng.choice((0, 1, 2, 3, 4, 6, 9)) for _ in shape]
        out_strides, extent = [], 1
        for size in shape:
            out_strides.append(extent + rng.choice((0, 0, 1, 2)))
            extent += (size - 1) * out_strides[-1]
        order = rng.sample(range(len(shape)), len(shape))
        shape, out_strides = tuple(shape[d] for d in order), [out_strides[d] for d in order]
        input_extent = 1 + sum((size - 1) * stride for size, stride in zip(shape, input_strides, strict=True))
        if max(extent, input_extent) > 60:
            continue
        input = base.as_strided(shape, input_strides, rng.randrange(61 - input_extent))
        out = base.as_strided(shape, out_strides, rng.randrange(61 - extent))
        expected = input.clone()
        if set(input.flatten().tolist()) & set(out.flatten().tolist()):
            found += 1
            with raises_exactly(RuntimeError, OVERLAP):
                pad(input, (), out=out)
            assert torch.equal(base, torch.arange(60, dtype=torch.int32))
        else:
            assert torch.equal(pad(input, (), out=out), expected)
    assert 10 < found < 190


def test_overlap_that_is_too_hard_to_rule_out_is_refused_at_once() -> None:
    # All even but out's, so they never meet; to find that out by adding strides up would take 2^40 tries.
    strides = [2 * (1000 + d * d * 37 % 1000) for d in range(40)]
    base = torch.zeros(sum(strides) + 2, dtype=torch.uint8)
    input, out = base.as_strided((2,) * 40, strides), base[sum(strides) // 2 | 1 :][:1].view((1,) * 40)
    with raises_exactly(RuntimeError, OVERLAP):
        pad(input, (-1, 0) * 40, out=out)
    assert pad(input, (-1, 0) * 40, out=out.clone()).item() == 0


def test_out_and_lazy_clones() -> None:
    for lazily in ("input", "out"):
        row = torch.arange(8.0)
        clone = torch._lazy_clone(row)
        input, out = (clone, row) if lazily == "input" else (row, clone)
        assert torch.equal(pad(input, (1, -1), out=out), F.pad(torch.arange(8.0), (1, -1)))
        assert torch.equal(input, torch.arange(8.0))


def test_out_whose_elements_share_memory() -> None:
    expanded = torch.zeros(1).expand(8)
    text = "pad: out must not have elements that share memory, got one of sizes [8] and strides [0]"
    with raises_exactly(RuntimeError, text):
        pad(ROW, (1, -1), out=expanded)
    windows = torch.zeros(5).as_strided((3, 3), (1, 1))
    text = "pad: out must not have elements that share memory, got one of sizes [3, 3] and strides [1, 1]"
    with raises_exactly(RuntimeError, text):
        pad(torch.arange(9.0).view(3, 3), (), out=windows)


def test_out_and_autograd() -> None:
    text = "pad: out= does not support autograd, but input or out requires grad or has a tangent"
    leaf = ROW.clone().requires_grad_()
    for input, out in (
        (leaf, torch.empty(8)),
        (ROW, torch.empty(8, requires_grad=True)),
        (ROW, torch.empty(8, requires_grad=True) * 2),
    ):
        with raises_exactly(RuntimeError, text):
            pad(input, (1, -1), out=out)
        with raises_exactly(RuntimeError, text):
            crop(input, (-1, 1), out=out)
        with pytest.raises(RuntimeError, match=re.escape(text)):
            torch.jit.script(pad)(input, [1, -1], "constant", None, out)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(ROW, torch.ones(8))
        with raises_exactly(RuntimeError, text):
            pad(dual, (1, -1), out=torch.empty(8))
        with raises_exactly(RuntimeError, text):
            pad(ROW, (1, -1), out=torch.autograd.forward_ad.make_dual(torch.empty(8), torch.ones(8)))
    with torch.no_grad():
        assert_same(pad(leaf, (1, -1), out=torch.empty(8)), F.pad(ROW, (1, -1)))
        out = torch.empty(8, requires_grad=True)
        assert pad(leaf, (1, -1), out=out) is out
        assert torch.equal(out, F.pad(ROW, (1, -1)))


def test_out_under_vmap() -> None:
    with pytest.raises(RuntimeError, match=re.escape("Batching rule not implemented for torchcrop_fast::pad.out")):
        torch.vmap(lambda x: pad(x, (1, 1), out=torch.empty(6)))(torch.ones(3, 4))


def test_out_under_functionalize() -> None:
    outside = torch.zeros(10)
    with raises_exactly(
        RuntimeError, "pad: out must be an input of the functionalized function or be created inside it"
    ):
        functionalize(lambda x: pad(x, (1, 1), out=outside))(ROW)
    text = "pad: out must have sizes [10], got [9]: a graph cannot resize it"
    with raises_exactly(RuntimeError, text):
        functionalize(lambda x: pad(x, (1, 1), out=torch.zeros(9)))(ROW)
    with raises_exactly(RuntimeError, "pad: out must be of dtype float32, got float16"):
        functionalize(lambda x: pad(x, (1, 1), out=torch.zeros(10).half()))(ROW)


def test_crop_without_a_copy() -> None:
    for cropping in ((1, -1), (-1, 1), (0, -2)):
        text = f"crop: cropping must not be negative with copy=False, got {list(cropping)}"
        with raises_exactly(ValueError, text):
            crop(ROW, cropping, copy=False)
        with pytest.raises(torch.jit.Error, match=re.escape(text)):
            torch.jit.script(crop)(ROW, list(cropping), None, False)
    with raises_exactly(ValueError, "crop: out cannot be given with copy=False"):
        crop(ROW, (1, 1), copy=False, out=torch.empty(6))
    with raises_exactly(RuntimeError, "pad: cannot crop 5 + 4 elements from dim 0 of size 8"):
        crop(ROW, (5, 4), copy=False)


@pytest.mark.parametrize("input", [ROW, ROW.to("meta")], ids=["cpu", "meta"])
@pytest.mark.parametrize(
    ("size", "rounding", "text"),
    [
        ([1, 2], "torchvision", "center_crop: size has 2 entries, more than the 1 dims of input"),
        ([-1], "torchvision", "center_crop: size must not be negative, got -1"),
        ([4], "up", "center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got 'up'"),
        ([8], "", "center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got ''"),
    ],
)
def test_center_crop(input: Tensor, size: list[int], rounding: str, text: str) -> None:
    with raises_exactly(ValueError, text):
        center_crop(input, size, rounding)
    with pytest.raises(torch.jit.Error, match=re.escape(text)):
        torch.jit.script(center_crop)(input, size, rounding)


@pytest.mark.parametrize("size", [3, None, [3.0], ["3"], 3.5, [None]], ids=repr)
def test_center_crop_size_of_a_wrong_type(size: Any) -> None:
    with pytest.raises(TypeError, match=r"^center_crop: size must "):
        center_crop(ROW, size)


class ShrinksItsList:
    """An int that, asked for its value, empties the list it stands in."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries = entries

    def __index__(self) -> int:
        self.entries.clear()
        return 1


def test_entries_that_change_while_they_are_read() -> None:
    entries: list[Any] = []
    entries.extend([ShrinksItsList(entries), *range(10**6, 10**6 + 4000)])
    with raises_exactly(RuntimeError, "pad: pad must have an even number of entries, got 1"):
        pad(ROW, entries)


@pytest.mark.parametrize("value", [np.float32(2), np.int64(3), torch.tensor(2.0), 10**30, True, None], ids=repr)
def test_values_under_a_mode_are_those_of_a_plain_call(value: Any) -> None:
    with torch.device("cpu"):
        under_a_mode = pad(ROW, (1, -1), value=value)
    assert_same(under_a_mode, F.pad(ROW, (1, -1), value=value))


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ((True, 1), "pad: pad must contain ints, got bool at position 0"),
        ((1.5, 1), "pad: pad must contain ints, got float at position 0"),
        ("ab", "pad: pad must be a list or tuple of ints, got str"),
    ],
)
def test_entries_under_a_mode_raise_as_in_a_plain_call(entries: Any, text: str) -> None:
    with torch.device("cpu"), raises_exactly(TypeError, text):
        pad(ROW, entries)


def test_out_stays_as_it_is_where_the_value_is_wrong() -> None:
    out = torch.empty(0, dtype=torch.uint8)
    with raises_exactly(RuntimeError, "pad: value must fit dtype uint8, got 300"):
        pad(torch.zeros(2, dtype=torch.uint8), (1, 1), value=300, out=out)
    assert out.shape == (0,)


class Interrupting:
    """What a user's interrupt looks like from within."""

    def item(self) -> float:
        raise KeyboardInterrupt


def test_an_interrupt_is_no_wrong_value() -> None:
    with pytest.raises(KeyboardInterrupt):
        pad(ROW, (1, 1), value=Interrupting())
