"""strl doctor: check the installation and name what mends it."""

from __future__ import annotations

import argparse
import dataclasses

from strl.cli.output import emit, note, say

MARKS = {"ok": "ok", "missing": "MISSING", "problem": "PROBLEM"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.epilog = (
        "Exit codes: 0 nothing needed is missing and every installed backend gives the defined spikes; "
        "6 an installed backend fails; 1 anything else that is needed is missing or wrong."
    )


def run(args: argparse.Namespace) -> int:
    from strl.doctor import Check, examine, exit_code

    if not args.json:
        note("checking; backends run a small program each, which takes some seconds")
    found: list[Check] = []
    for check in examine():
        found.append(check)
        if not args.json:
            optional = "" if check.needed or check.status == "ok" else " (optional)"
            say(f"{MARKS[check.status]:8} {check.part:22} {check.found}{optional}")
    checks = tuple(found)
    code = exit_code(checks)
    wrong = [c for c in checks if c.status != "ok"]
    if args.json:
        emit({"ok": code == 0, "checks": [dataclasses.asdict(c) for c in checks]})
        return code
    for check in wrong:
        say(f"\n{check.part}: {check.found}\n  mend: {check.mend}")
    say("\nall is well" if not wrong else f"\n{len(wrong)} of {len(checks)} parts want mending")
    return code
