"""A second agent in the shadow of the one that plays: it sees the same, and where it differs is noted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from strl.chip.program import Messages
from strl.codecs.base import Action, Float
from strl.loop.agent import Agent, episode_rng


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


@dataclass(slots=True, kw_only=True)
class Tally:
    """How one population differs in one episode; ``first`` is (decision, tick) of its first difference."""

    spikes_a: int = 0
    spikes_b: int = 0
    differing: int = 0
    first: tuple[int, int] | None = None


@dataclass(slots=True, kw_only=True)
class Seen:
    """One episode in the shadow.

    Args:
        seed: of the episode.
        populations: those that both agents have, by name.
        decisions: so far; ``agreed`` of them with the same action.
        distance: sum over them of how far apart the actions lie, see ``Comparison.action_distance``.
    """

    seed: int
    populations: dict[str, Tally]
    decisions: int = 0
    agreed: int = 0
    distance: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Seen:
        """The inverse of ``to_dict``."""
        tallies = {
            name: Tally(**{**tally, "first": tally["first"] and tuple(tally["first"])})
            for name, tally in found["populations"].items()
        }
        return cls(**{**found, "populations": tallies})


def differences(seen: Iterable[Seen]) -> dict[str, PopulationDifference]:
    """How populations differ over episodes, of which there is at least one."""
    episodes = sorted(seen, key=lambda e: e.seed)
    found = {}
    for name in episodes[0].populations:
        tallies = [e.populations[name] for e in episodes]
        begins = ((e.seed, t.first) for e, t in zip(episodes, tallies, strict=True) if t.first)
        first = next((Moment(seed=s, decision=d, tick=t) for s, (d, t) in begins), None)
        found[name] = PopulationDifference(
            spikes_a=sum(t.spikes_a for t in tallies),
            spikes_b=sum(t.spikes_b for t in tallies),
            differing=sum(t.differing for t in tallies),
            first=first,
        )
    return found


class Shadow:
    """A watcher that shows every observation to a second agent.

    Attributes:
        seen: the episodes that have begun. Nothing in one depends on what was played beside it.
    """

    def __init__(self, leader: Agent, follower: Agent) -> None:
        self._follower = follower
        self._aligned = _aligned(leader, follower)
        self._at: dict[int, Seen] = {}
        self.seen: list[Seen] = []
        spec = follower.semantics.environment
        self._span = np.subtract(spec.action_high, spec.action_low)

    def begun(self, slots: Sequence[int], seeds: Sequence[int]) -> None:
        for slot, seed in zip(slots, seeds, strict=True):
            self._at[slot] = Seen(seed=seed, populations={name: Tally() for name in self._aligned})
            self.seen.append(self._at[slot])
        self._follower.reset(slots, [episode_rng(seed) for seed in seeds])

    def decided(self, agent: Agent, observations: Float, actions: Action, live: Sequence[int]) -> None:
        index = np.array(live)
        episodes = [self._at[slot] for slot in live]
        shadowed = self._follower.act(observations)
        equal = np.equal(shadowed[index], actions[index]).reshape(len(live), -1)
        if self._span.size:
            apart = np.abs(np.subtract(shadowed[index], actions[index], dtype=np.float64))
            far = (apart.reshape(len(live), -1) / self._span).mean(axis=1)
            for episode, distance in zip(episodes, far.tolist(), strict=True):
                episode.distance += distance
        for name, (columns, rows) in self._aligned.items():
            mine = agent.raster[index][:, rows[0], columns[0]]
            theirs = self._follower.raster[index][:, rows[1], columns[1]]
            _count([e.populations[name] for e in episodes], mine, theirs, [e.decisions for e in episodes])
        for episode, agreed in zip(episodes, equal.all(axis=1).tolist(), strict=True):
            episode.agreed += agreed
            episode.decisions += 1


def _count(tallies: list[Tally], a: Messages, b: Messages, decisions: list[int]) -> None:
    """Add a decision of each episode: rasters [episodes, ticks, neurons]."""
    unlike = a != b
    sums = ((a != 0).sum(axis=(1, 2)), (b != 0).sum(axis=(1, 2)), unlike.sum(axis=(1, 2)))
    for row, (spikes_a, spikes_b, differing) in enumerate(np.stack(sums, axis=1).tolist()):
        tally = tallies[row]
        tally.spikes_a += spikes_a
        tally.spikes_b += spikes_b
        tally.differing += differing
        if differing and tally.first is None:
            tally.first = decisions[row], int(unlike[row].any(axis=1).argmax())


def _aligned(a: Agent, b: Agent) -> dict[str, tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Columns of the neurons that both have under one name, and rows of each raster that are the same ticks.

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
        found[name] = columns, rows
    return found
