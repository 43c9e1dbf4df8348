"""The float network between the front ends and the chip: nodes, edges, rules, a slow reference."""

from strl.ir.network import Network
from strl.ir.nodes import LIF, Delay, Input, Linear, Node, Output
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics

__all__ = [
    "LIF",
    "Delay",
    "EnvironmentSpec",
    "Input",
    "Linear",
    "Network",
    "Node",
    "Output",
    "Readout",
    "Semantics",
]
