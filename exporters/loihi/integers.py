"""Program ↔ ``program.json`` (structure) and ``weights.safetensors`` (every integer array)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from strl.chip.program import Part, Program
from strl.chip.spec import ChipSpec
from strl.errors import BundleError
from strl.ir.semantics import MAX_TICKS, Semantics
from strl.quantize.network import Gate, Lif, Population, ReadoutWindow, Schedule, Source, Synapse

NEURONS_MAX = 1 << 20
"""Neurons of a population; above it a bundle is taken for damaged."""

PARAMETERS = ("du", "dv", "vth")
_SYNAPSE = ("name", "pre", "post", "weight_exp", "delay", "weight_bits", "format")


def structure(program: Program) -> dict[str, Any]:
    """Everything of a program but its arrays, chip and semantics, as plain data."""
    return {
        "populations": [_population(p) for p in program.populations],
        "synapses": [{what: getattr(s, what) for what in _SYNAPSE} for s in program.synapses],
        "placement": [asdict(part) for part in program.placement],
        "schedule": asdict(program.schedule),
        "readout": asdict(program.readout),
    }


def arrays(program: Program) -> bytes:
    """The arrays, as safetensors: ``weight/SYNAPSE`` int16 [post, pre], ``du/POPULATION`` int32 [n], …"""
    found: dict[str, Any] = {f"weight/{s.name}": s.weight for s in program.synapses}
    for population in program.populations:
        if isinstance(population.kind, Lif):
            for what in PARAMETERS:
                found[f"{what}/{population.name}"] = getattr(population.kind, what)
    return save(found)


def rebuild(record: Mapping[str, Any], data: bytes, chip: ChipSpec, semantics: Semantics) -> Program:
    """The program that ``structure`` and ``arrays`` were made of.

    Raises:
        BundleError: they do not make one.
    """
    try:
        values = load(data)
        return Program(
            chip=chip,
            populations=tuple(_read_population(p, values) for p in record["populations"]),
            synapses=tuple(Synapse(weight=values[f"weight/{s['name']}"], **s) for s in record["synapses"]),
            placement=tuple(Part(**part) for part in record["placement"]),
            schedule=_bounded(Schedule(**record["schedule"])),
            readout=ReadoutWindow(**record["readout"]),
            semantics=semantics,
        )
    except (KeyError, TypeError, ValueError, AttributeError, SafetensorError) as error:
        raise BundleError(f"program: {error!r}", hint="export the policy again") from error


def _population(population: Population) -> dict[str, Any]:
    kind = population.kind
    details = {} if isinstance(kind, Lif) else asdict(kind)
    return {
        "name": population.name,
        "size": population.size,
        "offset": population.offset,
        "kind": type(kind).__name__.lower(),
        **details,
    }


def _read_population(record: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> Population:
    name, size, kind = record["name"], record["size"], record["kind"]
    if not isinstance(size, int) or not 1 <= size <= NEURONS_MAX:
        raise ValueError(f"{name}: size = {size}, must be 1..{NEURONS_MAX}")
    made: Source | Gate | Lif
    if kind == "source":
        made = Source(plane=record["plane"])
    elif kind == "gate":
        made = Gate(start=record["start"], stop=record["stop"])
    elif kind == "lif":
        made = Lif(**{what: values[f"{what}/{name}"] for what in PARAMETERS})
    else:
        raise ValueError(f"{name}: no population is a {kind!r}")
    return Population(name=name, size=size, kind=made, offset=record["offset"])


def _bounded(schedule: Schedule) -> Schedule:
    if not 1 <= schedule.total <= 2 * MAX_TICKS:
        raise ValueError(f"schedule: total = {schedule.total} ticks, must be 1..{2 * MAX_TICKS}")
    return schedule
