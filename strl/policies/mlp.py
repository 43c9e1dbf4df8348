"""A spiking multilayer perceptron in snnTorch."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import snntorch as snn
from torch import nn

from strl.errors import ModelError
from strl.ir.semantics import ReadoutKind

MAX_WIDTH = 65536
MAX_LAYERS = 64
GRID = 4096
"""Retentions are multiples of 1/4096, so that a Loihi's 12-bit decays hold them exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MLPConfig:
    """Shape and neurons of a ``SpikingMLP``.

    Args:
        inputs, outputs: encoder channels and decoder neurons.
        hidden: neurons of each hidden layer, at least one layer.
        neuron: ``leaky``: v ← beta·v + x; ``synaptic`` puts a current i ← alpha·i + x before it.
        alpha, beta: retentions a tick of the hidden layers, rounded to 1/4096; alpha only for ``synaptic``.
        readout: ``membrane`` makes the last layer an integrator that never spikes, ``count`` a spiking one.
        readout_beta: retention of the last layer.
    """

    inputs: int
    outputs: int
    hidden: tuple[int, ...] = (64, 64)
    neuron: Literal["leaky", "synaptic"] = "leaky"
    alpha: float = 0.5
    beta: float = 0.75
    readout: ReadoutKind = "membrane"
    readout_beta: float = 0.9375

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name, width in (("inputs", self.inputs), ("outputs", self.outputs), *_named(self.hidden)):
            if isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= MAX_WIDTH:
                raise ModelError(f"mlp: {name} = {width!r}, must be an integer of 1..{MAX_WIDTH}")
        if not 1 <= len(self.hidden) <= MAX_LAYERS:
            raise ModelError(f"mlp: {len(self.hidden)} hidden layers, must be 1..{MAX_LAYERS}")
        if self.neuron not in ("leaky", "synaptic"):
            raise ModelError(f"mlp: neuron = {self.neuron!r}, must be 'leaky' or 'synaptic'")
        if self.readout not in ("membrane", "count"):
            raise ModelError(f"mlp: readout = {self.readout!r}, must be 'membrane' or 'count'")
        for name in ("alpha", "beta", "readout_beta"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise ModelError(f"mlp: {name} = {value!r}, must be at least 0 and below 1")
            object.__setattr__(self, name, round(value * GRID) / GRID)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "hidden": list(self.hidden)}


class SpikingMLP(nn.Sequential):
    """Linear and spiking layers in turn; one call is one tick: x [batch, inputs] → spikes [batch, outputs].

    Every neuron keeps its own state (``init_hidden``), resets to zero in the tick of its spike, and so
    equals a Loihi neuron. With a membrane read-out the value is ``module.out.mem``, not the output.
    """

    def __init__(self, config: MLPConfig) -> None:
        widths = (config.inputs, *config.hidden)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for k, (before, after) in enumerate(pairwise(widths), start=1):
            layers[f"linear{k}"] = nn.Linear(before, after)
            layers[f"lif{k}"] = _neurons(config)
        layers["linear_out"] = nn.Linear(widths[-1], config.outputs)
        layers["out"] = _output(config)
        super().__init__(layers)
        self.config = config


def _neurons(config: MLPConfig) -> nn.Module:
    settings = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False}
    made: nn.Module
    if config.neuron == "synaptic":
        made = snn.Synaptic(alpha=config.alpha, beta=config.beta, **settings)
    else:
        made = snn.Leaky(beta=config.beta, **settings)
    return made


def _output(config: MLPConfig) -> nn.Module:
    reset = "none" if config.readout == "membrane" else "zero"
    made: nn.Module = snn.Leaky(
        beta=config.readout_beta, init_hidden=True, reset_mechanism=reset, reset_delay=False
    )
    return made


def _named(hidden: tuple[int, ...]) -> list[tuple[str, int]]:
    return [(f"hidden[{k}]", width) for k, width in enumerate(hidden)]
