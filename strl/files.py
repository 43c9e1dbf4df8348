"""What may be written where: the one rule for every file that is renamed into its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from strl.errors import UsageError


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
