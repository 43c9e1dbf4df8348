"""Energy of a decision transformer's decision, as a band: its arithmetic alone, and with what it fetches.

Everything is of one book: 45 nm at 0.9 V, M. Horowitz, "Computing's energy problem (and what we can do about
it)", ISSCC 2014, figure 1.1.9. It is not the book of the chip's energy, which was fitted to silicon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from strl.policies.decision_transformer import TOKENS, DecisionConfig, DecisionTransformer

MAC: Mapping[str, float] = {"float32": 3.7e-12 + 0.9e-12, "int8": 0.2e-12 + 0.03e-12}
"""Joules of a multiplication and an addition."""
BYTES: Mapping[str, int] = {"float32": 4, "int8": 1}
ACCESS = 8
"""Bytes of one access to a memory."""
SRAM: Mapping[str, tuple[int, float]] = {
    "8 KB": (8 * 1024, 10e-12),
    "32 KB": (32 * 1024, 20e-12),
    "1 MB": (1024 * 1024, 100e-12),
}
"""Size of a memory in bytes, joules of an access to it."""
DRAM = (1.3e-9, 2.6e-9)
"""Joules of an access, least and most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one decision takes that keeps keys and values, in a full context.

    Args:
        macs: multiplications with an addition.
        weights: that are read, each once: of linear layers, and one row of the table of positions.
        kept: keys and values of the decisions before and of this one.
    """

    macs: int
    weights: int
    kept: int

    @property
    def values(self) -> int:
        return self.weights + self.kept


def work(shape: DecisionConfig) -> Work:
    """Of a decision transformer of this shape."""
    module = DecisionTransformer(shape)
    linear = [part for part in module.modules() if isinstance(part, nn.Linear)]
    return Work(
        macs=module.macs(shape.context, cached=True),
        weights=sum(part.weight.numel() for part in linear) + shape.width,
        kept=2 * shape.blocks * shape.width * TOKENS * shape.context,
    )


def arithmetic(done: Work, kind: str) -> float:
    """Joules of the multiplications alone: less than any decision can take."""
    return done.macs * MAC[kind]


def fetching(done: Work, kind: str, access: float) -> float:
    """Joules of reading every value once from a memory whose access takes ``access``."""
    return done.values * BYTES[kind] / ACCESS * access


def band(done: Work, kind: str) -> tuple[float, float]:
    """The arithmetic alone, and with every value from DRAM at its worst."""
    least = arithmetic(done, kind)
    return least, least + fetching(done, kind, DRAM[1])
