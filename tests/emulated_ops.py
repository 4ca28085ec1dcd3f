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
import torch
from crop_at_tester import CropAtCase
from op_tester import LAYOUTS, OUT_LAYOUTS, Case, assert_same, bits, random_bits, whole_numbers
from torch import Tensor
from torch._C import DispatchKey

OPS = torch.ops.torchcrop_fast


def on_gpu(op: Any, *arguments: Any, **options: Any) -> Any:
    """What a GPU would run, on tensors of the CPU."""
    return op._op_dk(DispatchKey.CUDA, *arguments, **options)


def check_op(op: Any, expected: Tensor, *arguments: Any, **options: Any) -> None:
    """The op, and its variant that writes into tensors of all layouts and nothing around them."""
    assert_same(on_gpu(op.default, *arguments, **options), expected)
    for layout in OUT_LAYOUTS:
        base_shape, view = LAYOUTS[layout](tuple(expected.shape))
        base = random_bits(base_shape, expected.dtype)
        wanted = base.clone()
        view(wanted).copy_(expected)
        on_gpu(op.out, *arguments, **options, out=view(base))
        assert torch.equal(bits(base), bits(wanted)), f"wrong in or around a {layout} out"


def check_adjoint(adjoint: Any, result: Tensor, *arguments: Any, **options: Any) -> None:
    """The gradient of one upstream, in several layouts."""
    dtype = result.dtype
    if not (dtype.is_floating_point or dtype.is_complex) or dtype.itemsize == 1 or dtype == torch.complex32:
        return  # torch has no arithmetic for these
    for layout in ("contiguous", "permuted", "expanded"):
        upstream_shape, view = LAYOUTS[layout](tuple(result.shape))
        upstream = view(whole_numbers(upstream_shape, dtype))
        assert_same(on_gpu(adjoint, upstream, *arguments, **options), adjoint(upstream, *arguments, **options))


def check_pad(case: Case) -> None:
    base_shape, view = LAYOUTS[case.layout](case.shape)
    input = view(random_bits(base_shape, case.dtype))
    arguments = (input, case.pad, case.mode, case.value)
    expected = OPS.pad(*arguments)
    check_op(OPS.pad, expected, *arguments)
    check_adjoint(OPS._pad_adjoint.default, expected, case.pad, case.padded_size, case.mode)


def check_crop_at(case: CropAtCase) -> None:
    for far in (False, True):
        case = replace(case, far=far)
        input, _ = case.make_input()
        offsets, flip = case.make_places()
        options = {"flip": flip, "padding_mode": case.padding_mode}
        expected = OPS.crop_at(input, offsets, case.size, **options, fill=case.fill)
        check_op(OPS.crop_at, expected, input, offsets, case.size, **options, fill=case.fill)
        check_adjoint(OPS._crop_at_adjoint.default, expected, offsets, case.image_size, **options)


def check_normalize(case: normalize_cases.Case) -> None:
    input = case.make_input()
    offsets, flip = case.make_places()
    arguments, options = (input, offsets, case.size), {**case.options, "flip": flip}
    expected = OPS.crop_mirror_normalize(*arguments, **options)
    result = on_gpu(OPS.crop_mirror_normalize.default, *arguments, **options)
    # The CPU's multiply-add may round twice.
    wide = {**options, "dtype": torch.float32}
    numbers = OPS.crop_mirror_normalize(*arguments, **wide)
    ratios = [abs(m / s) for m, s in zip(options["mean"], options["std"], strict=True)]
    tolerance = 2**-21 * (numbers.double().abs() + 2 * max(ratios, default=0))
    exact = on_gpu(OPS.crop_mirror_normalize.default, *arguments, **wide)
    assert ((exact.double() - numbers.double()).abs() <= tolerance).all()
    assert (result.dtype, result.shape, result.stride()) == (expected.dtype, expected.shape, expected.stride())
    check_op(OPS.crop_mirror_normalize, torch.empty_like(result).copy_(exact), *arguments, **options)


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
    run("pad", check_pad, [*pad_cases.CASES, *pad_cases.REPEATING_CASES][::step])
    run("crop_at", check_crop_at, [*crop_at_cases.CASES, *crop_at_cases.LARGE_CASES][::step])
    random_cases = map(normalize_cases.random_case, range(400))
    run("crop_mirror_normalize", check_normalize, [*normalize_cases.CASES, *random_cases][::step])


if __name__ == "__main__":
    main(*sys.argv[1:])
