"""Strictness: what is proved never differs on the chip, and what differs is stopped, named and measured."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

import strl
from hardware_sims.loihi import DefinitionBackend, LoihiBackend
from hardware_sims.loihi.definition import DefinitionSession
from strl.chip import Program, Session, chip
from strl.chip.compile import compile_network
from strl.chip.exporter import Artefact, exporter
from strl.chip.fit import utilization
from strl.chip.overflow import SUM_MAX, SUM_MIN, bounds, risks
from strl.chip.strict import StrictBackend, StrictSession
from strl.cli.main import main
from strl.errors import ChipError
from strl.ir import EnvironmentSpec
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Lif
from strl.testing import random_program, random_spikes
from strl.testing.policies import PoleSubject, pole_network, pole_semantics

SHORT = "strl-test/StrictPole-v0"
WIDE = 2000
"""Hidden neurons of a pole policy whose sums leave 16 bits."""


def storable(seed: int, kinds: tuple[str, ...] = ()) -> Program:
    """A random program in ``lava`` that the chip can be given; every other plain one has tame weights."""
    made = random_program(seed, kinds=kinds, arithmetic="loihi1", largest=12)

    def population(p: Population) -> Population:
        return replace(p, kind=replace(p.kind, refractory=1)) if isinstance(p.kind, Lif) else p

    def synapse(s: Synapse) -> Synapse:
        if seed % 2 or kinds:
            return s
        return replace(s, weight=s.weight // 32 * 2, weight_exp=s.weight_exp % 3)

    return replace(
        made,
        arithmetic="lava",
        populations=tuple(map(population, made.populations)),
        synapses=tuple(map(synapse, made.synapses)),
    )


def played(session: Session, seed: int, decisions: int) -> str:
    """What stopped the session; nothing where it was not."""
    try:
        for decision in range(decisions):
            spikes = random_spikes(session.program, 7 * seed + decision, batch=1)
            session.run(np.repeat(spikes, session.batch, axis=1))
    except ChipError as error:
        return error.message
    return ""


def differs(program: Program, seed: int, decisions: int) -> bool:
    """Whether the definition sends or reads anything else in the other arithmetic."""
    runs = [DefinitionBackend().load(p) for p in (program, replace(program, arithmetic="loihi1"))]
    for decision in range(decisions):
        spikes = random_spikes(program, 7 * seed + decision, batch=1)
        a, b = (run.run(spikes) for run in runs)
        if not (np.array_equal(a.raster, b.raster) and np.array_equal(a.readout, b.readout)):
            return True
    return False


def test_a_session_stops_exactly_where_the_chip_differs() -> None:
    stopped = 0
    for seed in range(150):
        made = storable(seed, ("kernel", "sparse") if seed % 3 == 0 else ())
        session = StrictBackend(LoihiBackend()).load(made, batch=2)
        said = played(session, seed, 3)
        assert bool(said) == differs(made, seed, 3), seed
        if said:
            stopped += 1
            assert re.match(r"on loihi1 slot 0 would behave differently: .*decision \d", said)
        session.close()
    assert 20 < stopped < 130


def test_what_is_proved_never_differs() -> None:
    """Nor do u and v, in any tick."""
    proved = 0
    for seed in range(400):
        made = storable(seed)
        if risks(made):
            continue
        proved += 1
        assert not isinstance(StrictBackend(LoihiBackend()).load(made), StrictSession)
        runs = [DefinitionSession(p, 4) for p in (made, replace(made, arithmetic="loihi1"))]
        for decision in range(2):
            spikes = random_spikes(made, seed + decision, batch=4)
            for tick in range(made.schedule.total):
                driven = spikes[tick] if tick < len(spikes) else np.zeros_like(spikes[0])
                sent = [run.tick(tick, driven) for run in runs]
                assert np.array_equal(*sent)
                for name in runs[0].u:
                    assert np.array_equal(runs[0].u[name], runs[1].u[name])
                    assert np.array_equal(runs[0].v[name], runs[1].v[name])
    assert proved > 50


def reached(program: Program) -> tuple[Any, Any, Any]:
    """Over every input: greatest and least sum on the chip, and how far Lava's is from it; all [n]."""
    inputs = sum(p.size for p in program.sources)
    patterns = np.array(list(itertools.product((0, 1), repeat=inputs)), np.uint8)
    sums = []
    for arithmetic in ("loihi1", "lava"):
        session = DefinitionSession(replace(program, arithmetic=arithmetic), len(patterns))
        session.tick(0, patterns)
        session.tick(1, patterns)
        sums.append(session.sums["out", 0])
    return sums[0].max(axis=0), sums[0].min(axis=0), (sums[1] - sums[0]).max(axis=0)


def one_layer(seed: int) -> Program | None:
    """Up to 9 sources into one population, by plain and shared synapses whose sums do not wrap."""
    made = storable(seed, ("kernel", "sparse") if seed % 2 else ())
    out = next(p for p in made.populations if isinstance(p.kind, Lif))
    sources = {p.name for p in made.sources}
    found = [
        replace(s, post="out", delay=1, weight_exp=min(s.weight_exp, 2))
        for s in made.synapses
        if s.post == out.name and s.pre in sources
    ]
    kept = {s.pre: s for s in found}
    if not kept or sum(p.size for p in made.sources) > 9:
        return None
    readout = replace(made.readout, population="out", kind="count", start=0, stop=1)
    return replace(
        made,
        populations=(*made.sources, replace(out, name="out", offset=0)),
        synapses=tuple(kept.values()),
        schedule=replace(made.schedule, state="carry"),
        readout=readout,
    )


def test_bounds_are_what_an_exhaustive_search_reaches() -> None:
    searched = kernels = rounded = 0
    for program in filter(None, map(one_layer, range(400))):
        bound = bounds(program, "loihi1")["out"]
        assert bound.low.min() >= SUM_MIN
        assert bound.high.max() <= SUM_MAX
        high, low, lost = reached(program)
        assert np.array_equal(bound.high, high)
        assert np.array_equal(bound.low, low)
        assert np.array_equal(bound.rounding, lost)
        searched += 1
        kernels += any(not isinstance(s.weight, np.ndarray) for s in program.synapses)
        rounded += bool(lost.any())
    assert searched > 40
    assert min(kernels, rounded) > 5


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    gymnasium.register(SHORT, entry_point=CartPoleEnv, max_episode_steps=8)
    monkeypatch.setattr("strl.loop.subject.resolve", subject)
    yield
    del gymnasium.registry[SHORT]


def subject(name: str) -> PoleSubject:
    semantics = pole_semantics(environment=EnvironmentSpec(id=SHORT, observation_shape=(4,), actions=2))
    hidden = WIDE if name == "wide" else 16
    return PoleSubject(name=name, network=pole_network(hidden=hidden), semantics=semantics)


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("command", [["run"], ["compare"], ["compare", "--backend-a", "definition"]])
def test_the_command_line_stops_with_4(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    name, *options = command
    assert main([name, "pole", "--strict", "--episodes", "2", *options]) == 0
    capsys.readouterr()
    assert main([name, "wide", "--strict", "--episodes", "2", *options]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    said = r"sum of lif2\[\d\] is (-?\d+) in decision 0, tick \d, beyond 16 bits by (\d+): the chip keeps "
    found = re.search(said + r"(-?\d+)", err)
    assert found, err
    total, beyond, kept = map(int, found.groups())
    assert beyond == (total - SUM_MAX if total > 0 else SUM_MIN - total)
    assert (total - kept) % 2**16 == 0
    assert re.search(r"lif2\[\d\] first spikes differently in decision \d, tick \d", err)


@pytest.mark.usefixtures("world")
def test_strict_changes_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    digests = set()
    for options in ([], ["--strict"], ["--strict", "--backend", "definition"]):
        assert main(["run", "pole", "--episodes", "2", "--json", *options]) == 0
        digests.add(json.loads(capsys.readouterr().out)["digest"])
    assert len(digests) == 1
    assert main(["run", "pole", "--backend", "float", "--strict"]) == 2
    with pytest.raises(ChipError, match="beyond 16 bits"):
        strl.evaluate(subject("wide"), episodes=1, strict=True)
    with pytest.raises(ChipError, match="beyond 16 bits"):
        strl.evaluate(subject("wide"), episodes=2, strict=True, jobs=2)
    with pytest.raises(ChipError, match="beyond 16 bits"):
        strl.compare(subject("wide"), episodes=1, strict=True)
    assert len(strl.evaluate(subject("wide"), episodes=1).returns) == 1


def test_a_chip_of_which_nothing_is_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing found to be a risk proves nothing there; export and run refuse alike."""
    made = replace(storable(1), chip=chip("loihi2"))
    with pytest.raises(ChipError, match="loihi2: has no arithmetic 'loihi1'") as caught:
        StrictBackend(LoihiBackend()).load(made)
    assert "--chip loihi1" in caught.value.hint
    assert risks(made) == ()

    path, export = str(tmp_path / "p.bundle"), ["export", "cartpole-mlp", "--chip", "loihi2", "-o"]
    assert main([*export, path]) == 0
    for command in (
        [*export, str(tmp_path / "strict"), "--strict"],
        ["run", path, "--strict", "--episodes", "1"],
    ):
        assert main(command) == 4
        message = capsys.readouterr().err
        assert "nothing can be proved of it" in message
        assert "--chip loihi1" in message
    assert not (tmp_path / "strict").exists()


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    semantics = pole_semantics(
        environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=2)
    )
    path = tmp_path / "wide.nir"
    network = pole_network(hidden=WIDE)
    exporter("nir").export(Artefact(name="wide", network=network, semantics=semantics, proof={}), path)
    return path


def test_export_warns_in_one_line_and_strict_refuses(
    wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "wide.bundle"
    assert main(["export", str(wide), "-o", str(bundle)]) == 0
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    assert (
        "not proved to run alike on the chip: lif2: the synaptic sum of 2 neurons can leave 16 bits"
        in warning
    )
    record = json.loads((bundle / "utilization.json").read_text())["sums"]["lif2"]["sum"]
    assert record["can_exceed"] == 2
    assert record["beyond"][str(record["neuron"])] == record["worst"] - SUM_MAX
    assert main(["inspect", str(bundle)]) == 0
    said = capsys.readouterr().out
    assert f"2 neurons can exceed it, number {record['neuron']} the furthest" in said
    assert "arithmetic lava" in said

    assert main(["export", str(wide), "--strict", "-o", str(tmp_path / "strict")]) == 4
    assert "can leave 16 bits" in capsys.readouterr().err
    assert not (tmp_path / "strict").exists()
    assert main(["export", str(wide), "--strict", "--target", "nir", "-o", str(tmp_path / "x.nir")]) == 2


def test_export_in_the_other_arithmetic(
    wide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "chip.bundle"
    assert main(["export", str(wide), "--arithmetic", "loihi1", "-o", str(bundle)]) == 0
    assert "arithmetic loihi1" in capsys.readouterr().out
    assert main(["run", str(bundle), "--episodes", "1", "--strict"]) == 0  # it is what the chip does
    assert main(["run", str(bundle), "--episodes", "1", "--backend", "lava-fused"]) == 6
    assert "computes in arithmetic 'lava'" in capsys.readouterr().err
    assert main(["export", str(wide), "--arithmetic", "loihi", "-o", str(bundle)]) == 2
    assert "loihi1" in capsys.readouterr().err


def test_the_proof_is_written_down() -> None:
    compiled = compile_network(pole_network(), pole_semantics(), chip("loihi1"))
    for record in utilization(compiled)["sums"].values():
        assert {what: found["can_exceed"] for what, found in record.items()} == {
            "sum": 0,
            "current": 0,
            "rounding": 0,
        }
