"""A module's forward pass, watched: which layers run, in which order, on what.

Nothing is traced or interpreted. Each layer's input must be the very tensor that the layer before it
gave; so whatever happens to it in between, in plain Python, shows.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from strl.errors import ModelError
from strl.policies import modules

FRESH = 0
"""Version of a tensor that nobody has changed in place."""

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

LIBRARIES = ("torch", "snntorch", "strl")
"""Packages whose modules are known to keep nothing but the state of neurons."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A tensor as it was at one moment: an in-place change makes a new version of it."""

    tensor: torch.Tensor
    version: int

    @classmethod
    def now(cls, tensor: torch.Tensor) -> Seen:
        # In inference mode torch does not count; what is changed there shows in the proof.
        return cls(tensor, FRESH if tensor.is_inference() else tensor._version)

    def holds(self, other: Seen) -> bool:
        """True where ``other`` is this one, or the same values in the same order in another shape."""
        return self.version == other.version and alike(self.tensor, other.tensor)


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of a layer.

    Args:
        taken: its inputs: of a layer of ours all of them, of others the first.
        given: its outputs as the layer left them; of neurons the spikes first, then perhaps the states.
        potential: what it keeps as ``mem`` after the call, where it does.
        membrane: the values of that, which the next tick may change.
    """

    name: str
    taken: tuple[Seen, ...]
    given: tuple[torch.Tensor, ...]
    potential: Seen | None
    membrane: torch.Tensor | None
    left: Seen | None = field(init=False)

    def __post_init__(self) -> None:
        self.left = Seen.now(self.given[0]) if self.given else None

    def gave(self, seen: Seen) -> bool:
        """True where that was the spikes (or values) this call returned."""
        return self.left is not None and self.left.holds(seen)


def replica(module: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation, that shares nothing with the module."""
    # States that still hang on an autograd graph cannot be deep-copied; their values can.
    attached = [
        t
        for part in module.modules()
        for value in (*part.__dict__.values(), *part._buffers.values())
        for t in (value if isinstance(value, list) else [value])
        if isinstance(t, torch.Tensor) and not t.is_leaf
    ]
    try:
        twin = copy.deepcopy(module, {id(t): t.detach().clone() for t in attached})
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__}: cannot be copied: {error}",
            hint="the export works on a copy, so that yours stays as it is; drop what it keeps of its runs",
        ) from error
    return twin.cpu().eval()


def leaves(module: nn.Module) -> dict[str, nn.Module]:
    """Layers by qualified name: what a library wrote is one layer, what the user wrote is looked into."""
    found: dict[str, nn.Module] = {}
    _collect(module, "", found)
    return found


def _collect(part: nn.Module, name: str, found: dict[str, nn.Module]) -> None:
    if any(part is known for known in found.values()):
        return  # one layer under two names
    foreign = type(part).__module__.split(".")[0] in ("torch", "snntorch")
    children = list(part.named_children())
    if type(part) not in CONTAINERS and (foreign or not children):
        found[name or type(part).__name__.lower()] = part
        return
    for child, inner in children:
        _collect(inner, f"{name}.{child}" if name else child, found)


def remembered(module: nn.Module) -> dict[tuple[str, str], str]:
    """Plain values in the user's own modules (counters, flags, lists), as text, by module and attribute."""
    own = vars(nn.Module())
    return {
        (name or type(part).__name__, attribute): repr(value)
        for name, part in module.named_modules()
        if type(part).__module__.split(".")[0] not in LIBRARIES
        for attribute, value in (*vars(part).items(), *part._buffers.items())
        if attribute not in own and _plain(value)
    }


def _plain(value: Any, around: frozenset[int] = frozenset()) -> bool:
    """True for numbers, text and collections of them; a tensor of one element is a number.

    Args:
        around: ids of the collections that ``value`` is in: one that holds itself says no more than they do.
    """
    if isinstance(value, torch.Tensor):
        return value.numel() == 1
    if isinstance(value, dict | list | tuple | set | deque):
        inside = around | {id(value)}
        parts = value.values() if isinstance(value, dict) else value
        return all(_plain(part, inside) for part in parts if id(part) not in inside)
    return isinstance(value, bool | int | float | str | np.generic)


def rest_state(module: nn.Module) -> None:
    """Clear the state of every neuron layer."""
    for part in leaves(module).values():
        reset = getattr(part, "reset_mem", None)
        if callable(reset):
            reset()


@contextmanager
def watched(module: nn.Module) -> Iterator[list[Call]]:
    """The calls of the module's layers, in order, while the context lasts.

    Inputs reach a layer in the precision of the module: snnTorch's spikes are always float32. Its
    ``utils.reset`` clears all neurons that were ever made; in here, those of this module.
    """
    calls: list[Call] = []
    handles = []
    wanted = precision(module)

    def cast(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        floating = (
            a.to(wanted) if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in args
        )
        return tuple(floating)

    for name, part in leaves(module).items():
        before, after = _hooks(name, part, calls)
        handles.append(part.register_forward_pre_hook(before))
        handles += [inner.register_forward_pre_hook(cast) for inner in part.modules()]
        handles.append(part.register_forward_hook(after))
    everywhere = snn.SpikingNeuron.instances
    snn.SpikingNeuron.instances = [part for part in module.modules() if isinstance(part, snn.SpikingNeuron)]
    try:
        yield calls
    finally:
        snn.SpikingNeuron.instances = everywhere
        for handle in handles:
            handle.remove()


def run(module: nn.Module, x: torch.Tensor, hint: str) -> Any:
    """What the module returns; whatever it raises is the user's to know, as a ``ModelError``."""
    try:
        return module(x)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{type(module).__name__}: its forward pass fails on input {list(x.shape)}: {error}", hint=hint
        ) from error


def precision(module: nn.Module) -> torch.dtype:
    """The precision that a module's parameters and buffers have."""
    held = (*module.parameters(), *module.buffers())
    return next((p.dtype for p in held if p.is_floating_point()), torch.float32)


def alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True where both are the same values in memory, in the same order, row by row of the batch."""
    if a is b:
        return True
    if a.dtype != b.dtype or not a.numel() or a.numel() != b.numel() or a.data_ptr() != b.data_ptr():
        return False
    if a.shape == b.shape:
        return a.stride() == b.stride()
    return a.shape[:1] == b.shape[:1] and a.is_contiguous() and b.is_contiguous()


def tensors(value: Any) -> tuple[torch.Tensor, ...]:
    """The tensors of what a module returned: one, or a tuple of them."""
    parts = value if isinstance(value, tuple | list) else (value,)
    return tuple(part for part in parts if isinstance(part, torch.Tensor))


def _hooks(name: str, part: nn.Module, calls: list[Call]) -> tuple[Any, Any]:
    """What runs before and after each call of a layer."""
    joins = isinstance(part, modules.Sum | modules.Product)
    taken: list[Seen] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        inputs = args if joins else args[:1]
        taken[:] = [Seen.now(a) for a in inputs if isinstance(a, torch.Tensor)]
        if len(taken) < len(inputs):
            raise ModelError(f"{name}: takes something that is no tensor", hint="give it what layers gave")

    def after(_: nn.Module, __: Any, output: Any) -> None:
        if not taken:
            raise ModelError(f"{name}: is not called with a tensor as its first argument")
        kept = getattr(part, "mem", None)
        kept = kept if isinstance(kept, torch.Tensor) else None
        calls.append(
            Call(
                name=name,
                taken=tuple(taken),
                given=tensors(output),
                potential=None if kept is None else Seen.now(kept),
                membrane=None if kept is None else kept.detach().clone(),
            )
        )

    return before, after
