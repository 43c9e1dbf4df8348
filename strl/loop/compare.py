"""Compare: the same seeds for two entrants, each on its own, then one in the shadow of the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from strl.codecs.base import Float
from strl.errors import UsageError
from strl.loop.environment import Environment, environment
from strl.loop.evaluate import FLOAT, Entrant, Progress, Subject, evaluate
from strl.loop.jobs import play_apart
from strl.loop.journal import write_json
from strl.loop.results import EpisodeResult, Evaluation
from strl.loop.runner import play
from strl.loop.shadow import PopulationDifference, Seen, Shadow, differences
from strl.loop.statistics import interval, mean_rows
from strl.loop.trace import FILE

DEFAULT_TOLERANCE = 0.05
"""What ``equivalent`` means where no tolerance is asked for."""


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
        jobs: processes that play the episodes, see ``strl.loop.jobs``; no result depends on it.
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
    played = partial(
        evaluate, env=world, episodes=episodes, seed=seed, batch=batch, jobs=jobs, progress=progress
    )
    runs = [_kept(played, first, output, "a"), _kept(played, second, output, "b")]
    each = math.ceil(episodes / jobs)
    slots = min(first.slots(each, batch), second.slots(each, batch))
    seen: list[Seen] = []
    with closing(
        _shadowed(first, second, world, range(seed, seed + episodes), slots, jobs, seen)
    ) as shadowed:
        for episode in shadowed:
            if progress is not None:
                progress(episode)
    continuous = bool(second.semantics.environment.action_low)
    found = _comparison(runs, sorted(seen, key=lambda e: e.seed), continuous, limit)
    if output is not None:
        write_json(output / "compare.json", found.to_dict())
    return found


def _kept(played: Callable[..., Evaluation], entrant: Entrant, output: Path | None, side: str) -> Evaluation:
    """The entrant on its own; its run, and the trace of its first episode, are kept in ``output/side``."""
    if output is None:
        return played(entrant)
    return played(entrant, output=output / side, trace=_new(output / side / FILE))


def _comparison(
    runs: Sequence[Evaluation], seen: Sequence[Seen], continuous: bool, tolerance: float
) -> Comparison:
    decisions = sum(e.decisions for e in seen)
    return Comparison(
        a=runs[0],
        b=runs[1],
        action_agreement=sum(e.agreed for e in seen) / decisions,
        action_distance=sum(e.distance for e in seen) / decisions if continuous else None,
        decisions=decisions,
        populations=differences(seen),
        tolerance=tolerance,
    )


def _shadowed(
    first: Entrant,
    second: Entrant,
    world: Environment,
    seeds: Sequence[int],
    slots: int,
    jobs: int,
    seen: list[Seen],
) -> Generator[EpisodeResult, None, None]:
    """The episodes of the first with the second in its shadow; what was seen is added to ``seen``."""
    if jobs > 1:
        follower = second.maker()
        yield from play_apart(
            first.maker(), world, seeds, jobs=jobs, batch=slots, follower=follower, seen=seen
        )
        return
    with closing(first.agent(slots)) as leader, closing(second.agent(slots)) as follower_here:
        shadow = Shadow(leader, follower_here)
        yield from play(leader, world, seeds, watcher=shadow)
        seen += shadow.seen


def _new(path: Path) -> Path | None:
    """The path, unless something is there."""
    return None if path.exists() else path
