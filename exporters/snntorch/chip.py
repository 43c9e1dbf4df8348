"""Layers of ours whose numbers are the chip's already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from exporters.snntorch.layers import Part, Site, array, layer
from exporters.snntorch.maps import linear
from exporters.snntorch.neurons import integrator, spiking
from strl.ir.maps import Linear
from strl.ir.neurons import LIF
from strl.policies.chip_layers import ChipLeaky, ChipLinear


@layer(ChipLinear)
def chip_linear(module: ChipLinear, site: Site) -> Part:
    made = linear(module, site)
    assert made is not None
    node = made.nodes[""]
    assert isinstance(node, Linear)
    bias = None if module.stored_bias is None else array(module.stored_bias)
    return Part.of(replace(node, weight=array(module.stored_weight), bias=bias))


@layer(ChipLeaky)
def chip_leaky(module: ChipLeaky, site: Site) -> Part:
    kept = np.broadcast_to(array(module.retention), site.shape).copy()
    made = spiking(module, site, np.zeros(site.shape), late=False, beta=kept)
    node = made.nodes[""]
    assert isinstance(node, LIF)
    node = replace(node, grain=module.grain, floor=module.floor)
    return Part(nodes={"": node}, spikes=made.spikes, twin=integrator(node) if module.silent else None)
