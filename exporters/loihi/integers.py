"""Program ↔ ``program.json`` (structure) and ``weights.safetensors`` (every integer array)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any, get_args

import numpy as np
from safetensors.numpy import load, save

from strl.chip.program import Part, Program
from strl.chip.spec import ChipSpec
from strl.errors import BundleError
from strl.ir.semantics import MAX_TICKS, Semantics
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse, WindowKind
from strl.quantize.neurons import (
    COMPUTING,
    REFRACTORY,
    Gate,
    Graded,
    Kind,
    Lif,
    Product,
    Reset,
    Source,
    Ternary,
)

NEURONS_MAX = 1 << 20
"""Neurons of a population; above it a bundle is taken for damaged."""

TICKS_MAX = 2 * MAX_TICKS
"""Ticks of a decision, the ones in which the pipeline drains among them."""

IMAGE_MAX = 1 << 12
"""Height, width, stride, … of a shared kernel."""

_KINDS = {kind.__name__.lower(): kind for kind in (Source, Gate, *COMPUTING)}
_PARAMETERS = ("du", "dv", "vth", "high", "low")
_SYNAPSE = ("name", "pre", "post", "weight_exp", "delay", "weight_bits", "format", "message_bits", "port")
_PAIRS = ("stride", "padding", "dilation")


def structure(program: Program) -> dict[str, Any]:
    """Everything of a program but its arrays, chip and semantics, as plain data."""
    return {
        "arithmetic": program.arithmetic,
        "populations": [_population(p) for p in program.populations],
        "synapses": [_synapse(s) for s in program.synapses],
        "placement": [asdict(part) for part in program.placement],
        "schedule": asdict(program.schedule),
        "readout": asdict(program.readout),
    }


def arrays(program: Program) -> bytes:
    """The arrays, as safetensors.

    ``weight/SYNAPSE`` int16 [post, pre], or a shared kernel's [out, in, height, width];
    ``du/POPULATION`` int32 [n], and so on.
    """
    found: dict[str, Any] = {}
    for s in program.synapses:
        found[f"weight/{s.name}"] = s.weight.weight if isinstance(s.weight, Kernel) else s.weight
    for population in program.populations:
        for what in _fields(type(population.kind)):
            if what in _PARAMETERS:
                found[f"{what}/{population.name}"] = getattr(population.kind, what)
    return save(found)


def rebuild(record: Mapping[str, Any], data: bytes, chip: ChipSpec, semantics: Semantics) -> Program:
    """The program that ``structure`` and ``arrays`` were made of.

    Raises:
        BundleError: they do not make one.
    """
    try:
        values = load(data)
    except Exception as error:  # kinds of numbers that numpy has not are a KeyError, and more may come
        raise BundleError(f"weights.safetensors: {error!r:.200}", hint="export the policy again") from error
    try:
        populations = tuple(_read_population(p, values) for p in record["populations"])
        return Program(
            chip=chip,
            arithmetic=record["arithmetic"],
            populations=populations,
            synapses=tuple(_read_synapse(s, values) for s in record["synapses"]),
            placement=tuple(_read_part(part, populations, chip) for part in record["placement"]),
            schedule=_read_schedule(record["schedule"]),
            readout=_read_window(record["readout"]),
            semantics=semantics,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BundleError(f"program: {error!r:.200}", hint="export the policy again") from error


def _population(population: Population) -> dict[str, Any]:
    kind = population.kind
    details = {w: getattr(kind, w) for w in _fields(type(kind)) if w not in _PARAMETERS}
    return {
        "name": population.name,
        "size": population.size,
        "offset": population.offset,
        "kind": type(kind).__name__.lower(),
        **details,
    }


def _read_population(record: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> Population:
    name = _text(record, "name")
    made = _read_kind(record, values, name)
    size = _integer(record, "size", 1, NEURONS_MAX)
    return Population(name=name, size=size, kind=made, offset=_integer(record, "offset", 0, TICKS_MAX))


def _read_kind(record: Mapping[str, Any], values: Mapping[str, np.ndarray], name: str) -> Kind:
    word = _text(record, "kind")
    if word not in _KINDS:
        raise ValueError(f"{name}: no population is a {word!r}")
    kind = _KINDS[word]
    if set(record) != {"name", "size", "offset", "kind", *_fields(kind)} - set(_PARAMETERS):
        raise ValueError(f"{name}: {sorted(record)} do not describe a {word}")
    arrays = {w: _array(values, f"{w}/{name}", "i4") for w in _fields(kind) if w in _PARAMETERS}
    if kind is Source:
        return Source(plane=None if record["plane"] is None else _integer(record, "plane", 0, 15))
    if kind is Gate:
        start, stop = (_integer(record, what, 0, TICKS_MAX) for what in ("start", "stop"))
        return Gate(start=start, stop=stop)
    if kind is Lif:
        _one_of(record, "reset", *get_args(Reset))
        refractory = _integer(record, "refractory", 1, REFRACTORY)
        late, inclusive, multiple = (_flag(record, what) for what in ("reset_delay", "inclusive", "multiple"))
        made = Lif(du=arrays["du"], dv=arrays["dv"], vth=arrays["vth"], reset=record["reset"])
        return replace(made, reset_delay=late, refractory=refractory, inclusive=inclusive, multiple=multiple)
    if kind is Ternary:
        return Ternary(**arrays)
    if kind is Graded:
        return Graded(**arrays, rectify=_flag(record, "rectify"))
    return Product(**arrays, shift=_integer(record, "shift", 0, 31))


def _synapse(synapse: Synapse) -> dict[str, Any]:
    record = {what: getattr(synapse, what) for what in _SYNAPSE}
    if isinstance(synapse.weight, Kernel):
        kernel = synapse.weight
        record["kernel"] = {w: list(getattr(kernel, w)) for w in ("image", *_PAIRS)}
        record["kernel"]["groups"] = kernel.groups
    return record


def _read_synapse(record: Mapping[str, Any], values: Mapping[str, np.ndarray]) -> Synapse:
    for what in ("name", "pre", "post"):
        _text(record, what)
    _integer(record, "weight_bits", 1, 8)
    _integer(record, "weight_exp", -7, 7)
    _integer(record, "delay", 1, 63)
    _one_of(record, "format", "dense", "sparse")
    _integer(record, "message_bits", 0, 32)
    _integer(record, "port", 0, 1)
    weight = _array(values, f"weight/{record['name']}", "i2")
    rest = {what: value for what, value in record.items() if what != "kernel"}
    return Synapse(weight=_read_kernel(record["kernel"], weight) if "kernel" in record else weight, **rest)


def _read_kernel(record: Mapping[str, Any], weight: np.ndarray) -> Kernel:
    def pair(what: str, low: int) -> tuple[int, int]:
        first, second = record[what]
        return _whole(what, first, low, IMAGE_MAX), _whole(what, second, low, IMAGE_MAX)

    channels, height, width = (_whole("image", n, 1, NEURONS_MAX) for n in record["image"])
    if channels * height * width > NEURONS_MAX:
        raise ValueError(f"image = {record['image']}, must have at most {NEURONS_MAX} places")
    if set(record) != {"image", "groups", *_PAIRS}:
        raise ValueError(f"{sorted(record)} do not describe a kernel")
    return Kernel(
        weight=weight,
        image=(channels, height, width),
        stride=pair("stride", 1),
        padding=pair("padding", 0),
        dilation=pair("dilation", 1),
        groups=_integer(record, "groups", 1, NEURONS_MAX),
    )


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
    _one_of(record, "kind", *get_args(WindowKind))
    _integer(record, "start", 0, TICKS_MAX)
    _integer(record, "stop", record["start"], TICKS_MAX)
    if not isinstance(record["unit"], float):
        raise ValueError(f"unit = {record['unit']!r}, must be a number")
    return ReadoutWindow(**record)


def _integer(record: Mapping[str, Any], what: str, low: int, high: int) -> int:
    return _whole(what, record[what], low, high)


def _whole(what: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{what} = {value!r}, must be a whole number in {low}..{high}")
    return value


def _flag(record: Mapping[str, Any], what: str) -> bool:
    if not isinstance(record[what], bool):
        raise ValueError(f"{what} = {record[what]!r}, must be true or false")
    return bool(record[what])


def _fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _text(record: Mapping[str, Any], what: str) -> str:
    if not isinstance(record[what], str):
        raise ValueError(f"{what} = {record[what]!r}, must be a name")
    return str(record[what])


def _one_of(record: Mapping[str, Any], what: str, *known: str) -> None:
    if record[what] not in known:
        raise ValueError(f"{what} = {record[what]!r}, must be {' or '.join(known)}")


def _array(values: Mapping[str, np.ndarray], name: str, dtype: str) -> np.ndarray:
    if name not in values:
        raise ValueError(f"weights.safetensors: {name} is missing")
    found = values[name]
    if found.dtype != np.dtype(dtype):
        raise ValueError(f"weights.safetensors: {name} is {found.dtype}, must be {np.dtype(dtype)}")
    return found
