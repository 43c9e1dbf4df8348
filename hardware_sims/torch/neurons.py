"""Neurons without a state, and which block each kind goes to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hardware_sims.torch.block import Block
from hardware_sims.torch.leaky import Refractory, Signed, Spiking
from strl.chip.program import Program
from strl.quantize.network import Population
from strl.quantize.neurons import COMPUTING, Graded, Lif, Neurons, Product, Ternary


def blocks(program: Program, batch: int, device: torch.device) -> list[Block]:
    """The computing populations of a program, those of a kind together."""
    kinds: dict[object, list[Population]] = {}
    for population in program.populations:
        if isinstance(population.kind, COMPUTING):
            kinds.setdefault(_sort(population.kind), []).append(population)
    made = _MADE | ({Lif: Refractory} if program.arithmetic == "loihi1" else {})
    return [made[type(same[0].kind)](same, program, batch, device) for same in kinds.values()]


def _sort(kind: Neurons) -> tuple[object, ...]:
    """Equal for kinds that one block can hold."""
    if isinstance(kind, Lif):
        return Lif, kind.reset, kind.reset_delay, kind.inclusive, kind.multiple
    if isinstance(kind, Graded):
        return Graded, kind.rectify
    return (Product, kind.shift) if isinstance(kind, Product) else (Ternary,)


class Passing(Block):
    """``Graded``; −2³¹ is never large enough, for 32 bits do not hold its magnitude."""

    def __init__(
        self, populations: Sequence[Population], program: Program, batch: int, device: torch.device
    ) -> None:
        super().__init__(populations, program, batch, device)
        kind = populations[0].kind
        assert isinstance(kind, Graded)
        self._rectify = kind.rectify
        self._least = self._parameter("vth")

    def _activity(self) -> Tensor:
        return self.a[0].ne(0)

    def _step(self) -> Tensor:
        a = self.a[0]
        large = a > self._least if self._rectify else (a.abs() > self._least) & (a > -(2**31))
        return a.mul(large)


class Multiplying(Block):
    """``Product``, in int64: a product of 32-bit inputs has up to 62 bits."""

    def __init__(
        self, populations: Sequence[Population], program: Program, batch: int, device: torch.device
    ) -> None:
        super().__init__(populations, program, batch, device)
        kind = populations[0].kind
        assert isinstance(kind, Product)
        self._shift = kind.shift
        self._least = self._parameter("vth", torch.int64)

    def _activity(self) -> Tensor:
        return torch.logical_or(self.a[0], self.a[1])

    def _step(self) -> Tensor:
        first, second = self.a[0].to(torch.int64), self.a[1].to(torch.int64)
        word = ((first * second + 2**31) & (2**32 - 1)) - 2**31
        p = word >> self._shift
        return p.mul((p.abs() > self._least) & (p > -(2**31)))


_MADE: dict[type, type[Block]] = {Lif: Spiking, Ternary: Signed, Graded: Passing, Product: Multiplying}
