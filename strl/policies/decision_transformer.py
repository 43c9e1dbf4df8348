"""The decision transformer (Chen et al. 2021, arXiv 2106.01345): the spiking one's baseline.

Softmax attention over the last K decisions, each of three tokens: last action, return to go, state. The
position within the window is learned; there is no table of absolute time steps, which for mazes would be
larger than the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CONTEXT = 20
TOKENS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionConfig:
    """Shape of a ``DecisionTransformer``.

    Args:
        features, actions: of the state, and how many.
        width, hidden, heads, blocks: as a transformer's.
        context: K, decisions.
        scale: of returns to go, which are divided by it.
    """

    features: int
    actions: int
    width: int = 40
    hidden: int = 148
    heads: int = 2
    blocks: int = 2
    context: int = CONTEXT
    scale: float = 100.0


class Layer(nn.Module):
    """Causal self-attention and an MLP, layer norm before each."""

    def __init__(self, config: DecisionConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x [lanes, tokens, width]; seen [lanes, 1, tokens, tokens], who attends to whom."""
        lanes, tokens, width = x.shape
        parts = self.qkv(self.before(x)).view(lanes, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x = x + self.out(found.transpose(1, 2).reshape(lanes, tokens, width))
        added: Tensor = self.down(nn.functional.gelu(self.up(self.between(x))))
        return x + added


class DecisionTransformer(nn.Module):
    """Observations [lanes, decisions, features + actions + 1] → logits [lanes, decisions, actions].

    An observation is what ``strl.environments.sequence`` makes: state, last action, return to go.
    """

    def __init__(self, config: DecisionConfig) -> None:
        super().__init__()
        self.config = config
        self.state = nn.Linear(config.features, config.width)
        self.action = nn.Linear(config.actions, config.width)
        self.to_go = nn.Linear(1, config.width)
        self.position = nn.Parameter(0.02 * torch.randn(config.context, config.width))
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.blocks))
        self.last = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.actions)

    def forward(self, observations: Tensor, starts: Tensor) -> Tensor:
        """``starts`` [lanes, decisions]: nothing before the last start is attended to."""
        config, decisions = self.config, observations.shape[1]
        state, action, to_go = torch.split(observations, [config.features, config.actions, 1], dim=2)
        embedded = [self.action(action), self.to_go(to_go / config.scale), self.state(state)]
        position = self.position[config.context - decisions :, None]
        tokens = (torch.stack(embedded, dim=2) + position).flatten(1, 2)
        episode = starts.cumsum(1).repeat_interleave(TOKENS, 1)
        causal = torch.ones(2 * (TOKENS * decisions,), dtype=torch.bool).tril()
        seen = (episode[:, :, None] == episode[:, None]) & causal
        for layer in self.layers:
            tokens = layer(tokens, seen[:, None])
        logits: Tensor = self.head(self.last(tokens[:, TOKENS - 1 :: TOKENS]))
        return logits

    def macs(self, decisions: int, *, cached: bool) -> int:
        """Multiplications of one decision after ``decisions − 1`` others, the window being no limit here.

        ``cached``: keys and values of earlier tokens are kept and only three new tokens computed; positions
        within a window forbid that, so it is a bound from below. Without, all tokens are computed anew.
        """
        config, total = self.config, TOKENS * decisions
        width, new = config.width, TOKENS if cached else total
        linear = config.blocks * (4 * width * width + 2 * width * config.hidden)
        pairs = sum(total - k for k in range(new))  # causal: a token and all before it
        embedding = (config.features + config.actions + 1) * width * new // TOKENS
        return embedding + new * linear + config.blocks * 2 * width * pairs + width * config.actions


class DecisionLearner:
    """A decision transformer as ``strl.training.offline`` trains it, and as it acts: a window at a time."""

    def __init__(self, module: DecisionTransformer) -> None:
        self.module = module
        self._context = module.config.context
        self._seen = np.zeros((0, 0, 0), np.float32)
        self._starts = np.zeros((0, 0), bool)

    def read(self, observations: NDArray[Any], starts: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """[decisions, lanes, …] → logits [decisions, lanes, actions]; of more than K each sees the last K."""
        if len(observations) <= self._context:
            return self._logits(observations, starts), torch.zeros(())
        windows = [
            self._logits(observations[k : k + self._context], starts[k : k + self._context])
            for k in range(len(observations) - self._context + 1)
        ]
        return torch.cat([windows[0], torch.stack([found[-1] for found in windows[1:]])]), torch.zeros(())

    def learning(self) -> AbstractContextManager[None]:
        """It reads in one way alone."""
        return nullcontext()

    def bound(self) -> None:
        """Weights may be what they like."""

    def memory(self) -> dict[str, Tensor]:
        """Nothing goes from one window of the training to the next."""
        return {}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """See ``memory``."""

    def clear(self, lanes: Sequence[int] | None = None) -> None:
        """Forget everything, or what happened in some lanes."""
        if lanes is None:
            self._seen = self._seen[:0, :0]
        elif self._seen.size:
            self._starts[-1, list(lanes)] = True  # of the coming decision, see ``__call__``

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Actions [lanes] of the next decision."""
        lanes = len(observations)
        if self._seen.shape[1:] != observations.shape:
            self._seen = np.zeros((self._context, *observations.shape), np.float32)
            self._starts = np.zeros((self._context + 1, lanes), bool)
            self._starts[-1] = True
        self._seen = np.concatenate([self._seen[1:], observations[None]])
        self._starts = np.concatenate([self._starts[1:], np.zeros((1, lanes), bool)])
        with torch.no_grad():
            logits = self._logits(self._seen, self._starts[:-1])[-1]
        return logits.argmax(1).numpy()

    def _logits(self, observations: NDArray[Any], starts: NDArray[np.bool_]) -> Tensor:
        rows = torch.from_numpy(np.ascontiguousarray(observations.swapaxes(0, 1), np.float32))
        logits: Tensor = self.module(rows, torch.from_numpy(np.ascontiguousarray(starts.T)))
        return logits.transpose(0, 1)
