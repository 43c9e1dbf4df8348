"""What every training of a spiking transformer is told of its shape."""

from __future__ import annotations

from dataclasses import dataclass, fields

from strl.policies.attention import AttentionName
from strl.policies.transformer import TransformerConfig, retentions


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Fields of a ``TransformerConfig``, see there; neurons start by keeping what ``beta_limit`` allows."""

    ticks: int = 4
    width: int = 64
    hidden: int = 128
    blocks: int = 1
    weight_bits: int = 8
    attention: AttentionName = "streaming"
    heads: int = 1
    context: int = 4
    position: bool = False
    norm: bool = False
    beta_limit: float = 0.5
    memory: tuple[float, float] = (0.8, 0.998)

    def config(self, *, inputs: int = 1, outputs: int = 1, unit: float = 1.0) -> TransformerConfig:
        """Of so many encoder channels, whose levels are multiples of ``unit``, and decoder neurons.

        Raises:
            ModelError: what makes no sense.
        """
        given = {field.name: getattr(self, field.name) for field in fields(Shape)}
        return TransformerConfig(
            inputs=inputs, outputs=outputs, input_unit=unit, **{**given, **retentions(self.beta_limit)}
        )
