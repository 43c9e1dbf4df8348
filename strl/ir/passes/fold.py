"""Fold chains of Linear nodes into one: W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂)."""

from __future__ import annotations

from strl.ir.maps import Linear
from strl.ir.network import Network


def fold(network: Network) -> Network:
    """Requires nothing; ensures that no Linear's only target is a Linear it alone feeds."""
    while (pair := _chain(network)) is not None:
        network = _merge(network, *pair)
    return network


def _chain(network: Network) -> tuple[str, str] | None:
    for a, b in network.edges:
        both = isinstance(network.nodes[a], Linear) and isinstance(network.nodes[b], Linear)
        if both and network.targets(a) == (b,) and network.sources(b) == (a,):
            return a, b
    return None


def _merge(network: Network, first: str, second: str) -> Network:
    one, two = network.nodes[first], network.nodes[second]
    assert isinstance(one, Linear)
    assert isinstance(two, Linear)
    bias = two.bias
    if one.bias is not None:
        bias = two.weight @ one.bias + (0.0 if bias is None else bias)
    merged = Linear(weight=two.weight @ one.weight, bias=bias)
    nodes = {n: merged if n == second else node for n, node in network.nodes.items() if n != first}
    edges = tuple((a, second if b == first else b) for a, b in network.edges if (a, b) != (first, second))
    return Network(nodes=nodes, edges=edges, dt=network.dt)
