"""Programs as ``.net`` files, which lava-dl loads onto Loihi: see docs/netx.md."""

from exporters.netx.exporter import NetxExporter

__all__ = ["NetxExporter"]
