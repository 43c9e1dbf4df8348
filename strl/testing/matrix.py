"""Node × reset × corner: the small programs in which every kind of neuron is held to the definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.chip.arithmetic import Arithmetic
from strl.chip.program import Program
from strl.ir.semantics import State
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Graded, Lif, Neurons, Product, Source, Ternary
from strl.testing.programs import random_program

N = 5
"""Neurons of each."""


def parameter(value: int) -> NDArray[np.int32]:
    """One value for all neurons."""
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
    "lif multiple zero": Lif(du=parameter(9), dv=parameter(40), vth=parameter(90), multiple=True),
    "lif multiple once": Lif(
        du=parameter(9), dv=parameter(40), vth=parameter(90), reset="once", multiple=True
    ),
    "lif loihi1": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900)),
    "lif loihi1 refractory": Lif(du=parameter(9), dv=parameter(40), vth=parameter(900), refractory=3),
    "ternary": Ternary(du=parameter(9), dv=parameter(40), high=parameter(900), low=parameter(-700)),
    "graded": Graded(vth=parameter(3)),
    "graded rectified": Graded(vth=parameter(3), rectify=True),
    "product": Product(vth=parameter(3), shift=2),
}
CORNERS = ("overflow", "zero", "saturation", "recurrence")
"""What the input drives the sums to; the last has synapses from the neurons to themselves."""


JOINTS = ("sparse synapses", "delayed synapses", "convolution", "graded input")
"""What brings the input to plain neurons, where it is not dense synapses of spikes."""

ROWS = (*NODES, *JOINTS)


def cell(name: str, corner: str, state: State) -> Program:
    """The program of a cell: of ``ROWS``, of ``CORNERS``, and what a decision does to the state."""
    if name in NODES:
        return program(NODES[name], corner, state, arithmetic="loihi1" if "loihi1" in name else "lava")
    made = program(NODES["lif"], corner, state)
    first, *others = made.synapses
    if name == "graded input":
        source = replace(made.populations[0], kind=Source(plane=None))
        made = replace(made, populations=(source, *made.populations[1:]))
    changes: dict[str, Any] = {
        "sparse synapses": {"format": "sparse"},
        "delayed synapses": {"delay": 3},
        "convolution": {"weight": Kernel(weight=first.matrix[:, None, None], image=(1, 1, 3))},
        "graded input": {"message_bits": 8},
    }
    return replace(made, synapses=(replace(first, **changes[name]), *others))


def program(node: Neurons, corner: str, state: State, *, arithmetic: Arithmetic = "lava") -> Program:
    """Three sources into one population, driven so that the corner is met."""
    rng = np.random.default_rng(1)
    weight, exponent = rng.integers(-256, 256, (N, 3), np.int16), 0
    if corner == "overflow":
        weight, exponent = np.full((N, 3), 255, np.int16), 7
    elif corner == "zero":
        weight = np.zeros((N, 3), np.int16)
    elif corner == "saturation":
        weight, exponent = np.full((N, 3), -256, np.int16), 4
    back = rng.integers(-256, 256, (N, N), np.int16)
    if corner == "recurrence" or arithmetic == "loihi1":  # of both signs neither Lava nor it stores odd ones
        weight, back = weight & ~1, back & ~1
    bits = 24 if arithmetic == "lava" else 0
    synapses = [Synapse(name="w", pre="in", post="out", weight=weight, weight_exp=exponent)]
    if isinstance(node, Product):
        synapses.append(Synapse(name="f", pre="in", post="out", weight=weight, weight_exp=exponent, port=1))
    if corner == "recurrence":
        synapses.append(Synapse(name="r", pre="out", post="out", weight=back, message_bits=bits, delay=2))
    return replace(
        random_program(0),
        arithmetic=arithmetic,
        populations=(
            Population(name="in", size=3, kind=Source()),
            Population(name="out", size=N, kind=node, offset=1),
        ),
        synapses=tuple(synapses),
        schedule=Schedule(ticks=12, total=14, state=state),
        readout=ReadoutWindow(population="out", kind="count", start=1, stop=13, unit=1.0),
    )
