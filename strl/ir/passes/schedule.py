"""When each population works on the chip: the least delays that keep the network's meaning.

On chip every synapse takes at least one tick; in a Network none does, except through a Delay. So each
population p gets an offset o(p): its logical tick k is the chip's tick k + o(p). A synapse from p to q
that the network delays by d ticks needs the physical delay o(q) − o(p) + d ≥ 1. The smallest offsets are
the longest paths of −(d − 1) (retiming, Leiserson and Saxe 1991); a loop whose delays do not
cover its synapses has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from strl.errors import ChipError


def offsets(
    populations: Sequence[str], synapses: Iterable[tuple[str, str, int]], source: str
) -> Mapping[str, int]:
    """The earliest tick at which each population can start, ``source`` being 0.

    Args:
        populations: names.
        synapses: (pre, post, logical delay in ticks).
        source: the population that the encoder drives.

    Raises:
        ChipError: a loop with fewer ticks of delay than synapses.
    """
    found = dict.fromkeys(populations, 0)
    arcs = list(synapses)
    for _ in range(len(populations) + 1):
        changed = False
        for pre, post, delay in arcs:
            earliest = found[pre] - delay + 1
            if earliest > found[post]:
                if post == source:
                    break
                found[post] = earliest
                changed = True
        if not changed:
            return found
    raise ChipError(
        "schedule: a recurrent loop has fewer ticks of delay than synapses, and each synapse takes one",
        hint="give every synapse of the loop a delay of one tick in the network",
    )
