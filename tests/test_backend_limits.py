"""What no backend takes: too many slots, more than memory holds, a read-out of what is not there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from strl.chip.backend import backend
from strl.errors import BackendError, ChipError
from strl.quantize.neurons import Source
from strl.testing.policies import PoleSubject

BACKENDS = ["definition", "loihi", "torch"]
BUILDS = {
    "definition": "hardware_sims.loihi.definition.DefinitionSession",
    "loihi": "hardware_sims.loihi.session.LoihiSession",
    "torch": "hardware_sims.torch.session.TorchSession",
}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("batch", [0, -1, 2**20 + 1, 2**40, 1.0, True, None])
def test_a_number_of_slots_that_cannot_be(name: str, batch: Any) -> None:
    with pytest.raises(BackendError, match=rf"batch = {batch}, must be a whole number of 1 to 1048576"):
        backend(name).load(PoleSubject().program(), batch=batch)
    assert backend(name).load(PoleSubject().program(), batch=int(np.int64(2))) is not None


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("definition", MemoryError("Unable to allocate 8.00 TiB")),
        ("loihi", MemoryError()),
        ("torch", RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")),
        ("torch", torch.OutOfMemoryError("CUDA out of memory")),
    ],
)
def test_memory_that_does_not_suffice_names_the_batch(
    name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise error

    backend(name).load(PoleSubject().program())
    monkeypatch.setattr(BUILDS[name], full)
    with pytest.raises(BackendError, match=f"backend '{name}': 700000 slots do not fit the memory"):
        backend(name).load(PoleSubject().program(), batch=700_000)


def test_another_fault_of_torch_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(BUILDS["torch"], broken)
    with pytest.raises(RuntimeError, match="ours"):
        backend("torch").load(PoleSubject().program())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": -3, "stop": 2}, "its read-out is -3..2"),
        ({"start": 5, "stop": 2}, "its read-out is 5..2"),
        ({"stop": 10_000}, "10000"),
        ({"population": "nobody"}, "no population 'nobody'"),
        ({"population": "source", "kind": "membrane"}, "'.*' has no membrane"),
        ({"population": "source", "kind": "potential"}, "'.*' has no membrane"),
    ],
)
def test_a_read_out_of_what_is_not_there_is_no_program(changes: dict[str, Any], said: str) -> None:
    """So that no backend need look: they would differ."""
    program = PoleSubject().program()
    source = next(p.name for p in program.populations if isinstance(p.kind, Source))
    if changes.get("population") == "source":
        changes = {**changes, "population": source}
    with pytest.raises(ChipError, match=said):
        replace(program, readout=replace(program.readout, **changes))
