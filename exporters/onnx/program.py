"""A Program as an ONNX model in integers: one decision, equal to the chip bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from exporters.onnx.cells import Integers
from exporters.onnx.chip_tick import POTENTIAL, ROW, blanks, keep, opened, program_tick, sent
from exporters.onnx.codecs import READOUT, decode, encode, inputs
from exporters.onnx.graph import BATCH, Port, model, number
from exporters.onnx.loop import Results, Series, Tick, looped, unrolled
from exporters.onnx.network import RASTER, STATE
from strl.chip.program import Program
from strl.codecs import decoder, encoder
from strl.quantize.neurons import Gate, Source

SPIKES = "spikes"


def program_model(program: Program, *, scan: bool, codec: bool, metadata: Mapping[str, Any]) -> bytes:
    """One decision of a program, with every state as an input and an output (``NAME.next``).

    Outputs: ``readout`` int32 and ``raster`` as ``strl.chip.backend.Decision`` has them.

    Args:
        program: what runs.
        scan: ticks in a loop rather than one behind the other.
        codec: True goes from ``observation`` to ``action``; False takes ``spikes`` [T, batch, inputs], as
            ``Session.run`` does.
        metadata: entries of the file.

    Raises:
        ModelError: a population, synapse or codec that it cannot hold; names it.
    """
    tick, b, schedule = program_tick(program), Integers(), program.schedule
    code = encoder(program.semantics.encoder) if codec else None
    shape = program.semantics.environment.observation_shape
    inputs_ = inputs(code, shape, schedule.ticks) if code is not None else (_spikes_port(program),)
    if code is not None:
        levels = b.cast(encode(b, code, schedule.ticks), np.int64)
        driven = {p.name: _plane(b, program, levels, p.kind) for p in program.sources}
    else:
        driven = _split(b, program)
    series = _series(b, program, tick, driven)
    states = {m.name: m.name for m in tick.memory}
    results = [Port(name=ROW, dtype=np.int32, shape=(BATCH, program.neurons))]
    if POTENTIAL in tick.outputs:
        size = program.population(program.readout.population).size
        results.append(Port(name=POTENTIAL, dtype=np.int64, shape=(BATCH, size)))

    def collect(_: Any, made: Mapping[str, str]) -> list[str]:
        return [made[port.name] for port in results]

    if scan:
        found = looped(b, tick, series, states, collect, results)
    else:
        found = unrolled(b, tick, schedule.total, series, states, collect, results)
    outputs = _outputs(b, program, found)
    if code is not None:
        unit = b.constant(program.readout.unit, np.float64)
        value = b.op("Mul", b.cast(READOUT, np.float64), unit)
        outputs = [decode(b, decoder(program.semantics.decoder), value, schedule.ticks), *outputs]
    return model(
        "decision",
        b,
        inputs=[*inputs_, *(m.before for m in tick.memory)],
        outputs=[*outputs, *(m.after for m in tick.memory)],
        functions=tick.functions,
        metadata={**metadata, STATE: [m.to_dict() for m in tick.memory]},
    )


def _spikes_port(program: Program) -> Port:
    size = sum(p.size for p in program.sources)
    return Port(name=SPIKES, dtype=program.message, shape=(program.schedule.ticks, BATCH, size))


def _plane(b: Integers, program: Program, levels: str, kind: Any) -> str:
    """What a source sends in the driven ticks, int32: ``Program.spikes``."""
    assert isinstance(kind, Source)
    if kind.plane is None or (len(program.sources) == 1 and kind.plane == 0):
        return b.cast(levels, np.int32)
    return b.cast(b.op("Mod", b.scaled(levels, -kind.plane), b.number(2)), np.int32)


def _split(b: Integers, program: Program) -> dict[str, str]:
    """The input spikes of each source, int32."""
    found, start, sent = {}, 0, b.cast(SPIKES, np.int32)
    for source in program.sources:
        found[source.name] = b.slice(sent, [start], [start + source.size], [2])
        start += source.size
    return found


def _series(b: Integers, program: Program, tick: Tick, driven: Mapping[str, str]) -> list[Series]:
    """What the function is told in every tick of a decision, in its order."""
    total, found = program.schedule.total, {}
    quiet = b.constant([0, 0, 0, total - program.schedule.ticks, 0, 0], np.int64)
    for population in program.populations:
        called, kind = sent(population.name), population.kind
        port = Port(name=called, dtype=np.int32, shape=(BATCH, population.size))
        if isinstance(kind, Source):
            found[called] = Series(port=port, values=b.op("Pad", driven[population.name], quiet))
        elif isinstance(kind, Gate):
            window = np.array([kind.start <= t < kind.stop for t in range(total)], np.int32)
            found[called] = Series(port=port, values=_copied(b, window, driven))
        on = (np.arange(total) != population.offset).astype(np.int64)
        found[keep(population.name)] = _scalar(keep(population.name), on)
    for synapse in program.synapses:
        found[opened(synapse.name)] = _scalar(opened(synapse.name), blanks(program, synapse))
    return [found[name] for name in tick.inputs]


def _copied(b: Integers, window: Any, driven: Mapping[str, str]) -> str:
    """The same in every slot: [total] → [total, batch, 1]."""
    copies = b.op("Shape", next(iter(driven.values())), start=1, end=2)
    shape = b.op("Concat", b.constant([len(window)], np.int64), copies, b.constant([1], np.int64), axis=0)
    return b.op("Expand", b.constant(window.reshape(-1, 1, 1), np.int32), shape)


def _scalar(name: str, values: Any) -> Series:
    return Series(port=Port(name=name, dtype=np.int64, shape=()), values=values)


def _outputs(b: Integers, program: Program, found: Results) -> list[Port]:
    """The raster and the read-out."""
    readout, total = program.readout, program.schedule.total
    columns = program.slices[readout.population]
    rows = b.op("Transpose", found.stacked(ROW), perm=[1, 0, 2])
    b.op("Cast", rows, to=number(program.message), out=RASTER)
    value = _probed(b, program, found) if readout.probed else _counted(b, program, rows)
    b.op("Cast", value, to=number(np.int32), out=READOUT)
    size = readout.shape(columns.stop - columns.start)
    return [
        Port(name=READOUT, dtype=np.int32, shape=(BATCH, *size)),
        Port(name=RASTER, dtype=program.message, shape=(BATCH, total, program.neurons)),
    ]


def _counted(b: Integers, program: Program, rows: str) -> str:
    """The messages in the window, summed; nothing where a potential is read after no tick."""
    readout, columns = program.readout, program.slices[program.readout.population]
    stop = readout.stop if readout.kind == "count" else readout.start
    window = b.slice(rows, [readout.start, columns.start], [stop, columns.stop], [1, 2])
    if readout.kind == "potential":
        return window
    return b.wrap(b.op("ReduceSum", b.cast(window, np.int64), b.constant([1], np.int64), keepdims=0), 32)


def _probed(b: Integers, program: Program, found: Results) -> str:
    """The potential after the last tick of the window, or after each."""
    ticks = program.readout.probed
    if program.readout.kind == "membrane":
        return found.at(POTENTIAL, ticks[0])
    window = b.slice(found.stacked(POTENTIAL), [ticks.start], [ticks.stop], [0])
    return b.op("Transpose", window, perm=[1, 0, 2])
