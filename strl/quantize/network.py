"""QuantizedNetwork: populations and synapses in integers, and when each works. No chip is chosen yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strl.content import Content, readonly
from strl.errors import ChipError
from strl.ir.semantics import ReadoutKind, State
from strl.quantize.convolution import Kernel
from strl.quantize.neurons import COMPUTING, Gate, Kind, Lif, Product, Ternary, count

Format = Literal["dense", "sparse"]
WindowKind = Literal["count", "membrane", "potential"]
WINDOWS: Mapping[ReadoutKind, tuple[WindowKind, ...]] = MappingProxyType(
    {"count": ("count",), "membrane": ("membrane",), "trace": ("count", "potential")}
)
"""What can be read where the semantics say so; the spikes of a trace are those of the raster."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population(Content):
    """Neurons of one kind.

    Args:
        name: unique in its network.
        size: number of neurons.
        kind: what they are, see ``strl.quantize.neurons``.
        offset: the tick of a decision at which its logical tick 0 falls. Where the state is reset every
            decision, u and v are cleared at that tick, after the synaptic input of the tick has
            arrived and before it is added.
    """

    name: str
    size: int
    kind: Kind
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Synapse(Content):
    """All synapses from one population to another that share delay, exponent and format.

    Args:
        weight: int16 [post, pre], or a ``Kernel`` that shares them; −256..255. The neuron receives
            Σ weight · message · 2^weight_exp.
        weight_exp: −7..7. A negative one shifts the *sum* right, towards −∞.
        delay: ticks from a spike to its arrival, ≥ 1.
        weight_bits: 1..8, the width of a stored weight, for memory and grid.
        format: how the chip stores it: every slot (``dense``) or the non-zero ones (``sparse``). It
            decides memory and which slots count as synaptic operations, never a result.
        message_bits: 0 takes every message that is not 0 as a spike; above 0 multiplies with it (Loihi 2).
        port: 0; or 1 for the second factor of a ``Product``.
    """

    name: str
    pre: str
    post: str
    weight: NDArray[np.int16] | Kernel
    weight_exp: int = 0
    delay: int = 1
    weight_bits: int = 8
    format: Format = "dense"
    message_bits: int = 0
    port: int = 0

    @property
    def matrix(self) -> NDArray[np.int16]:
        """The weights of every pair of neurons, int16 [post, pre]."""
        return self.weight.matrix() if isinstance(self.weight, Kernel) else self.weight

    @property
    def count(self) -> int:
        """Weights that are not 0, those of a ``Kernel`` once for every place."""
        if isinstance(self.weight, Kernel):
            return self.weight.count
        return int(np.count_nonzero(self.weight))

    @property
    def shape(self) -> tuple[int, int]:
        """(post, pre) neurons."""
        if isinstance(self.weight, Kernel):
            return math.prod(self.weight.shape), math.prod(self.weight.image)
        return int(self.weight.shape[0]), int(self.weight.shape[1])

    def __post_init__(self) -> None:
        shared = isinstance(self.weight, Kernel)
        weight = self.weight.weight if isinstance(self.weight, Kernel) else readonly(self.weight, np.int16)
        if (not shared and weight.ndim != 2) or not weight.size:
            raise ChipError(f"{self.name}: weight has shape {weight.shape}, must be [post, pre]")
        if weight.min() < -256 or weight.max() > 255:
            raise ChipError(f"{self.name}: weight in {weight.min()}..{weight.max()}, must lie in −256..255")
        if not -7 <= self.weight_exp <= 7:
            raise ChipError(f"{self.name}: weight_exp = {self.weight_exp}, must lie in −7..7")
        if not 1 <= self.delay <= 63:
            raise ChipError(f"{self.name}: delay = {self.delay} ticks, must lie in 1..63")
        if not 0 <= self.message_bits <= 32:
            raise ChipError(f"{self.name}: message_bits = {self.message_bits}, must lie in 0..32")
        if self.port not in (0, 1):
            raise ChipError(f"{self.name}: port = {self.port}, must be 0 or 1")
        if not shared:
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

    ``count`` is the spikes of each neuron in the window, ``membrane`` v after tick ``stop − 1``, and
    ``potential`` v after each tick; all times ``unit`` are in the units of the float network.
    """

    population: str
    kind: WindowKind
    start: int
    stop: int
    unit: float

    @property
    def probed(self) -> range:
        """The ticks after which v is read."""
        if self.kind == "count":
            return range(0)
        return range(self.start if self.kind == "potential" else max(self.stop - 1, 0), self.stop)

    def shape(self, size: int) -> tuple[int, ...]:
        """Of the read-out of so many neurons: (size,), or (ticks, size) of each tick's potential."""
        return (self.stop - self.start, size) if self.kind == "potential" else (size,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuantizedNetwork(Content):
    """Integer populations and synapses with their schedule.

    ``error`` holds the largest and root-mean-square rounding errors of every synapse's weights and every
    population's thresholds and decays, relative to the largest of them; nothing depends on it. Of synapses it
    also holds the share of weights that are ``zero``, the share of the others that became it (``lost``) and,
    as ``floor``, the most that a negative exponent takes off a tick's sum.
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
    """Names are unique, synapses join what exists and end in neurons that compute, what is read is there.

    Raises:
        ChipError: the first that does not hold.
    """
    by_name = {p.name: p for p in populations}
    if len(by_name) != len(populations) or len({s.name for s in synapses}) != len(synapses):
        raise ChipError("program: two populations or two synapses share a name")
    for population in populations:
        kind = population.kind
        if isinstance(kind, COMPUTING) and count(kind) != population.size:
            raise ChipError(f"{population.name}: {count(kind)} parameters for {population.size} neurons")
        if isinstance(kind, Gate) and population.size != 1:
            raise ChipError(f"{population.name}: a gate has 1 neuron, not {population.size}")
    for synapse in synapses:
        for end in (synapse.pre, synapse.post):
            if end not in by_name:
                raise ChipError(f"{synapse.name}: no population {end!r}")
        expected = (by_name[synapse.post].size, by_name[synapse.pre].size)
        if synapse.shape != expected:
            raise ChipError(f"{synapse.name}: weight has shape {synapse.shape}, must be {expected}")
        post = by_name[synapse.post].kind
        if not isinstance(post, COMPUTING):
            raise ChipError(f"{synapse.name}: {synapse.post!r} takes no synapses")
        if synapse.port and not isinstance(post, Product):
            raise ChipError(
                f"{synapse.name}: port 1 is the second factor of a product, {synapse.post!r} is none"
            )
    if readout.population not in by_name:
        raise ChipError(f"readout: no population {readout.population!r}")
    if readout.kind != "count" and not isinstance(by_name[readout.population].kind, Lif | Ternary):
        raise ChipError(f"readout: {readout.population!r} has no membrane")
