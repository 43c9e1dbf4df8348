"""snnTorch module → Network, by following what its layers give and take in a real forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from exporters.snntorch.build import Build
from exporters.snntorch.flow import Step, read_layer, steps, ticks_of
from exporters.snntorch.layers import known
from exporters.snntorch.watch import Call, leaves, precision, replica, rest_state, run, watched
from strl.codecs import encoder
from strl.errors import ModelError
from strl.ir.network import Network
from strl.policies.neurons import IntegrateAndFire
from strl.policies.policy import SpikingPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What a module is found to compute.

    Args:
        network: with one output, the head that is read.
        layer: the one whose spikes or potential the module returns.
        unread: layers that the read head does not depend on; the network does not have them.
        logic: a layer takes the input as spikes, so that it must not be scaled.
    """

    network: Network
    layer: str
    unread: tuple[str, ...]
    logic: bool


def to_network(policy: SpikingPolicy) -> Network:
    """The network that a policy's module computes, named as the module names its layers.

    The module itself is not touched: a copy is run, in evaluation. What the forward pass does outside
    layers is not understood and refused. A layer that is more than one node has the others named after it.

    Raises:
        ModelError: an unknown layer, an operation between layers, a layer that is used twice or never, a
            setting that no node has; names the layer and the way out.
    """
    return structure(policy).network


def structure(policy: SpikingPolicy) -> Structure:
    """The network and how it was read; raises as ``to_network``."""
    module = replica(policy.module)
    for name, part in leaves(module).items():
        known(name, part)  # first, since the most common trouble deserves the plainest words
    code = encoder(policy.semantics.encoder)
    x, calls, output = forward(policy, module, code.size)
    ticks = ticks_of(policy, module, calls)
    driven = x if policy.call == "decision" else x[None]
    flows = [steps(module, tick, at) for tick, at in zip(ticks, driven, strict=True)]
    _same_flow(policy, flows)
    layer = read_layer(policy, ticks, output)
    build = Build(leaves(module), code.size, binary=code.bits == 1 and code.unit == 1.0)
    for step in flows[0]:
        build.add(step)
    network = build.network(layer, membrane=policy.semantics.readout.kind == "membrane")
    unread = build.without(network)
    if unread and policy.head is None:
        raise ModelError(
            f"{', '.join(unread)}: computed, but nothing that is returned depends on it",
            hint="leave it out; or, if it is another head, return both and name yours: SpikingPolicy(head=…)",
        )
    return Structure(network=network, layer=layer, unread=unread, logic=build.logic)


def forward(policy: SpikingPolicy, module: nn.Module, width: int) -> tuple[torch.Tensor, list[Call], Any]:
    """One watched call of the module on made-up spikes: input, calls, output.

    Neurons are made to give random spikes, so that no layer is silent and no two give the same.

    Raises:
        ModelError: the module itself fails; says what it said.
    """
    ticks = (policy.semantics.ticks,) if policy.call == "decision" else ()
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 2, (*ticks, 2, width))).to(precision(module))
    rest_state(module)
    hooks = [
        _replaced(part, rng)
        for part in leaves(module).values()
        if isinstance(part, snn.SpikingNeuron | IntegrateAndFire)
    ]
    try:
        with torch.no_grad(), watched(module) as calls:
            means = "x [T, batch, features]" if ticks else "x [batch, features], once a tick"
            hint = f"the encoder gives {width} features; call={policy.call!r} means {means}"
            output = run(module, x, hint)
    finally:
        for hook in hooks:
            hook.remove()
    return x, calls, output


def _replaced(part: nn.Module, rng: np.random.Generator) -> Any:
    def after(_: nn.Module, __: Any, given: Any) -> Any:
        spikes = given[0] if isinstance(given, tuple) else given
        made = torch.from_numpy(rng.integers(0, 2, tuple(spikes.shape))).to(spikes.dtype)
        return (made, *given[1:]) if isinstance(given, tuple) else made

    return part.register_forward_hook(after)


def _same_flow(policy: SpikingPolicy, flows: list[tuple[Step, ...]]) -> None:
    for tick, flow in enumerate(flows):
        for first, here in zip(flows[0], flow, strict=True):
            if first != here:
                raise ModelError(
                    f"{here.layer}: takes its input elsewhere in tick {tick} than in tick 0",
                    hint="what a network computes cannot depend on the number of the tick",
                )
