"""Sign split: a feature's positive and negative part as two spike trains (DSQN, Chen et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from strl.codecs.base import ENCODERS, Float, Levels
from strl.codecs.scaled import Scaled, Table, accumulate


@ENCODERS.register("sign-split")
@dataclass(frozen=True, slots=True, kw_only=True)
class SignSplit(Scaled):
    """Channel 2k spikes at the rate of max(x, 0) / high, channel 2k + 1 of max(−x, 0) / −low.

    The range of each feature must hold 0; a feature that is never negative may have low = 0, and its
    second channel is silent.
    """

    kind: ClassVar[str] = "sign-split"
    _bound: Table = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super(SignSplit, self).__post_init__()
        for k, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not low <= 0 <= high:
                raise ValueError(f"feature {k}: the range {low:g}..{high:g} must hold 0")
        bound = np.stack([self._high, self._low], axis=1)
        object.__setattr__(self, "_bound", np.where(bound == 0, np.inf, bound))

    @property
    def size(self) -> int:
        return 2 * len(self.low)

    def encode(self, observations: Float, ticks: int, rngs: Sequence[np.random.Generator]) -> Levels:
        x = self.clipped(observations)
        parts = np.maximum(x[:, :, None] / self._bound, 0.0)
        return accumulate(parts.reshape(len(x), -1), ticks)
