"""strl targets: what can be exported to, which chips there are, what runs programs, whose files are read."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Print the names."""
    from strl.chip.backend import backends
    from strl.chip.exporter import exporters
    from strl.chip.spec import chips
    from strl.cli.output import emit, say

    found = {
        "targets": list(exporters()),
        "chips": list(chips()),
        "backends": ["float", *backends()],
        "producers": _producers(),
    }
    if args.json:
        emit(found)
        return 0
    for what, names in found.items():
        say(f"{what:<10}{', '.join(names)}")
    return 0


def _producers() -> list[str]:
    """Whose files are read, of all formats that are installed whole."""
    from contextlib import suppress

    from strl.chip.exporter import ForeignReader, exporter, exporters
    from strl.errors import UsageError

    found: set[str] = set()
    for name in exporters():
        with suppress(UsageError):
            format_ = exporter(name)
            found |= set(format_.readings()) if isinstance(format_, ForeignReader) else set()
    return sorted(found)
