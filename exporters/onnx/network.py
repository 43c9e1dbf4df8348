"""A float policy as an ONNX model: one decision from observation to action, one tick, or a row of ticks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from exporters.onnx.codecs import OBSERVATION, READOUT, decode, encode, inputs
from exporters.onnx.graph import BATCH, Body, Port, model
from exporters.onnx.loop import Memory, Series, looped, unrolled
from exporters.onnx.tick import DRIVEN, X, network_tick, sent
from strl.codecs import decoder, encoder
from strl.ir.network import Network, shapes
from strl.ir.nodes import Neurons, Output
from strl.ir.semantics import Semantics
from strl.quantize.connections import output_population

RASTER, POTENTIAL, STATE = "raster", "potential", "strl.state"


def tick_model(network: Network, *, scan: bool, rests: bool, metadata: Mapping[str, Any]) -> bytes:
    """One tick of the network, or with ``scan`` as many as its input has, without a codec.

    Inputs: ``x`` [batch, *shape] in the network's own units (with ``scan`` [ticks, batch, *shape]), where it
    ``rests`` also ``driven`` (1, or 0 in a tick in which biases are silent), and every state. Outputs: each
    Output, what each population sends (``NAME.sent``), and every state as ``NAME.next``.

    Raises:
        ModelError: a node that has no form in ONNX; names it.
    """
    tick, b, found = network_tick(network, rests=rests), Body(), shapes(network)
    given = [Port(name=X, dtype=np.float64, shape=(BATCH, *found[network.input]))]
    given += [Port(name=DRIVEN, dtype=np.float64, shape=())] if rests else []
    names = {**{n: n for n in network.of(Output)}, **{sent(n): n for n in network.of(Neurons)}}
    values = [Port(name=v, dtype=np.float64, shape=(BATCH, *found[n])) for v, n in names.items()]
    states = {m.name: m.name for m in tick.memory}
    if scan:
        series = [Series(port=p, values=p.name) for p in given]
        looped(b, tick, series, states, lambda _, made: [made[v] for v in names], values)
        given, values = ([_rowed(p) for p in ports] for ports in (given, values))
    else:
        tick.call(b, [p.name for p in given], list(states), tick.kept(b))
    return model(
        "ticks" if scan else "tick",
        b,
        inputs=[*given, *(m.before for m in tick.memory)],
        outputs=[*values, *(m.after for m in tick.memory)],
        functions=tick.functions,
        metadata={**metadata, STATE: [m.to_dict() for m in tick.memory]},
    )


def decision_model(
    network: Network, semantics: Semantics, *, scan: bool, metadata: Mapping[str, Any]
) -> bytes:
    """One decision: ``observation`` → ``action``, ``readout`` and ``raster``, as ``FloatAgent`` has them.

    Where the policy carries its state, every state is an input and an output; where it is reset, none is.
    The ticks stand one behind the other, or with ``scan`` in a loop.

    Raises:
        ModelError, ChipError: a node or codec that has no form in ONNX, or more than one output; names it.
    """
    tick, b = network_tick(network, rests=bool(semantics.rest)), Body()
    ticks, carried = semantics.ticks + semantics.rest, semantics.state == "carry"
    given = inputs(encoder(semantics.encoder), semantics.environment.observation_shape, semantics.ticks)
    series = _series(b, network, semantics)
    states = {m.name: m.name if carried else _fresh(b, m) for m in tick.memory}
    size, out = sum(_sizes(network)), output_population(network)
    results = [
        Port(name="row", dtype=np.uint8, shape=(BATCH, size)),
        Port(name=POTENTIAL, dtype=np.float64, shape=(BATCH, *shapes(network)[out])),
    ]
    collect = partial(_collected, network, f"{out}.v.next")
    if scan:
        found = looped(b, tick, series, states, collect, results)
    else:
        found = unrolled(b, tick, ticks, series, states, collect, results)
    b.op("Transpose", found.stacked("row"), perm=[1, 0, 2], out=RASTER)
    potential = found.at(POTENTIAL, semantics.ticks - 1) if semantics.readout.kind == "membrane" else None
    readout = _read(b, network, semantics.ticks, potential)
    action = decode(b, decoder(semantics.decoder), READOUT, semantics.ticks)
    raster = Port(name=RASTER, dtype=np.uint8, shape=(BATCH, ticks, size))
    return model(
        "decision",
        b,
        inputs=[*given, *(m.before for m in tick.memory if carried)],
        outputs=[action, readout, raster, *(m.after for m in tick.memory if carried)],
        functions=tick.functions,
        metadata={**metadata, STATE: [m.to_dict() for m in tick.memory if carried]},
    )


def _series(b: Body, network: Network, semantics: Semantics) -> list[Series]:
    """The encoder's values in every tick, and which ticks are driven."""
    code, shape = encoder(semantics.encoder), shapes(network)[network.input]
    values = b.op("Mul", encode(b, code, semantics.ticks), b.constant(code.unit, np.float64))
    x = b.reshape(values, (semantics.ticks, -1, *shape))
    port = Port(name=X, dtype=np.float64, shape=(BATCH, *shape))
    if not semantics.rest:
        return [Series(port=port, values=x)]
    around = np.zeros((2, 2 + len(shape)), np.int64)
    around[1, 0] = semantics.rest
    quiet = b.op("Pad", x, b.constant(around.ravel(), np.int64))
    driven = np.array([1.0] * semantics.ticks + [0.0] * semantics.rest)
    return [
        Series(port=port, values=quiet),
        Series(port=Port(name=DRIVEN, dtype=np.float64, shape=()), values=driven),
    ]


def _collected(network: Network, potential: str, b: Body, made: Mapping[str, str]) -> Sequence[str]:
    """What all populations sent in a tick, side by side, uint8 [batch, neurons], and a potential."""
    parts = []
    for name, size in zip(network.of(Neurons), _sizes(network), strict=True):
        flat, node = b.reshape(made[sent(name)], (0, size)), network.nodes[name]
        assert isinstance(node, Neurons)
        parts.append(b.op("Mul", flat, b.constant(0.0, np.float64)) if node.silent else flat)
    return b.cast(parts[0] if len(parts) == 1 else b.op("Concat", *parts, axis=1), np.uint8), made[potential]


def _read(b: Body, network: Network, ticks: int, potential: str | None) -> Port:
    """The read-out: that potential, or the spikes of the output in the raster's first ``ticks``."""
    out, sizes = output_population(network), dict(zip(network.of(Neurons), _sizes(network), strict=True))
    if potential is not None:
        b.op("Flatten", potential, axis=1, out=READOUT)
    else:
        names = list(sizes)
        start = sum(sizes[name] for name in names[: names.index(out)])
        window = b.slice(RASTER, [0, start], [ticks, start + sizes[out]], [1, 2])
        counted = b.cast(window, np.float64)
        b.op("ReduceSum", counted, b.constant([1], np.int64), keepdims=0, out=READOUT)
    return Port(name=READOUT, dtype=np.float64, shape=(BATCH, sizes[out]))


def _fresh(b: Body, memory: Memory) -> str:
    """The state before the first tick, for as many copies as there are observations."""
    copies = b.op("Shape", OBSERVATION, start=0, end=1)
    shape = b.op("Concat", copies, b.constant(list(memory.shape), np.int64), axis=0)
    return b.op("Expand", b.constant(memory.start, np.float64), shape)


def _rowed(port: Port) -> Port:
    return Port(name=port.name, dtype=port.dtype, shape=("ticks", *port.shape))


def _sizes(network: Network) -> list[int]:
    found = shapes(network)
    return [math.prod(found[name]) for name in network.of(Neurons)]
