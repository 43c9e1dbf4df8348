"""How fast the torch backend runs on a GPU (or CPU), beside the kernel and NumPy in the same run.

    python -m benchmarks.gpu              a table, on the GPU if torch finds one
    python -m benchmarks.gpu --json       one object on stdout, prose on stderr
    python -m benchmarks.gpu --quick      the smallest net and small batches
    python -m benchmarks.gpu --device cpu --batches 1 1024

First it is exact or nothing is measured: random programs of all kinds, in both arithmetics, against the
definition; then in every row the whole raster against the kernel's. A row is open loop: the same random input
over and over, decisions of T = 8 ticks and the drain. Ticks a second are of all slots together, input and
raster copied from and to the host as in use; ``copy`` is the share of a decision that bringing the raster
there takes. Every figure is the median over the repeats, taken in turn; ``spread`` has the least and the
greatest. NumPy (the definition) is measured up to a batch of 1024, from where on it gains nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks import nets
from hardware_sims.loihi import DefinitionBackend, LoihiBackend
from hardware_sims.torch import TorchBackend
from strl.chip import Backend, Program
from strl.errors import BackendError
from strl.testing.conformance import check_program
from strl.testing.programs import KINDS, random_program

NETS = ((4, 64, 64, 2), (8, 256, 256, 4), (84, 512, 512, 18))
BATCHES = (1, 32, 1024, 8192, 65536)
NUMPY_MOST = 1024
PROGRAMS = 100

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description="Speed of the torch backend."
    )
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: cuda if there is one)")
    parser.add_argument("--batches", type=int, nargs="+", default=None, metavar="N")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each figure (default: 5)")
    parser.add_argument("--quick", action="store_true", help="the smallest net, batches up to 1024")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    asked = parser.parse_args(arguments)
    backend = TorchBackend(asked.device)
    programs = exact(backend, PROGRAMS // 10 if asked.quick else PROGRAMS)
    out = sys.stderr if asked.json else sys.stdout
    out.write(f"{machine(backend)}\n{programs} random programs: exact\n")
    out.write(f"{'net':<16}{'batch':>7}{'torch':>15}{'kernel':>14}{'numpy':>13}{'copy':>7}   ticks/s\n")
    rows = []
    for sizes in NETS[:1] if asked.quick else NETS:
        program = nets.program(sizes)
        for batch in asked.batches or (BATCHES[:3] if asked.quick else BATCHES):
            row = {"net": "-".join(map(str, sizes)), **measured(program, batch, backend, asked.repeats)}
            rows.append(row)
            out.write(_line(row))
            out.flush()
    if asked.json:
        found = {"machine": machine(backend), "exact_programs": programs, "repeats": asked.repeats}
        json.dump({**found, "rows": rows}, sys.stdout)
        sys.stdout.write("\n")
    return 0


def exact(backend: Backend, programs: int) -> int:
    """Hold the backend to the definition, or raise AssertionError; gives the number of programs."""
    for seed in range(programs):
        check_program(backend, random_program(seed), batch=3, seed=seed)
        check_program(backend, random_program(seed, kinds=KINDS), batch=3, seed=seed)
        check_program(backend, random_program(seed, arithmetic="loihi1"), batch=3, seed=seed)
    return 3 * programs


def measured(program: Program, batch: int, backend: Backend, repeats: int) -> Row:
    """A row: torch, kernel and NumPy on one program and batch, and the firing that they had."""
    spikes = nets.spikes(program, batch=batch)
    rival: dict[str, Backend] = {"torch": backend, "kernel": LoihiBackend()}
    if batch <= NUMPY_MOST:
        rival["numpy"] = DefinitionBackend()
    try:
        firing = equal(program, spikes, backend)
        times: dict[str, list[float]] = {name: [] for name in rival}
        shares: list[float] = []
        for _ in range(repeats):
            for name, other in rival.items():
                with closing(other.load(program, batch=batch)) as session:
                    times[name].append(_seconds(partial(session.run, spikes)))
                    if name == "torch":
                        shares.append(_seconds(session._raster) / times[name][-1])
    except BackendError as error:
        return {"batch": batch, "refused": error.message}
    ticks = batch * program.schedule.total
    speeds = {name: [ticks / t for t in found] for name, found in times.items()}
    return {
        "batch": batch,
        "firing": round(firing, 3),
        "ticks_per_s": {name: statistics.median(found) for name, found in speeds.items()},
        "spread": {name: [min(found), max(found)] for name, found in speeds.items()},
        "copy": round(statistics.median(shares), 3),
    }


def equal(program: Program, spikes: np.ndarray, backend: Backend) -> float:
    """Two decisions of every slot are the kernel's, bit for bit; gives the share of neurons that spike."""
    batch = spikes.shape[1]
    with (
        closing(backend.load(program, batch=batch)) as ours,
        closing(LoihiBackend().load(program, batch=batch)) as theirs,
    ):
        for _ in range(2):
            found, reference = ours.run(spikes), theirs.run(spikes)
            assert np.array_equal(found.raster, reference.raster), f"batch {batch}: rasters differ"
            assert np.array_equal(found.readout, reference.readout), f"batch {batch}: read-outs differ"
    return float(found.raster[..., program.populations[0].size :].mean())


def machine(backend: TorchBackend) -> dict[str, Any]:
    """Where this was measured."""
    device = backend.load(random_program(0)).device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "device": str(device),
        "name": name or platform.machine(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "cores": cores,
        "load": os.getloadavg()[0],
    }


def _seconds(work: Callable[[], object], at_least: float = 0.3) -> float:
    """Of one call, in the fastest of the stretches that ``at_least`` seconds hold, after a first one."""
    work()
    fastest = float("inf")
    ends = time.perf_counter() + at_least
    while (started := time.perf_counter()) < ends:
        calls = 0
        while (spent := time.perf_counter() - started) < at_least / 10:
            work()
            calls += 1
        fastest = min(fastest, spent / calls)
    return fastest


def _line(row: Row) -> str:
    head = f"{row['net']:<16}{row['batch']:>7}"
    if "refused" in row:
        return f"{head}   {row['refused']}\n"
    speeds = row["ticks_per_s"]
    numpy = f"{speeds['numpy']:,.0f}" if "numpy" in speeds else "–"
    return f"{head}{speeds['torch']:>15,.0f}{speeds['kernel']:>14,.0f}{numpy:>13}{row['copy']:>7.0%}\n"


if __name__ == "__main__":
    sys.exit(main())
