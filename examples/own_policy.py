"""A policy of one's own: four gains, two spiking neurons, no training.

    strl compare examples/own_policy.py:factory --episodes 20

A cart-pole stays up if one pushes in the direction of a weighted sum of position, velocity, angle and
angular velocity. Two leaky neurons receive that sum with opposite signs; the one that spikes more wins.
"""

from __future__ import annotations

import snntorch as snn
import torch

from strl.ir import EnvironmentSpec, Readout, Semantics
from strl.policies import SpikingPolicy

LOW, HIGH = (-2.4, -3.0, -0.21, -3.0), (2.4, 3.0, 0.21, 3.0)
GAINS = (0.1, 0.3, 0.6, 1.0)  # of the features, each scaled to −1..1


def factory() -> SpikingPolicy:
    """What ``strl`` calls when it is given ``own_policy.py:factory``."""
    push = torch.nn.Linear(4, 2)
    with torch.no_grad():
        push.weight.copy_(torch.tensor([[-g for g in GAINS], list(GAINS)]))
        push.bias.fill_(0.3)  # keeps both neurons firing when the pole stands upright
    neurons = snn.Leaky(beta=0.75, reset_mechanism="zero", reset_delay=False, init_hidden=True)
    return SpikingPolicy(
        module=torch.nn.Sequential(push, neurons),
        semantics=Semantics(
            ticks=16,
            state="reset",
            readout=Readout(kind="count"),
            encoder={"kind": "direct", "low": LOW, "high": HIGH, "precision": 8, "gain": 4.0},
            decoder={"kind": "argmax", "actions": 2},
            environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=2),
        ),
    )
