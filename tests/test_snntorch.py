"""snnTorch modules become Networks that are proven equal, or are refused by name with the way out."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import nn
from torch.nn import functional

from exporters.snntorch import prove, to_network, translate
from strl.errors import ModelError
from strl.ir import LIF, EnvironmentSpec, Linear, Network, Readout, Scale, Semantics
from strl.policies.modules import Delay, Product
from strl.policies.policy import SpikingPolicy

torch.set_num_threads(1)

INPUTS, HIDDEN, OUTPUTS = 6, 10, 3


def semantics(**changes: Any) -> Semantics:
    """CartPole-like, with a plain spike encoder of six channels."""
    low, high = [-1.0] * 3, [1.0] * 3
    made = Semantics(
        ticks=7,
        state="reset",
        readout=Readout(kind="count"),
        encoder={"kind": "sign-split", "low": low, "high": high},
        decoder={"kind": "argmax", "actions": OUTPUTS},
        environment=EnvironmentSpec(id="", observation_shape=(3,), actions=OUTPUTS),
    )
    return replace(made, **changes)


def linear(inputs: int, outputs: int, **settings: Any) -> nn.Linear:
    """Weights large enough that neurons spike often."""
    made = nn.Linear(inputs, outputs, **settings)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)
    return made


def neurons(kind: str = "leaky", **settings: Any) -> nn.Module:
    settings = {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False, **settings}
    if kind == "synaptic":
        return snn.Synaptic(alpha=0.6, beta=0.8, **settings)
    return snn.Leaky(**{"beta": 0.8, **settings})


def mlp(kind: str = "leaky", **settings: Any) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        linear(INPUTS, HIDDEN), neurons(kind, **settings), linear(HIDDEN, OUTPUTS), neurons(kind, **settings)
    )


def policy(module: nn.Module, call: Any = "tick", **changes: Any) -> SpikingPolicy:
    return SpikingPolicy(module=module, semantics=semantics(**changes), call=call)


class Layers(nn.Module):
    """Two layers of neurons, joined by whatever ``way`` does with them."""

    def __init__(self, way: Callable[..., Any], **extra: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = linear(INPUTS, HIDDEN), neurons()
        self.fc2, self.lif2 = linear(HIDDEN, OUTPUTS), neurons()
        for name, module in extra.items():
            setattr(self, name, module)
        self.way = way

    def forward(self, x: torch.Tensor) -> Any:
        return self.way(self, x)


class TestEqual:
    @pytest.mark.parametrize("kind", ["leaky", "synaptic"])
    @pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
    @pytest.mark.parametrize("delay", [False, True])
    @pytest.mark.parametrize(("state", "rest"), [("reset", 0), ("carry", 0), ("carry", 3)])
    def test_every_reset_in_every_state(
        self, kind: str, reset: str, delay: bool, state: str, rest: int
    ) -> None:
        module = mlp(kind, reset_mechanism=reset, reset_delay=delay)
        network, proof = translate(policy(module, state=state, rest=rest))
        assert proof["mismatches"] == 0
        assert proof["ticks"] == proof["decisions"] * (7 + rest)
        assert all(count > 0 for count in proof["spikes"].values())
        lif = network.nodes["1"]
        assert isinstance(lif, LIF)
        assert lif.reset == reset

    def test_nodes_are_named_as_the_module_names_them_in_order(self) -> None:
        network = to_network(policy(mlp()))
        assert list(network.nodes) == ["input", "0", "1", "2", "3", "output"]
        assert network.edges == (("input", "0"), ("0", "1"), ("1", "2"), ("2", "3"), ("3", "output"))

    def test_a_layer_may_be_called_input(self) -> None:
        module = nn.Sequential()
        module.add_module("input", linear(INPUTS, OUTPUTS))
        module.add_module("output", neurons())
        assert list(to_network(policy(module)).nodes) == ["input_", "input", "output", "output_"]

    def test_weights_come_in_double_precision_as_they_are(self) -> None:
        module = mlp()
        node = to_network(policy(module)).nodes["0"]
        assert isinstance(node, Linear)
        assert np.array_equal(node.weight, module[0].weight.detach().numpy())
        assert node.bias is not None

    def test_late_and_early_zero_of_a_leaky_are_one_normal_form(self) -> None:
        assert to_network(policy(mlp(reset_delay=True))) == to_network(policy(mlp(reset_delay=False)))

    def test_late_zero_of_a_synaptic_is_kept(self) -> None:
        assert to_network(policy(mlp("synaptic", reset_delay=True))) != to_network(policy(mlp("synaptic")))

    @pytest.mark.parametrize("form", ["vector", "single", "learned", "beyond"])
    def test_parameters_of_every_form(self, form: str) -> None:
        settings: dict[str, Any] = {
            "vector": {
                "beta": torch.linspace(0.1, 0.99, HIDDEN),
                "threshold": torch.linspace(0.5, 2, HIDDEN),
            },
            "single": {"beta": torch.tensor([0.7]), "threshold": torch.tensor([1.5])},
            "learned": {"beta": 0.7, "learn_beta": True, "threshold": 0.9, "learn_threshold": True},
            "beyond": {"beta": 1.25},  # snnTorch clamps it to 1 in the forward pass
        }[form]
        torch.manual_seed(0)
        module = nn.Sequential(linear(INPUTS, HIDDEN), neurons(**settings))
        network, proof = translate(policy(module))
        lif = network.nodes["1"]
        assert isinstance(lif, LIF)
        assert proof["spikes"]["1"] > 0
        assert lif.beta.shape == (HIDDEN,)
        assert lif.beta.max() <= 1

    def test_layers_that_pass_values_on_leave_no_node(self) -> None:
        torch.manual_seed(0)
        parts = [nn.Flatten(), linear(INPUTS, HIDDEN, bias=False), nn.Dropout(0.5), neurons(), nn.Identity()]
        network, _ = translate(policy(nn.Sequential(*parts).train()))
        assert list(network.nodes) == ["input", "1", "3", "output"]

    def test_a_membrane_read_out_is_neurons_that_never_spike(self) -> None:
        module = mlp()
        module[3] = neurons(reset_mechanism="none", beta=0.9)
        network, proof = translate(policy(module, readout=Readout(kind="membrane")))
        lif = network.nodes["3"]
        assert isinstance(lif, LIF)
        assert lif.silent
        assert proof["spikes"]["3"] == 0
        assert proof["spikes"]["1"] > 0

    def test_an_encoder_of_several_bits(self) -> None:
        module = nn.Sequential(linear(3, HIDDEN), neurons(), linear(HIDDEN, OUTPUTS), neurons())
        direct = {"kind": "direct", "low": [-1.0] * 3, "high": [1.0] * 3, "precision": 6}
        _, proof = translate(policy(module, encoder=direct))
        assert proof["spikes"]["1"] > 0

    def test_ones_own_forward_with_states_passed_by_hand(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            spikes, m.mem1 = m.a(m.fc1(x))
            spikes, m.mem2 = m.b(m.fc2(spikes))
            return spikes

        leaky = {"init_hidden": False}
        module = Layers(way, a=neurons(**leaky), b=neurons(**leaky))
        del module.lif1, module.lif2
        assert list(to_network(policy(module)).nodes)[1:-1] == ["fc1", "a", "fc2", "b"]

    @pytest.mark.parametrize("gives", ["stack", "sum", "both"])
    def test_a_whole_decision_in_one_call(self, gives: str) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            spikes = [m.lif2(m.fc2(m.lif1(m.fc1(step)))) for step in x]
            every = torch.stack(spikes)
            states = (every, m.lif2.mem)
            return {"stack": every, "sum": every.sum(0), "both": states}[gives]

        network, proof = translate(policy(Layers(way), call="decision"))
        assert list(network.nodes) == ["input", "fc1", "lif1", "fc2", "lif2", "output"]
        assert proof["spikes"]["lif2"] > 0

    @pytest.mark.parametrize("gives", ["spikes", "membrane", "both"])
    def test_a_membrane_read_out_may_return_it(self, gives: str) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            spikes = m.lif2(m.fc2(m.lif1(m.fc1(x))))
            return {"spikes": spikes, "membrane": m.lif2.mem, "both": (spikes, m.lif2.mem)}[gives]

        module = Layers(way, lif2=neurons(reset_mechanism="none"))
        assert "lif2" in to_network(policy(module, readout=Readout(kind="membrane"))).nodes


class TestUntouched:
    def test_state_mode_and_random_numbers_stay(self) -> None:
        module = mlp().train()
        module(torch.ones(5, INPUTS)).sum().backward()  # its states hang on an autograd graph now
        states = {name: value.clone() for name, value in module.named_buffers()}
        before = torch.get_rng_state()
        translate(policy(module))
        assert module.training
        assert module[1].mem.grad_fn is not None
        assert module[0].weight.dtype == torch.float32
        assert module[0].weight.grad is not None
        for name, value in module.named_buffers():
            assert torch.equal(value, states[name])
        assert torch.equal(before, torch.get_rng_state())
        assert not module[1]._forward_hooks

    def test_a_reset_in_the_forward_pass_reaches_the_copy_alone(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            utils.reset(m)
            return torch.stack([m.lif2(m.fc2(m.lif1(m.fc1(step)))) for step in x])

        module, other = Layers(way), neurons()
        for layer in (module.lif1, other):
            layer.mem = torch.full((1, HIDDEN), 0.25)
        _, proof = translate(policy(module, call="decision"))
        assert proof["mismatches"] == 0
        assert (module.lif1.mem == 0.25).all()
        assert (other.mem == 0.25).all()
        with pytest.raises(ModelError, match=r"lif\d: .* differ .* decision 1, tick 0"):
            translate(policy(module, call="decision", state="carry"))


class TestProof:
    def test_it_fails_on_a_network_that_differs(self) -> None:
        made = policy(mlp())
        network = to_network(made)
        lif = network.nodes["1"]
        assert isinstance(lif, LIF)
        other = dict(network.nodes) | {"1": replace(lif, beta=lif.beta * 0.9)}
        with pytest.raises(ModelError, match=r"1: \d+ of \d+ \w+ differ .* decision 0, tick \d"):
            prove(made, Network(nodes=other, edges=network.edges))

    def test_it_fails_on_a_membrane_that_differs(self) -> None:
        module = mlp()
        module[3] = neurons(reset_mechanism="none")
        made = policy(module, readout=Readout(kind="membrane"))
        network = to_network(made)
        weights = network.nodes["2"]
        assert isinstance(weights, Linear)
        other = dict(network.nodes) | {"2": replace(weights, weight=weights.weight * (1 + 1e-6))}
        with pytest.raises(ModelError, match=r"3: .* potentials differ"):
            prove(made, Network(nodes=other, edges=network.edges))

    def test_a_list_that_holds_itself(self) -> None:
        """It is walked once; a counter within it is seen."""

        def way(m: Any, x: torch.Tensor) -> Any:
            m.kept[0] += m.step
            return m.lif2(m.fc2(m.lif1(m.fc1(x))))

        for step in (0, 1):
            module = Layers(way)
            module.kept, module.step = [0, {}], step
            module.kept[1]["all"] = module.kept
            if step:
                with pytest.raises(ModelError, match="its attribute 'kept' changes from call to call"):
                    translate(policy(module))
            else:
                assert translate(policy(module))[1]["mismatches"] == 0

    @pytest.mark.parametrize("start", [0, [0], {"n": 0}, np.int64(0), torch.tensor(0), torch.zeros(1)])
    def test_a_counter_that_the_proof_would_not_reach(self, start: Any) -> None:
        def more(kept: Any) -> Any:
            if isinstance(kept, dict):
                return {"n": kept["n"] + 1}
            return [kept[0] + 1] if isinstance(kept, list) else kept + 1

        def way(m: Any, x: torch.Tensor) -> Any:
            m.kept = more(m.kept)
            z = m.lif1(m.fc1(x))
            return m.lif2(m.fc2(z * 0 if "101" in str(m.kept) else z))

        module = Layers(way)
        module.kept = copy.copy(start)
        inside = nn.Sequential(module)
        for made, name in ((module, "Layers"), (inside, "0")):
            with pytest.raises(ModelError, match=f"{name}: its attribute 'kept' changes from call to call"):
                translate(policy(made))

    def test_what_the_first_decision_sets_may_stay(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            m.batch, m.begun, m.seen = x.shape[0], True, [x]
            return m.lif2(m.fc2(m.lif1(m.fc1(x))))

        assert translate(policy(Layers(way)))[1]["mismatches"] == 0

    def test_a_module_that_works_in_single_precision_only(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            if x.dtype != torch.float32:
                raise TypeError("single precision, please")
            return m.lif2(m.fc2(m.lif1(m.fc1(x))))

        with pytest.raises(ModelError, match=r"forward pass fails .* single precision, please") as caught:
            translate(policy(Layers(way)))
        assert "double precision" in caught.value.hint

    def test_it_sees_what_depends_on_the_tick(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            m.count = getattr(m, "count", 0) + 1
            spikes = m.lif1(m.fc1(x))
            if m.count > 3:
                m.lif1.mem = m.lif1.mem * 0
            return m.lif2(m.fc2(spikes))

        with pytest.raises(ModelError, match=r"lif1: .* differ"):
            translate(policy(Layers(way)))

    @pytest.mark.parametrize(
        "after",
        [
            lambda every: every.flip(-1),
            lambda every: every.sum(0)[:, list(range(OUTPUTS))[::-1]],
            lambda every: -every.sum(0),
            lambda every: every.mean(0),
            lambda every: every[::2].sum(0),
            lambda every: every[-1],
        ],
    )
    def test_it_sees_what_is_done_to_a_decisions_output(self, after: Any) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            return after(torch.stack([m.lif2(m.fc2(m.lif1(m.fc1(step)))) for step in x]))

        with pytest.raises(ModelError, match="returns something else than its last layer lif2"):
            translate(policy(Layers(way), call="decision"))

    def test_it_sees_what_is_done_to_spikes_of_some_ticks(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            spikes = m.lif2(m.fc2(m.lif1(m.fc1(x))))
            return spikes.flip(-1) if spikes.any() else spikes

        with pytest.raises(ModelError, match="returns something else than its last layer lif2"):
            translate(policy(Layers(way)))

    def test_it_sees_layers_that_are_left_out_later(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            m.count = getattr(m, "count", 0) + 1
            spikes = m.lif1(m.fc1(x))
            return m.lif2(m.fc2(spikes)) if m.count < 4 else spikes

        with pytest.raises(ModelError, match="same layers in every tick"):
            translate(policy(Layers(way)))


def twice(m: Any, x: torch.Tensor) -> Any:
    return m.lif2(m.fc2(m.same(m.same(m.lif1(m.fc1(x))))))


def in_place(m: Any, x: torch.Tensor) -> Any:
    spikes = m.lif1(m.fc1(x))
    spikes.mul_(2)
    return m.lif2(m.fc2(spikes))


def loop(m: Any, x: torch.Tensor) -> Any:
    for _ in range(4):
        spikes = m.lif2(m.fc2(m.lif1(m.fc1(x))))
    return spikes


def heads(m: Any, x: torch.Tensor) -> Any:
    spikes = m.lif1(m.fc1(x))
    return m.lif2(m.fc2(spikes)), m.lif3(m.fc3(spikes))


def in_place_before(m: Any, x: torch.Tensor) -> Any:
    x.mul_(2)
    return m.lif2(m.fc2(m.lif1(m.fc1(x))))


def in_place_after(m: Any, x: torch.Tensor) -> Any:
    spikes = m.lif2(m.fc2(m.lif1(m.fc1(x))))
    spikes += 1
    return spikes


FUNCTIONAL: dict[str, tuple[Callable[..., Any], str]] = {
    "before": (lambda m, x: m.lif2(m.fc2(m.lif1(m.fc1(x * 2)))), "fc1: its input is not the observation"),
    "between": (
        lambda m, x: m.lif2(m.fc2(functional.relu(m.lif1(m.fc1(x))))),
        "fc2: its input is not what lif1",
    ),
    "scaled": (lambda m, x: m.lif2(3 * m.fc2(m.lif1(m.fc1(x))) - 1), "lif2: its input is not what fc2 gave"),
    "after": (
        lambda m, x: torch.tanh(m.lif2(m.fc2(m.lif1(m.fc1(x))))),
        "returns something else than .* lif2",
    ),
    "in place": (in_place, "fc2: its input is not what lif1 gave"),
    "in place before": (in_place_before, "fc1: its input is not the observation"),
    "in place after": (in_place_after, "returns something else"),
    "skip": (
        lambda m, x: m.lif2(m.fc2((h := m.lif1(m.fc1(x))) + m.more(h))),
        "fc2: its input is not what more gave",
    ),
    "heads": (heads, "returns 2 heads .0: lif2, 1: lif3.; actions are read of one"),
    "states": (
        lambda m, x: m.lif2(m.fc2(m.loud(m.lif1(m.fc1(x)))[1])),
        "loud: its membrane is read, but it resets by 'zero'",
    ),
    "unread": (
        lambda m, x: (m.lif2(m.fc2(h := m.lif1(m.fc1(x)))), m.lif3(m.fc3(h)))[0],
        "fc3, lif3: computed, but nothing that is returned depends on it",
    ),
    "membrane": (lambda m, x: (m.lif2(m.fc2(m.lif1(m.fc1(x)))), m.lif2.mem)[1], "returns something else"),
}


class TestRefused:
    @pytest.mark.parametrize("case", FUNCTIONAL)
    def test_operations_outside_layers(self, case: str) -> None:
        way, message = FUNCTIONAL[case]
        extra = {
            "skip": {"more": nn.Identity()},
            "states": {"loud": neurons(output=True), "lif1": nn.Identity()},
            "heads": {"fc3": linear(HIDDEN, OUTPUTS), "lif3": neurons()},
            "unread": {"fc3": linear(HIDDEN, OUTPUTS), "lif3": neurons()},
        }.get(case, {})
        with pytest.raises(ModelError, match=message) as caught:
            to_network(policy(Layers(way, **extra)))
        assert caught.value.hint

    @pytest.mark.parametrize(
        "layer",
        [
            nn.ReLU(),
            nn.LayerNorm(HIDDEN),
            nn.ConvTranspose1d(1, 1, 1),
            snn.SLSTM(HIDDEN, HIDDEN),
            snn.LeakyParallel(HIDDEN, HIDDEN),
        ],
        ids=lambda layer: type(layer).__name__,
    )
    def test_unknown_layers(self, layer: nn.Module) -> None:
        module = nn.Sequential(linear(INPUTS, HIDDEN), layer, neurons())
        name = type(layer).__name__
        with pytest.raises(ModelError, match=f"^1: a {name} is not understood") as caught:
            to_network(policy(module))
        assert "Leaky" in caught.value.hint

    def test_a_subclass_of_a_known_layer(self) -> None:
        class Doubled(nn.Linear):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return 2 * super().forward(x)

        with pytest.raises(ModelError, match="0: a Doubled is not understood"):
            to_network(policy(nn.Sequential(Doubled(INPUTS, HIDDEN), neurons())))

    def test_a_parametrised_layer(self) -> None:
        module = mlp()
        nn.utils.parametrizations.weight_norm(module[0])
        with pytest.raises(ModelError, match="is not understood"):
            to_network(policy(module))

    def test_a_layer_used_twice(self) -> None:
        module = Layers(twice, same=linear(HIDDEN, HIDDEN))
        with pytest.raises(ModelError, match="same: is called 2 times in one tick") as caught:
            to_network(policy(module))
        assert "own" in caught.value.hint

    def test_a_layer_used_twice_under_two_names(self) -> None:
        layer = neurons()
        module = nn.Sequential(linear(INPUTS, HIDDEN), layer, linear(HIDDEN, HIDDEN), layer)
        with pytest.raises(ModelError, match="1: is called 2 times"):
            to_network(policy(module))

    def test_a_layer_never_used(self) -> None:
        module = Layers(lambda m, x: m.lif1(m.fc1(x)))
        with pytest.raises(ModelError, match="fc2, lif2: never called"):
            to_network(policy(module))

    def test_a_loop_over_ticks_in_a_tick(self) -> None:
        with pytest.raises(ModelError, match="loops over 4 ticks inside one call") as caught:
            to_network(policy(Layers(loop)))
        assert "call='decision'" in caught.value.hint

    def test_a_decision_of_another_number_of_ticks(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            return torch.stack([m.lif2(m.fc2(m.lif1(m.fc1(step)))) for step in x[:-1]])

        with pytest.raises(ModelError, match="called 6 times in 7 ticks"):
            to_network(policy(Layers(way), call="decision"))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"graded_spikes_factor": 0.0}, "1: graded_spikes_factor = 0.0, must be finite and not 0"),
            ({"state_quant": lambda x: x}, "1: state_quant is set"),
            ({"beta": torch.full((HIDDEN + 1,), 0.5)}, "fails on input"),
            ({"beta": torch.full((HIDDEN, 1), 0.5)}, "1: beta has shape|fails on input"),
            ({"beta": float("nan")}, "1: beta is not a number"),
            ({"threshold": float("inf")}, "1: threshold is not finite"),
        ],
    )
    def test_settings_no_node_has(self, settings: dict[str, Any], message: str) -> None:
        module = nn.Sequential(linear(INPUTS, HIDDEN), neurons(**settings))
        with pytest.raises(ModelError, match=message):
            to_network(policy(module))

    def test_a_weight_that_is_not_finite(self) -> None:
        module = mlp()
        with torch.no_grad():
            module[2].weight[0, 0] = float("nan")
        with pytest.raises(ModelError, match="2: a weight is not finite"):
            to_network(policy(module))

    def test_no_neurons_at_the_end(self) -> None:
        with pytest.raises(ModelError, match="0: the last layer has no neurons"):
            to_network(policy(nn.Sequential(linear(INPUTS, OUTPUTS))))

    def test_a_membrane_that_resets(self) -> None:
        with pytest.raises(ModelError, match="3: its membrane is read, but it resets") as caught:
            to_network(policy(mlp(), readout=Readout(kind="membrane")))
        assert "reset_mechanism='none'" in caught.value.hint

    def test_an_encoder_of_another_width(self) -> None:
        module = nn.Sequential(linear(INPUTS + 1, HIDDEN), neurons())
        with pytest.raises(ModelError, match="forward pass fails") as caught:
            to_network(policy(module))
        assert f"{INPUTS} features" in caught.value.hint

    def test_a_forward_pass_that_raises(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            raise KeyError("mine")

        with pytest.raises(ModelError, match=r"Layers: its forward pass fails .*mine"):
            to_network(policy(Layers(way)))

    def test_a_module_that_cannot_be_copied(self) -> None:
        module = mlp()
        module.lock = threading.Lock()
        with pytest.raises(ModelError, match="Sequential: cannot be copied"):
            to_network(policy(module))

    def test_rest_ticks_of_a_whole_decision(self) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            return torch.stack([m.lif2(m.fc2(m.lif1(m.fc1(step)))) for step in x])

        with pytest.raises(ModelError, match="no rest ticks"):
            translate(policy(Layers(way), call="decision", state="carry", rest=2))


def test_what_is_done_to_a_silent_output_is_seen() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 2)
            nn.init.zeros_(self.fc.weight)  # never spikes
            nn.init.zeros_(self.fc.bias)
            self.lif = snn.Leaky(beta=0.5, reset_mechanism="zero", reset_delay=False, init_hidden=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([self.lif(self.fc(tick)) for tick in x]).sum(0)[:, [1, 0]]

    turned = policy(Turned(), call="decision")
    with pytest.raises(ModelError, match="returns something else than its last layer lif"):
        translate(turned)


class Tutorial(nn.Module):
    """As snnTorch's tutorials write it: states by hand, a loop over ticks, records of both."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = linear(INPUTS, HIDDEN), snn.Leaky(beta=0.9)
        self.fc2, self.lif2 = linear(HIDDEN, OUTPUTS), snn.RLeaky(beta=0.9, linear_features=OUTPUTS)

    def forward(self, x: torch.Tensor) -> Any:
        mem1 = self.lif1.init_leaky()
        spk2, mem2 = self.lif2.init_rleaky()
        spikes, membranes = [], []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), spk2, mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(membranes, dim=0)


class TestGraphs:
    def test_a_module_as_the_tutorials_write_it(self) -> None:
        network, proof = translate(policy(Tutorial(), call="decision"))
        assert proof["mismatches"] == 0
        assert list(network.nodes)[1:-1] == ["fc1", "lif1", "fc2", "lif2", "lif2.delay", "lif2.recurrent"]

    def test_a_head_is_named_and_the_others_stand_in_the_proof(self) -> None:
        extra = {"fc3": linear(HIDDEN, 2), "lif3": neurons()}
        both = SpikingPolicy(module=Layers(heads, **extra), semantics=semantics(), head=0)
        network, proof = translate(both)
        assert list(network.nodes) == ["input", "fc1", "lif1", "fc2", "lif2", "output"]
        assert proof["head"] == 0
        assert proof["unread"] == ["fc3", "lif3"]
        other, _ = translate(replace(both, head=1))
        assert [*other.nodes][-3:] == ["fc3", "lif3", "output"]

    @pytest.mark.parametrize("gives", ["stack", "sum"])
    def test_a_head_of_a_whole_decision(self, gives: str) -> None:
        def way(m: Any, x: torch.Tensor) -> Any:
            pairs = [heads(m, step) for step in x]
            joined = {"stack": torch.stack, "sum": lambda each: torch.stack(each).sum(0)}[gives]
            return {"left": joined([a for a, _ in pairs]), "right": joined([b for _, b in pairs])}

        module = Layers(way, fc3=linear(HIDDEN, OUTPUTS), lif3=neurons())
        both = SpikingPolicy(module=module, semantics=semantics(), call="decision", head="right")
        network, proof = translate(both)
        assert network.sources(network.output) == ("lif3",)
        assert proof["unread"] == ["fc2", "lif2"]

    def test_rest_ticks_silence_every_bias(self) -> None:
        torch.manual_seed(0)
        norm = nn.BatchNorm1d(HIDDEN)
        norm.running_mean.fill_(-0.4)
        recurrent = snn.RLeaky(beta=0.8, linear_features=OUTPUTS, init_hidden=True)
        module = nn.Sequential(linear(INPUTS, HIDDEN), norm, neurons(), linear(HIDDEN, OUTPUTS), recurrent)
        network, proof = translate(policy(module, state="carry", rest=4))
        assert proof["ticks"] == 4 * 11
        assert network.nodes["1"].bias is not None  # type: ignore[attr-defined]

    def test_an_image_from_a_flat_observation(self) -> None:
        torch.manual_seed(0)
        conv = nn.Conv2d(1, 2, (2, 2))
        with torch.no_grad():
            conv.weight.mul_(4)
        parts = [nn.Unflatten(1, (1, 2, 3)), conv, neurons(beta=torch.rand(2, 1, 1)), nn.Flatten()]
        network, _ = translate(policy(nn.Sequential(*parts, linear(4, OUTPUTS), neurons())))
        lif = network.nodes["2"]
        assert isinstance(lif, LIF)
        assert lif.shape == (2, 1, 2)

    def test_flattened_spikes_may_be_read(self) -> None:
        torch.manual_seed(0)
        parts = [linear(INPUTS, OUTPUTS), nn.Unflatten(1, (1, OUTPUTS)), neurons(), nn.Flatten()]
        network, _ = translate(policy(nn.Sequential(*parts)))
        assert network.sources(network.output) == ("2",)
        assert network.nodes[network.output].shape == (1, OUTPUTS)  # type: ignore[attr-defined]

    def test_flattened_membranes_may_be_read(self) -> None:
        torch.manual_seed(0)
        silent = neurons(reset_mechanism="none")
        parts = [linear(INPUTS, OUTPUTS), nn.Unflatten(1, (1, OUTPUTS)), silent, nn.Flatten()]
        network, _ = translate(policy(nn.Sequential(*parts), readout=Readout(kind="membrane")))
        assert network.nodes["2"].silent  # type: ignore[attr-defined]

    def test_the_proof_knows_graded_spikes(self) -> None:
        module = mlp(graded_spikes_factor=0.5)
        made = policy(module)
        network = to_network(made)
        other = dict(network.nodes) | {"1.graded": Scale(scale=np.array(0.25))}
        with pytest.raises(ModelError, match=r"1: .* spikes differ"):
            prove(made, Network(nodes=other, edges=network.edges))

    def test_input_that_is_taken_as_spikes_is_not_made_stronger(self) -> None:
        class Both(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.both, self.wait = Product(), Delay()
                self.fc, self.lif = nn.Linear(INPUTS, OUTPUTS), neurons()
                nn.init.zeros_(self.fc.weight)  # silent whatever the input
                nn.init.zeros_(self.fc.bias)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.lif(self.fc(self.both(x, self.wait(x))))

        _, proof = translate(policy(Both()))
        assert proof["gain"] == 1
        assert proof["silent"] == ["lif"]
