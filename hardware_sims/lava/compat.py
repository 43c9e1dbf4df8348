"""lava-nc 0.10.0 on the Python and NumPy of today, without a changed file in site-packages.

lava-nc declares Python < 3.11 and NumPy < 2 and is archived, so no fix will come. Three things stand in
the way, and all are mended here:

- ``ByteEncoder`` (lava/magma/compiler/var_model.py) is a mutable dataclass used as a field default, which
  Python ≥ 3.11 refuses: that one class gets ``unsafe_hash`` while lava is imported, then
  ``dataclasses.dataclass`` is itself again;
- lava calls ``multiprocessing.set_start_method("fork")`` when imported, which fails where the method is set:
  the call does nothing where the method is "fork" already;
- ``ReshapePort`` (lava/magma/core/process/ports/ports.py) calls ``np.reshape(newshape=…)``, gone in NumPy
  2.4: its two functions pass the shape by position, for good.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from strl.errors import BackendError

INSTALL = (
    "install it with `make install`, or `pip install --no-deps --ignore-requires-python lava-nc==0.10.0` "
    "and `pip install asteval networkx scikit-learn scipy`"
)


def load() -> None:
    """Make ``import lava.…`` work; cheap when it already does.

    Raises:
        BackendError: lava-nc or something it needs is missing, or multiprocessing cannot fork.
    """
    _require_fork()
    try:
        if not importlib.util.find_spec("lava.magma"):
            raise ModuleNotFoundError("No module named 'lava.magma'")
        with _mended_imports():
            for name in ("compiler.compiler", "runtime.runtime", "core.model.py.connection"):
                importlib.import_module(f"lava.magma.{name}")
    except Exception as error:  # not only ImportError: a newer Python or NumPy may refuse something else
        raise BackendError(f"backend 'lava': lava-nc cannot be imported: {error}", hint=INSTALL) from error
    _mend_reshape()


def _require_fork() -> None:
    method = multiprocessing.get_start_method(allow_none=True)
    if "fork" not in multiprocessing.get_all_start_methods() or method not in (None, "fork"):
        raise BackendError(
            f"backend 'lava': multiprocessing uses {method or 'spawn'!r}, lava-nc needs 'fork'",
            hint="call multiprocessing.set_start_method('fork', force=True) before loading the backend",
        )


@contextmanager
def _mended_imports() -> Iterator[None]:
    plain = dataclasses.dataclass
    set_start_method = multiprocessing.set_start_method

    def dataclass(cls: Any = None, /, **options: Any) -> Any:
        if cls is not None and cls.__name__ == "ByteEncoder":
            options["unsafe_hash"] = True
        return plain(cls, **options)

    def set_unless_set(method: str | None, force: bool = False) -> None:
        # Asking for the method without allow_none would settle it; the first of all is the default.
        default = multiprocessing.get_all_start_methods()[0]
        if (multiprocessing.get_start_method(allow_none=True) or default) != method:
            set_start_method(method, force)

    setattr(dataclasses, "dataclass", dataclass)  # noqa: B010 (mypy knows the name as a function)
    setattr(multiprocessing, "set_start_method", set_unless_set)  # noqa: B010
    try:
        yield
    finally:
        setattr(dataclasses, "dataclass", plain)  # noqa: B010
        setattr(multiprocessing, "set_start_method", set_start_method)  # noqa: B010


def _mend_reshape() -> None:
    ports = importlib.import_module("lava.magma.core.process.ports.ports").ReshapePort
    ports.get_transform_func_fwd = lambda port: functools.partial(_reshape, shape=port.shape)
    ports.get_transform_func_bwd = lambda port: functools.partial(_reshape, shape=port.old_shape)


def _reshape(values: Any, shape: tuple[int, ...]) -> Any:
    return np.reshape(values, shape)
