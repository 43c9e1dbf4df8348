"""QuantizedNetwork: populations and synapses in integers, and when each works. No chip is chosen yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strl.content import Content, readonly
from strl.errors import ChipError
from strl.ir.semantics import ReadoutKind, State

Ints = NDArray[np.int32]
Format = Literal["dense", "sparse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Neurons that the encoder drives: they spike where the host says, in the driven ticks.

    ``plane`` is the bit of the encoder's values that this population carries (0 for plain spikes).
    """

    plane: int = 0


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
    """

    du: Ints
    dv: Ints
    vth: Ints

    def __post_init__(self) -> None:
        for name, limit in (("du", 4095), ("dv", 4096), ("vth", 131071)):
            value = readonly(getattr(self, name), np.int32)
            if value.ndim != 1 or value.shape != np.shape(self.vth):
                raise ChipError(f"lif: {name} has shape {value.shape}, must be one value a neuron")
            if value.size and (value.min() < 0 or value.max() > limit):
                raise ChipError(f"lif: {name} in {value.min()}..{value.max()}, must lie in 0..{limit}")
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population(Content):
    """Neurons of one kind.

    Args:
        name: unique in its network.
        size: number of neurons.
        kind: ``Source``, ``Gate`` or ``Lif``.
        offset: the tick of a decision at which its logical tick 0 falls. Where the state is reset every
            decision, u and v are cleared at that tick, after the synaptic input of the tick has
            arrived and before it is added.
    """

    name: str
    size: int
    kind: Source | Gate | Lif
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Synapse(Content):
    """All synapses from one population to another that share delay, exponent and format.

    Args:
        weight: int16 [post, pre], −256..255; the neuron receives Σ weight · 2^weight_exp.
        weight_exp: −7..7. A negative one shifts the *sum* right, towards −∞.
        delay: ticks from a spike to its arrival, ≥ 1.
        weight_bits: 1..8, the width of a stored weight, for memory and grid.
        format: how the chip stores it: every slot (``dense``) or the non-zero ones (``sparse``). It
            decides memory and which slots count as synaptic operations, never a result.
    """

    name: str
    pre: str
    post: str
    weight: NDArray[np.int16]
    weight_exp: int = 0
    delay: int = 1
    weight_bits: int = 8
    format: Format = "dense"

    def __post_init__(self) -> None:
        weight = readonly(self.weight, np.int16)
        if weight.ndim != 2 or not weight.size:
            raise ChipError(f"{self.name}: weight has shape {weight.shape}, must be [post, pre]")
        if weight.min() < -256 or weight.max() > 255:
            raise ChipError(f"{self.name}: weight in {weight.min()}..{weight.max()}, must lie in −256..255")
        if not -7 <= self.weight_exp <= 7:
            raise ChipError(f"{self.name}: weight_exp = {self.weight_exp}, must lie in −7..7")
        if not 1 <= self.delay <= 63:
            raise ChipError(f"{self.name}: delay = {self.delay} ticks, must lie in 1..63")
        object.__setattr__(self, "weight", weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The ticks of a decision: ``ticks`` driven ones of ``total``; ``state`` as in the policy."""

    ticks: int
    total: int
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadoutWindow:
    """Ticks ``start``..``stop − 1`` of a decision in which ``population`` is read.

    ``count`` is the spikes of each neuron in the window, ``membrane`` v after tick ``stop − 1``;
    either, times ``unit``, is in the units of the float network.
    """

    population: str
    kind: ReadoutKind
    start: int
    stop: int
    unit: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizedNetwork(Content):
    """Integer populations and synapses with their schedule.

    ``error`` holds the largest and root-mean-square rounding errors of every synapse's weights and every
    population's thresholds and decays, relative to the largest of them; nothing depends on it. Of synapses it
    also holds the share of weights that became ``zero`` and, as ``floor``, the most that a negative exponent
    takes off a tick's sum.
    """

    populations: tuple[Population, ...]
    synapses: tuple[Synapse, ...]
    schedule: Schedule
    readout: ReadoutWindow
    error: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "error", MappingProxyType(dict(self.error)))
        check_wiring(self.populations, self.synapses, self.readout)


def check_wiring(
    populations: tuple[Population, ...], synapses: tuple[Synapse, ...], readout: ReadoutWindow
) -> None:
    """Names are unique, synapses join what exists and end in neurons that compute.

    Raises:
        ChipError: the first that does not hold.
    """
    by_name = {p.name: p for p in populations}
    if len(by_name) != len(populations) or len({s.name for s in synapses}) != len(synapses):
        raise ChipError("program: two populations or two synapses share a name")
    for population in populations:
        kind = population.kind
        if isinstance(kind, Lif) and kind.vth.shape != (population.size,):
            raise ChipError(
                f"{population.name}: {kind.vth.shape[0]} parameters for {population.size} neurons"
            )
        if isinstance(kind, Gate) and population.size != 1:
            raise ChipError(f"{population.name}: a gate has 1 neuron, not {population.size}")
    for synapse in synapses:
        for end in (synapse.pre, synapse.post):
            if end not in by_name:
                raise ChipError(f"{synapse.name}: no population {end!r}")
        expected = (by_name[synapse.post].size, by_name[synapse.pre].size)
        if synapse.weight.shape != expected:
            raise ChipError(f"{synapse.name}: weight has shape {synapse.weight.shape}, must be {expected}")
        if not isinstance(by_name[synapse.post].kind, Lif):
            raise ChipError(f"{synapse.name}: {synapse.post!r} takes no synapses")
    if readout.population not in by_name:
        raise ChipError(f"readout: no population {readout.population!r}")
