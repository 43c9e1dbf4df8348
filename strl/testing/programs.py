"""Random programs: small, valid, and reaching for the corners of the arithmetic.

``random_program(seed)`` is made of plain neurons and dense synapses; ``kinds`` mixes in more.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.chip.arithmetic import Arithmetic
from strl.chip.program import Messages, Program
from strl.chip.spec import chip
from strl.errors import ChipError
from strl.ir.semantics import EnvironmentSpec, Readout, ReadoutKind, Semantics, State
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse, WindowKind
from strl.quantize.neurons import Gate, Graded, Lif, Neurons, Product, Reset, Source, Ternary, binary

Rng = np.random.Generator

KINDS = (
    *("subtract", "late", "once", "none", "ternary", "graded", "product"),
    *("inclusive", "multiple", "potential", "source", "message", "kernel", "sparse"),
)
"""What ``random_program`` mixes in: four resets, three neurons, spikes at the threshold (``inclusive``) and
several at once (``multiple``), a read-out of every tick (``potential``), graded sources, and synapses that
multiply with the message (``message``), share weights (``kernel``) or store only what is not 0
(``sparse``)."""

_NEURONS = frozenset(("subtract", "late", "once", "none", "ternary", "graded", "product"))


def random_program(
    seed: int, *, largest: int = 40, kinds: Collection[str] = (), arithmetic: Arithmetic = "lava"
) -> Program:
    """A valid program of few neurons, the same for the same seed.

    Among them: state reset and carried, 1..3 sources, gates, recurrence, delays 1..63, exponents −7..7, even
    and odd weights up to −256 and 255, thresholds 0 and 131071, decays that forget and that keep, both
    kinds of read-out, sums that wrap and potentials that clip. It is not placed: no chip limits it.

    Args:
        seed: of ``numpy.random.default_rng``.
        largest: neurons of a population, at most (3 times as many behind a shared kernel).
        kinds: some of ``KINDS``; ``loihi1`` has only kernel and sparse.
        arithmetic: of the program; in ``loihi1`` neurons are refractory, and weights ones that it can store.
    """
    rng = np.random.default_rng(seed)
    made = _mixed(rng, largest, frozenset(kinds)) if kinds else _plain(rng, largest)
    return made if arithmetic == "lava" else _for_loihi1(rng, made)


def _plain(rng: Rng, largest: int) -> Program:
    ticks = int(rng.integers(1, 9))
    total = ticks + int(rng.integers(0, 6))
    state = "reset" if rng.random() < 0.5 else "carry"
    inputs = [
        Population(name=f"in{i}", size=int(rng.integers(1, largest + 1)), kind=Source(plane=i))
        for i in range(rng.integers(1, 4))
    ]
    gates = [Population(name=f"gate{i}", size=1, kind=_gate(rng, total)) for i in range(rng.integers(0, 3))]
    neurons = [
        Population(name=f"lif{i}", size=n, kind=_lif(rng, n), offset=int(rng.integers(0, total)))
        for i, n in enumerate(rng.integers(1, largest + 1, size=rng.integers(1, 4)).tolist())
    ]
    schedule = Schedule(ticks=ticks, total=total, state=state)  # type: ignore[arg-type]
    return _program(rng, [*inputs, *gates], neurons, schedule, frozenset())


def random_spikes(program: Program, seed: int, *, batch: int) -> Messages:
    """Input of one decision [T, batch, inputs]: none, all, or some send; graded sources send any size."""
    rng = np.random.default_rng(seed)
    rate = rng.choice([0.0, 0.1, 0.3, 0.7, 1.0])
    shape = (program.schedule.ticks, batch, sum(p.size for p in program.sources))
    sent: Messages = np.asarray(rng.random(shape) < rate).astype(program.message)
    column = 0
    for source in program.sources:
        if not binary(source.kind):
            reach = int(rng.choice([1, 8, 300, 2**23, 2**31 - 1]))
            levels = rng.integers(-reach, reach + 1, size=(*shape[:2], source.size))
            sent[..., column : column + source.size] *= levels.astype(np.int32)
        column += source.size
    return sent


def _program(
    rng: Rng,
    hosts: list[Population],
    neurons: list[Population],
    schedule: Schedule,
    kinds: frozenset[str],
    kernels: Mapping[str, tuple[Population, Kernel]] = MappingProxyType({}),
) -> Program:
    populations = [*hosts, *neurons]
    if rng.random() < 0.3:
        rng.shuffle(populations)
    read = neurons[-1]
    start, stop = sorted(int(t) for t in rng.integers(0, schedule.total + 1, size=2))
    stateful = isinstance(read.kind, Lif | Ternary)
    kind: WindowKind = "membrane" if rng.random() < 0.5 and stateful else "count"
    if kind == "membrane" and "potential" in kinds and rng.random() < 0.5:
        kind = "potential"
    return Program(
        chip=chip("loihi1"),
        arithmetic="lava",
        populations=tuple(populations),
        synapses=tuple(_synapses(rng, hosts, neurons, kinds, kernels)),
        placement=(),
        schedule=schedule,
        readout=ReadoutWindow(population=read.name, kind=kind, start=start, stop=stop, unit=1.0),
        semantics=_semantics(schedule, "count" if kind == "count" else "membrane"),
    )


def _for_loihi1(rng: Rng, program: Program) -> Program:
    def population(p: Population) -> Population:
        if not isinstance(p.kind, Lif):
            return p
        refractory = int(rng.choice([1, 2, 3, 8, 64]))
        return replace(p, kind=replace(p.kind, refractory=refractory))

    def synapse(s: Synapse) -> Synapse:
        weight = s.weight.weight if isinstance(s.weight, Kernel) else s.weight
        if weight.min() >= 0 or weight.max() <= 0 or (np.abs(weight).max() <= 127 and s.weight_exp > -7):
            return s
        even = weight & ~1
        return replace(s, weight=replace(s.weight, weight=even) if isinstance(s.weight, Kernel) else even)

    return replace(
        program,
        arithmetic="loihi1",
        populations=tuple(map(population, program.populations)),
        synapses=tuple(map(synapse, program.synapses)),
    )


def _mixed(rng: Rng, largest: int, kinds: frozenset[str]) -> Program:
    ticks = int(rng.integers(1, 9))
    total = ticks + int(rng.integers(0, 6))
    hosts = [
        Population(name=f"in{i}", size=int(rng.integers(1, largest + 1)), kind=_source(rng, i, kinds))
        for i in range(rng.integers(1, 4))
    ]
    hosts += [Population(name=f"gate{i}", size=1, kind=_gate(rng, total)) for i in range(rng.integers(0, 2))]
    neurons: list[Population] = []
    kernels: dict[str, tuple[Population, Kernel]] = {}
    for i in range(rng.integers(1, 5)):
        size = int(rng.integers(1, largest + 1))
        if "kernel" in kinds and rng.random() < 0.5:
            before = [*hosts, *neurons]
            pre = before[int(rng.integers(len(before)))]
            kernel = _kernel(rng, pre.size, 3 * largest)
            kernels[f"n{i}"] = (pre, kernel)
            size = math.prod(kernel.shape)
        offset = int(rng.integers(0, total))
        neurons.append(Population(name=f"n{i}", size=size, kind=_kind(rng, size, kinds), offset=offset))
    state: State = "reset" if rng.random() < 0.5 else "carry"
    schedule = Schedule(ticks=ticks, total=total, state=state)
    return _program(rng, hosts, neurons, schedule, kinds, kernels)


def _source(rng: Rng, plane: int, kinds: frozenset[str]) -> Source:
    return Source(plane=None if "source" in kinds and rng.random() < 0.5 else plane)


def _kind(rng: Rng, n: int, kinds: frozenset[str]) -> Neurons:
    chosen = rng.choice(["lif", *sorted(kinds & _NEURONS)])
    lif = _lif(rng, n)
    # An input is at most some thousands; a message then travels on, and soon fills 32 bits.
    vth = rng.integers(0, rng.choice([1, 300, 2**23]), size=n).astype(np.int32)
    if chosen == "graded":
        return Graded(vth=vth, rectify=bool(rng.random() < 0.5))
    if chosen == "product":
        return Product(vth=vth, shift=int(rng.choice([0, 1, 6, 12, 31])))
    if chosen == "ternary":
        low = -_lif(rng, n).vth if rng.random() < 0.7 else rng.integers(-100, 101, size=n).astype(np.int32)
        return Ternary(du=lif.du, dv=lif.dv, high=np.maximum(lif.vth, low), low=low)
    inclusive = "inclusive" in kinds and bool(rng.random() < 0.3)
    resets: dict[str, Reset] = {"subtract": "subtract", "once": "once", "none": "none"}
    reset = resets.get(chosen, "zero")
    late = chosen == "late" or ("late" in kinds and bool(rng.random() < 0.3))
    if "multiple" in kinds and reset in ("zero", "once") and rng.random() < 0.3:
        return replace(lif, vth=np.maximum(lif.vth, 1), reset=reset, multiple=True)
    may_be_late = reset in ("zero", "subtract")
    return replace(lif, reset=reset, reset_delay=late and may_be_late, inclusive=inclusive)


def _kernel(rng: Rng, size: int, largest: int) -> Kernel:
    """A kernel over some image of that many places, whose target has at most ``largest`` neurons."""
    while True:
        channels = int(rng.choice([c for c in range(1, size + 1) if size % c == 0]))
        height = int(rng.choice([h for h in range(1, size // channels + 1) if size // channels % h == 0]))
        groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        shape = (groups * rng.integers(1, 4), channels // groups, *rng.integers(1, 4, size=2))
        stride, padding, dilation = (
            (int(pair[0]), int(pair[1]))
            for pair in (rng.integers(1, 4, 2), rng.integers(0, 3, 2), rng.integers(1, 3, 2))
        )
        with suppress(ChipError):  # nothing is left of the image
            made = Kernel(
                weight=_weights(rng, tuple(int(n) for n in shape)),
                image=(channels, height, size // channels // height),
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=groups,
            )
            if math.prod(made.shape) <= largest:
                return made


def _gate(rng: Rng, total: int) -> Gate:
    start = int(rng.integers(0, total))
    return Gate(start=start, stop=start + int(rng.integers(0, total + 1)))


def _lif(rng: Rng, n: int) -> Lif:
    """Parameters, either one for all neurons or each its own; the ends of their ranges often."""

    def some(ends: list[int], high: int) -> NDArray[np.int32]:
        shape = n if rng.random() < 0.5 else 1
        free = rng.integers(0, high + 1, size=shape)
        chosen = np.where(rng.random(shape) < 0.5, rng.choice(ends, size=shape), free)
        return np.broadcast_to(chosen, n).astype(np.int32)

    # Most thresholds low, or few neurons would ever spike.
    vth = some([0, 1, 131071], int(rng.choice([100, 2000, 131071])))
    return Lif(du=some([0, 1, 4094, 4095], 4095), dv=some([0, 1, 4095, 4096], 4096), vth=vth)


def _synapses(
    rng: Rng,
    hosts: list[Population],
    neurons: list[Population],
    kinds: frozenset[str],
    kernels: Mapping[str, tuple[Population, Kernel]],
) -> list[Synapse]:
    made: list[Synapse] = []
    for i, post in enumerate(neurons):
        before = [*hosts, *neurons[:i]]
        chosen = [p for p in before if p is before[-1] or rng.random() < 0.5]
        if rng.random() < 0.5:
            chosen.append(post)
        if rng.random() < 0.3:
            chosen.append(neurons[int(rng.integers(0, len(neurons)))])
        if isinstance(post.kind, Product):  # else few would ever have two factors
            chosen += 2 * [before[-1]]
        made += [_synapse(rng, f"s{len(made) + k}", pre, post) for k, pre in enumerate(chosen)]
        if post.name in kernels:
            pre, kernel = kernels[post.name]
            made.append(replace(_synapse(rng, f"s{len(made)}", pre, post), weight=kernel))
    if not kinds:
        return made
    products = {p.name for p in neurons if isinstance(p.kind, Product)}
    return [_varied(rng, s, kinds, port=k % 2 if s.post in products else 0) for k, s in enumerate(made)]


def _varied(rng: Rng, synapse: Synapse, kinds: frozenset[str], *, port: int) -> Synapse:
    """The synapse with what ``kinds`` allows."""
    bits = int(rng.choice([0, 8, 24, 32])) if "message" in kinds else 0
    if "sparse" not in kinds or rng.random() < 0.5:
        return replace(synapse, port=port, message_bits=bits)
    kept = rng.random() ** 2
    if isinstance(synapse.weight, Kernel):
        dense = synapse.weight.weight
        thinned = replace(synapse.weight, weight=dense * (rng.random(dense.shape) < kept))
        return replace(synapse, weight=thinned, format="sparse", port=port, message_bits=bits)
    weight = synapse.weight * (rng.random(synapse.shape) < kept)
    return replace(synapse, weight=weight, format="sparse", port=port, message_bits=bits)


def _weights(rng: Rng, shape: tuple[int, ...]) -> NDArray[np.int16]:
    style = rng.choice(
        ["even", "odd", "extreme", "positive", "negative", "small", "zero"],
        p=[0.3, 0.25, 0.15, 0.1, 0.1, 0.07, 0.03],
    )
    weight: NDArray[Any] = rng.integers(-256, 256, size=shape)
    if style == "even":
        weight &= ~1
    elif style == "extreme":
        weight = rng.choice([-256, 255], size=shape)
    elif style == "positive":
        weight = np.full(shape, 255)
    elif style == "negative":
        weight = np.full(shape, -256)
    elif style == "small":
        weight = rng.integers(-3, 4, size=shape)
    elif style == "zero":
        weight = np.zeros(shape)
    return weight.astype(np.int16)


def _synapse(rng: Rng, name: str, pre: Population, post: Population) -> Synapse:
    weight = _weights(rng, (post.size, pre.size))
    delay = int(rng.choice([1, 2, 3, 63])) if rng.random() < 0.6 else int(rng.integers(1, 64))
    if rng.random() < 0.5:
        delay = 1
    exponent = int(rng.integers(-7, 8)) if rng.random() < 0.7 else 0
    return Synapse(name=name, pre=pre.name, post=post.name, weight=weight, weight_exp=exponent, delay=delay)


def _semantics(schedule: Schedule, kind: ReadoutKind) -> Semantics:
    return Semantics(
        ticks=schedule.ticks,
        state=schedule.state,
        rest=schedule.total - schedule.ticks if schedule.state == "carry" else 0,
        readout=Readout(kind=kind),
        encoder={},
        decoder={},
        environment=EnvironmentSpec(id="", observation_shape=(1,), actions=2),
    )
