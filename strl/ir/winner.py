"""Neurons of which at most one spikes in a tick (snnTorch's ``inhibition``); no chip of ours has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from strl.errors import ModelError
from strl.ir.nodes import NODES, Float, Neurons, Shape, State


@NODES.register("winner")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Winner(Neurons):
    """Winner takes all: of a row of neurons the one that is most above its threshold spikes.

    i ← alpha·i + x;  v ← beta·v + i, less the reset. Of equals the first wins. Every neuron that was above
    its threshold in the last tick resets, winner or not. With ``reset_delay`` off snnTorch 1.0 then takes
    (z − r) resets more off the v that was compared, z being the spike and r the reset just done; so a loser's
    reset is undone. Chips refuse these neurons: theirs do not see each other within a tick.

    Args:
        alpha, beta, threshold: as of ``LIF``; [n].
        reset: ``zero``, ``subtract`` or ``none``.
        reset_delay: False resets in the tick of the spike.
        whole: ``zero`` clears all of the new v, as snnTorch's Synaptic does, and not only what is left of the
            old one, as its Leaky does.
    """

    kind: ClassVar[str] = "winner"
    alpha: Float
    beta: Float
    threshold: Float
    reset: Literal["zero", "subtract", "none"]
    reset_delay: bool
    whole: bool = False

    def __post_init__(self) -> None:
        self._keep("beta", "alpha", "threshold")
        if self.beta.ndim != 1:
            raise ModelError(f"winner: neurons of shape {self.shape}, must be one row")
        if self.reset not in ("zero", "subtract", "none"):
            raise ModelError(f"winner: reset = {self.reset!r}, must be zero, subtract or none")
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if not ((value >= 0) & (value <= 1)).all():
                raise ModelError(f"winner: {name} must lie in 0..1, found {value.min()}..{value.max()}")

    @property
    def shape(self) -> Shape:
        return self.beta.shape

    def start(self, batch: int) -> State:
        still = np.zeros((batch, *self.shape))
        return {"i": still, "v": still.copy()}

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        owed = (state["v"] > self.threshold).astype(np.float64)
        state["i"] = self.alpha * state["i"] + x
        v = self._updated(state["v"], state["i"], owed)
        above = v - self.threshold
        first = np.arange(v.shape[1]) == above.argmax(axis=1)[:, None]
        spikes: Float = (first & (above > 0)).astype(np.float64)
        if not self.reset_delay:
            v = v - (spikes - owed) * {"zero": v, "subtract": self.threshold, "none": 0.0}[self.reset]
        state["v"] = v
        return spikes

    def _updated(self, before: Float, current: Float, owed: Float) -> Float:
        if self.reset == "zero" and not self.whole:
            before = (1 - owed) * before
        v: Float = self.beta * before + current
        if self.reset == "zero" and self.whole:
            v = v - owed * v
        return v - owed * self.threshold if self.reset == "subtract" else v
