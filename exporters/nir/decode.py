"""NIR file and its description → Network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import numpy as np

from exporters.nir.forms import read_node
from exporters.nir.scan import scan
from strl.errors import ModelError
from strl.ir.network import Network


def decode(data: bytes, description: Mapping[str, Any], where: str) -> Network:
    """The network that ``encode`` and ``describe`` wrote.

    Args:
        data: the file's bytes.
        description: what ``describe`` returned.
        where: the file's name, for errors.

    Raises:
        ModelError: a hostile or damaged file, one that another producer means otherwise, or a description
            that does not fit it.
    """
    graph = scan(data, where)
    dt, described = _described(description, where)
    found = {unquote(name): node for name, node in graph.nodes.items()}
    if set(found) != set(described):
        odd = ", ".join(sorted(set(found) ^ set(described)))
        raise ModelError(
            f"{where}: file and manifest differ in nodes: {odd}", hint="they were not made together"
        )
    nodes = {}
    for name, entries in described.items():
        try:
            nodes[name] = read_node(found[name], entries, dt)
        except ModelError as error:
            raise ModelError(f"{where}: {name}: {error.message}", hint=error.hint) from None
    edges = tuple((unquote(a), unquote(b)) for a, b in graph.edges)
    try:
        return Network(nodes=nodes, edges=edges, dt=dt)
    except ModelError as error:
        raise ModelError(f"{where}: {error.message}", hint=error.hint) from None


def _described(description: Mapping[str, Any], where: str) -> tuple[float, dict[str, Mapping[str, Any]]]:
    dt, nodes = description.get("dt"), description.get("nodes")
    if isinstance(dt, bool) or not isinstance(dt, int | float) or not 0 < dt < np.inf:
        raise ModelError(f"{where}: manifest: dt = {dt!r}, must be a time above 0")
    if not isinstance(nodes, list) or not all(
        isinstance(n, dict) and isinstance(n.get("name"), str) for n in nodes
    ):
        raise ModelError(f"{where}: manifest: nodes must be a list of objects with names")
    found: dict[str, Mapping[str, Any]] = {
        n["name"]: {key: value for key, value in n.items() if key != "name"} for n in nodes
    }
    if len(found) != len(nodes):
        raise ModelError(f"{where}: manifest: a node is described twice")
    return float(dt), found
