"""What the parts of a bundle must agree in, beyond each being sound by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from exporters.loihi.integers import structure
from strl.chip.codec import check_codec
from strl.chip.compile import Compiled, compile_network
from strl.chip.program import Program
from strl.errors import BundleError
from strl.ir.network import Network, shapes, size
from strl.quantize.network import WINDOWS
from strl.quantize.neurons import COMPUTING

_NEEDED = ("largest", "rms")

CLOSE = 1e-9
"""How far floats may be off that are computed again: their sums differ from one machine to the next."""


def check_program(program: Program, network: Network) -> None:
    """The program does what its semantics say, and so does the network it was made of.

    Raises:
        BundleError: sources that one encoder cannot drive, another schedule or read-out, neurons that live
            on no core or on several.
        ModelError: the codec fits the environment, the program or the network not.
    """
    widths = sorted({population.size for population in program.sources})
    if len(widths) != 1:
        raise BundleError(f"program: sources of {widths or 'no'} neurons, must be some and of one size")
    semantics, schedule, readout = program.semantics, program.schedule, program.readout
    said = (semantics.ticks, semantics.state, semantics.readout.kind)
    reads = readout.kind in WINDOWS[semantics.readout.kind]
    if (schedule.ticks, schedule.state) != said[:2] or not reads:
        raise BundleError(
            f"program: {schedule.ticks} ticks, state {schedule.state}, read-out {readout.kind}; "
            f"the semantics say {said[0]}, {said[1]}, {said[2]}"
        )
    _check_placement(program)
    check_codec(semantics, widths[0], program.population(readout.population).size)
    found = shapes(network)
    check_codec(semantics, size(found[network.input]), size(found[network.output]))
    read = program.population(readout.population).size
    if read != size(found[network.output]):
        raise BundleError(f"program: {read} neurons are read, the network has {size(found[network.output])}")


def check_compiled(compiled: Compiled, network: Network) -> None:
    """Program and rounding are those that network, semantics and chip give, by compiling them again.

    So the program fits its chip, means what the semantics say, and computes what the network does.

    Raises:
        BundleError: it is another; says where.
        ChipError: the network does not fit the chip.
    """
    program = compiled.program
    widest = max((s.weight_bits for s in program.synapses), default=program.chip.limit("weight_bits"))
    again = compile_network(
        network, program.semantics, program.chip, weight_bits=widest, arithmetic=program.arithmetic
    )
    meant = again.program
    if math.isclose(program.readout.unit, meant.readout.unit, rel_tol=CLOSE):
        meant = replace(meant, readout=replace(meant.readout, unit=program.readout.unit))
    if program.digest != meant.digest:
        where = next(_differences(structure(program), structure(meant)), "a weight or parameter differs")
        raise BundleError(
            f"program: is not what its network gives on {program.chip.name}: {where}",
            hint="export the policy again",
        )
    held = {name: dict(errors) for name, errors in compiled.quantized.error.items()}
    rounded = {name: dict(errors) for name, errors in again.quantized.error.items()}
    if (where := next(_differences(held, rounded), "")) != "":
        raise BundleError(f"rounding: is not that of the program: {where}", hint="export the policy again")


def _differences(held: Any, meant: Any, place: str = "") -> Iterator[str]:
    """Where two trees of plain data differ."""
    if isinstance(held, dict) and isinstance(meant, dict):
        for key in sorted(held.keys() ^ meant.keys()):
            yield f"{place or 'it'} has {'no ' if key in meant else ''}{key}"
        for key in sorted(held.keys() & meant.keys()):
            yield from _differences(held[key], meant[key], f"{place}.{key}" if place else key)
    elif isinstance(held, list) and isinstance(meant, list) and len(held) == len(meant):
        for number, pair in enumerate(zip(held, meant, strict=True)):
            yield from _differences(*pair, f"{place}[{number}]")
    elif isinstance(held, list) and isinstance(meant, list):
        yield f"{place} has {len(held)} entries, not {len(meant)}"
    elif isinstance(held, float) and isinstance(meant, float):
        if not math.isclose(held, meant, rel_tol=CLOSE, abs_tol=CLOSE * 1e-3):
            yield f"{place} = {held}, not {meant}"
    elif held != meant:
        yield f"{place} = {held!r:.60}, not {meant!r:.60}"


def _check_placement(program: Program) -> None:
    homes = {p.name: np.zeros(p.size, int) for p in program.populations if isinstance(p.kind, COMPUTING)}
    for part in program.placement:
        if part.population not in homes:
            raise BundleError(f"program: {part.population} lives on core {part.core}, it is no neurons")
        homes[part.population][part.start : part.stop] += 1
    for name, count in homes.items():
        if (count != 1).any():
            neuron = int(np.argmax(count != 1))
            raise BundleError(f"program: neuron {neuron} of {name} lives on {count[neuron]} cores, must be 1")


def rounding(record: Mapping[str, Any], where: str) -> Mapping[str, Mapping[str, float]]:
    """``record`` as ``QuantizedNetwork.error``: numbers by name.

    Raises:
        BundleError: it is not.
    """
    if not record:
        raise BundleError(f"{where}: is empty")
    for name, errors in record.items():
        if not isinstance(errors, dict) or not set(_NEEDED) <= set(errors):
            raise BundleError(f"{where}: {name} = {errors!r:.60}, must have {' and '.join(_NEEDED)}")
        for what, value in errors.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise BundleError(f"{where}: {name}: {what} = {value!r:.60}, must be a number")
    return record
