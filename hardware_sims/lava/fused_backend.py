"""Backend ``lava-fused``: a program as one Lava process of ours that runs a decision in one Lava step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hardware_sims.lava import compat
from hardware_sims.loihi.inputs import check_batch, check_spikes, input_shape, slot_indices
from strl.chip.backend import Counts, Decision, require_lava
from strl.chip.program import Messages, Program


class LavaFusedBackend:
    """One Lava process that computes with the chip's definition; any batch, every feature."""

    name = "lava-fused"

    def load(self, program: Program, *, batch: int = 1) -> LavaFusedSession:
        """See ``strl.chip.Backend``."""
        check_batch(batch)
        require_lava(program, self.name)
        compat.load()
        return LavaFusedSession(program, batch)


class LavaFusedSession:
    """A program loaded into one Lava process; answers ``strl.chip.Session``."""

    def __init__(self, program: Program, batch: int) -> None:
        from hardware_sims.lava.fused import Fused
        from hardware_sims.lava.runtime import Cluster, shared

        schedule = program.schedule
        read = program.population(program.readout.population).size
        self.program = program
        self.batch = batch
        self._memory = {
            "begin": shared((batch,), np.uint8),
            "spikes": shared(input_shape(program, batch), program.message),
            "raster": shared((batch, schedule.total, program.neurons), program.message),
            "readout": shared((batch, *program.readout.shape(read)), np.int32),
            "ticks": shared((batch,), np.int64),
            "fired": shared((batch, program.neurons), np.int64),
            "active": shared((batch, len(program.populations)), np.int64),
        }
        process = Fused(program=program, memory=self._memory)
        self._cluster = Cluster(process, [process])

    def reset(self, slots: Sequence[int] | None = None) -> None:
        index = slot_indices(slots, self.batch)
        self._memory["begin"][index] = 1
        for name in ("ticks", "fired", "active"):
            self._memory[name][index] = 0

    def run(self, spikes: Messages) -> Decision:
        check_spikes(spikes, self.program, self.batch)
        self._memory["spikes"][:] = spikes
        self._cluster.steps(1)
        return Decision(readout=self._memory["readout"].copy(), raster=self._memory["raster"].copy())

    def counts(self) -> Counts:
        ticks, spikes, active = (self._memory[name].copy() for name in ("ticks", "fired", "active"))
        return Counts(ticks=ticks, spikes=spikes, active=active)

    def close(self) -> None:
        self._cluster.close()
