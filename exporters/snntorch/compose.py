"""Network → snnTorch module: the way back, for networks that were read from a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import snntorch as snn
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn.utils import skip_init

from strl.errors import ModelError
from strl.ir.alpha import Alpha
from strl.ir.delta import Delta
from strl.ir.maps import Conv, Linear, Pool, Reshape, Scale
from strl.ir.network import Network, evaluation_order, shapes
from strl.ir.neurons import LIF
from strl.ir.nodes import Delay, Input, Node, Output, Shape
from strl.ir.winner import Winner
from strl.policies import modules
from strl.policies.chip_layers import DECAY, LEAST, ChipLeaky
from strl.policies.graph import SpikingGraph
from strl.policies.neurons import IntegrateAndFire

Composer = Callable[[Any, Shape], nn.Module]
COMPOSERS: dict[type[Node], Composer] = {}


def to_module(network: Network, *, dtype: torch.dtype = torch.float32) -> SpikingGraph:
    """A module of snnTorch's neurons, torch's layers and ours that computes the network.

    Its neurons keep their states (``init_hidden``), so that one call is one tick. Its parameters are the
    network's, rounded to ``dtype``; one number where all neurons share it.

    Raises:
        ModelError: a node that no module of snnTorch's is; names it.
    """
    found = shapes(network)
    layers, sources, outputs = {}, {}, {}
    for name in evaluation_order(network.nodes, network.edges):
        node = network.nodes[name]
        feeds = tuple("" if a == network.input else a for a in network.sources(name))
        if isinstance(node, Output):
            outputs[name] = feeds
        elif not isinstance(node, Input):
            layers[name] = _layer(name, node, found[network.sources(name)[0]])
            sources[name] = feeds
    silent = frozenset(n for n in network.of(LIF) if getattr(network.nodes[n], "silent", False))
    return SpikingGraph(layers, sources, outputs, silent).to(dtype)


def composer(kind: type[Node]) -> Callable[[Composer], Composer]:
    """Decorator: enter what makes a module of nodes of that class, given the shape of their input."""

    def enter(made: Composer) -> Composer:
        COMPOSERS[kind] = made
        return made

    return enter


def _layer(name: str, node: Node, shape: Shape) -> nn.Module:
    if type(node) not in COMPOSERS:
        raise ModelError(
            f"{name}: a {node.kind} is no module of snnTorch's",
            hint="strl simulate runs it on the float network",
        )
    try:
        return COMPOSERS[type(node)](node, shape)
    except ModelError as error:
        raise ModelError(f"{name}: {error.message}", hint=error.hint) from None


@composer(Linear)
def _linear(node: Linear, shape: Shape) -> nn.Module:
    out, into = node.weight.shape
    settings = {"bias": node.bias is not None, "dtype": torch.float64}
    made = skip_init(nn.Linear, into, out, **settings)  # type: ignore[no-untyped-call]
    return _filled(made, node)


@composer(Conv)
def _conv(node: Conv, shape: Shape) -> nn.Module:
    made: Any = skip_init(  # type: ignore[no-untyped-call]
        nn.Conv1d if node.weight.ndim == 3 else nn.Conv2d,
        shape[0],
        node.weight.shape[0],
        node.weight.shape[2:],
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.groups,
        bias=node.bias is not None,
        dtype=torch.float64,
    )
    return _filled(made, node)


@composer(Scale)
def _scale(node: Scale, shape: Shape) -> nn.Module:
    return modules.Scale(_tensor(node.scale), None if node.bias is None else _tensor(node.bias))


@composer(Pool)
def _pool(node: Pool, shape: Shape) -> nn.Module:
    if node.mode == "sum":
        return modules.SumPool(node.window, node.stride, node.padding)
    kind = nn.AvgPool1d if len(node.window) == 1 else nn.AvgPool2d
    return kind(node.window, node.stride, node.padding)  # type: ignore[arg-type]


@composer(Reshape)
def _reshape(node: Reshape, shape: Shape) -> nn.Module:
    if node.axes is not None:
        raise ModelError("reads its axes in another order, which is no module of torch's")
    flat, full = nn.Flatten(), nn.Unflatten(1, node.shape)
    if len(node.shape) == 1:
        return flat
    return full if len(shape) == 1 else nn.Sequential(flat, full)


@composer(Delay)
def _delay(node: Delay, shape: Shape) -> nn.Module:
    return modules.Delay(node.ticks, node.shape)


@composer(LIF)
def _lif(node: LIF, shape: Shape) -> nn.Module:
    if node.grain:
        return _of_the_chip(node)
    odd = node.reset == "zero" and (node.threshold < 0).any()
    if not node.plain or odd or (np.isinf(node.threshold).any() and not node.silent):
        return IntegrateAndFire(node)
    if node.silent:
        return _spiking(node, threshold=1.0, reset="none", late=False)
    # A Leaky that resets late keeps the input of that tick; a Synaptic clears all, also without a current.
    whole = node.reset == "zero" and node.reset_delay
    return _spiking(node, threshold=node.threshold, reset=node.reset, late=node.reset_delay, synaptic=whole)


def _of_the_chip(node: LIF) -> nn.Module:
    at_once = node.silent or (node.reset == "zero" and not node.reset_delay)
    trace = node.alpha.any() and not (node.beta.any() or node.silent)
    kept = node.alpha if trace else node.beta
    other = np.any(kept * DECAY % 1 != 0) or np.any(node.floor != LEAST * node.grain)
    both = node.alpha.any() and not trace
    if other or both or not at_once or not replace(node, grain=0.0, floor=-np.inf).plain:
        raise ModelError(
            f"rounds what decay leaves to {node.grain:g}, which no module of ours does in such neurons",
            hint="strl simulate runs it on the float network",
        )
    threshold = _tensor(1.0 if node.silent else node.threshold)
    scale = 1.0 / (64.0 * node.grain)
    return ChipLeaky(_tensor(kept), threshold, silent=node.silent, resets=not trace, scale=scale)


@composer(Winner)
def _winner(node: Winner, shape: Shape) -> nn.Module:
    if node.reset == "zero" and node.alpha.any() and not node.whole:
        raise ModelError("has a current and clears only its old potential, as no neurons of snnTorch do")
    return _spiking(
        node,
        threshold=node.threshold,
        reset=node.reset,
        late=node.reset_delay,
        synaptic=node.whole,
        inhibition=True,
    )


@composer(Alpha)
def _alpha(node: Alpha, shape: Shape) -> nn.Module:
    made: nn.Module = snn.Alpha(
        alpha=_tensor(node.alpha),
        beta=_tensor(node.beta),
        threshold=_tensor(node.threshold),
        reset_mechanism=node.reset,
        init_hidden=True,
    )
    return made


@composer(Delta)
def _delta(node: Delta, shape: Shape) -> nn.Module:
    made: nn.Module = snn.DeltaLeaky(_tensor(node.threshold), beta=_tensor(node.beta), init_hidden=True)
    return made


def _spiking(
    node: LIF | Winner,
    *,
    threshold: ArrayLike,
    reset: str,
    late: bool,
    synaptic: bool = False,
    inhibition: bool = False,
) -> nn.Module:
    settings = {
        "beta": _tensor(node.beta),
        "threshold": _tensor(threshold),
        "reset_mechanism": reset,
        "reset_delay": late,
        "init_hidden": True,
        "inhibition": inhibition,
    }
    made: nn.Module
    if synaptic or node.alpha.any():
        made = snn.Synaptic(alpha=_tensor(node.alpha), **settings)
    else:
        made = snn.Leaky(**settings)
    return made


def _tensor(values: ArrayLike) -> torch.Tensor:
    """One number where all are the same."""
    array = np.asarray(values, dtype=np.float64)
    same = array.size and (array == array.flat[0]).all()
    return torch.tensor(array.flat[0] if same else array)


def _filled(module: Any, node: Linear | Conv) -> nn.Module:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.array(node.weight)))
        if node.bias is not None:
            module.bias.copy_(torch.from_numpy(np.array(node.bias).reshape(-1)))
    made: nn.Module = module
    return made
