"""How fast programs run: the kernel, the definition in NumPy, and Lava, in one run on one machine.

    python -m benchmarks.speed            a table
    python -m benchmarks.speed --json     one object on stdout, prose on stderr
    python -m benchmarks.speed --quick    the smallest net, short runs

Rows are open loop: the same random input over and over, decisions of T = 8 ticks and the drain, at a
measured firing rate. ``threads`` is how many the kernel may use; a batch that is not worth two is run by one.
``numpy`` is the definition, vectorised over batch and neurons. ``lava`` is its stock processes in its own
multi-process runtime with nothing in their way (no recording, no pause between decisions); it has no batch.
Every figure is the median of at least three measurements, each of which takes the fastest of several
stretches, in turn with the others; ``spread`` has the least and the greatest. ``ratios`` say how many times
faster the kernel (or the loop) is.

On a machine with other work, told by ``load`` (processes that wanted a core when the row began),
``ticks_per_cpu_s`` is the kernel's figure to look at: ticks by the processor time that its threads had.

``synapses`` compares layers of other kinds with dense ones, see ``benchmarks/synapses.py``.

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
from typing import Any, NamedTuple, TypeVar

from benchmarks import nets, synapses
from hardware_sims.lava.baseline import ticks_per_second
from hardware_sims.loihi import DefinitionBackend, LoihiBackend
from strl.chip import Backend, Program
from strl.chip.program import Messages
from strl.errors import BackendError
from strl.loop.agent import ChipAgent
from strl.loop.api import load
from strl.loop.environment import environment
from strl.loop.runner import play

NETS = ((4, 64, 64, 2), (8, 256, 256, 4), (84, 512, 512, 18))
BATCHES = (1, 32, 1024)
FIRING = (0.1, 0.3)
THREADS = (1, 2)
STRETCHES = 25
POLICY = "cartpole-mlp"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Row = dict[str, Any]
Sample = TypeVar("Sample")


class Speed(NamedTuple):
    """Ticks a second, and ticks a second of processor time of all threads (None where it is not known)."""

    wall: float
    cpu: float | None


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
        for firing in FIRING:
            for row in open_loop(sizes, firing, BATCHES[:2] if asked.quick else BATCHES, repeats, seconds):
                rows.append(row)
                out.write(_line(row))
                out.flush()
    layers = []
    out.write("\nsynapses: ns per synaptic operation, and times that of a dense layer\n")
    for layer in synapses.rows(4 * seconds):
        layers.append(layer)
        out.write(f"{layer['synapses']:<12}{layer['layer']:<24}{layer['stored_as']:<10}")
        out.write(f"{layer['ns_per_synop']:>8.4f}{layer['ratio']:>8.2f}×\n")
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
        found = {
            "machine": machine(),
            "repeats": repeats,
            "rows": rows,
            "synapses": layers,
            "closed_loop": loops,
        }
        sys.stdout.write(json.dumps(found) + "\n")
    return 0


def open_loop(
    sizes: Sequence[int], firing: float, batches: Sequence[int], repeats: int, seconds: float
) -> Iterator[Row]:
    """Rows of a net that fires at about that rate: every batch, with one thread and with two."""
    program = nets.program(sizes, firing=firing)
    computing = nets.rates(program, firing=firing)[1:]
    measured = sum(r * n for r, n in zip(computing, sizes[1:], strict=True)) / sum(sizes[1:])
    for batch in batches:
        spikes = nets.spikes(program, batch=batch, firing=firing)
        threads = THREADS if batch > 1 else THREADS[:1]
        measures: dict[object, Callable[[], Speed]] = {
            count: partial(speed, LoihiBackend(count), program, spikes, seconds) for count in threads
        }
        measures["numpy"] = partial(speed, DefinitionBackend(), program, spikes, seconds)
        if batch == 1:
            measures["lava"] = partial(_lava, program, firing, int(3000 * seconds))
        load = os.getloadavg()[0]
        samples = rounds(measures, repeats)
        for count in threads:
            found = {"kernel": samples[count], **{k: samples.get(k) for k in ("numpy", "lava")}}
            wall = {k: [s.wall for s in v] if v else None for k, v in found.items()}
            yield {
                "net": "-".join(map(str, sizes)),
                "batch": batch,
                "threads": count,
                "firing": round(measured, 3),
                "ticks_per_decision": program.schedule.total,
                "ticks_per_s": {k: statistics.median(v) if v else None for k, v in wall.items()},
                "spread": {k: [min(v), max(v)] if v else None for k, v in wall.items()},
                "ticks_per_cpu_s": statistics.median(s.cpu for s in samples[count] if s.cpu),
                "load": load,
                "ratios": {k: _ratio(wall["kernel"] or [], wall[k]) for k in ("numpy", "lava")},
            }


def _lava(program: Program, firing: float, ticks: int) -> Speed:
    return Speed(wall=ticks_per_second(program, ticks, repeats=3, firing=firing), cpu=None)


def rounds(measures: Mapping[Any, Callable[[], Sample]], repeats: int) -> dict[Any, list[Sample]]:
    """Samples of each measure, taken in turn, so that all meet the machine in the same moods.

    One that cannot be taken, because Lava is missing, say, is left out and the reason printed.
    """
    samples: dict[Any, list[Sample]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name in list(samples):
            try:
                samples[name].append(measures[name]())
            except BackendError as error:
                sys.stderr.write(f"{name} is left out: {error.message}\n")
                del samples[name]
    return samples


def speed(backend: Backend, program: Program, spikes: Messages, seconds: float) -> Speed:
    """Ticks of all slots together, in the fastest of the stretches that ``seconds`` holds.

    Whatever else the machine does can only slow a stretch; Lava's baseline counts its fastest run as well.
    """
    batch = spikes.shape[1]
    session = backend.load(program, batch=batch)
    session.run(spikes)
    wall = cpu = 0.0
    ends = time.perf_counter() + seconds
    while (started := time.perf_counter()) < ends:
        decisions, busy = 0, time.process_time()
        while (spent := time.perf_counter() - started) < seconds / STRETCHES:
            session.run(spikes)
            decisions += 1
        wall, cpu = max(wall, decisions / spent), max(cpu, decisions / (time.process_time() - busy))
    session.close()
    ticks = batch * program.schedule.total
    return Speed(wall=wall * ticks, cpu=cpu * ticks)


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
