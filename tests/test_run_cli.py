"""strl run and strl compare: what they print, and the exit code of everything that goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from strl.cli.main import main
from strl.errors import ModelError
from strl.ir import EnvironmentSpec
from strl.testing.policies import PoleSubject, pole_network, pole_semantics

SHORT = "strl-test/CliPole-v0"
BROKEN = "strl-test/CliBroken-v0"
STOPPED = "strl-test/CliStopped-v0"


class Failing(CartPoleEnv):
    """Raises at the second step of the episode with seed 2."""

    error: type[BaseException] = RuntimeError

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.seed, self.count = seed, 0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        self.count += 1
        if self.seed == 2 and self.count == 2:
            raise self.error("it broke")
        observation, reward, _, _, info = super().step(action)
        return observation, reward, self.count == 3, False, info


class Stopped(Failing):
    error = KeyboardInterrupt


@pytest.fixture(autouse=True)
def worlds(monkeypatch: pytest.MonkeyPatch) -> Any:
    gymnasium.register(SHORT, entry_point=CartPoleEnv, max_episode_steps=8)
    gymnasium.register(BROKEN, entry_point=Failing)
    gymnasium.register(STOPPED, entry_point=Stopped)
    monkeypatch.setattr("strl.loop.subject.resolve", resolve)
    yield
    for name in (SHORT, BROKEN, STOPPED):
        del gymnasium.registry[name]


def resolve(name: str) -> PoleSubject:
    spec = EnvironmentSpec(id=SHORT, observation_shape=(4,), actions=2)
    if name == "other":
        return PoleSubject(name=name, network=pole_network(5), semantics=pole_semantics(environment=spec))
    if name != "pole":
        raise ModelError(f"there is no policy {name!r}")
    return PoleSubject(semantics=pole_semantics(environment=spec))


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, Any]:
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_run_prints_what_the_design_lists(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "run", "pole", "--episodes", "3", "--seed", "5")
    assert found["backend"] == "loihi"
    assert found["chip"] == "loihi1"
    assert found["env"] == SHORT
    assert found["seed"] == 5
    assert [e["seed"] for e in found["episodes"]] == [5, 6, 7]
    assert found["episodes"][0].keys() == {"seed", "return", "length", "digest"}
    assert found["return"]["iqm"] == found["return"]["mean"] == 8.0
    assert found["return"]["std"] == 0.0
    assert found["return"]["ci95"] == [8.0, 8.0]
    assert found["decisions"] == 24
    assert found["ticks_per_decision"] == 10
    assert found["ticks"] == 240
    assert found["wall_s"] > 0
    assert found["decisions_per_s"] > 0
    assert {"synaptic_ops", "neuron_updates", "spikes", "packets"} <= found["activity"].keys()
    assert found["energy"]["per_decision_j"].keys() == {"core", "noc", "static", "host"}
    assert len(found["energy"]["band_j"]) == 2
    assert set(found["rates"]) >= {"lif1", "lif2"}
    assert len(found["digest"]) == 64


def test_what_a_float_run_does_not_know_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "run", "pole", "--episodes", "1", "--backend", "float")
    assert found["chip"] is None
    assert found["activity"] is None
    assert found["energy"] is None
    assert found["return"]["ci95"] is None


def test_run_in_prose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "pole", "--episodes", "2"]) == 0
    out, err = capsys.readouterr()
    assert f"pole in {SHORT}, loihi1 on loihi: 2 episodes from seed 0" in out
    assert "IQM 8" in out
    assert "loihi1-silicon" in out
    assert "gate" not in out
    assert err == ""


def test_batch_and_backend_have_no_influence(capsys: pytest.CaptureFixture[str]) -> None:
    digests = {
        printed(capsys, "run", "pole", "--episodes", "4", *options)["digest"]
        for options in ((), ("--batch", "1"), ("--batch", "3"), ("--backend", "definition"))
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["run", "nothing"], 3, "there is no policy 'nothing'"),
        (["run", "pole", "--env", "Acrobot-v1"], 7, "(6,)"),
        (["run", "pole", "--env", "CartPol-v1"], 7, "did you mean 'CartPole-v1'?"),
        (["run", "pole", "--backend", "lohi"], 6, "did you mean 'loihi'?"),
        (["run", "pole", "--batch", "0"], 2, "batch = 0"),
        (["run", "pole", "--episodes", "0"], 2, "episodes = 0"),
        (
            ["run", "pole", "--env", BROKEN],
            7,
            "seed 2, step 1: the environment raised RuntimeError: it broke",
        ),
        (["compare", "pole", "nothing"], 3, "there is no policy"),
        (["compare", "pole", "--env", "Acrobot-v1"], 7, "(6,)"),
        (["compare", "pole", "--tolerance", "-1"], 2, "tolerance = -1"),
    ],
)
def test_bad_input_has_its_exit_code(
    command: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "command", [["run"], ["run", "pole", "--episodes", "many"], ["run", "pole", "--wat"]]
)
def test_bad_usage_exits_with_2(command: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 2


def test_ctrl_c_keeps_finished_episodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    command = ["run", "pole", "--env", STOPPED, "--batch", "1", "-o", str(folder)]
    assert main(command) == 130
    err = capsys.readouterr().err
    assert f"finished episodes are kept in {folder}; the same command continues" in err
    assert "interrupted" in err
    assert len((folder / "episodes.jsonl").read_text().splitlines()) == 2


def test_a_fault_keeps_finished_episodes(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert main(["run", "pole", "--env", BROKEN, "--batch", "1", "-o", str(folder)]) == 7
    assert len((folder / "episodes.jsonl").read_text().splitlines()) == 2


def test_a_run_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    printed(capsys, "run", "pole", "--episodes", "2", "-o", folder)
    found = printed(capsys, "run", "pole", "--episodes", "4", "-o", folder)
    assert found["digest"] == printed(capsys, "run", "pole", "--episodes", "4")["digest"]
    assert main(["run", "pole", "--seed", "9", "-o", folder]) == 2


def test_a_run_that_cannot_begin_leaves_no_directory(tmp_path: Path) -> None:
    for option in (["--backend", "lohi"], ["--env", "Acrobot-v1"], ["--batch", "0"]):
        assert main(["run", "pole", "-o", str(tmp_path / "run"), *option]) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", "pole", "-o", str(tmp_path / "file" / "run")]) == 1
    assert "file" in capsys.readouterr().err


def test_compare_prints_both_runs(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "compare", "pole", "--episodes", "3")
    assert found["a"]["backend"] == "float"
    assert found["b"]["backend"] == "loihi"
    assert found["action_agreement"] > 0.8
    assert found["equivalent"] is True
    assert main(["compare", "pole", "--episodes", "3", "--backend-a", "definition"]) == 0
    assert "100.000% of 24 decisions agree" in capsys.readouterr().out


def test_beyond_its_tolerance_the_report_is_printed_and_the_code_is_8(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("strl.loop.compare.Comparison.iqm_difference", property(lambda _: -3.0))
    assert main(["compare", "pole", "other", "--episodes", "2", "--tolerance", "0.1", "--json"]) == 8
    out, err = capsys.readouterr()
    assert json.loads(out)["equivalent"] is False
    assert "tolerance" in err
    assert main(["compare", "pole", "other", "--episodes", "2", "--json"]) == 0  # none was asked for
    assert main(["compare", "pole", "other", "--episodes", "2", "--tolerance", "0.5"]) == 0
