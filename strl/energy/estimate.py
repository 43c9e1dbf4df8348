"""ActivityCounts × a chip's energy profile → joules, part by part, with a band.

    E_core   = synops · e_synop + updates · e_access + active · e_update + spikes · e_spike
    E_noc    = messages · (e_message + e_tile) + hops_ew · e_ew + hops_ns · e_ns
    E_static = P_static · chips · t_wall                      t_wall = max(t_chip, control period)
    E_host   = P_host · chips · t_wall + resets · e_reset · chips
    t_tick   = max over cores (updates · t_neuron + synops · t_synop + spikes · t_spike
               + out · t_out + in · t_in) + t_sync(tiles)

Sources: the profile's figures carry their own; the form is SANA-FE's (Boyle et al. 2025). t_tick is taken
from each core's *mean* load, which is a lower bound of the mean of the slowest core. Host traffic, encoder
and decoder are not modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from strl.chip.program import Program
from strl.chip.spec import Figures
from strl.energy.activity import ActivityCounts
from strl.errors import UsageError
from strl.registry import suggest

NOT_MODELLED = ("host traffic", "encoder", "decoder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with the band it lies in, low ≤ value ≤ high."""

    value: float
    low: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        return Interval(value=self.value + other.value, low=self.low + other.low, high=self.high + other.high)

    def __mul__(self, factor: float) -> Interval:
        return Interval(value=self.value * factor, low=self.low * factor, high=self.high * factor)


ZERO = Interval(value=0.0, low=0.0, high=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyReport:
    """Joules per decision and what they rest on.

    Args:
        profile: name of the energy profile.
        parts: joules of one decision by part: synapses, neurons, spikes, messages, hops, static, host,
            resets.
        totals: the four running totals: core, + noc, + static, + host.
        tick: seconds of one tick.
        decision: seconds of one decision on the chip.
        wall: seconds that static and host power are charged for one decision.
        missing: events that happened and have no figure in the profile, see ``at_least``.
        unknown: parts that lack a figure; the totals hold what is known of them, in JSON they are null.
        sources: the origin of every figure used.
    """

    profile: str
    parts: Mapping[str, Interval]
    totals: Mapping[str, Interval]
    tick: Interval
    decision: Interval
    wall: Interval
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    sources: Mapping[str, str]

    @property
    def at_least(self) -> tuple[str, ...]:
        """The totals, and ``time``, that lack the figure of something that happened: lower bounds."""
        timeless = any(name.endswith("_time") for name in self.missing)
        lacking = {"static", "host"} if timeless else set()
        lacking |= {total for total, parts in _TOTALS.items() if set(parts) & set(self.unknown)}
        names = tuple(_TOTALS)
        first = min((names.index(name) for name in lacking), default=len(names))
        return names[first:] + (("time",) if timeless else ())

    def to_dict(self) -> dict[str, object]:
        """For JSON; joules and seconds."""
        names = ("core", "noc", "static", "host")
        running = [ZERO.value, *(self.totals[n].value for n in names)]
        return {
            "profile": self.profile,
            "per_decision_j": {n: b - a for n, a, b in zip(names, running, running[1:], strict=False)},
            "running_total_j": {n: _plain(self.totals[n]) for n in names},
            "band_j": [self.totals["host"].low, self.totals["host"].high],
            "parts_j": {n: None if n in self.unknown else _plain(i) for n, i in self.parts.items()},
            "tick_s": _plain(self.tick),
            "decision_s": _plain(self.decision),
            "charged_s": _plain(self.wall),
            "lower_bound": bool(self.missing),
            "at_least": list(self.at_least),
            "missing": list(self.missing),
            "not_modelled": list(NOT_MODELLED),
            "sources": dict(self.sources),
        }


def profiles(program: Program) -> tuple[str, ...]:
    """Names of the energy profiles of the program's chip, those with figures for the most events first.

    The order is the chip's alone: it does not depend on what a policy did.
    """
    energy = program.chip.energy
    return tuple(sorted(energy, key=lambda name: (len(set(_EVENTS) - set(energy[name])), name)))


def estimate(
    program: Program,
    activity: ActivityCounts,
    profile: str,
    *,
    control_period: float | None = None,
) -> EnergyReport:
    """Energy of one decision, the mean over those in ``activity``.

    Args:
        profile: one of ``profiles(program)``.
        control_period: seconds between decisions; ``None`` lets the chip run freely.

    Raises:
        UsageError: no such profile, or no decision was made.
    """
    if profile not in program.chip.energy:
        raise UsageError(
            f"{program.chip.name} has no energy profile {profile!r}",
            hint=suggest(profile, program.chip.energy),
        )
    if not activity.decisions:
        raise UsageError("energy: no decision was made")
    book = _Book(program.chip.energy[profile])
    tick = _tick(book, program, activity)
    seconds = tick * (activity.ticks / activity.decisions)
    wall = seconds if control_period is None else _at_least(seconds, control_period)
    joules = {**_core(book, activity), **_network(book, activity), **_standing(book, activity, wall)}
    parts = {part: whole * (1 / activity.decisions) for part, whole in joules.items()}
    missing = _missing(program.chip.energy[profile], activity)
    return EnergyReport(
        profile=profile,
        parts=parts,
        totals=_running(parts),
        tick=tick,
        decision=seconds,
        wall=wall,
        missing=missing,
        unknown=_unknown(missing),
        sources=book.sources,
    )


def _running(parts: Mapping[str, Interval]) -> dict[str, Interval]:
    totals, running = {}, ZERO
    for name, group in _TOTALS.items():
        for part in group:
            running = running + parts[part]
        totals[name] = running
    return totals


class _Book:
    """A profile's figures as intervals; remembers which were used. No figure reads as zero: see missing."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self.sources: dict[str, str] = {}

    def __getitem__(self, name: str) -> Interval:
        figure = self._figures.get(name)
        if figure is None:
            return ZERO
        self.sources[name] = f"{figure.source} ({figure.status})"
        return Interval(value=figure.value, low=figure.low, high=figure.high)

    def named(self, prefix: str) -> list[str]:
        return [name for name in self._figures if name.startswith(prefix)]


def _core(book: _Book, activity: ActivityCounts) -> dict[str, Interval]:
    updates = int(activity.updates.sum())
    update = book["neuron_update"]
    if activity.active is None:
        active = Interval(value=update.value * updates, low=0.0, high=update.high * updates)
    else:
        active = update * activity.active
    return {
        "synapses": book["synop_dense"] * int(activity.synops_dense.sum())
        + book["synop_sparse"] * int(activity.synops_sparse.sum()),
        "neurons": book["neuron_access"] * updates + active,
        "spikes": book["spike"] * int(activity.spikes.sum()),
    }


def _network(book: _Book, activity: ActivityCounts) -> dict[str, Interval]:
    sent = int(activity.messages_out.sum())
    return {
        "messages": (book["message"] + book["tile_crossing"]) * sent if sent else ZERO,
        "hops": book["hop_ew"] * activity.hops_ew + book["hop_ns"] * activity.hops_ns,
    }


def _standing(book: _Book, activity: ActivityCounts, wall: Interval) -> dict[str, Interval]:
    """What a chip takes for being there, ``wall`` seconds a decision."""
    return {
        "static": _product(book["static_power"], wall) * activity.decisions,
        "host": _product(book["host_power"], wall) * activity.decisions,
        "resets": book["reset"] * activity.resets,
    }


def _tick(book: _Book, program: Program, activity: ActivityCounts) -> Interval:
    loads = (
        ("neuron_time", activity.updates),
        ("synop_time", activity.synops_dense + activity.synops_sparse),
        ("spike_time", activity.spikes),
        ("message_out_time", activity.messages_out),
        ("message_in_time", activity.messages_in),
    )
    figures = [(book[name], load / max(activity.ticks, 1)) for name, load in loads]

    def slowest(edge: str) -> float:
        return float(np.max(sum(getattr(i, edge) * load for i, load in figures)))

    busy = Interval(value=slowest("value"), low=slowest("low"), high=slowest("high"))
    per_tile = program.chip.limit("cores_per_tile")
    return busy + _sync(book, len({part.core // per_tile for part in program.placement}))


def _sync(book: _Book, tiles: int) -> Interval:
    """Barrier time for that many tiles, linear between the published points."""
    known = {int(name.removeprefix("sync_time_")): book[name] for name in book.named("sync_time_")}
    if not known:
        return ZERO
    at = sorted(known)

    def between(edge: str) -> float:
        return float(np.interp(tiles, at, [getattr(known[t], edge) for t in at]))

    return Interval(value=between("value"), low=between("low"), high=between("high"))


def _product(a: Interval, b: Interval) -> Interval:
    return Interval(value=a.value * b.value, low=a.low * b.low, high=a.high * b.high)


def _at_least(seconds: Interval, floor: float) -> Interval:
    return Interval(
        value=max(seconds.value, floor), low=max(seconds.low, floor), high=max(seconds.high, floor)
    )


_EVENTS: Mapping[str, Callable[[ActivityCounts], bool]] = {
    "synop_dense": lambda a: bool(a.synops_dense.any()),
    "synop_sparse": lambda a: bool(a.synops_sparse.any()),
    "neuron_access": lambda a: bool(a.updates.any()),
    "neuron_time": lambda a: bool(a.updates.any()),  # without it a tick has no length, static power no energy
    "synop_time": lambda a: a.synaptic_ops > 0,
    "spike": lambda a: bool(a.spikes.any()),
    "spike_time": lambda a: bool(a.spikes.any()),
    "message": lambda a: bool(a.messages_out.any()),
    "message_out_time": lambda a: bool(a.messages_out.any()),
    "message_in_time": lambda a: bool(a.messages_in.any()),
    "hop_ew": lambda a: a.hops_ew > 0,
    "hop_ns": lambda a: a.hops_ns > 0,
    "static_power": lambda a: True,
    "host_power": lambda a: True,
    "reset": lambda a: a.resets > 0,
}
"""The figures of a profile, and when each is needed."""


def _missing(figures: Figures, activity: ActivityCounts) -> tuple[str, ...]:
    return tuple(name for name, needed in _EVENTS.items() if name not in figures and needed(activity))


_RESTS_ON = {
    "synapses": ("synop_dense", "synop_sparse"),
    "neurons": ("neuron_access", "neuron_update"),
    "spikes": ("spike",),
    "messages": ("message", "tile_crossing"),
    "hops": ("hop_ew", "hop_ns"),
    "static": ("static_power",),
    "host": ("host_power",),
    "resets": ("reset",),
}
"""The figures of each part."""

_TOTALS = {
    "core": ("synapses", "neurons", "spikes"),
    "noc": ("messages", "hops"),
    "static": ("static",),
    "host": ("host", "resets"),
}
"""The parts that each running total adds."""


def _unknown(missing: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for part, names in _RESTS_ON.items() if any(n in missing for n in names))


def _plain(interval: Interval) -> list[float]:
    """[value, low, high]."""
    return [interval.value, interval.low, interval.high]
