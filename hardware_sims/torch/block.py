"""A block: every population of one kind side by side, updated by a few operators a tick."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

from hardware_sims.torch.arithmetic import SINGLE, wrap_
from hardware_sims.torch.sums import Sum
from strl.chip.program import Program
from strl.quantize.network import Population
from strl.quantize.neurons import Product


class Block(ABC):
    """Populations of one kind for ``batch`` slots, and the synapses that end in them.

    Attributes:
        populations: side by side in that order.
        columns: their columns here, by name.
        a: [ports, batch, n], the synaptic input of the tick, float32 or float64.
        active: int32 [batch, n], how often each neuron was active in this decision.
    """

    def __init__(
        self, populations: Sequence[Population], program: Program, batch: int, device: torch.device
    ) -> None:
        self.populations = tuple(populations)
        edges = accumulate((p.size for p in populations), initial=0)
        self.columns = {p.name: slice(*e) for p, e in zip(populations, pairwise(edges), strict=True)}
        size = sum(p.size for p in populations)
        self._device = device
        ours = [s for s in program.synapses if s.post in self.columns]
        self._sums = [(self.columns[s.post], Sum(s, program, device)) for s in ours]
        self._bound = max(self._greatest(here) for here in self.columns.values())
        self._bits = 16 if program.arithmetic == "loihi1" else 32
        self._wraps = self._bound >= 2 ** (self._bits - 1)
        held = torch.float32 if self._bound <= SINGLE and not self._wraps else torch.float64
        ports = 2 if isinstance(populations[0].kind, Product) else 1
        self.a = torch.zeros((ports, batch, size), dtype=held, device=device)
        self.active = torch.zeros((batch, size), dtype=torch.int32, device=device)
        self._runs = _runs([(self.columns[p.name], program.slices[p.name]) for p in populations])
        reset = program.schedule.state == "reset"
        self._clears = {p.name: p.offset for p in populations} if reset else {}

    def collect(self, tick: int, history: Tensor, row: int) -> None:
        """The synaptic input of a tick, whose messages will be ``history[row]``."""
        self.a.zero_()
        for here, arriving in self._sums:
            if tick not in arriving.blank:
                arriving.add(self.a[arriving.port][:, here], history[row - arriving.delay])
        if self._wraps:
            wrap_(self.a, self._bits)

    def advance(self, tick: int, messages: Tensor) -> None:
        """Update all neurons and write what they send into ``messages`` [batch, neurons]."""
        for name, offset in self._clears.items():
            if offset == tick:
                for state in self.states():
                    state[:, self.columns[name]] = 0
        self.active.add_(self._activity())
        sent = self._step()
        for here, there in self._runs:
            messages[:, there] = sent[:, here]

    def states(self) -> tuple[Tensor, ...]:
        """What lives from tick to tick, each [batch, n]."""
        return ()

    @abstractmethod
    def _activity(self) -> Tensor:
        """Bool [batch, n]: who has input or state that is not 0."""

    @abstractmethod
    def _step(self) -> Tensor:
        """Update the neurons; gives their messages [batch, n]."""

    def _greatest(self, here: slice) -> int:
        """What no input makes a sum of these columns exceed in magnitude, were it not wrapped."""
        sums = [s for at, s in self._sums if at == here]
        return max(sum(s.bound for s in sums if s.port == port) for port in (0, 1))

    def _parameter(self, name: str, dtype: torch.dtype = torch.float64) -> Tensor:
        """[n] of a parameter that each neuron, or each population, has one of."""
        values = [np.broadcast_to(getattr(p.kind, name), p.size) for p in self.populations]
        return torch.from_numpy(np.concatenate(values).astype(np.int64)).to(self._device, dtype)


def _runs(pairs: Sequence[tuple[slice, slice]]) -> list[tuple[slice, slice]]:
    """The pairs of columns, with those joined that are neighbours on both sides."""
    joined = [pairs[0]]
    for here, there in pairs[1:]:
        mine, theirs = joined[-1]
        if theirs.stop == there.start:
            joined[-1] = slice(mine.start, here.stop), slice(theirs.start, there.stop)
        else:
            joined.append((here, there))
    return joined
