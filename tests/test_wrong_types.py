"""Each argument of each function and layer, given each wrong type: an error in our words, not in those of another."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

import torchcrop_fast as tcf
from torchcrop_fast import functional, memory

WRONG: dict[str, Any] = {
    "None": None,
    "bool": True,
    "bools": (True, 2),
    "int": 3,
    "float": 1.5,
    "huge": 2**70,
    "str": "x",
    "bytes": b"xy",
    "strs": ["x", "y"],
    "Nones": [None, None],
    "pairs": [[1, 2], (3,)],
    "dict": {1: 1, 2: 2},
    "set": {1, 2},
    "ndarray": np.ones((2, 2)),
    "object": object(),
    "image": PIL.Image.new("RGB", (4, 4)),
    "tensor": torch.ones(2, 2),
    "class": int,
    "function": len,
    "dtype": torch.float16,
    "format": torch.channels_last,
    "device": torch.device("cpu"),
    "generator": torch.Generator(),
}

IMAGES = torch.rand(2, 3, 8, 9)
OFFSETS = torch.zeros(2, 2, dtype=torch.int64)
PIXELS = {"input": IMAGES, "offsets": OFFSETS, "size": (4, 4), "mean": [0.5] * 3, "std": [0.5] * 3}
STATISTICS = {"size": (4, 4), "mean": [0.5] * 3, "std": [0.5] * 3}

# What is called; how an error names it; arguments that are right; and for each argument which of WRONG are right there.
NUMBERS = "bool int float huge"
A_TENSOR, AN_OPTIONAL_TENSOR = "tensor", "tensor None"
Calls = list[tuple[Callable[..., Any], str, dict[str, Any], dict[str, str]]]
FUNCTIONS: Calls = [
    (
        functional.pad,
        "pad",
        {"input": IMAGES, "pad": (1, 2)},
        {"input": A_TENSOR, "pad": "", "mode": "", "value": f"None {NUMBERS}", "out": AN_OPTIONAL_TENSOR},
    ),
    (
        functional.crop,
        "crop",
        {"input": IMAGES, "cropping": (1, 2)},
        {"input": A_TENSOR, "cropping": "", "out": AN_OPTIONAL_TENSOR, "copy": "bool"},
    ),
    (
        functional.center_crop,
        "center_crop",
        {"input": IMAGES, "size": (4, 4)},
        {"input": A_TENSOR, "size": "", "rounding": ""},
    ),
    (
        functional.crop_at,
        "crop_at",
        {"input": IMAGES, "offsets": OFFSETS, "size": (4, 4)},
        {
            "input": A_TENSOR,
            "offsets": A_TENSOR,
            "size": "",
            "flip": AN_OPTIONAL_TENSOR,
            "padding_mode": "",
            "fill": NUMBERS,
            "out": AN_OPTIONAL_TENSOR,
        },
    ),
    (
        functional.crop_mirror_normalize,
        "crop_mirror_normalize",
        PIXELS,
        {
            "input": A_TENSOR,
            "offsets": AN_OPTIONAL_TENSOR,
            "size": "",
            "mean": "",
            "std": "",
            "flip": AN_OPTIONAL_TENSOR,
            "dtype": "None dtype",
            "layout": "",
            "memory_format": "None format",
            "padding_mode": "",
            "fill": "int float huge",
            "out": AN_OPTIONAL_TENSOR,
        },
    ),
    (
        functional.random_offsets,
        "random_offsets",
        {"n": 2, "input_size": (8, 9), "size": (4, 4)},
        {
            "n": "int",
            "input_size": "",
            "size": "",
            "padding": "int",
            "generator": "None generator",
            "device": "None device str",
        },
    ),
    (functional.five_crop, "five_crop", {"input": IMAGES, "size": 4}, {"input": A_TENSOR, "size": "int"}),
    (
        functional.ten_crop,
        "ten_crop",
        {"input": IMAGES, "size": 4},
        {"input": A_TENSOR, "size": "int", "vertical_flip": "bool"},
    ),
    (memory.set_cache_limit, "set_cache_limit", {"bytes": 2**30}, {"bytes": "int huge"}),
    (memory.stats, "stats", {}, {}),
    (memory.empty_cache, "empty_cache", {}, {}),
]
CONSTRUCTORS: Calls = [
    (tcf.Crop1d, "Crop1d", {"cropping": 1}, {"cropping": "int"}),
    (tcf.Crop2d, "Crop2d", {"cropping": 1}, {"cropping": "int"}),
    (tcf.Crop3d, "Crop3d", {"cropping": 1}, {"cropping": "int"}),
    (tcf.CenterCrop, "CenterCrop", {"size": 4}, {"size": "int", "rounding": ""}),
    (
        tcf.RandomCrop,
        "RandomCrop",
        {"size": 4},
        {
            "size": "int",
            "padding": "None int",
            "pad_if_needed": "bool",
            "fill": NUMBERS,
            "padding_mode": "",
            "flip": "int float huge",
            "generator": "None generator",
        },
    ),
    (
        tcf.CropMirrorNormalize,
        "CropMirrorNormalize",
        STATISTICS,
        {
            "size": "int",
            "mean": "",
            "std": "",
            "dtype": "dtype",
            "layout": "",
            "memory_format": "format",
            "padding_mode": "",
            "fill": "int float huge",
        },
    ),
]
PADS = [
    getattr(tcf, name)(*[1, 0.5][: 1 + ("Constant" in name)])
    for name in tcf.__all__
    if re.fullmatch(r"\w+Pad\dd", name)
]
PLACED = {"input": A_TENSOR, "offsets": AN_OPTIONAL_TENSOR, "flip": AN_OPTIONAL_TENSOR}
METHODS: Calls = [
    *[(layer.forward, "pad", {"input": IMAGES}, {"input": A_TENSOR}) for layer in PADS],
    *[
        (crop(1).forward, "crop", {"input": IMAGES}, {"input": A_TENSOR})
        for crop in (tcf.Crop1d, tcf.Crop2d, tcf.Crop3d)
    ],
    (tcf.CenterCrop(4).forward, "center_crop", {"input": IMAGES}, {"input": A_TENSOR}),
    (tcf.RandomCrop(4, flip=0.5).forward, "RandomCrop", {"input": IMAGES}, PLACED),
    (tcf.RandomCrop(4).eval().forward, "RandomCrop", {"input": IMAGES}, PLACED),
    (tcf.RandomCrop(4, flip=0.5).sample, "RandomCrop", {"input": IMAGES}, {"input": A_TENSOR}),
    (tcf.CropMirrorNormalize(**STATISTICS).forward, "CropMirrorNormalize", {"input": IMAGES}, PLACED),
    (tcf.CropMirrorNormalize(**STATISTICS).forward, "CropMirrorNormalize", {"input": IMAGES[0]}, PLACED),
]
CALLS = FUNCTIONS + CONSTRUCTORS + METHODS


def arguments() -> Iterator[Any]:
    for function, name, right, takes in CALLS:
        for argument in takes:
            yield pytest.param(function, name, right, argument, takes[argument].split(), id=f"{name}-{argument}")


@pytest.mark.parametrize(("function", "name", "right", "argument", "takes"), list(arguments()))
def test_wrong_types_raise_in_our_words(
    function: Callable[..., Any], name: str, right: dict[str, Any], argument: str, takes: list[str]
) -> None:
    function(**right)
    # A layer checks some of its arguments by the function that it calls.
    names = {name, {"CropMirrorNormalize": "crop_mirror_normalize", "CenterCrop": "center_crop"}.get(name, name)}
    for kind, value in WRONG.items():
        if kind in takes:
            continue
        # Some take strings, but not any, and some take pairs.
        kinds = (TypeError, ValueError, RuntimeError) if kind in ("str", "pairs") else TypeError
        with pytest.raises(kinds) as error:
            function(**{**right, argument: value})
        opening = rf"({'|'.join(names)}): {argument} (must|entry)"
        assert re.match(opening, str(error.value)), f"{kind}: {error.value!r}"


def test_every_argument_is_in_the_tables() -> None:
    assert {function.__name__ for function, *_ in FUNCTIONS} == {*functional.__all__, *memory.__all__}
    layers = {*tcf.layers.__all__, *tcf.pads.__all__}
    made = {layer.__name__ for layer, *_ in CONSTRUCTORS} | {type(layer).__name__ for layer in PADS}
    assert made == layers
    called = {type(method.__self__).__name__ for method, *_ in METHODS}
    assert called == layers
    for function, _, _, takes in CALLS:
        assert set(takes) == set(inspect.signature(function).parameters)


@pytest.mark.parametrize("layer", PADS, ids=lambda layer: type(layer).__name__)
def test_pads_are_made_of_what_torch_nn_takes(layer: nn.Module) -> None:
    ours, reference = type(layer), getattr(nn, type(layer).__name__)
    assert ours.__init__ is reference.__init__
