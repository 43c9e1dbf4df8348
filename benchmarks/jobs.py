"""Episodes a second by number of processes, for an environment that costs more than its policy.

    python -m benchmarks.jobs                       a table: 1 and 2 jobs, 64 episodes of LunarLander
    python -m benchmarks.jobs --jobs 1 4 16 --episodes 512 --json

``episodes_per_s`` counts from when the first worker is ready, as ``decisions_per_s`` does; ``in_all`` is the
whole call, with the start of the workers, which a short run does not earn back, and ``cpu_s`` the processor
time of all processes in it, which says what jobs cost where others are on the cores. The median of the
repeats, taken in turn, and their least and greatest; every run has the same digest, or nothing is printed.
``load`` is the machine's load average at the start: jobs gain nothing where no core is free.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import strl
from strl.loop.evaluate import Entrant, evaluate

POLICY = "lunarlander-mlp"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description="Speed of several jobs.")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], metavar="N", help="default: 1 2")
    parser.add_argument("--episodes", type=int, default=64, metavar="N", help="default: 64")
    parser.add_argument("--policy", default=POLICY, help=f"default: {POLICY}")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each figure (default: 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    asked = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    rows = measured(asked.policy, asked.jobs, asked.episodes, asked.repeats)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"policy": asked.policy, "episodes": asked.episodes, "cores": cores, "load": load, "rows": rows}
    sys.stdout.write(json.dumps(found) + "\n" if asked.json else _table(found))
    return 0


def measured(policy: str, jobs: Sequence[int], episodes: int, repeats: int) -> list[dict[str, Any]]:
    """A row for every number of jobs; AssertionError where digests differ."""
    entrant = Entrant.of(strl.load(policy), "loihi")
    evaluate(entrant, episodes=1)  # compiles and imports
    playing: dict[int, list[float]] = {n: [] for n in jobs}
    in_all: dict[int, list[float]] = {n: [] for n in jobs}
    cpu: dict[int, list[float]] = {n: [] for n in jobs}
    digests = set()
    for _ in range(repeats):
        for n in jobs:
            started, used = time.perf_counter(), sum(os.times()[:4])
            run = evaluate(entrant, episodes=episodes, jobs=n)
            in_all[n].append(episodes / (time.perf_counter() - started))
            cpu[n].append(sum(os.times()[:4]) - used)
            playing[n].append(episodes / run.wall_s)
            digests.add(run.digest)
    assert len(digests) == 1, f"different digests: {digests}"
    return [
        {
            "jobs": n,
            "episodes_per_s": statistics.median(playing[n]),
            "spread": [min(playing[n]), max(playing[n])],
            "in_all": statistics.median(in_all[n]),
            "cpu_s": statistics.median(cpu[n]),
            "ratio": statistics.median(playing[n]) / statistics.median(playing[jobs[0]]),
        }
        for n in jobs
    ]


def _table(found: dict[str, Any]) -> str:
    where = f"{found['cores']} cores, load {found['load']:.1f}"
    lines = [
        f"{found['policy']}, {found['episodes']} episodes on {where}",
        f"{'jobs':>5}{'episodes/s':>12}{'least':>8}{'greatest':>10}{'in all':>9}{'cpu s':>8}{'ratio':>8}",
    ]
    for row in found["rows"]:
        least, greatest = row["spread"]
        lines.append(
            f"{row['jobs']:>5}{row['episodes_per_s']:>12.1f}{least:>8.1f}{greatest:>10.1f}"
            f"{row['in_all']:>9.1f}{row['cpu_s']:>8.2f}{row['ratio']:>8.2f}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
