"""Evaluate: a policy on a backend in an environment, over many seeds, resumable."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import gymnasium

from strl.chip.backend import backend
from strl.chip.program import Program
from strl.chip.strict import StrictBackend
from strl.content import digest
from strl.energy import ActivityCounts, EnergyReport, Wiring, estimate, profiles
from strl.errors import EnvironmentFault, UsageError
from strl.files import check_replaceable
from strl.ir.network import Network
from strl.ir.semantics import Semantics
from strl.loop.agent import Agent, ChipAgent, FloatAgent
from strl.loop.environment import Environment, environment
from strl.loop.jobs import play_apart
from strl.loop.journal import Journal
from strl.loop.results import EpisodeResult, Evaluation
from strl.loop.runner import play
from strl.loop.trace import Recorder

FLOAT = "float"
"""The name under which the network itself runs, beside the backends."""

SLOTS: Mapping[str, int] = {
    **dict.fromkeys((FLOAT, "loihi", "definition", "lava-fused", "onnx"), 32),
    "torch": 256,
}
"""Slots that pay off, by backend; every other one runs a single slot unless told."""

EPISODES_MAX = 1_000_000
"""Most episodes of a run, which all are held until it is summed up."""

Progress = Callable[[EpisodeResult], None]


class Subject(Protocol):
    """What can be run: a policy or a bundle; see ``strl.loop.subject.resolve``."""

    @property
    def name(self) -> str: ...

    @property
    def network(self) -> Network: ...

    @property
    def semantics(self) -> Semantics: ...

    def program(self, chip: str | None = None, weight_bits: int | None = None) -> Program: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A subject on a backend: makes agents of any batch, all of which play the same episodes.

    Args:
        subject: what is run.
        backend: ``float``, or a backend's name.
        program: what the backend runs; ``None`` for ``float``.
        strict: stop where the chip would behave differently than its arithmetic ``lava`` says.
    """

    subject: Subject
    backend: str
    program: Program | None
    strict: bool = False

    @classmethod
    def of(
        cls, subject: Subject, backend: str, weight_bits: int | None = None, *, strict: bool = False
    ) -> Entrant:
        """Compile what has to be compiled, with weights of that many bits; raises as ``Subject.program``."""
        program = None if backend == FLOAT else subject.program(weight_bits=weight_bits)
        return cls(subject=subject, backend=backend, program=program, strict=strict)

    @property
    def semantics(self) -> Semantics:
        return self.subject.semantics if self.program is None else self.program.semantics

    @property
    def digest(self) -> str:
        """SHA-256 of what runs."""
        if self.program is not None:
            return self.program.digest
        return digest((self.subject.network, self.subject.semantics))

    def agent(self, batch: int) -> Agent:
        """A fresh agent; raises BackendError where the backend cannot, ChipError where strictness forbids."""
        return self.maker()(batch)

    def maker(self) -> Callable[[int], Agent]:
        """``agent`` without the subject, whose module need not be known where the agent is made."""
        if self.program is None:
            return partial(FloatAgent, self.subject.network, self.subject.semantics)
        return partial(_on_chip, self.program, self.backend, self.strict)

    def slots(self, episodes: int, batch: int | None) -> int:
        """The batch asked for, at most one an episode; else one that plays the episodes in even rounds."""
        if batch is not None:
            if batch < 1:
                raise UsageError(f"batch = {batch}, must be at least 1")
            return max(1, min(batch, episodes))
        most = SLOTS.get(self.backend, 1)
        return max(1, math.ceil(episodes / math.ceil(episodes / most))) if episodes else 1


def evaluate(
    entrant: Entrant,
    *,
    env: Environment | str | None = None,
    episodes: int = 10,
    seed: int = 0,
    batch: int | None = None,
    jobs: int = 1,
    output: Path | None = None,
    trace: Path | None = None,
    video: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Play episodes with seeds ``seed``, ``seed`` + 1, … and sum up.

    Args:
        entrant: what is run, and on what.
        env: an environment or its id; the policy's own where it is not given.
        episodes: how many, 1..``EPISODES_MAX``.
        batch: episodes side by side in a process; has no influence on any result.
        jobs: processes that play them, see ``strl.loop.jobs``; nor has this.
        output: directory that keeps finished episodes, and continues them when it is given again.
        trace: file for the ``Trace`` of the first episode.
        video: folder for a film of the first episode.
        progress: called with every finished episode, those read from ``output`` first.

    Raises:
        UsageError: arguments that make no sense, or ``output`` holds another run.
        EnvironmentFault: see ``strl.loop.environment`` and ``strl.loop.runner.play``.
        BackendError, ChipError, ModelError: the program cannot be made or run.
        StrlError: ``output`` cannot be written.
    """
    _check_counts(episodes, seed, jobs)
    world = environment(entrant.semantics, env)
    wanted = range(seed, seed + episodes)
    slots = entrant.slots(math.ceil(episodes / jobs), batch)
    # Beside workers it checks the backend, shows the first episode and tells what its raster is.
    with closing(entrant.agent(slots if jobs == 1 else 1)) as agent:
        if trace is not None:
            check_replaceable(trace)
        journal = None if output is None else _journal(output, _key(entrant, world, seed), agent)
        finished = _Finished(journal, progress, wanted)
        try:
            if trace is not None or video is not None:
                finished.add(_watched(agent, world, seed, trace, video))
            left = [s for s in wanted if s not in finished.episodes]
            if jobs == 1:
                played = play(agent, world, left)
            else:
                played = play_apart(entrant.maker(), world, left, jobs=jobs, batch=slots)
            with closing(played):  # workers end now, not when somebody lets go of an error's traceback
                for episode in played:
                    finished.add(episode)
        except EnvironmentFault as fault:
            hint = _kept(fault.hint, len(finished.episodes), output)
            raise EnvironmentFault(fault.message, hint=hint) from fault
        episodes_in_order = [finished.episodes[s] for s in wanted]
        evaluation = _summary(entrant, world, seed, agent, episodes_in_order, finished.timed)
        evaluation = replace(evaluation, batch=slots, jobs=jobs)
    if journal is not None:
        journal.conclude(evaluation.to_dict())
    return evaluation


def _check_counts(episodes: int, seed: int, jobs: int) -> None:
    if not 1 <= episodes <= EPISODES_MAX:
        raise UsageError(f"episodes = {episodes}, must be 1..{EPISODES_MAX}")
    if seed < 0:
        raise UsageError(f"seed = {seed}, must be at least 0")
    if jobs < 1:
        raise UsageError(f"jobs = {jobs}, must be at least 1")


def _on_chip(program: Program, name: str, strict: bool, batch: int) -> ChipAgent:
    on = backend(name)
    return ChipAgent(program, StrictBackend(on) if strict else on, batch)


class _Finished:
    """The finished episodes by seed, those that the journal knows already among them."""

    def __init__(self, journal: Journal | None, progress: Progress | None, wanted: Sequence[int]) -> None:
        self._journal = journal
        self._progress = progress
        known = {} if journal is None else journal.finished
        self.episodes = {seed: known[seed] for seed in wanted if seed in known}
        self.timed = len(self.episodes) == len(known)  # none was played beside these and is left out
        for episode in self.episodes.values():
            self._show(episode)

    def add(self, episode: EpisodeResult) -> None:
        """Keep a new one; one that was played again must be the same.

        Raises:
            EnvironmentFault: it is not, so the environment does not depend on its seed alone.
        """
        before = self.episodes.get(episode.seed)
        if before is None:
            if self._journal is not None:
                self._journal.append(episode)
            self.episodes[episode.seed] = episode
            self._show(episode)
        elif before.digest != episode.digest:
            raise EnvironmentFault(
                f"the episode with seed {episode.seed}, played again, is another one than before",
                hint="the environment draws from something else than its seed",
            )

    def _show(self, episode: EpisodeResult) -> None:
        if self._progress is not None:
            self._progress(episode)


def _watched(
    agent: Agent, world: Environment, seed: int, trace: Path | None, video: Path | None
) -> EpisodeResult:
    """Play the first episode by itself, under the eyes of whoever wants to see it."""
    recorder = Recorder()
    filmed = world if video is None else replace(world, video=str(video))
    (episode,) = play(agent, filmed, [seed], watcher=recorder)
    if trace is not None:
        recorder.trace(agent).save(trace)
    return episode


def _kept(hint: str, count: int, output: Path | None) -> str:
    if output is None:
        return f"{hint}; with -o DIR, finished episodes ({count} here) are kept".lstrip("; ")
    return f"{hint}; {count} finished episodes are kept in {output}".lstrip("; ")


def _journal(output: Path, key: Mapping[str, Any], agent: Agent) -> Journal:
    neurons = max((columns.stop for columns in agent.populations.values()), default=0)
    return Journal(output, key, neurons=neurons, populations=len(agent.populations))


def _key(entrant: Entrant, world: Environment, seed: int) -> dict[str, Any]:
    return {
        "format": 1,
        "digest": entrant.digest,
        "backend": entrant.backend,
        **({"strict": True} if entrant.strict else {}),
        "env": world.id,
        "env_kwargs": dict(world.kwargs),
        "seed": seed,
        "gymnasium": gymnasium.__version__,
    }


def _summary(
    entrant: Entrant,
    world: Environment,
    seed: int,
    agent: Agent,
    episodes: Sequence[EpisodeResult],
    timed: bool,
) -> Evaluation:
    activity = _activity(entrant.program, episodes)
    return Evaluation(
        subject=entrant.subject.name,
        backend=entrant.backend,
        chip=None if entrant.program is None else entrant.program.chip.name,
        environment=world.id,
        seed=seed,
        batch=agent.batch,
        ticks_per_decision=agent.ticks,
        driven_ticks=agent.semantics.ticks + agent.semantics.rest,
        timed=timed,
        episodes=tuple(episodes),
        populations=agent.populations,
        computing=agent.computing,
        activity=activity,
        energy=_energy(entrant.program, activity),
    )


def _activity(program: Program | None, episodes: Sequence[EpisodeResult]) -> ActivityCounts | None:
    if program is None:
        return None
    wiring = Wiring(program)
    counts = [wiring.activity(e.spikes, ticks=e.ticks, decisions=e.length, active=e.active) for e in episodes]
    total = counts[0]
    for count in counts[1:]:
        total = total + count
    return total


def _energy(program: Program | None, activity: ActivityCounts | None) -> dict[str, EnergyReport]:
    if program is None or activity is None:
        return {}
    return {name: estimate(program, activity, name) for name in profiles(program)}
