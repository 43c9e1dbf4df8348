"""The float network between the front ends and the chip: nodes, edges, rules, a slow reference."""

from strl.ir.maps import Conv, Linear, Map, Pool, Reshape, Scale
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.nodes import Delay, Input, Node, Output
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics

__all__ = [
    "LIF",
    "Conv",
    "Delay",
    "EnvironmentSpec",
    "Input",
    "Linear",
    "Map",
    "Network",
    "Node",
    "Output",
    "Pool",
    "Readout",
    "Reshape",
    "Scale",
    "Semantics",
]
