"""What every node of a Network is, and the ones that only pass values on.

Each node is a frozen dataclass with its shape rule and its update, in explicit discrete time: weights
stand in ``strl.ir.maps``, neurons in ``strl.ir.neurons``. A new node is a class in a file of its own under
``@NODES.register``; what each border makes of it is registered at that border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from strl.content import Content, readonly
from strl.errors import ModelError
from strl.registry import Registry

Float = NDArray[np.float64]
Shape = tuple[int, ...]
State = dict[str, Any]

NODES: Registry[type[Node]] = Registry("node", ModelError)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node(Content):
    """Base of all nodes. Several inputs of a node are summed before they reach it."""

    kind: ClassVar[str]

    def output_shape(self, shape: Shape) -> Shape:
        """Shape [*] out for shape in; raises ``ModelError`` where they do not fit."""
        return shape

    def start(self, batch: int) -> State:
        """State of ``batch`` independent copies before the first tick."""
        return {}

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        """One tick: input [batch, *in] → output [batch, *out]; ``state`` is advanced in place.

        ``driven`` is false in the rest ticks of a decision, in which biases are silent.
        """
        return x


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neurons(Node):
    """Base of all neurons: one potential each, ``state["v"]`` [batch, *shape]; they send spikes.

    Where a population is ``silent`` no neuron can spike, and it sends its potential.
    """

    @property
    def shape(self) -> Shape:
        """Shape of the population, without batch."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def silent(self) -> bool:
        return False

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.shape:
            raise ModelError(f"{self.kind}: input has shape {shape}, must be {self.shape}")
        return shape

    def _keep(self, *names: str) -> None:
        """Store those fields as read-only arrays of one value a neuron; the first gives the shape."""
        shape = np.shape(getattr(self, names[0]))
        for name in names:
            value = readonly(getattr(self, name), np.float64)
            if not value.ndim or value.shape != shape:
                raise ModelError(f"{self.kind}: {name} has shape {value.shape}, must be one value a neuron")
            if not np.isfinite(value).all():
                raise ModelError(f"{self.kind}: {name} is not finite")
            object.__setattr__(self, name, value)


@NODES.register("input")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Input(Node):
    """Where the encoder's values enter; ``shape`` without batch."""

    kind: ClassVar[str] = "input"
    shape: Shape


@NODES.register("output")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Output(Node):
    """Where the decoder listens."""

    kind: ClassVar[str] = "output"
    shape: Shape


@NODES.register("delay")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Delay(Node):
    """Output at tick t is the input of tick t − ``ticks``; ``ticks`` ≥ 1. Loops need one each."""

    kind: ClassVar[str] = "delay"
    ticks: int
    shape: Shape

    def __post_init__(self) -> None:
        if self.ticks < 1:
            raise ModelError(f"delay: ticks = {self.ticks}, must be at least 1")

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.shape:
            raise ModelError(f"delay: input has shape {shape}, must be {self.shape}")
        return shape

    def start(self, batch: int) -> State:
        return {"line": [np.zeros((batch, *self.shape)) for _ in range(self.ticks)]}
