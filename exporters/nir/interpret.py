"""A graph of a file, under a reading → Network."""

from __future__ import annotations

import numpy as np

from exporters.nir.build import Build
from exporters.nir.cells import expect
from exporters.nir.graph import EXTENSION, INNER, NEURONS, Found, Graph
from exporters.nir.reading import Chosen
from strl.errors import ModelError
from strl.ir.network import Network


def interpret(graph: Graph, chosen: Chosen, where: str) -> tuple[Network, tuple[str, ...]]:
    """The network that a producer means, and remarks on what the file left open.

    Raises:
        ModelError: a file that cannot be this producer's, or that no Network expresses; names the node.
        UsageError: an option that does not go with the others.
    """
    reading = chosen.reading
    for name, found in graph.nodes.items():
        if found.kind.startswith(EXTENSION):
            raise ModelError(
                f"{where}: {name}: a {found.kind} is a node of strl's own", hint="keep its manifest beside it"
            )
        try:
            expect(found, chosen.producer, reading)
        except ModelError as error:
            raise _at(error, f"{where}: {name}") from None
    if reading.recurrent_input == "neuron":
        graph = mended(graph)
    plain = collapsed(graph)
    try:
        made = Build(plain, reading)
        network = made.network()
    except ModelError as error:
        raise _at(error, where) from None
    return network, (*_assumptions(chosen, made), *made.remarks)


def _at(error: ModelError, where: str) -> ModelError:
    return ModelError(f"{where}: {error.message}", hint=error.hint)


def _assumptions(chosen: Chosen, made: Build) -> list[str]:
    """What was taken for granted and matters, as sentences."""
    found = []
    if chosen.assumed:
        found.append(f"nothing says who wrote the file; it is read as one of {chosen.producer.title}")
    unsaid = {
        option: value
        for option, value in chosen.unsaid({node.kind for node in made.graph.nodes.values()}).items()
        if not (others := chosen.others(option)) or any(made.differs(other) for other in others)
    }
    if unsaid:
        values = ", ".join(f"{option}={value}" for option, value in unsaid.items())
        found.append(f"the file does not say {', '.join(unsaid)}; taken: {values}")
        unread = chosen.producer.unread
        found += [f"the file would not say {unread[option]} either" for option in unsaid if option in unread]
    return found


def mended(graph: Graph) -> Graph:
    """Each inner Input that leads only to the weights of a recurrence leads to its neuron instead."""
    edges = []
    for a, b in graph.edges:
        if graph.nodes[a].kind == INNER and graph.nodes[b].kind in ("Linear", "Affine"):
            neurons = [n for n in graph.out_of(b) if graph.nodes[n].kind in NEURONS and b in graph.out_of(n)]
            if len(neurons) == 1:
                b = neurons[0]
        edges.append((a, b))
    return Graph(nodes=graph.nodes, edges=tuple(edges))


def collapsed(graph: Graph) -> Graph:
    """Without the inner Inputs and Outputs: what led to one leads to all that it led to.

    One that would double an edge stays, as a Scale by 1, since two ways between two nodes count twice.
    """
    nodes, edges = dict(graph.nodes), list(graph.edges)
    for name in [n for n, f in graph.nodes.items() if f.kind == INNER]:
        before, behind = ([a for a, b in edges if b == name], [b for a, b in edges if a == name])
        through = [(a, b) for a in before for b in behind]
        if set(through) & set(edges) or name in before:
            nodes[name] = Found(kind="Scale", values={"scale": np.ones(1)})
            continue
        edges = [e for e in edges if name not in e] + through
        del nodes[name]
    return Graph(nodes=nodes, edges=tuple(edges))
