"""Environments of ours: what is hidden, what is remembered, what is refused."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from strl.environments import register
from strl.errors import EnvironmentFault
from strl.loop.environment import Environment

register()


def made(**kwargs: Any) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("strl/Sequence-v0", disable_env_checker=True, **kwargs)


def test_velocities_are_hidden_and_the_last_action_is_seen() -> None:
    ours, theirs = gymnasium.make("strl/CartPoleHidden-v0"), gymnasium.make("CartPole-v1")
    seen, info = ours.reset(seed=3)
    state, _ = theirs.reset(seed=3)
    assert np.array_equal(seen, [state[0], state[2], 0, 0])
    assert np.array_equal(info["state"], state)
    for action in (1, 0, 0):
        seen, reward, *_ = ours.step(action)
        state, expected, *_ = theirs.step(action)
        assert np.array_equal(seen, [state[0], state[2], action == 0, action == 1])
        assert reward == expected
        assert ours.observation_space.contains(seen)


def test_episodes_end_where_the_environment_ends_them() -> None:
    env = gymnasium.make("strl/CartPoleHidden-v0")
    env.reset(seed=0)
    steps, ended, cut = 0, False, False
    while not (ended or cut):
        _, _, ended, cut, _ = env.step(steps % 2)
        steps += 1
    assert ended
    assert 1 < steps < 500


def test_return_to_go_is_the_target_less_every_reward() -> None:
    env = made(of="CartPole-v1", action=False, reward=True, target=500.0)
    assert env.reset(seed=0)[0][-2:].tolist() == [0.0, 500.0]
    assert env.step(0)[0][-2:].tolist() == [1.0, 499.0]
    assert env.step(0)[0][-2:].tolist() == [1.0, 498.0]
    assert env.reset(seed=0)[0][-2:].tolist() == [0.0, 500.0]


def test_time_goes_from_0_to_1_and_stays() -> None:
    env = made(of="CartPole-v1", action=False, target=500.0, time=2)
    assert env.observation_space.low[-1] == 0
    assert env.observation_space.high[-1] == 1
    assert env.reset(seed=0)[0][-2:].tolist() == [500.0, 0.0]
    assert [env.step(0)[0][-1].item() for _ in range(3)] == [0.5, 1.0, 1.0]
    assert env.reset(seed=0)[0][-1] == 0
    assert made(of="CartPole-v1").observation_space.shape == (4 + 2,)


def test_actions_of_a_box_are_seen_as_they_are() -> None:
    env = made(of="Pendulum-v1", hide=(2,))
    assert env.reset(seed=0)[0][2:].tolist() == [0.0]
    assert env.step(np.array([1.5], np.float32))[0][2:].tolist() == [1.5]
    assert env.observation_space.shape == (3,)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"of": "CartPole-v1", "hide": (4,)}, "features are 0..3"),
        ({"of": "CartPole-v1", "hide": 4}, "hide = 4, must be a list of integers"),
        ({"of": "CartPole-v1", "hide": (1.0,)}, r"hide = \(1\.0,\), must be a list of integers"),
        ({"of": "CartPole-v1", "hide": (True,)}, r"hide = \(True,\), must be"),
        ({"of": "CartPole-v1", "hide": "x"}, "hide = 'x', must be"),
        ({"of": "CartPole-v1", "hide": ""}, "hide = '', must be"),
        ({"of": "CartPole-v1", "action": 1}, "action = 1, must be True or False"),
        ({"of": "CartPole-v1", "reward": "no"}, "reward = 'no', must be True or False"),
        ({"of": "CartPole-v1", "target": "x"}, "target = 'x', must be None or a finite number"),
        ({"of": "CartPole-v1", "target": True}, "target = True, must be None or a finite number"),
        ({"of": "CartPole-v1", "target": float("nan")}, "target = nan, must be"),
        ({"of": "CartPole-v1", "target": float("inf")}, "target = inf, must be"),
        ({"of": "CartPole-v1", "target": 1e39}, r"target = 1e\+39, must be"),
        ({"of": "CartPole-v1", "time": 0}, "time = 0"),
        ({"of": "CartPole-v1", "time": 0.5}, r"time = 0\.5"),
        ({"of": "strl/MazeSigns-v0", "render_mode": "human"}, "render_mode = 'human', must be"),
        ({"of": "FrozenLake-v1"}, "must be a Box"),
        ({"of": "NoSuch-v1"}, "NoSuch"),
        ({}, "of"),
    ],
)
def test_what_cannot_be_one_is_an_environments_fault(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvironmentFault, match=message):
        Environment(id="strl/Sequence-v0", kwargs=kwargs).make()


@pytest.mark.parametrize(
    ("of", "hide", "size"),
    [("CartPole-v1", (1, 3), 2 + 2 + 1), ("strl/MazeSigns-v0", (0,), 11 + 4 + 1 + 4 + 1)],
)
def test_a_spec_makes_the_same_again(of: str, hide: tuple[int, ...], size: int) -> None:
    env = made(of=of, hide=hide, target=5.0)
    assert env.spec is not None
    assert env.observation_space.shape == (size,)
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        again = gymnasium.make(spec)
        assert again.observation_space == env.observation_space
        assert np.array_equal(again.reset(seed=4)[0], env.reset(seed=4)[0])


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.filterwarnings("ignore:.*Box observation space m[a-z]+ value is -?infinity")  # return to go
def test_gymnasiums_checker_passes_a_sequence_of_a_sequence() -> None:
    check_env(gymnasium.make("strl/Sequence-v0", of="strl/MazeSigns-v0"))
