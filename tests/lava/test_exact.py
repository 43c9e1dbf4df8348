"""Programs on Lava give what the definition gives, to the last spike."""

from __future__ import annotations

import hashlib
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.fit import for_lava
from hardware_sims.lava import LavaBackend, LavaFusedBackend
from hardware_sims.lava.baseline import ticks_per_second
from hardware_sims.loihi import DefinitionBackend
from strl.chip import Program, Session
from strl.errors import BackendError
from strl.quantize.network import Schedule, Synapse
from strl.quantize.neurons import Lif
from strl.testing import random_program, random_spikes

pytestmark = pytest.mark.lava


def stock_program(seed: int) -> Program:
    """A random program of plain neurons that stock processes can run."""
    return for_lava(random_program(seed))


def agree(tested: Session, truth: Session, seed: int, decisions: int) -> str:
    """Run both; returns the digest of what they did."""
    hasher = hashlib.sha256()
    for decision in range(decisions):
        spikes = random_spikes(truth.program, 1000 * seed + decision, batch=truth.batch)
        found, expected = tested.run(spikes), truth.run(spikes)
        np.testing.assert_array_equal(found.raster, expected.raster)
        np.testing.assert_array_equal(found.readout, expected.readout)
        assert (found.raster.dtype, found.readout.dtype) == (np.uint8, np.int32)
        hasher.update(expected.raster.tobytes())
    a, b = tested.counts(), truth.counts()
    np.testing.assert_array_equal(a.ticks, b.ticks)
    np.testing.assert_array_equal(a.spikes, b.spikes)
    if a.active is not None:
        np.testing.assert_array_equal(a.active, b.active)
    return hasher.hexdigest()


@pytest.mark.parametrize("seed", range(40))
def test_stock_processes_equal_the_definition(seed: int) -> None:
    program = stock_program(seed)
    tested, truth = LavaBackend().load(program), DefinitionBackend().load(program)
    try:
        first = agree(tested, truth, seed, decisions=4)
        tested.reset()
        truth.reset()
        agree(tested, truth, seed + 1, decisions=2)
        tested.reset([0])
        truth.reset([0])
        assert agree(tested, truth, seed, decisions=4) == first, "an episode replayed is another one"
    finally:
        tested.close()


def test_the_programs_tried_reach_every_feature() -> None:
    programs = [stock_program(seed) for seed in range(40)]
    synapses = [(p.schedule.state, s) for p in programs for s in p.synapses]
    states, kinds = ("reset", "carry"), ("count", "membrane")
    assert {(p.schedule.state, p.readout.kind) for p in programs} == {(s, k) for s in states for k in kinds}
    assert {s.delay > 1 for state, s in synapses if state == "reset"} == {True, False}
    assert max(s.delay for _, s in synapses) == 63
    assert {state for state, s in synapses if s.pre == s.post} == set(states)
    assert any(p.blanked(s, t) for p in programs for s in p.synapses for t in range(p.schedule.total))
    assert {-7, 7} <= {s.weight_exp for _, s in synapses}
    assert any((s.weight & 1).any() for _, s in synapses)
    assert sum(rate(p) > 0.05 for p in programs) > 20, "too many of them are silent"


def rate(program: Program) -> float:
    """Share of LIF neurons that spike in a tick of three decisions."""
    truth = DefinitionBackend().load(program)
    lif = np.concatenate([np.full(p.size, isinstance(p.kind, Lif)) for p in program.populations])
    rasters = [truth.run(random_spikes(program, k, batch=1)).raster for k in range(3)]
    return float(np.concatenate(rasters, axis=1)[0][:, lif].mean())


@pytest.mark.parametrize("seed", range(60))
def test_the_fused_process_equals_the_definition(seed: int) -> None:
    program, batch = random_program(seed), 1 + seed % 4
    tested = LavaFusedBackend().load(program, batch=batch)
    truth = DefinitionBackend().load(program, batch=batch)
    try:
        first = agree(tested, truth, seed, decisions=3)
        for session in (tested, truth):
            session.reset([batch - 1])
        assert tested.counts().spikes[-1].sum() == 0
        agree(tested, truth, seed + 1, decisions=2)
        for session in (tested, truth):
            session.reset()
        assert agree(tested, truth, seed, decisions=3) == first
    finally:
        tested.close()


@pytest.mark.parametrize(
    "weights",
    [[[0, 255], [1, 3]], [[-255, 0], [-3, -1]], [[-256, 254], [2, -4]], [[-128, 127], [3, -5]], [[-256, -2]]],
)
@pytest.mark.parametrize("exponent", [-7, -1, 0, 7])
def test_stored_weights_are_the_weights(weights: list[list[int]], exponent: int) -> None:
    """What Lava makes of what it is given, times two to the exponent it is given, is what was asked for."""
    from lava.utils.weightutils import clip_weights, truncate_weights

    from hardware_sims.lava.synapses import stored

    weight = np.array(weights, np.int16)
    mode, given, shift = stored(Synapse(name="s", pre="a", post="b", weight=weight, weight_exp=exponent))
    kept = truncate_weights(clip_weights(given, mode, num_bits=8), mode, 8)
    np.testing.assert_array_equal(kept * 2.0**shift, weight * 2.0**exponent)


def test_weights_that_lava_would_change_are_refused() -> None:
    program = stock_program(0)
    synapse = program.synapses[0]
    weight = np.full(synapse.weight.shape, -1)
    weight.flat[0] = 254
    odd = replace(synapse, weight=weight)
    if weight.size == 1:
        pytest.fail("choose another seed: this synapse is a single one")
    with pytest.raises(BackendError, match=f"{synapse.name}: weights of both signs, -1..254"):
        LavaBackend().load(replace(program, synapses=(odd, *program.synapses[1:])))


def test_more_than_one_slot_is_refused() -> None:
    with pytest.raises(BackendError, match="batch = 2") as caught:
        LavaBackend().load(stock_program(0), batch=2)
    assert caught.value.exit_code == 6


def test_wrong_input_is_refused_and_harms_nothing() -> None:
    program = stock_program(1)
    session, truth = LavaBackend().load(program), DefinitionBackend().load(program)
    try:
        with pytest.raises(BackendError, match="shape"):
            session.run(np.zeros((1, 1, 1), np.uint8))
        agree(session, truth, 1, decisions=2)
    finally:
        session.close()


def test_the_baseline_for_benchmarks_runs() -> None:
    assert ticks_per_second(stock_program(1), 50) > 50
    assert not multiprocessing.active_children()


def test_a_schedule_without_drain_runs() -> None:
    program = stock_program(3)
    schedule = Schedule(
        ticks=program.schedule.total, total=program.schedule.total, state=program.schedule.state
    )
    program = replace(program, schedule=schedule)
    session, truth = LavaBackend().load(program), DefinitionBackend().load(program)
    try:
        agree(session, truth, 3, decisions=2)
    finally:
        session.close()
