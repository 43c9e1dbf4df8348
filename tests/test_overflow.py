"""No input exceeds what is proved, and what can overflow is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardware_sims.loihi import definition
from hardware_sims.loihi.definition import DefinitionBackend
from strl.chip.overflow import CURRENT_MAX, SUM_MAX, bounds
from strl.quantize import Population, Source, Synapse
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
