"""Semantics are plain data whatever they are given; a codec that does not fit the environment is refused."""

from __future__ import annotations

import json
from typing import Any

import gymnasium
import numpy as np
import pytest

from strl.chip.codec import check_codec
from strl.codecs import decoder, encoder
from strl.errors import ModelError
from strl.ir import EnvironmentSpec, Semantics
from strl.loop.environment import environment
from strl.testing.policies import pole_semantics

SPEC = {"id": "CartPole-v1", "observation_shape": (4,), "actions": 2}
TANH = {"kind": "tanh", "low": [-1.0], "high": [1.0], "shape": [1]}
TORQUE = EnvironmentSpec(id="", observation_shape=(4,), actions=None, action_low=(-2.0,), action_high=(2.0,))


def test_numpys_numbers_are_numbers() -> None:
    """float32 ranges straight from a Box, arrays, and integers of numpy: all as if they were Python's."""
    low, high = np.float32([-1, -2, -3, -4]), np.float32([1, 2, 3, 4])
    made = pole_semantics(
        ticks=np.int64(8),
        encoder={"kind": "direct", "low": tuple(low), "high": high, "precision": np.int32(6)},
        environment=EnvironmentSpec(
            id="x",
            observation_shape=np.zeros(4).shape,
            actions=np.int64(2),  # type: ignore[arg-type]
            kwargs={"gravity": np.float32(9.5)},
        ),
    )
    assert Semantics.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert made.encoder == {"kind": "direct", "low": low.tolist(), "high": high.tolist(), "precision": 6}
    assert type(made.ticks) is int
    assert encoder({"kind": "rate", "low": low, "high": high}).size == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ticks": 8.0}, r"semantics.ticks = 8.0, must be an integer of 0..4096"),
        ({"ticks": "8"}, "semantics.ticks = '8'"),
        ({"ticks": True}, "semantics.ticks = True"),
        ({"ticks": 0}, "ticks = 0, must be 1"),
        ({"rest": 1.5, "state": "carry"}, "semantics.rest = 1.5"),
        ({"encoder": "rate"}, "semantics.encoder = 'rate', must be a dict"),
        ({"readout": "count"}, "semantics.readout = 'count', must be a Readout"),
        ({"environment": "CartPole-v1"}, "must be a EnvironmentSpec"),
    ],
)
def test_odd_semantics(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        pole_semantics(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": None}, "environment.id = None"),
        ({"observation_shape": 4}, "observation_shape = 4, must be a list"),
        ({"observation_shape": (4.0,)}, "observation_shape = 4.0, must be an integer"),
        ({"observation_shape": (2**15, 2**15)}, "must hold at most 1048576 values"),
        ({"actions": -1}, "actions = -1"),
        ({"actions": 2.0}, "actions = 2.0"),
        ({"actions": None, "action_low": [0.0], "action_high": []}, "has 1 values, action_high 0"),
        ({"actions": None, "action_low": [10**400], "action_high": [0.0]}, "is not a finite number"),
        ({"kwargs": [1]}, r"environment.kwargs = \[1\], must be a dict"),
    ],
)
def test_odd_environments(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        EnvironmentSpec(**{**SPEC, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", [{}, {"kind": None}, {"kind": 3}, []])
def test_a_codec_without_a_kind(spec: Any) -> None:
    for build in (encoder, decoder):
        with pytest.raises(ModelError, match="has no kind") as raised:
            build(spec)
        assert "with one of" in raised.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder": {"kind": "argmax", "actions": 3}}, "argmax gives 3 actions, the environment has 2"),
        (
            {"decoder": {"kind": "linear", "weight": 3 * [[1.0, 1.0]]}},
            "linear gives 3 actions, the environment has 2",
        ),
        (
            {"decoder": TANH, "environment": TORQUE},
            r"tanh has low = \[-1.0\], the environment's is \[-2.0\]",
        ),
        (
            {"decoder": {**TANH, "low": [-2.0]}, "environment": TORQUE},
            r"tanh has high = \[1.0\], the environment's is \[2.0\]",
        ),
    ],
)
def test_a_decoder_for_other_actions(changes: dict[str, Any], message: str) -> None:
    semantics = pole_semantics(**changes)
    with pytest.raises(ModelError, match=message):
        check_codec(semantics, 4, decoder(semantics.decoder).size)


def test_a_decoder_for_these_actions() -> None:
    check_codec(pole_semantics(decoder={**TANH, "low": [-2.0], "high": [2.0]}, environment=TORQUE), 4, 1)
    check_codec(pole_semantics(decoder={"kind": "linear", "weight": 2 * [[1.0, 1.0, 1.0]]}), 4, 3)


class FromFive(gymnasium.Env[Any, Any]):
    """Two actions, which are called 5 and 6."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (4,))
    action_space = gymnasium.spaces.Discrete(2, start=5)


def test_actions_are_counted_from_where_the_environment_begins() -> None:
    gymnasium.register("FromFive-v0", entry_point=FromFive)
    try:
        spec = EnvironmentSpec(id="FromFive-v0", observation_shape=(4,), actions=2)
        with pytest.raises(
            ModelError, match="argmax counts actions from 0, the environment from 5"
        ) as raised:
            environment(pole_semantics(environment=spec))
        assert "first = 5" in raised.value.hint
        five = {"kind": "argmax", "actions": 2, "first": 5}
        assert environment(pole_semantics(environment=spec, decoder=five)).id == "FromFive-v0"
    finally:
        del gymnasium.registry["FromFive-v0"]
