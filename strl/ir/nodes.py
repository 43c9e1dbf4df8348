"""What every node of a Network is, and the ones that only pass values on.

Each node is a frozen dataclass with its shape rule and its update, in explicit discrete time: weights
stand in ``strl.ir.maps``, neurons in ``strl.ir.neurons``. A new node is a class in a file of its own under
``@NODES.register``; what each border makes of it is registered at that border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from strl.content import Content
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
