"""A decision, tick by tick."""

# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numpy import int32, uint8

from hardware_sims.loihi.kernel.columns import (
    BLANK_FROM,
    BLANK_TO,
    BLOCKS,
    COLUMN,
    DELAY,
    FIRST,
    GATE,
    GRID,
    GROUPS,
    HEIGHT,
    KIND,
    LANES,
    LEVELS,
    LIF,
    PRE,
    PRE_COLUMN,
    READ_MEMBRANE,
    READ_SIZE,
    READ_TO,
    SIZE,
    SOURCE,
    START,
    STOP,
    SYNAPSES_FROM,
    SYNAPSES_TO,
    TICKS,
    TOTAL,
    WIDTH,
)
from hardware_sims.loihi.kernel.compiled import compiled
from hardware_sims.loihi.kernel.loihi1 import update_loihi1
from hardware_sims.loihi.kernel.messages import note, note_levels, take, tally
from hardware_sims.loihi.kernel.receive import receive, receive_any
from hardware_sims.loihi.kernel.update import update, update_any


@compiled
def aligned(array):
    """The array from the first cache line on."""
    return array[-array.ctypes.data % 64 // array.itemsize :]


@compiled
def run(
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
    u,
    v,
    held,
    events,
    values,
    event_counts,
    spike_counts,
    active_counts,
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
    most = populations[:, BLOCKS].max()
    a = np.zeros((most, LANES), int32)
    fired = np.zeros((most, LANES), uint8)
    if values is not None:
        factors, sent = np.zeros((most, LANES), int32), np.zeros((most, LANES), int32)
        planes, orders = (
            synapses[:, GROUPS] * synapses[:, HEIGHT] * synapses[:, WIDTH],
            synapses[:, GRID] + 2 * populations[synapses[:, PRE], SIZE],
        )
        plane = aligned(np.empty(max(most * LANES, planes.max()) + 16, int32))
        order = np.empty(orders.max() + 1, int32)
    silence = np.zeros(most * LANES, uint8)
    ones = np.ones(1, uint8)
    mask = events.shape[1] - 1
    for slot in range(low, high):
        for tick in range(schedule[TOTAL]):
            now = (clock + tick) & mask
            for p in range(populations.shape[0]):
                kind, column, size = populations[p, KIND], populations[p, COLUMN], populations[p, SIZE]
                if kind >= LIF:
                    first, blocks = populations[p, FIRST], populations[p, BLOCKS]
                    for s in range(populations[p, SYNAPSES_FROM], populations[p, SYNAPSES_TO]):
                        then = (clock + tick - synapses[s, DELAY]) & mask
                        arriving = event_counts[slot, then, synapses[s, PRE]]
                        blanked = synapses[s, BLANK_FROM] <= tick < synapses[s, BLANK_TO]
                        if arriving and not blanked:
                            spiked = events[slot, then, synapses[s, PRE_COLUMN] :]
                            if values is None:
                                receive(a, rows, synapses[s], blocks, spiked, arriving)
                            else:
                                came = values[slot, then, synapses[s, PRE_COLUMN] :]
                                weights, scratch = (rows, patches, table), (order, plane)
                                to = a, factors
                                receive_any(to, weights, synapses[s], size, scratch, spiked, came, arriving)
                    if tick == populations[p, START] and (values is None or kind != LEVELS):
                        u[slot, first : first + blocks] = 0
                        v[slot, first : first + blocks] = 0
                        if held is not None:
                            held[slot, first : first + blocks] = 0
                    if held is not None:
                        state = u[slot], v[slot], held[slot]
                        active = update_loihi1(state, a, parameters, fired, first, blocks)
                    elif values is None:
                        active = update(u[slot], v[slot], a, parameters, fired, first, blocks)
                    elif kind == LEVELS:
                        active = 0
                        take(levels, slot, tick, populations[p], sent)
                    else:
                        inputs = a, factors
                        active = update_any(u[slot], v[slot], inputs, parameters, fired, sent, populations[p])
                    active_counts[slot, p] += active
                    spikes = fired.reshape(-1)
                elif kind == SOURCE and tick < schedule[TICKS]:
                    spikes = driven[tick, slot, populations[p, START] :]
                elif kind == GATE and populations[p, START] <= tick < populations[p, STOP]:
                    spikes = ones
                else:
                    spikes = silence
                line = raster[slot, tick, column : column + size]
                noted = events[slot, now, column:]
                if values is None or kind < LEVELS:
                    event_counts[slot, now, p] = note(spikes, line, noted)
                else:
                    event_counts[slot, now, p] = note_levels(sent, line, noted, values[slot, now, column:])
            if schedule[READ_MEMBRANE] >= 0 and tick == schedule[READ_TO] - 1:
                for j in range(schedule[READ_SIZE]):
                    block, lane = schedule[READ_MEMBRANE] + j // LANES, j % LANES
                    readout[slot, j] = v[slot, block, lane]
                    if held is not None:  # noqa: SIM102 (numba leaves it out by the outer branch)
                        if held[slot, block, lane]:
                            readout[slot, j] = 128 * held[slot, block, lane]
        tally(raster, slot, readout, schedule, spike_counts)
