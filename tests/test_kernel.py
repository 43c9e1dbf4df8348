"""The kernel equals the definition bit for bit, and these tests would notice if it did not."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware_sims.loihi import DefinitionBackend, LoihiBackend, definition, session, weights
from hardware_sims.loihi.kernel import columns, compiled
from hardware_sims.loihi.kernel.run import run
from hardware_sims.loihi.session import LoihiSession
from strl.chip import Program
from strl.errors import BackendError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Lif, Source
from strl.testing import KINDS, random_program, random_spikes
from strl.testing.conformance import compare_counts, compare_decisions

PROGRAMS = 1200


def compare(
    program: Program, *, seed: int, batch: int, change: Callable[[LoihiSession], None] | None = None
) -> None:
    """AssertionError where kernel and definition differ in u, v, spikes, read-out or counts."""
    ours = LoihiSession(program, batch)
    theirs = DefinitionBackend().load(program, batch=batch)
    if change is not None:
        change(ours)
    for decision in range(3):
        if decision == 2:
            ours.reset([batch - 1])
            theirs.reset([batch - 1])
        spikes = random_spikes(program, 7 * seed + decision, batch=batch)
        where = f"seed {seed}, decision {decision}"
        compare_decisions(ours.run(spikes), theirs.run(spikes), program, where)
        compare_counts(ours.counts(), theirs.counts(), where)
        for name in theirs.u:
            assert np.array_equal(ours.u[name], theirs.u[name]), f"{where}: u of {name}"
            assert np.array_equal(ours.v[name], theirs.v[name]), f"{where}: v of {name}"


@pytest.mark.parametrize("tenth", range(10))
def test_random_programs(tenth: int) -> None:
    for seed in range(tenth * PROGRAMS // 10, (tenth + 1) * PROGRAMS // 10):
        compare(random_program(seed), seed=seed, batch=1 + seed % 3)


@pytest.mark.parametrize("form", [columns.SHARED, columns.LISTED, columns.DENSE])
def test_every_form_of_weights(form: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random programs are so small that only some would be chosen."""
    chosen = Counter[int]()

    def forced(synapse: Synapse) -> int:
        possible = isinstance(synapse.weight, Kernel) or form != columns.SHARED
        chosen[form if possible else columns.DENSE] += 1
        return form if possible else columns.DENSE

    monkeypatch.setattr(weights, "fastest", forced)
    for seed in range(PROGRAMS // 6):
        compare(random_program(seed, kinds=KINDS), seed=seed, batch=1 + seed % 3)
    assert chosen[form] > 30


EVERY = [set(KINDS), *({kind, "source"} if kind == "message" else {kind} for kind in KINDS)]


@pytest.mark.parametrize("kinds", EVERY, ids=lambda kinds: "all" if len(kinds) > 2 else sorted(kinds)[0])
def test_random_programs_of_every_kind(kinds: set[str]) -> None:
    for seed in range(PROGRAMS // 6):
        compare(random_program(seed, kinds=kinds), seed=seed, batch=1 + seed % 3)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), largest=st.sampled_from([3, 33, 120]), batch=st.integers(1, 3))
def test_programs_of_every_kind_nobody_chose(seed: int, largest: int, batch: int) -> None:
    compare(random_program(seed, largest=largest, kinds=KINDS), seed=seed % 2**32, batch=batch)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), largest=st.sampled_from([1, 31, 33, 70]), batch=st.integers(1, 5))
def test_programs_nobody_chose(seed: int, largest: int, batch: int) -> None:
    compare(random_program(seed, largest=largest), seed=seed % 2**32, batch=batch)


def test_random_programs_reach_the_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    plain = definition.lif

    def watched(u: Any, v: Any, a: Any, lif: Lif) -> Any:
        raw = definition.decay(u, 4095 - lif.du.astype(np.int64)) + (a << 6)
        after, potential, spikes = plain(u, v, a, lif)
        raw_v = definition.decay(v, 4096 - lif.dv.astype(np.int64)) + after
        seen.update(
            name
            for name, found in {
                "u wraps down": raw > definition.LIMIT,
                "u wraps up": raw <= -definition.LIMIT,
                "u stays beyond 24 bits": np.abs(after) > definition.LIMIT,
                "v clips above": raw_v >= definition.LIMIT,
                "v clips below": potential == 1 - definition.LIMIT,
                "a spike": spikes,
                "a threshold of 0": lif.vth == 0,
                "a threshold of 131071": lif.vth == 131071,
            }.items()
            if np.any(found)
        )
        return after, potential, spikes

    monkeypatch.setattr(definition, "lif", watched)
    for seed in range(300):
        program = random_program(seed)
        ours = DefinitionBackend().load(program, batch=2)
        for decision in range(3):
            ours.run(random_spikes(program, seed + decision, batch=2))
        for s in program.synapses:
            ticks = range(program.schedule.total)
            seen.update(
                name
                for name, found in {
                    "blanked": any(program.blanked(s, t) for t in ticks),
                    "recurrent": s.pre == s.post,
                    "delay 63": s.delay == 63,
                    "exponent -7": s.weight_exp == -7,
                    "exponent 7": s.weight_exp == 7,
                    "odd": bool((s.weight & 1).any()),
                    "even": not (s.weight & 1).any(),
                    "-256 and 255": {-256, 255} <= set(s.weight.flat),
                }.items()
                if found
            )
        seen |= {program.schedule.state, program.readout.kind, f"{len(program.sources)} sources"}
    assert len(seen) == 23, sorted(seen)


def _nudge(name: str, index: Any, by: int) -> Callable[[LoihiSession], None]:
    def change(ours: LoihiSession) -> None:
        array = getattr(ours._layout, name)
        array[index] += by

    return change


@pytest.mark.parametrize(
    "change",
    [
        _nudge("parameters", columns.FACTOR_U, -1),
        _nudge("parameters", columns.FACTOR_V, -1),
        _nudge("parameters", columns.THRESHOLD, 1),
        _nudge("rows", ..., 1),
        _nudge("synapses", (..., columns.DELAY), -1),
        _nudge("synapses", (..., columns.EXPONENT), 1),
        _nudge("synapses", (..., columns.BLANK_TO), 1),
        _nudge("populations", (..., columns.START), 1),
    ],
    ids=["du", "dv", "vth", "weight", "delay", "exponent", "blanked", "start"],
)
def test_one_wrong_constant_is_noticed(change: Callable[[LoihiSession], None]) -> None:
    def compare_all() -> None:
        for seed in range(100):
            compare(random_program(seed), seed=seed, batch=1, change=change)

    with pytest.raises(AssertionError):
        compare_all()


def test_more_rows_than_16_bits_hold() -> None:
    """1000 senders that all spike at once with the largest weights, odd ones among them."""
    template = random_program(0)
    for weight in (-256, 255, 254):
        populations = (
            Population(name="in", size=1000, kind=Source()),
            Population(
                name="out",
                size=33,
                kind=Lif(du=np.full(33, 7), dv=np.full(33, 9), vth=np.full(33, 131071)),
            ),
        )
        synapse = Synapse(name="w", pre="in", post="out", weight=np.full((33, 1000), weight), weight_exp=7)
        program = replace(
            template,
            populations=populations,
            synapses=(synapse,),
            readout=replace(template.readout, population="out", kind="membrane"),
        )
        ours, theirs = LoihiSession(program, 1), DefinitionBackend().load(program)
        for _ in range(5):
            spikes = np.ones((program.schedule.ticks, 1, 1000), np.uint8)
            compare_decisions(ours.run(spikes), theirs.run(spikes), program, f"weight {weight}")
            assert np.array_equal(ours.u["out"], theirs.u["out"])


def test_a_sum_that_wraps_32_bits() -> None:
    template = random_program(0)
    wide = 66_000
    program = replace(
        template,
        populations=(
            Population(name="in", size=wide, kind=Source()),
            Population(name="out", size=1, kind=Lif(du=np.zeros(1), dv=np.zeros(1), vth=np.ones(1))),
        ),
        synapses=(Synapse(name="w", pre="in", post="out", weight=np.full((1, wide), -256), weight_exp=7),),
        readout=replace(template.readout, population="out"),
    )
    compare(program, seed=0, batch=1)


@pytest.mark.parametrize("top", [20, 255])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_of_many_spikes(top: int, stride: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums that stay in 16 bits by themselves, and those that would leave them."""
    rng = np.random.default_rng(0)
    kernel = Kernel(
        weight=rng.integers(-top, top + 1, (16, 12, 3, 3)),
        image=(12, 14, 13),
        stride=(stride, stride),
        padding=(1, 1),
    )
    size = int(np.prod(kernel.shape))
    template = random_program(0)
    program = replace(
        template,
        populations=(
            Population(name="in", size=12 * 14 * 13, kind=Source()),
            Population(
                name="out",
                size=size,
                kind=Lif(du=np.full(size, 9), dv=np.full(size, 9), vth=np.full(size, 900)),
            ),
        ),
        synapses=(Synapse(name="w", pre="in", post="out", weight=kernel),),
        readout=replace(template.readout, population="out"),
    )
    monkeypatch.setattr(weights, "fastest", lambda synapse: columns.SHARED)
    for seed in range(4):
        compare(program, seed=seed, batch=2)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SHARE", 1)
    for seed in range(20):
        program = random_program(seed)
        shared, alone = LoihiSession(program, 5, threads=3), LoihiSession(program, 5)
        assert (shared.threads, alone.threads) == (3, 1)
        for decision in range(3):
            spikes = random_spikes(program, seed + decision, batch=5)
            compare_decisions(shared.run(spikes), alone.run(spikes), program, f"seed {seed}")
            compare_counts(shared.counts(), alone.counts(), f"seed {seed}")
        with pytest.raises(BackendError, match="0 or 1"):
            shared.run(np.full_like(spikes, 2))
        shared.close()


def test_threads_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRL_THREADS", "3")
    assert LoihiBackend().threads == 3
    for wrong in ("0", "-1", "many"):
        monkeypatch.setenv("STRL_THREADS", wrong)
        with pytest.raises(BackendError):
            LoihiBackend()


def test_decisions_do_not_share_memory() -> None:
    program = random_program(1)
    ours = LoihiSession(program, 2)
    spikes = np.ones_like(random_spikes(program, 0, batch=2))
    first = ours.run(spikes)
    raster, readout = first.raster.copy(), first.readout.copy()
    ours.run(np.zeros_like(spikes))
    assert np.array_equal(first.raster, raster)
    assert np.array_equal(first.readout, readout)


def _increment(x: int) -> int:
    return x + 1


def test_no_folder_for_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = compiled.numba.njit

    def njit(*functions: Any, **options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return plain(*functions, **options)

    monkeypatch.setattr(compiled.numba, "njit", njit)
    assert compiled.compiled(_increment)(1) == 2


def test_a_full_disk_costs_only_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert compiled.compiled(_increment)(1) == 2


def test_the_cache_asks_for_every_file_of_the_kernel() -> None:
    """Functions of other files are compiled into ``run``; numba itself would ask for run.py alone."""
    assert run._cache._cache_file._source_stamp == compiled.STAMP
    assert {path.stem for path in compiled.SOURCES} >= {"run", "update", "receive", "vectors", "columns"}


@pytest.mark.slow
@pytest.mark.parametrize(("cpu", "features"), [("x86-64", "+sse2"), ("haswell", "+avx2")])
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
def test_machines_with_narrower_vectors(cpu: str, features: str, tmp_path: Path) -> None:
    code = (
        "from hardware_sims.loihi import LoihiBackend; from strl.testing import check_backend; "
        "check_backend(LoihiBackend(), seeds=range(50))"
    )
    chosen = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **chosen})


def test_a_closed_session_holds_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SHARE", 1)
    program = random_program(0)
    before = threading.active_count()
    shared = LoihiSession(program, 4, threads=2)
    shared.run(random_spikes(program, 0, batch=4))
    assert threading.active_count() == before + 1
    shared.close()
    shared.close()
    assert threading.active_count() == before


FORK = """
import os, sys, time
from hardware_sims.loihi import session
from strl.testing import random_program, random_spikes
session.SHARE = 1
program = random_program(0)
shared = session.LoihiSession(program, 4, threads=2)
spikes = random_spikes(program, 0, batch=4)
shared.run(spikes)
shared.reset()
child = os.fork()
made = shared.run(spikes).raster.tobytes()
with open(sys.argv[1] + ("child" if child == 0 else "parent"), "wb") as file:
    file.write(made)
shared.close()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_runs_on_threads_of_its_own(tmp_path: Path) -> None:
    """In a process group of its own, ended whole where it hangs."""
    started = subprocess.Popen([sys.executable, "-c", FORK, f"{tmp_path}/"], start_new_session=True)
    try:
        assert started.wait(60) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert (tmp_path / "child").read_bytes() == (tmp_path / "parent").read_bytes()


def test_the_definition_loads_without_numba() -> None:
    code = "import sys, hardware_sims.loihi; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
