"""What every session of ours refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.chip.backend import SLOTS_MAX
from strl.chip.program import Messages, Program
from strl.errors import BackendError
from strl.quantize.neurons import binary


def check_batch(batch: int) -> None:
    """Raises BackendError where a session cannot have that many slots."""
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or not 1 <= batch <= SLOTS_MAX:
        raise BackendError(f"batch = {batch!r}, must be a whole number of 1 to {SLOTS_MAX}")


@contextmanager
def within_memory(name: str, batch: int) -> Iterator[None]:
    """Says as BackendError that the memory does not suffice for so many slots of the backend ``name``."""
    try:
        yield
    except MemoryError as error:
        raise BackendError(
            f"backend {name!r}: {batch} slots do not fit the memory", hint="use fewer slots"
        ) from error


def input_shape(program: Program, batch: int) -> tuple[int, int, int]:
    """Shape of the spikes of one decision: (T, batch, inputs)."""
    return program.schedule.ticks, batch, sum(p.size for p in program.sources)


def check_shape(spikes: Messages, shape: tuple[int, int, int], message: type[Any] = np.uint8) -> None:
    """Raises BackendError unless ``spikes`` is an array of that shape and type."""
    if not isinstance(spikes, np.ndarray) or spikes.dtype != message:
        kind = getattr(spikes, "dtype", type(spikes).__name__)
        raise BackendError(f"input spikes are {kind}, must be a {message.__name__} array")
    if spikes.shape != shape:
        raise BackendError(
            f"input spikes have shape {spikes.shape}, must be [ticks, batch, inputs] = {shape}"
        )


def check_values(spikes: Messages, program: Program) -> None:
    """Raises BackendError where a source that is not graded is to send neither 0 nor 1."""
    column = 0
    for source in program.sources:
        here = spikes[..., column : column + source.size]
        column += source.size
        if binary(source.kind) and here.size and (here.max() > 1 or here.min() < 0):
            wrong = here.max() if here.max() > 1 else here.min()
            raise BackendError(
                f"input spikes of {source.name!r} have a value of {wrong}, must be 0 or 1",
                hint="Program.spikes makes spikes of an encoder's levels",
            )


def check_spikes(spikes: Messages, program: Program, batch: int) -> None:
    """Raises BackendError unless ``spikes`` are of one decision: [T, batch, inputs], see ``Session.run``."""
    check_shape(spikes, input_shape(program, batch), program.message)
    check_values(spikes, program)


def slot_indices(slots: Sequence[int] | None, batch: int) -> NDArray[np.int64]:
    """The slots as indices; ``None`` is all of them.

    Raises:
        BackendError: a slot that does not exist.
    """
    if slots is None:
        return np.arange(batch)
    indices = np.asarray(slots)
    if indices.size == 0:
        return np.zeros(0, np.int64)
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or indices.min() < 0 or indices.max() >= batch:
        raise BackendError(f"slots = {list(slots)!r:.80}, must be whole numbers in 0..{batch - 1}")
    return indices.astype(np.int64)
