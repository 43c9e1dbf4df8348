"""Maps of a Network as NIR nodes, and back.

What NIR cannot say stands in the manifest: a bias that is none, a bias of a Scale, the shape of a reshape
(NIR's Flatten), a pooling over one axis (written as the Conv1d that it equals).
"""

from __future__ import annotations

import math
from typing import Any

import nir
import numpy as np

from exporters.nir.form import Entries, Form, sizes
from exporters.nir.graph import Found
from strl.errors import ModelError
from strl.ir.maps import Conv, Linear, Pool, Reshape, Scale
from strl.ir.nodes import Shape


def _write_linear(node: Linear, dt: float, shape: Shape) -> Any:
    if node.bias is None:
        return nir.Linear(weight=node.weight)
    return nir.Affine(weight=node.weight, bias=node.bias)


def _read_linear(found: Found, entries: Entries, dt: float) -> Linear:
    return Linear(weight=found["weight"], bias=found.values.get("bias"))


def _write_scale(node: Scale, dt: float, shape: Shape) -> Any:
    return nir.Scale(scale=np.broadcast_to(node.scale, shape).copy())


def _describe_scale(node: Scale, dt: float) -> Entries:
    found: dict[str, Any] = {"shape": list(node.scale.shape)}
    if node.bias is not None:
        found["bias"] = node.bias.tolist()
    return found


def _read_scale(found: Found, entries: Entries, dt: float) -> Scale:
    scale, shape = found["scale"], sizes(entries.get("shape", list(found["scale"].shape)), "shape")
    # The first of each axis that was stretched: a broadcast repeats it.
    inner = scale[(0,) * (scale.ndim - len(shape))] if len(shape) <= scale.ndim else scale
    kept = inner[tuple(slice(0, n) for n in shape)] if inner.ndim == len(shape) else inner
    if kept.shape != shape or not (np.broadcast_to(kept, scale.shape) == scale).all():
        raise ModelError(f"manifest: shape = {list(shape)} is not that of the file's scale")
    try:
        bias = None if "bias" not in entries else np.array(entries["bias"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError("manifest: bias must be numbers") from error
    return Scale(scale=kept, bias=bias)


def _write_reshape(node: Reshape, dt: float, shape: Shape) -> Any:
    return nir.Flatten(input_type={"input": np.array(shape, dtype=np.int64)}, start_dim=0, end_dim=-1)


def _describe_reshape(node: Reshape, dt: float) -> Entries:
    axes = {} if node.axes is None else {"axes": list(node.axes)}
    return {"shape": list(node.shape), **axes}


def _read_reshape(found: Found, entries: Entries, dt: float) -> Reshape:
    axes = sizes(entries["axes"], "axes") if "axes" in entries else None
    return Reshape(shape=sizes(entries.get("shape"), "shape"), axes=axes)


def _write_conv(node: Conv, dt: float, shape: Shape) -> Any:
    bias = np.zeros(node.weight.shape[0]) if node.bias is None else node.bias.ravel()
    window = {"weight": node.weight, "bias": bias, "groups": node.groups}
    if node.weight.ndim == 3:
        one = {what: getattr(node, what)[0] for what in ("stride", "padding", "dilation")}
        return nir.Conv1d(input_shape=shape[1], **window, **one)
    two = {what: np.array(getattr(node, what)) for what in ("stride", "padding", "dilation")}
    return nir.Conv2d(input_shape=np.array(shape[1:]), **window, **two)


def _read_conv(found: Found, entries: Entries, dt: float) -> Conv:
    bias = entries.get("bias", True)
    if not isinstance(bias, bool):
        raise ModelError(f"manifest: bias = {bias!r:.60}, must be true or false")
    axes = found["weight"].ndim - 2
    window = {what: axis_sizes(found[what], axes, what) for what in ("stride", "padding", "dilation")}
    return Conv(
        weight=found["weight"],
        bias=found["bias"] if bias else None,
        groups=int(np.ravel(found["groups"])[0]),
        **window,
    )


def _write_pool(node: Pool, dt: float, shape: Shape) -> Any:
    kernel, stride, padding = (np.array(v) for v in (node.window, node.stride, node.padding))
    if len(node.window) == 2:
        pool = nir.SumPool2d if node.mode == "sum" else nir.AvgPool2d
        return pool(kernel_size=kernel, stride=stride, padding=padding)
    share = 1.0 if node.mode == "sum" else 1 / math.prod(node.window)
    return nir.Conv1d(
        input_shape=shape[1],
        weight=np.full((shape[0], 1, *node.window), share),
        bias=np.zeros(shape[0]),
        stride=node.stride[0],
        padding=node.padding[0],
        dilation=1,
        groups=shape[0],
    )


def _read_pool(found: Found, entries: Entries, dt: float) -> Pool:
    if found.kind == "Conv1d":
        if entries.get("mode") not in ("sum", "mean"):
            raise ModelError(f"manifest: mode = {entries.get('mode')!r}, must be 'sum' or 'mean'")
        window, axes, mode = found["weight"].shape[2:], 1, entries["mode"]
    else:
        window, axes = axis_sizes(found["kernel_size"], 2, "kernel_size"), 2
        mode = "sum" if found.kind == "SumPool2d" else "mean"
    return Pool(
        window=window,
        stride=axis_sizes(found["stride"], axes, "stride"),
        padding=axis_sizes(found["padding"], axes, "padding"),
        mode=mode,
    )


def axis_sizes(value: Any, axes: int, what: str) -> tuple[int, ...]:
    """One integer an axis; a single one stands for all."""
    found = () if isinstance(value, str) else tuple(int(n) for n in np.ravel(value))
    if len(found) not in (1, axes):
        raise ModelError(f"{what} = {found or value!r}, must be {axes} integers")
    return found if len(found) == axes else found * axes


FORMS = {
    Linear: Form(kinds=("Linear", "Affine"), write=_write_linear, read=_read_linear),
    Scale: Form(
        kinds=("Scale",),
        write=_write_scale,
        read=_read_scale,
        describe=_describe_scale,
        entries=frozenset({"shape", "bias"}),
    ),
    Reshape: Form(
        kinds=("Flatten",),
        write=_write_reshape,
        read=_read_reshape,
        describe=_describe_reshape,
        entries=frozenset({"shape", "axes"}),
    ),
    Conv: Form(
        kinds=("Conv1d", "Conv2d"),
        write=_write_conv,
        read=_read_conv,
        describe=lambda node, dt: {"bias": False} if node.bias is None else {},
        entries=frozenset({"bias"}),
    ),
    Pool: Form(
        kinds=("SumPool2d", "AvgPool2d"),
        write=_write_pool,
        read=_read_pool,
        describe=lambda node, dt: {"node": "pool", "mode": node.mode} if len(node.window) == 1 else {},
        entries=frozenset({"mode"}),
    ),
}
