"""What is linear of no values but of spikes is logic: the greatest of them is an OR, their product an AND.

Either is neurons that keep nothing from one tick to the next, behind a sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from exporters.snntorch.layers import Part, Site, layer
from exporters.snntorch.maps import windows
from strl.errors import ModelError
from strl.ir.maps import Conv, Map, Pool
from strl.ir.neurons import LIF
from strl.ir.nodes import Shape
from strl.policies import modules


@layer(nn.MaxPool1d, nn.MaxPool2d)
def greatest(module: Any, site: Site) -> Part:
    if not all(site.spikes):
        raise ModelError(
            "the greatest of values that are not single spikes cannot be told by a neuron",
            hint="pool behind the neurons, or take nn.AvgPool2d",
        )
    if module.return_indices:
        raise ModelError("return_indices is set; spikes carry no indices")
    return Part(
        nodes={"sum": _window(module, site), "": gate(site.gives, 0.5)},
        edges=(("sum", ""),),
        enters="sum",
        spikes=True,
    )


@layer(modules.Product)
def both(module: modules.Product, site: Site) -> Part:
    if not all(site.spikes):
        raise ModelError(
            "a product of values that are not single spikes is not understood",
            hint="multiply spikes, which is an AND, or fold one factor into the weights",
        )
    if len(set(site.sources)) != len(site.sources):
        raise ModelError("a factor stands twice", hint="spikes are 0 and 1: leave it out once")
    return Part.of(gate(site.shape, len(site.sources) - 0.5), spikes=True)


def gate(shape: Shape, threshold: float) -> LIF:
    """Neurons that spike where more than ``threshold`` reaches them in this tick."""
    nothing = np.zeros(shape)
    return LIF(
        alpha=nothing,
        beta=nothing,
        threshold=np.full(shape, threshold),
        reset="none",
        reset_delay=False,
    )


def _window(module: Any, site: Site) -> Map:
    window, stride, padding = windows(module, site)
    apart = module.dilation if isinstance(module.dilation, tuple) else (module.dilation,) * len(window)
    if set(apart) == {1}:
        return Pool(window=window, stride=stride, padding=padding, mode="sum")
    channels = site.shape[0]
    ones = np.ones((channels, 1, *window))
    return Conv(weight=ones, stride=stride, padding=padding, dilation=apart, groups=channels)
