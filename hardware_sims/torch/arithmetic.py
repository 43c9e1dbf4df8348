"""Integers in floating point, exact by construction.

Torch multiplies no integer matrices on a GPU, so every integer here is held in a float that has it exactly:
float32 holds all of magnitude up to 2²⁴, float64 all up to 2⁵³. A matrix product is exact, in whatever order
and with whatever fused operations it is summed, where the sum of the magnitudes of its terms stays within
that: each partial sum is an integer below it. What makes it so:

- the bound is static: Σ|w| of a neuron times the greatest message of the sender (``sums``);
- products are those of GEMM; a convolution is unfolded into one, since cuDNN may choose Winograd or FFT,
  which round;
- reduced precision (TF32, bfloat16, autocast) is off while a session runs (``exact``);
- u and v are float64 integers below 2³², their decay u · (f / 4096) has at most 44 significant bits, and
  shifts to the right are a multiplication by a power of two, then floor.

So results depend neither on the device nor on its library, and are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

SINGLE = 2**24
"""Float32 holds every integer of at most this magnitude."""
DOUBLE = 2**52
"""Float64 does, and twice this, which leaves room to wrap."""


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Full precision in matrix products and no autocast, whatever the caller has chosen; restored after."""
    settings = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [s.fp32_precision for s in settings]
    for setting in settings:
        setting.fp32_precision = "ieee"
    try:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


def wrap_(x: Tensor, bits: int) -> Tensor:
    """The value that a signed register of so many bits keeps of x, float64 with |x| ≤ 2⁵²; in place."""
    turns = x.mul(2.0**-bits).add_(0.5).floor_()
    return x.sub_(turns, alpha=2**bits)


def once_(u: Tensor, *, wide: bool) -> Tensor:
    """Add or take off 2²⁴ where u is not in −2²³ < u ≤ 2²³: once, as Lava does; float64, in place.

    Args:
        wide: |u| may exceed 3 · 2²³, so that once does not bring it back.
    """
    turns = u.mul(2.0**-24).sub_(0.5).ceil_()
    return u.sub_(turns.clamp_(-1, 1) if wide else turns, alpha=2**24)
