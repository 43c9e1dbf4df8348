"""A ``.net`` file, read back, built as lava-dl does, in Lava's own processes: the program's digest."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from exporters.netx import NetxExporter
from exporters.netx.layers import decode, encode
from exporters.netx.lift import as_loaded
from exporters.netx.lower import lower
from hardware_sims.lava import LavaBackend
from hardware_sims.loihi import LoihiBackend
from strl.chip import Backend, Program
from strl.chip.backend import Decision
from strl.loop.subject import resolve
from strl.testing import random_spikes

pytestmark = pytest.mark.lava


def decisions(backend: Backend, program: Program, inputs: Program) -> Iterable[Decision]:
    with closing(backend.load(program)) as session:
        for number in range(6):
            yield session.run(random_spikes(inputs, number, batch=1))


def digest(found: Iterable[Decision], columns: NDArray[np.int64] | slice) -> str:
    hasher = hashlib.sha256()
    for decision in found:
        raster = np.ascontiguousarray(decision.raster[..., columns])
        assert raster.any()
        hasher.update(raster.tobytes() + decision.readout.tobytes())
    return hasher.hexdigest()


PROGRAMS: dict[str, Callable[[int], Program]] = runpy.run_path(
    str(Path(__file__).parents[1] / "test_netx.py")
)["PROGRAMS"]
"""Those that need no Lava are tried with these; what they are in Lava is tried here."""


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_kind_of_layer_has_its_digest_in_lava(name: str) -> None:
    program = PROGRAMS[name](2)
    lowered = lower(program)
    assert decode(encode(lowered.net), name) == lowered.net
    built, columns = as_loaded(lowered, program)
    ours = digest(decisions(LoihiBackend(), program, program), slice(None))
    assert digest(decisions(LavaBackend(), built, program), columns) == ours


@pytest.mark.parametrize("name", ["cartpole-mlp", "acrobot-mlp"])
def test_a_policys_file_has_its_digest_in_lava(name: str, tmp_path: Path) -> None:
    subject, path = resolve(name), tmp_path / "p.net"
    program = subject.program("loihi1-netx")
    NetxExporter().export(replace(subject.artefact, compiled=subject.compiled("loihi1-netx")), path)
    read = NetxExporter().load(path).compiled
    assert read is not None
    lowered = lower(read.program)
    assert lowered.net == decode(path.read_bytes(), str(path))
    built, columns = as_loaded(lowered, read.program)
    ours = digest(decisions(LoihiBackend(), program, program), slice(None))
    assert digest(decisions(LavaBackend(), built, program), columns) == ours
    assert digest(decisions(LoihiBackend(), built, program), columns) == ours
