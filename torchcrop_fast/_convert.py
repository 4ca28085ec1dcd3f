"""Swaps the layers of a model: torch.nn's pads for ours, or all of ours for what torch alone runs."""

import copy
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, NamedTuple, TypeVar, cast, overload

import torch
from torch import nn

from torchcrop_fast import _check, _plain, layers, pads

__all__ = ["Conversion", "convert"]

_Model = TypeVar("_Model", bound=nn.Module)
_Swaps = dict[type[nn.Module], type[nn.Module]]

_PADS: _Swaps = {getattr(nn, name): getattr(pads, name) for name in pads.__all__}
_PLAIN: _Swaps = {getattr(layers, name): getattr(_plain, name) for name in _plain.__all__}
_CROPS: _Swaps = {layers.Crop1d: nn.ZeroPad1d, layers.Crop2d: nn.ZeroPad2d, layers.Crop3d: nn.ZeroPad3d}
_SWAPS: dict[str, _Swaps] = {
    "torchcrop_fast": {**_PADS, **{plain: ours for ours, plain in _PLAIN.items()}},
    "torch": {**{ours: theirs for theirs, ours in _PADS.items()}, **_PLAIN, **_CROPS},
}
_CONSTANT = (pads.ConstantPad1d, pads.ConstantPad2d, pads.ConstantPad3d, pads.ZeroPad1d, pads.ZeroPad2d, pads.ZeroPad3d)
_PUBLIC = {"torch.nn.modules.padding": "torch.nn", "torchcrop_fast.pads": "torchcrop_fast"}
_PUBLIC["torchcrop_fast.layers"] = "torchcrop_fast"

_log = logging.getLogger("torchcrop_fast")


class Change(NamedTuple):
    """A converted layer or a joined chain: its name in the model, and what stood and what stands there."""

    name: str
    before: str
    after: str


class Left(NamedTuple):
    """A module that pads or crops and was left as it is: its name in the model, its class, and why."""

    name: str
    before: str
    reason: str


@dataclass(frozen=True)
class Conversion:
    """What :func:`convert` did; ``str()`` tells it, a line for each entry.

    Attributes:
        converted: Layers whose class was changed.
        joined: Chains of layers that are one layer now; their names are separated by commas.
        left: What could not be converted.
    """

    converted: list[Change]
    joined: list[Change]
    left: list[Left]

    def __str__(self) -> str:
        return "\n".join([self._headline(), *self._lines()])

    def _headline(self) -> str:
        told = []
        for count, noun in ((len(self.converted), "layer"), (len(self.joined), "chain"), (len(self.left), "module")):
            told.append(f"{count} {noun}{'s' * (count != 1)}")
        return "{} converted, {} joined, {} left".format(*told)

    def _lines(self) -> Iterator[str]:
        for name, before, after in self.converted:
            yield f"converted {name or 'the model'}: {before} to {after}"
        for name, before, after in self.joined:
            yield f"joined {name}: {before} to {after}"
        for name, before, reason in self.left:
            yield f"left {name or 'the model'}, {before}: {reason}"


@overload
def convert(
    model: _Model, inplace: bool = False, to: str = "torchcrop_fast", *, return_summary: Literal[False] = False
) -> _Model: ...
@overload
def convert(
    model: _Model, inplace: bool = False, to: str = "torchcrop_fast", *, return_summary: Literal[True]
) -> tuple[_Model, Conversion]: ...
def convert(
    model: _Model, inplace: bool = False, to: str = "torchcrop_fast", *, return_summary: bool = False
) -> _Model | tuple[_Model, Conversion]:
    r"""Swap the layers of a model: ``torch.nn``'s pads for ours, or all of ours for what torch alone runs.

    A layer is swapped by changing its class, so all that is attached to it stays: its name, hooks, buffers, training
    flag, and whoever else refers to it. Only layers of exactly ``torch.nn``'s classes are swapped: a subclass may have
    a forward of its own. Results are those of before, bit for bit; so are gradients, but that those of CircularPad2d
    and 3d may be added up in another order.

    Chains in an ``nn.Sequential`` become one layer, with ``nn.Identity`` in the other places, where that is exact:
    constant pads that only crop, or that only add the same value. Layers stay apart if they have hooks or anything else
    that a new layer hasn't, or are used in several places. Values, shapes, dtypes and errors are those of the chain for
    every input, and so are gradients. Strides may differ behind a joined chain of crops only: in dimensions of one
    element, in results without elements, and for inputs whose elements share memory. What a program reads *between* two
    layers of a chain is no longer there.

    Towards ``"torch"``, pads become ``torch.nn``'s, with its limits for rank and dtype where a border repeats elements;
    crops become ``nn.ZeroPad1d/2d/3d``; CenterCrop, RandomCrop and CropMirrorNormalize become modules in torch's own
    ops: a model that was scripted or exported then runs without our library. The results of CropMirrorNormalize differ
    by the rounding of float32, all others in no bit.

    The logger ``"torchcrop_fast"`` tells a summary (INFO) and each module (DEBUG).

    Args:
        model: Any module, a pad included.
        inplace: Change ``model`` itself. Otherwise a deep copy of it is changed.
        to: ``"torchcrop_fast"``, or ``"torch"`` for the way back.
        return_summary: Whether to return a summary, too.

    Returns:
        The converted model; with ``return_summary``, it and the :class:`Conversion`.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If ``to`` is neither of those above.

    Source: ``torch.nn.SyncBatchNorm.convert_sync_batchnorm``, whose way to be called this is.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.ZeroPad2d(-1), nn.ZeroPad2d(-1), nn.Conv2d(1, 8, 3))
        >>> model, summary = convert(model, return_summary=True)
        >>> model
        Sequential(
          (0): ZeroPad2d((-2, -2, -2, -2))
          (1): Identity()
          (2): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1))
        )
        >>> print(str(summary).splitlines()[0])
        2 layers converted, 1 chain joined, 0 modules left
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"convert: model must be an nn.Module, got {type(model).__name__}")
    _check.flag("convert", "inplace", inplace)
    _check.flag("convert", "return_summary", return_summary)
    _check.text("convert", "to", to)
    if to not in _SWAPS:
        raise ValueError(f"convert: to must be 'torchcrop_fast' or 'torch', got {to!r}")
    model = model if inplace else copy.deepcopy(model)

    summary = Conversion([], [], [])
    modules = list(_walk("", model, set()))
    for name, module in modules:
        reason = _why_left(module, to)
        if reason is not None:
            summary.left.append(Left(name, _class_of(module), reason))
        elif type(module) in _SWAPS[to]:
            before = _told(module)
            _swap(module, _SWAPS[to][type(module)])
            summary.converted.append(Change(name, before, _told(module)))
    if to == "torchcrop_fast":
        uses = Counter(child for _, module in modules for child in module._modules.values())
        for name, module in modules:
            if type(module) is nn.Sequential and "forward" not in vars(module):
                summary.joined.extend(_join_chains(name, module, uses))

    _log.info("convert: %s", summary._headline())
    for line in summary._lines():
        _log.debug("convert: %s", line)
    return (model, summary) if return_summary else model


def _walk(name: str, module: nn.Module, seen: set[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    """Each module once, with its first name; nothing that TorchScript has compiled."""
    if module in seen:
        return
    seen.add(module)
    yield name, module
    if not isinstance(module, torch.jit.ScriptModule):
        for child_name, child in module.named_children():
            yield from _walk(_path(name, child_name), child, seen)


def _path(name: str, child: str) -> str:
    return f"{name}.{child}" if name else child


def _class_of(module: nn.Module) -> str:
    kind = type(module)
    return f"{_PUBLIC.get(kind.__module__, kind.__module__)}.{kind.__qualname__}"


def _told(layer: nn.Module) -> str:
    return f"{_class_of(layer)}({layer.extra_repr()})"


def _why_left(module: nn.Module, to: str) -> str | None:
    """Why a module that may pad or crop is not converted; None if there is no reason."""
    swaps = _SWAPS[to]
    if isinstance(module, torch.jit.ScriptModule):
        return "TorchScript has compiled it: convert the model first, then script it"
    if to == "torch" and isinstance(module, torch.fx.GraphModule) and _calls_ours(module.graph):
        return "its graph calls our functions: convert the model first, then trace it"
    if type(module) in swaps and "forward" in vars(module):
        return "it has a forward of its own"
    if type(module) not in (*swaps, *swaps.values()) and isinstance(module, tuple(swaps)):
        return "its class is a subclass, which may have a forward of its own"
    return None


def _calls_ours(graph: torch.fx.Graph) -> bool:
    targets = [node.target for node in graph.nodes if node.op == "call_function"]
    return any("torchcrop_fast" in str(getattr(target, "__module__", "")) for target in targets)


def _swap(module: nn.Module, kind: type[nn.Module]) -> None:
    attributes = vars(module)
    if type(module) in _CROPS:
        attributes["padding"] = tuple(-entry for entry in attributes.pop("cropping"))
        attributes["value"] = 0.0
    if kind in _PADS and type(attributes.get("value")) is int:  # torch.jit.script refuses it; in torch all are floats
        attributes["value"] = float(attributes["value"])
    module.__class__ = kind


def _join_chains(name: str, sequential: nn.Sequential, uses: Counter[nn.Module | None]) -> Iterator[Change]:
    for places, joined in list(_chains(sequential, uses)):
        chain = [sequential.get_submodule(place) for place in places]
        for place, layer in zip(places, chain, strict=True):
            sequential._modules[place] = nn.Identity().train(layer.training)
        sequential._modules[places[0]] = joined
        names = ", ".join(_path(name, place) for place in places)
        yield Change(names, ", ".join(map(_told, chain)), _told(joined))


def _chains(sequential: nn.Sequential, uses: Counter[nn.Module | None]) -> Iterator[tuple[list[str], nn.Module]]:
    """The places whose layers can be one, and that layer."""
    places: list[str] = []
    joined: nn.Module | None = None
    for place, module in [*sequential._modules.items(), ("", None)]:
        fits = module is not None and uses[module] == 1 and _is_plain(module)
        longer = _join(joined, module) if fits and joined is not None else None
        if longer is not None:
            places.append(place)
            joined = longer
            continue
        if joined is not None and len(places) > 1:
            yield places, joined
        places, joined = [place], module if fits else None


def _is_plain(module: nn.Module) -> bool:
    """Whether it is a constant pad of ours with nothing added since it was made: no hook, say."""
    made = {"padding", "value", "training"}
    attributes, usual = ({k: v for k, v in vars(m).items() if k not in made} for m in (module, nn.Module()))
    return type(module) in _CONSTANT and attributes == usual


def _join(first: Any, second: Any) -> nn.Module | None:
    """One pad that does what two do, one behind the other, whatever the input; None if there is none."""
    before, after = _entries(first), _entries(second)
    if not before or not after:
        return None
    crops = max(before + after) <= 0
    # A first pad that adds nothing clones, and the clone may be of another memory format, which the second keeps.
    adds = min(before + after) >= 0 and max(before) > 0 and _same_fill(first.value, second.value)
    if not crops and not adds:
        return None
    joined = copy.deepcopy(first if len(before) >= len(after) else second)
    joined.padding = tuple(map(sum, zip_longest(before, after, fillvalue=0)))
    return cast(nn.Module, joined.train(first.training))


def _entries(pad: Any) -> list[int]:
    """The entries of its padding, empty if they are none that every pad takes."""
    entries = pad.padding if isinstance(pad.padding, (list, tuple)) else ()
    fit = len(entries) in (2, 4, 6) and all(_check.is_int(entry) and abs(entry) < 2**31 for entry in entries)
    return [int(entry) for entry in entries] if fit else []


def _same_fill(first: object, second: object) -> bool:
    """Whether both are the same number of one type, or zeros: for every dtype the same bits. NaN may have any."""
    texts = {repr(first), repr(second)}
    return isinstance(first, (int, float)) and first == second and (len(texts) == 1 or texts == {"0", "0.0"})
