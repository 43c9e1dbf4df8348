"""Everything strl refuses, as one tree.

    StrlError                       exit code 1
    ├── UsageError                  2    the command or call itself is wrong
    ├── ModelError                  3    a policy, module, checkpoint or NIR file
    ├── ChipError                   4    a network that the chip cannot hold or compute
    ├── BundleError                 5    a bundle that is damaged, stale or too new
    ├── BackendError                6    something that runs programs is missing or failed
    ├── EnvironmentFault            7    a Gymnasium environment, or its spaces
    └── ToleranceExceeded           8    a comparison beyond its tolerance

A message says where, which value and which limit; ``hint`` says what to do.
"""

from __future__ import annotations

from typing import ClassVar

INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT)."""


class StrlError(Exception):
    """Base of every error that strl raises on purpose.

    Args:
        message: where, value, limit; one sentence. What quotes others on several lines becomes one line.
        hint: what the user can do about it; one sentence, may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = " ".join(line.strip() for line in message.splitlines())
        super().__init__(self.message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UsageError(StrlError):
    exit_code = 2


class ModelError(StrlError):
    exit_code = 3


class ChipError(StrlError):
    exit_code = 4


class BundleError(StrlError):
    exit_code = 5


class BackendError(StrlError):
    exit_code = 6


class EnvironmentFault(StrlError):
    exit_code = 7


class ToleranceExceeded(StrlError):
    exit_code = 8
