"""A backend that runs programs in both arithmetics, and stops where the chip would behave differently.

The program runs as it is; beside it the kernel runs it in ``loihi1``, with the same input. Where it is proved
that both do the same (``overflow.risks``), the second run is left out. Messages and read-outs are compared in
every decision. At the first difference the episode of that slot is played again by the definition in both
arithmetics, tick by tick, to find what it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from strl.chip.backend import Backend, Counts, Decision, Session, backend
from strl.chip.overflow import SUM_MAX, SUM_MIN, risks
from strl.chip.program import Messages, Program
from strl.errors import ChipError

BESIDE = "loihi"
"""The backend that runs the second program."""


def published(program: Program) -> Program:
    """The program in ``loihi1``, what is published of a chip.

    Raises:
        ChipError: of its chip only Lava's arithmetic is, or of some population or synapse.
    """
    if "loihi1" not in program.chip.arithmetics:
        raise ChipError(
            f"{program.chip.name}: has no arithmetic 'loihi1', and whether the chip computes as Lava does is "
            "not published: nothing can be proved of it",
            hint="leave --strict out, or export for --chip loihi1",
        )
    return replace(program, arithmetic="loihi1")


class StrictBackend:
    """Wraps a backend; programs that are in ``loihi1`` already, or are proved the same in it, run alone."""

    def __init__(self, inner: Backend) -> None:
        self.name = inner.name
        self._inner = inner

    def load(self, program: Program, *, batch: int = 1) -> Session:
        """As the backend itself, and besides:

        Raises:
            ChipError: the chip cannot be given the program, or only Lava's arithmetic is published of it.
        """
        if program.arithmetic == "loihi1":
            return self._inner.load(program, batch=batch)
        on_chip = published(program)
        session = self._inner.load(program, batch=batch)
        return StrictSession(session, on_chip) if risks(program) else session


class StrictSession:
    """A session, and the same program in ``loihi1`` beside it; answers ``strl.chip.backend.Session``.

    ``run`` raises ChipError at the first message or read-out that differs, with the population, neuron,
    decision and tick of the cause, and by how much it differs.
    """

    def __init__(self, session: Session, on_chip: Program) -> None:
        self.program = session.program
        self.batch = session.batch
        self._session = session
        self._beside = backend(BESIDE).load(on_chip, batch=session.batch)
        self._inputs: list[list[NDArray[np.uint8]]] = [[] for _ in range(session.batch)]  # packed, by slot

    def reset(self, slots: Sequence[int] | None = None) -> None:
        self._session.reset(slots)
        self._beside.reset(slots)
        for slot in range(self.batch) if slots is None else slots:
            self._inputs[slot] = []

    def run(self, spikes: Messages) -> Decision:
        packed = np.packbits(spikes.astype(bool), axis=-1)
        for slot, inputs in enumerate(self._inputs):
            inputs.append(packed[:, slot])
        decision, beside = self._session.run(spikes), self._beside.run(spikes)
        differs = (decision.raster != beside.raster).any(axis=(1, 2))
        differs |= (decision.readout != beside.readout).reshape(self.batch, -1).any(axis=1)
        if differs.any():
            slot = int(np.argmax(differs))
            raise _difference(self.program, self._beside.program, slot, self._inputs[slot], spikes.shape[-1])
        return decision

    def counts(self) -> Counts:
        return self._session.counts()

    def close(self) -> None:
        self._session.close()
        self._beside.close()


class _Tick(NamedTuple):
    """A tick of both runs, the first of each pair in ``lava``.

    ``sums`` by population and port, ``u`` by population, and ``sent`` are all [n].
    """

    decision: int
    tick: int
    sums: dict[tuple[str, int], tuple[NDArray[Any], NDArray[Any]]]
    u: dict[str, tuple[NDArray[Any], NDArray[Any]]]
    sent: tuple[NDArray[Any], NDArray[Any]]


def _difference(
    program: Program, on_chip: Program, slot: int, inputs: list[NDArray[np.uint8]], width: int
) -> ChipError:
    """What the difference in the last of these decisions came from."""
    cause = effect = ""
    for now in _replayed(program, on_chip, inputs, width):
        when = f"decision {now.decision}, tick {now.tick}"
        cause = cause or _cause(now, when)
        different = np.flatnonzero(now.sent[0] != now.sent[1])
        if different.size:
            effect = f"{_place(program, int(different[0]))} first spikes differently in {when}"
            break
    else:
        effect = f"the read-out of {program.readout.population} differs in decision {len(inputs) - 1}"
        cause = cause or "a membrane is read right after a spike, when a probe reads 128"
    message = f"on {program.chip.name} slot {slot} would behave differently: "
    return ChipError(
        message + "; ".join(part for part in (cause, effect) if part),
        hint="export it again with fewer weights a neuron or smaller ones; `strl inspect` shows every bound",
    )


def _replayed(
    program: Program, on_chip: Program, inputs: list[NDArray[np.uint8]], width: int
) -> Iterator[_Tick]:
    # The definition can be run tick by tick, and shows what arrived in each.
    plain, chip = (backend("definition").load(p) for p in (program, on_chip))
    runs: tuple[Any, Any] = (plain, chip)
    for decision, packed in enumerate(inputs):
        spikes = np.unpackbits(packed, axis=-1, count=width)[:, None]
        for tick in range(program.schedule.total):
            driven = spikes[tick] if tick < program.schedule.ticks else np.zeros_like(spikes[0])
            sent = [run.tick(tick, driven)[0] for run in runs]
            yield _Tick(
                decision=decision,
                tick=tick,
                sums={k: (a[0], runs[1].sums[k][0]) for k, a in runs[0].sums.items()},
                u={k: (u[0], runs[1].u[k][0]) for k, u in runs[0].u.items()},
                sent=(sent[0], sent[1]),
            )


def _cause(now: _Tick, when: str) -> str:
    """The first sum or current of the tick that differs; empty where none does."""
    for (population, _), (plain, chip) in now.sums.items():
        different = np.flatnonzero(plain != chip)
        if different.size:
            n = int(different[0])
            a, kept = int(plain[n]), int(chip[n])
            why = (
                f"beyond 16 bits by {max(a - SUM_MAX, SUM_MIN - a)}"
                if not SUM_MIN <= a <= SUM_MAX
                else "where exponents act on each weight"
            )
            return f"the synaptic sum of {population}[{n}] is {a} in {when}, {why}: the chip keeps {kept}"
    for population, (plain, chip) in now.u.items():
        different = np.flatnonzero(plain != chip)
        if different.size:
            n = int(different[0])
            return f"u of {population}[{n}] wraps to {chip[n]} in {when}, not to {plain[n]}"
    return ""


def _place(program: Program, column: int) -> str:
    name = next(n for n, s in program.slices.items() if s.start <= column < s.stop)
    return f"{name}[{column - program.slices[name].start}]"
