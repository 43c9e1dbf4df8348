"""strl report: one self-contained HTML page of runs and comparisons."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="directory of strl run -o or strl compare -o, or a file of their --json; "
        "spikes are shown for comparisons, and runs with --trace DIR/trace.npz",
    )
    parser.add_argument("-o", "--output", metavar="FILE", default="report.html", help="default: report.html")
    parser.add_argument("--bundle", metavar="DIR", help="show how full its cores are")
    parser.add_argument("--title", default="strl report", help="heading of the page")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Write the page and say where it lies."""
    from dataclasses import replace
    from pathlib import Path

    from strl.cli.output import emit, say
    from strl.report.page import write
    from strl.report.source import chapters, cores

    found = chapters([Path(name) for name in args.runs])
    if args.bundle is not None:
        from strl.loop.subject import resolve

        found[0] = replace(found[0], cores=cores(resolve(args.bundle).compiled()))
    path = write(Path(args.output), found, title=args.title)
    if args.json:
        emit({"report": str(path), "chapters": [c.title for c in found], "bytes": path.stat().st_size})
    else:
        say(f"{path}: {len(found)} {'chapter' if len(found) == 1 else 'chapters'}, open it in any browser")
    return 0
