"""A neuron of a file, under a reading → the gain of its input and the neuron."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.nir.graph import Found
from exporters.nir.neurons import GRAIN
from exporters.nir.reading import Gain, Producer, Reading
from strl.errors import ModelError
from strl.ir.neurons import LIF
from strl.ir.nodes import Node, Shape
from strl.ir.substep import SubstepLIF

Float = NDArray[np.float64]

NEAR = 1e-4
"""How far a field may be, relatively, from what its producer writes: most write float32."""

ANOTHERS = "the file is another producer's, or its dt is another: see docs/nir.md"
SHORTEST = 20
"""Ticks are at most so many time constants long."""


class Cell:
    """The fields of one neuron node, spread over the population's shape.

    Args:
        found: the node.
        reading: what its producer means.
        shape: of the population.
        looped: it feeds itself through weights.
    """

    def __init__(self, found: Found, reading: Reading, shape: Shape, *, looped: bool) -> None:
        self.kind, self.reading, self.shape, self.looped = found.kind, reading, shape, looped
        scales = [name for name in found.values if name.startswith("tau")] or ["r"]
        self.single = all(np.asarray(found.values.get(name)).dtype == np.float32 for name in scales)
        self.values: dict[str, Float] = {}
        for name, value in found.values.items():
            try:
                spread = np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
            except ValueError:
                spread = None
            if spread is None or (np.size(value) > 1 and np.shape(value) != shape):
                raise ModelError(f"{name} has shape {np.shape(value)}, its input has {shape}")
            scale = reading.tau_scale if name.startswith("tau") else 1.0
            self.values[name] = spread * scale

    def node(self) -> tuple[Float, Node]:
        """Gain of the input [*shape], and the neuron."""
        if self.kind == "Threshold":
            zero = np.zeros(self.shape)
            threshold = self.values["threshold"]
            gate = LIF(alpha=zero, beta=zero, threshold=threshold, reset="none", reset_delay=False)
            return np.ones(self.shape), gate
        if self.reading.neuron == "substep" and self.kind == "LIF":
            return self._substep()
        if self.kind in ("IF", "I"):
            gain, beta = self.values["r"] * self.reading.step_if, np.ones(self.shape)
            return self._near_one(gain), self._lif(np.zeros(self.shape), beta)
        which = self.reading.leak_gain if self.kind == "LI" else self.reading.gain
        if not self.kind.startswith("Cuba"):
            beta, gain = self._decay("tau", which, "r")
            return self._near_one(gain), self._lif(np.zeros(self.shape), beta)
        beta, gain = self._decay("tau_mem", which, "r")
        alpha, current = self._decay("tau_syn", self.reading.current_gain, "w_in")
        return self._near_one(gain * current), self._lif(alpha, beta)

    def _lif(self, alpha: Float, beta: Float) -> LIF:
        reading, fires = self.reading, "v_threshold" in self.values
        reset, late = self._reset() if fires else ("none", False)
        said = self.values.get("v_reset", np.zeros(self.shape))
        v_reset = said if np.isnan(reading.v_reset) else np.full(self.shape, reading.v_reset)
        shift = v_reset if reset == "zero" else np.zeros(self.shape)
        threshold = self.values.get("v_threshold", np.full(self.shape, np.inf)) - shift
        leak = self.values.get("v_leak", np.zeros(self.shape))
        if fires and (threshold < 0).any() and reset == "zero":
            raise ModelError("v_reset lies above v_threshold: a spike would never end")
        if fires and reset == "zero" and reading.spike != "above" and not (threshold > 0).all():
            raise ModelError("v_reset is v_threshold: a spike at the threshold would never end")
        starts = {"zero": np.zeros(self.shape), "leak": leak, "reset": v_reset}
        multiple = fires and reading.spike == "multiple"
        if multiple and not (threshold > 0).all():
            raise ModelError(f"v_threshold = {threshold.min():g}, must be above 0 for several spikes a tick")
        return LIF(
            alpha=alpha,
            beta=beta,
            threshold=threshold,
            reset=reset,  # type: ignore[arg-type]  # LIF checks it
            reset_delay=late,
            inclusive=fires and reading.spike != "above",
            multiple=multiple,
            drive=_scalar((1 - beta) * (leak - shift)),
            start_v=_scalar(starts[reading.start] - shift),
            floor=_scalar(reading.floor - shift),
        )

    def _reset(self) -> tuple[str, bool]:
        reading, cuba = self.reading, self.kind.startswith("Cuba")
        reset = reading.current_reset if cuba and reading.current_reset else reading.reset
        whole = reading.leaky_blind or cuba or self.looped
        late = reading.reset_delay and reset != "once" and (reset != "zero" or whole)
        return reset, late and reset != "none"

    def _decay(self, field: str, which: Gain, factor: str) -> tuple[Float, Float]:
        """What is kept in a tick of that time constant (α or β), and what one unit of input adds."""
        kept, ticks = self._retention(field), self.reading.dt / self.values[field]
        lost = ticks if self.reading.decay == "euler" else -np.expm1(-ticks)
        gains: Mapping[Gain, Callable[[], Float]] = {
            "file": lambda: self.values[factor] * lost,
            "one": lambda: np.ones(self.shape),
            "lost": lambda: lost,
            "kept": lambda: kept,
        }
        return kept, gains[which]()

    def _retention(self, field: str) -> Float:
        tau, dt = self.values[field], self.reading.dt
        if self.reading.decay == "exponential":
            self._lasts(field)
            return np.exp(-dt / tau)
        kept = np.round((1.0 - dt / tau) * GRAIN) / GRAIN
        if self.single:  # a tau of dt itself may lie a rounding below it
            kept = np.where(np.abs(kept) < 1e-6, 0.0, kept)
        if (kept < 0).any():
            raise ModelError(
                f"{field} = {tau.min():g} s is less than a tick of dt = {dt:g} s, and no Euler step",
                hint=ANOTHERS,
            )
        if self.single and self.reading.retention == "float32":
            kept = kept.astype(np.float32).astype(np.float64)
        return kept

    def _lasts(self, field: str) -> None:
        """A time constant is not so short that a tick leaves nothing; raises ``ModelError``."""
        tau, dt = self.values[field], self.reading.dt
        if (tau < dt / SHORTEST).any():
            raise ModelError(
                f"{field} = {tau.min():g} s: nothing is kept for a tick of dt = {dt:g} s", hint=ANOTHERS
            )

    def _near_one(self, gain: Float) -> Float:
        """Gains of 1 that went through divisions are 1 again."""
        eps = np.finfo(np.float32 if self.single else np.float64).eps
        return np.where(np.abs(gain - 1) <= 8 * eps, 1.0, gain)

    def _substep(self) -> tuple[Float, Node]:
        reading, threshold = self.reading, self.values["v_threshold"]
        self._lasts("tau")
        if not (threshold > 0).all():
            raise ModelError(f"v_threshold = {threshold.min():g}, must be above 0")
        neuron = SubstepLIF(
            tau=self.values["tau"] / reading.dt,
            refractory=reading.tau_ref / reading.dt,
            floor=reading.floor,
        )
        return self.values["r"] / threshold, neuron


def expect(found: Found, producer: Producer, reading: Reading) -> None:
    """The fields are those that the producer's exporter writes.

    Raises:
        ModelError: one is not: the file is not of this producer, or its dt is another.
    """
    for key, formulas in producer.expects.items():
        kind, _, name = key.rpartition(".")
        if name in found.values and kind in ("", found.kind):
            _written(name, np.asarray(found[name], dtype=np.float64), formulas, found, reading)
    for name in ("tau", "tau_mem", "tau_syn"):
        longest = float(np.max(found.values.get(name, 0.0))) * reading.tau_scale
        if producer.longest and longest > producer.longest:
            raise ModelError(
                f"{name} comes to {longest:g} s, which is taken for an error of reading", hint=ANOTHERS
            )


def _written(name: str, value: Float, formulas: str, found: Found, reading: Reading) -> None:
    worked_out = {f: FORMULAS[f](found.values, reading) for f in formulas.split(" or ")}
    wanted = {formula: result for formula, result in worked_out.items() if result is not None}
    if wanted and not any(np.allclose(value, result, rtol=NEAR, atol=1e-9) for result in wanted.values()):
        texts = [
            formula if formula in "01" else f"{formula} = {np.ravel(result)[0]:g}"
            for formula, result in wanted.items()
        ]
        raise ModelError(
            f"{name} = {np.ravel(value)[0]:g}, where its producer writes {' or '.join(texts)}", hint=ANOTHERS
        )


def _tau(values: Mapping[str, Any], field: str = "tau") -> Any:
    tau = values.get(field, values.get("tau_mem") if field == "tau" else None)
    return None if tau is None else np.asarray(tau, dtype=np.float64)


def _of_tau(
    formula: Callable[[Any, float], Any], field: str = "tau"
) -> Callable[[Mapping[str, Any], Reading], Any]:
    def worked_out(values: Mapping[str, Any], reading: Reading) -> Any:
        tau = _tau(values, field)
        return None if tau is None else formula(tau * reading.tau_scale, reading.dt)

    return worked_out


FORMULAS: Mapping[str, Callable[[Mapping[str, Any], Reading], Any]] = {
    "0": lambda values, reading: 0.0,
    "1": lambda values, reading: 1.0,
    "1/dt": lambda values, reading: 1 / reading.dt,
    "tau/dt": _of_tau(lambda tau, dt: tau / dt),
    "tau_syn/dt": _of_tau(lambda tau, dt: tau / dt, "tau_syn"),
    "1-dt/tau": _of_tau(lambda tau, dt: 1 - dt / tau),
    "tau*exp(-dt/tau)/dt": _of_tau(lambda tau, dt: tau * np.exp(-dt / tau) / dt),
}
"""What an exporter may write into a field; ``None`` where the node has not what the formula needs."""


def _scalar(values: Float) -> Float | float:
    """One number where all are the same."""
    return float(values.flat[0]) if (values == values.flat[0]).all() else values
