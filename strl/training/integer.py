"""Tuning in the chip's own integers: the forward pass is the program, the optimiser moves real numbers.

Before a pass the module is compiled as an export would compile it, and the program's integers are what the
pass computes with, in double precision, which holds them exactly. The gradient goes straight through
roundings and truncations (Bengio et al. 2013, arXiv 1308.3432) and through spikes by snnTorch's arctan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snntorch import surrogate
from torch import Tensor, nn

from strl.chip.compile import compile_network
from strl.chip.exporter import frontend
from strl.chip.program import Program
from strl.chip.spec import ChipSpec
from strl.errors import ChipError
from strl.ir.maps import Linear
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.policies.policy import SpikingPolicy
from strl.quantize.network import Synapse
from strl.quantize.neurons import Gate, Lif
from strl.training.student import Student

_POTENTIAL = float(2**23 - 1)
_SETTLING = 16
"""Compilations after which a module must have settled; two do unless rounded sums cross a bound."""

_SHARES = np.linspace(0.2, 1.0, 33)
_spike = surrogate.atan(alpha=2.0)


class ChipStudent(Student):
    """A ``SpikingPolicy`` of layers in a row that computes what its program computes.

    A module is *settled* where it holds the program's integers times a power of two a layer, so that
    compiling it again finds the very same integers: this is what ``on_grid`` shows and what is kept.

    Args:
        policy: call is ``tick``, state ``reset``; its module is what is tuned.
        chip: whose program.
        weight_bits: of a weight.
        seed: of the draws of random encoders.

    Raises:
        ChipError: the network does not fit the chip.
        ModelError: the front end does not understand the module.
    """

    def __init__(self, policy: SpikingPolicy, *, chip: ChipSpec, weight_bits: int, seed: int = 0) -> None:
        super().__init__(policy, seed=seed)
        self._chip = chip
        self._bits = weight_bits
        self._network = frontend()(policy)[0]
        parts = list(self.module.named_children())
        self._pairs: list[tuple[nn.Linear, str]] = [
            (part, name) for (_, part), (name, _) in pairwise(parts) if isinstance(part, nn.Linear)
        ]
        self._bounds = [_bound(_array(layer.weight), weight_bits) for layer, _ in self._pairs]
        self.program = self._compile()
        with self.on_grid():
            pass

    def bound(self) -> None:
        """Keep each layer's weights where they were best rounded from: the largest sets the steps of all."""
        with torch.no_grad():
            for (layer, _), bound in zip(self._pairs, self._bounds, strict=True):
                layer.weight.clamp_(-bound, bound)

    @contextmanager
    def on_grid(self) -> Iterator[None]:
        """Inside, the module is settled; afterwards it is what it was, gradients kept."""
        held = [*self.module.parameters(), *(part.threshold for part in self._neurons)]
        kept = [tensor.detach().clone() for tensor in held]
        try:
            self._settle()
            yield
        finally:
            with torch.no_grad():
                for tensor, value in zip(held, kept, strict=True):
                    tensor.copy_(value)

    def drive(self, observations: NDArray[Any]) -> Tensor:
        """Observations [batch, *shape] → spikes of the program's sources, [T, batch, sources]."""
        return torch.from_numpy(self.program.spikes(self.levels(observations)).astype(np.float64))

    def forward(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        readout, spikes = self.trace(drive)
        rate = torch.stack([s.mean() for s in spikes[:-1]]).mean()
        return readout, rate

    def trace(self, drive: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Read-out [batch, outputs] in float units, and the spikes [T, batch, n] of each layer in turn.

        Computed with the integers that the module was last settled on.
        """
        x, potential = drive, drive
        spikes = []
        for layer in self._layers:
            x, potential = layer.run(x)
            spikes.append(x)
        membrane = self.semantics.readout.kind == "membrane"
        return (potential if membrane else x.sum(0)) * self.program.readout.unit, spikes

    def _compile(self) -> Program:
        nodes = dict(self._network.nodes)
        for name, node in nodes.items():
            part: Any = getattr(self.module, name, None)
            if isinstance(node, Linear):
                nodes[name] = replace(node, weight=_array(part.weight), bias=_array(part.bias))
            elif isinstance(node, LIF) and not node.silent:
                nodes[name] = replace(node, threshold=np.full(node.size, float(part.threshold)))
        network = Network(nodes=nodes, edges=self._network.edges, dt=self._network.dt)
        return compile_network(network, self.semantics, self._chip, weight_bits=self._bits).program

    def _settle(self) -> None:
        before = None
        for _ in range(_SETTLING):
            self.program = self._compile()
            numbers = _numbers(self.program)
            if numbers == before:
                return
            before = numbers
            self._layers = [self._snap(layer, neurons) for layer, neurons in self._pairs]
        raise ChipError(f"the weights do not settle on a grid of {self._bits} bits")

    def _snap(self, layer: nn.Linear, neurons: str) -> _Layer:
        """Put a layer on the program's integers, in place; what it computes."""
        found = [s for s in self.program.synapses if s.post == neurons]
        biases = [s for s in found if isinstance(self.program.population(s.pre).kind, Gate)]
        weights = [s for s in found if s not in biases]
        kind = self.program.population(neurons).kind
        assert isinstance(kind, Lif)
        readout = self.program.readout
        silent = readout.kind == "membrane" and readout.population == neurons
        # Chip units of one unit of the module: a power of two, which puts a threshold in 1..2.
        size = 1 / (64 * readout.unit) if silent else float(max(kind.vth.max(), 1))
        scale = 2.0 ** math.floor(math.log2(size))
        counts = self._counts(weights)
        with torch.no_grad():
            # The top bit plane's rounding is the finest, so its weights stand for all.
            layer.weight.copy_(torch.from_numpy(_integers(weights[-1]) / (scale * counts[-1])))
            layer.bias.zero_()
            for synapse in biases:
                layer.bias.copy_(torch.from_numpy(_integers(synapse)[:, 0] / scale))
            if not silent:
                getattr(self.module, neurons).threshold.fill_(float(kind.vth.max()) / scale)
        weight, bias = layer.weight.double() * scale, layer.bias.double()[:, None] * scale
        return _Layer(
            parts=[_through(weight * n, _integers(s)) for s, n in zip(weights, counts, strict=True)],
            bias=[_floor(_through(bias, _integers(s)))[:, 0] for s in biases],
            whole=all(_whole(s) for s in weights),
            alpha=torch.from_numpy((4095.0 - kind.du) / 4096),
            beta=torch.from_numpy((4096.0 - kind.dv) / 4096),
            threshold=torch.from_numpy(64.0 * kind.vth),
            silent=silent,
        )

    def _counts(self, weights: list[Synapse]) -> list[float]:
        """What a spike of each bit plane stands for; 1 behind a population."""
        if weights[0].pre not in {p.name for p in self.program.sources}:
            return [1.0]
        unit, bits = self.encoder.unit, len(weights)
        return [unit * 2.0**k * (-1 if k == bits - 1 > 0 else 1) for k in range(bits)]


@dataclass(slots=True, kw_only=True)
class _Layer:
    """A population with what leads into it: double tensors that hold integers.

    Args:
        parts: weights [n, inputs] with their exponents, a bit plane each, in order.
        bias: [n] each, none or one.
        whole: no exponent drops bits of a sum.
        alpha, beta: retentions, multiples of 1/4096; threshold in units of v. [n] each.
        silent: never spikes.
    """

    parts: list[Tensor]
    bias: list[Tensor]
    whole: bool
    alpha: Tensor
    beta: Tensor
    threshold: Tensor
    silent: bool

    def run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes in [T, batch, inputs] → spikes [T, batch, n], and the last potential [batch, n]."""
        currents = 64 * self._currents(x)
        u = v = torch.zeros(currents.shape[1:], dtype=torch.float64)
        spikes = []
        for current in currents:
            u = _decayed(u, self.alpha) + current
            v = torch.clamp(_decayed(v, self.beta) + u, -_POTENTIAL, _POTENTIAL)
            if not self.silent:
                z = _spike((v - self.threshold) / self.threshold.clamp(min=64)).double()
                v = v * (1 - z.detach())
                spikes.append(z)
        return (torch.zeros_like(currents) if self.silent else torch.stack(spikes)), v

    def _currents(self, x: Tensor) -> Tensor:
        if self.whole:
            a = x @ torch.cat(self.parts, 1).T
        else:
            planes = x.chunk(len(self.parts), -1)
            a = sum((_floor(p @ w.T) for p, w in zip(planes, self.parts, strict=True)), x.new_zeros(()))
        return a + sum(self.bias, x.new_zeros(()))


def _through(target: Tensor, value: NDArray[np.float64]) -> Tensor:
    """Exactly ``value``, with the gradient of ``target``."""
    return torch.from_numpy(value) + (target - target.detach())


def _floor(x: Tensor) -> Tensor:
    return torch.floor(x).detach() + (x - x.detach())


def _decayed(x: Tensor, retention: Tensor) -> Tensor:
    """x · retention towards zero, as the chip has it."""
    y = x * retention
    return torch.trunc(y).detach() + (y - y.detach())


def _integers(synapse: Synapse) -> NDArray[np.float64]:
    """What a spike through each synapse adds to the sum, before bits are dropped."""
    return np.ldexp(synapse.matrix.astype(np.float64), synapse.weight_exp)


def _whole(synapse: Synapse) -> bool:
    added = _integers(synapse)
    return bool((added == np.floor(added)).all())


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().numpy()


def _numbers(program: Program) -> list[object]:
    """What two compilations of a settled module have in common."""
    synapses = [(s.name, s.weight_exp, s.matrix.tobytes()) for s in program.synapses]
    kinds = [p.kind for p in program.populations]
    return [*synapses, *(k.vth.tobytes() for k in kinds if isinstance(k, Lif))]


def _bound(weight: NDArray[np.float64], bits: int) -> float:
    """The largest weight with which, all others clipped to it, rounding errs least in the mean square."""
    steps = 2 ** (bits - 1) - 1
    largest = max(float(np.abs(weight).max()), 1e-12)

    def error(bound: float) -> float:
        kept = np.clip(weight, -bound, bound)
        return float(((np.round(kept * steps / bound) * bound / steps - weight) ** 2).sum())

    return float(min(largest * _SHARES, key=error))
