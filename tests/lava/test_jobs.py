"""Lava in worker processes: each has a network of its own, and none outlives the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from strl.ir import EnvironmentSpec
from strl.loop.evaluate import Entrant, evaluate
from strl.testing.policies import PoleSubject, pole_semantics

pytestmark = [pytest.mark.lava, pytest.mark.timeout(120)]


@pytest.mark.parametrize("name", ["lava", "lava-fused"])
def test_two_processes_play_what_the_kernel_plays(name: str) -> None:
    spec = EnvironmentSpec(
        id="CartPole-v1", observation_shape=(4,), actions=2, kwargs={"max_episode_steps": 6}
    )
    subject = PoleSubject(semantics=pole_semantics(environment=spec))
    kernel = evaluate(Entrant.of(subject, "loihi"), episodes=3)
    apart = evaluate(Entrant.of(subject, name), episodes=3, jobs=2)
    assert apart.digest == kernel.digest
    children = Path("/proc/self/task").glob("*/children")
    assert not [pid for file in children for pid in file.read_text().split()]
