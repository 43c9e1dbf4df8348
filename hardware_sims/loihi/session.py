"""A session of the kernel: its arrays, and who runs which slots."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi.inputs import (
    check_batch,
    check_shape,
    check_values,
    input_shape,
    slot_indices,
)
from hardware_sims.loihi.kernel.columns import LANES
from hardware_sims.loihi.kernel.messages import valid
from hardware_sims.loihi.kernel.run import run
from hardware_sims.loihi.layout import Layout, layout
from strl.chip.backend import Counts, Decision
from strl.chip.program import Messages, Program
from strl.quantize.neurons import Lif, Ternary

SHARE = 65_536
"""Neuron updates a decision that make a thread worth waking: about 80 µs, twice what waking takes."""

NO_LEVELS = np.zeros((0, 0, 0), np.int32)


class LoihiSession:
    """A program run by the kernel; answers ``strl.chip.backend.Session``.

    Each ``run`` answers fresh arrays. ``u`` and ``v`` show the state [batch, n] of each population with one
    by name, for whoever compares.
    """

    def __init__(self, program: Program, batch: int, *, threads: int = 1) -> None:
        check_batch(batch)
        self.program = program
        self.batch = batch
        self._layout = plan = layout(program)
        self._clock = 0
        self._total = program.schedule.total
        self._input_shape = input_shape(program, batch)
        self._raster_shape = (batch, self._total, program.neurons)
        read = program.population(program.readout.population).size
        self._readout_shape = (batch, *program.readout.shape(read))
        self._began = np.zeros(batch, np.int64)
        self._message = program.message
        # Spikes of each neuron and active neurons of each population, side by side.
        self._counts = np.zeros((batch, program.neurons + len(program.populations)), np.int64)
        # u and v, and in ``loihi1`` for how long v is held.
        shape = (plan.parameters.shape[1], LANES)
        self._state = np.zeros((batch, 2, *shape), np.int32)
        self._held = np.zeros((batch, *shape), np.int32) if program.arithmetic == "loihi1" else None
        # Of the last ticks, the indices of the neurons that spiked, then how many of each population did; and
        # what the graded ones sent.
        self._events = np.zeros((batch, plan.ring, self._counts.shape[1]), np.int32)
        graded = program.neurons if self._message is np.int32 else 0
        self._values = None if plan.plain else np.zeros((batch, plan.ring, graded), np.int32)
        # What the kernel takes in every call, in its order.
        tables, weights = (
            (plan.schedule, plan.populations, plan.synapses),
            (plan.rows, plan.patches, plan.table),
        )
        state = (self._state, self._held, self._events, self._values, self._counts)
        self._slots = _shares(program, batch, threads)
        self._arrays = (*tables, *weights, plan.parameters, *state, *_scratch(plan, len(self._slots)))
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None
        self._process = os.getpid()
        self._compile()

    @property
    def u(self) -> Mapping[str, NDArray[np.int32]]:
        return self._by_name(self._state[:, 0])

    @property
    def v(self) -> Mapping[str, NDArray[np.int32]]:
        return self._by_name(self._state[:, 1])

    @property
    def held(self) -> Mapping[str, NDArray[np.int32]]:
        """Ticks until v lives again, 0 where it does; nothing in arithmetic ``lava``."""
        return {} if self._held is None else self._by_name(self._held)

    def probe(self, population: str) -> NDArray[np.int32]:
        """What a probe of v reads [batch, n]: v, or where a neuron holds it, for how long."""
        v, held = self.v[population], self.held.get(population, np.int32(0))
        return np.where(held > 0, 128 * held, v)

    @property
    def threads(self) -> int:
        """How many threads share the slots."""
        return len(self._slots)

    def reset(self, slots: Sequence[int] | None = None) -> None:
        index = slot_indices(slots, self.batch)
        self._state[index] = 0
        if self._held is not None:
            self._held[index] = 0
        self._events[index, :, self.program.neurons :] = 0
        self._counts[index] = 0
        self._began[index] = self._clock

    def run(self, spikes: Messages) -> Decision:
        check_shape(spikes, self._input_shape, self._message)
        if not (spikes.flags.c_contiguous and spikes.flags.writeable):
            spikes = np.array(spikes, order="C")  # numba would compile a variant for each such kind
        raster = np.empty(self._raster_shape, self._message)
        readout = np.zeros(self._readout_shape, np.int32)
        if spikes.dtype != np.uint8 or not valid(spikes):
            check_values(spikes, self.program)  # says which
        driven, levels = _divided(spikes)
        arrays = (self._clock, *self._arrays, driven, levels, raster, readout.reshape(self.batch, -1))
        if self._pool is None:
            run(0, 0, self.batch, *arrays)
        else:
            self._share(arrays)
        self._clock += self._total
        return Decision(readout=readout, raster=raster)

    def counts(self) -> Counts:
        ticks = self._clock - self._began
        spikes, active = np.split(self._counts.copy(), [self.program.neurons], axis=1)
        return Counts(ticks=ticks, spikes=spikes, active=active)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _compile(self) -> None:
        """Load the compiled kernel now, by running it on no slot, so that no decision waits for it."""
        spikes = np.zeros(self._input_shape, self._message)
        raster = np.empty(self._raster_shape, self._message)
        readout = np.empty(self._readout_shape, np.int32)
        if spikes.dtype == np.uint8:
            valid(spikes)
        run(0, 0, 0, self._clock, *self._arrays, *_divided(spikes), raster, readout.reshape(self.batch, -1))

    def _share(self, arrays: tuple[Any, ...]) -> None:
        if self._pool is None or self._process != os.getpid():  # a fork has the pool, but none of its threads
            self._pool, self._process = ThreadPoolExecutor(self.threads - 1), os.getpid()
        pool = self._pool
        waiting = [pool.submit(run, k, *self._slots[k], *arrays) for k in range(1, self.threads)]
        run(0, *self._slots[0], *arrays)
        for future in waiting:
            future.result()

    def _by_name(self, state: NDArray[np.int32]) -> Mapping[str, NDArray[np.int32]]:
        flat = state.reshape(self.batch, -1)
        stateful = {p.name for p in self.program.populations if isinstance(p.kind, Lif | Ternary)}
        first = {n: block * LANES for n, block in self._layout.first.items() if n in stateful}
        return {name: flat[:, at : at + self.program.population(name).size] for name, at in first.items()}


def _scratch(plan: Layout, threads: int) -> tuple[NDArray[Any], ...]:
    """What each thread works in: blocks of numbers, of flags, an order of events, a plane of sums."""
    blocks = np.zeros((threads, 3, plan.most, LANES), np.int32)
    flags = np.zeros((threads, 3, plan.most, LANES), np.uint8)
    flags[:, 2] = 1
    return blocks, flags, np.zeros((threads, plan.order), np.int32), np.zeros((threads, plan.plane), np.int32)


def _divided(messages: Messages) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Input as the kernel takes it: as spikes, and as levels where some are."""
    if messages.dtype == np.uint8:
        return messages.view(np.uint8), NO_LEVELS
    return (messages != 0).astype(np.uint8), messages.view(np.int32)


def _shares(program: Program, batch: int, threads: int) -> list[tuple[int, int]]:
    """Slots low..high − 1 of each thread."""
    work = batch * program.neurons * program.schedule.total
    count = max(1, min(threads, batch, work // SHARE))
    edges = np.linspace(0, batch, count + 1).astype(int).tolist()
    return list(pairwise(edges))
