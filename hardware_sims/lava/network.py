"""A program as Lava's own stock processes, connected, and what of it they cannot do.

Import after ``compat.load()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware_sims.lava.blank import Blank
from hardware_sims.lava.host import heard, host, played
from hardware_sims.lava.populations import HOSTED, entry, neurons
from hardware_sims.lava.runtime import shared
from hardware_sims.lava.stock import InexactError
from hardware_sims.lava.synapses import connect, graded, largest_message, synapse
from strl.chip.program import Messages, Program

STATE = ("u", "v", "a_buff", "a_buf")
"""Variables of stock processes that a new episode clears; Conv spells its buffer differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StockNetwork:
    """The Lava processes of a program, connected, and the memory through which they are fed and heard.

    Args:
        host: the process that plays input and records, see ``hardware_sims.lava.host``.
        neurons: process by population.
        synapses: process by synapse.
        blanks: by synapse, what drops its messages from before a reset, where there could be any.
        raster: messages [ticks, neurons] in shared memory, one decision; what sources and gates do is written
            there before it, what the others did stands there after it.
        membrane: int32 [ticks, n] in shared memory: the potentials that are read out, where some are.
        driven: columns of the raster that belong to sources and gates.
        room: synapse → the columns of what it hears, and the greatest |message| for which it is exact.
    """

    host: Any
    neurons: dict[str, Any]
    synapses: dict[str, Any]
    blanks: dict[str, Any]
    raster: Messages
    membrane: NDArray[np.int32]
    driven: NDArray[np.int64]
    room: Mapping[str, tuple[slice, int]]

    def require_room(self, raster: Messages) -> None:
        """Raises InexactError where messages [..., neurons] were too large for Lava's 32-bit sums."""
        for name, (columns, limit) in self.room.items():
            largest = np.abs(raster[..., columns].astype(np.int64)).max(initial=0)
            if largest > limit:
                raise InexactError(
                    f"backend 'lava': {name}: a message of ±{largest}, its sums are exact up to ±{limit}",
                    hint="use --backend lava-fused",
                )

    @property
    def processes(self) -> list[Any]:
        return [self.host, *self.neurons.values(), *self.synapses.values(), *self.blanks.values()]

    @property
    def state(self) -> list[tuple[Any, str]]:
        """(process, name) of every variable that an episode leaves changed; graded neurons have none."""
        stateful = [p for p in self.neurons.values() if hasattr(p, "u")]
        held = [*stateful, *self.synapses.values()]
        return [(process, name) for process in held for name in STATE if hasattr(process, name)]


def build(program: Program, *, record: bool = True, ticks: int | None = None) -> StockNetwork:
    """The processes of a program.

    Args:
        program: what shall run.
        record: False leaves the host without ears, for measuring the runtime alone.
        ticks: rows of the raster, default one decision.

    Raises:
        BackendError: what stock processes cannot do exactly; names the population or synapse.
    """
    slices = program.slices
    hosted = [p for p in program.populations if isinstance(p.kind, HOSTED)]
    computing = [p for p in program.populations if not isinstance(p.kind, HOSTED)]
    raster = shared((ticks or program.schedule.total, program.neurons), program.message)
    readout = program.readout
    membrane = shared((len(readout.probed), program.population(readout.population).size), np.int32)
    reads = record and bool(readout.probed)
    made = {p.name: neurons(p, program.schedule) for p in computing}
    joints = {s.name: synapse(program, s) for s in program.synapses}
    ears = host(
        raster,
        [slices[p.name] for p in hosted],
        [slices[p.name] for p in computing] if record else [],
        (membrane, readout.probed) if reads else None,
    )
    senders = {p.name: getattr(ears, played(k)) for k, p in enumerate(hosted)}
    senders |= {name: process.s_out for name, process in made.items()}
    blanks = _blanks(program)
    for s in program.synapses:
        into = entry(made[s.post], s)
        if s.name in blanks:
            blanks[s.name].a_out.connect(into)
            into = blanks[s.name].a_in
        connect(s, senders[s.pre], joints[s.name], into)
    if record:
        for number, population in enumerate(computing):
            made[population.name].s_out.connect(getattr(ears, heard(number)))
    if reads:
        ears.potential.connect_var(made[readout.population].v)
    driven = [np.r_[slices[p.name]] for p in hosted]
    return StockNetwork(
        host=ears,
        neurons=made,
        synapses=joints,
        blanks=blanks,
        raster=raster,
        membrane=membrane,
        driven=np.concatenate([np.zeros(0, np.int64), *driven]),
        room=_room(program),
    )


def _blanks(program: Program) -> dict[str, Any]:
    total = program.schedule.total
    ticks = {s: frozenset(t for t in range(total) if program.blanked(s, t)) for s in program.synapses}
    return {s.name: Blank(size=s.shape[0], ticks=found, total=total) for s, found in ticks.items() if found}


def _room(program: Program) -> dict[str, tuple[slice, int]]:
    limits = [(s, largest_message(s)) for s in program.synapses if graded(program, s)]
    return {s.name: (program.slices[s.pre], limit) for s, limit in limits if limit is not None}
