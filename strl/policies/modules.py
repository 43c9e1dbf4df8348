"""Torch modules for what a forward pass does between its layers, so that an export can see it.

``a + b`` in a forward pass is plain Python, and the front end refuses it; ``self.sum(a, b)`` with a ``Sum``
of one's own is a layer like any other. They are plain torch, and train as it does.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class Sum(nn.Module):
    """The sum of its inputs, all of one shape: a residual connection, or paths that meet."""

    def forward(self, *parts: Tensor) -> Tensor:
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


class Product(nn.Module):
    """The product of its inputs, all of one shape. Only one of spikes, an AND, can be exported."""

    def forward(self, *parts: Tensor) -> Tensor:
        total = parts[0]
        for part in parts[1:]:
            total = total * part
        return total


class Scale(nn.Module):
    """y = scale · x + bias, element by element.

    Args:
        scale, bias: broadcast to the input's shape without batch; learned where ``learn``.
    """

    scale: Tensor
    bias: Tensor | None

    def __init__(self, scale: Any, bias: Any = None, *, learn: bool = False) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("bias", bias)):
            tensor = None if value is None else torch.as_tensor(value, dtype=_precision(value))
            if learn and tensor is not None:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor)

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.scale
        return y if self.bias is None else y + self.bias


def _precision(value: Any) -> torch.dtype:
    """A tensor's own, where it is one of real numbers."""
    real = isinstance(value, Tensor) and value.is_floating_point()
    return value.dtype if real else torch.get_default_dtype()


class SumPool(nn.Module):
    """Sums over windows of one or two axes behind the channels, as ``nn.AvgPool`` means.

    Args:
        window, stride, padding: one integer an axis; ``stride`` is the window by default.
    """

    def __init__(
        self, window: tuple[int, ...], stride: tuple[int, ...] = (), padding: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.window = window
        self.stride = stride or window
        self.padding = padding or (0,) * len(window)

    def forward(self, x: Tensor) -> Tensor:
        pool = nn.functional.avg_pool1d if len(self.window) == 1 else nn.functional.avg_pool2d
        mean: Tensor = pool(x, self.window, self.stride, self.padding)
        return mean * math.prod(self.window)


class Delay(nn.Module):
    """What it was given ``ticks`` ticks ago, zeros before; ``reset_mem`` clears it, as snnTorch's neurons.

    For a recurrence over several layers, ask ``due(x)`` first and give it its input at the end of the tick::

        back = self.delay.due(x)
        spikes = self.lif(self.sum(self.fc(x), self.recurrent(back)))
        self.delay(spikes)

    Args:
        ticks: at least 1.
        shape: of its input without batch; needed only for ``due`` in the first tick.
    """

    def __init__(self, ticks: int = 1, shape: tuple[int, ...] = ()) -> None:
        super().__init__()
        if ticks < 1:
            raise ValueError(f"ticks = {ticks}, must be at least 1")
        self.ticks = ticks
        self.shape = tuple(shape)
        self.line: list[Tensor] = []

    def reset_mem(self) -> None:
        """Forget what is on its way."""
        self.line = []

    def due(self, x: Tensor) -> Tensor:
        """What the coming call will return; ``x`` is any tensor of the batch."""
        if not self.line or self.line[0].shape[0] != x.shape[0]:
            if not self.shape:
                raise ValueError("a Delay that is asked before it is fed needs the shape of its input")
            self.line = [x.new_zeros(x.shape[0], *self.shape) for _ in range(self.ticks)]
        return self.line[0]

    def forward(self, x: Tensor) -> Tensor:
        if not self.line or self.line[0].shape != x.shape:
            self.line = [torch.zeros_like(x) for _ in range(self.ticks)]
        oldest = self.line[0]
        self.line = [*self.line[1:], x]
        return oldest
