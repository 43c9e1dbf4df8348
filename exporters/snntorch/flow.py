"""Calls of layers → dataflow: where each input came from, and which layer the module's output is.

A tensor is followed by what it is, not by what it equals: an input must be the very values that a layer gave,
or a view of them. So whatever plain Python does to them in between shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from exporters.snntorch.watch import FRESH, Call, Seen, alike, leaves, tensors
from strl.errors import ModelError
from strl.policies.modules import Delay
from strl.policies.policy import SpikingPolicy

BETWEEN = (
    "make it a layer of its own that is understood (strl.policies.modules has Sum, Product, Scale, Delay), "
    "fold it into the weights, or leave it out"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an input of a layer came from.

    Args:
        layer: who gave it; empty for the observation's spikes.
        what: what that layer gave: its output, or the potential that it keeps.
        shape: in which it was taken, without batch.
        reshaped: that is not the shape in which it was given.
    """

    layer: str
    what: Literal["output", "potential"]
    shape: tuple[int, ...]
    reshaped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One layer in a tick: where its inputs came from, and the shape of what it gave, without batch."""

    layer: str
    origins: tuple[Origin, ...]
    gives: tuple[int, ...]


def ticks_of(policy: SpikingPolicy, module: nn.Module, calls: list[Call]) -> list[list[Call]]:
    """The calls of each tick.

    Raises:
        ModelError: not every layer is called once in each tick; names one.
    """
    if not calls:
        raise ModelError(f"{type(policy.module).__name__}: calls no layer")
    ticks = policy.semantics.ticks if policy.call == "decision" else 1
    loops = len(calls) // len({call.name for call in calls})
    if policy.call == "tick" and loops > 1 and _repeats(calls, loops):
        raise ModelError(
            f"{type(policy.module).__name__}: loops over {loops} ticks inside one call",
            hint="take the loop out, or say SpikingPolicy(call='decision') and take x [T, batch, features]",
        )
    if not _repeats(calls, ticks):
        raise _twice(calls, ticks)
    period = len(calls) // ticks
    never = sorted(set(leaves(module)) - {call.name for call in calls[:period]})
    if never:
        raise ModelError(
            f"{', '.join(never)}: never called in a forward pass", hint="remove what is not used"
        )
    return [calls[k * period : (k + 1) * period] for k in range(ticks)]


def steps(module: nn.Module, calls: Sequence[Call], x: torch.Tensor) -> tuple[Step, ...]:
    """The dataflow of one tick, fed by ``x`` [batch, features].

    Raises:
        ModelError: an input that no layer gave; names the layer and the way out.
    """
    delays = {name for name, part in leaves(module).items() if type(part) is Delay}
    found = []
    for number, call in enumerate(calls):
        before = [c for c in calls[number + 1 :] if c.name in delays] + list(calls[:number])
        origins = tuple(_origin(call, seen, before, calls[:number], x) for seen in call.taken)
        if not call.given:
            raise ModelError(f"{call.name}: gives no tensor")
        if call.given[0].shape[:1] != x.shape[:1]:
            raise ModelError(
                f"{call.name}: gives shape {list(call.given[0].shape)} for a batch of {x.shape[0]}",
                hint="keep the batch as the first axis: nn.Flatten(1), nn.Unflatten(1, …)",
            )
        found.append(Step(layer=call.name, origins=origins, gives=tuple(call.given[0].shape[1:])))
    return tuple(found)


def _origin(
    call: Call, seen: Seen, givers: Sequence[Call], before: Sequence[Call], x: torch.Tensor
) -> Origin:
    shape = tuple(seen.tensor.shape[1:])
    for giver in reversed(givers):
        if giver.gave(seen):
            reshaped = giver.given[0].shape != seen.tensor.shape
            return Origin(layer=giver.name, what="output", shape=shape, reshaped=reshaped)
        if giver.potential is not None and giver.potential.holds(seen):
            reshaped = giver.potential.tensor.shape != seen.tensor.shape
            return Origin(layer=giver.name, what="potential", shape=shape, reshaped=reshaped)
    if seen.version == FRESH and alike(x, seen.tensor):
        return Origin(layer="", what="output", shape=shape, reshaped=x.shape != seen.tensor.shape)
    if not before:
        raise ModelError(
            f"{call.name}: its input is not the observation's spikes as the encoder gave them",
            hint=f"an operation comes before it; {BETWEEN}",
        )
    raise ModelError(
        f"{call.name}: its input is not what {before[-1].name} gave, nor any layer before it: an operation "
        "outside layers stands between them",
        hint=BETWEEN,
    )


def read_layer(policy: SpikingPolicy, ticks: Sequence[Sequence[Call]], output: Any) -> str:
    """The layer whose spikes (or potential) the module returned.

    Raises:
        ModelError: it returned something else, or several heads of which the policy names none.
    """
    chosen = head_of(policy, output)
    names = [call.name for call in reversed(ticks[0])]
    for name in names:
        if _is_of(policy, _calls(ticks, name), chosen):
            return name
    single = [[n for n in names if _is_of(policy, _calls(ticks, n), (tensor,))] for tensor in chosen]
    if len(chosen) > 1 and policy.head is None and all(single):
        keys = [key for key in _keys(output) if isinstance(output[key], torch.Tensor)]
        heads = ", ".join(f"{key!r}: {found[0]}" for key, found in zip(keys, single, strict=True))
        raise ModelError(
            f"{type(policy.module).__name__}: returns {len(chosen)} heads ({heads}); actions are read of one",
            hint=f"name it: SpikingPolicy(head={keys[0]!r}, …)",
        )
    raise unlike(policy, names[0])


def unlike(policy: SpikingPolicy, last: str) -> ModelError:
    return ModelError(
        f"{type(policy.module).__name__}: returns something else than its last layer {last}",
        hint=f"return that layer's output alone or its sum; for what comes after: {BETWEEN}",
    )


def returns(policy: SpikingPolicy, ticks: Sequence[Sequence[Call]], name: str, output: Any) -> bool:
    """True where the module returned that layer's spikes (or potential)."""
    return _is_of(policy, _calls(ticks, name), head_of(policy, output))


def head_of(policy: SpikingPolicy, output: Any) -> tuple[torch.Tensor, ...]:
    """The tensors of the head that is read.

    Raises:
        ModelError: there is no head of that name.
    """
    if policy.head is None:
        return tensors(list(output.values()) if isinstance(output, Mapping) else output)
    keys = _keys(output)
    if policy.head not in keys:
        raise ModelError(
            f"{type(policy.module).__name__}: returns no head {policy.head!r}",
            hint=f"its heads: {', '.join(map(repr, keys)) or 'none, it returns one tensor'}",
        )
    return tensors(output[policy.head])


def _keys(output: Any) -> list[Any]:
    if isinstance(output, Mapping):
        return list(output)
    return list(range(len(output))) if isinstance(output, tuple | list) else []


def _calls(ticks: Sequence[Sequence[Call]], name: str) -> list[Call]:
    return [call for tick in ticks for call in tick if call.name == name]


def _is_of(policy: SpikingPolicy, calls: Sequence[Call], outputs: Sequence[torch.Tensor]) -> bool:
    """True where the output is that layer's: in a tick, or over the ticks of a decision.

    Membranes may come after the spikes, and in their place where they are what is read.
    """
    membranes = [call.membrane for call in calls if call.membrane is not None]
    if not calls:
        return False
    for number, tensor in enumerate(outputs):
        by_membrane = number > 0 or policy.semantics.readout.kind == "membrane"
        if policy.call == "tick":
            spikes = _in_one_tick(calls[0], tensor, states=number > 0)
        else:
            spikes = _over_ticks(tensor, [call.given[0] for call in calls])
        if not spikes and not (by_membrane and membranes and _over_ticks(tensor, membranes, last=True)):
            return False
    return bool(outputs)


def _in_one_tick(call: Call, tensor: torch.Tensor, *, states: bool) -> bool:
    own = any(tensor is given for given in call.given[1:])
    given = call.given[:1] and call.given[0].shape == tensor.shape and call.gave(Seen.now(tensor))
    return bool(given) or (states and own)


def _over_ticks(tensor: torch.Tensor, each: list[torch.Tensor], *, last: bool = False) -> bool:
    """True where ``tensor`` holds every tick's values, or their sum; with ``last`` the last instead."""
    values = torch.stack(each)
    allowed = (values, values[-1]) if last else (values, values.sum(dim=0))
    return any(tensor.shape == one.shape and bool(torch.equal(tensor.to(one.dtype), one)) for one in allowed)


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
