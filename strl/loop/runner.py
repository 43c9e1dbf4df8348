"""The closed loop: agent and environments in lockstep, one episode a slot.

Each slot has an environment instance of its own, and the episode with seed s is reset with s and encoded
by s's generator; so an episode is the same whatever runs beside it.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from strl.chip.backend import Counts
from strl.codecs.base import Action, Float
from strl.errors import EnvironmentFault
from strl.loop.agent import Agent, episode_rng
from strl.loop.environment import Environment, World
from strl.loop.results import EpisodeResult


class Watcher(Protocol):
    """Sees every decision of the episodes that are played."""

    def begun(self, slots: Sequence[int], seeds: Sequence[int]) -> None:
        """An episode begins in each of ``slots``."""

    def decided(self, agent: Agent, observations: Float, actions: Action, live: Sequence[int]) -> None:
        """``agent`` has acted; only the rows of ``live`` slots mean something. Arrays are reused: copy."""


class _Slot:
    """One environment and the episode that runs in it."""

    def __init__(self, index: int, world: World) -> None:
        self.index = index
        self.world = world
        self.begin(0)

    def begin(self, seed: int) -> None:
        self.seed = seed
        self.total = 0.0
        self.length = 0
        self.hasher = hashlib.sha256()

    def result(self, counts: Counts, wall: float) -> EpisodeResult:
        return EpisodeResult(
            seed=self.seed,
            return_=self.total,
            length=self.length,
            digest=self.hasher.hexdigest(),
            ticks=int(counts.ticks[self.index]),
            spikes=counts.spikes[self.index],
            active=None if counts.active is None else counts.active[self.index],
            wall_s=wall,
        )


def play(
    agent: Agent, environment: Environment, seeds: Iterable[int], *, watcher: Watcher | None = None
) -> Generator[EpisodeResult, None, None]:
    """Play the episode of every seed; yields each as it ends, in whatever order they end.

    Args:
        agent: its slots are used side by side; none holds state from before.
        environment: every slot makes an instance of it.
        seeds: one an episode; the next is taken when a slot is free.
        watcher: sees every decision.

    Raises:
        EnvironmentFault: an environment fails, or gives what is not a number; names environment, seed and
            step. Episodes that ended before are yielded first, so are all before one that fails to close.
    """
    waiting = iter(seeds)
    first = list(islice(waiting, agent.batch))
    if not first:
        return
    clock = time.perf_counter()
    with ExitStack() as stack:
        worlds = [stack.enter_context(environment.opened()) for _ in first]
        live = [_Slot(k, world) for k, world in enumerate(worlds)]
        space = worlds[0].action_space
        observations = np.zeros((agent.batch, *agent.semantics.environment.observation_shape))
        starting = list(zip(live, first, strict=True))
        while live:
            if starting:
                _begin(agent, environment.id, starting, observations)
                if watcher is not None:
                    watcher.begun([s.index for s, _ in starting], [seed for _, seed in starting])
            actions = agent.act(observations)
            if watcher is not None:
                watcher.decided(agent, observations, actions, [s.index for s in live])
            ended, fault = _step(agent, environment.id, live, space, actions, observations)
            if ended:
                counts, now = agent.counts(), time.perf_counter()
                for number, slot in enumerate(ended):
                    yield slot.result(counts, 0.0 if number else now - clock)
                clock = now
            if fault is not None:
                raise fault
            starting = list(zip(ended, waiting, strict=False))  # the slots first: a seed taken is played
            idle = ended[len(starting) :]
            live = [s for s in live if s not in idle] if idle else live


def _begin(agent: Agent, name: str, starting: list[tuple[_Slot, int]], observations: Float) -> None:
    for slot, seed in starting:
        slot.begin(seed)
        try:
            observations[slot.index], _ = slot.world.reset(seed=seed)
        except (Exception, SystemExit) as error:
            raise _fault(name, slot, "reset", error) from error
    _refuse_infinite(name, [slot for slot, _ in starting], observations)
    agent.reset([slot.index for slot, _ in starting], [episode_rng(seed) for _, seed in starting])


def _step(
    agent: Agent,
    name: str,
    live: list[_Slot],
    space: gymnasium.Space[Any],
    actions: Action,
    observations: Float,
) -> tuple[list[_Slot], EnvironmentFault | None]:
    """Step every live slot; gives those whose episode ended, and a fault that stopped the round."""
    raster = agent.raster
    moves = _moves(actions, space)
    data = actions.tobytes()
    width = len(data) // agent.batch
    ended: list[_Slot] = []
    for slot in live:
        k = slot.index
        slot.hasher.update(raster[k])
        slot.hasher.update(data[k * width : (k + 1) * width])
        try:
            observations[k], reward, terminated, truncated, _ = slot.world.step(moves[k])
            slot.total += float(reward)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is raised after the round's episodes
            fault = _fault(name, slot, f"step {slot.length}", error)
            fault.__cause__ = error
            return ended, fault
        if not math.isfinite(slot.total):
            return ended, EnvironmentFault(
                f"{_where(name, slot)}, step {slot.length}: the reward is {reward}, must be finite"
            )
        slot.length += 1
        if terminated or truncated:
            ended.append(slot)
    try:
        _refuse_infinite(name, live, observations)
    except EnvironmentFault as fault:
        return ended, fault
    return ended, None


def _moves(actions: Action, space: gymnasium.Space[Any]) -> Any:
    """What each slot's environment is given."""
    if isinstance(space, spaces.Discrete):
        return actions.tolist()
    return actions.reshape(len(actions), *(space.shape or ()))


def _refuse_infinite(name: str, slots: list[_Slot], observations: Float) -> None:
    if np.isfinite(observations).all():
        return
    for slot in slots:
        if not np.isfinite(observations[slot.index]).all():
            raise EnvironmentFault(
                f"{_where(name, slot)}, step {slot.length}: an observation is not a finite number"
            )


def _where(name: str, slot: _Slot) -> str:
    return f"{name}, episode with seed {slot.seed}"


def _fault(name: str, slot: _Slot, when: str, error: BaseException) -> EnvironmentFault:
    return EnvironmentFault(
        f"{_where(name, slot)}, {when}: the environment raised {type(error).__name__}: {error}",
        hint="the fault is in the environment, or in the action it was given",
    )
