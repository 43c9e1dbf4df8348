"""What no input can make the sums of a program exceed: proved neuron by neuron, without running anything.

On Loihi 1 the synaptic sum of a tick is limited to about ±2¹⁵ (unverified to the bit; Lava does not model
it), so a program that exceeds it runs in simulators of Lava's arithmetic, not on the chip. The current u is
24 bits wide everywhere; where it wraps, a strong input acts as one of the other sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.chip.program import Program
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Lif, Ternary, binary

SUM_MAX = 2**15 - 1
"""Greatest magnitude of the synaptic sum of a tick on Loihi 1, in units of a weight."""

CURRENT_MAX = 2**23 - 1
"""Greatest magnitude of u."""

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bound:
    """Greatest magnitudes that the neurons of a population can reach, in any input.

    Args:
        total: [n] synaptic sum of a tick, in units of a weight.
        current: [n] u, zeros where the kind has none.
    """

    total: Float
    current: Float

    def to_dict(self) -> dict[str, Any]:
        """For JSON: per quantity the bound of the worst neuron, the limit, and how many can exceed it."""
        return {
            "sum": _record(self.total, SUM_MAX),
            "current": _record(self.current, CURRENT_MAX),
        }


def bounds(program: Program) -> dict[str, Bound]:
    """Bounds of every population that computes, by name.

    Each sender is taken to send whatever drives the sum furthest, in every tick that the state lives; so a
    bound within its limit is a proof, while one beyond it need never be reached.
    """
    found: dict[str, Bound] = {}
    computing = [p for p in program.populations if any(s.post == p.name for s in program.synapses)]
    for population in computing:
        ports = {s.port for s in program.synapses if s.post == population.name}
        worst = np.zeros(population.size)
        for port in ports:
            high, low = np.zeros(population.size), np.zeros(population.size)
            for synapse in program.synapses:
                if synapse.post == population.name and synapse.port == port:
                    up, down = _reach(synapse, program.population(synapse.pre))
                    high, low = high + up, low + down
            worst = np.maximum(worst, np.maximum(high, low))
        found[population.name] = Bound(total=worst, current=_current(population, worst, program))
    return found


def _reach(synapse: Synapse, pre: Population) -> tuple[Float, Float]:
    """How far a synapse can push each neuron up and down in a tick: two magnitudes [post]."""
    shared = isinstance(synapse.weight, Kernel)
    weight = synapse.weight.weight if isinstance(synapse.weight, Kernel) else synapse.weight
    axes = (1, 2, 3) if shared else 1
    up, down = (np.maximum(w, 0).sum(axis=axes) for w in (weight.astype(float), -weight.astype(float)))
    if synapse.message_bits and not binary(pre.kind):
        largest = 1.0 if isinstance(pre.kind, Ternary) else 2.0**31
        up = down = (up + down) * largest  # messages of either sign
    # Shifted right, sums round towards −∞.
    up, down = np.floor(up * 2.0**synapse.weight_exp), np.ceil(down * 2.0**synapse.weight_exp)
    if isinstance(synapse.weight, Kernel):  # as if no place lay at the border
        _, height, width = synapse.weight.shape
        up, down = (np.repeat(way, height * width) for way in (up, down))
    return up, down


def _current(population: Population, total: Float, program: Program) -> Float:
    kind = population.kind
    if not isinstance(kind, Lif | Ternary):
        return np.zeros(population.size)
    kept = (4095 - kind.du) / 4096
    ticks = program.schedule.total if program.schedule.state == "reset" else np.inf
    return np.asarray(64 * total * (1 - kept**ticks) / (1 - kept))


def _record(values: Float, limit: int) -> dict[str, Any]:
    worst = int(np.argmax(values))
    return {
        "worst": float(values[worst]),
        "neuron": worst,
        "limit": limit,
        "can_exceed": int((values > limit).sum()),
    }
