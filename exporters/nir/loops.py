"""Where a loop of a file gets its tick: feedback is the last tick's spikes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from exporters.nir.graph import NEURONS, Graph
from strl.errors import ModelError

Edge = tuple[str, str]


def late_edges(graph: Graph, waits: frozenset[str]) -> tuple[set[Edge], list[str]]:
    """The edges out of neurons whose values arrive a tick late, and remarks on loops that leave a choice.

    A loop through one neuron leaves none: what leaves the neuron into the loop is late. In a loop through
    several, what leads back to one that is at least as near to the Input is late.

    Args:
        graph: laid flat.
        waits: Delay nodes of a tick or more, which break a loop already.

    Raises:
        ModelError: a loop without a neuron, or one whose feedback cannot be told from its feed-forward.
    """
    order = _distances(graph)
    late: set[Edge] = set()
    remarks = []
    for members in _components(graph, waits):
        neurons = sorted((n for n in members if graph.nodes[n].kind in NEURONS), key=lambda n: order[n])
        if not neurons:
            raise ModelError(f"a loop without a neuron or delay runs through {', '.join(sorted(members))}")
        for name in neurons:
            for target in graph.out_of(name):
                if target in members and _leads_back(graph, name, target, members - waits, order):
                    late.add((name, target))
        if len(neurons) > 1:
            arrows = ", ".join(f"{a} → {b}" for a, b in sorted(late) if a in members)
            remarks.append(
                f"a loop runs through {', '.join(neurons)}; taken to be a tick late: {arrows or 'nothing'}"
            )
    return late, remarks


def _leads_back(graph: Graph, name: str, target: str, members: Iterable[str], order: dict[str, int]) -> bool:
    """True where the neurons that an edge reaches stand no later than the one that it leaves."""
    inside, reached, waiting, seen = set(members), set(), [target], {target}
    while waiting:
        node = waiting.pop()
        if graph.nodes[node].kind in NEURONS:
            reached.add(order[node] <= order[name])
            continue
        for b in graph.out_of(node):
            if b in inside and b not in seen:
                seen.add(b)
                waiting.append(b)
    if len(reached) > 1:
        raise ModelError(
            f"{name} → {target}: leads both back and on inside a loop, so which of it is late is not told",
            hint="give the way back a node of its own, or a Delay",
        )
    return reached == {True}


def _distances(graph: Graph) -> dict[str, int]:
    """Place of each node in breadth-first order from the Input."""
    found: dict[str, int] = {}
    ahead = deque(name for name, node in graph.nodes.items() if node.kind == "Input")
    targets: dict[str, list[str]] = {}
    for a, b in graph.edges:
        targets.setdefault(a, []).append(b)
    while ahead:
        name = ahead.popleft()
        if name not in found:
            found[name] = len(found)
            ahead.extend(targets.get(name, ()))
    return {name: found.get(name, len(graph.nodes)) for name in graph.nodes}


def _components(graph: Graph, waits: frozenset[str]) -> list[set[str]]:
    """Strongly connected sets of nodes that hold a loop, without the nodes of ``waits`` (Kosaraju)."""
    ahead: dict[str, list[str]] = {n: [] for n in graph.nodes if n not in waits}
    back: dict[str, list[str]] = {n: [] for n in ahead}
    for a, b in graph.edges:
        if a in ahead and b in ahead:
            ahead[a].append(b)
            back[b].append(a)
    finished: list[str] = []
    seen: set[str] = set()
    for name in ahead:
        finished += _visited(name, ahead, seen)
    seen = set()
    found = [set(_visited(name, back, seen)) for name in reversed(finished)]
    return [group for group in found if len(group) > 1 or any(n in ahead[n] for n in group)]


def _visited(name: str, targets: dict[str, list[str]], seen: set[str]) -> list[str]:
    """What is reached from ``name`` and was not seen, each after all that it leads to."""
    if name in seen:
        return []
    seen.add(name)
    order, stack = [], [(name, iter(targets[name]))]
    while stack:
        node, rest = stack[-1]
        following = next((b for b in rest if b not in seen), None)
        if following is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(targets[following])))
    return order
