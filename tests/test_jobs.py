"""Episodes over processes: the same as in one, and nothing is lost or left, however the run ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import gymnasium
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from strl.errors import INTERRUPTED, BackendError, EnvironmentFault, StrlError, UsageError
from strl.ir import EnvironmentSpec, Network
from strl.ir.maps import Linear
from strl.ir.nodes import Input
from strl.loop.compare import compare
from strl.loop.environment import Environment
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.jobs import Task, _Crew, _environ, _packed, _Worker, play_apart
from strl.loop.results import Evaluation
from strl.loop.runner import play
from strl.loop.trace import Trace
from strl.testing.policies import PoleSubject, pole_network, pole_semantics

pytestmark = pytest.mark.timeout(120)

SHORT = "strl-test/JobsPole-v0"
MODULE = "strl_test_jobs_world"
WORLD = f"{MODULE}:strl-test/JobsWorld-v0"
SOON_S = 20.0
"""Seconds within which a process that shall end has ended, on a busy machine too."""

SOURCE = """
import os, signal, time
from pathlib import Path
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
from strl.loop.agent import ChipAgent

class World(CartPoleEnv):
    '''Ends after 5 steps; the episode of seed ``bad`` does what ``how`` says in its step 3.'''

    def __init__(self, how="", bad=3, step_s=0.0, pids=None, **options):
        super().__init__(**options)
        self.how, self.bad, self.step_s = how, bad, step_s
        if pids:
            Path(pids, str(os.getpid())).touch()

    def reset(self, *, seed=None, options=None):
        self.seed, self.count = seed, 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        time.sleep(self.step_s)
        self.count += 1
        if self.seed == self.bad and self.count == 3:
            if self.how == "raise":
                raise ZeroDivisionError("the pole broke")
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, self.count >= 5, info

gymnasium.register("strl-test/JobsWorld-v0", entry_point=World)

class Broken(ChipAgent):
    def act(self, observations):
        raise LookupError("no such neuron")
"""


@pytest.fixture(autouse=True)
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A world that this process has registered, and one of a module on its import path."""
    gymnasium.register(SHORT, entry_point=CartPoleEnv, max_episode_steps=12)
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(folder)
    yield
    del gymnasium.registry[SHORT]
    gymnasium.registry.pop("strl-test/JobsWorld-v0", None)
    sys.modules.pop(MODULE, None)


def pole(env: str = SHORT, kwargs: dict[str, Any] | None = None, **changes: Any) -> PoleSubject:
    spec = EnvironmentSpec(id=env, observation_shape=(4,), actions=2, kwargs=kwargs or {})
    return PoleSubject(semantics=pole_semantics(environment=spec, **changes))


def arm() -> PoleSubject:
    """Swings a pendulum, whose actions are a Box; pole's network without its fourth input."""
    semantics = pole_semantics(
        encoder={"kind": "direct", "low": [-1.0, -1.0, -8.0], "high": [1.0, 1.0, 8.0], "precision": 4},
        decoder={"kind": "tanh", "low": [-2.0], "high": [2.0], "shape": [1], "weight": [[0.5, -0.5]]},
        environment=EnvironmentSpec(
            id="Pendulum-v1", observation_shape=(3,), actions=None, action_low=(-2.0,), action_high=(2.0,)
        ),
    )
    network = pole_network()
    first = network.nodes["fc1"]
    assert isinstance(first, Linear)
    nodes = {**network.nodes, "input": Input(shape=(3,)), "fc1": Linear(weight=first.weight[:, :3])}
    return PoleSubject(semantics=semantics, network=Network(nodes=nodes, edges=network.edges))


def ran(subject: PoleSubject, backend: str = "loihi", **options: Any) -> Evaluation:
    return evaluate(Entrant.of(subject, backend), **{"episodes": 7, **options})


def journalled(folder: Path) -> list[int]:
    path = folder / "episodes.jsonl"
    *lines, _ = path.read_text().split("\n") if path.exists() else [""]  # the last may be half written
    return [json.loads(line)["seed"] for line in lines]


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with suppress(OSError):
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            found += [pid] if state != "Z" else []
    return found


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + SOON_S
    while alive(pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(pids)


CARRY = {"state": "carry", "rest": 2}
RATE = {"encoder": {"kind": "rate", "low": [-2.4, -2.0, -0.21, -2.0], "high": [2.4, 2.0, 0.21, 2.0]}}


@pytest.mark.parametrize(
    ("backend", "changes"),
    [("loihi", RATE), ("float", CARRY), ("definition", {}), ("torch", {})],
    ids=["loihi, random encoder", "float, carry", "definition", "torch"],
)
def test_two_processes_play_what_one_plays(backend: str, changes: dict[str, Any]) -> None:
    seen: list[int] = []
    alone = ran(pole(**changes), backend)
    apart = ran(pole(**changes), backend, jobs=2, progress=lambda e: seen.append(e.seed))
    assert [e.summary() for e in apart.episodes] == [e.summary() for e in alone.episodes]
    assert apart.digest == alone.digest
    assert (apart.jobs, apart.batch, alone.jobs) == (2, 4, 1)
    assert sorted(seen) == list(range(7))
    for one, other in zip(alone.episodes, apart.episodes, strict=True):
        assert (one.spikes == other.spikes).all()
        assert one.ticks == other.ticks
    assert apart.to_dict()["activity"] == alone.to_dict()["activity"]
    assert apart.decisions_per_s is not None


def test_a_comparison_is_the_same() -> None:
    alone, apart = (compare(pole(), episodes=4, jobs=jobs).to_dict() for jobs in (1, 2))
    for side in ("a", "b"):
        assert alone.pop(side)["digest"] == apart.pop(side)["digest"]
    assert alone == apart


def test_a_comparison_of_continuous_actions_is_the_same() -> None:
    found = [compare(arm(), episodes=4, jobs=n, batch=b).to_dict() for n, b in ((1, 1), (1, 4), (2, 1))]
    assert found[0]["action_distance"] > 0
    for other in found[1:]:
        for key in ("action_agreement", "action_distance", "shadowed_decisions", "populations"):
            assert other[key] == found[0][key], key


def test_no_more_processes_than_episodes(tmp_path: Path) -> None:
    subject = pole(WORLD, {"pids": str(tmp_path)})
    found = ran(subject, episodes=1, jobs=8)
    workers = {p.name for p in tmp_path.iterdir() if p.name.isdecimal()} - {str(os.getpid())}
    assert len(workers) == 1
    assert found.batch == 1


def test_a_run_continues_with_another_number_of_processes(tmp_path: Path) -> None:
    folder, trace = tmp_path / "run", tmp_path / "first.npz"
    ran(pole(), jobs=2, episodes=3, output=folder, trace=trace)
    assert journalled(folder)[0] == 0  # the traced one, played here
    assert Trace.load(trace).seed == 0
    more = ran(pole(), jobs=3, output=folder)
    assert sorted(journalled(folder)) == list(range(7))
    assert more.digest == ran(pole(), output=folder).digest == ran(pole()).digest


def test_a_fault_names_its_seed_and_what_ended_is_kept(tmp_path: Path) -> None:
    subject = pole(WORLD, {"how": "raise"})
    with pytest.raises(
        EnvironmentFault, match=r"seed 3, step 2: .* ZeroDivisionError: the pole broke"
    ) as caught:
        ran(subject, jobs=2, batch=1, output=tmp_path / "run")
    kept = journalled(tmp_path / "run")
    assert len({0, 1, 2} & set(kept)) >= 2  # the other worker may have been at one of them
    assert 3 not in kept
    assert f"{len(kept)} finished episodes are kept" in caught.value.hint


def test_a_worker_that_dies_is_one_error_with_its_seeds(tmp_path: Path) -> None:
    subject = pole(WORLD, {"how": "die", "pids": str(tmp_path)})
    with pytest.raises(BackendError, match=r"ended by signal 9, at the episode with seed 3\n"):
        ran(subject, jobs=2, batch=1)
    pids = [int(p.name) for p in tmp_path.iterdir() if p.name.isdecimal()]
    assert len(pids) >= 2  # the other worker may not have begun
    assert gone([pid for pid in pids if pid != os.getpid()])


def test_what_else_a_worker_raises_is_one_error_with_its_seeds() -> None:
    import importlib

    broken = importlib.import_module(MODULE).Broken
    agent = partial(broken, pole().program(), "loihi")
    with pytest.raises(StrlError, match=r"with seeds 5, 7, raised LookupError: no such neuron") as caught:
        list(play_apart(agent, Environment(id=WORLD), [5, 7], jobs=1, batch=2))
    assert "in act" in "".join(caught.value.__notes__)


def test_an_environment_that_only_this_process_has_is_refused() -> None:
    name = "strl-test/JobsLocal-v0"
    gymnasium.register(name, entry_point=lambda **options: CartPoleEnv(**options))
    try:
        with pytest.raises(UsageError, match="cannot be played by other processes"):
            ran(pole(name), jobs=2)
    finally:
        del gymnasium.registry[name]


def test_a_number_of_jobs_that_makes_no_sense() -> None:
    with pytest.raises(UsageError, match="jobs = 0"):
        ran(pole(), jobs=0)


def test_a_worker_ends_when_nobody_holds_its_input() -> None:
    subject = pole(WORLD, {"step_s": 60.0})
    world = Environment(id=WORLD, kwargs={"step_s": 60.0})
    task = Task(agent=Entrant.of(subject, "loihi").maker(), environment=world, spec=None, batch=1)
    worker = _Worker(_environ(1))
    try:
        worker.begin(_packed(task))
        assert "next" in worker.hear()
        worker.give(0)
        time.sleep(0.5)  # it is in a step that takes a minute
        assert worker.process.poll() is None
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        assert worker.process.wait(SOON_S) == 1
    finally:
        worker.process.kill()
        worker.process.wait()
        worker.pipe.close()


def test_an_iterator_of_seeds_is_asked_only_for_what_is_played() -> None:
    asked: list[int] = []

    def seeds() -> Iterator[int]:
        for seed in range(5):
            asked.append(seed)
            yield seed

    entrant = Entrant.of(pole(), "loihi")
    playing = play(entrant.agent(2), Environment(id=SHORT), seeds())
    next(playing)
    assert len(asked) == 2
    assert len(list(playing)) == 4


def test_a_message_that_ctrl_c_tore_is_not_read_on() -> None:
    """Its rest would be taken for the length of the next one, which never comes."""

    class Pipe:
        begun = False

        def poll(self) -> bool:
            return True

        def recv_bytes(self) -> bytes:
            assert not self.begun
            self.begun = True
            raise KeyboardInterrupt

    worker, crew = _Worker.__new__(_Worker), _Crew.__new__(_Crew)
    worker.pipe, crew._workers = cast(Any, Pipe()), [worker]
    with pytest.raises(KeyboardInterrupt):
        worker.hear()
    assert list(crew.arrived()) == []


class Run:
    """``strl run`` of slow episodes with two workers, in a session of its own; it never gets to its end."""

    def __init__(self, tmp_path: Path) -> None:
        self.output, self.pids = tmp_path / "run", tmp_path / "pids"
        self.pids.mkdir(exist_ok=True)
        # A shell that runs tests in the background has Ctrl-C ignored in all that it starts.
        code = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from strl.ir import EnvironmentSpec
from strl.loop import subject
from strl.testing.policies import PoleSubject, pole_semantics
spec = EnvironmentSpec(id={WORLD!r}, observation_shape=(4,), actions=2,
                       kwargs=dict(step_s=0.05, pids={str(self.pids)!r}))
subject.resolve = lambda _: PoleSubject(semantics=pole_semantics(environment=spec))
from strl.cli.main import main
raise SystemExit(main(["run", "pole", "--episodes", "10000", "--jobs", "2", "--batch", "1",
                       "-o", {str(self.output)!r}]))
"""
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environ,
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )

    def workers(self) -> list[int]:
        return [int(p.name) for p in self.pids.iterdir() if int(p.name) != self.process.pid]

    def under_way(self) -> list[int]:
        """The workers, once some episodes have ended."""
        while self.process.poll() is None:
            if len(journalled(self.output)) >= 3 and len(self.workers()) == 2:
                return self.workers()
            time.sleep(0.05)
        raise AssertionError(f"the run did not begin: {self.process.communicate()[1]}")

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.end()


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_parent_leaves_no_worker(run: Run, how: signal.Signals) -> None:
    workers = run.under_way()
    assert alive(workers) == workers
    run.process.send_signal(how)
    run.process.wait()
    assert gone(workers)


@needs_proc
def test_ctrl_c_ends_the_workers_and_keeps_what_ended(run: Run) -> None:
    workers = run.under_way()
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does
    said = run.process.communicate()[1]
    assert run.process.returncode == INTERRUPTED, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert gone(workers)
    kept = journalled(run.output)
    assert 3 <= len(kept) < 10_000
    kwargs = {"step_s": 0.05, "pids": str(run.pids)}
    again = ran(pole(WORLD, kwargs), episodes=len(kept) + 2, output=run.output)
    assert again.digest == ran(pole(WORLD), episodes=len(kept) + 2).digest
