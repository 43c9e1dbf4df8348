"""Neurons of a Network: leaky integrate-and-fire in every form that a producer's own simulator has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from strl.content import readonly
from strl.errors import ModelError
from strl.ir.nodes import NODES, Float, Neurons, Shape, State

Reset = Literal["zero", "subtract", "once", "none"]
RESETS: tuple[Reset, ...] = ("zero", "subtract", "once", "none")


@NODES.register("lif")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LIF(Neurons):
    """Leaky integrate-and-fire neurons with an optional synaptic current.

    i ← alpha·i + x;  v ← max(beta·v + i + drive, floor), with the reset below;  spike z = v > threshold.

    Every parameter is one value a neuron, of the population's shape; the optional ones may be given as one
    number. A population that never spikes (all thresholds ``inf``) is a leaky integrator: it sends its
    potential.

    Args:
        alpha: retention of the current, 0 where there is none (snnTorch's Leaky).
        beta: retention of the potential.
        threshold: above which it spikes; ``inf`` for neurons that never do.
        reset: ``zero`` sets v to 0. ``subtract`` takes the threshold off as snnTorch does, which looks at the
            last tick's v: where one threshold was not enough, it takes another off the new v before the
            comparison. ``once`` takes exactly one off for each spike (sinabs, Spyx). ``none`` leaves v.
        reset_delay: False resets in the tick of the spike. True waits for the next tick: ``subtract``
            takes the threshold off the new v, and ``zero`` clears all of the new v (snnTorch's
            Synaptic; its Leaky clears only the old v, which is the same spikes as no delay).
        inclusive: spike at v ≥ threshold.
        multiple: as many spikes in a tick as whole thresholds fit into v (sinabs, Rockpool); ``inclusive``.
        drive: added to v in every tick, rest or not: (1 − beta) times the potential it leaks to.
        start_v: v before the first tick.
        floor: the least v can be; ``−inf`` where nothing bounds it.
        grain: what decay leaves of i and v is cut off, towards zero, to multiples of it, as in a chip's
            registers; 0 for real numbers. It fixes the chip's scale: a unit is 1 / (64 · grain) of a weight.
    """

    kind: ClassVar[str] = "lif"
    alpha: Float
    beta: Float
    threshold: Float
    reset: Reset
    reset_delay: bool
    inclusive: bool = False
    multiple: bool = False
    drive: Float | float = 0.0
    start_v: Float | float = 0.0
    floor: Float | float = -np.inf
    grain: float = 0.0

    def __post_init__(self) -> None:
        shape = np.shape(self.beta)
        for name in ("alpha", "beta", "threshold"):
            value = readonly(getattr(self, name), np.float64)
            if not value.ndim or value.shape != shape:
                raise ModelError(f"lif: {name} has shape {value.shape}, must be one value a neuron")
            object.__setattr__(self, name, value)
        for name in ("drive", "start_v", "floor"):
            value = readonly(getattr(self, name), np.float64)
            if value.shape not in ((), shape):
                raise ModelError(f"lif: {name} has shape {value.shape}, must be one value or {shape}")
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if not ((value >= 0) & (value <= 1)).all():
                raise ModelError(f"lif: {name} must lie in 0..1, found {value.min()}..{value.max()}")
        if np.isnan(self.threshold).any():
            raise ModelError("lif: a threshold is not a number")
        if not (np.isfinite(self.drive).all() and np.isfinite(self.start_v).all()):
            raise ModelError("lif: drive and start_v must be finite")
        if not 0 <= self.grain < np.inf:
            raise ModelError(f"lif: grain = {self.grain}, must be 0 or a step above it")
        if np.isnan(self.floor).any() or np.isposinf(self.floor).any():
            raise ModelError("lif: floor must be a number or −inf")
        if self.reset not in RESETS:
            raise ModelError(f"lif: reset = {self.reset!r}, must be {', '.join(RESETS)}")
        if self.reset == "once" and self.reset_delay:
            raise ModelError("lif: reset = 'once' comes in the tick of the spike, reset_delay must be false")
        if self.multiple and (
            self.reset not in ("zero", "once") or self.reset_delay or not (self.threshold > 0).all()
        ):
            raise ModelError(
                "lif: several spikes a tick need thresholds above 0 and reset 'zero' or 'once' without delay"
            )

    @property
    def shape(self) -> Shape:
        return self.beta.shape

    @property
    def silent(self) -> bool:
        """True where no neuron can spike: the population sends its potential."""
        return bool(np.isinf(self.threshold).all())

    @property
    def plain(self) -> bool:
        """True where it differs in nothing from snnTorch's neurons: only alpha, beta, threshold and reset."""
        return not (
            self.reset == "once"
            or self.inclusive
            or self.multiple
            or np.any(self.drive)
            or np.any(self.start_v)
            or np.any(self.floor != -np.inf)
            or self.grain
        )

    def start(self, batch: int) -> State:
        still = np.zeros((batch, *self.shape))
        return {"i": still.copy(), "v": still + self.start_v, "spiked": still.copy()}

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        late = (state["spiked"] > 0) & self.reset_delay  # resets owed from the last tick
        state["i"] = self._decayed(state["i"], self.alpha) + x
        v = np.maximum(self._decayed(state["v"], self.beta) + state["i"] + self.drive, self.floor)
        if self.reset == "zero":
            v = np.where(late, 0.0, v)
            spikes = self._spikes(v)
            state["v"] = v if self.reset_delay else np.where(spikes > 0, 0.0, v)
        elif self.reset == "subtract":
            owed = self._fires(state["v"])
            v = v - self._taken(owed.astype(np.float64))
            spikes = self._spikes(v)
            state["v"] = v if self.reset_delay else v - self._taken(spikes - owed)
        else:
            spikes = self._spikes(v)
            state["v"] = v - self._taken(spikes) if self.reset == "once" else v
        state["spiked"] = spikes
        return state["v"].copy() if self.silent else spikes

    def _decayed(self, value: Float, retention: Float) -> Float:
        kept: Float = value * retention
        return np.trunc(kept / self.grain) * self.grain if self.grain else kept

    def _fires(self, v: Float) -> NDArray[np.bool_]:
        fires: NDArray[np.bool_] = v >= self.threshold if self.inclusive else v > self.threshold
        return fires

    def _spikes(self, v: Float) -> Float:
        if not self.multiple:
            return self._fires(v).astype(np.float64)
        return np.where(v >= self.threshold, np.floor(v / self.threshold), 0.0)

    def _taken(self, spikes: Float) -> Float:
        # Not a plain product: an infinite threshold times no spike would be NaN.
        return np.where(spikes != 0, spikes * np.where(spikes != 0, self.threshold, 0.0), 0.0)
