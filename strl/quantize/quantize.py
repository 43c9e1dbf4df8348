"""Network → QuantizedNetwork.

Everything that meets in one population shares the population's scale S (chip units per float unit of
current): threshold → round(threshold · S), and each bundle of synapses gets the smallest exponent with
which its weights fit. S is the largest power-of-two multiple of "the largest weight is the largest integer"
for which the threshold fits, no current can wrap and the synaptic sum stays inside what the silicon adds.

A bias becomes a synapse from a gate that spikes so that it arrives at the population's own logical ticks.
Encoder values of more than one bit become one source a bit, the exponents a power of two apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strl.errors import ChipError
from strl.ir.maps import Linear
from strl.ir.network import Network, shapes, size
from strl.ir.neurons import LIF
from strl.ir.passes.fold import fold
from strl.ir.passes.schedule import offsets
from strl.ir.semantics import Semantics
from strl.quantize.connections import Connection, connections, output_population
from strl.quantize.grid import Grid, decay_u, decay_v
from strl.quantize.network import Population, QuantizedNetwork, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Gate, Lif, Reset, Source

Float = NDArray[np.float64]
U_MAX = 2**17 - 1
"""Bound of |u| in units of a weight: u is 24 bits wide and its input is shifted left by 6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bundle:
    """Float weights from one source population (or gate) to one population, before scaling."""

    name: str
    pre: str
    weight: Float  # per spike of pre, in float units of current
    delay: int


def quantize(
    network: Network, semantics: Semantics, *, grid: Grid, bits: int = 1, unit: float = 1.0
) -> QuantizedNetwork:
    """Put a network on the grid and work out when each population works.

    Args:
        network: what is quantised.
        semantics: the schedule and the read-out.
        grid: the chip's integers.
        bits, unit: what the encoder's levels are, see ``strl.codecs.Encoder``.

    Raises:
        ChipError: a node, reset or range that the chip's arithmetic cannot express; names it.
    """
    network = fold(network)
    for name in network.of(LIF):
        _check_neurons(name, _lif(network, name), grid)
    joins = connections(network)
    populations = [network.input, *network.of(LIF)]
    start = offsets(populations, [(c.pre, c.post, c.delay) for c in joins], network.input)
    schedule = _schedule(semantics, max(start.values()))
    sources = _sources(network, bits)
    gates: dict[int, str] = {}
    layers = []
    for name in network.of(LIF):
        incoming = [c for c in joins if c.post == name]
        bundles = [b for c in incoming for b in _bundles(network, c, start, sources, unit)]
        bundles += _biases(network, incoming, start[name], schedule, gates)
        layers.append(_layer(name, _lif(network, name), bundles, grid, semantics, start[name]))
    return QuantizedNetwork(
        populations=(*sources, *_gates(gates, semantics.ticks), *(layer.population for layer in layers)),
        synapses=tuple(synapse for layer in layers for synapse in layer.synapses),
        schedule=schedule,
        readout=_readout(network, semantics, start, {layer.population.name: layer.scale for layer in layers}),
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
    name: str, lif: LIF, bundles: list[_Bundle], grid: Grid, semantics: Semantics, offset: int
) -> _Layer:
    scale = _scale(name, lif, bundles, grid, semantics)
    population = Population(name=name, size=lif.size, kind=_neurons(lif, scale, grid), offset=offset)
    made = [_synapse(bundle, name, scale, grid) for bundle in bundles]
    errors = {synapse.name: error for synapse, error in made}
    return _Layer(
        population=population,
        synapses=tuple(synapse for synapse, _ in made),
        scale=scale,
        errors={**errors, **_neuron_errors(name, lif, population, scale)},
    )


def _sources(network: Network, bits: int) -> list[Population]:
    """The input, or one population for each bit of its levels."""
    name, width = network.input, size(shapes(network)[network.input])
    return [
        Population(name=f"{name}.bit{k}" if bits > 1 else name, size=width, kind=Source(plane=k))
        for k in range(bits)
    ]


def _gates(gates: Mapping[int, str], ticks: int) -> list[Population]:
    return [
        Population(name=name, size=1, kind=Gate(start=at, stop=at + ticks))
        for at, name in sorted(gates.items())
    ]


def _readout(
    network: Network, semantics: Semantics, start: Mapping[str, int], scales: Mapping[str, float]
) -> ReadoutWindow:
    out, kind = output_population(network), semantics.readout.kind
    if kind == "membrane" and not _lif(network, out).silent:
        raise ChipError(
            f"{out}: its membrane is read but it spikes, which resets what is read",
            hint="read spike counts, or make the last layer snn.Leaky(reset_mechanism='none')",
        )
    return ReadoutWindow(
        population=out,
        kind=kind,
        start=start[out],
        stop=start[out] + semantics.ticks,
        unit=1.0 if kind == "count" else 1.0 / (64.0 * scales[out]),
    )


def _linear(network: Network, name: str) -> Linear:
    node = network.nodes[name]
    assert isinstance(node, Linear)
    return node


def _lif(network: Network, name: str) -> LIF:
    node = network.nodes[name]
    assert isinstance(node, LIF)
    return node


def _check_neurons(name: str, lif: LIF, grid: Grid) -> None:
    if not lif.plain:
        raise ChipError(
            f"{name}: has neurons with a drive, floor, start or comparison that no chip of ours has"
        )
    if lif.silent:
        return
    if np.isinf(lif.threshold).any():
        raise ChipError(f"{name}: some thresholds are infinite and some are not")
    if (lif.threshold < 0).any():
        raise ChipError(f"{name}: threshold = {lif.threshold.min():g}, must not be negative")
    late = " late" if lif.reset_delay else ""
    if not {lif.reset, f"{lif.reset} late"} & set(grid.resets):
        raise ChipError(
            f"{name}: reset = {lif.reset!r}; this chip's neurons reset to zero",
            hint="train with snn.Leaky(reset_mechanism='zero', reset_delay=False); "
            "a trained policy loses its return if only the reset is changed",
        )
    if f"{lif.reset}{late}" not in grid.resets:
        raise ChipError(
            f"{name}: resets one tick after its spike; this chip's neurons reset in the same tick",
            hint="train with reset_delay=False",
        )
    if (lif.alpha > 1 - 1 / 8192).any():
        raise ChipError(
            f"{name}: alpha = {lif.alpha.max():g}, must be at most {1 - 1 / 4096:g}: "
            "the chip's current always decays"
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


def _bundles(
    network: Network,
    c: Connection,
    start: Mapping[str, int],
    sources: list[Population],
    unit: float,
) -> list[_Bundle]:
    node = _linear(network, c.linear)
    delay = start[c.post] - start[c.pre] + c.delay
    single = len(network.targets(c.linear)) == 1 and len(network.sources(c.linear)) == 1
    name = c.linear if single else f"{c.linear}:{c.pre}->{c.post}@{delay}"
    if c.pre != network.input:
        return [_Bundle(name=name, pre=c.pre, weight=node.weight, delay=delay)]
    if len(sources) == 1:
        return [_Bundle(name=name, pre=sources[0].name, weight=node.weight * unit, delay=delay)]
    # Two's complement: the top bit counts −2^(bits − 1).
    values = [unit * 2.0**k for k in range(len(sources) - 1)] + [-unit * 2.0 ** (len(sources) - 1)]
    return [
        _Bundle(name=f"{name}.bit{k}", pre=source.name, weight=node.weight * value, delay=delay)
        for k, (source, value) in enumerate(zip(sources, values, strict=True))
    ]


def _biases(
    network: Network, incoming: list[Connection], start: int, schedule: Schedule, gates: dict[int, str]
) -> list[_Bundle]:
    """One a way from a Linear with a bias to the population, however many senders the Linear has."""
    found: dict[tuple[str, ...], _Bundle] = {}
    for c in incoming:
        bias = _linear(network, c.linear).bias
        if bias is None or not bias.any() or c.way in found:
            continue
        at = start - 1 + c.late
        if schedule.state == "carry" and at + schedule.ticks > schedule.total:
            raise ChipError(
                f"{c.linear}: its bias, {c.late} ticks late, reaches into the next decision",
                hint=f"rest at least {at} ticks, or put the delay before {c.linear}",
            )
        gate = gates.setdefault(at, f"gate{at}")
        single = len(network.targets(c.linear)) == 1
        name = f"{c.linear}.bias" if single else f"{c.linear}.bias->{c.post}@{c.late}"
        found[c.way] = _Bundle(name=name, pre=gate, weight=bias[:, None], delay=1)
    return list(found.values())


def _neurons(lif: LIF, scale: float, grid: Grid) -> Lif:
    highest = np.full(lif.size, grid.threshold_max, np.int32)
    vth = highest if lif.silent else np.round(lif.threshold * scale).astype(np.int32)
    du, dv = np.maximum(decay_u(lif.alpha), 0), decay_v(lif.beta)
    if lif.silent:
        return Lif(du=du, dv=dv, vth=vth)
    reset: Reset = "subtract" if lif.reset == "subtract" else "zero"
    return Lif(du=du, dv=dv, vth=vth, reset=reset, reset_delay=lif.reset_delay)


def _neuron_errors(
    name: str, lif: LIF, population: Population, scale: float
) -> dict[str, Mapping[str, float]]:
    kind = population.kind
    assert isinstance(kind, Lif)
    found = {
        f"{name}.beta": _error((4096 - kind.dv) / 4096 - lif.beta, lif.beta),
        f"{name}.threshold": _error(kind.vth / scale - lif.threshold, lif.threshold),
        f"{name}.alpha": _error((4095 - kind.du) / 4096 - lif.alpha, lif.alpha),
    }
    unused = {f"{name}.threshold": lif.silent, f"{name}.alpha": not lif.alpha.any()}
    return {what: error for what, error in found.items() if not unused.get(what, False)}


def _error(off: Float, values: Float) -> Mapping[str, float]:
    """Largest and root-mean-square of what rounding changed, relative to the largest value."""
    reference = float(np.abs(values).max()) or 1.0
    return {
        "largest": float(np.abs(off).max()) / reference,
        "rms": float(np.sqrt(np.mean(off**2))) / reference,
    }


def _scale(
    name: str,
    lif: LIF,
    bundles: list[_Bundle],
    grid: Grid,
    semantics: Semantics,
) -> float:
    """S of a population: a power of two times "the largest weight is the largest integer".

    It must keep the threshold, the exponents and every current in range. It also keeps the synaptic sum
    and the potential in theirs for *every* input, unless that would round what the sums add up to.
    """
    du, dv = np.maximum(decay_u(lif.alpha), 0), decay_v(lif.beta)
    largest = max((float(np.abs(b.weight).max()) for b in bundles), default=0.0) or 1.0
    total = sum((np.abs(b.weight).sum(axis=1) for b in bundles), np.zeros(lif.size))
    worst_u = _sustained(total, (4095 - du) / 4096, semantics)
    worst_v = _sustained(worst_u, (4096 - dv) / 4096, semantics)
    threshold = 0.0 if lif.silent else float(lif.threshold.max())
    if lif.reset == "subtract" and not lif.silent:  # which can take v a threshold below what sums make
        worst_v = worst_v + lif.threshold
    must = [
        _ratio(U_MAX, worst_u),
        _ratio(grid.threshold_max, threshold),
        _ratio(grid.weight_max * 2.0 ** grid.exponents[1], largest),
    ]
    should = [_ratio(grid.sum_max, total), _ratio(U_MAX, worst_v)]
    if lif.silent:  # what is read must be the sum itself, so nothing may be clipped
        if not np.isfinite(worst_v).all():
            raise ChipError(
                f"{name}: its membrane is read and never decays nor resets, so it can leave 24 bits",
                hint="use a beta below 1, or state='reset'",
            )
        must.append(_ratio(U_MAX - 1, worst_v))
    base = grid.weight_max / largest
    hard, soft = (np.floor(np.log2(min(limits) / base)) for limits in (must, must + should))
    return float(base * 2.0 ** (soft if soft >= 0 else min(hard, 0)))


def _ratio(limit: float, values: Float | float) -> float:
    """The scale at which the greatest of values reaches the limit; an infinite one sets no scale."""
    greatest = float(np.max(values))
    return limit / greatest if 0 < greatest < np.inf else float("inf")


def _sustained(amount: Float, retention: Float, semantics: Semantics) -> Float:
    """What an amount that arrives in every tick adds up to: amount · Σ retention^k while the state lives."""
    ticks = semantics.ticks if semantics.state == "reset" else np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.where(retention >= 1, ticks, (1 - retention**ticks) / (1 - retention))
        return np.where(amount > 0, amount * sums, 0.0)  # nothing stays nothing, for ever as well


def _synapse(bundle: _Bundle, post: str, scale: float, grid: Grid) -> tuple[Synapse, Mapping[str, float]]:
    target = bundle.weight * scale
    largest = float(np.abs(target).max())
    exponent = grid.exponent(largest)
    weight = grid.weights(target / 2.0**exponent)
    error = {
        **_error(weight * 2.0**exponent - target, target),
        "zero": float(np.mean(weight == 0)),
        "lost": float(np.mean(weight[target != 0] == 0)) if target.any() else 0.0,
        "floor": _floor(weight, exponent) / (largest or 1.0),
    }
    made = Synapse(
        name=bundle.name,
        pre=bundle.pre,
        post=post,
        weight=weight,
        weight_exp=exponent,
        delay=bundle.delay,
        weight_bits=grid.weight_bits,
    )
    return made, error


def _floor(weight: NDArray[np.int16], exponent: int) -> float:
    """The most that a negative exponent can take off a tick's sum, in chip units; 0 where no bit is lost."""
    divisor: int = 1 << max(-exponent, 0)
    common = int(np.gcd.reduce(weight, axis=None))
    return (divisor - math.gcd(common, divisor)) / divisor
