"""A Network as text: deterministic, readable, made for golden tests and ``strl inspect``."""

from __future__ import annotations

import numpy as np

from strl.content import digest
from strl.ir.network import Network, shapes
from strl.ir.nodes import LIF, Delay, Linear, Node


def text(network: Network) -> str:
    """One line a node, one an edge."""
    found = shapes(network)
    lines = [f"network dt={network.dt:g}"]
    for name, node in network.nodes.items():
        lines.append(f"  {name}: {node.kind} {list(found[name])}{_details(node)}")
    lines += [f"  {a} -> {b}" for a, b in network.edges]
    return "\n".join(lines) + "\n"


def _details(node: Node) -> str:
    if isinstance(node, Linear):
        bias = "" if node.bias is None else " bias"
        return f" weight {digest(node.weight)[:8]} |w|<={np.abs(node.weight).max():.4g}{bias}"
    if isinstance(node, LIF):
        spans = " ".join(f"{what}={_span(getattr(node, what))}" for what in ("alpha", "beta", "threshold"))
        late = " delayed" if node.reset_delay else ""
        return f" {spans} reset={node.reset}{late}"
    return f" ticks={node.ticks}" if isinstance(node, Delay) else ""


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.6g}" if low == high else f"{low:.6g}..{high:.6g}"
