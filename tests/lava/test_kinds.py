"""Every kind of neuron and synapse on Lava: its models, its runtime, and our one process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks import fuzz, runs
from benchmarks.fit import for_lava
from hardware_sims.lava import LavaBackend, LavaFusedBackend
from hardware_sims.lava.stock import InexactError
from hardware_sims.loihi import DefinitionBackend, LoihiBackend
from strl.chip import Backend, Program, Session
from strl.errors import BackendError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import Graded, Lif, Product, Source
from strl.testing import random_program, random_spikes
from strl.testing.programs import KINDS

pytestmark = pytest.mark.lava

PROCESSES = {
    *(
        "LIF",
        "LIFReset",
        "LateLIF",
        "TernaryLIF",
        "ResetTernaryLIF",
        "GradedVec",
        "GradedReluVec",
        "ProdNeuron",
    ),
    *("Dense", "DelayDense", "Sparse", "DelaySparse", "Conv", "Blank"),
}


def test_every_kind_equals_lavas_models() -> None:
    tally = fuzz.check_block(range(200), ["lava-models"])
    assert not tally.differences
    assert tally.backends["lava-models"] > 180, tally.refused
    assert set(tally.kinds) >= PROCESSES
    assert tally.counts["spikes"] > 50_000


def mixed(seed: int) -> Program:
    """A program of every kind that the stock runtime can run."""
    return for_lava(random_program(seed, largest=12, kinds=KINDS), longest=3)


SEEDS = (0, 1, 9, 10, 21, 25)


def test_the_seeds_reach_every_process() -> None:
    found = {name for seed in SEEDS for name in runs.ModelRun(mixed(seed)).processes}
    assert found >= PROCESSES


def digest(session: Session, seed: int, decisions: int = 3) -> str:
    """Of an episode; int32 or uint8 rasters alike."""
    hasher = hashlib.sha256()
    for number in range(decisions):
        decision = session.run(random_spikes(session.program, 10 * seed + number, batch=session.batch))
        assert decision.raster.dtype == session.program.message
        hasher.update(decision.raster.astype(np.int32).tobytes() + decision.readout.tobytes())
    return hasher.hexdigest()


BACKENDS: dict[str, Callable[[], Backend]] = {
    "definition": DefinitionBackend,
    "kernel": LoihiBackend,
    "lava": LavaBackend,
    "lava-fused": LavaFusedBackend,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_episode_replayed_is_the_same_on_every_backend(seed: int) -> None:
    """Nothing leaks from one episode into another: fresh, and after others, and on whatever backend."""
    program, found = mixed(seed), set()
    for make in BACKENDS.values():
        session = make().load(program)
        try:
            found.add(digest(session, seed))
            session.reset()
            digest(session, seed + 1, decisions=2)
            session.reset([0])
            found.add(digest(session, seed))
        finally:
            session.close()
    assert len(found) == 1


@pytest.mark.parametrize("seed", range(20, 40))
def test_the_fused_process_runs_every_kind(seed: int) -> None:
    program = random_program(seed, kinds=KINDS)
    ours, theirs = LavaFusedBackend().load(program, batch=2), DefinitionBackend().load(program, batch=2)
    try:
        assert digest(ours, seed) == digest(theirs, seed)
    finally:
        ours.close()


def tiny(kind: Graded | Product | Lif, weights: tuple[int, ...] = (1,), **options: int) -> Program:
    """A graded source that multiplies with weights, two ticks a decision."""
    plain = random_program(0)
    populations = (
        Population(name="in0", size=1, kind=Source(plane=None)),
        Population(name="n0", size=len(weights), kind=kind),
    )
    weight = np.array(weights, np.int16)[:, None]
    synapse = Synapse(name="s0", pre="in0", post="n0", weight=weight, message_bits=32, **options)
    return replace(
        plain,
        populations=populations,
        synapses=(synapse,),
        schedule=replace(plain.schedule, ticks=1, total=2, state="carry"),
        readout=replace(plain.readout, population="n0", kind="count", start=0, stop=2),
    )


@pytest.mark.parametrize("rectify", [False, True])
def test_the_most_negative_message_has_no_magnitude(rectify: bool) -> None:
    program = tiny(Graded(vth=np.zeros(1), rectify=rectify))
    spikes = np.full((1, 1, 1), -(2**31), np.int32)
    for run in (runs.DefinitionRun(program), runs.ModelRun(program)):
        _, trace = run.decide(spikes)
        assert trace["n0"]["a0"][1].tolist() == [-(2**31)]
    assert not LoihiBackend().load(program).run(spikes).raster[0, :, 1].any()
    assert not fuzz.difference(program, 0, runs.ModelRun)


def test_graded_neurons_with_thresholds_of_their_own_are_refused() -> None:
    program = tiny(Graded(vth=np.array([1, 2])), (1, 1))
    with pytest.raises(BackendError, match=r"n0: thresholds 1\.\.2; Lava's graded .* one for all") as caught:
        LavaBackend().load(program)
    assert "lava-fused" in caught.value.hint


def test_a_message_too_large_for_doubled_weights_is_refused_and_ends_the_session() -> None:
    """Odd weights of both signs are stored twice as large; from 2³⁰ on their sums would be others."""
    program = tiny(Graded(vth=np.zeros(2)), (-1, 1), weight_exp=-1)
    session = LavaBackend().load(program)
    session.run(np.full((1, 1, 1), 2**30 - 1, np.int32))
    with pytest.raises(InexactError, match=r"s0: a message of ±1073741824, .* up to ±1073741823"):
        session.run(np.full((1, 1, 1), 2**30, np.int32))
    with pytest.raises(BackendError, match="closed"):
        session.run(np.zeros((1, 1, 1), np.int32))


def test_a_mismatch_is_found_and_shrunk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hardware_sims.loihi import definition

    plain = definition.ternary

    def wrong(*arguments: object) -> object:
        u, v, messages = plain(*arguments)  # type: ignore[arg-type]
        return u, v + (messages < 0), messages

    monkeypatch.setattr(definition, "ternary", wrong)
    seed = next(s for s in range(1, 50) if s % 4 and "ternary" in set(fuzz.features(mixed(s))))
    code = fuzz.main(["--programs", "8", "--seed", str(seed), "--on", "lava-models"])
    assert code == 1
    assert "(ternary, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shape", "image", "options", "process"),
    [
        ((1, 1, 1, 3), (1, 1, 125), {"padding": (0, 1)}, "Conv"),
        ((1, 1, 1, 3), (1, 1, 126), {"padding": (0, 1)}, "Sparse"),
        ((1, 1, 3, 1), (1, 300, 1), {}, "Sparse"),
        ((1, 130, 1, 3), (130, 1, 4), {}, "Sparse"),
        ((130, 1, 1, 3), (1, 1, 4), {}, "Sparse"),
        ((1, 1, 1, 3), (1, 1, 127), {"stride": (1, 130)}, "Sparse"),
        ((1, 1, 1, 70), (1, 1, 9), {"padding": (0, 64)}, "Sparse"),
        ((1, 1, 1, 3), (1, 1, 70), {"padding": (0, 30), "dilation": (1, 64)}, "Sparse"),
    ],
)
def test_a_convolution_wider_than_lavas_8_bits(
    shape: tuple[int, ...], image: tuple[int, int, int], options: dict[str, Any], process: str
) -> None:
    """Lava's Conv keeps strides, padding and kernel size in int8, and dies where a sum of them leaves it."""
    weight = np.random.default_rng(0).integers(-60, 60, size=shape).astype(np.int16) * 2
    kernel = Kernel(weight=weight, image=image, **options)
    post, plain = int(np.prod(kernel.shape)), random_program(0)
    lif = Lif(du=np.full(post, 4095), dv=np.full(post, 4096), vth=np.full(post, 5))
    program = replace(
        plain,
        populations=(
            Population(name="in0", size=int(np.prod(image)), kind=Source()),
            Population(name="n0", size=post, kind=lif),
        ),
        synapses=(Synapse(name="s0", pre="in0", post="n0", weight=kernel),),
        placement=(),
        schedule=replace(plain.schedule, ticks=3, total=5, state="carry"),
        readout=replace(plain.readout, population="n0", kind="count", start=0, stop=5),
    )
    assert process in runs.ModelRun(program).processes
    assert not fuzz.difference(program, 0, runs.ModelRun)
