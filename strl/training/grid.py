"""Training on a chip's grid: the forward pass sees weights of 8 bits, the optimiser moves real ones.

The gradient goes straight through the rounding (Bengio et al. 2013, arXiv 1308.3432). A layer's largest
weight is 127 steps, so the chip's own scaling finds the same integers again and rounds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

STEPS = 127
"""Of a signed 8-bit weight on one side of zero (Loihi 1: −254..254 in steps of 2)."""


def project(module: nn.Module) -> None:
    """Round every linear layer's weights and biases to the grid, in place."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                step = max(float(layer.weight.abs().max()), 1e-12) / STEPS
                layer.weight.copy_(_rounded(layer.weight, step))
                if layer.bias is not None:
                    layer.bias.copy_(_bias(layer.bias, step))


@contextmanager
def on_grid(module: nn.Module) -> Iterator[None]:
    """Inside, the parameters are on the grid; afterwards they are what they were, gradients kept."""
    kept = [parameter.detach().clone() for parameter in module.parameters()]
    project(module)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(module.parameters(), kept, strict=True):
                parameter.copy_(value)


def _rounded(values: Tensor, step: float) -> Tensor:
    return torch.clamp(torch.round(values / step), -STEPS, STEPS) * step


def _bias(bias: Tensor, step: float) -> Tensor:
    """A bias has an exponent of its own: the finest power of two of ``step`` in which it still fits."""
    largest = min(float(bias.abs().max()) / step, STEPS)
    finer = math.floor(math.log2(STEPS / largest)) if largest > 0 else 0
    return _rounded(bias, step * 2.0 ** -min(finer, 8))
