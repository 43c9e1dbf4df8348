"""ChipSpec: a chip as data. Every figure carries its unit, its status and where it is from.

A chip is one TOML file in ``strl/chip/specs``; adding one is adding that file.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from strl.chip.arithmetic import ARITHMETICS, Arithmetic
from strl.chip.limits import check_limits
from strl.content import Content
from strl.errors import ChipError
from strl.files import read_bytes
from strl.quantize.grid import COMPARISONS, INPUTS, MESSAGES, RESETS
from strl.registry import suggest

Status = Literal["primary", "secondary", "remembered", "derived"]
_STATUS = ("primary", "secondary", "remembered", "derived")
T = TypeVar("T")
_UNITS: Mapping[str, float] = {"J": 1.0, "s": 3600.0, "W": 1e6, "1": 2.0**53}
"""Units, and the greatest magnitude of a figure in each: far above any chip's, and sums stay finite."""
_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its origin.

    Args:
        value: in ``unit``.
        low, high: the band it lies in; both equal ``value`` where no band is published.
        unit: SI, or a plain count ("1").
        status: ``primary`` (measured or published by the maker), ``secondary`` (quoted by others),
            ``remembered`` (no source at hand), ``derived`` (computed from the others).
        source: citation.
    """

    value: float
    low: float
    high: float
    unit: str
    status: Status
    source: str


Figures = Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChipSpec(Content):
    """A chip: its limits, and its energy profiles by name.

    Args:
        name: such as ``"loihi1"``: at most 64 letters, digits, dots, hyphens and underscores.
        limits: figure by name, all of ``strl.chip.limits.RANGES``; ``strl/chip/specs/loihi1.toml`` says
            where each is from.
        energy: profile → event → figure (J, s or W).
        resets: the resets that its neurons have, see ``strl.quantize.Grid``.
        arithmetics: those that describe it; a program is compiled for the first unless told.
        comparisons, inputs, messages: those that it has, see ``strl.quantize.grid``.
        toml: the file's text, so that a bundle can carry the chip it was made for.
    """

    name: str
    limits: Figures
    energy: Mapping[str, Figures]
    toml: str
    resets: tuple[str, ...] = ("zero",)
    arithmetics: tuple[Arithmetic, ...] = ("lava",)
    comparisons: tuple[str, ...] = (">",)
    inputs: tuple[str, ...] = ("spikes",)
    messages: tuple[str, ...] = ("spike",)

    def limit(self, name: str) -> int:
        """A limit, one of ``strl.chip.limits.RANGES``."""
        return int(self.limits[name].value)


def chips() -> tuple[str, ...]:
    """Names of the chips that come with strl."""
    folder = files("strl.chip") / "specs"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def chip(name: str) -> ChipSpec:
    """A chip by name, or by the path of a ``.toml`` file.

    Raises:
        ChipError: no such chip, or a file that is not a chip.
    """
    if name in chips():
        return parse((files("strl.chip") / "specs" / f"{name}.toml").read_text("utf-8"), name)
    path = Path(name)
    if path.suffix == ".toml" and path.exists():
        try:
            return parse(read_bytes(path).decode(), name)
        except OSError as error:
            raise ChipError(f"{name}: cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ChipError(f"{name}: not a chip: {error}", hint="write it as UTF-8") from error
    raise ChipError(f"there is no chip {name!r}", hint=suggest(name, chips()))


def parse(toml: str, where: str) -> ChipSpec:
    """A chip from the text of its TOML file; ``where`` names it in errors."""
    try:
        table = _table(toml, where)
        limits = _figures(table["limits"], f"{where}: limits")
        check_limits({name: figure.value for name, figure in limits.items()}, f"{where}: limits")
        energy = {
            _name(profile, f"{where}: energy"): _profile(events, f"{where}: energy.{profile}")
            for profile, events in table.get("energy", {}).items()
        }
        return ChipSpec(
            name=_name(table["name"], f"{where}: name"),
            limits=limits,
            energy=MappingProxyType(energy),
            toml=toml,
            resets=tuple(_features(table, "resets", RESETS, where)),
            arithmetics=tuple(_features(table, "arithmetics", ARITHMETICS, where)),
            comparisons=tuple(_features(table, "comparisons", COMPARISONS, where)),
            inputs=tuple(_features(table, "inputs", INPUTS, where)),
            messages=tuple(_features(table, "messages", MESSAGES, where)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ChipError(f"{where}: not a chip: {error!r:.200}") from error


def _table(toml: str, where: str) -> dict[str, Any]:
    table = tomllib.loads(toml)
    for key in sorted({"name", "limits"} - set(table)):
        raise ChipError(f"{where}: not a chip: it has no {key!r}")
    for key in sorted(set(table) - {"name", "features", "limits", "energy"}):
        raise ChipError(f"{where}: there is no {key!r} in a chip", hint="see strl/chip/specs/loihi1.toml")
    return table


def _name(name: object, where: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ChipError(
            f"{where} = {name!r:.60}, must be a name of at most 64 letters, digits, '.', '_' and '-'"
        )
    return name


def _features(table: Mapping[str, Any], name: str, known: tuple[T, ...], where: str) -> list[T]:
    """The features of that name, the first of those known where the chip does not say."""
    features = table.get("features", {})
    found = features.get(name, [known[0]])
    unknown = set(features) - {"resets", "arithmetics", "comparisons", "inputs", "messages"}
    if unknown or not isinstance(found, list) or not found or not set(found) <= set(known):
        raise ChipError(
            f"{where}: features has {dict(features)}, {name} must be some of {', '.join(map(str, known))}"
        )
    return found


def _figures(table: Mapping[str, Mapping[str, Any]], where: str) -> Figures:
    return MappingProxyType({name: _figure(entry, f"{where}.{name}") for name, entry in table.items()})


def _profile(table: Mapping[str, Mapping[str, Any]], where: str) -> Figures:
    figures = _figures(table, where)
    for name, figure in figures.items():
        tiles = name.removeprefix("sync_time_")
        unit = "s" if name.endswith("_time") or tiles != name else "W" if name.endswith("_power") else "J"
        if figure.unit != unit:
            raise ChipError(f"{where}.{name}: unit = {figure.unit!r}, must be {unit!r}")
        if tiles != name and not tiles.isdecimal():
            raise ChipError(f"{where}.{name}: must end in a number of tiles, such as sync_time_32")
    return figures


def _figure(entry: Mapping[str, Any], where: str) -> Figure:
    if not isinstance(entry, dict):
        raise ChipError(f"{where} = {entry!r:.60}, must be a table with value, status and source")
    for key in sorted(set(entry) - {"value", "low", "high", "unit", "status", "source"}):
        raise ChipError(f"{where}: there is no {key!r} in a figure")
    for key in sorted({"value", "status", "source"} - set(entry)):
        raise ChipError(f"{where}: {key} is missing")
    value = _number(entry["value"], f"{where}.value")
    low, high = (_number(entry.get(what, value), f"{where}.{what}") for what in ("low", "high"))
    unit, status, source = entry.get("unit", "1"), entry["status"], entry["source"]
    if unit not in _UNITS:
        raise ChipError(
            f"{where}: unit = {unit!r:.60}, must be one of {', '.join(_UNITS)}",
            hint="write 69.3 pJ as 69.3e-12 with unit J",
        )
    if status not in _STATUS or not isinstance(source, str):
        raise ChipError(
            f"{where}: status = {status!r:.60}, source = {source!r:.60}, must be one of "
            f"{', '.join(_STATUS)}, and a text"
        )
    if not low <= value <= high:
        raise ChipError(f"{where}: {low:g} ≤ {value:g} ≤ {high:g} does not hold")
    if max(-low, high) > _UNITS[unit]:
        raise ChipError(f"{where}: {low:g} to {high:g}, must be at most {_UNITS[unit]:g} {unit}")
    if unit != "1" and low < 0:
        raise ChipError(f"{where}: {low:g} {unit} is below 0")
    return Figure(value=value, low=low, high=high, unit=unit, status=status, source=source)


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ChipError(f"{where} = {value!r:.60}, must be a finite number")
    return float(value)
