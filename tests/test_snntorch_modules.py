"""Every snnTorch neuron, option, map and graph there is: equal to the module, or refused by name; and back.

The module runs in double precision beside the network's float reference, outside of strl's own proof: five
seeds, 300 ticks, every output in every tick.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch_cases import CASES, SEEDS, made, stimulus
from torch import nn

from exporters.snntorch import to_module, to_network, translate
from strl import load_module
from strl.chip.exporter import Artefact, exporter
from strl.errors import ModelError
from strl.ir import LIF, Input, Linear, Network, Node, Output, Reshape
from strl.ir.reference import Reference
from strl.ir.substep import SubstepLIF
from strl.policies.chip_layers import LEAST, ChipLeaky
from strl.policies.neurons import IntegrateAndFire
from strl.policies.policy import SpikingPolicy

torch.set_num_threads(1)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", CASES)
def test_equal_or_refused(name: str) -> None:
    case = CASES[name]
    policy = made(case)
    if case.refused:
        with pytest.raises(ModelError, match=case.refused) as caught:
            translate(policy)
        assert caught.value.hint
        return
    network, proof = translate(policy)
    assert proof["mismatches"] == 0
    theirs = run_module(policy)
    ours = run_network(network)
    if policy.semantics.readout.kind == "membrane":
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)
        return
    assert np.array_equal(ours, theirs), f"{np.mean(ours != theirs):.2%} differ"
    rate = float(np.mean(ours != 0))
    assert 0.01 < rate < 0.99, f"{rate:.1%} of the neurons spike, which shows little"


def run_module(policy: SpikingPolicy) -> np.ndarray:
    """What the module itself gives in double precision: [ticks, seeds, *]."""
    module = policy.module.eval().double()
    for part in module.modules():  # snnTorch's spikes are float32 whatever its parameters are
        part.register_forward_pre_hook(lambda _, args: tuple(as_double(a) for a in args))
    found = []
    with torch.no_grad():
        for x in torch.from_numpy(stimulus()):
            given = module(x)
            given = given[policy.head] if policy.head is not None else given
            membrane = policy.semantics.readout.kind == "membrane"
            found.append(list(module.modules())[2].mem.numpy() if membrane else given.numpy())
    return np.stack(found)


def as_double(value: Any) -> Any:
    return value.double() if isinstance(value, torch.Tensor) else value


def run_network(network: Network) -> np.ndarray:
    reference = Reference(network, batch=SEEDS)
    return np.stack([reference.tick(x)[network.output] for x in stimulus()])


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 40


SUPPORTED = [name for name, case in CASES.items() if not case.refused]
UNWRITTEN = ("Leaky: negative threshold, subtract",)
"""NIR cannot hold a threshold below the reset."""


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("name", [name for name in SUPPORTED if name not in UNWRITTEN])
def test_there_and_back(name: str, tmp_path: Path) -> None:
    """module → Network → .nir and manifest → Network → module."""
    policy = made(CASES[name])
    network = to_network(policy)
    path = tmp_path / "network.nir"
    artefact = Artefact(name="network", network=network, semantics=policy.semantics, proof={})
    exporter("nir").export(artefact, path)
    back = exporter("nir").load(path).network
    assert back == network
    graph = load_module(path)
    for part, original in policy.module.named_modules():
        if isinstance(original, nn.Linear | nn.Conv1d | nn.Conv2d) and part in network.nodes:
            for what, value in original.named_parameters():
                assert torch.allclose(getattr(graph.layer(part), what), value, rtol=0, atol=1e-6)
    exact = replace(policy, module=to_module(back, dtype=torch.float64), head=None)
    found = exact.module.eval()
    with torch.no_grad():
        theirs = np.stack([found(x).numpy() for x in torch.from_numpy(stimulus()[:60])])
    reference = Reference(network, batch=SEEDS)
    ours = np.stack([reference.tick(x)[network.output] for x in stimulus()[:60]])
    silent = policy.semantics.readout.kind == "membrane"
    assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9) if silent else np.array_equal(ours, theirs)


AGAIN = (
    "Leaky: vectors",
    "RLeaky: zero late",
    "Synaptic: none",
    "an image",
    "MaxPool2d of spikes",
    "AvgPool2d: border not counted",
    "residual sum",
    "a loop over two layers",
    "spikes and potential",
)


@pytest.mark.parametrize("name", AGAIN)
def test_a_module_that_came_back_can_be_exported_again(name: str) -> None:
    policy = made(CASES[name])
    network = to_network(policy)
    again, proof = translate(replace(policy, module=to_module(network)))
    assert proof["mismatches"] == 0
    theirs, ours = Reference(network, batch=SEEDS), Reference(again, batch=SEEDS)
    for x in stimulus()[:60]:
        assert np.array_equal(theirs.tick(x)[network.output], ours.tick(x)[again.output])


def lif(**settings: Any) -> LIF:
    plain: dict[str, Any] = {"reset": "zero", "reset_delay": False, "threshold": np.array([1.0, 0.7])}
    return LIF(**{"alpha": np.zeros(2), "beta": np.array([0.5, 0.9]), **plain, **settings})


def around(node: Node) -> Network:
    """Two inputs, whose sum and difference reach the node."""
    mixed = Linear(weight=np.array([[0.9, -0.4], [0.6, 0.3]]), bias=np.array([0.11, -0.07]))
    return Network(
        nodes={"in": Input(shape=(2,)), "fc": mixed, "type": node, "out": Output(shape=(2,))},
        edges=(("in", "fc"), ("fc", "type"), ("type", "out")),
    )


CHIP = {"grain": 2.0**-17, "floor": LEAST * 2.0**-17, "beta": np.array([0.5, 0.875])}
OTHERS = {
    "once": lif(reset="once"),
    "inclusive": lif(inclusive=True, threshold=np.array([0.51, 0.2])),
    "inclusive, late": lif(inclusive=True, reset="subtract", reset_delay=True),
    "several": lif(multiple=True, inclusive=True, threshold=np.array([0.2, 0.1])),
    "several, once": lif(multiple=True, inclusive=True, reset="once", threshold=np.array([0.2, 0.1])),
    "drive": lif(drive=np.array([0.3, -0.1])),
    "start": lif(start_v=-0.8, reset="subtract"),
    "floor": lif(floor=-0.1, alpha=np.full(2, 0.4)),
    "zero, late, floor": lif(floor=-0.2, reset_delay=True),
    "one that never spikes": lif(threshold=np.array([0.4, np.inf]), reset="subtract", reset_delay=True),
    "threshold below 0": lif(threshold=np.array([0.4, -0.1])),
    "silent, driven": lif(threshold=np.full(2, np.inf), drive=0.1, reset="none"),
    "a chip's": lif(**CHIP),
    "a chip's, silent": lif(**CHIP, threshold=np.full(2, np.inf), reset="none"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_neurons_that_snntorch_has_not(name: str) -> None:
    network = around(OTHERS[name])
    module = to_module(network, dtype=torch.float64)
    assert isinstance(module.layer("type"), IntegrateAndFire | ChipLeaky)
    for _ in range(2):  # the second time after a reset
        reference = Reference(network, batch=SEEDS)
        values = set()
        for x in stimulus()[:, :, :2]:
            ours, theirs = reference.tick(x)["out"], module(torch.from_numpy(x)).detach().numpy()
            assert np.allclose(ours, theirs, rtol=0, atol=1e-12)
            values |= set(ours.ravel())
        assert len(values) > 1
        module.reset_mem()
    given = module(torch.ones(1, 2, dtype=torch.float64, requires_grad=True))
    given.sum().backward()
    assert module.layer("fc").weight.grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in OTHERS if "silent" not in name])
def test_they_are_exported_again(name: str) -> None:
    one = {"kind": "sign-split", "low": [-1.0], "high": [1.0]}
    policy = made(CASES["Leaky: zero"])
    semantics = replace(policy.semantics, encoder=one, decoder={"kind": "argmax", "actions": 2})
    again, _ = translate(replace(policy, module=to_module(around(OTHERS[name])), semantics=semantics))
    (found,) = [node for n, node in again.nodes.items() if n.endswith("type_")]
    assert isinstance(found, LIF)
    for field in fields(LIF):
        kept, wanted = getattr(found, field.name), getattr(OTHERS[name], field.name)
        assert np.array_equal(kept, wanted) if isinstance(kept, str) else np.allclose(kept, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lif(grain=2.0**-17), "type: rounds what decay leaves to 7.6"),
        (SubstepLIF(tau=np.ones(2)), "type: a substep-lif is no module of snnTorch's"),
        (Reshape(shape=(2,), axes=(0,)), "type: reads its axes in another order"),
    ],
)
def test_what_there_is_no_module_for(node: Node, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        to_module(around(node))


def test_several_outputs_are_a_dict() -> None:
    network = Network(
        nodes={"in": Input(shape=(2,)), "type": lif(), "a": Output(shape=(2,)), "b.c": Output(shape=(2,))},
        edges=(("in", "type"), ("type", "a"), ("type", "b.c"), ("in", "b.c")),
    )
    module = to_module(network)
    given = module(torch.tensor([[2.0, 0.5]]))
    assert given["a"].tolist() == [[1, 0]]
    assert given["b.c"].tolist() == [[3, 0.5]]
    assert isinstance(module.layer("type"), snn.Leaky)
    module.reset_mem()
    assert not module.layer("type").mem.any()
