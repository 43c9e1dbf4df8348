"""The host's end of a stock network: one Lava process that plays what it drives and records all others.

The only file of its folder, for Lava's compiler executes every module that it finds beside a process.
Import after ``compat.load()``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from numpy.typing import NDArray


def host(
    raster: NDArray[Any],
    driven: Sequence[slice],
    recorded: Sequence[slice],
    membrane: tuple[NDArray[np.int32], range] | None = None,
) -> Any:
    """A Lava process with the ports ``played_0``, … out and the ports ``heard_0``, … in.

    Args:
        raster: messages [ticks, neurons] in shared memory; tick t of the decision reads and writes row t.
        driven: the columns that are sent out, one slice a port.
        recorded: the columns that are written, one slice a port.
        membrane: where the RefPort ``potential`` writes what it reads after some ticks [ticks, n], and which.
    """
    return _classes(len(driven), len(recorded), membrane is not None)(raster, driven, recorded, membrane)


class _Host(AbstractProcess):  # type: ignore[misc]
    def __init__(self, raster: Any, driven: Any, recorded: Any, membrane: Any) -> None:
        super().__init__(raster=raster, driven=driven, recorded=recorded, membrane=membrane)
        for number, columns in enumerate(driven):
            setattr(self, played(number), OutPort(shape=(columns.stop - columns.start,)))
        for number, columns in enumerate(recorded):
            setattr(self, heard(number), InPort(shape=(columns.stop - columns.start,)))
        if membrane:
            self.potential = RefPort(shape=membrane[0].shape[1:])


class _HostModel(PyLoihiProcessModel):  # type: ignore[misc]
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._raster = proc_params["raster"]
        self._driven = [(played(k), columns) for k, columns in enumerate(proc_params["driven"])]
        self._recorded = [(heard(k), columns) for k, columns in enumerate(proc_params["recorded"])]
        self._membrane = proc_params["membrane"]

    @property
    def _tick(self) -> int:
        tick: int = (self.time_step - 1) % len(self._raster)
        return tick

    def run_spk(self) -> None:
        row = self._raster[self._tick]
        for port, columns in self._driven:
            getattr(self, port).send(row[columns])
        for port, columns in self._recorded:
            row[columns] = getattr(self, port).recv()

    def post_guard(self) -> bool:
        return self._membrane is not None and self._tick in self._membrane[1]

    def run_post_mgmt(self) -> None:
        potentials, ticks = self._membrane
        potentials[self._tick - ticks.start] = self.potential.read()


def played(number: int) -> str:
    """Name of the port that sends what population ``number`` of those driven does."""
    return f"played_{number}"


def heard(number: int) -> str:
    """Name of the port that records population ``number`` of those recorded."""
    return f"heard_{number}"


@cache
def _classes(outs: int, ins: int, membrane: bool) -> Any:
    """Lava wants each port declared on process and model, so a number of ports is a class of its own."""
    declared = {played(k): LavaPyType(PyOutPort.VEC_DENSE, np.int32) for k in range(outs)}
    declared |= {heard(k): LavaPyType(PyInPort.VEC_DENSE, np.int32) for k in range(ins)}
    if membrane:
        declared["potential"] = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    name = f"Host{outs}To{ins}{'Membrane' if membrane else ''}"
    process = type(name, (_Host,), {"__module__": __name__})
    model = type(f"{name}Model", (_HostModel,), {"__module__": __name__, **declared})
    model = requires(CPU)(implements(proc=process, protocol=LoihiProtocol)(model))
    # The compiler looks for a process's models among the names of the process's module.
    setattr(sys.modules[__name__], model.__name__, model)
    return process
