"""Codec parts in ONNX: the same double-precision operations in the same order as ``strl.codecs``.

A part that is not here is refused by name. Random numbers are an input of the model, ``draws``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from exporters.onnx.graph import BATCH, Body, Port
from strl.codecs import Argmax, Direct, Latency, LinearArgmax, Population, Rate, SignSplit, Tanh
from strl.codecs.base import Decoder, Encoder
from strl.codecs.population import THRESHOLD
from strl.codecs.scaled import GRID, Scaled
from strl.errors import ModelError

OBSERVATION, DRAWS, READOUT, ACTION = "observation", "draws", "readout", "action"

Encode = Callable[[Body, Any, str, int], str]
"""(body, encoder, clipped observation [batch, features], T) → levels [T, batch, size], double."""


def inputs(encoder: Encoder, features: tuple[int, ...], ticks: int) -> tuple[Port, ...]:
    """What the host gives in every decision."""
    found = (Port(name=OBSERVATION, dtype=np.float64, shape=(BATCH, *features)),)
    if isinstance(encoder, Rate) and encoder.random:
        return *found, Port(name=DRAWS, dtype=np.float64, shape=(ticks, BATCH, encoder.size))
    return found


def encode(b: Body, encoder: Encoder, ticks: int) -> str:
    """Observations → levels [T, batch, size], double; the observation's range is kept as the encoder does.

    Raises:
        ModelError: the encoder has no form in ONNX.
    """
    form = ENCODE.get(type(encoder))
    if form is None or not isinstance(encoder, Scaled):
        raise ModelError(f"encoder {encoder.kind!r}: has no form in ONNX, only {_known(ENCODE)}")
    low = b.weight("encoder.low", encoder.low, np.float64)
    high = b.weight("encoder.high", encoder.high, np.float64)
    flat = b.reshape(OBSERVATION, (0, -1))
    return form(b, encoder, b.op("Min", b.op("Max", flat, low), high), ticks)


def _direct(b: Body, encoder: Direct, x: str, ticks: int) -> str:
    off = b.op("Sub", x, b.weight("encoder.middle", encoder._middle, np.float64))
    level = b.op("Round", b.op("Mul", off, b.weight("encoder.factor", encoder._factor, np.float64)))
    return _every(b, level, ticks)


def _latency(b: Body, encoder: Latency, x: str, ticks: int) -> str:
    late = b.op("Sub", b.constant(1.0, np.float64), _fractions(b, encoder, x))
    at = b.op("Round", b.op("Mul", late, b.constant(float(ticks - 1), np.float64)))
    return b.cast(b.op("Equal", _ticks(b, np.arange(ticks)), at), np.float64)


def _population(b: Body, encoder: Population, x: str, ticks: int) -> str:
    fraction = b.op("Unsqueeze", _fractions(b, encoder, x), b.constant([2], np.int64))
    distance = b.op("Sub", fraction, b.weight("encoder.centres", encoder._centres, np.float64))
    square = b.op("Mul", distance, distance)
    drive = b.op("Exp", b.op("Mul", square, b.constant(encoder._sharpness, np.float64)))
    return _accumulate(b, b.reshape(drive, (0, encoder.size)), ticks, THRESHOLD)


def _rate(b: Body, encoder: Rate, x: str, ticks: int) -> str:
    rate = _fractions(b, encoder, x)
    if encoder.random:
        return b.cast(b.op("Less", DRAWS, rate), np.float64)
    return _accumulate(b, rate, ticks, 1.0)


def _sign_split(b: Body, encoder: SignSplit, x: str, ticks: int) -> str:
    column = b.op("Unsqueeze", x, b.constant([2], np.int64))
    part = b.op("Div", column, b.weight("encoder.bound", encoder._bound, np.float64))
    positive = b.op("Max", part, b.constant(0.0, np.float64))
    return _accumulate(b, b.reshape(positive, (0, encoder.size)), ticks, 1.0)


ENCODE: Mapping[type[Encoder], Encode] = {
    Direct: _direct,
    Latency: _latency,
    Population: _population,
    Rate: _rate,
    SignSplit: _sign_split,
}


def _fractions(b: Body, encoder: Scaled, x: str) -> str:
    span = b.weight("encoder.span", encoder._span, np.float64)
    return b.op("Div", b.op("Sub", x, "encoder.low"), span)


def _accumulate(b: Body, drive: str, ticks: int, threshold: float) -> str:
    """``strl.codecs.scaled.accumulate``: whole spikes after each tick, less those before it."""
    rate = b.op("Mul", drive, b.constant(1.0 / threshold, np.float64))
    rate = b.op("Min", rate, b.constant(1.0, np.float64))
    whole = b.op("Round", b.op("Mul", rate, b.constant(GRID, np.float64)))
    rate = b.op("Mul", whole, b.constant(1.0 / GRID, np.float64))
    after, before = (b.op("Floor", b.op("Mul", _ticks(b, np.arange(ticks) + k), rate)) for k in (1, 0))
    return b.op("Sub", after, before)


def _ticks(b: Body, values: Any) -> str:
    return b.constant(np.asarray(values, np.float64).reshape(-1, 1, 1), np.float64)


def _every(b: Body, level: str, ticks: int) -> str:
    return b.op("Add", b.op("Unsqueeze", level, b.constant([0], np.int64)), _ticks(b, np.zeros(ticks)))


def decode(b: Body, decoder: Decoder, readout: str, ticks: int) -> Port:
    """The read-out [batch, size], double → the action, under that name.

    Raises:
        ModelError: the decoder has no form in ONNX.
    """
    if isinstance(decoder, Argmax):
        values = readout
        if decoder.per_action > 1:
            groups = b.reshape(readout, (0, decoder.actions, decoder.per_action))
            values = b.op("ReduceSum", groups, b.constant([2], np.int64), keepdims=0)
        return _largest(b, values, decoder.first)
    if isinstance(decoder, LinearArgmax):
        return _largest(b, _mapped(b, _rates(b, decoder.rates, readout, ticks), decoder), decoder.first)
    if isinstance(decoder, Tanh):
        return _squashed(b, decoder, readout, ticks)
    raise ModelError(f"decoder {decoder.kind!r}: has no form in ONNX, only argmax, linear and tanh")


def _largest(b: Body, values: str, first: int) -> Port:
    best = b.op("ArgMax", values, axis=1, keepdims=0)
    b.op("Add", best, b.constant(first, np.int64), out=ACTION)
    return Port(name=ACTION, dtype=np.int64, shape=(BATCH,))


def _squashed(b: Body, decoder: Tanh, readout: str, ticks: int) -> Port:
    values = _rates(b, decoder.rates, readout, ticks)
    if decoder._weight is not None:
        values = _mapped(b, values, decoder)
    share = b.op("Add", b.op("Tanh", values), b.constant(1.0, np.float64))
    reach = b.op("Mul", share, b.weight("decoder.half", decoder._half, np.float64))
    action = b.op("Add", b.weight("decoder.low", decoder._low, np.float64), reach)
    single = b.cast(action, np.float32)
    b.op("Reshape", single, b.constant([0, *decoder.shape], np.int64), out=ACTION)
    return Port(name=ACTION, dtype=np.float32, shape=(BATCH, *decoder.shape))


def _rates(b: Body, rates: bool, readout: str, ticks: int) -> str:
    return b.op("Div", readout, b.constant(float(ticks), np.float64)) if rates else readout


def _mapped(b: Body, values: str, decoder: LinearArgmax | Tanh) -> str:
    weight = b.weight("decoder.weight", decoder._weight, np.float64)
    product = b.op("Mul", b.op("Unsqueeze", values, b.constant([1], np.int64)), weight)
    total = b.op("ReduceSum", product, b.constant([2], np.int64), keepdims=0)
    return b.op("Add", total, b.weight("decoder.bias", decoder._bias, np.float64))


def _known(table: Mapping[type[Any], Any]) -> str:
    return ", ".join(sorted(kind.kind for kind in table))
