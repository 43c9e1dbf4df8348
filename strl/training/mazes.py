"""Data of mazes: what an optimal expert saw and did in many of them, for training without the environment.

    python -m strl.training.mazes FOLDER [--env ID] [--split training|test] [--mazes N] [--noise X]

writes them as a Minari dataset under FOLDER, which is what MINARI_DATASETS_PATH names (needs
``pip install 'strl[minari]'``). The same mazes are the same data: a training may as well collect them anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.environments import register
from strl.errors import UsageError
from strl.training.episodes import make_env

TRAINING_MAZES, TEST_MAZES = range(2_000_000, 3_000_000), range(3_000_000, 4_000_000)
"""Seeds: every one is another maze, and none is in both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episodes:
    """Episodes one after another, a row a decision.

    Args:
        observations: float32 [n, features]; the last feature is the return to go.
        actions: int64 [n], what was done.
        answers: int64 [n], what the expert would have done; the same where nothing was random.
        rewards: float32 [n].
        starts: bool [n], the first decision of each episode.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.int64]
    answers: NDArray[np.int64]
    rewards: NDArray[np.float32]
    starts: NDArray[np.bool_]

    @property
    def ends(self) -> NDArray[np.int64]:
        """The row after each episode's last."""
        return np.append(np.flatnonzero(self.starts)[1:], len(self.starts))

    def part(self, rows: slice | NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """What is learned from in some rows, by name."""
        return {name: getattr(self, name)[rows] for name in ("observations", "answers", "starts")}


def collected(env_id: str, seeds: Sequence[int], *, noise: float = 0.0, hindsight: bool = True) -> Episodes:
    """One episode of the expert for each seed; in every second one a share ``noise`` of moves is random.

    With ``hindsight`` the return to go is what truly followed, for training; without, what a policy would
    see of the same episode.
    """
    env = make_env(env_id)
    rows: list[tuple[Any, int, int, float, bool]] = []
    for number, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        now, info = env.reset(seed=int(seed))
        over, first = False, True
        while not over:
            answer = action = int(info["expert"])
            if number % 2 and rng.random() < noise:
                action = int(rng.integers(4))
            seen = now
            now, reward, ended, cut, info = env.step(action)
            rows.append((seen, action, answer, float(reward), first))
            over, first = ended or cut, False
    env.close()
    observations, actions, answers, rewards, starts = zip(*rows, strict=True)
    found = Episodes(
        observations=np.stack(observations),
        actions=np.array(actions, np.int64),
        answers=np.array(answers, np.int64),
        rewards=np.array(rewards, np.float32),
        starts=np.array(starts, bool),
    )
    return replace(found, observations=_in_hindsight(found)) if hindsight else found


def _in_hindsight(episodes: Episodes) -> NDArray[np.float32]:
    """The observations with the return that followed as return to go."""
    observations = episodes.observations.copy()
    for start, end in zip(np.flatnonzero(episodes.starts), episodes.ends, strict=True):
        observations[start:end, -1] = np.cumsum(episodes.rewards[start:end][::-1])[::-1]
    return observations


def write(episodes: Episodes, env_id: str, folder: Path, name: str) -> None:
    """Keep episodes as the Minari dataset ``name`` under ``folder``; the expert's answers are its infos."""
    minari = _minari(folder)
    from minari.data_collector import EpisodeBuffer

    buffers = []
    for start, end in zip(np.flatnonzero(episodes.starts), episodes.ends, strict=True):
        # Minari wants what is seen after the last action too; nothing is learned from it.
        rows = np.append(np.arange(start, end), end - 1)
        over = np.arange(start, end) == end - 1
        buffers.append(
            EpisodeBuffer(
                observations=list(episodes.observations[rows]),
                actions=list(episodes.actions[start:end]),
                rewards=episodes.rewards[start:end].tolist(),
                terminations=over.tolist(),
                truncations=np.zeros(end - start, bool).tolist(),
                infos={"expert": episodes.answers[rows]},
            )
        )
    with warnings.catch_warnings(action="ignore"):  # it asks for an author and a link
        minari.create_dataset_from_buffers(
            dataset_id=name, buffer=buffers, env=env_id, algorithm_name="shortest way", requirements=["strl"]
        )


def read(folder: Path, name: str) -> Episodes:
    """The inverse of ``write``."""
    found = list(_minari(folder).load_dataset(name))
    lengths = [len(episode.actions) for episode in found]
    starts = np.zeros(sum(lengths), bool)
    starts[np.cumsum([0, *lengths[:-1]])] = True
    return Episodes(
        observations=np.concatenate([episode.observations[:-1] for episode in found]),
        actions=np.concatenate([episode.actions for episode in found]),
        answers=np.concatenate([episode.infos["expert"][:-1] for episode in found]),
        rewards=np.concatenate([episode.rewards for episode in found]).astype(np.float32),
        starts=starts,
    )


def _minari(folder: Path) -> Any:
    """The library, told where its datasets are: it asks the environment each time, and nothing else."""
    try:
        import minari
    except ImportError:
        raise UsageError("Minari is not installed", hint="pip install 'strl[minari]'") from None
    os.environ["MINARI_DATASETS_PATH"] = str(folder.absolute())
    return minari


def main(argv: Sequence[str] | None = None) -> int:
    register()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--env", default="strl/MazeSigns-v0", metavar="ID")
    parser.add_argument("--split", choices=["training", "test"], default="training")
    parser.add_argument("--mazes", type=int, default=2000, metavar="N")
    parser.add_argument("--noise", type=float, default=0.0, metavar="X")
    args = parser.parse_args(argv)
    seeds = (TRAINING_MAZES if args.split == "training" else TEST_MAZES)[: args.mazes]
    found = collected(args.env, seeds, noise=args.noise)
    name = f"{args.env.removesuffix('-v0').lower()}-{args.split}-v0"
    write(found, args.env, args.folder, name)
    sys.stdout.write(f"{name}: {args.mazes} mazes, {len(found.starts)} decisions\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
