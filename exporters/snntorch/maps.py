"""Layers without state: weights, windows, shapes, normalisation, and those that pass their input on."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from exporters.snntorch.layers import Float, Part, Site, array, layer
from strl.errors import ModelError
from strl.ir.maps import Conv, Linear, Pool, Reshape, Scale
from strl.ir.nodes import Delay
from strl.policies import modules


@layer(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, modules.Sum)
def passes(module: nn.Module, site: Site) -> None:
    """Dropout is the identity in evaluation; several inputs of what comes next are summed there."""


@layer(nn.Flatten, nn.Unflatten)
def reshape(module: nn.Module, site: Site) -> Part | None:
    return None if site.shape == site.gives else Part.of(Reshape(shape=site.gives))


@layer(nn.Linear)
def linear(module: nn.Linear, site: Site) -> Part:
    if len(site.shape) != 1:
        raise ModelError(
            f"a Linear on values of shape {site.shape} acts on the last axis alone",
            hint="put nn.Flatten before it, or nn.Conv1d of kernel size 1 in its place",
        )
    return Part.of(Linear(weight=array(module.weight), bias=_bias(module)))


@layer(nn.Conv1d, nn.Conv2d)
def conv(module: Any, site: Site) -> Part:
    padding = _same(module) if isinstance(module.padding, str) else module.padding
    if module.padding_mode != "zeros" and any(padding):
        raise ModelError(
            f"padding_mode = {module.padding_mode!r}, must be 'zeros'",
            hint="a chip has nothing there to send",
        )
    return Part.of(
        Conv(
            weight=array(module.weight),
            bias=_bias(module),
            stride=module.stride,
            padding=tuple(padding),
            dilation=module.dilation,
            groups=module.groups,
        )
    )


@layer(nn.AvgPool1d, nn.AvgPool2d)
def average(module: Any, site: Site) -> Part:
    window, stride, padding = windows(module, site)
    divisor = getattr(module, "divisor_override", None)
    counted = module.count_include_pad or not any(padding)
    if divisor is None and counted:
        return Part.of(Pool(window=window, stride=stride, padding=padding, mode="mean"))
    total = Pool(window=window, stride=stride, padding=padding, mode="sum")
    # Beside the border a window holds fewer values, and the mean is that of those.
    places = np.array(float(divisor)) if divisor else total.apply(np.ones((1, *site.shape)))[0]
    return Part(nodes={"": total, "mean": Scale(scale=1.0 / places)}, edges=(("", "mean"),), leaves="mean")


@layer(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
def adapted(module: Any, site: Site) -> Part:
    if any(n % out for n, out in zip(site.shape[1:], site.gives[1:], strict=True)):
        raise ModelError(
            f"{site.shape[1:]} places cannot be {site.gives[1:]} windows of one size",
            hint="take nn.AvgPool2d, or an output size that divides the input's",
        )
    window = tuple(n // out for n, out in zip(site.shape[1:], site.gives[1:], strict=True))
    return Part.of(Pool(window=window, stride=window, padding=(0,) * len(window), mode="mean"))


@layer(nn.BatchNorm1d, nn.BatchNorm2d)
def normalise(module: Any, site: Site) -> Part:
    if module.running_mean is None or module.running_var is None:
        raise ModelError(
            "track_running_stats is off: what it computes depends on the batch",
            hint="train with track_running_stats=True",
        )
    scale = 1.0 / np.sqrt(array(module.running_var) + module.eps)
    bias = -array(module.running_mean) * scale
    if module.affine:
        scale, bias = scale * array(module.weight), bias * array(module.weight) + array(module.bias)
    channels = (-1, *(1,) * (len(site.shape) - 1))
    return Part.of(Scale(scale=scale.reshape(channels), bias=bias.reshape(channels)))


@layer(modules.Scale)
def scale(module: modules.Scale, site: Site) -> Part:
    bias = None if module.bias is None else array(module.bias)
    return Part.of(Scale(scale=array(module.scale), bias=bias))


@layer(modules.SumPool)
def total(module: modules.SumPool, site: Site) -> Part:
    return Part.of(Pool(window=module.window, stride=module.stride, padding=module.padding, mode="sum"))


@layer(modules.Delay)
def delay(module: modules.Delay, site: Site) -> Part:
    return Part.of(Delay(ticks=module.ticks, shape=site.shape), spikes=all(site.spikes))


def windows(module: Any, site: Site) -> tuple[tuple[int, ...], ...]:
    """Window, stride and padding of a pooling layer, one integer an axis.

    Raises:
        ModelError: ``ceil_mode`` that adds a window beyond the border.
    """
    axes = len(site.shape) - 1
    given = module.kernel_size, module.stride, module.padding
    window, stride, padding = (tuple(v) if isinstance(v, tuple) else (v,) * axes for v in given)
    last = zip(site.shape[1:], window, stride, padding, strict=True)
    if module.ceil_mode and any((n + 2 * p - w) % s for n, w, s, p in last):
        raise ModelError(
            f"ceil_mode is set and a window reaches beyond an input of shape {site.shape}",
            hint="leave ceil_mode off, or pad so that the windows fit",
        )
    return window, stride, padding


def _bias(module: Any) -> Float | None:
    return None if module.bias is None else array(module.bias)


def _same(module: Any) -> tuple[int, ...]:
    """The padding that 'valid' or 'same' means."""
    reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if module.padding == "valid":
        return (0,) * len(reach)
    if any(r % 2 for r in reach):
        raise ModelError(
            f"padding = 'same' with a window of {tuple(r + 1 for r in reach)} places pads one side more",
            hint="take an odd kernel size",
        )
    return tuple(r // 2 for r in reach)
