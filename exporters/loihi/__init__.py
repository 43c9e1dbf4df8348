"""Bundles: programs for Loihi-style chips on disk."""

from exporters.loihi.exporter import LoihiExporter

__all__ = ["LoihiExporter"]
