"""The spiking transformer: lowered to neurons, and the chip equal to it, across decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from strl.chip.compile import compile_network
from strl.chip.exporter import frontend
from strl.chip.spec import chip
from strl.codecs import default_codec
from strl.errors import ChipError, ModelError
from strl.ir import LIF, EnvironmentSpec, Network, Readout, Semantics
from strl.loop.agent import ChipAgent, FloatAgent
from strl.loop.environment import Environment
from strl.policies.attention import AttentionName
from strl.policies.chip_layers import LEAST, SCALE, ChipLeaky, ChipLinear
from strl.policies.policy import SpikingPolicy
from strl.policies.transformer import SpikingTransformer, TransformerConfig, retentions
from strl.training.sequence import SequenceStudent

ENV = "strl/CartPoleHidden-v0"
LOIHI = chip("loihi1")
GRAIN = 1 / (64 * SCALE)


def transformer(
    *, seed: int = 0, blocks: int = 1, weight_bits: int = 8, gain: float = 4.0, **given: Any
) -> SpikingPolicy:
    """One with random weights, strong enough that all of its neurons spike; ``given`` goes to its config."""
    env = Environment(id=ENV).make()
    low, high = [-1.0] * 4, [1.0] * 4
    encode, decode = default_codec(
        env.observation_space, env.action_space, low=low, high=high, options={"precision": 8, "gain": gain}
    )
    shape = {"inputs": encode.size, "outputs": decode.size, "width": 24, "hidden": 96}
    given = {**shape, "input_unit": encode.unit, **given}
    config = TransformerConfig(blocks=blocks, weight_bits=weight_bits, **given)
    torch.manual_seed(seed)
    module = SpikingTransformer(config)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim == 2:
                strong = 1.5 if "attention" in name else 2.5  # an attention's are to begin with
                parameter.mul_(strong if blocks == 1 and gain == 4 else 1.0 if "attention" in name else 2.0)
    return SpikingPolicy(
        module=module,
        semantics=Semantics(
            ticks=4,
            state="carry",
            rest=config.depth,
            readout=Readout(kind="membrane"),
            encoder=encode.to_dict(),
            decoder=decode.to_dict(),
            environment=EnvironmentSpec(id=ENV, observation_shape=(4,), actions=2),
        ),
        weight_bits=weight_bits,
    )


class TestChipLayers:
    @pytest.mark.parametrize("bits", [2, 4, 8])
    def test_weights_are_few_whole_steps_of_a_power_of_two(self, bits: int) -> None:
        torch.manual_seed(bits)
        layer = ChipLinear(16, 8, weight_bits=bits)
        weight = layer.stored_weight.detach().double().numpy()
        step = np.abs(weight[weight != 0]).min()
        step = 2.0 ** np.floor(np.log2(step))
        while (weight / step != np.round(weight / step)).any():
            step /= 2
        assert np.abs(weight / step).max() <= 2 ** (bits - 1) - 1
        assert np.abs(weight - layer.weight.detach().numpy()).max() <= step * (0.5 if bits > 2 else 1.0)

    def test_the_gradient_goes_straight_through(self) -> None:
        layer = ChipLinear(3, 2, weight_bits=3)
        (layer(torch.ones(1, 3)) * torch.tensor([[1.0, -2.0]])).sum().backward()
        assert torch.equal(layer.weight.grad, torch.tensor([[1.0] * 3, [-2.0] * 3]))

    def test_what_decay_leaves_is_cut_off_towards_zero(self) -> None:
        neurons = ChipLeaky(torch.full((2,), 0.3), silent=True).double()
        x = torch.tensor([[1000.5 * GRAIN, -1000.0 * GRAIN]], dtype=torch.float64)
        neurons(torch.trunc(x / GRAIN) * GRAIN)
        neurons(torch.zeros_like(x))
        kept = 1229 / 4096  # 0.3 in 4096ths
        assert neurons.mem.tolist() == [[np.trunc(1000 * kept) * GRAIN, -np.trunc(1000 * kept) * GRAIN]]

    def test_quiet_ticks_at_once_are_nearly_those_one_by_one(self) -> None:
        quick, slow = (ChipLeaky(torch.full((64,), 0.9)).double() for _ in range(2))
        x = torch.rand(5, 64, dtype=torch.float64)
        quick(x)
        slow(x)
        quick.rest(9)
        for _ in range(9):
            assert not slow(torch.zeros_like(x)).any()
        assert (quick.mem - slow.mem).abs().max() <= 9 * GRAIN


@pytest.mark.parametrize(("blocks", "bits", "gain"), [(1, 8, 4.0), (2, 8, 4.0), (1, 4, 4.0), (1, 8, 8.0)])
@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_the_chip_equals_the_network_spike_for_spike_across_decisions(
    blocks: int, bits: int, gain: float, limit: float
) -> None:
    policy = transformer(seed=bits, blocks=blocks, weight_bits=bits, gain=gain, **retentions(limit))
    chip_equals_network(policy, strong=gain > 4)


def chip_equals_network(
    policy: SpikingPolicy, *, strong: bool = False, decisions: int = 60, silent: bool = False
) -> None:
    """Module, network and chip give the same spikes, and every population gives some unless ``silent``."""
    network, proof = frontend()(policy)
    assert proof["mismatches"] == 0
    program = compile_network(network, policy.semantics, LOIHI, weight_bits=policy.weight_bits).program
    batch, rng = 4, np.random.default_rng(0)
    ours, theirs = ChipAgent(program, "loihi", batch), FloatAgent(network, policy.semantics, batch)
    spiked: dict[str, int] = {}
    for agent in (ours, theirs):
        agent.reset(range(batch), [np.random.default_rng(k) for k in range(batch)])
    for decision in range(decisions):
        x = rng.choice([-1.0, 1.0], (batch, 4)) if strong else rng.uniform(-1, 1, (batch, 4))
        assert np.array_equal(ours.act(x), theirs.act(x)), f"decision {decision}"
        for name, columns in theirs.populations.items():
            late, quiet = ours.offsets[name], theirs.raster[:, :, columns]
            chip_side = ours.raster[:, late:, ours.populations[name]]
            assert np.array_equal(chip_side, quiet[:, : quiet.shape[1] - late]), f"{name}, {decision}"
            spiked[name] = spiked.get(name, 0) + int(quiet.sum())
    mute = [name for name, count in spiked.items() if not count and name != "out"]
    assert silent or not mute, "an equality of silent neurons proves little"


def test_strong_input_reaches_the_end_of_the_registers() -> None:
    """Of what is compared here: without the floor, the network's spikes would be others."""
    policy = transformer(seed=8, gain=8.0, beta=0.999, beta_limit=1.0)
    chip_equals_network(policy, strong=True)
    network, _ = frontend()(policy)
    bottomless = {
        name: replace(node, floor=-np.inf) if isinstance(node, LIF) else node
        for name, node in network.nodes.items()
    }
    token = network.nodes["blocks.0.token"]
    assert isinstance(token, LIF)
    assert token.floor == LEAST * token.grain
    networks = network, Network(nodes=bottomless, edges=network.edges, dt=network.dt)
    agents = [FloatAgent(made, policy.semantics, 4) for made in networks]
    rng = np.random.default_rng(0)
    for agent in agents:
        agent.reset(range(4), [np.random.default_rng(k) for k in range(4)])
    differ = False
    for _ in range(60):
        x = rng.choice([-1.0, 1.0], (4, 4))
        for agent in agents:
            agent.act(x)
        differ |= not np.array_equal(agents[0].raster, agents[1].raster)
    assert differ


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("attention", ["streaming", "sdsa"])
def test_however_weights_grow_training_leaves_what_a_chip_can_hold(
    bits: int, attention: AttentionName
) -> None:
    policy = transformer(seed=1, weight_bits=bits, attention=attention)
    student = SequenceStudent(policy)
    before = {name: value.clone() for name, value in policy.module.state_dict().items()}
    student.bound()
    assert all(torch.equal(value, before[name]) for name, value in policy.module.state_dict().items())
    with torch.no_grad():
        for parameter in policy.module.parameters():
            if parameter.ndim == 2:
                parameter.mul_(40)
    with pytest.raises(ChipError, match="leaves a register by"):
        compile_network(frontend()(policy)[0], policy.semantics, LOIHI, weight_bits=bits)
    student.bound()
    chip_equals_network(policy, decisions=4, silent=True)


def test_a_training_that_has_run_into_nan_is_not_held_up() -> None:
    policy = transformer()
    with torch.no_grad():
        policy.module.embed.weight[0, 0] = torch.nan
        policy.module.blocks[0].up.weight[0, 0] = torch.inf
    SequenceStudent(policy).bound()


def test_an_input_of_other_steps_than_the_chips_is_refused() -> None:
    """0.75 of a weight of 1/2048 is no chip unit: the program would round what the module does not."""
    with pytest.raises(ModelError, match=r"unit = 0.75, must be a power of two"):
        transformer(input_unit=0.75)


def test_what_it_remembers_changes_what_it_does() -> None:
    policy = transformer()
    network, _ = frontend()(policy)
    carried = FloatAgent(network, policy.semantics, 1)
    x = np.full((1, 4), 0.4)
    carried.reset([0], [np.random.default_rng(0)])
    carried.act(x)
    first = carried.raster.copy()
    carried.act(x)
    assert not np.array_equal(first, carried.raster)
    carried.reset([0], [np.random.default_rng(0)])
    carried.act(x)
    assert np.array_equal(first, carried.raster)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"blocks": 1.0},
        {"weight_bits": 9},
        {"beta": 1.0},
        {"memory": (0.9,)},
        {"memory": (0.9, 1.5)},
        {"input_unit": 0.0},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        replace(TransformerConfig(inputs=2, outputs=2), **wrong)
