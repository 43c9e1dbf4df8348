"""--producer and --assume: who wrote a file that is not ours."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from strl.loop.subject import Subject


def add_reading(parser: argparse.ArgumentParser) -> None:
    """The two arguments."""
    parser.add_argument(
        "--producer",
        metavar="NAME[:OPTION=VALUE,…]",
        help="who wrote a .nir file that has no manifest of ours (docs/nir.md lists them), or its TOML file",
    )
    parser.add_argument(
        "--assume",
        metavar="NAME[:OPTION=VALUE,…]",
        help="the same where nothing says so; what is made of it carries a warning",
    )


def add_stream(parser: argparse.ArgumentParser) -> None:
    """What a bare network takes on a chip, and which of its outputs is kept."""
    parser.add_argument("--node", metavar="NAME", help="the output to keep, where there are several")
    parser.add_argument(
        "--input-bits", type=int, metavar="N", help="of an input value on a chip (what loses nothing, or 12)"
    )
    parser.add_argument(
        "--input-unit", type=float, metavar="U", help="the value of level 1 (a power of two that fits)"
    )


def subject_of(args: argparse.Namespace) -> Subject:
    """What the command is about."""
    from strl.loop.subject import resolve

    name = args.subject if hasattr(args, "subject") else args.policy
    return resolve(name, producer=args.producer, assume=args.assume)


def warnings_of(subject: Subject) -> tuple[str, ...]:
    """What was taken for granted when its file was read."""
    origin = subject.artefact.proof.get("origin", {})
    return tuple(str(warning) for warning in origin.get("warnings", ()))
