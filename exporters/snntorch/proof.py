"""The proof that a Network is its module: both are run in double precision and compared, tick by tick."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exporters.snntorch.flow import returns, unlike
from exporters.snntorch.layers import GRADED
from exporters.snntorch.translate import Structure, structure
from exporters.snntorch.watch import Call, remembered, replica, rest_state, run, watched
from strl.codecs import encoder
from strl.errors import ModelError
from strl.ir.network import Network
from strl.ir.nodes import Neurons
from strl.ir.reference import Reference
from strl.policies import modules
from strl.policies.policy import SpikingPolicy

Float = NDArray[np.float64]

DENSITIES = (0.1, 0.3, 0.5, 0.9)
"""Shares of input channels that are active, one a row of the batch."""

GAINS = (1.0, 8.0, 64.0)
"""Strengths of the input that are tried until every layer has spiked."""

DOUBLE = "the proof runs a copy in double precision: make tensors with the dtype of the input"

MEMBRANE = 1e-9
"""Largest difference of potentials, relative to the larger of 1 and their size."""


def prove(
    policy: SpikingPolicy,
    network: Network,
    *,
    decisions: int = 4,
    seed: int = 0,
    found: Structure | None = None,
) -> dict[str, Any]:
    """Run module and network on the same random input; every layer of neurons must agree in every tick.

    Spikes must be the same, and potentials within ``MEMBRANE`` wherever a neuron did not spike: those of one
    that did are not the same in every form of one reset.

    Args:
        found: what ``structure`` said of the policy, where that is known already.

    Returns:
        The record: seed, decisions, ticks compared, batch, strength of the input, spikes a layer, layers that
        could spike and never did, the head that is read, the layers it does not need, mismatches (always 0).

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
    found = structure(policy) if found is None else found
    # Input as the encoder makes it may leave deep layers silent, which proves little of them: then stronger.
    for gain in GAINS[:1] if found.logic else GAINS:
        spikes = _trial(policy, network, found.layer, decisions, seed, gain)
        silent = [name for name, count in spikes.items() if not count and not _neurons(network, name).silent]
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
        "head": policy.head,
        "unread": list(found.unread),
        "mismatches": 0,
    }


def _trial(
    policy: SpikingPolicy, network: Network, last: str, decisions: int, seed: int, gain: float
) -> dict[str, int]:
    """Run both on input of that strength; spikes of each layer. Raises as ``prove``."""
    semantics = policy.semantics
    module = replica(policy.module).double()
    reference = Reference(network, batch=len(DENSITIES))
    rng = np.random.default_rng(seed)
    spikes = dict.fromkeys(reference.populations, 0)
    kept: dict[tuple[str, str], str] = {}
    rest_state(module)
    for decision in range(decisions):
        if semantics.state == "reset":
            rest_state(module)
            reference.reset()
        levels = _levels(policy, rng) * gain
        for tick, calls in enumerate(_module_ticks(policy, module, last, levels)):
            driven = tick < semantics.ticks
            values = reference.tick(levels[tick] if driven else np.zeros_like(levels[0]), driven=driven)
            for name in reference.populations:
                if name in calls:
                    _compare(network, name, calls[name], values, reference, (decision, tick))
                spikes[name] += 0 if _neurons(network, name).silent else int(values[name].sum())
        # What the first decision sets and no other changes was there in all that is compared.
        kept = kept if decision else remembered(module)
        _unchanged(kept, remembered(module))
    return spikes


def _unchanged(before: Mapping[tuple[str, str], str], now: Mapping[tuple[str, str], str]) -> None:
    """Refuse what a module counts on: the proof would hold for as many ticks as it ran, and no further."""
    for module, attribute in sorted(before.keys() | now.keys()):
        if before.get((module, attribute)) != now.get((module, attribute)):
            raise ModelError(
                f"{module}: its attribute {attribute!r} changes from call to call; what a network computes "
                "may depend on its neurons' state alone",
                hint="leave it out of the module; what only keeps records of a run belongs outside",
            )


def _neurons(network: Network, name: str) -> Neurons:
    node = network.nodes[name]
    assert isinstance(node, Neurons)
    return node


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


def _module_ticks(
    policy: SpikingPolicy, module: nn.Module, last: str, levels: Float
) -> list[dict[str, Call]]:
    """The calls of every tick of a decision, by layer; ``last`` is the one that the module must return."""
    x = torch.from_numpy(levels.copy())  # the module may do to it what it likes
    driven, whole = policy.semantics.ticks, policy.call == "decision"
    found: list[list[Call]] = []
    with torch.no_grad(), watched(module) as calls:
        outputs = [run(module, x, DOUBLE)] if whole else []
        if whole:
            period, rest = divmod(len(calls), driven)
            found = [calls[k * period : (k + 1) * period] for k in range(driven)] if not rest else []
        else:
            for tick in x:
                start = len(calls)
                outputs.append(run(module, tick, DOUBLE))
                found.append(calls[start:])
        with silenced(module):
            for _ in range(policy.semantics.rest):
                start = len(calls)
                run(module, torch.zeros_like(x[0]), DOUBLE)
                found.append(calls[start:])
    if not found or any([c.name for c in tick] != [c.name for c in found[0]] for tick in found):
        raise ModelError(
            f"{type(policy.module).__name__}: does not call the same layers in every tick",
            hint="what a network computes cannot depend on the number of the tick",
        )
    for output, ticks in zip(outputs, [found] if whole else [[tick] for tick in found], strict=False):
        if not returns(policy, ticks, last, output):
            raise unlike(policy, last)
    return [{call.name: call for call in tick} for tick in found]


@contextmanager
def silenced(module: nn.Module) -> Iterator[None]:
    """Biases are silent while the context lasts, as in the rest ticks of a decision."""
    biased = nn.Linear | nn.Conv1d | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d | modules.Scale
    held = [
        value
        for part in module.modules()
        if isinstance(part, biased)
        for name in ("bias", "running_mean")
        if (value := getattr(part, name, None)) is not None
    ]
    kept = [value.clone() for value in held]
    for value in held:
        value.zero_()
    try:
        yield
    finally:
        for value, before in zip(held, kept, strict=True):
            value.copy_(before)


def _compare(
    network: Network,
    name: str,
    call: Call,
    values: Mapping[str, Float],
    reference: Reference,
    when: tuple[int, int],
) -> None:
    neurons, graded = _neurons(network, name), f"{name}.{GRADED}"
    if neurons.silent:
        assert call.membrane is not None
        _same_potential(name, call, reference, np.zeros(()), when)
        return
    given = call.given[0].numpy()
    _equal(name, "spikes", values[graded if graded in values else name] != given, when)
    if call.membrane is not None:
        _same_potential(name, call, reference, values[name], when)


def _same_potential(
    name: str, call: Call, reference: Reference, spiked: Float, when: tuple[int, int]
) -> None:
    assert call.membrane is not None
    ours, theirs = reference.potential(name), call.membrane.numpy()
    off = np.abs(ours - theirs) > MEMBRANE * np.maximum(1.0, np.abs(ours))
    _equal(name, "potentials", off & (spiked == 0), when)


def _equal(name: str, what: str, off: NDArray[np.bool_], when: tuple[int, int]) -> None:
    if off.any():
        raise ModelError(
            f"{name}: {int(off.sum())} of {off.size} {what} differ between module and network in decision "
            f"{when[0]}, tick {when[1]}",
            hint="the module does something between ticks that its layers do not say; strl will not guess it",
        )
