"""Read-outs to actions: the largest of some outputs, or outputs squashed into bounds.

Every sum runs inside one row, so that an action does not depend on who shares its batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from strl.codecs.base import DECODERS, Action, Decoder, Float
from strl.codecs.scaled import Table, number, numbers, truth, whole

Matrix = tuple[tuple[float, ...], ...]


@DECODERS.register("argmax")
@dataclass(frozen=True, slots=True, kw_only=True)
class Argmax(Decoder):
    """The action whose group of output neurons has the largest sum; the lowest of equals.

    Args:
        actions: number of discrete actions.
        per_action: neurons of a group; groups lie side by side.
        first: number of the first action (Gymnasium's ``Discrete.start``).
    """

    kind: ClassVar[str] = "argmax"
    actions: int
    per_action: int = 1
    first: int = 0

    def __post_init__(self) -> None:
        whole("actions", self.actions, 1, 65536)
        whole("per_action", self.per_action, 1, 65536)
        whole("first", self.first, -(2**31), 2**31)

    @property
    def size(self) -> int:
        return self.actions * self.per_action

    @property
    def choices(self) -> range:
        return range(self.first, self.first + self.actions)

    def decode(self, readout: Float, ticks: int) -> Action:
        values = readout
        if self.per_action > 1:
            values = readout.reshape(len(readout), self.actions, self.per_action).sum(axis=2)
        best: Action = values.argmax(axis=1)
        return best + self.first if self.first else best


@DECODERS.register("linear")
@dataclass(frozen=True, slots=True, kw_only=True)
class LinearArgmax(Decoder):
    """The largest of W · r + b; r is the read-out, or its rate.

    Args:
        weight: W [actions, outputs], row by row.
        bias: b [actions]; empty for none.
        rates: True divides the read-out by T first, which turns spike counts into rates.
        first: as in ``argmax``.
    """

    kind: ClassVar[str] = "linear"
    weight: Matrix
    bias: tuple[float, ...] = ()
    rates: bool = False
    first: int = 0
    _weight: Table = field(init=False, repr=False, compare=False)
    _bias: Table = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        truth("rates", self.rates)
        whole("first", self.first, -(2**31), 2**31)
        _set_map(self, self.weight, self.bias)

    @property
    def size(self) -> int:
        return len(self.weight[0])

    @property
    def choices(self) -> range:
        return range(self.first, self.first + len(self.weight))

    def decode(self, readout: Float, ticks: int) -> Action:
        values = _mapped(readout / ticks if self.rates else readout, self._weight, self._bias)
        best: Action = values.argmax(axis=1)
        return best + self.first if self.first else best


@DECODERS.register("tanh")
@dataclass(frozen=True, slots=True, kw_only=True)
class Tanh(Decoder):
    """Continuous actions: low + (tanh(r) + 1) / 2 · (high − low), as float32; r may be mapped first.

    Args:
        low, high: bounds of the action, flat, finite.
        shape: shape of one action.
        weight, bias: W [actions, outputs] and b [actions]; both empty take the read-out as it is.
        rates: True divides the read-out by T first.
    """

    kind: ClassVar[str] = "tanh"
    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]
    weight: Matrix = ()
    bias: tuple[float, ...] = ()
    rates: bool = False
    _low: Table = field(init=False, repr=False, compare=False)
    _half: Table = field(init=False, repr=False, compare=False)
    _weight: Table = field(init=False, repr=False, compare=False)
    _bias: Table = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        low, high = numbers("low", self.low), numbers("high", self.high)
        truth("rates", self.rates)
        count = math.prod(whole("shape", n, 1, 65536) for n in self.shape)
        if not len(low) == len(high) == count:
            raise ValueError(f"low, high and shape have {len(low)}, {len(high)} and {count} actions")
        if any(a > b for a, b in zip(low, high, strict=True)):
            raise ValueError("low must not be above high")
        object.__setattr__(self, "_low", np.array(low))
        object.__setattr__(self, "_half", (np.array(high) - np.array(low)) / 2)
        if self.weight:
            _set_map(self, self.weight, self.bias)
            if len(self.weight) != count:
                raise ValueError(f"weight has {len(self.weight)} rows for {count} actions")
        else:
            if self.bias:
                raise ValueError("bias without weight")
            object.__setattr__(self, "_weight", None)
            object.__setattr__(self, "_bias", None)

    @property
    def size(self) -> int:
        return len(self.weight[0]) if self.weight else len(self.low)

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.low, self.high

    def decode(self, readout: Float, ticks: int) -> Action:
        values = readout / ticks if self.rates else readout
        if self._weight is not None:
            values = _mapped(values, self._weight, self._bias)
        action = self._low + (np.tanh(values) + 1.0) * self._half
        return action.astype(np.float32).reshape(len(readout), *self.shape)


def _set_map(part: LinearArgmax | Tanh, weight: Matrix, bias: tuple[float, ...]) -> None:
    if not isinstance(weight, tuple) or not weight or len({len(numbers("weight", r)) for r in weight}) != 1:
        raise ValueError("weight must be rows of equal length")
    if bias and len(numbers("bias", bias)) != len(weight):
        raise ValueError(f"bias has {len(bias)} values for {len(weight)} rows of weight")
    number("weight", max(max(row) for row in weight))
    object.__setattr__(part, "_weight", np.array(weight, dtype=np.float64))
    object.__setattr__(part, "_bias", np.array(bias or [0.0] * len(weight), dtype=np.float64))


def _mapped(values: Float, weight: Table, bias: Table) -> Float:
    # A matrix product may round differently for another batch size; this sum cannot.
    mapped: Float = (values[:, None, :] * weight).sum(axis=2) + bias
    return mapped
