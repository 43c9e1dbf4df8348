"""Torch and snnTorch layers whose numbers are the chip's: it equals what they compute in double precision.

Weights are whole multiples of a power of two, retentions of 1/4096, and what decay leaves is cut off towards
zero on the grid of the chip's registers. The gradient goes straight through all of it (Bengio et al. 2013,
arXiv 1308.3432), so that these layers are trained as any others are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from strl.errors import ModelError

SCALE = 2.0**11
"""Chip units of one unit of current, unless a layer says otherwise: a threshold of 1 is this mantissa."""
DECAY = 4096
CURRENT = 2**17
"""What a current can be at most, in chip units: 24 bits, of which 6 stand below one of them."""
ROOM = 0.9
"""Share of ``CURRENT`` that training may fill."""
HEAVIEST = 2**14
"""What a weight can be at most, in chip units, however few its bits: of two, −256 or 128 by 2⁷."""
LEAST = 1 - 2**23
"""Where a potential's register ends, in units of its own; a spike keeps it from the other end."""
MOMENTUM = 0.1
"""Share of the newest batch in a norm's running statistics."""
EPSILON = 1 / 16
"""Added to a norm's variances, in thresholds squared: what hardly ever spikes gets fourfold weights at most,
which still fit the registers of what they lead to."""


class ChipLinear(nn.Linear):
    """``nn.Linear`` with weights of few bits: whole multiples of the least power of two that fits all.

    Args:
        inputs, outputs, bias: as ``nn.Linear``'s.
        weight_bits: 2..8; weights and biases are −m..m steps, m = 2^(weight_bits − 1) − 1.
        unit: what one step of its input is: 1 for spikes, an encoder's ``unit`` for its levels.
        scale: of the neurons that it leads to, see ``ChipLeaky``.
        norm: batch norm (arXiv 1502.03167) of what it gives, whose shift ``bias`` then is. It is folded into
            weights and biases before they are rounded: by the batch's mean and variance in training (as in
            arXiv 1712.05877, section 3.2), else by the running ones. So a chip needs to know nothing of it.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        *,
        weight_bits: int = 8,
        unit: float = 1.0,
        scale: float = SCALE,
        norm: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, bias=bias or norm)
        if unit <= 0 or math.frexp(unit)[0] != 0.5:
            raise ModelError(
                f"ChipLinear: unit = {unit:g}, must be a power of two: other steps are none of the chip's",
                hint="give the direct encoder a gain that is a power of two",
            )
        self.weight_bits = weight_bits
        self.unit = unit
        self.scale = scale
        self.norm = norm
        if norm:
            nn.init.zeros_(self.bias)
            self.gain = nn.Parameter(torch.ones(outputs))
            self.register_buffer("running_mean", torch.zeros(outputs))
            self.register_buffer("running_var", torch.ones(outputs))

    def forward(self, input: Tensor) -> Tensor:
        by_batch = self.norm and self.training
        weight, bias = self._numbers(*(self._seen(input) if by_batch else self._running))
        return nn.functional.linear(input, weight, bias)

    def most(self, reach: float = 1.0) -> Tensor:
        """The most that each output can be, [outputs], if inputs are at most ``reach`` and all against it."""
        weight, bias = self._numbers(*self._running)
        total = weight.detach().abs().sum(1) * reach
        return total if bias is None else total + bias.detach().abs()

    def weaken(self, factor: Tensor) -> None:
        """Take each output down to ``factor`` [outputs] of what it is."""
        with torch.no_grad():
            (self.gain if self.norm else self.weight.T).mul_(factor)
            if self.bias is not None:
                self.bias.mul_(factor)

    @property
    def stored_weight(self) -> Tensor:
        """What the chip keeps of the weights, with their gradient."""
        return self._numbers(*self._running)[0]

    @property
    def stored_bias(self) -> Tensor | None:
        """The same of the biases."""
        return self._numbers(*self._running)[1]

    @property
    def _running(self) -> tuple[Tensor, Tensor] | tuple[()]:
        return (self.running_mean, self.running_var) if self.norm else ()

    def _seen(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over a batch […, inputs], which the running ones follow."""
        found = nn.functional.linear(x, self.weight).flatten(0, -2)
        mean, variance = found.mean(0), found.var(0, correction=0)
        with torch.no_grad():  # as torch's batch norm does, the running variance is the unbiased one
            unbiased = variance * len(found) / max(1, len(found) - 1)
            self.running_mean.lerp_(mean, MOMENTUM)
            self.running_var.lerp_(unbiased, MOMENTUM)
        return mean, variance

    def _numbers(self, *statistics: Tensor) -> tuple[Tensor, Tensor | None]:
        """Weights and biases on the grid, after the norm of these statistics, if there is one."""
        weight: Tensor = self.weight
        bias: Tensor | None = self.bias
        if statistics:
            # In single precision whatever the module's is: what is then rounded must not depend on it.
            mean, variance, gain, shift = (t.float() for t in (*statistics, self.gain, self.bias))
            factor = gain / torch.sqrt(variance + EPSILON)
            kind = weight.dtype
            weight = (weight.float() * factor[:, None]).to(kind)
            bias = (shift - mean * factor).to(kind)
        return self._stored(weight, self.unit), None if bias is None else self._stored(bias, 1.0)

    def _stored(self, values: Tensor, unit: float) -> Tensor:
        return _stored(values, self.weight_bits, 1 / (self.scale * unit))


def fit(layers: Sequence[ChipLinear], room: Tensor | float, reach: float = 1.0) -> None:
    """Weaken layers that meet in the same neurons where what they add up to could be more than ``room``.

    Args:
        room: of each neuron or of all.
        reach: of the first layer's inputs; those of the others are spikes.
    """
    first, *others = layers
    for layer in layers:
        heaviest = HEAVIEST / layer.scale / (max(1.0, reach / 2) if layer is first else 1.0)
        with torch.no_grad():
            layer.weight.clamp_(-heaviest, heaviest)
    while True:  # what is weakened is rounded anew, some of it up
        total = sum((layer.most() for layer in others), first.most(reach))
        if not (total > room).any():  # nor where a training has run into NaN, which no factor mends
            return
        factor = (room / total.clamp(min=2.0**-20)).clamp(max=1.0)
        for layer in layers:
            layer.weaken(torch.where(factor < 1, 0.99 * factor, factor))


class ChipScale(nn.Module):
    """A learned factor for each channel, of few bits as ``ChipLinear``'s weights; 1 at first."""

    def __init__(self, size: int, *, weight_bits: int = 8, scale: float = SCALE) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.weight_bits = weight_bits
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x * self.stored_weight

    @property
    def stored_weight(self) -> Tensor:
        """What the chip keeps of the factors, with their gradient."""
        return _stored(self.weight, self.weight_bits, 1 / self.scale)


class ChipLeaky(snn.Leaky):  # type: ignore[misc]  # snnTorch is untyped
    """``snn.Leaky`` with ``init_hidden`` whose decay is the chip's; resets to zero in the tick of the spike.

    Args:
        beta: retention, one value or one a neuron; learned where ``learn_beta``.
        most: that ``beta`` counts as, however great it is learned to be.
        threshold: one value or one a neuron, multiples of 1 / scale.
        silent: never spikes nor resets: a membrane to read.
        resets: False leaves the potential alone when it spikes: a trace that is compared, and on the chip a
            synaptic current.
        scale: chip units of one unit of current; potentials are multiples of 1 / (64 · scale), and none is
            below −(2²³ − 1) of them.
    """

    def __init__(
        self,
        beta: Any,
        threshold: Any = 1.0,
        *,
        learn_beta: bool = False,
        silent: bool = False,
        resets: bool = True,
        most: float = 1.0,
        scale: float = SCALE,
    ) -> None:
        super().__init__(
            beta=beta,
            threshold=threshold,
            init_hidden=True,
            reset_mechanism="zero" if resets and not silent else "none",
            reset_delay=False,
            learn_beta=learn_beta,
        )
        self.grain = 1 / (64 * scale)
        self.floor = LEAST * self.grain
        self.silent = silent
        self.scale = scale
        self.resets = resets and not silent
        self.most = most

    @property
    def retention(self) -> Tensor:
        """``beta`` in 4096ths, at most ``most``."""
        beta = torch.clamp(self.beta, 0.0, self.most)
        return _through(beta, torch.round(beta.detach() * DECAY) / DECAY)

    def rest(self, ticks: int) -> None:
        """The quiet ticks of a decision at once, as training has them: nothing spikes, what is left decays.

        Ticks run one by one cut decimals off in each, this does once; ``strl.training.scan`` equals it.
        """
        self.mem: Tensor = _truncated(self.mem * self.retention**ticks, self.grain)

    def _base_state_function(self, input_: Tensor) -> Tensor:
        v: Tensor = _truncated(self.retention * self.mem, self.grain) + input_
        return v.clamp(min=self.floor)


def _stored(values: Tensor, weight_bits: int, least: float) -> Tensor:
    """Rounded to steps of a power of two, at least ``least``, of which no value is more than fit."""
    most = 2 ** (weight_bits - 1) - 1
    largest = values.detach().abs().amax().clamp(min=2.0**-20)
    step = torch.exp2(torch.ceil(torch.log2(largest / most))).clamp(min=least)
    return _through(values, torch.clamp(torch.round(values.detach() / step), -most, most) * step)


def _through(value: Tensor, rounded: Tensor) -> Tensor:
    return rounded + (value - value.detach())


def _truncated(value: Tensor, grain: float) -> Tensor:
    return _through(value, torch.trunc(value.detach() / grain) * grain)
