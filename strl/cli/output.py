"""Where the command line prints: one JSON object or prose on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def emit(value: Any) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def say(text: str = "") -> None:
    """A line of result on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line about progress on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
