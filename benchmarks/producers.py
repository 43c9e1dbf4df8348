"""What it costs to read a producer's file by NIR's equations to the letter, instead of as it is meant.

    python -m benchmarks.producers           measure: results/producers.json, the table in docs/nir.md
    python -m benchmarks.producers --json    the same, and what was measured on stdout

For each shared case: the share of output values beyond the case's tolerance, and the largest difference, from
what the producer's own simulator gave; once under its reading, once under the literal one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables
from strl.errors import ModelError
from strl.loop.simulate import simulate_float
from strl.loop.subject import resolve
from strl.testing.cases import Case, cases

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases" / "producers"
RESULTS = ROOT / "results" / "producers.json"
DOCS = ROOT / "docs" / "nir.md"
START, STOP = "<!-- producers: made by `python -m benchmarks.producers` -->", "<!-- end of producers -->"
COLUMNS = ("case", "read as", "differs", "to the letter, as", "differs")


def measure(case: Case) -> dict[str, Any]:
    """Both readings of one case."""
    return {
        "case": case.name,
        "producer": {"reading": case.producer, **_mismatch(case, case.producer)},
        "literal": {"reading": case.literal, **_mismatch(case, case.literal)},
    }


def _mismatch(case: Case, producer: str) -> dict[str, Any]:
    try:
        (found,) = simulate_float(resolve(str(case.graph), producer=producer), case.values).values()
    except ModelError as error:
        return {"refused": error.message.removeprefix(f"{case.graph}: ")}
    difference = np.abs(found - case.wanted)
    return {"share": float((difference > case.tolerance).mean()), "largest": float(difference.max())}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    return tables.table(COLUMNS, [_row(row) for row in rows])


def _row(row: dict[str, Any]) -> list[str]:
    sides = [row["producer"], row["literal"]]
    return [row["case"], *(text for side in sides for text in (f"`{side['reading']}`", _text(side)))]


def _text(side: dict[str, Any]) -> str:
    if "refused" in side:
        return f"refused: {side['refused']}"
    return "nothing" if not side["share"] else f"{side['share']:.1%}, by up to {side['largest']:.3g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all cases; returns the exit code: 1 where a producer's own reading differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="what was measured, on stdout")
    args = parser.parse_args(arguments)
    found = cases(CASES)
    if not found:
        sys.stderr.write(f"{CASES} is not there: nothing to measure\n")
        return 1
    rows = [measure(case) for case in found]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    DOCS.write_text(tables.between(DOCS.read_text(), START, STOP, table(rows)))
    sys.stdout.write((json.dumps(rows, indent=1) if args.json else table(rows)) + "\n")
    return int(any(row["producer"].get("share", 1.0) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
