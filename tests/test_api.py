"""``import strl``: what its calls take, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import strl
from strl.errors import ModelError, UsageError
from strl.loop.subject import of_policy
from strl.policies import SpikingPolicy, load_policy, shipped
from strl.testing.policies import pole_semantics


@pytest.fixture(scope="module")
def policy() -> SpikingPolicy:
    return load_policy("cartpole-mlp")


@pytest.fixture(scope="module")
def digest() -> str:
    return strl.evaluate("cartpole-mlp", episodes=1).digest


def test_a_policy_is_evaluated_as_its_name_is(policy: SpikingPolicy, digest: str) -> None:
    path = shipped()["cartpole-mlp"]
    for given in (policy, path, str(path), strl.load("cartpole-mlp")):
        assert strl.evaluate(given, episodes=1).digest == digest


def test_a_policy_is_compared_with_its_chip_and_with_others(policy: SpikingPolicy, digest: str) -> None:
    found = strl.compare(policy, episodes=1)
    assert found.b.digest == digest
    assert strl.compare(policy, "cartpole-mlp", episodes=1).to_dict()["action_agreement"] == 1.0


def test_a_policy_is_an_agent(policy: SpikingPolicy) -> None:
    agent = strl.agent(policy)
    action, _ = agent.predict(np.zeros(4))
    assert int(action) in (0, 1)
    agent.close()


@pytest.mark.parametrize("given", [None, 3, torch.nn.Linear(4, 2), pole_semantics()])
def test_what_is_no_policy_is_refused(given: Any) -> None:
    for call in (strl.agent, strl.evaluate, strl.compare):
        with pytest.raises(UsageError, match=f"a {type(given).__name__} is not a policy") as raised:
            call(given)
        assert "SpikingPolicy(" in raised.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"call": "ticks"}, "call = 'ticks', must be one of tick, decision"),
        ({"call": None}, "call = None"),
        ({"module": "x"}, "module = 'x', must be a torch.nn.Module"),
        ({"module": torch.nn.Linear}, "module = <class .*Linear'>, must be a torch.nn.Module"),
        ({"semantics": {"ticks": 8}}, r"semantics = {'ticks': 8}, must be a Semantics"),
    ],
)
def test_odd_policies(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"module": torch.nn.Linear(4, 2), "semantics": pole_semantics()}
    with pytest.raises(ModelError, match=message):
        SpikingPolicy(**{**fields, **changes})


def test_a_decoder_for_another_environment_leaves_through_no_door(policy: SpikingPolicy) -> None:
    """Not as a bundle, and not as a file that only somebody else would run."""
    decoder = {**policy.semantics.decoder, "actions": 1, "per_action": 2}
    wrong = replace(policy, semantics=replace(policy.semantics, decoder=decoder))
    with pytest.raises(ModelError, match="argmax gives 1 actions, the environment has 2"):
        of_policy(wrong)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a shipped policy nor a file"):
        strl.load(str(tmp_path / "x"))
    with pytest.raises(ModelError, match="neither a shipped policy nor a file"):
        strl.evaluate(tmp_path / "x")
