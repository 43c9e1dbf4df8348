"""Mazes: the spiking transformer, as trained and on the chip, beside a decision transformer.

    python -m benchmarks.maze --json    train what is missing (runs/maze), measure what is: results/maze.json
    python -m benchmarks.maze --kept    the same file of what is measured so far
    python -m benchmarks.maze --table   docs/mazes.md's tables and plot from the committed file

Every network learns from the same episodes of an optimal expert, as many decisions in as many updates, and
has as many parameters within 5 %. Accuracy is the share of the expert's actions along the expert's way,
success the share of mazes whose goal is found in 882 moves; both in 1000 mazes that nobody was trained in.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.attentions import LANES, LIMIT, MAZES, without_attention
from benchmarks.maze_page import FEATURES, LABELS, write
from strl.energy import Wiring
from strl.environments import register
from strl.loop.agent import episode_rng
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.subject import resolve
from strl.policies.checkpoint import load
from strl.policies.decision_transformer import DecisionConfig, DecisionLearner, DecisionTransformer
from strl.policies.threads import one_thread
from strl.training.maze_policy import configure_maze, data, train_maze
from strl.training.mazes import TEST_MAZES, Episodes, collected
from strl.training.offline import OfflineRun, Streaming, accuracy
from strl.training.sequence import returns

ROOT = Path(__file__).resolve().parents[1]
RESULT, KEPT = ROOT / "results" / "maze.json", ROOT / "runs" / "maze"
VIEWS: Mapping[str, str] = {"colours": "strl/Maze-v0", "signs": "strl/MazeSigns-v0"}
SEEDS = (0, 1, 2)
SPIKE_COSTS = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Of a spike, at which signs are learned once more, with the first of the seeds."""
DT_RATE = 2e-3
CONTEXTS = (10, 30, 100, 300, 1000, 3000, 10_000)
LOOP = 10
"""Decisions that are repeated: the same observations with more and more before them."""
TIMED = 1000
"""Longest context in which the decision transformer's time is taken; 10 000 would take gigabytes."""
Array = NDArray[Any]


class Trainer:
    """Networks of one view, trained where they are missing; its data are collected once."""

    def __init__(self, view: str) -> None:
        self.view, self.env_id = view, VIEWS[view]
        self._options = configure_maze(self.env_id, given={}, offline={}).offline
        self._data: Episodes | None = None

    @property
    def spike_cost(self) -> float:
        """The recipe's."""
        return self._options.spike_cost

    def spiking(self, seed: int, bits: int = 8, spike_cost: float | None = None) -> Path:
        """The checkpoint, or that of another charge for spikes; fewer bits than 8 are tuned as long again."""
        tuned = f"-{bits}bit" if bits < 8 else ""
        charged = "" if spike_cost is None else f"-cost{spike_cost:g}"
        path = KEPT / f"{self.view}-{seed}{charged}{tuned}.safetensors"
        if path.exists():
            return path
        after, given = {}, {} if spike_cost is None else {"spike_cost": spike_cost}
        if tuned:
            after = {"weight_bits": bits, "after": os.path.relpath(self.spiking(seed, 8, spike_cost))}
        options = configure_maze(self.env_id, seed=seed, given=after, offline=given)
        train_maze(options, path, episodes=self._episodes)
        return path

    def baseline(self, seed: int) -> DecisionLearner:
        """The decision transformer: as many decisions an update, in windows of its context."""
        torch.manual_seed(seed)
        shape = DecisionConfig(features=FEATURES[self.view], actions=4)
        learner = DecisionLearner(DecisionTransformer(shape))
        context, lanes = learner.module.config.context, self._options.lanes * self._options.window
        options = replace(self._options, lanes=lanes // context, window=context, rate=DT_RATE)
        path = KEPT / f"{self.view}-{seed}-dt.safetensors"
        OfflineRun(learner, self._episodes, options).train(path)
        return learner

    def _episodes(self) -> Episodes:
        if self._data is None:
            self._data = data(self._options, self.env_id)
        return self._data


class OnChip:
    """A program as a learner reads: what it chose as one-hot rows."""

    def __init__(self, entrant: Entrant, lanes: int) -> None:
        self.module = torch.nn.Module()
        self._agent = entrant.agent(lanes)

    def read(self, observations: Array, starts: Array) -> tuple[Tensor, Tensor]:
        chosen = []
        for now, fresh in zip(observations, starts, strict=True):
            lanes = np.flatnonzero(fresh).tolist()
            self._agent.reset(lanes, [episode_rng(0)] * len(lanes))
            chosen.append(self._agent.act(now.astype(np.float64)))
        return torch.eye(4)[torch.from_numpy(np.stack(chosen))], torch.zeros(())

    def learning(self) -> AbstractContextManager[None]:
        return nullcontext()

    def memory(self) -> dict[str, Tensor]:
        return {}

    def remember(self, memory: Mapping[str, Tensor]) -> None:
        """Every episode starts with a reset."""


def played(player: Any, trainer: Trainer, test: Episodes) -> dict[str, Any]:
    """Accuracy and closed loop of a network in torch."""
    exact = accuracy(player, test)
    player.clear()
    return {
        "accuracy": exact,
        **_success(returns(player, trainer.env_id, TEST_MAZES[:MAZES], lanes=LANES), test),
    }


def on_chip(path: Path, test: Episodes) -> dict[str, Any]:
    """The same of its program, with what a decision costs."""
    subject = resolve(str(path))
    entrant = Entrant.of(subject, "loihi")
    program = subject.program()
    found = evaluate(entrant, episodes=MAZES, seed=TEST_MAZES.start, batch=LANES)
    assert found.activity is not None
    decisions, counts = found.decisions, found.activity
    energy = next(iter(found.energy.values())).to_dict()
    return {
        "accuracy": accuracy(OnChip(entrant, LANES), test, lanes=LANES),
        **_success(found.returns, test),
        "neurons": program.neurons,
        "synapses": sum(int(s.weight.size) for s in program.synapses),
        "cores": len({part.core for part in program.placement}),
        "ticks": found.ticks_per_decision,
        "spikes": int(counts.spikes.sum()) / decisions,
        "host_spikes": counts.host_spikes / decisions,
        "synops": counts.synaptic_ops / decisions,
        "updates": int(counts.updates.sum()) / decisions,
        "rates": found.rates,
        "energy": {name: energy[name] for name in ("profile", "running_total_j", "decision_s", "at_least")},
        "kernel_decisions_per_s": found.decisions_per_s,
        "digest": found.digest,
    }


def _success(totals: Array, test: Episodes) -> dict[str, Any]:
    shortest = test.ends - np.flatnonzero(test.starts)
    found = totals > -LIMIT
    return {
        "success": float(found.mean()),
        "optimal": float((totals == -shortest).mean()),
        "moves": float(-totals[found].mean()),
        "shortest": float(shortest[found].mean()),
        "weighted": float(np.where(found, shortest / -totals, 0.0).mean()),
    }


def measure(variant: str, seed: int, trainer: Trainer, test: Episodes) -> dict[str, Any]:
    """One network of one seed: ``dt``, ``torch``, ``chip`` and its bits; behind ``-`` may be a spike cost."""
    if variant == "dt":
        player: Any = trainer.baseline(seed)
        return {**played(player, trainer, test), "parameters": parameters(player.module)}
    kind, _, spike_cost = variant.partition("-")
    bits = 8 if kind == "torch" else int(kind.removeprefix("chip"))
    path = trainer.spiking(seed, bits, float(spike_cost) if spike_cost else None)
    without = {"cut": accuracy(Streaming(without_attention(load(path).policy)), test)}
    if kind != "torch":
        return {**on_chip(path, test), **without}
    player = Streaming(load(path).policy)
    return {**played(player, trainer, test), **without, "parameters": parameters(player.module)}


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def context_cost(path: Path, trainer: Trainer, test: Episodes) -> dict[str, Any]:
    """Synops and time of a decision after more and more others, none of them forgotten by a reset."""
    agent = Entrant.of(resolve(str(path)), "loihi").agent(1)
    program = agent.program  # type: ignore[attr-defined]  # of a ChipAgent
    wiring, rows = Wiring(program), test.observations[:LOOP].astype(np.float64)
    agent.reset([0], [episode_rng(0)])
    synops, seconds = [0], []
    for decision in range(CONTEXTS[-1]):
        began = time.perf_counter()
        agent.act(rows[decision % LOOP][None])
        seconds.append(time.perf_counter() - began)
        if decision % LOOP == LOOP - 1:
            counts = agent.counts()
            done = wiring.activity(counts.spikes[0], ticks=1, decisions=1, active=None)
            synops.append(done.synaptic_ops)
    each = np.diff(synops) / LOOP
    streaming = [
        {
            "context": n,
            "synops": float(each[n // LOOP - 1]),
            "seconds": float(np.median(seconds[max(0, n - 100) : n])),
        }
        for n in CONTEXTS
    ]
    shape = DecisionConfig(features=FEATURES[trainer.view], actions=4)
    return {"streaming": streaming, "dt": [_dt_cost(shape, n) for n in CONTEXTS]}


def _dt_cost(shape: DecisionConfig, context: int) -> dict[str, Any]:
    module = DecisionTransformer(replace(shape, context=context)) if context <= TIMED else None
    module_macs = DecisionTransformer(shape).macs
    row: dict[str, Any] = {
        "context": context,
        "macs_cached": module_macs(context, cached=True),
        "macs_window": module_macs(context, cached=False),
        "seconds_window": None,
    }
    if module is not None:
        x = torch.zeros(1, context, shape.features + shape.actions + 1)
        starts = torch.zeros(1, context, dtype=torch.bool)
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            with torch.no_grad():
                module(x, starts)
            taken.append(time.perf_counter() - began)
        row["seconds_window"] = float(np.median(taken))
    return row


def measured(view: str, seed: int, variant: str, *, only_kept: bool = False) -> dict[str, Any] | None:
    """Figures of one network, kept beside the checkpoints; ``None`` where they are not and are not wanted."""
    path = KEPT / f"{view}-{seed}-{variant}.json"
    if not path.exists():
        if only_kept:
            return None
        trainer = Trainer(view)
        test = collected(trainer.env_id, TEST_MAZES[:MAZES], hindsight=False)
        before = os.getloadavg()[0]
        row = measure(variant, seed, trainer, test)
        path.write_text(json.dumps({**row, "load": [before, os.getloadavg()[0]]}), "utf-8")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def measure_all(*, only_kept: bool) -> None:
    """Everything, into the result file."""
    KEPT.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    for view in VIEWS:
        for seed in SEEDS:
            rows = {name: measured(view, seed, name, only_kept=only_kept) for name in LABELS}
            runs.append({"view": view, "seed": seed, "rows": {k: row for k, row in rows.items() if row}})
    trainer = Trainer("signs")
    test = collected(trainer.env_id, TEST_MAZES[:1], hindsight=False)
    charged = {}
    for cost in SPIKE_COSTS:
        variant = "chip8" if cost == trainer.spike_cost else f"chip8-{cost:g}"
        charged[cost] = measured("signs", SEEDS[0], variant, only_kept=only_kept)
    found = {
        "mazes": MAZES,
        "runs": runs,
        "spike_costs": [{"spike_cost": cost, **row} for cost, row in charged.items() if row],
        "context": context_cost(trainer.spiking(0), trainer, test),
    }
    RESULT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--json", action="store_true", help="train, measure, write results/maze.json")
    what.add_argument("--kept", action="store_true", help="write it of what runs/maze has, measuring no more")
    what.add_argument("--table", action="store_true", help="write docs/mazes.md's tables, measure nothing")
    args = parser.parse_args(argv)
    register()
    if not args.table:
        with one_thread():
            measure_all(only_kept=args.kept)
    else:
        write(json.loads(RESULT.read_text("utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
