"""A program as Lava's own stock processes: LIF or LIFReset neurons, Dense or DelayDense synapses.

Sources and gates are columns of what the host sends; a synapse from one of them is a Dense over all of
these columns, with zeros in the others. Import after ``compat.load()``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.lif.process import LIF, LIFReset
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray

from hardware_sims.lava.host import heard, host
from hardware_sims.lava.runtime import shared
from strl.chip.program import Program
from strl.errors import BackendError
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Lif

Int = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class StockNetwork:
    """The Lava processes of a program, connected, and the memory through which they are fed and heard.

    Args:
        host: the process that plays input and records, see ``hardware_sims.lava.host``.
        neurons: process by population.
        synapses: process by synapse.
        raster: uint8 [ticks, neurons] in shared memory, one decision; what sources and gates do is written
            there before it, what the others did stands there after it.
        membrane: int32 [n] in shared memory: the potential that is read out, where one is.
        driven: columns of the raster that belong to sources and gates.
    """

    host: Any
    neurons: dict[str, Any]
    synapses: dict[str, Any]
    raster: NDArray[np.uint8]
    membrane: Int
    driven: NDArray[np.int64]

    @property
    def processes(self) -> list[Any]:
        return [self.host, *self.neurons.values(), *self.synapses.values()]


def build(program: Program, *, record: bool = True, ticks: int | None = None) -> StockNetwork:
    """The processes of a program.

    Args:
        program: what shall run.
        record: False leaves the host without ears, for measuring the runtime alone.
        ticks: rows of the raster, default one decision.

    Raises:
        BackendError: what stock processes cannot do exactly; names the synapse.
    """
    _require_stock(program)
    slices = program.slices
    lifs = [p for p in program.populations if isinstance(p.kind, Lif)]
    driven = np.concatenate(
        [np.zeros(0, np.int64)]
        + [np.r_[slices[p.name]] for p in program.populations if not isinstance(p.kind, Lif)]
    )
    raster = shared((ticks or program.schedule.total, program.neurons), np.uint8)
    readout = program.readout
    membrane = shared((program.population(readout.population).size,), np.int32)
    reads = record and readout.kind == "membrane"
    ears = host(
        raster,
        driven,
        [slices[p.name] for p in lifs] if record else [],
        (membrane, readout.stop - 1) if reads else None,
    )
    neurons = {p.name: _neurons(p, program) for p in lifs}
    synapses: dict[str, Any] = {}
    for synapse in program.synapses:
        columns = None if synapse.pre in neurons else np.isin(driven, np.r_[slices[synapse.pre]])
        made = synapses[synapse.name] = _synapse(synapse, columns)
        (ears.spikes if columns is not None else neurons[synapse.pre].s_out).connect(made.s_in)
        made.a_out.connect(neurons[synapse.post].a_in)
    if record:
        for number, population in enumerate(lifs):
            neurons[population.name].s_out.connect(getattr(ears, heard(number)))
    if reads:
        ears.potential.connect_var(neurons[readout.population].v)
    return StockNetwork(
        host=ears, neurons=neurons, synapses=synapses, raster=raster, membrane=membrane, driven=driven
    )


def stored(synapse: Synapse) -> tuple[Any, Int, int]:
    """Sign mode, weights and exponent with which Lava keeps a synapse's weights to the last bit.

    Lava keeps 8 bits and cuts the rest (lava/utils/weightutils.py): 0..255 where all are ≥ 0, −255..0
    where all are ≤ 0, else even ones of −256..254. Weights that fit none of these are doubled where they can
    be, and the exponent lowered by one: (2 Σ w) · 2^(e − 1) is Σ w · 2^e, rounded towards −∞ just the same.

    Raises:
        BackendError: none of these holds them.
    """
    weight = synapse.weight.astype(np.int32)
    low, high = int(weight.min()), int(weight.max())
    if low >= 0:
        return SignMode.EXCITATORY, weight, synapse.weight_exp
    if high <= 0 and low >= -255:
        return SignMode.INHIBITORY, weight, synapse.weight_exp
    if high <= 254 and not (weight & 1).any():
        return SignMode.MIXED, weight, synapse.weight_exp
    if low >= -128 and high <= 127:
        return SignMode.MIXED, weight * 2, synapse.weight_exp - 1
    raise BackendError(
        f"backend 'lava': {synapse.name}: weights of both signs, {low}..{high}, some odd; "
        "Lava's Dense keeps even ones of −256..254 or any of −128..127",
        hint="export with 8 weight bits or fewer, or use --backend lava-fused",
    )


def _require_stock(program: Program) -> None:
    for synapse in program.synapses:
        if any(program.blanked(synapse, tick) for tick in range(program.schedule.total)):
            raise BackendError(
                f"backend 'lava': {synapse.name}: its spikes from before a decision's reset are dropped, and "
                " Lava's stock processes cannot drop a spike on its way",
                hint="use --backend lava-fused, or a policy with state='carry'",
            )
        stored(synapse)


def _neurons(population: Population, program: Program) -> Any:
    lif = population.kind
    assert isinstance(lif, Lif)
    options = {
        "shape": (population.size,),
        "du": lif.du.copy(),
        "dv": lif.dv.copy(),
        "vth": lif.vth.copy(),
        "name": population.name,
    }
    if program.schedule.state == "carry":
        return LIF(**options)
    # Lava counts ticks from 1 and never anew; decisions are whole, so each begins at 1 modulo total.
    interval, offset = program.schedule.total, population.offset + 1
    return LIFReset(reset_interval=interval, reset_offset=offset, **options)


def _synapse(synapse: Synapse, columns: NDArray[np.bool_] | None) -> Any:
    sign_mode, weight, exponent = stored(synapse)
    if columns is not None:
        wide = np.zeros((weight.shape[0], columns.size), np.int32)
        wide[:, columns] = weight
        weight = wide
    options = {
        "weights": weight,
        "weight_exp": exponent,
        "num_weight_bits": 8,
        "sign_mode": sign_mode,
        "name": synapse.name,
    }
    if synapse.delay == 1:
        return Dense(**options)
    return DelayDense(delays=synapse.delay - 1, **options)
