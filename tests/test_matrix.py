"""Node × reset × corner × backend: it equals the definition in each, and each corner is truly met."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hardware_sims.loihi.definition import LIMIT, DefinitionBackend
from hardware_sims.loihi.session import LoihiSession
from hardware_sims.torch import TorchBackend
from strl.chip import Program
from strl.quantize import Population, Source, Synapse
from strl.quantize.network import ReadoutWindow, Schedule
from strl.quantize.neurons import Graded, Lif, Neurons, Product, Ternary
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
    "ternary": Ternary(du=parameter(9), dv=parameter(40), high=parameter(900), low=parameter(-700)),
    "graded": Graded(vth=parameter(3)),
    "graded rectified": Graded(vth=parameter(3), rectify=True),
    "product": Product(vth=parameter(3), shift=2),
}
BACKENDS = {"loihi": LoihiSession, "torch": TorchBackend("cpu").load}
CORNERS = ("overflow", "zero", "saturation", "recurrence")


def program(node: Neurons, corner: str, state: str) -> Program:
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
    return replace(
        random_program(0),
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
    made = program(NODES[name], corner, state)
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
