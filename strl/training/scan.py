"""Networks of chip layers run over many ticks at once, layer by layer, with their gradient.

Where nothing flows back within a network, a layer needs nothing of the ones after it. So linear layers take
all ticks of a window in one product, and only the neurons go through them one by one, in compiled loops: the
numbers are those of tick by tick, an order of magnitude sooner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strl.policies.attention import OverTicks
from strl.policies.chip_layers import ChipLeaky

Array = NDArray[Any]


@contextmanager
def over_ticks(module: nn.Module, starts: Tensor, *, ticks: int, rest: int) -> Iterator[None]:
    """Inside, ``module`` takes [decisions · ticks, lanes, inputs] at once and gives as many outputs.

    Neurons go on from their ``mem`` [lanes, neurons], or from zero, and leave it without its gradient. Silent
    ones give their potential.

    Args:
        module: of chip layers; without recurrence, which this cannot see.
        starts: bool [decisions, lanes], where everything before is forgotten.
        ticks, rest: driven and quiet ticks of a decision.
    """
    layers = [part for part in module.modules() if isinstance(part, ChipLeaky | OverTicks)]
    for layer in layers:
        layer.__dict__["forward"] = _shadow(layer, starts, ticks, rest)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _shadow(layer: ChipLeaky | OverTicks, starts: Tensor, ticks: int, rest: int) -> Any:
    if isinstance(layer, OverTicks):
        return partial(layer.over, starts=starts, ticks=ticks, rest=rest)
    return _leaky(layer, starts, ticks, rest)


def _leaky(layer: ChipLeaky, starts: Tensor, ticks: int, rest: int) -> Any:
    def forward(x: Tensor) -> Tensor:
        before = layer.mem.detach()
        if before.shape != x.shape[1:]:
            before = torch.zeros_like(x[0])
        retention = layer.retention.expand(x.shape[2])
        out, layer.mem = _Scan.apply(  # type: ignore[no-untyped-call]
            x,
            retention,
            before,
            starts,
            layer.threshold.detach().expand(x.shape[2]),
            layer.grain,
            layer.floor,
            layer.silent,
            layer.resets,
            ticks,
            rest,
        )
        found: Tensor = out
        return found

    return forward


def _compiled(function: Callable[..., None]) -> Any:
    """Kept beside this file, where that can be written."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba: "no locator available"
        return numba.njit(nogil=True)(function)


class _Scan(torch.autograd.Function):
    """Input currents [K, lanes, neurons] → spikes, or potentials of silent neurons, and the last state."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        retention: Tensor,
        before: Tensor,
        starts: Tensor,
        threshold: Tensor,
        grain: float,
        floor: float,
        silent: bool,
        resets: bool,
        ticks: int,
        rest: int,
    ) -> tuple[Tensor, Tensor]:
        currents = x.contiguous()
        kept, full, out = (torch.empty_like(currents) for _ in range(3))
        last = before.clone()
        rested = retention.detach() ** rest
        _forward(
            currents.numpy(),
            retention.detach().contiguous().numpy(),
            rested.contiguous().numpy(),
            starts.numpy(),
            threshold.contiguous().numpy(),
            np.float32(grain),
            np.float32(floor),
            silent,
            resets,
            ticks,
            last.numpy(),
            kept.numpy(),
            full.numpy(),
            out.numpy(),
        )
        ctx.save_for_backward(kept, full, retention.detach(), rested, starts, threshold)
        ctx.rest = (floor, silent, resets, ticks, rest)
        ctx.mark_non_differentiable(last)
        return out, last

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> Any:
        kept, full, retention, rested, starts, threshold = ctx.saved_tensors
        floor, silent, resets, ticks, rest = ctx.rest
        into = torch.empty_like(full)
        of_retention = torch.zeros_like(retention)
        # Of the quiet ticks together: d(r^n v)/dr = n r^(n−1) v.
        slope = rest * retention ** (rest - 1) if rest else torch.zeros_like(retention)
        _backward(
            grad.contiguous().numpy(),
            kept.numpy(),
            full.numpy(),
            retention.contiguous().numpy(),
            rested.contiguous().numpy(),
            slope.contiguous().numpy(),
            starts.numpy(),
            threshold.contiguous().numpy(),
            np.float32(floor),
            silent,
            resets,
            ticks,
            into.numpy(),
            of_retention.numpy(),
        )
        return into, of_retention, *(None,) * 9


@_compiled
def _forward(
    x: Array,
    retention: Array,
    rested: Array,
    starts: Array,
    threshold: Array,
    grain: Any,
    floor: Any,
    silent: bool,
    resets: bool,
    ticks: int,
    v: Array,
    kept: Array,
    full: Array,
    out: Array,
) -> None:
    """``v`` is the state before the first tick, and afterwards the one after the last rest.

    ``full`` is what potentials would be without the floor, so that the way back knows who is below.
    """
    one, zero = np.float32(1), np.float32(0)
    for k in range(x.shape[0]):
        first, final = k % ticks == 0, k % ticks == ticks - 1
        for lane in range(x.shape[1]):
            forget = first and starts[k // ticks, lane]
            for n in range(x.shape[2]):
                previous = zero if forget else v[lane, n]
                kept[k, lane, n] = previous
                free = np.trunc(retention[n] * previous / grain) * grain + x[k, lane, n]
                full[k, lane, n] = free
                potential = floor if free < floor else free
                spike = one if potential - threshold[n] > zero and not silent else zero
                after = potential * (one - spike) if resets else potential
                out[k, lane, n] = potential if silent else spike
                v[lane, n] = np.trunc(after * rested[n] / grain) * grain if final else after


@_compiled
def _backward(
    grad: Array,
    kept: Array,
    full: Array,
    retention: Array,
    rested: Array,
    slope: Array,
    starts: Array,
    threshold: Array,
    floor: Any,
    silent: bool,
    resets: bool,
    ticks: int,
    into: Array,
    of_retention: Array,
) -> None:
    """The surrogate of a spike is snnTorch's arctan, of its reset too; below the floor there is none."""
    one, zero, pi = np.float32(1), np.float32(0), np.float32(np.pi)
    lanes, size = grad.shape[1], grad.shape[2]
    ahead = np.zeros((lanes, size), np.float32)  # of the state after tick k
    for k in range(grad.shape[0] - 1, -1, -1):
        first, final = k % ticks == 0, k % ticks == ticks - 1
        for lane in range(lanes):
            forget = zero if first and starts[k // ticks, lane] else one
            for n in range(size):
                free, later = full[k, lane, n], ahead[lane, n]
                potential = floor if free < floor else free
                off = potential - threshold[n]
                spike = one if off > zero and not silent else zero
                if final:
                    after = potential * (one - spike) if resets else potential
                    of_retention[n] += later * slope[n] * after
                    later *= rested[n]
                if silent:
                    current = grad[k, lane, n] + later
                else:
                    surrogate = one / (one + (pi * off) ** 2)
                    kept_on = one - spike - potential * surrogate if resets else one
                    current = grad[k, lane, n] * surrogate + later * kept_on
                if free < floor:
                    current = zero
                into[k, lane, n] = current
                of_retention[n] += current * kept[k, lane, n]
                ahead[lane, n] = current * retention[n] * forget
