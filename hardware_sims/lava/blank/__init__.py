"""A process that stands between a synapse and a neuron and drops what comes in some ticks of a decision.

So a recurrence brings nothing from before a reset. It costs no tick: what it receives it sends in the same.
The only file of its folder, for Lava's compiler executes every module that it finds beside a process. Import
after ``compat.load()``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol


class Blank(AbstractProcess):  # type: ignore[misc]
    """Sums from ``a_in`` to ``a_out``, zeros in the given ticks.

    Args:
        size: number of neurons.
        ticks: which of a decision are blank, from 0.
        total: ticks of a decision.
    """

    def __init__(self, *, size: int, ticks: frozenset[int], total: int) -> None:
        super().__init__(ticks=ticks, total=total)
        self.a_in = InPort(shape=(size,))
        self.a_out = OutPort(shape=(size,))


@implements(proc=Blank, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class BlankModel(PyLoihiProcessModel):  # type: ignore[misc]
    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def run_spk(self) -> None:
        a = self.a_in.recv()
        blank = (self.time_step - 1) % self.proc_params["total"] in self.proc_params["ticks"]
        self.a_out.send(np.zeros_like(a) if blank else a)
