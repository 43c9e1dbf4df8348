"""The attentions of ``strl.policies.attention`` beside one another, trained alike, and each without itself.

For ``benchmarks.transformers``. Networks and their figures are kept in the folder given, so that a run that
was stopped goes on; an expert's weights are the same for all of one seed.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strl.errors import StrlError
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.statistics import iqm
from strl.loop.subject import resolve
from strl.policies.attention import TernaryValue
from strl.policies.checkpoint import load
from strl.policies.chip_layers import ChipLeaky
from strl.policies.library import load_policy
from strl.policies.policy import SpikingPolicy
from strl.policies.transformer import SpikingTransformer
from strl.training.episodes import TEST_SEEDS, make_env
from strl.training.expert import train_expert
from strl.training.maze_policy import MazeTraining, configure_maze, data, train_maze
from strl.training.mazes import TEST_MAZES, Episodes, collected
from strl.training.offline import Streaming, accuracy
from strl.training.recipes import expert_recipe
from strl.training.sequence import SequenceStudent
from strl.training.transformer import configure_sequence, train_transformer

HIDDEN, TEACHER, MAZE = "strl/CartPoleHidden-v0", "CartPole-v1", "strl/MazeSigns-v0"
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "streaming": {"attention": "streaming"},
    "sdsa": {"attention": "sdsa"},
    "sdsa, positions": {"attention": "sdsa", "position": True},
    "ssa": {"attention": "ssa"},
    "a2os2a": {"attention": "a2os2a"},
    "sasa": {"attention": "sasa"},
}
MAZE_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    **VARIANTS,
    "sdsa, K = 20": {"attention": "sdsa", "context": 20},
    "sdsa, positions, K = 20": {"attention": "sdsa", "position": True, "context": 20},
}
"""K is 4 unless it is said; a sign is needed up to 40 moves after it was seen."""
LEARNED = {"rounds": 9, "spike_cost": 0.0}
"""Of the recipe's budget; nothing is charged for spikes, of which some attentions need more than others."""
SEEDS, MAZE_SEEDS = (0,), (0,)
MAZES, LANES = 1000, 100
LIMIT = 2 * 21 * 21
"""Moves after which a maze is given up."""


def attentions(kept: Path) -> list[dict[str, Any]]:
    """Hidden CartPole, K = 4: a row an attention and training seed."""
    return _rows(kept, "attention", _cartpole, VARIANTS, SEEDS)


def maze_attentions(kept: Path) -> list[dict[str, Any]]:
    """Signs in mazes, the same, and a window as long as the decision transformer's."""
    return _rows(kept, "maze", _maze, MAZE_VARIANTS, MAZE_SEEDS)


def _rows(
    kept: Path,
    task: str,
    measure: Callable[[Path, str, int], dict[str, Any]],
    variants: Iterable[str],
    seeds: Sequence[int],
) -> list[dict[str, Any]]:
    """Of every variant and seed, what was measured before or is now."""
    return [
        {
            "attention": variant,
            "seed": seed,
            **_kept(kept / f"{task}-{_file(variant)}-{seed}.json", partial(measure, kept, variant, seed)),
        }
        for variant in variants
        for seed in seeds
    ]


def cut(name: str) -> dict[str, Any]:
    """Float return with and without what attention adds, nothing trained anew; in mazes what they count."""
    policy = load_policy(name)
    env_id = policy.semantics.environment.id
    assert env_id is not None
    both = {"whole": policy, "cut": without_attention(policy)}
    found: dict[str, Any] = {key: iqm(played(one, env_id, TEST_SEEDS)[0]) for key, one in both.items()}
    if env_id == MAZE:
        for key, one in both.items():
            found[f"maze_{key}"] = in_mazes(one)
    return found


def without_attention(policy: SpikingPolicy) -> SpikingPolicy:
    """The same policy, the weights by which attention adds to the stream being 0; its biases stay."""
    module = copy.deepcopy(policy.module)
    assert isinstance(module, SpikingTransformer)
    with torch.no_grad():
        for number in range(module.config.blocks):
            module.get_parameter(f"blocks.{number}.attention.out.weight").zero_()
    return replace(policy, module=module)


def in_mazes(policy: SpikingPolicy) -> dict[str, float]:
    """Accuracy along the expert's way, success and firing in closed loop, in the test mazes."""
    learner = Streaming(copy.deepcopy(policy))
    learner.module.eval()
    exact = accuracy(learner, _tested())
    totals, firing = played(policy, MAZE, TEST_MAZES[:MAZES])
    return {"accuracy": exact, "success": float((totals > -LIMIT).mean()), "firing": firing}


def played(
    policy: SpikingPolicy, env_id: str, seeds: Sequence[int], *, lanes: int = LANES
) -> tuple[NDArray[np.float64], float]:
    """Returns of one episode a seed, in torch, and the spikes of a neuron and driven tick in all of them.

    Neurons are those that integrate: those of AND, which are products in torch, are not counted.
    """
    student = SequenceStudent(copy.deepcopy(policy))
    student.module.eval()
    totals, sent, driven = np.zeros(len(seeds)), 0.0, 0
    with _heard(student.module) as spikes:
        for first in range(0, len(seeds), lanes):
            group = seeds[first : first + lanes]
            worlds = [make_env(env_id) for _ in group]
            now = np.stack([w.reset(seed=int(seed))[0] for w, seed in zip(worlds, group, strict=True)])
            live = np.ones(len(group), bool)
            student.clear()
            while live.any():
                spikes.clear()
                actions = student(now)
                sent += sum(float(found[live].sum()) for found, _ in spikes)
                driven += int(live.sum()) * sum(size for _, size in spikes)
                for lane in np.flatnonzero(live):
                    now[lane], reward, ended, over, _ = worlds[lane].step(actions[lane])
                    totals[first + lane] += float(reward)
                    live[lane] = not (ended or over)
            for world in worlds:
                world.close()
    return totals, sent / driven


@contextmanager
def _heard(module: nn.Module) -> Iterator[list[tuple[NDArray[Any], int]]]:
    """Of every population's call: the spikes of each lane, and the neurons and ticks they are of."""
    found: list[tuple[NDArray[Any], int]] = []

    def hear(_: nn.Module, __: Any, out: Tensor) -> None:
        found.append((out.detach().abs().sum((0, 2)).numpy(), out.shape[0] * out.shape[2]))

    parts = [part for part in module.modules() if isinstance(part, ChipLeaky | TernaryValue)]
    hooks = [p.register_forward_hook(hear) for p in parts if not getattr(p, "silent", False)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _cartpole(kept: Path, variant: str, seed: int) -> dict[str, Any]:
    path = kept / f"attention-{_file(variant)}-{seed}.safetensors"
    if not path.exists():
        _lend_expert(kept, path, seed)
        options = configure_sequence(HIDDEN, seed=seed, given=VARIANTS[variant], imitation=LEARNED)
        train_transformer(options, path)
    policy = load(path).policy
    totals, firing = played(policy, HIDDEN, TEST_SEEDS)
    left, _ = played(without_attention(policy), HIDDEN, TEST_SEEDS)
    return {
        "float": iqm(totals),
        "cut": iqm(left),
        "firing": firing,
        "parameters": _parameters(policy),
        **_on_chip(path, lambda entrant: evaluate(entrant, episodes=len(TEST_SEEDS)).iqm),
    }


def _maze(kept: Path, variant: str, seed: int) -> dict[str, Any]:
    path = kept / f"maze-{_file(variant)}-{seed}.safetensors"
    if not path.exists():
        options = configure_maze(MAZE, seed=seed, given=MAZE_VARIANTS[variant], offline={})
        train_maze(options, path, episodes=partial(_learned, options))
    policy = load(path).policy
    cut_off = in_mazes(without_attention(policy))
    return {
        **in_mazes(policy),
        "cut": {key: cut_off[key] for key in ("accuracy", "success")},
        "parameters": _parameters(policy),
        **_on_chip(path, _success),
    }


def _success(entrant: Entrant) -> float:
    found = evaluate(entrant, episodes=MAZES, seed=TEST_MAZES.start, batch=LANES)
    return float((found.returns > -LIMIT).mean())


def _on_chip(path: Path, measure: Callable[[Entrant], float]) -> dict[str, Any]:
    """What is reached there, or the error that refuses to go there."""
    try:
        return {"chip": measure(Entrant.of(resolve(str(path)), "loihi")), "error": None}
    except StrlError as error:
        return {"chip": None, "error": error.message}


def _lend_expert(kept: Path, path: Path, seed: int) -> None:
    """Put the expert of a seed where the training looks for its own; it would be trained to the same."""
    expert, folder = kept / f"expert-{seed}.safetensors", path.with_name(path.name + ".run")
    train_expert(TEACHER, expert_recipe(TEACHER, discrete=True), seed=seed, path=expert)
    folder.mkdir(exist_ok=True)
    shutil.copyfile(expert, folder / "expert.safetensors")


@cache
def _tested() -> Episodes:
    return collected(MAZE, TEST_MAZES[:MAZES], hindsight=False)


_collected: dict[str, Episodes] = {}


def _learned(options: MazeTraining) -> Episodes:
    """The training's data, collected once for all."""
    if MAZE not in _collected:
        _collected[MAZE] = data(options.offline, MAZE)
    return _collected[MAZE]


def _parameters(policy: SpikingPolicy) -> int:
    return sum(p.numel() for p in policy.module.parameters())


def _kept(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured before, or now."""
    if not path.exists():
        path.write_text(json.dumps(measure()), "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _file(variant: str) -> str:
    return variant.replace(", ", "-").replace(" = ", "").replace(" ", "-")
