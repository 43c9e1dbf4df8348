"""A network open loop on a chip: compiled for a stream of values, run, and its outputs in float units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from strl.chip.backend import backend
from strl.chip.openloop import shortened
from strl.chip.program import Program
from strl.codecs.stream import PRECISION_MAX, Stream, fitting, stream
from strl.errors import UsageError
from strl.ir.network import shapes
from strl.ir.passes.head import head
from strl.ir.semantics import MAX_TICKS, open_loop
from strl.loop.simulate import INPUT_MAX, check_input
from strl.loop.subject import Subject

Float = NDArray[np.float64]

UNITS = (1 / INPUT_MAX, INPUT_MAX)
"""Least and greatest value of level 1."""


def as_stream(
    subject: Subject,
    values: Float | None = None,
    *,
    ticks: int | None = None,
    bits: int | None = None,
    unit: float | None = None,
    output: str | None = None,
) -> Subject:
    """A subject's bare network with one output, to be compiled for a stream of input.

    Args:
        subject: no bundle.
        values: [ticks, *input shape] that it shall take; spikes without.
        ticks: at most so many will be run; default as many as there are values, else 4096.
        bits, unit: of the input's levels; what loses least by default.
        output: which to keep, where there are several.

    Raises:
        UsageError: a bundle, which is compiled already, values of another shape, ticks, bits or a unit
            that cannot be, or such as make 0 of every value.
        ModelError: several outputs and none is named.
    """
    if subject.artefact.compiled is not None:
        raise UsageError(
            f"{subject.name}: is a bundle; its input, ticks and output are fixed",
            hint="export the network again with --input-bits, --input-unit, --ticks or --node",
        )
    _check(ticks, bits, unit)
    network = head(subject.network, output)
    if values is not None:
        check_input(network, values)
        _check_size(values)
    precision, step = fitting(np.zeros(1) if values is None else values, precision=bits, step=unit)
    meaning = open_loop(
        shapes(network)[network.input],
        ticks=ticks or (MAX_TICKS if values is None else len(values)),
        precision=precision,
        step=step,
    )
    if values is not None:
        _check_heard(stream(meaning.encoder), values)
    return Subject(artefact=replace(subject.artefact, network=network, semantics=meaning))


def _check(ticks: int | None, bits: int | None, unit: float | None) -> None:
    if ticks is not None and not 1 <= ticks <= MAX_TICKS:
        raise UsageError(f"--ticks = {ticks}, must be 1..{MAX_TICKS}")
    if bits is not None and not 1 <= bits <= PRECISION_MAX:
        raise UsageError(f"--input-bits = {bits}, must be 1..{PRECISION_MAX}")
    if unit is not None and not UNITS[0] <= unit <= UNITS[1]:
        raise UsageError(f"--input-unit = {unit:g}, must be {UNITS[0]:g} to {UNITS[1]:g}")


def _check_size(values: Float) -> None:
    """No unit within ``UNITS`` tells values apart that are all smaller."""
    most = float(np.abs(values).max(initial=0.0))
    if 0 < most < UNITS[0]:
        raise UsageError(
            f"the input has no value beyond {most:g}, at least {UNITS[0]:g} is needed, or all must be 0",
            hint="scale the input up",
        )


def _check_heard(code: Stream, values: Float) -> None:
    """Some value has a level other than 0, where some value is not 0."""
    if not (said := unheard(code, values)):
        return
    if code.bits == 1 and not (values > 0).any():
        raise UsageError(f"--input-bits = 1: {said}", hint="one bit has no negative level; give 2 or more")
    _, fits = fitting(values.clip(0) if code.bits == 1 else values, precision=code.bits)
    raise UsageError(
        f"--input-unit = {code.unit:g}: {said}", hint=f"{fits:g} fits, with --input-bits {code.bits}"
    )


def simulate_chip(program: Program, shape: tuple[int, ...], values: Float, name: str) -> Float:
    """Run a program of an open loop from its initial state.

    Args:
        program: of ``as_stream``, or a bundle's.
        shape: of the network's output.
        values: [ticks, *input shape], at most as many ticks as the program has.
        name: of the backend.

    Returns:
        [ticks, *shape]: spikes, or potentials in the float network's units. The ticks that messages take
        from neuron to neuron are left out.

    Raises:
        UsageError: the program is a policy's, or made for fewer ticks.
    """
    code, readout = input_of(program), program.readout
    program = shortened(program, len(values))
    levels = code.levels(values.reshape(len(values), 1, -1))
    session = backend(name).load(program)
    try:
        decision = session.run(program.spikes(levels))
    finally:
        session.close()
    if readout.kind == "potential":
        potentials: Float = decision.readout[0].reshape(len(values), *shape).astype(np.float64)
        return potentials * readout.unit
    window = slice(program.readout.start, program.readout.stop)
    spikes = decision.raster[0, window, program.slices[readout.population]]
    return spikes.reshape(len(values), *shape).astype(np.float64)


def input_of(program: Program) -> Stream:
    """How the program's input is put into levels; raises ``UsageError`` where it is a policy's."""
    if not program.semantics.open_loop:
        raise UsageError(
            "the bundle is a policy's: it is given observations, not a stream of input",
            hint="use `strl run`, or simulate the policy's network by naming the policy",
        )
    return stream(program.semantics.encoder)


def unheard(code: Stream, values: Float) -> str:
    """Empty where some level is not 0, or every value is 0; else a sentence that says so."""
    if not values.any() or code.levels(values.reshape(len(values), -1)).any():
        return ""
    return f"every value of the input, of magnitudes up to {float(np.abs(values).max()):g}, becomes level 0"


def lost(code: Stream, values: Float) -> float:
    """The most that the levels differ from the values."""
    rows = values.reshape(len(values), -1)
    return float(np.abs(code.levels(rows) * code.unit - rows).max(initial=0.0))
