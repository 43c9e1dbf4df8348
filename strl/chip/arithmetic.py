"""The two arithmetics that a program can be run in, and what each cannot express.

``lava`` is that of lava-nc 0.10.0's ``fixed_pt`` models, ``loihi1`` what is published of the silicon. Both
are defined in ``hardware_sims/loihi/definition.py``; docs/chip.md has the sources.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np

from strl.errors import ChipError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Gate, Lif, Source

Arithmetic = Literal["lava", "loihi1"]

ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)


def check_arithmetic(
    arithmetic: str, populations: Iterable[Population], synapses: Iterable[Synapse], exponent_min: int
) -> None:
    """Refuse what an arithmetic does not have.

    Args:
        arithmetic: its name.
        populations, synapses: of the program.
        exponent_min: least weight exponent of the chip.

    Raises:
        ChipError: the first population or synapse that it cannot express, and why.
    """
    if arithmetic not in ARITHMETICS:
        raise ChipError(f"there is no arithmetic {arithmetic!r}, only {', '.join(ARITHMETICS)}")
    for population in populations:
        kind = population.kind
        if arithmetic == "lava":
            if isinstance(kind, Lif) and kind.refractory > 1:
                raise ChipError(
                    f"{population.name}: refractory = {kind.refractory} ticks, Lava's integer LIF has none",
                    hint="use arithmetic 'loihi1'",
                )
            continue
        if (reason := not_of_loihi1(population)) is not None:
            raise ChipError(
                f"{population.name}: {reason}, which arithmetic 'loihi1' has not: nothing of it is published "
                "of Loihi 1",
                hint="use arithmetic 'lava'",
            )
    if arithmetic == "loihi1":
        for synapse in synapses:
            _check_stored(synapse, exponent_min)


def not_of_loihi1(population: Population) -> str | None:
    """What of a population Loihi 1's neurons have not, in words; None where they have all."""
    kind = population.kind
    if isinstance(kind, Source):
        return "sends graded messages" if kind.plane is None else None
    if isinstance(kind, Gate):
        return None
    if not isinstance(kind, Lif):
        return f"is {type(kind).__name__.lower()}"
    if kind.reset != "zero":
        return "never resets" if kind.reset == "none" else f"resets by {kind.reset}"
    if kind.multiple:
        return "sends several spikes in a tick"
    if kind.inclusive:
        return "spikes at its threshold"
    return "resets a tick late" if kind.reset_delay else None


def _check_stored(synapse: Synapse, exponent_min: int) -> None:
    """A synapse stores ``weight_bits`` bits of a weight, the sign among them where both signs occur.

    So weights are multiples of 2^(8 − bits), of twice that with both signs; smaller ones can be stored
    shifted left, under an exponent that takes it back.
    """
    if synapse.message_bits:
        raise ChipError(
            f"{synapse.name}: message_bits = {synapse.message_bits}, arithmetic 'loihi1' has only spikes",
            hint="use arithmetic 'lava'",
        )
    weight = synapse.weight.weight if isinstance(synapse.weight, Kernel) else synapse.weight
    low, high = int(weight.min()), int(weight.max())
    step = 1 << (8 - synapse.weight_bits + (low < 0 < high))
    left = next(k for k in range(8, -1, -1) if low << k >= -256 and high << k <= 255)
    left = min(left, max(synapse.weight_exp - exponent_min, 0))
    lost = (weight.astype(np.int64) << left) % step != 0
    if lost.any():
        raise ChipError(
            f"{synapse.name}: weight {int(weight[lost][0])}, but {synapse.weight_bits} bits store only "
            f"multiples of {step} where the largest is {max(high, -low)} · 2^{synapse.weight_exp}",
            hint="quantise the weights, or use arithmetic 'lava'",
        )
