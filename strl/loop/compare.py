"""Compare: the same seeds for two entrants, each on its own, then one in the shadow of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from strl.chip.program import Messages
from strl.codecs.base import Action, Float
from strl.errors import UsageError
from strl.loop.agent import Agent, episode_rng
from strl.loop.environment import environment
from strl.loop.evaluate import FLOAT, Entrant, Progress, Subject, evaluate
from strl.loop.journal import write_json
from strl.loop.results import Evaluation
from strl.loop.runner import play
from strl.loop.statistics import interval, mean_rows
from strl.loop.trace import FILE

DEFAULT_TOLERANCE = 0.05
"""What ``equivalent`` means where no tolerance is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A decision of an episode, and a logical tick in it."""

    seed: int
    decision: int
    tick: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationDifference:
    """How the spikes of one population differ where B sees what A saw.

    Args:
        spikes_a, spikes_b: how many each had in the ticks that both have.
        differing: (neuron, tick) places where one spiked and the other did not.
        first: the first of them in the episode of the lowest seed that has one; ``None`` where none differs.
    """

    spikes_a: int
    spikes_b: int
    differing: int
    first: Moment | None

    @property
    def share(self) -> float:
        """Differing places ÷ places where either spiked; 0 where neither ever did."""
        either = (self.spikes_a + self.spikes_b + self.differing) // 2
        return self.differing / either if either else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        first = self.first
        return {
            "first_tick": None if first is None else first.tick,
            "first": None
            if first is None
            else {"seed": first.seed, "decision": first.decision, "tick": first.tick},
            "share": self.share,
            "differing": self.differing,
            "spikes_a": self.spikes_a,
            "spikes_b": self.spikes_b,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two evaluations over the same seeds, and what B does where A drives.

    Args:
        a, b: each on its own.
        action_agreement: share of decisions in which B, shown A's observations, takes A's action exactly.
        action_distance: for a Box of actions, how far apart theirs lie on average, as a share of the bounds;
            ``None`` for discrete ones.
        decisions: how many that is a share of.
        populations: those that both have, by name.
        tolerance: fraction of A's range, see ``scale``.
    """

    a: Evaluation
    b: Evaluation
    action_agreement: float
    action_distance: float | None
    decisions: int
    populations: Mapping[str, PopulationDifference]
    tolerance: float

    @property
    def differences(self) -> Float:
        """Return of B − return of A, seed by seed."""
        return self.b.returns - self.a.returns

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Bootstrap interval of the mean paired difference."""
        return interval(self.differences, statistic=mean_rows)

    @property
    def scale(self) -> float:
        """A's range: its best return − its worst over the seeds, but at least the size of its IQM.

        The floor keeps a policy that always gets the same return (500 on CartPole) comparable.
        """
        returns = self.a.returns
        return max(float(returns.max() - returns.min()), abs(self.a.iqm))

    @property
    def iqm_difference(self) -> float:
        """IQM of B − IQM of A."""
        return self.b.iqm - self.a.iqm

    @property
    def equivalent(self) -> bool:
        """|IQM of B − IQM of A| ≤ tolerance · scale."""
        return abs(self.iqm_difference) <= self.tolerance * self.scale

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        ci95 = self.ci95
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "return_difference": {
                "mean": float(self.differences.mean()),
                "ci95": None if ci95 is None else list(ci95),
                "iqm": self.iqm_difference,
            },
            "action_agreement": self.action_agreement,
            "action_distance": self.action_distance,
            "shadowed_decisions": self.decisions,
            "populations": {name: found.to_dict() for name, found in self.populations.items()},
            "tolerance": {
                "fraction": self.tolerance,
                "scale": self.scale,
                "limit": self.tolerance * self.scale,
            },
            "equivalent": self.equivalent,
        }


def compare(
    a: Subject,
    b: Subject | None = None,
    *,
    backend_a: str = FLOAT,
    backend_b: str = "loihi",
    weight_bits: int | None = None,
    strict: bool = False,
    env: str | None = None,
    episodes: int = 10,
    seed: int = 0,
    batch: int | None = None,
    jobs: int = 1,
    tolerance: float | None = None,
    output: Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run both with the same seeds, then let A drive and B see the same observations.

    Args:
        a, b: subjects; without ``b`` it is ``a`` again, on the other backend.
        weight_bits: of the weights on a chip; what each was tuned for, else the chip's own.
        strict: raise ChipError where a chip would behave differently than its arithmetic ``lava`` says.
        jobs: processes that play the episodes of each on its own; A with B in its shadow plays in this one.
        output: directory for both runs (``a``, ``b``, each resumable, with the trace of the first episode)
            and ``compare.json``.
        tolerance: see ``Comparison.equivalent``; 0.05 where it is not given.
        progress: called with every finished episode: A's, B's, then A's with B in its shadow.

    Raises:
        UsageError: a negative tolerance, or ``output`` holds other runs.
        EnvironmentFault: the environment's spaces are not those of both.
        StrlError: as ``evaluate``.
    """
    limit = DEFAULT_TOLERANCE if tolerance is None else tolerance
    if not 0 <= limit < float("inf"):
        raise UsageError(f"tolerance = {limit}, must be a fraction of at least 0")
    other = a if b is None else b
    world = environment(a.semantics, env)
    environment(other.semantics, world)
    first = Entrant.of(a, backend_a, weight_bits, strict=strict)
    second = Entrant.of(other, backend_b, weight_bits, strict=strict)
    runs = [
        evaluate(
            entrant,
            env=world,
            episodes=episodes,
            seed=seed,
            batch=batch,
            jobs=jobs,
            output=None if output is None else output / side,
            trace=None if output is None else _new(output / side / FILE),
            progress=progress,
        )
        for side, entrant in (("a", first), ("b", second))
    ]
    slots = min(first.slots(episodes, batch), second.slots(episodes, batch))
    with closing(first.agent(slots)) as leader, closing(second.agent(slots)) as follower:
        shadow = Shadow(leader, follower)
        for episode in play(leader, world, range(seed, seed + episodes), watcher=shadow):
            if progress is not None:
                progress(episode)
    continuous = bool(second.semantics.environment.action_low)
    found = Comparison(
        a=runs[0],
        b=runs[1],
        action_agreement=shadow.agreed / shadow.decisions,
        action_distance=shadow.distance / shadow.decisions if continuous else None,
        decisions=shadow.decisions,
        populations=shadow.differences(),
        tolerance=limit,
    )
    if output is not None:
        write_json(output / "compare.json", found.to_dict())
    return found


def _new(path: Path) -> Path | None:
    """The path, unless something is there."""
    return None if path.exists() else path


@dataclass(slots=True, kw_only=True)
class _Tally:
    """The running counts of one population."""

    columns: tuple[slice, slice]
    rows: tuple[slice, slice]
    spikes: list[int] = field(default_factory=lambda: [0, 0])
    differing: int = 0
    first: dict[int, Moment] = field(default_factory=dict)


class Shadow:
    """A watcher that shows every observation to a second agent and notes where it differs."""

    def __init__(self, leader: Agent, follower: Agent) -> None:
        self._follower = follower
        self._tallies = _aligned(leader, follower)
        self._seeds = [0] * leader.batch
        self._steps = [0] * leader.batch
        self.decisions = 0
        self.agreed = 0
        self.distance = 0.0
        spec = follower.semantics.environment
        self._span = np.subtract(spec.action_high, spec.action_low)

    def begun(self, slots: Sequence[int], seeds: Sequence[int]) -> None:
        for slot, seed in zip(slots, seeds, strict=True):
            self._seeds[slot] = seed
            self._steps[slot] = 0
        self._follower.reset(slots, [episode_rng(seed) for seed in seeds])

    def decided(self, agent: Agent, observations: Float, actions: Action, live: Sequence[int]) -> None:
        index = np.array(live)
        shadowed = self._follower.act(observations)
        same = np.reshape(shadowed[index] == actions[index], (len(live), -1)).all(axis=1)
        self.agreed += int(same.sum())
        self.decisions += len(live)
        if self._span.size:
            apart = np.abs(np.subtract(shadowed[index], actions[index], dtype=np.float64))
            self.distance += float((apart.reshape(len(live), -1) / self._span).mean(axis=1).sum())
        for tally in self._tallies.values():
            self._count(tally, agent.raster[index], self._follower.raster[index], live)
        for slot in live:
            self._steps[slot] += 1

    def differences(self) -> dict[str, PopulationDifference]:
        """What was counted so far."""
        return {
            name: PopulationDifference(
                spikes_a=tally.spikes[0],
                spikes_b=tally.spikes[1],
                differing=tally.differing,
                first=tally.first[min(tally.first)] if tally.first else None,
            )
            for name, tally in self._tallies.items()
        }

    def _count(self, tally: _Tally, a: Messages, b: Messages, live: Sequence[int]) -> None:
        mine = a[:, tally.rows[0], tally.columns[0]]
        theirs = b[:, tally.rows[1], tally.columns[1]]
        tally.spikes[0] += int(mine.sum())
        tally.spikes[1] += int(theirs.sum())
        unlike = mine != theirs
        count = int(unlike.sum())
        if not count:
            return
        tally.differing += count
        for row in np.flatnonzero(unlike.any(axis=(1, 2))).tolist():
            slot = live[row]
            seed = self._seeds[slot]
            if seed not in tally.first:
                tick = int(unlike[row].any(axis=1).argmax())
                tally.first[seed] = Moment(seed=seed, decision=self._steps[slot], tick=tick)


def _aligned(a: Agent, b: Agent) -> dict[str, _Tally]:
    """The neurons that both have under one name, and the rows of each raster that are the same ticks.

    A population's logical tick k is its raster's tick k + offset; ticks that only one has are left out.
    """
    found = {}
    for name in a.computing:
        if name not in b.computing:
            continue
        columns = a.populations[name], b.populations[name]
        sizes = {c.stop - c.start for c in columns}
        if len(sizes) != 1:
            continue
        starts = a.offsets[name], b.offsets[name]
        ticks = min(a.ticks - starts[0], b.ticks - starts[1])
        rows = slice(starts[0], starts[0] + ticks), slice(starts[1], starts[1] + ticks)
        found[name] = _Tally(columns=columns, rows=rows)
    return found
