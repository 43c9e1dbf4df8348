"""Vectors as values, which numba lacks.

A loop written with them is vector instructions for certain, and carries none of the checks for overlapping
arrays that numba's own vectorised loops spend more time on than on the work.
"""

# numba and llvmlite carry no types, and what is compiled here is typed by numba itself.
# mypy: ignore-errors

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import models, registry
from numba.extending import intrinsic, overload

from hardware_sims.loihi.kernel.columns import LANES


class Vector(types.Type):
    """``LANES`` integers of that many bits each, kept in registers, however wide the machine's are.

    Operators act lane by lane, as two's complement: + − * & | ^, << and >> (arithmetic), > and !=. Their
    right operand may be a number.
    """

    def __init__(self, bits: int) -> None:
        super().__init__(f"Vector({bits})")
        self.bits = bits
        self.llvm = ir.VectorType(ir.IntType(bits), LANES)


MASK, BYTES, SHORTS, INTS = (Vector(bits) for bits in (1, 8, 16, 32))


class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.llvm)


registry.register_default(Vector)(_Model)


def _address(context: Any, builder: Any, array: Any, value: Any, row: Any, vector: Vector) -> Any:
    data = context.make_array(array)(context, builder, value).data
    step = 1 if array.ndim == 1 else LANES
    start = builder.gep(data, [builder.mul(row, ir.Constant(row.type, step))])
    return builder.bitcast(start, vector.llvm.as_pointer())


@intrinsic
def load(typing: Any, array: Any, row: Any) -> Any:
    """Row ``row`` of a C-ordered integer array [rows, LANES], or a flat one from ``row`` on; unchecked."""
    vector = Vector(array.dtype.bitwidth)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_address(context, builder, array, *values, vector), align=vector.bits // 8)

    return vector(array, types.int64), generate


@intrinsic
def store(typing: Any, array: Any, row: Any, vector: Any) -> Any:
    """Row ``row`` of such an array ← ``vector``; unchecked."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _address(context, builder, array, *values[:2], vector)
        builder.store(values[2], place, align=vector.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


@intrinsic
def every(typing: Any, number: Any) -> Any:
    """A 32-bit vector of one number."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        nothing = ir.Constant(INTS.llvm, ir.Undefined)
        first = builder.insert_element(nothing, values[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, ir.Constant(INTS.llvm, None))

    return INTS(types.int32), generate


def _widening(vector: Vector, instruction: str) -> Any:
    @intrinsic
    def widen(typing: Any, x: Any) -> Any:
        return vector(x), lambda context, builder, signature, values: getattr(builder, instruction)(
            values[0], vector.llvm
        )

    return widen


shorts = _widening(SHORTS, "sext")  # bytes, with their sign, in 16 bits
ints = _widening(INTS, "sext")  # shorts, with their sign, in 32 bits
flags = _widening(BYTES, "zext")  # a mask as bytes of 0 or 1


@intrinsic
def select(typing: Any, mask: Any, x: Any, y: Any) -> Any:
    """x where the mask is set, else y."""
    return x(mask, x, x), lambda context, builder, signature, values: builder.select(*values)


@intrinsic
def population(typing: Any, mask: Any) -> Any:
    """How many lanes of a mask are set."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctpop(builder.bitcast(values[0], ir.IntType(LANES)))

    return types.Integer.from_bitwidth(LANES)(mask), generate


def _define(symbol: Callable[..., Any], build: Callable[..., Any], answers_mask: bool = False) -> None:
    """Give vectors an operator; ``build`` makes its LLVM instruction."""

    @intrinsic
    def instruction(typing: Any, x: Any, y: Any) -> Any:
        return (MASK if answers_mask else x)(x, x), lambda context, builder, signature, values: build(
            builder, *values
        )

    @overload(symbol)
    def operate(x, y):  # numba compares these names with the lambdas'
        if isinstance(x, Vector) and isinstance(y, Vector):
            return lambda x, y: instruction(x, y)
        if x == INTS and isinstance(y, types.Integer):
            return lambda x, y: instruction(x, every(y))
        return None


for _symbol, _name in {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.and_: "and_",
    operator.or_: "or_",
    operator.xor: "xor",
    operator.lshift: "shl",
    operator.rshift: "ashr",
}.items():
    _define(_symbol, getattr(ir.IRBuilder, _name))
_define(operator.gt, lambda builder, x, y: builder.icmp_signed(">", x, y), answers_mask=True)
_define(operator.ne, lambda builder, x, y: builder.icmp_signed("!=", x, y), answers_mask=True)
