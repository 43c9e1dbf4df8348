"""Neurons of a Network as neurons of a chip, or why they cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.errors import ChipError
from strl.ir.neurons import LIF
from strl.ir.nodes import Float
from strl.ir.semantics import State
from strl.quantize.grid import Grid, decay_u, decay_v, slack
from strl.quantize.neurons import Lif, Reset

LEAST = 1 - 2**23
"""The least potential, in units of its register."""


def flat(lif: LIF) -> LIF:
    """The same neurons in a row, every parameter with one value a neuron."""
    names = ("alpha", "beta", "threshold", "drive", "start_v", "floor")
    rows: dict[str, Any] = {n: np.broadcast_to(getattr(lif, n), lif.shape).ravel() for n in names}
    return replace(lif, **rows)


def passing(size: int) -> LIF:
    """Neurons that send what they receive: an output that comes from maps."""
    zeros = np.zeros(size)
    endless = np.full(size, np.inf)
    return LIF(alpha=zeros, beta=zeros, threshold=endless, reset="none", reset_delay=False)


def held(lif: LIF, grid: Grid) -> LIF:
    """On a chip that always resets: a potential that is compared and never reset is a synaptic current.

    v ← β·v + x is i ← α·i + x with α = β, in front of a potential that forgets. Spikes leave a current alone.
    The current cannot leave its register (``scale_of``), so a floor at that register's end is none.
    """
    lowest = (-np.inf, LEAST * lif.grain if lif.grain else -np.inf)
    more = lif.alpha.any() or np.any(lif.drive) or np.any(lif.start_v) or not np.isin(lif.floor, lowest).all()
    if lif.silent or lif.reset != "none" or "none" in grid.resets or more or (lif.beta == 1).any():
        return lif
    nothing = np.zeros_like(lif.beta)
    return replace(lif, alpha=lif.beta, beta=nothing, reset="zero", reset_delay=False, floor=-np.inf)


def check(name: str, lif: LIF, grid: Grid, state: State) -> None:
    """Raises ChipError for what the chip's neurons cannot do; names the population, says why."""
    if (lif.alpha > 1 - 1 / 8192).any():
        raise ChipError(
            f"{name}: alpha = {lif.alpha.max():g}, must be at most {1 - 1 / 4096:g}: "
            "the chip's current always decays"
        )
    lowest = LEAST * lif.grain if lif.grain else -np.inf
    if ((lif.floor != lowest) & ~np.isneginf(lif.floor)).any():
        raise ChipError(
            f"{name}: its potential has a floor of {np.max(lif.floor):g}; "
            "this chip's potentials fall as far as 24 bits"
        )
    if state == "carry" and (np.any(lif.drive) or np.any(lif.start_v)):
        raise ChipError(
            f"{name}: its potential has a drive or a start, which with carried state would act too early",
            hint="train with state='reset', or with a bias in place of a resting potential",
        )
    if not lif.silent:
        _check_spikes(name, lif, grid)


def _check_spikes(name: str, lif: LIF, grid: Grid) -> None:
    if np.isinf(lif.threshold).any():
        raise ChipError(f"{name}: some thresholds are infinite and some are not")
    if (lif.threshold < 0).any():
        raise ChipError(f"{name}: threshold = {lif.threshold.min():g}, must not be negative")
    if lif.multiple and not grid.multiple:
        raise ChipError(
            f"{name}: sends as many spikes in a tick as thresholds fit into its potential; "
            "this chip's neurons send one",
            hint="take --chip loihi2, or one spike a tick at most (sinabs: spike_fn=SingleSpike)",
        )
    late = " late" if lif.reset_delay else ""
    if not {lif.reset, f"{lif.reset} late"} & set(grid.resets) and not _forgets(lif):
        raise ChipError(
            f"{name}: reset = {lif.reset!r}; this chip's neurons reset to zero",
            hint="train with snn.Leaky(reset_mechanism='zero', reset_delay=False), or take --chip loihi2; "
            "a trained policy loses its return if only the reset is changed",
        )
    if f"{lif.reset}{late}" not in grid.resets and not _forgets(lif):
        raise ChipError(
            f"{name}: resets one tick after its spike; this chip's neurons reset in the same tick",
            hint="train with reset_delay=False",
        )
    starts = lif.beta * lif.start_v != 0
    if lif.reset == "subtract" and (starts & (lif.start_v >= lif.threshold)).any():
        raise ChipError(f"{name}: starts above its threshold, and a chip's potentials start at 0")
    if lif.inclusive and not lif.multiple and not (grid.inclusive or _below(lif)):
        raise ChipError(
            f"{name}: spikes at v ≥ threshold; this chip's neurons spike above it, and decaying potentials "
            "have values between",
            hint="take --chip loihi2",
        )


def neurons(name: str, lif: LIF, scale: float, grid: Grid) -> Lif:
    """The chip's parameters for neurons that ``check`` let pass, at ``scale`` chip units a unit.

    Raises:
        ChipError: a threshold that no whole number stands for.
    """
    du, dv = np.maximum(decay_u(lif.alpha), 0), decay_v(lif.beta)
    if lif.silent:
        return Lif(du=du, dv=dv, vth=np.full(lif.size, grid.threshold_max, np.int32))
    exact = lif.threshold * scale
    inclusive = lif.inclusive and not _below(lif) and not lif.multiple
    if lif.multiple or not _steps(lif):
        vth = np.round(exact)
    elif lif.inclusive and not inclusive:
        vth = np.ceil(exact - slack(exact)) - 1
    else:
        vth = np.floor(exact + slack(exact))
    if (vth < (inclusive or lif.multiple)).any():
        raise ChipError(f"{name}: spikes at v ≥ {lif.threshold.min():g}, so at rest as well")
    reset: Reset = "zero" if _forgets(lif) else lif.reset
    late = lif.reset_delay and reset in ("zero", "subtract")
    made = Lif(du=du, dv=dv, vth=vth.astype(np.int32), reset=reset, reset_delay=late, inclusive=inclusive)
    return replace(made, multiple=lif.multiple)


def errors(name: str, lif: LIF, kind: Lif, scale: float) -> dict[str, Mapping[str, float]]:
    """What rounding changed in decays and thresholds, where anything depends on it."""
    found = {
        f"{name}.beta": error((4096 - kind.dv) / 4096 - lif.beta, lif.beta),
        f"{name}.threshold": error(kind.vth / scale - lif.threshold, lif.threshold),
        f"{name}.alpha": error((4095 - kind.du) / 4096 - lif.alpha, lif.alpha),
    }
    unused = {
        f"{name}.threshold": lif.silent or (_steps(lif) and not lif.multiple),
        f"{name}.alpha": not lif.alpha.any(),
    }
    return {what: error for what, error in found.items() if not unused.get(what, False)}


def error(off: Float, values: Float) -> Mapping[str, float]:
    """Largest and root-mean-square of what rounding changed, relative to the largest value."""
    reference = float(np.abs(values).max()) or 1.0
    return {
        "largest": float(np.abs(off).max()) / reference,
        "rms": float(np.sqrt(np.mean(off**2))) / reference,
    }


def _forgets(lif: LIF) -> bool:
    """True where nothing of a tick is left in the next, so that every reset is the same."""
    return not (lif.alpha.any() or lif.beta.any() or lif.reset_delay) and lif.reset != "subtract"


def _steps(lif: LIF) -> bool:
    """True where potentials stay whole, so that only the whole part of a threshold matters."""
    whole: NDArray[np.bool_] = (lif.beta == 0) | (lif.beta == 1)
    return not lif.alpha.any() and bool(whole.all()) and (_forgets(lif) or lif.reset in ("zero", "none"))


def _below(lif: LIF) -> bool:
    """True where v ≥ threshold is v > the next whole number below it."""
    return _steps(lif) and bool((lif.threshold > 0).all())
