"""Every shared producer case on a chip: equal to the float network on the chip's grid, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from strl.chip import Program, chip
from strl.chip.exporter import Artefact
from strl.cli import main
from strl.errors import ChipError, ModelError, UsageError
from strl.ir import LIF, Conv, Input, Linear, Network, Output, Pool, Reshape, Scale
from strl.ir.network import shapes
from strl.ir.nodes import Delay, Node
from strl.ir.passes.fire import fire
from strl.ir.passes.head import head
from strl.ir.semantics import open_loop
from strl.loop.arrays import read_array
from strl.loop.stream import as_stream, simulate_chip
from strl.loop.subject import Subject
from strl.testing.cases import Case, cases
from strl.testing.grid import on_grid, output_shape, reference

T = TypeVar("T")
FOUND = cases(Path(__file__).parents[2] / "shared" / "cases" / "producers")
REFUSED = "no chip of ours has 'substep-lif' nodes"
"""What no chip of ours does: Nengo's neurons, which spike within a tick."""

shared = pytest.mark.skipif(not FOUND, reason="the shared cases are not here")
each = pytest.mark.parametrize("case", FOUND, ids=lambda case: case.name)


@shared
@each
@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_on_the_grid_the_chip_is_the_float_network(case: Case, name: str) -> None:
    """All outputs of all ticks, spikes and potentials, to the last bit; and nothing was rounded for it."""
    network = case.subject.network
    moved = compiled_or_refused(lambda: on_grid(network, case.values, chip(name)))
    if isinstance(moved, ChipError):
        assert moved.message.partition(":")[0] in network.nodes, moved.message
        assert name == "loihi1" or REFUSED in moved.message
        return
    assert moved.rounding == 0
    wanted = reference(moved.network, moved.values)
    assert wanted.any(), "nothing happens"
    program, shape = moved.compiled.program, output_shape(moved.network)
    for backend_name in ("loihi", "definition"):
        np.testing.assert_array_equal(simulate_chip(program, shape, moved.values, backend_name), wanted)


@shared
@each
def test_as_it_is_it_compiles_and_runs(case: Case) -> None:
    """Off the grid weights are rounded: the same shape and kind of output, and no more is claimed."""
    subject, values = case.subject, case.values
    program = compiled_or_refused(lambda: as_stream(subject, values).program("loihi2"))
    if isinstance(program, ChipError):
        assert REFUSED in program.message
        return
    made = simulate_chip(program, output_shape(subject.network), values, "loihi")
    assert made.shape == case.wanted.shape
    if program.readout.kind == "count":
        assert set(np.unique(made)) <= set(range(int(case.wanted.max()) + 2))


@shared
def test_four_fifths_compile() -> None:
    found = [
        compiled_or_refused(lambda case=case: as_stream(case.subject, case.values).program("loihi2"))
        for case in FOUND
    ]
    assert sum(isinstance(made, Program) for made in found) >= 0.8 * len(FOUND)


def compiled_or_refused(make: Callable[[], T]) -> T | ChipError:
    try:
        return make()
    except ChipError as refused:
        return refused


def lif(*shape: int, beta: float = 0.5, **change: object) -> LIF:
    fields = {"threshold": np.ones(shape), "reset": "zero", "reset_delay": False, **change}
    return LIF(alpha=np.zeros(shape), beta=np.full(shape, beta), **fields)  # type: ignore[arg-type]


def chain(*nodes: Node, shape: tuple[int, ...]) -> Network:
    """Nodes in a row between an input and an output."""
    named: dict[str, Node] = {"input": Input(shape=shape)}
    named |= {f"n{k}": node for k, node in enumerate(nodes)}
    for node in nodes:
        shape = node.output_shape(shape)
    named["output"] = Output(shape=shape)
    names = list(named)
    return Network(nodes=named, edges=tuple(pairwise(names)))


def _subject(network: Network) -> Subject:
    shape = shapes(network)[network.input]
    meaning = open_loop(shape, ticks=100)
    return Subject(artefact=Artefact(name="made", network=network, semantics=meaning, proof={}))


def spikes(ticks: int, *shape: int, seed: int = 0, rate: float = 0.4) -> np.ndarray:
    return (np.random.default_rng(seed).random((ticks, *shape)) < rate).astype(float)


EYE = Linear(weight=np.eye(3))


class TestNeurons:
    """Each thing that a producer's neurons do, on the grid, against the float network."""

    @pytest.mark.parametrize("inclusive", [False, True])
    @pytest.mark.parametrize("reset", ["zero", "subtract", "once", "none"])
    @pytest.mark.parametrize("alpha", [0.0, 0.75])
    @pytest.mark.parametrize("start", [0.0, 0.5, -0.5])
    @pytest.mark.parametrize("drive", [0.0, 0.25])
    def test_are_exact(self, reset: str, inclusive: bool, alpha: float, start: float, drive: float) -> None:
        neurons = lif(3, beta=0.875, reset=reset, inclusive=inclusive, start_v=start, drive=drive)
        weight = np.array([[0.5, 0.25, -0.5], [0.75, -0.25, 0.25], [0.5, 0.5, 0.5]])
        network = chain(
            Linear(weight=weight), LIF(**{**fields(neurons), "alpha": np.full(3, alpha)}), shape=(3,)
        )
        moved = on_grid(network, spikes(60, 3), chip("loihi2"))
        wanted = reference(moved.network, moved.values)
        assert 0 < wanted.mean() < 1
        assert moved.rounding == 0
        made = simulate_chip(moved.compiled.program, (3,), moved.values, "loihi")
        np.testing.assert_array_equal(made, wanted)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"floor": -1.0}, "n1: its potential has a floor of -1"),
            ({"reset": "subtract", "start_v": 2.0}, "n1: starts above its threshold"),
            ({"inclusive": True, "threshold": np.zeros(3)}, "n1: spikes at v ≥ 0, so at rest as well"),
            ({"threshold": np.array([1.0, np.inf, 1.0])}, "n1: some thresholds are infinite"),
        ],
    )
    def test_are_refused(self, change: dict[str, object], message: str) -> None:
        network = chain(EYE, lif(3, **change), shape=(3,))
        with pytest.raises(ChipError, match=message):
            on_grid(network, spikes(4, 3), chip("loihi2"))

    @pytest.mark.parametrize("reset", ["zero", "once"])
    def test_several_spikes_a_tick_weigh_as_many(self, reset: str) -> None:
        many = {"reset": reset, "multiple": True}
        weight = np.array([[3.0, -1.0, 0.5], [2.0, 2.0, 0.0], [0.5, 4.0, -2.0]])
        second = Linear(weight=np.array([[0.5, -0.25, 0.25], [0.25, 0.5, -0.5]]))
        network = chain(Linear(weight=weight), lif(3, **many), second, lif(2, **many), shape=(3,))
        moved = on_grid(network, spikes(60, 3, rate=0.6), chip("loihi2"))
        wanted = reference(moved.network, moved.values)
        assert moved.rounding == 0
        assert wanted.max() > 1
        for name in ("loihi", "definition", "torch"):
            made = simulate_chip(moved.compiled.program, (2,), moved.values, name)
            np.testing.assert_array_equal(made, wanted)
        with pytest.raises(ChipError, match="n1: sends as many spikes in a tick"):
            on_grid(network, spikes(4, 3), chip("loihi1"))

    def test_several_spikes_a_tick_have_no_bound_in_a_loop(self) -> None:
        nodes: dict[str, Node] = {
            "input": Input(shape=(3,)),
            "lif": lif(3, reset="once", multiple=True),
            "late": Delay(ticks=1, shape=(3,)),
            "back": EYE,
            "output": Output(shape=(3,)),
        }
        edges = [("input", "lif"), ("lif", "late"), ("late", "back"), ("back", "lif"), ("lif", "output")]
        with pytest.raises(ChipError, match="lif: sends several spikes in a tick, and hears of it"):
            on_grid(Network(nodes=nodes, edges=tuple(edges)), spikes(4, 3), chip("loihi2"))

    def test_at_the_threshold_loihi1_has_only_those_without_decay(self) -> None:
        integrators = chain(EYE, lif(3, beta=1.0, inclusive=True, threshold=np.full(3, 2.0)), shape=(3,))
        moved = on_grid(integrators, spikes(40, 3), chip("loihi1"))
        made = simulate_chip(moved.compiled.program, (3,), moved.values, "loihi")
        np.testing.assert_array_equal(made, reference(moved.network, moved.values))
        with pytest.raises(ChipError, match="n1: spikes at v ≥ threshold") as caught:
            on_grid(chain(EYE, lif(3, inclusive=True), shape=(3,)), spikes(40, 3), chip("loihi1"))
        assert "loihi2" in caught.value.hint

    def test_what_remembers_nothing_resets_any_way(self) -> None:
        """AND and OR of spikes run on a chip that knows one reset."""
        both = lif(3, beta=0.0, reset="none", threshold=np.full(3, 1.5))
        network = chain(Scale(scale=np.array(2.0)), both, shape=(3,))
        moved = on_grid(network, spikes(20, 3), chip("loihi1"))
        made = simulate_chip(moved.compiled.program, (3,), moved.values, "loihi")
        np.testing.assert_array_equal(made, moved.values)


def fields(neurons: LIF) -> dict[str, object]:
    return {name: getattr(neurons, name) for name in LIF.__dataclass_fields__ if name != "kind"}


class TestMaps:
    """Chains of maps are one connection, whatever they are made of."""

    IMAGE = (2, 6, 6)
    CONV = Conv(
        weight=np.random.default_rng(1).integers(-3, 4, (4, 2, 3, 3)) / 4.0,
        stride=(1, 1),
        padding=(1, 1),
        dilation=(1, 1),
        bias=np.array([0.25, 0.0, -0.25, 0.5]),
    )

    def equal(self, network: Network, values: np.ndarray, name: str = "loihi1") -> Network:
        moved = on_grid(network, values, chip(name))
        assert moved.rounding == 0
        wanted = reference(moved.network, moved.values)
        assert wanted.any()
        made = simulate_chip(moved.compiled.program, wanted.shape[1:], moved.values, "loihi")
        np.testing.assert_array_equal(made, wanted)
        return network

    def test_a_convolution_shares_its_weights_and_takes_scales_in(self) -> None:
        gains = np.array([1.0, 0.5, 2.0, 1.0])[:, None, None]  # a batch norm, say
        parts = (Scale(scale=np.array([1.0, 0.5])[:, None, None]), self.CONV, Scale(scale=gains, bias=gains))
        network = chain(*parts, lif(4, 6, 6), shape=self.IMAGE)
        self.equal(network, spikes(30, *self.IMAGE))
        program = as_stream(_subject(network), spikes(30, *self.IMAGE)).program()
        (joint,) = [s for s in program.synapses if s.pre == "input"]
        assert joint.weight.shape == (4, 6, 6)

    @pytest.mark.parametrize(
        "maps",
        [
            (CONV, Pool(window=(2, 2), stride=(2, 2), padding=(0, 0), mode="mean")),
            (CONV, Reshape(shape=(144,)), Scale(scale=np.linspace(1, 2, 144)), Reshape(shape=(4, 3, 3, 4))),
            (Reshape(shape=(6, 6, 2), axes=(1, 2, 0)), Scale(scale=np.array(0.75))),
            (Reshape(shape=(72,)), Linear(weight=np.linspace(-1, 1, 360).reshape(5, 72), bias=np.ones(5))),
        ],
        ids=["pooled", "scaled each", "transposed", "flattened"],
    )
    def test_chains(self, maps: tuple[Node, ...]) -> None:
        shape = self.IMAGE
        for node in maps:
            shape = node.output_shape(shape)
        self.equal(chain(*maps, lif(*shape), shape=self.IMAGE), spikes(30, *self.IMAGE))
        self.equal(chain(*maps, shape=self.IMAGE), spikes(30, *self.IMAGE))  # read as potentials

    def test_a_bias_passes_what_follows_it(self) -> None:
        first = Linear(weight=np.eye(3), bias=np.array([1.0, 0.5, 0.0]))
        late = Delay(ticks=2, shape=(3,))
        second = Linear(weight=np.array([[0.5, 0.25, 0.0]]), bias=np.array([0.25]))
        self.equal(chain(first, late, second, lif(1), shape=(3,)), spikes(20, 3))

    def test_no_map_is_an_identity(self) -> None:
        network = chain(lif(3), lif(3), Delay(ticks=3, shape=(3,)), Reshape(shape=(3, 1)), shape=(3,))
        self.equal(network, spikes(20, 3, rate=0.8))

    def test_a_threshold_behind_an_integrator_is_one_population(self) -> None:
        silent = lif(3, beta=0.75, threshold=np.full(3, np.inf), reset="none")
        compare = lif(3, beta=0.0, threshold=np.full(3, 2.0), reset="none", inclusive=True)
        network = chain(EYE, silent, Scale(scale=np.array([2.0, 4.0, 1.0])), compare, shape=(3,))
        assert len(fire(network).of(LIF)) == 1
        self.equal(network, spikes(40, 3), "loihi2")

    def test_a_potential_is_sent_to_nobody(self) -> None:
        silent = lif(3, threshold=np.full(3, np.inf), reset="none")
        network = chain(EYE, silent, Linear(weight=np.ones((2, 3))), lif(2), shape=(3,))
        with pytest.raises(ChipError, match="n1: never spikes and sends its potential to n3"):
            on_grid(network, spikes(4, 3), chip("loihi2"))

    def test_maps_alone_cannot_loop(self) -> None:
        nodes: dict[str, Node] = {
            "input": Input(shape=(3,)),
            "sum": EYE,
            "late": Delay(ticks=1, shape=(3,)),
            "lif": lif(3),
            "output": Output(shape=(3,)),
        }
        edges = [("input", "sum"), ("sum", "late"), ("late", "sum"), ("sum", "lif"), ("lif", "output")]
        with pytest.raises(ChipError, match=r"a loop through .* has no neurons"):
            on_grid(Network(nodes=nodes, edges=tuple(edges)), spikes(4, 3), chip("loihi2"))


def test_large_layers_compile_and_larger_ones_are_refused_before_they_are_made() -> None:
    weight = np.random.default_rng(0).normal(size=(1000, 1000))
    million = chain(Linear(weight=weight), lif(1000), shape=(1000,))
    program = as_stream(_subject(million), ticks=50).program()
    assert sum(synapse.count for synapse in program.synapses) > 950_000
    pooled = (Pool(window=(2, 2), stride=(2, 2), padding=(0, 0), mode="sum"), Reshape(shape=(1024,)))
    narrow = chain(*pooled, Linear(weight=np.ones((10, 1024))), lif(10), shape=(4, 32, 32))
    assert as_stream(_subject(narrow), ticks=50).program().synapses[0].shape == (10, 4096)
    conv = Conv(weight=np.ones((16, 8, 3, 3)), stride=(1, 1), padding=(1, 1), dilation=(1, 1))
    deep = chain(conv, conv_of(16), lif(16, 64, 64), shape=(8, 64, 64))
    with pytest.raises(ChipError, match="n2: the path input → n0 → n1 → n2 takes a matrix of 65536 × 32768"):
        as_stream(_subject(deep), ticks=50).program()


def conv_of(channels: int) -> Conv:
    weight = np.ones((channels, channels, 3, 3))
    return Conv(weight=weight, stride=(1, 1), padding=(1, 1), dilation=(1, 1))


class TestInput:
    NETWORK = chain(Linear(weight=np.array([[0.5, -0.25], [0.25, 0.5]])), lif(2), shape=(2,))

    @pytest.mark.parametrize("name", ["loihi1", "loihi2"])
    def test_whole_steps_are_exact(self, name: str) -> None:
        values = np.random.default_rng(3).integers(-20, 21, (50, 2)) / 8
        moved = on_grid(self.NETWORK, values, chip(name))
        np.testing.assert_array_equal(moved.values, values)
        assert moved.rounding == 0
        made = simulate_chip(moved.compiled.program, (2,), values, "loihi")
        np.testing.assert_array_equal(made, reference(moved.network, values))

    def test_bits_or_one_graded_source(self) -> None:
        values = np.random.default_rng(3).integers(-20, 21, (50, 2)) / 8
        subject = _subject(self.NETWORK)
        bits = as_stream(subject, values).program("loihi1").sources
        assert [source.kind.plane for source in bits] == [0, 1, 2, 3, 4, 5]
        (graded,) = as_stream(subject, values).program("loihi2").sources
        assert graded.kind.plane is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"ticks": 0}, "--ticks = 0"),
            ({"bits": 0}, "--input-bits = 0"),
            ({"bits": 16}, "--input-bits = 16"),
            ({"unit": 0.0}, "--input-unit = 0, must be"),
            ({"unit": float("nan")}, "--input-unit = nan"),
        ],
    )
    def test_what_cannot_be_is_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            as_stream(_subject(self.NETWORK), spikes(4, 2), **options)

    def test_a_shorter_run_is_the_beginning_of_a_longer(self) -> None:
        neurons = lif(2, start_v=0.5, drive=0.25)
        network = chain(Linear(weight=np.eye(2), bias=np.array([0.25, 0.5])), neurons, shape=(2,))
        program = as_stream(_subject(network), spikes(40, 2)).program("loihi2")
        long = simulate_chip(program, (2,), spikes(40, 2), "loihi")
        for ticks in (1, 2, 17):
            short = simulate_chip(program, (2,), spikes(40, 2)[:ticks], "loihi")
            np.testing.assert_array_equal(short, long[:ticks])
        with pytest.raises(UsageError, match="at most 40 ticks, the input has 41"):
            simulate_chip(program, (2,), spikes(41, 2), "loihi")


def test_one_of_several_outputs_is_chosen() -> None:
    nodes: dict[str, Node] = {
        "input": Input(shape=(3,)),
        "lif": lif(3),
        "value": Linear(weight=np.ones((1, 3))),
        "policy": Linear(weight=np.eye(3)),
        "a": Output(shape=(1,)),
        "b": Output(shape=(3,)),
    }
    edges = [("input", "lif"), ("lif", "value"), ("lif", "policy"), ("value", "a"), ("policy", "b")]
    network = Network(nodes=nodes, edges=tuple(edges))
    assert set(head(network, "b").nodes) == {"input", "lif", "policy", "b"}
    subject = _subject(network)
    assert as_stream(subject, spikes(5, 3), output="a").program().readout.kind == "potential"
    with pytest.raises(ModelError, match="has 2 outputs"):
        as_stream(subject, spikes(5, 3))
    with pytest.raises(ModelError, match="no output 'c'"):
        as_stream(subject, spikes(5, 3), output="c")


@shared
class TestCommands:
    CASE = next((c for c in FOUND if c.name == "snntorch_fc_lif_readout_linear"), None)

    @pytest.fixture
    def words(self) -> list[str]:
        assert self.CASE is not None
        return [str(self.CASE.folder / "graph.nir"), "--producer", self.CASE.producer]

    def test_file_and_bundle_give_the_same_on_every_backend(self, words: list[str], tmp_path: Path) -> None:
        assert self.CASE is not None
        source = str(self.CASE.folder / "input.npy")
        bundle, made = tmp_path / "x.bundle", tmp_path / "out.npy"
        assert main(["export", *words, "--input", source, "-o", str(bundle), "--json"]) == 0
        assert (
            main(["simulate", *words, "--input", source, "-o", str(made), "--backend", "loihi", "--json"])
            == 0
        )
        wanted = read_array(made)
        for name in ("loihi", "definition"):
            rest = ["--input", source, "-o", str(made), "--backend", name, "--json"]
            assert main(["simulate", str(bundle), *rest]) == 0
            np.testing.assert_array_equal(read_array(made), wanted)
        assert wanted.shape == self.CASE.wanted.shape
        assert np.abs(wanted - self.CASE.wanted).mean() < 0.1 * np.abs(self.CASE.wanted).max()

    def test_a_bundle_without_environment_is_not_run(
        self, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle = str(tmp_path / "x.bundle")
        assert main(["export", *words, "-o", bundle, "--json"]) == 0
        for command in (["run"], ["run", "--env", "CartPole-v1"]):
            assert main([command[0], bundle, *command[1:]]) == 2
            assert "bare network" in capsys.readouterr().err
        assert main(["inspect", bundle]) == 0
        assert "→ trace → none" in capsys.readouterr().out

    def test_a_policys_bundle_is_not_simulated(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle, values = str(tmp_path / "x.bundle"), tmp_path / "in.npy"
        np.save(values, np.zeros((4, 4)))
        assert main(["export", "cartpole-mlp", "-o", bundle, "--json"]) == 0
        assert main(["simulate", bundle, "--input", str(values), "--backend", "loihi"]) == 2
        assert "is a policy's" in capsys.readouterr().err
