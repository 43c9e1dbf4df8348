"""One Lava process that runs a whole decision, of every slot, in one Lava step.

The only file of its folder, for Lava's compiler executes every module that it finds beside a process.
Import after ``compat.load()``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from hardware_sims.loihi.definition import DefinitionSession


class Fused(AbstractProcess):  # type: ignore[misc]
    """A program as one process.

    Args:
        program: what runs.
        memory: arrays in shared memory: ``begin`` uint8 [batch], 1 for slots whose episode begins with the
            next decision; ``spikes`` uint8 [T, batch, inputs] in; out ``raster``, ``readout``, ``ticks``,
            ``fired`` and ``active`` as in ``strl.chip.backend``.
    """

    def __init__(self, *, program: Any, memory: Any) -> None:
        super().__init__(program=program, memory=memory)


@implements(proc=Fused, protocol=LoihiProtocol)
@requires(CPU)
class FusedModel(PyLoihiProcessModel):  # type: ignore[misc]
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._memory = proc_params["memory"]
        self._session = DefinitionSession(proc_params["program"], len(self._memory["begin"]))

    def run_spk(self) -> None:
        memory = self._memory
        if memory["begin"].any():
            self._session.reset(np.flatnonzero(memory["begin"]).tolist())
            memory["begin"][:] = 0
        decision = self._session.run(memory["spikes"])
        counts = self._session.counts()
        assert counts.active is not None
        memory["raster"][:], memory["readout"][:] = decision.raster, decision.readout
        memory["ticks"][:], memory["fired"][:], memory["active"][:] = (
            counts.ticks,
            counts.spikes,
            counts.active,
        )
