"""What neurons send: taken from the host, noted in the raster and for those who receive it, counted."""

# mypy: ignore-errors

from __future__ import annotations

from numpy import uint8

from hardware_sims.loihi.kernel.columns import (
    LANES,
    READ_COLUMN,
    READ_FROM,
    READ_MEMBRANE,
    READ_SIZE,
    READ_TO,
    SIZE,
    START,
)
from hardware_sims.loihi.kernel.compiled import compiled


@compiled
def take(levels, slot, tick, population, sent):
    """What graded sources send: the levels of this tick, nothing after the last."""
    for j in range(population[SIZE]):
        level = levels[tick, slot, population[START] + j] if tick < levels.shape[0] else 0
        sent[j // LANES, j % LANES] = level


@compiled
def note(spikes, line, events):
    """Copy spikes into a line of the raster, and the indices of those that spiked; answers how many."""
    count = 0
    for j in range(line.shape[0]):
        spike = spikes[j]
        line[j] = spike
        events[count] = j
        count += spike
    return count


@compiled
def note_levels(messages, line, events, values):
    """The same for graded messages, whose values are kept as well."""
    count = 0
    for j in range(line.shape[0]):
        message = messages[j // LANES, j % LANES]
        line[j] = message
        if message:
            events[count] = j
            values[count] = message
            count += 1
    return count


@compiled
def valid(spikes):
    """Whether every input is 0 or 1."""
    seen = uint8(0)
    for spike in spikes.flat:
        seen |= spike
    return seen <= 1


@compiled
def tally(raster, readout, schedule, counts):
    """Add a decision's raster to the counts of spikes, and to its read-out where that counts them."""
    for tick in range(raster.shape[0]):
        if raster.itemsize == 1:  # spikes
            for j in range(raster.shape[1]):
                counts[j] += raster[tick, j]
        else:
            for j in range(raster.shape[1]):
                counts[j] += raster[tick, j] != 0
    if schedule[READ_MEMBRANE] < 0:
        for tick in range(schedule[READ_FROM], schedule[READ_TO]):
            for j in range(schedule[READ_SIZE]):
                readout[j] += raster[tick, schedule[READ_COLUMN] + j]
