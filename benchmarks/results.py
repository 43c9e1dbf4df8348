"""Measure the shipped policies, and write README's table from what was measured.

    python -m benchmarks.results            measure: results/NAME.json, one a policy (minutes)
    python -m benchmarks.results --table    write the table between README's markers from the committed files

Each file holds the comparison of the float network with the chip's program over the same 100 seeds, and
whether Lava's processes, stock and fused, print the kernel's digest over the first of them: those
that take 1000 decisions together, or ten.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import tables

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
README = ROOT / "README.md"
START, STOP = "<!-- results: made by `python -m benchmarks.results --table` -->", "<!-- end of results -->"
EPISODES = 100
LAVA_DECISIONS, LAVA_EPISODES = 1000, 10
COLUMNS = (
    "policy",
    "environment",
    "float IQM",
    "chip IQM",
    "same action",
    "synops",
    "spikes",
    "ticks",
    "chip time",
    "core energy",
    "in all (band)",
    "cores",
    "Lava",
)


def measure(name: str) -> dict[str, Any]:
    """Compare float with chip, and the kernel with Lava; what goes into ``results/NAME.json``."""
    import strl
    from strl import __version__

    policy = strl.load(name)
    program = policy.program()
    with tqdm(total=3 * EPISODES, desc=name, unit="episode") as bar:
        found = strl.compare(policy, episodes=EPISODES, progress=lambda _: bar.update())
    lengths = np.cumsum([episode.length for episode in found.b.episodes])
    episodes = min(1 + int(np.searchsorted(lengths, LAVA_DECISIONS)), LAVA_EPISODES)
    runs = {
        backend: strl.evaluate(policy, backend=backend, episodes=episodes)
        for backend in ("loihi", "lava-fused", "lava")
    }
    return {
        "strl": __version__,
        "policy": name,
        "neurons": program.neurons,
        "synapses": sum(int(s.weight.size) for s in program.synapses),
        "cores": len({part.core for part in program.placement}),
        "comparison": found.to_dict(),
        "lava": {
            "episodes": episodes,
            "decisions": runs["lava"].decisions,
            "digest": {backend: run.digest for backend, run in runs.items()},
        },
    }


def table(files: Sequence[Mapping[str, Any]]) -> str:
    """The results as a Markdown table, one row a policy."""
    return tables.table(COLUMNS, [_row(found) for found in files])


def _row(found: Mapping[str, Any]) -> list[str]:
    comparison = found["comparison"]
    a, b = comparison["a"], comparison["b"]
    decisions, energy = b["decisions"], b["energy"]
    core = energy["running_total_j"]["core"][0]
    value, low, high = energy["running_total_j"]["host"]
    digests = set(found["lava"]["digest"].values())
    return [
        f"`{found['policy']}`",
        a["env"],
        tables.iqm(a["return"]),
        tables.iqm(b["return"]),
        f"{comparison['action_agreement']:.1%}",
        f"{b['activity']['synaptic_ops'] / decisions:,.0f}",
        f"{b['activity']['spikes'] / decisions:,.0f}",
        str(b["ticks_per_decision"]),
        f"{energy['decision_s'][0] * 1e6:.0f} µs",
        f"{core * 1e6:.2f} µJ",
        f"{value * 1e6:.1f} µJ ({low * 1e6:.1f}–{high * 1e6:.1f})",
        str(found["cores"]),
        "equal" if len(digests) == 1 else "DIFFERS",
    ]


def committed() -> list[dict[str, Any]]:
    """The result files of policies, by name; other measurements lie beside them."""
    from strl.policies import shipped

    paths = [RESULTS / f"{name}.json" for name in shipped()]
    return [json.loads(path.read_text("utf-8")) for path in paths if path.exists()]


def main(argv: Sequence[str] | None = None) -> int:
    from strl.policies import shipped

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="POLICY", help="default: all that are shipped")
    parser.add_argument("--table", action="store_true", help="write README's table, measure nothing")
    args = parser.parse_args(argv)
    if not args.table:
        RESULTS.mkdir(exist_ok=True)
        for name in args.names or shipped():
            text = json.dumps(measure(name), indent=1, sort_keys=True) + "\n"
            (RESULTS / f"{name}.json").write_text(text, "utf-8")
    text = tables.between(README.read_text("utf-8"), START, STOP, table(committed()))
    README.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
