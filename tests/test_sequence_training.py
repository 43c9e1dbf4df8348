"""Imitation by a student that remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from strl.policies.checkpoint import load
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
    return SequenceStudent(transformer())


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


def test_a_run_repeats_and_an_interrupted_one_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name / "policy.safetensors" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
    monkeypatch.setattr(transformers, "_RANGE_STEPS", 100)
    train_transformer(tiny(), paths[0], command="x")
    learn = sequence.SequenceRun._learn

    def interrupted(run: sequence.SequenceRun) -> Any:
        if run.done == 2:
            raise KeyboardInterrupt
        return learn(run)

    monkeypatch.setattr(sequence.SequenceRun, "_learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_transformer(tiny(), paths[1], command="x")
    monkeypatch.setattr(sequence.SequenceRun, "_learn", learn)
    train_transformer(tiny(), paths[1], command="x")
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
