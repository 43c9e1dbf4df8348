"""How fast programs run: the kernel, the definition in NumPy, and Lava, in one run on one machine.

    python -m benchmarks.speed            a table
    python -m benchmarks.speed --json     one object on stdout, prose on stderr
    python -m benchmarks.speed --quick    the smallest net, short runs

Rows are open loop: the same random input over and over, decisions of T = 8 ticks and the drain, at a
measured firing rate. ``numpy`` is the definition, vectorised over batch and neurons. ``lava`` is its stock
processes in its own multi-process runtime with nothing in their way (no recording, no pause between
decisions); it has no batch. Every figure is the median of at least three measurements, each of which takes
the fastest of several stretches, in turn with the others; ``spread`` has the least and the greatest.
``ratios`` say how many times faster the kernel (or the loop) is.

``closed_loop`` plays a shipped policy: environment, codec, chip, digest and counts included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from benchmarks import nets
from hardware_sims.lava.baseline import ticks_per_second
from hardware_sims.loihi import DefinitionBackend, LoihiBackend
from strl.chip import Backend, Program
from strl.errors import BackendError
from strl.loop.agent import ChipAgent
from strl.loop.api import load
from strl.loop.environment import environment
from strl.loop.runner import play

NETS = ((4, 64, 64, 2), (8, 256, 256, 4), (84, 512, 512, 18))
BATCHES = (1, 32, 1024)
STRETCHES = 25
POLICY = "cartpole-mlp"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description="Speed of the simulators."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="the smallest net and short runs")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each figure, at least 3 (default)")
    asked = parser.parse_args(arguments)
    repeats = max(3, asked.repeats)
    seconds = 0.1 if asked.quick else 0.5
    out = sys.stderr if asked.json else sys.stdout
    rows = []
    out.write(f"{'net':<16}{'batch':>6}{'threads':>8}{'firing':>8}{'kernel':>14}{'numpy':>12}{'lava':>9}")
    out.write("   ticks/s\n")
    for sizes in NETS[:1] if asked.quick else NETS:
        for row in open_loop(sizes, BATCHES[:2] if asked.quick else BATCHES, repeats, seconds):
            rows.append(row)
            out.write(_line(row))
            out.flush()
    loops = []
    out.write(f"\n{POLICY} in the closed loop: decisions/s\n")
    for loop in closed_loop(repeats, episodes=4 if asked.quick else 20):
        loops.append(loop)
        text = f"{loop['backend']:<16}{loop['batch']:>6}{_number(loop['decisions_per_s']):>22}"
        ratio = loop["ratios"]["lava"]
        out.write(f"{text}   {_number(ratio['median'])}× lava\n" if ratio else f"{text}\n")
        out.flush()
    if asked.json:
        json.dump({"machine": machine(), "repeats": repeats, "rows": rows, "closed_loop": loops}, sys.stdout)
        sys.stdout.write("\n")
    return 0


def open_loop(sizes: Sequence[int], batches: Sequence[int], repeats: int, seconds: float) -> Iterator[Row]:
    """Rows of a net: every batch, on one thread and on as many as pay."""
    program = nets.program(sizes)
    computing = nets.rates(program)[1:]
    firing = sum(r * n for r, n in zip(computing, sizes[1:], strict=True)) / sum(sizes[1:])
    for batch in batches:
        threads = sorted({1, LoihiBackend(CORES).load(program, batch=batch).threads})
        measures: dict[object, Callable[[], float]] = {
            count: partial(speed, LoihiBackend(count), program, batch, seconds) for count in threads
        }
        measures["numpy"] = partial(speed, DefinitionBackend(), program, batch, seconds)
        if batch == 1:
            measures["lava"] = partial(ticks_per_second, program, int(3000 * seconds), repeats=3)
        samples = rounds(measures, repeats)
        for count in threads:
            found = {"kernel": samples[count], **{k: samples.get(k) for k in ("numpy", "lava")}}
            middle = {k: statistics.median(v) if v else None for k, v in found.items()}
            yield {
                "net": "-".join(map(str, sizes)),
                "batch": batch,
                "threads": count,
                "firing": round(firing, 3),
                "ticks_per_decision": program.schedule.total,
                "ticks_per_s": middle,
                "spread": {k: [min(v), max(v)] if v else None for k, v in found.items()},
                "ratios": {k: _ratio(samples[count], found[k]) for k in ("numpy", "lava")},
            }


def rounds(measures: Mapping[Any, Callable[[], float]], repeats: int) -> dict[Any, list[float]]:
    """Samples of each measure, taken in turn, so that all meet the machine in the same moods.

    One that cannot be taken, because Lava is missing, say, is left out and the reason printed.
    """
    samples: dict[Any, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name in list(samples):
            try:
                samples[name].append(measures[name]())
            except BackendError as error:
                sys.stderr.write(f"{name} is left out: {error.message}\n")
                del samples[name]
    return samples


def speed(backend: Backend, program: Program, batch: int, seconds: float) -> float:
    """Ticks a second of all slots together, in the fastest of the stretches that ``seconds`` holds.

    Whatever else the machine does can only slow a stretch; Lava's baseline counts its fastest run as well.
    """
    session = backend.load(program, batch=batch)
    spikes = nets.spikes(program, batch=batch)
    session.run(spikes)
    fastest = 0.0
    ends = time.perf_counter() + seconds
    while (started := time.perf_counter()) < ends:
        decisions = 0
        while (spent := time.perf_counter() - started) < seconds / STRETCHES:
            session.run(spikes)
            decisions += 1
        fastest = max(fastest, decisions / spent)
    session.close()
    return fastest * batch * program.schedule.total


def closed_loop(repeats: int, episodes: int) -> Iterator[Row]:
    """A shipped policy in its environment, on every backend that is here."""
    program = load(POLICY).program()
    played = {
        ("loihi", 1): episodes,
        ("loihi", 32): 2 * max(episodes, 16),
        ("lava", 1): 1,
        ("lava-fused", 1): max(1, episodes // 4),
    }
    samples = rounds(
        {(name, batch): partial(decisions, program, name, batch, n) for (name, batch), n in played.items()},
        repeats,
    )
    for (name, batch), found in samples.items():
        yield {
            "policy": POLICY,
            "env": program.semantics.environment.id,
            "ticks": program.semantics.ticks,
            "ticks_per_decision": program.schedule.total,
            "backend": name,
            "batch": batch,
            "decisions_per_s": statistics.median(found),
            "spread": [min(found), max(found)],
            "ratios": {"lava": _ratio(found, samples.get(("lava", 1)))},
        }


def decisions(program: Program, backend: str, batch: int, episodes: int) -> float:
    """Decisions a second of whole episodes; loading the program is not timed."""
    with closing(ChipAgent(program, backend, batch)) as agent:
        world = environment(program.semantics)
        started = time.perf_counter()
        made = sum(episode.length for episode in play(agent, world, range(episodes)))
        return made / (time.perf_counter() - started)


def machine() -> dict[str, Any]:
    """Where this was measured."""
    return {"cores": CORES, "processor": _processor(), "python": platform.python_version()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return lines[0]
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def _ratio(ours: list[float], theirs: list[float] | None) -> dict[str, float] | None:
    """How many times faster: of medians, and the least and the greatest of any two samples."""
    if not theirs:
        return None
    return {
        "median": statistics.median(ours) / statistics.median(theirs),
        "min": min(ours) / max(theirs),
        "max": max(ours) / min(theirs),
    }


def _line(row: Row) -> str:
    found = row["ticks_per_s"]
    text = f"{row['net']:<16}{row['batch']:>6}{row['threads']:>8}{row['firing']:>8.2f}"
    text += f"{_number(found['kernel']):>14}{_number(found['numpy']):>12}{_number(found['lava']):>9}"
    ratios = [f"{_number(ratio['median'])}× {name}" for name, ratio in row["ratios"].items() if ratio]
    return f"{text}   {', '.join(ratios)}\n"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
