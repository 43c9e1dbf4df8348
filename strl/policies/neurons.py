"""Neurons in torch that snnTorch has not: what networks of other producers are made of."""

from __future__ import annotations

from typing import Any

import torch
from snntorch import surrogate
from torch import Tensor, nn

from strl.ir.neurons import LIF


class IntegrateAndFire(nn.Module):
    """A ``strl.ir.LIF`` as a torch module: every reset, comparison, drive, start and floor that it has.

    It keeps its states, ``syn`` and ``mem``, which ``reset_mem`` clears; one call is one tick. Spikes have
    snnTorch's arctan surrogate, so it trains; its parameters are buffers and learn nothing.

    Args:
        node: what it computes; its ``grain`` must be 0.
    """

    alpha: Tensor
    beta: Tensor
    threshold: Tensor
    drive: Tensor
    start_v: Tensor
    floor: Tensor

    def __init__(self, node: LIF) -> None:
        super().__init__()
        if node.grain:
            raise ValueError("a grain is the chip's, see strl.policies.chip_layers")
        for name in ("alpha", "beta", "threshold", "drive", "start_v", "floor"):
            self.register_buffer(name, torch.tensor(getattr(node, name)))
        self.reset_mechanism, self.reset_delay = node.reset, node.reset_delay
        self.inclusive, self.multiple = node.inclusive, node.multiple
        self.surrogate: Any = surrogate.atan()
        self.reset_mem()

    def reset_mem(self) -> None:
        """Begin anew: no current, the potential at its start, no reset owed."""
        self.syn: Tensor | None = None
        self.mem: Tensor | None = None
        self.spk: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.syn is None or self.mem is None or self.spk is None or self.mem.shape != x.shape:
            self.syn, self.spk = torch.zeros_like(x), torch.zeros_like(x)
            self.mem = torch.zeros_like(x) + self.start_v
        self.syn = self.alpha * self.syn + x
        v = torch.maximum(self.beta * self.mem + self.syn + self.drive, self.floor)
        if self.reset_mechanism == "zero":
            v = torch.where((self.spk > 0) & self.reset_delay, 0.0, v)
            spikes = self._spikes(v)
            self.mem = v if self.reset_delay else torch.where(spikes > 0, 0.0, v)
        elif self.reset_mechanism == "subtract":
            owed = self._fires(self.mem).to(v.dtype)
            v = v - self._taken(owed)
            spikes = self._spikes(v)
            self.mem = v if self.reset_delay else v - self._taken(spikes - owed)
        else:
            spikes = self._spikes(v)
            self.mem = v - self._taken(spikes) if self.reset_mechanism == "once" else v
        self.spk = spikes
        return spikes

    def _fires(self, v: Tensor) -> Tensor:
        return v >= self.threshold if self.inclusive else v > self.threshold

    def _spikes(self, v: Tensor) -> Tensor:
        hard = self._fires(v).to(v.dtype)
        if self.multiple:
            hard = torch.where(v >= self.threshold, torch.floor(v / self.threshold), 0.0)
        if not torch.is_grad_enabled():
            return hard
        soft = self.surrogate(v - self.threshold).to(v.dtype)
        spikes: Tensor = hard.detach() + soft - soft.detach()
        return spikes

    def _taken(self, spikes: Tensor) -> Tensor:
        # An infinite threshold times no spike would not be a number.
        return spikes * torch.where(torch.isfinite(self.threshold), self.threshold, 0.0)
