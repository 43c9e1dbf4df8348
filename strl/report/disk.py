"""A page or a picture on disk: whole, or not there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from strl.errors import StrlError
from strl.files import check_replaceable


def write_text(path: Path, text: str, what: str) -> Path:
    """Write ``text`` beside ``path`` first and then rename it, so that it is there whole or not at all.

    Args:
        what: is written, for the error.

    Raises:
        UsageError: as ``check_replaceable``.
        StrlError: it cannot be written.
    """
    check_replaceable(path)
    beside = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, "utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StrlError(f"{path}: {what} cannot be written: {error.strerror or error}") from error
    return path
