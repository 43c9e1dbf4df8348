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
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Gate, Lif, Source

NEURONS_MAX = 1 << 20
"""Neurons of a population; above it a bundle is taken for damaged."""

TICKS_MAX = 2 * MAX_TICKS
"""Ticks of a decision, the ones in which the pipeline drains among them."""

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
        populations = tuple(_read_population(p, values) for p in record["populations"])
        return Program(
            chip=chip,
            populations=populations,
            synapses=tuple(_read_synapse(s, values) for s in record["synapses"]),
            placement=tuple(_read_part(part, populations, chip) for part in record["placement"]),
            schedule=_read_schedule(record["schedule"]),
            readout=_read_window(record["readout"]),
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
    name, kind = _text(record, "name"), _text(record, "kind")
    made: Source | Gate | Lif
    if kind == "source":
        made = Source(plane=_integer(record, "plane", 0, 15))
    elif kind == "gate":
        made = Gate(
            start=_integer(record, "start", 0, TICKS_MAX), stop=_integer(record, "stop", 0, TICKS_MAX)
        )
    elif kind == "lif":
        made = Lif(**{what: _array(values, f"{what}/{name}", "i4") for what in PARAMETERS})
    else:
        raise ValueError(f"{name}: no population is a {kind!r}")
    size = _integer(record, "size", 1, NEURONS_MAX)
    return Population(name=name, size=size, kind=made, offset=_integer(record, "offset", 0, TICKS_MAX))


def _read_synapse(record: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> Synapse:
    for what in ("name", "pre", "post"):
        _text(record, what)
    _integer(record, "weight_bits", 1, 8)
    _integer(record, "weight_exp", -7, 7)
    _integer(record, "delay", 1, 63)
    _one_of(record, "format", "dense", "sparse")
    return Synapse(weight=_array(values, f"weight/{record['name']}", "i2"), **record)


def _read_part(record: Mapping[str, Any], populations: tuple[Population, ...], chip: ChipSpec) -> Part:
    size = {p.name: p.size for p in populations}[_text(record, "population")]
    _integer(record, "start", 0, size - 1)
    _integer(record, "stop", record["start"] + 1, size)
    _integer(record, "core", 0, chip.limit("cores") - 1)
    return Part(**record)


def _read_schedule(record: Mapping[str, Any]) -> Schedule:
    _integer(record, "ticks", 1, MAX_TICKS)
    _integer(record, "total", record["ticks"], TICKS_MAX)
    _one_of(record, "state", "reset", "carry")
    return Schedule(**record)


def _read_window(record: Mapping[str, Any]) -> ReadoutWindow:
    _text(record, "population")
    _one_of(record, "kind", "count", "membrane")
    _integer(record, "start", 0, TICKS_MAX)
    _integer(record, "stop", record["start"], TICKS_MAX)
    if not isinstance(record["unit"], float):
        raise ValueError(f"unit = {record['unit']!r}, must be a number")
    return ReadoutWindow(**record)


def _integer(record: Mapping[str, Any], what: str, low: int, high: int) -> int:
    value = record[what]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{what} = {value!r}, must be a whole number in {low}..{high}")
    return value


def _text(record: Mapping[str, Any], what: str) -> str:
    if not isinstance(record[what], str):
        raise ValueError(f"{what} = {record[what]!r}, must be a name")
    return str(record[what])


def _one_of(record: Mapping[str, Any], what: str, *known: str) -> None:
    if record[what] not in known:
        raise ValueError(f"{what} = {record[what]!r}, must be {' or '.join(known)}")


def _array(values: Mapping[str, np.ndarray], name: str, dtype: str) -> np.ndarray:
    found = values[name]
    if found.dtype != np.dtype(dtype):
        raise ValueError(f"{name} is {found.dtype}, must be {np.dtype(dtype)}")
    return found
