"""Node × reset × corner × backend: it equals the definition in each, and each corner is truly met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware_sims.loihi.definition import LIMIT, DefinitionBackend
from hardware_sims.loihi.session import LoihiSession
from hardware_sims.torch import TorchBackend
from strl.chip import Program
from strl.chip.arithmetic import Arithmetic
from strl.quantize import Population, Source, Synapse
from strl.quantize.network import ReadoutWindow, Schedule
from strl.quantize.neurons import Graded, Lif, Neurons, Product, Reset, Ternary
from strl.testing import random_program
from strl.testing.conformance import compare_counts, compare_decisions

N = 5


def parameter(value: int) -> np.ndarray:
    return np.full(N, value, np.int32)


NODES: dict[str, Neurons] = {
    "lif": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900)),
    "lif zero late": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900), reset_delay=True),
    "lif subtract": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900), reset="subtract"),
    "lif subtract late": Lif(
        du=parameter(9), dv=parameter(40), vth=parameter(900), reset="subtract", reset_delay=True
    ),
    "lif once": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900), reset="once"),
    "lif none": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900), reset="none"),
    "lif inclusive": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900), inclusive=True),
    "lif zero late inclusive": Lif(
        du=parameter(9), dv=parameter(40), vth=parameter(900), reset_delay=True, inclusive=True
    ),
    "lif subtract inclusive": Lif(
        du=parameter(9), dv=parameter(40), vth=parameter(900), reset="subtract", inclusive=True
    ),
    "lif once inclusive": Lif(
        du=parameter(9), dv=parameter(40), vth=parameter(900), reset="once", inclusive=True
    ),
    "lif loihi1": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900)),
    "lif loihi1 refractory": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900), refractory=3),
    "ternary": Ternary(du=parameter(9), dv=parameter(40), high=parameter(900), low=parameter(-700)),
    "graded": Graded(vth=parameter(3)),
    "graded rectified": Graded(vth=parameter(3), rectify=True),
    "product": Product(vth=parameter(3), shift=2),
}
BACKENDS = {"loihi": LoihiSession, "torch": TorchBackend("cpu").load}
CORNERS = ("overflow", "zero", "saturation", "recurrence")


def program(node: Neurons, corner: str, state: str, *, arithmetic: Arithmetic = "lava") -> Program:
    """Three sources into one population, driven so that the corner is met."""
    rng = np.random.default_rng(1)
    weight, exponent = rng.integers(-256, 256, (N, 3)), 0
    if corner == "overflow":
        weight, exponent = np.full((N, 3), 255), 7
    elif corner == "zero":
        weight = np.zeros((N, 3), int)
    elif corner == "saturation":
        weight, exponent = np.full((N, 3), -256), 4
    synapses = [Synapse(name="w", pre="in", post="out", weight=weight, weight_exp=exponent)]
    if isinstance(node, Product):
        synapses.append(Synapse(name="f", pre="in", post="out", weight=weight, weight_exp=exponent, port=1))
    if corner == "recurrence":
        back = rng.integers(-256, 256, (N, N))
        synapses.append(Synapse(name="r", pre="out", post="out", weight=back, message_bits=24, delay=2))
    if arithmetic == "loihi1":  # has no odd weights beside negative ones, and only spikes
        synapses = [replace(s, weight=s.weight - s.weight % 2, message_bits=0) for s in synapses]
    return replace(
        random_program(0),
        arithmetic=arithmetic,
        populations=(
            Population(name="in", size=3, kind=Source()),
            Population(name="out", size=N, kind=node, offset=1),
        ),
        synapses=tuple(synapses),
        schedule=Schedule(ticks=12, total=14, state=state),  # type: ignore[arg-type]
        readout=ReadoutWindow(population="out", kind="count", start=1, stop=13, unit=1.0),
    )


@pytest.mark.parametrize("state", ["reset", "carry"])
@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("name", NODES)
@pytest.mark.parametrize("on", BACKENDS)
def test_cell(on: str, name: str, corner: str, state: str) -> None:
    made = program(NODES[name], corner, state, arithmetic="loihi1" if "loihi1" in name else "lava")
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
