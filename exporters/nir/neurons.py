"""LIF populations in NIR's continuous time, and back.

Parameters are snnTorch's (its export_nir): tau = dt/(1 − beta), r = tau/dt, tau_syn = dt/(1 − alpha),
w_in = tau_syn/dt, v_leak = v_reset = 0; so that NIR's forward Euler step of dt is the Network's tick.
beta = 1 pure is an integrator (IF, I); a population of which only some neurons never leak has a tau so
long that 1 − dt/tau is 1. Infinite thresholds make the kinds without one (LI, I, CubaLI); neurons that keep
nothing and never reset are a Threshold. How neurons reset stands in the manifest, with every field that NIR
has no word for, and so does a retention that tau rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from exporters.nir.graph import Found
from strl.errors import ModelError
from strl.ir.neurons import LIF
from strl.ir.nodes import Shape

Float = NDArray[np.float64]

OPTIONAL = ("drive", "start_v", "floor")
SWITCHES = ("inclusive", "multiple")
ENTRIES = frozenset({"reset", "reset_delay", "alpha", "beta", "grain", *OPTIONAL, *SWITCHES})
"""What a manifest may say of a population."""

FOREVER = 2.0**60
"""Ticks of a time constant after which 1 − dt/tau is 1 in double precision."""

GRAIN = 2.0**48
"""Retentions are read as multiples of 1/GRAIN, see ``retention``."""

TOLERANCE = 1e-9
"""Of gains that must be 1: they went through two divisions."""


def retention(tau: Float, dt: float) -> Float:
    """beta = 1 − dt/tau. Rounding to 2⁻⁴⁸ takes off what the divisions lost.

    So every float32 of at least 2⁻²⁴ (what torch holds) and every multiple of 1/4096 comes back exactly.
    """
    return np.asarray(np.round((1.0 - dt / tau) * GRAIN) / GRAIN, dtype=np.float64)


def time_constant(kept: Float, dt: float) -> Float:
    """The tau for a retention; ``FOREVER`` ticks where nothing is lost."""
    return np.asarray(dt / np.maximum(1.0 - kept, 1.0 / FOREVER), dtype=np.float64)


def write_neurons(lif: LIF, dt: float, shape: Shape) -> Any:
    """The NIR node that a population is."""
    if not np.isfinite(lif.threshold).all() and not (lif.threshold == np.inf).all():
        raise ModelError("some thresholds are infinite and some are not, which NIR cannot hold")
    if not (lif.silent or lif.alpha.any() or lif.beta.any()) and lif.reset == "none":
        return nir.Threshold(threshold=lif.threshold)
    if (lif.threshold < 0).any():
        raise ModelError(f"threshold = {lif.threshold.min():g}, must not be below the reset at 0")
    tau, zero = time_constant(lif.beta, dt), np.zeros(lif.shape)
    # Where nothing leaks there is no potential to leak to; the drive itself stands in the manifest.
    lost = 1 - lif.beta
    leak = np.where(lost > 0, np.broadcast_to(lif.drive, lif.shape) / np.where(lost > 0, lost, 1.0), 0.0)
    fires = {} if lif.silent else {"v_threshold": lif.threshold, "v_reset": zero}
    if lif.alpha.any():
        tau_syn = time_constant(lif.alpha, dt)
        cuba = nir.CubaLI if lif.silent else nir.CubaLIF
        return cuba(tau_syn=tau_syn, tau_mem=tau, r=tau / dt, v_leak=leak, w_in=tau_syn / dt, **fires)
    if (lif.beta == 1).all():
        pure = nir.I if lif.silent else nir.IF
        return pure(r=np.full(lif.shape, 1 / dt), **fires)
    leaky = nir.LI if lif.silent else nir.LIF
    return leaky(tau=tau, r=tau / dt, v_leak=leak, **fires)


def describe_neurons(lif: LIF, dt: float) -> Mapping[str, Any]:
    """What NIR has no field for, and the retentions that tau rounds: their exact values decide spikes."""
    found: dict[str, Any] = {"reset": lif.reset, "reset_delay": lif.reset_delay}
    for what in ("alpha", "beta"):
        value = getattr(lif, what)
        if retention(time_constant(value, dt), dt).tobytes() != value.tobytes():
            found[what] = value.tolist()
    found |= {what: True for what in SWITCHES if getattr(lif, what)}
    if lif.grain:
        found["grain"] = lif.grain
    for what, plain in (("drive", 0.0), ("start_v", 0.0), ("floor", -np.inf)):
        value = getattr(lif, what)
        if value.shape or value.tobytes() != np.float64(plain).tobytes():  # −0 is not 0 to a digest
            found[what] = _plain(value.tolist())
    return found


def read_neurons(node: Found, entries: Mapping[str, Any], dt: float) -> LIF:
    """The population that was written."""
    alpha, beta = _NEURONS[node.kind](node, dt)
    if np.any(node.values.get("v_reset", 0)):
        raise ModelError("v_reset is not 0", hint="no network of strl's is written so")
    for switch in ("reset_delay", *SWITCHES):
        if not isinstance(entries.get(switch, False if switch in SWITCHES else None), bool):
            raise ModelError(f"manifest: {switch} = {entries.get(switch)!r}, must be true or false")
    threshold = node.values.get("threshold", node.values.get("v_threshold", np.full(beta.shape, np.inf)))
    more: dict[str, Any] = {what: _numbers(entries[what], what) for what in OPTIONAL if what in entries}
    _same_leak(node, more.get("drive", np.zeros(())), beta)
    return LIF(
        alpha=_exact(entries, "alpha", alpha),
        beta=_exact(entries, "beta", beta),
        threshold=threshold,
        reset=entries.get("reset"),  # type: ignore[arg-type]  # LIF checks it
        reset_delay=entries["reset_delay"],
        **{switch: entries[switch] for switch in SWITCHES if switch in entries},
        grain=float(_numbers(entries.get("grain", 0.0), "grain")),
        **more,
    )


def _plain(values: Any) -> Any:
    """−inf as ``None``, which JSON has a word for."""
    if isinstance(values, list):
        return [_plain(value) for value in values]
    return None if values == -np.inf else values


def _numbers(values: Any, what: str) -> Float:
    try:
        return np.array(_unplain(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"manifest: {what} must be a number, or a list of one a neuron") from error


def _unplain(values: Any) -> Any:
    if isinstance(values, list):
        return [_unplain(value) for value in values]
    if values is not None and (isinstance(values, bool) or not isinstance(values, float | int)):
        raise TypeError(values)
    return -np.inf if values is None else values


def _same_leak(node: Found, drive: Float, beta: Float) -> None:
    if "v_leak" not in node.values:
        return
    wanted = node["v_leak"] * np.where(beta < 1, 1 - beta, 0.0)
    given = np.where(beta < 1, drive, 0.0) if drive.shape in ((), beta.shape) else np.full(beta.shape, np.nan)
    if not (np.abs(given - wanted) <= TOLERANCE * (1 + np.abs(wanted))).all():
        raise ModelError("v_leak is not the manifest's drive", hint="they were not made together")


def _exact(entries: Mapping[str, Any], what: str, rounded: Float) -> Float:
    """The retention the manifest has, where it has one: tau must agree with it up to rounding."""
    if what not in entries:
        return rounded
    exact = _numbers(entries[what], what)
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


def _leaky(node: Found, dt: float) -> tuple[Float, Float]:
    beta = _kept(node["tau"], node["r"], dt, "tau")
    return np.zeros(beta.shape), beta


def _integrating(node: Found, dt: float) -> tuple[Float, Float]:
    _kept(np.ones(node["r"].shape) * dt, node["r"] * dt, dt, "r")
    return np.zeros(node["r"].shape), np.ones(node["r"].shape)


def _current_based(node: Found, dt: float) -> tuple[Float, Float]:
    return _kept(node["tau_syn"], node["w_in"], dt, "tau_syn"), _kept(
        node["tau_mem"], node["r"], dt, "tau_mem"
    )


def _instant(node: Found, dt: float) -> tuple[Float, Float]:
    return np.zeros(node["threshold"].shape), np.zeros(node["threshold"].shape)


_NEURONS: Mapping[str, Callable[[Found, float], tuple[Float, Float]]] = {
    "LIF": _leaky,
    "LI": _leaky,
    "IF": _integrating,
    "I": _integrating,
    "CubaLIF": _current_based,
    "CubaLI": _current_based,
    "Threshold": _instant,
}
