"""Random programs: small, valid, and reaching for the corners of the arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.chip.program import Program
from strl.chip.spec import chip
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Gate, Lif, Source

Rng = np.random.Generator


def random_program(seed: int, *, largest: int = 40) -> Program:
    """A valid program of few neurons, the same for the same seed.

    Among them: state reset and carried, 1..3 sources, gates, recurrence, delays 1..63, exponents −7..7, even
    and odd weights up to −256 and 255, thresholds 0 and 131071, decays that forget and that keep, both
    kinds of read-out, sums that wrap and potentials that clip. It is not placed: no chip limits it.

    Args:
        seed: of ``numpy.random.default_rng``.
        largest: neurons of a population, at most.
    """
    rng = np.random.default_rng(seed)
    ticks = int(rng.integers(1, 9))
    total = ticks + int(rng.integers(0, 6))
    state = "reset" if rng.random() < 0.5 else "carry"
    inputs = [
        Population(name=f"in{i}", size=int(rng.integers(1, largest + 1)), kind=Source(plane=i))
        for i in range(rng.integers(1, 4))
    ]
    gates = [Population(name=f"gate{i}", size=1, kind=_gate(rng, total)) for i in range(rng.integers(0, 3))]
    neurons = [
        Population(name=f"lif{i}", size=n, kind=_lif(rng, n), offset=int(rng.integers(0, total)))
        for i, n in enumerate(rng.integers(1, largest + 1, size=rng.integers(1, 4)).tolist())
    ]
    populations = [*inputs, *gates, *neurons]
    if rng.random() < 0.3:
        rng.shuffle(populations)
    read = neurons[-1]
    start, stop = sorted(int(t) for t in rng.integers(0, total + 1, size=2))
    kind = "membrane" if rng.random() < 0.5 else "count"
    return Program(
        chip=chip("loihi1"),
        populations=tuple(populations),
        synapses=tuple(_synapses(rng, [*inputs, *gates], neurons)),
        placement=(),
        schedule=Schedule(ticks=ticks, total=total, state=state),  # type: ignore[arg-type]
        readout=ReadoutWindow(population=read.name, kind=kind, start=start, stop=stop, unit=1.0),  # type: ignore[arg-type]
        semantics=_semantics(ticks, total, state, kind),
    )


def random_spikes(program: Program, seed: int, *, batch: int) -> NDArray[np.uint8]:
    """Input spikes [T, batch, inputs] of one decision: none, all, or some."""
    rng = np.random.default_rng(seed)
    rate = rng.choice([0.0, 0.1, 0.3, 0.7, 1.0])
    shape = (program.schedule.ticks, batch, sum(p.size for p in program.sources))
    return np.asarray(rng.random(shape) < rate, np.uint8)


def _gate(rng: Rng, total: int) -> Gate:
    start = int(rng.integers(0, total))
    return Gate(start=start, stop=start + int(rng.integers(0, total + 1)))


def _lif(rng: Rng, n: int) -> Lif:
    """Parameters, either one for all neurons or each its own; the ends of their ranges often."""

    def some(ends: list[int], high: int) -> NDArray[np.int32]:
        shape = n if rng.random() < 0.5 else 1
        free = rng.integers(0, high + 1, size=shape)
        chosen = np.where(rng.random(shape) < 0.5, rng.choice(ends, size=shape), free)
        return np.broadcast_to(chosen, n).astype(np.int32)

    # Most thresholds low, or few neurons would ever spike.
    vth = some([0, 1, 131071], int(rng.choice([100, 2000, 131071])))
    return Lif(du=some([0, 1, 4094, 4095], 4095), dv=some([0, 1, 4095, 4096], 4096), vth=vth)


def _synapses(rng: Rng, hosts: list[Population], neurons: list[Population]) -> list[Synapse]:
    made: list[Synapse] = []
    for i, post in enumerate(neurons):
        before = [*hosts, *neurons[:i]]
        chosen = [p for p in before if p is before[-1] or rng.random() < 0.5]
        if rng.random() < 0.5:
            chosen.append(post)
        if rng.random() < 0.3:
            chosen.append(neurons[int(rng.integers(0, len(neurons)))])
        made += [_synapse(rng, f"s{len(made) + k}", pre, post) for k, pre in enumerate(chosen)]
    return made


def _synapse(rng: Rng, name: str, pre: Population, post: Population) -> Synapse:
    shape = (post.size, pre.size)
    style = rng.choice(
        ["even", "odd", "extreme", "positive", "negative", "small", "zero"],
        p=[0.3, 0.25, 0.15, 0.1, 0.1, 0.07, 0.03],
    )
    weight: NDArray[Any] = rng.integers(-256, 256, size=shape)
    if style == "even":
        weight &= ~1
    elif style == "extreme":
        weight = rng.choice([-256, 255], size=shape)
    elif style == "positive":
        weight = np.full(shape, 255)
    elif style == "negative":
        weight = np.full(shape, -256)
    elif style == "small":
        weight = rng.integers(-3, 4, size=shape)
    elif style == "zero":
        weight = np.zeros(shape)
    delay = int(rng.choice([1, 2, 3, 63])) if rng.random() < 0.6 else int(rng.integers(1, 64))
    if rng.random() < 0.5:
        delay = 1
    exponent = int(rng.integers(-7, 8)) if rng.random() < 0.7 else 0
    return Synapse(
        name=name,
        pre=pre.name,
        post=post.name,
        weight=weight.astype(np.int16),
        weight_exp=exponent,
        delay=delay,
    )


def _semantics(ticks: int, total: int, state: Any, kind: Any) -> Semantics:
    return Semantics(
        ticks=ticks,
        state=state,
        rest=total - ticks if state == "carry" else 0,
        readout=Readout(kind=kind),
        encoder={},
        decoder={},
        environment=EnvironmentSpec(id="", observation_shape=(1,), actions=2),
    )
