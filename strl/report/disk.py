"""A page or a picture on disk: whole, or not there."""

from __future__ import annotations

from pathlib import Path

from strl.errors import StrlError
from strl.files import write_bytes


def write_text(path: Path, text: str, what: str) -> Path:
    """Write ``text`` beside ``path`` first and then rename it, so that it is there whole or not at all.

    Args:
        what: is written, for the error.

    Raises:
        UsageError: as ``check_replaceable``.
        StrlError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text.encode())
    except OSError as error:
        raise StrlError(f"{path}: {what} cannot be written: {error.strerror or error}") from error
    return path
