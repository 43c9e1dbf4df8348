"""Imitation by a student that remembers: its state is carried from decision to decision.

As in ``strl.training.dagger``, but the gradient goes back through windows of decisions, and the expert may
see more than the student does: of an environment that hides something, what it tells in ``info["state"]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from strl.loop.environment import World
from strl.policies.attention import OverTicks
from strl.policies.chip_layers import ChipLeaky
from strl.policies.policy import SpikingPolicy
from strl.policies.transformer import SpikingTransformer
from strl.training.dagger import Imitation, Run
from strl.training.episodes import Act, make_env, training_seeds
from strl.training.scan import over_ticks
from strl.training.student import Student

WINDOW = 25
"""Decisions that the gradient goes back through; what came before them is remembered all the same."""


def price(cost: float, part: float) -> float:
    """Of a mean spike when ``part`` of the training is over, 0..1: ``cost`` is reached half-way.

    Charged before they are of use, the spikes of an attention fall silent for good.
    """
    return cost * min(1.0, 2 * part)


class SequenceStudent(Student):
    """A ``SpikingPolicy`` of chip layers whose state is carried, made trainable.

    Args:
        policy: call is ``tick``, state ``carry``; its neurons are ``ChipLeaky``, the last of them read.
        seed: of the draws of random encoders.
    """

    def __init__(self, policy: SpikingPolicy, *, seed: int = 0) -> None:
        super().__init__(policy, seed=seed)
        # What a window looks back on is kept by itself, not by the delays that it is on a chip.
        self._neurons = [part for part in self.module.modules() if isinstance(part, ChipLeaky | OverTicks)]
        assert policy.semantics.readout.kind == "membrane"
        self.module.eval()

    @contextmanager
    def on_grid(self) -> Iterator[None]:
        """Chip layers are always on the grid."""
        yield

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Inside, norms go by what they are given; otherwise by what they have seen."""
        self.module.train()
        try:
            yield
        finally:
            self.module.eval()

    def bound(self) -> None:
        if isinstance(self.module, SpikingTransformer):
            self.module.bound(self.encoder.unit * 2.0**self.encoder.bits)

    def clear(self, lanes: Sequence[int] | NDArray[np.bool_] | None = None) -> None:
        """Forget everything, or what happened in some lanes."""
        for neurons in self._neurons:
            if lanes is None:
                neurons.mem = torch.zeros(0)
            elif neurons.mem.ndim > 1:
                neurons.mem = neurons.mem.clone()
                neurons.mem[lanes] = 0.0

    def forward(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """The next decision of every lane: [T, lanes, inputs] → read-out, mean spikes a neuron and tick."""
        readout, rate = self._decisions(drive, torch.zeros((1, drive.shape[1]), dtype=torch.bool))
        return readout[0], rate

    def read(self, observations: NDArray[Any], starts: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """The next decisions of every lane, [decisions, lanes, …], with their gradient.

        Args:
            starts: [decisions, lanes], where everything before is forgotten.

        Returns:
            Read-outs [decisions, lanes, outputs], and mean spikes a neuron and tick.
        """
        decisions, lanes = observations.shape[:2]
        drive = self.drive(observations.reshape(-1, *observations.shape[2:]))
        by_tick = drive.reshape(len(drive), decisions, lanes, -1).transpose(0, 1).flatten(0, 1)
        return self._decisions(by_tick, torch.from_numpy(starts.copy()))

    def _decisions(self, drive: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        ticks = self.semantics.ticks
        with (
            self._rates() as rates,
            over_ticks(self.module, starts, ticks=ticks, rest=self.semantics.rest),
        ):
            out: Tensor = self.module(drive)
        return out[ticks - 1 :: ticks], torch.stack(rates).mean()

    @contextmanager
    def _rates(self) -> Iterator[list[Tensor]]:
        rates: list[Tensor] = []
        spiking = [n for n in self._neurons if isinstance(n, ChipLeaky) and not n.silent]
        handles = [
            n.register_forward_hook(lambda _, __, spikes: rates.append(spikes.mean())) for n in spiking
        ]
        try:
            yield rates
        finally:
            for handle in handles:
                handle.remove()


class SequenceRun(Run):
    """A ``Run`` of a student with memory; ``batch`` is windows, each ``WINDOW`` decisions of one lane.

    Args:
        expert: observations, or what ``info["state"]`` says → an action, or the probability of each.
        told: whether the expert sees the latter, where there is such.
    """

    student: SequenceStudent

    def __init__(
        self,
        student: SequenceStudent,
        expert: Act,
        env_id: str,
        options: Imitation,
        seed: int,
        *,
        told: bool = True,
    ) -> None:
        super().__init__(student, expert, env_id, options, seed)
        self.told = told
        self.seen["starts"] = []  # [lanes], true where an episode starts

    def _collect(self) -> None:
        options, rng = self.options, np.random.default_rng((self.seed, self.done))
        first = training_seeds(self.seed).start + 1000 + self.done * options.lanes
        lanes = [_Lane(self.env_id, first + k, told=self.told) for k in range(options.lanes)]
        self.student.clear()
        for _ in range(options.steps):
            answers = self.expert(np.stack([lane.state for lane in lanes]))
            now = np.stack([lane.observation for lane in lanes])
            starts = np.array([lane.starts for lane in lanes])
            for name, value in (("observations", now), ("answers", answers), ("starts", starts)):
                self.seen[name].append(value)
            self.student.clear(starts)
            actions = list(self.student(now)) if self.done else self._chosen(answers)
            for k in np.flatnonzero(rng.random(len(lanes)) < options.noise * (not self.done)):
                actions[k] = lanes[k].env.action_space.sample()
            for lane, action in zip(lanes, actions, strict=True):
                lane.step(action)
        self.seen["starts"][-options.steps] = np.ones(len(lanes), bool)
        for lane in lanes:
            lane.env.close()

    def _chosen(self, answers: NDArray[Any]) -> list[Any]:
        return list(answers if isinstance(self.actions, Box) else answers.argmax(1))

    def _learn(self) -> dict[str, float]:
        options = self.options
        seen = {name: self._sequences(values) for name, values in self.seen.items()}
        # A policy that has come far into an episode remembers more than one window. So windows follow one
        # another through the episodes of some lanes, and their state is carried as it will be in use.
        windows = max(1, options.steps // WINDOW)
        figures = []
        for update in range(options.updates):
            self._slow_down(update)
            part = update % windows
            if part == 0:
                lanes = torch.randint(seen["starts"].shape[1], (options.batch,)).numpy()
                self.student.clear()
            at = slice(part * WINDOW, (part + 1) * WINDOW)
            self.optimiser.zero_grad()
            with self.student.learning():
                loss, agreement, rate = self._window({name: value[at, lanes] for name, value in seen.items()})
            torch.autograd.backward(loss + price(options.spike_cost, self._part(update)) * rate)
            torch.nn.utils.clip_grad_norm_(self.student.module.parameters(), 1.0)
            self.optimiser.step()
            self.student.bound()
            figures.append((loss.item(), agreement, rate.item()))
        self.student.clear()
        late = np.mean(figures[len(figures) // 2 :], axis=0)
        return dict(zip(("loss", "agreement", "rate"), late.tolist(), strict=True))

    def _sequences(self, values: list[NDArray[Any]]) -> NDArray[Any]:
        """What was seen decision by decision, [steps, lanes of all rounds, …]."""
        steps, lanes = self.options.steps, self.options.lanes
        by_round = np.stack(values).reshape(-1, steps, lanes, *values[0].shape[1:])
        return np.moveaxis(by_round, 0, 1).reshape(steps, -1, *values[0].shape[1:])

    def _window(self, seen: dict[str, NDArray[Any]]) -> tuple[Tensor, float, Tensor]:
        """Loss, agreement and firing rate over windows [decisions, batch, …]."""
        readout, rate = self.student.read(seen["observations"], seen["starts"])
        answers = seen["answers"]
        targets = self._targets(answers.reshape(-1, *answers.shape[2:]))
        return *self._loss(readout.flatten(0, 1), targets), rate

    def _targets(self, answers: NDArray[Any]) -> Tensor:
        if isinstance(self.actions, Box):
            return super()._targets(answers)
        return torch.from_numpy(np.asarray(answers, np.float32))

    def _loss(self, readout: Tensor, answers: Tensor) -> tuple[Tensor, float]:
        if isinstance(self.actions, Box):
            return super()._loss(readout, answers)
        loss = torch.nn.functional.cross_entropy(readout, answers)
        return loss, float((readout.argmax(1) == answers.argmax(1)).float().mean())

    def _returns(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        return returns(self.student, self.env_id, seeds, lanes=50)


class _Lane:
    """One environment, always in the midst of an episode."""

    def __init__(self, env_id: str, seed: int, *, told: bool) -> None:
        self.env: World = make_env(env_id)
        self._told = told
        self.env.action_space.seed(seed)
        self._see(*self.env.reset(seed=seed), starts=True)

    def step(self, action: Any) -> None:
        observation, _, ended, cut, info = self.env.step(action)
        if ended or cut:
            self._see(*self.env.reset(), starts=True)
        else:
            self._see(observation, info, starts=False)

    def _see(self, observation: Any, info: dict[str, Any], *, starts: bool) -> None:
        self.observation = observation
        self.state = info.get("state", observation) if self._told else observation
        self.starts = starts


def returns(
    student: SequenceStudent, env_id: str, seeds: Sequence[int], *, lanes: int = 25
) -> NDArray[np.float64]:
    """Undiscounted return of one episode for each of ``seeds``, ``lanes`` at a time."""
    total = np.zeros(len(seeds))
    envs = [make_env(env_id) for _ in range(min(lanes, len(seeds)))]
    playing: list[int | None] = list(range(len(envs)))
    left = iter(range(len(envs), len(seeds)))
    now = np.stack([env.reset(seed=int(seeds[k]))[0] for k, env in enumerate(envs)])
    student.clear()
    while any(index is not None for index in playing):
        actions = student(now)
        for lane, index in enumerate(playing):
            if index is None:
                continue
            now[lane], reward, ended, cut, _ = envs[lane].step(actions[lane])
            total[index] += float(reward)
            if ended or cut:
                student.clear([lane])
                playing[lane] = following = next(left, None)
                if following is not None:
                    now[lane] = envs[lane].reset(seed=int(seeds[following]))[0]
    for env in envs:
        env.close()
    student.clear()
    return total
