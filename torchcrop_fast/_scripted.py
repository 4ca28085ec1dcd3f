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


def center_start(available: int, wanted: int, rounding: str) -> int:
    """Where the middle begins: negative where zeros come first."""
    surplus = available - wanted
    half = surplus // 2
    odd = surplus % 2
    if rounding == "torchvision":
        start = half + odd * (half % 2)
    elif rounding == "keras":
        start = half
    elif rounding == "dali":
        start = half + odd
    elif rounding == "monai":
        start = available // 2 - wanted // 2
    else:
        raise ValueError(f"center_crop: rounding must be 'torchvision', 'keras', 'dali' or 'monai', got '{rounding}'")
    return start if surplus >= 0 else -(-surplus // 2)


@scripts_while_tracing
def view(input: Tensor, cropping: list[int], out: Tensor | None) -> Tensor:
    """Crop without a copy."""
    if out is not None:
        raise ValueError("crop: out cannot be given with copy=False")
    check_pad(input, [-entry for entry in cropping])
    for i in range(0, len(cropping), 2):
        if min(cropping[i], cropping[i + 1]) < 0:
            raise ValueError("crop: cropping must not be negative with copy=False, got " + str(cropping))
        dim = input.dim() - 1 - i // 2
        input = input.narrow(dim, cropping[i], input.size(dim) - cropping[i] - cropping[i + 1])
    return input


def check_pad(input: Tensor, pad: list[int], mode: str = "constant") -> None:
    """What the op checks, in its words, for the ways around it."""
    if len(pad) % 2 != 0:
        raise RuntimeError("pad: pad must have an even number of entries, got " + str(len(pad)))
    dims = input.dim()
    if len(pad) > 2 * dims:
        raise RuntimeError(f"pad: pad must have at most {2 * dims} entries for an input of {dims} dims, got {len(pad)}")
    for i in range(0, len(pad), 2):
        dim = dims - 1 - i // 2
        size, before, after = input.size(dim), max(-pad[i], 0), max(-pad[i + 1], 0)
        last = mode in ["reflect", "replicate"]  # the crop comes last
        if size < before + after and not last:
            raise RuntimeError(f"pad: cannot crop {before} + {after} elements from dim {dim} of size {size}")
        check_repeats_once(dim, size, size - before - after, pad[i], pad[i + 1], mode)
        if last and size + pad[i] + pad[i + 1] < 0:
            raise RuntimeError(f"pad: cannot crop {before} + {after} elements from dim {dim} of size {size}")


def check_repeats_once(dim: int, size: int, left: int, before: int, after: int, mode: str) -> None:
    # A text with sizes in it is made only where it is raised: it makes them constants of a graph.
    if mode == "constant" or (before <= 0 and after <= 0):
        return
    if mode == "reflect" and (before >= size or after >= size):
        raise RuntimeError(
            f"pad: dim {dim} of size {size} cannot be reflected by ({before}, {after}): both must be less than its size"
        )
    if mode == "circular" and (before > left or after > left):
        raise RuntimeError(
            f"pad: dim {dim} of size {size} cannot be wrapped by ({before}, {after}): both must be at most the {left}"
            " elements to wrap"
        )
    if mode == "replicate" and size == 0:
        raise RuntimeError(
            f"pad: dim {dim} of size {size} cannot be replicated by ({before}, {after}): it has no element to repeat"
        )
