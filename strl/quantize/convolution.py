"""Kernel: the weights of a convolution, shared by all places of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strl.content import Content, readonly
from strl.errors import ChipError

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kernel(Content):
    """A two-dimensional cross-correlation (torch's Conv2d), channels first; pooling is one as well.

    Args:
        weight: int16 [out channels, in channels / groups, height, width].
        image: (channels, height, width) of the sending population, flattened in C order.
        stride, padding, dilation: (vertical, horizontal).
        groups: as torch's.
    """

    weight: NDArray[np.int16]
    image: tuple[int, int, int]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        weight = readonly(self.weight, np.int16)
        channels, _, _ = self.image
        if weight.ndim != 4 or not weight.size:
            raise ChipError(f"kernel: weight has shape {weight.shape}, must be [out, in, height, width]")
        if self.groups < 1 or channels != weight.shape[1] * self.groups or weight.shape[0] % self.groups:
            raise ChipError(
                f"kernel: {channels} channels in {self.groups} groups do not fit a weight of {weight.shape}"
            )
        if min(*self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            raise ChipError("kernel: stride and dilation must be at least 1, padding at least 0")
        object.__setattr__(self, "weight", weight)
        if min(self.shape) < 1:
            raise ChipError(f"kernel: nothing is left of an image of {self.image}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the receiving population."""
        spans = [
            (self.image[1 + k] + 2 * self.padding[k] - self.dilation[k] * (self.weight.shape[2 + k] - 1) - 1)
            // self.stride[k]
            + 1
            for k in range(2)
        ]
        return int(self.weight.shape[0]), spans[0], spans[1]

    @property
    def count(self) -> int:
        """Weights that are not 0, once for every pair of neurons that they join."""
        taps = np.count_nonzero(self.weight, axis=(0, 1))
        rows, columns = (
            np.array([len(self._meeting(axis, tap)[0]) for tap in range(count)])
            for axis, count in enumerate(taps.shape)
        )
        return int(rows @ taps @ columns)

    def matrix(self) -> NDArray[np.int16]:
        """The same synapses unrolled: int16 [post, pre]."""
        out, height, width = self.shape
        full = np.zeros((out, height, width, *self.image), np.int16)
        per_in, per_out = self.weight.shape[1], out // self.groups
        for i, j in np.ndindex(*self.weight.shape[2:]):
            (y, row), (x, column) = self._meeting(0, i), self._meeting(1, j)
            for group in range(self.groups):
                o, c = (slice(group * n, (group + 1) * n) for n in (per_out, per_in))
                here = full[o, :, :, c]
                # Indices on both sides of a slice: numpy puts [y, x] first, then [out, in].
                here[:, y[:, None], x, :, row[:, None], column] = self.weight[o, :, i, j]
        return full.reshape(out * height * width, -1)

    def _meeting(self, axis: int, tap: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the tap of the kernel falls inside the image: receiving places, sending places."""
        receiving = np.arange(self.shape[1 + axis])
        sending = receiving * self.stride[axis] - self.padding[axis] + tap * self.dilation[axis]
        inside = (sending >= 0) & (sending < self.image[1 + axis])
        return receiving[inside], sending[inside]
