"""The chip's neurons as model-local functions, in 64-bit integers.

What each computes is ``hardware_sims/loihi/definition.py``, line for line; docs/chip.md has the sources.
"""

from __future__ import annotations

import numpy as np
import onnx

from exporters.onnx.graph import Body, function
from strl.chip.arithmetic import Arithmetic
from strl.quantize.neurons import Graded, Lif, Neurons, Product, Ternary

LIMIT = 2**23


def name(kind: Neurons, arithmetic: Arithmetic) -> str:
    """Of the function for neurons of a kind."""
    if isinstance(kind, Lif):
        words: list[str] = [arithmetic if arithmetic == "loihi1" else kind.reset]
        words += [w for w in ("reset_delay", "inclusive", "multiple") if getattr(kind, w)]
        return "_".join(["ChipLIF", *words])
    if isinstance(kind, Graded):
        return "ChipGraded_rectify" if kind.rectify else "ChipGraded"
    return "ChipTernary" if isinstance(kind, Ternary) else "ChipProduct"


def states(kind: Neurons, arithmetic: Arithmetic) -> tuple[str, ...]:
    """What lives from tick to tick."""
    if isinstance(kind, Lif) and arithmetic == "loihi1":
        return ("u", "v", "held")
    return ("u", "v") if isinstance(kind, Lif | Ternary) else ()


def parameters(kind: Neurons, arithmetic: Arithmetic) -> tuple[str, ...]:
    """Fields of the kind that the function is given."""
    if isinstance(kind, Lif):
        return ("du", "dv", "vth", "refractory") if arithmetic == "loihi1" else ("du", "dv", "vth")
    if isinstance(kind, Ternary):
        return ("du", "dv", "high", "low")
    return ("vth", "shift") if isinstance(kind, Product) else ("vth",)


def ports(kind: Neurons) -> tuple[str, ...]:
    """Where synapses end."""
    return ("a", "b") if isinstance(kind, Product) else ("a",)


def cell(kind: Neurons, arithmetic: Arithmetic) -> onnx.FunctionProto:
    """The function: (ports…, states…, parameters…) → (message, new states…); all int64."""
    b = Integers()
    if isinstance(kind, Graded):
        size = "a" if kind.rectify else b.wrap(b.op("Abs", "a"), 32)
        b.op("Where", b.op("Greater", size, "vth"), "a", b.number(0), out="sent")
    elif isinstance(kind, Product):
        p = b.halved(b.wrap(b.op("Mul", "a", "b"), 32), "shift")
        large = b.op("Greater", b.wrap(b.op("Abs", p), 32), "vth")
        b.op("Where", large, p, b.number(0), out="sent")
    elif isinstance(kind, Ternary):
        _ternary(b)
    elif arithmetic == "loihi1":
        _loihi1(b)
    else:
        _lif(b, kind)
    held = states(kind, arithmetic)
    given = [*ports(kind), *held, *parameters(kind, arithmetic)]
    return function(name(kind, arithmetic), given, ["sent", *(f"new_{s}" for s in held)], b)


class Integers(Body):
    """A body of 64-bit integers."""

    def number(self, value: int) -> str:
        return self.constant(value, np.int64)

    def wrap(self, x: str, bits: int) -> str:
        """The value that a signed register of that many bits keeps of x."""
        half = self.number(1 << bits - 1)
        return self.op("Sub", self.op("Mod", self.op("Add", x, half), self.number(1 << bits)), half)

    def halved(self, x: str, divisor: str) -> str:
        """x / divisor, towards −∞: ONNX's own division goes towards zero."""
        return self.op("Div", self.op("Sub", x, self.op("Mod", x, divisor)), divisor)

    def scaled(self, x: str, exponent: int) -> str:
        """x · 2^exponent, towards −∞."""
        if exponent == 0:
            return x
        power = self.number(1 << abs(exponent))
        return self.op("Mul", x, power) if exponent > 0 else self.halved(x, power)

    def clip(self, v: str, out: str | None = None) -> str:
        """v within 24 bits."""
        return self.op("Clip", v, self.number(1 - LIMIT), self.number(LIMIT - 1), out=out)

    def flag(self, x: str) -> str:
        """Truth as 0 and 1."""
        return self.cast(x, np.int64)


def _decayed(b: Integers, x: str, decay: str, whole: int) -> str:
    """x · (whole − decay) / 4096 towards zero, which is how ONNX divides integers."""
    return b.op("Div", b.op("Mul", x, b.op("Sub", b.number(whole), decay)), b.number(4096))


def _integrated(b: Integers) -> str:
    """Sets the new u; gives the potential before it is clipped."""
    current = b.op("Add", _decayed(b, "u", "du", 4095), b.op("Mul", "a", b.number(64)))
    u = b.wrap(current, 32)
    full = b.number(2 * LIMIT)
    up = b.op("Where", b.op("LessOrEqual", u, b.number(-LIMIT)), b.op("Add", u, full), u)
    b.op("Where", b.op("Greater", u, b.number(LIMIT)), b.op("Sub", u, full), up, out="new_u")
    return b.op("Add", _decayed(b, "v", "dv", 4096), "new_u")


def _lif(b: Integers, kind: Lif) -> None:
    threshold = b.op("Mul", "vth", b.number(64))
    least = threshold if kind.inclusive else b.op("Add", threshold, b.number(1))
    v = _integrated(b)
    owed = b.op("GreaterOrEqual", "v", least)
    if kind.reset == "subtract":
        v = b.clip(b.op("Sub", v, b.op("Mul", b.flag(owed), threshold)))
    else:
        v = b.clip(v)
        if kind.reset_delay:
            v = b.op("Where", owed, b.number(0), v)
    fires = b.op("GreaterOrEqual", v, least)
    if kind.multiple:
        fires = b.op("GreaterOrEqual", v, threshold)
        spikes = b.op("Div", b.op("Max", v, b.number(0)), threshold, out="sent")
    else:
        spikes = b.op("Cast", fires, to=onnx.TensorProto.INT64, out="sent")
    if kind.reset == "none" or kind.reset_delay:
        b.op("Identity", v, out="new_v")
    elif kind.reset == "zero":
        b.op("Where", fires, b.number(0), v, out="new_v")
    else:
        taken = spikes if kind.reset == "once" else b.op("Sub", spikes, b.flag(owed))
        b.clip(b.op("Sub", v, b.op("Mul", taken, threshold)), out="new_v")


def _loihi1(b: Integers) -> None:
    zero = b.number(0)
    held = b.op("Max", b.op("Sub", "held", b.number(1)), zero)
    current = b.op("Add", _decayed(b, "u", "du", 4095), b.op("Mul", "a", b.number(64)))
    b.op("Identity", b.wrap(current, 24), out="new_u")
    v = b.clip(b.op("Add", _decayed(b, "v", "dv", 4096), "new_u"))
    above = b.op("Greater", v, b.op("Mul", "vth", b.number(64)))
    fires = b.op("And", b.op("Equal", held, zero), above)
    b.op("Cast", fires, to=onnx.TensorProto.INT64, out="sent")
    b.op("Where", fires, "refractory", held, out="new_held")
    b.op("Where", b.op("Greater", "new_held", zero), zero, v, out="new_v")


def _ternary(b: Integers) -> None:
    v = b.clip(_integrated(b))
    up = b.op("Greater", v, b.op("Mul", "high", b.number(64)))
    down = b.op("Less", v, b.op("Mul", "low", b.number(64)))
    b.op("Sub", b.flag(up), b.flag(down), out="sent")
    b.op("Where", b.op("Or", up, down), b.number(0), v, out="new_v")
