"""Backend ``lava``: a program run by Lava's own stock processes and its real multi-process runtime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hardware_sims.lava import compat
from hardware_sims.loihi.inputs import check_batch, check_spikes, slot_indices
from strl.chip.backend import Counts, Decision, require_lava
from strl.chip.program import Messages, Program
from strl.errors import BackendError
from strl.quantize.neurons import Gate


class InexactError(BackendError):
    """A message came up for which Lava's sums differ from the definition's."""


class LavaBackend:
    """Lava's stock processes, and ours where it has none; one slot, for Lava has no batch."""

    name = "lava"

    def load(self, program: Program, *, batch: int = 1) -> LavaSession:
        """See ``strl.chip.Backend``; besides, what stock processes cannot do exactly is refused."""
        check_batch(batch)
        require_lava(program, self.name)
        compat.load()
        if batch != 1:
            raise BackendError(
                f"backend 'lava': batch = {batch}, Lava's stock processes run 1 environment",
                hint="use --batch 1, or --backend lava-fused",
            )
        return LavaSession(program)


class LavaSession:
    """A program loaded into Lava's stock processes; answers ``strl.chip.Session``."""

    batch = 1

    def __init__(self, program: Program) -> None:
        from hardware_sims.lava.network import build
        from hardware_sims.lava.runtime import Cluster

        self.program = program
        self._network = build(program)
        self._cluster = Cluster(self._network.host, self._network.processes)
        self._fresh = True
        self._decisions = 0
        self._spikes = np.zeros(program.neurons, np.int64)
        self._still = self._input_rows()
        self._sources = np.concatenate(
            [np.arange(program.slices[p.name].start, program.slices[p.name].stop) for p in program.sources]
            or [np.zeros(0, np.int64)]
        )

    def reset(self, slots: Sequence[int] | None = None) -> None:
        if not slot_indices(slots, self.batch).size:
            return
        self._decisions = 0
        self._spikes[:] = 0
        if not self._fresh:
            self._cluster.call(self._clear)
            self._fresh = True

    def run(self, spikes: Messages) -> Decision:
        program, network = self.program, self._network
        check_spikes(spikes, program, self.batch)
        network.raster[:, network.driven] = self._still[:, network.driven]
        network.raster[: len(spikes), self._sources] = spikes[:, 0]
        self._fresh = False
        self._cluster.steps(program.schedule.total)
        raster = network.raster[None].copy()
        try:
            network.require_room(raster)
        except InexactError:
            self.close()
            raise
        self._decisions += 1
        self._spikes += np.count_nonzero(raster[0], axis=0)
        return Decision(readout=self._readout(raster), raster=raster)

    def counts(self) -> Counts:
        ticks = self._decisions * self.program.schedule.total
        return Counts(ticks=np.array([ticks], np.int64), spikes=self._spikes[None].copy(), active=None)

    def close(self) -> None:
        self._cluster.close()

    def _readout(self, raster: Messages) -> NDArray[np.int32]:
        readout = self.program.readout
        if readout.kind == "potential":
            return self._network.membrane[None].copy()
        if readout.kind == "membrane":
            return np.asarray(self._network.membrane.sum(axis=0, dtype=np.int32))[None]  # of at most one
        window = raster[:, readout.start : readout.stop, self.program.slices[readout.population]]
        return np.asarray(window.sum(axis=1, dtype=np.int32))

    def _input_rows(self) -> Messages:
        """What sources and gates do in a decision without input: [ticks, neurons]."""
        shape = (self.program.schedule.total, self.program.neurons)
        rows: Messages = np.zeros(shape, self.program.message)
        for population in self.program.populations:
            if isinstance(population.kind, Gate):
                window = slice(population.kind.start, population.kind.stop)
                rows[window, self.program.slices[population.name]] = 1
        return rows

    def _clear(self) -> None:
        for process, name in self._network.state:
            var = getattr(process, name)
            var.set(np.zeros(var.shape, np.int32))
