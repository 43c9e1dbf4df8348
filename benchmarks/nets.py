"""Random feed-forward programs whose layers fire at a chosen rate."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from strl.chip import Program, backend, chip
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Lif, Source

DV = 410  # a potential keeps 0.9 of itself a tick
TICKS = 8


def program(sizes: Sequence[int], *, firing: float = 0.3, seed: int = 0) -> Program:
    """A stack of dense layers, T = 8, state reset every decision, thresholds such that ``firing`` holds.

    Args:
        sizes: neurons of each layer, the inputs first.
        firing: share of neurons that spike in a tick; each layer's threshold is searched for it.
    """
    rng = np.random.default_rng(seed)
    weights = [
        (2 * rng.integers(-64, 64, size=(post, pre)) + 16).astype(np.int16) for pre, post in pairwise(sizes)
    ]
    thresholds = [131071] * len(weights)
    for layer in range(len(weights)):
        low, high = 0, 131071
        while high - low > 1:
            thresholds[layer] = (low + high) // 2
            made = _program(sizes[: layer + 2], weights[: layer + 1], thresholds[: layer + 1])
            too_much = rates(made, firing=firing, seed=seed)[-1] > firing
            low, high = (thresholds[layer], high) if too_much else (low, thresholds[layer])
    return _program(sizes, weights, thresholds)


def spikes(made: Program, *, batch: int, firing: float = 0.3, seed: int = 0) -> NDArray[np.uint8]:
    """Random input spikes [T, batch, inputs] of one decision."""
    rng = np.random.default_rng(seed)
    shape = (made.schedule.ticks, batch, made.populations[0].size)
    return np.asarray(rng.random(shape) < firing, np.uint8)


def rates(made: Program, *, firing: float = 0.3, seed: int = 0, batch: int = 64) -> list[float]:
    """Measured share of neurons that spike in a tick of their own T, by population."""
    session = backend("loihi").load(made, batch=batch)
    raster = session.run(spikes(made, batch=batch, firing=firing, seed=seed)).raster
    return [
        float(raster[:, p.offset : p.offset + TICKS, made.slices[p.name]].mean()) for p in made.populations
    ]


def _program(sizes: Sequence[int], weights: list[NDArray[np.int16]], thresholds: list[int]) -> Program:
    names = ["input", *(f"layer{k}" for k in range(1, len(sizes)))]
    populations = [Population(name="input", size=sizes[0], kind=Source())]
    synapses = []
    for k, (weight, threshold) in enumerate(zip(weights, thresholds, strict=True), start=1):
        n = sizes[k]
        lif = Lif(du=np.full(n, 4095), dv=np.full(n, DV), vth=np.full(n, threshold))
        populations.append(Population(name=names[k], size=n, kind=lif, offset=k))
        synapses.append(Synapse(name=f"w{k}", pre=names[k - 1], post=names[k], weight=weight))
    depth = len(weights)
    return Program(
        chip=chip("loihi1"),
        arithmetic="lava",
        populations=tuple(populations),
        synapses=tuple(synapses),
        placement=(),
        schedule=Schedule(ticks=TICKS, total=TICKS + depth, state="reset"),
        readout=ReadoutWindow(
            population=names[-1],
            kind="count",
            start=depth,
            stop=depth + TICKS,
            unit=1.0,
        ),
        semantics=Semantics(
            ticks=TICKS,
            state="reset",
            rest=0,
            readout=Readout(kind="count"),
            encoder={},
            decoder={},
            environment=EnvironmentSpec(id="", observation_shape=(1,), actions=2),
        ),
    )
