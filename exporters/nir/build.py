"""The nodes and edges that a graph of a file becomes under a reading, one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from exporters.nir.cells import Cell
from exporters.nir.graph import NEURONS, Found, Graph, natural
from exporters.nir.loops import Edge, late_edges
from exporters.nir.reading import Reading
from exporters.nir.windows import maps_of
from strl.errors import ModelError
from strl.ir.maps import Scale
from strl.ir.network import Network, evaluation_order
from strl.ir.nodes import Delay, Input, Node, Output, Shape

SIZE_MAX = 1 << 22
"""Values that a node takes or gives in a tick."""
LINES_MAX = 64
"""Different delays in one Delay node."""
HELD_MAX = 1 << 24
"""Values that a Delay holds."""


@dataclass(slots=True)
class Ends:
    """Where edges to a node of the file lead, and where those from it come from."""

    entries: list[str] = field(default_factory=list)
    exits: list[str] = field(default_factory=list)


class Build:
    """Nodes and edges of a Network, made node by node as their input's shape becomes known.

    Args:
        graph: laid flat, without inner Inputs and Outputs.
        reading: what its producer means.

    Raises:
        ModelError: what no Network expresses; names the node.
    """

    def __init__(self, graph: Graph, reading: Reading) -> None:
        self.graph, self.reading = graph, reading
        self.nodes: dict[str, Node] = {}
        self.inner: list[Edge] = []
        self._ends: dict[str, Ends] = {}
        self._shapes: dict[str, Shape] = {}
        waits = frozenset(
            n for n, f in graph.nodes.items() if f.kind == "Delay" and self._ticks(n).min() >= 1
        )
        self.late, self.remarks = late_edges(graph, waits)
        self._looped = {a for a, _ in self.late}
        for name in _by_shape(graph):
            self._make(name)

    def network(self) -> Network:
        """All of it, nodes in the order in which values travel, ties in natural order."""
        edges = (*self._joined(), *self.inner)
        named = {name: self.nodes[name] for name in sorted(self.nodes, key=natural)}
        ordered = {name: named[name] for name in evaluation_order(named, edges)}
        return Network(nodes=ordered, edges=edges, dt=self.reading.dt)

    def differs(self, reading: Reading) -> bool:
        """True where a neuron would be another under that reading."""
        for name, found in self.graph.nodes.items():
            if found.kind in NEURONS:
                mine, other = (
                    Cell(found, r, self._shapes[name], looped=name in self._looped).node()
                    for r in (self.reading, reading)
                )
                if mine[1] != other[1] or not np.array_equal(mine[0], other[0]):
                    return True
        return False

    def _make(self, name: str) -> None:
        found, ends = self.graph.nodes[name], Ends()
        self._ends[name] = ends
        try:
            shape = self._incoming(name)
            self._shapes[name] = self._node(name, found, shape, ends)
            if math.prod(self._shapes[name]) > SIZE_MAX:
                raise ModelError(f"gives {self._shapes[name]}; at most {SIZE_MAX} values are read")
        except ModelError as error:
            raise ModelError(f"{name}: {error.message}", hint=error.hint) from None

    def _incoming(self, name: str) -> Shape:
        known = [self._shapes[a] for a in self.graph.into(name) if a in self._shapes]
        if known:
            return known[0]
        if self.graph.nodes[name].kind == "Input":
            return self._unbatched(name)
        raise ModelError("nothing that starts at an Input leads into it")

    def _unbatched(self, name: str) -> Shape:
        """Shape of the Input without the batch and time axes that Norse and Rockpool write, of size 1."""
        shape = _sizes(self.graph.nodes[name])
        wanted = {_rank(self.graph.nodes[target]) for target in self.graph.out_of(name)}
        for extra in (1, 2):
            if wanted == {max(len(shape) - extra, 1)} and shape[:extra] == (1,) * extra and shape[extra:]:
                self.remarks.append(
                    f"{name} is declared {shape}; taken without the batch axis: {shape[extra:]}"
                )
                return shape[extra:]
        return shape

    def _node(self, name: str, found: Found, shape: Shape, ends: Ends) -> Shape:
        if found.kind == "Input":
            self._chain(ends, [(name, Input(shape=shape))])
        elif found.kind == "Output":
            said = _sizes(found)
            if said not in (shape, (1, *shape), (1, 1, *shape)):
                raise ModelError(f"receives {shape}, is declared {said}")
            self._chain(ends, [(name, Output(shape=shape))])
        elif found.kind == "Delay":
            self._delay(name, shape, ends)
        elif found.kind in NEURONS:
            self._neuron(name, found, shape, ends)
        else:
            chain = maps_of(found, shape, self.reading)
            last = len(chain) - 1
            self._chain(ends, [(name if i == last else f"{name}.{i}", node) for i, node in enumerate(chain)])
            for node in chain:
                shape = node.output_shape(shape)
        return shape

    def _neuron(self, name: str, found: Found, shape: Shape, ends: Ends) -> None:
        gain, node = Cell(found, self.reading, shape, looped=name in self._looped).node()
        chain: list[tuple[str, Node]] = [(name, node)]
        if (gain != 1).any():
            same = (gain == gain.flat[0]).all()
            chain.insert(0, (f"{name}.gain", Scale(scale=gain.ravel()[:1] if same else gain)))
        if self.reading.old_spikes and found.kind not in ("I", "LI", "CubaLI", "Threshold"):
            chain.append((f"{name}.last", Delay(ticks=1, shape=shape)))
            self.late = {e for e in self.late if e[0] != name}
        elif name in self._looped:
            self._add(f"{name}.last", Delay(ticks=1, shape=shape))
            self.inner.append((name, f"{name}.last"))
        self._chain(ends, chain)

    def _delay(self, name: str, shape: Shape, ends: Ends) -> None:
        """One Delay for each number of ticks; where they differ, each behind a mask of its channels."""
        ticks = self._ticks(name)
        if ticks.size > 1 and ticks.shape != shape:
            raise ModelError(f"delay has shape {ticks.shape}, its input has {shape}")
        ticks = np.broadcast_to(ticks.ravel()[0] if ticks.size == 1 else ticks, shape)
        different = np.unique(ticks).tolist()
        if len(different) > LINES_MAX or sum(different) * math.prod(shape) > HELD_MAX:
            raise ModelError(
                f"{len(different)} different delays of up to {different[-1]} ticks, which hold too much",
                hint=f"at most {LINES_MAX}, and {HELD_MAX} values in all, are read",
            )
        for number, many in enumerate(different):
            label = name if len(different) == 1 else f"{name}.{number}"
            chain: list[tuple[str, Node]] = [(label, Delay(ticks=many, shape=shape))] if many else []
            if len(different) > 1 or not many:
                chain.insert(0, (f"{label}.mask", Scale(scale=(ticks == many).astype(np.float64))))
            self._chain(ends, chain)

    def _ticks(self, name: str) -> NDArray[np.int64]:
        """A Delay node's delays in ticks."""
        ticks = np.asarray(self.graph.nodes[name]["delay"], dtype=np.float64) / self.reading.dt
        whole = np.round(ticks)
        if (whole < 0).any() or (np.abs(ticks - whole) > 1e-4 * np.maximum(whole, 1)).any():
            raise ModelError(
                f"{name}: delays of {np.unique(ticks)[:4].tolist()} ticks, must be whole numbers",
                hint="the file's dt is another",
            )
        if whole.max() > HELD_MAX:
            raise ModelError(f"{name}: a delay of {whole.max():g} ticks, at most {HELD_MAX} are read")
        return whole.astype(np.int64)

    def _chain(self, ends: Ends, chain: list[tuple[str, Node]]) -> None:
        for name, node in chain:
            self._add(name, node)
        self.inner += [(a, b) for (a, _), (b, _) in pairwise(chain)]
        ends.entries.append(chain[0][0])
        ends.exits.append(chain[-1][0])

    def _add(self, name: str, node: Node) -> None:
        if name in self.nodes:
            raise ModelError(f"a node {name!r} is made of it, and there is one already")
        self.nodes[name] = node

    def _joined(self) -> Iterator[Edge]:
        for a, b in self.graph.edges:
            exits = [f"{a}.last"] if (a, b) in self.late else self._ends[a].exits
            yield from ((out, into) for out in exits for into in self._ends[b].entries)


def _sizes(found: Found) -> Shape:
    return tuple(int(n) for n in found["shape"])


def _rank(found: Found) -> int:
    """Axes of what a node takes; 0 where that is not told."""
    if found.kind in ("Linear", "Affine"):
        return int(found["weight"].ndim) - 1
    fixed = {"Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3}
    sizes = [np.ndim(value) for value in found.values.values() if np.size(value) > 1]
    return fixed.get(found.kind, max(sizes, default=0) if found.kind in NEURONS else 0)


def _by_shape(graph: Graph) -> list[str]:
    """Names so that each comes after one of its sources; what nothing reaches comes last."""
    ordered = [name for name, node in graph.nodes.items() if node.kind == "Input"]
    seen = set(ordered)
    targets: dict[str, list[str]] = {}
    for a, b in graph.edges:
        targets.setdefault(a, []).append(b)
    for name in ordered:
        for target in sorted(targets.get(name, ()), key=natural):
            if target not in seen:
                seen.add(target)
                ordered.append(target)
    return ordered + [name for name in graph.nodes if name not in seen]
