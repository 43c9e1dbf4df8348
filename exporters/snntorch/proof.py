"""The proof that a Network is its module: both are run in double precision and compared, tick by tick."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exporters.snntorch.translate import check_output
from exporters.snntorch.watch import Call, leaves, replica, rest_state, run, watched
from strl.codecs import encoder
from strl.errors import ModelError
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.reference import Reference
from strl.policies.policy import SpikingPolicy

Float = NDArray[np.float64]

DENSITIES = (0.1, 0.3, 0.5, 0.9)
"""Shares of input channels that are active, one a row of the batch."""

GAINS = (1.0, 8.0, 64.0)
"""Strengths of the input that are tried until every layer has spiked."""

DOUBLE = "the proof runs a copy in double precision: make tensors with the dtype of the input"

MEMBRANE = 1e-9
"""Largest difference of potentials, relative to the larger of 1 and their size."""


def prove(policy: SpikingPolicy, network: Network, *, decisions: int = 4, seed: int = 0) -> dict[str, Any]:
    """Run module and network on the same random input; every neuron layer must agree in every tick.

    Spiking layers are compared spike by spike, silent ones by their potential.

    Returns:
        The record: seed, decisions, ticks compared, batch, strength of the input, spikes a layer, layers that
        could spike and never did, mismatches (always 0).

    Raises:
        ModelError: the first difference; names layer, decision and tick.
    """
    semantics = policy.semantics
    if policy.call == "decision" and semantics.rest:
        raise ModelError(
            f"{type(policy.module).__name__}: call='decision' has no rest ticks, semantics.rest is "
            f"{semantics.rest}",
            hint="use call='tick' where the state is carried",
        )
    _probe_output(policy, network, seed)
    # Input as the encoder makes it may leave deep layers silent, which proves little of them: then stronger.
    for gain in GAINS:
        spikes = _trial(policy, network, decisions, seed, gain)
        silent = [name for name, count in spikes.items() if not count and not _reads_membrane(network, name)]
        if not silent:
            break
    return {
        "seed": seed,
        "decisions": decisions,
        "batch": len(DENSITIES),
        "ticks": decisions * (semantics.ticks + semantics.rest),
        "gain": gain,
        "spikes": spikes,
        "silent": silent,
        "mismatches": 0,
    }


def _probe_output(policy: SpikingPolicy, network: Network, seed: int) -> None:
    """Whatever spikes the last neurons gave, the module must return them: tried with random ones."""
    module, rng = replica(policy.module).double(), np.random.default_rng(seed)
    last = leaves(module).get(network.sources(network.output)[0])
    if last is None or policy.semantics.readout.kind != "count":
        return

    def replaced(_: nn.Module, __: Any, given: Any) -> Any:
        spikes = given[0] if isinstance(given, tuple) else given
        made = torch.from_numpy(rng.integers(0, 2, tuple(spikes.shape))).to(spikes.dtype)
        return (made, *given[1:]) if isinstance(given, tuple) else made

    last.register_forward_hook(replaced)
    rest_state(module)
    _module_ticks(policy, module, _levels(policy, rng))


def _trial(policy: SpikingPolicy, network: Network, decisions: int, seed: int, gain: float) -> dict[str, int]:
    """Run both on input of that strength; spikes of each layer. Raises as ``prove``."""
    semantics = policy.semantics
    module = replica(policy.module).double()
    reference = Reference(network, batch=len(DENSITIES))
    rng = np.random.default_rng(seed)
    spikes = dict.fromkeys(reference.populations, 0)
    rest_state(module)
    for decision in range(decisions):
        if semantics.state == "reset":
            rest_state(module)
            reference.reset()
        levels = _levels(policy, rng) * gain
        for tick, calls in enumerate(_module_ticks(policy, module, levels)):
            driven = tick < semantics.ticks
            values = reference.tick(levels[tick] if driven else np.zeros_like(levels[0]), driven=driven)
            for name in reference.populations:
                _compare(network, name, calls[name], values[name], reference, (decision, tick))
                spikes[name] += 0 if _reads_membrane(network, name) else int(values[name].sum())
    return spikes


def _reads_membrane(network: Network, name: str) -> bool:
    node = network.nodes[name]
    return isinstance(node, LIF) and node.silent


def _levels(policy: SpikingPolicy, rng: np.random.Generator) -> Float:
    """Made-up input [T, batch, n] of the encoder's kind: spikes, or levels times their unit."""
    code = encoder(policy.semantics.encoder)
    shape = (policy.semantics.ticks, len(DENSITIES), code.size)
    active = rng.random(shape) < np.array(DENSITIES)[:, None]
    if code.bits == 1:
        return np.asarray(active * code.unit, dtype=np.float64)
    half = 1 << (code.bits - 1)
    # One level a decision, as for an observation: with a new one a tick few neurons reach their thresholds.
    held = rng.integers(-half, half, shape[1:])
    return np.asarray(np.where(active, held, 0) * code.unit, dtype=np.float64)


def _module_ticks(policy: SpikingPolicy, module: nn.Module, levels: Float) -> list[dict[str, Call]]:
    """The calls of every tick of a decision, by layer."""
    x = torch.from_numpy(levels.copy())  # the module may do to it what it likes
    with torch.no_grad(), watched(module) as calls:
        if policy.call == "decision":
            output = run(module, x, DOUBLE)
            check_output(policy, [call for call in calls if call.name == calls[-1].name], output)
        else:
            for tick in range(len(levels)):
                output = run(module, x[tick], DOUBLE)
                check_output(policy, calls[-1:], output)
            if policy.semantics.rest:
                _rest(module, torch.zeros_like(x[0]), policy.semantics.rest)
    ticks = policy.semantics.ticks + policy.semantics.rest
    names = [call.name for call in calls]
    period, rest = divmod(len(calls), ticks)
    if rest or names != names[:period] * ticks:
        raise ModelError(
            f"{type(policy.module).__name__}: does not call the same layers in every tick",
            hint="what a network computes cannot depend on the number of the tick",
        )
    return [{c.name: c for c in calls[k * period : (k + 1) * period]} for k in range(ticks)]


def _rest(module: nn.Module, silence: torch.Tensor, ticks: int) -> None:
    """Rest ticks: no input, and biases are silent."""
    layers = [part for part in leaves(module).values() if isinstance(part, nn.Linear)]
    kept = [part.bias for part in layers]
    for part in layers:
        part.register_parameter("bias", None)
    for _ in range(ticks):
        run(module, silence, DOUBLE)
    for part, bias in zip(layers, kept, strict=True):
        part.register_parameter("bias", bias)


def _compare(
    network: Network, name: str, call: Call, values: Float, reference: Reference, when: tuple[int, int]
) -> None:
    lif = network.nodes[name]
    assert isinstance(lif, LIF)
    if lif.silent:
        assert call.membrane is not None
        ours, theirs = reference.potential(name), call.membrane.numpy()
        off = np.abs(ours - theirs) > MEMBRANE * np.maximum(1.0, np.abs(ours))
        what = "potentials"
    else:
        off = values != call.given[0].numpy()
        what = "spikes"
    if off.any():
        raise ModelError(
            f"{name}: {int(off.sum())} of {off.size} {what} differ between module and network in decision "
            f"{when[0]}, tick {when[1]}",
            hint="the module does something between ticks that its layers do not say; strl will not guess it",
        )
