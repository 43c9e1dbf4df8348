"""Episodes in lockstep, for training and for the choice of checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from strl.errors import EnvironmentFault

Act = Callable[[NDArray[Any]], NDArray[Any]]
"""Observations [batch, *shape] → actions [batch, *shape]."""

TEST_SEEDS = range(100)
"""Where results are reported; no training or selection ever resets an environment with one of them."""

VALIDATION_SEEDS = range(10_000, 10_100)
"""Where the best of several checkpoints is chosen."""

_TRAINING = 1_000_000
_SPAN = 100_000


def training_seeds(seed: int) -> range:
    """Seeds of environments for a training with ``seed``: disjoint from test and validation."""
    first = _TRAINING + seed * _SPAN
    return range(first, first + _SPAN)


def make_env(env_id: str, **kwargs: Any) -> gym.Env[Any, Any]:
    """``gymnasium.make`` with an error that helps.

    Raises:
        EnvironmentFault: there is no such environment, or its packages are missing.
    """
    try:
        return gym.make(env_id, **kwargs)
    except (gym.error.Error, ImportError, TypeError) as error:
        raise EnvironmentFault(
            f"environment {env_id!r}: {error}", hint="list what is registered: gymnasium.pprint_registry()"
        ) from error


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
