"""What TorchScript compiles in place of the functions, and what they share with it: code that is both languages."""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor

_Function = TypeVar("_Function", bound=Callable[..., object])


def scripts_as(twin: Callable[..., Tensor]) -> Callable[[_Function], _Function]:
    """Have torch.jit.script compile the twin instead: TorchScript has no keyword-only arguments and cannot enter _C."""

    def mark(function: _Function) -> _Function:
        vars(function)["__prepare_scriptable__"] = lambda: twin
        return function

    return mark


def scripts_while_tracing(function: _Function) -> _Function:
    """Have a trace record what the function decides by sizes, so that it works for other sizes, too."""
    return cast(_Function, torch.jit.script_if_tracing(function))  # type: ignore[no-untyped-call]


def pad(
    input: Tensor,
    pad: list[int],
    mode: str = "constant",
    value: int | float | complex | None = None,
    out: Tensor | None = None,
) -> Tensor:
    if out is not None:
        torch.ops.torchcrop_fast.pad(input, pad, mode, value, out=out)
        return out
    padded: Tensor = torch.ops.torchcrop_fast.pad(input, pad, mode, value)
    return padded


def crop(input: Tensor, cropping: list[int], out: Tensor | None = None, copy: bool = True) -> Tensor:
    if copy:
        return pad(input, [-entry for entry in cropping], out=out)
    return view(input, cropping, out)


def crop_at(
    input: Tensor,
    offsets: Tensor,
    size: list[int],
    flip: Tensor | None = None,
    padding_mode: str = "constant",
    fill: int | float | complex = 0,
    out: Tensor | None = None,
) -> Tensor:
    if out is not None:
        torch.ops.torchcrop_fast.crop_at(input, offsets, size, flip=flip, padding_mode=padding_mode, fill=fill, out=out)
        return out
    cropped: Tensor = torch.ops.torchcrop_fast.crop_at(
        input, offsets, size, flip=flip, padding_mode=padding_mode, fill=fill
    )
    return cropped


def crop_mirror_normalize(
    input: Tensor,
    offsets: Tensor | None,
    size: list[int],
    mean: list[float],
    std: list[float],
    flip: Tensor | None = None,
    dtype: torch.dtype | None = None,
    layout: str = "CHW",
    memory_format: int | None = None,  # how TorchScript has it
    padding_mode: str = "constant",
    fill: float | list[float] = 0.0,
    out: Tensor | None = None,
) -> Tensor:
    fills = [fill] if isinstance(fill, float) else fill
    if out is not None:
        torch.ops.torchcrop_fast.crop_mirror_normalize(
            input,
            offsets,
            size,
            mean=mean,
            std=std,
            flip=flip,
            dtype=dtype,
            layout=layout,
            memory_format=memory_format,
            padding_mode=padding_mode,
            fill=fills,
            out=out,
        )
        return out
    result: Tensor = torch.ops.torchcrop_fast.crop_mirror_normalize(
        input,
        offsets,
        size,
        mean=mean,
        std=std,
        flip=flip,
        dtype=dtype,
        layout=layout,
        memory_format=memory_format,
        padding_mode=padding_mode,
        fill=fills,
    )
    return result


def random_offsets(
    n: int,
    input_size: list[int],
    size: list[int],
    padding: int | list[int] = 0,
    generator: torch.Generator | None = None,
    device: torch.device | None = None,
) -> Tensor:
    around = [padding] * len(input_size) if isinstance(padding, int) else padding
    return draw_offsets("random_offsets", n, input_size, size, around, around, generator, device)


def draw_offsets(
    function: str,
    n: int,
    input_size: list[int],
    size: list[int],
    before: list[int],
    after: list[int],
    generator: torch.Generator | None,
    device: torch.device | None,
) -> Tensor:
    """Draw offsets (n, D), each from -before to input_size + after - size."""
    if n < 0:
        raise ValueError(f"{function}: n must not be negative, got {n}")
    dims = len(input_size)
    if dims == 0:
        raise ValueError(f"{function}: input_size must not be empty")
    if len(size) != dims:
        raise ValueError(f"{function}: size must have as many entries as input_size, {dims}, got {len(size)}")
    if len(before) != dims:
        raise ValueError(f"{function}: padding must have as many entries as input_size, {dims}, got {len(before)}")
    columns: list[Tensor] = []
    for d in range(dims):
        if size[d] <= 0:
            raise ValueError(f"{function}: size must contain positive ints, got {size}")
        end = input_size[d] + after[d] - size[d] + 1
        if end <= -before[d]:
            raise ValueError(
                f"{function}: size {size[d]} must not be larger than the padded input,"
                f" {before[d]} + {input_size[d]} + {after[d]}, in spatial dim {d}"
            )
        if generator is None:  # this overload also takes symbolic sizes
            column = torch.randint(-before[d], end, [n], device=device, dtype=torch.int64)
        else:
            column = torch.randint(-before[d], end, [n], generator=generator, device=device, dtype=torch.int64)
        columns.append(column)
    return torch.stack(columns, dim=1)


def at_least_zero(number: int) -> int:
    """The number, or 0 where it is negative: without a branch on a size that is a symbol."""
    if isinstance(number, int):
        return max(number, 0)
    return torch.sym_max(number, 0)


def center_start(available: int, wanted: int, rounding: str) -> int:
    """Where the middle begins: negative where zeros come first."""
    # Nothing negative is divided: exporters disagree on how that rounds.
    surplus = at_least_zero(available - wanted)
    missing = surplus + wanted - available
    if rounding == "torchvision":
        start = (surplus + surplus // 2 % 2) // 2
    elif rounding == "keras":
        start = surplus // 2
    elif rounding == "dali":
        start = (surplus + 1) // 2
    elif rounding == "monai":
        start = (wanted + surplus) // 2 - wanted // 2
    else:
        raise ValueError(f"center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got '{rounding}'")
    return start - missing // 2


def center_pads(input: Tensor, size: list[int], rounding: str) -> list[int]:
    """The pad that crops the middle of the last dimensions."""
    if len(size) > input.dim():
        raise ValueError(f"center_crop: size has {len(size)} entries, more than the {input.dim()} dims of input")
    entries: list[int] = []
    for i in range(len(size)):
        wanted = size[len(size) - 1 - i]
        if wanted < 0:
            raise ValueError(f"center_crop: size must not be negative, got {wanted}")
        available = input.size(input.dim() - 1 - i)
        start = center_start(available, wanted, rounding)
        entries.append(-start)
        entries.append(start + wanted - available)
    return entries


@scripts_while_tracing
def view(input: Tensor, cropping: list[int], out: Tensor | None) -> Tensor:
    """Crop without a copy."""
    if out is not None:
        raise ValueError("crop: out cannot be given with copy=False")
    check_length(input, cropping)
    for i in range(0, len(cropping), 2):
        before, after, dim = cropping[i], cropping[i + 1], input.dim() - 1 - i // 2
        if input.size(dim) < max(before, 0) + max(after, 0):
            raise RuntimeError(cannot_crop(dim, input.size(dim), -before, -after))
    for i in range(0, len(cropping), 2):
        if min(cropping[i], cropping[i + 1]) < 0:
            raise ValueError("crop: cropping must not be negative with copy=False, got " + str(cropping))
        dim = input.dim() - 1 - i // 2
        input = input.narrow(dim, cropping[i], input.size(dim) - cropping[i] - cropping[i + 1])
    return input


def check_length(input: Tensor, pad: list[int]) -> None:
    """What the op checks, in its words, for the ways around it: how many entries."""
    if len(pad) % 2 != 0:
        raise RuntimeError("pad: pad must have an even number of entries, got " + str(len(pad)))
    dims = input.dim()
    if len(pad) > 2 * dims:
        raise RuntimeError(f"pad: pad must have at most {2 * dims} entries for an input of {dims} dims, got {len(pad)}")


def cannot_crop(dim: int, size: int, before: int, after: int) -> str:
    """The op's text for a pad that takes more than there is, made where it is raised alone: symbols become numbers."""
    taken_before, taken_after = int(max(-before, 0)), int(max(-after, 0))
    return f"pad: cannot crop {taken_before} + {taken_after} elements from dim {dim} of size {int(size)}"
