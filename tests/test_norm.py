"""Batch norm that folds: what a transformer learns with it is weights and biases of few bits, and no more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from strl.chip.compile import compile_network
from strl.chip.exporter import frontend
from strl.errors import ModelError
from strl.policies import architectures
from strl.policies.checkpoint import Checkpoint, load, save
from strl.policies.chip_layers import EPSILON, ChipLinear
from strl.policies.policy import SpikingPolicy
from strl.policies.transformer import SpikingTransformer, TransformerConfig
from strl.training.sequence import SequenceStudent
from tests.test_transformer import LOIHI, chip_equals_network, transformer


def normed(**given: Any) -> SpikingPolicy:
    """A policy whose norms have seen something else each."""
    policy = transformer(norm=True, **given)
    torch.manual_seed(0)
    for layer in norms(policy.module):
        shaken(layer)
    policy.module.eval()
    return policy


def norms(module: nn.Module) -> list[ChipLinear]:
    return [part for part in module.modules() if isinstance(part, ChipLinear) and part.norm]


def shaken(layer: ChipLinear) -> ChipLinear:
    with torch.no_grad():
        layer.gain.uniform_(-1.5, 1.5)
        layer.bias.uniform_(-0.3, 0.7)
        layer.running_mean.normal_(0, 0.3)
        layer.running_var.uniform_(0.2, 2)
    return layer


def unfolded(layer: ChipLinear, x: Tensor, *, by_batch: bool) -> tuple[Tensor, nn.BatchNorm1d]:
    """What torch's own layers give, and the norm afterwards."""
    norm = nn.BatchNorm1d(layer.out_features, eps=EPSILON).train(by_batch)
    names = {"weight": "gain", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}
    with torch.no_grad():
        for theirs, ours in names.items():
            getattr(norm, theirs).copy_(getattr(layer, ours))
    found: Tensor = norm(nn.functional.linear(x, layer.weight).flatten(0, -2))
    return found.reshape(*x.shape[:-1], -1), norm


class TestLayer:
    @torch.no_grad()
    @pytest.mark.parametrize("by_batch", [False, True])
    def test_it_is_torchs_norm_but_for_the_rounding(self, by_batch: bool) -> None:
        torch.manual_seed(1)
        layer = shaken(ChipLinear(16, 8, norm=True)).train(by_batch)
        x = torch.rand(12, 5, 16).round()
        expected, norm = unfolded(layer, x, by_batch=by_batch)
        step = largest_step(layer, x)  # before statistics go on
        assert (layer(x) - expected).abs().max() <= 17 * step / 2
        torch.testing.assert_close(layer.running_mean, norm.running_mean)
        torch.testing.assert_close(layer.running_var, norm.running_var)
        assert not torch.allclose(expected, unfolded(layer, x, by_batch=not by_batch)[0], atol=0.2)

    def test_its_gradient_is_torchs(self) -> None:
        torch.manual_seed(1)
        layer = shaken(ChipLinear(16, 8, norm=True))
        x, weight = torch.rand(40, 16).round(), torch.randn(40, 8)
        torch.autograd.backward((layer(x) * weight).sum())
        found = {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}
        layer.zero_grad()
        out, norm = unfolded(layer, x, by_batch=True)
        torch.autograd.backward((out * weight).sum())
        expected = {"weight": layer.weight.grad, "gain": norm.weight.grad, "bias": norm.bias.grad}
        for name, grad in found.items():
            torch.testing.assert_close(grad, expected[name], rtol=1e-3, atol=1e-4)

    def test_what_is_stored_does_not_depend_on_the_modules_precision(self) -> None:
        torch.manual_seed(2)
        layer = shaken(ChipLinear(256, 256, norm=True))
        single, bias = layer.stored_weight, layer.stored_bias
        assert bias is not None
        layer.double()
        assert torch.equal(layer.stored_weight, single.double())
        assert layer.stored_bias is not None
        assert torch.equal(layer.stored_bias, bias.double())

    def test_evaluation_leaves_its_statistics_alone(self) -> None:
        layer = shaken(ChipLinear(4, 4, norm=True)).eval()
        before = layer.running_mean.clone()
        layer(torch.ones(3, 4))
        assert torch.equal(layer.running_mean, before)
        layer.train()(torch.ones(3, 4))
        assert not torch.equal(layer.running_mean, before)


def largest_step(layer: ChipLinear, x: Tensor) -> float:
    """Of the weights and the biases that are stored, whichever statistics they were made by."""
    found = nn.functional.linear(x, layer.weight).flatten(0, -2)
    of_batch = found.mean(0), found.var(0, correction=0)
    mean, variance = of_batch if layer.training else (layer.running_mean, layer.running_var)
    factor = layer.gain / torch.sqrt(variance + EPSILON)
    folded = layer.weight * factor[:, None], layer.bias - mean * factor
    most = max(values.abs().max().item() for values in folded)
    return float(2.0 ** np.ceil(np.log2(most / 127)))


class TestOnChip:
    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"weight_bits": 4},
            {"blocks": 2},
            {"attention": "sdsa", "context": 3},
            {"attention": "sdsa", "weight_bits": 4},
        ],
        ids=["streaming", "4 bits", "two blocks", "window", "window, 4 bits"],
    )
    def test_module_network_and_chip_are_one(self, given: dict[str, Any]) -> None:
        chip_equals_network(normed(seed=8, **given), decisions=20)

    @pytest.mark.parametrize("blocks", [1, 2])
    def test_layers_that_never_saw_a_spike_fit_as_well(self, blocks: int) -> None:
        given: dict[str, Any] = {"blocks": blocks, "width": 64, "hidden": 128, "norm": True}
        torch.manual_seed(0)
        module = SpikingTransformer(TransformerConfig(inputs=4, outputs=2, input_unit=1 / 32, **given))
        for layer in norms(module):
            layer.running_var.zero_()
        policy = replace(transformer(**given), module=module)
        network, _ = frontend()(policy)
        compile_network(network, policy.semantics, LOIHI)

    def test_no_node_is_left_of_it(self) -> None:
        network, _ = frontend()(normed())
        kinds = {type(node).__name__ for node in network.nodes.values()}
        assert kinds == {"Input", "Output", "LIF", "Linear"}

    def test_every_layer_between_neurons_that_forget_has_one(self) -> None:
        module = normed(blocks=2).module
        without = [n for n, p in module.named_modules() if isinstance(p, ChipLinear) and not p.norm]
        assert without == [*(f"blocks.{k}.attention.memory_in" for k in range(2)), "head"]
        assert len(norms(module)) == 1 + 2 * 6


class TestPolicy:
    def test_a_student_acts_by_what_was_seen_and_learns_by_the_batch(self) -> None:
        policy = transformer(norm=True)
        student = SequenceStudent(policy)
        observations, starts = np.random.default_rng(0).uniform(-1, 1, (6, 8, 4)), np.zeros((6, 8), bool)
        before = {n: b.clone() for n, b in policy.module.named_buffers() if "running" in n}
        student(observations[0])
        student.read(observations, starts)
        assert all(torch.equal(b, before[n]) for n, b in policy.module.named_buffers() if n in before)
        with student.learning():
            readout, _ = student.read(observations, starts)
        torch.autograd.backward(readout.square().sum())
        assert not any(torch.equal(b, before[n]) for n, b in policy.module.named_buffers() if n in before)
        assert not policy.module.training
        assert all(layer.gain.grad is not None and layer.gain.grad.any() for layer in norms(policy.module))

    def test_a_checkpoint_keeps_what_was_seen(self, tmp_path: Path) -> None:
        policy = normed()
        save(Checkpoint(policy=policy, record={}), tmp_path / "p.safetensors")
        found = load(tmp_path / "p.safetensors").policy.module
        for mine, theirs in zip(norms(found), norms(policy.module), strict=True):
            assert torch.equal(mine.stored_weight, theirs.stored_weight)
            assert torch.equal(mine.running_var, theirs.running_var)

    def test_one_with_a_negative_variance_is_refused(self, tmp_path: Path) -> None:
        policy = normed()
        norms(policy.module)[0].running_var[0] = -1
        save(Checkpoint(policy=policy, record={}), tmp_path / "p.safetensors")
        with pytest.raises(ModelError, match=r"embed\.running_var.*negative variance"):
            load(tmp_path / "p.safetensors")

    def test_checkpoints_from_before_have_none(self) -> None:
        described = architectures.describe(transformer().module)
        del described["norm"]
        assert not norms(architectures.build(described))
