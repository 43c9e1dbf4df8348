"""Synaptic sums: what arrives at a population over one synapse in a tick, as a matrix product."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hardware_sims.loihi.definition import shift
from hardware_sims.torch.arithmetic import DOUBLE, SINGLE, wrap_
from strl.chip.program import Program
from strl.quantize.convolution import Kernel
from strl.quantize.network import Synapse
from strl.quantize.neurons import Ternary, binary

CHUNK = 2**26
"""Elements of an unfolded image at a time."""


class Sum:
    """One synapse, or all that a ``Kernel`` shares.

    Attributes:
        delay, port: the synapse's.
        pre: columns of the sender in a row of messages.
        blank: ticks of a decision in which nothing arrives.
        bound: what no input makes a neuron's contribution exceed in magnitude.
        dtype: of the weights and the product, which holds every sum exactly.
    """

    def __init__(self, synapse: Synapse, program: Program, device: torch.device) -> None:
        self.delay, self.port = synapse.delay, synapse.port
        self.pre = program.slices[synapse.pre]
        ticks = range(program.schedule.total)
        self.blank = frozenset(t for t in ticks if program.blanked(synapse, t))
        sender = program.population(synapse.pre).kind
        self._spikes_only = not synapse.message_bits and not binary(sender)
        weighted = synapse.message_bits and not binary(sender)
        reach = 1 if not weighted or isinstance(sender, Ternary) else 2**31
        shared = synapse.weight if isinstance(synapse.weight, Kernel) else None
        stored = synapse.weight.weight if isinstance(synapse.weight, Kernel) else synapse.weight
        weight, exponent = stored.astype(np.int64), synapse.weight_exp
        if program.arithmetic == "loihi1":
            weight, exponent = shift(weight, exponent), 0
        self._wraps = _greatest(weight) * reach >= 2**31
        if exponent > 0 and not self._wraps:  # else the sum is wrapped before it is shifted
            weight, exponent = shift(weight, exponent), 0
        total = _greatest(weight) * reach
        self.bound = math.ceil((min(total, 2**31) if self._wraps else total) * 2.0**exponent)
        self._scale = 2.0**exponent
        self._halves = total > DOUBLE
        self.dtype = torch.float32 if total <= SINGLE else torch.float64
        self._dense: Tensor | None = None
        if shared is not None:
            self._product = _convolution(shared, weight, self.dtype, device)
        else:
            dense = torch.from_numpy(np.ascontiguousarray(weight.T)).to(device, self.dtype)
            self._dense = None if self._wraps or exponent else dense
            self._product = lambda sent: sent @ dense

    def add(self, a: Tensor, messages: Tensor) -> None:
        """Add what arrives to a [batch, post], float32 or float64.

        Args:
            messages: [batch, neurons], a row of all messages of a tick.
        """
        sent = messages[:, self.pre]
        if self._spikes_only:
            sent = sent.ne(0)
        if self._halves:
            a.add_(self._scaled(self._by_halves(sent)))
        elif self._dense is not None and a.dtype == self.dtype:
            a.addmm_(sent.to(self.dtype), self._dense)
        else:
            found = self._product(sent.to(self.dtype))
            a.add_(self._scaled(wrap_(found, 32) if self._wraps else found))

    def _by_halves(self, sent: Tensor) -> Tensor:
        """Messages of 16 bits, twice: the products stay exact for any fan-in that fits a machine."""
        low = wrap_(self._product((sent & 0xFFFF).to(self.dtype)), 32)
        high = wrap_(self._product((sent >> 16).to(self.dtype)), 32)
        return wrap_(high.mul_(2**16).add_(low), 32)

    def _scaled(self, found: Tensor) -> Tensor:
        """Times a power of two, towards −∞."""
        return found if self._scale == 1.0 else found.mul_(self._scale).floor_()


def _greatest(weight: NDArray[np.int64]) -> int:
    """Greatest Σ|w| of a neuron; [post, …]."""
    return int(np.abs(weight).reshape(len(weight), -1).sum(axis=1).max())


def _convolution(
    kernel: Kernel, values: NDArray[np.int64], dtype: torch.dtype, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """[batch, image] → [batch, out · height · width] by unfolding: a plain product of matrices."""
    out, _, height, width = values.shape
    grouped = values.reshape(kernel.groups, out // kernel.groups, -1)
    weight = torch.from_numpy(grouped).to(device, dtype)
    places = kernel.shape[1] * kernel.shape[2]
    rows = max(1, CHUNK // (kernel.image[0] * height * width * places))

    def part(images: Tensor) -> Tensor:
        patches = torch.nn.functional.unfold(
            images.reshape(-1, *kernel.image),
            (height, width),
            dilation=kernel.dilation,
            padding=kernel.padding,
            stride=kernel.stride,
        ).reshape(len(images), kernel.groups, -1, places)
        return torch.einsum("gok,bgkl->bgol", weight, patches).flatten(1)

    return lambda sent: torch.cat([part(images) for images in torch.split(sent, rows)])
