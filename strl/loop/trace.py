"""Trace: every decision of one episode, spike by spike, in a file that numpy reads."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from strl.chip.program import Messages
from strl.codecs.base import Action, Float
from strl.content import Content
from strl.errors import StrlError, UsageError
from strl.files import regular, write_bytes
from strl.loop.agent import Agent

FILE = "trace.npz"
"""Name of the trace in a run's directory, where `strl report` looks for it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace(Content):
    """One episode.

    Args:
        seed: of the episode.
        observations: float64 [decisions, *shape].
        actions: int64 [decisions] or float32 [decisions, *shape].
        rasters: uint8 (int32 where messages are graded) [decisions, ticks, neurons].
        populations: name → columns of the rasters.
        offsets: name → tick of a decision at which the population's logical tick 0 falls.
    """

    seed: int
    observations: Float
    actions: NDArray[Any]
    rasters: Messages
    populations: Mapping[str, slice]
    offsets: Mapping[str, int]

    def save(self, path: Path) -> None:
        """Write an ``.npz`` without pickle; populations as names, starts, stops and offsets in one order.

        Raises:
            StrlError: it cannot be written.
        """
        names = list(self.populations)
        held = io.BytesIO()
        np.savez_compressed(
            held,
            seed=np.int64(self.seed),
            observations=self.observations,
            actions=self.actions,
            rasters=self.rasters,
            population_names=np.array(names, dtype=np.str_),
            population_starts=np.array([self.populations[n].start for n in names], np.int64),
            population_stops=np.array([self.populations[n].stop for n in names], np.int64),
            population_offsets=np.array([self.offsets[n] for n in names], np.int64),
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, held.getvalue())
        except OSError as error:
            raise StrlError(f"{path}: the trace cannot be written: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read what ``save`` wrote.

        Raises:
            UsageError: the file is missing or no trace.
        """
        try:
            with open(path, "rb", opener=regular) as file, np.load(file, allow_pickle=False) as arrays:
                held = {name: arrays[name] for name in arrays.files}
            names = [str(n) for n in held["population_names"]]
            spans = zip(held["population_starts"].tolist(), held["population_stops"].tolist(), strict=True)
            return cls(
                seed=int(held["seed"]),
                observations=held["observations"],
                actions=held["actions"],
                rasters=held["rasters"],
                populations={n: slice(a, b) for n, (a, b) in zip(names, spans, strict=True)},
                offsets=dict(zip(names, held["population_offsets"].tolist(), strict=True)),
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, BadZipFile) as error:
            raise UsageError(
                f"{path}: not a trace: {error}", hint="write one with strl run --trace"
            ) from error


class Recorder:
    """A watcher that keeps the episode in slot 0."""

    def __init__(self) -> None:
        self._forget(0)

    def _forget(self, seed: int) -> None:
        self._seed = seed
        self._observations: list[Float] = []
        self._actions: list[NDArray[Any]] = []
        self._rasters: list[Messages] = []

    def begun(self, slots: Sequence[int], seeds: Sequence[int]) -> None:
        self._forget(seeds[slots.index(0)])

    def decided(self, agent: Agent, observations: Float, actions: Action, live: Sequence[int]) -> None:
        self._observations.append(observations[0].copy())
        self._actions.append(np.array(actions[0]))
        self._rasters.append(agent.raster[0].copy())

    def trace(self, agent: Agent) -> Trace:
        """What was kept of the one episode that ``agent`` played."""
        return Trace(
            seed=self._seed,
            observations=np.stack(self._observations),
            actions=np.stack(self._actions),
            rasters=np.stack(self._rasters),
            populations=agent.populations,
            offsets=agent.offsets,
        )
