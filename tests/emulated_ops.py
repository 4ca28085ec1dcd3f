"""Runs the case tables of all ops through the GPU's code, emulated: what it gives is what the CPU's kernels give.

A program for test_emulation.py, which runs it under sanitizers: the library of emulated ops, and one case of how many.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import crop_at_cases
import normalize_cases
import pad_cases
import pytest
import torch
from op_tester import LAYOUTS, Call, adds_up, assert_same, check_writes_everywhere, whole_numbers
from torch import Tensor
from torch._C import DispatchKey


def on_gpu(op: Any, *arguments: Any, **options: Any) -> Any:
    """What a GPU would run, on tensors of the CPU."""
    return op._op_dk(DispatchKey.CUDA, *arguments, **options)


def check_call(call: Call, expected: Tensor) -> None:
    """The op, and its variant that writes into tensors of all layouts and nothing around them."""
    arguments, options = (call.input, *call.arguments), call.options
    assert_same(on_gpu(call.op.default, *arguments, **options), expected)
    check_writes_everywhere(expected, lambda out: on_gpu(call.op.out, *arguments, **options, out=out))


def check_adjoint(call: Call, result: Tensor) -> None:
    """The gradient of one upstream, in several layouts."""
    if not adds_up(call.input.dtype):
        return
    for layout in ("contiguous", "permuted", "expanded"):
        upstream_shape, view = LAYOUTS[layout](tuple(result.shape))
        upstream = view(whole_numbers(upstream_shape, call.input.dtype))
        arguments, options = (upstream, *call.adjoint_arguments), call.adjoint_options
        assert_same(on_gpu(call.adjoint.default, *arguments, **options), call.adjoint(*arguments, **options))


def check_as_cpu(call: Call) -> None:
    """What the CPU makes, which check_op() holds right: the reference would take minutes."""
    expected = call.run_op(call.input)
    check_call(call, expected)
    check_adjoint(call, expected)


def check_pad(case: pad_cases.Case) -> None:
    check_as_cpu(case.call())


def check_crop_at(case: crop_at_cases.CropAtCase) -> None:
    for far in (False, True):
        check_as_cpu(replace(case, far=far).call())


def check_normalize(case: normalize_cases.Case) -> None:
    call = case.call()
    arguments, wide = (call.input, *call.arguments), {**call.options, "dtype": torch.float32}
    numbers, exact = call.op(*arguments, **wide), on_gpu(call.op.default, *arguments, **wide)
    normalize_cases.assert_near(exact, numbers.double(), case.rounded(numbers))
    check_call(call, torch.empty_like(call.expected).copy_(exact))


def check_refusals() -> None:
    """Rows that threads could not count in 32 bits, the starts of windows included."""
    call = normalize_cases.Case((2, 3, 4, 1), (2, 2), padding_mode="reflect").call()
    wide = call.input.expand(-1, -1, -1, 2**28)
    told = "a row or a column must have less than 536870912 elements on a GPU, got 268435456 pixels of 3 channels"
    with pytest.raises(RuntimeError, match=f"^crop_mirror_normalize: {told}"):
        on_gpu(call.op.default, wide, *call.arguments, **call.options)


def run(name: str, check: Callable[[Any], None], cases: Iterable[Any]) -> int:
    count = 0
    for case in cases:
        torch.manual_seed(count)
        try:
            check(case)
        except Exception:
            print(f"{name}: {case}")
            raise
        count += 1
    print(f"{name}: {count} cases right")
    return count


def main(library: str, one_of: str) -> None:
    torch.ops.load_library(library)
    step = int(one_of)
    check_refusals()
    run("pad", check_pad, [*pad_cases.CASES, *pad_cases.REPEATING_CASES][::step])
    run("crop_at", check_crop_at, [*crop_at_cases.CASES, *crop_at_cases.LARGE_CASES][::step])
    random_cases = map(normalize_cases.random_case, range(400))
    run("crop_mirror_normalize", check_normalize, [*normalize_cases.CASES, *random_cases][::step])


if __name__ == "__main__":
    main(*sys.argv[1:])
