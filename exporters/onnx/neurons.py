"""The float neurons that no chip has, as model-local functions; each is its node's ``step``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from exporters.onnx.graph import Body
from exporters.onnx.lif import Cell, lif
from strl.ir.alpha import Alpha
from strl.ir.delta import Delta
from strl.ir.neurons import LIF
from strl.ir.nodes import Neurons
from strl.ir.substep import SubstepLIF
from strl.ir.winner import Winner


def _alpha(node: Neurons) -> Cell:
    assert isinstance(node, Alpha)
    parameters = {"alpha": node.alpha, "beta": node.beta, "threshold": node.threshold, "gain": node.gain}
    write = partial(_alpha_body, node.reset)
    return Cell(name=f"Alpha_{node.reset}", states=("e", "f", "v"), parameters=parameters, write=write)


def _alpha_body(reset: str, b: Body) -> None:
    owed = _above(b, "v", "threshold")
    e = b.op("Add", b.op("Mul", "alpha", "e"), "x")
    f = b.op("Sub", b.op("Mul", "beta", "f"), "x")
    v = b.op("Mul", "gain", b.op("Add", e, f))
    if reset == "zero":
        e, f, v = (b.op("Sub", value, b.op("Mul", value, owed)) for value in (e, f, v))
    elif reset == "subtract":
        e = b.op("Sub", e, b.op("Mul", "threshold", owed))
        f = b.op("Sub", f, b.op("Mul", f, owed))
        v = b.op("Add", v, b.op("Mul", "f", owed))
    for name, value in (("new_e", e), ("new_f", f), ("new_v", v)):
        b.op("Identity", value, out=name)
    b.op("Identity", _above(b, v, "threshold"), out="sent")


def _delta(node: Neurons) -> Cell:
    assert isinstance(node, Delta)
    parameters = {"beta": node.beta, "threshold": node.threshold}
    return Cell(name="Delta", states=("v",), parameters=parameters, write=_delta_body)


def _delta_body(b: Body) -> None:
    b.op("Add", b.op("Mul", "beta", "v"), "x", out="new_v")
    change = b.op("Abs", b.op("Sub", "new_v", "v"))
    b.op("Identity", _above(b, change, "threshold"), out="sent")


def _winner(node: Neurons) -> Cell:
    assert isinstance(node, Winner)
    words = [
        "Winner",
        node.reset,
        *(["late"] if node.reset_delay else []),
        *(["whole"] if node.whole else []),
    ]
    parameters = {
        "alpha": node.alpha,
        "beta": node.beta,
        "threshold": node.threshold,
        "place": np.arange(float(node.size)),
    }
    return Cell(
        name="_".join(words), states=("i", "v"), parameters=parameters, write=partial(_winner_body, node)
    )


def _winner_body(node: Winner, b: Body) -> None:
    owed, before = _above(b, "v", "threshold"), "v"
    b.op("Add", b.op("Mul", "alpha", "i"), "x", out="new_i")
    if node.reset == "zero" and not node.whole:
        before = b.op("Mul", b.op("Sub", b.constant(1.0, np.float64), owed), "v")
    v = b.op("Add", b.op("Mul", "beta", before), "new_i")
    if node.reset == "zero" and node.whole:
        v = b.op("Sub", v, b.op("Mul", owed, v))
    if node.reset == "subtract":
        v = b.op("Sub", v, b.op("Mul", owed, "threshold"))
    above = b.op("Sub", v, "threshold")
    best = b.cast(b.op("ArgMax", above, axis=1, keepdims=1), np.float64)
    fires = b.op("And", b.op("Equal", "place", best), b.op("Greater", above, b.constant(0.0, np.float64)))
    b.op("Identity", b.cast(fires, np.float64), out="sent")
    if not node.reset_delay and node.reset != "none":
        taken = v if node.reset == "zero" else "threshold"
        v = b.op("Sub", v, b.op("Mul", b.op("Sub", "sent", owed), taken))
    b.op("Identity", v, out="new_v")


def _substep(node: Neurons) -> Cell:
    assert isinstance(node, SubstepLIF)
    parameters = {"tau": node.tau, "refractory": node.refractory, "floor": node.floor}
    return Cell(name="SubstepLIF", states=("v", "wait"), parameters=parameters, write=_substep_body)


def _substep_body(b: Body) -> None:
    # ONNX has no expm1 and log1p: 1 − exp and log differ from them in the last bits.
    zero, one = (b.constant(n, np.float64) for n in (0.0, 1.0))
    wait = b.op("Sub", "wait", one)
    awake = b.op("Clip", b.op("Sub", one, wait), zero, one)
    lost = b.op("Sub", b.op("Exp", b.op("Div", b.op("Neg", awake), "tau")), one)
    v = b.op("Sub", "v", b.op("Mul", b.op("Sub", "x", "v"), lost))
    fires = b.op("Greater", v, one)
    over = b.op("Div", b.op("Sub", v, one), b.op("Where", fires, b.op("Sub", "x", one), one))
    ratio = b.op("Where", fires, over, zero)
    at = b.op("Add", one, b.op("Mul", "tau", b.op("Log", b.op("Sub", one, ratio))))
    b.op("Where", fires, zero, b.op("Max", v, "floor"), out="new_v")
    b.op("Where", fires, b.op("Add", "refractory", at), wait, out="new_wait")
    b.op("Identity", b.cast(fires, np.float64), out="sent")


def _above(b: Body, v: str, threshold: str) -> str:
    return b.cast(b.op("Greater", v, threshold), np.float64)


CELLS: Mapping[type[Neurons], Callable[[Neurons], Cell]] = {
    LIF: lif,
    Alpha: _alpha,
    Delta: _delta,
    Winner: _winner,
    SubstepLIF: _substep,
}
"""What each kind of neurons is; one that is not here is refused by name."""
