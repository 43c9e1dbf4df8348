"""Arrays of numbers on disk: read with a bound and without pickle, written all or nothing."""

from __future__ import annotations

import io
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from strl.errors import UsageError
from strl.files import check_replaceable, regular

BYTES_MAX = 1 << 30
"""Bytes of an array that is read."""
HEADER_MAX = 4096
lib: Any = np.lib.format
READERS = {(1, 0): lib.read_array_header_1_0, (2, 0): lib.read_array_header_2_0}
AXES_MAX = 8


def read_array(path: Path) -> NDArray[np.float64]:
    """The numbers of a ``.npy`` file, in double precision.

    Raises:
        UsageError: it is no such file, too large, of another type than numbers, or holds one that is not
            finite; says which.
    """
    try:
        with open(path, "rb", opener=regular) as file:
            return _checked(_array(file, os.fstat(file.fileno()).st_size, path), path)
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror or problem}") from problem


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """One array as ``.npy``, or several by name as ``.npz``; complete or not there.

    Raises:
        UsageError: it cannot be written, or several are to go into a ``.npy`` file.
    """
    check_file(path)
    buffer = io.BytesIO()
    if path.suffix == ".npz":
        np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    elif len(arrays) == 1:
        np.save(buffer, next(iter(arrays.values())), allow_pickle=False)
    else:
        raise UsageError(
            f"{path}: there are {len(arrays)} outputs ({', '.join(arrays)}), and a .npy file holds one",
            hint="choose one with --node, or name a .npz file",
        )
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, path)
    except OSError as problem:
        raise UsageError(f"{path}: cannot be written: {problem.strerror or problem}") from problem
    finally:
        temporary.unlink(missing_ok=True)


def check_file(path: Path) -> None:
    """Raises UsageError where ``path`` is no name, or no place, for a ``.npy`` or ``.npz`` file."""
    check_replaceable(path)
    if path.suffix not in (".npy", ".npz"):
        raise UsageError(f"{path}: is not the name of a .npy or .npz file", hint=f"name it {path.name}.npy")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: cannot be written: there is no folder {path.parent}", hint="make it first")


def _array(file: BinaryIO, size: int, path: Path) -> NDArray[Any]:
    try:
        shape, fortran, dtype = READERS[lib.read_magic(file)](file, max_header_size=HEADER_MAX)
    except (ValueError, KeyError, TypeError, SyntaxError) as problem:
        raise UsageError(f"{path}: is not a .npy file: {problem}", hint="write it with numpy.save") from None
    if dtype.kind not in "biuf" or dtype.hasobject:
        raise UsageError(f"{path}: holds {dtype}, must be real numbers")
    count = math.prod(shape)
    if len(shape) > AXES_MAX or count * 8 > BYTES_MAX:
        raise UsageError(f"{path}: has shape {shape}; at most {BYTES_MAX // 8} numbers are read")
    if size - file.tell() != count * dtype.itemsize:
        raise UsageError(f"{path}: is damaged: {size - file.tell()} bytes for shape {shape} of {dtype}")
    values = np.frombuffer(file.read(count * dtype.itemsize), dtype=dtype)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


def _checked(values: NDArray[Any], path: Path) -> NDArray[np.float64]:
    array = np.ascontiguousarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise UsageError(f"{path}: holds a value that is not finite")
    return array.reshape(values.shape)
