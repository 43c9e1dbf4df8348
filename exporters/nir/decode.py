"""NIR file and its description → Network."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

import nir
import numpy as np
from numpy.typing import NDArray

from exporters.nir.encode import retention
from exporters.nir.scan import scan
from strl.errors import ModelError
from strl.ir.network import Network
from strl.ir.nodes import LIF, Delay, Input, Linear, Node, Output

Float = NDArray[np.float64]
TOLERANCE = 1e-9
"""Of gains that must be 1: they went through two divisions."""


def decode(data: bytes, description: Mapping[str, Any], where: str) -> Network:
    """The network that ``encode`` and ``describe`` wrote.

    Args:
        data: the file's bytes.
        description: what ``describe`` returned.
        where: the file's name, for errors.

    Raises:
        ModelError: a hostile or damaged file, one that another producer means otherwise, or a description
            that does not fit it.
    """
    scan(data, where)
    try:
        graph = nir.read(io.BytesIO(data), type_check=False)
    except Exception as error:  # what nir raises is not specified
        raise ModelError(f"{where}: cannot be read as NIR: {error!r}") from error
    dt, described = _described(description, where)
    found = {unquote(name): node for name, node in graph.nodes.items()}
    if set(found) != set(described):
        odd = ", ".join(sorted(set(found) ^ set(described)))
        raise ModelError(
            f"{where}: file and manifest differ in nodes: {odd}", hint="they were not made together"
        )
    nodes = {}
    for name, discrete in described.items():
        try:
            nodes[name] = _node(found[name], discrete, dt)
        except ModelError as error:
            raise ModelError(f"{where}: {name}: {error.message}", hint=error.hint) from None
    edges = tuple((unquote(str(a)), unquote(str(b))) for a, b in graph.edges)
    try:
        return Network(nodes=nodes, edges=edges, dt=dt)
    except ModelError as error:
        raise ModelError(f"{where}: {error.message}", hint=error.hint) from None


def _described(description: Mapping[str, Any], where: str) -> tuple[float, dict[str, Mapping[str, Any]]]:
    dt, nodes = description.get("dt"), description.get("nodes")
    if isinstance(dt, bool) or not isinstance(dt, int | float) or not 0 < dt < np.inf:
        raise ModelError(f"{where}: manifest: dt = {dt!r}, must be a time above 0")
    if not isinstance(nodes, list) or not all(
        isinstance(n, dict) and isinstance(n.get("name"), str) for n in nodes
    ):
        raise ModelError(f"{where}: manifest: nodes must be a list of objects with names")
    found: dict[str, Mapping[str, Any]] = {
        n["name"]: {key: value for key, value in n.items() if key != "name"} for n in nodes
    }
    if len(found) != len(nodes):
        raise ModelError(f"{where}: manifest: a node is described twice")
    return float(dt), found


def _node(node: Any, discrete: Mapping[str, Any], dt: float) -> Node:
    known = {"reset", "reset_delay", "alpha", "beta"} if type(node) in _NEURONS else set()
    for key in discrete:
        if key not in known:
            raise ModelError(f"manifest: unknown entry {key!r}")
    if isinstance(node, nir.Input):
        return Input(shape=tuple(int(n) for n in node.input_type["input"]))
    if isinstance(node, nir.Output):
        return Output(shape=tuple(int(n) for n in node.output_type["output"]))
    if isinstance(node, nir.Affine):
        return Linear(weight=node.weight, bias=node.bias)
    if isinstance(node, nir.Linear):
        return Linear(weight=node.weight)
    if isinstance(node, nir.Delay):
        return _delay(node, dt)
    return _neurons(node, discrete, dt)


def _delay(node: Any, dt: float) -> Delay:
    ticks = np.asarray(node.delay, dtype=np.float64) / dt
    whole = np.round(ticks)
    if (np.abs(ticks - whole) > 1e-6).any() or (whole != whole.flat[0]).any():
        raise ModelError(f"delay of {np.unique(ticks).tolist()} ticks, must be one whole number")
    return Delay(ticks=int(whole.flat[0]), shape=ticks.shape)


def _neurons(node: Any, discrete: Mapping[str, Any], dt: float) -> LIF:
    alpha, beta = _NEURONS[type(node)](node, dt)
    for what in ("v_leak", "v_reset"):
        if np.any(getattr(node, what, 0)):
            raise ModelError(f"{what} is not 0", hint="no network of strl's is written so")
    if not isinstance(discrete.get("reset_delay"), bool):
        raise ModelError(f"manifest: reset_delay = {discrete.get('reset_delay')!r}, must be true or false")
    return LIF(
        alpha=_exact(discrete, "alpha", alpha),
        beta=_exact(discrete, "beta", beta),
        threshold=getattr(node, "v_threshold", np.full(beta.shape, np.inf)),
        reset=discrete.get("reset"),  # type: ignore[arg-type]  # LIF checks it
        reset_delay=discrete["reset_delay"],
    )


def _exact(discrete: Mapping[str, Any], what: str, rounded: Float) -> Float:
    """The retention the manifest has, where it has one: tau must agree with it up to rounding."""
    if what not in discrete:
        return rounded
    values = discrete[what]
    if not isinstance(values, list) or not all(isinstance(v, float | int) for v in values):
        raise ModelError(f"manifest: {what} must be a list of numbers")
    exact = np.array(values, dtype=np.float64)
    if exact.shape != rounded.shape or not (np.abs(exact - rounded) <= TOLERANCE).all():
        raise ModelError(f"manifest: {what} is not that of the file", hint="they were not made together")
    return exact


def _kept(tau: Float, gain: Float, dt: float, what: str) -> Float:
    """The retention of a time constant whose input gain · dt/tau is 1."""
    if (tau < dt * (1 - TOLERANCE)).any():
        raise ModelError(f"{what} = {tau.min():g} s, must be at least dt = {dt:g} s")
    if (np.abs(gain * dt / tau - 1) > TOLERANCE).any():
        raise ModelError(
            f"{what}: an input of 1 moves the neuron by {np.unique(gain * dt / tau)[0]:g}, must be 1",
            hint="the file is another producer's, or its dt is not the manifest's",
        )
    return retention(tau, dt)


def _leaky(node: Any, dt: float) -> tuple[Float, Float]:
    beta = _kept(node.tau, node.r, dt, "tau")
    return np.zeros(beta.shape), beta


def _integrating(node: Any, dt: float) -> tuple[Float, Float]:
    _kept(np.ones(node.r.shape) * dt, node.r * dt, dt, "r")
    return np.zeros(node.r.shape), np.ones(node.r.shape)


def _current_based(node: Any, dt: float) -> tuple[Float, Float]:
    return _kept(node.tau_syn, node.w_in, dt, "tau_syn"), _kept(node.tau_mem, node.r, dt, "tau_mem")


_NEURONS: Mapping[type, Callable[[Any, float], tuple[Float, Float]]] = {
    nir.LIF: _leaky,
    nir.LI: _leaky,
    nir.IF: _integrating,
    nir.I: _integrating,
    nir.CubaLIF: _current_based,
    nir.CubaLI: _current_based,
}
