"""A program as the flat arrays that the kernel runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi import kernel
from hardware_sims.loihi.kernel import LANES
from strl.chip.program import Program
from strl.errors import BackendError
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Gate, Lif, Source

Table = NDArray[np.int64]
NEVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """See ``kernel`` for the columns of the tables.

    Args:
        schedule, populations, synapses: int64 tables; synapses sorted by the population they end in.
        rows: int8 [rows, LANES]; the weights of neuron i of a sender are the ``BLOCKS`` rows from
            ``base + i · BLOCKS`` on, base being ``HALVES`` (w >> 1) or ``ODDS`` (w & 1).
        parameters: int32 [3, blocks, LANES].
        first: block at which each LIF population's state begins, by name.
        ring: ticks of spikes that are kept, a power of two above the longest delay.
    """

    schedule: Table
    populations: Table
    synapses: Table
    rows: NDArray[np.int8]
    parameters: NDArray[np.int32]
    first: dict[str, int]
    ring: int


def layout(program: Program) -> Layout:
    """The arrays of a program.

    Raises:
        BackendError: a fan-in whose sum leaves 32 bits, or a read-out of what is not there.
    """
    _check_fan_in(program)
    first: dict[str, int] = {}
    parameters = [np.zeros((3, 0, LANES), np.int32)]
    for population in program.populations:
        if isinstance(population.kind, Lif):
            first[population.name] = sum(p.shape[1] for p in parameters)
            parameters.append(_parameters(population.kind))
    populations, synapses, rows = _tables(program, first)
    longest = max((s.delay for s in program.synapses), default=1)
    return Layout(
        schedule=_schedule(program, first),
        populations=populations,
        synapses=synapses,
        rows=rows,
        parameters=np.concatenate(parameters, axis=1),
        first=first,
        ring=1 << longest.bit_length(),
    )


def _blocks(size: int) -> int:
    return -(-size // LANES)


def _padded(values: NDArray[Any]) -> NDArray[Any]:
    """[..., n] → [..., blocks, LANES], filled up with zeros."""
    shape = (*values.shape[:-1], _blocks(values.shape[-1]))
    full = np.zeros((*shape[:-1], shape[-1] * LANES), values.dtype)
    full[..., : values.shape[-1]] = values
    return full.reshape(*shape, LANES)


def _parameters(lif: Lif) -> NDArray[np.int32]:
    """FACTOR_U, FACTOR_V and THRESHOLD of a population: [3, blocks, LANES]."""
    return _padded(np.stack([4095 - lif.du, 4096 - lif.dv, lif.vth << 6]))


def _tables(program: Program, first: dict[str, int]) -> tuple[Table, Table, NDArray[np.int8]]:
    numbers = {p.name: i for i, p in enumerate(program.populations)}
    populations: list[tuple[int, ...]] = []
    synapses: list[tuple[int, ...]] = []
    rows = [np.zeros((0, LANES), np.int8)]
    inputs = 0
    for population in program.populations:
        start, stop = _window(population, program, inputs)
        inputs += population.size if isinstance(population.kind, Source) else 0
        arriving = [s for s in program.synapses if s.post == population.name]
        populations.append(
            (
                _KIND[type(population.kind)],
                program.slices[population.name].start,
                population.size,
                first.get(population.name, NEVER),
                _blocks(population.size),
                start,
                stop,
                len(synapses),
                len(synapses) + len(arriving),
            )
        )
        for synapse in arriving:
            blank = [t for t in range(program.schedule.total) if program.blanked(synapse, t)]
            bases = _append(rows, synapse)
            synapses.append(
                (
                    numbers[synapse.pre],
                    program.slices[synapse.pre].start,
                    synapse.delay,
                    # Without odd weights the halves alone are summed: one power of two less.
                    synapse.weight_exp + (bases[1] == NEVER),
                    *bases,
                    blank[0] if blank else 0,
                    blank[-1] + 1 if blank else 0,
                )
            )
    return (
        np.array(populations, np.int64),
        np.array(synapses, np.int64).reshape(-1, kernel.BLANK_TO + 1),  # a program may have no synapse
        np.concatenate(rows),
    )


_KIND = {Source: kernel.SOURCE, Gate: kernel.GATE, Lif: kernel.LIF}


def _window(population: Population, program: Program, inputs: int) -> tuple[int, int]:
    """START and STOP: a source's input column, a gate's ticks, the tick at which state is cleared."""
    if isinstance(population.kind, Gate):
        return population.kind.start, population.kind.stop
    if isinstance(population.kind, Source):
        return inputs, NEVER
    return (population.offset if program.schedule.state == "reset" else NEVER), NEVER


def _append(rows: list[NDArray[np.int8]], synapse: Synapse) -> tuple[int, int]:
    """Append the weights' rows; answers where halves and odds begin (NEVER: no weight is odd)."""
    weight = _padded(np.ascontiguousarray(synapse.weight.T))
    halves = sum(len(r) for r in rows)
    rows.append((weight >> 1).astype(np.int8).reshape(-1, LANES))
    if not (weight & 1).any():
        return halves, NEVER
    rows.append((weight & 1).astype(np.int8).reshape(-1, LANES))
    return halves, halves + len(rows[-1])


def _schedule(program: Program, first: dict[str, int]) -> Table:
    readout, schedule = program.readout, program.schedule
    here = program.slices[readout.population]
    if not 0 <= readout.start <= readout.stop:
        raise BackendError(f"readout: ticks {readout.start}..{readout.stop} are not a window of a decision")
    if readout.kind == "membrane" and readout.population not in first:
        raise BackendError(f"readout: {readout.population!r} has no membrane")
    membrane = first[readout.population] if readout.kind == "membrane" else NEVER
    return np.array(
        [
            schedule.ticks,
            schedule.total,
            here.start,
            here.stop - here.start,
            readout.start,
            readout.stop,
            membrane,
        ],
        np.int64,
    )


def _check_fan_in(program: Program) -> None:
    for population in program.populations:
        total = np.zeros(population.size, np.int64)
        for s in program.synapses:
            if s.post == population.name:
                # A right shift rounds down, by less than one.
                total += ((np.abs(s.weight.astype(np.int64)).sum(axis=1) << 7) >> (7 - s.weight_exp)) + 1
        if total.size and total.max() >= 2**31:
            raise BackendError(
                f"{population.name}: synaptic inputs of up to {total.max()}, the kernel adds in 32 bits",
                hint="use backend 'definition', or fewer synapses a neuron",
            )
