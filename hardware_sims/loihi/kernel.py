"""The fast kernel: what ``definition.py`` defines, event by event, compiled by numba.

Neurons stand in blocks of ``LANES``, zero-padded, and every step on them is done for a block at a time. Only
spikes cost: the rows of weights of the neurons that spiked are added up. A slot runs its whole decision
before the next one begins, so that its state stays in the first-level cache.

Weights are stored in one of three forms, which ``layout`` chooses and explains: ``DENSE`` rows, ``SHARED``
patches of a convolution, and ``LISTED`` ones where nearly all are 0.

Why 32-bit registers suffice for every program:

- a weight is kept as w = 2·h + l with h = w >> 1 in −128..127 and l = w & 1, both one byte. Rows of h are
  added in 16 bits, which ``ROWS`` of them cannot overflow, and then into 32 bits;
- the definition wraps sums, 64·a and u's sum to 32 bits, as two's complement does by itself. ``layout``
  refuses senders whose spikes' plain sum could leave 32 bits (it takes more than 8 million of them);
- |u| < 2³¹ with a factor m ≤ 4095, and |v| < 2²³ with m ≤ 4096, so that both products of
      |x|·m >> 12 = (|x| >> 12)·m + ((|x| & 4095)·m >> 12)
  stay below 2³¹; and so does v·m + u less a threshold, because after its wrap u is at least 2²⁴ away
  from ±2³¹.

The first half of this file gives numba what it lacks: vectors as values. A loop written with them is vector
instructions for certain, and carries none of the checks for overlapping arrays that numba's own
vectorised loops spend more time on than on the work. It stands in this file because numba's cache on
disk knows a compiled function by the file it is in, and by nothing else.
"""

# numba and llvmlite carry no types, and what is compiled here is typed by numba itself.
# mypy: ignore-errors

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.datamodel import models, registry
from numba.extending import intrinsic, overload
from numpy import int16, int32, uint8

LANES = 32
"""Neurons of a block."""

ROWS = 255
"""Rows that are added in 16 bits: 255 · 128 < 2¹⁵."""

# Columns of the population table.
KIND, COLUMN, SIZE, FIRST, BLOCKS, START, STOP, SYNAPSES_FROM, SYNAPSES_TO, DETAIL = range(10)
SOURCE, GATE, LIF, OWING, LEVELS, TERNARY, GRADED, PRODUCT = range(8)  # from LEVELS on, messages are graded
# Details of an OWING population, whose reset is not plain, and of a GRADED one; a PRODUCT's is its shift.
SUBTRACTS, LATE = 1, 2
RECTIFIES = 1
# Columns of the synapse table; those from PLACES on are for what is not DENSE.
PRE, PRE_COLUMN, DELAY, EXPONENT, HALVES, ODDS, BLANK_FROM, BLANK_TO, FORM, WEIGHTED, PORT = range(11)
PLACES, PATCHES, GATHER, SPAN, STRIDE, WIDTH, PLANE, MOST = range(11, 19)
DENSE, SHARED, LISTED = range(3)
# The parameters.
FACTOR_U, FACTOR_V, THRESHOLD, LOW = range(4)
# Entries of the schedule.
TICKS, TOTAL, READ_COLUMN, READ_SIZE, READ_FROM, READ_TO, READ_MEMBRANE = range(7)

LIMIT = 2**23


class Vector(types.Type):
    """``LANES`` integers of that many bits each, kept in registers, however wide the machine's are.

    Operators act lane by lane, as two's complement: + − * & | ^, << and >> (arithmetic), > and !=. Their
    right operand may be a number.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(f"Vector({bits})")
        self.bits = bits
        self.llvm = ir.VectorType(ir.IntType(bits), LANES)


MASK, BYTES, SHORTS, INTS = (Vector(bits) for bits in (1, 8, 16, 32))


class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.llvm)


registry.register_default(Vector)(_Model)


def _address(context: Any, builder: Any, array: Any, value: Any, row: Any, vector: Vector) -> Any:
    data = context.make_array(array)(context, builder, value).data
    step = 1 if array.ndim == 1 else LANES
    start = builder.gep(data, [builder.mul(row, ir.Constant(row.type, step))])
    return builder.bitcast(start, vector.llvm.as_pointer())


@intrinsic
def load(typing: Any, array: Any, row: Any) -> Any:
    """Row ``row`` of a C-ordered integer array [rows, LANES], or a flat one from ``row`` on; unchecked."""
    vector = Vector(array.dtype.bitwidth)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_address(context, builder, array, *values, vector), align=vector.bits // 8)

    return vector(array, types.int64), generate


@intrinsic
def store(typing: Any, array: Any, row: Any, vector: Any) -> Any:
    """Row ``row`` of such an array ← ``vector``; unchecked."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _address(context, builder, array, *values[:2], vector)
        builder.store(values[2], place, align=vector.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


@intrinsic
def every(typing: Any, number: Any) -> Any:
    """A 32-bit vector of one number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        nothing = ir.Constant(INTS.llvm, ir.Undefined)
        first = builder.insert_element(nothing, values[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(INTS.llvm, None))

    return INTS(types.int32), generate


def _widening(vector: Vector, instruction: str) -> Any:
    @intrinsic
    def widen(typing: Any, x: Any) -> Any:
        return vector(x), lambda context, builder, signature, values: getattr(builder, instruction)(
            values[0], vector.llvm
        )

    return widen


shorts = _widening(SHORTS, "sext")  # bytes, with their sign, in 16 bits
ints = _widening(INTS, "sext")  # shorts, with their sign, in 32 bits
flags = _widening(BYTES, "zext")  # a mask as bytes of 0 or 1


@intrinsic
def select(typing: Any, mask: Any, x: Any, y: Any) -> Any:
    """x where the mask is set, else y."""
    return x(mask, x, x), lambda context, builder, signature, values: builder.select(*values)


@intrinsic
def population(typing: Any, mask: Any) -> Any:
    """How many lanes of a mask are set."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(builder.bitcast(values[0], ir.IntType(LANES)))

    return types.Integer.from_bitwidth(LANES)(mask), generate


def _define(symbol: Callable[..., Any], build: Callable[..., Any], answers_mask: bool = False) -> None:
    """Give vectors an operator; ``build`` makes its LLVM instruction."""

    @intrinsic
    def instruction(typing: Any, x: Any, y: Any) -> Any:
        return (MASK if answers_mask else x)(x, x), lambda context, builder, signature, values: build(
            builder, *values
        )

    @overload(symbol)
    def operate(x, y):  # numba compares these names with the lambdas'
        if isinstance(x, Vector) and isinstance(y, Vector):
            return lambda x, y: instruction(x, y)
        if x == INTS and isinstance(y, types.Integer):
            return lambda x, y: instruction(x, every(y))
        return None


for _symbol, _name in {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.and_: "and_",
    operator.or_: "or_",
    operator.xor: "xor",
    operator.lshift: "shl",
    operator.rshift: "ashr",
}.items():
    _define(_symbol, getattr(ir.IRBuilder, _name))
_define(operator.gt, lambda builder, x, y: builder.icmp_signed(">", x, y), answers_mask=True)
_define(operator.ne, lambda builder, x, y: builder.icmp_signed("!=", x, y), answers_mask=True)


def compiled(function: Callable[..., Any], inline: str = "never") -> Any:
    """``function`` compiled, from numba's cache on disk where there is a folder for one.

    Functions that take or answer vectors must be inlined ("always"): handed over in many registers, part
    of a vector arrives wrong (seen with LLVM 22 and 64 lanes).
    """
    try:
        dispatcher = numba.njit(cache=True, nogil=True, inline=inline)(function)
    except RuntimeError:  # numba: "no locator available", where neither folder it would use is writable
        return numba.njit(nogil=True, inline=inline)(function)
    save = dispatcher._cache.save_overload

    def save_if_possible(*compilation):
        with contextlib.suppress(OSError):  # a full disk costs the cache, not the run
            save(*compilation)

    dispatcher._cache.save_overload = save_if_possible
    return dispatcher


def _summed(rows, base, blocks, block, events, count):
    """Sum of the rows that belong to the neurons in ``events``, as a 32-bit vector."""
    whole = every(0)
    for begin in range(0, count, ROWS):
        part = shorts(load(rows, base + events[begin] * blocks + block))
        for e in range(begin + 1, min(begin + ROWS, count)):
            part = part + shorts(load(rows, base + events[e] * blocks + block))
        whole = whole + ints(part)
    return whole


summed = compiled(_summed, "always")


def _receive(a, rows, synapse, blocks, events, count):
    """a [blocks, LANES] += (Σ of the weights of the ``count`` neurons in ``events``) · 2^exponent."""
    left, right = max(synapse[EXPONENT], 0), max(-synapse[EXPONENT], 0)
    for b in range(blocks):
        whole = summed(rows, synapse[HALVES], blocks, b, events, count)
        if synapse[ODDS] >= 0:
            whole = whole + whole + summed(rows, synapse[ODDS], blocks, b, events, count)
        store(a, b, load(a, b) + ((whole << left) >> right))


receive = compiled(_receive)


def _receive_weighted(a, rows, synapse, blocks, events, values, count):
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


receive_weighted = compiled(_receive_weighted)


def _receive_shared(a, patches, table, synapse, size, plane, wide, events, values, count):
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


receive_shared = compiled(_receive_shared)


def _receive_listed(a, listed, table, synapse, size, wide, events, values, count):
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


receive_listed = compiled(_receive_listed)


def _receive_any(a, weights, synapse, size, scratch, events, values, count):
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


receive_any = compiled(_receive_any)


def _decay(x, factor):
    """x · factor / 4096, towards zero."""
    sign = x >> 31
    size = (x ^ sign) - sign
    scaled = (size >> 12) * factor + (((size & 4095) * factor) >> 12)
    return (scaled ^ sign) - sign


decay = compiled(_decay, "always")


def _current(u, a, factor):
    """u after a tick with input a."""
    current = decay(u, factor) + (a << 6)
    wrapped = select(current > LIMIT, current - 2 * LIMIT, current + 2 * LIMIT)
    return select((current > -LIMIT) ^ (current > LIMIT), current, wrapped)


current_of = compiled(_current, "always")


def _clip(v):
    """v within 24 bits."""
    v = select(v > LIMIT - 1, every(LIMIT - 1), v)
    return select(v > 1 - LIMIT, v, every(1 - LIMIT))


clip = compiled(_clip, "always")


def _update(u, v, a, parameters, fired, first, blocks):
    """One tick of the neurons of ``blocks`` blocks; clears a; answers how many neurons were active."""
    active = 0
    for b in range(blocks):
        n = first + b
        current, potential, received = load(u, n), load(v, n), load(a, b)
        active += population((current | potential | received) != 0)
        current = current_of(current, received, load(parameters[FACTOR_U], n))
        potential = clip(decay(potential, load(parameters[FACTOR_V], n)) + current)
        spike = potential > load(parameters[THRESHOLD], n)
        store(u, n, current)
        store(v, n, select(spike, every(0), potential))
        store(fired, b, flags(spike))
        store(a, b, every(0))
    return active


update = compiled(_update)


def _update_owing(u, v, a, parameters, fired, first, blocks, detail):
    """The same where the reset subtracts the threshold, or comes a tick late."""
    active = 0
    for b in range(blocks):
        n = first + b
        current, potential, received = load(u, n), load(v, n), load(a, b)
        threshold = load(parameters[THRESHOLD], n)
        active += population((current | potential | received) != 0)
        owed = select(potential > threshold, threshold, every(0))
        current = current_of(current, received, load(parameters[FACTOR_U], n))
        after = decay(potential, load(parameters[FACTOR_V], n)) + current
        if detail & SUBTRACTS:
            after = clip(after - owed)
            spike = after > threshold
            if not detail & LATE:
                after = clip(after + owed - select(spike, threshold, every(0)))
        else:
            after = select(potential > threshold, every(0), clip(after))
            spike = after > threshold
        store(u, n, current)
        store(v, n, after)
        store(fired, b, flags(spike))
        store(a, b, every(0))
    return active


update_owing = compiled(_update_owing)


def _update_ternary(u, v, a, parameters, sent, first, blocks):
    """The same for neurons that send 1 or −1."""
    active = 0
    for b in range(blocks):
        n = first + b
        current, potential, received = load(u, n), load(v, n), load(a, b)
        active += population((current | potential | received) != 0)
        current = current_of(current, received, load(parameters[FACTOR_U], n))
        potential = clip(decay(potential, load(parameters[FACTOR_V], n)) + current)
        message = select(load(parameters[LOW], n) > potential, every(-1), every(0))
        message = message + select(potential > load(parameters[THRESHOLD], n), every(1), every(0))
        store(u, n, current)
        store(v, n, select(message != every(0), every(0), potential))
        store(sent, b, message)
        store(a, b, every(0))
    return active


update_ternary = compiled(_update_ternary)


def _pass_on(a, factors, parameters, sent, first, blocks, kind, detail):
    """One tick of graded neurons, and of products with ``factors`` as the second one; clears both."""
    active = 0
    for b in range(blocks):
        received, threshold = load(a, b), load(parameters[THRESHOLD], first + b)
        if kind == PRODUCT:
            factor = load(factors, b)
            active += population((received | factor) != 0)
            received = (received * factor) >> detail
            store(factors, b, every(0))
        else:
            active += population(received != 0)
        message = select(received > threshold, received, every(0))
        if kind == PRODUCT or not detail & RECTIFIES:
            message = select((every(0) - received) > threshold, received, message)
        store(sent, b, message)
        store(a, b, every(0))
    return active


pass_on = compiled(_pass_on)


def _update_any(u, v, a, parameters, fired, sent, population):
    """``update`` for any kind; those with graded messages put them in ``sent``."""
    kind, detail = population[KIND], population[DETAIL]
    first, blocks = population[FIRST], population[BLOCKS]
    if kind == LIF:
        return update(u, v, a[0], parameters, fired, first, blocks)
    if kind == OWING:
        return update_owing(u, v, a[0], parameters, fired, first, blocks, detail)
    if kind == TERNARY:
        return update_ternary(u, v, a[0], parameters, sent, first, blocks)
    return pass_on(a[0], a[1], parameters, sent, first, blocks, kind, detail)


update_any = compiled(_update_any)


def _take(levels, slot, tick, population, sent):
    """What graded sources send: the levels of this tick, nothing after the last."""
    for j in range(population[SIZE]):
        level = levels[tick, slot, population[START] + j] if tick < levels.shape[0] else 0
        sent[j // LANES, j % LANES] = level


take = compiled(_take)


def _note(spikes, line, events):
    """Copy spikes into a line of the raster, and the indices of those that spiked; answers how many."""
    count = 0
    for j in range(line.shape[0]):
        spike = spikes[j]
        line[j] = spike
        events[count] = j
        count += spike
    return count


note = compiled(_note)


def _note_levels(messages, line, events, values):
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


note_levels = compiled(_note_levels)


def _valid(spikes):
    """Whether every input is 0 or 1."""
    seen = uint8(0)
    for spike in spikes.flat:
        seen |= spike
    return seen <= 1


valid = compiled(_valid)


def _tally(raster, slot, readout, schedule, spike_counts):
    """Add a decision's raster to the counts of spikes, and to its read-out where that counts them."""
    for tick in range(raster.shape[1]):
        if raster.itemsize == 1:  # spikes
            for j in range(raster.shape[2]):
                spike_counts[slot, j] += raster[slot, tick, j]
        else:
            for j in range(raster.shape[2]):
                spike_counts[slot, j] += raster[slot, tick, j] != 0
    if schedule[READ_MEMBRANE] < 0:
        for tick in range(schedule[READ_FROM], schedule[READ_TO]):
            for j in range(schedule[READ_SIZE]):
                readout[slot, j] += raster[slot, tick, schedule[READ_COLUMN] + j]


tally = compiled(_tally)


def _run(
    low,
    high,
    clock,
    schedule,
    populations,
    synapses,
    rows,
    patches,
    listed,
    table,
    parameters,
    u,
    v,
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
    a third of their speed.
    """
    most = populations[:, BLOCKS].max()
    a = np.zeros((most, LANES), int32)
    fired = np.zeros((most, LANES), uint8)
    if values is not None:
        factors, sent = np.zeros((most, LANES), int32), np.zeros((most, LANES), int32)
        room = max(most * LANES, synapses[:, PLANE].max() + LANES) if len(synapses) else 1
        plane, wide = np.zeros(room, int16), np.zeros(room, int32)
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
                                weights, scratch = (rows, patches, listed, table), (plane, wide)
                                to = a, factors
                                receive_any(to, weights, synapses[s], size, scratch, spiked, came, arriving)
                    if tick == populations[p, START] and (values is None or kind != LEVELS):
                        u[slot, first : first + blocks] = 0
                        v[slot, first : first + blocks] = 0
                    if values is None:
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
                    readout[slot, j] = v[slot, schedule[READ_MEMBRANE] + j // LANES, j % LANES]
        tally(raster, slot, readout, schedule, spike_counts)


run = compiled(_run)
