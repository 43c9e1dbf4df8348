"""How full the chip is: what each core uses of each limit, and which limit binds."""

from __future__ import annotations

from typing import Any

from strl.chip.compile import Compiled
from strl.chip.overflow import on_chip
from strl.chip.place import usage


def utilization(compiled: Compiled) -> dict[str, Any]:
    """Plain data: cores used of those there are, and for each core used, limit and share by name.

    ``binding`` is the limit that the core comes closest to; ``sums`` is what ``overflow``
    proves of the sums on the chip.
    """
    chip = compiled.program.chip
    cores = []
    for core, use in sorted(usage(compiled.quantized, compiled.program.placement).items()):
        limits = {
            name: {"used": used, "limit": chip.limit(name), "share": used / chip.limit(name)}
            for name, used in use.amounts().items()
        }
        binding = max(limits, key=lambda name: limits[name]["share"])
        cores.append({"core": core, "binding": binding, "limits": limits})
    return {
        "chip": chip.name,
        "cores": {"used": len(cores), "limit": chip.limit("cores")},
        "each": cores,
        "sums": {name: bound.to_dict() for name, bound in on_chip(compiled.program).items()},
    }


def summary(compiled: Compiled) -> dict[str, Any]:
    """Plain data: sizes, ticks and the largest rounding error."""
    program = compiled.program
    worst = max(compiled.quantized.error.items(), key=lambda entry: entry[1]["largest"])
    return {
        "chip": program.chip.name,
        "arithmetic": program.arithmetic,
        "digest": program.digest,
        "populations": len(program.populations),
        "neurons": program.neurons,
        "synapses": sum(s.count for s in program.synapses),
        "cores": len({part.core for part in program.placement}),
        "cores_limit": program.chip.limit("cores"),
        "ticks": program.schedule.ticks,
        "ticks_per_decision": program.schedule.total,
        "worst_error": {"of": worst[0], **worst[1]},
    }
