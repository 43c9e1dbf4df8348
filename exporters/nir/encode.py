"""Network → NIR file, and the description of what the file cannot hold.

Parameters are snnTorch's (its export_nir): tau = dt/(1 − beta), r = tau/dt, tau_syn = dt/(1 − alpha),
w_in = tau_syn/dt, v_leak = v_reset = 0; so that NIR's forward Euler step of dt is the Network's tick.
beta = 1 pure is an integrator (IF, I); a population of which only some neurons never leak has a tau so
long that 1 − dt/tau is 1. Infinite thresholds make the kinds without one (LI, I, CubaLI).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import nir
import numpy as np
from numpy.typing import NDArray

from strl.errors import ModelError
from strl.ir.network import Network
from strl.ir.nodes import LIF, Delay, Input, Linear, Node, Output

Float = NDArray[np.float64]

FOREVER = 2.0**60
"""Ticks of a time constant after which 1 − dt/tau is 1 in double precision."""

GRAIN = 2.0**48
"""Retentions are read as multiples of 1/GRAIN, see ``retention``."""


def encode(network: Network) -> bytes:
    """The NIR file's bytes: the same for the same network.

    Raises:
        ModelError: a node that NIR has no word for; names it.
    """
    nodes = {file_name(name): _node(name, node, network.dt) for name, node in network.nodes.items()}
    edges = [(file_name(a), file_name(b)) for a, b in network.edges]
    # Types were inferred when the Network was made, by rules that know loops and delays.
    graph = nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    return buffer.getvalue()


def describe(network: Network) -> dict[str, Any]:
    """What ``decode`` needs beside the file: dt, the order of nodes, resets, and inexact retentions."""
    return {
        "dt": network.dt,
        "nodes": [{"name": name, **_discrete(node, network.dt)} for name, node in network.nodes.items()],
    }


def file_name(name: str) -> str:
    """A node's name in the file: HDF5 gives "/" and "." a meaning of their own."""
    quoted = quote(name, safe=" ")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


def retention(tau: Float, dt: float) -> Float:
    """beta = 1 − dt/tau, as the decoder computes it; rounding to 2⁻⁴⁸ takes off what the divisions lost,

    so every float32 of at least 2⁻²⁴ (what torch holds) and every multiple of 1/4096 comes back exactly.
    """
    return np.asarray(np.round((1.0 - dt / tau) * GRAIN) / GRAIN, dtype=np.float64)


def time_constant(kept: Float, dt: float) -> Float:
    """The tau for a retention; ``FOREVER`` ticks where nothing is lost."""
    return np.asarray(dt / np.maximum(1.0 - kept, 1.0 / FOREVER), dtype=np.float64)


def _node(name: str, node: Node, dt: float) -> Any:
    if not name:
        raise ModelError("network: a node has an empty name, which NIR cannot hold")
    if isinstance(node, Input):
        return nir.Input(input_type={"input": np.array(node.shape, dtype=np.int64)})
    if isinstance(node, Output):
        return nir.Output(output_type={"output": np.array(node.shape, dtype=np.int64)})
    if isinstance(node, Linear):
        if node.bias is None:
            return nir.Linear(weight=node.weight)
        return nir.Affine(weight=node.weight, bias=node.bias)
    if isinstance(node, Delay):
        return nir.Delay(delay=np.full(node.shape, node.ticks * dt))
    if isinstance(node, LIF):
        return _neurons(name, node, dt)
    raise ModelError(f"{name}: NIR has no node for a {node.kind}")


def _neurons(name: str, lif: LIF, dt: float) -> Any:
    if not np.isfinite(lif.threshold).all() and not (lif.threshold == np.inf).all():
        raise ModelError(f"{name}: some thresholds are infinite and some are not, which NIR cannot hold")
    if (lif.threshold < 0).any():
        raise ModelError(f"{name}: threshold = {lif.threshold.min():g}, must not be below the reset at 0")
    tau, zero = time_constant(lif.beta, dt), np.zeros(lif.size)
    fires = {} if lif.silent else {"v_threshold": lif.threshold, "v_reset": zero}
    if lif.alpha.any():
        tau_syn = time_constant(lif.alpha, dt)
        cuba = nir.CubaLI if lif.silent else nir.CubaLIF
        return cuba(tau_syn=tau_syn, tau_mem=tau, r=tau / dt, v_leak=zero, w_in=tau_syn / dt, **fires)
    if (lif.beta == 1).all():
        pure = nir.I if lif.silent else nir.IF
        return pure(r=np.full(lif.size, 1 / dt), **fires)
    leaky = nir.LI if lif.silent else nir.LIF
    return leaky(tau=tau, r=tau / dt, v_leak=zero, **fires)


def _discrete(node: Node, dt: float) -> Mapping[str, Any]:
    if not isinstance(node, LIF):
        return {}
    found: dict[str, Any] = {"reset": node.reset, "reset_delay": node.reset_delay}
    for what in ("alpha", "beta"):
        value = getattr(node, what)
        if retention(time_constant(value, dt), dt).tobytes() != value.tobytes():
            found[what] = value.tolist()  # tau rounds; the exact value decides spikes, so it travels too
    return found
