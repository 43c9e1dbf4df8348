"""Program: a placed integer network with its codec and schedule, all that a chip needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strl.chip.arithmetic import Arithmetic, check_arithmetic
from strl.chip.spec import ChipSpec
from strl.content import Content, digest
from strl.errors import ChipError
from strl.ir.semantics import Semantics
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse, check_wiring
from strl.quantize.neurons import Source, binary

Messages = NDArray[np.uint8 | np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Neurons ``start``..``stop − 1`` of a population, on core ``core``."""

    population: str
    start: int
    stop: int
    core: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program(Content):
    """What a backend loads.

    Args:
        chip: the chip it was placed on.
        arithmetic: how it is computed: ``lava`` or ``loihi1``; one of the chip's.
        populations, synapses: see ``strl.quantize.network``.
        placement: which neurons live on which core; sources and gates live on the host and on none.
        schedule: ticks of a decision.
        readout: where the action is read.
        semantics: the policy's own; the codec and the environment are found there.
    """

    chip: ChipSpec
    arithmetic: Arithmetic
    populations: tuple[Population, ...]
    synapses: tuple[Synapse, ...]
    placement: tuple[Part, ...]
    schedule: Schedule
    readout: ReadoutWindow
    semantics: Semantics

    def __post_init__(self) -> None:
        check_wiring(self.populations, self.synapses, self.readout)
        exponent_min = self.chip.limit("weight_exp_min")
        check_arithmetic(self.arithmetic, self.populations, self.synapses, exponent_min)
        if self.arithmetic not in self.chip.arithmetics:
            raise ChipError(
                f"{self.chip.name}: has no arithmetic {self.arithmetic!r}, only "
                f"{', '.join(self.chip.arithmetics)}"
            )
        _check_ticks(self.populations, self.schedule, self.readout)

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the program."""
        return digest(self)

    @property
    def neurons(self) -> int:
        """Columns of a raster: the neurons of all populations, sources and gates among them."""
        return sum(p.size for p in self.populations)

    @property
    def slices(self) -> Mapping[str, slice]:
        """Name → the population's columns of a raster."""
        found, start = {}, 0
        for population in self.populations:
            found[population.name] = slice(start, start + population.size)
            start += population.size
        return found

    @property
    def sources(self) -> tuple[Population, ...]:
        """The populations that the encoder drives, in order."""
        return tuple(p for p in self.populations if isinstance(p.kind, Source))

    def population(self, name: str) -> Population:
        return next(p for p in self.populations if p.name == name)

    def blanked(self, synapse: Synapse, tick: int) -> bool:
        """True where what the synapse brings at this tick of a decision stems from before the reset.

        Only where the state is reset, and only for synapses that the *network* delays (a recurrence,
        say): the first of their spikes would belong to the last decision, and are dropped.
        """
        if self.schedule.state != "reset":
            return False
        first = self.population(synapse.pre).offset + synapse.delay
        return self.population(synapse.post).offset <= tick < first

    @property
    def message(self) -> type[np.uint8] | type[np.int32]:
        """Type of a message, and so of input and raster: uint8 where all are spikes, else int32."""
        return np.uint8 if all(binary(p.kind) for p in self.populations) else np.int32

    def spikes(self, levels: NDArray[np.integer]) -> Messages:
        """Encoder levels [T, batch, n] → input spikes [T, batch, inputs].

        A level is 0 or 1, or a signed integer whose two's complement bits go to one source each; a graded
        source takes the level as it is.
        """
        planes = [p.kind.plane for p in self.sources if isinstance(p.kind, Source)]
        if len(planes) == 1 and not planes[0]:
            return np.ascontiguousarray(levels, dtype=self.message)
        sent = [levels if plane is None else (levels >> plane) & 1 for plane in planes]
        return np.asarray(np.concatenate(sent, axis=-1), dtype=self.message)


def _check_ticks(populations: Iterable[Population], schedule: Schedule, readout: ReadoutWindow) -> None:
    """Every population begins, and the read-out ends, within a decision.

    Raises:
        ChipError: one does not; says which.
    """
    total = schedule.total
    if not 1 <= schedule.ticks <= total:
        raise ChipError(f"schedule: {schedule.ticks} driven ticks, must be 1..{total}, those of a decision")
    if not 0 <= readout.start <= readout.stop <= total:
        raise ChipError(
            f"schedule: a decision has {total} ticks, its read-out is {readout.start}..{readout.stop}"
        )
    for population in populations:
        if not 0 <= population.offset < total:
            raise ChipError(
                f"{population.name}: begins at tick {population.offset}, must be 0..{total - 1}, "
                "the ticks of a decision"
            )
