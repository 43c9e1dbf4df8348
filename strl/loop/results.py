"""What a closed-loop run leaves behind: one EpisodeResult an episode, one Evaluation of them all."""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.content import Content
from strl.energy import ActivityCounts, EnergyReport
from strl.loop.statistics import interval, iqm

Int = NDArray[np.int64]

COUNT_MAX = 2**48
"""Most that a count of an episode can be; the sums of many still fit into 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EpisodeResult(Content):
    """One finished episode.

    Args:
        seed: of the environment's reset and the encoder.
        return_: undiscounted sum of rewards.
        length: decisions.
        digest: SHA-256 over the decisions: the raster's bytes (uint8 [ticks, neurons]), the action's.
        ticks: chip ticks (float network: its own).
        spikes: [neurons] spikes of each neuron.
        active: [populations] active neuron updates, ``None`` where the backend cannot know.
        wall_s: seconds since the run's previous episode ended, so that they add up to the run's.
    """

    seed: int
    return_: float
    length: int
    digest: str
    ticks: int
    spikes: Int
    active: Int | None
    wall_s: float

    def to_dict(self) -> dict[str, Any]:
        """All of it, for the journal."""
        return {
            **self.summary(),
            "ticks": self.ticks,
            "wall_s": self.wall_s,
            "spikes": self.spikes.tolist(),
            "active": None if self.active is None else self.active.tolist(),
        }

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> EpisodeResult:
        """The inverse of ``to_dict``; raises ValueError, which names the field, for anything else."""
        for name in ("seed", "return", "length", "digest", "ticks", "wall_s", "spikes", "active"):
            if name not in line:
                raise ValueError(f"{name} is missing")
        digest, active = line["digest"], line["active"]
        if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"digest = {digest!r:.40}, must be 64 hexadecimal digits")
        return cls(
            seed=_whole("seed", line["seed"], 0, math.inf),
            return_=_finite("return", line["return"]),
            length=_whole("length", line["length"], 1),
            digest=digest,
            ticks=_whole("ticks", line["ticks"], 1),
            spikes=_counts("spikes", line["spikes"]),
            active=None if active is None else _counts("active", active),
            wall_s=_finite("wall_s", line["wall_s"], 0.0),
        )

    def summary(self) -> dict[str, Any]:
        """What the command line prints of it."""
        return {"seed": self.seed, "return": self.return_, "length": self.length, "digest": self.digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The episodes of one agent in one environment, in seed order.

    Args:
        subject: name of the policy or bundle.
        backend: what ran it; ``float`` for the network itself.
        chip: name of the chip, ``None`` for ``float``.
        environment: Gymnasium id.
        seed: of the first episode; episode i has seed + i.
        batch: slots side by side in a process; it has no influence on results.
        ticks_per_decision: chip ticks, those that drain the pipeline among them.
        driven_ticks: of a decision, those without the drain: T, or T + rest where state is carried.
        timed: the episodes' ``wall_s`` add up; not where a run directory holds more, played beside these.
        episodes: in seed order.
        populations: name → columns of the episodes' spikes.
        computing: the populations that are neurons, not sources or gates.
        activity: ``None`` where no chip ran.
        energy: by profile; empty where no chip ran.
        jobs: processes that played the episodes; nor have they.
    """

    subject: str
    backend: str
    chip: str | None
    environment: str
    seed: int
    batch: int
    ticks_per_decision: int
    driven_ticks: int
    timed: bool
    episodes: tuple[EpisodeResult, ...]
    populations: Mapping[str, slice]
    computing: tuple[str, ...]
    activity: ActivityCounts | None
    energy: Mapping[str, EnergyReport]
    jobs: int = 1

    @property
    def returns(self) -> NDArray[np.float64]:
        return np.array([e.return_ for e in self.episodes])

    @property
    def iqm(self) -> float:
        """Interquartile mean of the returns."""
        return iqm(self.returns)

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Bootstrap interval of the interquartile mean; ``None`` for a single episode."""
        return interval(self.returns)

    @property
    def decisions(self) -> int:
        return sum(e.length for e in self.episodes)

    @property
    def ticks(self) -> int:
        return sum(e.ticks for e in self.episodes)

    @property
    def wall_s(self) -> float:
        return sum(e.wall_s for e in self.episodes)

    @property
    def decisions_per_s(self) -> float | None:
        """``None`` where it is not known."""
        return self.decisions / self.wall_s if self.timed and self.wall_s > 0 else None

    @property
    def digest(self) -> str:
        """SHA-256 over the episodes' digests in seed order."""
        return hashlib.sha256("".join(e.digest for e in self.episodes).encode("ascii")).hexdigest()

    @property
    def rates(self) -> dict[str, float]:
        """Spikes per neuron and tick of each population, without the drain: so float and chip compare."""
        spikes: Int = reduce(add, (e.spikes for e in self.episodes))
        ticks = self.decisions * self.driven_ticks
        return {name: float(spikes[at].mean()) / ticks for name, at in self.populations.items()}

    def to_dict(self) -> dict[str, Any]:
        """For JSON. What is not known is null, never 0."""
        returns = self.returns
        return {
            "subject": self.subject,
            "backend": self.backend,
            "chip": self.chip,
            "env": self.environment,
            "seed": self.seed,
            "batch": self.batch,
            "jobs": self.jobs,
            "episodes": [e.summary() for e in self.episodes],
            "return": {
                "mean": float(returns.mean()),
                "std": float(returns.std()),
                "iqm": self.iqm,
                "ci95": None if self.ci95 is None else list(self.ci95),
            },
            "decisions": self.decisions,
            "ticks": self.ticks,
            "ticks_per_decision": self.ticks_per_decision,
            "driven_ticks": self.driven_ticks,
            "wall_s": self.wall_s,
            "decisions_per_s": self.decisions_per_s,
            "activity": None if self.activity is None else self.activity.to_dict(),
            "energy": next((e.to_dict() for e in self.energy.values()), None),
            "energy_profiles": {name: e.to_dict() for name, e in self.energy.items()},
            "rates": self.rates,
            "digest": self.digest,
        }


def _whole(name: str, value: object, low: int, high: float = COUNT_MAX) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} = {value!r:.40}, must be a whole number of {low} to {high:g}")
    return value


def _finite(name: str, value: object, low: float = -math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} = {value!r:.40}, must be a number")
    if not max(low, -sys.float_info.max) <= value <= sys.float_info.max:
        raise ValueError(
            f"{name} = {value!r:.40}, must be finite" + (f" and at least {low:g}" if low == 0 else "")
        )
    return float(value)


def _counts(name: str, values: object) -> Int:
    if not isinstance(values, list):
        raise ValueError(f"{name} = {values!r:.40}, must be a list of whole numbers")
    return np.array([_whole(f"{name}[{k}]", value, 0) for k, value in enumerate(values)], np.int64)
