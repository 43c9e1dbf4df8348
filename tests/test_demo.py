"""strl demo, small: the whole way, twice, the second time from what the first left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strl.cli.main import main
from strl.errors import BackendError
from strl.loop import evaluate as loop


def demo(folder: Path, *more: str) -> int:
    return main(["demo", "cartpole-mlp", "--episodes", "3", "-o", str(folder), *more])


def test_the_demo_goes_the_whole_way_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path, "--lava-episodes", "0", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    (row,) = said["policies"]
    assert row["env"] == "CartPole-v1"
    assert row["episodes"] == 3
    assert row["chip_iqm"] >= 0.99 * row["float_iqm"]
    assert row["core_j"] > 0
    report = Path(said["report"])
    assert report.is_relative_to(tmp_path)
    assert "Spikes" in report.read_text("utf-8")
    assert (tmp_path / "cartpole-mlp" / "bundle" / "manifest.json").exists()

    played = (tmp_path / "cartpole-mlp" / "compare" / "b" / "episodes.jsonl").read_bytes()
    assert demo(tmp_path, "--lava-episodes", "0") == 0
    captured = capsys.readouterr()
    assert "cartpole-mlp" in captured.out
    assert str(report) in captured.out
    assert (tmp_path / "cartpole-mlp" / "compare" / "b" / "episodes.jsonl").read_bytes() == played


def test_without_lava_the_rest_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = loop.Entrant.agent

    def without_lava(self: loop.Entrant, batch: int) -> object:
        if self.backend.startswith("lava"):
            raise BackendError("lava-nc is not installed", hint="run `strl doctor`")
        return usual(self, batch)

    monkeypatch.setattr(loop.Entrant, "agent", without_lava)
    assert demo(tmp_path) == 0
    captured = capsys.readouterr()
    assert "lava did not run: lava-nc is not installed" in captured.err
    assert "not run" in captured.out


def test_an_unknown_policy_is_a_model_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "cartpole-mpl", "-o", str(tmp_path)]) == 3
    assert "cartpole-mlp" in capsys.readouterr().err
