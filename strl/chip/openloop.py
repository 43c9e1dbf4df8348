"""Programs without an environment: one decision is the whole run."""

from __future__ import annotations

from dataclasses import replace

from strl.chip.program import Program
from strl.errors import UsageError
from strl.quantize.network import Population
from strl.quantize.neurons import Gate


def shortened(program: Program, ticks: int) -> Program:
    """The same program run for fewer driven ticks; what it does in those does not change.

    Raises:
        UsageError: it was made for fewer than that.
    """
    made = program.schedule.ticks
    if ticks > made:
        raise UsageError(
            f"the program is made for at most {made} ticks, the input has {ticks}",
            hint=f"export the network again with --ticks {ticks}",
        )
    if ticks == made:
        return program
    schedule, readout = program.schedule, program.readout
    return replace(
        program,
        populations=tuple(_shortened(p, made, ticks) for p in program.populations),
        schedule=replace(schedule, ticks=ticks, total=schedule.total - made + ticks),
        readout=replace(readout, stop=readout.stop - made + ticks),
        semantics=replace(program.semantics, ticks=ticks),
    )


def _shortened(population: Population, made: int, ticks: int) -> Population:
    """With a gate that lasts as long as the run shortened; those of a single tick stay."""
    kind = population.kind
    if not isinstance(kind, Gate) or kind.stop - kind.start != made:
        return population
    return replace(population, kind=Gate(start=kind.start, stop=kind.start + ticks))
