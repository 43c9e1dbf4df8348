"""What each node of a Network is in ONNX, in double precision; a node that is not here is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from exporters.onnx.graph import Body
from strl.errors import ModelError
from strl.ir.maps import Conv, Linear, Map, Pool, Reshape, Scale, Windowed
from strl.ir.nodes import Node, Output, Shape

Emit = Callable[[Body, Node, str, str, Shape], str]
"""(body, node, its name, its input [batch, *in], shape in) → its output [batch, *out], without the bias."""


def emit(b: Body, name: str, node: Node, x: str, shape: Shape, driven: str | None) -> str:
    """The operators of a node without state.

    Args:
        b: where they go.
        name, node: the node.
        x: its input, [batch, *shape].
        shape: of the input.
        driven: 1 in a driven tick, 0 in one of rest, in which biases are silent; ``None`` where none rests.

    Raises:
        ModelError: the node has no form in ONNX.
    """
    found = next((EMIT[kind] for kind in type(node).__mro__ if kind in EMIT), None)
    if found is None:
        raise ModelError(
            f"{name}: a node of kind {node.kind!r} has no form in ONNX",
            hint="one is an entry of exporters/onnx/nodes.py",
        )
    y = found(b, node, name, x, shape)
    bias = node.bias if isinstance(node, Map) else None
    if bias is None:
        return y
    added = b.weight(f"{name}.bias", bias, np.float64)
    return b.op("Add", y, added if driven is None else b.op("Mul", added, driven))


def _linear(b: Body, node: Node, name: str, x: str, shape: Shape) -> str:
    assert isinstance(node, Linear)
    return b.op("MatMul", x, b.weight(f"{name}.weight", node.weight.T, np.float64))


def _scale(b: Body, node: Node, name: str, x: str, shape: Shape) -> str:
    assert isinstance(node, Scale)
    return b.op("Mul", x, b.weight(f"{name}.scale", node.scale, np.float64))


def _reshape(b: Body, node: Node, name: str, x: str, shape: Shape) -> str:
    assert isinstance(node, Reshape)
    if node.axes is not None:
        x = b.op("Transpose", x, perm=[0, *(axis + 1 for axis in node.axes)])
    return b.reshape(x, (0, *node.shape))


def _pool(b: Body, node: Node, name: str, x: str, shape: Shape) -> str:
    assert isinstance(node, Pool)
    places = node.output_shape(shape)[1:]
    padded = _padded(b, node, x)
    total = b.sum([_seen(b, node, padded, tap, places) for tap in np.ndindex(*node.window)])
    if node.mode == "sum":
        return total
    return b.op("Div", total, b.constant(float(math.prod(node.window)), np.float64))


def _conv(b: Body, node: Node, name: str, x: str, shape: Shape) -> str:
    """Place by place of the kernel, since onnxruntime has no convolution in double precision.

    A weight is kept as [places of the kernel, groups, out, in].
    """
    assert isinstance(node, Conv)
    out = node.output_shape(shape)
    window = node.weight.shape[2:]
    weight = node.weight.reshape(node.groups, -1, node.weight.shape[1], math.prod(window))
    kept = b.weight(f"{name}.weight", np.moveaxis(weight, -1, 0), np.float64)
    padded, parts = _padded(b, node, x), []
    for number, tap in enumerate(np.ndindex(*window)):
        at = tuple(t * d for t, d in zip(tap, node.dilation, strict=True))
        seen = _seen(b, node, padded, at, out[1:])
        grouped = b.reshape(seen, (0, node.groups, node.weight.shape[1], math.prod(out[1:])))
        parts.append(b.op("MatMul", b.row(kept, number, 0), grouped))
    return b.reshape(b.sum(parts), (0, *out))


def _padded(b: Body, node: Windowed, x: str) -> str:
    if not any(node.padding):
        return x
    around = [0, 0, *node.padding]
    return b.op("Pad", x, b.constant([*around, *around], np.int64))


def _seen(b: Body, node: Windowed, padded: str, tap: tuple[int, ...], places: Shape) -> str:
    """What one place of the window sees as it slides."""
    ends = [t + s * (n - 1) + 1 for t, n, s in zip(tap, places, node.stride, strict=True)]
    axes = list(range(2, 2 + len(places)))
    indices = (list(tap), ends, axes, list(node.stride))
    return b.op("Slice", padded, *(b.constant(index, np.int64) for index in indices))


def _same(b: Body, node: Node, name: str, x: str, shape: Shape) -> str:
    return x


EMIT: Mapping[type[Node], Emit] = {
    Linear: _linear,
    Scale: _scale,
    Reshape: _reshape,
    Pool: _pool,
    Conv: _conv,
    Output: _same,
}
