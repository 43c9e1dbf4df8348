"""Values that are what they contain: read-only arrays, equality and digests by content."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray


def readonly(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """A C-ordered array of ``dtype`` that nobody can write to; copies unless it already is one."""
    array = np.asarray(values)
    if array.dtype == dtype and array.flags.c_contiguous and not array.flags.writeable:
        return array
    array = np.array(array, dtype=dtype, order="C", copy=True)
    array.flags.writeable = False
    return array


def digest(value: Any) -> str:
    """SHA-256 (hex) of a value made of dataclasses, arrays, mappings, sequences and scalars.

    The same on every machine: numbers go in by value, arrays by dtype, shape and little-endian
    bytes, mappings in sorted key order.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()


def plain(value: Any) -> Any:
    """``value`` as JSON reads it back: tuples and arrays as lists, mappings as dicts, no numpy."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [plain(entry) for entry in value] if isinstance(value, tuple | list) else value


class Content:
    """Mixin for frozen dataclasses that hold arrays: equal and hashed by content."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        return digest(self) == digest(other)

    def __hash__(self) -> int:
        return int(digest(self)[:15], 16)


def _feed(hasher: Any, value: Any) -> None:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hasher.update(f"<{type(value).__name__}".encode())
        for field in dataclasses.fields(value):
            if field.compare:
                hasher.update(f".{field.name}=".encode())
                _feed(hasher, getattr(value, field.name))
        hasher.update(b">")
    elif isinstance(value, np.ndarray):
        little = value.astype(value.dtype.newbyteorder("<"), order="C", copy=False)
        hasher.update(f"[{little.dtype.str}{little.shape}".encode())
        hasher.update(little.tobytes())
    elif isinstance(value, Mapping):
        hasher.update(b"{")
        for key in sorted(value):
            hasher.update(f"{key!r}:".encode())
            _feed(hasher, value[key])
        hasher.update(b"}")
    elif isinstance(value, list | tuple):
        hasher.update(b"(")
        for item in value:
            _feed(hasher, item)
        hasher.update(b")")
    elif isinstance(value, slice):
        _feed(hasher, ("slice", value.start, value.stop, value.step))
    elif value is None or isinstance(value, bool | int | float | str):
        hasher.update(f"{value!r};".encode())
    else:
        raise TypeError(f"cannot digest a {type(value).__name__}")
