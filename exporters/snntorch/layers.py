"""What each layer of torch and snnTorch is in a Network: one small handler a type.

A handler takes the layer and the width of what reaches it, and returns the node it is, or ``None`` where
it passes its input on unchanged. Types are matched exactly: a subclass may compute something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import nn

from strl.errors import ModelError
from strl.ir.maps import Linear
from strl.ir.neurons import LIF, Reset
from strl.ir.nodes import Node

Handler = Callable[[Any, int], Node | None]
HANDLERS: dict[type[nn.Module], Handler] = {}


def layer(*kinds: type[nn.Module]) -> Callable[[Handler], Handler]:
    """Decorator: enter a handler for these types of layer."""

    def enter(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, handler))
        return handler

    return enter


def node(name: str, module: nn.Module, width: int) -> Node | None:
    """The node that ``module`` is, for an input of ``width`` values.

    Raises:
        ModelError: a type without a handler, or a setting that no node has; names the layer.
    """
    handler = HANDLERS.get(type(module))
    if handler is None:
        known = ", ".join(sorted(kind.__name__ for kind in HANDLERS))
        raise ModelError(
            f"{name}: a {type(module).__name__} is not understood",
            hint=f"build the policy of {known}; or register a handler in exporters/snntorch/layers.py",
        )
    try:
        return handler(module, width)
    except ModelError as error:
        raise ModelError(f"{name}: {error.message}", hint=error.hint) from None


@layer(nn.Identity, nn.Flatten, nn.Dropout)
def passes(module: nn.Module, width: int) -> None:
    """Dropout is the identity in evaluation, and what flows between our layers is flat already."""


@layer(nn.Linear)
def linear(module: nn.Linear, width: int) -> Node:
    bias = None if module.bias is None else array(module.bias)
    return Linear(weight=array(module.weight), bias=bias)


@layer(snn.Leaky)
def leaky(module: snn.Leaky, width: int) -> Node:
    reset = _reset(module)
    # Late, snnTorch's Leaky clears the old potential only: the same spikes as resetting at once.
    late = bool(module.reset_delay) and reset == "subtract"
    return _neurons(module, width, np.zeros(width), reset, late)


@layer(snn.Synaptic)
def synaptic(module: snn.Synaptic, width: int) -> Node:
    reset = _reset(module)
    late = bool(module.reset_delay) and reset != "none"
    return _neurons(module, width, _retention(module, "alpha", width), reset, late)


def array(tensor: torch.Tensor) -> NDArray[np.float64]:
    """A tensor's values in double precision."""
    return tensor.detach().cpu().to(torch.float64).numpy()


def _neurons(module: Any, width: int, alpha: NDArray[np.float64], reset: Reset, late: bool) -> LIF:
    _refuse_extras(module)
    beta = _retention(module, "beta", width)
    threshold = _each(module, "threshold", width)
    if not np.isfinite(threshold).all():
        raise ModelError("threshold is not finite")
    return LIF(alpha=alpha, beta=beta, threshold=threshold, reset=reset, reset_delay=late)


def _reset(module: Any) -> Reset:
    # The buffer, not the attribute: it is what the forward pass goes by, and what a checkpoint restores.
    names: Mapping[int, Reset] = {0: "subtract", 1: "zero", 2: "none"}
    return names[int(module.reset_mechanism_val)]


def _retention(module: Any, what: str, width: int) -> NDArray[np.float64]:
    """``alpha`` or ``beta`` as the forward pass uses it: clamped to 0..1."""
    return np.clip(_each(module, what, width), 0.0, 1.0)


def _each(module: Any, what: str, width: int) -> NDArray[np.float64]:
    """A parameter as one value a neuron, from a scalar, a single value or a vector."""
    value = array(getattr(module, what))
    if value.shape not in ((), (1,), (width,)):
        raise ModelError(f"{what} has shape {value.shape}, must be one value or {width}")
    if np.isnan(value).any():
        raise ModelError(f"{what} is not a number")
    return np.broadcast_to(value, (width,)).copy()


def _refuse_extras(module: Any) -> None:
    if not (array(module.graded_spikes_factor) == 1.0).all():
        raise ModelError(
            f"graded_spikes_factor = {array(module.graded_spikes_factor).tolist()}, must be 1",
            hint="multiply the weights of the next layer by it instead",
        )
    if module.state_quant:
        raise ModelError(
            "state_quant is set; its states are rounded in a way that no node has",
            hint="train without it: the export to a chip does its own rounding",
        )
    if module.inhibition:
        raise ModelError(
            "inhibition is set; the neurons of a node do not see each other",
            hint="train without inhibition",
        )
