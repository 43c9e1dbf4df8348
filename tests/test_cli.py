"""The command line as such: help, wrong commands, errors, interruption; nothing heavy is imported early."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from strl.cli.main import COMMANDS, main
from strl.errors import (
    BackendError,
    BundleError,
    ChipError,
    EnvironmentFault,
    ModelError,
    StrlError,
    ToleranceExceeded,
    UsageError,
)

HEAVY = ("torch", "numpy", "gymnasium", "numba", "plotly", "lava", "scipy", "snntorch", "nir")


def doing(monkeypatch: pytest.MonkeyPatch, work: Callable[[], int]) -> None:
    """``strl targets`` does ``work``."""
    module = ModuleType("strl.cli.targets")
    module.add = lambda parser: None  # type: ignore[attr-defined]
    module.run = lambda args: work()  # type: ignore[attr-defined]
    monkeypatch.setattr(importlib, "import_module", lambda name: module)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"strl {command}" in said
    assert "--json" in said


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"    {name} " in said for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["doctor", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """`strl --help` is instant because of this; ``benchmarks`` measures how instant."""
    code = (
        "import sys; from strl.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_command_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["comprae"]) == 2
    assert "did you mean 'compare'?" in capsys.readouterr().err


def test_no_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StrlError, 1),
        (UsageError, 2),
        (ModelError, 3),
        (ChipError, 4),
        (BundleError, 5),
        (BackendError, 6),
        (EnvironmentFault, 7),
        (ToleranceExceeded, 8),
    ],
)
def test_each_error_has_its_exit_code_and_shows_its_hint(
    error: type[StrlError],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> int:
        raise error("lif1: value 3, limit 2", hint="make it smaller")

    doing(monkeypatch, fail)
    assert main(["targets"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "strl: lif1: value 3, limit 2\n  hint: make it smaller\n"


def test_interruption_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    doing(monkeypatch, interrupt)
    assert main(["targets"]) == 130


def test_a_full_disk_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fill() -> int:
        raise OSError(28, "No space left on device", "run.json")

    doing(monkeypatch, fill)
    assert main(["targets"]) == 1
    assert "run.json: No space left on device" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet() -> None:
    """What ``strl targets | head -0`` does."""
    code = "import os; os.close(0); from strl.cli import main; raise SystemExit(main(['targets', '--json']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        complaint = process.stderr.read()
    assert "Traceback" not in complaint
    assert "Exception ignored" not in complaint
