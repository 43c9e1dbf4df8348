"""What runs programs: the protocol, and the door through which backends are found.

A backend is an entry point of the group ``strl.backends`` that names a zero-argument callable returning
a ``Backend``. Our own stand in ``hardware_sims``; nothing in strl imports them by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from strl.chip.program import Messages, Program
from strl.errors import BackendError
from strl.registry import suggest

SLOTS_MAX = 1 << 20
"""Most slots of a session, and of an agent."""
GROUP = "strl.backends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one decision of every slot left behind.

    Args:
        readout: int32 [batch, m], or [batch, ticks, m] of ``potential``; see ``ReadoutWindow``.
        raster: ``Program.message`` [batch, ticks, neurons], the messages sent (uint8, 1 where a neuron
            spiked; int32 where a population's are graded), populations side by side in the program's
            order, all ticks of the decision.
    """

    readout: NDArray[np.int32]
    raster: Messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Events of each slot since its last reset.

    Args:
        ticks: int64 [batch].
        spikes: int64 [batch, neurons], messages that are not 0.
        active: int64 [batch, populations], neuron updates with non-zero input or state (after a reset
            of the tick, before the update); 0 for sources and gates. ``None`` where the backend
            cannot know.
    """

    ticks: NDArray[np.int64]
    spikes: NDArray[np.int64]
    active: NDArray[np.int64] | None


class Session(Protocol):
    """A program loaded into ``batch`` independent slots."""

    program: Program
    batch: int

    def reset(self, slots: Sequence[int] | None = None) -> None:
        """Begin an episode in the given slots (default all): all state cleared, counts zero."""

    def run(self, spikes: Messages) -> Decision:
        """One decision: ``spikes`` [T, batch, inputs] of type ``Program.message``, sources side by side."""

    def counts(self) -> Counts:
        """Events since each slot's reset."""

    def close(self) -> None:
        """Give back what is held; may be called twice."""


class Backend(Protocol):
    """Something that runs programs."""

    name: str

    def load(self, program: Program, *, batch: int = 1) -> Session:
        """A fresh session.

        Raises:
            BackendError: the program or batch is not one this backend can run; says why.
        """


def require_lava(program: Program, name: str) -> None:
    """For a backend that has only arithmetic ``lava``: raises BackendError where the program has another."""
    if program.arithmetic != "lava":
        raise BackendError(
            f"backend {name!r}: computes in arithmetic 'lava', the program is for {program.arithmetic!r}",
            hint="use --backend loihi or definition",
        )


def backends() -> tuple[str, ...]:
    """Names of the backends that are installed (installed, not necessarily usable)."""
    return tuple(sorted(e.name for e in entry_points(group=GROUP)))


def backend(name: str) -> Backend:
    """The backend of that name.

    Raises:
        BackendError: none has that name, or what it needs is missing.
    """
    found = [e for e in entry_points(group=GROUP) if e.name == name]
    if not found:
        raise BackendError(f"there is no backend {name!r}", hint=suggest(name, backends()))
    try:
        made: Backend = found[0].load()()
    except ImportError as error:
        raise BackendError(f"backend {name!r} cannot be loaded: {error}", hint="run `strl doctor`") from error
    return made
