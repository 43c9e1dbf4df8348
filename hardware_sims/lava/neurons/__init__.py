"""Neurons that Lava has no process for; they connect to its stock synapses like its own.

The integers are Lava's: both models compute with the methods of its fixed-point LIF
(lava/proc/lif/models.py), and add what is missing there. The only file of its folder, for Lava's compiler
executes every module that it finds beside a process. Import after ``compat.load()``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifModelBitAcc, PyTernLifModelFixed
from lava.proc.lif.process import AbstractLIF

UNUSED = {"u": 0, "v": 0, "bias_mant": 0, "bias_exp": 0, "log_config": None}
"""What AbstractLIF asks for and programs leave at LIF's defaults."""


class LateLIF(AbstractLIF):  # type: ignore[misc]
    """LIF neurons with any reset, and any comparison, of ``strl.quantize.Lif`` (Loihi 2 microcode).

    Args:
        vth: threshold mantissa of each neuron, int32 [n].
        reset, late, inclusive, multiple: its ``reset``, ``reset_delay``, ``inclusive`` and ``multiple``.
        reset_interval: u and v are cleared every so many ticks; 0 is never.
        reset_offset: as LIFReset's: in ticks with this remainder, ticks counted from 1.
        others: as LIF's.
    """

    def __init__(
        self,
        *,
        vth: Any,
        reset: str,
        late: bool,
        inclusive: bool,
        multiple: bool,
        reset_interval: int = 0,
        reset_offset: int = 0,
        **others: Any,
    ) -> None:
        super().__init__(
            reset=reset,
            late=late,
            inclusive=inclusive,
            multiple=multiple,
            reset_interval=reset_interval,
            reset_offset=reset_offset,
            **{**UNUSED, **others},
        )
        self.vth = Var(shape=(1,), init=vth)


class ResetTernaryLIF(AbstractLIF):  # type: ignore[misc]
    """TernaryLIF with thresholds of its own for each neuron, and with LIFReset's reset.

    Args:
        vth_hi, vth_lo: threshold mantissas, int32 [n].
        reset_interval, reset_offset: as ``LateLIF``'s.
        others: as TernaryLIF's.
    """

    def __init__(
        self, *, vth_hi: Any, vth_lo: Any, reset_interval: int = 0, reset_offset: int = 0, **others: Any
    ) -> None:
        super().__init__(reset_interval=reset_interval, reset_offset=reset_offset, **{**UNUSED, **others})
        self.vth_hi = Var(shape=others["shape"], init=vth_hi)
        self.vth_lo = Var(shape=others["shape"], init=vth_lo)


class _Resetting:
    """The reset of Lava's LIFReset, for any of its fixed-point models."""

    proc_params: Any
    time_step: int
    u: Any
    v: Any

    def clear_when_due(self) -> None:
        interval = self.proc_params["reset_interval"]
        if interval and self.time_step % interval == self.proc_params["reset_offset"] % interval:
            self.u[:] = 0
            self.v[:] = 0


@implements(proc=LateLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LateLIFModel(_Resetting, PyLifModelBitAcc):  # type: ignore[misc]
    implements_process = None  # not LIF, as its parent; Lava asks for this

    def run_spk(self) -> None:
        a = self.a_in.recv()
        self.clear_when_due()
        self.scale_threshold()
        reset, late = self.proc_params["reset"], self.proc_params["late"]
        subtract = reset == "subtract"
        most = self.effective_vth - self.proc_params["inclusive"]  # that does not spike
        owed = self.v > most
        # What Lava adds as a bias, before it clips v to 24 bits, is here the threshold that is still owed.
        self.effective_bias = np.where(owed, -self.effective_vth, 0).astype(np.int32) if subtract else 0
        self.subthr_dynamics(activation_in=a)
        if not subtract:
            self.v[owed & late] = 0
        spikes = self.v > most
        if self.proc_params["multiple"]:
            spikes = np.maximum(self.v, 0) // self.effective_vth
        if reset != "none" and not late:
            # A threshold that was owed stays owed while the neuron goes on to spike.
            times = spikes.astype(np.int32) - (owed & subtract)
            off = self.v * (spikes > 0) if reset == "zero" else times * self.effective_vth
            self.v[:] = np.clip(self.v - off, 1 - self.max_uv_val, self.max_uv_val - 1)
        self.s_out.send(spikes)


@implements(proc=ResetTernaryLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ResetTernaryLIFModel(_Resetting, PyTernLifModelFixed):  # type: ignore[misc]
    implements_process = None

    def run_spk(self) -> None:
        self.clear_when_due()
        super().run_spk()
