"""The float network between the front ends and the chip: nodes, edges, rules, a slow reference."""

from strl.ir.alpha import Alpha
from strl.ir.delta import Delta
from strl.ir.maps import Conv, Linear, Map, Pool, Reshape, Scale
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.nodes import Delay, Input, Neurons, Node, Output
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics
from strl.ir.winner import Winner

__all__ = [
    "LIF",
    "Alpha",
    "Conv",
    "Delay",
    "Delta",
    "EnvironmentSpec",
    "Input",
    "Linear",
    "Map",
    "Network",
    "Neurons",
    "Node",
    "Output",
    "Pool",
    "Readout",
    "Reshape",
    "Scale",
    "Semantics",
    "Winner",
]
