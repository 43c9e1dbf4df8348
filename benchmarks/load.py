"""Seconds and memory to load a program of a million synapses.

    python -m benchmarks.load            dense, or: --sparse, --convolved
    python -m benchmarks.load --json     one object

``mb`` counts from the bare interpreter on, before numpy, numba, the compiled kernel and the program itself;
``seconds`` from the finished program to a session that has run once, ``import_seconds`` is before that.
The first time, the kernel is compiled, which takes longer.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description="Cost of loading.")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--sparse", dest="kind", action="store_const", const="sparse", help="a tenth not 0")
    kind.add_argument(
        "--convolved", dest="kind", action="store_const", const="convolved", help="shared weights"
    )
    asked = parser.parse_args(arguments)
    found = measured(asked.kind or "dense")
    lines = (f"{name}: {value}\n" for name, value in found.items())
    sys.stdout.write(json.dumps(found) + "\n" if asked.json else "".join(lines))
    return 0


def measured(kind: str) -> dict[str, Any]:
    """What one program costs this process, which should not have run anything before."""
    bare, started = _peak(), time.perf_counter()
    from benchmarks import synapses
    from hardware_sims.loihi.session import LoihiSession

    imported, import_seconds = _peak(), time.perf_counter() - started
    program = synapses.million(kind)
    spikes = synapses.nets.spikes(program, batch=1)
    started = time.perf_counter()
    LoihiSession(program, 1).run(spikes)
    seconds, loaded = time.perf_counter() - started, _peak()
    return {
        "synapses": kind,
        "count": program.synapses[0].count,
        "seconds": round(seconds, 3),
        "mb": round(loaded - bare, 1),
        "mb_over_imports": round(loaded - imported, 1),
        "import_seconds": round(import_seconds, 3),
    }


def _peak() -> float:
    """The most memory that this process has held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
