"""How fast Lava is at its best, for whoever compares with it."""

from __future__ import annotations

import time

import numpy as np

from hardware_sims.lava import compat
from strl.chip.program import Program
from strl.quantize.neurons import Gate, Source


def ticks_per_second(
    program: Program, ticks: int, *, repeats: int = 3, firing: float = 0.3, seed: int = 0
) -> float:
    """Ticks per second of a program's stock processes in one long run, with nothing in their way.

    Nothing is recorded, nothing pauses between decisions, and starting the processes is not timed (a run of
    ``ticks`` / 10 goes before). Sources send random spikes, at the rate ``firing``, that were drawn before.
    Of ``repeats`` timed runs the fastest counts: whatever else the machine does can only slow them.

    Args:
        program: what runs; as for the backend ``lava``, see there what is refused.
        ticks: length of a timed run.
        repeats: number of timed runs.
        firing: probability of a spike of each source neuron in each tick.
        seed: of these spikes.

    Raises:
        BackendError: Lava is missing, or its stock processes cannot run the program.
    """
    compat.load()
    from hardware_sims.lava.network import build
    from hardware_sims.lava.runtime import Cluster

    # A thousand decisions of input are played over and over.
    network = build(program, record=False, ticks=1000 * program.schedule.total)
    rng = np.random.default_rng(seed)
    for population in program.populations:
        columns = network.raster[:, program.slices[population.name]]
        if isinstance(population.kind, Source):
            columns[:] = rng.random(columns.shape) < firing
        elif isinstance(population.kind, Gate):
            tick = np.arange(len(columns))[:, None] % program.schedule.total
            columns[:] = (population.kind.start <= tick) & (tick < population.kind.stop)
    cluster = Cluster(network.host, network.processes)
    try:
        cluster.steps(max(1, ticks // 10))
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            cluster.steps(ticks)
            seconds.append(time.perf_counter() - started)
        return ticks / min(seconds)
    finally:
        cluster.close()
