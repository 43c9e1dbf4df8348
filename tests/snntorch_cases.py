"""Every snnTorch neuron, option, map and graph that there is, as modules; what is refused has the words.

A module alone says what it computes; ``test_snntorch_modules`` holds the network to it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from strl.ir import EnvironmentSpec, Readout, Semantics
from strl.policies.modules import Delay, Product, Scale, Sum, SumPool
from strl.policies.policy import SpikingPolicy

SEEDS, TICKS = 5, 300
INPUTS, HIDDEN, OUTPUTS = 6, 12, 4


def semantics(outputs: int, **changes: Any) -> Semantics:
    made = Semantics(
        ticks=20,
        state="carry",
        readout=Readout(kind="count"),
        encoder={"kind": "sign-split", "low": [-1.0] * 3, "high": [1.0] * 3},
        decoder={"kind": "argmax", "actions": outputs},
        environment=EnvironmentSpec(id="", observation_shape=(3,), actions=outputs),
    )
    return replace(made, **changes)


def lively(module: nn.Module, gain: float = 3.0) -> nn.Module:
    """Weights large enough that neurons spike often."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
                part.weight.mul_(gain)
    return module


def excited(outputs: int, inputs: int) -> nn.Module:
    """Weights that make what comes next spike when its inputs do."""
    made = lively(nn.Linear(inputs, outputs), 2.0)
    with torch.no_grad():
        made.weight.add_(1.5 / inputs)  # type: ignore[operator]
        made.bias.clamp_(min=0.05)  # type: ignore[operator]
    return made


def last(**settings: Any) -> nn.Module:
    """Neurons to read, with a reset that leaves their potential to tell of what came before."""
    settings = {"beta": 0.9, "reset_mechanism": "subtract", "init_hidden": True, **settings}
    return snn.Leaky(**settings)


def dense(neurons: nn.Module, width: int = HIDDEN) -> nn.Module:
    """The neurons between two layers of weights, and neurons to read behind them."""
    return nn.Sequential(lively(nn.Linear(INPUTS, width)), neurons, excited(OUTPUTS, width), last())


def image(*parts: nn.Module, width: int) -> nn.Module:
    """Layers on images of 2 channels of 6 × 6, after neurons, before neurons to read."""
    entry = [nn.Unflatten(1, (2, 6, 6)), last(beta=0.5)]
    made = [lively(nn.Linear(INPUTS, 72), 2.0), *entry, *parts, nn.Flatten()]
    return nn.Sequential(*made, excited(OUTPUTS, width), last())


def row(*parts: nn.Module, width: int) -> nn.Module:
    """The same in one axis: 2 channels of 9."""
    entry = [nn.Unflatten(1, (2, 9)), last(beta=0.5)]
    made = [lively(nn.Linear(INPUTS, 18), 2.0), *entry, *parts, nn.Flatten()]
    return nn.Sequential(*made, excited(OUTPUTS, width), last())


class Explicit(nn.Module):
    """Neurons whose states are passed by hand, in the order of their arguments."""

    def __init__(self, neurons: nn.Module, *states: str) -> None:
        super().__init__()
        self.neurons, self.states = neurons, states

    def forward(self, x: torch.Tensor) -> Any:
        kept = (getattr(self.neurons, name) for name in self.states)
        return self.neurons(x, *(k if k.shape == x.shape else torch.zeros_like(x) for k in kept))[0]


class Changing(nn.Module):
    """DeltaLeaky returns its states also where it keeps them itself."""

    def __init__(self, *, hidden: bool, **settings: Any) -> None:
        super().__init__()
        self.neurons = snn.DeltaLeaky(delta_threshold=0.4, init_hidden=hidden, **settings)
        self.hidden = hidden

    def forward(self, x: torch.Tensor) -> Any:
        states = () if self.hidden else ((self.neurons.mem, self.neurons.mem_prev),)
        return self.neurons(x, *states)[0]


class Graph(nn.Module):
    """Layers, and a way through them."""

    def __init__(self, way: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.enter, self.first = lively(nn.Linear(INPUTS, HIDDEN)), last(beta=0.5)
        self.leave, self.out = excited(OUTPUTS, HIDDEN), last()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.way = way

    def forward(self, x: torch.Tensor) -> Any:
        return self.way(self, self.first(self.enter(x)))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A module, and the words with which it is refused, where it is."""

    make: Callable[[], nn.Module]
    refused: str = ""
    changes: dict[str, Any] | None = None
    head: int | str | None = None


def spread(low: float, high: float, *shape: int) -> torch.Tensor:
    return torch.linspace(low, high, HIDDEN if not shape else int(np.prod(shape))).reshape(shape or (HIDDEN,))


CASES: dict[str, Case] = {}
HIDDEN_STATE = {"init_hidden": True}


def case(name: str, make: Callable[[], nn.Module], refused: str = "", **more: Any) -> None:
    assert name not in CASES
    CASES[name] = Case(make=make, refused=refused, **more)


def every_reset(name: str, make: Callable[..., nn.Module]) -> None:
    for kind in ("zero", "subtract", "none"):
        for late in (True, False):
            settings = {"reset_mechanism": kind, "reset_delay": late, **HIDDEN_STATE}
            title = f"{name}: {kind}{' late' if late else ''}"
            case(title, lambda settings=settings: dense(make(**settings)))


every_reset("Leaky", lambda **s: snn.Leaky(beta=0.8, **s))
every_reset("Synaptic", lambda **s: snn.Synaptic(alpha=0.6, beta=0.7, **s))
every_reset("RLeaky", lambda **s: lively(snn.RLeaky(beta=0.8, linear_features=HIDDEN, **s)))
every_reset("Leaky inhibited", lambda **s: snn.Leaky(beta=0.9, inhibition=True, **s))
every_reset("Synaptic inhibited", lambda **s: snn.Synaptic(alpha=0.3, beta=0.9, inhibition=True, **s))
for kind in ("zero", "subtract", "none"):
    case(
        f"RSynaptic: {kind} late",
        lambda kind=kind: dense(
            lively(
                snn.RSynaptic(
                    alpha=0.4, beta=0.7, linear_features=HIDDEN, reset_mechanism=kind, init_hidden=True
                )
            )
        ),
    )
    case(
        f"RSynaptic: {kind} at once, which snnTorch forgets",
        lambda kind=kind: dense(
            Explicit(
                snn.RSynaptic(
                    alpha=0.4, beta=0.7, linear_features=HIDDEN, reset_mechanism=kind, reset_delay=False
                ),
                "spk",
                "syn",
                "mem",
            )
        ),
    )
    case(
        f"Lapicque: {kind}",
        lambda kind=kind: dense(snn.Lapicque(R=5.0, C=1.5, reset_mechanism=kind, init_hidden=True)),
    )
    case(
        f"Alpha: {kind}",
        lambda kind=kind: dense(
            snn.Alpha(alpha=0.9, beta=0.6, threshold=0.4, reset_mechanism=kind, init_hidden=True)
        ),
    )
case("Leaky: vectors", lambda: dense(last(beta=spread(0.1, 0.99), threshold=spread(0.5, 2.0))))
case("Leaky: learned", lambda: dense(last(beta=0.7, learn_beta=True, threshold=0.9, learn_threshold=True)))
case("Leaky: single values", lambda: dense(last(beta=torch.tensor([0.7]), threshold=torch.tensor([1.5]))))
case("Leaky: beyond 1", lambda: dense(last(beta=1.25)))
case("Leaky: state by hand", lambda: dense(Explicit(snn.Leaky(0.8), "mem")))
case("Leaky: graded", lambda: dense(last(graded_spikes_factor=0.7)))
case("Leaky: graded at once", lambda: dense(last(graded_spikes_factor=2.5, reset_delay=False)))
case(
    "Leaky: graded by neuron, learned",
    lambda: dense(last(graded_spikes_factor=spread(-1.0, 2.1), learn_graded_spikes_factor=True)),
)
case(
    "Leaky: other surrogate",
    lambda: dense(last(spike_grad=snn.surrogate.fast_sigmoid(slope=25), surrogate_disable=True)),
)
case("Leaky: negative threshold, subtract", lambda: dense(last(threshold=-0.2)))
case(
    "Leaky: negative threshold, zero",
    lambda: dense(last(threshold=-0.2, reset_mechanism="zero")),
    "1: threshold = -0.2 with reset to zero",
)
case("Leaky: quantised state", lambda: dense(last(state_quant=lambda x: x)), "1: state_quant is set")
case("Leaky: soft spikes", lambda: dense(last(spike_grad=torch.sigmoid)), "1: spike_grad gives")
case(
    "Leaky inhibited and graded",
    lambda: dense(last(inhibition=True, graded_spikes_factor=2.0)),
    "1: inhibition and graded_spikes_factor are set",
)
case(
    "Leaky inhibited on an image",
    lambda: image(last(inhibition=True), width=72),
    "fails on input|winner: neurons of shape",
)
case(
    "Synaptic: vectors",
    lambda: dense(snn.Synaptic(alpha=spread(0.2, 0.9), beta=spread(0.9, 0.1), init_hidden=True)),
)
case("Synaptic: states by hand", lambda: dense(Explicit(snn.Synaptic(0.5, 0.8), "syn", "mem")))
case("Lapicque: of beta", lambda: dense(snn.Lapicque(beta=0.8, time_step=0.5, init_hidden=True)))
case(
    "Lapicque: too fast",
    lambda: dense(snn.Lapicque(R=1.0, C=0.5, init_hidden=True)),
    "1: its potential keeps 1 − time_step/.R·C. = -1",
)
case("Lapicque: state by hand", lambda: dense(Explicit(snn.Lapicque(R=4.0, C=1.0), "mem")))
case(
    "Alpha: vectors",
    lambda: dense(snn.Alpha(alpha=spread(0.8, 0.99), beta=spread(0.1, 0.7), threshold=0.4, init_hidden=True)),
)
case(
    "Alpha: states by hand",
    lambda: dense(Explicit(snn.Alpha(0.9, 0.5, threshold=0.3), "syn_exc", "syn_inh", "mem")),
)
case(
    "Alpha inhibited",
    lambda: dense(snn.Alpha(0.9, 0.5, inhibition=True, init_hidden=True)),
    "1: inhibition of Alpha neurons",
)
case("DeltaLeaky", lambda: dense(Changing(hidden=True, beta=0.8)))
case("DeltaLeaky: states by hand", lambda: dense(Changing(hidden=False, beta=spread(0.2, 0.9))))
case(
    "DeltaLeaky inhibited",
    lambda: dense(Changing(hidden=True, beta=0.8, inhibition=True)),
    "1.neurons: inhibition is set, which .* ignores",
)
for name, value in (("scalar", 0.6), ("vector", spread(-1.0, 1.0))):
    case(
        f"RLeaky: one to one, {name}",
        lambda value=value: dense(snn.RLeaky(beta=0.8, V=value, all_to_all=False, init_hidden=True)),
    )
    case(
        f"RSynaptic: one to one, {name}, not learned",
        lambda value=value: dense(
            snn.RSynaptic(0.4, 0.7, V=value, all_to_all=False, learn_recurrent=False, init_hidden=True)
        ),
    )
case(
    "RLeaky: states by hand",
    lambda: dense(Explicit(snn.RLeaky(0.8, linear_features=HIDDEN), "spk", "mem")),
)
case(
    "RLeaky: convolution",
    lambda: image(snn.RLeaky(0.6, conv2d_channels=2, kernel_size=3, init_hidden=True), width=72),
)
case(
    "RSynaptic: convolution",
    lambda: image(snn.RSynaptic(0.3, 0.6, conv2d_channels=2, kernel_size=(3, 1), init_hidden=True), width=72),
)
case(
    "RLeaky inhibited",
    lambda: dense(snn.RLeaky(0.8, linear_features=HIDDEN, inhibition=True, init_hidden=True)),
)
case(
    "RSynaptic inhibited, zero",
    lambda: dense(
        snn.RSynaptic(
            0.3, 0.8, linear_features=HIDDEN, inhibition=True, reset_mechanism="zero", init_hidden=True
        )
    ),
)
case(
    "Lapicque inhibited, zero",
    lambda: dense(snn.Lapicque(R=4.0, C=1.0, inhibition=True, reset_mechanism="zero", init_hidden=True)),
)
case(
    "RSynaptic: at once, states hidden",
    lambda: dense(snn.RSynaptic(0.4, 0.7, linear_features=HIDDEN, reset_delay=False, init_hidden=True)),
    "its forward pass fails on input",
)
case("an image", lambda: image(nn.Conv2d(2, 3, 3, padding=1, stride=2), last(), width=27))
case(
    "neurons by channel",
    lambda: image(
        nn.Conv2d(2, 3, 3),
        last(beta=spread(0.2, 0.9, 3, 1, 1), threshold=spread(0.5, 1, 1, 3, 1, 1)),
        width=48,
    ),
)
case("Conv2d: groups, dilation", lambda: image(nn.Conv2d(2, 4, 2, groups=2, dilation=2), last(), width=64))
case("Conv2d: same", lambda: image(nn.Conv2d(2, 1, 3, padding="same"), last(), width=36))
case("Conv2d: valid", lambda: image(nn.Conv2d(2, 1, (3, 2), padding="valid", bias=False), last(), width=20))
case(
    "Conv2d: same, even",
    lambda: image(nn.Conv2d(2, 1, 4, padding="same"), last(), width=36),
    "3: padding = 'same' with a window of",
)
case(
    "Conv2d: reflecting",
    lambda: image(nn.Conv2d(2, 1, 3, padding=1, padding_mode="reflect"), last(), width=36),
    "3: padding_mode = 'reflect', must be 'zeros'",
)
case("Conv1d", lambda: row(nn.Conv1d(2, 3, 3, stride=2, padding=1), last(), width=15))
case("AvgPool2d: padded", lambda: image(nn.AvgPool2d(3, 2, 1), last(threshold=0.3), width=18))
case(
    "AvgPool2d: border not counted",
    lambda: image(nn.AvgPool2d(3, 2, 1, count_include_pad=False), last(threshold=0.3), width=18),
)
case("AvgPool2d: own divisor", lambda: image(nn.AvgPool2d(2, divisor_override=3), last(), width=18))
case(
    "AvgPool2d: ceil, fitting", lambda: image(nn.AvgPool2d(2, ceil_mode=True), last(threshold=0.3), width=18)
)
case(
    "AvgPool2d: ceil, beyond",
    lambda: image(nn.AvgPool2d(4, ceil_mode=True), last(), width=8),
    "3: ceil_mode is set and a window reaches beyond",
)
case("AdaptiveAvgPool2d", lambda: image(nn.AdaptiveAvgPool2d((3, None)), last(threshold=0.3), width=36))
case(
    "AdaptiveAvgPool2d: unequal windows",
    lambda: image(nn.AdaptiveAvgPool2d(4), last(), width=32),
    "3: .6, 6. places cannot be .4, 4. windows",
)
case("AvgPool1d", lambda: row(nn.AvgPool1d(3, 2, 1), last(threshold=0.3), width=10))
case("MaxPool2d of spikes", lambda: image(nn.MaxPool2d(2), last(), width=18))
case("MaxPool2d: padded, dilated", lambda: image(nn.MaxPool2d(3, 1, 1, dilation=2), last(), width=32))
case("MaxPool1d of spikes", lambda: row(nn.MaxPool1d(3), last(), width=6))
case(
    "MaxPool2d of values",
    lambda: image(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2), last(), width=18),
    "4: the greatest of values that are not single spikes",
)
case("SumPool", lambda: image(SumPool((2, 2)), last(), width=18))


def normalised(layer: nn.Module) -> nn.Module:
    """Batch norm that has seen a few batches, and learned."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in (*layer.named_parameters(), *layer.named_buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) * (2 if name == "weight" else 1) + 0.1)
    return layer


case(
    "BatchNorm1d",
    lambda: nn.Sequential(nn.Linear(INPUTS, HIDDEN), normalised(nn.BatchNorm1d(HIDDEN)), *dense(last())[1:]),
)
case(
    "BatchNorm2d",
    lambda: image(
        lively(nn.Conv2d(2, 3, 3), 6.0),
        normalised(nn.BatchNorm2d(3, affine=False)),
        last(threshold=0.2),
        width=48,
    ),
)
case(
    "BatchNorm1d of the batch",
    lambda: nn.Sequential(
        nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN, track_running_stats=False), last()
    ),
    "1: track_running_stats is off",
)
case(
    "nested, with dropout",
    lambda: nn.Sequential(
        nn.Sequential(nn.Identity(), nn.Sequential(lively(nn.Linear(INPUTS, HIDDEN)), last())),
        nn.Sequential(nn.Dropout(0.5), excited(OUTPUTS, HIDDEN)),
        last(),
    ).train(),
)
case(
    "Linear on an image",
    lambda: image(nn.Linear(6, 6), last(), width=72),
    "3: a Linear on values of shape .2, 6, 6. acts on the last axis",
)
case("ReLU", lambda: dense(nn.ReLU()), "^1: a ReLU is not understood")


def more() -> dict[str, nn.Module]:
    return {"fc": lively(nn.Linear(HIDDEN, HIDDEN)), "lif": last(beta=0.6)}


case(
    "residual sum",
    lambda: Graph(lambda m, z: m.out(m.leave(m.sum(z, m.lif(m.fc(z))))), sum=Sum(), **more()),
)
case(
    "residual current",
    lambda: Graph(lambda m, z: m.out(m.leave(m.lif(m.sum(m.fc(z), z)))), sum=Sum(), **more()),
)
case(
    "a sum with itself",
    lambda: Graph(lambda m, z: m.out(m.leave(m.lif(m.sum(m.fc(z), z, z)))), sum=Sum(), **more()),
)
case(
    "a sum of sums",
    lambda: Graph(lambda m, z: m.out(m.leave(m.a(m.b(z, m.fc(z)), m.lif(z)))), a=Sum(), b=Sum(), **more()),
)
case(
    "graded spikes in a sum",
    lambda: Graph(
        lambda m, z: m.out(m.leave(m.sum(z, m.lif(m.fc(z))))),
        sum=Sum(),
        fc=nn.Linear(HIDDEN, HIDDEN),
        lif=last(graded_spikes_factor=0.3),
    ),
)
case(
    "a product of spikes",
    lambda: Graph(lambda m, z: m.out(m.leave(m.both(z, m.lif(m.fc(z))))), both=Product(), **more()),
)
case(
    "a product of values",
    lambda: Graph(
        lambda m, z: m.out(m.leave(m.both(z, m.fc(z)))), both=Product(), fc=nn.Linear(HIDDEN, HIDDEN)
    ),
    "both: a product of values that are not single spikes",
)
case(
    "a product with itself",
    lambda: Graph(lambda m, z: m.out(m.leave(m.both(z, z))), both=Product()),
    "both: a factor stands twice",
)
case(
    "a sum outside modules",
    lambda: Graph(lambda m, z: m.out(m.leave(z + m.lif(m.fc(z)))), **more()),
    "leave: its input is not what lif gave.* outside layers",
)
case(
    "a product outside modules",
    lambda: Graph(lambda m, z: m.out(m.leave(z * m.lif(m.fc(z)))), **more()),
    "leave: its input is not what lif gave.* outside layers",
)
case(
    "a sum of two shapes",
    lambda: Graph(lambda m, z: m.out(m.sum(m.leave(z), m.one(z))), sum=Sum(), one=nn.Linear(HIDDEN, 1)),
    "sum: takes inputs of different shapes",
)
case(
    "a delayed skip",
    lambda: Graph(
        lambda m, z: m.out(m.leave(m.sum(m.wait(z), m.lif(m.fc(z))))), wait=Delay(2), sum=Sum(), **more()
    ),
)


def loop(m: Any, z: torch.Tensor) -> Any:
    spikes = m.lif(m.sum(z, m.fc(m.wait.due(z))))
    result = m.out(m.leave(spikes))
    m.wait(m.low(spikes))
    return result


case(
    "a loop over two layers",
    lambda: Graph(loop, wait=Delay(1, (HIDDEN,)), low=last(threshold=0.4), sum=Sum(), **more()),
)
case("a scale", lambda: Graph(lambda m, z: m.out(m.by(m.leave(z))), by=Scale([0.5, 1.0, 2.0, -1.0], 0.2)))
case(
    "views of one's own",
    lambda: Graph(
        lambda m, z: m.out(m.leave(m.conv(z.view(-1, 3, 4)).flatten(1))), conv=nn.Conv1d(3, 3, 3, padding=1)
    ),
)
case(
    "a transposed view",
    lambda: Graph(
        lambda m, z: m.out(m.leave(m.conv(z.view(-1, 4, 3).mT).flatten(1))), conv=nn.Conv1d(3, 3, 1)
    ),
    "conv: its input is not what first gave",
)


case(
    "a sum with a number",
    lambda: Graph(lambda m, z: m.out(m.leave(m.sum(z, 1.0))), sum=Sum()),
    "sum: takes something that is no tensor",
)
case(
    "a sum with a constant",
    lambda: Graph(lambda m, z: m.out(m.leave(m.sum(z, torch.ones_like(z)))), sum=Sum()),
    "sum: its input is not what first gave",
)
case(
    "a delay of no shape",
    lambda: Graph(lambda m, z: m.out(m.leave(m.sum(z, m.wait.due(z)))), sum=Sum(), wait=Delay()),
    "a Delay that is asked before it is fed needs the shape",
)
case(
    "changed in place after it was used",
    lambda: Graph(
        lambda m, z: (y := m.fc(z), z.mul_(2), m.out(m.leave(m.sum(m.lif(y), z))))[2], sum=Sum(), **more()
    ),
    "sum: its input is not what lif gave",
)
case(
    "in inference mode",
    lambda: Graph(torch.inference_mode()(lambda m, z: m.out(m.leave(m.lif(m.fc(z))))), **more()),
)
case(
    "in inference mode, changed in place",
    lambda: Graph(torch.inference_mode()(lambda m, z: m.out(m.leave(m.lif(m.fc(z)).mul_(2)))), **more()),
    r"(lif|out): .* differ between module and network",
)


def heads(m: Any, z: torch.Tensor) -> Any:
    return {"action": m.out(m.leave(z)), "value": m.lif(m.fc(z)).sum(1)}


case("one of two heads", lambda: Graph(heads, **more()), head="action")
case(
    "two heads, none named",
    lambda: Graph(lambda m, z: (m.out(m.leave(z)), m.lif(m.fc(z))), **more()),
    "returns 2 heads .0: out, 1: lif.; actions are read of one",
)
case("a head that is not there", lambda: Graph(heads, **more()), "no head 'actions'", head="actions")
case(
    "a potential that is used",
    lambda: Graph(
        lambda m, z: (m.even(m.fc(z)), m.out(m.leave(m.even.mem)))[1],
        fc=nn.Linear(HIDDEN, HIDDEN),
        even=last(reset_mechanism="none"),
    ),
)
case(
    "spikes and potential",
    lambda: Graph(
        lambda m, z: m.out(m.leave(m.sum(m.even(m.fc(z)), m.even.mem))),
        fc=excited(HIDDEN, HIDDEN),
        even=last(reset_mechanism="none", beta=0.4),
        sum=Sum(),
    ),
)
case(
    "a potential that resets",
    lambda: Graph(lambda m, z: (m.lif(m.fc(z)), m.out(m.leave(m.lif.mem)))[1], **more()),
    "lif: its membrane is read, but it resets by 'subtract'",
)
case(
    "a layer twice",
    lambda: Graph(lambda m, z: m.out(m.leave(m.fc(m.fc(z)))), fc=nn.Linear(HIDDEN, HIDDEN)),
    "fc: is called 2 times",
)
case(
    "a recurrent membrane",
    lambda: nn.Sequential(
        nn.Linear(INPUTS, OUTPUTS),
        snn.RLeaky(0.9, linear_features=OUTPUTS, reset_mechanism="none", init_hidden=True),
    ),
    changes={"readout": Readout(kind="membrane")},
)


def made(case: Case) -> SpikingPolicy:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Inhibition is an unstable feature")
        module = case.make()
    return SpikingPolicy(module=module, semantics=semantics(OUTPUTS, **(case.changes or {})), head=case.head)


def stimulus() -> np.ndarray:
    """[ticks, seeds, inputs], each row from a seed of its own."""
    rows = [np.random.default_rng(seed).random((TICKS, INPUTS)) < 0.1 + 0.2 * seed for seed in range(SEEDS)]
    return np.stack(rows, axis=1).astype(np.float64)
