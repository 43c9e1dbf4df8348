"""Imitation from a data set alone: windows of its episodes in, the expert's actions out.

Any learner that can say its loss over windows is trained the same way, on the same decisions in the same
order: a spiking transformer, whose state goes on from one window to the next, and its baselines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from strl.errors import UsageError
from strl.training.files import progress, read_tensors, write_tensors
from strl.training.mazes import Episodes
from strl.training.sequence import SequenceStudent, price


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """How it is trained.

    Args:
        mazes: episodes of the expert.
        noise: see ``strl.training.mazes.collected``.
        updates: gradient steps.
        lanes: windows in each.
        window: decisions of a window.
        rate: of Adam, falling to a hundredth along a half cosine.
        spike_cost: loss per mean spike a neuron and tick, reached half-way.
        every: updates between two lines of the log and two states that a run can go on from.
    """

    mazes: int = 3000
    noise: float = 0.1
    updates: int = 1500
    lanes: int = 64
    window: int = 24
    rate: float = 4e-3
    spike_cost: float = 0.0
    every: int = 100

    def __post_init__(self) -> None:
        for name in ("mazes", "updates", "lanes", "window", "every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)}, must be at least 1")
        if not 0 <= self.noise <= 1 or not 0 <= self.spike_cost < math.inf:
            raise UsageError(f"noise = {self.noise}, spike cost = {self.spike_cost}: must be 0..1 and finite")


class Learner(Protocol):
    """What ``OfflineRun`` trains."""

    module: nn.Module

    def read(self, observations: NDArray[Any], starts: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        """[decisions, lanes, …] → a value of each action [decisions, lanes, actions], and mean spikes."""

    def learning(self) -> AbstractContextManager[None]:
        """Inside, it reads to learn and not to act."""

    def bound(self) -> None:
        """Called after every step of the optimiser, which may have moved weights too far."""

    def memory(self) -> dict[str, Tensor]:
        """What is carried from window to window."""

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Go on from there; with nothing from the beginning."""


class Stream:
    """Windows of episodes: every lane goes through its own part of the data, over and over.

    What update u sees follows from u alone.
    """

    def __init__(self, episodes: Episodes, *, lanes: int, window: int) -> None:
        self._episodes = episodes
        self._lanes, self._window = lanes, window
        self._length = len(episodes.starts) // lanes
        if self._length < window:
            raise UsageError(f"{len(episodes.starts)} decisions are too few for {lanes} lanes of {window}")

    def window(self, update: int) -> dict[str, NDArray[Any]]:
        steps = (update * self._window + np.arange(self._window)) % self._length
        found = self._episodes.part(steps[:, None] + np.arange(self._lanes) * self._length)
        found["starts"] = found["starts"] | (steps == 0)[:, None]
        return found


class OfflineRun:
    """A learner in training; everything that the next update depends on is kept in one file now and then.

    Args:
        episodes: called for the data once there is something to learn from them.
    """

    def __init__(self, learner: Learner, episodes: Callable[[], Episodes], options: Offline) -> None:
        self.learner = learner
        self.options = options
        self._episodes = episodes
        self.done = 0
        self.optimiser = torch.optim.Adam(learner.module.parameters(), lr=options.rate)

    def train(self, path: Path, log: SummaryWriter | None = None) -> None:
        """Do the updates that are left, saving ``path`` now and then."""
        if path.exists():
            self._load(path)
        options = self.options
        if self.done == options.updates:
            return
        stream = Stream(self._episodes(), lanes=options.lanes, window=options.window)
        figures: list[tuple[float, float, float]] = []
        with progress(options.updates, label="offline", unit="update", done=self.done) as bar:
            while self.done < options.updates:
                figures.append(self._update(stream.window(self.done)))
                self.done += 1
                bar.update()
                if self.done % options.every and self.done < options.updates:
                    continue
                names = ("loss", "agreement", "rate")
                means = dict(zip(names, np.mean(figures, axis=0).tolist(), strict=True))
                bar.set_postfix({name: f"{value:.4g}" for name, value in means.items()})
                figures.clear()
                self._save(path)
                if log is not None:
                    for name, value in means.items():
                        log.add_scalar(f"offline/{name}", value, self.done)

    def _update(self, window: Mapping[str, NDArray[Any]]) -> tuple[float, float, float]:
        options = self.options
        cosine = 0.5 * (1 + math.cos(math.pi * self.done / options.updates))
        for group in self.optimiser.param_groups:
            group["lr"] = options.rate * (0.01 + 0.99 * cosine)
        self.optimiser.zero_grad()
        with self.learner.learning():
            readout, rate = self.learner.read(window["observations"], window["starts"])
        answers = torch.from_numpy(window["answers"])
        loss = nn.functional.cross_entropy(readout.flatten(0, 1), answers.flatten())
        charge = price(options.spike_cost, self.done / options.updates)
        torch.autograd.backward(loss + charge * rate)
        torch.nn.utils.clip_grad_norm_(self.learner.module.parameters(), 1.0)
        self.optimiser.step()
        self.learner.bound()
        right = readout.detach().argmax(2) == answers
        return loss.item(), right.float().mean().item(), rate.item()

    def _save(self, path: Path) -> None:
        tensors = {f"module.{k}": v for k, v in self.learner.module.state_dict().items()}
        tensors |= {f"memory.{k}": v for k, v in self.learner.memory().items()}
        for k, state in enumerate(self.optimiser.state.values()):
            tensors |= {f"adam.{k}.{name}": value for name, value in state.items()}
        tensors["done"] = torch.tensor(self.done)
        write_tensors(path, tensors)

    def _load(self, path: Path) -> None:
        tensors = read_tensors(path)

        def under(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.learner.module.load_state_dict(under("module."))
        self.learner.remember(under("memory."))
        for k, parameter in enumerate(self.learner.module.parameters()):
            self.optimiser.state[parameter] = dict(under(f"adam.{k}."))
        self.done = int(tensors["done"])


class Streaming(SequenceStudent):
    """A spiking policy whose state goes on from window to window, as it will when it acts."""

    def memory(self) -> dict[str, Tensor]:
        return {str(k): neurons.mem for k, neurons in enumerate(self._neurons)}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        for k, neurons in enumerate(self._neurons):
            neurons.mem = memory.get(str(k), torch.zeros(0))


def accuracy(learner: Learner, episodes: Episodes, *, lanes: int = 100) -> float:
    """Share of decisions that are the expert's, each episode from its start, along the expert's way."""
    firsts, ends = np.flatnonzero(episodes.starts), episodes.ends
    order = np.argsort(ends - firsts, kind="stable")  # those of one length together
    firsts, ends = firsts[order], ends[order]
    right = 0
    learner.remember({})
    for group in range(0, len(firsts), lanes):
        begin, end = firsts[group : group + lanes], ends[group : group + lanes]
        longest = int((end - begin).max())
        rows = begin + np.arange(longest)[:, None]
        inside = rows < end
        rows = np.where(inside, rows, begin)
        window = episodes.part(rows)
        starts = np.zeros_like(inside)
        starts[0] = True
        with torch.no_grad():
            readout, _ = learner.read(window["observations"], starts)
        right += int((inside & (readout.argmax(2).numpy() == window["answers"])).sum())
    return right / len(episodes.starts)
