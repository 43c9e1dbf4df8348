"""The second arithmetic: against numbers by hand, what is published, a chip's trace, and the kernel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.loihi.integers import arrays, rebuild, structure
from hardware_sims.lava.fused_backend import LavaFusedBackend
from hardware_sims.lava.stock import LavaBackend
from hardware_sims.loihi import DefinitionBackend, LoihiBackend, session
from hardware_sims.loihi.definition import LIMIT, DefinitionSession, lif_loihi1, shift
from hardware_sims.loihi.kernel import columns
from hardware_sims.loihi.session import LoihiSession
from strl.chip import Program, chip
from strl.chip.place import CoreUse, added
from strl.chip.text import text
from strl.errors import BackendError, BundleError, ChipError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Graded, Kind, Lif, Product, Source, Ternary
from strl.testing import check_backend, random_program, random_spikes
from strl.testing.conformance import compare_counts, compare_decisions

TRACE = Path(__file__).parents[2] / "shared" / "cases" / "loihi_trace"
PROGRAMS = 400
BACKENDS = [DefinitionBackend(), LoihiBackend()]


def lif(du: int = 4095, dv: int = 0, vth: int = 131071, refractory: int = 1, n: int = 1) -> Lif:
    return Lif(du=np.full(n, du), dv=np.full(n, dv), vth=np.full(n, vth), refractory=refractory)


def program(
    kind: Kind,
    weight: Any,
    *,
    exponent: int = 0,
    ticks: int = 1,
    size: int = 1,
    readout: str = "count",
    arithmetic: str = "loihi1",
    **synapse: Any,
) -> Program:
    """Sources into neurons of one kind by one synapse, read over the whole of a decision."""
    shape = weight.weight if isinstance(weight, Kernel) else np.asarray(weight)
    sources = math.prod(weight.image) if isinstance(weight, Kernel) else shape.shape[1]
    made = Synapse(name="w", pre="in", post="out", weight=weight, weight_exp=exponent, **synapse)
    return replace(
        random_program(0),
        arithmetic=arithmetic,  # type: ignore[arg-type]
        populations=(
            Population(name="in", size=sources, kind=Source()),
            Population(name="out", size=size, kind=kind),
        ),
        synapses=(made,),
        schedule=Schedule(ticks=ticks, total=ticks, state="carry"),
        readout=ReadoutWindow(population="out", kind=readout, start=0, stop=ticks, unit=1.0),  # type: ignore[arg-type]
    )


def column(*values: int) -> np.ndarray:
    return np.array([values], np.int64)


def test_u_wraps_into_24_bits() -> None:
    top = LIMIT // 64
    zero = column(0, 0, 0, 0)
    inputs = column(top, -top, 3 * top, 5 * top)
    u, _, _, _ = lif_loihi1(zero, zero, zero, inputs, lif(n=4))
    assert u.tolist() == [[-LIMIT, -LIMIT, -LIMIT, -LIMIT]]  # +2²³ wraps here, and stays in lava
    u, _, _, _ = lif_loihi1(zero, zero, zero, inputs - 1, lif(n=4))
    assert u.tolist() == [[LIMIT - 64, LIMIT - 64, LIMIT - 64, LIMIT - 64]]


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
@pytest.mark.parametrize(
    ("weight", "senders", "kept"),
    [(254, 129, 32_766), (254, 130, 33_020 - 2**16), (-256, 128, -(2**15)), (-256, 129, 2**16 - 33_024)],
)
def test_a_sum_has_16_bits(backend: Any, weight: int, senders: int, kept: int) -> None:
    spikes = np.zeros((2, 1, senders), np.uint8)
    spikes[0] = 1
    for arithmetic, due in (("loihi1", kept), ("lava", weight * senders)):
        made = program(
            lif(), np.full((1, senders), weight), ticks=2, readout="membrane", arithmetic=arithmetic
        )
        assert backend.load(made).run(spikes).readout.tolist() == [[64 * due]]


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_an_exponent_acts_on_each_weight(backend: Any) -> None:
    """Three weights of −3: each becomes −2 on the chip, while Lava shifts −9 to −5."""
    for arithmetic, due in (("loihi1", -6), ("lava", -5)):
        made = program(lif(), [[-3, -3, -3]], exponent=-1, ticks=2, readout="membrane", arithmetic=arithmetic)
        spikes = np.array([[[1, 1, 1]], [[0, 0, 0]]], np.uint8)
        assert backend.load(made).run(spikes).readout.tolist() == [[64 * due]]


@given(weight=st.integers(-256, 254), exponent=st.integers(-7, 7))
def test_weights_are_those_of_brian2loihi(weight: int, exponent: int) -> None:
    """Its synapses: scaled by 2^(6 + exponent), then six bits shifted out and in again, each for itself."""
    if (weight, exponent) == (-256, 7):
        return  # which it clips to −(2¹⁵ − 1); nengo-loihi does not
    published = math.floor(weight * 2.0 ** (6 + exponent) / 64) * 64
    assert shift(column(weight), exponent)[0, 0] << 6 == published


@settings(max_examples=300)
@given(
    state=st.tuples(st.integers(-LIMIT, LIMIT - 1), st.integers(1 - LIMIT, LIMIT - 1), st.integers(0, 64)),
    a=st.integers(-(2**15), 2**15 - 1),
    parameters=st.tuples(
        st.integers(0, 4095), st.integers(0, 4096), st.integers(0, 131071), st.integers(1, 64)
    ),
)
def test_a_tick_in_plain_numbers(
    state: tuple[int, int, int], a: int, parameters: tuple[int, int, int, int]
) -> None:
    u, v, held = state
    du, dv, vth, refractory = parameters
    left = max(held - 1, 0)
    current = math.trunc(u * (4095 - du) / 4096) + 64 * a
    while not -LIMIT <= current < LIMIT:
        current += 2 * LIMIT if current < 0 else -2 * LIMIT
    potential = min(max(math.trunc(v * (4096 - dv) / 4096) + current, 1 - LIMIT), LIMIT - 1)
    spike = left == 0 and potential > 64 * vth
    due = (current, 0 if spike or left else potential, refractory if spike else left, int(spike))
    got = lif_loihi1(column(u), column(v), column(held), column(a), lif(du, dv, vth, refractory))
    assert tuple(int(x[0, 0]) for x in got) == due


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_a_refractory_neuron_and_what_a_probe_reads(backend: Any) -> None:
    """It spikes, rests for two ticks while its current goes on, and lives again in the third."""
    session = backend.load(program(lif(vth=1, refractory=3), [[2]]))
    spikes, probed, currents = [], [], []
    for _ in range(8):
        spikes.append(int(session.run(np.ones((1, 1, 1), np.uint8)).raster[0, 0, 1]))
        probed.append(int(session.probe("out")[0, 0]))
        currents.append(int(session.u["out"][0, 0]))
    assert spikes == [0, 1, 0, 0, 1, 0, 0, 1]
    assert probed == [0, 384, 256, 128, 384, 256, 128, 384]
    assert currents == [0, *[128] * 7]
    session.reset()
    assert session.probe("out").tolist() == [[0]]


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_a_membrane_that_is_read_after_a_spike_is_the_marker(backend: Any) -> None:
    for arithmetic, due in (("loihi1", 128), ("lava", 0)):
        made = program(lif(vth=1), [[2]], ticks=2, readout="membrane", arithmetic=arithmetic)
        assert backend.load(made).run(np.ones((2, 1, 1), np.uint8)).readout.tolist() == [[due]]


@pytest.mark.skipif(not TRACE.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_the_probe_of_a_neuron_on_silicon(backend: Any) -> None:
    """NIR paper 2024, 01_lif: all 1000 rows that the chip's probe read."""
    session = backend.load(program(lif(dv=163, vth=25), [[10]]))
    spikes, v = [], []
    for tick in np.load(TRACE / "input.npy").astype(np.uint8):
        spikes.append(int(session.run(tick.reshape(1, 1, 1)).raster[0, 0, 1]))
        v.append(int(session.probe("out")[0, 0]))
    assert np.array_equal(v, np.load(TRACE / "v_lava_loihi_fixed.npy"))
    assert np.array_equal(spikes, np.load(TRACE / "spikes_lava_loihi_fixed.npy"))
    assert len(v) == 1000


def compare(made: Program, seed: int, batch: int) -> DefinitionSession:
    """AssertionError where kernel and definition differ in anything."""
    ours, theirs = LoihiSession(made, batch), DefinitionSession(made, batch)
    for decision in range(3):
        if decision == 2:
            ours.reset([batch - 1])
            theirs.reset([batch - 1])
        spikes = random_spikes(made, 7 * seed + decision, batch=batch)
        where = f"seed {seed}, decision {decision}"
        compare_decisions(ours.run(spikes), theirs.run(spikes), made, where)
        compare_counts(ours.counts(), theirs.counts(), where)
        for name in theirs.u:
            for what in ("u", "v", "held"):
                assert np.array_equal(getattr(ours, what)[name], getattr(theirs, what)[name]), (where, what)
            assert np.array_equal(ours.probe(name), theirs.probe(name)), where
    return theirs


@pytest.mark.parametrize("part", range(4))
def test_random_programs(part: int) -> None:
    held = 0
    for seed in range(part * PROGRAMS // 4, (part + 1) * PROGRAMS // 4):
        kinds = ("kernel", "sparse") if seed % 2 else ()
        run = compare(random_program(seed, kinds=kinds, arithmetic="loihi1"), seed, 1 + seed % 3)
        held += sum(int((h > 1).sum()) for h in run.held.values())
    assert held > 100


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    refractory=st.integers(1, 64),
    exponent=st.integers(-7, 7),
    senders=st.integers(1, 600),
)
def test_kernel_and_definition(seed: int, refractory: int, exponent: int, senders: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 70))
    kind = Lif(
        du=rng.integers(0, 4096, n),
        dv=rng.integers(0, 4097, n),
        vth=rng.integers(0, 3000, n),
        refractory=refractory,
    )
    weight = rng.integers(-128, 128, (n, senders)) * 2
    compare(program(kind, weight, exponent=exponent, ticks=6, size=n), seed % 1000, 2)


N = 3
WIDE = {"du": np.full(N, 9), "dv": np.full(N, 9)}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: program(Graded(vth=np.ones(N)), np.ones((N, 1), int), size=N), "is graded"),
        (lambda: program(Product(vth=np.ones(N)), np.ones((N, 1), int), size=N), "is product"),
        (
            lambda: program(Ternary(high=np.ones(N), low=-np.ones(N), **WIDE), np.ones((N, 1), int), size=N),
            "is ternary",
        ),
        (
            lambda: program(Lif(vth=np.ones(N), reset="subtract", **WIDE), np.ones((N, 1), int), size=N),
            "resets by subtract",
        ),
        (
            lambda: program(Lif(vth=np.ones(N), reset_delay=True, **WIDE), np.ones((N, 1), int), size=N),
            "a tick late",
        ),
        (
            lambda: program(Lif(vth=np.ones(N), inclusive=True, **WIDE), np.ones((N, 1), int), size=N),
            "spikes at its threshold",
        ),
        (lambda: program(lif(), [[2]], message_bits=8), "message_bits = 8"),
        (
            lambda: replace(
                program(lif(), [[2]]),
                populations=(
                    Population(name="in", size=1, kind=Source(plane=None)),
                    Population(name="out", size=1, kind=lif()),
                ),
            ),
            "sends graded messages",
        ),
        (lambda: program(lif(), [[129, -2]]), "weight 129.*multiples of 2"),
        (lambda: program(lif(), [[3, -2]], exponent=-7), "weight 3.*multiples of 2"),
        (lambda: program(lif(), [[36, -200]], weight_bits=4), "weight 36.*4 bits.*multiples of 32"),
        (lambda: replace(program(lif(), [[2]]), chip=chip("loihi2")), "loihi2: has no arithmetic 'loihi1'"),
        (lambda: program(lif(refractory=2), [[2]], arithmetic="lava"), "refractory = 2 .*Lava"),
        (lambda: program(lif(), [[2]], arithmetic="loihi3"), "no arithmetic 'loihi3'"),
        (lambda: lif(refractory=65), r"refractory = 65 ticks, must lie in 1\.\.64"),
    ],
)
def test_what_an_arithmetic_has_not_is_refused(made: Callable[[], object], said: str) -> None:
    with pytest.raises(ChipError, match=said):
        made()


def test_weights_that_can_be_stored_shifted() -> None:
    program(lif(), [[3, -2]])  # as 6 and −4, with an exponent of −1
    program(lif(), [[129, 255]])  # of one sign, every number
    program(lif(), [[36, -32]], weight_bits=5)


@pytest.mark.parametrize("backend", [LavaBackend(), LavaFusedBackend()], ids=lambda b: b.name)
def test_backends_that_know_only_lava_say_so(backend: Any) -> None:
    with pytest.raises(BackendError, match="computes in arithmetic 'lava', the program is for 'loihi1'"):
        backend.load(program(lif(), [[2]]))


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b.name)
def test_backends_keep_their_contract_in_it(backend: Any) -> None:
    check_backend(backend, seeds=range(10), make=partial(random_program, arithmetic="loihi1"))


@pytest.mark.parametrize("what", [columns.REFRACTORY, columns.FACTOR_U, columns.FACTOR_V, columns.THRESHOLD])
def test_one_wrong_constant_is_noticed(what: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = session.layout

    def wrong(made: Program) -> Any:
        found = plain(made)
        found.parameters[what] -= 1
        return found

    def compare_all() -> None:
        for seed in range(60):
            compare(random_program(seed, arithmetic="loihi1"), seed, 1)

    monkeypatch.setattr(session, "layout", wrong)
    with pytest.raises(AssertionError):
        compare_all()


def test_a_refractory_period_is_part_of_a_compartment_profile() -> None:
    """As NxSDK's compartment configurations have it, see nengo-loihi's ``nxsdk_objects.py``."""
    use = CoreUse()
    for refractory in (1, 2, 2):
        use = added(use, Population(name="x", size=1, kind=lif(refractory=refractory)), [], 0, 1)
    assert len(use.profiles) == 2


def test_a_bundle_carries_it() -> None:
    made = program(lif(refractory=7), [[2]])
    record, data = structure(made), arrays(made)
    assert rebuild(record, data, made.chip, made.semantics) == made
    assert "arithmetic loihi1" in text(made)
    assert "refractory=7" in text(made)
    for wrong in ("loihi", None, ["lava"]):
        with pytest.raises((BundleError, ChipError), match="arithmetic"):
            rebuild({**record, "arithmetic": wrong}, data, made.chip, made.semantics)
    record["populations"][1]["refractory"] = 0
    with pytest.raises(BundleError, match="refractory = 0"):
        rebuild(record, data, made.chip, made.semantics)
