"""snnTorch's neurons, as its forward passes are written (1.0.0), quirks and all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import snntorch as snn
import torch

from exporters.snntorch.layers import GRADED, Float, Part, Site, array, each, layer, spread
from strl.errors import ModelError
from strl.ir.alpha import Alpha
from strl.ir.delta import Delta
from strl.ir.maps import Scale
from strl.ir.neurons import LIF
from strl.ir.nodes import Neurons, Node
from strl.ir.winner import Winner
from strl.policies.neurons import IntegrateAndFire

Reset = Literal["zero", "subtract", "none"]


@layer(snn.Leaky)
def leaky(module: snn.Leaky, site: Site) -> Part:
    return spiking(module, site, np.zeros(site.shape), late=bool(module.reset_delay), whole=False)


@layer(snn.Synaptic)
def synaptic(module: snn.Synaptic, site: Site) -> Part:
    return spiking(module, site, retention(module, "alpha", site), late=bool(module.reset_delay))


@layer(snn.Lapicque)
def lapicque(module: snn.Lapicque, site: Site) -> Part:
    """v ← (1 − dt/RC)·v + dt/C·x, whatever its ``beta`` says: R and C were worked out of it once."""
    r, c, step = (array(getattr(module, what)) for what in ("R", "C", "time_step"))
    kept = 1 - step / (r * c)
    if not ((kept >= 0) & (kept <= 1)).all():
        raise ModelError(
            f"its potential keeps 1 − time_step/(R·C) = {np.unique(kept)[0]:g} of itself, must lie in 0..1",
            hint="take a smaller time_step, or a greater R·C",
        )
    made = spiking(module, site, np.zeros(site.shape), late=True, beta=spread("R·C", kept, site.shape))
    gain = Scale(scale=r * (1 / (r * c)) * step)
    return Part(
        nodes={"gain": gain, **made.nodes},
        edges=(("gain", ""), *made.edges),
        enters="gain",
        leaves=made.leaves,
        spikes=made.spikes,
        twin=made.twin,
    )


@layer(snn.Alpha)
def alpha(module: snn.Alpha, site: Site) -> Part:
    refuse_quantised(module)
    if module.inhibition:
        raise ModelError(
            "inhibition of Alpha neurons is not understood", hint="inhibit Leaky or Synaptic ones"
        )
    node = Alpha(
        alpha=retention(module, "alpha", site),
        beta=retention(module, "beta", site),
        threshold=threshold(module, site),
        reset=reset(module),
    )
    return graded(module, node)


@layer(snn.DeltaLeaky)
def delta(module: snn.DeltaLeaky, site: Site) -> Part:
    """Its forward pass has no reset, inhibition, rounding or factor, whatever was asked for."""
    asked = [
        name
        for name, on in (
            ("inhibition", module.inhibition),
            ("state_quant", module.state_quant),
            ("graded_spikes_factor", (array(module.graded_spikes_factor) != 1).any()),
        )
        if on
    ]
    if asked:
        raise ModelError(
            f"{asked[0]} is set, which snnTorch 1.0's DeltaLeaky ignores",
            hint="leave it out: nothing changes",
        )
    refuse_other_spikes(module)
    limits = each(module, "delta_threshold", site.shape)
    return Part.of(Delta(beta=each(module, "beta", site.shape), threshold=limits), spikes=True)


@layer(IntegrateAndFire)
def integrate_and_fire(module: IntegrateAndFire, site: Site) -> Part:
    node = LIF(
        alpha=each(module, "alpha", site.shape),
        beta=each(module, "beta", site.shape),
        threshold=each(module, "threshold", site.shape),
        drive=each(module, "drive", site.shape),
        start_v=each(module, "start_v", site.shape),
        floor=each(module, "floor", site.shape),
        reset=module.reset_mechanism,
        reset_delay=module.reset_delay,
        inclusive=module.inclusive,
        multiple=module.multiple,
    )
    twin = replace(node, threshold=np.full(node.shape, np.inf)) if node.reset == "none" else None
    return Part(nodes={"": node}, spikes=not module.multiple, twin=twin)


def spiking(
    module: Any, site: Site, current: Float, *, late: bool, whole: bool = True, beta: Float | None = None
) -> Part:
    """Integrate-and-fire neurons with all that snnTorch's base class adds.

    Args:
        current: retention of the synaptic current.
        late: resets in the tick after the spike.
        whole: a late reset to zero clears all of the new potential, and not only what is left of the old.
        beta: in place of the module's.
    """
    refuse_quantised(module)
    kind, limits = reset(module), threshold(module, site)
    kept = retention(module, "beta", site) if beta is None else beta
    if module.inhibition:
        rivals = Winner(alpha=current, beta=kept, threshold=limits, reset=kind, reset_delay=late, whole=whole)
        return _winner(module, rivals)
    if kind == "zero" and (limits < 0).any():
        raise ModelError(
            f"threshold = {limits.min():g} with reset to zero: a neuron at 0 would reset without a spike",
            hint="take thresholds of at least 0, or reset_mechanism='subtract'",
        )
    # What a Leaky keeps late it clears before it adds: the same spikes as resetting at once.
    waits = late and (kind == "subtract" or (kind == "zero" and whole))
    node = LIF(alpha=current, beta=kept, threshold=limits, reset=kind, reset_delay=waits)
    return graded(module, node, twin=integrator(node) if kind == "none" else None)


def integrator(node: LIF) -> LIF:
    """Neurons of which only the potential is wanted: they never spike, and send it."""
    return LIF(
        alpha=node.alpha,
        beta=node.beta,
        threshold=np.full(node.shape, np.inf),
        reset="none",
        reset_delay=False,
        grain=node.grain,
        floor=node.floor,
    )


def graded(module: Any, node: Neurons, *, twin: Node | None = None) -> Part:
    """Neurons with the factor of their spikes behind them."""
    factor = spike_size(module)
    if (factor == 1).all():
        return Part(nodes={"": node}, spikes=True, twin=twin)
    if not factor.all() or not np.isfinite(factor).all():
        raise ModelError(f"graded_spikes_factor = {factor.tolist()}, must be finite and not 0")
    nodes = {"": node, GRADED: Scale(scale=factor)}
    return Part(nodes=nodes, edges=(("", GRADED),), leaves=GRADED, twin=twin)


def spike_size(module: Any) -> Float:
    """The factor as spikes carry it: they are float32, and one number does not change that."""
    factor = module.graded_spikes_factor
    return array(factor.to(torch.float32) if not factor.dim() else factor)


def reset(module: Any) -> Reset:
    # The buffer, not the attribute: it is what the forward pass goes by, and what a checkpoint restores.
    names: dict[int, Reset] = {0: "subtract", 1: "zero", 2: "none"}
    return names[int(module.reset_mechanism_val)]


def retention(module: Any, what: str, site: Site) -> Float:
    """``alpha`` or ``beta`` as the forward pass uses it: clamped to 0..1."""
    return np.clip(each(module, what, site.shape), 0.0, 1.0)


def threshold(module: Any, site: Site) -> Float:
    limits = each(module, "threshold", site.shape)
    if not np.isfinite(limits).all():
        raise ModelError("threshold is not finite")
    refuse_other_spikes(module)
    return limits


def refuse_quantised(module: Any) -> None:
    if module.state_quant:
        raise ModelError(
            "state_quant is set; its states are rounded in a way that no node has",
            hint="train without it: the export to a chip does its own rounding",
        )


def refuse_other_spikes(module: Any) -> None:
    """The surrogate's forward pass must be a step: 1 above the threshold, 0 at and below it."""
    edges = torch.tensor([-1.0, -1e-6, 0.0, 1e-6, 1.0])
    with torch.no_grad():
        given = module.spike_grad(edges).tolist()
    if given != [0, 0, 0, 1, 1]:
        raise ModelError(
            f"spike_grad gives {given} around the threshold, must be 0 up to it and 1 above",
            hint="take a surrogate of snntorch.surrogate",
        )


def _winner(module: Any, node: Winner) -> Part:
    if not (spike_size(module) == 1).all():
        raise ModelError(
            "inhibition and graded_spikes_factor are set; snnTorch 1.0 makes inhibited spikes of size 1",
            hint="leave the factor at 1",
        )
    return Part.of(node, spikes=True)
