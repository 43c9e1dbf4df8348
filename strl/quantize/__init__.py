"""Network → QuantizedNetwork: integers on the chip's grid, with the error of each layer."""

from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, QuantizedNetwork, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Gate, Graded, Kind, Lif, Neurons, Product, Source, Ternary

__all__ = [
    "Gate",
    "Graded",
    "Kernel",
    "Kind",
    "Lif",
    "Neurons",
    "Population",
    "Product",
    "QuantizedNetwork",
    "ReadoutWindow",
    "Schedule",
    "Source",
    "Synapse",
    "Ternary",
]
