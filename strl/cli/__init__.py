"""The command line. Each command is one file with ``add`` and ``run``; heavy imports live inside ``run``."""

from strl.cli.main import main

__all__ = ["main"]
