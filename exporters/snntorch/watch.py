"""A module's forward pass, watched: which layers run, in which order, on what.

Nothing is traced or interpreted. Each layer's input must be the very tensor that the layer before it
gave; so whatever happens to it in between, in plain Python, shows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from strl.errors import ModelError

FRESH = 0
"""Version of a tensor that nobody has changed in place."""

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of a layer.

    Args:
        taken: its input, and the version of it that the layer saw: an in-place change makes a new one.
        given: its outputs as the layer left them; of neurons the spikes first, then perhaps the states.
        membrane: its potentials after the call, where it has any.
    """

    name: str
    taken: torch.Tensor
    version: int
    given: tuple[torch.Tensor, ...]
    membrane: torch.Tensor | None
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.given[0]._version if self.given else FRESH

    def gave(self, tensor: torch.Tensor, version: int) -> bool:
        """True where ``tensor``, when it had that version, was the spikes (or values) this call returned."""
        return bool(self.given) and same(self.given[0], tensor) and self.left == version


def replica(module: nn.Module) -> nn.Module:
    """A copy on the CPU, in evaluation, that shares nothing with the module."""
    # States that still hang on an autograd graph cannot be deep-copied; their values can.
    attached = [
        t
        for part in module.modules()
        for t in (*part.__dict__.values(), *part._buffers.values())
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


def rest_state(module: nn.Module) -> None:
    """Clear the state of every neuron layer."""
    for part in leaves(module).values():
        reset = getattr(part, "reset_mem", None)
        if callable(reset):
            reset()


@contextmanager
def watched(module: nn.Module) -> Iterator[list[Call]]:
    """The calls of the module's layers, in order, while the context lasts.

    Inputs reach a layer in the precision of its parameters: snnTorch's spikes are always float32.
    """
    calls: list[Call] = []
    handles = []
    for name, part in leaves(module).items():
        before, after = _hooks(name, part, calls)
        handles.append(part.register_forward_pre_hook(before))
        handles.append(part.register_forward_hook(after))
    try:
        yield calls
    finally:
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


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """True where both are one tensor, or views of the same values in the same shape."""
    alike = a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype
    return a is b or (alike and a.numel() > 0 and a.data_ptr() == b.data_ptr())


def tensors(value: Any) -> tuple[torch.Tensor, ...]:
    """The tensors of what a module returned: one, or a tuple of them."""
    parts = value if isinstance(value, tuple | list) else (value,)
    return tuple(part for part in parts if isinstance(part, torch.Tensor))


def _hooks(name: str, part: nn.Module, calls: list[Call]) -> tuple[Any, Any]:
    """What runs before and after each call of a layer."""
    wanted = next((p.dtype for p in (*part.parameters(), *part.buffers()) if p.is_floating_point()), None)
    taken: list[Any] = []
    version: list[int] = []

    def before(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        taken[:] = args[:1]
        version[:] = [a._version for a in taken if isinstance(a, torch.Tensor)]
        if wanted is None:
            return args
        return tuple(a.to(wanted) if isinstance(a, torch.Tensor) else a for a in args)

    def after(_: nn.Module, __: Any, output: Any) -> None:
        if not version:
            raise ModelError(f"{name}: is not called with a tensor as its first argument")
        membrane = getattr(part, "mem", None)
        kept = membrane.detach().clone() if isinstance(membrane, torch.Tensor) else None
        given = tensors(output)
        calls.append(Call(name=name, taken=taken[0], version=version[0], given=given, membrane=kept))

    return before, after
