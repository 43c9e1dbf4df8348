"""Spiking attention by name: its formula, its neurons on a chip, its training; and what no chip can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from strl.chip.compile import compile_network
from strl.chip.exporter import frontend
from strl.cli import main
from strl.codecs import default_codec
from strl.errors import ModelError
from strl.loop.adopt import environment_spec
from strl.loop.agent import ChipAgent, FloatAgent
from strl.loop.environment import Environment
from strl.policies import architectures
from strl.policies.attention import (
    KINDS,
    ON_CHIP,
    AttentionName,
    CountedProduct,
    GatedCount,
    TernaryValue,
    Window,
)
from strl.policies.checkpoint import Checkpoint, load, save
from strl.policies.chip_layers import ChipLeaky, ChipScale
from strl.policies.modules import Delay
from strl.policies.transformer import SpikingTransformer, TransformerConfig
from strl.training import transformer as transformers
from strl.training.scan import over_ticks
from strl.training.sequence import SequenceStudent
from strl.training.transformer import configure_sequence, train_transformer
from tests.test_transformer import LOIHI, chip_equals_network, transformer

OTHERS = sorted(set(KINDS) - set(ON_CHIP))
WINDOWED = sorted(set(KINDS) - {"streaming"})
PLACES: dict[str, Any] = {"attention": "sdsa", "context": 3, "position": True}
"""Of a window that has learned what its tokens are worth, see ``placed``."""


def placed(**given: Any) -> Any:
    """A policy whose positions are worth something else each: some forbid, some need company."""
    policy = transformer(seed=8, **PLACES, **given)
    torch.manual_seed(0)
    with torch.no_grad():
        for part in policy.module.modules():
            if isinstance(part, ChipScale):
                part.weight.uniform_(-0.6, 0.7)
    return policy


class TestOnChip:
    @pytest.mark.parametrize(
        "given",
        [
            {"attention": "sdsa"},
            {"attention": "sdsa", "blocks": 2, "context": 3},
            {"attention": "sdsa", "context": 7, "weight_bits": 4},
        ],
        ids=["window", "two blocks", "relayed"],
    )
    def test_a_window_is_delays_and_exact(self, given: dict[str, Any]) -> None:
        chip_equals_network(transformer(seed=8, **given), decisions=14)

    def test_so_is_one_with_learned_positions(self) -> None:
        chip_equals_network(placed(), decisions=14)

    def test_it_is_standard_nodes_alone(self) -> None:
        network, _ = frontend()(transformer(attention="sdsa", context=7))
        kinds = {type(node).__name__ for node in network.nodes.values()}
        assert kinds == {"Input", "Output", "LIF", "Linear", "Delay"}

    @pytest.mark.parametrize(
        ("name", "obstacle"),
        [("ssa", "integer product"), ("a2os2a", "graded K .* ternary V"), ("sasa", "integer product")],
    )
    def test_what_it_cannot_do_is_refused_by_name(self, name: str, obstacle: str) -> None:
        with pytest.raises(ModelError, match=obstacle) as refused:
            frontend()(transformer(attention=name))
        assert "sdsa" in str(refused.value.hint)


class TestFormulas:
    def test_a_window_is_the_same_tick_of_the_last_decisions(self) -> None:
        window = Window(3, 4, 5)
        x = torch.randint(0, 2, (40, 2, 3)).float()
        for tick, now in enumerate(x):
            for k, seen in enumerate(window(now)):
                then = tick - 5 * k
                assert torch.equal(seen, x[then] if then >= 0 else torch.zeros_like(now))

    def test_sdsa_masks_the_query_by_what_the_window_binds(self) -> None:
        policy = transformer(attention="sdsa", context=3)
        names = tuple(f"blocks.0.attention.{name}" for name in ("query", "bind", "ask"))
        query, bound, asked = recorded(policy.module, names, decisions=8)
        for decision in range(8):
            first = max(0, decision - 2)
            mask = bound[first : decision + 1].sum(0) > 0
            assert torch.equal(asked[decision], query[decision] * mask)
        assert asked.any()
        alone = query * (bound > 0)
        assert not torch.equal(asked, alone), "the past of the window made no difference"

    @pytest.mark.parametrize("heads", [1, 4])
    def test_ssa_is_the_product_of_matrices(self, heads: int) -> None:
        query, keys, values = (torch.randn(n, 5, 12) for n in (1, 6, 6))
        found = CountedProduct(heads, 0.125)(query[0], tuple(keys), tuple(values))
        for lane in range(5):
            for head in np.split(np.arange(12), heads):
                q, k, v = (part[:, lane, head] for part in (query, keys, values))
                torch.testing.assert_close(found[lane, head], ((q @ k.T) @ v * 0.125)[0])

    def test_sasa_gates_the_sum_of_the_greatest_of_neighbours(self) -> None:
        query, keys = torch.tensor([[1.0, 0.0]]), [[[1.0, 1]], [[1, 1]], [[0, 1]], [[0, 0]], [[1, 1]]]
        found = GatedCount()(query, tuple(torch.tensor(k) for k in keys))
        assert found.tolist() == [[2.0, 0.0]]

    def test_values_are_of_three_kinds(self) -> None:
        value = TernaryValue(3, 0.5)
        x = torch.tensor([[0.8, -0.8, -3.0]])
        assert value(x).tolist() == [[0, 0, -1]]
        assert value(x).tolist() == [[1, -1, -1]], "0.4 + 0.8 is above 1"
        assert value(0 * x).tolist() == [[0, 0, 0]]


class TestTraining:
    @pytest.mark.parametrize("name", sorted(KINDS))
    def test_decisions_at_once_are_those_tick_by_tick(self, name: AttentionName) -> None:
        given: dict[str, Any] = {"attention": name, "heads": 4, "context": 3}
        slow, fast = (transformer(**given, position=name != "streaming").module for _ in range(2))
        rng = torch.Generator().manual_seed(0)
        x = torch.randint(-3, 4, (7 * 4, 5, 4), generator=rng) * 0.5
        starts = torch.rand((7, 5), generator=rng) < 0.3
        with torch.no_grad():
            expected = one_by_one(slow, x, starts)
            for part in (slice(0, 1), slice(1, 5), slice(5, 7)):  # what is kept between calls as well
                ticks = slice(4 * part.start, 4 * part.stop)
                with over_ticks(fast, starts[part], ticks=4, rest=fast.config.depth):
                    found = fast(x[ticks])[3::4]
                torch.testing.assert_close(found, expected[part])

    @pytest.mark.parametrize("name", sorted(KINDS))
    def test_every_weight_gets_a_gradient(self, name: AttentionName) -> None:
        policy = transformer(attention=name, position=name != "streaming")
        student = SequenceStudent(policy)
        rng = np.random.default_rng(0)
        readout, rate = student.read(rng.uniform(-1, 1, (8, 4, 4)), np.zeros((8, 4), bool))
        torch.autograd.backward(readout.square().mean())
        without = {n for n, p in policy.module.named_parameters() if p.grad is None or not p.grad.any()}
        assert not without
        assert rate > 0

    @pytest.mark.parametrize("name", WINDOWED)
    def test_what_a_lane_forgets_is_not_what_others_do(self, name: AttentionName) -> None:
        student = SequenceStudent(transformer(attention=name))
        drive = student.drive(np.random.default_rng(0).uniform(-1, 1, (2, 4)))
        with torch.no_grad():
            new = student.forward(drive)[0]
            student.forward(drive)
            student.clear([1])
            found = student.forward(drive)[0]
        assert torch.equal(found[1], new[1])
        assert not torch.equal(found[0], new[0])

    def test_a_window_of_other_decisions_is_refused(self) -> None:
        policy = transformer(attention="sdsa", ticks=5)
        with pytest.raises(ModelError, match="14 ticks"):
            SequenceStudent(policy).read(np.zeros((1, 1, 4)), np.zeros((1, 1), bool))

    @pytest.mark.parametrize(("name", "env"), [("a2os2a", "strl/CartPoleHidden-v0"), ("sdsa", "Pendulum-v1")])
    def test_it_is_trained_by_imitation(
        self, name: AttentionName, env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(transformers, "TEST_SEEDS", transformers.TEST_SEEDS[:3])
        monkeypatch.setattr(transformers, "_RANGE_STEPS", 100)
        learning = {"rounds": 1, "lanes": 2, "steps": 30, "updates": 2, "batch": 2, "episodes": 2}
        given = {"width": 8, "hidden": 8, "expert_steps": 256, "attention": name, "heads": 2}
        options = configure_sequence(env, given=given, imitation=learning)
        done = train_transformer(options, tmp_path / "p.safetensors")
        module = load(done.path).policy.module
        assert isinstance(module, SpikingTransformer)
        assert module.config.attention == name
        assert np.isfinite(done.test).all()


def test_actions_of_real_numbers_are_the_networks() -> None:
    env = Environment(id="Pendulum-v1").make()
    encode, decode = default_codec(env.observation_space, env.action_space, low=[-1] * 3, high=[1] * 3)
    described = environment_spec("Pendulum-v1", env)
    policy = transformer(attention="sdsa", inputs=encode.size, outputs=decode.size, input_unit=encode.unit)
    semantics = replace(
        policy.semantics, encoder=encode.to_dict(), decoder=decode.to_dict(), environment=described
    )
    network, _ = frontend()(replace(policy, semantics=semantics))
    program = compile_network(network, semantics, LOIHI).program
    on_chip, real = ChipAgent(program, "loihi", 2), FloatAgent(network, semantics, 2)
    for agent in (on_chip, real):
        agent.reset(range(2), [np.random.default_rng(k) for k in range(2)])
    rng, seen = np.random.default_rng(0), []
    for _ in range(8):
        x = rng.uniform(-1, 1, (2, 3))
        seen.append(real.act(x))
        np.testing.assert_allclose(on_chip.act(x), seen[-1], rtol=1e-6)
    assert np.std(seen) > 0
    assert np.abs(seen).max() <= 2


class TestConfiguration:
    def test_what_does_not_say_its_attention_is_refused(self) -> None:
        described = TransformerConfig(inputs=2, outputs=2, width=8, hidden=8).to_dict()
        del described["attention"]
        with pytest.raises(ModelError, match="does not say attention"):
            architectures.build({"kind": "transformer", **described})

    def test_a_checkpoint_keeps_the_choice(self, tmp_path: Path) -> None:
        policy = placed()
        save(Checkpoint(policy=policy, record={}), tmp_path / "p.safetensors")
        found = load(tmp_path / "p.safetensors").policy.module
        assert found.config == policy.module.config
        for name, value in policy.module.state_dict().items():
            assert torch.equal(found.state_dict()[name], value), name

    @pytest.mark.parametrize(
        "wrong",
        [
            {"attention": "sdas"},
            {"heads": 3},
            {"heads": 0},
            {"context": 0},
            {"ticks": 0},
            {"position": 1, "attention": "sdsa"},
            {"position": True},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ModelError):
            replace(TransformerConfig(inputs=2, outputs=2, width=8), **wrong)

    def test_a_window_of_decisions_longer_than_a_synapse_waits_is_refused(self) -> None:
        with pytest.raises(ModelError, match="65 ticks, a synapse holds a spike for 62"):
            transformer(attention="sdsa", ticks=56)
        transformer(attention="sdsa", ticks=56, context=1)


def recorded(module: SpikingTransformer, names: tuple[str, ...], *, decisions: int) -> list[Tensor]:
    """What these layers gave to one lane, each [decisions, ticks, neurons]."""
    given: dict[str, list[Tensor]] = {name: [] for name in names}
    for name in names:
        module.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: given[name].append(out[0])
        )
    rng = torch.Generator().manual_seed(0)
    x = torch.randint(-3, 4, (decisions, 1, 4), generator=rng).repeat_interleave(4, 0) * 0.5
    with torch.no_grad():
        one_by_one(module, x, torch.zeros((decisions, 1), dtype=torch.bool))
    return [torch.stack(given[name]).reshape(decisions, 4, -1) for name in names]


def one_by_one(module: SpikingTransformer, x: Tensor, starts: Tensor) -> Tensor:
    """Read-outs [decisions, lanes, outputs], tick by tick as the chip's neurons and delays work."""
    parts = list(module.modules())
    found = []
    for decision, fresh in enumerate(starts):
        for part in parts:
            if isinstance(part, Delay):
                part.line = [torch.where(fresh[:, None], 0.0, row) for row in part.line]
            elif isinstance(part, ChipLeaky | TernaryValue) and part.mem.ndim > 1:
                part.mem = torch.where(fresh[:, None], 0.0, part.mem)
        for tick in x[4 * decision : 4 * decision + 4]:
            module(tick)
        found.append(module.out.mem)
        quiet = torch.zeros(x.shape[1], module.config.width)
        for part in parts:
            if isinstance(part, ChipLeaky):
                part.rest(module.config.depth)
            elif isinstance(part, TernaryValue):
                part.mem = part.mem * part.beta**module.config.depth
            elif isinstance(part, Window):
                for _ in range(module.config.depth):
                    part(quiet)
    return torch.stack(found)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "mlp", "--env", "CartPole-v1", "--attention", "sdsa"], "for --policy transformer"),
        (["--policy", "transformer", "--env", "CartPole-v1", "--attention", "sdas"], "did you mean 'sdsa'"),
        (["--policy", "transformer", "--env", "CartPole-v1", "--position"], "position is of a window"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments, "-o", str(tmp_path / "p.safetensors")]) != 0
    assert said in capsys.readouterr().err
