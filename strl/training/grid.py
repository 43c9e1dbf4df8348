"""Training on a chip's grid: the forward pass sees what the chip will, the optimiser moves real numbers.

The gradient goes straight through the rounding (Bengio et al. 2013, arXiv 1308.3432). A layer's largest
weight becomes 127 steps of a power of two and its neurons' threshold a multiple of the step too. The
spikes are those of a threshold of 1 (scaling weights, biases and threshold alike changes none), and the
chip's own scaling finds the very same integers: nothing is left to round.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 127
"""Of a signed 8-bit weight on one side of zero (Loihi 1: −254..254 in steps of 2)."""

_THRESHOLD = 256
"""A threshold between 1 and 2 is a multiple of 1/256, which the least scale in use still resolves."""


def project(module: nn.Sequential) -> None:
    """Put every linear layer and the neurons behind it on the grid, in place."""
    with torch.no_grad():
        for layer, neurons in pairwise(module):
            if isinstance(layer, nn.Linear):
                _project(layer, neurons)


@contextmanager
def on_grid(module: nn.Sequential) -> Iterator[None]:
    """Inside, the module is on the grid; afterwards it is what it was, gradients kept."""
    held = [*module.parameters(), *(part.threshold for part in _spiking(module))]
    kept = [tensor.detach().clone() for tensor in held]
    project(module)
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(held, kept, strict=True):
                tensor.copy_(value)


def _project(layer: nn.Linear, neurons: Any) -> None:
    step = max(float(layer.weight.detach().abs().max()), 1e-12) / STEPS
    grid = 2.0 ** math.ceil(math.log2(step) - 1e-9)
    scale = grid / step * float(neurons.threshold)  # of weights on the grid to weights for a threshold of 1
    weight = torch.clamp(torch.round(layer.weight / step), -STEPS, STEPS)
    bias = _bias(layer.bias / step)
    neurons.threshold.fill_(round(scale * _THRESHOLD) / _THRESHOLD)
    layer.weight.copy_(weight * grid)
    layer.bias.copy_(bias * grid)


def _bias(bias: Tensor) -> Tensor:
    """Biases in steps, or in halves or quarters where they fit; finer ones would fall off the chip's sums."""
    largest = min(float(bias.abs().max()), STEPS)
    finer = min(math.floor(math.log2(STEPS / largest)), 2) if largest > 0 else 0
    return torch.clamp(torch.round(bias * 2.0**finer), -STEPS, STEPS) * 2.0**-finer


def _spiking(module: nn.Sequential) -> list[Any]:
    return [part for part in module if hasattr(part, "threshold")]
