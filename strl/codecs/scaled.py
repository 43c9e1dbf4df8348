"""What the encoders share: features with ranges, checks of fields, accumulate-and-fire sources."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.codecs.base import Encoder, Float, Levels
from strl.errors import EnvironmentFault

GRID = 2.0**20
"""Drives are rounded to 1/GRID, so that the last bit of an ``exp`` decides no spike on any machine."""

Table = NDArray[Any]
"""A dataclass field that follows from the others, worked out once: ``field(init=False, …)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled(Encoder):
    """An encoder of features that each have a range.

    Args:
        low, high: range of each feature, in the observation's units; values beyond it are clipped.

    Raises:
        ValueError: ranges that are missing, not finite, empty, or of unequal number.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    _low: Table = field(init=False, repr=False, compare=False)
    _high: Table = field(init=False, repr=False, compare=False)
    _span: Table = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        low, high = numbers("low", self.low), numbers("high", self.high)
        if len(low) != len(high):
            raise ValueError(f"low has {len(low)} features, high has {len(high)}")
        for k, (a, b) in enumerate(zip(low, high, strict=True)):
            if not a < b:
                raise ValueError(f"feature {k}: low = {a:g} must be below high = {b:g}")
            if not math.isfinite(b - a):
                raise ValueError(f"feature {k}: the range {a:g}..{b:g} is too wide")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)
        object.__setattr__(self, "_low", np.array(low))
        object.__setattr__(self, "_high", np.array(high))
        object.__setattr__(self, "_span", np.array(high) - np.array(low))

    @property
    def features(self) -> int:
        return len(self.low)

    def clipped(self, observations: Float) -> Float:
        """Observations [batch, features] inside their ranges, as float64.

        Raises:
            EnvironmentFault: not that shape, or not finite.
        """
        x = np.asarray(observations, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.low):
            raise EnvironmentFault(f"an observation has shape {x.shape[1:]}, must be ({len(self.low)},)")
        # One sum is the quick question; it is finite wherever all are, unless they are huge.
        if not math.isfinite(x.sum()) and not np.isfinite(x).all():
            raise EnvironmentFault("an observation holds a value that is not finite")
        clipped: Float = np.minimum(np.maximum(x, self._low), self._high)
        return clipped

    def fractions(self, observations: Float) -> Float:
        """Where each feature lies in its range, 0 to 1."""
        fraction: Float = (self.clipped(observations) - self._low) / self._span
        return fraction


def accumulate(drive: Float, ticks: int, threshold: float = 1.0) -> Levels:
    """Deterministic integrate-and-fire sources: drive [batch, n] → spikes [ticks, batch, n].

    Each tick v ← v + drive, and where v reaches the threshold it spikes and v ← v − threshold: after t
    ticks ⌊t · drive / threshold⌋ spikes. A drive above the threshold counts as the threshold.
    """
    rate = np.rint(np.minimum(drive * (1.0 / threshold), 1.0) * GRID) * (1.0 / GRID)
    counts = (np.arange(ticks + 1)[:, None, None] * rate).astype(np.int16)
    spikes: Levels = counts[1:] - counts[:-1]
    return spikes


def numbers(name: str, values: object) -> tuple[float, ...]:
    """``values`` as a tuple of finite numbers, at least one.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(values, tuple | list) or not values:
        raise ValueError(f"{name} must be a list of numbers, one a feature")
    return tuple(number(f"{name}[{k}]", value) for k, value in enumerate(values))


def number(name: str, value: object) -> float:
    """``value`` as a finite float, or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} = {value!r:.60}, must be a finite number")
    return float(value)


def whole(name: str, value: object, low: int, high: int) -> int:
    """``value`` as an integer of low..high, or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} = {value!r:.60}, must be an integer of {low}..{high}")
    return value


def truth(name: str, value: object) -> bool:
    """``value`` as a bool, or ValueError."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} = {value!r}, must be true or false")
    return value
