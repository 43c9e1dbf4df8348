"""Neurons that answer a spike with an alpha function (snnTorch's ``Alpha``); no chip of ours has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from strl.errors import ModelError
from strl.ir.nodes import NODES, Float, Neurons, Shape, State


@NODES.register("alpha")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alpha(Neurons):
    """The difference of two traces, one that forgets slowly and one that forgets fast.

    e ← alpha·e + x;  f ← beta·f − x;  v ← gain·(e + f);  spike z = v > threshold. In the tick after a spike
    ``zero`` clears the new e, f and v. ``subtract`` does what snnTorch 1.0 does: the threshold comes off e, f
    becomes 0, and the f of before is added to v. Chips refuse these neurons: v is no state of its own, and a
    reset of two currents is none that they have.

    Args:
        alpha: retention of e, above beta.
        beta: retention of f.
        threshold: above which it spikes.
        reset: ``zero``, ``subtract`` or ``none``, always in the tick after the spike.
    """

    kind: ClassVar[str] = "alpha"
    alpha: Float
    beta: Float
    threshold: Float
    reset: Literal["zero", "subtract", "none"]

    def __post_init__(self) -> None:
        self._keep("alpha", "beta", "threshold")
        if not ((self.beta >= 0) & (self.beta < self.alpha) & (self.alpha <= 1)).all():
            raise ModelError("alpha: must have 0 ≤ beta < alpha ≤ 1")
        if self.reset not in ("zero", "subtract", "none"):
            raise ModelError(f"alpha: reset = {self.reset!r}, must be zero, subtract or none")

    @property
    def shape(self) -> Shape:
        return self.alpha.shape

    @property
    def gain(self) -> Float:
        """log alpha / (log beta − log alpha) + 1, as in snnTorch (its 1 where beta is 0)."""
        with np.errstate(divide="ignore"):
            slow, fast = np.log(self.alpha), np.log(self.beta)
        return np.asarray(slow / (fast - slow) + 1, dtype=np.float64)

    def start(self, batch: int) -> State:
        still = np.zeros((batch, *self.shape))
        return {"e": still, "f": still.copy(), "v": still.copy()}

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        owed = (state["v"] > self.threshold).astype(np.float64)
        e, f, before = self.alpha * state["e"] + x, self.beta * state["f"] - x, state["f"]
        v = self.gain * (e + f)
        if self.reset == "zero":
            e, f, v = e - e * owed, f - f * owed, v - v * owed
        elif self.reset == "subtract":
            e, f, v = e - self.threshold * owed, f - f * owed, v + before * owed
        state["e"], state["f"], state["v"] = e, f, v
        spikes: Float = (v > self.threshold).astype(np.float64)
        return spikes
