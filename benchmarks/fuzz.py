"""Random programs on the definition, the kernel and Lava's own models.

A program is run for a few decisions, begun anew, and run again. Compared are, at every tick and neuron, u, v,
what it sends, and the synaptic sums that reach it (definition and Lava); of the kernel, what is sent and read
out.

``lava-models`` is the network that backend ``lava`` builds, compiled by Lava, with Lava's process models, in
this process (hardware_sims/lava/inline.py): Lava's runtime takes most of a second to start and end for each
program. The backends ``lava``, so with that runtime, and ``lava-fused`` are tried on every hundredth program.
``kernel-loihi1`` is the kernel on a program of its own, in the other arithmetic.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from benchmarks.fit import for_lava
from benchmarks.runs import DefinitionRun, ModelRun, Run, Trace
from hardware_sims.lava import LavaBackend, LavaFusedBackend, compat
from hardware_sims.lava.stock import InexactError
from hardware_sims.loihi import LoihiBackend
from strl.chip import Decision, Program
from strl.errors import BackendError, StrlError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population
from strl.quantize.neurons import COMPUTING, Graded, Lif, Source
from strl.testing import random_program, random_spikes
from strl.testing.programs import KINDS

EPISODES = ((0, 1), (2,), (0, 1))
"""Decisions of each episode, by the seed of their input; the last episode is the first once more."""
RUNTIME_EVERY = 100
BLOCK = 50
"""Programs a task of a worker."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was compared, and the first differences."""

    counts: Counter[str] = field(default_factory=Counter)
    backends: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in ("counts", "backends", "kinds", "refused"):
            getattr(self, name).update(getattr(other, name))
        self.differences += other.differences


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--programs", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the first program (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work (default 1)")
    parser.add_argument("--on", nargs="+", choices=list(WAYS), default=(), help="try these, on every program")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    asked = parser.parse_args(arguments)
    started = time.monotonic()
    total = Tally()
    for done, tally in enumerate(fuzz(asked.seed, asked.programs, asked.jobs, asked.on), start=1):
        total.add(tally)
        if done % 10 == 0:
            sys.stderr.write(
                f"{total.counts['programs']} programs, {total.counts['mismatches']} mismatches\n"
            )
    report = {
        **{name: total.counts[name] for name in ("programs", "neuron_ticks", "spikes", "mismatches")},
        "backends": dict(sorted(total.backends.items())),
        "kinds": dict(sorted(total.kinds.items())),
        "refused": dict(total.refused.most_common()),
        "differences": total.differences[:20],
        "seconds": round(time.monotonic() - started, 1),
    }
    if asked.json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        sys.stdout.write("".join(f"{name}: {value}\n" for name, value in report.items()))
    return int(total.counts["mismatches"] > 0)


def fuzz(first: int, programs: int, jobs: int, on: Sequence[str] = ()) -> Iterator[Tally]:
    """Tallies of blocks of programs."""
    seeds = range(first, first + programs)
    blocks = [seeds[k : k + BLOCK] for k in range(0, programs, BLOCK)]
    if jobs == 1:
        yield from map(partial(check_block, on=on), blocks)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("fork")) as pool:  # as Lava asks
        yield from pool.map(partial(check_block, on=on), blocks)


def check_block(seeds: Sequence[int], on: Sequence[str] = ()) -> Tally:
    compat.load()
    tally = Tally()
    for seed in seeds:
        tally.add(check(seed, on))
    return tally


def check(seed: int, on: Sequence[str] = ()) -> Tally:
    """One program, as it is and as Lava can run it; every fourth is made of plain neurons alone.

    Args:
        seed: of the program.
        on: names of ``WAYS``, default those that are due for this seed.
    """
    program = random_program(seed, kinds=KINDS if seed % 4 else ())
    stock = for_lava(program, longest=63 if seed % 30 == 0 else 6 if seed % 3 == 0 else 1)
    on_chip = random_program(seed, kinds=("kernel", "sparse") if seed % 4 else (), arithmetic="loihi1")
    tally = Tally(counts=Counter(programs=1))
    tally.kinds.update(features(program))
    for name in on or WAYS:
        way = WAYS[name]
        if not on and seed % way.every:
            continue
        tried = on_chip if way.loihi1 else stock if way.stock else program
        try:
            found = difference(tried, seed, way.load, tally if way.load is ModelRun else None)
        except Refused as error:
            tally.refused[f"{name}: {error}"] += 1
            continue
        tally.backends[name] += 1
        if found:
            smaller, found = shrink(tried, seed, way.load, found)
            tally.counts["mismatches"] += 1
            tally.differences.append(f"seed {seed}, {name}: {found}; in {describe(smaller)}")
            sys.stderr.write(tally.differences[-1] + "\n")
    return tally


class Refused(Exception):
    """The program cannot be run exactly, and the backend said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to run a program, tried on every so many.

    ``stock`` where the program must be made fit for Lava, ``loihi1`` where it is one in that arithmetic.
    """

    load: Callable[[Program], Run]
    every: int = 1
    stock: bool = False
    loihi1: bool = False


WAYS = {
    "kernel": Way(load=lambda program: Run(LoihiBackend(1).load(program))),
    "kernel-loihi1": Way(load=lambda program: Run(LoihiBackend(1).load(program)), loihi1=True),
    "lava-models": Way(load=ModelRun, stock=True),
    "lava": Way(load=lambda program: Run(LavaBackend().load(program)), every=RUNTIME_EVERY, stock=True),
    "lava-fused": Way(load=lambda program: Run(LavaFusedBackend().load(program)), every=RUNTIME_EVERY),
}


def difference(
    program: Program, seed: int, load: Callable[[Program], Run], tally: Tally | None = None
) -> str | None:
    """The first thing in which a run differs from the definition's, in the order in which it is computed.

    Raises:
        Refused: the backend does not run the program.
    """
    try:
        ours = load(program)
    except BackendError as error:
        if error.__cause__:  # no refusal: something failed
            return f"loading raised {error.message}"
        raise Refused(_reason(error)) from None
    except Exception as error:  # noqa: BLE001 (a finding, with the seed that shows it)
        return f"loading raised {error!r}"
    theirs = DefinitionRun(program)
    if tally and isinstance(ours, ModelRun):
        tally.kinds.update(ours.processes)
    try:
        for episode, decisions in enumerate(EPISODES):
            if episode:
                ours.reset()
                theirs.reset()
            for decision in decisions:
                spikes = random_spikes(program, 1000 * seed + decision, batch=1)
                decided, trace = ours.decide(spikes)
                expected, reference = theirs.decide(spikes)
                if tally:
                    _count(program, expected, tally)
                found = _traces(program, trace, reference, expected) or _decisions(program, decided, expected)
                if found:
                    return f"episode {episode}, decision {decision}, {found}"
    except InexactError as error:
        raise Refused(_reason(error)) from None
    except Exception as error:  # noqa: BLE001
        return f"raised {error!r}"
    finally:
        ours.close()
    return None


def shrink(program: Program, seed: int, load: Callable[[Program], Run], found: str) -> tuple[Program, str]:
    """The program without the synapses and populations that the difference does not need."""
    for synapse in program.synapses:
        smaller = replace(program, synapses=tuple(s for s in program.synapses if s.name != synapse.name))
        needed = {program.readout.population} | {n for s in smaller.synapses for n in (s.pre, s.post)}
        kept = [p for p in smaller.populations if p.name in needed or isinstance(p.kind, Source)]
        try:
            still = difference(replace(smaller, populations=tuple(kept)), seed, load)
        except (Refused, StrlError):
            continue
        if still:
            program, found = replace(smaller, populations=tuple(kept)), still
    return program, found


def features(program: Program) -> Iterator[str]:
    """What a program has, for counting."""
    yield f"state {program.schedule.state}"
    for population in program.populations:
        yield _kind(population)
    for synapse in program.synapses:
        yield "synapse kernel" if isinstance(synapse.weight, Kernel) else f"synapse {synapse.format}"
        if synapse.message_bits:
            yield "synapse with graded messages"
        if synapse.delay > 1:
            yield "synapse delayed"
        if synapse.pre == synapse.post:
            yield "synapse recurrent"


def describe(program: Program) -> str:
    """A program in a line."""
    synapses = [
        f"{s.name}: {s.pre}→{s.post} {'kernel' if isinstance(s.weight, Kernel) else s.format} "
        f"exp {s.weight_exp} delay {s.delay} bits {s.message_bits} port {s.port}"
        for s in program.synapses
    ]
    populations = [f"{p.name} ({_kind(p)}, {p.size})" for p in program.populations]
    return "; ".join([program.schedule.state, *populations, *synapses])


def _kind(population: Population) -> str:
    kind = population.kind
    words = [type(kind).__name__.lower()]
    if (isinstance(kind, Source) and kind.plane is None) or (isinstance(kind, Graded) and kind.rectify):
        words.append("graded" if isinstance(kind, Source) else "rectified")
    if isinstance(kind, Lif):
        words += [kind.reset] * (kind.reset != "zero") + ["late"] * kind.reset_delay
        words += ["inclusive"] * kind.inclusive + ["multiple"] * kind.multiple
    return " ".join(words)


def _count(program: Program, decision: Decision, tally: Tally) -> None:
    computing = np.concatenate(
        [np.full(p.size, isinstance(p.kind, COMPUTING), dtype=bool) for p in program.populations]
    )
    sent = decision.raster[0][:, computing]
    tally.counts["neuron_ticks"] += sent.size
    tally.counts["spikes"] += int(np.count_nonzero(sent))


def _traces(program: Program, ours: Trace, theirs: Trace, decision: Decision) -> str | None:
    """The first difference of two traces, by tick, then population, then a, u, v, messages."""
    if not ours:
        return None
    found = []
    for number, population in enumerate(program.populations):
        here, there = ours[population.name], dict(theirs.get(population.name, {}))
        there["sent"] = decision.raster[0][:, program.slices[population.name]]
        for order, key in enumerate(k for k in ("a0", "a1", "u", "v", "sent") if k in there):
            different = np.argwhere(here[key] != there[key])
            if different.size:
                tick, neuron = different[0].tolist()
                values = f"{here[key][tick, neuron]}, must be {there[key][tick, neuron]}"
                text = f"tick {tick}, {population.name}[{neuron}]: {key} = {values}"
                found.append((tick, number, order, text))
    return min(found)[-1] if found else None


def _decisions(program: Program, ours: Decision | None, theirs: Decision) -> str | None:
    if ours is None:
        return None
    different = np.argwhere(ours.raster[0] != theirs.raster[0])
    if different.size:
        tick, column = different[0].tolist()
        name = next(n for n, s in program.slices.items() if s.start <= column < s.stop)
        values = f"{ours.raster[0, tick, column]}, must be {theirs.raster[0, tick, column]}"
        return f"tick {tick}, {name}[{column - program.slices[name].start}] sent {values}"
    if not np.array_equal(ours.readout, theirs.readout):
        return f"readout {ours.readout.tolist()}, must be {theirs.readout.tolist()}"
    return None


def _reason(error: BackendError) -> str:
    """The error without the names and numbers of one program."""
    return re.sub(r"-?\d+", "N", error.message.split(": ", 2)[-1])


if __name__ == "__main__":
    sys.exit(main())
