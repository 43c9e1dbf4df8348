"""What neurons make of a tick's input in arithmetic ``loihi1``; equal to ``definition.lif_loihi1``."""

# mypy: ignore-errors

from __future__ import annotations

from hardware_sims.loihi.kernel.columns import FACTOR_U, REFRACTORY, THRESHOLD
from hardware_sims.loihi.kernel.compiled import compiled
from hardware_sims.loihi.kernel.update import clip, decay, decayed, keep
from hardware_sims.loihi.kernel.vectors import every, flags, load, population, select, store


@compiled
def update_loihi1(state, a, parameters, fired, first, blocks):
    """One tick of the neurons of ``blocks`` blocks; clears a; answers how many neurons were active."""
    u, v, held = state
    count = 0
    for b in range(blocks):
        n = first + b
        received = (load(a, b) << 16) >> 16  # what 16 bits keep of it
        count += population((load(u, n) | load(v, n) | received) != 0)
        current = ((decay(load(u, n), load(parameters[FACTOR_U], n)) + (received << 6)) << 8) >> 8  # 24 bits
        left = load(held, n) - every(1)
        potential = clip(decayed(v, parameters, n) + current)
        potential = select(left > 0, every(0), potential)  # which no threshold lies below
        spike = potential > load(parameters[THRESHOLD], n)
        left = select(left > 0, left, every(0))
        store(held, n, select(spike, load(parameters[REFRACTORY], n), left))
        keep(u, v, a, current, select(spike, every(0), potential), n, b)
        store(fired, b, flags(spike))
    return count
