"""The definition against numbers worked out by hand, and against a neuron on the silicon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hardware_sims.loihi import DefinitionBackend, LoihiBackend
from hardware_sims.loihi.definition import LIMIT, decay, shift, wrap32
from hardware_sims.loihi.definition import lif as update
from strl.chip import Program, Session
from strl.errors import ChipError
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Gate, Lif, Source
from strl.testing import random_program, random_spikes

TRACE = Path(__file__).parents[2] / "shared" / "cases" / "loihi_trace"


def lif(du: int = 4095, dv: int = 0, vth: int = 131071, n: int = 1) -> Lif:
    return Lif(du=np.full(n, du), dv=np.full(n, dv), vth=np.full(n, vth))


def column(*values: int) -> np.ndarray:
    return np.array([values], np.int64)


def program(
    *populations: Population,
    synapses: tuple[Synapse, ...],
    ticks: int = 1,
    total: int | None = None,
    state: str = "carry",
) -> Program:
    """A program read at its last population, over the whole decision."""
    total = ticks if total is None else total
    read = ReadoutWindow(population=populations[-1].name, kind="count", start=0, stop=total, unit=1.0)
    return replace(
        random_program(0),
        populations=populations,
        synapses=synapses,
        schedule=Schedule(ticks=ticks, total=total, state=state),
        readout=read,
    )


def driven(session: Session, *ticks: int) -> np.ndarray:
    """The raster of one decision with a single source's spikes."""
    return session.run(np.array(ticks, np.uint8).reshape(-1, 1, 1)).raster[0]


def test_decay_goes_towards_zero() -> None:
    assert decay(column(100, -100, 1, -1), np.array(4095)).tolist() == [[99, -99, 0, 0]]
    assert decay(column(7, -7), np.array(4096)).tolist() == [[7, -7]]
    assert decay(column(7, -7), np.array(0)).tolist() == [[0, 0]]


def test_negative_exponent_rounds_the_sum_down() -> None:
    assert shift(column(-3, 3, -1), -1).tolist() == [[-2, 1, -1]]
    assert shift(column(-3, 3), 7).tolist() == [[-384, 384]]


def test_current_wraps_once_and_only_beyond_the_limit() -> None:
    top = LIMIT // 64
    u, _, _ = update(column(0, 64, 0, -64), column(0, 0, 0, 0), column(top, top, -top, -top), lif(du=0, n=4))
    # decay by 4095/4096 leaves 63 of 64. +2²³ stays, one more wraps; −2²³ wraps already.
    assert u.tolist() == [[LIMIT, 63 - LIMIT, LIMIT, LIMIT - 63]]


def test_current_is_a_32_bit_register() -> None:
    assert wrap32(column(2**31, -(2**31) - 1)).tolist() == [[-(2**31), 2**31 - 1]]
    u, _, _ = update(column(0), column(0), column(2**25 + 1), lif())
    assert u.tolist() == [[-(2**31) + 64 + 2 * LIMIT]]


def test_potential_clips_at_both_ends() -> None:
    u, v, spikes = update(column(0, 0), column(LIMIT - 1, 1 - LIMIT), column(1, -1), lif(n=2))
    # The upper end lies above the highest threshold, 131071·64, so that it always spikes.
    assert (u.tolist(), v.tolist(), spikes.tolist()) == ([[64, -64]], [[0, 1 - LIMIT]], [[1, 0]])


def test_threshold_is_strict_and_clears_only_the_potential() -> None:
    u, v, spikes = update(column(0, 0), column(0, 1), column(10, 10), lif(vth=10, n=2))
    assert spikes.tolist() == [[0, 1]]
    assert v.tolist() == [[640, 0]]
    assert u.tolist() == [[640, 640]]


def test_a_synapse_takes_its_delay_and_spikes_cross_decisions() -> None:
    made = program(
        Population(name="in", size=1, kind=Source()),
        Population(name="out", size=1, kind=lif(vth=0)),
        synapses=(Synapse(name="w", pre="in", post="out", weight=np.array([[2]]), delay=3),),
        ticks=2,
    )
    session = DefinitionBackend().load(made)
    assert driven(session, 1, 0)[:, 1].tolist() == [0, 0]
    assert driven(session, 0, 0)[:, 1].tolist() == [0, 1]
    session.reset()
    driven(session, 1, 0)
    session.reset()
    assert driven(session, 0, 0)[:, 1].tolist() == [0, 0], "a new episode begins with nothing on the way"


def test_state_is_cleared_at_the_offset_before_the_input_is_added() -> None:
    made = program(
        Population(name="in", size=1, kind=Source()),
        Population(name="out", size=1, kind=lif(vth=3), offset=1),
        synapses=(Synapse(name="w", pre="in", post="out", weight=np.array([[2]])),),
        ticks=2,
        total=3,
        state="reset",
    )
    session = DefinitionBackend().load(made)
    # Two spikes make 4·64 > 3·64 in one decision; two decisions of one spike each never add up.
    assert driven(session, 1, 1)[:, 1].tolist() == [0, 0, 1]
    for _ in range(3):
        assert driven(session, 0, 1)[:, 1].tolist() == [0, 0, 0]
    assert session.v["out"].tolist() == [[128]]


def test_recurrent_spikes_do_not_cross_a_reset() -> None:
    made = program(
        Population(name="gate", size=1, kind=Gate(start=1, stop=2)),
        Population(name="out", size=1, kind=lif(vth=1)),
        synapses=(
            Synapse(name="w", pre="gate", post="out", weight=np.array([[2]])),
            Synapse(name="r", pre="out", post="out", weight=np.array([[2]])),
        ),
        total=3,
        state="reset",
    )
    session = DefinitionBackend().load(made)
    for _ in range(2):  # the spike of tick 2 would make one at tick 0 of the next decision
        raster = session.run(np.zeros((1, 1, 0), np.uint8)).raster[0]
        assert raster.tolist() == [[0, 0], [1, 0], [0, 1]]


def test_an_update_is_active_where_input_or_state_is() -> None:
    made = program(
        Population(name="in", size=1, kind=Source()),
        Population(name="out", size=2, kind=lif(dv=4096, n=2)),
        synapses=(Synapse(name="w", pre="in", post="out", weight=np.array([[2], [0]])),),
        ticks=5,
    )
    session = DefinitionBackend().load(made)
    driven(session, 1, 0, 0, 0, 0)
    # Tick 1: input. Tick 2: u and v of tick 1 are still there before the update, then both are forgotten.
    assert session.counts().active.tolist() == [[0, 2]]
    assert session.counts().spikes.tolist() == [[1, 0, 0]]
    assert session.counts().ticks.tolist() == [5]


@pytest.mark.skipif(not TRACE.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize("backend", [DefinitionBackend(), LoihiBackend()], ids=lambda b: b.name)
def test_the_neuron_on_silicon(backend: DefinitionBackend | LoihiBackend) -> None:
    """NIR paper 2024, 01_lif; ``test_arithmetic`` has the chip's own probe."""
    inputs = np.load(TRACE / "input.npy").astype(np.uint8)
    made = program(
        Population(name="in", size=1, kind=Source()),
        Population(name="out", size=1, kind=lif(dv=163, vth=25)),
        synapses=(Synapse(name="w", pre="in", post="out", weight=np.array([[10]])),),
    )
    session = backend.load(made)
    v, spikes = [], []
    for tick in inputs:
        spikes.append(driven(session, int(tick[0]))[0, 1])
        v.append(int(session.v["out"][0, 0]))
    assert np.flatnonzero(spikes).tolist() == [461, 511, 711, 761]
    assert np.array_equal(spikes, np.load(TRACE / "spikes_lava_cpu_fixed.npy"))
    assert np.array_equal(v, np.load(TRACE / "v_lava_cpu_fixed.npy"))


def test_batch_slots_do_not_touch_each_other() -> None:
    made = random_program(3)
    together = DefinitionBackend().load(made, batch=3)
    spikes = random_spikes(made, 3, batch=3)
    joint = together.run(spikes).raster
    for slot in range(3):
        alone = DefinitionBackend().load(made).run(spikes[:, slot : slot + 1]).raster
        assert np.array_equal(alone[0], joint[slot])


def test_a_membrane_of_a_source_is_refused() -> None:
    made = random_program(0)
    source = made.sources[0].name
    with pytest.raises(ChipError, match="membrane"):
        replace(made, readout=replace(made.readout, population=source, kind="membrane"))


def test_a_kernel_is_torchs_convolution() -> None:
    torch = pytest.importorskip("torch")
    shared = 0
    for seed in range(200):
        for synapse in random_program(seed, kinds={"kernel"}).synapses:
            kernel = synapse.weight
            if isinstance(kernel, Kernel):
                shared += 1
                image = np.random.default_rng(seed).integers(-9, 9, (1, *kernel.image)).astype(float)
                due = torch.nn.functional.conv2d(
                    torch.tensor(image),
                    torch.tensor(kernel.weight.astype(float)),
                    stride=kernel.stride,
                    padding=kernel.padding,
                    dilation=kernel.dilation,
                    groups=kernel.groups,
                )
                assert tuple(due.shape[1:]) == kernel.shape
                assert np.array_equal(kernel.matrix() @ image.ravel(), due.numpy().ravel())
    assert shared > 100
