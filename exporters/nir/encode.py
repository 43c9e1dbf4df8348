"""Network → NIR file, and the description of what the file cannot hold."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote

import nir

from exporters.nir.forms import form
from strl.errors import ModelError
from strl.ir.network import Network, shapes


def encode(network: Network) -> bytes:
    """The NIR file's bytes: the same for the same network.

    Raises:
        ModelError: a node that NIR has no word for; names it.
    """
    nodes, found = {}, shapes(network)
    for name, node in network.nodes.items():
        key, sources = file_name(name), network.sources(name)
        try:
            nodes[key] = form(node).write(node, network.dt, found[sources[0]] if sources else found[name])
        except ModelError as error:
            raise ModelError(f"{name}: {error.message}", hint=error.hint) from None
    edges = [(file_name(a), file_name(b)) for a, b in network.edges]
    # Types were inferred when the Network was made, by rules that know loops and delays.
    graph = nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return buffer.getvalue()


def describe(network: Network) -> dict[str, Any]:
    """What ``decode`` needs beside the file: dt, the order of nodes, and what NIR has no field for."""
    nodes = [{"name": name, **form(node).describe(node, network.dt)} for name, node in network.nodes.items()]
    return {"dt": network.dt, "nodes": nodes}


def file_name(name: str) -> str:
    """A node's name in the file: HDF5 gives "/" and "." a meaning of their own."""
    if not name:
        raise ModelError("network: a node has an empty name, which NIR cannot hold")
    quoted = quote(name, safe=" ")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted
