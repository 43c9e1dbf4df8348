"""A small policy made by hand, for tests of loops, backends and comparisons: no training, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from strl.chip.compile import compile_network
from strl.chip.program import Program
from strl.chip.spec import chip
from strl.ir.maps import Linear
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.nodes import Input, Output
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics

GAINS = np.array([0.2, 0.5, 1.2, 1.0])
"""How position, velocity, angle and angular velocity, each as a share of its range, push the cart."""


def pole_network(seed: int = 0, hidden: int = 16) -> Network:
    """Balances CartPole: one half of the hidden neurons votes right, the other left.

    Args:
        seed: of the noise that makes the hidden neurons differ.
        hidden: their number, even.
    """
    rng = np.random.default_rng(seed)
    signs = np.repeat([1.0, -1.0], hidden // 2)
    weight = signs[:, None] * GAINS * rng.uniform(0.8, 1.2, (hidden, 4))
    votes = np.stack([signs < 0, signs > 0]) * rng.uniform(0.3, 0.5, (2, hidden))
    return Network(
        nodes={
            "input": Input(shape=(4,)),
            "fc1": Linear(weight=weight * 4.0, bias=rng.uniform(0.1, 0.5, hidden)),
            "lif1": _lif(hidden, 0.9),
            "fc2": Linear(weight=votes),
            "lif2": _lif(2, 0.9),
            "output": Output(shape=(2,)),
        },
        edges=(("input", "fc1"), ("fc1", "lif1"), ("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "output")),
    )


def pole_semantics(**changes: object) -> Semantics:
    """Direct current of 6 bits, 8 ticks, spike counts; ``changes`` replace fields."""
    fields: dict[str, object] = {
        "ticks": 8,
        "state": "reset",
        "readout": Readout(kind="count"),
        "encoder": {
            "kind": "direct",
            "low": [-2.4, -2.0, -0.21, -2.0],
            "high": [2.4, 2.0, 0.21, 2.0],
            "precision": 6,
            "gain": 1.0,
        },
        "decoder": {"kind": "argmax", "actions": 2},
        "environment": EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=2),
    }
    return Semantics(**{**fields, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class PoleSubject:
    """What ``strl run`` runs, without a file."""

    name: str = "pole"
    network: Network = field(default_factory=pole_network)
    semantics: Semantics = field(default_factory=pole_semantics)

    def program(self, chip_name: str | None = None, weight_bits: int | None = None) -> Program:
        """Compiled for ``loihi1`` or the chip of that name."""
        spec = chip(chip_name or "loihi1")
        return compile_network(self.network, self.semantics, spec, weight_bits=weight_bits).program


def _lif(size: int, beta: float) -> LIF:
    return LIF(
        alpha=np.zeros(size),
        beta=np.full(size, beta),
        threshold=np.ones(size),
        reset="zero",
        reset_delay=False,
    )
