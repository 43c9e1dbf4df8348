"""Network: named nodes and edges in discrete time, checked when it is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from types import MappingProxyType

from strl.content import Content
from strl.errors import ModelError
from strl.ir.nodes import Delay, Input, Node, Output, Shape

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network(Content):
    """Nodes by name, edges (from, to), and the tick length the parameters were derived for.

    Nodes keep the order they are given in. Every value travels along its edges within the tick;
    only a ``Delay`` moves it to a later one, so every loop holds at least one.

    Args:
        nodes: name → node; exactly one Input, at least one Output.
        edges: pairs of names; several edges into one node are summed.
        dt: seconds per tick (only NIR's continuous parameters depend on it).

    Raises:
        ModelError: the first rule of ``strl.ir.verify`` that does not hold.
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    dt: float = 1e-4
    _sources: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    _targets: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        from strl.ir.verify import verify

        object.__setattr__(self, "nodes", MappingProxyType(dict(self.nodes)))
        object.__setattr__(self, "edges", tuple((str(a), str(b)) for a, b in self.edges))
        object.__setattr__(self, "_sources", _grouped((b, a) for a, b in self.edges))
        object.__setattr__(self, "_targets", _grouped(self.edges))
        verify(self)

    def sources(self, name: str) -> tuple[str, ...]:
        """Names of the nodes with an edge into ``name``, in edge order."""
        return self._sources.get(name, ())

    def targets(self, name: str) -> tuple[str, ...]:
        """Names of the nodes that ``name`` has an edge to, in edge order."""
        return self._targets.get(name, ())

    def of(self, kind: type[Node]) -> tuple[str, ...]:
        """Names of the nodes of one class, in order."""
        return tuple(n for n, node in self.nodes.items() if isinstance(node, kind))

    @property
    def input(self) -> str:
        return self.of(Input)[0]

    @property
    def output(self) -> str:
        """The only Output.

        Raises:
            ModelError: there are several; names them.
        """
        found = self.of(Output)
        if len(found) > 1:
            raise ModelError(
                f"network: has {len(found)} outputs ({', '.join(found)}), and one is asked for",
                hint="keep the head that is read, and leave the others out",
            )
        return found[0]


def evaluation_order(nodes: Mapping[str, Node], edges: tuple[Edge, ...]) -> list[str]:
    """Names so that each comes after its sources; a Delay's output is known before its input.

    Raises:
        ModelError: a loop without a Delay; names its nodes.
    """
    now = {edge for edge in edges if not isinstance(nodes[edge[0]], Delay)}
    targets, place = _grouped(sorted(now)), {name: number for number, name in enumerate(nodes)}
    missing = Counter(b for _, b in now)
    ready, order = [name for name in nodes if not missing[name]], list[str]()
    while ready:  # those that become known at once keep the order of ``nodes``
        order += ready
        freed = []
        for target in (b for a in ready for b in targets.get(a, ())):
            missing[target] -= 1
            if not missing[target]:
                freed.append(target)
        ready = sorted(freed, key=place.__getitem__)
    if len(order) < len(nodes):
        raise ModelError(
            f"network: a loop without a delay runs through {', '.join(sorted(set(nodes) - set(order)))}",
            hint="put a Delay of one tick on the recurrent edge",
        )
    return order


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """First → the seconds that go with it, in order."""
    found: dict[str, list[str]] = {}
    for first, second in pairs:
        found.setdefault(first, []).append(second)
    return {first: tuple(seconds) for first, seconds in found.items()}


def shapes(network: Network) -> dict[str, Shape]:
    """Output shape of every node, without batch.

    Raises:
        ModelError: an input that does not fit its node; names the node.
    """
    found: dict[str, Shape] = {n: node.shape for n, node in network.nodes.items() if isinstance(node, Delay)}
    for name in evaluation_order(network.nodes, network.edges):
        node = network.nodes[name]
        if isinstance(node, Input):
            found[name] = node.shape
            continue
        incoming = [found[a] for a in network.sources(name)]
        if len(set(incoming)) > 1:
            raise ModelError(f"{name}: inputs of different shapes {sorted(set(incoming))} are summed")
        try:
            found[name] = node.output_shape(incoming[0])
        except ModelError as error:
            raise ModelError(f"{name}: {error.message}", hint=error.hint) from None
        if isinstance(node, Output) and found[name] != node.shape:
            raise ModelError(f"{name}: receives {found[name]}, is declared {node.shape}")
    return found


def size(shape: Shape) -> int:
    """Number of elements of a shape."""
    return reduce(lambda a, b: a * b, shape, 1)
