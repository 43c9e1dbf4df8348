"""The float reference: a Network run tick by tick in double precision, plainly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strl.errors import ModelError
from strl.ir.network import Network, evaluation_order
from strl.ir.nodes import Delay, Float, Input, Neurons, State


class Reference:
    """A Network with the state of ``batch`` copies.

    Args:
        network: what is run.
        batch: independent copies side by side.
    """

    def __init__(self, network: Network, batch: int = 1) -> None:
        if batch < 1:
            raise ModelError(f"reference: batch = {batch}, must be at least 1")
        self.network = network
        self.batch = batch
        self.populations: tuple[str, ...] = network.of(Neurons)
        self._order = evaluation_order(network.nodes, network.edges)
        self._sources = {name: network.sources(name) for name in network.nodes}
        self._state: dict[str, State] = {}
        self.reset()

    def reset(self, copies: Sequence[int] | NDArray[np.bool_] | None = None) -> None:
        """Clear the state of all copies, or of those given by index or mask."""
        fresh = {name: node.start(self.batch) for name, node in self.network.nodes.items()}
        if copies is None or not self._state:
            self._state = fresh
            return
        index = np.asarray(copies)
        for name, state in self._state.items():
            for key, value in state.items():
                for old, new in _pairs(value, fresh[name][key]):
                    old[index] = new[index]

    def tick(self, x: Float, *, driven: bool = True) -> dict[str, Float]:
        """One tick: input [batch, *shape] → the output of every node, by name."""
        values: dict[str, Float] = {}
        for name in self.network.of(Delay):
            values[name] = self._state[name]["line"][0]
        for name in self._order:
            node = self.network.nodes[name]
            if isinstance(node, Delay):
                continue
            if isinstance(node, Input):
                values[name] = np.asarray(x, dtype=np.float64)
                continue
            values[name] = node.step(self._incoming(name, values), self._state[name], driven=driven)
        for name in self.network.of(Delay):
            line = self._state[name]["line"]
            self._state[name]["line"] = [*line[1:], self._incoming(name, values)]
        return values

    def potential(self, name: str) -> Float:
        """Membrane potential [batch, *shape] of a population after the last tick."""
        potential: Float = self._state[name]["v"]
        return potential

    def _incoming(self, name: str, values: dict[str, Float]) -> Float:
        sources = self._sources[name]
        total = values[sources[0]]
        for source in sources[1:]:
            total = total + values[source]
        return total


def _pairs(old: object, new: object) -> list[tuple[Float, Float]]:
    if isinstance(old, list) and isinstance(new, list):
        return list(zip(old, new, strict=True))
    assert isinstance(old, np.ndarray)
    assert isinstance(new, np.ndarray)
    return [(old, new)]
