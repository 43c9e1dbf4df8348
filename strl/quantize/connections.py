"""A Network seen as populations: which Linear joins which neurons, and with what delay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from strl.errors import ChipError
from strl.ir.network import Network
from strl.ir.nodes import LIF, Delay, Input, Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Spikes of ``pre`` reach ``post`` through the weights of node ``linear``, ``delay`` ticks late."""

    linear: str
    pre: str
    post: str
    delay: int


def connections(network: Network) -> tuple[Connection, ...]:
    """Every path from a population or the input to a population.

    Raises:
        ChipError: a path without weights, or through two Linear nodes that cannot be folded; names it.
    """
    found: list[Connection] = []
    for post in network.of(LIF):
        for path, delay in _paths(network, post):
            linears = [n for n in path[1:] if isinstance(network.nodes[n], Linear)]
            if len(linears) != 1:
                way = " → ".join((*path, post))
                raise ChipError(
                    f"{post}: the path {way} has {len(linears)} Linear nodes; on chip it is exactly one",
                    hint="put a Linear (an identity will do) between two populations",
                )
            found.append(Connection(linear=linears[0], pre=path[0], post=post, delay=delay))
    return tuple(found)


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


def _paths(network: Network, node: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Paths that end before ``node`` and begin at a population or the input, with their delay."""
    for source in network.sources(node):
        found = network.nodes[source]
        if isinstance(found, LIF | Input):
            yield (source,), 0
            continue
        extra = found.ticks if isinstance(found, Delay) else 0
        for path, delay in _paths(network, source):
            yield (*path, source), delay + extra
