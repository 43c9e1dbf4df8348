"""Ticks in a row: calls of a ``strl::Tick`` one behind the other, or in a Scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters.onnx.graph import BATCH, DOMAIN, Body, Port, subgraph
from strl.errors import UsageError
from strl.ir.nodes import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What lives from tick to tick: a tensor [batch, *shape] and its value before the first."""

    name: str
    shape: Shape
    dtype: Any
    start: NDArray[Any] = field(default_factory=lambda: np.zeros(()))

    @property
    def next(self) -> str:
        """Name of the value after the tick."""
        return f"{self.name}.next"

    @property
    def before(self) -> Port:
        return Port(name=self.name, dtype=self.dtype, shape=(BATCH, *self.shape))

    @property
    def after(self) -> Port:
        return Port(name=self.next, dtype=self.dtype, shape=(BATCH, *self.shape))

    def to_dict(self) -> dict[str, Any]:
        """For the metadata; ``start`` is one number where all are the same."""
        first = self.start.ravel()[0].item()
        same = bool((self.start == first).all())
        start = first if same else np.broadcast_to(self.start, self.shape).tolist()
        return {**self.before.to_dict(), "next": self.next, "start": start}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """The function of one tick, with all that a caller needs.

    Args:
        functions: it and those that it calls.
        inputs: what differs from tick to tick, by the function's names.
        weights: what it is given in every call.
        casts: weights that it takes as another type than they are kept in.
        memory: its states.
        outputs: what comes out, but for the states.
    """

    functions: tuple[onnx.FunctionProto, ...]
    inputs: tuple[str, ...]
    weights: Mapping[str, NDArray[Any]]
    memory: tuple[Memory, ...]
    outputs: tuple[str, ...]
    casts: Mapping[str, Any] = field(default_factory=dict)

    def kept(self, b: Body) -> list[str]:
        """Give the weights to the model; their names as a call takes them."""
        b.weights |= self.weights
        return [b.cast(name, self.casts[name]) if name in self.casts else name for name in self.weights]

    def call(
        self, b: Body, given: Sequence[str], states: Sequence[str], weights: Sequence[str], suffix: str = ""
    ) -> dict[str, str]:
        """One call: what the function calls an output → its name here, which ends in ``suffix``."""
        outputs = [*self.outputs, *(m.next for m in self.memory)]
        names = [f"{name}{suffix}" for name in outputs]
        made = b.ops("Tick", [*given, *states, *weights], names, domain=DOMAIN)
        return dict(zip(outputs, made, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """An input of every tick: a tensor [ticks, …] of the model by name, or its values."""

    port: Port
    values: str | NDArray[Any]

    def at(self, b: Body, tick: int) -> str:
        """Its value in one tick."""
        if isinstance(self.values, str):
            return b.row(self.values, tick, 0)
        return b.constant(self.values[tick], self.port.dtype)

    def all(self, b: Body) -> str:
        """Its values in all ticks."""
        return self.values if isinstance(self.values, str) else b.constant(self.values, self.port.dtype)


UNROLLED_MAX = 256
"""Ticks that are written one behind the other."""

Collect = Callable[[Body, Mapping[str, str]], Sequence[str]]
"""(body, what came of a tick) → names of the results, in the order of their ports."""


class Results:
    """What was collected in every tick, by the names of the ports."""

    def __init__(self, b: Body, found: Mapping[str, str | list[str]]) -> None:
        self._body = b
        self._found = found

    def stacked(self, name: str) -> str:
        """All of them, [ticks, …]."""
        found = self._found[name]
        return found if isinstance(found, str) else self._body.stack(found, 0)

    def at(self, name: str, tick: int) -> str:
        """That of one tick."""
        found = self._found[name]
        return self._body.row(found, tick, 0) if isinstance(found, str) else found[tick]


def unrolled(
    b: Body,
    tick: Tick,
    ticks: int,
    series: Sequence[Series],
    states: Mapping[str, str],
    collect: Collect,
    results: Sequence[Port],
) -> Results:
    """``ticks`` calls; the last one's states get the names ``Memory.next``.

    Args:
        b: the model's body.
        tick, ticks: what is called, and how often.
        series: its inputs, in its order.
        states: memory → name of its value before the first tick.
        collect, results: what is kept of every tick.

    Raises:
        UsageError: more than ``UNROLLED_MAX`` ticks.
    """
    if ticks > UNROLLED_MAX:
        raise UsageError(
            f"a decision of {ticks} ticks: at most {UNROLLED_MAX} are written one behind the other",
            hint="give --scan",
        )
    weights, rows, now = tick.kept(b), [], [states[m.name] for m in tick.memory]
    for number in range(ticks):
        given = [one.at(b, number) for one in series]
        found = tick.call(b, given, now, weights, "" if number == ticks - 1 else f"@{number}")
        now = [found[m.next] for m in tick.memory]
        rows.append(list(collect(b, found)))
    return Results(b, {port.name: [row[k] for row in rows] for k, port in enumerate(results)})


def looped(
    b: Body,
    tick: Tick,
    series: Sequence[Series],
    states: Mapping[str, str],
    collect: Collect,
    results: Sequence[Port],
) -> Results:
    """As ``unrolled``, in a Scan over the series' first axis; the results are tensors of those names."""
    inner, weights = Body("~"), tick.kept(b)
    given = [_inside(one.port) for one in series]
    held = [_inside(m.before) for m in tick.memory]
    found = tick.call(inner, [p.name for p in given], [p.name for p in held], weights, "~")
    each = [
        Port(name=inner.op("Identity", value, out=f"{port.name}~each"), dtype=port.dtype, shape=port.shape)
        for port, value in zip(results, collect(inner, found), strict=True)
    ]
    after = [_inside(m.after) for m in tick.memory]
    b.ops(
        "Scan",
        [*(states[m.name] for m in tick.memory), *(one.all(b) for one in series)],
        [*(m.next for m in tick.memory), *(port.name for port in results)],
        num_scan_inputs=len(series),
        body=subgraph("tick", [*held, *given], [*after, *each], inner),
    )
    return Results(b, {port.name: port.name for port in results})


def _inside(port: Port) -> Port:
    return Port(name=f"{port.name}~", dtype=port.dtype, shape=port.shape)
