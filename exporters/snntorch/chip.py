"""Layers of ours whose numbers are the chip's already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporters.snntorch.layers import Part, Site, array, layer
from exporters.snntorch.maps import linear
from exporters.snntorch.neurons import integrator, spiking
from strl.errors import ModelError
from strl.ir.maps import Linear, Scale
from strl.ir.neurons import LIF
from strl.policies.attention import CountedProduct, GatedCount, GradedKey, TernaryValue
from strl.policies.chip_layers import ChipLeaky, ChipLinear, ChipScale

NEURONS_ADD = (
    "neurons add weights; attention='sdsa' and 'streaming' need no more, this one is to compare with"
)


@layer(ChipLinear)
def chip_linear(module: ChipLinear, site: Site) -> Part:
    made = linear(module, site)
    assert made is not None
    node = made.nodes[""]
    assert isinstance(node, Linear)
    bias = None if module.stored_bias is None else array(module.stored_bias)
    return Part.of(replace(node, weight=array(module.stored_weight), bias=bias))


@layer(ChipScale)
def chip_scale(module: ChipScale, site: Site) -> Part:
    return Part.of(Scale(scale=array(module.stored_weight)))


@layer(ChipLeaky)
def chip_leaky(module: ChipLeaky, site: Site) -> Part:
    kept = np.broadcast_to(array(module.retention), site.shape).copy()
    made = spiking(module, site, np.zeros(site.shape), late=False, beta=kept)
    node = made.nodes[""]
    assert isinstance(node, LIF)
    node = replace(node, grain=module.grain, floor=module.floor)
    if not (module.resets or module.silent):
        # A potential that no spike resets is a current: every simulator and chip has those.
        node = replace(node, alpha=kept, beta=np.zeros(site.shape), reset="zero")
    return Part(nodes={"": node}, spikes=made.spikes, twin=integrator(node) if module.silent else None)


@layer(CountedProduct)
def counted_product(module: CountedProduct, site: Site) -> Part:
    raise ModelError("(Q Kᵀ) V is an integer product: counts of spikes times spikes", hint=NEURONS_ADD)


@layer(GatedCount)
def gated_count(module: GatedCount, site: Site) -> Part:
    raise ModelError(
        "Q ⊙ Σ K is an integer product: a spike times a count, before any neuron", hint=NEURONS_ADD
    )


@layer(GradedKey, TernaryValue)
def graded_message(module: GradedKey | TernaryValue, site: Site) -> Part:
    raise ModelError(
        "graded K (ReLU) and ternary V (−1, 0, 1) are messages of a Loihi 2: Loihi 1 sends single spikes, "
        "and no neurons are made here that send others",
        hint=NEURONS_ADD,
    )
