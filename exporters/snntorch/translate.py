"""snnTorch module → Network, by walking its layers in the order a real forward pass calls them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from exporters.snntorch.layers import HANDLERS, node
from exporters.snntorch.watch import FRESH, Call, leaves, replica, rest_state, run, same, tensors, watched
from strl.codecs import encoder
from strl.errors import ModelError
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.nodes import Input, Node, Output
from strl.policies.policy import SpikingPolicy

BETWEEN = "make it a layer of its own that is understood, fold it into the weights, or leave it out"


def to_network(policy: SpikingPolicy) -> Network:
    """The network that a policy's module computes, one node a layer, named as the module names it.

    The module itself is not touched: a copy is run, in evaluation. What the forward pass does outside
    layers is not understood and refused.

    Raises:
        ModelError: an unknown layer, an operation between layers, a layer that is used twice or never, a
            setting that no node has; names the layer and the way out.
    """
    module = replica(policy.module)
    known_layers(module)
    width = encoder(policy.semantics.encoder).size
    path, layers = chain(policy, forward(policy, module, width)), leaves(module)
    nodes: dict[str, Node] = {}
    for call in path:
        if call.taken.dim() != 2:
            raise ModelError(
                f"{call.name}: its input has shape {list(call.taken.shape)}, must be [batch, features]",
                hint="flatten the observation before the policy; the encoder gives [batch, features]",
            )
        made = node(call.name, layers[call.name], call.taken.shape[1])
        if made is not None:
            nodes[call.name] = made
    return _joined(policy, nodes, width)


def known_layers(module: nn.Module) -> None:
    """Every layer has a handler: checked first, since the most common trouble deserves the plainest words."""
    for name, part in leaves(module).items():
        if type(part) not in HANDLERS:
            node(name, part, 0)


def forward(policy: SpikingPolicy, module: nn.Module, width: int) -> tuple[torch.Tensor, list[Call], Any]:
    """One watched call of the module on made-up spikes: input, calls, output.

    Raises:
        ModelError: the module itself fails; says what it said.
    """
    ticks = (policy.semantics.ticks,) if policy.call == "decision" else ()
    spikes = np.random.default_rng(0).integers(0, 2, (*ticks, 2, width))
    parameter = next((p.dtype for p in module.parameters()), torch.float32)
    x = torch.from_numpy(spikes).to(parameter)
    rest_state(module)
    with torch.no_grad(), watched(module) as calls:
        means = "x [T, batch, features]" if ticks else "x [batch, features], once a tick"
        hint = f"the encoder gives {width} features; call={policy.call!r} means {means}"
        output = run(module, x, hint)
    return x, calls, output


def chain(policy: SpikingPolicy, seen: tuple[torch.Tensor, list[Call], Any]) -> Sequence[Call]:
    """The calls of one tick, in order, each fed by the one before and by nothing else.

    Raises:
        ModelError: anything else.
    """
    x, calls, output = seen
    ticks = policy.semantics.ticks if policy.call == "decision" else 1
    path = _ticks_of(policy, calls, ticks)
    never = sorted(set(leaves(policy.module)) - {call.name for call in path})
    if never:
        raise ModelError(
            f"{', '.join(never)}: never called in a forward pass", hint="remove what is not used"
        )
    for start in range(0, len(calls), len(path)):
        before: Call | None = None
        driven = x[start // len(path)] if policy.call == "decision" else x
        for call in calls[start : start + len(path)]:
            _fed_by(before, call, driven)
            before = call
    check_output(policy, calls[len(path) - 1 :: len(path)], output)
    return path


def _ticks_of(policy: SpikingPolicy, calls: list[Call], ticks: int) -> list[Call]:
    if not calls:
        raise ModelError(f"{type(policy.module).__name__}: calls no layer")
    loops = len(calls) // len({call.name for call in calls})
    if policy.call == "tick" and loops > 1 and _repeats(calls, loops):
        raise ModelError(
            f"{type(policy.module).__name__}: loops over {loops} ticks inside one call",
            hint="take the loop out, or say SpikingPolicy(call='decision') and take x [T, batch, features]",
        )
    if not _repeats(calls, ticks):
        raise _twice(calls, ticks)
    return calls[: len(calls) // ticks]


def _repeats(calls: list[Call], ticks: int) -> bool:
    """True where the calls are ``ticks`` times the same layers in the same order, each once a tick."""
    names = [call.name for call in calls]
    period, rest = divmod(len(names), ticks)
    once = len(set(names[:period])) == period
    return not rest and once and names == names[:period] * ticks


def _twice(calls: list[Call], ticks: int) -> ModelError:
    count = Counter(call.name for call in calls)
    name = next((n for n in count if count[n] != ticks), calls[0].name)
    span = "one tick" if ticks == 1 else f"{ticks} ticks"
    return ModelError(
        f"{name}: is called {count[name]} times in {span}, must be {ticks}",
        hint="give every use a layer of its own; they may share one weight tensor",
    )


def _fed_by(before: Call | None, call: Call, x: torch.Tensor) -> None:
    if before is None:
        if call.version != FRESH or not same(x, call.taken):
            raise ModelError(
                f"{call.name}: its input is not the observation's spikes as the encoder gave them",
                hint=f"an operation comes before it; {BETWEEN}",
            )
    elif not before.gave(call.taken, call.version):
        raise ModelError(
            f"{call.name}: its input is not what {before.name} gave: an operation outside layers, a skip or "
            "a branch stands between them",
            hint=f"{BETWEEN}; only plain chains of layers are understood",
        )


def check_output(policy: SpikingPolicy, last: list[Call], output: Any) -> None:
    """A call of the module returned what its last layer gave in ``last``, its calls in that time.

    Raises:
        ModelError: it returned something else; names the layer and the way out.
    """
    if not _ends_in(policy, last, output):
        raise ModelError(
            f"{type(policy.module).__name__}: returns something else than its last layer {last[-1].name}",
            hint=f"return that layer's output alone or its sum; for what comes after: {BETWEEN}",
        )


def _ends_in(policy: SpikingPolicy, last: list[Call], output: Any) -> bool:
    """True where the output is the last layer's: in a tick, or over the ticks of a decision.

    Membranes may come after the spikes, and in their place where they are what is read.
    """
    outputs = tensors(output)
    membranes = [call.membrane for call in last if call.membrane is not None]
    for number, tensor in enumerate(outputs):
        by_membrane = number > 0 or policy.semantics.readout.kind == "membrane"
        if policy.call == "tick":
            spikes = last[0].gave(tensor, tensor._version)
        else:
            spikes = _over_ticks(tensor, [call.given[0] for call in last])
        if not spikes and not (by_membrane and membranes and _over_ticks(tensor, membranes, last=True)):
            return False
    return bool(outputs)


def _over_ticks(tensor: torch.Tensor, each: list[torch.Tensor], *, last: bool = False) -> bool:
    """True where ``tensor`` holds every tick's values, or their sum; with ``last`` the last instead."""
    values = torch.stack(each)
    allowed = (values, values[-1]) if last else (values, values.sum(dim=0))
    return any(_equal(tensor, one) for one in allowed)


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a.to(b.dtype), b))


def _joined(policy: SpikingPolicy, nodes: dict[str, Node], width: int) -> Network:
    last = next(reversed(nodes), "")
    ending = nodes.get(last)
    if not isinstance(ending, LIF):
        raise ModelError(
            f"{last or type(policy.module).__name__}: the last layer has no neurons to read",
            hint="end in snn.Leaky: spikes to count, or reset_mechanism='none' for a membrane read-out",
        )
    made = dict(nodes)
    if policy.semantics.readout.kind == "membrane":
        made[last] = _read_by_membrane(last, ending)
    first, end = _free("input", nodes), _free("output", nodes)
    order = [first, *made, end]
    return Network(
        nodes={first: Input(shape=(width,)), **made, end: Output(shape=(ending.size,))},
        edges=tuple(pairwise(order)),
    )


def _read_by_membrane(name: str, neurons: LIF) -> LIF:
    """Neurons whose spikes nobody reads and that never reset: they never spike."""
    if neurons.reset != "none":
        raise ModelError(
            f"{name}: its membrane is read, but it resets by {neurons.reset!r} after a spike",
            hint="make the last layer snn.Leaky(reset_mechanism='none'), or read spike counts",
        )
    return replace(neurons, threshold=np.full(neurons.size, np.inf))


def _free(name: str, taken: Mapping[str, object]) -> str:
    while name in taken:
        name += "_"
    return name
