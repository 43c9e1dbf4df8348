"""A chain of maps as one: a matrix, or the shared weights of one convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from strl.errors import ModelError
from strl.ir.maps import Conv, Linear, Map, Pool, Reshape, Scale, Windowed
from strl.ir.nodes import Float, Shape

CELLS_MAX = 1 << 25
"""Weights of a matrix at most; no chip of ours has the memory for as many."""
BLOCK = 1 << 22
"""Values that are carried through the maps at once."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """Weights of a two-dimensional cross-correlation; one axis is an image of height 1.

    Args:
        weight: [out, in / groups, height, width].
        image: (channels, height, width) of what is received, flattened in C order.
        places: (height, width) of what comes out.
        stride, padding, dilation: (vertical, horizontal).
        groups: as torch's.
    """

    weight: Float
    image: tuple[int, int, int]
    places: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


def chain(maps: Sequence[Map], shape: Shape) -> Float | Shared:
    """The weights of maps one after the other, without their biases.

    Args:
        maps: first to last; none is the identity.
        shape: of what enters the first.

    Raises:
        ModelError: a matrix of more than ``CELLS_MAX`` weights.
    """
    shared = _shared(maps, shape)
    return shared if shared is not None else _matrix(maps, shape)


def pushed(maps: Sequence[Map], values: Float) -> Float:
    """What becomes of ``values`` [batch, *shape] in the maps, without their biases."""
    for node in maps:
        values = values @ node.weight.T if isinstance(node, Linear) else node.apply(values)
    return values


def _matrix(maps: Sequence[Map], shape: Shape) -> Float:
    """[out, in], both flattened in C order."""
    after, widest, rows = shape, math.prod(shape), math.prod(shape)
    for node in maps:
        after = node.output_shape(after)
        widest = max(widest, math.prod(after))
    if rows * math.prod(after) > CELLS_MAX:
        raise ModelError(
            f"takes a matrix of {math.prod(after)} × {rows} weights, at most {CELLS_MAX} are held",
            hint="put a convolution alone between two populations: its weights are shared",
        )
    if maps and isinstance(maps[0], Linear):
        return np.ascontiguousarray(pushed(maps[1:], maps[0].weight.T).reshape(rows, -1).T)
    found = np.empty((math.prod(after), rows))
    step = max(BLOCK // widest, 1)
    for first in range(0, rows, step):  # unit vectors, some at a time
        some = np.eye(min(step, rows - first), rows, first)
        found[:, first : first + step] = pushed(maps, some.reshape(-1, *shape)).reshape(len(some), -1).T
    return found


def _shared(maps: Sequence[Map], shape: Shape) -> Shared | None:
    """One convolution or pooling among scales and reshapes, which each scale a channel as a whole."""
    windows = [k for k, node in enumerate(maps) if isinstance(node, Windowed)]
    if len(windows) != 1:
        return None
    window = maps[windows[0]]
    assert isinstance(window, Conv | Pool)
    before = _gains(maps[: windows[0]], shape)
    for node in maps[: windows[0]]:
        shape = node.output_shape(shape)
    out = window.output_shape(shape)
    after = _gains(maps[windows[0] + 1 :], out)
    into, from_ = (None if g is None else _channels(g, s[0]) for g, s in ((before, shape), (after, out)))
    if into is None or from_ is None:
        return None
    made = _convolution(window, shape, out)
    grouped = made.weight.reshape(made.groups, -1, *made.weight.shape[1:])
    weight = grouped * into.reshape(made.groups, 1, -1, 1, 1) * from_.reshape(made.groups, -1, 1, 1, 1)
    return replace(made, weight=weight.reshape(made.weight.shape))


def _convolution(window: Conv | Pool, shape: Shape, out: Shape) -> Shared:
    axes = len(shape) - 1
    if isinstance(window, Conv):
        weight, dilation, groups = window.weight, window.dilation, window.groups
    else:
        share = math.prod(window.window) if window.mode == "mean" else 1
        weight = np.full((shape[0], 1, *window.window), 1.0 / share)
        dilation, groups = (1,) * axes, shape[0]

    def pair(values: tuple[int, ...], first: int) -> tuple[int, int]:
        return (first, values[0]) if axes == 1 else (values[0], values[1])

    return Shared(
        weight=weight.reshape(*weight.shape[:2], *pair(weight.shape[2:], 1)),
        image=(shape[0], *pair(shape[1:], 1)),
        places=pair(out[1:], 1),
        stride=pair(window.stride, 1),
        padding=pair(window.padding, 0),
        dilation=pair(dilation, 1),
        groups=groups,
    )


def _gains(maps: Sequence[Map], shape: Shape) -> Float | None:
    """What each value is multiplied with [size], ``None`` where maps do more than that."""
    gains = np.ones(shape)
    for node in maps:
        if not isinstance(node, Scale | Reshape) or (isinstance(node, Reshape) and node.axes is not None):
            return None
        gains = node.apply(gains[None])[0]
    return gains.ravel()


def _channels(gains: Float, channels: int) -> Float | None:
    """One gain a channel, ``None`` where they differ within one."""
    places = gains.reshape(channels, -1)
    return places[:, 0] if (places == places[:, :1]).all() else None
