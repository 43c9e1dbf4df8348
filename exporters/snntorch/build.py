"""Dataflow → Network: the parts that layers are, joined as they were fed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from exporters.snntorch.flow import Origin, Step
from exporters.snntorch.layers import Part, Site, part
from strl.errors import ModelError
from strl.ir.maps import Reshape, Scale
from strl.ir.network import Network
from strl.ir.nodes import Delay, Input, Neurons, Node, Output, Shape
from strl.policies import modules

LOGIC = (nn.MaxPool1d, nn.MaxPool2d, modules.Product)
POTENTIAL = "potential"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """What a layer gives: the sum of what ``sources`` give.

    Args:
        spikes: it is made of 0 and 1 only.
        raw: it is the input itself, at most moved.
    """

    sources: tuple[str, ...]
    shape: Shape
    spikes: bool = False
    raw: bool = False


class Build:
    """A network in the making: ``add`` every step of a tick, then ask for the ``network``.

    Args:
        layers: by name.
        width: channels of the input.
        binary: the input is 0 and 1 only.
    """

    def __init__(self, layers: Mapping[str, nn.Module], width: int, *, binary: bool) -> None:
        self.logic = False
        self._layers = layers
        self._parts: dict[str, Part | None] = {}
        self._owner: dict[str, str] = {}
        self._edges: list[tuple[str, str]] = []
        self._input = _free("input", layers)
        self._nodes: dict[str, Node] = {self._input: Input(shape=(width,))}
        self._values = {"": _Value(sources=(self._input,), shape=(width,), spikes=binary, raw=True)}

    def add(self, step: Step) -> None:
        """Join one layer to those that feed it.

        Raises:
            ModelError: a setting or input that no node has; names the layer.
        """
        name, layer = step.layer, self._layers[step.layer]
        taken = [self._taken(name, origin) for origin in step.origins]
        if len({value.shape for value in taken}) > 1:
            raise ModelError(
                f"{name}: takes inputs of different shapes {[list(v.shape) for v in taken]}",
                hint="nothing is broadcast in a network: bring them to one shape by layers",
            )
        site = Site(
            shape=taken[0].shape,
            gives=step.gives,
            sources=tuple(value.sources for value in taken),
            spikes=tuple(value.spikes for value in taken),
        )
        raw = all(value.raw for value in taken)
        self.logic |= type(layer) in LOGIC and any(value.raw for value in taken)
        made = self._parts[name] = part(name, layer, site)
        sources = tuple(source for value in taken for source in value.sources)
        if made is None:
            spikes = len(taken) == 1 and taken[0].spikes
            self._values[name] = _Value(sources=sources, shape=step.gives, spikes=spikes, raw=raw and spikes)
            return
        self._enter(name, made, sources)
        moved = all(isinstance(node, Reshape | Delay) for node in made.nodes.values())
        self._values[name] = _Value(
            sources=(_name(name, made.leaves),),
            shape=step.gives,
            spikes=made.spikes or (moved and taken[0].spikes),
            raw=raw and moved,
        )

    def network(self, layer: str, *, membrane: bool) -> Network:
        """The network whose output is that layer's spikes, or its potential, without what it does not need.

        The output has the shape of the neurons: what only brings it into another is left out.

        Raises:
            ModelError: the layer has no neurons, or none whose potential can be read.
        """
        neurons = self._neurons_behind(layer)
        source = self._twin(neurons) if membrane else self._values[neurons].sources[0]
        output = _free("output", self._nodes)
        edges = [*self._edges, (source, output)]
        kept = _reaching(output, edges)
        nodes = {**self._nodes, output: Output(shape=self._values[neurons].shape)}
        # Where only the potential is used it takes the name and the place of its layer.
        twins = {_name(name, POTENTIAL): name for name in nodes if name not in kept}
        final = {name: twins.get(name, name) for name in kept}
        place = {name: number for number, name in enumerate(nodes)}
        return Network(
            nodes={final[name]: nodes[name] for name in sorted(kept, key=lambda name: place[final[name]])},
            edges=tuple((final[a], final[b]) for a, b in edges if a in kept and b in kept),
        )

    def without(self, network: Network) -> tuple[str, ...]:
        """Layers of which the network has no node, though they do more than reshape."""
        alive = {self._owner.get(name, name) for name in network.nodes}
        works = {
            name
            for name, made in self._parts.items()
            if made is not None and not all(isinstance(node, Reshape) for node in made.nodes.values())
        }
        return tuple(name for name in self._parts if name in works - alive)

    def _taken(self, name: str, origin: Origin) -> _Value:
        """The value an origin stands for, as the layer ``name`` takes it."""
        if origin.what == "potential":
            value = _Value(sources=(self._twin(origin.layer),), shape=self._shape_of(origin.layer))
        elif origin.layer in self._values:
            value = self._values[origin.layer]
        else:  # a Delay that is asked before it is fed
            value = _Value(sources=(origin.layer,), shape=origin.shape)
        if not origin.reshaped:
            return value
        moved = _free(f"{name}.reshape", self._nodes)
        self._nodes[moved] = Reshape(shape=origin.shape)
        self._owner[moved] = name
        self._join(value.sources, moved)
        return _Value(sources=(moved,), shape=origin.shape, spikes=value.spikes, raw=value.raw)

    def _shape_of(self, layer: str) -> Shape:
        node = self._nodes[layer]
        assert isinstance(node, Neurons)
        return node.shape

    def _enter(self, name: str, made: Part, sources: tuple[str, ...]) -> None:
        for suffix, node in made.nodes.items():
            self._nodes[_name(name, suffix)] = node
            self._owner[_name(name, suffix)] = name
        self._join(sources, _name(name, made.enters))
        self._edges += [(_name(name, a), _name(name, b)) for a, b in made.edges]

    def _join(self, sources: tuple[str, ...], target: str) -> None:
        """Edges into ``target``; what is summed with itself goes through a factor."""
        for source, times in Counter(sources).items():
            if times == 1:
                self._edges.append((source, target))
                continue
            factor = _free(f"{target}.times", self._nodes)
            self._nodes[factor] = Scale(scale=np.array(float(times)))
            self._owner[factor] = self._owner.get(target, target)
            self._edges += [(source, factor), (factor, target)]

    def _neurons_behind(self, layer: str) -> str:
        """The layer of neurons whose spikes, at most in another shape, a layer gives."""
        sources = self._values[layer].sources
        while len(sources) == 1 and isinstance(self._nodes[sources[0]], Reshape):
            sources = tuple(a for a, b in self._edges if b == sources[0])
        owner = self._owner.get(sources[0])
        if len(sources) != 1 or owner is None or not isinstance(self._nodes.get(owner), Neurons):
            raise ModelError(
                f"{layer}: the last layer has no neurons to read",
                hint="end in snn.Leaky: spikes to count, or reset_mechanism='none' for a membrane read-out",
            )
        return owner

    def _twin(self, layer: str) -> str:
        """The node that sends the potential of a layer's neurons, fed as they are."""
        made, name = self._parts.get(layer), _name(layer, POTENTIAL)
        if made is None or made.twin is None:
            how = getattr(self._nodes.get(layer), "reset", "none")
            why = f"it resets by {how!r} after a spike" if how != "none" else "such neurons only send spikes"
            raise ModelError(
                f"{layer}: its membrane is read, but {why}",
                hint="make the last layer snn.Leaky(reset_mechanism='none'), or read spike counts",
            )
        if name not in self._nodes:
            self._nodes[name] = made.twin
            self._owner[name] = layer
            self._edges += [(a, name) for a, b in self._edges if b == layer]
        return name


def _name(layer: str, suffix: str) -> str:
    return f"{layer}.{suffix}" if suffix else layer


def _free(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name += "_"
    return name


def _reaching(name: str, edges: list[tuple[str, str]]) -> set[str]:
    """Nodes that ``name`` depends on, and itself."""
    kept, waiting = {name}, [name]
    while waiting:
        at = waiting.pop()
        found = {a for a, b in edges if b == at} - kept
        kept |= found
        waiting += found
    return kept
