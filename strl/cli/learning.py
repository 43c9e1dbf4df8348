"""What the commands that train have in common: their arguments, and what they say in the end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strl.training.train import Trained


def add(parser: argparse.ArgumentParser) -> None:
    """Seed, length, output and ``--json``."""
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of everything (default: 0)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of imitation")
    parser.add_argument("--updates", type=int, metavar="N", help="gradient steps a round")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the checkpoint to write")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Those of the arguments that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def learn(
    args: argparse.Namespace,
    start: Callable[[Path, str], Trained],
    *,
    what: Mapping[str, Any],
    returned: str,
    then: str | None,
) -> int:
    """Train, or go on where it was interrupted, and say what came of it.

    Args:
        args: of ``add``.
        start: trains, given the output and the command for the record.
        what: entries of the JSON object beside the returns.
        returned: which return is said; ``{}`` stands for it.
        then: the command to go on with, before the policy's name; ``None`` where there is none.
    """
    from strl.cli.output import emit, say
    from strl.loop.statistics import iqm
    from strl.training.train import command_line

    output = Path(args.output)
    done = start(output, command_line(sys.argv[1:], output))
    value, mean = iqm(done.test), float(done.test.mean())
    if args.json:
        test = {"episodes": len(done.test), "iqm": value, "mean": mean}
        emit(
            {
                "policy": str(done.path),
                **what,
                "seed": args.seed,
                "validation_mean": done.validation,
                "test": test,
            }
        )
    else:
        say(f"{done.path}: {returned.format(f'{value:.6g}')} over {len(done.test)} test seeds")
        if then is not None:
            say(f"next: strl {then} {done.path}")
    return 0
