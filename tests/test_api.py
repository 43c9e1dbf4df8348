"""``import strl``: what its calls take, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import strl
from strl.cli.main import main
from strl.errors import ModelError, UsageError
from strl.loop.subject import of_policy
from strl.policies import SpikingPolicy, load_policy, shipped
from strl.testing.policies import PoleSubject, pole_semantics
from strl.training.maze_policy import MazeTraining
from strl.training.train import Trained, Training
from strl.training.transformer import SequenceTraining


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


class TestMaking:
    """``train``, ``export`` and ``watch``: what the command line does, from Python."""

    def test_a_policy_is_exported_as_the_command_does(self, tmp_path: Path, digest: str) -> None:
        made = strl.export("cartpole-mlp", tmp_path / "pole")
        assert all(path.exists() for path in made)
        assert strl.evaluate(tmp_path / "pole", episodes=1).digest == digest
        assert main(["export", "cartpole-mlp", "--target", "nir", "-o", str(tmp_path / "a.nir")]) == 0
        strl.export(strl.load("cartpole-mlp"), tmp_path / "b.nir", target="nir")
        assert strl.load(str(tmp_path / "a.nir")).network == strl.load(str(tmp_path / "b.nir")).network

    def test_options_reach_their_target(self, tmp_path: Path) -> None:
        strl.export("cartpole-mlp", tmp_path / "few", weight_bits=4)
        assert (
            strl.load(str(tmp_path / "few")).program().digest
            == strl.load("cartpole-mlp").program(weight_bits=4).digest
        )
        strl.export("cartpole-mlp", tmp_path / "x.onnx", target="onnx", integer=True)
        with pytest.raises(UsageError, match="--integer: target 'nir' has no such option"):
            strl.export("cartpole-mlp", tmp_path / "x.nir", target="nir", integer=True)
        for option in ({"chip": "loihi1"}, {"weight_bits": 8}, {"arithmetic": "lava"}):
            with pytest.raises(UsageError, match="target 'nir' holds no program of a chip"):
                strl.export("cartpole-mlp", tmp_path / "x.nir", target="nir", **option)  # type: ignore[arg-type]
        assert not (tmp_path / "x.nir").exists()

    def test_what_has_no_file_form_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="pole: a PoleSubject cannot be exported"):
            strl.export(PoleSubject(), tmp_path / "x")

    def test_the_episode_that_is_watched_is_the_one_that_is_played(self, tmp_path: Path, digest: str) -> None:
        assert strl.watch("cartpole-mlp", tmp_path / "x.svg").digest == digest
        assert (tmp_path / "x.svg").exists()

    def test_training_is_what_the_command_does(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Every option arrives, for each of the three ways of learning."""
        seen: list[Any] = []

        def keep(options: Any, output: Path, *, command: str = "") -> Trained:
            seen.append(options)
            return Trained(path=output, validation=1.0, test=np.ones(2))

        for where in ("train.train", "transformer.train_transformer", "maze_policy.train_maze"):
            monkeypatch.setattr(f"strl.training.{where}", keep)
        out = str(tmp_path / "x.safetensors")
        same = "strl/CartPoleHidden-v0", "strl/MazeSigns-v0"
        strl.train("CartPole-v1", out, seed=3, hidden=(8,), rounds=2, encoder="rate")
        strl.train(same[0], out, policy="transformer", expert_steps=9, updates=7, width=32)
        strl.train(same[1], out, policy="transformer", updates=7, spike_cost=0.5, blocks=2)
        for command in (
            "--env CartPole-v1 --seed 3 --hidden 8 --rounds 2 --encoder rate",
            f"--env {same[0]} --policy transformer --expert-steps 9 --updates 7 --width 32",
            f"--env {same[1]} --policy transformer --updates 7 --spike-cost 0.5 --blocks 2",
        ):
            assert main(["train", *command.split(), "-o", out, "--json"]) == 0
        assert [type(options) for options in seen[:3]] == [Training, SequenceTraining, MazeTraining]
        assert seen[:3] == seen[3:]
        assert (seen[1].imitation.updates, seen[1].teacher) == (7, "CartPole-v1")
        assert (seen[2].offline.updates, seen[2].offline.window, seen[2].blocks) == (7, 32, 2)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"hiden": (8,)}, "train has no option 'hiden' here"),
            ({"imitation": None}, "train has no option 'imitation' here"),
            ({"policy": "lstm"}, "there is no policy 'lstm'"),
            ({"width": 8}, "train has no option 'width' here"),
        ],
    )
    def test_what_training_has_not_is_refused(self, options: Any, message: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            strl.train("CartPole-v1", tmp_path / "x.safetensors", **options)
        assert caught.value.hint
        assert not list(tmp_path.iterdir())
