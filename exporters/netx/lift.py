"""From a net back: to the program it was made of, and to the one that Lava gets, relays and all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from exporters.loihi.integers import rebuild
from exporters.netx.layers import Ints, Layer, Net
from exporters.netx.loader import loaded
from exporters.netx.lower import Lowered
from strl.chip.program import Program
from strl.chip.spec import ChipSpec
from strl.errors import BundleError
from strl.ir.semantics import Semantics
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Gate, Lif, Source


def lifted(
    net: Net, record: Mapping[str, Any], layout: Mapping[str, Any], chip: ChipSpec, semantics: Semantics
) -> Program:
    """The program that ``lower`` was given: structure from the manifest, every number from the net.

    Args:
        net: as read.
        record: ``exporters.loihi.integers.structure`` of the program.
        layout: ``places`` and ``relays`` of ``Lowered``.
        chip, semantics: the program's.

    Raises:
        BundleError: they do not make one.
    """
    try:
        reader = _Reader(net, record, layout)
        arrays: dict[str, NDArray[Any]] = {}
        for population in record["populations"]:
            arrays.update(reader.parameters(population))
        for synapse in record["synapses"]:
            arrays[f"weight/{synapse['name']}"] = reader.weight(synapse)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BundleError(f"netx: file and manifest do not fit each other: {error!r:.200}") from error
    return rebuild(record, save(arrays), chip, semantics)


class _Reader:
    def __init__(self, net: Net, record: Mapping[str, Any], layout: Mapping[str, Any]) -> None:
        self._layers = net.layers
        self._populations = {str(p["name"]): p for p in record["populations"]}
        self._places = {str(n): (int(p[0]), int(p[1])) for n, p in layout["places"].items()}
        self._relays = [[tuple(map(int, w)) for w in windows] for windows in layout["relays"]]
        self._channels: dict[str, int] = {}

    def parameters(self, population: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        if population["kind"] != "lif":
            return {}
        layer, size = self._layer(str(population["name"])), int(population["size"])
        return {
            f"{what}/{population['name']}": getattr(layer, what)[:size].astype(np.int32)
            for what in ("du", "dv", "vth")
        }

    def weight(self, synapse: Mapping[str, Any]) -> NDArray[np.int16]:
        pre, post, exponent = str(synapse["pre"]), str(synapse["post"]), int(synapse["weight_exp"])
        layer, rows = self._layer(post), int(self._populations[post]["size"])
        acting = self._kernel(layer, post) if layer.kind == "conv" else self._matrix(layer, pre, post)[:rows]
        return np.asarray(acting >> exponent if exponent >= 0 else acting << -exponent, np.int16)

    def _matrix(self, layer: Layer, pre: str, post: str) -> Ints:
        size = int(self._populations[pre]["size"])
        if pre == post:
            if layer.recurrent is None:
                raise ValueError(f"layer of {post} has no weights to itself")
            return layer.recurrent[:, :size]
        start = self._places[pre][1]
        if self._populations[pre]["kind"] == "gate":
            before = self._places[post][0] - 1
            window = (int(self._populations[pre]["start"]), int(self._populations[pre]["stop"]))
            start = self._own(before) + self._relays[before].index(window)
        return layer.weight[:, start : start + size]

    def _kernel(self, layer: Layer, post: str) -> Ints:
        """The next of its input channels: synapses stand in the order in which they were put side by side."""
        shared = (
            sum(1 for n in self._populations.values() if n["kind"] == "source")
            if self._places[post][0] == 1
            else 1
        )
        per = layer.weight.shape[1] // shared
        start = self._channels.get(post, 0)
        self._channels[post] = start + per
        return layer.weight[:, start : start + per]

    def _own(self, layer: int) -> int:
        kind = "source" if layer == 0 else "lif"
        ours = [p for n, p in self._populations.items() if self._places[n][0] == layer and p["kind"] == kind]
        return sum(int(p["size"]) for p in ours)

    def _layer(self, name: str) -> Layer:
        return self._layers[self._places[name][0] - 1]


def as_loaded(lowered: Lowered, program: Program) -> tuple[Program, NDArray[np.int64]]:
    """The program that lava-dl builds of the net, and the column there of each of ours.

    Its populations are the sources as they are, gates for the other inputs, and one a layer, relays
    included; its weights are those that the loader gives to Lava. Ours are named by the columns.
    """
    gates = tuple(
        Population(name=f"input.gate{k}", size=1, kind=Gate(start=start, stop=stop))
        for k, (start, stop) in enumerate(lowered.relays[0])
    )
    heard: list[Population] = [*program.sources, *gates]
    populations, synapses, image = list(heard), list[Synapse](), lowered.net.inputs
    for number, (name, layer) in enumerate(zip(lowered.chain, lowered.net.layers, strict=True), 1):
        kind = Lif(du=layer.du.astype(np.int32), dv=layer.dv.astype(np.int32), vth=layer.vth.astype(np.int32))
        made = Population(name=name, size=layer.size, kind=kind, offset=program.population(name).offset)
        if layer.kind == "conv":
            synapses += _kernels(number, layer, image, heard, made)
        else:
            synapses += _synapses(number, layer, heard, made)
        populations.append(made)
        heard, image = [made], layer.shape
    built = replace(program, populations=tuple(populations), synapses=tuple(synapses), placement=())
    return built, _columns(lowered, program, built)


def _synapses(number: int, layer: Layer, heard: list[Population], post: Population) -> list[Synapse]:
    found, start = [], 0
    weight, exponent = _held(layer.weight, post.name)
    for pre in heard:
        columns = slice(start, start + pre.size)
        start += pre.size
        late = np.zeros_like(weight[:, columns]) if layer.delay is None else layer.delay[:, columns]
        for delay in np.unique(late).tolist():
            part = weight[:, columns] * (late == delay)
            name = f"layer{number}:{pre.name}@{delay + 1}"
            found.append(_synapse(name, pre, post, part, exponent, delay + 1))
    if layer.recurrent is not None:
        found.append(_synapse(f"layer{number}.recurrent", post, post, *_held(layer.recurrent, post.name), 1))
    return found


def _held(weight: Ints, where: str) -> tuple[Ints, int]:
    """A matrix as Lava gets it; as it is, which is equal, where its exponent is none of a Synapse's."""
    made = loaded(weight, where)
    return (made.weight, made.exponent) if made.exponent >= -7 else (weight, 0)


def _synapse(name: str, pre: Population, post: Population, weight: Any, exponent: int, delay: int) -> Synapse:
    return Synapse(
        name=name,
        pre=pre.name,
        post=post.name,
        weight=weight.astype(np.int16),
        weight_exp=exponent,
        delay=delay,
    )


def _kernels(
    number: int, layer: Layer, image: tuple[int, ...], heard: list[Population], post: Population
) -> list[Synapse]:
    """A convolution of each source, whose channels lie side by side in what the layer hears."""
    assert layer.window is not None
    found, per = [], layer.weight.shape[1] // len(heard)
    for k, pre in enumerate(heard):
        kernel = Kernel(
            weight=layer.weight[:, k * per : (k + 1) * per].astype(np.int16),
            image=(image[0] // len(heard), image[1], image[2]),
            **layer.window,
        )
        found.append(Synapse(name=f"layer{number}:{pre.name}", pre=pre.name, post=post.name, weight=kernel))
    return found


def _columns(lowered: Lowered, program: Program, built: Program) -> NDArray[np.int64]:
    """Where each column of the program's raster lies in that of what Lava gets."""
    first = [0]
    inputs = sum(p.size for p in built.populations if isinstance(p.kind, Source | Gate))
    first += [inputs + sum(layer.size for layer in lowered.net.layers[:k]) for k in range(len(lowered.chain))]
    found = [
        first[layer] + start + np.arange(population.size)
        for population in program.populations
        for layer, start in [lowered.places[population.name]]
    ]
    return np.concatenate(found)
