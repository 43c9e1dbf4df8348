"""From an environment's name to a checkpoint: expert, ranges, student, in that order and resumable.

A run keeps what it has finished in a folder beside its output; the same command again goes on from there.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from strl.codecs import Decoder, Encoder, decoder, default_codec, default_decoder, encoder, ranges
from strl.errors import EnvironmentFault, UsageError
from strl.ir.semantics import Readout, ReadoutKind, Semantics
from strl.loop.adopt import environment_spec
from strl.loop.statistics import iqm
from strl.loop.subject import of_policy
from strl.policies.checkpoint import Checkpoint, save
from strl.policies.mlp import MLPConfig, SpikingMLP
from strl.policies.policy import SpikingPolicy
from strl.policies.threads import one_thread
from strl.training.dagger import Imitation, Run
from strl.training.episodes import (
    TEST_SEEDS,
    VALIDATION_SEEDS,
    Act,
    check_seed,
    make_env,
    returns,
    training_seeds,
)
from strl.training.expert import train_expert
from strl.training.files import run_folder
from strl.training.fit import check_size
from strl.training.recipes import expert_recipe, student_recipe
from strl.training.student import Student

_RANGE_STEPS = 4000
_PACKAGES = ("strl", "torch", "snntorch", "stable-baselines3", "gymnasium", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What ``strl train`` is told.

    Args:
        env: Gymnasium id.
        ticks: T of a decision.
        encoder, encoder_options: kind and further fields of the encoder; ranges are measured.
        hidden, neuron, alpha, beta, readout: of the network, see ``MLPConfig``.
        seed: of everything.
        expert_steps: environment steps of the expert; ``None`` takes the recipe's.
        imitation: see ``Imitation``.
    """

    env: str
    ticks: int = 8
    encoder: str = "direct"
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    hidden: tuple[int, ...] = (64, 64)
    neuron: Literal["leaky", "synaptic"] = "leaky"
    alpha: float = 0.5
    beta: float = 0.75
    readout: ReadoutKind = "membrane"
    seed: int = 0
    expert_steps: int | None = None
    imitation: Imitation = field(default_factory=Imitation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What came of it: mean return on the validation seeds, returns of the test seeds, the file."""

    path: Path
    validation: float
    test: NDArray[np.float64]


def train(options: Training, output: Path, *, command: str = "") -> Trained:
    """Train a policy and write its checkpoint to ``output``.

    Args:
        options: what to train.
        output: the checkpoint; ``output.run`` beside it holds the expert, the student's progress and logs.
        command: for the record.

    Raises:
        ChipError: no chip of ours holds a network of that size; said before anything is trained.
        EnvironmentFault: no such environment, or spaces without a codec.
        UsageError: the run folder belongs to other options.
    """
    with one_thread():
        return _train(options, output, command)


def _train(options: Training, output: Path, command: str) -> Trained:
    env = make_env(options.env)
    check_spaces(env)
    # What is wrong with the options, and whether the network fits the chip, is said now.
    of_policy(_policy(options, _semantics(options, env, _any_observation(env)))).program()
    discrete = isinstance(env.action_space, gym.spaces.Discrete)
    recipe = expert_recipe(options.env, discrete=discrete, steps=options.expert_steps)
    folder = run_folder(output, {**asdict(options), "expert": asdict(recipe)})
    log = folder / "log"
    expert = train_expert(options.env, recipe, seed=options.seed, path=folder / "expert.safetensors", log=log)
    semantics = _semantics(options, env, _observations(expert, options))
    torch.manual_seed(options.seed)
    student = Student(_policy(options, semantics), seed=options.seed)
    run = Run(student, expert, options.env, options.imitation, options.seed)
    with SummaryWriter(str(log / "student")) as board:
        validation = run.train(folder / "student.safetensors", board)
    student.reseed(options.seed)
    test = returns(student, options.env, TEST_SEEDS, lanes=50)
    record = {
        "command": command,
        "expert": asdict(recipe),
        "imitation": asdict(options.imitation),
        "seeds": seeds_used(options.seed, options.imitation),
        "returns": {"validation_mean": validation, "test_iqm": iqm(test), "test_mean": float(test.mean())},
        "versions": versions(),
    }
    save(Checkpoint(policy=student.policy, record=record), output)
    return Trained(path=output, validation=validation, test=test)


def configure(env: str, *, seed: int = 0, given: Mapping[str, Any], imitation: Mapping[str, Any]) -> Training:
    """The defaults, the environment's recipe over them, and over both what was given.

    Raises:
        UsageError: a value out of range.
    """
    recipe = dict(student_recipe(env))
    learning = Imitation(**{**recipe.pop("imitation", {}), **imitation})
    merged = {**recipe, **given}
    merged["hidden"] = tuple(merged.get("hidden", Training.__dataclass_fields__["hidden"].default))
    check_seed(seed)
    if "alpha" in given and merged.get("neuron", Training.__dataclass_fields__["neuron"].default) == "leaky":
        raise UsageError(
            f"alpha = {given['alpha']}, but leaky neurons have no current that it could retain",
            hint="add --neuron synaptic, or leave --alpha out",
        )
    return Training(env=env, seed=seed, imitation=learning, **merged)


def seeds_used(seed: int, imitation: Imitation) -> dict[str, str]:
    """Which environments were reset with which seeds, for the record."""
    return {
        "training": f"{seed}; environments from {training_seeds(seed).start}",
        "validation": f"{VALIDATION_SEEDS[0]}..{VALIDATION_SEEDS[imitation.episodes - 1]}",
        "test": f"{TEST_SEEDS[0]}..{TEST_SEEDS[-1]}, after the choice of the checkpoint",
    }


def versions() -> dict[str, str]:
    """Of Python and of every package that a training depends on, for the record."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def command_line(arguments: Sequence[str], output: Path) -> str:
    """The command as it can be given anywhere: with the bare name of its output, without ``--json``."""
    words = [output.name if word == str(output) else word for word in arguments if word != "--json"]
    return shlex.join(["strl", *words])


def check_spaces(env: gym.Env[Any, Any]) -> None:
    """Observations and actions have a codec and an expert; raises ``EnvironmentFault``."""
    default_decoder(env.action_space)
    if not isinstance(env.observation_space, gym.spaces.Box):
        default_codec(env.observation_space, env.action_space)  # raises, and says what to do
    if isinstance(env.action_space, gym.spaces.Discrete) and env.action_space.start != 0:
        raise EnvironmentFault(
            f"actions of {env.action_space} do not start at 0, which the expert's library cannot learn",
            hint="wrap the environment so that they do: gymnasium.wrappers.TransformAction",
        )


def _observations(expert: Act, options: Training) -> NDArray[Any]:
    """What the noisy expert sees, to measure the ranges of the features."""
    env = make_env(options.env)
    rng = np.random.default_rng(options.seed)
    env.action_space.seed(options.seed)
    now = env.reset(seed=training_seeds(options.seed).start + 999)[0]
    seen = []
    for _ in range(_RANGE_STEPS):
        seen.append(now)
        noisy = rng.random() < options.imitation.noise
        now, _, ended, cut, _ = env.step(env.action_space.sample() if noisy else expert(now[None])[0])
        if ended or cut:
            now = env.reset()[0]
    env.close()
    return np.stack(seen)


def _any_observation(env: gym.Env[Any, Any]) -> NDArray[Any]:
    assert isinstance(env.observation_space, gym.spaces.Box)
    space = env.observation_space
    return np.clip(np.zeros((1, *space.shape)), space.low, space.high)


def _semantics(options: Training, env: gym.Env[Any, Any], seen: NDArray[Any]) -> Semantics:
    encode, decode = measured_codec(env, seen, options.encoder, options.encoder_options)
    return Semantics(
        ticks=options.ticks,
        state="reset",
        readout=Readout(kind=options.readout),
        encoder=encode.to_dict(),
        decoder=decode.to_dict(),
        environment=environment_spec(options.env, env),
    )


def measured_codec(
    env: gym.Env[Any, Any], seen: NDArray[Any], kind: str, options: Mapping[str, Any]
) -> tuple[Encoder, Decoder]:
    """The codec of an environment's spaces, with the ranges of the observations ``seen`` [n, *shape]."""
    space = env.observation_space
    assert isinstance(space, gym.spaces.Box)
    low, high = ranges(seen, space, symmetric=kind in ("direct", "sign-split"))
    return default_codec(space, env.action_space, encoder_kind=kind, low=low, high=high, options=options)


def _policy(options: Training, semantics: Semantics) -> SpikingPolicy:
    config = MLPConfig(
        inputs=encoder(semantics.encoder).size,
        outputs=decoder(semantics.decoder).size,
        hidden=options.hidden,
        neuron=options.neuron,
        alpha=options.alpha,
        beta=options.beta,
        readout=options.readout,
    )
    check_size((config.inputs, *config.hidden, config.outputs))
    return SpikingPolicy(module=SpikingMLP(config), semantics=semantics)
