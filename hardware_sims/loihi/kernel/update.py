"""What neurons make of a tick's input, a block at a time; equal to the functions of ``definition``."""

# mypy: ignore-errors

from __future__ import annotations

from hardware_sims.loihi.kernel.columns import (
    BLOCKS,
    DETAIL,
    FACTOR_U,
    FACTOR_V,
    FIRST,
    KIND,
    LATE,
    LIF,
    LOW,
    MULTIPLE,
    ONCE,
    OWING,
    PRODUCT,
    RECTIFIES,
    STAYS,
    SUBTRACTS,
    TAKEN,
    TERNARY,
    THRESHOLD,
)
from hardware_sims.loihi.kernel.compiled import compiled, inlined
from hardware_sims.loihi.kernel.vectors import every, flags, load, population, select, store

LIMIT = 2**23


@inlined
def decay(x, factor):
    """x · factor / 4096, towards zero."""
    sign = x >> 31
    size = (x ^ sign) - sign
    scaled = (size >> 12) * factor + (((size & 4095) * factor) >> 12)
    return (scaled ^ sign) - sign


@inlined
def wrap(current):
    """A current wrapped once into 24 bits."""
    wrapped = select(current > LIMIT, current - 2 * LIMIT, current + 2 * LIMIT)
    return select((current > -LIMIT) ^ (current > LIMIT), current, wrapped)


@inlined
def clip(v):
    """v within 24 bits."""
    v = select(v > LIMIT - 1, every(LIMIT - 1), v)
    return select(v > 1 - LIMIT, v, every(1 - LIMIT))


@inlined
def active(u, v, a, n, b):
    """How many neurons of a block have a state or receive something."""
    return population((load(u, n) | load(v, n) | load(a, b)) != 0)


@inlined
def current_of(u, a, parameters, n, b):
    """The current of block n after a tick with input a."""
    return wrap(decay(load(u, n), load(parameters[FACTOR_U], n)) + (load(a, b) << 6))


@inlined
def decayed(v, parameters, n):
    """The potential of block n before the current is added."""
    return decay(load(v, n), load(parameters[FACTOR_V], n))


@inlined
def keep(u, v, a, current, potential, n, b):
    """Store the state of block n, and clear its input."""
    store(u, n, current)
    store(v, n, potential)
    store(a, b, every(0))


@compiled
def update(u, v, a, parameters, fired, first, blocks):
    """One tick of the neurons of ``blocks`` blocks; clears a; answers how many neurons were active."""
    count = 0
    for b in range(blocks):
        n = first + b
        count += active(u, v, a, n, b)
        current = current_of(u, a, parameters, n, b)
        potential = clip(decayed(v, parameters, n) + current)
        spike = potential > load(parameters[THRESHOLD], n)
        keep(u, v, a, current, select(spike, every(0), potential), n, b)
        store(fired, b, flags(spike))
    return count


@compiled
def update_owing(u, v, a, parameters, fired, first, blocks, detail):
    """The same where the reset subtracts the threshold, comes a tick late, or never."""
    count = 0
    for b in range(blocks):
        n = first + b
        count += active(u, v, a, n, b)
        threshold, taken = load(parameters[THRESHOLD], n), load(parameters[TAKEN], n)
        owes = load(v, n) > threshold
        current = current_of(u, a, parameters, n, b)
        potential = decayed(v, parameters, n) + current
        if detail & SUBTRACTS:
            owed = select(owes, taken, every(0))
            potential = clip(potential - owed)
            spike = potential > threshold
            if not detail & LATE:
                potential = clip(potential + owed - select(spike, taken, every(0)))
        elif detail & (ONCE | STAYS):
            potential = clip(potential)
            spike = potential > threshold
            if detail & ONCE:
                potential = clip(potential - select(spike, taken, every(0)))
        else:
            potential = select(owes, every(0), clip(potential))
            spike = potential > threshold
        keep(u, v, a, current, potential, n, b)
        store(fired, b, flags(spike))
    return count


@compiled
def update_ternary(u, v, a, parameters, sent, first, blocks):
    """The same for neurons that send 1 or −1."""
    count = 0
    for b in range(blocks):
        n = first + b
        count += active(u, v, a, n, b)
        current = current_of(u, a, parameters, n, b)
        potential = clip(decayed(v, parameters, n) + current)
        message = select(load(parameters[LOW], n) > potential, every(-1), every(0))
        message = message + select(potential > load(parameters[THRESHOLD], n), every(1), every(0))
        keep(u, v, a, current, select(message != every(0), every(0), potential), n, b)
        store(sent, b, message)
    return count


@compiled
def update_multiple(u, v, a, parameters, sent, first, blocks, detail):
    """The same for neurons that send how many thresholds fit into their potential."""
    count = 0
    for b in range(blocks):
        n = first + b
        count += active(u, v, a, n, b)
        threshold = load(parameters[TAKEN], n)
        current = current_of(u, a, parameters, n, b)
        potential = clip(decayed(v, parameters, n) + current)
        fires = potential > load(parameters[THRESHOLD], n)
        # Lanes without a neuron have a threshold of 0.
        whole = potential // select(threshold > 0, threshold, every(1))
        message = select(fires, whole, every(0))
        left = potential - message * threshold if detail & ONCE else select(fires, every(0), potential)
        keep(u, v, a, current, left, n, b)
        store(sent, b, message)
    return count


@compiled
def pass_on(a, factors, parameters, sent, first, blocks, kind, detail):
    """One tick of graded neurons, and of products with ``factors`` as the second one; clears both."""
    count = 0
    for b in range(blocks):
        received, threshold = load(a, b), load(parameters[THRESHOLD], first + b)
        if kind == PRODUCT:
            factor = load(factors, b)
            count += population((received | factor) != 0)
            received = (received * factor) >> detail
            store(factors, b, every(0))
        else:
            count += population(received != 0)
        message = select(received > threshold, received, every(0))
        if kind == PRODUCT or not detail & RECTIFIES:
            message = select((every(0) - received) > threshold, received, message)
        store(sent, b, message)
        store(a, b, every(0))
    return count


@compiled
def update_any(u, v, a, parameters, fired, sent, population):
    """``update`` for any kind; those with graded messages put them in ``sent``."""
    kind, detail = population[KIND], population[DETAIL]
    first, blocks = population[FIRST], population[BLOCKS]
    if kind == LIF:
        return update(u, v, a[0], parameters, fired, first, blocks)
    if kind == OWING:
        return update_owing(u, v, a[0], parameters, fired, first, blocks, detail)
    if kind == MULTIPLE:
        return update_multiple(u, v, a[0], parameters, sent, first, blocks, detail)
    if kind == TERNARY:
        return update_ternary(u, v, a[0], parameters, sent, first, blocks)
    return pass_on(a[0], a[1], parameters, sent, first, blocks, kind, detail)
