"""What lava-dl and Lava make of a layer's weights when they load them, so that it is known before.

lava-dl shifts a matrix left as far as eight bits go and gives Lava the exponent that takes it back
(netx/utils.py, ``optimize_weight_bits``); Lava cuts each weight to the bits it was told (lava-nc 0.10.0,
proc/dense/models.py, and utils/weightutils.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strl.errors import ChipError

WEIGHT_BITS = 8
SUM_BITS = 24
"""Of Lava's convolution."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A matrix as Lava holds it: ``weight`` · 2^``exponent`` acts, in ``bits`` bits."""

    weight: Ints
    exponent: int
    bits: int


def loaded(weight: Ints, where: str) -> Loaded:
    """What becomes of a dense layer's matrix.

    Raises:
        ChipError: the loader, Lava or the chip does not keep it as it is; says why.
    """
    low, high = int(weight.min()), int(weight.max())
    if low == high == 0:
        raise ChipError(f"{where}: has no weight but 0, at which lava-dl's loader fails")
    signed = low < 0 <= high
    room = [255 / high if not signed else 127 / high] if high > 0 else []
    room += [-256 / low if not signed else -128 / low] if low < 0 else []
    shift = math.floor(math.log2(min(room))) + signed if min(room) > 0 else 0
    if shift < 0:
        raise ChipError(f"{where}: a weight in {low}..{high} is beyond the 9 bits that lava-dl loads")
    even = next(n for n in range(WEIGHT_BITS, -1, -1) if not (weight % (1 << n)).any())
    bits = WEIGHT_BITS - shift - (even - signed)
    if bits > WEIGHT_BITS:
        raise ChipError(
            f"{where}: has odd weights beside ones beyond ±127, which {WEIGHT_BITS} bits do not hold",
            hint="round them to 7 bits: --weight-bits 7",
        )
    made = Loaded(weight=weight << shift, exponent=-shift, bits=bits)
    if not np.array_equal(stored(made) >> shift, weight):
        raise ChipError(f"{where}: lava-dl would load other weights than it has")
    return made


def stored(made: Loaded) -> Ints:
    """The matrix after Lava's own cut, of which it then shifts each sum."""
    low, high = int(made.weight.min()), int(made.weight.max())
    mixed = low < 0 < high
    sign = 1 if mixed or low >= 0 else -1
    magnitude = np.clip(sign * made.weight, -256 if mixed else 0, 255 if sign > 0 else 256)
    cut = WEIGHT_BITS - made.bits + mixed
    kept = (magnitude >> cut) << cut if cut > 0 else magnitude
    return np.asarray(sign * kept, np.int64)


def check_kernel(weight: Ints, where: str) -> None:
    """A convolution's weights are taken as they are; ChipError where they or their sums are too large."""
    if weight.min() < -256 or weight.max() > 255:
        raise ChipError(f"{where}: a weight in {weight.min()}..{weight.max()} is beyond 9 bits")
    if int(np.abs(weight).sum(axis=(1, 2, 3)).max()) >= 1 << SUM_BITS - 1:
        raise ChipError(f"{where}: its sums can leave the {SUM_BITS} bits of Lava's convolution")
