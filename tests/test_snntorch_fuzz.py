"""Random graphs of snnTorch layers, with and without something done between them in plain Python.

A network is equal to its module, run by itself in double precision, or the module is refused.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch_cases import INPUTS, OUTPUTS, SEEDS, excited, lively, normalised, semantics, stimulus
from torch import nn

from exporters.snntorch import to_module, translate
from strl.errors import ModelError
from strl.ir.reference import Reference
from strl.policies.modules import Delay, Product, Scale, Sum
from strl.policies.policy import SpikingPolicy

torch.set_num_threads(1)

WIDTH, TICKS = 8, 60

SNEAKED: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "copied": lambda t: t.clone(),
    "negated": lambda t: -t,
    "rolled": lambda t: t.roll(1, -1),
    "cut and joined": lambda t: torch.cat([t[:, :4], t[:, 4:]], 1),
    "changed in place": lambda t: t.mul_(1.5),
    "transposed": lambda t: t.view(-1, 2, 4).permute(0, 2, 1).flatten(1),
    "batch turned": lambda t: t.flip(0),
    "one for all": lambda t: t[:, :1].expand(-1, WIDTH),
    "viewed": lambda t: t.view(-1, 2, 4).flatten(1),
    "detached": lambda t: t.detach(),
}
HARMLESS = ("viewed", "detached")


class Random(nn.Module):
    """Layers in a random order, each fed by random ones before it."""

    def __init__(self, seed: int, sneak: str = "") -> None:
        super().__init__()
        rng = random.Random(seed)
        torch.manual_seed(seed)
        self.layers = nn.ModuleDict({"in": lively(nn.Linear(INPUTS, WIDTH)), "first": neurons(rng)})
        self.feeds = {"in": ["x"], "first": ["in"]}
        spiking: list[str] = []  # without a factor: only of those there is a product
        for number in range(rng.randint(2, 7)):
            spiking += [name for name in self.feeds if single(self.layers[name]) and name not in spiking]
            kind = rng.choice([*KINDS, "neurons", *(["product"] if spiking else [])])
            name, have = f"{kind} {number}", [*self.feeds][1:]
            fed = {"sum": [rng.choice(have) for _ in range(rng.randint(1, 3))]}
            if kind == "product":
                fed[kind] = rng.sample(spiking, min(2, len(spiking)))
            self.feeds[name] = fed.get(kind, [rng.choice(have[-2:])])
            self.layers[name] = {"neurons": neurons, "product": lambda _: Product(), **KINDS}[kind](rng)
        fed_on = {name for names in self.feeds.values() for name in names}
        self.feeds["join"] = [name for name in self.feeds if name not in fed_on]
        self.layers["join"] = Sum()
        self.layers["leave"], self.feeds["leave"] = excited(OUTPUTS, WIDTH), ["join"]
        self.layers["out"], self.feeds["out"] = snn.Leaky(0.9, init_hidden=True), ["leave"]
        self.victim = rng.choice([name for name in self.feeds if name not in ("in", "out")])
        self.sneak = sneak

    def forward(self, x: torch.Tensor) -> Any:
        values = {"x": x}
        for name, names in self.feeds.items():
            taken = [values[source] for source in names]
            if self.sneak and name == self.victim:
                taken[0] = SNEAKED[self.sneak](taken[0])
            values[name] = self.layers[name](*taken)
        return values["out"]


def single(layer: nn.Module) -> bool:
    """True for neurons whose spikes are 1."""
    return isinstance(layer, snn.SpikingNeuron) and float(layer.graded_spikes_factor) == 1


KINDS: dict[str, Callable[[random.Random], nn.Module]] = {
    "linear": lambda rng: lively(nn.Linear(WIDTH, WIDTH), 2.0),
    "sum": lambda rng: Sum(),
    "scale": lambda rng: Scale(torch.randn(WIDTH), torch.randn(WIDTH) * 0.1),
    "delay": lambda rng: Delay(rng.randint(1, 3)),
    "norm": lambda rng: normalised(nn.BatchNorm1d(WIDTH)),
    "conv": lambda rng: nn.Sequential(
        nn.Unflatten(1, (2, 4)), lively(nn.Conv1d(2, 2, 3, padding=1)), nn.Flatten()
    ),
    "nothing": lambda rng: nn.Identity(),
}


def neurons(rng: random.Random) -> nn.Module:
    settings: dict[str, Any] = {
        "threshold": rng.choice([1.0, 0.5, torch.linspace(0.3, 1.2, WIDTH)]),
        "reset_mechanism": rng.choice(["zero", "subtract", "none"]),
        "init_hidden": True,
    }
    late = {"reset_delay": rng.random() < 0.5, "inhibition": rng.random() < 0.15}
    beta = rng.choice([0.5, 0.9, torch.linspace(0.1, 0.99, WIDTH), 1.0])
    makers: list[Callable[[], nn.Module]] = [
        lambda: snn.Leaky(beta, **settings, **late),
        lambda: snn.Leaky(beta, graded_spikes_factor=rng.choice([2.0, -0.5, 0.3]), **settings),
        lambda: snn.Synaptic(0.6, beta, **settings, **late),
        lambda: snn.RLeaky(beta, linear_features=WIDTH, **settings, **late),
        lambda: snn.RLeaky(beta, V=torch.randn(WIDTH), all_to_all=False, **settings, **late),
        lambda: snn.RSynaptic(0.3, beta, linear_features=WIDTH, **settings),
        lambda: snn.Lapicque(R=3.0, C=1.2, **settings),
        lambda: snn.Alpha(0.9, 0.5, **settings),
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Inhibition is an unstable feature")
        return rng.choice(makers)()


def outputs(module: nn.Module) -> np.ndarray:
    """What a module gives in double precision: [ticks, seeds, *]."""
    module = module.eval().double()
    for part in module.modules():
        part.register_forward_pre_hook(lambda _, args: tuple(a.double() for a in args))
    with torch.no_grad():
        return np.stack([module(torch.from_numpy(x.copy())).numpy() for x in stimulus()[:TICKS]])


def check(module: nn.Module) -> None:
    network, _ = translate(SpikingPolicy(module=module, semantics=semantics(OUTPUTS)))
    reference = Reference(network, batch=SEEDS)
    ours = np.stack([reference.tick(x)[network.output] for x in stimulus()[:TICKS]])
    assert np.array_equal(ours, outputs(module))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Inhibition is an unstable feature")
        back = to_module(network, dtype=torch.float64)
    assert np.array_equal(ours, outputs(back))


@pytest.mark.parametrize("seed", range(20))
def test_a_random_graph_is_equal(seed: int) -> None:
    check(Random(seed))


@pytest.mark.parametrize("sneak", SNEAKED)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_done_between_layers_is_seen(sneak: str, seed: int) -> None:
    if sneak in HARMLESS:
        check(Random(seed, sneak))
        return
    with pytest.raises(ModelError, match=r"its input is not what|differ between module and network"):
        check(Random(seed, sneak))
