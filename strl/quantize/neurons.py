"""What a population can be: integer neuron models, and what drives them from the host.

A message is what a neuron sends in a tick: 0 or 1 (a spike) unless its kind says otherwise. What each kind
computes stands in ``hardware_sims/loihi/definition.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from strl.content import Content, readonly
from strl.errors import ChipError

Ints = NDArray[np.int32]
Reset = Literal["zero", "subtract", "once", "none"]

DECAY_U, DECAY_V, THRESHOLD = 4095, 4096, 131071
"""Greatest du, dv and threshold mantissa."""

REFRACTORY = 64
"""Longest refractory period in ticks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Neurons that the encoder drives: they send what the host says, in the driven ticks.

    ``plane`` is the bit of the encoder's levels that this population carries as spikes (0 for plain spikes);
    ``None`` sends the signed levels themselves as graded messages (Loihi 2).
    """

    plane: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A neuron that spikes at ticks ``start``..``stop − 1`` of every decision; biases are its synapses."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lif(Content):
    """Parameters of integer LIF neurons, one value a neuron.

    Args:
        du: decay of the current, 0..4095; the factor is (4096 − (du + 1)) / 4096, so 4095 forgets.
        dv: decay of the potential, 0..4096; the factor is (4096 − dv) / 4096.
        vth: threshold 0..131071 in units of 2⁶; a spike is v > vth·2⁶.
        reset: ``zero`` as on Loihi 1; ``subtract``, ``once`` and ``none`` as ``strl.ir.neurons.LIF`` has them
            (Loihi 2 microcode).
        reset_delay: True resets in the tick after the spike: ``zero`` and ``subtract`` only (Loihi 2).
        refractory: 1..64 ticks from a spike to the first in which the potential lives again, so that 1
            is none; more only in arithmetic ``loihi1``.
        inclusive: a spike is v ≥ vth·2⁶ (Loihi 2).
        multiple: it sends how many whole thresholds fit into v, and ``once`` takes all of them off; above 0,
            with reset ``zero`` or ``once`` (Loihi 2).
    """

    du: Ints
    dv: Ints
    vth: Ints
    reset: Reset = "zero"
    reset_delay: bool = False
    refractory: int = 1
    inclusive: bool = False
    multiple: bool = False

    def __post_init__(self) -> None:
        least = int(self.multiple)
        _check(self, "lif", {"du": (0, DECAY_U), "dv": (0, DECAY_V), "vth": (least, THRESHOLD)})
        if self.multiple and (self.reset not in ("zero", "once") or self.reset_delay or self.inclusive):
            raise ChipError("lif: several spikes a tick need reset zero or once, and nothing else")
        if self.reset_delay and self.reset not in ("zero", "subtract"):
            raise ChipError(f"lif: reset = {self.reset!r} is never late")
        if not 1 <= self.refractory <= REFRACTORY:
            raise ChipError(f"lif: refractory = {self.refractory} ticks, must lie in 1..{REFRACTORY}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ternary(Content):
    """LIF neurons that send +1 above ``high``·2⁶ and −1 below ``low``·2⁶, and are set to 0 by either."""

    du: Ints
    dv: Ints
    high: Ints
    low: Ints

    def __post_init__(self) -> None:
        bounds = {
            "du": (0, DECAY_U),
            "dv": (0, DECAY_V),
            "high": (-THRESHOLD, THRESHOLD),
            "low": (-THRESHOLD, THRESHOLD),
        }
        _check(self, "ternary", bounds)
        if (self.low > self.high).any():
            raise ChipError("ternary: a low threshold lies above its high one")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graded(Content):
    """Stateless neurons that send their input a where it is large enough, else 0 (Loihi 2).

    Large enough is |a| > vth, or a > vth where ``rectify``; vth 0..2²³ − 1, one a neuron.
    """

    vth: Ints
    rectify: bool = False

    def __post_init__(self) -> None:
        _check(self, "graded", {"vth": (0, 2**23 - 1)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Product(Content):
    """Stateless neurons that send p = (a₀ · a₁) >> shift where |p| > vth, else 0 (Loihi 2).

    a₀ and a₁ are what arrives at the ports 0 and 1 (``Synapse.port``); shift 0..31, one for all.
    """

    vth: Ints
    shift: int = 0

    def __post_init__(self) -> None:
        _check(self, "product", {"vth": (0, 2**23 - 1)})
        if not 0 <= self.shift <= 31:
            raise ChipError(f"product: shift = {self.shift}, must lie in 0..31")


Kind = Source | Gate | Lif | Ternary | Graded | Product
Neurons = Lif | Ternary | Graded | Product
"""The kinds that compute on the chip."""

COMPUTING = (Lif, Ternary, Graded, Product)


def count(kind: Neurons) -> int:
    """Neurons that the parameters are for."""
    return int((kind.high if isinstance(kind, Ternary) else kind.vth).shape[0])


def binary(kind: Kind) -> bool:
    """True where every message is 0 or 1."""
    if isinstance(kind, Lif):
        return not kind.multiple
    return isinstance(kind, Gate) or (isinstance(kind, Source) and kind.plane is not None)


def most_spikes(kind: Lif) -> int:
    """The most that one of these neurons sends in a tick."""
    return (2**23 - 1) // (64 * int(kind.vth.min())) if kind.multiple else 1


def _check(kind: Any, what: str, bounds: dict[str, tuple[int, int]]) -> None:
    shape = np.shape(getattr(kind, next(iter(bounds))))
    for name, (low, high) in bounds.items():
        value = readonly(getattr(kind, name), np.int32)
        if value.ndim != 1 or value.shape != shape:
            raise ChipError(f"{what}: {name} has shape {value.shape}, must be one value a neuron")
        if value.size and (value.min() < low or value.max() > high):
            raise ChipError(f"{what}: {name} in {value.min()}..{value.max()}, must lie in {low}..{high}")
        object.__setattr__(kind, name, value)
