"""Random programs made fit for Lava."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from strl.chip import Program
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Graded, Product, Ternary


def for_lava(program: Program, *, longest: int = 63) -> Program:
    """The program with what Lava cannot do left out or made possible.

    Weights become some that Lava can keep, and graded and product neurons share a threshold.

    Args:
        program: any.
        longest: delay, in ticks, of a DelaySparse, which makes its matrices anew every tick.
    """
    populations = tuple(_one_threshold(p) for p in program.populations)
    synapses = [_soon(_storable(s), longest) for s in program.synapses]
    return replace(program, populations=populations, synapses=tuple(synapses))


def _one_threshold(population: Population) -> Population:
    kind = population.kind
    if isinstance(kind, Ternary) and population.size % 2 == 0:  # those are for TernaryLIF, others for ours
        high, low = (np.full_like(kind.high, np.median(x)) for x in (kind.high, kind.low))
        return replace(population, kind=replace(kind, high=high, low=low))
    if not isinstance(kind, Graded | Product):
        return population
    return replace(population, kind=replace(kind, vth=np.full_like(kind.vth, np.median(kind.vth))))


def _soon(synapse: Synapse, longest: int) -> Synapse:
    dense = synapse.format == "dense" and not synapse.message_bits and not isinstance(synapse.weight, Kernel)
    return synapse if dense else replace(synapse, delay=(synapse.delay - 1) % longest + 1)


def _storable(synapse: Synapse) -> Synapse:
    """Even weights where the signs differ, for that is what Lava's 8 bits hold."""
    if isinstance(synapse.weight, Kernel):
        return replace(synapse, weight=replace(synapse.weight, weight=_even(synapse.weight.weight)))
    weight = synapse.weight
    mixed = weight.min() < 0 and (weight.max() > 0 or weight.min() < -255)
    fits = weight.min() >= -128 and weight.max() <= 127
    return replace(synapse, weight=_even(weight)) if mixed and not fits else synapse


def _even(weight: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.clip(weight & ~1, -256, 254).astype(np.int16)
