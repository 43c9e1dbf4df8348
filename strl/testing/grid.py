"""A network moved onto a chip's grid: weights, decays, thresholds and input that the chip has as they are.

What is left then is what the chip does otherwise than the float network, which shall be nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strl.chip.compile import Compiled, compile_network
from strl.chip.spec import ChipSpec
from strl.codecs.stream import Stream, fitting
from strl.ir.maps import Map, Pool, Reshape, Scale
from strl.ir.network import Network, shapes
from strl.ir.neurons import LIF
from strl.ir.nodes import Node
from strl.ir.passes.fire import fire
from strl.ir.reference import Reference
from strl.ir.semantics import open_loop
from strl.quantize.grid import decay_u, decay_v
from strl.quantize.neurons import Lif

Float = NDArray[np.float64]

WEIGHT, GAIN, INPUT = 15, 7, 6
"""Greatest integer of a weight or bias, of a scale, and bits of a real-valued input. Small ones, so that
products of several still fit a weight of the chip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnGrid:
    """A network, its input [ticks, *shape], and the program of it that nothing was rounded for."""

    network: Network
    values: Float
    compiled: Compiled

    @property
    def rounding(self) -> float:
        """The largest rounding error of the program; 0 if the network was well moved."""
        errors = self.compiled.quantized.error.values()
        return max(max(error["largest"], error.get("floor", 0.0)) for error in errors)


def on_grid(network: Network, values: Float, chip: ChipSpec) -> OnGrid:
    """The network with every number moved to one that the chip has, and compiled for that input.

    The decays are cut to whole steps as in the chip's registers (``LIF.grain``), so that the float network
    holds every u and v of the chip.

    Raises:
        ChipError: what the chip cannot do even so.
    """
    precision, step = fitting(values)
    if precision > INPUT:
        precision, step = fitting(values, precision=INPUT)
    code = Stream(width=values[0].size, precision=precision, step=step)
    levels = code.levels(values.reshape(len(values), -1)).astype(np.float64)
    values = (levels * step).reshape(values.shape)
    meaning = open_loop(values.shape[1:], ticks=len(values), precision=precision, step=step)
    moved = _with(fire(network), {n: _coarse(node) for n, node in fire(network).nodes.items()})
    first = compile_network(moved, meaning, chip)
    scales = _scales(moved, first)
    moved = _with(moved, {n: _grained(node, scales.get(n, 0.0)) for n, node in moved.nodes.items()})
    return OnGrid(network=moved, values=values, compiled=compile_network(moved, meaning, chip))


def reference(network: Network, values: Float) -> Float:
    """What the float network gives in every tick: [ticks, *output shape]."""
    run, output = Reference(network), network.output
    return np.stack([run.tick(row[None])[output][0] for row in values])


def _with(network: Network, nodes: Mapping[str, Node]) -> Network:
    return Network(nodes=nodes, edges=network.edges, dt=network.dt)


def _coarse(node: Node) -> Node:
    if isinstance(node, LIF):
        return _neurons(node)
    if not isinstance(node, Map) or isinstance(node, Pool | Reshape):
        return node
    bias = None if node.bias is None else _few(node.bias, WEIGHT)
    if isinstance(node, Scale):
        return replace(node, scale=_few(node.scale, GAIN), bias=bias)
    weight: Float = node.weight  # type: ignore[attr-defined]
    return replace(node, weight=_few(weight, WEIGHT), bias=bias)  # type: ignore[call-arg]


def _neurons(lif: LIF) -> LIF:
    alpha = (4095 - np.maximum(decay_u(lif.alpha), 0)) / 4096
    beta = (4096 - decay_v(lif.beta)) / 4096
    if not (np.any(lif.drive) or np.any(lif.start_v)):
        return replace(lif, alpha=alpha, beta=beta)
    if alpha.any():  # a gate then sends their sum, and products with both decays
        drive, start = _few(np.stack(np.broadcast_arrays(lif.drive, lif.start_v)), 1)
        alpha, beta = _binary(alpha, 1 / 16), _binary(beta, 1 / 8)
    else:
        drive, start, beta = _few(lif.drive, WEIGHT), _few(lif.start_v, 3), _binary(beta, 1 / 32)
    return replace(lif, alpha=alpha, beta=beta, drive=drive, start_v=start)


def _binary(retention: Float, least: float) -> Float:
    """1 − 2^−k, but not above 1 − ``least``."""
    return np.asarray(1 - 2.0 ** np.round(np.log2(np.clip(1 - retention, least, 1))))


def _few(values: Float | float, largest: int) -> Float:
    """Whole multiples, none above ``largest``, of a power of two."""
    most = np.abs(values).max()
    if not most:
        return np.asarray(values, dtype=np.float64)
    step = 2.0 ** np.ceil(np.log2(most / largest))
    return np.asarray(np.round(values / step) * step)


def _scales(network: Network, compiled: Compiled) -> dict[str, float]:
    """Chip units per unit of every population of LIF neurons: powers of two."""
    program, found = compiled.program, {}
    for name in network.of(LIF):
        lif, kind = network.nodes[name], program.population(name).kind
        assert isinstance(lif, LIF)
        assert isinstance(kind, Lif)
        if lif.silent:
            found[name] = 1 / (64 * program.readout.unit)
        else:
            found[name] = float(kind.vth.max() / lif.threshold.max())
    return {name: float(2.0 ** np.round(np.log2(scale))) for name, scale in found.items()}


def _grained(node: Node, scale: float) -> Node:
    if not isinstance(node, LIF):
        return node
    threshold = node.threshold if node.silent else np.maximum(np.round(node.threshold * scale), 1) / scale
    return replace(node, threshold=threshold, grain=1 / (64 * scale))


def output_shape(network: Network) -> tuple[int, ...]:
    """Of the network's only output."""
    return shapes(network)[network.output]
