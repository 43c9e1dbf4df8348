"""The scale of a population: chip units per unit of the float network.

S is the largest power-of-two multiple of "the largest weight is the largest integer" for which the threshold
fits, no current can wrap and the synaptic sum stays inside what the silicon adds. Where the weights are whole
multiples of something, the largest of them is given that integer with which none is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from strl.errors import ChipError
from strl.ir.neurons import LIF
from strl.ir.nodes import Float
from strl.ir.semantics import Semantics
from strl.quantize.bundles import Bundle
from strl.quantize.grid import Grid, decay_u, decay_v, slack

U_MAX = 2**17 - 1
"""Bound of |u| in units of a weight: u is 24 bits wide and its input is shifted left by 6."""

ROOM = 16
"""Thresholds that a potential has room for in an open loop. Over hundreds of ticks the worst that could add
up is far from what does, and the finer scale is worth more: on the grid, with beta 0.99, 0 instead of 1 % of
spikes differ (20 networks 6-16-16-4, 200 ticks)."""

SAMPLE = 1000
"""Weights of each bundle that are asked first whether they are whole."""


def scale_of(name: str, lif: LIF, bundles: Sequence[Bundle], grid: Grid, semantics: Semantics) -> float:
    """S of a population.

    It must keep the threshold, the exponents and every current in range. It also keeps the synaptic sum
    and the potential in theirs for *every* input, unless that would round what the sums add up to; in an
    open loop the potential as far as ``ROOM`` goes.

    Raises:
        ChipError: a potential that is read and can leave 24 bits, or a grain finer than the chip's range.
    """
    must, should = _limits(name, lif, bundles, grid, semantics)
    if lif.grain:
        scale = 1 / (64 * lif.grain)
        if scale > min(must):
            raise ChipError(
                f"{name}: what its synapses may add up to leaves a register by {scale / min(must):.2f}, "
                f"at this grain of {lif.grain:g}",
                hint="take smaller weights (or fewer: width, gain), or neurons of a smaller scale",
            )
        return scale
    found = [_largest(base, must, should) for base in _bases(bundles, grid)]
    whole = (s for s in found if not lif.silent and _whole(lif.threshold * s))
    return next(whole, found[0])


def most_sent(lif: LIF, bundles: Sequence[Bundle], semantics: Semantics) -> float:
    """The most spikes of a neuron in a tick, where it can send several: what a tick adds to less than one."""
    kept = (4095 - np.maximum(decay_u(lif.alpha), 0)) / 4096
    nothing = np.zeros(lif.size)
    total = sum((b.total for b in bundles if not b.once), nothing)
    once = sum((b.total for b in bundles if b.once), nothing)
    return float(np.floor(1 + ((_sustained(total, kept, semantics) + once) / lif.threshold).max()))


def _largest(base: float, must: Sequence[float], should: Sequence[float]) -> float:
    hard, soft = (np.floor(np.log2(min(limits) / base)) for limits in (must, [*must, *should]))
    return float(base * 2.0 ** (soft if soft >= 0 else min(hard, 0)))


def _limits(
    name: str, lif: LIF, bundles: Sequence[Bundle], grid: Grid, semantics: Semantics
) -> tuple[list[float], list[float]]:
    """Scales that must not, and that should not, be exceeded."""
    du, dv = np.maximum(decay_u(lif.alpha), 0), decay_v(lif.beta)
    nothing = np.zeros(lif.size)
    total = sum((b.total for b in bundles if not b.once), nothing)
    once = sum((b.total for b in bundles if b.once), nothing)
    worst_u = _sustained(total, (4095 - du) / 4096, semantics)
    worst_v = _sustained(worst_u, (4096 - dv) / 4096, semantics) + once * 4096 / (du + 1)
    worst_u = worst_u + once
    threshold = 0.0 if lif.silent else float(lif.threshold.max())
    if lif.reset == "subtract" and not lif.silent:  # which can take v a threshold below what sums make
        worst_v = worst_v + lif.threshold
    if semantics.open_loop and not lif.silent and lif.reset != "none":
        worst_v = np.minimum(worst_v, np.maximum(ROOM * lif.threshold, worst_u))
    must = [
        _ratio(U_MAX, worst_u),
        _ratio(grid.threshold_max, threshold),
        _ratio(grid.weight_max * 2.0 ** grid.exponents[1], _heaviest(bundles)),
    ]
    spikes = not any(b.message_bits for b in bundles)  # levels need a chip whose sums are wider
    should = [_ratio(grid.sum_max if spikes else U_MAX, total + once), _ratio(U_MAX, worst_v)]
    if lif.silent:  # what is read must be the sum itself, so nothing may be clipped
        if not np.isfinite(worst_v).all():
            raise ChipError(
                f"{name}: its membrane is read and never decays nor resets, so it can leave 24 bits",
                hint="use a beta below 1, or state='reset'",
            )
        must.append(_ratio(U_MAX - 1, worst_v))
    return must, should


def _heaviest(bundles: Sequence[Bundle]) -> float:
    return max((float(np.abs(b.values).max()) for b in bundles), default=0.0) or 1.0


def _bases(bundles: Sequence[Bundle], grid: Grid) -> list[float]:
    """Scales at which the heaviest weight is an integer of the chip and none is rounded; else the largest.

    A power of two is asked first: then numbers that are exact in binary stay so.
    """
    heaviest, most = _heaviest(bundles), grid.weight_max // grid.step
    samples = [np.abs(b.values).ravel()[:SAMPLE] for b in bundles]
    integers = [1 << (most.bit_length() - 1), *range(most, 0, -1)]
    found = []
    for integer in integers:
        base = integer * grid.step / heaviest
        if all(_fits(values * base, grid) for values in samples):
            found.append(base)
    exact = [base for base in found if all(_fits(np.abs(b.values) * base, grid) for b in bundles)]
    return exact or [most * grid.step / heaviest]


def _fits(values: Float, grid: Grid) -> bool:
    """True where these magnitudes are weights of the chip under the exponent they would get."""
    return _whole(values / (2.0 ** grid.exponent(float(values.max(initial=0.0))) * grid.step))


def _whole(values: Float) -> bool:
    return bool((np.abs(values - np.round(values)) <= slack(values)).all())


def _ratio(limit: float, values: Float | float) -> float:
    """The scale at which the greatest of values reaches the limit; an infinite one sets no scale."""
    greatest = float(np.max(values))
    return limit / greatest if 0 < greatest < np.inf else float("inf")


def _sustained(amount: Float, retention: Float, semantics: Semantics) -> Float:
    """What an amount that arrives in every tick adds up to: amount · Σ retention^k while the state lives."""
    ticks = semantics.ticks if semantics.state == "reset" else np.inf
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.where(retention >= 1, ticks, (1 - retention**ticks) / (1 - retention))
        return np.where(amount > 0, amount * sums, 0.0)  # nothing stays nothing, for ever as well
