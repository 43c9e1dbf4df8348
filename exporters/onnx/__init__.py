"""Policies and programs as ONNX files: see docs/onnx.md."""

from exporters.onnx.exporter import OnnxExporter

__all__ = ["OnnxExporter"]
