"""A Program as text: deterministic, readable, made for golden tests, ``program.txt`` and ``git diff``."""

from __future__ import annotations

import numpy as np

from strl.chip.program import Program
from strl.content import digest
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Gate, Graded, Lif, Neurons, Product, Source, Ternary


def text(program: Program) -> str:
    """One line a population, one a bundle of synapses, one a part of a core."""
    schedule, readout = program.schedule, program.readout
    lines = [
        f"program {program.digest[:16]} for {program.chip.name}, arithmetic {program.arithmetic}",
        f"decision: {schedule.total} ticks, {schedule.ticks} driven, state {schedule.state}",
        f"readout: {readout.kind} of {readout.population}, ticks {readout.start}..{readout.stop - 1}, "
        f"unit {readout.unit!r}",
        "",
        "populations",
        *(f"  {_population(p)}" for p in program.populations),
        "",
        "synapses",
        *(f"  {_synapse(s)}" for s in program.synapses),
        "",
        "placement",
        *(f"  core {p.core}: {p.population} {p.start}..{p.stop - 1}" for p in program.placement),
    ]
    return "\n".join(lines) + "\n"


def _population(population: Population) -> str:
    kind = population.kind
    head = f"{population.name}: {type(kind).__name__.lower()} [{population.size}] offset={population.offset}"
    if isinstance(kind, Source):
        return f"{head} plane={kind.plane}"
    if isinstance(kind, Gate):
        return f"{head} ticks={kind.start}..{kind.stop - 1}"
    return f"{head} {_neurons(kind)}"


_PARAMETERS = {
    Lif: ("du", "dv", "vth"),
    Ternary: ("du", "dv", "high", "low"),
    Graded: ("vth",),
    Product: ("vth",),
}


def _neurons(kind: Neurons) -> str:
    words = [f"{what}={_span(getattr(kind, what))}" for what in _PARAMETERS[type(kind)]]
    if isinstance(kind, Lif) and (kind.reset, kind.reset_delay) != ("zero", False):
        words.append(f"reset={kind.reset}{' late' if kind.reset_delay else ''}")
    if isinstance(kind, Lif) and kind.refractory > 1:
        words.append(f"refractory={kind.refractory}")
    if isinstance(kind, Lif) and kind.inclusive:
        words.append("inclusive")
    if isinstance(kind, Lif) and kind.multiple:
        words.append("multiple")
    if isinstance(kind, Graded) and kind.rectify:
        words.append("rectify")
    if isinstance(kind, Product):
        words.append(f"shift={kind.shift}")
    return " ".join(words)


def _synapse(synapse: Synapse) -> str:
    weight = synapse.weight.weight if isinstance(synapse.weight, Kernel) else synapse.weight
    extra = f" {_kernel(synapse.weight)}" if isinstance(synapse.weight, Kernel) else ""
    if synapse.message_bits:
        extra += f" message_bits={synapse.message_bits}"
    if synapse.port:
        extra += f" port={synapse.port}"
    return (
        f"{synapse.name}: {synapse.pre} -> {synapse.post} {list(weight.shape)} {synapse.weight_bits} bit "
        f"exp={synapse.weight_exp} delay={synapse.delay} {synapse.format} "
        f"weights={_span(weight)} nonzero={np.count_nonzero(weight)} {digest(weight)[:8]}{extra}"
    )


def _kernel(kernel: Kernel) -> str:
    parts = (f"{w}={list(getattr(kernel, w))}" for w in ("image", "stride", "padding", "dilation"))
    return f"shared {' '.join(parts)} groups={kernel.groups}"


def _span(values: np.ndarray) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low}" if low == high else f"{low}..{high}"
