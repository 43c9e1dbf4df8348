"""Parse, run one command, turn what was raised into a message and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from strl import __version__
from strl.errors import INTERRUPTED, BackendError, StrlError, UsageError
from strl.registry import suggest

COMMANDS = {
    "demo": "export the shipped policy, run it float and on the chip, compare, write the report",
    "train": "train a spiking policy for an environment",
    "tune": "fine-tune a trained policy to weights of fewer bits, in the chip's own integers",
    "export": "turn a policy into a bundle for a chip, or a NIR file",
    "simulate": "run a network open loop: an input for every tick in, its outputs out",
    "run": "drive an environment closed loop and report returns, activity and energy",
    "compare": "the same seeds on two policies or backends, side by side",
    "inspect": "what is in a bundle, and how full the chip is",
    "report": "one self-contained HTML page of a run or comparison",
    "policies": "list the shipped policies",
    "targets": "list what can be exported to, chips and backends",
    "doctor": "check the installation and name what mends it",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:  # closed by who started us: nobody reads what is said there
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as we run
    if sys.stdout is None:
        return _fail("standard output is closed\n  hint: send it to a file or to /dev/null", 1)
    try:
        args = _parse(arguments)
        code = int(args.command_run(args))
        sys.stdout.flush()
        return code
    except StrlError as error:
        return _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "strl").partition(".")[0] == "strl":
            raise  # a fault of ours, not of the installation
        return _fail(f"the package {error.name} is missing\n  hint: make install", BackendError.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output is gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)


def _parse(arguments: list[str]) -> argparse.Namespace:
    first = next((a for a in arguments if not a.startswith("-")), None)
    if first is not None and first not in COMMANDS:
        raise UsageError(f"there is no command {first!r}", hint=suggest(first, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="strl",
        description="Spiking policies from snnTorch to an exact integer program for a Loihi-style chip.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"strl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    wanted = next((a for a in arguments if a in COMMANDS), None)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == wanted:  # only the command that runs is imported
            module = importlib.import_module(f"strl.cli.{name}")
            module.add(sub)
            sub.set_defaults(command_run=module.run)
    return parser.parse_args(arguments)


def _fail(message: str, code: int) -> int:
    print(f"strl: {message}", file=sys.stderr)  # noqa: T201 - this is the command line
    return code
