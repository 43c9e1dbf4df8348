"""A session on a torch device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hardware_sims.loihi.inputs import check_batch, check_spikes, slot_indices
from hardware_sims.torch.arithmetic import exact
from hardware_sims.torch.leaky import Leaky
from hardware_sims.torch.neurons import blocks
from strl.chip.backend import Counts, Decision
from strl.chip.program import Messages, Program
from strl.errors import BackendError
from strl.quantize.neurons import Gate, Source


class TorchSession:
    """A program run by torch; answers ``strl.chip.backend.Session``.

    Everything stays on the device but the input, the raster and the read-out, which are copied once a
    decision. ``u`` and ``v`` show the state [batch, n] of each population with one by name, for whoever
    compares.
    """

    def __init__(self, program: Program, batch: int, device: torch.device) -> None:
        check_batch(batch)
        self.program = program
        self.batch = batch
        self.device = device
        self._past = past = max((s.delay for s in program.synapses), default=1)
        self._blocks = blocks(program, batch, device)
        # Row past + t holds the messages of tick t of the decision, those before it the ones of the last.
        shape = past + program.schedule.total, batch, program.neurons
        message = torch.uint8 if program.message is np.uint8 else torch.int32
        self._history = torch.zeros(shape, dtype=message, device=device)
        for population in program.populations:
            if isinstance(population.kind, Gate):
                rows = slice(past + population.kind.start, past + population.kind.stop)
                self._history[rows, :, program.slices[population.name]] = 1
        self._clock = 0
        self._began = np.zeros(batch, np.int64)
        populations = len(program.populations)
        self._spikes = torch.zeros((batch, program.neurons), dtype=torch.int64, device=device)
        self._active = torch.zeros((batch, populations), dtype=torch.int64, device=device)
        self._numbers = {p.name: k for k, p in enumerate(program.populations)}

    @property
    def u(self) -> Mapping[str, NDArray[np.int32]]:
        return self._state("u")

    @property
    def v(self) -> Mapping[str, NDArray[np.int32]]:
        return self._state("v")

    def reset(self, slots: Sequence[int] | None = None) -> None:
        index = slot_indices(slots, self.batch)
        with exact(self.device):
            chosen = torch.from_numpy(index).to(self.device)
            for block in self._blocks:
                for state in block.states():
                    state[chosen] = 0
            self._history[: self._past, chosen] = 0
            for count in (self._spikes, self._active):
                count[chosen] = 0
        self._began[index] = self._clock

    def run(self, spikes: Messages) -> Decision:
        check_spikes(spikes, self.program, self.batch)
        with within_memory(self.batch, self.device), exact(self.device):
            self._drive(spikes)
            potentials = self._ticks()
            self._count()
            decision = Decision(readout=self._readout(potentials), raster=self._raster())
            self._history[: self._past] = self._history[self.program.schedule.total :].clone()
        self._clock += self.program.schedule.total
        return decision

    def counts(self) -> Counts:
        ticks = self._clock - self._began
        spikes, active = (_array(c.clone()) for c in (self._spikes, self._active))
        return Counts(ticks=ticks, spikes=spikes, active=active)

    def close(self) -> None:
        self._blocks = []
        self._history = self._history[:0].clone()

    def _state(self, what: str) -> dict[str, NDArray[np.int32]]:
        return {
            name: _array(getattr(block, what)[:, here].to(torch.int32))
            for block in self._blocks
            if isinstance(block, Leaky)
            for name, here in block.columns.items()
        }

    def _drive(self, spikes: Messages) -> None:
        """Copy the input into the rows of the driven ticks."""
        if not (spikes.flags.c_contiguous and spikes.flags.writeable):
            spikes = np.array(spikes, order="C")  # which torch can take
        sent = torch.from_numpy(spikes).to(self.device)
        rows = self._history[self._past : self._past + self.program.schedule.ticks]
        column = 0
        for source in self.program.sources:
            assert isinstance(source.kind, Source)
            rows[:, :, self.program.slices[source.name]] = sent[:, :, column : column + source.size]
            column += source.size

    def _ticks(self) -> Tensor | None:
        """Run all ticks; gives the potentials that are read [batch, ticks, m], where some are."""
        readout = self.program.readout
        potentials = None
        for tick in range(self.program.schedule.total):
            row = self._past + tick
            for block in self._blocks:
                block.collect(tick, self._history, row)
                block.advance(tick, self._history[row])
                member = readout.population in block.columns
                if tick in readout.probed and member:
                    assert isinstance(block, Leaky)
                    now = block.probe()[:, block.columns[readout.population]].to(torch.int32)
                    if potentials is None:
                        shape = (self.batch, len(readout.probed), now.shape[1])
                        potentials = torch.zeros(shape, dtype=torch.int32, device=self.device)
                    potentials[:, tick - readout.probed.start] = now
        return potentials

    def _count(self) -> None:
        for rows in torch.split(self._history[self._past :], 255):  # whose count fits a byte
            sent = rows if rows.dtype == torch.uint8 else rows.ne(0)
            self._spikes.add_(sent.sum(dim=0, dtype=torch.uint8))
        for block in self._blocks:
            for name, here in block.columns.items():
                self._active[:, self._numbers[name]] += block.active[:, here].sum(dim=1)
            block.active.zero_()

    def _readout(self, potentials: Tensor | None) -> NDArray[np.int32]:
        readout = self.program.readout
        if potentials is not None:
            return _array(potentials if readout.kind == "potential" else potentials[:, 0].contiguous())
        columns = self.program.slices[readout.population]
        if readout.kind != "count":  # of no tick
            return np.zeros((self.batch, *readout.shape(columns.stop - columns.start)), np.int32)
        rows = self._history[self._past + readout.start : self._past + readout.stop, :, columns]
        return _array(rows.sum(dim=0, dtype=torch.int64)).astype(np.int32)  # which wraps

    def _raster(self) -> Messages:
        """[batch, ticks, neurons], a copy."""
        raster = self._history[self._past :].transpose(0, 1).clone(memory_format=torch.contiguous_format)
        return _array(raster)


def _array(tensor: Tensor) -> NDArray[Any]:
    """On the host; by way of pinned memory, which a GPU copies into several times faster."""
    if tensor.device.type != "cpu":
        tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
    found: NDArray[Any] = tensor.numpy()
    return found


@contextmanager
def within_memory(batch: int, device: torch.device) -> Iterator[None]:
    """Says as BackendError that memory does not suffice; on a CPU torch has no error of its own for it."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise BackendError(
            f"backend 'torch': {batch} slots do not fit the memory of {device}",
            hint="load the program with fewer slots",
        ) from error
