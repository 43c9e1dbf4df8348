"""What decides behaviour and no interchange format holds: schedule, state, read-out, codec, spaces.

These travel in a manifest beside the NIR file. Nothing here has a hidden default: a front end fills
every field, so that two readers of the same manifest run the same policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from strl.errors import ModelError

State = Literal["reset", "carry"]
ReadoutKind = Literal["count", "membrane"]

MAX_TICKS = 4096
"""Bound on the ticks of one decision; above it a manifest is taken for damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """Where an action is read: the output population, over the ``ticks`` driven ticks of a decision.

    ``count`` is the number of spikes of each neuron over those ticks, ``membrane`` the potential of
    each (non-spiking) neuron at the last of them.
    """

    kind: ReadoutKind


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """The Gymnasium environment a policy was made for, and the spaces it needs.

    Args:
        id: Gymnasium id, such as ``"CartPole-v1"``; empty where the policy has none.
        kwargs: what ``gymnasium.make`` is given beside the id.
        observation_shape: shape of the Box of observations.
        actions: number of discrete actions, or ``None`` for a Box of actions.
        action_low, action_high: bounds of the Box of actions, flat; empty for discrete ones.
    """

    id: str
    observation_shape: tuple[int, ...]
    actions: int | None
    action_low: tuple[float, ...] = ()
    action_high: tuple[float, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Semantics:
    """How a network turns one observation into one action.

    Args:
        ticks: T, the ticks of a decision in which input is driven and the read-out listens.
        state: ``reset`` clears every neuron at the start of a decision, ``carry`` keeps it.
        rest: quiet ticks after the driven ones, without input and without biases. They are part of the
            policy's dynamics under ``carry`` (the chip drains its pipeline in them) and 0 under ``reset``.
        readout: what is read where.
        encoder, decoder: codec parts as plain data, see ``strl.codecs``.
        environment: the spaces it was made for.
    """

    ticks: int
    state: State
    readout: Readout
    encoder: Mapping[str, Any]
    decoder: Mapping[str, Any]
    environment: EnvironmentSpec
    rest: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.ticks <= MAX_TICKS:
            raise ModelError(f"semantics: ticks = {self.ticks}, must be 1..{MAX_TICKS}")
        if self.state not in ("reset", "carry"):
            raise ModelError(f"semantics: state = {self.state!r}, must be 'reset' or 'carry'")
        if self.readout.kind not in ("count", "membrane"):
            raise ModelError(f"semantics: readout = {self.readout.kind!r}, must be 'count' or 'membrane'")
        if not 0 <= self.rest <= MAX_TICKS or (self.rest and self.state == "reset"):
            raise ModelError(
                f"semantics: rest = {self.rest}, must be 0 where the state is reset every decision"
            )
