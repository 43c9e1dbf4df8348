"""Whether a chip can hold a network at all, asked of its widths before anything is built or trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from strl.chip.spec import chip
from strl.errors import ChipError
from strl.loop.subject import DEFAULT_CHIP


def check_size(widths: Sequence[int], name: str = DEFAULT_CHIP) -> None:
    """Neurons and weights of layers of these widths are no more than the chip has room for.

    A lower bound: whether the cores can be filled that well is known when the network is placed.

    Args:
        widths: of the input, the hidden layers and the output.
        name: the chip's.

    Raises:
        ChipError: they are more; says how many and the limit.
    """
    spec = chip(name)
    cores = spec.limit("cores")
    weights = sum(before * after for before, after in pairwise(widths))
    needed = {
        "compartments": sum(widths[1:]),
        "synapse_words": math.ceil(weights * spec.limit("weight_bits") / 64),
    }
    for what, amount in needed.items():
        room = cores * spec.limit(what)
        if amount > room:
            raise ChipError(
                f"a network of {'-'.join(map(str, widths))} neurons needs at least {amount} "
                f"{what.replace('_', ' ')}, {spec.name} has {room}",
                hint="train with smaller --hidden layers",
            )
