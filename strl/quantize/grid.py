"""The integers a chip offers, and how real numbers are put on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

RESETS = ("zero", "zero late", "subtract", "subtract late", "once", "none")
"""How neurons can reset; ``late`` is in the tick after the spike."""

COMPARISONS = (">", ">=")
"""How a potential can be compared with the threshold for a spike."""

MESSAGES = ("spike", "count")
"""What neurons can send in a tick: a spike, or how many thresholds fit into their potential."""

INPUTS = ("spikes", "levels")
"""What a source can send: spikes, or signed integers that the synapses multiply with."""

ROUNDED = 1e-4
"""How far from a whole number a number still stands for it; ``SINGLE`` of its size, if that is more."""

SINGLE = 2.0**-23
"""What single precision leaves of a product, relative to it: half of this of each factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What weights, thresholds and exponents may be.

    Args:
        weight_bits: 2..8 bits of a signed weight, 8 meaning −256..254 in steps of 2.
        exponents: least and greatest weight exponent.
        threshold_max: greatest threshold mantissa.
        resets: those of ``RESETS`` that the neurons have.
        inclusive: neurons that spike at their threshold, not only above it.
        multiple: neurons that send how many thresholds fit into their potential.
        sum_max: bound that the synaptic sum of a tick keeps, in every input: Loihi 1's, and a Loihi 2's as
            well, whose width is not public.
    """

    weight_bits: int = 8
    exponents: tuple[int, int] = (-7, 7)
    threshold_max: int = 131071
    resets: tuple[str, ...] = ("zero",)
    inclusive: bool = False
    multiple: bool = False
    sum_max: int = 2**15 - 1

    @property
    def step(self) -> int:
        """Distance of neighbouring weights."""
        return 1 << (9 - self.weight_bits)

    @property
    def weight_max(self) -> int:
        """Largest magnitude both signs have."""
        return 256 - self.step

    def weights(self, values: Float) -> NDArray[np.int16]:
        """The nearest weights; values beyond the largest are not clipped but must not occur."""
        return (np.round(values / self.step) * self.step).astype(np.int16)

    def exponent(self, largest: float) -> int:
        """The least exponent e with which ``largest`` ≤ weight_max · 2^e."""
        if largest <= 0:
            return 0
        e = math.ceil(math.log2(largest / self.weight_max) - 1e-12)
        return max(e, self.exponents[0])


def slack(values: Float) -> Float:
    """How far each of values may be from a whole number to stand for it."""
    found: Float = np.maximum(ROUNDED, SINGLE * np.abs(values))
    return found


def decay_v(beta: Float) -> NDArray[np.int32]:
    """dv of the retention beta: round((1 − beta) · 4096), 0..4096."""
    return np.round((1.0 - beta) * 4096).astype(np.int32)


def decay_u(alpha: Float) -> NDArray[np.int32]:
    """du of the retention alpha: round((1 − alpha) · 4096) − 1; 4095 forgets. −1 is not on the grid."""
    return np.round((1.0 - alpha) * 4096).astype(np.int32) - 1
