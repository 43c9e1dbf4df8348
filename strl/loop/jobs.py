"""Episodes over several processes of this machine: the parent hands out seeds, each worker plays them.

A worker is a fresh interpreter, never a fork, so whatever this process holds (torch's threads, a GPU, Lava)
is none of its business. It asks for a seed whenever a slot of its agent is free, and sends each episode as
it ends; the parent alone keeps them. It ends with its parent, however that ends: it watches its standard
input, which the parent holds open, and on Linux the kernel kills it besides.
"""

from __future__ import annotations

import copyreg
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe, wait
from types import MappingProxyType
from typing import Any

import gymnasium

from strl import errors
from strl.errors import BackendError, StrlError, UsageError
from strl.loop.agent import Agent
from strl.loop.environment import Environment
from strl.loop.results import EpisodeResult
from strl.loop.shadow import Seen

PATIENCE_S = 30.0
"""Seconds that a worker may take to close its agent after its last episode."""

_THREADS = ("STRL_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that keep the threads of a worker to its share of the cores."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What every worker does.

    Args:
        agent: batch → a fresh agent.
        environment: that its slots play.
        spec: of that environment, where it is registered in this process; a worker may not know it.
        batch: slots of a worker.
        follower: makes the agent in the shadow of the one that plays, if there shall be one.
    """

    agent: Callable[[int], Agent]
    environment: Environment
    spec: Any
    batch: int
    follower: Callable[[int], Agent] | None = None


def play_apart(
    agent: Callable[[int], Agent],
    environment: Environment,
    seeds: Sequence[int],
    *,
    jobs: int,
    batch: int,
    follower: Callable[[int], Agent] | None = None,
    seen: list[Seen] | None = None,
) -> Generator[EpisodeResult, None, None]:
    """Play the episode of every seed in ``jobs`` processes; yields each as it ends.

    Args:
        agent: makes the agent of a worker, from the number of its slots.
        environment: every slot makes an instance of it.
        seeds: one an episode; without any no process is begun.
        jobs: processes, at most one an episode.
        batch: slots of each.
        follower: makes the agent in the shadow of the one that plays, if there shall be one.
        seen: what it saw is added here in the end.

    Raises:
        UsageError: the environment is made by something that only this process has.
        StrlError: what a worker raised, or that it died, with the seeds it was at. Episodes that ended
            before, in any worker, are yielded first.
    """
    if not seeds:
        return
    spec = gymnasium.registry.get(environment.id)
    task = _packed(Task(agent=agent, environment=environment, spec=spec, batch=batch, follower=follower))
    waiting = deque(seeds)
    crew = _Crew(task, min(jobs, len(seeds)))
    try:
        yield from crew.episodes(waiting, [] if seen is None else seen)
        crew.dismiss()
    except (StrlError, KeyboardInterrupt):
        yield from crew.arrived()
        raise
    finally:
        crew.end()


class _Worker:
    """A process at the other end of a pipe, and the seeds it is at."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.pipe, theirs = Pipe()
        code = "from strl.loop.worker import main; main()"
        command = [sys.executable, "-P", "-c", code, str(theirs.fileno()), str(os.getpid())]
        # Ctrl-C is the parent's alone, even before the worker can say so.
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()], env=environ
            )
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        self.seeds: list[int] = []
        self.torn = False
        """Ctrl-C came within a message: what the pipe gives next would be its rest."""

    def begin(self, task: bytes) -> None:
        """Say what to do; waits until the worker has read most of it, if it is long."""
        with suppress(OSError):  # dead already: hear tells
            self.pipe.send_bytes(task)

    def hear(self) -> Message:
        """The next message; raises BackendError where the worker is gone."""
        self.torn = True
        try:
            found: Message = json.loads(self.pipe.recv_bytes())
        except (EOFError, OSError) as error:
            code = self.process.wait()
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise BackendError(
                f"a worker process ended {how}, {self._where()}",
                hint="with one job the same happens in this process, where it can be seen",
            ) from error
        self.torn = False
        return found

    def give(self, seed: int | None) -> None:
        """Answer a request for a seed; ``None`` says that there are no more."""
        if seed is not None:
            self.seeds.append(seed)
        with suppress(OSError):
            self.pipe.send_bytes(json.dumps(seed).encode())

    def fault(self, message: Message) -> StrlError:
        """What the worker raised, as it would have been raised here."""
        kind = getattr(errors, str(message["error"]), None)
        if isinstance(kind, type) and issubclass(kind, StrlError):
            return kind(message["message"], hint=message["hint"])
        fault = StrlError(
            f"a worker process, {self._where()}, raised {message['error']}: {message['message']}",
            hint="with one job it is raised in this process, where it can be seen",
        )
        fault.add_note(message["trace"])
        return fault

    def _where(self) -> str:
        if not self.seeds:
            return "before its first episode"
        many = "s" if len(self.seeds) > 1 else ""
        return f"at the episode{many} with seed{many} {', '.join(map(str, self.seeds))}"


class _Crew:
    """The workers of one run."""

    def __init__(self, task: bytes, count: int) -> None:
        self._workers: list[_Worker] = []
        self._clock = time.perf_counter()
        environ = _environ(count)
        try:
            for _ in range(count):
                self._workers.append(_Worker(environ))
            for worker in self._workers:
                worker.begin(task)
        except BaseException:
            self.end()
            raise

    def episodes(self, waiting: deque[int], seen: list[Seen]) -> Iterator[EpisodeResult]:
        """Hand out all seeds; gives the episodes as they arrive, until every worker has none left."""
        by_pipe = {w.pipe: w for w in self._workers}
        started = False
        while by_pipe:
            for pipe in wait(list(by_pipe)):
                assert isinstance(pipe, Connection)
                worker = by_pipe[pipe]
                message = worker.hear()
                if "episode" in message:
                    yield self._arrived(worker, message)
                elif "error" in message:
                    raise worker.fault(message)
                elif "seen" in message:
                    seen += [Seen.from_dict(e) for e in message["seen"]]
                    del by_pipe[pipe]
                else:
                    if not started:  # as in one process, what it takes to make an agent is not counted
                        started, self._clock = True, time.perf_counter()
                    worker.give(waiting.popleft() if waiting else None)

    def arrived(self) -> Iterator[EpisodeResult]:
        """Episodes that ended, but were not looked at yet; waits for nothing."""
        for worker in self._workers:
            with suppress(StrlError):
                while not worker.torn and worker.pipe.poll():
                    message = worker.hear()
                    if "episode" in message:
                        yield self._arrived(worker, message)

    def dismiss(self) -> None:
        """Let the workers, which are done, close what they hold."""
        for worker in self._workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(PATIENCE_S)

    def end(self) -> None:
        """End every worker, whatever it is at; may be called twice."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            worker.pipe.close()
            assert worker.process.stdin is not None
            worker.process.stdin.close()

    def _arrived(self, worker: _Worker, message: Message) -> EpisodeResult:
        episode = EpisodeResult.from_dict(message["episode"])
        worker.seeds.remove(episode.seed)
        now = time.perf_counter()
        episode, self._clock = replace(episode, wall_s=now - self._clock), now
        return episode


def _packed(task: Task) -> bytes:
    packed = io.BytesIO()
    pickler = pickle.Pickler(packed)
    pickler.dispatch_table = {**copyreg.dispatch_table, MappingProxyType: _reduced}
    try:
        pickler.dump(task)
        return packed.getvalue()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UsageError(
            f"{task.environment.id}: cannot be played by other processes: {error}",
            hint="register it in a module and name it MODULE:ID, or use one job",
        ) from error


def _environ(count: int) -> dict[str, str]:
    """This process's environment, its import path and a share of its cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = str(max(1, cores // count))
    path = os.pathsep.join(p or os.getcwd() for p in sys.path)
    return {**dict.fromkeys(_THREADS, share), **os.environ, "PYTHONPATH": path}


def _reduced(held: MappingProxyType[Any, Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """How a read-only mapping, which pickle does not know, travels."""
    return _proxy, (dict(held),)


def _proxy(held: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(held)
