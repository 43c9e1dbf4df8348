"""Population: Gaussian receptive fields over each feature, each a deterministic spiking source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from strl.codecs.base import ENCODERS, Float, Levels
from strl.codecs.scaled import Scaled, Table, accumulate, number, whole

THRESHOLD = 0.999
"""Of a source, as in PopSAN (Tang et al. 2020, arXiv 2010.09635; popsan_drl's encoder)."""


@ENCODERS.register("population")
@dataclass(frozen=True, slots=True, kw_only=True)
class Population(Scaled):
    """Field j of a feature is driven by exp(−½ ((x' − μ_j) / σ)²), x' being the feature put on −1..1.

    The centres μ stand evenly from −1 to 1. PopSAN's own normalisation (mean 0, deviation 1, clipped to
    ±3) is low = mean − 3 · deviation, high = mean + 3 · deviation, and its σ divided by 3.

    Args:
        low, high: see ``Scaled``.
        fields: receptive fields a feature.
        sigma: width σ of a field, in units of half the range; 0 takes the distance of two centres.
    """

    kind: ClassVar[str] = "population"
    fields: int = 10
    sigma: float = 0.0
    _centres: Table = field(init=False, repr=False, compare=False)
    _sharpness: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super(Population, self).__post_init__()
        whole("fields", self.fields, 2, 256)
        if number("sigma", self.sigma) < 0:
            raise ValueError(f"sigma = {self.sigma!r}, must not be negative")
        distance = 2.0 / (self.fields - 1)
        object.__setattr__(self, "_centres", np.linspace(0.0, 1.0, self.fields))
        # Fractions run over 0..1, half as wide as −1..1.
        object.__setattr__(self, "_sharpness", -0.5 / ((self.sigma or distance) / 2) ** 2)

    @property
    def size(self) -> int:
        return len(self.low) * self.fields

    def encode(self, observations: Float, ticks: int, rngs: Sequence[np.random.Generator]) -> Levels:
        distance = self.fractions(observations)[:, :, None] - self._centres
        drive = np.exp(distance * distance * self._sharpness)
        return accumulate(drive.reshape(len(drive), -1), ticks, THRESHOLD)
