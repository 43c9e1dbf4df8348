"""Policies as agents: observations in, actions out, several episodes side by side.

An agent has ``batch`` slots; an episode lives in one. What a slot does depends on its own observations
and its own generator alone, never on its neighbours or on how many there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strl.chip.backend import SLOTS_MAX, Backend, Counts, backend
from strl.chip.codec import check_codec
from strl.chip.program import Messages, Program
from strl.codecs import decoder, encoder
from strl.codecs.base import Action, Float, Levels
from strl.errors import UsageError
from strl.ir.network import Network, shapes, size
from strl.ir.neurons import LIF
from strl.ir.reference import Reference
from strl.ir.semantics import Semantics
from strl.quantize.connections import output_population
from strl.quantize.neurons import COMPUTING

_ENCODER_STREAM = (1,)
"""Spawn key of an episode's encoder generator, which keeps it apart from the environment's own."""


def episode_rng(seed: int) -> np.random.Generator:
    """The generator that encodes the observations of the episode with this seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_ENCODER_STREAM))


class Agent(ABC):
    """A policy with the state of ``batch`` episodes.

    Attributes:
        semantics: what one decision is.
        batch: slots.
        populations: name → columns of the raster.
        computing: the populations that are neurons, not sources or gates.
        offsets: name → the raster's tick at which the population's logical tick 0 falls.
        ticks: ticks of a decision, rows of the raster.
        raster: [batch, ticks, neurons] of the last decision, of the type ``Program.message``; overwritten by
            the next one.
    """

    def __init__(self, semantics: Semantics, batch: int, *, inputs: int, outputs: int) -> None:
        if not 1 <= batch <= SLOTS_MAX:
            raise UsageError(f"batch = {batch}, must be 1 to {SLOTS_MAX}")
        check_codec(semantics, inputs, outputs)
        self.semantics = semantics
        self.batch = batch
        self.populations: Mapping[str, slice] = {}
        self.computing: tuple[str, ...] = ()
        self.offsets: Mapping[str, int] = {}
        self.ticks = 0
        self.raster: Messages = np.zeros((batch, 0, 0), np.uint8)
        self._encoder = encoder(semantics.encoder)
        self._decoder = decoder(semantics.decoder)
        self._rngs = [episode_rng(slot) for slot in range(batch)]
        self._predicted = 0

    def reset(self, slots: Sequence[int], rngs: Sequence[np.random.Generator]) -> None:
        """Begin an episode in each of ``slots``; its observations are encoded with its generator."""
        for slot, rng in zip(slots, rngs, strict=True):
            self._rngs[slot] = rng
        if slots:
            self._clear(slots)

    def act(self, observations: Float) -> Action:
        """One decision of every slot: [batch, *shape] → int64 [batch] or float32 [batch, *shape]."""
        ticks = self.semantics.ticks
        levels = self._encoder.encode(observations.reshape(self.batch, -1), ticks, self._rngs)
        return self._decoder.decode(self._decide(levels), ticks)

    def predict(
        self,
        observation: ArrayLike | Mapping[str, Any],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[Any, tuple[NDArray[Any], ...] | None]:
        """Stable-Baselines3's ``predict``, for its ``evaluate_policy`` and the like.

        Args:
            observation: one observation, or up to ``batch`` of them; row k belongs to slot k.
            state: handed back as it is; the agent keeps its own.
            episode_start: true for rows that begin an episode; without it none does after the first.
            deterministic: ignored, a policy has one action for an observation and a generator.

        Raises:
            UsageError: observations of another shape or not finite, or more than the agent has slots.
        """
        values, single = self._rows(observation)
        if episode_start is not None:
            fresh = np.flatnonzero(np.atleast_1d(episode_start)[: len(values)]).tolist()
            self.reset(fresh, [episode_rng(self._predicted + k) for k in range(len(fresh))])
            self._predicted += len(fresh)
        padded = np.zeros((self.batch, *values.shape[1:]))
        padded[: len(values)] = values
        actions = self.act(padded)[: len(values)]
        return (actions[0] if single else actions), state

    @abstractmethod
    def counts(self) -> Counts:
        """Events of each slot since its reset."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held; may be called twice."""

    @abstractmethod
    def _clear(self, slots: Sequence[int]) -> None:
        """Clear the state and counts of slots."""

    @abstractmethod
    def _decide(self, levels: Levels) -> Float:
        """Levels [T, batch, size] → read-out [batch, m] in float units; leaves the raster."""

    def _rows(self, observation: ArrayLike | Mapping[str, Any]) -> tuple[Float, bool]:
        """Observations [n, *shape], n ≤ batch, and whether it was a single one."""
        shape = self.semantics.environment.observation_shape
        try:
            given = np.asarray(observation)
            if given.dtype.kind not in "biufO":
                raise TypeError(f"they are {given.dtype}")
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(f"predict: observations must be arrays of numbers: {error}") from error
        if not np.isfinite(values).all():
            raise UsageError("predict: an observation holds a value that is not finite")
        single = values.shape == shape
        values = values[None] if single else values
        if values.shape[1:] != shape:
            raise UsageError(
                f"predict: observation has shape {values.shape}, must be {shape}, one or in a row"
            )
        if len(values) > self.batch:
            raise UsageError(
                f"predict: {len(values)} observations, the agent has {self.batch} slots",
                hint=f"make it with batch={len(values)}",
            )
        return values, single


class ChipAgent(Agent):
    """A program on a backend.

    Args:
        program: what runs.
        on: the backend, or its name.
        batch: slots.

    Raises:
        BackendError: the backend is missing, or cannot run this program or batch.
    """

    def __init__(self, program: Program, on: Backend | str = "loihi", batch: int = 1) -> None:
        super().__init__(
            program.semantics,
            batch,
            inputs=program.sources[0].size,
            outputs=program.population(program.readout.population).size,
        )
        self.program = program
        self._session = (backend(on) if isinstance(on, str) else on).load(program, batch=batch)
        self.populations = program.slices
        self.computing = tuple(p.name for p in program.populations if isinstance(p.kind, COMPUTING))
        self.offsets = {p.name: p.offset for p in program.populations}
        self.ticks = program.schedule.total
        self._unit = program.readout.unit

    def counts(self) -> Counts:
        return self._session.counts()

    def close(self) -> None:
        self._session.close()

    def _clear(self, slots: Sequence[int]) -> None:
        self._session.reset(slots)

    def _decide(self, levels: Levels) -> Float:
        decision = self._session.run(self.program.spikes(levels))
        self.raster = decision.raster
        return np.multiply(decision.readout, self._unit, dtype=np.float64)


class FloatAgent(Agent):
    """A network in double precision: what the policy does where nothing is rounded.

    Its raster holds the LIF populations in the network's order; every offset is 0.

    Args:
        network, semantics: what runs.
        batch: slots.

    Raises:
        ChipError: the output does not come from one population.
    """

    def __init__(self, network: Network, semantics: Semantics, batch: int = 1) -> None:
        self._output = output_population(network)
        found = shapes(network)
        inputs, outputs = size(found[network.input]), size(found[self._output])
        super().__init__(semantics, batch, inputs=inputs, outputs=outputs)
        self.network = network
        self._reference = Reference(network, batch)
        self.ticks = semantics.ticks + semantics.rest
        columns, start = {}, 0
        for name in self._reference.populations:
            node = network.nodes[name]
            assert isinstance(node, LIF)
            columns[name] = slice(start, start + node.size)
            start += node.size
        self.populations = columns
        self._silent = {name for name, node in network.nodes.items() if isinstance(node, LIF) and node.silent}
        self.computing = self._reference.populations
        self.offsets = dict.fromkeys(columns, 0)
        self._decisions = np.zeros(batch, np.int64)
        self._spikes = np.zeros((batch, start), np.int64)

    def counts(self) -> Counts:
        return Counts(ticks=self._decisions * self.ticks, spikes=self._spikes.copy(), active=None)

    def close(self) -> None:
        return

    def _clear(self, slots: Sequence[int]) -> None:
        index = list(slots)
        self._reference.reset(index)
        self._decisions[index] = 0
        self._spikes[index] = 0

    def _decide(self, levels: Levels) -> Float:
        driven = self.semantics.ticks
        if self.semantics.state == "reset":
            self._reference.reset()
        values = levels * self._encoder.unit
        silence = np.zeros_like(values[0])
        raster = np.zeros((self.batch, self.ticks, self._spikes.shape[1]), np.uint8)
        readout = np.zeros((self.batch, 0))
        for tick in range(self.ticks):
            on = tick < driven
            found = self._reference.tick(values[tick] if on else silence, driven=on)
            for name, columns in self.populations.items():
                if name not in self._silent:
                    raster[:, tick, columns] = found[name].reshape(self.batch, -1)
            if tick == driven - 1:
                readout = self._read(raster)
        self.raster = raster
        self._decisions += 1
        self._spikes += raster.sum(axis=1, dtype=np.int64)
        return readout

    def _read(self, raster: NDArray[np.uint8]) -> Float:
        if self.semantics.readout.kind == "membrane":
            return self._reference.potential(self._output).reshape(self.batch, -1)
        window = raster[:, : self.semantics.ticks, self.populations[self._output]]
        return np.asarray(window.sum(axis=1), dtype=np.float64)
