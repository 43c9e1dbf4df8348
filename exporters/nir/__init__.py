"""Networks as NIR files, and back: see ``encode``, ``scan`` and ``decode``."""

from exporters.nir.decode import decode
from exporters.nir.encode import describe, encode
from exporters.nir.exporter import NirExporter
from exporters.nir.scan import scan

__all__ = ["NirExporter", "decode", "describe", "encode", "scan"]
