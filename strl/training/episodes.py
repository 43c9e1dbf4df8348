"""Episodes in lockstep, for training and for the choice of checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from strl.errors import EnvironmentFault, UsageError
from strl.loop.environment import Environment, World

Act = Callable[[NDArray[Any]], NDArray[Any]]
"""Observations [batch, *shape] → actions [batch, *shape]."""

TEST_SEEDS = range(100)
"""Where results are reported; no training or selection ever resets an environment with one of them."""

VALIDATION_SEEDS = range(10_000, 10_100)
"""Where the best of several checkpoints is chosen."""

SEEDS = 1000
"""Trainings that one can tell apart."""

_TRAINING = 1_000_000
_SPAN = 100_000


def check_seed(seed: int) -> None:
    """Raises ``UsageError`` for a seed of a training whose environments would be another's."""
    if not 0 <= seed < SEEDS:
        raise UsageError(f"seed = {seed}, must be 0..{SEEDS - 1}")


def training_seeds(seed: int) -> range:
    """Seeds of environments for a training with ``seed``: disjoint from test and validation."""
    first = _TRAINING + seed * _SPAN
    return range(first, first + _SPAN)


def make_env(env_id: str) -> World:
    """A fresh environment, in which whatever goes wrong is an ``EnvironmentFault``.

    Raises:
        EnvironmentFault: there is no such environment, or its packages are missing.
    """
    return _Guarded(Environment(id=env_id).make())


class _Guarded(gym.Wrapper[Any, Any, Any, Any]):
    """Says of an exception that it is the environment's."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        try:
            return self.env.step(action)
        except (Exception, SystemExit) as error:
            raise self._fault("step", error) from error

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        try:
            return self.env.reset(seed=seed, options=options)
        except (Exception, SystemExit) as error:
            raise self._fault("reset", error) from error

    def _fault(self, where: str, error: BaseException) -> EnvironmentFault:
        name = self.spec.id if self.spec is not None else type(self.unwrapped).__name__
        return EnvironmentFault(f"{name}: {where} raised {type(error).__name__}: {error}")


def returns(act: Act, env_id: str, seeds: Sequence[int], *, lanes: int = 25) -> NDArray[np.float64]:
    """Undiscounted return of one episode for each of ``seeds``, ``lanes`` at a time."""
    envs = [make_env(env_id) for _ in range(min(lanes, len(seeds)))]
    total = np.zeros(len(seeds))
    waiting: Iterator[tuple[int, int]] = iter(enumerate(seeds))
    playing: dict[int, int] = {}
    observations: dict[int, Any] = {}
    for lane, env in enumerate(envs):
        index, seed = next(waiting)
        playing[lane], observations[lane] = index, env.reset(seed=int(seed))[0]
    while playing:
        order = sorted(playing)
        actions = act(np.stack([observations[lane] for lane in order]))
        for lane, action in zip(order, actions, strict=True):
            observations[lane], reward, ended, cut, _ = envs[lane].step(action)
            total[playing[lane]] += float(reward)
            if ended or cut:
                following = next(waiting, None)
                if following is None:
                    del playing[lane]
                else:
                    playing[lane] = following[0]
                    observations[lane] = envs[lane].reset(seed=int(following[1]))[0]
    for env in envs:
        env.close()
    return total
