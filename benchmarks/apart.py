"""A closed loop taken apart: decisions a second of the policy alone and of the environment alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.loop.agent import Agent, episode_rng
from strl.loop.environment import Environment, environment
from strl.loop.runner import play


class Recorder:
    """What was seen and done, in the order of a run."""

    def __init__(self) -> None:
        self.begun_in: dict[int, tuple[list[int], list[int]]] = {}
        self.observations: list[NDArray[np.float64]] = []
        self.actions: dict[int, list[Any]] = {}
        self._episode: dict[int, int] = {}

    def begun(self, slots: Sequence[int], seeds: Sequence[int]) -> None:
        self.begun_in[len(self.observations)] = (list(slots), list(seeds))
        for slot, seed in zip(slots, seeds, strict=True):
            self._episode[slot] = seed
            self.actions[seed] = []

    def decided(
        self, agent: Agent, observations: NDArray[np.float64], actions: NDArray[Any], live: Sequence[int]
    ) -> None:
        self.observations.append(observations.copy())
        for slot in live:
            self.actions[self._episode[slot]].append(actions[slot].copy())


def apart(agent: Agent, *, episodes: int) -> dict[str, float]:
    """Decisions a second of each, over the same episodes that they play together.

    ``agent`` is codec and backend, given the observations again, where every slot counts, also one that waits
    for the last episodes to end. ``environment`` is its making of episodes and its steps, given the actions
    again. In a closed loop both are taken one after the other.
    """
    world, seen = environment(agent.semantics, None), Recorder()
    decisions = sum(episode.length for episode in play(agent, world, range(episodes), watcher=seen))
    began = time.perf_counter()
    for number, now in enumerate(seen.observations):
        if number in seen.begun_in:
            slots, seeds = seen.begun_in[number]
            agent.reset(slots, [episode_rng(seed) for seed in seeds])
        agent.act(now)
    alone = time.perf_counter() - began
    computed = len(seen.observations) * agent.batch
    return {"agent": computed / alone, "environment": decisions / _walked(world, seen.actions)}


def _walked(environment: Environment, episodes: dict[int, list[Any]]) -> float:
    """Seconds that the environment takes for the actions of each seed."""
    with environment.opened() as world:
        began = time.perf_counter()
        for seed, actions in episodes.items():
            world.reset(seed=seed)
            for action in actions:
                world.step(action)
        return time.perf_counter() - began
