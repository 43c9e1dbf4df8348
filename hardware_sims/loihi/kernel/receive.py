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
    PITCH,
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


@inlined
def add_patch(plane, patches, table, synapse, neuron):
    """plane += the patch of a neuron that spiked."""
    place = np.int64(table[synapse[PLACES] + neuron])
    patch = np.int64(table[synapse[PATCHES] + neuron])
    for _ in range(synapse[SPAN]):
        for b in range(0, synapse[WIDTH], LANES):
            store(plane, place + b, load(plane, place + b) + load(patches, patch + b))
        place += synapse[STRIDE]
        patch += synapse[PITCH]


@inlined
def add_weighted_patch(wide, patches, table, synapse, neuron, value):
    """wide += the patch of a neuron, times what it sent."""
    place = np.int64(table[synapse[PLACES] + neuron])
    patch = np.int64(table[synapse[PATCHES] + neuron])
    for _ in range(synapse[SPAN]):
        for b in range(0, synapse[WIDTH], LANES):
            store(wide, place + b, load(wide, place + b) + ints(load(patches, patch + b)) * value)
        place += synapse[STRIDE]
        patch += synapse[PITCH]


@compiled
def collect(a, plane, table, synapse, size):
    """a += every neuron's place of the plane · 2^exponent; leaves the plane zero."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    received, gather = a.reshape(-1), np.uint64(synapse[GATHER])
    for n in range(np.uint64(size)):
        received[n] += (int32(plane[np.uint64(table[gather + n])]) << left) >> right
    plane[: synapse[PLANE]] = 0


@compiled
def receive_shared(a, patches, table, synapse, size, plane, wide, events, values, count):
    """The same for a convolution: each neuron adds one patch of weights to the plane of all places.

    In 16 bits (``plane``) where no place can leave them, else in 32 (``wide``); both are given and left zero.
    """
    if not synapse[WEIGHTED] and count <= synapse[MOST]:
        for e in range(count):
            add_patch(plane, patches, table, synapse, events[e])
        collect(a, plane, table, synapse, size)
    else:
        for e in range(count):
            value = values[e] if synapse[WEIGHTED] else int32(1)
            add_weighted_patch(wide, patches, table, synapse, events[e], value)
        collect(a, wide, table, synapse, size)


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
