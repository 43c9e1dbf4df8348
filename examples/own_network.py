"""A snnTorch network as people write them: a convolution, a residual sum, recurrent neurons, two heads.

Try: strl compare examples/own_network.py:factory --chip loihi2 --episodes 5
It is not trained; docs/snntorch.md goes through it.
"""

import snntorch as snn
import torch
from torch import nn

from strl.ir import EnvironmentSpec, Readout, Semantics
from strl.policies import SpikingPolicy
from strl.policies.modules import Sum

TICKS = 8


class Network(nn.Module):
    """x [T, batch, 8] → {"action": spikes [T, batch, 2], "value": potentials [T, batch, 1]}."""

    def __init__(self) -> None:
        super().__init__()
        self.fold = nn.Unflatten(1, (2, 4))  # two channels: the positive and the negative part
        self.conv = nn.Conv1d(2, 8, 3, padding=1)
        self.lif1 = snn.Leaky(beta=0.8, reset_mechanism="zero")
        self.fc = nn.Linear(32, 32)
        self.lif2 = snn.RLeaky(beta=0.8, linear_features=32, reset_mechanism="zero", reset_delay=False)
        self.skip = Sum()
        self.action, self.lif3 = nn.Linear(32, 2), snn.Leaky(beta=0.9, reset_mechanism="zero")
        self.value, self.lif4 = nn.Linear(32, 1), snn.Leaky(beta=0.9, reset_mechanism="none")

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        mem1, mem3, mem4 = self.lif1.reset_mem(), self.lif3.reset_mem(), self.lif4.reset_mem()
        back, mem2 = self.lif2.reset_mem()
        actions, values = [], []
        for tick in x:
            spikes, mem1 = self.lif1(self.conv(self.fold(tick)), mem1)
            flat = spikes.flatten(1)
            back, mem2 = self.lif2(self.fc(flat), back, mem2)
            both = self.skip(flat, back)
            spikes, mem3 = self.lif3(self.action(both), mem3)
            _, mem4 = self.lif4(self.value(both), mem4)
            actions.append(spikes)
            values.append(mem4)
        return {"action": torch.stack(actions), "value": torch.stack(values)}


def factory() -> SpikingPolicy:
    torch.manual_seed(0)
    module = Network()
    with torch.no_grad():
        for weights in (module.conv.weight, module.fc.weight, module.action.weight):
            weights.mul_(3)  # so that an untrained network spikes
    semantics = Semantics(
        ticks=TICKS,
        state="reset",
        readout=Readout(kind="count"),
        encoder={"kind": "sign-split", "low": [-2.4, -3.0, -0.21, -3.0], "high": [2.4, 3.0, 0.21, 3.0]},
        decoder={"kind": "argmax", "actions": 2},
        environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=2),
    )
    return SpikingPolicy(module=module, semantics=semantics, call="decision", head="action")
