"""No input exceeds what is proved, and what can overflow is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hardware_sims.loihi import definition
from hardware_sims.loihi.backend import LoihiBackend
from hardware_sims.loihi.definition import DefinitionBackend
from strl.chip.overflow import CURRENT_MAX, SUM_MAX, bounds, risks
from strl.chip.program import Program
from strl.chip.strict import StrictBackend
from strl.errors import ChipError
from strl.quantize import Population, Source, Synapse
from strl.quantize.network import ReadoutWindow, Schedule, WindowKind
from strl.quantize.neurons import Lif
from strl.testing import KINDS, random_program, random_spikes


def test_no_sum_exceeds_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = definition.DefinitionSession._input
    met: dict[str, Any] = {}

    def watched(self: Any, population: Population, port: int, tick: int) -> Any:
        a = plain(self, population, port, tick)
        met[population.name] = np.maximum(met.get(population.name, 0), np.abs(a).max(axis=0))
        return a

    monkeypatch.setattr(definition.DefinitionSession, "_input", watched)
    reached = 0
    for seed in range(80):
        program = random_program(seed, kinds=KINDS if seed % 2 else ())
        found, met = bounds(program), {}
        session = DefinitionBackend().load(program, batch=3)
        for decision in range(3):
            session.run(random_spikes(program, seed + decision, batch=3))
        for name, bound in found.items():
            assert (met[name] <= bound.total).all(), (seed, name)
            reached += int((met[name] == bound.total).sum())
    assert reached > 50


def test_what_can_overflow_is_named() -> None:
    weight = np.full((3, 200), 100)
    weight[1] = 200
    program = replace(
        random_program(0),
        populations=(
            Population(name="in", size=200, kind=Source()),
            Population(name="out", size=3, kind=Lif(du=np.full(3, 4095), dv=np.zeros(3), vth=np.full(3, 9))),
        ),
        synapses=(Synapse(name="w", pre="in", post="out", weight=weight),),
        readout=replace(random_program(0).readout, population="out", kind="count"),
    )
    found = bounds(program)["out"].to_dict()
    over = {"1": 40_000.0 - SUM_MAX}
    assert found["sum"] == {
        "worst": 40_000.0,
        "neuron": 1,
        "limit": SUM_MAX,
        "can_exceed": 1,
        "beyond": over,
    }
    quiet = {"worst": 2_560_000.0, "neuron": 1, "limit": CURRENT_MAX, "can_exceed": 0, "beyond": {}}
    assert found["current"] == quiet


def _one(value: int) -> NDArray[np.int32]:
    return np.array([value], np.int32)


def read_alone(kind: WindowKind, *, offset: int, window: tuple[int, int], vth: int) -> Program:
    """One neuron that adds up its input of a decision of 8 ticks, and is read."""
    return replace(
        random_program(0),
        populations=(
            Population(name="in", size=1, kind=Source()),
            Population(name="out", size=1, offset=offset, kind=Lif(du=_one(4095), dv=_one(0), vth=_one(vth))),
        ),
        synapses=(Synapse(name="w", pre="in", post="out", weight=np.array([[2]])),),
        placement=(),
        schedule=Schedule(ticks=8, total=8, state="reset"),
        readout=ReadoutWindow(population="out", kind=kind, start=window[0], stop=window[1], unit=1.0),
    )


@pytest.mark.parametrize("offset", range(8))
@pytest.mark.parametrize(
    ("kind", "window"), [("membrane", (0, 5)), ("potential", (2, 5)), ("potential", (0, 8))]
)
def test_what_is_read_before_the_reset_is_as_old_as_a_decision(
    kind: WindowKind, window: tuple[int, int], offset: int
) -> None:
    program = read_alone(kind, offset=offset, window=window, vth=131071)
    session = DefinitionBackend().load(program)
    for _ in range(3):
        read = session.run(np.ones((8, 1, 1), np.uint8)).readout
    # A tick adds 128; what arrives at the reset itself is dropped where it stems from before it.
    assert bounds(program)["out"].potential - read.max() in (0, 128)


def test_a_potential_read_before_the_reset_is_no_proof() -> None:
    program = read_alone("potential", offset=4, window=(2, 5), vth=6)
    assert [risk.what for risk in risks(program)] == ["membrane"]
    session = StrictBackend(LoihiBackend()).load(program)
    session.run(np.ones((8, 1, 1), np.uint8))
    with pytest.raises(ChipError, match="would behave differently"):
        session.run(np.ones((8, 1, 1), np.uint8))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"offset": 8}, r"^out: begins at tick 8, must be 0\.\.7"),
        ({"offset": -1}, r"^out: begins at tick -1, must be 0\.\.7"),
        ({"window": (0, 9)}, r"a decision has 8 ticks, its read-out is 0\.\.9"),
        ({"window": (5, 4)}, r"a decision has 8 ticks, its read-out is 5\.\.4"),
    ],
)
def test_a_program_lies_within_a_decision(change: dict[str, Any], reason: str) -> None:
    """A population that begins later would never be cleared, and backends would differ."""
    with pytest.raises(ChipError, match=reason):
        read_alone("membrane", **{"offset": 1, "window": (0, 5), "vth": 9, **change})
