"""Network: its rules, its reference against snnTorch, its passes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from strl.errors import ChipError, ModelError
from strl.ir import LIF, Delay, Input, Linear, Network, Output
from strl.ir.neurons import Reset
from strl.ir.nodes import Node
from strl.ir.passes.schedule import offsets
from strl.ir.reference import Reference
from strl.ir.text import text

Float = NDArray[np.float64]


def lif(
    n: int,
    *,
    alpha: float = 0.0,
    beta: float = 0.9,
    threshold: float = 1.0,
    reset: Reset = "zero",
    delay: bool = False,
) -> LIF:
    return LIF(
        alpha=np.full(n, alpha),
        beta=np.full(n, beta),
        threshold=np.full(n, threshold),
        reset=reset,
        reset_delay=delay,
    )


def chain(*nodes: Node, width: int) -> Network:
    shape: tuple[int, ...] = (width,)
    for node in nodes:
        shape = node.output_shape(shape)
    named: dict[str, Node] = {"input": Input(shape=(width,))}
    named |= {f"n{i}": node for i, node in enumerate(nodes)}
    named["output"] = Output(shape=shape)
    names = list(named)
    return Network(nodes=named, edges=tuple(itertools.pairwise(names)))


def spikes_of(network: Network, x: Float, name: str) -> Float:
    reference = Reference(network, batch=x.shape[1])
    return np.stack([reference.tick(row)[name] for row in x])


def snntorch_spikes(make: Callable[[], torch.nn.Module], x: Float) -> Float:
    layer = make().double()
    return np.stack([layer(torch.from_numpy(row)).numpy() for row in x])


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("delay", [False, True])
@pytest.mark.parametrize("synaptic", [False, True])
def test_lif_is_snntorchs(reset: Reset, delay: bool, synaptic: bool) -> None:
    import snntorch as snn

    options = {"threshold": 0.75, "reset_mechanism": reset, "reset_delay": delay, "init_hidden": True}

    def make() -> torch.nn.Module:
        layer: torch.nn.Module = (
            snn.Synaptic(alpha=0.5, beta=0.875, **options) if synaptic else snn.Leaky(beta=0.875, **options)
        )
        return layer

    x = np.random.default_rng(1).normal(scale=0.6, size=(300, 4, 16))
    # snnTorch's Leaky clears only the old potential, whether late or not: the normal form has no delay.
    late = delay and not (reset == "zero" and not synaptic)
    node = lif(16, alpha=0.5 * synaptic, beta=0.875, threshold=0.75, reset=reset, delay=late)
    ours = spikes_of(chain(node, width=16), x, "n0")
    theirs = snntorch_spikes(make, x)
    assert theirs.sum() > 500
    np.testing.assert_array_equal(ours, theirs)


def test_a_delay_delays_and_a_loop_through_it_is_last_ticks_value() -> None:
    nodes: dict[str, Node] = {
        "input": Input(shape=(1,)),
        "sum": Linear(weight=np.ones((1, 1))),
        "late": Delay(ticks=2, shape=(1,)),
        "output": Output(shape=(1,)),
    }
    edges = (("input", "sum"), ("sum", "late"), ("late", "sum"), ("sum", "output"))
    reference = Reference(Network(nodes=nodes, edges=edges))
    seen = [float(reference.tick(np.ones((1, 1)))["sum"][0, 0]) for _ in range(6)]
    assert seen == [1, 1, 2, 2, 3, 3]


def test_reset_of_one_copy_leaves_the_others() -> None:
    nodes = (Linear(weight=np.eye(3)), Delay(ticks=2, shape=(3,)), lif(3))
    network = chain(*nodes, width=3)
    x = np.random.default_rng(0).uniform(0, 0.6, size=(20, 2, 3))
    both = Reference(network, 2)
    for row in x[:10]:
        both.tick(row)
    both.reset([0])
    after = np.stack([both.tick(row)["n2"] for row in x[10:]])
    alone = spikes_of(network, x, "n2")
    fresh = spikes_of(network, x[10:], "n2")
    np.testing.assert_array_equal(after[:, 0], fresh[:, 0])
    np.testing.assert_array_equal(after[:, 1], alone[10:, 1])


def test_biases_are_silent_in_rest_ticks() -> None:
    network = chain(Linear(weight=np.zeros((1, 1)), bias=np.ones(1)), lif(1, beta=0.5, threshold=10), width=1)
    reference = Reference(network)
    reference.tick(np.zeros((1, 1)), driven=True)
    reference.tick(np.zeros((1, 1)), driven=False)
    assert reference.potential("n1")[0, 0] == 0.5


def test_offsets_are_the_longest_path_and_recurrence_needs_its_tick() -> None:
    names = ["in", "a", "b", "c"]
    found = offsets(
        names, [("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("in", "c", 0), ("c", "c", 1)], "in"
    )
    assert found == {"in": 0, "a": 1, "b": 2, "c": 3}
    with pytest.raises(ChipError, match="recurrent loop has fewer ticks"):
        offsets(names, [("in", "a", 0), ("a", "b", 0), ("b", "a", 1)], "in")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": (("input", "n0"), ("n0", "n1"))}, "n1: nothing comes of it"),
        ({"edges": (("input", "n0"), ("n0", "n1"), ("n1", "nowhere"))}, "no node 'nowhere'"),
        ({"edges": (("input", "n0"), ("input", "n0"))}, "stands twice"),
        ({"nodes": {"input": Input(shape=(4,))}}, "no Output node"),
        ({"edges": (("input", "n1"), ("n1", "n0"), ("n0", "output"))}, "n1: lif: input has shape"),
        ({"edges": (("input", "n0"), ("n0", "n1"), ("n1", "n0"), ("n1", "output"))}, "loop without a delay"),
    ],
)
def test_what_is_not_a_network_is_refused(change: dict[str, object], message: str) -> None:
    good = chain(Linear(weight=np.ones((2, 4))), lif(2), width=4)
    parts: dict[str, object] = {"nodes": good.nodes, "edges": good.edges, **change}
    with pytest.raises(ModelError, match=message):
        Network(**parts)  # type: ignore[arg-type]


def test_weights_must_be_finite_and_parameters_in_range() -> None:
    with pytest.raises(ModelError, match="n0: a weight is not finite"):
        chain(Linear(weight=np.full((2, 4), np.nan)), lif(2), width=4)
    with pytest.raises(ModelError, match=r"beta must lie in 0\.\.1, found 1\.5"):
        lif(2, beta=1.5)
    with pytest.raises(ModelError, match="alpha has shape"):
        LIF(
            alpha=np.zeros(1),
            beta=np.zeros(2),
            threshold=np.ones(2),
            reset="zero",
            reset_delay=False,
        )


def test_text_is_golden() -> None:
    weight = np.arange(8.0).reshape(2, 4) / 8
    network = chain(Linear(weight=weight, bias=np.ones(2)), Delay(ticks=3, shape=(2,)), lif(2), width=4)
    assert text(network) == (
        "network dt=0.0001\n"
        "  input: input [4]\n"
        "  n0: linear [2] weight 44750fee |w|<=0.875 bias\n"
        "  n1: delay [2] ticks=3\n"
        "  n2: lif [2] alpha=0 beta=0.9 threshold=1 reset=zero\n"
        "  output: output [2]\n"
        "  input -> n0\n"
        "  n0 -> n1\n"
        "  n1 -> n2\n"
        "  n2 -> output\n"
    )


def test_equality_is_by_content() -> None:
    one, other = (chain(Linear(weight=np.ones((2, 4))), lif(2), width=4) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != chain(Linear(weight=np.ones((2, 4)) * 2), lif(2), width=4)
    with pytest.raises(ValueError, match="read-only"):
        one.nodes["n0"].weight[0, 0] = 5  # type: ignore[attr-defined]
