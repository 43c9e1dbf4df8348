"""Rate: each feature a spike train whose rate is where it lies in its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from strl.codecs.base import ENCODERS, Float, Levels
from strl.codecs.scaled import Scaled, accumulate, truth
from strl.errors import UsageError


@ENCODERS.register("rate")
@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Scaled):
    """Spikes per tick from 0 (low) to 1 (high).

    Args:
        low, high: see ``Scaled``.
        random: False accumulates and fires, evenly spaced; True draws every tick (Bernoulli).
    """

    kind: ClassVar[str] = "rate"
    random: bool = False

    def __post_init__(self) -> None:
        super(Rate, self).__post_init__()
        truth("random", self.random)

    @property
    def size(self) -> int:
        return len(self.low)

    def encode(self, observations: Float, ticks: int, rngs: Sequence[np.random.Generator]) -> Levels:
        rate = self.fractions(observations)
        if not self.random:
            return accumulate(rate, ticks)
        if len(rngs) != len(rate):
            raise UsageError(f"encoder 'rate': {len(rngs)} random generators for {len(rate)} observations")
        draws = np.stack([rng.random((ticks, rate.shape[1])) for rng in rngs], axis=1)
        return (draws < rate).astype(np.int16)
