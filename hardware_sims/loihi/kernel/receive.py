"""What arrives in a tick: the weights of those that spiked, added up. See ``weights`` for their forms."""

# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numpy import int32

from hardware_sims.loihi.kernel.columns import (
    EXPONENT,
    FORM,
    GATHER,
    GRID,
    GRID_HEIGHT,
    GRID_WIDTH,
    GROUPS,
    HALVES,
    HEIGHT,
    LANES,
    LISTED,
    MOST,
    ODDS,
    PATCHES,
    PITCH,
    PLACES,
    PORT,
    SEEN,
    SHARED,
    SPAN,
    WEIGHTED,
    WIDTH,
)
from hardware_sims.loihi.kernel.compiled import compiled, inlined
from hardware_sims.loihi.kernel.vectors import every, every_wide, ints, load, load_wide, shorts, store

ROWS = 255
"""Rows that are added in 16 bits: 255 · 128 < 2¹⁵."""


def _summing(load, every):
    @inlined
    def summed(rows, base, blocks, events, count):
        """Sum of the rows of the neurons in ``events``, from ``base`` on, in 32 bits."""
        whole = every(0)
        for begin in range(0, count, ROWS):
            part = shorts(load(rows, base + events[begin] * blocks))
            for e in range(begin + 1, min(begin + ROWS, count)):
                part = part + shorts(load(rows, base + events[e] * blocks))
            whole = whole + ints(part)
        return whole

    return summed


summed, summed_wide = _summing(load, every), _summing(load_wide, every_wide)


@compiled
def receive(a, rows, synapse, blocks, events, count):
    """a [blocks, LANES] += (Σ of the weights of the ``count`` neurons in ``events``) · 2^exponent."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    halves, odds = synapse[HALVES], synapse[ODDS]
    fours = blocks // 4 * 4
    for b in range(0, fours, 4):
        whole = summed_wide(rows, halves + b, blocks, events, count)
        if odds >= 0:
            whole = whole + whole + summed_wide(rows, odds + b, blocks, events, count)
        store(a, b, load_wide(a, b) + ((whole << left) >> right))
    for b in range(fours, blocks):
        whole = summed(rows, halves + b, blocks, events, count)
        if odds >= 0:
            whole = whole + whole + summed(rows, odds + b, blocks, events, count)
        store(a, b, load(a, b) + ((whole << left) >> right))


@compiled
def receive_weighted(a, rows, synapse, blocks, events, values, count):
    """The same where each of the neurons sent a value, which its weights are multiplied with."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    for b in range(blocks):
        whole = every(0)
        for e in range(count):
            at = events[e] * blocks + b
            weight = shorts(load(rows, synapse[HALVES] + at))
            weight = weight + weight
            if synapse[ODDS] >= 0:
                weight = weight + shorts(load(rows, synapse[ODDS] + at))
            whole = whole + ints(weight) * values[e]
        store(a, b, load(a, b) + ((whole << left) >> right))


@compiled
def bring_in_order(order, table, synapse, events, values, count):
    """Sort by place the patches of the neurons in ``events``, and what they sent; answers both.

    ``order`` has, from its second entry on, for every place where in them its senders end.
    """
    places, grid = synapse[PLACES], synapse[GRID]
    patches, sent = order[grid + 1 :], order[grid + 1 + count :]
    order[: grid + 1] = 0
    for e in range(count):
        order[table[places + events[e]] + 1] += 1
    before = int32(0)
    for place in range(1, grid + 1):
        here = order[place]
        order[place] = before
        before += here
    for e in range(count):
        place = table[places + events[e]] + 1
        to = order[place]
        patches[to] = table[synapse[PATCHES] + events[e]]
        if synapse[WEIGHTED]:
            sent[to] = values[e]
        order[place] = to + 1
    return patches, sent


@inlined
def patched(weights, at, patches, sent, weighted, most, begin, end):
    """Sum of the patches ``begin``..``end − 1`` from their weight ``at`` on, in 32 bits."""
    whole = every(0)
    if weighted:
        for e in range(begin, end):
            whole = whole + ints(load(weights, patches[np.uint64(e)] + at)) * sent[np.uint64(e)]
        return whole
    while begin < end:
        part = load(weights, patches[np.uint64(begin)] + at)
        stop = min(begin + most, end)
        for e in range(begin + 1, stop):
            part = part + load(weights, patches[np.uint64(e)] + at)
        whole = whole + ints(part)
        begin = stop
    return whole


@compiled
def add_patches(plane, weights, table, synapse, order, patches, sent):
    """Fill the plane: a block of places at a time receives from the neurons that it sees."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    columns, rows, span, pitch = synapse[GRID_WIDTH], synapse[GRID_HEIGHT], synapse[SPAN], synapse[PITCH]
    weighted, most, height = synapse[WEIGHTED], synapse[MOST], synapse[HEIGHT]
    width, seen = synapse[WIDTH], np.uint64(synapse[SEEN])
    at = 0
    for group in range(synapse[GROUPS]):
        for y in range(height):
            for b in range(width // LANES):
                # Rows of a patch go upwards: that of the neuron itself is the last.
                part = pitch * (span - 1) + b * LANES
                place = (group * rows + y) * columns
                whole = every(0)
                for _ in range(y, min(y + span, rows)):
                    begin = order[np.uint64(place + table[seen + 2 * b])]
                    end = order[np.uint64(place + table[seen + 2 * b + 1])]
                    whole = whole + patched(weights, part, patches, sent, weighted, most, begin, end)
                    place += columns
                    part -= pitch
                store(plane, at, (whole << left) >> right)
                at += LANES


@compiled
def receive_shared(a, weights, table, synapse, size, order, plane, events, values, count):
    """The same for a convolution."""
    patches, sent = bring_in_order(order, table, synapse, events, values, count)
    add_patches(plane, weights, table, synapse, order, patches, sent)
    received, gather = a.reshape(-1), np.uint64(synapse[GATHER])
    for n in range(np.uint64(size)):
        received[n] += plane[np.uint64(table[gather + n])]


@compiled
def receive_listed(a, table, synapse, blocks, plane, events, values, count):
    """The same where each neuron has a list of targets and weights."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    lists, weighted = synapse[PLACES], synapse[WEIGHTED]
    for b in range(blocks):
        store(plane, b * LANES, every(0))
    for e in range(count):
        value = values[e] if weighted else int32(1)
        for k in range(table[lists + events[e]], table[lists + events[e] + 1], 4):
            for entry in (table[k], table[k + 1], table[k + 2], table[k + 3]):
                plane[np.uint32(entry) >> 9] += ((entry & 511) - 256) * value
    for b in range(blocks):
        store(a, b, load(a, b) + ((load(plane, b * LANES) << left) >> right))


@compiled
def receive_any(a, weights, synapse, size, scratch, events, values, count):
    """The same for any synapse; ``a`` is what goes to each port."""
    rows, patches, table = weights
    order, plane = scratch
    to = a[1] if synapse[PORT] else a[0]
    blocks = (size + LANES - 1) // LANES
    if synapse[FORM] == SHARED:
        receive_shared(to, patches, table, synapse, size, order, plane, events, values, count)
    elif synapse[FORM] == LISTED:
        receive_listed(to, table, synapse, blocks, plane, events, values, count)
    elif synapse[WEIGHTED]:
        receive_weighted(to, rows, synapse, blocks, events, values, count)
    else:
        receive(to, rows, synapse, blocks, events, count)
