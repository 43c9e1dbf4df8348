"""snnTorch's recurrent neurons: neurons with a loop of one tick, which the feedback's weights stand in."""

from __future__ import annotations

from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from exporters.snntorch.layers import Part, Site, array, layer, part
from exporters.snntorch.neurons import retention, spiking
from strl.errors import ModelError
from strl.ir.maps import Scale
from strl.ir.nodes import Delay, Node


@layer(snn.RLeaky)
def rleaky(module: snn.RLeaky, site: Site) -> Part:
    return _loop(module, site, spiking(module, site, np.zeros(site.shape), late=bool(module.reset_delay)))


@layer(snn.RSynaptic)
def rsynaptic(module: snn.RSynaptic, site: Site) -> Part:
    # In 1.0.0 reset_delay=False changes a copy of v that nobody keeps: every reset comes a tick late. (With
    # init_hidden that setting fails in the forward pass.)
    return _loop(module, site, spiking(module, site, retention(module, "alpha", site), late=True))


def _loop(module: Any, site: Site, made: Part) -> Part:
    """What leaves the neurons comes back in the next tick; so the feedback's bias acts from tick 0."""
    nodes = {**made.nodes, "delay": Delay(ticks=1, shape=site.shape), "recurrent": _feedback(module, site)}
    return Part(
        nodes=nodes,
        edges=(*made.edges, (made.leaves, "delay"), ("delay", "recurrent"), ("recurrent", "")),
        leaves=made.leaves,
        spikes=made.spikes,
        twin=made.twin,
    )


def _feedback(module: Any, site: Site) -> Node:
    inner = module.recurrent
    if type(inner).__name__ == "RecurrentOneToOne":
        weight = array(torch.as_tensor(inner.V))
        return Scale(scale=weight)
    if type(inner) not in (nn.Linear, nn.Conv2d):
        raise ModelError(f"its feedback is a {type(inner).__name__}, must be a Linear, a Conv2d or V")
    found = part("recurrent", inner, Site(shape=site.shape, gives=site.shape))
    assert found is not None
    return found.nodes[""]
