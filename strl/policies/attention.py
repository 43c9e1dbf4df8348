"""Spiking self-attention by name: how a token of spikes asks what the tokens before it hold.

One call is one tick of the newest token; a token is a decision. Q, K and V are neurons behind weights. SN are
neurons too; what they sum is kept from token to token here alone, see ``TransformerConfig.beta_limit``.

    streaming   Q ⊙ SN(Σ rⁿ W(K ⊙ V))       over all tokens so far, n ticks ago, r learned for each channel
    sdsa        Q ⊙ SN(Σ K ⊙ V)             Spike-driven Transformer, arXiv 2307.01694
    ssa         SN((Q Kᵀ) V · 0.125)        Spikformer, arXiv 2209.15425
    a2os2a      SN(Q Kᵀ V)                  arXiv 2503.00226: K = ReLU, V of −1, 0 and 1, no scale
    sasa        SN(Q ⊙ Σ pool(K))           after SAFormer, arXiv 2412.13553: no V

The first two are masks and sums of spikes, and so neurons on a chip; the others are there to compare with.
All but the first look at a window: the last K tokens, the newest among them, tick t of one with tick t of
the others.

A window of tokens side by side within one decision would see nothing of the past, and one of decisions that
the host remembers would send each of them K times. Here spikes wait in delays: weights are those of one token
whatever K is, and what has been computed is not computed again.

The sum of streaming is a current, which a spike does not reset: it can be asked in every tick, and asking
does not change it. W, learned and near the identity at first, lets what is new take away from what was.
Without the one next to nothing was held, without the other the old was lost no sooner than by its decay.

Where a token stands in time: streaming has it in that decay, one rate a channel. A window may learn what
a channel is worth k tokens ago (``position``; P of DSFormer's Q ⊙ P (K ⊙ V), constant along diagonals), K
weights a channel in place of a table of positions. A time step since the start of the episode is an
observation if anything. There is one kind of token, and the bias of the embedding is its learned encoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import snntorch as snn
import torch
from torch import Tensor, nn

from strl.errors import ModelError
from strl.policies.chip_layers import CURRENT, ROOM, SCALE, ChipLeaky, ChipLinear, ChipScale, fit
from strl.policies.modules import Delay, Product, Sum

if TYPE_CHECKING:
    from strl.policies.transformer import TransformerConfig

AttentionName = Literal["streaming", "sdsa", "ssa", "a2os2a", "sasa"]
ON_CHIP: tuple[AttentionName, ...] = ("streaming", "sdsa")
REACH = 62
"""Ticks that a synapse can hold a spike back beyond the one that each takes."""
MEMORY_THRESHOLDS = (1.0, 1.375, 1.75, 2.5, 3.25, 4.5, 6.0, 8.0)
"""Of neighbouring channels, so that how much is in a sum can be told."""
MEMORY_MOST = 1 - 8 / 4096
MEMORY_SCALE = 2.0**3
"""Chip units of a spike in a sum: weights are eighths, and a row of W that adds up to 32 fits a register even
if all of it comes in every tick, which such retention makes 512 times as much."""
SSA_SCALE = 0.125
POOLED = 2
"""Neighbouring tokens of which ``sasa`` keeps the greatest."""


class OverTicks(nn.Module):
    """A layer that remembers otherwise than ``ChipLeaky``; in training ``over`` is called in its place.

    ``mem`` is what it keeps from one such call to the next, lanes first, or empty.
    """

    mem: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.mem = torch.zeros(0)

    def over(self, x: Tensor, starts: Tensor, *, ticks: int, rest: int) -> Any:
        """As ``forward`` tick by tick: x [decisions · ticks, lanes, width], starts [decisions, lanes]."""
        raise NotImplementedError


class Window(OverTicks):
    """Spikes [batch, width] of a tick → those of the same tick of the last K decisions, the newest first.

    A chain of delays of one decision each. On a chip the delays from neurons to neurons add up, and 62 ticks
    are the most; beyond that spikes are passed on by a population for each decision.

    Args:
        context: K.
        period: ticks from one decision to the next.
        relayed: whether a window too long for synapses gets those populations; spikes only.

    Raises:
        ModelError: one decision takes longer than a synapse can wait.
    """

    def __init__(self, width: int, context: int, period: int, *, relayed: bool = True) -> None:
        super().__init__()
        if context > 1 and period > REACH:
            raise ModelError(
                f"transformer: a decision takes {period} ticks, a synapse holds a spike for {REACH} at most",
                hint="take fewer blocks or ticks, or attention='streaming', which needs no window",
            )
        self.context, self.period = context, period
        self.delays = nn.ModuleList(Delay(period, (width,)) for _ in range(context - 1))
        passes_on = relayed and (context - 1) * period > REACH
        self.relays = nn.ModuleList(Product() for _ in self.delays if passes_on)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        seen = [x]
        for k, delay in enumerate(self.delays):
            x = delay(x)
            if self.relays:
                x = self.relays[k](x)
            seen.append(x)
        return tuple(seen)

    def over(self, x: Tensor, starts: Tensor, *, ticks: int, rest: int) -> tuple[Tensor, ...]:
        if ticks + rest != self.period:
            raise ModelError(
                f"transformer: a window of decisions of {self.period} ticks, these take {ticks} + {rest}",
                hint="rest as long as the network is deep, and give the configuration the same ticks",
            )
        count, past = len(starts), self.context - 1
        now = x.reshape(count, ticks, *x.shape[1:])  # [decisions, ticks, lanes, width]
        before = self.mem.movedim(0, 2) if self.mem.ndim == 4 else now[:0]
        if before.shape != (past, *now.shape[1:]):
            before = now.new_zeros(past, *now.shape[1:])
        rows = torch.cat([before, now])
        episode = nn.functional.pad(starts.cumsum(0), (0, 0, past, 0))  # of each decision, 0 being the last
        seen = []
        for k in range(self.context):
            same = episode[past - k : past - k + count] == episode[past:]
            tap = rows[past - k : past - k + count] * same[:, None, :, None]
            seen.append(tap.flatten(0, 1))
        same = episode[count:] == episode[-1]
        self.mem = (rows[count:] * same[:, None, :, None]).detach().movedim(2, 0)
        return tuple(seen)


class Streaming(nn.Module):
    """Attention to everything so far: spikes [batch, width] in, what it adds to the stream out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.query_in, self.key_in, self.value_in = (_projection(config) for _ in range(3))
        self.query, self.key, self.value = (neurons(config) for _ in range(3))
        self.bind, self.ask = Product(), Product()
        self.memory_in = ChipLinear(
            width, width, bias=False, weight_bits=config.weight_bits, scale=MEMORY_SCALE
        )
        with torch.no_grad():
            self.memory_in.weight.mul_(0.5).diagonal().add_(1.0)
        self.memory = ChipLeaky(
            torch.linspace(*config.memory, width),
            torch.tensor(MEMORY_THRESHOLDS).repeat(width)[:width],
            learn_beta=True,
            resets=False,
            most=MEMORY_MOST,
            scale=MEMORY_SCALE,
        )
        self.out = _returning(config)

    def forward(self, spikes: Tensor) -> Tensor:
        query = self.query(self.query_in(spikes))
        key, value = self.key(self.key_in(spikes)), self.value(self.value_in(spikes))
        memory = self.memory(self.memory_in(self.bind(key, value)))
        added: Tensor = self.out(self.ask(query, memory))
        return added

    def bound(self) -> None:
        """Take back weights with which a sum could leave its register if all that it adds came for ever."""
        fit([self.memory_in], ROOM * CURRENT / MEMORY_SCALE * (1 - self.memory.retention.detach()))


class Masked(nn.Module):
    """SDSA over a window: the newest query masks the sum of K ⊙ V, made spikes again.

    Their neuron is v ← v/2 + x/2 with spikes from 0.5 on, hence v ← v/2 + x above 0.5 here, x being a count:
    without ``position`` it spikes where any token of the window binds.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.query_in, self.key_in, self.value_in = (_projection(config) for _ in range(3))
        self.query, self.key, self.value = (neurons(config) for _ in range(3))
        self.bind, self.ask, self.total = Product(), Product(), Sum()
        self.window = Window(width, config.context, config.period)
        self.positions = _positions(config)
        self.mask = ChipLeaky(torch.full((width,), 0.5), 0.5, scale=config.scale)
        self.out = _returning(config)

    def forward(self, spikes: Tensor) -> Tensor:
        query = self.query(self.query_in(spikes))
        key, value = self.key(self.key_in(spikes)), self.value(self.value_in(spikes))
        bound = _weighted(self.positions, self.window(self.bind(key, value)))
        added: Tensor = self.out(self.ask(query, self.mask(self.total(*bound))))
        return added


class Counted(nn.Module):
    """Attention by counts over a window: a value counts as often as its key and the newest query meet."""

    def __init__(
        self, config: TransformerConfig, key: nn.Module, value: nn.Module, found: ChipLeaky, scale: float
    ) -> None:
        super().__init__()
        self.query_in, self.key_in, self.value_in = (_projection(config) for _ in range(3))
        self.query, self.key, self.value = neurons(config), key, value
        self.keys, self.values = _windows(config, 2)
        self.positions = _positions(config)
        self.score = CountedProduct(config.heads, scale)
        self.found = found
        self.out = _returning(config)

    def forward(self, spikes: Tensor) -> Tensor:
        query = self.query(self.query_in(spikes))
        keys = self.keys(self.key(self.key_in(spikes)))
        values = _weighted(self.positions, self.values(self.value(self.value_in(spikes))))
        added: Tensor = self.out(self.found(self.score(query, keys, values)))
        return added


class Scored(Counted):
    """SSA: query, key and value are spikes, and the counts scaled."""

    def __init__(self, config: TransformerConfig) -> None:
        key, value = (neurons(config) for _ in range(2))
        # v ← v/2 + x/2 from 0.5 on is v ← v/2 + x from 1 on; here neurons spike above their thresholds.
        found = ChipLeaky(torch.full((config.width,), 0.5), 1.0 - 1.0 / SCALE)
        super().__init__(config, key, value, found, SSA_SCALE)


class Hybrid(Counted):
    """A²OS²A: as SSA, but keys are real numbers and values of three kinds, without a scale."""

    def __init__(self, config: TransformerConfig) -> None:
        value = TernaryValue(config.width, config.beta, config.beta_limit)
        super().__init__(config, GradedKey(), value, neurons(config), 1.0)


class Aggregated(nn.Module):
    """SASA over a window: queries gate the sum of the down-sampled keys; there is no value.

    Its authors' code is not public. This is what their abstract says: attention from Q and K alone, K
    down-sampled and aggregated over tokens, linear in tokens and channels.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.query_in, self.key_in = (_projection(config) for _ in range(2))
        self.query, self.key = (neurons(config) for _ in range(2))
        (self.keys,) = _windows(config, 1)
        self.positions = _positions(config)
        self.gated = GatedCount()
        self.found = neurons(config)
        self.out = _returning(config)

    def forward(self, spikes: Tensor) -> Tensor:
        query = self.query(self.query_in(spikes))
        keys = _weighted(self.positions, self.keys(self.key(self.key_in(spikes))))
        added: Tensor = self.out(self.found(self.gated(query, keys)))
        return added


class CountedProduct(nn.Module):
    """scale · (Q Kᵀ) V of one query and K tokens, head by head; channels are the last axis."""

    def __init__(self, heads: int, scale: float) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale

    def forward(self, query: Tensor, keys: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> Tensor:
        heads = (*query.shape[:-1], self.heads, -1)
        total = torch.zeros_like(query).reshape(heads)
        for key, value in zip(keys, values, strict=True):
            score = (query.reshape(heads) * key.reshape(heads)).sum(-1, keepdim=True)
            total = total + score * value.reshape(heads)
        return self.scale * total.reshape(query.shape)


class GatedCount(nn.Module):
    """Q ⊙ Σ pool(K): the greatest of neighbouring tokens, summed, where the query spikes."""

    def forward(self, query: Tensor, keys: tuple[Tensor, ...]) -> Tensor:
        pairs = [keys[k : k + POOLED] for k in range(0, len(keys), POOLED)]
        pooled = [torch.stack(pair).amax(0) for pair in pairs]
        return query * torch.stack(pooled).sum(0)


class GradedKey(nn.ReLU):
    """K of A²OS²A: a real number that is not negative."""


class TernaryValue(OverTicks):
    """V of A²OS²A: leaky neurons that spike +1 above 1 and −1 below −1, and reset to zero after either."""

    def __init__(self, width: int, beta: float, most: float = 1.0) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.full((width,), beta))
        self.most = most
        self._fire = snn.surrogate.atan()

    def reset_mem(self) -> None:
        """Forget everything."""
        self.mem = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        return self._tick(x)

    def _tick(self, x: Tensor) -> Tensor:
        before = self.mem if self.mem.shape == x.shape else torch.zeros_like(x)
        v = self.beta.clamp(0, self.most) * before + x
        spikes: Tensor = self._fire(v - 1) - self._fire(-v - 1)
        self.mem = v * (1 - spikes.abs())
        return spikes

    def over(self, x: Tensor, starts: Tensor, *, ticks: int, rest: int) -> Tensor:
        if self.mem.shape != x.shape[1:]:
            self.mem = torch.zeros_like(x[0])
        self.mem = self.mem.detach()
        spikes = []
        for tick, now in enumerate(x):
            if tick % ticks == 0:
                self.mem = self.mem * ~starts[tick // ticks, :, None]
            spikes.append(self._tick(now))
            if tick % ticks == ticks - 1:
                self.mem = self.mem * self.beta.clamp(0, self.most) ** rest
        self.mem = self.mem.detach()
        return torch.stack(spikes)


KINDS: Mapping[AttentionName, type[nn.Module]] = {
    "streaming": Streaming,
    "sdsa": Masked,
    "ssa": Scored,
    "a2os2a": Hybrid,
    "sasa": Aggregated,
}


def neurons(config: TransformerConfig, size: int | None = None) -> ChipLeaky:
    """Leaky ones of threshold 1 and a learned retention, as many as the stream has channels or ``size``."""
    beta = torch.full((size or config.width,), config.beta)
    return ChipLeaky(beta, learn_beta=True, most=config.beta_limit, scale=config.scale)


def linear(
    config: TransformerConfig, inputs: int, outputs: int, *, bias: bool = True, unit: float = 1.0
) -> ChipLinear:
    """Weights between its neurons, with a batch norm where it has one."""
    return ChipLinear(
        inputs,
        outputs,
        bias,
        weight_bits=config.weight_bits,
        unit=unit,
        scale=config.scale,
        norm=config.norm,
    )


def _projection(config: TransformerConfig) -> ChipLinear:
    return _square(config, 3.0, bias=False)


def _returning(config: TransformerConfig) -> ChipLinear:
    return _square(config, 4.0, bias=True)


def _square(config: TransformerConfig, factor: float, *, bias: bool) -> ChipLinear:
    """Weights are ``factor`` times torch's at the start: queries then spike in 20 % of ticks, not in 2."""
    layer = linear(config, config.width, config.width, bias=bias)
    with torch.no_grad():
        layer.weight.mul_(factor)
    return layer


def _windows(config: TransformerConfig, count: int) -> tuple[Window, ...]:
    return tuple(Window(config.width, config.context, config.period, relayed=False) for _ in range(count))


def _positions(config: TransformerConfig) -> nn.ModuleList:
    """What each token of a window is worth, the newest first; none where that is not learned."""
    count = config.context if config.position else 0
    bits, scale = config.weight_bits, config.scale
    return nn.ModuleList(ChipScale(config.width, weight_bits=bits, scale=scale) for _ in range(count))


def _weighted(positions: nn.ModuleList, seen: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if not positions:
        return seen
    return tuple(position(one) for position, one in zip(positions, seen, strict=True))
