"""Training: the grid, what a student computes, runs that repeat and resume, options that are refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import register, registry

from strl.cli import main
from strl.errors import EnvironmentFault, UsageError
from strl.policies import load
from strl.policies.mlp import MLPConfig, SpikingMLP
from strl.training import dagger
from strl.training.episodes import TEST_SEEDS, VALIDATION_SEEDS, returns, training_seeds
from strl.training.expert import train_expert
from strl.training.grid import STEPS, on_grid, project
from strl.training.recipes import expert_recipe
from strl.training.train import command_line, configure, train

TINY = {"rounds": 2, "lanes": 2, "steps": 30, "updates": 5, "batch": 16, "episodes": 2}


def tiny(env: str = "CartPole-v1", **given: Any) -> Any:
    return configure(env, seed=3, given={"hidden": (8,), "expert_steps": 300, **given}, imitation=TINY)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_no_two_kinds_of_seeds_overlap() -> None:
    kinds = [TEST_SEEDS, VALIDATION_SEEDS, training_seeds(0), training_seeds(1), training_seeds(999)]
    for a, b in itertools.combinations(kinds, 2):
        assert a.stop <= b.start


@pytest.mark.parametrize("neuron", ["leaky", "synaptic"])
@pytest.mark.parametrize("readout", ["membrane", "count"])
def test_a_projected_network_is_on_the_chips_grid(neuron: Any, readout: Any) -> None:
    torch.manual_seed(1)
    config = MLPConfig(inputs=6, outputs=3, hidden=(20, 10), neuron=neuron, readout=readout)
    module = SpikingMLP(config)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    project(module)
    for layer, neurons in itertools.pairwise(module):
        if not isinstance(layer, torch.nn.Linear):
            continue
        weight, bias = layer.weight.detach(), layer.bias.detach()
        step = float(weight.abs().max()) / STEPS
        assert np.log2(step) % 1 == 0
        steps = weight / step
        assert torch.equal(steps, steps.round())
        assert torch.equal(4 * bias / step, (4 * bias / step).round())
        threshold = float(neurons.threshold)
        assert threshold * 256 == round(threshold * 256)
    # Scaled back, each weight is what it was to half a step.
    scale = float(module.lif1.threshold)
    off = (module.linear1.weight.detach() / scale - before["linear1.weight"]).abs().max()
    assert off <= float(before["linear1.weight"].abs().max()) * (0.5 / STEPS + 1 / 256)
    again = {k: v.clone() for k, v in module.state_dict().items()}
    project(module)
    assert all(torch.equal(again[k], v) for k, v in module.state_dict().items())


def test_the_grid_is_left_as_it_was_found() -> None:
    module = SpikingMLP(MLPConfig(inputs=3, outputs=2, hidden=(5,)))
    before = {k: v.clone() for k, v in module.state_dict().items()}

    def fail() -> None:
        with on_grid(module):
            assert not torch.equal(module.linear1.weight, before["linear1.weight"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_returns_are_those_of_their_seeds_whatever_the_lanes() -> None:
    def act(observations: np.ndarray) -> np.ndarray:
        return (observations[:, 2] > 0).astype(np.int64)

    some = returns(act, "CartPole-v1", range(7), lanes=3)
    np.testing.assert_array_equal(some, returns(act, "CartPole-v1", range(7), lanes=1))
    assert some[4] == returns(act, "CartPole-v1", [4])[0]
    assert len(set(some)) > 1


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_a_run_repeats_and_an_interrupted_one_ends_the_same(
    env_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "a" / "policy.safetensors"
    parted = tmp_path / "b" / "policy.safetensors"
    for path in (whole, parted):
        path.parent.mkdir()
    train(tiny(env_id), whole, command="x")

    learn, learnt = dagger.Run._learn, []

    def interrupted(run: dagger.Run) -> Any:
        if len(learnt) == 2:
            raise KeyboardInterrupt
        learnt.append(run.done)
        return learn(run)

    monkeypatch.setattr(dagger.Run, "_learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tiny(env_id), parted, command="x")
    assert not parted.exists()
    monkeypatch.setattr(dagger.Run, "_learn", learn)
    expert = parted.with_name("policy.safetensors.run") / "expert.safetensors"
    made = expert.stat().st_mtime_ns
    train(tiny(env_id), parted, command="x")

    assert expert.stat().st_mtime_ns == made
    assert parted.read_bytes() == whole.read_bytes()
    semantics = load(whole).policy.semantics
    assert semantics.environment.id == env_id
    assert (semantics.environment.actions is None) == (env_id == "Pendulum-v1")
    assert list((whole.with_name("policy.safetensors.run") / "log").rglob("events.out.tfevents*"))


def test_other_options_do_not_go_on_with_a_run(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    train(tiny(), path)
    with pytest.raises(UsageError, match="holds a run with other options"):
        train(tiny(ticks=4), path)


@pytest.mark.parametrize(
    "given",
    [
        {"neuron": "synaptic", "readout": "count"},
        {"encoder": "population", "encoder_options": {"fields": 4}, "ticks": 5},
        {"encoder": "rate", "encoder_options": {"random": True}, "hidden": (6, 6)},
    ],
    ids=str,
)
def test_every_kind_of_student_trains(tmp_path: Path, given: dict[str, Any]) -> None:
    done = train(tiny(**given), tmp_path / "policy")
    assert len(done.test) == 100
    found = load(done.path).policy
    assert found.semantics.readout.kind == given.get("readout", "membrane")
    assert found.semantics.encoder["kind"] == given.get("encoder", "direct")


def test_a_student_learns(tmp_path: Path) -> None:
    """A minute's work in miniature: a good teacher and a few rounds balance the pole."""
    from strl.codecs import default_codec
    from strl.ir import EnvironmentSpec, Readout, Semantics
    from strl.policies.policy import SpikingPolicy
    from strl.training.student import Student

    def teacher(x: np.ndarray) -> np.ndarray:
        return ((x @ np.array([0.1, 0.3, 2.0, 1.0])) > 0).astype(np.int64)

    env = gym.make("CartPole-v1")
    bound = [2.4, 2.0, 0.3, 2.5]
    encode, decode = default_codec(
        env.observation_space, env.action_space, low=[-b for b in bound], high=bound
    )
    semantics = Semantics(
        ticks=4,
        state="reset",
        readout=Readout(kind="membrane"),
        encoder=encode.to_dict(),
        decoder=decode.to_dict(),
        environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=2),
    )
    torch.manual_seed(0)
    student = Student(
        SpikingPolicy(module=SpikingMLP(MLPConfig(inputs=4, outputs=2, hidden=(16,))), semantics=semantics)
    )
    before = returns(student, "CartPole-v1", range(10)).mean()
    learning = dagger.Imitation(rounds=2, lanes=4, steps=150, updates=60, batch=128, rate=1e-2, episodes=5)
    dagger.Run(student, teacher, "CartPole-v1", learning, 0).train(tmp_path / "run")
    after = returns(student, "CartPole-v1", range(10)).mean()
    assert before < 100
    assert after > 200
    kept = {k: v.clone() for k, v in student.module.state_dict().items()}
    project(student.module)
    assert all(torch.equal(kept[k], v) for k, v in student.module.state_dict().items())


def test_every_recipe_is_whole() -> None:
    for env_id in ("CartPole-v1", "Acrobot-v1", "LunarLander-v3"):
        recipe = expert_recipe(env_id, discrete=True)
        assert "rl-zoo" in recipe.source
        assert recipe.algorithm == "ppo"
        configure(env_id, given={}, imitation={})
    assert expert_recipe("Any-v0", discrete=False).steps > 0
    assert expert_recipe("CartPole-v1", discrete=True, steps=7).steps == 7
    with pytest.raises(UsageError, match="expert steps = 0"):
        expert_recipe("CartPole-v1", discrete=True, steps=0)


def test_an_expert_is_made_once(tmp_path: Path) -> None:
    path, recipe = tmp_path / "expert", expert_recipe("CartPole-v1", discrete=True, steps=300)
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    made = train_expert("CartPole-v1", recipe, seed=1, path=path)(x)
    stamp = path.stat().st_mtime_ns
    np.testing.assert_array_equal(made, train_expert("CartPole-v1", recipe, seed=1, path=path)(x))
    assert path.stat().st_mtime_ns == stamp


def test_the_recorded_command_is_free_of_folders() -> None:
    words = ["train", "--env", "X-v0", "--json", "-o", "/a/b c/p.safetensors"]
    assert command_line(words, Path("/a/b c/p.safetensors")) == "strl train --env X-v0 -o p.safetensors"


class Sequenced(gym.Env[Any, Any]):
    observation_space = gym.spaces.Sequence(gym.spaces.Discrete(2))
    action_space = gym.spaces.Discrete(2)


class FromOne(gym.Env[Any, Any]):
    observation_space = gym.spaces.Box(0, 1, (2,))
    action_space = gym.spaces.Discrete(2, start=1)


@pytest.mark.parametrize(
    ("entry", "message"),
    [(Sequenced, "must be a Box"), (FromOne, "do not start at 0")],
    ids=["sequence", "start"],
)
def test_spaces_are_looked_at_before_the_expert_is_trained(tmp_path: Path, entry: Any, message: str) -> None:
    name = f"strl-test/{entry.__name__}-v0"
    register(name, entry)
    try:
        with pytest.raises(EnvironmentFault, match=message):
            train(tiny(name), tmp_path / "policy")
    finally:
        registry.pop(name)
    assert not list(tmp_path.iterdir())


class Faulty(gym.Env[Any, Any]):
    observation_space = gym.spaces.Box(0, 1, (2,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, **_: Any) -> Any:
        self.left = 20
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        if not self.left:
            raise RuntimeError("the pole is on fire")
        return np.zeros(2, np.float32), 0.0, False, False, {}


def test_an_environment_that_raises_says_so(tmp_path: Path) -> None:
    register("strl-test/Faulty-v0", Faulty)
    try:
        with pytest.raises(
            EnvironmentFault, match="Faulty-v0: step raised RuntimeError: the pole is on fire"
        ):
            train(tiny("strl-test/Faulty-v0"), tmp_path / "policy")
    finally:
        registry.pop("strl-test/Faulty-v0")


def test_a_damaged_run_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    train(tiny(), path)
    kept = tmp_path / "policy.run" / "student.safetensors"
    kept.write_bytes(kept.read_bytes()[:-40])
    with pytest.raises(UsageError, match=r"student\.safetensors") as raised:
        train(tiny(), path)
    assert "train anew" in raised.value.hint


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--env", "CartPole-v9"], 7, "CartPole-v9"),
        (["--env", "CartPole-v1", "--encoder", "popul"], 3, "did you mean 'population'"),
        (["--env", "CartPole-v1", "--encoder-option", "precision=99"], 3, "precision = 99"),
        (["--env", "CartPole-v1", "--ticks", "0"], 3, "ticks = 0"),
        (["--env", "CartPole-v1", "--hidden", "0"], 3, r"hidden[0] = 0"),
        (["--env", "CartPole-v1", "--rounds", "-1"], 2, "rounds = -1"),
        (["--env", "CartPole-v1", "--beta", "1.5"], 3, "beta = 1.5"),
        (["--env", "CartPole-v1", "--seed", "-1"], 2, "seed = -1"),
        (["--env", "CartPole-v1", "--alpha", "0.5"], 2, "leaky neurons have no current"),
        (
            ["--env", "CartPole-v1", "--hidden", "5000,5000"],
            4,
            "needs at least 3128750 synapse words, loihi1 has 2097152",
        ),
        (["--env", "CartPole-v1", "--hidden", "65536,65536"], 4, "compartments, loihi1 has 131072"),
        (["--env", "CartPole-v1", "--hidden", "4097"], 4, "one neuron needs 4098 input axons"),
        (["--env", "CartPole-v1", "-o", "no/such/folder/x"], 2, "there is no folder"),
    ],
)
def test_bad_options_have_their_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    given = ["train", "-o", str(tmp_path / "policy"), *arguments]
    assert main(given) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "policy").exists()
    assert not list(tmp_path.rglob("expert*")), "it was found out only after the expert"


def test_strl_train_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.safetensors"
    given = [
        "--env",
        "CartPole-v1",
        "--expert-steps",
        "300",
        "--rounds",
        "1",
        "--updates",
        "3",
        "--hidden",
        "4",
    ]
    assert main(["train", *given, "--json", "-o", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["env"] == "CartPole-v1"
    assert found["test"]["episodes"] == 100
    assert load(path).policy.module.config.hidden == (4,)
