"""What goes to which chip, as docs/snntorch.md says; and what compiles gives the float network's spikes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch_cases import CASES, HIDDEN, Graph, last, lively, made
from torch import nn

from exporters.snntorch import to_network
from exporters.snntorch.layers import HANDLERS
from strl.chip.backend import backend
from strl.chip.compile import compile_network
from strl.chip.spec import chip
from strl.errors import ChipError
from strl.ir.reference import Reference
from strl.policies.modules import Product, Sum
from strl.policies.policy import SpikingPolicy

torch.set_num_threads(1)

PAGE = Path(__file__).parents[1] / "docs" / "snntorch.md"
RESETS = r"reset|send spikes|sends its potential"

LOIHI2 = (
    "Leaky: zero late",
    "Leaky: subtract late",
    "Leaky: none",
    "Leaky: graded",
    "Synaptic: zero late",
    "Synaptic: subtract",
    "RLeaky: zero",
    "RLeaky: subtract late",
    "RLeaky: one to one, vector",
    "RLeaky: convolution",
    "RSynaptic: subtract late",
    "RSynaptic: subtract at once, which snnTorch forgets",
    "Lapicque: subtract",
    "an image",
    "Conv1d",
    "AvgPool2d: border not counted",
    "MaxPool2d of spikes",
    "residual sum",
    "a product of spikes",
    "a delayed skip",
)
NO_CHIP = {
    "Alpha: zero": "alpha",
    "DeltaLeaky": "delta",
    "Leaky inhibited: subtract": "winner",
    "RLeaky inhibited": "winner",
    "a potential that is used": "sends its potential",
    "a loop over two layers": "fewer ticks of delay than synapses",
}


def on_the_grid(name: str) -> SpikingPolicy:
    """A case whose numbers are multiples of 1/16, and that starts every decision from rest."""
    policy = made(CASES[name])
    with torch.no_grad():
        for part in policy.module.modules():
            held = [*part.parameters(recurse=False)]
            held += [getattr(part, what) for what in ("alpha", "beta", "threshold") if hasattr(part, what)]
            for value in held:
                value.copy_(torch.round(value * 16) / 16)
    return replace(policy, semantics=replace(policy.semantics, state="reset"))


@pytest.mark.parametrize("name", LOIHI2)
def test_loihi_2_gives_the_spikes_of_the_float_network(name: str) -> None:
    policy = on_the_grid(name)
    network, semantics = to_network(policy), policy.semantics
    program = compile_network(network, semantics, chip("loihi2")).program
    with pytest.raises(ChipError, match=RESETS):  # every case is read at neurons that reset by subtraction
        compile_network(network, semantics, chip("loihi1"))
    session, reference = backend("loihi").load(program, batch=8), Reference(network, batch=8)
    rng = np.random.default_rng(0)
    off = spikes = 0.0
    for _ in range(5):
        x = (rng.random((semantics.ticks, 8, 6)) < rng.random((1, 8, 1))).astype(program.message)
        given = session.run(x).readout.reshape(8, -1) * program.readout.unit
        reference.reset()
        wanted = sum(reference.tick(tick.astype(float))[network.output] for tick in x)
        off += float(np.abs(given - wanted).sum())
        spikes += float(np.abs(wanted).sum())
    assert spikes > 20
    assert off <= 0.005 * spikes  # what decays is cut off to whole steps on the chip


@pytest.mark.parametrize("name", NO_CHIP)
def test_what_no_chip_has_is_refused_by_name(name: str) -> None:
    policy = on_the_grid(name)
    with pytest.raises(ChipError, match=NO_CHIP[name]):
        compile_network(to_network(policy), policy.semantics, chip("loihi2"))


def test_loihi_1_has_resets_to_zero_at_once() -> None:
    zero = {"reset_mechanism": "zero", "reset_delay": False}

    def way(m: Any, z: torch.Tensor) -> Any:
        image = m.lif(m.conv(z.unflatten(1, (1, HIDDEN)))).flatten(1)
        return m.out(m.leave(m.sum(image, m.both(z, m.loop(m.fc(z))))))

    module = Graph(
        way,
        conv=nn.Conv1d(1, 1, 3, padding=1),
        lif=last(graded_spikes_factor=0.5, **zero),
        loop=lively(snn.RLeaky(0.75, linear_features=HIDDEN, init_hidden=True, **zero)),
        sum=Sum(),
        both=Product(),
        fc=nn.Linear(HIDDEN, HIDDEN),
    )
    module.first, module.out = last(beta=0.5, **zero), last(**zero)
    policy = replace(on_the_grid("residual sum"), module=module)
    program = compile_network(to_network(policy), policy.semantics, chip("loihi1")).program
    assert {p.name for p in program.populations} >= {"first", "lif", "loop", "both", "out"}


def test_the_page_names_every_layer_that_is_understood() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = {kind.__name__ for kind in HANDLERS if kind.__name__ not in text}
    assert not missing
