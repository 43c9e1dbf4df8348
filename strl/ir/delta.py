"""Neurons that tell of change (snnTorch's ``DeltaLeaky``); no chip of ours has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from strl.errors import ModelError
from strl.ir.nodes import NODES, Float, Neurons, Shape, State


@NODES.register("delta")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delta(Neurons):
    """Neurons that spike where their potential changes by more than a threshold, either way.

    v ← beta·v + x;  spike z = |v − v before| > threshold. Nothing resets. Chips refuse these neurons: theirs
    compare the potential, not its change.

    Args:
        beta: retention of the potential.
        threshold: of the change.
    """

    kind: ClassVar[str] = "delta"
    beta: Float
    threshold: Float

    def __post_init__(self) -> None:
        self._keep("beta", "threshold")
        if not ((self.beta >= 0) & (self.beta <= 1)).all():
            raise ModelError(f"delta: beta must lie in 0..1, found {self.beta.min()}..{self.beta.max()}")

    @property
    def shape(self) -> Shape:
        return self.beta.shape

    def start(self, batch: int) -> State:
        return {"v": np.zeros((batch, *self.shape))}

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        v = self.beta * state["v"] + x
        change, state["v"] = v - state["v"], v
        spikes: Float = (np.abs(change) > self.threshold).astype(np.float64)
        return spikes
