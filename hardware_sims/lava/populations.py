"""Populations as Lava processes: its own where it has one, else ours of ``hardware_sims.lava.neurons``.

Import after ``compat.load()``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.lif.process import LIF, LIFReset, TernaryLIF
from lava.proc.prodneuron.process import ProdNeuron
from numpy.typing import NDArray

from hardware_sims.lava.neurons import LateLIF, ResetTernaryLIF
from strl.errors import BackendError
from strl.quantize.network import Population, Schedule, Synapse
from strl.quantize.neurons import Gate, Graded, Lif, Product, Source, Ternary

HOSTED = (Source, Gate)
"""Kinds that the host plays."""


def neurons(population: Population, schedule: Schedule) -> Any:
    """The process of a population that computes.

    Raises:
        BackendError: Lava cannot do what is asked exactly; names the population.
    """
    kind = population.kind
    if isinstance(kind, Lif):
        return _lif(population, kind, schedule)
    if isinstance(kind, Ternary):
        return _ternary(population, kind, schedule)
    shape = (population.size,)
    if isinstance(kind, Graded):
        process = GradedReluVec if kind.rectify else GradedVec
        return process(shape=shape, vth=_one(population, kind.vth), exp=0)
    assert isinstance(kind, Product)
    return ProdNeuron(shape=shape, vth=_one(population, kind.vth), exp=kind.shift)


def entry(process: Any, synapse: Synapse) -> Any:
    """The port through which a synapse's sums reach a process that ``neurons`` made."""
    if isinstance(process, ProdNeuron):
        return process.a_in2 if synapse.port else process.a_in1
    return process.a_in


def _lif(population: Population, kind: Lif, schedule: Schedule) -> Any:
    options = {**_common(population, kind), "vth": kind.vth.copy()}
    reset: dict[str, Any] = _reset(population, schedule)
    if kind.reset != "zero" or kind.reset_delay or kind.inclusive or kind.multiple:
        return LateLIF(
            reset=kind.reset,
            late=kind.reset_delay,
            inclusive=kind.inclusive,
            multiple=kind.multiple,
            **options,
            **reset,
        )
    return LIFReset(**options, **reset) if reset else LIF(**options)


def _ternary(population: Population, kind: Ternary, schedule: Schedule) -> Any:
    options, reset = _common(population, kind), _reset(population, schedule)
    if not reset and np.ptp(kind.high) == np.ptp(kind.low) == 0:
        return TernaryLIF(**options, vth_hi=int(kind.high[0]), vth_lo=int(kind.low[0]))
    return ResetTernaryLIF(**options, **reset, vth_hi=kind.high.copy(), vth_lo=kind.low.copy())


def _common(population: Population, kind: Lif | Ternary) -> dict[str, Any]:
    return {
        "shape": (population.size,),
        "du": kind.du.copy(),
        "dv": kind.dv.copy(),
        "name": population.name,
    }


def _reset(population: Population, schedule: Schedule) -> dict[str, int]:
    """What clears the state every decision; nothing where it is carried.

    Lava counts ticks from 1 and never anew; decisions are whole, so each begins at 1 modulo total.
    """
    if schedule.state == "carry":
        return {}
    return {"reset_interval": schedule.total, "reset_offset": population.offset + 1}


def _one(population: Population, vth: NDArray[np.int32]) -> int:
    if np.ptp(vth):
        raise BackendError(
            f"backend 'lava': {population.name}: thresholds {vth.min()}..{vth.max()}; "
            "Lava's graded and product neurons have one for all",
            hint="use --backend lava-fused, or one population a threshold",
        )
    return int(vth[0])
