"""Network → integers: nothing changes where the numbers are on the grid, and what cannot is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hardware_sims.loihi.definition import DefinitionSession
from strl.chip import Part, Program, chip
from strl.chip.place import place, usage, with_formats
from strl.errors import ChipError
from strl.ir import LIF, Delay, EnvironmentSpec, Input, Linear, Network, Output, Readout, Semantics
from strl.ir.nodes import Node
from strl.ir.reference import Reference
from strl.ir.semantics import State
from strl.quantize import Gate, Lif
from strl.quantize.grid import RESETS, Grid
from strl.quantize.quantize import quantize

Rng = np.random.Generator


def semantics(**change: Any) -> Semantics:
    base = Semantics(
        ticks=6,
        state="reset",
        readout=Readout(kind="count"),
        encoder={},
        decoder={},
        environment=EnvironmentSpec(id="", observation_shape=(1,), actions=2),
    )
    return replace(base, **change)


def integrators(rng: Rng, n: int) -> LIF:
    """Neurons whose arithmetic is exact on the chip: no decay, whole thresholds."""
    return LIF(
        alpha=np.zeros(n),
        beta=np.ones(n),
        threshold=rng.integers(20, 400, n).astype(float),
        reset="zero",
        reset_delay=False,
    )


def whole(rng: Rng, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Whole weights whose largest magnitude is 127, so that the scale is a power of two."""
    weight = rng.integers(-127, 128, shape).astype(float)
    weight.flat[0] = 127
    return weight


def random_network(rng: Rng, *, skip: bool, recurrent: bool, bias: bool, late: bool = False) -> Network:
    sizes = [int(rng.integers(1, 7)) for _ in range(4)]
    nodes: dict[str, Node] = {"input": Input(shape=(sizes[0],))}
    edges: list[tuple[str, str]] = []
    before = "input"
    for i in range(1, 4):
        b = rng.integers(-127, 128, sizes[i]).astype(float) if bias else None
        nodes[f"fc{i}"] = Linear(weight=whole(rng, (sizes[i], sizes[i - 1])), bias=b)
        nodes[f"lif{i}"] = integrators(rng, sizes[i])
        edges += [(before, f"fc{i}"), (f"fc{i}", f"lif{i}")]
        before = f"lif{i}"
    b3 = rng.integers(-127, 128, sizes[3]).astype(float) if bias else None
    if skip:
        nodes["skip"] = Linear(weight=whole(rng, (sizes[3], sizes[0])), bias=b3)
        edges += [("input", "skip"), ("skip", "lif3")]
    if late:  # lif1 reaches lif3 twice through the same weights, both ways late and one of them later
        nodes["wait"] = Delay(ticks=int(rng.integers(1, 4)), shape=(sizes[1],))
        nodes["late_fc"] = Linear(weight=whole(rng, (sizes[3], sizes[1])), bias=b3)
        nodes["again"] = Delay(ticks=int(rng.integers(1, 3)), shape=(sizes[3],))
        edges += [("lif1", "wait"), ("wait", "late_fc"), ("late_fc", "lif3")]
        edges += [("late_fc", "again"), ("again", "lif3")]
    if recurrent:
        nodes["late"] = Delay(ticks=int(rng.integers(1, 4)), shape=(sizes[2],))
        nodes["back"] = Linear(weight=whole(rng, (sizes[2], sizes[2])))
        edges += [("lif2", "late"), ("late", "back"), ("back", "lif2")]
    nodes["output"] = Output(shape=(sizes[3],))
    return Network(nodes=nodes, edges=(*edges, (before, "output")))


def with_reset(network: Network, reset: str) -> Network:
    kind: Any = reset.split()[0]
    nodes = {
        name: replace(node, reset=kind, reset_delay="late" in reset) if isinstance(node, LIF) else node
        for name, node in network.nodes.items()
    }
    return replace(network, nodes=nodes)


def program_of(network: Network, meaning: Semantics, *, bits: int = 1, grid: Grid | None = None) -> Program:
    spec = chip("loihi1")
    made = with_formats(quantize(network, meaning, grid=grid or Grid(), bits=bits))
    return Program(
        chip=spec,
        arithmetic="lava",
        populations=made.populations,
        synapses=made.synapses,
        placement=place(made, spec),
        schedule=made.schedule,
        readout=made.readout,
        semantics=meaning,
    )


def _leaves_24_bits(program: Program, network: Network, reference: Reference) -> bool:
    """Without decay and reset a potential has no bound: the chip clips where the network does not."""
    for name in reference.populations:
        node, kind = network.nodes[name], program.population(name).kind
        assert isinstance(node, LIF)
        assert isinstance(kind, Lif)
        steps = 64 * kind.vth / node.threshold
        if (np.abs(reference.potential(name)) * steps > 2**21).any():
            return True
    return False


@settings(max_examples=60, deadline=None, derandomize=True)  # clipping within a decision is rare, not never
@given(
    seed=st.integers(0, 2**32 - 1),
    skip=st.booleans(),
    recurrent=st.booleans(),
    bias=st.booleans(),
    late=st.booleans(),
    state=st.sampled_from(["reset", "carry"]),
    bits=st.sampled_from([1, 3]),
    reset=st.sampled_from(RESETS),
)
def test_a_network_on_the_grid_loses_nothing(
    seed: int, skip: bool, recurrent: bool, bias: bool, late: bool, state: State, bits: int, reset: str
) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, skip=skip, recurrent=recurrent, bias=bias, late=late)
    network = with_reset(network, reset)
    meaning = semantics(state=state, rest=5 if state == "carry" else 0)
    program = program_of(network, meaning, bits=bits, grid=Grid(resets=RESETS))
    batch, decisions, ticks = 3, 4, meaning.ticks
    session, reference = DefinitionSession(program, batch), Reference(network, batch)
    width = program.sources[0].size
    seen: dict[str, list[NDArray[Any]]] = {name: [] for name in reference.populations}
    due: dict[str, list[NDArray[Any]]] = {name: [] for name in reference.populations}
    for _ in range(decisions):
        if state == "reset":
            reference.reset()
        low, high = (0, 2) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        levels = rng.integers(low, high, (ticks, batch, width))
        raster = session.run(program.spikes(levels)).raster
        silence = np.zeros((meaning.rest, batch, width))
        outputs = [reference.tick(x) for x in levels.astype(float)]
        outputs += [reference.tick(x, driven=False) for x in silence]
        assume(not _leaves_24_bits(program, network, reference))
        for name in reference.populations:
            due[name] += [out[name] for out in outputs]
            offset = program.population(name).offset
            here = raster[:, :, program.slices[name]].swapaxes(0, 1)
            seen[name] += list(here[offset : offset + ticks] if state == "reset" else here)
    for name in reference.populations:
        # Under carry, logical tick k is chip tick k + offset of one unbroken stream.
        late = program.population(name).offset if state == "carry" else 0
        ours, theirs = np.stack(seen[name])[late:], np.stack(due[name])
        np.testing.assert_array_equal(ours, theirs[: len(ours)], err_msg=name)


def test_off_the_grid_few_spikes_differ() -> None:
    rng = np.random.default_rng(5)
    n = 48
    neurons = LIF(
        alpha=np.full(n, 0.5),
        beta=np.full(n, 0.9),
        threshold=np.ones(n),
        reset="zero",
        reset_delay=False,
    )
    nodes: dict[str, Node] = {
        "input": Input(shape=(20,)),
        "fc": Linear(weight=rng.normal(size=(n, 20)) * 0.4, bias=rng.normal(size=n) * 0.1),
        "lif": neurons,
        "output": Output(shape=(n,)),
    }
    names = list(nodes)
    network = Network(nodes=nodes, edges=tuple(itertools.pairwise(names)))
    meaning = semantics(ticks=40)
    program = program_of(network, meaning)
    x = rng.integers(0, 2, (40, 8, 20))
    raster = DefinitionSession(program, 8).run(program.spikes(x)).raster
    reference = Reference(network, 8)
    due = np.stack([reference.tick(row.astype(float))["lif"] for row in x])
    seen = raster[:, 1:, program.slices["lif"]].swapaxes(0, 1)
    assert due.mean() > 0.05
    assert (seen != due).mean() < 0.01


def test_biases_arrive_at_their_layers_own_ticks() -> None:
    network = random_network(np.random.default_rng(3), skip=False, recurrent=False, bias=True)
    program = program_of(network, semantics())
    gates = {p.name: p.kind for p in program.populations if isinstance(p.kind, Gate)}
    for synapse in program.synapses:
        if synapse.pre in gates:
            gate, post = gates[synapse.pre], program.population(synapse.post)
            assert gate.start + synapse.delay == post.offset
            assert gate.stop - gate.start == 6


@pytest.mark.parametrize("bits", [8, 6, 4, 3, 2])
def test_weights_lie_on_the_grid(bits: int) -> None:
    network = random_network(np.random.default_rng(4), skip=True, recurrent=True, bias=True)
    program = program_of(network, semantics(), grid=Grid(weight_bits=bits))
    step = 2 ** (9 - bits)
    for synapse in program.synapses:
        assert not (synapse.weight % step).any()
        assert np.abs(synapse.weight).max() <= 256 - step


def test_what_a_negative_exponent_drops_is_in_the_report() -> None:
    nodes: dict[str, Node] = {
        "input": Input(shape=(1,)),
        "fc": Linear(weight=np.array([[127.0], [65.0]])),
        "lif": neurons(threshold=np.full(2, 60000.0)),
        "output": Output(shape=(2,)),
    }
    network = Network(nodes=nodes, edges=tuple(itertools.pairwise(nodes)))
    made = quantize(network, semantics(), grid=Grid(), bits=10)
    floors = {s.weight_exp: made.error[s.name]["floor"] * 127 for s in made.synapses}
    assert floors[-1] == 0  # weights are even
    lost = {e: floor for e, floor in floors.items() if floor}
    assert lost
    assert all(e < -1 for e in lost)
    assert set(floors) - set(lost) == {e for e in floors if e >= -1}


def test_weights_that_rounding_takes_away_are_counted() -> None:
    nodes: dict[str, Node] = {
        "input": Input(shape=(4,)),
        "fc": Linear(weight=np.array([[1e6, 1.0, 1.0, 0.0], [0.5, 0.5, 1e6, 0.0]])),
        "lif": neurons(),
        "output": Output(shape=(2,)),
    }
    network = Network(nodes=nodes, edges=tuple(itertools.pairwise(nodes)))
    error = quantize(network, semantics(), grid=Grid()).error["fc"]
    assert error["lost"] == 4 / 6
    assert error["zero"] == 6 / 8


def test_no_input_can_wrap_a_current() -> None:
    rng = np.random.default_rng(6)
    for seed in range(20):
        network = random_network(np.random.default_rng(seed), skip=True, recurrent=True, bias=True)
        program = program_of(network, semantics())
        session = DefinitionSession(program, 64)
        for _ in range(5):
            session.run(program.spikes(rng.integers(0, 2, (6, 64, program.sources[0].size))))
            for name, u in session.u.items():
                total = sum(
                    np.abs(s.weight.astype(np.int64)).sum(axis=1) * 2.0**s.weight_exp
                    for s in program.synapses
                    if s.post == name
                )
                assert (np.abs(u) <= 64 * total).all()  # a wrapped current would not be on its side


def test_neurons_that_nothing_reaches_set_no_scale() -> None:
    rng = np.random.default_rng(0)
    nodes: dict[str, Node] = {
        "input": Input(shape=(2,)),
        "fc": Linear(weight=np.array([[127.0, -64.0], [0.0, 0.0]])),
        "lif": integrators(rng, 2),
        "output": Output(shape=(2,)),
    }
    network = Network(nodes=nodes, edges=tuple(itertools.pairwise(nodes)))
    program = program_of(network, semantics(state="carry", rest=1))
    assert program.synapses[0].weight.tolist() == [[254, -128], [0, 0]]


def one_layer(lif: LIF) -> Network:
    nodes: dict[str, Node] = {
        "input": Input(shape=(2,)),
        "fc": Linear(weight=np.ones((lif.size, 2))),
        "lif": lif,
        "output": Output(shape=(lif.size,)),
    }
    return Network(nodes=nodes, edges=(("input", "fc"), ("fc", "lif"), ("lif", "output")))


def neurons(**change: Any) -> LIF:
    base = LIF(alpha=np.zeros(2), beta=np.full(2, 0.5), threshold=np.ones(2), reset="zero", reset_delay=False)
    return replace(base, **change)


@pytest.mark.parametrize(
    ("lif", "message", "hint"),
    [
        (neurons(reset="subtract"), "lif: reset = 'subtract'", "reset_mechanism='zero'"),
        (neurons(reset="none", beta=np.ones(2)), "lif: reset = 'none'", "reset_mechanism='zero'"),
        (neurons(reset="none", alpha=np.full(2, 0.5)), "lif: reset = 'none'", "reset_mechanism='zero'"),
        (neurons(reset_delay=True), "one tick after its spike", "reset_delay=False"),
        (neurons(threshold=np.array([1.0, np.inf])), "some thresholds are infinite", ""),
        (neurons(threshold=-np.ones(2)), "threshold = -1", ""),
        (neurons(alpha=np.ones(2)), "alpha = 1, must be at most", ""),
    ],
)
def test_what_the_neurons_cannot_do_is_refused(lif: LIF, message: str, hint: str) -> None:
    with pytest.raises(ChipError, match=message) as error:
        quantize(one_layer(lif), semantics(), grid=Grid())
    assert hint in error.value.hint


def test_carry_needs_a_rest_as_long_as_the_network_is_deep() -> None:
    network = random_network(np.random.default_rng(0), skip=False, recurrent=False, bias=False)
    with pytest.raises(ChipError, match="3 ticks deep but a decision rests 2") as error:
        quantize(network, semantics(state="carry", rest=2), grid=Grid())
    assert "rest = 3" in error.value.hint


def test_a_membrane_is_read_in_float_units() -> None:
    silent = neurons(threshold=np.full(2, np.inf), reset="none", beta=np.array([0.5, 0.75]))
    network = one_layer(silent)
    program = program_of(network, semantics(readout=Readout(kind="membrane")))
    x = np.random.default_rng(1).integers(0, 2, (6, 4, 2))
    reference = Reference(network, 4)
    for row in x:
        reference.tick(row.astype(float))
    readout = DefinitionSession(program, 4).run(program.spikes(x)).readout * program.readout.unit
    np.testing.assert_allclose(readout, reference.potential("lif"), atol=1e-3)
    with pytest.raises(ChipError, match="its membrane is read but it spikes"):
        quantize(one_layer(neurons()), semantics(readout=Readout(kind="membrane")), grid=Grid())


def test_the_output_must_be_neurons() -> None:
    nodes: dict[str, Node] = {
        "input": Input(shape=(2,)),
        "fc": Linear(weight=np.ones((2, 2))),
        "lif": neurons(),
        "head": Linear(weight=np.ones((1, 2))),
        "output": Output(shape=(1,)),
    }
    names = list(nodes)
    network = Network(nodes=nodes, edges=tuple(itertools.pairwise(names)))
    with pytest.raises(ChipError, match="output: comes from head"):
        quantize(network, semantics(), grid=Grid())


def test_placement_splits_what_is_too_large_for_a_core() -> None:
    rng = np.random.default_rng(9)
    n = 1500
    nodes: dict[str, Node] = {
        "input": Input(shape=(64,)),
        "fc": Linear(weight=rng.normal(size=(n, 64))),
        "lif": neurons(alpha=np.zeros(n), beta=np.full(n, 0.5), threshold=np.ones(n)),
        "output": Output(shape=(n,)),
    }
    names = list(nodes)
    network = Network(nodes=nodes, edges=tuple(itertools.pairwise(names)))
    made = with_formats(quantize(network, semantics(), grid=Grid()))
    spec = chip("loihi1")
    parts = place(made, spec)
    assert parts == (
        Part(population="lif", start=0, stop=1024, core=0),
        Part(population="lif", start=1024, stop=1500, core=1),
    )
    for use in usage(made, parts).values():
        for name, amount in use.amounts().items():
            assert amount <= spec.limit(name)


def test_a_potential_that_no_spike_resets_is_a_current_where_spikes_always_reset() -> None:
    """On Loihi 1: spike for spike what Loihi 2's neurons without a reset do, and the float network."""
    rng = np.random.default_rng(3)
    nodes: dict[str, Node] = {
        "input": Input(shape=(6,)),
        "fc": Linear(weight=rng.integers(-60, 90, (5, 6)) / 128),
        "lif": LIF(
            alpha=np.zeros(5),
            beta=np.array([0, 0.5, 0.75, 0.9375, 0.984375]),
            threshold=np.array([0.25, 0.5, 1, 2, 3]),
            reset="none",
            reset_delay=False,
            grain=2.0**-13,
        ),
        "output": Output(shape=(5,)),
    }
    network = Network(nodes=nodes, edges=tuple(itertools.pairwise(nodes)))
    x = rng.integers(0, 2, (40, 3, 6))
    reference = Reference(network, 3)
    real = np.stack([reference.tick(row.astype(float))["lif"] for row in x])
    assert 0.1 < real.mean() < 0.9
    assert any((real[t] * real[t + 1]).any() for t in range(39)), "none spikes on"
    for grid, reset in ((Grid(), "zero"), (Grid(resets=("zero", "none")), "none")):
        program = program_of(network, semantics(ticks=40), grid=grid)
        kind = program.population("lif").kind
        assert isinstance(kind, Lif)
        assert kind.reset == reset
        late = program.population("lif").offset
        raster = DefinitionSession(program, 3).run(program.spikes(x)).raster
        found = raster[:, late:, program.slices["lif"]]
        assert np.array_equal(found, real.transpose(1, 0, 2)[:, : found.shape[1]])
