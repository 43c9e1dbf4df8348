"""Runs that have nothing left to do, environments that fail to close, numbers that cannot be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from strl.errors import EnvironmentFault, StrlError, UsageError
from strl.ir import EnvironmentSpec
from strl.loop.agent import ChipAgent
from strl.loop.compare import compare
from strl.loop.environment import Environment
from strl.loop.evaluate import EPISODES_MAX, Entrant, evaluate
from strl.loop.results import Evaluation
from strl.testing.policies import PoleSubject, pole_semantics

pytestmark = pytest.mark.timeout(120)

SHORT = "strl-test/OddPole-v0"
CLOSING = "strl-test/OddClosing-v0"


class Closing(CartPoleEnv):
    """Once it was reset it fails to close, in more than one line."""

    played = False

    def reset(self, **options: Any) -> Any:
        self.played = True
        return super().reset(**options)

    def close(self) -> None:
        if self.played:
            raise LookupError("no window\nto close")


def fail(world: gymnasium.Env[Any, Any]) -> None:
    world.reset()
    raise ZeroDivisionError


@pytest.fixture(autouse=True)
def worlds() -> Iterator[None]:
    gymnasium.register(SHORT, entry_point=CartPoleEnv, max_episode_steps=8)
    gymnasium.register(CLOSING, entry_point=Closing, max_episode_steps=8)
    yield
    for name in (SHORT, CLOSING):
        del gymnasium.registry[name]


def pole(env: str = SHORT) -> PoleSubject:
    spec = EnvironmentSpec(id=env, observation_shape=(4,), actions=2)
    return PoleSubject(semantics=pole_semantics(environment=spec))


def ran(**options: Any) -> Evaluation:
    return evaluate(Entrant.of(pole(), "loihi"), **{"episodes": 2, **options})


class TestNothingLeft:
    """With several processes as with one: what is finished gives its result."""

    def test_a_finished_run(self, tmp_path: Path) -> None:
        first = ran(output=tmp_path / "run")
        assert ran(output=tmp_path / "run", jobs=2).digest == first.digest

    def test_the_only_episode_was_traced(self, tmp_path: Path) -> None:
        traced = ran(episodes=1, jobs=2, trace=tmp_path / "t.npz")
        assert traced.digest == ran(episodes=1).digest
        assert (tmp_path / "t.npz").exists()

    def test_a_comparison_twice(self, tmp_path: Path) -> None:
        found = [compare(pole(), episodes=2, jobs=jobs, output=tmp_path / "c").to_dict() for jobs in (1, 2)]
        for each in found:
            for side in ("a", "b"):
                for changing in ("jobs", "batch", "wall_s", "decisions_per_s"):
                    del each[side][changing]
        assert found[0] == found[1]


class TestClosing:
    """An environment that fails to close is the environment's fault, unless it failed before."""

    def test_it_is_one_line_that_names_it(self) -> None:
        with pytest.raises(EnvironmentFault) as caught, Environment(id=CLOSING).opened() as world:
            world.reset()
        assert caught.value.message == f"{CLOSING}, close: the environment raised LookupError: no window"

    def test_an_error_before_is_the_one_that_is_told(self) -> None:
        with pytest.raises(ZeroDivisionError), Environment(id=CLOSING).opened() as world:
            fail(world)

    def test_what_was_played_is_kept(self, tmp_path: Path) -> None:
        entrant = Entrant.of(pole(CLOSING), "loihi")
        with pytest.raises(EnvironmentFault, match="close") as caught:
            evaluate(entrant, episodes=2, output=tmp_path / "run")
        assert "2 finished episodes are kept" in caught.value.hint


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    error = StrlError("the environment raised:\n  File x\r\nValueError", hint="look there")
    assert str(error) == "the environment raised: File x ValueError\n  hint: look there"
    assert error.args == ("the environment raised: File x ValueError",)


@pytest.mark.parametrize("episodes", [0, -1, EPISODES_MAX + 1, 3_000_000_000])
def test_a_number_of_episodes_has_a_limit(episodes: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"episodes = {episodes}, must be 1\.\.1000000"):
        ran(episodes=episodes, output=tmp_path / "run")
    with pytest.raises(UsageError, match="episodes"):
        compare(pole(), episodes=episodes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("batch", [0, 2**20 + 1, 2**40])
def test_a_number_of_slots_has_a_limit(batch: int) -> None:
    for backend in ("loihi", "float"):
        with pytest.raises(UsageError, match=rf"batch = {batch}, must be 1 to 1048576"):
            Entrant.of(pole(), backend).agent(batch)


@pytest.mark.parametrize(
    "odd", [np.zeros(4, complex), np.zeros(4, "M8[s]"), ["1", "2", "3", "4"], [1j, 0, 0, 0]]
)
def test_observations_that_are_no_real_numbers(odd: Any) -> None:
    agent = ChipAgent(pole().program())
    with pytest.raises(UsageError, match="must be arrays of numbers: they are"):
        agent.predict(odd)
    assert agent.predict(np.zeros(4, bool))[0] == agent.predict([0, 0, 0, 0])[0]


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_standard_stream(closed: int) -> None:
    """What ``strl targets >&-`` and ``2>&-`` do."""
    command = f'exec "$0" -c "import sys; from strl.cli import main; sys.exit(main())" targets {closed}>&-'
    done = subprocess.run(["sh", "-c", command, sys.executable], capture_output=True, text=True, check=False)
    if closed == 1:
        assert done.returncode == 1
        assert done.stderr.startswith("strl: standard output is closed\n  hint:")
    else:
        assert done.returncode == 0
        assert "loihi1" in done.stdout
