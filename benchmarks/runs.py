"""Runs of one slot whose inside can be looked at: u, v, synaptic sums and messages of every tick."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi.definition import DefinitionSession
from strl.chip import Decision, Program, Session
from strl.chip.program import Messages
from strl.quantize.neurons import Gate

Trace = dict[str, dict[str, Any]]
"""By population and what: u, v, a0, a1 (sums at its ports), sent; each [ticks, neurons]."""


class Run:
    """A session of one slot."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def decide(self, spikes: Messages) -> tuple[Decision | None, Trace]:
        """One decision, and what could be traced of it."""
        return self._session.run(spikes), {}

    def reset(self) -> None:
        self._session.reset()

    def close(self) -> None:
        self._session.close()


class DefinitionRun(DefinitionSession):
    """The definition, traced, as a ``Run``."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, 1)
        self._rows: dict[str, dict[str, list[Any]]] = {}

    def decide(self, spikes: Messages) -> tuple[Decision, Trace]:
        self._rows = {}
        decision = self.run(spikes)
        rows = self._rows.items()
        return decision, {name: {key: np.array(v) for key, v in kept.items()} for name, kept in rows}

    def tick(self, tick: int, driven: Messages) -> Any:
        now = super().tick(tick, driven)
        for key, found in (("u", self.u), ("v", self.v)):
            for name, values in found.items():
                self._keep(name, key, values)
        for (name, port), values in self.sums.items():
            self._keep(name, f"a{port}", values)
        return now

    def _keep(self, name: str, key: str, values: Any) -> None:
        self._rows.setdefault(name, {}).setdefault(key, []).append(values[0].copy())


class ModelRun(Run):
    """Lava's process models in this process."""

    def __init__(self, program: Program) -> None:
        from hardware_sims.lava.inline import Inline
        from hardware_sims.lava.network import build

        # A membrane is read by Lava's runtime; here v is traced.
        self._program = replace(program, readout=replace(program.readout, kind="count"))
        self._network = build(self._program)
        self._models = Inline(self._network)
        self._sources = np.concatenate([np.r_[program.slices[p.name]] for p in program.sources])

    @property
    def processes(self) -> list[str]:
        """Names of the Lava processes."""
        return [type(p).__name__ for p in self._network.processes[1:]]

    def decide(self, spikes: Messages) -> tuple[Decision | None, Trace]:
        raster: NDArray[Any] = self._network.raster
        raster[:] = 0
        raster[: len(spikes), self._sources] = spikes[:, 0]
        for population in self._program.populations:
            if isinstance(population.kind, Gate):
                window = slice(population.kind.start, population.kind.stop)
                raster[window, self._program.slices[population.name]] = 1
        self._models.steps(self._program.schedule.total)
        self._network.require_room(raster)
        trace = self._models.take()
        for population in self._program.populations:
            trace.setdefault(population.name, {})["sent"] = raster[:, self._program.slices[population.name]]
        return None, trace

    def reset(self) -> None:
        self._models.clear()

    def close(self) -> None:
        return
