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

WIDE = 4 * LANES
"""Neurons of four blocks side by side: what is the same for all of them is then done once."""


class Vector(types.Type):
    """Integers of that many bits each, kept in registers, however wide the machine's are.

    Operators act lane by lane, as two's complement: + − * & | ^, // (towards zero), << and >> (arithmetic),
    > and !=. Their right operand may be a number.
    """

    def __init__(self, bits: int, lanes: int = LANES) -> None:
        super().__init__(f"Vector({bits}, {lanes})")
        self.bits, self.lanes = bits, lanes
        self.llvm = ir.VectorType(ir.IntType(bits), lanes)

    def with_bits(self, bits: int) -> Vector:
        """As many lanes of another size."""
        return Vector(bits, self.lanes)


INTS, WIDE_INTS = Vector(32), Vector(32, WIDE)


class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.llvm)


registry.register_default(Vector)(_Model)


def _address(context: Any, builder: Any, array: Any, value: Any, row: Any, vector: Vector) -> Any:
    data = context.make_array(array)(context, builder, value).data
    step = 1 if array.ndim == 1 else LANES
    start = builder.gep(data, [builder.mul(row, ir.Constant(row.type, step))])
    return builder.bitcast(start, vector.llvm.as_pointer())


def _loading(lanes: int) -> Any:
    @intrinsic
    def load(typing: Any, array: Any, row: Any) -> Any:
        vector = Vector(array.dtype.bitwidth, lanes)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.load(_address(context, builder, array, *values, vector), align=vector.bits // 8)

        return vector(array, types.int64), generate

    return load


# From row ``row`` on of a C-ordered integer array [rows, LANES], or from there on in a flat one; unchecked.
load, load_wide = _loading(LANES), _loading(WIDE)


@intrinsic
def store(typing: Any, array: Any, row: Any, vector: Any) -> Any:
    """Such an array from ``row`` on ← ``vector``; unchecked."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _address(context, builder, array, *values[:2], vector)
        builder.store(values[2], place, align=vector.bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), generate


def _repeating(vector: Vector) -> Any:
    @intrinsic
    def every(typing: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            nothing = ir.Constant(vector.llvm, ir.Undefined)
            first = builder.insert_element(nothing, values[0], ir.Constant(ir.IntType(32), 0))
            choice = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), None)
            return builder.shuffle_vector(first, nothing, choice)

        return vector(types.int32), generate

    return every


every, every_wide = _repeating(INTS), _repeating(WIDE_INTS)  # a vector of one number


def _widening(bits: int, instruction: str) -> Any:
    @intrinsic
    def widen(typing: Any, x: Any) -> Any:
        vector = x.with_bits(bits)
        return vector(x), lambda context, builder, signature, values: getattr(builder, instruction)(
            values[0], vector.llvm
        )

    return widen


shorts = _widening(16, "sext")  # bytes, with their sign, in 16 bits
ints = _widening(32, "sext")  # shorts, with their sign, in 32 bits
flags = _widening(8, "zext")  # a mask as bytes of 0 or 1


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
        return (x.with_bits(1) if answers_mask else x)(
            x, x
        ), lambda context, builder, signature, values: build(builder, *values)

    @overload(symbol)
    def operate(x, y):  # numba compares these names with the lambdas'
        if isinstance(x, Vector) and isinstance(y, Vector):
            return lambda x, y: instruction(x, y)
        if x == INTS and isinstance(y, types.Integer):
            return lambda x, y: instruction(x, every(y))
        if x == WIDE_INTS and isinstance(y, types.Integer):
            return lambda x, y: instruction(x, every_wide(y))
        return None


for _symbol, _name in {
    operator.add: "add",
    operator.sub: "sub",
    operator.mul: "mul",
    operator.floordiv: "sdiv",
    operator.and_: "and_",
    operator.or_: "or_",
    operator.xor: "xor",
    operator.lshift: "shl",
    operator.rshift: "ashr",
}.items():
    _define(_symbol, getattr(ir.IRBuilder, _name))
_define(operator.gt, lambda builder, x, y: builder.icmp_signed(">", x, y), answers_mask=True)
_define(operator.ne, lambda builder, x, y: builder.icmp_signed("!=", x, y), answers_mask=True)
