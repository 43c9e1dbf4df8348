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

    def matrix(self) -> NDArray[np.int16]:
        """The same synapses unrolled: int16 [post, pre]."""
        out, height, width = self.shape
        channels, rows, columns = self.image
        full = np.zeros((out, height, width, channels, rows, columns), np.int16)
        per_group = self.weight.shape[1]
        for o in range(out):
            first = o // (out // self.groups) * per_group
            for (y, x), (i, j) in _places((height, width), self.weight.shape[2:]):
                row = y * self.stride[0] - self.padding[0] + i * self.dilation[0]
                column = x * self.stride[1] - self.padding[1] + j * self.dilation[1]
                if 0 <= row < rows and 0 <= column < columns:
                    full[o, y, x, first : first + per_group, row, column] = self.weight[o, :, i, j]
        return full.reshape(out * height * width, channels * rows * columns)


def _places(image: Pair, kernel: tuple[int, ...]) -> list[tuple[Pair, Pair]]:
    inside = [(int(i), int(j)) for i, j in np.ndindex(*kernel)]
    return [((y, x), at) for y, x in np.ndindex(*image) for at in inside]
