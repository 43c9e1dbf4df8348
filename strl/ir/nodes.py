"""The nodes of a Network, in explicit discrete time.

Each node is a frozen dataclass with its shape rule and its update. A new node is a class here (or in a
file of its own) under ``@NODES.register``; what each border makes of it is registered at that border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from strl.content import Content, readonly
from strl.errors import ModelError
from strl.registry import Registry

Float = NDArray[np.float64]
Shape = tuple[int, ...]
State = dict[str, Any]
Reset = Literal["zero", "subtract", "none"]

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


@NODES.register("linear")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Linear(Node):
    """y = W x + b. ``weight`` [out, in]; ``bias`` [out], or ``None``."""

    kind: ClassVar[str] = "linear"
    weight: Float
    bias: Float | None = None

    def __post_init__(self) -> None:
        weight = readonly(self.weight, np.float64)
        if weight.ndim != 2 or not weight.size:
            raise ModelError(f"linear: weight has shape {weight.shape}, must be [out, in]")
        object.__setattr__(self, "weight", weight)
        if self.bias is not None:
            bias = readonly(self.bias, np.float64)
            if bias.shape != weight.shape[:1]:
                raise ModelError(f"linear: bias has shape {bias.shape}, must be {weight.shape[:1]}")
            object.__setattr__(self, "bias", bias)

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.weight.shape[1:]:
            raise ModelError(f"linear: input has shape {shape}, must be {self.weight.shape[1:]}")
        return self.weight.shape[:1]

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        # Row by row: a product of whole matrices rounds differently for another batch.
        y: Float = (x[:, None, :] @ self.weight.T)[:, 0]
        return y + self.bias if self.bias is not None and driven else y


@NODES.register("lif")
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LIF(Node):
    """Leaky integrate-and-fire neurons with an optional synaptic current, as snnTorch computes them.

    i ← alpha·i + x;  v ← beta·v + i, with the reset below;  spike z = v > threshold, strictly.

    Args:
        alpha: retention of the current [n], 0 where there is none (snnTorch's Leaky).
        beta: retention of the potential [n].
        threshold: [n]; ``inf`` for neurons that never spike (a membrane read-out).
        reset: ``zero`` sets v to 0, ``subtract`` takes the threshold off, ``none`` leaves v.
        reset_delay: False resets in the tick of the spike. True waits for the next tick: ``subtract``
            takes the threshold off the new v, and ``zero`` clears all of the new v (snnTorch's
            Synaptic; its Leaky clears only the old v, which is the same spikes as no delay).
    """

    kind: ClassVar[str] = "lif"
    alpha: Float
    beta: Float
    threshold: Float
    reset: Reset
    reset_delay: bool

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "threshold"):
            value = readonly(getattr(self, name), np.float64)
            if value.ndim != 1 or value.shape != np.shape(self.beta):
                raise ModelError(f"lif: {name} has shape {value.shape}, must be one value a neuron")
            object.__setattr__(self, name, value)
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if not ((value >= 0) & (value <= 1)).all():
                raise ModelError(f"lif: {name} must lie in 0..1, found {value.min()}..{value.max()}")
        if np.isnan(self.threshold).any():
            raise ModelError("lif: a threshold is not a number")
        if self.reset not in ("zero", "subtract", "none"):
            raise ModelError(f"lif: reset = {self.reset!r}, must be zero, subtract or none")

    @property
    def size(self) -> int:
        return int(self.beta.shape[0])

    @property
    def silent(self) -> bool:
        """True where no neuron can spike: the population is read by its membrane."""
        return bool(np.isinf(self.threshold).all())

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.beta.shape:
            raise ModelError(f"lif: input has shape {shape}, must be {self.beta.shape}")
        return shape

    def start(self, batch: int) -> State:
        return {"i": np.zeros((batch, self.size)), "v": np.zeros((batch, self.size))}

    def step(self, x: Float, state: State, *, driven: bool) -> Float:
        late = (state["v"] > self.threshold) & self.reset_delay  # resets owed from the last tick
        state["i"] = self.alpha * state["i"] + x
        v = self.beta * state["v"] + state["i"]
        if self.reset == "zero":
            v = np.where(late, 0.0, v)
            spikes = v > self.threshold
            state["v"] = v if self.reset_delay else np.where(spikes, 0.0, v)
        elif self.reset == "subtract":
            v = self._subtract(v, state["v"])
            spikes = v > self.threshold
            if not self.reset_delay:
                owed = spikes.astype(np.float64) - (state["v"] > self.threshold)
                v = v - np.where(owed != 0, owed * self.threshold, 0.0)
            state["v"] = v
        else:
            spikes = v > self.threshold
            state["v"] = v
        return spikes.astype(np.float64)

    def _subtract(self, v: Float, old: Float) -> Float:
        # np.where, not a product: an infinite threshold times no spike would be NaN.
        taken: Float = np.where(old > self.threshold, self.threshold, 0.0)
        return v - taken


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
