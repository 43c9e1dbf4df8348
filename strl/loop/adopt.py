"""A bare network made a policy: the default codec of an environment, and a read-out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from strl.codecs import default_codec, measured_ranges
from strl.codecs.default import WIDEST
from strl.errors import EnvironmentFault, UsageError
from strl.ir.network import Network, shapes
from strl.ir.neurons import LIF
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics
from strl.loop.environment import Environment
from strl.loop.subject import Subject

if TYPE_CHECKING:
    import gymnasium as gym

TICKS = 32
"""Of a decision where nobody says how many."""


def adopted(subject: Subject, env: str, ticks: int | None = None) -> Subject:
    """The subject's network as a policy for an environment.

    No NIR file holds a codec: observations are encoded by the default one (``direct``, over the space's
    bounds or, where it has none, the ranges that random actions show), and the action is read from the
    spikes of the last population, from its potential if it never spikes, or from the sum of what the last
    weights send.

    Args:
        subject: an open loop's.
        env: Gymnasium id.
        ticks: of a decision; ``TICKS`` by default.

    Raises:
        UsageError: the subject has a codec of its own.
        EnvironmentFault: no such environment, or a space without a codec.
        ModelError: the network has several outputs.
    """
    if not subject.semantics.open_loop:
        raise UsageError(
            f"{subject.name}: has a codec and an environment of its own, --env is for bare networks"
        )
    with Environment(id=env).opened() as world:
        encode, decode, measured = _codec(world)
        spec = environment_spec(env, world)
    network, kind = _readable(subject.network)
    semantics = Semantics(
        ticks=TICKS if ticks is None else ticks,
        state="reset",
        readout=Readout(kind=kind),  # type: ignore[arg-type]  # one of two words
        encoder=encode,
        decoder=decode,
        environment=spec,
    )
    origin = dict(subject.artefact.proof.get("origin", {}))
    ranges = ", its ranges those that random actions show" if measured else ""
    remark = (
        f"the file has no codec; taken for {env}: encoder {encode['kind']}{ranges}, decoder "
        f"{decode['kind']}, {semantics.ticks} ticks a decision, state reset"
    )
    origin["warnings"] = [*origin.get("warnings", ()), remark]
    proof = {**subject.artefact.proof, "origin": origin}
    return Subject(artefact=replace(subject.artefact, network=network, semantics=semantics, proof=proof))


def _codec(world: gym.Env[Any, Any]) -> tuple[dict[str, Any], dict[str, Any], bool]:
    space: Any = world.observation_space
    bounds = [np.ravel(getattr(space, side, ())) for side in ("low", "high")]
    measured = not all((np.abs(values) <= WIDEST).all() for values in bounds)
    low, high = measured_ranges(world) if measured else (None, None)
    encode, decode = default_codec(space, world.action_space, low=low, high=high)
    return encode.to_dict(), decode.to_dict(), measured


def environment_spec(env: str, world: gym.Env[Any, Any]) -> EnvironmentSpec:
    """What a manifest says of an environment; raises ``EnvironmentFault`` where observations are no Box."""
    from gymnasium.spaces import Box, Discrete

    space, actions = world.observation_space, world.action_space
    if not isinstance(space, Box):
        raise EnvironmentFault(f"{env}: observations are {space}, must be a Box")
    box = actions if isinstance(actions, Box) else None
    return EnvironmentSpec(
        id=env,
        observation_shape=tuple(space.shape),
        actions=int(actions.n) if isinstance(actions, Discrete) else None,
        action_low=() if box is None else tuple(map(float, box.low.ravel())),
        action_high=() if box is None else tuple(map(float, box.high.ravel())),
    )


def _readable(network: Network) -> tuple[Network, str]:
    """The network with neurons at its end, and how they are read."""
    output = network.output
    sources = network.sources(output)
    last = network.nodes[sources[0]]
    if len(sources) == 1 and isinstance(last, LIF):
        return network, "membrane" if last.silent else "count"
    shape, name = shapes(network)[output], "readout"
    while name in network.nodes:
        name += "'"
    zero = np.zeros(shape)
    total = LIF(alpha=zero, beta=zero + 1, threshold=zero + np.inf, reset="none", reset_delay=False)
    nodes = {n: node for n, node in network.nodes.items() if n != output}
    edges = [(a, name if b == output else b) for a, b in network.edges]
    return Network(
        nodes={**nodes, name: total, output: network.nodes[output]},
        edges=(*edges, (name, output)),
        dt=network.dt,
    ), "membrane"
