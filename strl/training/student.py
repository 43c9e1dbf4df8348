"""The spiking student: how its module answers a batch of observations, with and without gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strl.codecs import decoder, encoder
from strl.codecs.base import Levels
from strl.policies.policy import SpikingPolicy
from strl.training.grid import on_grid


class Student:
    """A ``SpikingPolicy`` of layers in a row whose state is reset every decision, made trainable.

    Args:
        policy: call is ``tick`` and state ``reset``.
        seed: of the draws of random encoders.
    """

    def __init__(self, policy: SpikingPolicy, *, seed: int = 0) -> None:
        self.policy = policy
        self.module: Any = policy.module
        self.semantics = policy.semantics
        self.encoder = encoder(policy.semantics.encoder)
        self.decoder = decoder(policy.semantics.decoder)
        self._neurons: list[Any] = [part for part in self.module.modules() if hasattr(part, "reset_mem")]
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Begin the draws of a random encoder anew."""
        self._rng = np.random.default_rng(seed)

    @contextmanager
    def on_grid(self) -> Iterator[None]:
        """Inside, the module holds what the chip can; afterwards it is what it was, gradients kept."""
        with on_grid(self.module):
            yield

    def bound(self) -> None:
        """Called after every step of the optimiser, which may have moved weights too far."""

    def drive(self, observations: NDArray[Any]) -> Tensor:
        """Observations [batch, *shape] → what the network receives, [T, batch, inputs]."""
        levels = self.levels(observations)
        return torch.from_numpy(levels.astype(np.float32) * np.float32(self.encoder.unit))

    def levels(self, observations: NDArray[Any]) -> Levels:
        """Observations [batch, *shape] → the encoder's levels, [T, batch, inputs]."""
        flat = np.asarray(observations, np.float64).reshape(len(observations), -1)
        return self.encoder.encode(flat, self.semantics.ticks, [self._rng] * len(flat))

    def forward(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """Read-out [batch, outputs] of one decision, and the mean spikes a hidden neuron and tick."""
        for neurons in self._neurons:
            neurons.reset_mem()
        hidden = self._neurons[:-1]
        count, rate = torch.zeros(()), torch.zeros(())
        for x in drive:
            for part in self.module:
                x = part(x)
                if part in hidden:
                    rate = rate + x.mean() / (len(hidden) * len(drive))
            count = count + x
        membrane: Tensor = self._neurons[-1].mem
        return (membrane if self.semantics.readout.kind == "membrane" else count), rate

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        """The student's actions, as ``strl.training.episodes.Act``."""
        with torch.no_grad():
            readout, _ = self.forward(self.drive(observations))
        return self.decoder.decode(readout.numpy().astype(np.float64), self.semantics.ticks)
