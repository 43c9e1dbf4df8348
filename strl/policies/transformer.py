"""The spiking transformer of STRL (arXiv 2505.14533), streaming: its context lives in currents.

One call is one tick of one token. A block adds what attention and a spiking MLP give to a stream of currents
(membrane shortcuts, as in the Spike-driven Transformer, arXiv 2307.01694):

    z = N(stream);  q, k, v = N(W z);  s ← r ⊙ s + W (k ⊙ v);  stream ← stream + W (q ⊙ [s > θ])
    stream ← stream + W N(W N(stream))

N are leaky neurons that forget from one decision to the next, s the causal running sum of K ⊙ V with a
learned retention. So tokens meet in attention alone, as in any transformer, and a decision costs the same
whatever the length of its context. ⊙ of spikes is AND, a neuron that forgets at once; s is the synaptic
current of the neurons that compare it. Everything is an integer LIF on a chip, and nothing but that.

Other attentions than this one stand in ``strl.policies.attention``, by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from strl.errors import ModelError
from strl.policies.attention import KINDS, AttentionName, Streaming, linear, neurons
from strl.policies.chip_layers import CURRENT, ROOM, SCALE, ChipLeaky, ChipLinear, fit
from strl.policies.modules import Sum
from strl.registry import suggest

READ_SCALE = 2.0**7
"""Chip units of one unit of the read-out, whose potential must stay in range whatever it adds up to."""
MEET = 96
"""Synapses from neurons that may meet in one at the full scale."""
MAX_WIDTH = 1024
MAX_BLOCKS = 16
MAX_CONTEXT = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerConfig:
    """Shape and neurons of a ``SpikingTransformer``.

    Args:
        inputs, outputs: encoder channels and decoder neurons.
        width: channels of the stream.
        hidden: neurons of a block's MLP.
        blocks: how many.
        beta: retention a tick of all neurons but the memories, at the start of training.
        beta_limit: the most that it can be learned to be. With 0.5, a 512th of a potential is left after the
            quiet ticks of a decision, so that attention alone carries; with 1 every neuron may.
        memory: least and greatest retention a tick of the memories, at the start.
        readout_beta: retention of the last layer, which never spikes; at most ``beta_limit``.
        weight_bits: of every weight and bias, 2..8.
        input_unit: what one level of the encoder is, see ``strl.codecs.Encoder``.
        attention: of ``strl.policies.attention``.
        heads: into which ``ssa`` and ``a2os2a`` split their scores; the others go channel by channel.
        context: K, decisions that an attention with a window sees; ``streaming`` has none.
        ticks: of a decision that are driven, ``depth`` quiet ones after them; a window goes by their sum.
        position: a window learns what each of its tokens is worth.
        norm: a batch norm after every linear layer, folded into it, see ``ChipLinear``; not after the last,
            nor before streaming's sums, which would add up its shifts.
    """

    inputs: int
    outputs: int
    width: int = 64
    hidden: int = 128
    blocks: int = 1
    beta: float = 0.5
    beta_limit: float = 0.5
    memory: tuple[float, float] = (0.8, 0.998)
    readout_beta: float = 0.5
    weight_bits: int = 8
    input_unit: float = 1.0
    attention: AttentionName = "streaming"
    heads: int = 1
    context: int = 4
    ticks: int = 4
    position: bool = False
    norm: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "memory", tuple(self.memory))
        for name, most in (
            ("inputs", 65536),
            ("outputs", 65536),
            ("width", MAX_WIDTH),
            ("hidden", MAX_WIDTH),
        ):
            _whole(name, getattr(self, name), 1, most)
        _whole("blocks", self.blocks, 1, MAX_BLOCKS)
        _whole("weight_bits", self.weight_bits, 2, 8)
        if len(self.memory) != 2:
            raise ModelError(f"transformer: memory = {self.memory!r}, must be two retentions")
        _share("beta_limit", self.beta_limit)
        for name, value in (("beta", self.beta), ("readout_beta", self.readout_beta), *_pair(self.memory)):
            _share(name, value, below=True)
        if not isinstance(self.input_unit, int | float) or not 0 < self.input_unit < math.inf:
            raise ModelError(f"transformer: input_unit = {self.input_unit!r}, must be above 0")
        for name, value in (("beta", self.beta), ("readout_beta", self.readout_beta)):
            if value > self.beta_limit:
                raise ModelError(
                    f"transformer: {name} = {value}, must be at most beta_limit, {self.beta_limit}"
                )
        self._check_attention()

    def _check_attention(self) -> None:
        if self.attention not in KINDS:
            hint = suggest(str(self.attention), KINDS)
            raise ModelError(f"transformer: attention = {self.attention!r} is unknown", hint=hint)
        for name, most in (("heads", self.width), ("context", MAX_CONTEXT), ("ticks", 4096)):
            _whole(name, getattr(self, name), 1, most)
        if self.width % self.heads:
            raise ModelError(f"transformer: heads = {self.heads}, must divide the width {self.width}")
        for name in ("position", "norm"):
            if not isinstance(getattr(self, name), bool):
                raise ModelError(f"transformer: {name} = {getattr(self, name)!r}, must be true or false")
        if self.position and self.attention == "streaming":
            raise ModelError(
                "transformer: position is of a window, and attention 'streaming' has none",
                hint="its memories' retention, which is learned, says how long ago something was",
            )

    @property
    def scale(self) -> float:
        """Chip units of one unit of current, see ``ChipLeaky``: less, the more synapses meet in a neuron.

        The stream must fit a register whatever spikes together, and its weights grow while it is trained, as
        far as ``bound`` lets them. A norm makes weights greater the rarer the spikes are that they are for,
        hence half of it.
        """
        meet = self.blocks * (self.width + self.hidden) * (2 if self.norm else 1)
        return SCALE * 2.0 ** -max(0, math.ceil(math.log2(meet / MEET)))

    @property
    def depth(self) -> int:
        """Ticks from an input to the read-out on a chip, and so the rest that a carried state needs."""
        return 7 * self.blocks + 2

    @property
    def period(self) -> int:
        """Ticks from one decision to the next."""
        return self.ticks + self.depth

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "memory": list(self.memory)}


class Block(nn.Module):
    """Attention, then an MLP, each added to the stream [batch, width]."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.token = neurons(config)
        self.attention: Any = KINDS[config.attention](config)
        self.attended = Sum()
        self.up_in = neurons(config)
        self.up = linear(config, width, hidden)
        self.hidden = neurons(config, hidden)
        self.down = linear(config, hidden, width)
        self.transformed = Sum()

    def forward(self, stream: Tensor) -> Tensor:
        stream = self.attended(stream, self.attention(self.token(stream)))
        added = self.down(self.hidden(self.up(self.up_in(stream))))
        transformed: Tensor = self.transformed(stream, added)
        return transformed

    def alone(self) -> Iterator[ChipLinear]:
        """Layers that are all that their neurons receive, but those of a kept sum, whose room is another."""
        yield self.up
        for name, layer in self.attention.named_children():
            if name in ("query_in", "key_in", "value_in"):
                yield layer


class SpikingTransformer(nn.Module):
    """One call is one tick: x [batch, inputs] → the last layer's output [batch, outputs], read by membrane.

    Every neuron keeps its own state (``init_hidden``), across decisions where the policy carries it.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = linear(config, config.inputs, config.width, unit=config.input_unit)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.last = neurons(config)
        self.head = ChipLinear(config.width, config.outputs, weight_bits=config.weight_bits, scale=READ_SCALE)
        self.out = ChipLeaky(
            torch.full((config.outputs,), config.readout_beta), silent=True, scale=READ_SCALE
        )

    def bound(self, reach: float) -> None:
        """Take back weights with which a current could leave its register, whatever spikes together.

        Training makes weights grow; after each of its steps this leaves a network that the chip can hold.

        Args:
            reach: greatest input, in its units.
        """
        room = ROOM * CURRENT / self.config.scale
        stream = [self.embed]
        for block in self.blocks:
            assert isinstance(block, Block)
            for layer in block.alone():
                fit([layer], room)
            if isinstance(block.attention, Streaming):
                block.attention.bound()
            stream += [block.attention.out, block.down]
        fit(stream, room, reach)
        fit([self.head], ROOM * CURRENT / READ_SCALE * (1 - self.out.retention.detach()))

    def forward(self, x: Tensor) -> Tensor:
        stream = self.embed(x)
        for block in self.blocks:
            stream = block(stream)
        read: Tensor = self.out(self.head(self.last(stream)))
        return read


def retentions(limit: float) -> dict[str, Any]:
    """Fields of a ``TransformerConfig`` whose neurons start with all that they may keep, up to 0.9."""
    return {"beta_limit": limit, "beta": min(0.9, limit), "readout_beta": min(0.9, limit)}


def _whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ModelError(f"transformer: {name} = {value!r}, must be an integer of {least}..{most}")


def _share(name: str, value: object, *, below: bool = False) -> None:
    real = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if not real or (below and value == 1):
        bound = "at least 0 and below 1" if below else "of 0..1"
        raise ModelError(f"transformer: {name} = {value!r}, must be {bound}")


def _pair(memory: tuple[float, float]) -> list[tuple[str, float]]:
    return [(f"memory[{k}]", value) for k, value in enumerate(memory)]
