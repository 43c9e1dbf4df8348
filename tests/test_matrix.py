"""Node × reset × corner × backend: it equals the definition in each, and each corner is truly met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware_sims.loihi.definition import LIMIT, DefinitionBackend
from hardware_sims.loihi.session import LoihiSession
from hardware_sims.torch import TorchBackend
from strl.ir.semantics import State
from strl.quantize import Synapse
from strl.quantize.neurons import Lif, Reset
from strl.testing.conformance import compare_counts, compare_decisions
from strl.testing.matrix import CORNERS, ROWS, N, cell, parameter, program

BACKENDS = {"loihi": LoihiSession, "torch": TorchBackend("cpu").load}


@pytest.mark.parametrize("state", ["reset", "carry"])
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("on", BACKENDS)
def test_cell(on: str, name: str, corner: str, state: State) -> None:
    made = cell(name, corner, state)
    ours, theirs = BACKENDS[on](made, batch=2), DefinitionBackend().load(made, batch=2)
    rng = np.random.default_rng(2)
    top, sent, wrapped = 0, False, False
    for decision in range(3):
        spikes = (rng.random((12, 2, 3)) < 0.9).astype(made.message)
        expected = theirs.run(spikes)
        where = f"{name}, {corner}, {state}, decision {decision}"
        compare_decisions(ours.run(spikes), expected, made, where)
        compare_counts(ours.counts(), theirs.counts(), where)
        sent |= bool(expected.raster[..., 3:].any())
        for population, u in theirs.u.items():
            v = theirs.v[population]
            assert np.array_equal(ours.u[population], u), where
            assert np.array_equal(ours.v[population], v), where
            top, wrapped = max(top, int(np.abs(v).max())), wrapped or bool((u < 0).any())
    if corner == "zero":
        assert not sent
        assert top == 0
    elif corner == "recurrence":
        assert sent
    elif corner == "saturation" and theirs.u:
        assert top == LIMIT - 1 or name == "ternary"  # which a low potential resets
    elif corner == "overflow" and theirs.u:
        assert wrapped  # every weight is positive


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("reset", ["zero", "subtract", "once", "none"])
def test_a_potential_at_the_threshold(reset: Reset, inclusive: bool) -> None:
    """Each spike brings exactly a threshold, which only an inclusive comparison answers."""
    node = Lif(du=parameter(4095), dv=parameter(0), vth=parameter(100), reset=reset, inclusive=inclusive)
    plain = program(node, "zero", "reset")
    synapse = Synapse(name="w", pre="in", post="out", weight=np.full((N, 3), 100))
    made = replace(plain, synapses=(synapse,))
    ours, theirs = LoihiSession(made, 1), DefinitionBackend().load(made, batch=1)
    spikes = np.zeros((12, 1, 3), np.uint8)
    spikes[[0, 5], 0, 0] = 1
    decision = ours.run(spikes)
    compare_decisions(decision, theirs.run(spikes), made, reset)
    at_once, later = ([1, 6], [6]) if reset != "none" else ([*range(1, 14)], [*range(6, 14)])
    assert np.flatnonzero(decision.raster[0, :, 3]).tolist() == (at_once if inclusive else later)
