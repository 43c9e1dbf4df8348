"""Everything a backend promises, checked against the definition.

``check_backend`` raises AssertionError with the seed and the first thing that differs, which any test runner
shows. The promises are those of ``strl.chip.backend``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.chip.backend import Backend, Counts, Decision, Session, backend
from strl.chip.program import Messages, Program
from strl.errors import BackendError
from strl.testing.programs import random_program, random_spikes

DECISIONS = 3


def check_backend(
    tested: Backend,
    *,
    seeds: Sequence[int] = range(20),
    batch: int = 3,
    make: Callable[[int], Program] = random_program,
) -> None:
    """Hold a backend to the definition and to its contract.

    Args:
        tested: the backend.
        seeds: of the random programs; each is run for a few decisions.
        batch: slots of the sessions, at least 1.
        make: seed → program, for a backend that runs only some; default ``random_program``.

    Raises:
        AssertionError: a promise that does not hold, with the seed and what differs.
    """
    assert isinstance(tested.name, str), f"a backend's name is a string, not {tested.name!r}"
    for seed in seeds:
        program = make(seed)
        check_program(tested, program, batch=batch, seed=seed)
    check_refusals(tested, make(seeds[0]))


def check_program(tested: Backend, program: Program, *, batch: int = 1, seed: int = 0) -> None:
    """Run a program on the backend and by the definition: decisions, a reset of one slot, one of all.

    Raises:
        AssertionError: what differs first.
    """
    ours = tested.load(program, batch=batch)
    theirs = backend("definition").load(program, batch=batch)
    try:
        assert (ours.program, ours.batch) == (program, batch), f"seed {seed}: program or batch is not its own"
        for number, slots in enumerate((None, [], [batch - 1], None)):
            if number:
                ours.reset(slots)
                theirs.reset(slots)
            for decision in range(DECISIONS):
                spikes = random_spikes(program, DECISIONS * number + decision + seed, batch=batch)
                where = f"seed {seed}, decision {decision} after reset({slots})"
                before = spikes.copy()
                compare_decisions(ours.run(spikes), theirs.run(spikes), program, where)
                assert np.array_equal(spikes, before), f"{where}: the input was written to"
                compare_counts(ours.counts(), theirs.counts(), where)
    finally:
        ours.close()
        ours.close()


def compare_decisions(ours: Decision, theirs: Decision, program: Program, where: str) -> None:
    """AssertionError where two decisions differ; names the population and the tick."""
    for name in ("readout", "raster"):
        mine, reference = getattr(ours, name), getattr(theirs, name)
        assert mine.dtype == reference.dtype, f"{where}: {name} is {mine.dtype}, must be {reference.dtype}"
        assert mine.shape == reference.shape, f"{where}: {name} is {mine.shape}, must be {reference.shape}"
    different = np.argwhere(ours.raster != theirs.raster)
    if different.size:
        slot, tick, column = different[np.argsort(different[:, 1], kind="stable")[0]].tolist()
        found = next(n for n, s in program.slices.items() if s.start <= column < s.stop)
        raise AssertionError(
            f"{where}: {len(different)} spikes differ, the first at tick {tick} of slot {slot} in {found!r}"
        )
    assert np.array_equal(ours.readout, theirs.readout), (
        f"{where}: readout is {ours.readout.tolist()}, must be {theirs.readout.tolist()}"
    )


def compare_counts(ours: Counts, theirs: Counts, where: str) -> None:
    """AssertionError where counts differ; ``active`` may be unknown to a backend."""
    for name in ("ticks", "spikes", "active"):
        mine, reference = getattr(ours, name), getattr(theirs, name)
        if mine is None and name == "active":
            continue
        assert mine.dtype == reference.dtype, f"{where}: {name} is {mine.dtype}, must be {reference.dtype}"
        assert np.array_equal(mine, reference), (
            f"{where}: counts of {name} are {mine.tolist()}, must be {reference.tolist()}"
        )


def check_refusals(tested: Backend, program: Program) -> None:
    """Bad input ends in BackendError and leaves a session as it was.

    Raises:
        AssertionError: something was accepted, or refused by another error.
    """
    for batch in (0, -1):
        _refused(partial(tested.load, program, batch=batch), f"batch = {batch}")
    session = tested.load(program, batch=1)
    reference = backend("definition").load(program, batch=1)
    try:
        good = random_spikes(program, 1, batch=1)
        wrong: list[tuple[NDArray[Any], str]] = [
            (good[:, :, :-1], "one input too few"),
            (good[:-1], "one tick too few"),
            (np.concatenate([good, good], axis=1), "two slots for one"),
            (good[0], "no tick axis"),
            *((good.astype(kind), kind) for kind in ("float64", "int64")),
            (np.full_like(good, 2), "a spike of 2"),
        ]
        for bad, what in wrong:
            _refused(partial(session.run, bad), what)
        for slots in ([1], [-1]):
            _refused(partial(session.reset, slots), f"reset({slots}) of one slot")
        good.flags.writeable = False
        _same_after(session, reference, program, good)
        _same_after(session, reference, program, np.asfortranarray(good))
    finally:
        session.close()


def _same_after(session: Session, reference: Session, program: Program, spikes: Messages) -> None:
    compare_decisions(session.run(spikes), reference.run(spikes), program, "after refusals")
    compare_counts(session.counts(), reference.counts(), "after refusals")


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except BackendError:
        return
    raise AssertionError(f"{what}: accepted, must be a BackendError")
