"""Files on disk: read with a bound, written all or nothing, JSON in one canonical form."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from strl.errors import BundleError, StrlError
from strl.files import check_replaceable, regular

MANIFEST_MAX = 4 << 20
"""Bytes of a manifest; a larger one is taken for damaged."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read(path: Path, limit: int, error: type[StrlError]) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes; ``error`` is raised for anything else."""
    try:
        with open(path, "rb", opener=regular) as file:
            size = os.fstat(file.fileno()).st_size
            if size > limit:
                raise error(f"{path}: has {size} bytes, at most {limit} are read")
            return file.read(limit)
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror or problem}") from problem


def to_json(value: Any, error: type[StrlError]) -> bytes:
    """Canonical JSON: the same bytes for the same value."""
    try:
        text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
        return (text + "\n").encode()
    except (TypeError, ValueError) as problem:
        raise error(f"manifest: {problem}", hint="semantics and codecs are plain, finite data") from problem


def own_digest(manifest: Mapping[str, Any], error: type[StrlError]) -> str:
    """What a manifest's entry ``digest`` has to be: the SHA-256 of it without that entry."""
    return sha256(to_json({key: value for key, value in manifest.items() if key != "digest"}, error))


def from_json(data: bytes, where: object, error: type[StrlError]) -> dict[str, Any]:
    """The JSON object in ``data``, whose numbers are finite and whose integers have at most 64 bits."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse, parse_int=_integer, parse_float=_number)
    except (ValueError, RecursionError) as problem:
        raise error(f"{where}: is not JSON: {problem}") from problem
    if not isinstance(value, dict):
        raise error(f"{where}: holds a {type(value).__name__}, must be an object")
    return value


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: each complete or not there, the last of the mapping last.

    Raises:
        BundleError: one cannot be written, the disk being full, say; nothing is left behind.
        UsageError: one has the name of what is not a regular file.
    """
    for path in files:
        check_replaceable(path)
    made: list[tuple[Path, Path]] = []
    try:
        for path, data in files.items():
            with _told(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
                made.append((temporary, path))
                with temporary.open("xb") as file:
                    _flush(file, data)
        for temporary, path in made:
            with _told(path):
                os.replace(temporary, path)
    finally:
        for temporary, _ in made:
            temporary.unlink(missing_ok=True)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make ``folder`` hold exactly ``files``, in one rename; what was there before is gone only then.

    Raises:
        BundleError: it cannot be written; what was there is there still, and nothing else is.
        UsageError: neither a folder, a link to one, nor a regular file has that name.
    """
    if not folder.is_dir():
        check_replaceable(folder)
    with _told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with _told(folder):
            fresh = beside / "new"
            fresh.mkdir()
            for name, data in files.items():
                with open(fresh / name, "wb") as file:
                    _flush(file, data)
            _swap(fresh, folder, beside / "old")
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _swap(fresh: Path, folder: Path, old: Path) -> None:
    if not os.path.lexists(folder):
        os.rename(fresh, folder)
        return
    os.rename(folder, old)
    try:
        os.rename(fresh, folder)
    except BaseException:
        with suppress(OSError):
            os.rename(old, folder)
        raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise BundleError(
            f"{path}: cannot be written: {problem.strerror or problem}",
            hint="nothing was left behind; make room, or name another place with -o",
        ) from problem


def _flush(file: Any, data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(value := int(digits)) >= 1 << 63:
        raise ValueError(f"{digits:.20}… has more than 64 bits")
    return value


def _number(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError(f"{digits:.20} is no finite number")
    return value
