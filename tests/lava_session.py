"""Run the tests that need lava-nc, each file in a session of its own with a hard time limit.

Lava starts many processes; should a test of what happens when they fail fail itself, whatever it left is
ended with the session, and nothing can hang. ``make test`` runs this, and ``python tests/lava_session.py``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

LIMIT_S = 240.0
FOLDER = Path(__file__).parent / "lava"
NO_TESTS = 5  # pytest's exit code


def main(arguments: list[str]) -> int:
    """Arguments are handed to pytest; 0 when every file passed."""
    failed = [f.name for f in sorted(FOLDER.glob("test_*.py")) if not passes(f, arguments)]
    if failed:
        sys.stderr.write(f"failed: {', '.join(failed)}\n")
    return int(bool(failed))


def passes(file: Path, arguments: list[str]) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "lava", str(file), *arguments]
    with subprocess.Popen(command, cwd=FOLDER.parents[1], start_new_session=True) as process:
        try:
            return process.wait(LIMIT_S) in (0, NO_TESTS)
        except subprocess.TimeoutExpired:
            sys.stderr.write(f"{file.name}: not done within {LIMIT_S:g} s\n")
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
