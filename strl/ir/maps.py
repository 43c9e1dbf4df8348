"""Maps of a Network: nodes without state whose output is linear in their input, but for a bias.

A chain of them is one matrix, which is what becomes of them on a chip (``matrix``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from strl.content import readonly
from strl.errors import ModelError
from strl.ir.nodes import NODES, Float, Node, Shape, State


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Map(Node):
    """Base of all maps. ``bias`` has the shape of the output or broadcasts to it, ``None`` without."""

    bias: Float | None = None

    def apply(self, x: Float) -> Float:
        """[batch, *in] → [batch, *out], without the bias. Rows do not depend on each other's number."""
        return x

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        y = self.apply(x)
        return y + self.bias if self.bias is not None and driven else y

    def matrix(self, shape: Shape) -> Float:
        """The weights of an input of ``shape`` as one matrix [out, in], both flattened in C order."""
        n = math.prod(shape)
        return np.ascontiguousarray(self.apply(np.eye(n).reshape(n, *shape)).reshape(n, -1).T)

    def _keep(self, name: str, value: object, *, allowed: tuple[Shape, ...] | None = None) -> None:
        """Store an array read-only; its shape must be one of ``allowed``."""
        array = readonly(value, np.float64)  # type: ignore[arg-type]
        if not array.size or (allowed is not None and array.shape not in allowed):
            expected = " or ".join(str(shape) for shape in allowed or ())
            raise ModelError(f"{self.kind}: {name} has shape {array.shape}, must be {expected}")
        object.__setattr__(self, name, array)


@NODES.register("linear")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear(Map):
    """y = W x + b. ``weight`` [out, in]; ``bias`` [out], or ``None``."""

    kind: ClassVar[str] = "linear"
    weight: Float

    def __post_init__(self) -> None:
        weight = readonly(self.weight, np.float64)
        if weight.ndim != 2 or not weight.size:
            raise ModelError(f"linear: weight has shape {weight.shape}, must be [out, in]")
        object.__setattr__(self, "weight", weight)
        if self.bias is not None:
            self._keep("bias", self.bias, allowed=(weight.shape[:1],))

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.weight.shape[1:]:
            raise ModelError(f"linear: input has shape {shape}, must be {self.weight.shape[1:]}")
        return self.weight.shape[:1]

    def apply(self, x: Float) -> Float:
        # Row by row: a product of whole matrices rounds differently for another batch.
        y: Float = (x[:, None, :] @ self.weight.T)[:, 0]
        return y

    def matrix(self, shape: Shape) -> Float:
        self.output_shape(shape)
        return self.weight


@NODES.register("scale")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale(Map):
    """y = scale · x + b, element by element; ``scale`` broadcasts to the input's shape (also one number)."""

    kind: ClassVar[str] = "scale"
    scale: Float

    def __post_init__(self) -> None:
        self._keep("scale", self.scale)
        if self.bias is not None:
            self._keep("bias", self.bias)

    def output_shape(self, shape: Shape) -> Shape:
        for what, value in (("scale", self.scale), ("bias", self.bias)):
            try:
                fits = value is None or np.broadcast_shapes(value.shape, shape) == shape
            except ValueError:
                fits = False
            if value is not None and not fits:
                raise ModelError(f"scale: {what} of shape {value.shape} does not fit an input of {shape}")
        return shape

    def apply(self, x: Float) -> Float:
        return x * self.scale


@NODES.register("reshape")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reshape(Map):
    """The same values as another ``shape``, read in C order of the input's ``axes``; ``flatten`` is one.

    Args:
        shape: of the output.
        axes: order in which the input's axes are read, ``None`` for their own: (1, 2, 0) reads channels last.
    """

    kind: ClassVar[str] = "reshape"
    shape: Shape
    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if self.axes is not None:
            object.__setattr__(self, "axes", tuple(int(n) for n in self.axes))
            if sorted(self.axes) != list(range(len(self.axes))):
                raise ModelError(f"reshape: axes = {self.axes}, must be each axis once")
        if self.bias is not None:
            raise ModelError("reshape: has no bias")

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != math.prod(self.shape) or len(self.axes or shape) != len(shape):
            raise ModelError(f"reshape: input has shape {shape}, which does not fit {self.shape}")
        return self.shape

    def apply(self, x: Float) -> Float:
        if self.axes is not None:
            x = x.transpose(0, *(axis + 1 for axis in self.axes))
        return x.reshape(x.shape[0], *self.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windowed(Map):
    """Base of maps that slide a window over one or two spatial axes behind the channels."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]

    def _check_window(self, axes: int) -> None:
        for name in ("stride", "padding"):
            value = tuple(int(n) for n in getattr(self, name))
            if len(value) != axes or min(value) < (name == "stride"):
                raise ModelError(f"{self.kind}: {name} = {value}, must be {axes} integers")
            object.__setattr__(self, name, value)

    def _places(self, shape: Shape, reach: tuple[int, ...]) -> Shape:
        """Spatial shape of the output, for windows that reach over so many places a side."""
        spans = zip(shape[1:], self.padding, reach, self.stride, strict=True)
        places = tuple((n + 2 * p - r) // s + 1 for n, p, r, s in spans)
        if min(places) < 1:
            raise ModelError(f"{self.kind}: nothing is left of an input of shape {shape}")
        return places

    def _tap(self, padded: Float, tap: Shape, places: Shape) -> Float:
        """What one place of the window sees as it slides: [batch, channels, *places]."""
        spans = zip(tap, places, self.stride, strict=True)
        index = tuple(slice(t, t + s * (n - 1) + 1, s) for t, n, s in spans)
        return padded[(slice(None), slice(None), *index)]

    def _padded(self, x: Float) -> Float:
        return np.pad(x, ((0, 0), (0, 0), *((p, p) for p in self.padding)))


@NODES.register("conv")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv(Windowed):
    """Cross-correlation over one or two spatial axes, as torch's Conv1d and Conv2d; zeros around.

    Args:
        weight: [out, in / groups, *window]; inputs are [in, *places].
        bias: [out], one a channel (kept as [out, 1, 1], to broadcast), or ``None``.
        stride, padding, dilation: one integer an axis; padding on both sides.
        groups: as torch's.
    """

    kind: ClassVar[str] = "conv"
    weight: Float
    dilation: tuple[int, ...]
    groups: int = 1

    def __post_init__(self) -> None:
        weight = readonly(self.weight, np.float64)
        if weight.ndim not in (3, 4) or not weight.size:
            raise ModelError(
                f"conv: weight has shape {weight.shape}, must be [out, in, *window], 1 or 2 axes"
            )
        if self.groups < 1 or weight.shape[0] % self.groups:
            raise ModelError(f"conv: {weight.shape[0]} channels cannot be {self.groups} groups")
        object.__setattr__(self, "weight", weight)
        self._check_window(weight.ndim - 2)
        dilation = tuple(int(n) for n in self.dilation)
        if len(dilation) != weight.ndim - 2 or min(dilation) < 1:
            raise ModelError(f"conv: dilation = {dilation}, must be {weight.ndim - 2} integers of at least 1")
        object.__setattr__(self, "dilation", dilation)
        if self.bias is not None:
            ones = (1,) * (weight.ndim - 2)
            self._keep("bias", np.reshape(self.bias, (-1, *ones)), allowed=((weight.shape[0], *ones),))

    @property
    def reach(self) -> tuple[int, ...]:
        """Places that a window spans on each axis."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.weight.shape[2:], strict=True))

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != self.weight.ndim - 1 or shape[0] != self.weight.shape[1] * self.groups:
            raise ModelError(
                f"conv: input has shape {shape}, must be {self.weight.shape[1] * self.groups} channels "
                f"of {self.weight.ndim - 2} axes"
            )
        return self.weight.shape[0], *self._places(shape, self.reach)

    def apply(self, x: Float) -> Float:
        out = self.output_shape(x.shape[1:])
        padded = self._padded(x)
        y = np.zeros((x.shape[0], self.groups, out[0] // self.groups, *out[1:]))
        weight = self.weight.reshape(self.groups, -1, *self.weight.shape[1:])
        for tap in np.ndindex(*self.weight.shape[2:]):
            at = tuple(t * d for t, d in zip(tap, self.dilation, strict=True))
            seen = self._tap(padded, at, out[1:])
            grouped = seen.reshape(x.shape[0], self.groups, -1, *out[1:])
            y += np.einsum("bgi...,goi->bgo...", grouped, weight[(..., *tap)])
        return y.reshape(x.shape[0], *out)


@NODES.register("pool")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool(Windowed):
    """Sum or mean over windows, channel by channel, as torch's AvgPool (zeros of the padding count).

    Args:
        window: places of a window on each axis, one or two.
        mode: ``sum`` or ``mean``.
    """

    kind: ClassVar[str] = "pool"
    window: tuple[int, ...]
    mode: Literal["sum", "mean"]

    def __post_init__(self) -> None:
        window = tuple(int(n) for n in self.window)
        if len(window) not in (1, 2) or min(window) < 1:
            raise ModelError(f"pool: window = {window}, must be one or two integers of at least 1")
        object.__setattr__(self, "window", window)
        self._check_window(len(window))
        if self.mode not in ("sum", "mean"):
            raise ModelError(f"pool: mode = {self.mode!r}, must be 'sum' or 'mean'")
        if self.bias is not None:
            raise ModelError("pool: has no bias")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.window) + 1:
            raise ModelError(f"pool: input has shape {shape}, must be channels and {len(self.window)} axes")
        return shape[0], *self._places(shape, self.window)

    def apply(self, x: Float) -> Float:
        out = self.output_shape(x.shape[1:])
        padded, y = self._padded(x), np.zeros((x.shape[0], *out))
        for tap in np.ndindex(*self.window):
            y += self._tap(padded, tap, out[1:])
        return y / math.prod(self.window) if self.mode == "mean" else y
