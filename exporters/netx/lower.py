"""Program → the chain of layers that a ``.net`` file can be, or the reason why it cannot.

What is no chain of layers is made one where that changes nothing: bit planes and gates become inputs, side by
side; a gate that a later layer hears is handed on by *relays*, neurons in the layers between that spike one
tick after what they hear, which is when that gate spikes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from exporters.netx.layers import Ints, Layer, Net
from exporters.netx.loader import check_kernel, loaded
from strl.chip.arithmetic import not_of_loihi1
from strl.chip.program import Program
from strl.errors import ChipError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import COMPUTING, Gate, Lif

RELAY = {"weight": 2, "du": 4095, "dv": 4096, "vth": 1}
"""A neuron that forgets everything and spikes at each spike: 64 · 2 > 64 · 1."""

Window = tuple[int, int]
"""Ticks start..stop − 1 of every decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """A program as a net, with what the file does not say.

    Args:
        net: the layers.
        chain: population of each layer.
        places: population → (layer, first neuron); layer 0 are the inputs.
        relays: for each layer, the windows of the neurons behind the population's; for layer 0 of the inputs
            behind the sources.
    """

    net: Net
    chain: tuple[str, ...]
    places: Mapping[str, tuple[int, int]]
    relays: tuple[tuple[Window, ...], ...]

    def schedule(self, program: Program) -> dict[str, Any]:
        """What ``lava.lib.dl.netx.hdf5.Network`` is to be told, so that its layers reset when ours do."""
        if program.schedule.state == "carry":
            return {"reset_interval": None, "reset_offset": 0}
        return {"reset_interval": program.schedule.total, "reset_offset": 1}


def lower(program: Program) -> Lowered:
    """The net of a program.

    Raises:
        ChipError: what a ``.net`` file cannot say; names the population or synapse.
    """
    _check(program)
    chain = _chain(program)
    build = _Builder(program=program, chain=chain)
    return build.lowered()


@dataclass(kw_only=True)
class _Builder:
    program: Program
    chain: list[Population]
    relays: list[list[Window]] = field(default_factory=list)

    def lowered(self) -> Lowered:
        self.relays = [[] for _ in range(len(self.chain) + 1)]
        for number, population in enumerate(self.chain, 1):
            for synapse in self._into(population, Gate):
                self._need(number - 1, self._window(synapse), synapse.name)
        places = {p.name: (number, 0) for number, p in enumerate(self.chain, 1)}
        start = 0
        for source in self.program.sources:
            places[source.name] = (0, start)
            start += source.size
        for population in self.program.populations:
            if isinstance(population.kind, Gate):
                places[population.name] = self._place(population)
        layers = tuple(self._layer(number, places) for number in range(1, len(self.chain) + 1))
        first = layers[0]
        inputs = self._image() if first.kind == "conv" else (self._width(0),)
        return Lowered(
            net=Net(inputs=inputs, layers=layers),
            chain=tuple(p.name for p in self.chain),
            places=places,
            relays=tuple(map(tuple, self.relays)),
        )

    def _into(self, population: Population, kind: type[Any]) -> list[Synapse]:
        ours = [s for s in self.program.synapses if s.post == population.name]
        return [s for s in ours if isinstance(self.program.population(s.pre).kind, kind)]

    def _window(self, synapse: Synapse) -> Window:
        gate = self.program.population(synapse.pre).kind
        assert isinstance(gate, Gate)
        if synapse.delay != 1:
            raise ChipError(f"{synapse.name}: a gate's synapse of {synapse.delay} ticks, a relay takes 1")
        return gate.start, gate.stop

    def _need(self, layer: int, window: Window, asker: str) -> int:
        """Which neuron of a layer spikes in that window; it is added if there is none."""
        if layer and isinstance(self._only_kernel(layer), Kernel):
            raise ChipError(f"{asker}: a convolution in between has no neuron that would hand on its gate")
        if window not in self.relays[layer]:
            if window[0] < 0:
                raise ChipError(f"{asker}: its gate spikes before anything sent in reaches layer {layer + 1}")
            if layer:
                self._need(layer - 1, (window[0] - 1, window[1] - 1), asker)
            self.relays[layer].append(window)
        return self._own(layer) + self.relays[layer].index(window)

    def _place(self, gate: Population) -> tuple[int, int]:
        kind = gate.kind
        assert isinstance(kind, Gate)
        window = (kind.start, kind.stop)
        for layer, windows in enumerate(self.relays):
            if window in windows:
                return layer, self._own(layer) + windows.index(window)
        raise ChipError(f"{gate.name}: a gate that nothing listens to")

    def _own(self, layer: int) -> int:
        return self.chain[layer - 1].size if layer else sum(p.size for p in self.program.sources)

    def _width(self, layer: int) -> int:
        return self._own(layer) + len(self.relays[layer])

    def _only_kernel(self, layer: int) -> Kernel | None:
        ours = [s for s in self.program.synapses if s.post == self.chain[layer - 1].name]
        return next((s.weight for s in ours if isinstance(s.weight, Kernel)), None)

    def _layer(self, number: int, places: Mapping[str, tuple[int, int]]) -> Layer:
        population = self.chain[number - 1]
        kind, extra = population.kind, len(self.relays[number])
        assert isinstance(kind, Lif)
        neurons: dict[str, Any] = {
            what: np.concatenate([getattr(kind, what).astype(np.int64), np.full(extra, RELAY[what])])
            for what in ("du", "dv", "vth")
        }
        if self._only_kernel(number) is not None:
            return self._conv(population, neurons)
        return self._dense(number, places, neurons)

    def _dense(self, number: int, places: Mapping[str, tuple[int, int]], neurons: dict[str, Any]) -> Layer:
        population, wide, before = self.chain[number - 1], self._width(number), self._width(number - 1)
        weight, delay = np.zeros((wide, before), np.int64), np.zeros((wide, before), np.int64)
        recurrent = None
        for synapse in (s for s in self.program.synapses if s.post == population.name):
            if synapse.pre == population.name:
                recurrent = np.zeros((wide, wide), np.int64)
                recurrent[: population.size, : population.size] = _whole(synapse)
                continue
            _, column = places[synapse.pre]
            if isinstance(self.program.population(synapse.pre).kind, Gate):
                column = self._need(number - 1, self._window(synapse), synapse.name)
            columns = slice(column, column + synapse.shape[1])
            if weight[: population.size, columns].any():
                raise ChipError(
                    f"{synapse.name}: a second synapse from {synapse.pre}; a layer has one matrix"
                )
            weight[: population.size, columns] = _whole(synapse)
            delay[: population.size, columns] = (_whole(synapse) != 0) * (synapse.delay - 1)
        for row, window in enumerate(self.relays[number], population.size):
            weight[row, self._need(number - 1, (window[0] - 1, window[1] - 1), "")] = RELAY["weight"]
        _check_loads(population.name, weight, recurrent, delay)
        return Layer(
            kind="dense" if recurrent is None else "dense_rec",
            shape=(wide,),
            weight=weight,
            recurrent=recurrent,
            delay=delay if delay.any() else None,
            **neurons,
        )

    def _conv(self, population: Population, neurons: dict[str, Any]) -> Layer:
        ours = [s for s in self.program.synapses if s.post == population.name]
        kernels = [s.weight for s in ours if isinstance(s.weight, Kernel)]
        first = kernels[0]
        window = {key: getattr(first, key) for key in ("stride", "padding", "dilation", "groups")}
        alike = all({key: getattr(k, key) for key in window} == window for k in kernels)
        if len(kernels) != len(ours) or not alike or (len(ours) > 1 and first.groups > 1):
            raise ChipError(
                f"{population.name}: hears more than one convolution, which is all that a layer is"
            )
        if any(s.delay != 1 for s in ours):
            raise ChipError(f"{population.name}: a convolution that is late; a .net has none")
        weight = np.concatenate([_whole(s) for s in ours], axis=1)
        check_kernel(weight, population.name)
        return Layer(kind="conv", shape=first.shape, weight=weight, window=window, **neurons)

    def _image(self) -> tuple[int, ...]:
        """Shape of the input of a convolution: the planes of each channel side by side as channels."""
        ours = [s for s in self.program.synapses if s.post == self.chain[0].name]
        heard, kernels = [s.pre for s in ours], [s.weight for s in ours if isinstance(s.weight, Kernel)]
        if heard != [p.name for p in self.program.sources]:
            raise ChipError(
                f"{self.chain[0].name}: hears {', '.join(heard)}, must hear each source once, in order"
            )
        return sum(k.image[0] for k in kernels), *kernels[0].image[1:]


def _check(program: Program) -> None:
    """What is refused whatever it is wired to."""
    if program.arithmetic != "lava":
        raise ChipError(
            f"netx: Lava computes in arithmetic 'lava', the program is for {program.arithmetic!r}"
        )
    for population in program.populations:
        if (reason := not_of_loihi1(population)) is not None:
            raise ChipError(f"{population.name}: {reason}, which a .net file has no word for")
    for synapse in program.synapses:
        if synapse.message_bits or synapse.port:
            raise ChipError(
                f"{synapse.name}: multiplies with graded messages; a layer's inputs here are spikes"
            )
        if any(program.blanked(synapse, tick) for tick in range(program.schedule.total)):
            raise ChipError(
                f"{synapse.name}: drops the spikes from before a reset, which Lava's layers do not",
                hint="a recurrent policy has to carry its state",
            )


def _chain(program: Program) -> list[Population]:
    """The populations in the order of layers, each of which hears the one before."""
    waiting = [p for p in program.populations if isinstance(p.kind, COMPUTING)]
    before, chain = {p.name for p in program.sources}, list[Population]()
    gates = {p.name for p in program.populations if isinstance(p.kind, Gate)}
    while waiting:
        heard = {
            p.name: {s.pre for s in program.synapses if s.post == p.name} - gates - {p.name} for p in waiting
        }
        following = [p for p in waiting if heard[p.name] and heard[p.name] <= before]
        if len(following) != 1:
            stuck = following or waiting
            raise ChipError(
                f"{stuck[0].name}: hears {', '.join(sorted(heard[stuck[0].name])) or 'nothing'}; a .net is a "
                f"chain, in which one layer hears {', '.join(sorted(before))} and no other does"
            )
        (layer,) = following
        if program.schedule.state == "reset" and layer.offset != len(chain) + 1:
            raise ChipError(
                f"{layer.name}: begins at tick {layer.offset}; lava-dl resets layer {len(chain) + 1} at tick "
                f"{len(chain) + 1}"
            )
        chain.append(layer)
        waiting.remove(layer)
        before = {layer.name}
    if not chain:
        raise ChipError("netx: a program without neurons")
    if program.readout.population != chain[-1].name:
        raise ChipError(f"{program.readout.population}: is read, but the last layer is {chain[-1].name}")
    return chain


def _whole(synapse: Synapse) -> Ints:
    """The weights that act, weight · 2^exponent, which a ``.net`` holds as whole numbers."""
    weight = synapse.weight.weight if isinstance(synapse.weight, Kernel) else synapse.weight
    left, right = max(synapse.weight_exp, 0), max(-synapse.weight_exp, 0)
    acting = weight.astype(np.int64) << left
    if (acting % (1 << right)).any():
        raise ChipError(
            f"{synapse.name}: weights · 2^{synapse.weight_exp} are not whole; a .net has no exponent",
            hint="export with --chip loihi1-netx, whose weights have none",
        )
    acting >>= right
    if acting.min() < -256 or acting.max() > 255:
        raise ChipError(
            f"{synapse.name}: weights · 2^{synapse.weight_exp} reach {acting.min()}..{acting.max()}; a .net "
            "has no exponent, and lava-dl loads −256..255",
            hint="export with --chip loihi1-netx, whose weights have none",
        )
    return acting


def _check_loads(name: str, weight: Ints, recurrent: Ints | None, delay: Ints) -> None:
    made = loaded(weight, name)
    if delay.max() > 62:
        raise ChipError(f"{name}: a delay of {delay.max() + 1} ticks; Lava has up to 63")
    if recurrent is None:
        return
    again = loaded(recurrent, f"{name}, to itself")
    if (made.exponent, made.bits) != (again.exponent, again.bits):
        raise ChipError(
            f"{name}: its weights need exponent {made.exponent} and {made.bits} bits, those to itself "
            f"{again.exponent} and {again.bits}; lava-dl gives both the same"
        )
    if delay.any():
        raise ChipError(f"{name}: is recurrent and hears late; lava-dl would delay its own spikes as well")
