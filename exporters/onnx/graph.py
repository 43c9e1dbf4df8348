"""ONNX, written plainly: a body of operators, functions and models made of bodies, always the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

OPSET = 20
IR_VERSION = 10
"""The first with which opset 20 and functions are written; onnxruntime 1.31 reads up to 13."""

DOMAIN = "strl"
BATCH = "batch"

Dimensions = Sequence[int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of a graph: a tensor of that type, whose dimensions may have names."""

    name: str
    dtype: Any
    shape: tuple[int | str, ...]

    @property
    def info(self) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(self.name, number(self.dtype), list(self.shape))

    def to_dict(self) -> dict[str, Any]:
        """For the metadata."""
        return {"name": self.name, "dtype": np.dtype(self.dtype).name, "shape": list(self.shape)}


class Body:
    """Operators in the order in which they were asked for; each call gives the names of what it computes.

    Attributes:
        nodes: what was asked for.
        weights: named arrays that a model keeps as initializers.
    """

    def __init__(self, prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self._prefix = prefix
        self._count = 0
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """One operator with one output, named ``out`` if that is given."""
        return self.ops(kind, inputs, (out or self.fresh(),), **attributes)[0]

    def ops(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[str], *, domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """One operator, or call of a function, with these outputs."""
        self.nodes.append(helper.make_node(kind, list(inputs), list(outputs), domain=domain, **attributes))
        return tuple(outputs)

    def constant(self, value: ArrayLike, dtype: Any) -> str:
        """A small array that stands in the body itself; once, however often it is asked for."""
        array = np.asarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            tensor = numpy_helper.from_array(array)
            self._constants[key] = self.op("Constant", value=tensor)
        return self._constants[key]

    def weight(self, name: str, value: ArrayLike, dtype: Any) -> str:
        """An array that a model keeps, by name."""
        self.weights[name] = np.ascontiguousarray(value, dtype=dtype)
        return name

    def cast(self, x: str, dtype: Any) -> str:
        return self.op("Cast", x, to=number(dtype))

    def sum(self, names: Sequence[str]) -> str:
        """The sum, from left to right."""
        total = names[0]
        for name in names[1:]:
            total = self.op("Add", total, name)
        return total

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """As another shape; 0 keeps a dimension, −1 is what is left."""
        return self.op("Reshape", x, self.constant(list(shape), np.int64))

    def slice(self, x: str, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int]) -> str:
        """x[start:end] along the axes."""
        return self.op("Slice", x, *(self.constant(list(n), np.int64) for n in (starts, ends, axes)))

    def stack(self, names: Sequence[str], axis: int) -> str:
        """The tensors side by side along a new axis."""
        at = self.constant([axis], np.int64)
        parts = [self.op("Unsqueeze", name, at) for name in names]
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=axis)

    def row(self, x: str, index: int, axis: int) -> str:
        """x at one place of an axis, which goes."""
        return self.op("Gather", x, self.constant(index, np.int64), axis=axis)

    def fresh(self) -> str:
        """A name that nothing has."""
        self._count += 1
        return f"{self._prefix}#{self._count}"


def function(name: str, inputs: Sequence[str], outputs: Sequence[str], body: Body) -> onnx.FunctionProto:
    """A model-local function ``strl::name``."""
    return helper.make_function(DOMAIN, name, list(inputs), list(outputs), body.nodes, _opsets())


def subgraph(name: str, inputs: Sequence[Port], outputs: Sequence[Port], body: Body) -> onnx.GraphProto:
    """The body of a loop."""
    return helper.make_graph(body.nodes, name, [p.info for p in inputs], [p.info for p in outputs])


def model(
    name: str,
    body: Body,
    *,
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    functions: Iterable[onnx.FunctionProto],
    metadata: Mapping[str, Any],
) -> bytes:
    """The bytes of a checked model; the metadata's values are written as JSON."""
    kept = [numpy_helper.from_array(array, weight) for weight, array in body.weights.items()]
    graph = helper.make_graph(body.nodes, name, [p.info for p in inputs], [p.info for p in outputs], kept)
    made = helper.make_model(
        graph, functions=list(functions), opset_imports=_opsets(), ir_version=IR_VERSION, producer_name="strl"
    )
    for key in sorted(metadata):
        entry = made.metadata_props.add()
        entry.key = key
        entry.value = json.dumps(metadata[key], sort_keys=True, allow_nan=False, ensure_ascii=False)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString(deterministic=True))


def _opsets() -> list[onnx.OperatorSetIdProto]:
    return [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]


def number(dtype: Any) -> int:
    """ONNX's number of a type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
