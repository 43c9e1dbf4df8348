"""A Network seen as populations: which maps join which neurons, and with what delay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from strl.errors import ChipError
from strl.ir.maps import Conv, Linear, Map, Reshape
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.nodes import Delay, Input, Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What ``pre`` sends reaches ``post`` through the maps on one path.

    Args:
        name: unique in the network: the node with the weights, where it stands on no other path.
        path: the nodes between ``pre`` and ``post``.
        delay: ticks of all Delay nodes among them.
    """

    name: str
    pre: str
    post: str
    path: tuple[str, ...]
    delay: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """What the bias of a map adds to ``post``.

    Args:
        name: unique in the network.
        way: the map, and the nodes after it that its bias passes.
        late: ticks of the Delay nodes among them.
    """

    name: str
    post: str
    way: tuple[str, ...]
    late: int


def connections(network: Network, posts: Iterable[str]) -> tuple[Connection, ...]:
    """Every path from a population or the input to one of ``posts``.

    Raises:
        ChipError: a loop without neurons; names a node of it.
    """
    found = [(path, post) for post in posts for path in _paths(network, post, ())]
    labels = [_label(network, path, post) for path, post in found]
    delays = [_ticks(network, path) for path, _ in found]
    longer = [
        label if labels.count(label) == 1 else f"{label}:{path[0]}->{post}@{delay}"
        for label, (path, post), delay in zip(labels, found, delays, strict=True)
    ]
    return tuple(
        Connection(name=name, pre=path[0], post=post, path=path[1:], delay=delay)
        for name, (path, post), delay in zip(_numbered(longer), found, delays, strict=True)
    )


def biases(network: Network, joins: Iterable[Connection]) -> tuple[Bias, ...]:
    """One a way from a map with a bias to a population, however many senders the map has."""
    ways = {
        (c.path[k:], c.post): None
        for c in joins
        for k, name in enumerate(c.path)
        if (bias := getattr(network.nodes[name], "bias", None)) is not None and bias.any()
    }
    once = Counter(way[0] for way, _ in ways)
    late = [_ticks(network, way) for way, _ in ways]
    names = [
        f"{way[0]}.bias" if once[way[0]] == 1 else f"{way[0]}.bias->{post}@{ticks}"
        for (way, post), ticks in zip(ways, late, strict=True)
    ]
    return tuple(
        Bias(name=name, post=post, way=way, late=ticks)
        for name, (way, post), ticks in zip(_numbered(names), ways, late, strict=True)
    )


def maps(network: Network, path: Iterable[str]) -> list[Map]:
    """The maps on a path."""
    return [node for name in path if isinstance(node := network.nodes[name], Map)]


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


def trace_population(network: Network) -> tuple[str, int] | None:
    """The population that the output shows as it is, and by how many ticks late; ``None`` without one."""
    at, late = network.output, 0
    while len(sources := network.sources(at)) == 1:
        (at,) = sources
        node = network.nodes[at]
        if isinstance(node, LIF):
            return at, late
        if isinstance(node, Delay):
            late += node.ticks
        elif not isinstance(node, Reshape) or node.axes is not None:
            break
    return None


def _paths(network: Network, at: str, after: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths that begin at a population or the input, and end before ``at``, which ``after`` follows."""
    for source in network.sources(at):
        node = network.nodes[source]
        if isinstance(node, LIF | Input):
            yield (source, *after)
        elif source in after:
            raise ChipError(
                f"{source}: a loop through {' → '.join(after)} has no neurons; only they can hold a value"
            )
        else:
            yield from _paths(network, source, (source, *after))


def _label(network: Network, path: tuple[str, ...], post: str) -> str:
    between = [name for name in path[1:] if isinstance(network.nodes[name], Map)]
    weighty = [name for name in between if isinstance(network.nodes[name], Linear | Conv)]
    return next(iter(weighty or between), f"{path[0]}->{post}")


def _numbered(names: list[str]) -> list[str]:
    """Names made unique."""
    return [n if names.count(n) == 1 else f"{n}#{names[:k].count(n)}" for k, n in enumerate(names)]


def _ticks(network: Network, path: Iterable[str]) -> int:
    delays = (network.nodes[name] for name in path)
    return sum(node.ticks for node in delays if isinstance(node, Delay))


def check_nodes(network: Network) -> None:
    """Raises ChipError for the first node that no chip of ours has."""
    for name, node in network.nodes.items():
        if not isinstance(node, LIF | Map | Delay | Input | Output):
            what = (type(node).__doc__ or "").strip().partition("\n")[0]
            raise ChipError(f"{name}: no chip of ours has {node.kind!r} nodes: {what}")
