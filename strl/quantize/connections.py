"""A Network seen as populations: which Linear joins which neurons, and with what delay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from strl.errors import ChipError
from strl.ir.maps import Linear
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.nodes import Delay, Input


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Spikes of ``pre`` reach ``post`` through the weights of node ``linear``.

    Args:
        delay: ticks of all Delay nodes on the way.
        way: the nodes from ``linear`` to ``post``; what the bias of ``linear`` passes.
        late: ticks of the Delay nodes on that way.
    """

    linear: str
    pre: str
    post: str
    delay: int
    way: tuple[str, ...]
    late: int


def connections(network: Network) -> tuple[Connection, ...]:
    """Every path from a population or the input to a population.

    Raises:
        ChipError: a path without weights, or through two Linear nodes that cannot be folded; names it.
    """
    return tuple(
        _connection(network, path, post) for post in network.of(LIF) for path in _paths(network, post)
    )


def _connection(network: Network, path: tuple[str, ...], post: str) -> Connection:
    linears = [k for k, n in enumerate(path) if isinstance(network.nodes[n], Linear)]
    if len(linears) != 1:
        route = " → ".join((*path, post))
        raise ChipError(
            f"{post}: the path {route} has {len(linears)} Linear nodes; on chip it is exactly one",
            hint="put a Linear (an identity will do) between two populations",
        )
    way = path[linears[0] :]
    return Connection(
        linear=way[0],
        pre=path[0],
        post=post,
        delay=_ticks(network, path),
        way=way,
        late=_ticks(network, way),
    )


def _ticks(network: Network, path: tuple[str, ...]) -> int:
    delays = (network.nodes[name] for name in path)
    return sum(node.ticks for node in delays if isinstance(node, Delay))


def output_population(network: Network) -> str:
    """The population whose spikes or membrane are the output.

    Raises:
        ChipError: the output comes from something else than one population.
    """
    sources = network.sources(network.output)
    if len(sources) != 1 or not isinstance(network.nodes[sources[0]], LIF):
        raise ChipError(
            f"{network.output}: comes from {', '.join(sources)}; a chip is read at one population of neurons",
            hint="end the network in neurons: spikes to count, or for a membrane read-out "
            "snn.Leaky(reset_mechanism='none')",
        )
    return sources[0]


def _paths(network: Network, node: str) -> Iterator[tuple[str, ...]]:
    """Paths that end before ``node`` and begin at a population or the input."""
    for source in network.sources(node):
        if isinstance(network.nodes[source], LIF | Input):
            yield (source,)
        else:
            yield from ((*path, source) for path in _paths(network, source))
