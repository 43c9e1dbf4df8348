"""Direct current: each feature a signed integer, the same in every tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from strl.codecs.base import ENCODERS, Float, Levels
from strl.codecs.scaled import Scaled, Table, number, whole

GAIN_MAX = 1e30
"""A gain beyond it, or below its inverse, would leave the numbers there are when weights are scaled by it."""


@ENCODERS.register("direct")
@dataclass(frozen=True, slots=True, kw_only=True)
class Direct(Scaled):
    """Level = round(m · x'), x' being the feature with its range put on −1..1 and m = 2^(bits − 1) − 1.

    Args:
        low, high: see ``Scaled``.
        precision: bits of a level, 2..12; on a chip each bit is a source of its own.
        gain: the float network receives gain · level / 2^(bits − 1), nearly gain · x'. A power of two keeps
            the bit planes' weights on the grid that the first layer's biases are on.
    """

    kind: ClassVar[str] = "direct"
    precision: int = 6
    gain: float = 1.0
    _middle: Table = field(init=False, repr=False, compare=False)
    _factor: Table = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super(Direct, self).__post_init__()
        whole("precision", self.precision, 2, 12)
        if not 1 / GAIN_MAX <= number("gain", self.gain) <= GAIN_MAX:
            raise ValueError(f"gain = {self.gain!r}, must lie in {1 / GAIN_MAX:g}..{GAIN_MAX:g}")
        object.__setattr__(self, "_middle", (self._low + self._high) / 2)
        object.__setattr__(self, "_factor", 2 * self._most / self._span)

    @property
    def _most(self) -> int:
        return int(2 ** (self.precision - 1)) - 1

    @property
    def size(self) -> int:
        return len(self.low)

    @property
    def bits(self) -> int:
        return self.precision

    @property
    def unit(self) -> float:
        return self.gain / (self._most + 1)

    def encode(self, observations: Float, ticks: int, rngs: Sequence[np.random.Generator]) -> Levels:
        x = self.clipped(observations)
        levels = np.empty((ticks, *x.shape), np.int16)
        levels[:] = np.rint((x - self._middle) * self._factor)
        return levels
