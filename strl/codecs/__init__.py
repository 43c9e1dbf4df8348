"""Codecs: observations to spikes, read-outs to actions."""

from strl.codecs.base import DECODERS, ENCODERS, Decoder, Encoder, decoder, encoder
from strl.codecs.decoders import Argmax, LinearArgmax, Tanh
from strl.codecs.default import default_codec, default_decoder, measured_ranges, ranges
from strl.codecs.direct import Direct
from strl.codecs.latency import Latency
from strl.codecs.population import Population
from strl.codecs.rate import Rate
from strl.codecs.sign_split import SignSplit
from strl.codecs.stream import Stream

__all__ = [
    "DECODERS",
    "ENCODERS",
    "Argmax",
    "Decoder",
    "Direct",
    "Encoder",
    "Latency",
    "LinearArgmax",
    "Population",
    "Rate",
    "SignSplit",
    "Stream",
    "Tanh",
    "decoder",
    "default_codec",
    "default_decoder",
    "encoder",
    "measured_ranges",
    "ranges",
]
