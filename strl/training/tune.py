"""Tuning a trained policy to weights of few bits, with the policy itself as the teacher.

The student is the same network, computing in the integers of its program at that width; DAgger shows it what
the untuned float policy does where the student goes.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch.utils.tensorboard import SummaryWriter

from strl.chip.spec import chip as chip_named
from strl.content import digest
from strl.errors import ChipError, ModelError, UsageError
from strl.loop.environment import environment
from strl.loop.statistics import iqm
from strl.policies.checkpoint import Checkpoint, save
from strl.policies.mlp import SpikingMLP
from strl.policies.policy import SpikingPolicy
from strl.policies.threads import one_thread
from strl.training.dagger import Imitation, Run
from strl.training.episodes import TEST_SEEDS, returns
from strl.training.files import run_folder
from strl.training.integer import ChipStudent
from strl.training.student import Student
from strl.training.train import Trained, seeds_used, versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What ``strl tune`` is told.

    Args:
        weight_bits: of a weight, 2 to the chip's own.
        imitation: see ``Imitation`` and ``recipe``; the teacher is the expert.
        env: Gymnasium id; ``None`` for the policy's own.
        chip: name or TOML file.
        seed: of everything.
    """

    weight_bits: int
    imitation: Imitation
    env: str | None = None
    chip: str = "loihi1"
    seed: int = 0


def recipe(weight_bits: int) -> Imitation:
    """How a student of that width learns unless told; one of three levels has a longer way to go."""
    few = weight_bits == 2
    return Imitation(rounds=16 if few else 8, steps=300, updates=150, batch=256, rate=3e-3 if few else 1e-3)


def tune(policy: SpikingPolicy, options: Tuning, output: Path, *, command: str = "") -> Trained:
    """Tune a copy of ``policy`` and write its checkpoint to ``output``.

    Args:
        policy: a ``SpikingMLP`` whose state is reset every decision; stays as it is.
        options: how.
        output: the checkpoint; ``output.run`` beside it holds progress and logs, from which the same call
            goes on.
        command: for the record.

    Raises:
        ChipError: the chip has no weights of that many bits, or cannot hold the network.
        EnvironmentFault: no such environment, or other spaces than the policy's.
        ModelError: another kind of policy.
        UsageError: the run folder belongs to another tuning.
    """
    with one_thread():
        return _tune(policy, options, output, command)


def _tune(policy: SpikingPolicy, options: Tuning, output: Path, command: str) -> Trained:
    _check(policy)
    world = environment(policy.semantics, options.env)
    if world.kwargs:
        raise UsageError(f"{world.id}: was made with arguments of its own, which a tuning cannot pass on")
    target = chip_named(options.chip)
    if not 2 <= options.weight_bits <= target.limit("weight_bits"):
        raise ChipError(
            f"weight bits = {options.weight_bits}, must be 2..{target.limit('weight_bits')} on {target.name}"
        )
    weights = {name: tensor.numpy() for name, tensor in policy.module.state_dict().items()}
    folder = run_folder(output, {**asdict(options), "env": world.id, "policy": digest(weights)})
    tuned = replace(policy, module=copy.deepcopy(policy.module), weight_bits=options.weight_bits)
    torch.manual_seed(options.seed)
    student = ChipStudent(tuned, chip=target, weight_bits=options.weight_bits, seed=options.seed)
    run = Run(student, Student(policy), world.id, options.imitation, options.seed)
    with SummaryWriter(str(folder / "log")) as board:
        validation = run.train(folder / "student.safetensors", board)
    student.reseed(options.seed)
    with student.on_grid():  # where the best round left the module, so this moves nothing
        test = returns(student, world.id, TEST_SEEDS, lanes=50)
    record = {
        "command": command,
        "chip": target.name,
        "imitation": asdict(options.imitation),
        "seeds": seeds_used(options.seed, options.imitation),
        "returns": {"validation_mean": validation, "test_iqm": iqm(test), "test_mean": float(test.mean())},
        "versions": versions(),
    }
    save(Checkpoint(policy=tuned, record=record), output)
    return Trained(path=output, validation=validation, test=test)


def _check(policy: SpikingPolicy) -> None:
    if not isinstance(policy.module, SpikingMLP) or policy.call != "tick":
        raise ModelError(
            f"a {type(policy.module).__name__} cannot be tuned",
            hint="give what `strl train` wrote, or a name from `strl policies`",
        )
    if policy.semantics.state != "reset":
        raise ModelError("a policy that carries its state from decision to decision cannot be tuned")
