"""Programs in onnxruntime: the integer file that target ``onnx`` makes, run."""

from hardware_sims.onnx.backend import OnnxBackend

__all__ = ["OnnxBackend"]
