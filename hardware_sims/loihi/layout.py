"""A program as the flat arrays that the kernel runs on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi.kernel import columns
from hardware_sims.loihi.kernel.columns import LANES
from hardware_sims.loihi.weights import NEVER, Weights, padded
from strl.chip.program import Program
from strl.errors import BackendError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import (
    COMPUTING,
    Gate,
    Graded,
    Kind,
    Lif,
    Neurons,
    Product,
    Source,
    Ternary,
    binary,
)

Table = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """See ``kernel`` for the columns of the tables.

    Args:
        schedule, populations, synapses: int64 tables; synapses sorted by the population they end in.
        rows, patches, table: the weights, see ``weights``.
        parameters: int32 [4, blocks, LANES].
        first: block at which the parameters, and the state, of each computing population begin, by name.
        most, plane, order: blocks of the largest population, entries of the largest plane and order of events
            that a synapse needs.
        ring: ticks of spikes that are kept, a power of two above the longest delay.
        plain: all neurons are LIF that reset to zero at once, and all synapses dense and for spikes.
    """

    schedule: Table
    populations: Table
    synapses: Table
    rows: NDArray[np.int8]
    patches: NDArray[np.int16]
    table: NDArray[np.int32]
    parameters: NDArray[np.int32]
    first: dict[str, int]
    most: int
    plane: int
    order: int
    ring: int
    plain: bool


def layout(program: Program) -> Layout:
    """The arrays of a program.

    Raises:
        BackendError: a fan-in whose sum leaves 32 bits.
    """
    first: dict[str, int] = {}
    parameters = [np.zeros((4, 0, LANES), np.int32)]
    for population in program.populations:
        if isinstance(population.kind, COMPUTING):
            first[population.name] = sum(p.shape[1] for p in parameters)
            parameters.append(_parameters(population.kind))
    weights = Weights()
    populations, synapses = _tables(program, first, weights)
    planes = synapses[:, [columns.GROUPS, columns.HEIGHT, columns.WIDTH]].prod(axis=1)
    orders = synapses[:, columns.GRID] + 1 + 2 * populations[synapses[:, columns.PRE], columns.SIZE]
    most = int(populations[:, columns.BLOCKS].max())
    longest = max((s.delay for s in program.synapses), default=1)
    return Layout(
        schedule=_schedule(program, first),
        populations=populations,
        synapses=synapses,
        **weights.finish(),
        parameters=np.concatenate(parameters, axis=1),
        first=first,
        most=most,
        plane=max(most * LANES, int(planes.max(initial=0))),
        order=int(orders.max(initial=0)),
        ring=1 << longest.bit_length(),
        plain=bool((populations[:, columns.KIND] <= columns.LIF).all())
        and not synapses[:, [columns.FORM, columns.WEIGHTED, columns.PORT]].any(),
    )


def _parameters(kind: Neurons) -> NDArray[np.int32]:
    """FACTOR_U, FACTOR_V, THRESHOLD and LOW, TAKEN or REFRACTORY of a population: [4, blocks, LANES]."""
    if isinstance(kind, Ternary):
        return padded(np.stack([4095 - kind.du, 4096 - kind.dv, kind.high << 6, kind.low << 6]))
    nothing = np.zeros_like(kind.vth)
    if isinstance(kind, Lif):
        plain = kind.reset == "zero" and not kind.multiple
        last = np.full_like(kind.vth, kind.refractory) if plain else kind.vth << 6
        most = (kind.vth << 6) - (kind.inclusive or kind.multiple)
        return padded(np.stack([4095 - kind.du, 4096 - kind.dv, most, last]))
    return padded(np.stack([nothing, nothing, kind.vth, nothing]))


def _tables(program: Program, first: dict[str, int], weights: Weights) -> tuple[Table, Table]:
    numbers = {p.name: i for i, p in enumerate(program.populations)}
    populations: list[tuple[int, ...]] = []
    synapses: list[tuple[int, ...]] = []
    inputs = 0
    for population in program.populations:
        start, stop = _window(population, program, inputs)
        inputs += population.size if isinstance(population.kind, Source) else 0
        arriving = [_acting(s, program) for s in program.synapses if s.post == population.name]
        code, detail = _code(population.kind)
        populations.append(
            (
                code,
                program.slices[population.name].start,
                population.size,
                first.get(population.name, NEVER),
                -(-population.size // LANES),
                start,
                stop,
                len(synapses),
                len(synapses) + len(arriving),
                detail,
            )
        )
        synapses += [_synapse(program, s, numbers[s.pre], weights) for s in arriving]
    return (
        np.array(populations, np.int64).reshape(-1, 10),
        np.array(synapses, np.int64).reshape(-1, columns.SYNAPSE_COLUMNS),
    )


def _code(kind: Kind) -> tuple[int, int]:
    """KIND and DETAIL of a population."""
    if isinstance(kind, Source):
        return columns.LEVELS if kind.plane is None else columns.SOURCE, 0
    if isinstance(kind, Lif):
        resets = {"zero": 0, "subtract": columns.SUBTRACTS, "once": columns.ONCE, "none": columns.STAYS}
        detail = resets[kind.reset] + columns.LATE * kind.reset_delay
        if kind.multiple:
            return columns.MULTIPLE, detail
        return columns.OWING if detail else columns.LIF, detail
    if isinstance(kind, Graded):
        return columns.GRADED, columns.RECTIFIES * kind.rectify
    if isinstance(kind, Product):
        return columns.PRODUCT, kind.shift
    return (columns.GATE if isinstance(kind, Gate) else columns.TERNARY), 0


def _acting(synapse: Synapse, program: Program) -> Synapse:
    """With weights already shifted where a negative exponent acts on each of them, not on the sum."""
    if program.arithmetic == "lava" or synapse.weight_exp >= 0:
        return synapse
    weight: Kernel | NDArray[np.int16]
    if isinstance(synapse.weight, Kernel):
        weight = replace(synapse.weight, weight=synapse.weight.weight >> -synapse.weight_exp)
    else:
        weight = synapse.weight >> -synapse.weight_exp
    return replace(synapse, weight=weight, weight_exp=0)


def _synapse(program: Program, synapse: Synapse, pre: int, weights: Weights) -> tuple[int, ...]:
    _check_sum(synapse)
    blank = [t for t in range(program.schedule.total) if program.blanked(synapse, t)]
    weighted = bool(synapse.message_bits) and not binary(program.populations[pre].kind)
    row = {
        columns.PRE: pre,
        columns.PRE_COLUMN: program.slices[synapse.pre].start,
        columns.DELAY: synapse.delay,
        columns.BLANK_FROM: blank[0] if blank else 0,
        columns.BLANK_TO: blank[-1] + 1 if blank else 0,
        columns.WEIGHTED: int(weighted),
        columns.PORT: synapse.port,
        **weights.add(synapse),
    }
    # Without odd weights the halves alone are summed: one power of two less.
    halved = row[columns.FORM] == columns.DENSE and row[columns.ODDS] == NEVER and not weighted
    row[columns.EXPONENT] = synapse.weight_exp + halved
    return tuple(int(row.get(column, 0)) for column in range(columns.SYNAPSE_COLUMNS))


def _window(population: Population, program: Program, inputs: int) -> tuple[int, int]:
    """START and STOP: a source's input column, a gate's ticks, the tick at which state is cleared."""
    if isinstance(population.kind, Gate):
        return population.kind.start, population.kind.stop
    if isinstance(population.kind, Source):
        return inputs, NEVER
    return (population.offset if program.schedule.state == "reset" else NEVER), NEVER


def _schedule(program: Program, first: dict[str, int]) -> Table:
    readout, schedule = program.readout, program.schedule
    here = program.slices[readout.population]
    probed = readout.probed
    return np.array(
        [
            schedule.ticks,
            schedule.total,
            here.start,
            here.stop - here.start,
            readout.start if readout.kind == "count" else probed.start,
            readout.stop,
            NEVER if readout.kind == "count" else first[readout.population],
        ],
        np.int64,
    )


def _check_sum(synapse: Synapse) -> None:
    shared = isinstance(synapse.weight, Kernel)
    weight = synapse.weight.weight if isinstance(synapse.weight, Kernel) else synapse.weight
    total = np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3) if shared else 1).max()
    if total >= 2**31:
        raise BackendError(
            f"{synapse.name}: synaptic inputs of up to {total}, the kernel adds in 32 bits",
            hint="use backend 'definition', or fewer synapses a neuron",
        )
