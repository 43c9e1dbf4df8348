"""Neurons with a state. What each computes stands in ``hardware_sims/loihi/definition.py``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hardware_sims.torch.arithmetic import once_, wrap_
from hardware_sims.torch.block import Block
from strl.chip.program import Program
from strl.quantize.network import Population
from strl.quantize.neurons import Lif

LIMIT = 2**23


class Leaky(Block):
    """Neurons with a current ``u`` and a potential ``v``, both float64 [batch, n]."""

    def __init__(
        self, populations: Sequence[Population], program: Program, batch: int, device: torch.device
    ) -> None:
        super().__init__(populations, program, batch, device)
        self.u = torch.zeros(self.active.shape, dtype=torch.float64, device=device)
        self.v = torch.zeros_like(self.u)
        self._keep_u = (4095 - self._parameter("du")) / 4096
        self._keep_v = (4096 - self._parameter("dv")) / 4096
        # Up to this input |u| stays within 2²³ + 64 · 2¹⁸ = 3 · 2²³ before it is wrapped, and so within 2²³.
        self._wide = self._bound > 2**18
        # The geometric series of the greatest inputs; below 24 bits nothing is ever wrapped.
        least = int(self._parameter("du").min()) + 1
        self._turns = 64 * self._bound * 4096 >= (LIMIT - 1) * least

    def states(self) -> tuple[Tensor, ...]:
        return self.u, self.v

    def probe(self) -> Tensor:
        """What a probe of v reads."""
        return self.v

    def _activity(self) -> Tensor:
        return torch.logical_or(self.a[0], self.u).logical_or_(self.v)

    def _integrate(self) -> None:
        """u of the tick, and v before it is clipped."""
        self.u.mul_(self._keep_u).trunc_().add_(self.a[0], alpha=64)
        if self._turns:
            self._wrap(self.u)
        self.v.mul_(self._keep_v).trunc_().add_(self.u)

    def _wrap(self, u: Tensor) -> None:
        if self._wide:
            wrap_(u, 32)
        once_(u, wide=self._wide)


class Spiking(Leaky):
    """``Lif``, with any of its resets."""

    def __init__(
        self, populations: Sequence[Population], program: Program, batch: int, device: torch.device
    ) -> None:
        super().__init__(populations, program, batch, device)
        kind = populations[0].kind
        assert isinstance(kind, Lif)
        self._reset, self._late, self._multiple = kind.reset, kind.reset_delay, kind.multiple
        self._taken = self._parameter("vth") * 64
        self._threshold = self._taken - int(kind.inclusive)  # in whole numbers, ≥ is above one less

    def _step(self) -> Tensor:
        v, threshold = self.v, self._threshold
        if self._multiple:
            self._integrate()
            counted = (_clip(v) / self._taken).floor_().clamp_(min=0)
            v.sub_(counted * self._taken) if self._reset == "once" else v.masked_fill_(counted > 0, 0)
            return counted.to(torch.int32)
        if self._reset == "zero" and not self._late:
            self._integrate()
            spikes = _clip(v) > threshold
            v.masked_fill_(spikes, 0)
            return spikes
        if self._reset in ("once", "none"):
            self._integrate()
            spikes = _clip(v) > threshold
            if self._reset == "once":
                _clip(v.sub_(spikes * self._taken))
            return spikes
        owed = v > threshold
        self._integrate()
        if self._reset == "zero":
            _clip(v).masked_fill_(owed, 0)
            return v > threshold
        _clip(v.sub_(owed * self._taken))
        spikes = v > threshold
        if not self._late:
            _clip(v.sub_((spikes.to(torch.float64) - owed.to(torch.float64)) * self._taken))
        return spikes


class Refractory(Leaky):
    """``Lif`` in the arithmetic ``loihi1``; ``held`` counts down the ticks until v lives again."""

    def __init__(
        self, populations: Sequence[Population], program: Program, batch: int, device: torch.device
    ) -> None:
        super().__init__(populations, program, batch, device)
        self._threshold = self._parameter("vth") * 64
        self._period = self._parameter("refractory", torch.int32)
        self.held = torch.zeros(self.u.shape, dtype=torch.int32, device=device)

    def states(self) -> tuple[Tensor, ...]:
        return self.u, self.v, self.held

    def probe(self) -> Tensor:
        return torch.where(self.held > 0, 128 * self.held, self.v)

    def _wrap(self, u: Tensor) -> None:
        wrap_(u, 24)

    def _step(self) -> Tensor:
        held = self.held.sub_(1).clamp_(min=0)
        self._integrate()
        spikes = (_clip(self.v) > self._threshold) & (held == 0)
        held.add_(spikes * self._period)
        self.v.masked_fill_(held > 0, 0)
        return spikes


class Signed(Leaky):
    """``Ternary``."""

    def __init__(
        self, populations: Sequence[Population], program: Program, batch: int, device: torch.device
    ) -> None:
        super().__init__(populations, program, batch, device)
        self._high, self._low = self._parameter("high") * 64, self._parameter("low") * 64

    def _step(self) -> Tensor:
        self._integrate()
        v = _clip(self.v)
        up, down = v > self._high, v < self._low
        v.masked_fill_(up | down, 0)
        return up.to(torch.int32) - down.to(torch.int32)


def _clip(v: Tensor) -> Tensor:
    return v.clamp_(1 - LIMIT, LIMIT - 1)
