"""ActivityCounts: the events of a run, core by core. They add up over episodes."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from strl.chip.program import Part, Program
from strl.errors import ChipError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Synapse

Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ActivityCounts:
    """Events of any number of decisions. Arrays are [cores in use].

    Args:
        decisions, ticks: how long it ran.
        synops_dense, synops_sparse: synaptic operations at the receiving core, by storage format: every
            slot of a dense axon, the non-zero weights of a sparse one.
        updates: neuron updates (each neuron, each tick).
        spikes: spikes of neurons on the core.
        messages_out: messages to other cores or the own one, one for each destination core of a spike.
        messages_in: messages received, those from the host (sources and gates) among them.
        host_spikes: spikes of sources and gates.
        hops_ew, hops_ns: router hops of the messages between cores.
        active: updates with non-zero input or state; ``None`` where the backend cannot know.
        resets: times that the chip's state was cleared.
    """

    decisions: int
    ticks: int
    synops_dense: Int
    synops_sparse: Int
    updates: Int
    spikes: Int
    messages_out: Int
    messages_in: Int
    host_spikes: int
    hops_ew: int
    hops_ns: int
    active: int | None
    resets: int

    def __add__(self, other: ActivityCounts) -> ActivityCounts:
        summed = {
            f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "active"
        }
        known = self.active is not None and other.active is not None
        active = (self.active or 0) + (other.active or 0) if known else None
        return ActivityCounts(**summed, active=active)

    @property
    def synaptic_ops(self) -> int:
        return int(self.synops_dense.sum() + self.synops_sparse.sum())

    @property
    def packets(self) -> int:
        """Messages that enter a core, wherever they come from."""
        return int(self.messages_in.sum())

    def to_dict(self) -> dict[str, int | None]:
        """Totals over the cores, for JSON."""
        return {
            "synaptic_ops": self.synaptic_ops,
            "synaptic_ops_dense": int(self.synops_dense.sum()),
            "synaptic_ops_sparse": int(self.synops_sparse.sum()),
            "neuron_updates": int(self.updates.sum()),
            "active_updates": self.active,
            "spikes": int(self.spikes.sum()),
            "host_spikes": self.host_spikes,
            "packets": self.packets,
            "hops_ew": self.hops_ew,
            "hops_ns": self.hops_ns,
            "resets": self.resets,
        }


class Wiring:
    """What one spike of each neuron of a program causes; multiplied with spike counts it is activity."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._cores = sorted({part.core for part in program.placement})
        self._column = {core: i for i, core in enumerate(self._cores)}
        neurons, cores = program.neurons, len(self._cores)
        if not cores:
            raise ChipError("program: no population is placed on a core")
        self._dense = np.zeros((neurons, cores), np.int64)
        self._sparse = np.zeros((neurons, cores), np.int64)
        self._reach = np.zeros((neurons, cores), bool)  # does a spike go to that core?
        self._home = np.zeros((neurons, cores), bool)  # does the neuron live there?
        slices = program.slices
        for part in program.placement:
            first = slices[part.population].start
            self._home[first + part.start : first + part.stop, self._column[part.core]] = True
        for synapse in program.synapses:
            slots = _slots(synapse)
            for part in program.placement:
                if part.population == synapse.post:
                    self._add(slots[part.start : part.stop], synapse, part, slices[synapse.pre])
        self._on_chip = self._home.any(axis=1)
        self._ew, self._ns = self._hops()

    def _add(self, slots: NDArray[np.bool_], synapse: Synapse, part: Part, pre: slice) -> None:
        column = self._column[part.core]
        stored = np.count_nonzero(slots, axis=0)
        (self._dense if synapse.format == "dense" else self._sparse)[pre, column] += stored
        self._reach[pre, column] |= stored > 0

    def _hops(self) -> tuple[Int, Int]:
        """Router hops [neurons] that one spike of each neuron takes; 0 for those of the host."""
        chip = self._program.chip
        cores = np.array(self._cores)
        tile = cores // chip.limit("cores_per_tile")
        ew, ns = tile // chip.limit("tiles_ns"), tile % chip.limit("tiles_ns")
        routes = self._home[:, :, None] & self._reach[:, None, :]

        def hops(axis: Int) -> Int:
            return np.asarray((routes * np.abs(axis[:, None] - axis)).sum(axis=(1, 2)), dtype=np.int64)

        return hops(ew), hops(ns)

    def activity(self, spikes: Int, *, ticks: int, decisions: int, active: Int | None) -> ActivityCounts:
        """Activity of one slot.

        Args:
            spikes: [neurons] spikes of each neuron.
            ticks, decisions: how long it ran.
            active: [populations] active updates, or ``None``.
        """
        program = self._program
        reached = self._reach * spikes[:, None]
        out = reached[self._on_chip].sum(axis=1)
        updates = self._home.sum(axis=0) * ticks
        return ActivityCounts(
            decisions=decisions,
            ticks=ticks,
            synops_dense=spikes @ self._dense,
            synops_sparse=spikes @ self._sparse,
            updates=updates.astype(np.int64),
            spikes=(self._home * spikes[:, None]).sum(axis=0),
            messages_out=out @ self._home[self._on_chip],
            messages_in=reached.sum(axis=0),
            host_spikes=int(spikes[~self._on_chip].sum()),
            hops_ew=int(spikes @ self._ew),
            hops_ns=int(spikes @ self._ns),
            active=None if active is None else int(active.sum()),
            resets=decisions if program.schedule.state == "reset" else 0,
        )


def _slots(synapse: Synapse) -> NDArray[np.bool_]:
    """Which pairs [post, pre] have a slot in memory: the non-zero ones where sparse, else all."""
    matrix = np.ones(1, np.int16)
    if synapse.format == "sparse":
        matrix = synapse.matrix
    elif isinstance(synapse.weight, Kernel):
        matrix = replace(synapse.weight, weight=np.ones_like(synapse.weight.weight)).matrix()
    return np.broadcast_to(matrix.astype(bool), synapse.shape)
