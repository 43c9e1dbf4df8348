"""An environment as a policy over sequences sees it: state, last action, reward, return to go, time.

The last action, the rewards and the time are made part of the observation, so that every codec, backend and
library that takes a Box takes them, and nothing about a policy's memory is hidden in the loop around it. STRL
(arXiv 2505.14533) adds an encoding of the time step, e_t, to its tokens, for which the decision transformer
(arXiv 2106.01345) has a table with a row for each step. Here it is one feature and its column of the
embedding's weights: linear in t.
"""

from __future__ import annotations

from collections.abc import Sequence as Listed
from numbers import Integral, Real
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

Observation = NDArray[np.float32]


class Sequence(gymnasium.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """Observations [features kept, last action, last reward, return to go, time], flat.

    The last action is one-hot for Discrete actions (all zero before the first), else the action itself. What
    the environment itself observed stands in ``info["state"]``, for experts and for nobody else.

    Args:
        env: with a Box of observations and Discrete or Box actions.
        hide: features of the flat observation that are left out.
        action, reward: whether the last one is observed.
        target: return to go at the start, less every reward since; ``None`` leaves it out.
        time: steps after which the time, 0 at first, has come to 1, where it stays; ``None`` leaves it out.

    Raises:
        ValueError: spaces that do not fit, or an argument of the wrong type or out of range.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        hide: Listed[int] = (),
        action: bool = True,
        reward: bool = False,
        target: float | None = None,
        time: int | None = None,
    ) -> None:
        super().__init__(env)
        seen, acted = env.observation_space, env.action_space
        if not isinstance(seen, spaces.Box) or not isinstance(acted, spaces.Discrete | spaces.Box):
            raise ValueError(
                f"observations must be a Box, actions Discrete or a Box; found {seen} and {acted}"
            )
        size = int(np.prod(seen.shape))
        _check(size, hide=hide, action=action, reward=reward, target=target, time=time)
        hidden = {int(k) for k in hide}
        target = None if target is None else float(target)
        # ``spec`` makes the wrapper again from these. JSON has no tuples, and gives a list back as a list.
        RecordConstructorArgs.__init__(
            self, hide=sorted(hidden), action=action, reward=reward, target=target, time=time
        )
        self._kept = [k for k in range(size) if k not in hidden]
        self._first = int(acted.start) if isinstance(acted, spaces.Discrete) else 0
        self._choices = int(acted.n) if isinstance(acted, spaces.Discrete) else 0
        self._parts = (action, reward, target is not None, time is not None)
        self._target = target or 0.0
        self._time = time or 1
        low, high = self._bounds(seen, acted)
        self.observation_space = spaces.Box(low, high, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        state, info = self.env.reset(seed=seed, options=options)
        self._to_go, self._steps = self._target, 0
        return self._observation(state, None, 0.0), {**info, "state": state}

    def step(self, action: Any) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        state, reward, ended, cut, info = self.env.step(action)
        self._to_go -= float(reward)
        self._steps += 1
        return self._observation(state, action, float(reward)), reward, ended, cut, {**info, "state": state}

    def _bounds(
        self, seen: spaces.Box, acted: spaces.Discrete | spaces.Box
    ) -> tuple[Observation, Observation]:
        action, reward, to_go, time = self._parts
        lows, highs = [seen.low.ravel()[self._kept]], [seen.high.ravel()[self._kept]]
        if action:
            one_hot = np.zeros(self._choices), np.ones(self._choices)
            low, high = one_hot if isinstance(acted, spaces.Discrete) else (acted.low, acted.high)
            lows.append(np.minimum(np.ravel(low), 0))  # before the first action there is none: zeros
            highs.append(np.maximum(np.ravel(high), 0))
        unbounded = [np.inf] * (reward + to_go)
        lows.append(-np.array(unbounded))
        highs.append(np.array(unbounded))
        if time:
            lows.append(np.zeros(1))
            highs.append(np.ones(1))
        return np.concatenate(lows).astype(np.float32), np.concatenate(highs).astype(np.float32)

    def _observation(self, state: Any, action: Any, reward: float) -> Observation:
        with_action, with_reward, with_to_go, with_time = self._parts
        parts = [np.ravel(state)[self._kept]]
        if with_action:
            parts.append(self._last(action))
        if with_reward:
            parts.append(np.array([reward]))
        if with_to_go:
            parts.append(np.array([self._to_go]))
        if with_time:
            parts.append(np.array([min(1.0, self._steps / self._time)]))
        return np.concatenate(parts).astype(np.float32)

    def _last(self, action: Any) -> NDArray[np.float64]:
        if not self._choices:
            size = int(np.prod(self.env.action_space.shape or ()))
            return np.zeros(size) if action is None else np.ravel(action).astype(np.float64)
        one_hot = np.zeros(self._choices)
        if action is not None:
            one_hot[int(action) - self._first] = 1.0
        return one_hot


def _check(size: int, *, hide: Any, action: Any, reward: Any, target: Any, time: Any) -> None:
    """Raise ``ValueError`` at the first argument that is not what ``Sequence`` takes.

    Args:
        size: features of the flat observation.
    """
    listed = isinstance(hide, Listed) and not isinstance(hide, str | bytes)
    if not listed or not all(is_number(k, Integral) and 0 <= k < size for k in hide):
        raise ValueError(f"hide = {hide!r}, must be a list of integers; features are 0..{size - 1}")
    for name, value in (("action", action), ("reward", reward)):
        if not isinstance(value, bool):
            raise ValueError(f"{name} = {value!r}, must be True or False")
    limit = float(np.finfo(np.float32).max)  # observations are float32
    if target is not None and not (is_number(target) and abs(target) <= limit):
        raise ValueError(f"target = {target!r}, must be None or a finite number of at most ±{limit:.2g}")
    if time is not None and (isinstance(time, bool) or not isinstance(time, int) or time < 1):
        raise ValueError(f"time = {time!r}, must be None or a number of steps, at least 1")


def is_number(value: Any, kind: type = Real) -> bool:
    """Whether it is of the kind, ``Real`` or ``Integral``; True and False, integers to Python, are not."""
    return isinstance(value, kind) and not isinstance(value, bool)


def sequence(
    *,
    of: str,
    hide: Listed[int] = (),
    action: bool = True,
    reward: bool = False,
    target: float | None = None,
    time: int | None = None,
    **kwargs: Any,
) -> Sequence:
    """``gymnasium.make(of, **kwargs)`` as a ``Sequence``; what ``strl/Sequence-v0`` makes."""
    env = gymnasium.make(of, disable_env_checker=True, **kwargs)
    return Sequence(env, hide=hide, action=action, reward=reward, target=target, time=time)
