"""Which memory calls touch: beyond 2^32 elements only what they show, and never a byte behind a tensor's own."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

# More than 2^32 elements, of which none takes memory until it is written.
HUGE = """
    import mmap, resource, sys, torch, torch.nn.functional as F
    from torchcrop_fast.functional import crop, crop_at, crop_mirror_normalize, pad

    dtype = getattr(torch, sys.argv[1])

    def huge(count=5_000_000_000):
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE, which Python 3.11 does not name
        return torch.frombuffer(mmap.mmap(-1, count * dtype.itemsize, flags=flags), dtype=dtype)

    def tensor(*values):
        return torch.tensor(values, dtype=dtype)

    def check(result, expected):
        assert result.dtype == expected.dtype and torch.equal(result, expected), (result, expected)

    line = huge()
    size = len(line)
    marks = {2**31 - 2: 1, 2**31 - 1: 2, 2**31: 3, 2**32 - 1: 4, 2**32: 5, 2**32 + 1: 6, size - 1: 7, 0: 8}
    for place, mark in marks.items():
        line[place] = mark
    strided = line.as_strided((2, 2, 2), (2**31, 2**31, 1))
    far = huge().as_strided((2, 3), (1, 2**31 + 7))
    small = torch.arange(1, 9).view(2, 4).to(dtype)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""

# What is far from what: each part of this is a way to go wrong in 32 bits.
FAR_CALLS = {
    "crops": """
        for begin in (0, 2**31 - 2, 2**31 - 1, 2**32 - 2, 2**32, size - 3):
            check(crop(line, (begin, size - begin - 3)), line[begin : begin + 3].clone())
        rows = line[: 2**32 + 2].view(2, 2**31 + 1)
        check(crop(rows, (2**31 - 2, 0)), rows[:, -3:].clone())
        check(crop(rows.t(), (0, 0, 2**31 - 2, 0)), rows[:, -3:].t())
        """,
    "borders": """
        check(pad(line, (3 - size, 2), value=9), tensor(0, 0, 7, 9, 9))
        for mode in ("reflect", "replicate", "circular"):
            check(pad(line[None], (3 - size, 2), mode), F.pad(tensor([0, 0, 7]), (0, 2), mode))
        check(pad(strided, (1, 0, 0, 1), value=9), F.pad(strided, (1, 0, 0, 1), value=9))
        """,
    "places": """
        at = torch.tensor([[2**32 - 1]])
        check(crop_at(line[None], at, (3,)), tensor([4, 5, 6]))
        check(crop_at(line[None], at, (3,), flip=torch.tensor([True])), tensor([6, 5, 4]))
        several = torch.tensor([[[size - 1], [2**31 - 2], [-1], [2**32]]])
        for mode, after, first in (("constant", 0, 0), ("replicate", 7, 8), ("symmetric", 7, 8), ("circular", 8, 7)):
            crops = crop_at(line[None], several, (2,), padding_mode=mode)
            check(crops, tensor([[7, after], [1, 2], [first, 8], [5, 6]]))
        check(crop_at(strided, torch.tensor([[1, 0], [0, 1]]), (1, 2), fill=9), tensor([[3, 0]], [[0, 9]]))
        """,
    "outputs": """
        assert pad(small, (-1, 0), out=far) is far
        check(far.clone(), tensor([2, 3, 4], [6, 7, 8]))
        crop_at(small, torch.tensor([[1], [-1]]), (3,), fill=9, out=far)
        check(far.clone(), tensor([2, 3, 4], [9, 5, 6]))
        """,
    "gradients": """
        far.copy_(tensor([1, 2, 3], [4, 5, 6]))
        ops = torch.ops.torchcrop_fast
        check(ops._pad_adjoint(far, [1, -1], [3], "reflect"), tensor([2, 4, 0], [5, 10, 0]))
        check(ops._pad_adjoint(far, [-1, 0], [4], "constant"), tensor([0, 1, 2, 3], [0, 4, 5, 6]))
        places = torch.tensor([[1], [-1]])
        check(ops._crop_at_adjoint(far, places, [3], padding_mode="constant"), tensor([0, 1, 2], [5, 6, 0]))
        check(ops._crop_at_adjoint(far, places, [3], padding_mode="replicate"), tensor([0, 1, 5], [9, 6, 0]))
        """,
    "pixels": """
        images = line.as_strided((2, 1, 2, 2), (2**31, 1, 2**31, 1))
        scaled = crop_mirror_normalize(images, None, (2, 2), mean=[0], std=[1 / 255])
        check(scaled.round().to(dtype), images.clone())
        pixels = line.as_strided((1, 2, 2, 2), (1, 2**31, 2**31, 1))
        scaled = crop_mirror_normalize(pixels, None, (2, 2), mean=[0, 0], std=[1 / 255] * 2, layout="HWC")
        check(scaled.round().to(dtype), pixels.permute(0, 3, 1, 2).contiguous())
        """,
}
IN_DTYPE = {"gradients": ("float32", "complex128"), "pixels": ("uint8",)}


@pytest.mark.parametrize("dtype", ["uint8", "float32", pytest.param("complex128", marks=pytest.mark.reliability)])
def test_beyond_four_billion_elements_only_what_is_shown_is_touched(
    dtype: str, fresh_python: Callable[..., str]
) -> None:
    parts = [HUGE, *(code for name, code in FAR_CALLS.items() if dtype in IN_DTYPE.get(name, dtype))]
    parts.append("print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)")
    assert int(fresh_python("\n".join(map(textwrap.dedent, parts)), dtype)) < 64  # MB


def test_no_byte_behind_a_tensor_is_touched(scale: int, fresh_python: Callable[..., str]) -> None:
    """Forward, out= and backward: a read or a write there would be the end of the process."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import guarded; guarded.main(int(sys.argv[2]))"
    cases, calls = map(int, fresh_python(code, str(Path(__file__).parent), str(scale)).split())
    assert cases > 100 * scale
    assert calls > 1000 * scale
