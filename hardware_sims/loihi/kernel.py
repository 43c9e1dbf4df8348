"""The fast kernel: what ``definition.py`` defines, event by event, compiled by numba.

Everything is laid out in blocks of ``LANES`` neurons, zero-padded, so that every inner loop has a constant
length and becomes plain vector instructions. A slot runs its whole decision before the next one begins:
its state then stays in the first-level cache.

Why 32-bit registers suffice for every program:

- a weight is kept as w = 2·h + l with h = w >> 1 in −128..127 and l = w & 1, both one byte. Rows of h are
  added in 16 bits, which ``ROWS`` ≤ 255 of them cannot overflow, and then into 32 bits;
- the definition wraps 64·a and u's sum to 32 bits, as two's complement does by itself. ``layout`` refuses
  a fan-in whose a could leave 32 bits (it takes more than 65 536 synapses a neuron);
- |u| < 2³¹ and a factor m ≤ 4095, or |v| < 2²³ and m ≤ 4096, so both products of
      |x|·m >> 12 = (|x| >> 12)·m + ((|x| & 4095)·m >> 12)
  stay below 2³¹, and so does v's factor·v + u, because u is at least 2²⁴ away from ±2³¹ after its wrap.

numba computes in 64 bits unless told otherwise; the many ``int32(...)`` keep vectors at full width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy import int16, int32, uint8

LANES = 32
ROWS = 248
"""Rows added in 16 bits before the sum moves to 32 bits: 248 · 128 < 2¹⁵."""

# Columns of the population table.
KIND, COLUMN, SIZE, FIRST, BLOCKS, START, STOP, SYNAPSES_FROM, SYNAPSES_TO = range(9)
SOURCE, GATE, LIF = range(3)
# Columns of the synapse table.
PRE, PRE_COLUMN, DELAY, EXPONENT, HALVES, ODDS, BLANK_FROM, BLANK_TO = range(8)
# Rows of the parameters.
FACTOR_U, FACTOR_V, THRESHOLD = range(3)
# Entries of the schedule.
TICKS, TOTAL, READ_COLUMN, READ_SIZE, READ_FROM, READ_TO, READ_MEMBRANE = range(7)

_LIMIT = int32(2**23)
_WRAP = int32(2**24)
_ZERO = int32(0)


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """``function`` compiled, from numba's cache on disk where there is a folder for one."""
    try:
        return njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # numba: "no locator available", where neither folder it would use is writable
        return njit(nogil=True, **options)(function)


def _decay(x, m):  # type: ignore[no-untyped-def]
    sign = int32(x >> 31)
    size = int32((x ^ sign) - sign)
    high = int32(int32(size >> 12) * m)
    low = int32(int32(int32(size & 4095) * m) >> 12)
    return int32((int32(high + low) ^ sign) - sign)


decay = compiled(_decay, inline="always")


def _add_rows(total, part, rows, base, blocks, events, count, doubled):  # type: ignore[no-untyped-def]
    """total [blocks, LANES] ← total · (2 if doubled) + the rows of the neurons in ``events``."""
    for b in range(blocks):
        if doubled:
            for k in range(LANES):
                total[b, k] = int32(total[b, k] << 1)
        for begin in range(0, count, ROWS):
            end = min(begin + ROWS, count)
            for k in range(LANES):
                part[k] = int16(0)
            e = begin
            while e + 4 <= end:
                r0 = base + events[e] * blocks + b
                r1 = base + events[e + 1] * blocks + b
                r2 = base + events[e + 2] * blocks + b
                r3 = base + events[e + 3] * blocks + b
                for k in range(LANES):
                    pair = int16(int16(rows[r0, k]) + int16(rows[r1, k]))
                    other = int16(int16(rows[r2, k]) + int16(rows[r3, k]))
                    part[k] = int16(part[k] + int16(pair + other))
                e += 4
            while e < end:
                r0 = base + events[e] * blocks + b
                for k in range(LANES):
                    part[k] = int16(part[k] + int16(rows[r0, k]))
                e += 1
            for k in range(LANES):
                total[b, k] = int32(total[b, k] + int32(part[k]))


add_rows = compiled(_add_rows)


def _add_shifted(a, total, blocks, exponent):  # type: ignore[no-untyped-def]
    """a ← a + total · 2^exponent, towards −∞; total ← 0."""
    for b in range(blocks):
        if exponent >= 0:
            for k in range(LANES):
                a[b, k] = int32(a[b, k] + int32(total[b, k] << exponent))
        else:
            for k in range(LANES):
                a[b, k] = int32(a[b, k] + int32(total[b, k] >> -exponent))
        for k in range(LANES):
            total[b, k] = _ZERO


add_shifted = compiled(_add_shifted)


def _update(u, v, a, parameters, fired, first, blocks):  # type: ignore[no-untyped-def]
    """One tick of the neurons of ``blocks`` blocks; answers how many were active, and clears a."""
    active = 0
    for b in range(blocks):
        n = first + b
        busy: Any = int32(0)
        for k in range(LANES):
            old, add, potential = u[n, k], a[b, k], v[n, k]
            busy = int32(busy + int32((old | add | potential) != 0))
            current = int32(decay(old, parameters[FACTOR_U, n, k]) + int32(add << 6))
            over, under = int32(current > _LIMIT), int32(current <= -_LIMIT)
            current = int32(current + int32(int32(under - over) * _WRAP))
            potential = int32(decay(potential, parameters[FACTOR_V, n, k]) + current)
            potential = min(max(potential, int32(1 - _LIMIT)), int32(_LIMIT - 1))
            spike = potential > parameters[THRESHOLD, n, k]
            u[n, k] = current
            v[n, k] = _ZERO if spike else potential
            fired[b, k] = uint8(spike)
            a[b, k] = _ZERO
        active += busy
    return active


update = compiled(_update)


def _note(spikes, size, events):  # type: ignore[no-untyped-def]
    """The indices of the neurons that spike; answers how many."""
    count = 0
    for j in range(size):
        events[count] = j
        count += spikes[j]
    return count


note = compiled(_note)


def _run(  # type: ignore[no-untyped-def]
    low,
    high,
    clock,
    schedule,
    populations,
    synapses,
    rows,
    parameters,
    u,
    v,
    events,
    event_counts,
    driven,
    raster,
    readout,
    spike_counts,
    active_counts,
):
    """One decision of the slots ``low``..``high − 1``; see ``layout.Layout`` for the arrays.

    ``clock`` is the number of ticks before this decision. ``events`` [batch, ring, neurons + LANES] holds
    the indices of the neurons that spiked in the last ticks, ``event_counts`` [batch, ring, populations]
    how many there are of each population.
    """
    most = 1
    for p in range(populations.shape[0]):
        most = max(most, populations[p, BLOCKS])
    a = np.zeros((most, LANES), int32)
    total = np.zeros((most, LANES), int32)
    fired = np.zeros((most, LANES), uint8)
    part = np.zeros(LANES, int16)
    mask = events.shape[1] - 1
    for slot in range(low, high):
        for tick in range(schedule[TOTAL]):
            now = (clock + tick) & mask
            for p in range(populations.shape[0]):
                kind, column, size = populations[p, KIND], populations[p, COLUMN], populations[p, SIZE]
                line = raster[slot, tick, column : column + size]
                if kind == LIF:
                    first, blocks = populations[p, FIRST], populations[p, BLOCKS]
                    for s in range(populations[p, SYNAPSES_FROM], populations[p, SYNAPSES_TO]):
                        if synapses[s, BLANK_FROM] <= tick < synapses[s, BLANK_TO]:
                            continue
                        then = (clock + tick - synapses[s, DELAY]) & mask
                        count = event_counts[slot, then, synapses[s, PRE]]
                        if count == 0:
                            continue
                        spiked = events[slot, then, synapses[s, PRE_COLUMN] :]
                        add_rows(total, part, rows, synapses[s, HALVES], blocks, spiked, count, False)
                        if synapses[s, ODDS] >= 0:
                            add_rows(total, part, rows, synapses[s, ODDS], blocks, spiked, count, True)
                        add_shifted(a, total, blocks, synapses[s, EXPONENT])
                    if tick == populations[p, START]:
                        u[slot, first : first + blocks] = _ZERO
                        v[slot, first : first + blocks] = _ZERO
                    active = update(u[slot], v[slot], a, parameters, fired, first, blocks)
                    active_counts[slot, p] += active
                    for b in range(blocks):
                        for k in range(min(LANES, size - b * LANES)):
                            line[b * LANES + k] = fired[b, k]
                elif kind == SOURCE:
                    if tick < schedule[TICKS]:
                        from_column = populations[p, START]
                        line[:] = driven[tick, slot, from_column : from_column + size]
                    else:
                        line[:] = uint8(0)
                else:
                    line[:] = uint8(populations[p, START] <= tick < populations[p, STOP])
                event_counts[slot, now, p] = note(line, size, events[slot, now, column:])
            if schedule[READ_MEMBRANE] >= 0 and tick == schedule[READ_TO] - 1:
                for j in range(schedule[READ_SIZE]):
                    readout[slot, j] = v[slot, schedule[READ_MEMBRANE] + j // LANES, j % LANES]
        for tick in range(schedule[TOTAL]):
            for j in range(raster.shape[2]):
                spike_counts[slot, j] += raster[slot, tick, j]
        if schedule[READ_MEMBRANE] < 0:
            for tick in range(schedule[READ_FROM], schedule[READ_TO]):
                for j in range(schedule[READ_SIZE]):
                    readout[slot, j] += raster[slot, tick, schedule[READ_COLUMN] + j]


run = compiled(_run)
