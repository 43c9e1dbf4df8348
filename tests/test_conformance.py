"""Every backend of ours keeps every promise; Lava's are held to them in ``lava/test_conformance.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hardware_sims.loihi import DefinitionBackend
from hardware_sims.loihi.definition import DefinitionSession
from strl.chip import Decision, Program, backend
from strl.testing import check_backend

BACKENDS = ("definition", "loihi")


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", BACKENDS)
def test_backend(name: str, batch: int) -> None:
    check_backend(backend(name), batch=batch)


class Broken(DefinitionBackend):
    """A backend that breaks one promise."""

    def __init__(self, promise: str) -> None:
        self.promise = promise

    def load(self, program: Program, *, batch: int = 1) -> BrokenSession:
        if self.promise == "batch":
            batch = max(batch, 1)
        return BrokenSession(program, batch, self.promise)


class BrokenSession(DefinitionSession):
    def __init__(self, program: Program, batch: int, promise: str) -> None:
        super().__init__(program, batch)
        self.promise = promise

    def run(self, spikes: np.ndarray) -> Decision:
        if self.promise == "dtype":
            spikes = np.asarray(spikes).astype(np.uint8)
        decision = super().run(spikes)
        if self.promise == "raster":
            decision.raster[0, -1, -1] ^= 1
        if self.promise == "input":
            spikes ^= 1
        if self.promise == "readout":
            return replace(decision, readout=decision.readout + 1)
        return decision

    def reset(self, slots: Sequence[int] | None = None) -> None:
        super().reset(None if self.promise == "reset" else slots)


@pytest.mark.parametrize("promise", ["batch", "dtype", "raster", "input", "readout", "reset"])
def test_a_broken_promise_is_noticed(promise: str) -> None:
    with pytest.raises(AssertionError):
        check_backend(Broken(promise))
