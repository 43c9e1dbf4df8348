"""Tuning: the forward pass is the program, in every width; what a tuned policy carries; refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from strl.chip.backend import backend
from strl.chip.spec import chip
from strl.cli import main
from strl.codecs import encoder
from strl.errors import ChipError, ModelError, UsageError
from strl.ir import EnvironmentSpec, Readout, Semantics
from strl.loop.subject import resolve
from strl.policies import Checkpoint, SpikingPolicy, load, load_policy, save
from strl.policies.mlp import MLPConfig, SpikingMLP
from strl.quantize.neurons import Lif
from strl.training.dagger import Imitation
from strl.training.integer import ChipStudent
from strl.training.student import Student
from strl.training.tune import Tuning, tune

LOIHI = chip("loihi1")
TINY = Imitation(rounds=1, lanes=2, steps=20, updates=3, batch=16, episodes=2)
ENCODERS = ("direct", "rate", "coarse")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def policy(seed: int = 0, *, encode: str = "direct", size: float = 1.0, **config: Any) -> SpikingPolicy:
    """A random network for CartPole; ``size`` widens the spread of its weights."""
    torch.manual_seed(seed)
    made = MLPConfig(inputs=4, outputs=2, **{"hidden": (9, 7), **config})
    module = SpikingMLP(made)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(size).add_(0.1 * torch.randn_like(parameter) ** 3)
        module.lif1.threshold.fill_(0.3 + float(torch.rand(())))
    kinds = {
        "direct": {"kind": "direct", "precision": 6},
        "coarse": {"kind": "direct", "precision": 11, "gain": 0.7},
        "rate": {"kind": "rate", "random": False},
    }
    semantics = Semantics(
        ticks=6,
        state="reset",
        readout=Readout(kind=made.readout),
        encoder={**kinds[encode], "low": [-1.0] * 4, "high": [1.0] * 4},
        decoder={"kind": "argmax", "actions": 2, "per_action": 1, "first": 0},
        environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=2),
    )
    return SpikingPolicy(module=module, semantics=semantics)


def mismatches(student: ChipStudent, observations: np.ndarray, on: str = "definition") -> tuple[int, int]:
    """Places where module and program differ in a spike or a read-out, and the spikes there were."""
    program, total = student.program, 0
    drive = student.drive(observations)
    with torch.no_grad():
        readout, spikes = student.trace(drive)
    session = backend(on).load(program, batch=len(observations))
    decision = session.run(drive.numpy().astype(np.uint8))
    unlike = int((decision.readout * program.readout.unit != readout.numpy()).sum())
    neurons = [p for p in program.populations if isinstance(p.kind, Lif)]
    for population, mine in zip(neurons, spikes, strict=True):
        ticks = slice(population.offset, population.offset + program.schedule.ticks)
        theirs = decision.raster[:, ticks, program.slices[population.name]]
        unlike += int((theirs != mine.numpy().swapaxes(0, 1)).sum())
        total += int(theirs.sum())
    return unlike, total


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    bits=st.sampled_from([8, 4, 3, 2]),
    encode=st.sampled_from(ENCODERS),
    neuron=st.sampled_from(["leaky", "synaptic"]),
    readout=st.sampled_from(["membrane", "count"]),
    size=st.sampled_from([0.3, 1.0, 6.0]),
    beta=st.floats(0, 0.999),
)
# The input's unit is no power of two, so single precision rounds the weights and with them their scale.
@example(seed=0, bits=8, encode="coarse", neuron="leaky", readout="membrane", size=0.3, beta=0.0)
@example(seed=59353, bits=2, encode="coarse", neuron="leaky", readout="membrane", size=0.3, beta=0.0)
def test_any_module_on_the_grid_spikes_as_its_program(
    seed: int, bits: int, encode: str, neuron: Any, readout: Any, size: float, beta: float
) -> None:
    made = policy(seed, encode=encode, size=size, neuron=neuron, readout=readout, beta=beta)
    student = ChipStudent(made, chip=LOIHI, weight_bits=bits)
    observations = np.random.default_rng(seed).uniform(-1.2, 1.2, (40, 4))
    with student.on_grid():
        assert mismatches(student, observations)[0] == 0
        program, held = student.program, {k: v.clone() for k, v in made.module.state_dict().items()}
        with student.on_grid():  # what is settled stays so
            assert student.program == program
            assert all(torch.equal(v, held[k]) for k, v in made.module.state_dict().items())
    step = 1 << (9 - bits)
    assert all((s.matrix % step == 0).all() and s.weight_bits == bits for s in program.synapses)


def test_the_property_is_about_networks_that_spike() -> None:
    for encode in ENCODERS:
        student = ChipStudent(policy(1, encode=encode), chip=LOIHI, weight_bits=3)
        observations = np.random.default_rng(0).uniform(-1, 1, (40, 4))
        found = {on: mismatches(student, observations, on) for on in ("definition", "loihi")}
        assert found["definition"] == found["loihi"]
        assert found["loihi"][0] == 0
        assert found["loihi"][1] > 500


def test_a_sum_that_loses_bits_is_counted_as_the_chip_counts() -> None:
    """Eleven bit planes: the lowest exponents are negative, and floors of sums show."""
    student = ChipStudent(policy(5, encode="coarse", size=0.3), chip=LOIHI, weight_bits=8)
    assert min(s.weight_exp for s in student.program.synapses) < 0
    assert mismatches(student, np.random.default_rng(0).uniform(-1, 1, (200, 4)))[0] == 0


@pytest.mark.parametrize("bits", [8, 2])
def test_the_gradient_goes_through_everything_and_the_weights_stay_real(bits: int) -> None:
    made = policy(2, neuron="synaptic")
    before = {k: v.clone() for k, v in made.module.state_dict().items()}
    student = ChipStudent(made, chip=LOIHI, weight_bits=bits)
    with student.on_grid():
        readout, rate = student.forward(student.drive(np.random.default_rng(0).uniform(-1, 1, (64, 4))))
        torch.autograd.backward(readout.square().mean() + rate)
    for name, parameter in made.module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.any(), name
    assert all(torch.equal(v, before[k]) for k, v in made.module.state_dict().items() if k in before)


def test_the_gradient_is_that_of_the_network_without_rounding() -> None:
    """At eight bits the module hardly rounds, so snnTorch's own gradient is nearly ours."""
    made = policy(3)
    ours = ChipStudent(made, chip=LOIHI, weight_bits=8)
    theirs = Student(made)
    observations = np.random.default_rng(0).uniform(-1, 1, (256, 4))
    found = []
    for student in (ours, theirs):
        with ours.on_grid():
            made.module.zero_grad()
            student.forward(student.drive(observations))[0].square().mean().backward()
            found.append(torch.cat([p.grad.flatten() for p in made.module.parameters()]))
    similarity = torch.nn.functional.cosine_similarity(found[0], found[1], dim=0)
    assert similarity > 0.99


def test_an_outlier_does_not_take_the_steps_of_all_other_weights() -> None:
    made = policy(4, hidden=(300,))
    weight = made.module.linear1.weight
    with torch.no_grad():
        weight.clamp_(-1, 1)[0, 0] = 2.0
    ChipStudent(made, chip=LOIHI, weight_bits=8).bound()
    assert float(weight.detach()[0, 0]) > 1.9, "eight bits hold it beside the others"
    ChipStudent(made, chip=LOIHI, weight_bits=2).bound()
    assert float(weight.detach()[0, 0]) < 1.0


def test_a_student_of_two_bits_comes_nearer_to_its_teacher() -> None:
    from strl.training.dagger import Run

    teacher = load_policy("cartpole-mlp")
    tuned = replace(load_policy("cartpole-mlp"), weight_bits=2)
    student = ChipStudent(tuned, chip=LOIHI, weight_bits=2)
    options = replace(TINY, lanes=8, steps=100, updates=60, batch=128, rate=2e-3)
    torch.manual_seed(0)
    run = Run(student, Student(teacher), "CartPole-v1", options, 0)
    run._collect()
    observations = np.concatenate(run.seen["observations"])
    wanted = np.concatenate(run.seen["answers"])

    def agreement() -> float:
        with student.on_grid():
            return float((student(observations) == wanted).mean())

    before = agreement()
    run._learn()
    assert agreement() > before + 0.03
    assert mismatches(student, observations[:50])[0] == 0


def test_a_tuned_policy_is_exported_in_the_bits_it_was_tuned_for(tmp_path: Path) -> None:
    teacher = load_policy("cartpole-mlp")
    kept = {k: v.clone() for k, v in teacher.module.state_dict().items()}
    options = Tuning(weight_bits=3, imitation=TINY)
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        tune(teacher, options, path, command="x")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert all(torch.equal(v, kept[k]) for k, v in teacher.module.state_dict().items())

    found = load(paths[0])
    assert found.policy.weight_bits == 3
    assert found.record["imitation"]["updates"] == 3
    subject = resolve(str(paths[0]))
    assert {s.weight_bits for s in subject.program().synapses} == {3}
    assert {s.weight_bits for s in subject.program(weight_bits=8).synapses} == {8}
    assert subject.program() == ChipStudent(found.policy, chip=LOIHI, weight_bits=3).program
    again = tune(teacher, options, paths[0], command="x")  # nothing is left to do
    assert len(again.test) == 100
    with pytest.raises(UsageError, match="holds a run with other options"):
        tune(teacher, replace(options, weight_bits=2), paths[0])
    with pytest.raises(UsageError, match="holds a run with other options"):
        tune(policy(), options, paths[0])


@pytest.mark.parametrize("bits", [1, 9, "4", True, 2.0, [2]])
def test_a_checkpoint_with_other_bits_is_damaged(tmp_path: Path, bits: Any) -> None:
    path = tmp_path / "p"
    made = replace(policy(), weight_bits=4)
    save(Checkpoint(policy=made), path)
    assert load(path).policy.weight_bits == 4
    object.__setattr__(made, "weight_bits", bits)  # past its own check
    save(Checkpoint(policy=made), path)
    with pytest.raises(ModelError, match="weight_bits = "):
        load(path)


def test_policies_without_bits_write_the_header_they_always_wrote(tmp_path: Path) -> None:
    save(Checkpoint(policy=policy()), tmp_path / "p")
    assert b"weight_bits" not in (tmp_path / "p").read_bytes()
    assert load(tmp_path / "p").policy.weight_bits is None


def test_what_cannot_be_tuned_is_refused(tmp_path: Path) -> None:
    made, output = policy(), tmp_path / "p"
    own = replace(made, module=torch.nn.Sequential(*made.module))
    with pytest.raises(ModelError, match="Sequential cannot be tuned"):
        tune(own, Tuning(weight_bits=4, imitation=TINY), output)
    carrying = replace(made, semantics=replace(made.semantics, state="carry", rest=3))
    with pytest.raises(ModelError, match="carries its state"):
        tune(carrying, Tuning(weight_bits=4, imitation=TINY), output)
    spec = replace(made.semantics.environment, kwargs={"sutton_barto_reward": True})
    with pytest.raises(UsageError, match="arguments of its own"):
        tune(
            replace(made, semantics=replace(made.semantics, environment=spec)),
            Tuning(weight_bits=4, imitation=TINY),
            output,
        )
    with pytest.raises(ChipError, match="weight bits = 9"):
        tune(made, Tuning(weight_bits=9, imitation=TINY), output)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["cartpole-mlp", "--weight-bits", "1"], 4, "weight bits = 1, must be 2..8"),
        (["cartpole-mpl", "--weight-bits", "4"], 3, "cartpole-mlp"),
        (["cartpole-mlp", "--weight-bits", "4", "--env", "Acrobot-v1"], 7, "Acrobot-v1"),
        (["cartpole-mlp", "--weight-bits", "4", "--chip", "loihi9"], 4, "loihi9"),
        (["cartpole-mlp", "--weight-bits", "4", "--seed", "-1"], 2, "seed = -1"),
        (["cartpole-mlp", "--weight-bits", "4", "--rounds", "-1"], 2, "rounds = -1"),
        (["cartpole-mlp", "--weight-bits", "4", "-o", "no/such/folder/x"], 2, "there is no folder"),
    ],
)
def test_bad_options_have_their_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    assert main(["tune", "-o", str(tmp_path / "p"), *arguments]) == code
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_strl_tune_and_its_bits_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strl.training.tune.TEST_SEEDS", range(3))
    path = str(tmp_path / "small.safetensors")
    save(Checkpoint(policy=policy(hidden=(6,))), Path(path))
    out = str(tmp_path / "tuned")
    given_ = ["tune", path, "--weight-bits", "4", "--rounds", "0", "--updates", "2", "-o", out]
    assert main([*given_, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["weight_bits"], found["test"]["episodes"]) == (4, 3)

    def digest(*arguments: str) -> Any:
        assert main(["run", *arguments, "--episodes", "1", "--json"]) == 0
        return json.loads(capsys.readouterr().out)["digest"]

    assert main(["compare", out, "--episodes", "2", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["action_agreement"] == 1.0
    assert main(["compare", path, "--weight-bits", "2", "--episodes", "2", "--json"]) == 0
    rounded = json.loads(capsys.readouterr().out)
    assert any(p["share"] > 0 for p in rounded["populations"].values())
    assert digest(path, "--weight-bits", "8") == digest(path)
    assert digest(path, "--weight-bits", "2") != digest(path)
    assert digest(out, "--weight-bits", "4") == digest(out)
    assert main(["run", path, "--backend", "float", "--weight-bits", "4"]) == 2
    assert "float network has no such weights" in capsys.readouterr().err


def test_bit_planes_of_any_encoder_are_the_programs_input() -> None:
    made = policy(encode="direct")
    student = ChipStudent(made, chip=LOIHI, weight_bits=4)
    observations = np.random.default_rng(0).uniform(-1, 1, (5, 4))
    drive = student.drive(observations)
    code = encoder(made.semantics.encoder)
    levels = code.encode(observations, 6, [np.random.default_rng(0)] * 5)
    weights = np.array([1, 2, 4, 8, 16, -32])
    np.testing.assert_array_equal(np.tensordot(drive.numpy().reshape(6, 5, 6, 4), weights, (2, 0)), levels)


def test_the_table_of_the_docs_is_that_of_the_committed_results() -> None:
    from benchmarks.bits import DOCS, RESULTS, START, STOP, table

    rows = json.loads(RESULTS.read_text("utf-8"))["rows"]
    shown = DOCS.read_text("utf-8").split(START)[1].split(STOP)[0]
    assert shown.strip() == table(rows)
    assert {(r["env"], r["weight_bits"]) for r in rows} == {
        (env, bits) for env in ("CartPole-v1", "LunarLander-v3", "Acrobot-v1") for bits in (8, 4, 3, 2)
    }
    for row in rows:
        assert row["spikes"]["decisions"] >= 10_000
        assert row["spikes"]["mismatched"] == row["spikes"]["readouts"] == 0
        assert row["within_5_percent"] == (abs(row["share"]) <= 0.05)
        assert row["within_5_percent"] or row["weight_bits"] < 4
