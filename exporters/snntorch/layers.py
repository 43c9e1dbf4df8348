"""What a layer of torch, snnTorch or ours is in a Network: the table of handlers, one a type.

A handler takes the layer and the ``Site`` it stands at, and returns the ``Part`` of a network it is, or
``None`` where it passes its inputs on unchanged. Types are matched exactly: a subclass may compute something
else. The handlers stand in ``maps``, ``logic``, ``neurons``, ``recurrent`` and ``chip``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from strl.errors import ModelError
from strl.ir.nodes import Node, Shape

Float = NDArray[np.float64]

GRADED = "graded"
"""Suffix of the node that makes spikes graded, behind their neurons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a layer stands: what reaches it and what it gave in the run that was watched.

    Args:
        shape: of its inputs, without batch.
        gives: shape of its output.
        sources: of each input, the nodes that it is the sum of.
        spikes: of each input, whether it is made of 0 and 1 only.
    """

    shape: Shape
    gives: Shape
    sources: tuple[tuple[str, ...], ...] = ()
    spikes: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The nodes a layer is, named by suffixes of its name; ``""`` is the layer itself.

    Args:
        nodes: suffix → node.
        edges: among them.
        enters, leaves: the suffixes of the nodes that take its inputs and give its output.
        spikes: whether what leaves is made of 0 and 1 only.
        twin: a node with the same input that sends the potential; ``None`` where it cannot be had.
    """

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...] = ()
    enters: str = ""
    leaves: str = ""
    spikes: bool = False
    twin: Node | None = None

    @classmethod
    def of(cls, node: Node, *, spikes: bool = False) -> Part:
        """One node alone."""
        return cls(nodes={"": node}, spikes=spikes)


Handler = Callable[[Any, Site], Part | None]
HANDLERS: dict[type[nn.Module], Handler] = {}


def layer(*kinds: type[nn.Module]) -> Callable[[Handler], Handler]:
    """Decorator: enter a handler for these types of layer."""

    def enter(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return enter


def known(name: str, module: nn.Module) -> Handler:
    """The handler of a layer; raises ``ModelError`` where there is none."""
    handler = HANDLERS.get(type(module))
    if handler is None:
        names = ", ".join(sorted(kind.__name__ for kind in HANDLERS))
        raise ModelError(
            f"{name}: a {type(module).__name__} is not understood",
            hint=f"build the policy of {names}; or register a handler, see exporters/snntorch/layers.py",
        )
    return handler


def part(name: str, module: nn.Module, site: Site) -> Part | None:
    """What ``module`` is at that site.

    Raises:
        ModelError: a type without a handler, or a setting that no node has; names the layer.
    """
    handler = known(name, module)
    try:
        return handler(module, site)
    except ModelError as error:
        raise ModelError(f"{name}: {error.message}", hint=error.hint) from None


def array(tensor: torch.Tensor) -> Float:
    """A tensor's values in double precision."""
    return tensor.detach().cpu().to(torch.float64).numpy()


def each(module: Any, what: str, shape: Shape) -> Float:
    """A parameter as one value a neuron, from one that broadcasts to the layer's shape."""
    return spread(what, array(torch.as_tensor(getattr(module, what))), shape)


def spread(what: str, value: Float, shape: Shape) -> Float:
    """``value`` as one a neuron; raises ``ModelError`` where it does not broadcast to ``shape``."""
    inner = value.reshape(value.shape[-len(shape) :]) if value.size == 1 or _batched(value, shape) else value
    pairs = zip(inner.shape[::-1], shape[::-1], strict=False)
    if inner.ndim > len(shape) or any(a not in (1, b) for a, b in pairs):
        raise ModelError(f"{what} has shape {value.shape}, must be one value, or broadcast to {shape}")
    if np.isnan(value).any():
        raise ModelError(f"{what} is not a number")
    return np.broadcast_to(inner, shape).copy()


def _batched(value: Float, shape: Shape) -> bool:
    """True where it has an axis of one for the batch, as torch broadcasts it."""
    return value.ndim > len(shape) and set(value.shape[: -len(shape)]) == {1}
