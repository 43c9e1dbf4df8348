"""Convolutions, pooling, flattening and plain weights of a file → maps of a Network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from exporters.nir.graph import Found
from exporters.nir.maps import axis_sizes
from exporters.nir.reading import Reading
from strl.errors import ModelError
from strl.ir.maps import Conv, Linear, Map, Pool, Reshape, Scale
from strl.ir.nodes import Shape

Float = NDArray[np.float64]

CELLS_MAX = 1 << 24
"""Weights that a node becomes."""

Chain = list[Map]
"""Maps one behind the other."""


def maps_of(found: Found, shape: Shape, reading: Reading) -> Chain:
    """What a node without state computes of an input of ``shape``."""
    return _MAPS[found.kind](found, shape, reading)


def _linear(found: Found, shape: Shape, reading: Reading) -> Chain:
    weight, bias = found["weight"], found.values.get("bias")
    if weight.ndim == 2:
        return [Linear(weight=weight, bias=bias)]
    # NIR's Affine of more axes is a matrix for each place of the first ones.
    if shape != (*weight.shape[:-2], weight.shape[-1]):
        raise ModelError(f"input has shape {shape}, must be {(*weight.shape[:-2], weight.shape[-1])}")
    places, (out, into) = math.prod(weight.shape[:-2]), weight.shape[-2:]
    if (places * out) * (places * into) > CELLS_MAX:
        raise ModelError(f"weight has shape {weight.shape}, as one matrix more than {CELLS_MAX} weights")
    blocks = np.zeros((places, out, places, into))
    blocks[np.arange(places), :, np.arange(places)] = weight.reshape(places, out, into)
    flat = Linear(
        weight=blocks.reshape(places * out, places * into), bias=None if bias is None else bias.ravel()
    )
    return [Reshape(shape=(places * into,)), flat, Reshape(shape=weight.shape[:-1])]


def _scale(found: Found, shape: Shape, reading: Reading) -> Chain:
    return [Scale(scale=found["scale"])]


def _conv(found: Found, shape: Shape, reading: Reading) -> Chain:
    weight = np.asarray(found["weight"], dtype=np.float64)
    axes = weight.ndim - 2
    if len(shape) != axes + 1:
        raise ModelError(f"input has shape {shape}, must be channels and {axes} axes")
    _declared(found, shape[1:])
    stride, dilation = (axis_sizes(found[what], axes, what) for what in ("stride", "dilation"))
    groups = int(np.ravel(found["groups"])[0])
    padding = found["padding"]
    if isinstance(padding, str) and padding == "same":
        sides = [
            _same(*values, reading)
            for values in zip(shape[1:], weight.shape[2:], stride, dilation, strict=True)
        ]
        weight, dilation, pads = _symmetric(weight, dilation, sides)
    else:
        pads = (0,) * axes if isinstance(padding, str) else axis_sizes(padding, axes, "padding")
    bias = None if not np.any(found["bias"]) else found["bias"]
    return [Conv(weight=weight, bias=bias, stride=stride, padding=pads, dilation=dilation, groups=groups)]


def _declared(found: Found, places: Shape) -> None:
    """``input_shape``, where the file has one, is what really comes in."""
    said = tuple(int(n) for n in np.ravel(found.values.get("input_shape", ())))
    if said and said != places:
        raise ModelError(f"input_shape = {said}, and {places} comes in")


def _same(size: int, window: int, stride: int, dilation: int, reading: Reading) -> tuple[int, int]:
    """Zeros before and behind an axis under padding "same", as torch (stride 1) and XLA (any) have it."""
    if stride != 1 and reading.flatten != "last":
        raise ModelError(
            f"padding 'same' with stride {stride} has no meaning that is agreed on",
            hint="give the padding in numbers",
        )
    reach = dilation * (window - 1) + 1
    total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _symmetric(
    weight: Float, dilation: tuple[int, ...], sides: list[tuple[int, int]]
) -> tuple[Float, tuple[int, ...], tuple[int, ...]]:
    """The same convolution with as many zeros on both sides, by a window that is wider by taps of zero."""
    dilations = list(dilation)
    for axis, (before, behind) in enumerate(sides):
        if before == behind:
            continue
        at, most = axis + 2, max(before, behind)
        taps = weight.shape[at]
        reach = dilation[axis] * (taps - 1) + 1
        if weight.size // taps * (reach + 2 * most) > CELLS_MAX:
            raise ModelError(f"padding 'same' of a window that reaches over {reach} places, which is too far")
        wide = np.zeros((*weight.shape[:at], reach + 2 * most - before - behind, *weight.shape[at + 1 :]))
        place = [slice(None)] * weight.ndim
        place[at] = slice(most - before, most - before + reach, dilation[axis])
        wide[tuple(place)] = weight
        weight, dilations[axis] = wide, 1
    return weight, tuple(dilations), tuple(max(pair) for pair in sides)


def _pool(found: Found, shape: Shape, reading: Reading) -> Chain:
    window, stride, padding = (
        axis_sizes(found[what], 2, what) for what in ("kernel_size", "stride", "padding")
    )
    mode = "sum" if found.kind == "SumPool2d" else "mean"
    return [Pool(window=window, stride=stride, padding=padding, mode=mode)]  # type: ignore[arg-type]


def _flatten(found: Found, shape: Shape, reading: Reading) -> Chain:
    start, end = (int(np.ravel(found[what])[0]) for what in ("start_dim", "end_dim"))
    said = tuple(int(n) for n in found.values.get("input_type", ()))
    if len(said) == len(shape) + 1:  # the exporter kept the batch axis, and counts from it
        start, end = (n - 1 if n > 0 else n for n in (start, end))
    start, end = (n + len(shape) if n < 0 else n for n in (start, end))
    if not 0 <= start <= end < len(shape):
        raise ModelError(f"axes {start} to {end} are flattened, and the input has shape {shape}")
    flat = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    if reading.flatten == "last" and len(shape) > 1:
        if start:
            raise ModelError("only all axes are flattened where channels come last")
        return [Reshape(shape=flat, axes=(*range(1, len(shape)), 0))]
    return [Reshape(shape=flat)]


_MAPS: Mapping[str, Callable[[Found, Shape, Reading], Chain]] = {
    "Linear": _linear,
    "Affine": _linear,
    "Scale": _scale,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
}
