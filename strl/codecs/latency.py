"""Latency: one spike a decision, the earlier the larger the feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from strl.codecs.base import ENCODERS, Float, Levels
from strl.codecs.scaled import Scaled


@ENCODERS.register("latency")
@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Scaled):
    """Each feature spikes once: in the first tick at ``high``, in the last at ``low``."""

    kind: ClassVar[str] = "latency"

    @property
    def size(self) -> int:
        return len(self.low)

    def encode(self, observations: Float, ticks: int, rngs: Sequence[np.random.Generator]) -> Levels:
        at = np.rint((1.0 - self.fractions(observations)) * (ticks - 1))
        spikes: Levels = (np.arange(ticks)[:, None, None] == at).astype(np.int16)
        return spikes
