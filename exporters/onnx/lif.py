"""``strl::LIF``: each form of float neuron as a model-local function, so that neurons stay visible.

What each computes is ``strl.ir.neurons.LIF.step``, operator for operator in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx

from exporters.onnx.graph import Body, function
from strl.ir.neurons import LIF
from strl.ir.nodes import Neurons

PARAMETERS = ("alpha", "beta", "threshold", "drive", "floor", "grain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The function of a population.

    Args:
        name: of the function; populations that differ in parameters only share one.
        states: what lives from tick to tick.
        parameters: by the function's names.
        write: writes its body: from ``x``, states and parameters to ``sent`` and each ``new_STATE``.
    """

    name: str
    states: tuple[str, ...]
    parameters: Mapping[str, Any]
    write: Callable[[Body], None]

    def function(self) -> onnx.FunctionProto:
        """(x, states…, parameters…) → (what it sends, new states…)."""
        b = Body()
        self.write(b)
        given = ["x", *self.states, *self.parameters]
        return function(self.name, given, ["sent", *(f"new_{state}" for state in self.states)], b)


def lif(node: Neurons) -> Cell:
    """The function of a LIF population."""
    assert isinstance(node, LIF)
    form = Form.of(node)
    return Cell(
        name=form.name,
        states=form.states,
        parameters={name: getattr(node, name) for name in form.used},
        write=partial(_update, form),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What LIF neurons need a function of their own for."""

    reset: str
    late: bool
    inclusive: bool
    multiple: bool
    silent: bool
    used: tuple[str, ...]
    """The parameters that it has, of ``PARAMETERS``."""

    @classmethod
    def of(cls, node: LIF) -> Form:
        absent = {
            "alpha": not node.alpha.any(),
            "threshold": node.silent,
            "drive": not np.any(node.drive),
            "floor": bool(np.all(np.isneginf(node.floor))),
            "grain": not node.grain,
        }
        return cls(
            reset="none" if node.silent else node.reset,
            late=node.reset_delay and not node.silent and node.reset != "none",
            inclusive=node.inclusive and not node.silent,
            multiple=node.multiple and not node.silent,
            silent=node.silent,
            used=tuple(p for p in PARAMETERS if not absent.get(p, False)),
        )

    @property
    def name(self) -> str:
        """``LIF`` with what is particular about it; ``LI`` where it never spikes."""
        words = ["LI" if self.silent else "LIF"]
        words += [] if self.silent else [self.reset]
        words += [w for w in ("late", "inclusive", "multiple") if getattr(self, w)]
        words += [p for p in ("alpha", "drive", "floor", "grain") if p in self.used]
        return "_".join(words)

    @property
    def states(self) -> tuple[str, ...]:
        """What lives from tick to tick: the current, the potential, whether a reset is owed."""
        owed = self.reset == "zero" and self.late
        return (*(("i",) if "alpha" in self.used else ()), "v", *(("spiked",) if owed else ()))


def _update(form: Form, b: Body) -> None:
    i = "x" if "alpha" not in form.used else b.op("Add", _decayed(b, form, "i", "alpha"), "x", out="new_i")
    v = b.op("Add", _decayed(b, form, "v", "beta"), i)
    if "drive" in form.used:
        v = b.op("Add", v, "drive")
    if "floor" in form.used:
        v = b.op("Max", v, "floor")
    _fire(b, form, v)


def _decayed(b: Body, form: Form, state: str, retention: str) -> str:
    kept = b.op("Mul", state, retention)
    if "grain" not in form.used:
        return kept
    steps = b.op("Div", kept, "grain")
    whole = b.op("Mul", b.op("Sign", steps), b.op("Floor", b.op("Abs", steps)))
    return b.op("Mul", whole, "grain")


def _fire(b: Body, form: Form, v: str) -> None:
    """From the potential before the reset to what is sent and the new states."""
    zero = b.constant(0.0, np.float64)
    if form.silent:
        b.op("Identity", v, out="sent")
        b.op("Identity", v, out="new_v")
        return
    if form.reset == "zero":
        if form.late:
            v = b.op("Where", b.op("Greater", "spiked", zero), zero, v)
        _spikes(b, form, v)
        if form.late:
            b.op("Identity", v, out="new_v")
            b.op("Identity", "sent", out="new_spiked")
        else:
            b.op("Where", b.op("Greater", "sent", zero), zero, v, out="new_v")
        return
    if form.reset == "subtract":
        owed = b.cast(_fires(b, form, "v"), np.float64)
        v = b.op("Sub", v, _taken(b, owed))
        _spikes(b, form, v)
        if form.late:
            b.op("Identity", v, out="new_v")
        else:
            b.op("Sub", v, _taken(b, b.op("Sub", "sent", owed)), out="new_v")
        return
    _spikes(b, form, v)
    if form.reset == "once":
        b.op("Sub", v, _taken(b, "sent"), out="new_v")
    else:
        b.op("Identity", v, out="new_v")


def _fires(b: Body, form: Form, v: str) -> str:
    return b.op("GreaterOrEqual" if form.inclusive else "Greater", v, "threshold")


def _spikes(b: Body, form: Form, v: str) -> None:
    if form.multiple:
        whole = b.op("Floor", b.op("Div", v, "threshold"))
        above = b.op("GreaterOrEqual", v, "threshold")
        b.op("Where", above, whole, b.constant(0.0, np.float64), out="sent")
    else:
        b.op("Cast", _fires(b, form, v), to=onnx.TensorProto.DOUBLE, out="sent")


def _taken(b: Body, spikes: str) -> str:
    """spikes · threshold, and 0 where there are none, whatever the threshold."""
    zero = b.constant(0.0, np.float64)
    none = b.op("Equal", spikes, zero)
    return b.op("Mul", spikes, b.op("Where", none, zero, "threshold"))
