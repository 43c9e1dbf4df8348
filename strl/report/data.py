"""What a report shows, as plain values; read from the JSON that runs and comparisons leave behind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from strl.errors import UsageError
from strl.loop.trace import Trace

Band = tuple[float, float, float]
"""(value, low, high)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Joules of one decision under one profile; see ``strl.energy.EnergyReport``.

    Args:
        parts: by part (synapses, neurons, …).
        totals: running totals: core, + noc, + static, + host.
        missing: events that happened and have no figure.
        at_least: the totals, and ``time``, that are lower bounds for want of one.
        sources: origin of every figure used.
    """

    profile: str
    parts: Mapping[str, Band]
    totals: Mapping[str, Band]
    decision_s: Band
    missing: tuple[str, ...]
    at_least: tuple[str, ...]
    not_modelled: tuple[str, ...]
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One policy on one backend, over the episodes ``seeds``; see ``strl.loop.results.Evaluation``.

    ``rates`` are spikes per neuron and tick by population, the drain left out, ``digests`` those of the
    episodes.
    ``trace`` is one episode, where it was kept.
    """

    subject: str
    backend: str
    chip: str | None
    environment: str
    seeds: tuple[int, ...]
    returns: tuple[float, ...]
    mean: float
    iqm: float
    ci95: tuple[float, float] | None
    decisions: int
    ticks_per_decision: int
    driven_ticks: int
    wall_s: float
    rates: Mapping[str, float]
    activity: Mapping[str, int | None]
    energy: tuple[Energy, ...]
    digest: str
    digests: tuple[str, ...]
    trace: Trace | None = None

    @property
    def is_float(self) -> bool:
        return self.chip is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """How one population's spikes differ.

    Args:
        share: of the places where either spiked; ``None`` where neither ever did.
        first: (seed, decision, tick) of the first place.
    """

    share: float | None
    first: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a comparison of the first run with the second found; ``mean`` is of the paired returns, b − a."""

    action_agreement: float | None
    mean: float
    ci95: tuple[float, float] | None
    equivalent: bool | None
    populations: Mapping[str, Divergence]


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A core in use: by resource, (used, limit)."""

    index: int
    populations: tuple[str, ...]
    use: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One policy: its runs (float first), how they differ, what the chip holds."""

    title: str
    runs: tuple[Run, ...]
    difference: Difference | None = None
    cores: tuple[Core, ...] = ()


def run_of(data: object, where: str, trace: Trace | None = None) -> Run:
    """The run that ``strl run --json`` printed, or ``result.json`` holds.

    Raises:
        UsageError: it is not one; says ``where`` and which field.
    """
    with _Fields(where):
        d: Any = data
        ci95 = d["return"]["ci95"]
        return Run(
            subject=str(d.get("subject") or d["env"]),
            backend=str(d["backend"]),
            chip=None if d.get("chip") is None else str(d["chip"]),
            environment=str(d["env"]),
            seeds=tuple(int(e["seed"]) for e in d["episodes"]),
            returns=tuple(_number(e["return"]) for e in d["episodes"]),
            mean=_number(d["return"]["mean"]),
            iqm=_number(d["return"]["iqm"]),
            ci95=None if ci95 is None else (_number(ci95[0]), _number(ci95[1])),
            decisions=int(d["decisions"]),
            ticks_per_decision=int(d["ticks_per_decision"]),
            driven_ticks=int(d.get("driven_ticks", d["ticks_per_decision"])),  # what older rates count
            wall_s=_number(d["wall_s"]),
            rates={str(n): _number(r) for n, r in (d.get("rates") or {}).items()},
            activity={str(n): None if c is None else int(c) for n, c in (d.get("activity") or {}).items()},
            energy=tuple(_energy(e) for e in (d.get("energy_profiles") or {}).values()),
            digest=str(d["digest"]),
            digests=tuple(str(e["digest"]) for e in d["episodes"]),
            trace=trace,
        )


def difference_of(data: object, where: str) -> Difference:
    """The difference that ``strl compare --json`` printed; raises as ``run_of``."""
    with _Fields(where):
        d: Any = data
        agreement, paired = d.get("action_agreement"), d["return_difference"]
        ci95 = paired.get("ci95")
        return Difference(
            action_agreement=None if agreement is None else _number(agreement),
            mean=_number(paired["mean"]),
            ci95=None if ci95 is None else (_number(ci95[0]), _number(ci95[1])),
            equivalent=None if d.get("equivalent") is None else bool(d["equivalent"]),
            populations={str(n): _divergence(p) for n, p in (d.get("populations") or {}).items()},
        )


def _divergence(data: Any) -> Divergence:
    first = data.get("first")
    share = data["share"]
    return Divergence(
        share=None if share is None else _number(share),
        first=None if first is None else (int(first["seed"]), int(first["decision"]), int(first["tick"])),
    )


def _energy(data: Any) -> Energy:
    return Energy(
        profile=str(data["profile"]),
        parts={str(n): _band(b) for n, b in data["parts_j"].items() if b is not None},
        totals={str(n): _band(b) for n, b in data["running_total_j"].items()},
        decision_s=_band(data["decision_s"]),
        missing=tuple(str(m) for m in data["missing"]),
        at_least=_lower_bounds(data),
        not_modelled=tuple(str(m) for m in data["not_modelled"]),
        sources={str(n): str(s) for n, s in data["sources"].items()},
    )


def _lower_bounds(data: Any) -> tuple[str, ...]:
    """What is marked so; everything, in older files that lack a figure."""
    every = [*data["running_total_j"], "time"] if data["missing"] else []
    return tuple(str(name) for name in data.get("at_least", every))


def _band(data: Any) -> Band:
    value, low, high = data
    return _number(value), _number(low), _number(high)


def _number(value: Any) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"{value!r:.40} is not a finite number")
    return found


class _Fields:
    """Turns what goes wrong while fields are read into one clear error."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError):
            raise UsageError(f"{self.where}: field {error} is missing") from error
        if isinstance(error, TypeError | ValueError | AttributeError | IndexError | OverflowError):
            raise UsageError(f"{self.where}: not a run or comparison: {error}") from error
