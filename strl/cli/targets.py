"""strl targets: what can be exported to, which chips there are, what runs programs."""

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
    }
    if args.json:
        emit(found)
        return 0
    for what, names in found.items():
        say(f"{what:<10}{', '.join(names)}")
    return 0
