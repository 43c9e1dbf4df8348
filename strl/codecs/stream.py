"""A stream of values: the input of a network without an environment, in whole steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from strl.codecs.base import ENCODERS, Encoder, Float, Levels, encoder
from strl.codecs.scaled import number, whole
from strl.errors import EnvironmentFault, ModelError

PRECISION_MAX = 15
"""Most bits of a level: as many as a chip's synapses have exponents."""
PRECISION = 12
"""Bits of a level where nothing asks for more or less."""


@ENCODERS.register("stream")
@dataclass(frozen=True, slots=True, kw_only=True)
class Stream(Encoder):
    """Level = the value in whole steps, rounded, then bounded.

    Args:
        width: input channels.
        precision: 1 for spikes (0 or 1), else bits of a signed level.
        step: the value of level 1.
    """

    kind: ClassVar[str] = "stream"
    width: int
    precision: int = 1
    step: float = 1.0

    def __post_init__(self) -> None:
        whole("width", self.width, 1, 1 << 20)
        whole("precision", self.precision, 1, PRECISION_MAX)
        if not number("step", self.step) > 0:
            raise ValueError(f"step = {self.step!r}, must be above 0")

    @property
    def size(self) -> int:
        return self.width

    @property
    def bits(self) -> int:
        return self.precision

    @property
    def unit(self) -> float:
        return self.step

    def encode(self, observations: Float, ticks: int, rngs: Sequence[np.random.Generator]) -> Levels:
        return np.repeat(self.levels(observations)[None], ticks, axis=0)

    def levels(self, values: Float) -> Levels:
        """Levels of values [..., width]; raises EnvironmentFault where one is not finite."""
        if values.shape[-1:] != (self.width,):
            raise EnvironmentFault(f"an observation has shape {values.shape[-1:]}, must be ({self.width},)")
        if not np.isfinite(values).all():
            raise EnvironmentFault("an observation holds a value that is not finite")
        most = _most(self.precision)
        low = 0 if self.precision == 1 else -most
        return np.clip(np.rint(values / self.step), low, most).astype(np.int16)


def stream(spec: Mapping[str, Any]) -> Stream:
    """The encoder that ``spec`` describes, which must be a stream."""
    made = encoder(spec)
    if not isinstance(made, Stream):
        raise ModelError(f"encoder {made.kind!r} is no stream of input")
    return made


def fitting(values: Float, *, precision: int | None = None, step: float | None = None) -> tuple[int, float]:
    """Precision and step for a stream of values: such as lose nothing, where there are any.

    What is not given is chosen: the greatest power of two of which every value is a multiple as step, else
    the least with which they fit; and as many bits as they then need, 12 where they are not multiples.
    """
    if precision in (None, 1) and step is None and np.isin(values, (0.0, 1.0)).all():
        return 1, 1.0
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    if step is None:
        step = _finest(largest, precision or PRECISION_MAX)
        if not _multiples(values, step):
            step = _finest(largest, precision or PRECISION)
        while step < largest and _multiples(values, 2 * step):
            step *= 2
    needed = int(np.rint(largest / step)).bit_length() + 1
    return precision or min(max(needed, 2), PRECISION_MAX), step


def _most(precision: int) -> int:
    return 1 if precision == 1 else (1 << (precision - 1)) - 1


def _finest(largest: float, precision: int) -> float:
    """The least power of two with which values up to ``largest`` fit."""
    return float(2.0 ** np.ceil(np.log2(largest / _most(precision))))


def _multiples(values: Float, step: float) -> bool:
    return bool((np.rint(values / step) * step == values).all())
