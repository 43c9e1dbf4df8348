"""Network + semantics → Program: quantise, place, check."""

from __future__ import annotations

from dataclasses import dataclass

from strl.chip.arithmetic import Arithmetic
from strl.chip.codec import check_codec
from strl.chip.place import place, with_formats
from strl.chip.program import Program
from strl.chip.spec import ChipSpec
from strl.codecs import encoder
from strl.errors import ChipError
from strl.ir.network import Network, shapes, size
from strl.ir.semantics import Semantics
from strl.quantize.grid import Grid
from strl.quantize.network import QuantizedNetwork
from strl.quantize.quantize import quantize


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A program and the quantised network it was placed from (which knows the rounding errors)."""

    program: Program
    quantized: QuantizedNetwork


def compile_network(
    network: Network,
    semantics: Semantics,
    chip: ChipSpec,
    *,
    weight_bits: int | None = None,
    arithmetic: Arithmetic | None = None,
) -> Compiled:
    """Make a program.

    Args:
        network, semantics: what the policy means.
        chip: where it shall run.
        weight_bits: 2 up to the chip's own, which is the default.
        arithmetic: one of the chip's, the first by default.

    Raises:
        ChipError: what the chip cannot hold or compute; names the node and the limit.
        ModelError: the codec does not fit the network or the environment.
    """
    widest = chip.limit("weight_bits")
    bits = widest if weight_bits is None else weight_bits
    if not 2 <= bits <= widest:
        raise ChipError(f"weight bits = {bits}, must be 2..{widest} on {chip.name}")
    found = shapes(network)
    check_codec(semantics, size(found[network.input]), size(found[network.output]))
    code = encoder(semantics.encoder)
    graded = semantics.open_loop and "levels" in chip.inputs
    grid = Grid(
        weight_bits=bits,
        exponents=(chip.limit("weight_exp_min"), chip.limit("weight_exp_max")),
        threshold_max=chip.limit("threshold_max"),
        resets=chip.resets,
        inclusive=">=" in chip.comparisons,
        multiple="count" in chip.messages,
    )
    quantized = quantize(network, semantics, grid=grid, bits=code.bits, unit=code.unit, graded=graded)
    quantized = with_formats(quantized)
    program = Program(
        chip=chip,
        arithmetic=chip.arithmetics[0] if arithmetic is None else arithmetic,
        populations=quantized.populations,
        synapses=quantized.synapses,
        placement=place(quantized, chip),
        schedule=quantized.schedule,
        readout=quantized.readout,
        semantics=semantics,
    )
    return Compiled(program=program, quantized=quantized)
