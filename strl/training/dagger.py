"""Imitation by DAgger (Ross et al. 2011, arXiv 1011.0686): the student acts, the expert corrects.

Every round collects decisions of the student, adds them to all earlier ones with the expert's answers, trains
on the whole by surrogate gradients, and is evaluated on validation seeds; the best round is what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from strl.errors import UsageError
from strl.training.episodes import VALIDATION_SEEDS, Act, make_env, returns, training_seeds
from strl.training.files import progress, read_tensors, write_tensors
from strl.training.student import Student


@dataclass(frozen=True, slots=True, kw_only=True)
class Imitation:
    """How a student is trained.

    Args:
        rounds: of collecting and training, after a first one in which the expert itself acts.
        lanes: environments side by side.
        steps: decisions of each lane a round.
        updates: gradient steps a round.
        batch: decisions in each.
        rate: of Adam, falling to a tenth along a half cosine.
        noise: share of random actions while the expert acts, so that it is seen to recover.
        spike_cost: loss per mean spike a hidden neuron and tick; more of it, fewer spikes. Students with
            memory reach it half-way.
        episodes: validation episodes a round.
    """

    rounds: int = 15
    lanes: int = 16
    steps: int = 500
    updates: int = 300
    batch: int = 512
    rate: float = 2e-3
    noise: float = 0.2
    spike_cost: float = 0.0
    episodes: int = 50

    def __post_init__(self) -> None:
        for name in ("lanes", "steps", "updates", "batch", "episodes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}, must be at least 1")
        if self.rounds < 0 or not 0 <= self.spike_cost < float("inf"):
            raise UsageError(
                f"rounds = {self.rounds}, spike cost = {self.spike_cost}: must not be negative, and finite"
            )
        if self.episodes > len(VALIDATION_SEEDS):
            raise UsageError(f"episodes = {self.episodes}, must be at most {len(VALIDATION_SEEDS)}")


class Run:
    """A student in training: everything that the next round depends on, kept in one file between rounds."""

    def __init__(self, student: Student, expert: Act, env_id: str, options: Imitation, seed: int) -> None:
        self.student = student
        self.expert = expert
        self.env_id = env_id
        self.options = options
        self.seed = seed
        self.actions = make_env(env_id).action_space
        self.optimiser = torch.optim.Adam(student.module.parameters(), lr=options.rate)
        self.done = 0
        self.score = -math.inf
        self.best: dict[str, Tensor] = {}
        # What was seen so far, a decision of all lanes each, [lanes, *shape].
        self.seen: dict[str, list[NDArray[Any]]] = {"observations": [], "answers": []}

    def train(self, path: Path, log: SummaryWriter | None = None) -> float:
        """Run the rounds that are left, saving ``path`` after each; the student ends as the best of them.

        Returns:
            The best mean return on the validation seeds.
        """
        if path.exists():
            self._load(path)
        rounds = self.options.rounds + 1
        with progress(rounds, label=f"student {self.env_id}", unit="round", done=self.done) as bar:
            while self.done < rounds:
                # Each round draws from its own seed, so that an interrupted run ends as a whole one.
                torch.manual_seed(self.seed * 1009 + self.done)
                self.student.reseed(self.seed * 1009 + self.done)
                self._collect()
                figures = {**self._learn(), "return": self._evaluate()}
                self.done += 1
                self._save(path)
                bar.set_postfix({**{k: f"{v:.3g}" for k, v in figures.items()}, "best": f"{self.score:.1f}"})
                bar.update()
                if log is not None:
                    for name, value in figures.items():
                        log.add_scalar(f"student/{name}", value, self.done)
        self.student.module.load_state_dict(self.best)
        return self.score

    def _evaluate(self) -> float:
        """Mean return of the student on the grid; the best so far is remembered."""
        seeds = VALIDATION_SEEDS[: self.options.episodes]
        with self.student.on_grid():
            score = float(self._returns(seeds).mean())
            if score >= self.score:  # the later of equals has seen more
                self.score = score
                self.best = {k: v.clone() for k, v in self.student.module.state_dict().items()}
        return score

    def _returns(self, seeds: Sequence[int]) -> NDArray[np.float64]:
        return returns(self.student, self.env_id, seeds, lanes=50)

    def _collect(self) -> None:
        """One round of decisions: by the noisy expert at first, then by the student."""
        options, rng = self.options, np.random.default_rng((self.seed, self.done))
        first = training_seeds(self.seed).start + 1000 + self.done * options.lanes
        envs = [make_env(self.env_id) for _ in range(options.lanes)]
        now = np.stack([env.reset(seed=first + k)[0] for k, env in enumerate(envs)])
        for env, seed in zip(envs, rng.integers(2**31, size=len(envs)), strict=True):
            env.action_space.seed(int(seed))
        with self.student.on_grid():
            for _ in range(options.steps):
                answers = self.expert(now)
                self.seen["observations"].append(now)
                self.seen["answers"].append(answers)
                actions = list(self.student(now) if self.done else answers)
                if not self.done:
                    for k in np.flatnonzero(rng.random(len(envs)) < options.noise):
                        actions[k] = envs[k].action_space.sample()
                now = np.stack([_step(env, action) for env, action in zip(envs, actions, strict=True)])
        for env in envs:
            env.close()

    def _learn(self) -> dict[str, float]:
        """Train on all decisions so far → mean loss, agreement and firing rate of the last half."""
        options, module = self.options, self.student.module
        observations = np.concatenate(self.seen["observations"])
        answers = self._targets(np.concatenate(self.seen["answers"]))
        figures = []
        for update in range(options.updates):
            self._slow_down(update)
            chosen = torch.randint(len(answers), (options.batch,))
            self.optimiser.zero_grad()
            with self.student.on_grid():
                readout, rate = self.student.forward(self.student.drive(observations[chosen]))
                loss, agreement = self._loss(readout, answers[chosen])
                torch.autograd.backward(loss + options.spike_cost * rate)
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            self.optimiser.step()
            self.student.bound()
            figures.append((loss.item(), agreement, rate.item()))
        late = np.mean(figures[len(figures) // 2 :], axis=0)
        return dict(zip(("loss", "agreement", "rate"), late.tolist(), strict=True))

    def _part(self, update: int) -> float:
        """How much of the training is over before this update of this round, 0 to 1."""
        return (self.done + update / self.options.updates) / (self.options.rounds + 1)

    def _slow_down(self, update: int) -> None:
        """The rate of this update of this round."""
        part = self._part(update)
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.rate * (0.1 + 0.45 * (1 + math.cos(math.pi * part)))

    def _targets(self, answers: NDArray[Any]) -> Tensor:
        space = self.actions
        if isinstance(space, Box):
            middle, half = (space.high + space.low) / 2, (space.high - space.low) / 2
            flat = ((answers - middle) / half).reshape(len(answers), -1)
            return torch.from_numpy(np.clip(flat, -1, 1).astype(np.float32))
        return torch.from_numpy(np.asarray(answers, np.int64))

    def _loss(self, readout: Tensor, answers: Tensor) -> tuple[Tensor, float]:
        if answers.dtype == torch.int64:
            loss = torch.nn.functional.cross_entropy(readout, answers)
            return loss, float((readout.argmax(1) == answers).float().mean())
        off = torch.tanh(readout) - answers
        return (off**2).mean(), float((off.abs() < 0.1).float().mean())

    def _save(self, path: Path) -> None:
        tensors = {f"module.{k}": v for k, v in self.student.module.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for k, state in enumerate(self.optimiser.state.values()):
            tensors |= {f"adam.{k}.{name}": value for name, value in state.items()}
        tensors |= {name: torch.from_numpy(np.stack(values)) for name, values in self.seen.items()}
        tensors["progress"] = torch.tensor([self.done, self.score], dtype=torch.float64)
        write_tensors(path, tensors)

    def _load(self, path: Path) -> None:
        tensors = read_tensors(path)
        self.student.module.load_state_dict(_under(tensors, "module."))
        self.best = _under(tensors, "best.")
        for k, parameter in enumerate(self.student.module.parameters()):
            self.optimiser.state[parameter] = dict(_under(tensors, f"adam.{k}."))
        self.seen = {name: list(tensors[name].numpy()) for name in self.seen}
        done, self.score = tensors["progress"].tolist()
        self.done = int(done)


def _step(env: gym.Env[Any, Any], action: Any) -> Any:
    observation, _, ended, cut, _ = env.step(action)
    return env.reset()[0] if ended or cut else observation


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
