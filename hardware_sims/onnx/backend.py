"""onnxruntime as a backend: it runs the very graph that ``strl export --target onnx --integer`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi.inputs import check_batch, check_spikes, slot_indices
from strl.chip.backend import Counts, Decision
from strl.chip.exporter import exporter
from strl.chip.program import Messages, Program
from strl.errors import BackendError, ModelError


class Maker(Protocol):
    """What the target's exporter makes of a program, beside files."""

    def decision(self, program: Program) -> tuple[Any, list[dict[str, Any]]]:
        """An ``InferenceSession`` from a decision's ``spikes`` to ``readout`` and ``raster``; its states."""


class OnnxBackend:
    """Runs programs in onnxruntime, on one thread of the CPU."""

    name = "onnx"

    def load(self, program: Program, *, batch: int = 1) -> OnnxSession:
        return OnnxSession(program, batch)


class OnnxSession:
    """A program in onnxruntime; answers ``strl.chip.backend.Session``."""

    def __init__(self, program: Program, batch: int) -> None:
        check_batch(batch)
        self.program = program
        self.batch = batch
        # Through the door, as anyone's: simulators do not know exporters.
        try:
            self._session, memory = cast(Maker, exporter("onnx")).decision(program)
        except ModelError as error:
            raise BackendError(f"backend 'onnx': {error.message}", hint=error.hint) from error
        self._next: dict[str, str] = {m["name"]: m["next"] for m in memory}
        self._states: dict[str, NDArray[Any]] = {
            m["name"]: np.zeros((batch, *m["shape"][1:]), m["dtype"]) for m in memory
        }
        self._ticks = np.zeros(batch, np.int64)
        self._spikes = np.zeros((batch, program.neurons), np.int64)

    def reset(self, slots: Sequence[int] | None = None) -> None:
        index = slot_indices(slots, self.batch)
        for state in (*self._states.values(), self._ticks, self._spikes):
            state[index] = 0

    def run(self, spikes: Messages) -> Decision:
        check_spikes(spikes, self.program, self.batch)
        given = {"spikes": np.ascontiguousarray(spikes), **self._states}
        outputs = ["readout", "raster", *self._next.values()]
        readout, raster, *left = self._session.run(outputs, given)
        self._states = dict(zip(self._next, left, strict=True))
        self._ticks += self.program.schedule.total
        self._spikes += (raster != 0).sum(axis=1)
        return Decision(readout=readout, raster=raster)

    def counts(self) -> Counts:
        return Counts(ticks=self._ticks.copy(), spikes=self._spikes.copy(), active=None)

    def close(self) -> None:
        return
