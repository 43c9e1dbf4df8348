"""Codecs: observations to spikes, read-outs to actions."""

from strl.codecs.base import DECODERS, ENCODERS, Decoder, Encoder, decoder, encoder

__all__ = ["DECODERS", "ENCODERS", "Decoder", "Encoder", "decoder", "encoder"]
