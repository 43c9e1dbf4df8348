"""A neuron that spikes inside a tick: Nengo's LIF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from strl.errors import ModelError
from strl.ir.nodes import NODES, Float, Neurons, Shape, State


@NODES.register("substep-lif")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SubstepLIF(Neurons):
    """Leaky integrate-and-fire, solved exactly within the tick: it spikes at the moment v reaches 1.

    The rest of that tick counts towards its refractory time, so that its rate does not depend on the tick's
    length. nengo/neurons.py, ``LIF.step`` of nengo 4.1.0. No integer neuron of a chip does this.

    Args:
        tau: time constant in ticks, one a neuron.
        refractory: ticks of silence after a spike.
        floor: least v.
    """

    kind: ClassVar[str] = "substep-lif"
    tau: Float
    refractory: float = 0.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        self._keep("tau")
        if not ((self.tau > 0) & (self.tau < np.inf)).all():
            raise ModelError("substep-lif: tau must be a finite number of ticks above 0")
        if not 0 <= self.refractory < np.inf:
            raise ModelError(f"substep-lif: refractory = {self.refractory!r}, must be ticks of at least 0")
        if not -np.inf < self.floor <= 0:
            raise ModelError(f"substep-lif: floor = {self.floor!r}, must be a number of at most 0")

    @property
    def shape(self) -> Shape:
        return self.tau.shape

    def start(self, batch: int) -> State:
        still = np.zeros((batch, *self.shape))
        return {"v": still.copy(), "wait": still.copy()}

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        wait = state["wait"] - 1.0
        awake = np.clip(1.0 - wait, 0.0, 1.0)
        v = state["v"] - (x - state["v"]) * np.expm1(-awake / self.tau)
        spikes = v > 1
        # Where v passed 1 the current x did too; elsewhere the logarithm is not asked for.
        ratio = np.where(spikes, (v - 1) / np.where(spikes, x - 1, 1.0), 0.0)
        at = 1.0 + self.tau * np.log1p(-ratio)
        state["v"] = np.where(spikes, 0.0, np.maximum(v, self.floor))
        state["wait"] = np.where(spikes, self.refractory + at, wait)
        sent: Float = spikes.astype(np.float64)
        return sent
