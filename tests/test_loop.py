"""The closed loop: an episode depends on its seed alone, faults are named, nothing finished is lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from strl.errors import BackendError, EnvironmentFault, ModelError, StrlError, UsageError
from strl.ir import EnvironmentSpec, Network, Readout, Semantics
from strl.ir.maps import Linear
from strl.ir.neurons import LIF
from strl.ir.nodes import Input, Output
from strl.loop.agent import ChipAgent, FloatAgent
from strl.loop.compare import compare
from strl.loop.environment import Environment, environment
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.results import EpisodeResult, Evaluation
from strl.loop.runner import play
from strl.loop.trace import Trace
from strl.testing.policies import PoleSubject, pole_network, pole_semantics

SHORT = "strl-test/ShortPole-v0"
FAULTY = "strl-test/FaultyPole-v0"


class FaultyPole(CartPoleEnv):
    """Ends after 5 steps; in the episode of seed ``bad`` step 3 does what ``how`` says."""

    def __init__(self, how: str = "raise", bad: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.how, self.bad = how, bad
        self.seed: int | None = None
        self.count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.seed, self.count = seed, 0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        self.count += 1
        observation, reward, _, _, info = super().step(action)
        if self.seed == self.bad and self.count == 4:
            if self.how == "interrupt":
                raise KeyboardInterrupt
            if self.how == "raise":
                raise ZeroDivisionError("the pole broke")
            if self.how == "observation":
                observation = observation * np.nan
            if self.how == "infinite":
                observation = observation + np.inf
            if self.how == "exit":
                raise SystemExit(3)
            if self.how == "reward":
                reward = float("nan")
            if self.how == "shape":
                observation = np.zeros(7)
        return observation, reward, False, self.count >= 5, info


@pytest.fixture(autouse=True)
def worlds() -> Any:
    gymnasium.register(SHORT, entry_point=CartPoleEnv, max_episode_steps=12)
    gymnasium.register(FAULTY, entry_point=FaultyPole)
    yield
    for name in (SHORT, FAULTY):
        del gymnasium.registry[name]


def pole(env: str = SHORT, kwargs: dict[str, Any] | None = None, **changes: Any) -> PoleSubject:
    spec = EnvironmentSpec(id=env, observation_shape=(4,), actions=2, kwargs=kwargs or {})
    return PoleSubject(semantics=pole_semantics(environment=spec, **changes))


def ran(subject: PoleSubject, backend: str, **options: Any) -> Evaluation:
    return evaluate(Entrant.of(subject, backend), **{"episodes": 5, **options})


CARRY = {"state": "carry", "rest": 2}
RATE = {"encoder": {"kind": "rate", "low": [-2.4, -2.0, -0.21, -2.0], "high": [2.4, 2.0, 0.21, 2.0]}}


@pytest.mark.parametrize("changes", [{}, CARRY, RATE], ids=["reset", "carry", "random encoder"])
@pytest.mark.parametrize("backend", ["float", "definition", "loihi"])
def test_an_episode_is_the_same_whatever_runs_beside_it(backend: str, changes: dict[str, Any]) -> None:
    subject = pole(**changes)
    alone = ran(subject, backend, batch=1)
    beside = ran(subject, backend, batch=3)
    later = ran(subject, backend, seed=3, episodes=2, batch=2)
    assert [e.digest for e in alone.episodes] == [e.digest for e in beside.episodes]
    assert [e.digest for e in alone.episodes[3:]] == [e.digest for e in later.episodes]
    assert alone.digest == beside.digest != later.digest
    for one, other in zip(alone.episodes, beside.episodes, strict=True):
        assert (one.spikes == other.spikes).all()
    assert [e.seed for e in beside.episodes] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("changes", [{}, CARRY, RATE], ids=["reset", "carry", "random encoder"])
def test_backends_that_agree_print_one_digest_and_one_activity(changes: dict[str, Any]) -> None:
    definition, kernel = (ran(pole(**changes), b, episodes=3) for b in ("definition", "loihi"))
    assert definition.digest == kernel.digest
    assert definition.activity is not None
    assert kernel.activity is not None
    assert definition.activity.to_dict() == kernel.activity.to_dict()


def test_the_digest_is_that_of_rasters_and_actions(tmp_path: Path) -> None:
    found = ran(pole(), "loihi", trace=tmp_path / "trace.npz")
    trace = Trace.load(tmp_path / "trace.npz")
    hasher = hashlib.sha256()
    for raster, action in zip(trace.rasters, trace.actions, strict=True):
        hasher.update(raster.tobytes() + np.int64(action).tobytes())
    assert hasher.hexdigest() == found.episodes[0].digest
    digests = "".join(e.digest for e in found.episodes).encode()
    assert hashlib.sha256(digests).hexdigest() == found.digest
    assert trace.rasters.shape == (found.episodes[0].length, 10, sum(found.episodes[0].spikes.shape))
    assert (trace.rasters.sum(axis=(0, 1)) == found.episodes[0].spikes).all()
    assert trace.populations["lif1"].stop - trace.populations["lif1"].start == 16
    assert trace.offsets["lif2"] == 2


def test_the_hand_made_policy_balances_as_float_and_on_chip() -> None:
    for backend in ("float", "loihi"):
        found = evaluate(Entrant.of(PoleSubject(), backend), episodes=2)
        assert found.returns.tolist() == [500.0, 500.0]
        assert found.iqm == 500.0


def test_counts_of_the_float_network_are_those_of_its_raster(tmp_path: Path) -> None:
    found = ran(pole(), "float", episodes=2, trace=tmp_path / "t.npz")
    trace = Trace.load(tmp_path / "t.npz")
    assert (trace.rasters.sum(axis=(0, 1)) == found.episodes[0].spikes).all()
    assert found.episodes[0].ticks == 8 * found.episodes[0].length
    assert found.activity is None
    assert found.energy == {}


def test_a_membrane_is_read_at_the_last_driven_tick() -> None:
    ones = np.ones(2)
    silent = LIF(alpha=0 * ones, beta=0.5 * ones, threshold=np.inf * ones, reset="none", reset_delay=False)
    nodes = {
        "input": Input(shape=(4,)),
        "fc": Linear(weight=np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])),
        "out": silent,
        "output": Output(shape=(2,)),
    }
    network = Network(nodes=nodes, edges=(("input", "fc"), ("fc", "out"), ("out", "output")))
    semantics = pole_semantics(readout=Readout(kind="membrane"), ticks=2)
    subject = PoleSubject(network=network, semantics=semantics)
    agents = FloatAgent(network, semantics), ChipAgent(subject.program(), "definition")
    for agent in agents:
        for observation, action in (((1.0, -1.0, 0, 0), 0), ((-1.0, 1.0, 0, 0), 1)):
            assert agent.act(np.array([observation])) == [action]


def test_continuous_actions_are_float32_and_agree() -> None:
    subject = pendulum()
    definition, kernel = (ran(subject, b, episodes=1, batch=1) for b in ("definition", "loihi"))
    assert definition.digest == kernel.digest
    assert kernel.episodes[0].length == 200


def test_continuous_actions_have_a_distance() -> None:
    found = compare(pendulum(), episodes=1, backend_b="definition")
    assert found.action_distance is not None
    # One spike more or less moves the action by at most tanh(0.5) of half the bounds.
    assert 0 <= found.action_distance < (1 - found.action_agreement) * 0.25 + 1e-12
    assert compare(PoleSubject(), episodes=1, backend_b="definition").action_distance is None


def pendulum() -> PoleSubject:
    semantics = Semantics(
        ticks=4,
        state="reset",
        readout=Readout(kind="count"),
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


def test_discrete_observations_are_flattened_into_a_box() -> None:
    world = Environment(id="FrozenLake-v1").make()
    assert isinstance(world.observation_space, gymnasium.spaces.Box)
    assert world.observation_space.shape == (16,)
    world.close()


# What is refused before anything runs


@pytest.mark.parametrize(
    ("subject", "env", "both"),
    [
        (pole("CartPole-v1"), "Acrobot-v1", ("(6,)", "(4,)")),
        (pole("CartPole-v1"), "MountainCarContinuous-v0", ("(2,)", "(4,)")),
        (pendulum(), "CartPole-v1", ("(4,)", "(3,)")),
    ],
)
def test_other_spaces_are_refused_and_both_are_named(
    subject: PoleSubject, env: str, both: tuple[str, str]
) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        environment(subject.semantics, env)
    assert all(part in caught.value.message for part in (*both, env))
    assert caught.value.exit_code == 7


def test_other_actions_are_refused() -> None:
    spec = EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=3)
    with pytest.raises(EnvironmentFault, match=r"2 discrete actions.*3 discrete actions"):
        environment(pole_semantics(environment=spec))
    narrow = replace(pendulum().semantics.environment, action_high=(1.0,))
    with pytest.raises(EnvironmentFault, match="Box of actions"):
        environment(replace(pendulum().semantics, environment=narrow))


def test_an_unknown_environment_names_the_closest() -> None:
    with pytest.raises(EnvironmentFault) as caught:
        environment(pole_semantics(), "CartPol-v1")
    assert "did you mean 'CartPole-v1'?" in caught.value.hint


@pytest.mark.parametrize("name", ["CartPole-v9", "nowhere:Pole-v0", "not an id", "strl-nowhere/Pole-v0"])
def test_ids_that_are_no_environment(name: str) -> None:
    with pytest.raises(EnvironmentFault, match="there is no environment"):
        environment(pole_semantics(), name)


def test_a_missing_package_names_what_to_install() -> None:
    def needs_mujoco() -> None:
        raise gymnasium.error.DependencyNotInstalled('run `pip install "gymnasium[mujoco]"`')

    gymnasium.register("strl-test/Needy-v0", entry_point=needs_mujoco)
    try:
        with pytest.raises(EnvironmentFault, match=r"gymnasium\[mujoco\]"):
            environment(pole_semantics(), "strl-test/Needy-v0")
    finally:
        del gymnasium.registry["strl-test/Needy-v0"]


def test_a_policy_without_an_environment_asks_for_one() -> None:
    with pytest.raises(UsageError, match="names no environment"):
        environment(pole("").semantics)


@pytest.mark.parametrize("options", [{"episodes": 0}, {"seed": -1}, {"batch": 0}])
def test_numbers_that_make_no_sense(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be"):
        ran(pole(), "loihi", **options)


def test_slots_without_an_episode_are_not_made() -> None:
    assert ran(pole(), "loihi", episodes=1, batch=300_000).batch == 1


def test_a_trace_that_is_a_folder_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder"):
        ran(pole(), "loihi", trace=tmp_path, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fewer_episodes_of_a_finished_run_have_no_speed(tmp_path: Path) -> None:
    whole = ran(pole(), "loihi", episodes=3, output=tmp_path / "run")
    assert whole.decisions_per_s
    assert ran(pole(), "loihi", episodes=3, output=tmp_path / "run").decisions_per_s == whole.decisions_per_s
    assert ran(pole(), "loihi", episodes=2, output=tmp_path / "run").decisions_per_s is None


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(BackendError, match="no backend 'loihy'"):
        ran(pole(), "loihy")


# Faults while it runs


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise", "ZeroDivisionError: the pole broke"),
        ("observation", "an observation is not a finite number"),
        ("infinite", "an observation is not a finite number"),
        ("exit", "SystemExit: 3"),
        ("reward", "the reward is nan"),
        ("shape", "ValueError"),
    ],
)
@pytest.mark.parametrize("batch", [1, 2])
def test_a_faulty_environment_is_named_and_finished_episodes_are_kept(
    how: str, said: str, batch: int, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentFault, match=said) as caught:
        ran(pole(FAULTY, {"how": how}), "loihi", batch=batch, output=tmp_path / "run")
    assert FAULTY in caught.value.message
    assert "seed 3" in caught.value.message
    assert f"{len(lines(tmp_path / 'run'))} finished episodes are kept" in caught.value.hint
    assert len(lines(tmp_path / "run")) >= 2 + (batch == 1)
    assert {line["seed"] for line in lines(tmp_path / "run")} >= {0, 1}


def test_an_environment_that_exits_when_it_is_made() -> None:
    class Exits(FaultyPole):
        def __init__(self) -> None:
            raise SystemExit(3)

    gymnasium.register("strl-test/Exits-v0", entry_point=Exits)
    try:
        with pytest.raises(EnvironmentFault, match="Exits-v0: cannot be made: SystemExit: 3"):
            Environment(id="strl-test/Exits-v0").make()
    finally:
        del gymnasium.registry["strl-test/Exits-v0"]


def test_other_spaces_name_where_to_run_it_unless_that_is_here() -> None:
    """CartPole with five features: the policy was made for this very environment, as it was then."""
    semantics = pole_semantics(
        environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(5,), actions=2)
    )
    with pytest.raises(EnvironmentFault, match=r"CartPole-v1 has observations of shape \(4,\)") as caught:
        environment(semantics)
    assert "run it in" not in caught.value.hint
    assert "this version of the environment" in caught.value.hint
    with pytest.raises(EnvironmentFault) as caught:
        environment(semantics, "Acrobot-v1")
    assert caught.value.hint == "run it in CartPole-v1"


def test_an_episode_that_ends_in_the_round_of_a_fault_is_yielded_first() -> None:
    class Late(FaultyPole):
        def step(self, action: Any) -> Any:
            step = super().step(action)
            if self.seed == 1 and self.count == 5:
                raise ZeroDivisionError
            return step

    gymnasium.register("strl-test/Late-v0", entry_point=Late)
    agent = ChipAgent(pole().program(), batch=2)
    seen: list[EpisodeResult] = []
    try:
        with pytest.raises(EnvironmentFault):
            seen.extend(_collect(play(agent, Environment(id="strl-test/Late-v0"), range(2)), seen))
    finally:
        del gymnasium.registry["strl-test/Late-v0"]
    assert [e.seed for e in seen] == [0]


def _collect(episodes: Any, into: list[EpisodeResult]) -> list[EpisodeResult]:
    for episode in episodes:
        into.append(episode)
    return []


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines()]


# Run directories


def test_a_run_continues_where_it_was_interrupted(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    whole = ran(pole(), "loihi", episodes=6)
    ran(pole(), "loihi", episodes=2, output=folder)
    with (folder / "episodes.jsonl").open("a") as file:
        file.write('{"seed": 2, "return": 1')  # the power failed here
    played: list[int] = []
    again = ran(pole(), "loihi", episodes=6, output=folder, progress=lambda e: played.append(e.seed))
    assert again.digest == whole.digest
    assert again.to_dict()["activity"] == whole.to_dict()["activity"]
    assert played[:2] == [0, 1]
    assert sorted(line["seed"] for line in lines(folder)) == [0, 1, 2, 3, 4, 5]
    assert json.loads((folder / "result.json").read_text())["digest"] == whole.digest
    assert ran(pole(), "loihi", episodes=6, output=folder).digest == whole.digest
    assert len(lines(folder)) == 6


def test_a_directory_continues_its_own_run_only(tmp_path: Path) -> None:
    ran(pole(), "loihi", episodes=1, output=tmp_path / "run")
    with pytest.raises(UsageError, match=r"holds another run: seed 0 ≠ 7"):
        ran(pole(), "loihi", seed=7, output=tmp_path / "run")
    with pytest.raises(UsageError, match="backend"):
        ran(pole(), "definition", output=tmp_path / "run")
    with pytest.raises(UsageError, match="digest"):
        ran(pole(**CARRY), "loihi", output=tmp_path / "run")


def test_a_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        ran(pole(), "loihi", output=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails_after(3))
        with pytest.raises(StrlError, match="No space left on device") as caught:
            ran(pole(), "loihi", batch=1, output=tmp_path / "run")
    assert caught.value.exit_code == 1
    assert "2 finished episodes are kept" in caught.value.hint
    assert ran(pole(), "loihi", output=tmp_path / "run").digest == ran(pole(), "loihi").digest


def fails_after(count: int) -> Callable[[int], None]:
    left = iter(range(count))

    def fsync(_: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fsync


def test_ctrl_c_loses_no_finished_episode(tmp_path: Path) -> None:
    subject = pole(FAULTY, {"how": "interrupt"})
    with pytest.raises(KeyboardInterrupt):
        ran(subject, "loihi", batch=1, output=tmp_path / "run")
    assert [line["seed"] for line in lines(tmp_path / "run")] == [0, 1, 2]


def test_nothing_is_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran(pole(), "loihi", episodes=1)
    assert list(tmp_path.iterdir()) == []


# Traces and films


def test_a_trace_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    ran(pole(), "float", episodes=2, seed=4, trace=tmp_path / "deep" / "t.npz")
    trace = Trace.load(tmp_path / "deep" / "t.npz")
    trace.save(tmp_path / "again.npz")
    assert Trace.load(tmp_path / "again.npz") == trace
    assert trace.seed == 4
    assert trace.observations.shape == (len(trace.actions), 4)


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.npz").write_bytes(b"PK\x03\x04 cut off")
    for name in ("t.npz", "missing.npz"):
        with pytest.raises(UsageError, match="not a trace"):
            Trace.load(tmp_path / name)
    np.savez(tmp_path / "pickled.npz", seed=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="not a trace"):
        Trace.load(tmp_path / "pickled.npz")


def test_tracing_changes_nothing(tmp_path: Path) -> None:
    plain = ran(pole(), "loihi")
    traced = ran(pole(), "loihi", trace=tmp_path / "t.npz", output=tmp_path / "run")
    assert plain.digest == traced.digest
    (tmp_path / "t.npz").unlink()
    assert ran(pole(), "loihi", trace=tmp_path / "t.npz", output=tmp_path / "run").digest == plain.digest
    assert Trace.load(tmp_path / "t.npz").seed == 0


@pytest.mark.filterwarnings("ignore")
def test_a_film_of_the_first_episode(tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    filmed = ran(pole(), "loihi", episodes=2, video=tmp_path / "film")
    assert filmed.digest == ran(pole(), "loihi", episodes=2).digest
    (film,) = (tmp_path / "film").glob("*.mp4")
    assert film.stat().st_size > 1000


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("full", ["where it is made", "where it belongs"])
def test_a_disk_without_room_for_the_film(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = pytest.importorskip("moviepy.video.io.ImageSequenceClip")

    def broken(clip: Any, path: str, **options: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("Broken pipe\n\nMoviePy error: FFMPEG encountered the following error: and so on")

    def half(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if full == "where it is made":
        monkeypatch.setattr(clips.ImageSequenceClip, "write_videofile", broken)
    else:
        monkeypatch.setattr("strl.loop.film.shutil.copyfile", half)
    with pytest.raises(StrlError, match=r"film cannot be written: (Broken|No space)") as caught:
        ran(pole(), "loihi", episodes=1, video=tmp_path / "film")
    assert len(str(caught.value).splitlines()) == 2
    assert not list((tmp_path).rglob("*.mp4*"))


def test_filming_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moviepy", None)
    with pytest.raises(UsageError) as caught:
        ran(pole(), "loihi", video=tmp_path / "film")
    assert "strl[video]" in caught.value.hint


def test_an_environment_that_ignores_its_seed_is_found_out(tmp_path: Path) -> None:
    class Moody(FaultyPole):
        plays = 0

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            Moody.plays += 1
            return super().reset(seed=Moody.plays, options=options)

    gymnasium.register("strl-test/Moody-v0", entry_point=Moody)
    try:
        subject = pole("strl-test/Moody-v0", {"bad": -1})
        ran(subject, "loihi", episodes=1, output=tmp_path / "run")
        with pytest.raises(EnvironmentFault, match="played again"):
            ran(subject, "loihi", episodes=1, output=tmp_path / "run", trace=tmp_path / "t.npz")
    finally:
        del gymnasium.registry["strl-test/Moody-v0"]


# Codecs that do not fit


@pytest.mark.parametrize("backend", ["float", "loihi"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoder": {"kind": "argmax", "actions": 3}}, "3 out"),
        ({"decoder": {"kind": "tanh", "low": [0, 0], "high": [1, 1], "shape": [2]}}, "takes an integer"),
        ({"environment": EnvironmentSpec(id="", observation_shape=(5,), actions=2)}, r"shape \(5,\)"),
    ],
)
def test_a_codec_that_does_not_fit_is_refused(backend: str, changes: dict[str, Any], said: str) -> None:
    subject = PoleSubject(semantics=pole_semantics(**changes))
    with pytest.raises(ModelError, match=said):
        Entrant.of(subject, backend).agent(1)


# Stable-Baselines3


def test_predict_answers_as_stable_baselines_expects() -> None:
    with closing(ChipAgent(pole().program(), batch=3)) as agent:
        one, state = agent.predict(np.zeros(4))
        assert np.shape(one) == ()
        assert state is None
        many, _ = agent.predict(np.zeros((2, 4)), episode_start=np.array([True, True]))
        assert many.shape == (2,)
        assert (many == one).all()
        with pytest.raises(UsageError, match="4 observations, the agent has 3 slots"):
            agent.predict(np.zeros((4, 4)))
        with pytest.raises(UsageError, match="shape"):
            agent.predict(np.zeros(5))
        with pytest.raises(UsageError, match="arrays of numbers"):
            agent.predict({"eyes": np.zeros(4)})


def test_evaluate_policy_of_stable_baselines_accepts_an_agent() -> None:
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    for agent in (
        ChipAgent(pole(**CARRY).program(), batch=2),
        FloatAgent(pole_network(), pole_semantics(), 2),
    ):
        mean, _ = evaluate_policy(agent, make_vec_env(SHORT, n_envs=2, seed=0), n_eval_episodes=4)  # type: ignore[arg-type]
        assert mean == 12.0


# import strl


def test_the_facade_takes_names_and_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    import strl
    import strl.loop.api

    monkeypatch.setattr(strl.loop.api, "load", lambda name: {"pole": pole()}[name])
    assert strl.evaluate("pole", episodes=2).returns.tolist() == [12.0, 12.0]
    assert strl.evaluate(pole(), backend="float", episodes=1).backend == "float"
    assert strl.compare("pole", episodes=1).a.backend == "float"
    with closing(strl.agent("pole")) as agent:
        assert agent.predict(np.zeros(4))[0] in (0, 1)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = strl.lod


def test_importing_strl_loads_no_library() -> None:
    code = "import sys, strl; print({'numpy', 'torch', 'gymnasium'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
