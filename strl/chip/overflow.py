"""What no input can make the sums of a program exceed: proved neuron by neuron, without running anything.

On Loihi 1 the synaptic sum of a tick has 16 bits, exponents act on each weight and u has 24 bits; arithmetic
``lava`` knows only the last, and wraps it a little differently (docs/chip.md has the sources). Where
``risks`` finds nothing, both arithmetics give the same u, v, spikes and read-out for every input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.chip.arithmetic import Arithmetic
from strl.chip.program import Program
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Lif, Ternary, binary, most_spikes

SUM_MIN, SUM_MAX = -(2**15), 2**15 - 1
"""Least and greatest synaptic sum of a tick on Loihi 1, in units of a weight: 21 bits and sign after << 6."""

CURRENT_MAX = 2**23 - 1
"""Greatest magnitude of u that neither arithmetic wraps."""

LISTED = 100
"""Neurons that a record lists, the furthest beyond their limit first."""

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bound:
    """The furthest that the neurons of a population can get, in any input; all [n].

    Args:
        high, low: greatest and least synaptic sum of a tick, in units of a weight.
        rounding: the most that exponents take off a sum by acting on each weight; zeros in ``lava``.
        current: greatest |u|; zeros where the kind has none.
        potential: greatest |v| before it is read, as long as nothing spikes; zeros where the kind has none.
    """

    high: Float
    low: Float
    rounding: Float
    current: Float
    potential: Float

    @property
    def total(self) -> Float:
        """Greatest magnitude of the sum."""
        return np.maximum(self.high, -self.low)

    def beyond(self) -> dict[str, tuple[Float, Float]]:
        """By quantity, how far each neuron can get and by how much that is too far."""
        over = np.maximum(self.high - SUM_MAX, SUM_MIN - self.low)
        return {
            "sum": (self.total, np.maximum(over, 0)),
            "current": (self.current, np.maximum(self.current - CURRENT_MAX, 0)),
            "rounding": (self.rounding, self.rounding),
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON: per quantity the worst neuron's bound, the limit, which can exceed it and by how much."""
        limits = {"sum": SUM_MAX, "current": CURRENT_MAX, "rounding": 0}
        return {what: _record(*found, limits[what]) for what, found in self.beyond().items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Neurons of a population that can behave differently on the chip.

    Args:
        population: its name.
        what: ``sum``, ``current``, ``rounding`` or ``membrane``, see ``Bound`` and ``risks``.
        neurons: how many.
        neuron: the one that can get furthest.
        reach, limit: how far that is, and how far it may.
    """

    population: str
    what: str
    neurons: int
    neuron: int
    reach: float
    limit: float

    def __str__(self) -> str:
        many = f"{self.neurons} neurons" if self.neurons > 1 else "a neuron"
        return (
            f"{self.population}: "
            + {
                "sum": f"the synaptic sum of {many} can leave 16 bits; that of number {self.neuron} reaches "
                f"±{self.reach:.0f} of {self.limit:.0f}",
                "current": f"u of {many} can leave 24 bits; that of number {self.neuron} reaches "
                f"±{self.reach:.0f} of {self.limit:.0f}",
                "rounding": f"exponents below 0 act on each weight, which takes up to {self.reach:.0f} "
                f"more off the sum of number {self.neuron}",
                "membrane": f"its membrane is read, and number {self.neuron} can spike, after which a probe "
                "does not read v",
            }[self.what]
        )


def risks(program: Program) -> tuple[Risk, ...]:
    """Where a program can behave differently on the chip than in ``lava``; empty proves that it never does.

    For a program in ``loihi1``, where its sums can wrap. None for a chip of which no arithmetic but Lava's is
    published.
    """
    return tuple(_risks(program)) if "loihi1" in program.chip.arithmetics else ()


def _risks(program: Program) -> Iterator[Risk]:
    found = on_chip(program)
    for name, bound in found.items():
        limits = {"sum": SUM_MAX, "current": CURRENT_MAX, "rounding": 0}
        for what, (reach, over) in bound.beyond().items():
            if over.any() and not (what == "rounding" and program.arithmetic == "loihi1"):
                yield _risk(name, what, reach, over, limits[what])
    read = program.population(program.readout.population)
    if program.readout.kind != "count" and read.name in found and isinstance(read.kind, Lif):
        reach, threshold = found[read.name].potential, read.kind.vth * 64.0
        if (over := np.maximum(reach - threshold, 0)).any():
            yield _risk(read.name, "membrane", reach, over, float(threshold[np.argmax(over)]))


def _risk(population: str, what: str, reach: Float, over: Float, limit: float) -> Risk:
    worst = int(np.argmax(over))
    return Risk(
        population=population,
        what=what,
        neurons=int((over > 0).sum()),
        neuron=worst,
        reach=float(reach[worst]),
        limit=limit,
    )


def on_chip(program: Program) -> dict[str, Bound]:
    """Bounds of what the program's chip computes, as far as it is published."""
    return bounds(program, "loihi1" if "loihi1" in program.chip.arithmetics else None)


def bounds(program: Program, arithmetic: Arithmetic | None = None) -> dict[str, Bound]:
    """Bounds of every population that computes, by name, in the program's own arithmetic or another.

    Each sender is taken to send whatever drives the sum furthest, in every tick that the state lives; so a
    bound within its limit is a proof, while one beyond it need never be reached.
    """
    by_weight = (program.arithmetic if arithmetic is None else arithmetic) == "loihi1"
    found: dict[str, Bound] = {}
    for population in program.populations:
        arriving = [s for s in program.synapses if s.post == population.name]
        if not arriving:
            continue
        high, low, rounding = (np.zeros(population.size) for _ in range(3))
        for port in {s.port for s in arriving}:
            ways = [_reach(s, program.population(s.pre), by_weight) for s in arriving if s.port == port]
            up, down, lost = (np.sum(way, axis=0) for way in zip(*ways, strict=True))
            high, low, rounding = np.maximum(high, up), np.minimum(low, -down), np.maximum(rounding, lost)
        worst = np.maximum(high, -low)
        current, potential = _state(64 * worst, population, program)
        found[population.name] = Bound(
            high=high,
            low=low,
            rounding=rounding,
            current=current,
            potential=potential,
        )
    return found


def _reach(synapse: Synapse, pre: Population, by_weight: bool) -> tuple[Float, Float, Float]:
    """How far a synapse can push each neuron up and down in a tick, and what rounding costs: [post]."""
    weight = synapse.weight.weight if isinstance(synapse.weight, Kernel) else synapse.weight
    exact = weight * 2.0**synapse.weight_exp
    acting = np.floor(exact) if by_weight else exact
    up, down = (_summed(synapse, np.maximum(w, 0.0)) for w in (acting, -acting))
    if synapse.message_bits and not binary(pre.kind):
        if isinstance(pre.kind, Lif):
            up, down = (way * most_spikes(pre.kind) for way in (up, down))
        else:
            largest = 1.0 if isinstance(pre.kind, Ternary) else 2.0**31
            up = down = (up + down) * largest  # messages of either sign
    # Shifted right, sums round towards −∞.
    return np.floor(up), np.ceil(down), np.floor(_summed(synapse, exact - acting))


def _summed(synapse: Synapse, values: Float) -> Float:
    """The sum of values, one a weight, over all senders of each neuron."""
    shared = synapse.weight
    if not isinstance(shared, Kernel):
        return np.asarray(values.sum(axis=1))
    inside = []
    for axis in (0, 1):
        place = np.arange(shared.shape[1 + axis])[:, None] * shared.stride[axis] - shared.padding[axis]
        sender = place + np.arange(shared.weight.shape[2 + axis]) * shared.dilation[axis]
        inside.append((sender >= 0) & (sender < shared.image[1 + axis]))
    total: Float = np.einsum("oij,yi,xj->oyx", values.sum(axis=1), *inside)
    return total.ravel()


def _state(amount: Float, population: Population, program: Program) -> tuple[Float, Float]:
    """Greatest |u| and |v| where that amount can arrive in every tick."""
    kind = population.kind
    if not isinstance(kind, Lif | Ternary):
        return np.zeros(population.size), np.zeros(population.size)
    lives, read = np.inf, np.inf
    if program.schedule.state == "reset":
        lives = read = program.schedule.total
        if program.readout.population == population.name:
            read = _age(population, program)
    current = _sustained(amount, (4095 - kind.du) / 4096, lives)
    return current, _sustained(current, (4096 - kind.dv) / 4096, read)


def _age(population: Population, program: Program) -> int:
    """For how many ticks the oldest potential has lived that is read."""
    total = program.schedule.total
    # What is read before the population's reset has lived since that of the decision before.
    return max(((tick - population.offset) % total + 1 for tick in program.readout.probed), default=total)


def _sustained(amount: Float, kept: Float, ticks: float) -> Float:
    """What an amount that arrives in each of so many ticks adds up to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(kept >= 1, ticks, (1 - kept**ticks) / (1 - kept))
        return np.where(amount > 0, amount * times, 0.0)


def _record(reach: Float, over: Float, limit: int) -> dict[str, Any]:
    """The worst neuron is that furthest beyond its limit, else the one that gets furthest."""
    worst = int(np.argmax(over if over.any() else reach))
    furthest = np.argsort(-over, kind="stable")[:LISTED]
    return {
        "worst": float(reach[worst]),
        "neuron": worst,
        "limit": limit,
        "can_exceed": int((over > 0).sum()),
        "beyond": {str(n): float(over[n]) for n in furthest.tolist() if over[n] > 0},
    }
