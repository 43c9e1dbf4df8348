"""A codec for every Gymnasium space that has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from strl.codecs.base import Decoder, Encoder, encoder
from strl.codecs.decoders import Argmax, Tanh
from strl.errors import EnvironmentFault

if TYPE_CHECKING:
    import gymnasium as gym

WIDEST = 1e3
"""A bound beyond this says that there is none (CartPole gives 3.4e38), so the range must be measured."""

MARGIN = 1.1


def default_codec(
    observation_space: gym.Space[Any],
    action_space: gym.Space[Any],
    *,
    encoder_kind: str = "direct",
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[Encoder, Decoder]:
    """Encoder and decoder for an environment's spaces.

    Args:
        observation_space: a Box, of any shape; it is flattened.
        action_space: Discrete (argmax over one output an action) or a bounded Box (tanh of one output each).
        encoder_kind: a name of ``strl.codecs.ENCODERS``.
        low, high: range of each feature; the space's own bounds where they are not given.
        options: further fields of the encoder.

    Raises:
        EnvironmentFault: a space without a codec, or an unbounded feature without a range.
        ModelError: an unknown encoder or option.
    """
    from gymnasium.spaces import Box

    if not isinstance(observation_space, Box) or not observation_space.shape:
        raise EnvironmentFault(
            f"there is no encoder for observations of {observation_space}",
            hint="wrap the environment so that it gives a Box: gymnasium.wrappers.FlattenObservation",
        )
    lows = _bounds(low, observation_space.low, "low")
    highs = _bounds(high, observation_space.high, "high")
    if encoder_kind == "sign-split":
        lows, highs = [min(a, 0.0) for a in lows], [max(b, 0.0) for b in highs]
    spec = {"kind": encoder_kind, "low": lows, "high": highs, **(options or {})}
    return encoder(spec), default_decoder(action_space)


def default_decoder(action_space: gym.Space[Any]) -> Decoder:
    """The decoder of an action space; raises as ``default_codec``."""
    from gymnasium.spaces import Box, Discrete

    if isinstance(action_space, Discrete):
        return Argmax(actions=int(action_space.n), first=int(action_space.start))
    if isinstance(action_space, Box):
        low, high = action_space.low.ravel(), action_space.high.ravel()
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise EnvironmentFault(
                f"actions of {action_space} have no bounds",
                hint="wrap the environment: gymnasium.wrappers.RescaleAction",
            )
        return Tanh(
            low=tuple(map(float, low)),
            high=tuple(map(float, high)),
            shape=tuple(map(int, action_space.shape)),
        )
    raise EnvironmentFault(
        f"there is no decoder for actions of {action_space}",
        hint="there is one for Discrete and for Box; a new one is one file, see docs/extending.md",
    )


def ranges(
    observations: np.ndarray, space: gym.spaces.Box, *, symmetric: bool = True
) -> tuple[list[float], list[float]]:
    """The range of each feature in observations [n, features], within the space's bounds.

    The outermost thousandth on each side is cut off before a margin of a tenth is added, because an
    outlier would cost resolution everywhere else. ``symmetric`` ranges give a feature at 0 the level 0.
    """
    flat = np.asarray(observations, dtype=np.float64).reshape(len(observations), -1)
    low, high = np.quantile(flat, [0.001, 0.999], axis=0)
    if symmetric:
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    # A feature that never moved gets a hundredth of itself, which three digits still show.
    least = np.maximum(np.maximum(np.abs(low), np.abs(high)) / 100, 1e-3)
    margin = np.maximum((high - low) * (MARGIN - 1) / 2, least)
    floor, ceiling = (bound.ravel().astype(np.float64) for bound in (space.low, space.high))
    if symmetric:
        ceiling = np.maximum(np.abs(floor), np.abs(ceiling))
        floor = -ceiling
    fixed = floor == ceiling
    low = np.where(fixed, low - margin, np.maximum(low - margin, floor))
    high = np.where(fixed, high + margin, np.minimum(high + margin, ceiling))
    return _rounded(low), _rounded(high)


def _rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.3g}") for value in values]


def measured_ranges(
    env: gym.Env[Any, Any], *, steps: int = 2000, seed: int = 0
) -> tuple[list[float], list[float]]:
    """``ranges`` of ``steps`` observations under random actions, for where no policy is at hand."""
    from gymnasium.spaces import Box

    if not isinstance(env.observation_space, Box):
        raise EnvironmentFault(f"there is no encoder for observations of {env.observation_space}")
    env.action_space.seed(seed)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        observation, _, ended, cut, _ = env.step(env.action_space.sample())
        seen.append(env.reset()[0] if ended or cut else observation)
    return ranges(np.stack(seen), env.observation_space)


def _bounds(given: Sequence[float] | None, own: np.ndarray, which: str) -> list[float]:
    if given is not None:
        if len(given) != own.size:
            raise EnvironmentFault(f"{which}: {len(given)} values for {own.size} features")
        return [float(value) for value in given]
    flat = own.ravel().astype(np.float64)
    open_ended = np.flatnonzero(~(np.abs(flat) <= WIDEST))
    if open_ended.size:
        raise EnvironmentFault(
            f"feature {open_ended[0]} of the observations has no {which} bound",
            hint="give low and high, or measure them: strl.codecs.measured_ranges(env)",
        )
    return [float(value) for value in flat]
