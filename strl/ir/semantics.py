"""What decides behaviour and no interchange format holds: schedule, state, read-out, codec, spaces.

These travel in a manifest beside the NIR file. Nothing here has a hidden default: a front end fills
every field, so that two readers of the same manifest run the same policy.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from strl.content import plain
from strl.errors import ModelError

State = Literal["reset", "carry"]
ReadoutKind = Literal["count", "membrane", "trace"]

MAX_TICKS = 4096
"""Bound on the ticks of one decision; above it a manifest is taken for damaged."""

MAX_VALUES = 1 << 20
"""Bound on the values of one observation, and on the actions there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """Where an action is read: the output population, over the ``ticks`` driven ticks of a decision.

    ``count`` is the number of spikes of each neuron over those ticks, ``membrane`` the potential of
    each (non-spiking) neuron at the last of them. ``trace`` is an open loop's: the output itself in every
    one of them, be it spikes or potentials.
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

    Raises:
        ModelError: a field of another type or value; names it.
    """

    id: str
    observation_shape: tuple[int, ...]
    actions: int | None
    action_low: tuple[float, ...] = ()
    action_high: tuple[float, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = "semantics.environment"
        shape = tuple(
            _integer(f"{where}.observation_shape", n, MAX_VALUES)
            for n in _list(f"{where}.observation_shape", self.observation_shape)
        )
        if math.prod(shape) > MAX_VALUES:
            raise ModelError(f"{where}.observation_shape = {shape}, must hold at most {MAX_VALUES} values")
        low, high = (_numbers(f"{where}.{n}", getattr(self, n)) for n in ("action_low", "action_high"))
        if len(low) != len(high):
            raise ModelError(f"{where}: action_low has {len(low)} values, action_high {len(high)}")
        actions = self.actions
        if actions is not None:
            actions = _integer(f"{where}.actions", actions, MAX_VALUES)
        _checked(f"{where}.id", self.id, str)
        object.__setattr__(self, "kwargs", _record(f"{where}.kwargs", plain(self.kwargs)))
        object.__setattr__(self, "observation_shape", shape)
        object.__setattr__(self, "actions", actions)
        object.__setattr__(self, "action_low", low)
        object.__setattr__(self, "action_high", high)


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

    Raises:
        ModelError: a field of another type or value; names it.
    """

    ticks: int
    state: State
    readout: Readout
    encoder: Mapping[str, Any]
    decoder: Mapping[str, Any]
    environment: EnvironmentSpec
    rest: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "ticks", _integer("semantics.ticks", self.ticks, MAX_TICKS))
        object.__setattr__(self, "rest", _integer("semantics.rest", self.rest, MAX_TICKS))
        for part in ("encoder", "decoder"):
            spec = _record(f"semantics.{part}", plain(getattr(self, part)))
            object.__setattr__(self, part, spec)
        _checked("semantics.readout", self.readout, Readout)
        _checked("semantics.environment", self.environment, EnvironmentSpec)
        if not self.ticks:
            raise ModelError(f"semantics: ticks = 0, must be 1..{MAX_TICKS}")
        if self.state not in ("reset", "carry"):
            raise ModelError(f"semantics: state = {self.state!r}, must be 'reset' or 'carry'")
        if self.readout.kind not in get_args(ReadoutKind):
            raise ModelError(
                f"semantics: readout = {self.readout.kind!r}, must be 'count', 'membrane' or 'trace'"
            )
        if self.open_loop and (self.decoder or self.environment.id or self.state != "reset"):
            raise ModelError(
                "semantics: readout = 'trace' is an open loop's, which has no decoder, no environment and "
                "state 'reset'"
            )
        if self.rest and self.state == "reset":
            raise ModelError(
                f"semantics: rest = {self.rest}, must be 0 where the state is reset every decision"
            )

    @property
    def open_loop(self) -> bool:
        """True for a bare network: no environment, input and output in every tick."""
        return self.readout.kind == "trace"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``from_dict`` of it is equal to this."""
        environment = self.environment
        return {
            "ticks": self.ticks,
            "state": self.state,
            "rest": self.rest,
            "readout": {"kind": self.readout.kind},
            "encoder": plain(self.encoder),
            "decoder": plain(self.decoder),
            "environment": {
                "id": environment.id,
                "kwargs": plain(environment.kwargs),
                "observation_shape": list(environment.observation_shape),
                "actions": environment.actions,
                "action_low": list(environment.action_low),
                "action_high": list(environment.action_high),
            },
        }

    @classmethod
    def from_dict(cls, data: object) -> Semantics:
        """The semantics that ``to_dict`` wrote.

        Raises:
            ModelError: a field that is missing, unknown, or of a wrong type or value; names it.
        """
        top = _record("semantics", data, {f.name for f in fields(cls)})
        readout = _record("semantics.readout", top["readout"], {"kind"})
        names = {f.name for f in fields(EnvironmentSpec)}
        environment = _record("semantics.environment", top["environment"], names)
        return cls(
            **{
                **top,
                "readout": Readout(kind=readout["kind"]),
                "environment": EnvironmentSpec(**environment),
            }
        )


def open_loop(shape: tuple[int, ...], *, ticks: int, precision: int = 1, step: float = 1.0) -> Semantics:
    """What a bare network means: state cleared once, then ``ticks`` ticks of input and of output.

    Args:
        shape: of the network's input.
        ticks: at most so many; fewer can be run.
        precision, step: what a chip takes of the input, see ``strl.codecs.Stream``.
    """
    return Semantics(
        ticks=ticks,
        state="reset",
        readout=Readout(kind="trace"),
        encoder={"kind": "stream", "width": math.prod(shape), "precision": precision, "step": step},
        decoder={},
        environment=EnvironmentSpec(id="", observation_shape=shape, actions=None),
    )


def _record(where: str, value: object, names: set[str] | None = None) -> dict[str, Any]:
    """``value`` as a dict with exactly the keys ``names`` (any keys where ``None``)."""
    record: dict[str, Any] = _checked(where, value, dict)
    for name in sorted((names or set()) ^ set(record) if names is not None else ()):
        what = "is missing" if name not in record else "is unknown"
        raise ModelError(f"{where}: field {name!r} {what}")
    return record


def _checked(where: str, value: object, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ModelError(f"{where} = {value!r:.60}, must be a {kind.__name__}")
    return value


def _list(where: str, value: object) -> list[Any]:
    if not isinstance(value := plain(value), list):
        raise ModelError(f"{where} = {value!r:.60}, must be a list")
    return value


def _integer(where: str, value: object, most: int) -> int:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ModelError(f"{where} = {value!r:.60}, must be an integer of 0..{most}")
    return value


def _numbers(where: str, value: object) -> tuple[float, ...]:
    numbers = _list(where, value)
    for number in numbers:
        if (
            isinstance(number, bool)
            or not isinstance(number, int | float)
            or not abs(number) <= sys.float_info.max
        ):
            raise ModelError(f"{where}: {number!r:.60} is not a finite number")
    return tuple(float(number) for number in numbers)
