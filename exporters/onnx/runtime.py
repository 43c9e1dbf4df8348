"""onnxruntime, for those who have it: the extra ``onnx``."""

from __future__ import annotations

import importlib.util
from typing import Any

from strl.errors import BackendError


def available() -> bool:
    """True where onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


def session(data: bytes) -> Any:
    """An ``InferenceSession`` on one thread of the CPU, so that every run adds in the same order.

    Raises:
        BackendError: onnxruntime is missing, or refuses the model.
    """
    if not available():
        raise BackendError("the package onnxruntime is missing", hint="pip install 'strl[onnx]'")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BackendError(f"onnxruntime refuses the model: {error!s:.300}") from error
