"""``strl::Tick``: one tick of a Network as a model-local function, which calls ``strl::LIF`` and its kin."""

from __future__ import annotations

import numpy as np
import onnx

from exporters.onnx.graph import DOMAIN, Body, function
from exporters.onnx.loop import Memory, Tick
from exporters.onnx.neurons import CELLS
from exporters.onnx.nodes import emit
from strl.errors import ModelError
from strl.ir.network import Network, evaluation_order, shapes
from strl.ir.nodes import Delay, Float, Input, Neurons, Output, Shape

X, DRIVEN = "x", "driven"
"""Inputs of the function: the network's, and 1 in a driven tick or 0 in one of rest."""


def sent(population: str) -> str:
    """What the function calls the spikes of a population, or the potential it sends."""
    return f"{population}.sent"


def network_tick(network: Network, *, rests: bool) -> Tick:
    """The function of a network; ``rests`` where some ticks are not driven, so that it has to be told.

    Raises:
        ModelError: a node that has no form in ONNX; names it.
    """
    return _Writer(network, DRIVEN if rests else None).write()


class _Writer:
    def __init__(self, network: Network, driven: str | None) -> None:
        self._network = network
        self._driven = driven
        self._shapes = shapes(network)
        self._body = Body()
        self._cells: dict[str, onnx.FunctionProto] = {}
        self._memory: list[Memory] = []
        self._values: dict[str, str] = {}

    def write(self) -> Tick:
        network, b = self._network, self._body
        for name in network.of(Delay):
            self._values[name] = self._delayed(name)
        for name in evaluation_order(network.nodes, network.edges):
            if name not in self._values:
                self._values[name] = self._node(name)
        for name in network.of(Delay):
            self._push(name)
        for name in network.of(Output):
            b.op("Identity", self._values[name], out=name)
        inputs = (X, *([self._driven] if self._driven else []))
        outputs = (*network.of(Output), *map(sent, network.of(Neurons)))
        given = [*inputs, *(m.name for m in self._memory), *b.weights]
        made = [*outputs, *(m.next for m in self._memory)]
        return Tick(
            functions=(*self._cells.values(), function("Tick", given, made, b)),
            inputs=inputs,
            weights=b.weights,
            memory=tuple(self._memory),
            outputs=outputs,
        )

    def _node(self, name: str) -> str:
        node = self._network.nodes[name]
        if isinstance(node, Input):
            return X
        x = self._incoming(name)
        if isinstance(node, Neurons):
            return self._neurons(name, node, x)
        shape = self._shapes[self._network.sources(name)[0]]
        return emit(self._body, name, node, x, shape, self._driven)

    def _neurons(self, name: str, node: Neurons, x: str) -> str:
        b = self._body
        if type(node) not in CELLS:
            raise ModelError(f"{name}: neurons of kind {node.kind!r} have no form in ONNX")
        cell, start = CELLS[type(node)](node), node.start(1)
        self._cells.setdefault(cell.name, cell.function())
        states = [_memory(f"{name}.{s}", node.shape, start[s][0]) for s in cell.states]
        values = [b.weight(f"{name}.{p}", value, np.float64) for p, value in cell.parameters.items()]
        given = [x, *(state.name for state in states), *values]
        b.ops(cell.name, given, [sent(name), *(state.next for state in states)], domain=DOMAIN)
        self._memory += states
        return sent(name)

    def _incoming(self, name: str) -> str:
        return self._body.sum([self._values[source] for source in self._network.sources(name)])

    def _delayed(self, name: str) -> str:
        node = self._network.nodes[name]
        assert isinstance(node, Delay)
        line = _memory(f"{name}.line", (node.ticks, *node.shape))
        self._memory.append(line)
        return self._body.row(line.name, 0, 1)

    def _push(self, name: str) -> None:
        node, line = self._network.nodes[name], f"{name}.line"
        assert isinstance(node, Delay)
        b = self._body
        newest = b.op("Unsqueeze", self._incoming(name), b.constant([1], np.int64))
        if node.ticks == 1:
            b.op("Identity", newest, out=f"{line}.next")
        else:
            kept = b.slice(line, [1], [node.ticks], [1])
            b.op("Concat", kept, newest, axis=1, out=f"{line}.next")


def _memory(name: str, shape: Shape, start: Float | None = None) -> Memory:
    return Memory(name=name, shape=shape, dtype=np.float64, start=np.zeros(()) if start is None else start)
