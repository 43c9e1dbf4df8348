"""Imitation by a student that remembers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from strl.cli import main
from strl.errors import UsageError
from strl.policies.checkpoint import load
from strl.policies.transformer import retentions
from strl.training import sequence
from strl.training import transformer as transformers
from strl.training.sequence import SequenceStudent
from strl.training.transformer import SequenceTraining, configure_sequence, train_transformer
from tests.test_transformer import transformer

ENV = "strl/CartPoleHidden-v0"
TINY = {"rounds": 2, "lanes": 4, "steps": 30, "updates": 3, "batch": 4, "episodes": 2}


def tiny(**given: Any) -> SequenceTraining:
    given = {"width": 8, "hidden": 8, "expert_steps": 256, **given}
    return configure_sequence(ENV, given=given, imitation=TINY)


@pytest.fixture
def student() -> SequenceStudent:
    return SequenceStudent(transformer(**retentions(1.0)))


class TestStudent:
    def test_decisions_at_once_are_those_one_by_one(self, student: SequenceStudent) -> None:
        rng = np.random.default_rng(0)
        observations = rng.uniform(-1, 1, (7, 3, 4))
        starts = rng.random((7, 3)) < 0.3
        with torch.no_grad():
            at_once, rate = student.read(observations, starts)
            student.clear()
            each, rates = [], []
            for k in range(7):
                student.clear(starts[k])
                readout, spikes = student.forward(student.drive(observations[k]))
                each.append(readout)
                rates.append(spikes)
        torch.testing.assert_close(at_once, torch.stack(each))
        torch.testing.assert_close(rate, torch.stack(rates).mean())
        assert rate > 0

    def test_what_is_cleared_is_as_new_and_nothing_else_is(self, student: SequenceStudent) -> None:
        rng = np.random.default_rng(0)
        drive = student.drive(rng.uniform(-1, 1, (2, 4)))
        with torch.no_grad():
            new = student.forward(drive)[0]
            on = student.forward(drive)[0]
            student.clear([1])
            found = student.forward(drive)[0]
            assert torch.equal(found[1], new[1])
            assert not torch.equal(found[0], new[0])
            assert not torch.equal(on[0], new[0])


@pytest.mark.parametrize("norm", [False, True])
def test_a_run_repeats_and_an_interrupted_one_ends_the_same(
    norm: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name / "policy.safetensors" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
    monkeypatch.setattr(transformers, "_RANGE_STEPS", 100)
    train_transformer(tiny(norm=norm), paths[0], command="x")
    learn = sequence.SequenceRun._learn

    def interrupted(run: sequence.SequenceRun) -> Any:
        if run.done == 2:
            raise KeyboardInterrupt
        return learn(run)

    monkeypatch.setattr(sequence.SequenceRun, "_learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_transformer(tiny(norm=norm), paths[1], command="x")
    monkeypatch.setattr(sequence.SequenceRun, "_learn", learn)
    train_transformer(tiny(norm=norm), paths[1], command="x")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    policy = load(paths[0]).policy
    assert policy.semantics.state == "carry"
    assert policy.semantics.environment.id == ENV


def test_an_optimiser_that_is_charged_for_spikes_sends_fewer(student: SequenceStudent) -> None:
    observations = np.random.default_rng(0).uniform(-1, 1, (24, 8, 4))
    starts = np.zeros((24, 8), bool)
    optimiser = torch.optim.Adam(student.module.parameters(), lr=1e-2)
    rates = []
    for _ in range(8):
        student.clear()
        optimiser.zero_grad()
        _, rate = student.read(observations, starts)
        torch.autograd.backward(rate)
        optimiser.step()
        rates.append(rate.item())
    assert rates[-1] < 0.9 * rates[0]


@pytest.fixture
def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An environment as whoever needs other options than ours registers it, by the name it has then."""
    kwargs = {"of": "CartPole-v1", "hide": (1, 3), "time": 500}
    entry = "strl.environments.sequence:sequence"
    (tmp_path / "timed.py").write_text(
        f"import gymnasium\ngymnasium.register('Timed-v0', entry_point={entry!r}, kwargs={kwargs!r})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "timed:Timed-v0"
    gymnasium.registry.pop("Timed-v0", None)
    sys.modules.pop("timed", None)


@pytest.mark.parametrize("teacher", ["CartPole-v1", None])
def test_the_expert_sees_what_its_own_environment_shows(
    teacher: str | None, timed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers, "_RANGE_STEPS", 100)
    monkeypatch.setattr(transformers, "TEST_SEEDS", range(3))
    given = {"width": 8, "hidden": 8, "expert_steps": 256, "teacher": teacher}
    train_transformer(configure_sequence(timed, given=given, imitation=TINY), tmp_path / "p.safetensors")
    policy = load(tmp_path / "p.safetensors").policy
    assert policy.module.config.inputs == 5
    assert policy.semantics.environment.id == timed
    assert policy.semantics.encoder["high"][-1] <= 1


def test_a_teacher_that_the_environment_cannot_tell_enough_is_refused(timed: str, tmp_path: Path) -> None:
    options = configure_sequence(timed, given={"teacher": "Acrobot-v1"}, imitation=TINY)
    with pytest.raises(UsageError, match=r"expert sees \(6,\), timed:Timed-v0 can tell it \(4,\)"):
        train_transformer(options, tmp_path / "p.safetensors")
    assert not list(tmp_path.glob("p.safetensors*"))


def test_actions_of_real_numbers_from_training_to_the_chip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(transformers, "_RANGE_STEPS", 100)
    monkeypatch.setattr(transformers, "TEST_SEEDS", range(2))
    path, given = tmp_path / "p.safetensors", {"width": 16, "hidden": 16, "expert_steps": 256, "norm": True}
    done = train_transformer(configure_sequence("Pendulum-v1", given=given, imitation=TINY), path)
    assert main(["export", str(path), "--target", "loihi", "-o", str(tmp_path / "bundle")]) == 0
    assert main(["compare", str(path), "--episodes", "2"]) == 0
    said = capsys.readouterr().out
    assert "100.000% of 400 decisions agree" in said
    assert f"{done.test.mean():.6g}" in said, "the student's returns are the network's"
