"""The doctor: sound parts are ok, a broken one is named with what mends it, a hung backend is ended."""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from strl import doctor
from strl.cli.main import main
from strl.doctor import Check


def by_part(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {c.part: c for c in checks}


def test_this_installation_has_what_is_needed() -> None:
    found = by_part((doctor._python(), *doctor._packages(), *doctor._environments()))
    assert [c for c in found.values() if c.status != "ok" and c.needed] == []
    assert {"torch", "snntorch", "CartPole-v1", "lava-nc"} <= set(found)


def test_a_package_too_old_and_one_that_is_missing_are_told_apart() -> None:
    old = doctor._package(Requirement("numpy>=99"), "pip install numpy", needed=True)
    assert old.status == "problem"
    assert ">=99" in old.found
    gone = doctor._package(Requirement("no-such-thing-at-all"), "pip install it", needed=True)
    assert (gone.status, gone.mend) == ("missing", "pip install it")


def test_without_a_needed_package_only_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["no-such-thing-at-all>=1"])
    checks = tuple(doctor.examine())
    assert [c.part for c in checks] == ["Python", "no-such-thing-at-all", "lava-nc"]
    assert checks[1].mend == f"{doctor.PIP} 'no-such-thing-at-all>=1'"
    assert doctor.exit_code(checks) == 1


def test_a_second_strl_on_the_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exporters").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    found = by_part(tuple(doctor._shadows()))
    assert found["package strl"].status == "ok"
    assert found["package exporters"].status == "problem"
    assert str(tmp_path / "exporters") in found["package exporters"].mend


@pytest.mark.parametrize(
    ("status", "needed", "backend", "code"),
    [
        ("ok", True, True, 0),
        ("missing", False, False, 0),
        ("missing", False, True, 0),
        ("missing", True, False, 1),
        ("problem", False, True, 6),
    ],
)
def test_exit_codes(status: doctor.Status, needed: bool, backend: bool, code: int) -> None:
    check = Check(part="p", status=status, found="", needed=needed, backend=backend)
    assert doctor.exit_code((check,)) == code


def test_the_kernel_gives_the_spikes_of_the_definition() -> None:
    truth, kernel = doctor._probed("definition"), doctor._probed("loihi")
    assert truth.error == kernel.error == ""
    assert truth.digest == kernel.digest != ""


def test_an_unknown_backend_is_an_answer_not_a_crash() -> None:
    answer = doctor._probed("loihy")
    assert "no backend 'loihy'" in answer.error
    assert not answer.missing


def test_a_backend_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hanging = tmp_path / "python"
    hanging.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hanging))
    started = time.monotonic()
    answer = doctor._probed("loihi", seconds=1.0)
    assert "no answer within 1 s" in answer.error
    assert time.monotonic() - started < 30
    child = int((tmp_path / "child").read_text())
    assert _gone(child)


def test_json_is_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Check(part="backend x", status="problem", found="fails", mend="mend it", needed=False, backend=True)
    monkeypatch.setattr(doctor, "examine", lambda: iter((bad,)))
    assert main(["doctor", "--json"]) == 6
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert said["checks"][0]["mend"] == "mend it"


def test_prose_names_the_command_that_mends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Check(part="torch", status="missing", found="not installed", mend="pip install 'torch==2.13.0'")
    monkeypatch.setattr(doctor, "examine", lambda: iter((bad,)))
    assert main(["doctor"]) == 1
    assert "mend: pip install 'torch==2.13.0'" in capsys.readouterr().out


def _gone(process: int) -> bool:
    """Ended within five seconds (a zombie that init has not reaped yet has ended too)."""
    for _ in range(50):
        try:
            os.kill(process, 0)
            state = Path(f"/proc/{process}/stat")
            if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.1)
    return False
