"""Network + semantics → Program: quantise, place, check."""

from __future__ import annotations

from dataclasses import dataclass

from strl.chip.place import place, with_formats
from strl.chip.program import Program
from strl.chip.spec import ChipSpec
from strl.codecs import decoder, encoder
from strl.errors import ChipError, ModelError
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
    network: Network, semantics: Semantics, chip: ChipSpec, *, weight_bits: int | None = None
) -> Compiled:
    """Make a program.

    Args:
        network, semantics: what the policy means.
        chip: where it shall run.
        weight_bits: 2 up to the chip's own, which is the default.

    Raises:
        ChipError: what the chip cannot hold or compute; names the node and the limit.
        ModelError: the encoder does not fit the network.
    """
    widest = chip.limit("weight_bits")
    bits = widest if weight_bits is None else weight_bits
    if not 2 <= bits <= widest:
        raise ChipError(f"weight bits = {bits}, must be 2..{widest} on {chip.name}")
    code = encoder(semantics.encoder)
    width = size(shapes(network)[network.input])
    if code.size != width:
        raise ModelError(
            f"the encoder gives {code.size} channels, the network takes {width}",
            hint="make the first layer as wide as the encoder",
        )
    read, decode = size(shapes(network)[network.output]), decoder(semantics.decoder)
    if decode.size != read:
        raise ModelError(
            f"codec: {width} channels in and {decode.size} out, the network has {width} and {read}",
            hint="make the last layer as wide as the decoder",
        )
    grid = Grid(
        weight_bits=bits,
        exponents=(chip.limit("weight_exp_min"), chip.limit("weight_exp_max")),
        threshold_max=chip.limit("threshold_max"),
        resets=chip.resets,
    )
    quantized = quantize(network, semantics, grid=grid, bits=code.bits, unit=code.unit)
    quantized = with_formats(quantized)
    program = Program(
        chip=chip,
        populations=quantized.populations,
        synapses=quantized.synapses,
        placement=place(quantized, chip),
        schedule=quantized.schedule,
        readout=quantized.readout,
        semantics=semantics,
    )
    return Compiled(program=program, quantized=quantized)
