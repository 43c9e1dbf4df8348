"""The rules a Network keeps, one small function each; ``verify`` runs them all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from strl.errors import ModelError
from strl.ir.maps import Map
from strl.ir.network import Network, shapes
from strl.ir.nodes import Input, Output


def one_input_and_outputs(network: Network) -> None:
    inputs = network.of(Input)
    if len(inputs) != 1:
        raise ModelError(f"network: {len(inputs)} Input nodes ({', '.join(inputs) or 'none'}), must be 1")
    if not network.of(Output):
        raise ModelError("network: no Output node")


def edges_join_nodes_once(network: Network) -> None:
    seen: set[tuple[str, str]] = set()
    for edge in network.edges:
        for name in edge:
            if name not in network.nodes:
                raise ModelError(f"network: edge {edge[0]} → {edge[1]} names no node {name!r}")
        if edge in seen:
            raise ModelError(f"network: edge {edge[0]} → {edge[1]} stands twice")
        seen.add(edge)


def every_node_is_connected(network: Network) -> None:
    for name, node in network.nodes.items():
        if not isinstance(node, Input) and not network.sources(name):
            raise ModelError(f"{name}: nothing leads into it")
        if not isinstance(node, Output) and not network.targets(name):
            raise ModelError(f"{name}: nothing comes of it", hint="remove it, or connect it")


def shapes_fit(network: Network) -> None:
    shapes(network)


def weights_are_finite(network: Network) -> None:
    for name in network.of(Map):
        for what in ("weight", "scale", "bias"):
            values = getattr(network.nodes[name], what, None)
            if values is not None and not np.isfinite(values).all():
                raise ModelError(f"{name}: a {what} is not finite")


RULES: tuple[Callable[[Network], None], ...] = (
    one_input_and_outputs,
    edges_join_nodes_once,
    every_node_is_connected,
    shapes_fit,
    weights_are_finite,
)


def verify(network: Network) -> None:
    """Check every rule.

    Raises:
        ModelError: the first rule that does not hold; names the node or edge.
    """
    for rule in RULES:
        rule(network)
