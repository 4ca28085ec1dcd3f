"""Random pads, compiled and eager: values, strides, dtypes and the texts of errors are the same."""

import random
from collections.abc import Callable
from typing import Any

import pad_cases
import pytest
import torch
from op_tester import LAYOUTS, assert_same, random_bits
from torch import Tensor

from torchcrop_fast import functional

pytestmark = [
    pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental"),
    pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex"),
]

DTYPES = (torch.float32, torch.uint8, torch.bool, torch.int64, torch.bfloat16, torch.float16, torch.complex64)
VALUES = (None, None, 0, 1, -1, 0.5, 255, 256, -129, 2**40, True, 1e300, float("nan"), float("inf"), 1 - 2j)
MODES = ("constant", "constant", *pad_cases.REPEATING, "symmetric")


def draw(rng: random.Random) -> tuple[Tensor, tuple[Any, ...], str]:
    """An input, the other arguments of pad, some of them wrong, and a name for both."""
    shape = tuple(rng.choice((1, 2, 3, 4, 5, 7) if rng.random() < 0.95 else (0,)) for _ in range(rng.randint(1, 5)))
    layout, dtype = rng.choice(pad_cases.layouts(shape)), rng.choice(DTYPES)
    base_shape, view = LAYOUTS[layout](shape)
    entries = [
        rng.choice((0, rng.randint(-3, 4), rng.randint(1, 3)))
        for _ in range(2 * rng.randint(rng.random() < 0.9, len(shape)))
    ]
    if rng.random() < 0.03:
        entries.append(1)
    mode = rng.choice(MODES)
    value = rng.choice(VALUES) if mode == "constant" or rng.random() < 0.1 else None
    arguments = (entries, mode, value)
    torch.default_generator.manual_seed(rng.randrange(2**31))
    return view(random_bits(base_shape, dtype)), arguments, f"{dtype} {shape} {layout} {arguments}"


def outcome(call: Callable[[Tensor], Tensor], input: Tensor) -> Tensor | str:
    """What a call gives, or the op's own text of an error, which Dynamo wraps into more."""
    try:
        return call(input)
    except Exception as error:
        texts = [line[line.index("pad: ") :].rstrip("'\")") for line in str(error).splitlines() if "pad: " in line]
        return (texts or [f"{type(error).__name__}: {error}"])[0]


def same(one: Tensor | str, other: Tensor | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return isinstance(one, str) and one == other
    try:
        assert_same(one, other)
    except AssertionError:
        return False
    return True


def told(outcome: Tensor | str) -> str:
    text = outcome if isinstance(outcome, str) else f"{outcome.dtype} of strides {outcome.stride()}: {outcome.tolist()}"
    return text[:300]


def check(seed: int, backend: str, dynamic: bool | None, errors: bool = True) -> str | None:
    """What differs, if anything does; errors only where they are wanted."""
    input, (entries, mode, value), name = draw(random.Random(seed))

    def call(x: Tensor) -> Tensor:
        return functional.pad(x, entries, mode, value)

    eager = outcome(call, input)
    if isinstance(eager, str) and not errors:
        return None
    torch._dynamo.reset()
    compiled = outcome(torch.compile(call, backend=backend, dynamic=dynamic), input)
    return None if same(compiled, eager) else f"seed {seed}, {name}: compiled {told(compiled)}; eager {told(eager)}"


def test_compiled_pads_are_those_of_eager(scale: int) -> None:
    differ = [check(seed, "aot_eager", (None, True)[seed % 2]) for seed in range(25 * scale)]
    assert [text for text in differ if text] == []


def test_pads_that_inductor_compiles_are_those_of_eager(scale: int) -> None:
    differ = [check(seed, "inductor", None, errors=False) for seed in range(15_554, 15_554 + 5 * scale)]
    assert [text for text in differ if text] == []
