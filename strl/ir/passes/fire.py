"""Integrator and threshold as one population: a potential that is only compared need not be sent.

NIR writes neurons without a reset as two nodes, one that integrates and one that compares. A chip's neurons
send spikes, so the two become one LIF with reset ``none``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from strl.ir.maps import Scale
from strl.ir.network import Network
from strl.ir.neurons import LIF


def fire(network: Network) -> Network:
    """Requires nothing; ensures that no silent LIF's only target compares its potential, scaled or not."""
    while (way := _pair(network)) is not None:
        network = _merge(network, way)
    return network


def _pair(network: Network) -> tuple[str, ...] | None:
    """Names from a silent LIF to the LIF that compares it."""
    for first in network.of(LIF):
        way = [first]
        if not _lif(network, first).silent:
            continue
        while len(network.targets(way[-1])) == 1:
            (after,) = network.targets(way[-1])
            if len(network.sources(after)) != 1:
                break
            way.append(after)
            if _compares(network, after):
                return tuple(way)
            if not _rescales(network, after):
                break
    return None


def _lif(network: Network, name: str) -> LIF:
    node = network.nodes[name]
    assert isinstance(node, LIF)
    return node


def _compares(network: Network, name: str) -> bool:
    """True for neurons that spike where their input is above a threshold, and know nothing else."""
    node = network.nodes[name]
    if not isinstance(node, LIF) or node.alpha.any() or node.beta.any() or np.any(node.drive):
        return False
    forgets = node.reset in ("zero", "once", "none") and not node.reset_delay and not node.multiple
    return forgets and not node.silent and bool(np.all(np.isneginf(node.floor))) and not node.grain


def _rescales(network: Network, name: str) -> bool:
    node = network.nodes[name]
    return isinstance(node, Scale) and node.bias is None and bool((node.scale > 0).all())


def _merge(network: Network, way: tuple[str, ...]) -> Network:
    first, last = _lif(network, way[0]), _lif(network, way[-1])
    threshold = last.threshold
    for name in way[1:-1]:
        scale = network.nodes[name]
        assert isinstance(scale, Scale)
        threshold = threshold / scale.scale
    merged = replace(first, threshold=threshold, reset="none", reset_delay=False, inclusive=last.inclusive)
    gone = set(way[:-1])
    nodes = {n: merged if n == way[-1] else node for n, node in network.nodes.items() if n not in gone}
    edges = [(a, way[-1]) for a in network.sources(way[0])]
    edges += [(a, b) for a, b in network.edges if not {a, b} & gone]
    return Network(nodes=nodes, edges=tuple(edges), dt=network.dt)
