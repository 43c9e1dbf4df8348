"""The kernel as a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi import kernel
from hardware_sims.loihi.inputs import check_batch, check_shape, check_values, input_shape, slot_indices
from hardware_sims.loihi.kernel import LANES
from hardware_sims.loihi.layout import layout
from strl.chip.backend import Counts, Decision
from strl.chip.program import Program


class LoihiSession:
    """A program run by the kernel; answers ``strl.chip.backend.Session``.

    Each ``run`` answers fresh arrays. ``u`` and ``v`` show the state [batch, n] of each LIF population
    by name, for whoever compares.
    """

    def __init__(self, program: Program, batch: int) -> None:
        check_batch(batch)
        self.program = program
        self.batch = batch
        self._layout = plan = layout(program)
        blocks = plan.parameters.shape[1]
        self._u = np.zeros((batch, blocks, LANES), np.int32)
        self._v = np.zeros((batch, blocks, LANES), np.int32)
        self._events = np.zeros((batch, plan.ring, program.neurons + LANES), np.int32)
        self._event_counts = np.zeros((batch, plan.ring, len(program.populations)), np.int32)
        self._spikes = np.zeros((batch, program.neurons), np.int64)
        self._active = np.zeros((batch, len(program.populations)), np.int64)
        self._ticks = np.zeros(batch, np.int64)
        self._clock = 0
        self._total = program.schedule.total
        self._input_shape = input_shape(program, batch)
        self._raster_shape = (batch, self._total, program.neurons)
        self._readout_shape = (batch, program.population(program.readout.population).size)

    @property
    def u(self) -> Mapping[str, NDArray[np.int32]]:
        return self._by_name(self._u)

    @property
    def v(self) -> Mapping[str, NDArray[np.int32]]:
        return self._by_name(self._v)

    def reset(self, slots: Sequence[int] | None = None) -> None:
        index = slot_indices(slots, self.batch)
        for state in (self._u, self._v, self._event_counts, self._spikes, self._active, self._ticks):
            state[index] = 0

    def run(self, spikes: NDArray[np.uint8]) -> Decision:
        check_shape(spikes, self._input_shape)
        check_values(spikes)
        if not (spikes.flags.c_contiguous and spikes.flags.writeable):
            spikes = np.array(spikes)  # one compiled variant for all
        plan = self._layout
        raster = np.empty(self._raster_shape, np.uint8)
        readout = np.zeros(self._readout_shape, np.int32)
        kernel.run(
            0,
            self.batch,
            self._clock,
            plan.schedule,
            plan.populations,
            plan.synapses,
            plan.rows,
            plan.parameters,
            self._u,
            self._v,
            self._events,
            self._event_counts,
            spikes,
            raster,
            readout,
            self._spikes,
            self._active,
        )
        self._clock += self._total
        self._ticks += self._total
        return Decision(readout=readout, raster=raster)

    def counts(self) -> Counts:
        return Counts(ticks=self._ticks.copy(), spikes=self._spikes.copy(), active=self._active.copy())

    def close(self) -> None:
        return

    def _by_name(self, state: NDArray[np.int32]) -> Mapping[str, NDArray[np.int32]]:
        flat = state.reshape(self.batch, -1)
        first = {name: block * LANES for name, block in self._layout.first.items()}
        return {name: flat[:, at : at + self.program.population(name).size] for name, at in first.items()}


class LoihiBackend:
    """The Loihi simulator to use: the kernel."""

    name = "loihi"

    def load(self, program: Program, *, batch: int = 1) -> LoihiSession:
        return LoihiSession(program, batch)
