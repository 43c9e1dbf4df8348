"""Functions compiled by numba, and kept on disk."""

# mypy: ignore-errors

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

SOURCES = sorted(Path(__file__).parent.glob("*.py"))
STAMP = hashlib.sha256(b"".join(path.read_bytes() for path in SOURCES)).hexdigest()
"""Of all that a compiled function may be made of; numba itself asks only for the file it stands in."""


def compiled(function: Callable[..., Any]) -> Any:
    """``function`` compiled, from numba's cache on disk where there is a folder for one.

    It allocates nothing and counts no references to arrays (``_nrt``), which would take it longer than the
    work on a small network.
    """
    try:
        dispatcher = numba.njit(cache=True, nogil=True, _nrt=False)(function)
    except RuntimeError:  # numba: "no locator available", where neither folder it would use is writable
        return numba.njit(nogil=True, _nrt=False)(function)
    save = dispatcher._cache.save_overload

    def save_if_possible(*compilation):
        with contextlib.suppress(OSError):  # a full disk costs the cache, not the run
            save(*compilation)

    dispatcher._cache.save_overload = save_if_possible
    dispatcher._cache._cache_file._source_stamp = STAMP
    return dispatcher


def part(function: Callable[..., Any]) -> Any:
    """A function that stands apart to be read, and is put into those that call it by the compiler."""
    return numba.njit(nogil=True, forceinline=True, _nrt=False)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """A function that takes or answers vectors, put into those that call it before anything is compiled.

    Handed over in many registers, part of a vector arrives wrong (seen with LLVM 22 and 64 lanes).
    """
    return numba.njit(inline="always")(function)
