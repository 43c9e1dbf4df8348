"""Network → QuantizedNetwork: integers on the chip's grid, with the error of each layer."""

from strl.quantize.network import (
    Gate,
    Lif,
    Population,
    QuantizedNetwork,
    ReadoutWindow,
    Schedule,
    Source,
    Synapse,
)

__all__ = [
    "Gate",
    "Lif",
    "Population",
    "QuantizedNetwork",
    "ReadoutWindow",
    "Schedule",
    "Source",
    "Synapse",
]
