"""What an encoder and a decoder are. Each kind is one file and one registration.

A codec part is a frozen dataclass of plain data: it travels in manifests as ``{"kind": …, field: …}``
and behaves the same wherever it is built. All its arithmetic is double precision on the host and none of
it depends on the backend, so two backends that agree spike for spike take the same actions.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from strl.content import plain
from strl.errors import ModelError
from strl.registry import Registry

Float = NDArray[np.float64]
Levels = NDArray[np.int16]
Action = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(ABC):
    """Base of encoders and decoders: plain data both ways.

    A field with ``init=False`` is a table worked out once from the others; it is not part of the data.
    """

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``encoder`` or ``decoder`` of it is equal to this."""
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.init}
        return {"kind": self.kind, **fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder(Part):
    """Observations → levels.

    A level is what one input channel carries in one tick: 0 or 1 (a spike) where ``bits`` is 1, else
    a signed integer of that many bits. The float network receives level × ``unit``; a chip receives
    spikes, one source for each bit of the two's complement.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """Input channels."""

    @property
    def bits(self) -> int:
        return 1

    @property
    def unit(self) -> float:
        return 1.0

    @abstractmethod
    def encode(self, observations: Float, ticks: int, rngs: Sequence[np.random.Generator]) -> Levels:
        """Observations [batch, features] → levels [ticks, batch, size].

        ``rngs`` holds one generator an episode, in batch order; only random encoders draw from them,
        each row from its own, so that an episode does not depend on its neighbours.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder(Part):
    """Read-out values → actions."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Output neurons it listens to."""

    @property
    def choices(self) -> range | None:
        """The discrete actions that it can give; ``None`` where they are continuous or not known."""
        return None

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Least and greatest of each continuous action, flat; ``None`` where there are none or not known."""
        return None

    @abstractmethod
    def decode(self, readout: Float, ticks: int) -> Action:
        """Read-out [batch, size], in the float network's units → int64 [batch] or float32 [batch, *shape].

        ``ticks`` is T, for decoders that use rates.
        """


ENCODERS: Registry[type[Encoder]] = Registry("encoder", ModelError)
DECODERS: Registry[type[Decoder]] = Registry("decoder", ModelError)


def encoder(spec: Mapping[str, Any]) -> Encoder:
    """The encoder that ``spec`` describes.

    Raises:
        ModelError: an unknown kind or field, or a value out of its range.
    """
    made: Encoder = _build(ENCODERS, spec)
    return made


def decoder(spec: Mapping[str, Any]) -> Decoder:
    """The decoder that ``spec`` describes; raises as ``encoder``."""
    made: Decoder = _build(DECODERS, spec)
    return made


def _build(registry: Registry[Any], spec: Mapping[str, Any]) -> Any:
    if not isinstance(spec, Mapping) or not isinstance(spec.get("kind"), str):
        raise ModelError(
            f"{registry.what}: {spec!r:.60} has no kind",
            hint=f"say which: {{'kind': …}} with one of {', '.join(registry)}",
        )
    fields = {key: _frozen(value) for key, value in plain(spec).items() if key != "kind"}
    kind = registry[spec["kind"]]
    known = {f.name for f in dataclasses.fields(kind) if f.init}
    for name in fields:
        if name not in known:
            raise ModelError(f"{registry.what} {kind.kind!r} has no field {name!r}")
    try:
        return kind(**fields)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{registry.what} {kind.kind!r}: {error}") from error


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value
