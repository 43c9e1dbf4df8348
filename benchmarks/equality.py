"""Whether module, float network and kernel send the same spikes, over many decisions side by side.

Two kinds of observations. A random walk through the encoder's range goes where no environment does, and is
never reset: it is what proves most of the arithmetic. Episodes of the environment, played by the kernel,
are what is met in use: in mazes zeros and ones, rare signs and long waits between them, and resets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strl.chip.exporter import frontend
from strl.loop.agent import ChipAgent, FloatAgent, episode_rng
from strl.loop.environment import Environment
from strl.loop.subject import resolve
from strl.policies.chip_layers import ChipLeaky
from strl.policies.library import load_policy
from strl.policies.policy import SpikingPolicy
from strl.training.sequence import SequenceStudent

STEP = 0.05
"""Of the random walk that a policy is shown, in widths of the encoder's range."""
Array = NDArray[Any]


class Observed(Protocol):
    """Observations of many slots: ``now`` [slots, …], and ``fresh``, the slots where an episode begins."""

    now: Array
    fresh: Sequence[int]

    def step(self, actions: Array) -> None:
        """Go on to the next."""

    def close(self) -> None:
        """Give back what is held."""


class Walk:
    """Observations that wander through the range of the encoder, whatever is done."""

    def __init__(self, policy: SpikingPolicy, slots: int) -> None:
        coding = policy.semantics.encoder
        self.low, self.high = np.array(coding["low"]), np.array(coding["high"])
        self.rng = np.random.default_rng(0)
        self.now = self.rng.uniform(self.low, self.high, (slots, len(self.low)))
        self.fresh: Sequence[int] = range(slots)
        self.step()

    def step(self, actions: Array | None = None) -> None:
        step = self.rng.normal(size=self.now.shape) * (self.high - self.low) * STEP
        if actions is not None:
            self.fresh = ()
        self.now = np.clip(self.now + step, self.low, self.high)

    def close(self) -> None:
        """Nothing is held."""


class InUse:
    """Episodes of the policy's environment with seeds 0, 1, …, in every slot one after the other."""

    def __init__(self, policy: SpikingPolicy, slots: int) -> None:
        environment = policy.semantics.environment
        assert environment.id is not None
        self._worlds = [Environment(id=environment.id).make() for _ in range(slots)]
        self._seeds = count()
        self.now = np.stack([self._begin(slot) for slot in range(slots)]).astype(np.float64)
        self.fresh: Sequence[int] = range(slots)

    def step(self, actions: Array) -> None:
        fresh = []
        for slot, world in enumerate(self._worlds):
            self.now[slot], _, ended, cut, _ = world.step(actions[slot])
            if ended or cut:
                self.now[slot] = self._begin(slot)
                fresh.append(slot)
        self.fresh = fresh

    def close(self) -> None:
        for world in self._worlds:
            world.close()

    def _begin(self, slot: int) -> Array:
        observation: Array = self._worlds[slot].reset(seed=next(self._seeds))[0]
        return observation


class ModuleAgent:
    """The snnTorch module itself, tick by tick in double precision, with the raster that its neurons send."""

    def __init__(self, policy: SpikingPolicy) -> None:
        self.module = policy.module.double()
        self.module.eval()
        self.semantics = policy.semantics
        self.neurons = {n: part for n, part in self.module.named_modules() if isinstance(part, ChipLeaky)}
        self.spikes: dict[str, list[Array]] = {}

    def clear(self, slots: Sequence[int]) -> None:
        """An episode begins in each of ``slots``."""
        for part in self.neurons.values():
            if part.mem.ndim > 1:
                part.mem[list(slots)] = 0.0

    def decide(self, drive: Array) -> dict[str, Array]:
        """[T, slots, inputs] → the spikes of each population [slots, T, neurons]."""
        self.spikes = {name: [] for name in self.neurons}
        with torch.no_grad(), ExitStack() as hooks:
            for name, part in self.neurons.items():
                hooks.callback(part.register_forward_hook(self._listen(name)).remove)
            for x in drive:
                self.module(torch.from_numpy(x))
        with torch.no_grad():
            for part in self.neurons.values():
                for _ in range(self.semantics.rest):
                    part(torch.zeros_like(part.mem))
        return {name: np.stack(found, 1) for name, found in self.spikes.items()}

    def _listen(self, name: str) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def heard(_: nn.Module, __: Any, out: Tensor) -> Tensor:
            self.spikes[name].append(out.numpy() != 0)
            return out.double()  # snnTorch's spikes are single

        return heard


def equality(
    name: str, source: Callable[[SpikingPolicy, int], Observed], *, decisions: int = 102_400, slots: int = 512
) -> dict[str, Any]:
    """Spikes that differ between the module, the float network and the kernel.

    Args:
        name: of a policy with streaming attention; a module's delays are not rested here.
        source: ``Walk`` or ``InUse``.
        decisions: in all, of ``slots`` side by side.
    """
    policy = load_policy(name)
    network, proof = frontend()(policy)
    ours = ChipAgent(resolve(name).program(), "loihi", slots)
    theirs = FloatAgent(network, policy.semantics, slots)
    module, student = ModuleAgent(policy), SequenceStudent(load_policy(name))
    unlike = {"kernel": 0, "module": 0, "actions": 0}
    spikes, compared, episodes = 0, 0, 0
    with closing(source(policy, slots)) as seen:
        for _ in range(decisions // slots):
            for agent in (ours, theirs):
                agent.reset(seen.fresh, [episode_rng(slot) for slot in seen.fresh])
            module.clear(seen.fresh)
            episodes += len(seen.fresh)
            actions = ours.act(seen.now)
            unlike["actions"] += int((actions != theirs.act(seen.now)).sum())
            sent = module.decide(student.drive(seen.now).numpy().astype(np.float64))
            for population, columns in theirs.populations.items():
                late, quiet = ours.offsets[population], theirs.raster[:, :, columns]
                chip = ours.raster[:, late:, ours.populations[population]]
                unlike["kernel"] += int((chip != quiet[:, : quiet.shape[1] - late]).sum())
                spikes += int(quiet.sum())
                compared += chip.size
                if population in sent and not module.neurons[population].silent:
                    unlike["module"] += int((sent[population] != quiet[:, : policy.semantics.ticks]).sum())
            seen.step(actions)
    return {
        "decisions": decisions,
        "episodes": episodes,
        "unlike": unlike,
        "spikes": spikes,
        "compared": compared,
        "proof": {key: value for key, value in proof.items() if isinstance(value, int)},
    }
