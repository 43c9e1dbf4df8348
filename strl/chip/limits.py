"""The limits that a chip's file has to state, and what each can be at all."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from strl.errors import ChipError
from strl.registry import suggest

_MANY = 1 << 20

RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "cores": (1, _MANY),
        "cores_per_tile": (1, _MANY),
        "tiles_ew": (1, _MANY),
        "tiles_ns": (1, _MANY),
        "compartments": (1, _MANY),
        "input_axons": (1, _MANY),
        "output_axons": (1, _MANY),
        "synapse_words": (1, 1 << 30),
        "weight_bits": (2, 8),
        "weight_exp_min": (-7, 0),
        "weight_exp_max": (0, 7),
        "threshold_max": (1, 131071),
        "delay_max": (1, 63),
        "threshold_profiles": (1, _MANY),
        "compartment_profiles": (1, _MANY),
    }
)
"""Name → least and greatest value. Weights, thresholds and delays end where the arithmetic does."""


def check_limits(values: Mapping[str, float], where: str) -> None:
    """Every limit is there, known, whole and in its range, and the tiles hold the cores.

    Raises:
        ChipError: the first that is not; names it.
    """
    for name in values:
        if name not in RANGES:
            raise ChipError(f"{where}.{name}: there is no such limit", hint=suggest(name, RANGES))
    for name, (low, high) in RANGES.items():
        if name not in values:
            raise ChipError(f"{where}: {name} is missing", hint=f"give it a value of {low}..{high}")
        value = values[name]
        if value != int(value) or not low <= value <= high:
            raise ChipError(f"{where}.{name}: value = {value:g}, must be a whole number in {low}..{high}")
    room = values["cores_per_tile"] * values["tiles_ew"] * values["tiles_ns"]
    if values["cores"] > room:
        raise ChipError(f"{where}.cores: value = {values['cores']:g}, its tiles have room for {room:g}")
