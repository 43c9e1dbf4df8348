"""Network → QuantizedNetwork.

Everything that meets in one population shares the population's scale S (chip units per float unit of
current): threshold → round(threshold · S), and each bundle of synapses gets the smallest exponent with
which its weights fit. ``scale`` says how S is chosen, ``bundles`` what there is besides weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strl.errors import ChipError
from strl.ir.network import Network, shapes, size
from strl.ir.neurons import LIF
from strl.ir.passes.chain import Shared
from strl.ir.passes.fire import fire
from strl.ir.passes.schedule import offsets
from strl.ir.semantics import Semantics
from strl.quantize.bundles import Bundle, Gates, Inputs, constant, drives, joint
from strl.quantize.connections import (
    Connection,
    biases,
    check_nodes,
    connections,
    output_population,
    trace_population,
)
from strl.quantize.convolution import Kernel
from strl.quantize.grid import Grid
from strl.quantize.leaky import check, error, errors, flat, held, neurons, passing
from strl.quantize.network import Population, QuantizedNetwork, ReadoutWindow, Schedule, Synapse
from strl.quantize.scale import most_sent, scale_of

COUNT_BITS = 18
"""Of a message that says how many thresholds fit into a potential of 24 bits, the sign among them."""


def quantize(
    network: Network,
    semantics: Semantics,
    *,
    grid: Grid,
    bits: int = 1,
    unit: float = 1.0,
    graded: bool = False,
) -> QuantizedNetwork:
    """Put a network on the grid and work out when each population works.

    Args:
        network: what is quantised; populations of any shape become rows in C order.
        semantics: the schedule and the read-out.
        grid: the chip's integers.
        bits, unit: what the encoder's levels are, see ``strl.codecs.Encoder``.
        graded: send levels of more than one bit as graded messages, not bit by bit.

    Raises:
        ChipError: a node, reset or range that the chip's arithmetic cannot express; names it.
    """
    network = fire(network)
    check_nodes(network)
    read, late = _read(network, semantics)
    lifs = {name: held(flat(_lif(network, name)), grid) for name in network.of(LIF)}
    found = shapes(network)
    if read not in lifs:
        lifs[read] = passing(size(found[read]))
    for name, lif in lifs.items():
        check(name, lif, grid, semantics.state)
    joins = connections(network, lifs)
    _check_senders(joins, lifs)
    arcs = [(c.pre, c.post, c.delay) for c in joins]
    arcs += [(network.input, read, 1 - late)] if late else []
    start = offsets([network.input, *lifs], arcs, network.input)
    schedule = _schedule(semantics, max(start.values()))
    gates = Gates(schedule=schedule)
    entry = Inputs(
        name=network.input, size=size(found[network.input]), bits=bits, unit=unit, graded=graded and bits > 1
    )
    constants = biases(network, joins)
    bundles: dict[str, list[Bundle]] = {}
    most: dict[str, float] = {}
    for name in _counting_first(lifs, joins):
        made = [b for c in joins if c.post == name for b in joint(network, c, found, start, entry)]
        made = [replace(b, message_bits=COUNT_BITS, reach=most[b.pre]) if b.pre in most else b for b in made]
        made += [constant(network, b, found, start[name], gates) for b in constants if b.post == name]
        bundles[name] = made + drives(name, lifs[name], start[name], gates)
        if lifs[name].multiple:
            most[name] = most_sent(lifs[name], bundles[name], semantics)
    layers = [_layer(n, lif, bundles[n], grid, semantics, start[n]) for n, lif in lifs.items()]
    return QuantizedNetwork(
        populations=(*entry.sources, *gates.populations, *(layer.population for layer in layers)),
        synapses=tuple(synapse for layer in layers for synapse in layer.synapses),
        schedule=schedule,
        readout=_readout(read, late, lifs, semantics, start, {x.population.name: x.scale for x in layers}),
        error={name: error for layer in layers for name, error in layer.errors.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """A population with all that ends in it, and its scale."""

    population: Population
    synapses: tuple[Synapse, ...]
    scale: float
    errors: Mapping[str, Mapping[str, float]]


def _layer(
    name: str, lif: LIF, bundles: list[Bundle], grid: Grid, semantics: Semantics, offset: int
) -> _Layer:
    scale = scale_of(name, lif, bundles, grid, semantics)
    kind = neurons(name, lif, scale, grid)
    made = [_synapse(bundle, name, scale, grid) for bundle in bundles]
    return _Layer(
        population=Population(name=name, size=lif.size, kind=kind, offset=offset),
        synapses=tuple(synapse for synapse, _ in made),
        scale=scale,
        errors={**{synapse.name: error for synapse, error in made}, **errors(name, lif, kind, scale)},
    )


def _counting_first(lifs: Mapping[str, LIF], joins: tuple[Connection, ...]) -> list[str]:
    """Populations in an order in which those that send several spikes in a tick come before who hears them.

    Raises:
        ChipError: one of them hears itself, by whatever way.
    """
    order: list[str] = []
    counting = {name for name, lif in lifs.items() if lif.multiple}
    waiting = {name: {c.pre for c in joins if c.post == name} & counting for name in lifs}
    while waiting:
        ready = [name for name, senders in waiting.items() if not senders & set(waiting)]
        if not ready:
            name = next(name for name in waiting if name in counting)
            raise ChipError(
                f"{name}: sends several spikes in a tick, and hears of it through a loop; they have no bound"
            )
        for name in ready:
            del waiting[name]
        order += ready
    return order


def _read(network: Network, semantics: Semantics) -> tuple[str, int]:
    """The population that is read, and by how many ticks late; the Output where maps lead to it."""
    if not semantics.open_loop:
        return output_population(network), 0
    return trace_population(network) or (network.output, 0)


def _readout(
    read: str,
    late: int,
    lifs: Mapping[str, LIF],
    semantics: Semantics,
    start: Mapping[str, int],
    scales: Mapping[str, float],
) -> ReadoutWindow:
    kind, silent = semantics.readout.kind, lifs[read].silent
    if kind == "membrane" and not silent:
        raise ChipError(
            f"{read}: its membrane is read but it spikes, which resets what is read",
            hint="read spike counts, or make the last layer snn.Leaky(reset_mechanism='none')",
        )
    first = start[read] - late
    window = ("potential" if silent else "count") if kind == "trace" else kind
    return ReadoutWindow(
        population=read,
        kind=window,
        start=first,
        stop=first + semantics.ticks,
        unit=1.0 if window == "count" else 1.0 / (64.0 * scales[read]),
    )


def _lif(network: Network, name: str) -> LIF:
    node = network.nodes[name]
    assert isinstance(node, LIF)
    return node


def _check_senders(joins: tuple[Connection, ...], lifs: Mapping[str, LIF]) -> None:
    for c in joins:
        if c.pre in lifs and lifs[c.pre].silent:
            raise ChipError(
                f"{c.pre}: never spikes and sends its potential to {c.post}; a chip's neurons send spikes",
                hint="give it a threshold, or make it the last layer",
            )


def _schedule(semantics: Semantics, depth: int) -> Schedule:
    if semantics.state == "carry" and semantics.rest < depth:
        raise ChipError(
            f"schedule: the network is {depth} ticks deep but a decision rests {semantics.rest} ticks; with "
            "carried state the pipeline must drain before the next decision",
            hint=f"train with rest = {depth}, so that the policy knows of these ticks",
        )
    rest = depth if semantics.state == "reset" else semantics.rest
    return Schedule(ticks=semantics.ticks, total=semantics.ticks + rest, state=semantics.state)


def _synapse(bundle: Bundle, post: str, scale: float, grid: Grid) -> tuple[Synapse, Mapping[str, float]]:
    target = bundle.values * scale
    largest = float(np.abs(target).max())
    exponent = grid.exponent(largest)
    weight = grid.weights(target / 2.0**exponent)
    found = {
        **error(weight * 2.0**exponent - target, target),
        "zero": float(np.mean(weight == 0)),
        "lost": float(np.mean(weight[target != 0] == 0)) if target.any() else 0.0,
        "floor": _floor(weight, exponent) / (largest or 1.0),
    }
    made = Synapse(
        name=bundle.name,
        pre=bundle.pre,
        post=post,
        weight=_kernel(bundle.weight, weight) if isinstance(bundle.weight, Shared) else weight,
        weight_exp=exponent,
        delay=bundle.delay,
        weight_bits=grid.weight_bits,
        message_bits=bundle.message_bits,
    )
    return made, found


def _kernel(shared: Shared, weight: NDArray[np.int16]) -> Kernel:
    return Kernel(
        weight=weight,
        image=shared.image,
        stride=shared.stride,
        padding=shared.padding,
        dilation=shared.dilation,
        groups=shared.groups,
    )


def _floor(weight: NDArray[np.int16], exponent: int) -> float:
    """The most that a negative exponent can take off a tick's sum, in chip units; 0 where no bit is lost."""
    divisor: int = 1 << max(-exponent, 0)
    common = int(np.gcd.reduce(weight, axis=None))
    return (divisor - math.gcd(common, divisor)) / divisor
