"""A decision, tick by tick."""

# mypy: ignore-errors

from __future__ import annotations

from hardware_sims.loihi.kernel.columns import (
    BLANK_FROM,
    BLANK_TO,
    BLOCKS,
    COLUMN,
    DELAY,
    FIRST,
    GATE,
    KIND,
    LANES,
    LEVELS,
    LIF,
    PRE,
    PRE_COLUMN,
    READ_FROM,
    READ_MEMBRANE,
    READ_SIZE,
    READ_TO,
    SIZE,
    SOURCE,
    START,
    STOP,
    SYNAPSES_FROM,
    SYNAPSES_TO,
    TOTAL,
)
from hardware_sims.loihi.kernel.compiled import compiled, part
from hardware_sims.loihi.kernel.loihi1 import update_loihi1
from hardware_sims.loihi.kernel.messages import note, note_levels, take, tally
from hardware_sims.loihi.kernel.receive import receive, receive_any
from hardware_sims.loihi.kernel.update import update, update_any


@part
def arrive(to, when, p, tables, weights, events, values, scratch):
    """Add up in ``to`` what reaches population ``p`` in this tick."""
    populations, synapses = tables
    slot, tick, time = when
    neurons = events.shape[2] - populations.shape[0]
    for s in range(populations[p, SYNAPSES_FROM], populations[p, SYNAPSES_TO]):
        then = (time - synapses[s, DELAY]) & (events.shape[1] - 1)
        count = events[slot, then, neurons + synapses[s, PRE]]
        if count and not synapses[s, BLANK_FROM] <= tick < synapses[s, BLANK_TO]:
            spiked = events[slot, then, synapses[s, PRE_COLUMN] :]
            if values is None:
                receive(to[0], weights[0], synapses[s], populations[p, BLOCKS], spiked, count)
            else:
                sent = values[slot, then, synapses[s, PRE_COLUMN] :]
                size = populations[p, SIZE]
                receive_any(to, weights, synapses[s], size, scratch, spiked, sent, count)


@part
def clear(state, held, slot, population):
    """Forget the state of a population."""
    first, last = population[FIRST], population[FIRST] + population[BLOCKS]
    state[slot, 0, first:last] = 0
    state[slot, 1, first:last] = 0
    if held is not None:
        held[slot, first:last] = 0


@part
def advance(state, held, slot, a, parameters, fired, sent, population, values):
    """One tick of a population, with input ``a``; answers how many of its neurons were active."""
    u, v, first, blocks = state[slot, 0], state[slot, 1], population[FIRST], population[BLOCKS]
    if held is not None:
        return update_loihi1((u, v, held[slot]), a[0], parameters, fired, first, blocks)
    if values is None:
        return update(u, v, a[0], parameters, fired, first, blocks)
    return update_any(u, v, a, parameters, fired, sent, population)


@part
def read_potentials(state, held, slot, tick, schedule, readout):
    """The potentials after a tick that is read; where a neuron holds its own, what a probe shows instead."""
    at = (tick - schedule[READ_FROM]) * schedule[READ_SIZE]
    for j in range(schedule[READ_SIZE]):
        block, lane = schedule[READ_MEMBRANE] + j // LANES, j % LANES
        readout[slot, at + j] = state[slot, 1, block, lane]
        if held is not None:  # noqa: SIM102 (numba leaves it out by the outer branch)
            if held[slot, block, lane]:
                readout[slot, at + j] = 128 * held[slot, block, lane]


@compiled
def run(
    share,
    low,
    high,
    clock,
    schedule,
    populations,
    synapses,
    rows,
    patches,
    table,
    parameters,
    state,
    held,
    events,
    values,
    counts,
    blocks,
    flags,
    order,
    plane,
    driven,
    levels,
    raster,
    readout,
):
    """One decision of the slots ``low``..``high − 1``, ``clock`` ticks after the first.

    See ``layout.Layout`` and ``session.LoihiSession`` for the arrays. Where ``values`` is None all neurons
    are LIF and all synapses plain; numba then leaves out what is there for others, which would cost them
    a third of their speed. So it does with what is for arithmetic ``loihi1`` where ``held`` is None.
    """
    tables, weights, scratch = (populations, synapses), (rows, patches, table), (order[share], plane[share])
    a, sent = (blocks[share, 0], blocks[share, 1]), blocks[share, 2]
    fired, silent, ones = flags[share, 0], flags[share, 1].reshape(-1), flags[share, 2].reshape(-1)
    neurons = raster.shape[2]
    for slot in range(low, high):
        for tick in range(schedule[TOTAL]):
            when = slot, tick, clock + tick
            now = (clock + tick) & (events.shape[1] - 1)
            for p in range(populations.shape[0]):
                population = populations[p]
                kind, column, size = population[KIND], population[COLUMN], population[SIZE]
                spikes = silent
                if kind == SOURCE and tick < driven.shape[0]:
                    spikes = driven[tick, slot, population[START] :]
                elif kind == GATE and population[START] <= tick < population[STOP]:
                    spikes = ones
                elif kind == LEVELS:
                    take(levels, slot, tick, population, sent)
                elif kind >= LIF:
                    arrive(a, when, p, tables, weights, events, values, scratch)
                    if tick == population[START]:
                        clear(state, held, slot, population)
                    active = advance(state, held, slot, a, parameters, fired, sent, population, values)
                    counts[slot, neurons + p] += active
                    spikes = fired.reshape(-1)
                line, noted = raster[slot, tick, column : column + size], events[slot, now, column:]
                if values is None or kind < LEVELS:
                    count = note(spikes, line, noted)
                else:
                    count = note_levels(sent, line, noted, values[slot, now, column:])
                events[slot, now, neurons + p] = count
            if schedule[READ_MEMBRANE] >= 0 and schedule[READ_FROM] <= tick < schedule[READ_TO]:
                read_potentials(state, held, slot, tick, schedule, readout)
        tally(raster[slot], readout[slot], schedule, counts[slot])
