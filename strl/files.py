"""What may be read and written where: the one rule for every file, whoever put it there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from strl.errors import UsageError


def regular(path: str, flags: int) -> int:
    """An ``opener`` for ``open`` that takes regular files only: a named pipe would hold us for ever.

    Raises:
        OSError: it cannot be opened, or is a folder, a device, a pipe or a socket.
    """
    try:
        file = os.open(path, flags | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a socket, or a pipe to write to that nobody reads
            raise
    else:
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    raise OSError(errno.EINVAL, "it is not a regular file", path)


def read_bytes(path: Path) -> bytes:
    """All of a regular file; raises OSError as ``regular``."""
    with open(path, "rb", opener=regular) as file:
        return file.read()


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside ``path`` first and then rename it, so that it is there whole, on the disk, or not at all.

    Raises:
        UsageError: as ``check_replaceable``.
        OSError: it cannot be written; what was there is there still.
    """
    check_replaceable(path)
    beside = path.with_name(path.name + ".part")
    with open(beside, "wb", opener=regular) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def check_replaceable(path: Path) -> None:
    """A file is made where nothing is, or takes the place of a regular file.

    A rename puts a file in the place of whatever bears the name, a device of the machine too.

    Raises:
        UsageError: a folder, a device, a pipe, a socket or a link has that name, or ``path`` names nothing.
    """
    if not path.name or path.is_dir():
        raise UsageError(f"{path}: cannot be written: it is a folder", hint="name a file")
    try:
        mode = os.lstat(path).st_mode
    except OSError:  # nothing is there, or the writing itself will say why it cannot be looked at
        return
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path}: cannot be written: it is not a regular file", hint="name another file")
