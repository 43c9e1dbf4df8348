"""What stands in a file becomes the network that it is: every node of NIR, loops, nested graphs, order."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch
from nir_files import Edges, Nodes, into, lifs, line, out, simulated, write

from strl.errors import ModelError
from strl.ir import LIF, Delay, Network, Scale
from strl.loop.simulate import simulate_float
from strl.loop.subject import resolve

RNG = np.random.default_rng(11)


def network(path: Path, producer: str = "nir") -> Network:
    return resolve(str(path), producer=producer).network


def run(path: Path, values: np.ndarray, producer: str = "nir") -> np.ndarray:
    return simulated(path, producer, values)


class TestMaps:
    @pytest.mark.parametrize(
        ("window", "settings"),
        [
            ((3, 3), {"padding": (1, 0), "stride": (2, 1)}),
            ((3, 2), {"padding": 1, "stride": 2, "dilation": (1, 2)}),
            ((1, 4), {"padding": "valid", "groups": 2}),
            ((3, 3), {"padding": "same"}),
            ((2, 4), {"padding": "same"}),
            ((4, 3), {"padding": "same", "dilation": (3, 2), "groups": 2}),
        ],
    )
    def test_conv2d_is_torchs(
        self, window: tuple[int, int], settings: dict[str, Any], tmp_path: Path
    ) -> None:
        given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **settings}
        conv = torch.nn.Conv2d(4, 6, window, **given).double()
        values = RNG.normal(size=(3, 4, 9, 8))
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a copy, where a window has an even size
            wanted = conv(torch.from_numpy(values)).numpy()
        node = nir.Conv2d(
            input_shape=(9, 8), weight=conv.weight.detach().numpy(), bias=conv.bias.detach().numpy(), **given
        )
        path = line(tmp_path / "x.nir", (4, 9, 8), wanted.shape[1:], node)
        assert run(path, values) == pytest.approx(wanted, abs=1e-12)

    @pytest.mark.parametrize("settings", [{"padding": 2, "stride": 3}, {"padding": "same", "dilation": 3}])
    def test_conv1d_is_torchs(self, settings: dict[str, Any], tmp_path: Path) -> None:
        given = {"stride": 1, "padding": 0, "dilation": 1, "groups": 3, **settings}
        conv = torch.nn.Conv1d(3, 6, 4, **given).double()
        values = RNG.normal(size=(2, 3, 14))
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a copy, where a window has an even size
            wanted = conv(torch.from_numpy(values)).numpy()
        node = nir.Conv1d(
            input_shape=14, weight=conv.weight.detach().numpy(), bias=conv.bias.detach().numpy(), **given
        )
        path = line(tmp_path / "x.nir", (3, 14), wanted.shape[1:], node)
        assert run(path, values) == pytest.approx(wanted, abs=1e-12)

    def test_same_with_a_stride_is_xlas_in_spyx_and_nobodys_else(self, tmp_path: Path) -> None:
        """XLA pads so that ⌈n / stride⌉ windows fit, more behind than before."""
        weight, values = RNG.normal(size=(1, 1, 3, 3)), RNG.normal(size=(1, 1, 6, 6))
        given = {"stride": 2, "dilation": 1, "groups": 1, "bias": np.zeros(1)}
        node = nir.Conv2d(input_shape=(6, 6), weight=weight, padding="same", **given)
        path = line(tmp_path / "x.nir", (1, 6, 6), (1, 3, 3), node)
        padded = torch.nn.functional.pad(torch.from_numpy(values), (0, 1, 0, 1))
        wanted = torch.nn.functional.conv2d(padded, torch.from_numpy(weight), stride=2).numpy()
        assert run(path, values, "spyx") == pytest.approx(wanted, abs=1e-12)
        with pytest.raises(ModelError, match="n0: padding 'same' with stride 2"):
            network(path)

    @pytest.mark.parametrize("padding", [0, 1])
    def test_pools_are_torchs(self, padding: int, tmp_path: Path) -> None:
        values = RNG.normal(size=(2, 3, 7, 6))
        wanted = torch.nn.AvgPool2d(2, 2, padding)(torch.from_numpy(values)).numpy()
        where = {"kernel_size": np.array([2, 2]), "stride": 2, "padding": np.array([padding] * 2)}
        shape = wanted.shape[1:]
        mean = line(tmp_path / "mean.nir", (3, 7, 6), shape, nir.AvgPool2d(**where))
        total = line(tmp_path / "sum.nir", (3, 7, 6), shape, nir.SumPool2d(**where))
        assert run(mean, values) == pytest.approx(wanted, abs=1e-12)
        assert run(total, values) == pytest.approx(4 * wanted, abs=1e-12)

    @pytest.mark.parametrize(
        ("said", "start", "end", "to"),
        [
            ((2, 3, 4), 0, -1, (24,)),
            ((2, 3, 4), 1, -1, (2, 12)),
            ((2, 3, 4), 0, 1, (6, 4)),
            ((1, 2, 3, 4), 1, -1, (24,)),  # the batch axis was kept, and is counted from
            ((1, 2, 3, 4), 1, 2, (6, 4)),
            ((0, 0, 0, 0), 1, -1, (24,)),  # sinabs writes zeros
        ],
    )
    def test_flatten(
        self, said: tuple[int, ...], start: int, end: int, to: tuple[int, ...], tmp_path: Path
    ) -> None:
        node = nir.Flatten(input_type={"input": np.array((2, 3, 4))}, start_dim=start, end_dim=end)
        node.input_type = {"input": np.array(said)}
        values = RNG.normal(size=(2, 2, 3, 4))
        found = run(line(tmp_path / "x.nir", (2, 3, 4), to, node), values)
        assert found.tolist() == values.reshape(2, *to).tolist()

    def test_spyx_flattens_channels_last(self, tmp_path: Path) -> None:
        node = nir.Flatten(input_type={"input": np.array((2, 3, 4))}, start_dim=0, end_dim=-1)
        values = RNG.normal(size=(1, 2, 3, 4))
        found = run(line(tmp_path / "x.nir", (2, 3, 4), (24,), node), values, "spyx")
        assert found[0].tolist() == values[0].transpose(1, 2, 0).ravel().tolist()

    def test_weights_of_more_axes_are_a_matrix_a_place(self, tmp_path: Path) -> None:
        weight, bias, values = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 5)), RNG.normal(size=(4, 2, 3))
        path = line(tmp_path / "x.nir", (2, 3), (2, 5), nir.Affine(weight=weight, bias=bias))
        assert run(path, values) == pytest.approx(np.einsum("poi,tpi->tpo", weight, values) + bias)

    def test_different_delays_in_one_node(self, tmp_path: Path) -> None:
        values = RNG.normal(size=(6, 3))
        path = line(tmp_path / "x.nir", (3,), (3,), nir.Delay(delay=np.array([0.0, 2e-4, 3e-4])))
        found = run(path, values)
        wanted = np.stack(
            [np.concatenate([np.zeros(d), values[: 6 - d, i]]) for i, d in enumerate((0, 2, 3))]
        )
        assert found.T.tolist() == wanted.tolist()

    def test_threshold_and_integrators(self, tmp_path: Path) -> None:
        values = RNG.normal(size=(9, 2))
        step = line(tmp_path / "z.nir", (2,), (2,), nir.Threshold(threshold=np.array([-0.5, 0.5])))
        assert run(step, values).tolist() == (values > [-0.5, 0.5]).astype(float).tolist()
        total = line(tmp_path / "i.nir", (2,), (2,), nir.I(r=np.array([2.0, 3.0])))
        assert run(total, values, "nir:dt=0.5") == pytest.approx(0.5 * np.cumsum(values, 0) * [2, 3])
        leaky = nir.LI(tau=np.full(2, 4e-4), r=np.full(2, 2.0), v_leak=np.full(2, 0.5))
        v, wanted = np.zeros(2), []
        for x in values:
            v = v + (0.5 - v + 2 * x) / 4
            wanted.append(v)
        assert run(line(tmp_path / "li.nir", (2,), (2,), leaky), values) == pytest.approx(np.array(wanted))


class TestShapes:
    def test_one_number_stands_for_a_population(self, tmp_path: Path) -> None:
        few = line(tmp_path / "few.nir", (2, 3), (2, 3), lifs((1,)))
        many = line(tmp_path / "many.nir", (2, 3), (2, 3), lifs((2, 3)))
        assert network(few) == network(many)

    @pytest.mark.parametrize(
        ("node", "to", "message"),
        [
            (lifs(4), (3,), r"n0: r has shape \(4,\), its input has \(3,\)"),
            (nir.Linear(weight=np.ones((2, 4))), (2,), r"n0: linear: input has shape \(3,\)"),
            (nir.Linear(weight=np.ones((2, 3))), (3,), r"output: receives \(2,\), is declared \(3,\)"),
            (nir.Scale(scale=np.ones(4)), (3,), "n0: scale: scale of shape"),
            (nir.Delay(delay=np.full(3, 1.5e-4)), (3,), "n0: delays of .1.49.* ticks, must be whole"),
            (nir.Delay(delay=np.full(4, 1e-4)), (3,), r"n0: delay has shape \(4,\), its input has \(3,\)"),
            (nir.Delay(delay=np.full(3, 1e29)), (3,), "n0: a delay of 1e.33 ticks"),
            (nir.Delay(delay=np.full(3, -1e-4)), (3,), "n0: delays of .-1.0. ticks"),
            (nir.Delay(delay=np.full(3, 1e9)), (3,), "n0: a delay of 1e.13 ticks, at most"),
        ],
    )
    def test_what_does_not_fit(self, node: Any, to: tuple[int, ...], message: str, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=message):
            network(line(tmp_path / "x.nir", (3,), to, node))

    @pytest.mark.parametrize("extra", [1, 2])
    def test_a_batch_axis_that_was_kept(self, extra: int, tmp_path: Path) -> None:
        """Norse's exporter keeps it, Rockpool's that of time too."""
        one = (1,) * extra
        path = line(tmp_path / "x.nir", (*one, 3), (*one, 2), nir.Linear(weight=np.ones((2, 3))))
        subject = resolve(str(path), producer="nir")
        assert simulate_float(subject, np.ones((4, 3)))["output"].shape == (4, 2)
        (said,) = subject.artefact.proof["origin"]["warnings"]
        assert "taken without the batch axis: (3,)" in said

    def test_an_input_shape_that_is_another(self, tmp_path: Path) -> None:
        node = nir.Conv1d(
            input_shape=9,
            weight=np.ones((1, 1, 2)),
            bias=np.zeros(1),
            stride=1,
            padding=0,
            dilation=1,
            groups=1,
        )
        with pytest.raises(ModelError, match=r"n0: input_shape = \(9,\), and \(8,\) comes in"):
            network(line(tmp_path / "x.nir", (1, 8), (1, 7), node))


def recurrent(path: Path, *, nested: bool) -> Path:
    """fc → lif ⇄ w_rec, flat or in a graph of its own."""
    rng = np.random.default_rng(5)
    fc, cells = nir.Linear(weight=np.abs(rng.normal(size=(3, 2)))), lifs()
    w_rec = nir.Affine(weight=rng.normal(size=(3, 3)), bias=rng.normal(size=3))
    inner: Edges = [("lif", "w_rec"), ("w_rec", "lif")]
    if not nested:
        nodes: Nodes = {"input": into(2), "fc": fc, "lif": cells, "w_rec": w_rec, "output": out(3)}
        return write(path, nodes, [("input", "fc"), ("fc", "lif"), *inner, ("lif", "output")])
    graph = nir.NIRGraph(
        nodes={"input": into(3), "lif": cells, "w_rec": w_rec, "output": out(3)},
        edges=[("input", "lif"), *inner, ("lif", "output")],
        type_check=False,
    )
    nodes = {"input": into(2), "fc": fc, "rnn": graph, "output": out(3)}
    return write(path, nodes, [("input", "fc"), ("fc", "rnn"), ("rnn", "output")])


class TestGraphs:
    def test_a_loop_reads_the_last_ticks_spikes_and_its_bias_acts_at_once(self, tmp_path: Path) -> None:
        path = recurrent(tmp_path / "x.nir", nested=False)
        made = network(path)
        assert isinstance(made.nodes["lif.last"], Delay)
        assert set(made.targets("lif")) == {"lif.last", "output"}
        values = np.random.default_rng(1).random((40, 2))
        fc, w_rec = (made.nodes[name] for name in ("fc", "w_rec"))
        v, z, wanted = np.zeros(3), np.zeros(3), []
        for x in values:
            v = 0.9 * v + fc.weight @ x + w_rec.weight @ z + w_rec.bias  # type: ignore[attr-defined]
            z = (v > 1).astype(float)
            v = v * (1 - z)
            wanted.append(z.tolist())
        assert 5 < np.sum(wanted) < 110
        assert run(path, values).tolist() == wanted

    def test_nested_graphs_are_the_flat_ones(self, tmp_path: Path) -> None:
        flat, nested = (recurrent(tmp_path / f"{n}.nir", nested=n) for n in (False, True))
        values = np.random.default_rng(1).random((40, 2))
        assert run(flat, values).tolist() == run(nested, values).tolist()
        assert {"rnn.lif", "rnn.w_rec", "rnn.lif.last"} <= set(network(nested).nodes)

    def test_graphs_in_graphs(self, tmp_path: Path) -> None:
        inside: Any = nir.Scale(scale=np.full(2, 2.0))
        for _ in range(3):
            inside = nir.NIRGraph(
                nodes={"in": into(2), "x": inside, "out": out(2)},
                edges=[("in", "x"), ("x", "out")],
                type_check=False,
            )
        made = network(line(tmp_path / "x.nir", (2,), (2,), inside))
        assert list(made.nodes) == ["input", "n0.x.x.x", "output"]

    def test_two_ways_between_two_nodes_count_twice(self, tmp_path: Path) -> None:
        """A graph that only passes on, beside an edge past it."""
        through = nir.NIRGraph(nodes={"in": into(2), "out": out(2)}, edges=[("in", "out")], type_check=False)
        nodes: Nodes = {
            "input": into(2),
            "pass": through,
            "sum": nir.Scale(scale=np.ones(2)),
            "output": out(2),
        }
        edges = [("input", "pass"), ("pass", "sum"), ("input", "sum"), ("sum", "output")]
        assert run(write(tmp_path / "x.nir", nodes, edges), np.ones((1, 2))).tolist() == [[2.0, 2.0]]

    def test_several_inner_inputs_are_refused(self, tmp_path: Path) -> None:
        graph = nir.NIRGraph(
            nodes={"a": into(2), "b": into(2), "out": out(2)},
            edges=[("a", "out"), ("b", "out")],
            type_check=False,
        )
        with pytest.raises(ModelError, match="n0: a nested graph with 2 Input nodes"):
            network(line(tmp_path / "x.nir", (2,), (2,), graph))

    def test_order_is_derived(self, tmp_path: Path) -> None:
        """HDF5 returns names in alphabetical order: 0, 1, 10, 11, 2."""
        names = [str(n) for n in range(12)]
        nodes: Nodes = {"input": into(1), "output": out(1)}
        nodes |= {name: nir.Scale(scale=np.array([1.0 + int(name)])) for name in names}
        edges = list(pairwise(["input", *names, "output"]))
        made = network(write(tmp_path / "x.nir", nodes, edges[::-1]))
        assert list(made.nodes) == ["input", *names, "output"]

    def test_several_outputs(self, tmp_path: Path) -> None:
        nodes: Nodes = {
            "input": into(2),
            "a": nir.Linear(weight=np.ones((3, 2))),
            "b": nir.Linear(weight=np.ones((1, 2))),
            "policy": out(3),
            "value": out(1),
        }
        edges = [("input", "a"), ("input", "b"), ("a", "policy"), ("b", "value")]
        subject = resolve(str(write(tmp_path / "x.nir", nodes, edges)), producer="nir")
        found = simulate_float(subject, np.ones((4, 2)))
        assert {name: array.shape for name, array in found.items()} == {"policy": (4, 3), "value": (4, 1)}

    def test_a_loop_through_several_neurons_is_remarked_on(self, tmp_path: Path) -> None:
        nodes: Nodes = {
            "input": into(3),
            "a": lifs(),
            "w": nir.Linear(weight=np.eye(3)),
            "b": lifs(),
            "back": nir.Linear(weight=-np.eye(3)),
            "output": out(3),
        }
        edges = [("input", "a"), ("a", "w"), ("w", "b"), ("b", "back"), ("back", "a"), ("b", "output")]
        subject = resolve(str(write(tmp_path / "x.nir", nodes, edges)), producer="nir:dt=1e-4")
        (said,) = subject.artefact.proof["origin"]["warnings"]
        assert said == "a loop runs through a, b; taken to be a tick late: b → back"
        assert "b.last" in subject.network.nodes
        assert "a.last" not in subject.network.nodes

    def test_a_delay_in_a_loop_is_its_delay(self, tmp_path: Path) -> None:
        nodes: Nodes = {
            "input": into(3),
            "a": lifs(),
            "late": nir.Delay(delay=np.full(3, 2e-4)),
            "back": nir.Linear(weight=-np.eye(3)),
            "output": out(3),
        }
        edges = [("input", "a"), ("a", "late"), ("late", "back"), ("back", "a"), ("a", "output")]
        made = network(write(tmp_path / "x.nir", nodes, edges))
        assert set(made.nodes) == set(nodes)

    def test_loops_that_are_refused(self, tmp_path: Path) -> None:
        scale = nir.Scale(scale=np.ones(3))
        nodes: Nodes = {"input": into(3), "a": scale, "b": scale, "output": out(3)}
        edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "output")]
        with pytest.raises(ModelError, match="a loop without a neuron or delay runs through a, b"):
            network(write(tmp_path / "x.nir", nodes, edges))
        nodes = {"input": into(3), "a": lifs(), "b": scale, "c": lifs(), "d": lifs(), "output": out(3)}
        edges = [("input", "a"), ("a", "c"), ("c", "b"), ("b", "a"), ("b", "d"), ("d", "a"), ("d", "output")]
        with pytest.raises(ModelError, match="c → b: leads both back and on inside a loop"):
            network(write(tmp_path / "y.nir", nodes, edges))

    @pytest.mark.parametrize("inside", ["", "g."])
    def test_edges_against_the_ends_of_a_graph(self, inside: str, tmp_path: Path) -> None:
        line_of: Edges = [("input", "a"), ("a", "output")]
        for wrong, said in (
            (("a", "input"), "leads into an Input"),
            (("output", "a"), "leads out of an Out"),
        ):
            nodes: Nodes = {"input": into(3), "a": lifs(), "output": out(3)}
            edges = [*line_of, wrong]
            if inside:
                inner = nir.NIRGraph(nodes=nodes, edges=edges, type_check=False)
                nodes, edges = (
                    {"input": into(3), "g": inner, "output": out(3)},
                    [("input", "g"), ("g", "output")],
                )
            with pytest.raises(ModelError, match=f"edge {wrong[0]} → {wrong[1]} {said}"):
                network(write(tmp_path / "x.nir", nodes, edges))

    @pytest.mark.parametrize("place", ["node/nodes/a/type", "node/type", "node/edges"])
    def test_text_that_is_none_names_its_node(self, place: str, tmp_path: Path) -> None:
        path = line(tmp_path / "x.nir", (3,), (3,), lifs())
        with h5py.File(path, "r+") as file:
            place = place.replace("/a/", "/n0/")
            shape = file[place].shape
            del file[place]
            file[place] = np.full(shape, "é".encode("latin-1"), dtype="S1")
        name = "n0: type is" if "n0" in place else f"{place[5:]} (is|are)"
        with pytest.raises(ModelError, match=f"x.nir: {name} not text"):
            network(path)

    def test_a_nested_graph_may_feed_itself(self, tmp_path: Path) -> None:
        inner = nir.NIRGraph(
            nodes={"input": into(3), "a": lifs(), "output": out(3)},
            edges=[("input", "a"), ("a", "output")],
            type_check=False,
        )
        nodes: Nodes = {"input": into(3), "g": inner, "output": out(3)}
        path = write(tmp_path / "x.nir", nodes, [("input", "g"), ("g", "g"), ("g", "output")])
        assert any(isinstance(node, Delay) for node in network(path).nodes.values())

    def test_spyx_recurrence_leads_to_the_neuron(self, tmp_path: Path) -> None:
        cells = nir.LIF(tau=np.full(3, 4.0), r=np.full(3, 0.75), v_leak=np.zeros(3), v_threshold=np.ones(3))
        w_rec = nir.Linear(weight=np.eye(3))
        graph = nir.NIRGraph(
            nodes={"g.input": into(3), "g.lif": cells, "g.w_rec": w_rec, "g.output": out(3)},
            edges=[("g.lif", "g.w_rec"), ("g.w_rec", "g.lif"), ("g.lif", "g.output"), ("g.input", "g.w_rec")],
            type_check=False,
        )
        nodes: Nodes = {"input": into(3), "g": graph, "output": out(3)}
        path = write(tmp_path / "x.nir", nodes, [("input", "g"), ("g", "output")])
        made = network(path, "spyx")
        assert set(made.edges) == {
            ("input", "g.lif"),
            ("g.lif", "g.lif.last"),
            ("g.lif.last", "g.w_rec"),
            ("g.w_rec", "g.lif"),
            ("g.lif.last", "output"),
        }


class TestGains:
    def test_a_gain_of_one_leaves_no_node(self, tmp_path: Path) -> None:
        assert set(network(line(tmp_path / "x.nir", (3,), (3,), lifs())).nodes) == {"input", "n0", "output"}

    def test_other_gains_are_scales(self, tmp_path: Path) -> None:
        made = network(line(tmp_path / "x.nir", (3,), (3,), lifs(r=5.0)))
        gain = made.nodes["n0.gain"]
        assert isinstance(gain, Scale)
        assert gain.scale.tolist() == [pytest.approx(0.5)]

    def test_float32_time_constants_give_back_the_modules_beta(self, tmp_path: Path) -> None:
        """As snnTorch's exporter rounds them."""
        beta = np.random.default_rng(2).random(500).astype(np.float32)
        tau = (np.float32(1e-4) / (1 - beta)).astype(np.float32)
        zero = np.zeros(500, np.float32)
        node = nir.LIF(tau=tau, r=tau / np.float32(1e-4), v_leak=zero, v_threshold=zero + 1, v_reset=zero)
        made = network(line(tmp_path / "x.nir", (500,), (500,), node), "snntorch").nodes["n0"]
        assert isinstance(made, LIF)
        high = beta > 0.7
        assert (made.beta == beta)[high].mean() > 0.9
        assert np.abs(made.beta - beta).max() <= 2.0**-23
        assert set(network(tmp_path / "x.nir", "snntorch").nodes) == {"input", "n0", "output"}
