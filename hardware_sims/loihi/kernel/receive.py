"""What arrives in a tick: the weights of those that spiked, added up. See ``weights`` for their forms."""

# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numpy import int32

from hardware_sims.loihi.kernel.columns import (
    EXPONENT,
    FORM,
    GATHER,
    HALVES,
    LANES,
    LISTED,
    MOST,
    ODDS,
    PATCHES,
    PLACES,
    PLANE,
    PORT,
    SHARED,
    SPAN,
    STRIDE,
    WEIGHTED,
    WIDTH,
)
from hardware_sims.loihi.kernel.compiled import compiled, inlined
from hardware_sims.loihi.kernel.vectors import every, ints, load, shorts, store

ROWS = 255
"""Rows that are added in 16 bits: 255 · 128 < 2¹⁵."""


@inlined
def summed(rows, base, blocks, block, events, count):
    """Sum of the rows that belong to the neurons in ``events``, as a 32-bit vector."""
    whole = every(0)
    for begin in range(0, count, ROWS):
        part = shorts(load(rows, base + events[begin] * blocks + block))
        for e in range(begin + 1, min(begin + ROWS, count)):
            part = part + shorts(load(rows, base + events[e] * blocks + block))
        whole = whole + ints(part)
    return whole


@compiled
def receive(a, rows, synapse, blocks, events, count):
    """a [blocks, LANES] += (Σ of the weights of the ``count`` neurons in ``events``) · 2^exponent."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    for b in range(blocks):
        whole = summed(rows, synapse[HALVES], blocks, b, events, count)
        if synapse[ODDS] >= 0:
            whole = whole + whole + summed(rows, synapse[ODDS], blocks, b, events, count)
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
def receive_shared(a, patches, table, synapse, size, plane, wide, events, values, count):
    """The same for a convolution: each neuron adds one patch of weights to the plane of all places.

    In 16 bits (``plane``) where no place can leave them, else in 32 (``wide``); both are given and left zero.
    """
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    places, gather, width = synapse[PLACES], synapse[GATHER], synapse[WIDTH]
    span, stride = synapse[SPAN], synapse[STRIDE]
    narrow = not synapse[WEIGHTED] and count <= synapse[MOST]
    for e in range(count):
        place = np.int64(table[places + events[e]])
        patch = np.int64(table[synapse[PATCHES] + events[e]])
        if narrow:
            for _ in range(span):
                for b in range(width):
                    at = place + b * LANES
                    store(plane, at, load(plane, at) + load(patches, patch + b))
                place += stride
                patch += width
            continue
        value = values[e] if synapse[WEIGHTED] else int32(1)
        for _ in range(span):
            for b in range(width):
                at = place + b * LANES
                store(wide, at, load(wide, at) + ints(load(patches, patch + b)) * value)
            place += stride
            patch += width
    received = a.reshape(-1)
    if narrow:
        for n in range(size):
            received[n] += (int32(plane[table[gather + n]]) << left) >> right
        plane[: synapse[PLANE]] = 0
    else:
        for n in range(size):
            received[n] += (wide[table[gather + n]] << left) >> right
        wide[: synapse[PLANE]] = 0


@compiled
def receive_listed(a, listed, table, synapse, size, wide, events, values, count):
    """The same where each neuron has a list of targets and weights; ``wide`` is given and left zero."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    for e in range(count):
        value = values[e] if synapse[WEIGHTED] else int32(1)
        first = synapse[PLACES] + events[e]
        for k in range(table[first], table[first + 1]):
            wide[table[synapse[GATHER] + k]] += listed[synapse[PATCHES] + k] * value
    received = a.reshape(-1)
    for n in range(size):
        received[n] += (wide[n] << left) >> right
        wide[n] = 0


@compiled
def receive_any(a, weights, synapse, size, scratch, events, values, count):
    """The same for any synapse; ``a`` is what goes to each port."""
    rows, patches, listed, table = weights
    plane, wide = scratch
    to = a[1] if synapse[PORT] else a[0]
    blocks = (size + LANES - 1) // LANES
    if synapse[FORM] == SHARED:
        receive_shared(to, patches, table, synapse, size, plane, wide, events, values, count)
    elif synapse[FORM] == LISTED:
        receive_listed(to, listed, table, synapse, size, wide, events, values, count)
    elif synapse[WEIGHTED]:
        receive_weighted(to, rows, synapse, blocks, events, values, count)
    else:
        receive(to, rows, synapse, blocks, events, count)
