"""From the name of an environment to the checkpoint of a spiking transformer; see ``strl.training.train``.

The expert is trained in ``teacher``, which may show more than the environment itself, and answers with the
probability of each action: where it hardly prefers one, the student need not either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from strl.codecs import decoder, encoder
from strl.errors import UsageError
from strl.ir.semantics import Readout, Semantics
from strl.loop.adopt import environment_spec
from strl.loop.statistics import iqm
from strl.loop.subject import of_policy
from strl.policies.attention import ON_CHIP
from strl.policies.checkpoint import Checkpoint, save
from strl.policies.policy import SpikingPolicy
from strl.policies.threads import one_thread
from strl.policies.transformer import SpikingTransformer
from strl.training.dagger import Imitation
from strl.training.episodes import TEST_SEEDS, Act, check_seed, make_env, training_seeds
from strl.training.expert import train_expert
from strl.training.files import run_folder
from strl.training.recipes import expert_recipe, student_recipe
from strl.training.sequence import SequenceRun, SequenceStudent, returns
from strl.training.shape import Shape
from strl.training.train import (
    Trained,
    check_spaces,
    measured_codec,
    seeds_used,
    versions,
)

_RANGE_STEPS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceTraining(Shape):
    """What ``strl train --policy transformer`` is told, beside the network's ``Shape``.

    Args:
        env: Gymnasium id.
        teacher: id of the environment that the expert is trained in; ``info["state"]`` of ``env`` is what it
            would observe there. ``None`` for ``env`` itself.
        precision, gain: of the direct encoder; ranges are measured.
        seed: of everything.
        expert_steps: environment steps of the expert; ``None`` takes the recipe's.
        imitation: see ``Imitation``; a batch is of windows.
    """

    env: str
    teacher: str | None = None
    precision: int = 8
    gain: float = 4.0
    seed: int = 0
    expert_steps: int | None = None
    imitation: Imitation = field(
        default_factory=lambda: Imitation(rounds=9, lanes=32, steps=200, updates=120, batch=64, rate=5e-3)
    )


def configure_sequence(
    env: str, *, seed: int = 0, given: Mapping[str, Any], imitation: Mapping[str, Any]
) -> SequenceTraining:
    """The defaults, the environment's recipe over them, and over both what was given."""
    recipe = dict(student_recipe(env, policy="transformer"))
    plain = asdict(SequenceTraining(env=env).imitation)
    learning = Imitation(**{**plain, **recipe.pop("imitation", {}), **imitation})
    check_seed(seed)
    return SequenceTraining(env=env, seed=seed, imitation=learning, **{**recipe, **given})


def train_transformer(options: SequenceTraining, output: Path, *, command: str = "") -> Trained:
    """Train a policy and write its checkpoint to ``output``; as ``strl.training.train.train``."""
    with one_thread():
        return _train(options, output, command)


def _train(options: SequenceTraining, output: Path, command: str) -> Trained:
    env = make_env(options.env)
    check_spaces(env)
    _check_teacher(options, env)
    # What is wrong with the options, and whether the network fits the chip, is said now.
    policy = _policy(options, _semantics(options, env, _blank(env)))
    if options.attention in ON_CHIP:
        of_policy(policy).program()
    teacher = options.teacher or options.env
    discrete = isinstance(env.action_space, gym.spaces.Discrete)
    recipe = expert_recipe(teacher, discrete=discrete, steps=options.expert_steps)
    folder = run_folder(output, {**asdict(options), "expert": asdict(recipe)})
    log = folder / "log"
    expert = train_expert(teacher, recipe, seed=options.seed, path=folder / "expert.safetensors", log=log)
    answers = expert.preferences if discrete else expert
    semantics = _semantics(options, env, _observations(expert, options))
    torch.manual_seed(options.seed)
    student = SequenceStudent(_policy(options, semantics), seed=options.seed)
    told = options.teacher is not None
    run = SequenceRun(student, answers, options.env, options.imitation, options.seed, told=told)
    with SummaryWriter(str(log / "student")) as board:
        validation = run.train(folder / "student.safetensors", board)
    test = returns(student, options.env, TEST_SEEDS, lanes=50)
    record = {
        "command": command,
        "expert": {"env": teacher, **asdict(recipe)},
        "imitation": asdict(options.imitation),
        "seeds": seeds_used(options.seed, options.imitation),
        "returns": {"validation_mean": validation, "test_iqm": iqm(test), "test_mean": float(test.mean())},
        "versions": versions(),
    }
    save(Checkpoint(policy=student.policy, record=record), output)
    return Trained(path=output, validation=validation, test=test)


def _check_teacher(options: SequenceTraining, env: gym.Env[Any, Any]) -> None:
    """The expert can be asked in the student's environment."""
    if options.teacher is None:
        return
    seen, info = env.reset(seed=training_seeds(options.seed).start)
    found, wanted = np.shape(info.get("state", seen)), make_env(options.teacher).observation_space.shape
    if found != wanted:
        raise UsageError(
            f"teacher = {options.teacher!r}: its expert sees {wanted}, {options.env} can tell it {found}",
            hint="name the environment inside it, which it tells of in info['state']; or no teacher",
        )


def _observations(expert: Act, options: SequenceTraining) -> NDArray[Any]:
    """What the student would see of the noisy expert, to measure the ranges of the features."""
    env = make_env(options.env)
    rng = np.random.default_rng(options.seed)
    env.action_space.seed(options.seed)
    now, info = env.reset(seed=training_seeds(options.seed).start + 999)
    seen = []
    for _ in range(_RANGE_STEPS):
        seen.append(now)
        noisy = rng.random() < options.imitation.noise
        known = info.get("state", now) if options.teacher else now
        action = env.action_space.sample() if noisy else expert(np.asarray(known)[None])[0]
        now, _, ended, cut, info = env.step(action)
        if ended or cut:
            now, info = env.reset()
    env.close()
    return np.stack(seen)


def _blank(env: gym.Env[Any, Any]) -> NDArray[Any]:
    assert isinstance(env.observation_space, gym.spaces.Box)
    return np.clip(
        np.zeros((1, *env.observation_space.shape)), env.observation_space.low, env.observation_space.high
    )


def _semantics(options: SequenceTraining, env: gym.Env[Any, Any], seen: NDArray[Any]) -> Semantics:
    encode, decode = measured_codec(
        env, seen, "direct", {"precision": options.precision, "gain": options.gain}
    )
    return Semantics(
        ticks=options.ticks,
        state="carry",
        rest=options.config().depth,
        readout=Readout(kind="membrane"),
        encoder=encode.to_dict(),
        decoder=decode.to_dict(),
        environment=environment_spec(options.env, env),
    )


def _policy(options: SequenceTraining, semantics: Semantics) -> SpikingPolicy:
    encode, decode = encoder(semantics.encoder), decoder(semantics.decoder)
    bits = options.weight_bits if options.weight_bits < 8 else None
    module = SpikingTransformer(options.config(inputs=encode.size, outputs=decode.size, unit=encode.unit))
    return SpikingPolicy(module=module, semantics=semantics, weight_bits=bits)
