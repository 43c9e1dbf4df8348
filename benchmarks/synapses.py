"""Time per synaptic operation of convolved and sparse synapses, beside a dense layer of the same neurons.

An operation is one stored weight, not 0, of a neuron that spikes. Its time is what a decision takes longer
with input than without, so that updating neurons, which costs all layers the same, is left out. A layer and
its dense twin are timed in turn, in processor time, and of many stretches each the fastest counts: whatever
else the machine does can only slow them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import nets
from hardware_sims.loihi import weights
from hardware_sims.loihi.kernel import columns
from hardware_sims.loihi.session import LoihiSession
from strl.chip import Program
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Lif, Source

FIRING = 0.3
STRETCH = 0.002
CONVOLVED = ((8, 8, 8, 3), (16, 8, 32, 3), (32, 8, 32, 3), (4, 16, 16, 5))
"""Channels in, side of the image, channels out, side of the kernel."""
SPARSE = ((512, 0.3), (512, 0.1), (1024, 0.1), (1024, 0.01))
"""Neurons on either side, share of weights that are not 0."""
FORMS = {columns.DENSE: "rows", columns.SHARED: "patches", columns.LISTED: "lists"}


def rows(seconds: float) -> Iterator[dict[str, Any]]:
    """A row for each layer; its dense twin's time and the ratio are in it."""
    for channels, side, out, width in CONVOLVED:
        shape = (out, channels, width, width)
        shared = Kernel(weight=_random(shape), image=(channels, side, side), padding=(width // 2, width // 2))
        yield compared("convolved", f"{channels}×{side}×{side} → {out}, {width}×{width}", shared, seconds)
    for neurons, density in SPARSE:
        kept = np.random.default_rng(1).random((neurons, neurons)) < density
        weight = _random((neurons, neurons)) * kept
        yield compared("sparse", f"{neurons} → {neurons}, {density:.0%}", weight, seconds)


def million(kind: str) -> Program:
    """A layer of a million synapses: dense, a tenth of its weights not 0, or convolved."""
    if kind == "convolved":  # 32 · 32 · 32 senders of up to 9 · 4 synapses
        return _program(Kernel(weight=_random((4, 32, 3, 3)), image=(32, 32, 32), padding=(1, 1)))
    if kind == "sparse":
        kept = np.random.default_rng(1).random((3200, 3200)) < 0.1
        return _program(_random((3200, 3200)) * kept)
    return _program(_random((1000, 1000)))


def compared(kind: str, name: str, weight: Kernel | NDArray[np.int16], seconds: float) -> dict[str, Any]:
    """A layer and a dense one of the same neurons."""
    layer = _program(weight)
    dense = _program(_random(layer.synapses[0].shape))
    times = {"here": math.inf, "dense": math.inf}
    for _ in range(3):
        for key, program in (("here", layer), ("dense", dense)):
            times[key] = min(times[key], operation(program, seconds / 6))
    return {
        "synapses": kind,
        "layer": name,
        "firing": FIRING,
        "stored_as": FORMS[weights.fastest(layer.synapses[0])],
        "ns_per_synop": times["here"],
        "dense_ns_per_synop": times["dense"],
        "ratio": times["here"] / times["dense"],
    }


def operation(program: Program, seconds: float) -> float:
    """ns per synaptic operation, of one slot on one thread."""
    spikes = nets.spikes(program, batch=1, firing=FIRING)
    operations = int((np.count_nonzero(program.synapses[0].matrix, axis=0) * spikes.sum(axis=(0, 1))).sum())
    session = LoihiSession(program, 1)
    fastest = [math.inf, math.inf]
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        for k, driven in enumerate((np.zeros_like(spikes), spikes)):
            decisions, started = 0, time.thread_time()
            while (spent := time.thread_time() - started) < STRETCH:
                session.run(driven)
                decisions += 1
            fastest[k] = min(fastest[k], spent / decisions)
    session.close()
    return (fastest[1] - fastest[0]) / operations * 1e9


def _random(shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Even weights, none of them 0, as most MIXED ones of 8 bits."""
    drawn = np.random.default_rng(0).integers(1, 64, shape) * 2
    return (drawn * np.random.default_rng(2).choice([-1, 1], shape)).astype(np.int16)


def _program(weight: Kernel | NDArray[np.int16]) -> Program:
    synapse = Synapse(name="w1", pre="input", post="layer1", weight=weight)
    post, pre = synapse.shape
    lif = Lif(du=np.full(post, 4095), dv=np.full(post, nets.DV), vth=np.full(post, 2000))
    return replace(
        nets.program((1, 1)),
        populations=(
            Population(name="input", size=pre, kind=Source()),
            Population(name="layer1", size=post, kind=lif, offset=1),
        ),
        synapses=(synapse,),
    )
