"""The kernel as a backend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hardware_sims.loihi.inputs import within_memory
from strl.chip.program import Program
from strl.errors import BackendError

if TYPE_CHECKING:
    from hardware_sims.loihi.session import LoihiSession

THREADS = "STRL_THREADS"
"""Environment variable: threads of a session, where ``LoihiBackend`` is not told."""


class LoihiBackend:
    """The Loihi simulator to use: the kernel.

    Args:
        threads: at most so many; small batches are run by fewer. Default: the environment variable
            ``STRL_THREADS``, else the machine's cores.
    """

    name = "loihi"

    def __init__(self, threads: int | None = None) -> None:
        self.threads = _threads() if threads is None else threads
        if self.threads < 1:
            raise BackendError(f"threads = {self.threads}, must be at least 1")

    def load(self, program: Program, *, batch: int = 1) -> LoihiSession:
        # numba and the compiled kernel take a while to load: only who runs something waits for them.
        from hardware_sims.loihi.session import LoihiSession

        with within_memory(self.name, batch):
            return LoihiSession(program, batch, threads=self.threads)


def _threads() -> int:
    given = os.environ.get(THREADS, "")
    if not given:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not (given.isascii() and given.isdecimal() and int(given)):
        raise BackendError(f"{THREADS} = {given!r}, must be a whole number of at least 1")
    return int(given)
