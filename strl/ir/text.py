"""A Network as text: deterministic, readable, made for golden tests and ``strl inspect``."""

from __future__ import annotations

import numpy as np

from strl.content import digest
from strl.ir.maps import Conv, Linear, Pool, Scale, Windowed
from strl.ir.network import Network, shapes
from strl.ir.neurons import LIF
from strl.ir.nodes import Delay, Node


def text(network: Network) -> str:
    """One line a node, one an edge."""
    found = shapes(network)
    lines = [f"network dt={network.dt:g}"]
    for name, node in network.nodes.items():
        lines.append(f"  {name}: {node.kind} {list(found[name])}{_details(node)}")
    lines += [f"  {a} -> {b}" for a, b in network.edges]
    return "\n".join(lines) + "\n"


def _details(node: Node) -> str:
    if isinstance(node, LIF):
        return _neurons(node)
    words = [_window(node)] if isinstance(node, Windowed) else []
    if isinstance(node, Linear | Conv):
        words += ["weight", digest(node.weight)[:8], f"|w|<={np.abs(node.weight).max():.4g}"]
    if isinstance(node, Scale):
        words.append(f"by {_span(node.scale)}")
    if getattr(node, "bias", None) is not None:
        words.append("bias")
    if isinstance(node, Delay):
        words.append(f"ticks={node.ticks}")
    return "".join(f" {word}" for word in words)


def _neurons(node: LIF) -> str:
    words = [f"{what}={_span(getattr(node, what))}" for what in ("alpha", "beta", "threshold")]
    words.append(f"reset={node.reset}")
    words += [what for what, on in (("delayed", node.reset_delay), ("inclusive", node.inclusive)) if on]
    words += ["multiple"] if node.multiple else []
    words += [f"grain={node.grain:g}"] if node.grain else []
    optional = (("drive", 0.0), ("start_v", 0.0), ("floor", -np.inf))
    words += [
        f"{what}={_span(getattr(node, what))}"
        for what, plain in optional
        if (getattr(node, what) != plain).any()
    ]
    return "".join(f" {word}" for word in words)


def _window(node: Windowed) -> str:
    words = [f"stride={list(node.stride)}", f"padding={list(node.padding)}"]
    if isinstance(node, Conv):
        words += [f"dilation={list(node.dilation)}", f"groups={node.groups}"]
    if isinstance(node, Pool):
        words += [node.mode, f"window={list(node.window)}"]
    return " ".join(words)


def _span(values: np.ndarray) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.6g}" if low == high else f"{low:.6g}..{high:.6g}"
