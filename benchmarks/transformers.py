"""The transformers: equality, cost over the context, attentions beside one another, firing against return.

    python -m benchmarks.transformers                     all parts: results/transformers.json
    python -m benchmarks.transformers equality streaming  some parts; the others stay as they are in the file
    python -m benchmarks.transformers --table             docs/transformer.md's tables and plot from the file

Networks that are trained for it are kept in runs/transformers, as `strl train` keeps its own. Returns, energy
and Lava of what is shipped are measured by `python -m benchmarks.results`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.apart import apart
from benchmarks.attentions import attentions, cut, maze_attentions
from benchmarks.equality import InUse, Walk, equality
from benchmarks.results import LAVA_DECISIONS
from benchmarks.transformers_page import write
from benchmarks.windows import windows
from strl.energy import Wiring
from strl.environments import register
from strl.loop.agent import Agent, ChipAgent, episode_rng
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.statistics import iqm
from strl.loop.subject import resolve
from strl.policies.library import load_policy, shipped
from strl.policies.policy import SpikingPolicy
from strl.policies.threads import one_thread
from strl.policies.transformer import SpikingTransformer
from strl.training.episodes import TEST_SEEDS
from strl.training.expert import train_expert
from strl.training.recipes import expert_recipe
from strl.training.sequence import SequenceRun, SequenceStudent, returns
from strl.training.transformer import configure_sequence, train_transformer

ROOT = Path(__file__).resolve().parents[1]
RESULT, KEPT = ROOT / "results" / "transformers.json", ROOT / "runs" / "transformers"
HIDDEN, TEACHER, MEMORY = "strl/CartPoleHidden-v0", "CartPole-v1", "cartpole-hidden-transformer"
NAMES = (
    "cartpole-hidden-transformer",
    "cartpole-hidden-transformer-4bit",
    "lunarlander-transformer",
    "maze-transformer",
)
CONTEXTS = (10, 30, 100, 300, 1000, 3000, 10_000)
LOOP = 10
"""Decisions that are repeated: the same observations with more and more before them."""
EPISODES = 50
"""Of which the speed in closed loop is."""
BATCHES = (1, 25)
WARM = 1000
"""Decisions before a reset, of which the processor's caches are warm and the agent remembers nothing."""
COSTS = (0.0, 0.1, 0.3, 1.0)
"""Of a spike, at which the return is measured."""
NO_MEMORY = {"transformer, reset every decision": 0, "plain MLP of 64, 64": 64, "plain MLP of 256, 256": 256}
"""What is trained for the memory test, and how wide the plain networks are."""
Array = NDArray[Any]


def _begin(agent: Agent) -> None:
    agent.reset(range(agent.batch), [episode_rng(slot) for slot in range(agent.batch)])


def streaming(name: str) -> dict[str, Any]:
    """Synops and time of a decision after more and more others, and decisions a second in closed loop."""
    entrant = Entrant.of(resolve(name), "loihi")
    agent = entrant.agent(1)
    assert isinstance(agent, ChipAgent)
    wiring, walk = Wiring(agent.program), Walk(load_policy(name), 1)
    rows = []
    for _ in range(LOOP):
        rows.append(walk.now)
        walk.step()
    for decision in range(WARM):
        agent.act(rows[decision % LOOP])
    _begin(agent)
    before, synops, seconds = _load(), [0], []
    for decision in range(CONTEXTS[-1]):
        began = time.thread_time()
        agent.act(rows[decision % LOOP])
        seconds.append(time.thread_time() - began)
        if decision % LOOP == LOOP - 1:
            counts = agent.counts()
            synops.append(wiring.activity(counts.spikes[0], ticks=1, decisions=1, active=None).synaptic_ops)
    each = np.diff(synops) / LOOP
    return {
        "contexts": [
            {"context": n, "synops": float(each[n // LOOP - 1]), "seconds": _typical(seconds, n)}
            for n in CONTEXTS
        ],
        "closed_loop": {
            str(batch): evaluate(entrant, episodes=EPISODES, batch=batch).decisions_per_s for batch in BATCHES
        },
        "apart": {str(batch): _apart(entrant, batch) for batch in BATCHES},
        "load": [before, _load()],
    }


def _apart(entrant: Entrant, batch: int) -> dict[str, float]:
    with closing(entrant.agent(batch)) as agent:
        return apart(agent, episodes=EPISODES)


def _typical(seconds: Sequence[float], context: int) -> float:
    """Median time of the decisions around a context of this length, a tenth of it to either side."""
    near = max(5, context // 10)
    return float(np.median(seconds[context - near : context + near]))


def _load() -> float:
    return os.getloadavg()[0]


class Forgetful(SequenceStudent):
    """The same network, trained and used with its state cleared before every decision."""

    def read(self, observations: Array, starts: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
        return super().read(observations, np.ones_like(starts))

    def __call__(self, observations: Array) -> Array:
        self.clear()
        return super().__call__(observations)


class Memoryless(SequenceStudent):
    """A plain network of two hidden layers in the place of a transformer."""

    def __init__(self, policy: SpikingPolicy, width: int) -> None:
        super().__init__(policy)
        layers = nn.Linear(self.encoder.size, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()
        self.module = nn.Sequential(*layers, nn.Linear(width, self.decoder.size))
        self._neurons = []

    def _decisions(self, drive: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
        # A direct encoder gives the same in every tick: what was observed, in units of its range.
        return self.module(drive[:: self.semantics.ticks]), torch.zeros(())


def memory() -> dict[str, Any]:
    """Returns in hidden CartPole of what cannot remember, learned as the transformer is."""
    options = configure_sequence(HIDDEN, given={}, imitation={})
    plan = replace(options.imitation, spike_cost=0.0)
    expert = train_expert(
        TEACHER, expert_recipe(TEACHER, discrete=True), seed=options.seed, path=KEPT / "expert.safetensors"
    )
    found = {}
    for label, width in NO_MEMORY.items():
        torch.manual_seed(options.seed)
        policy = load_policy(MEMORY)
        if width:
            student: SequenceStudent = Memoryless(policy, width)
        else:
            student = Forgetful(replace(policy, module=SpikingTransformer(policy.module.config)))
        run = SequenceRun(student, expert.preferences, HIDDEN, plan, options.seed)
        validation = run.train(KEPT / f"memoryless-{width}.safetensors")
        total = returns(student, HIDDEN, TEST_SEEDS, lanes=50)
        found[label] = {"validation_mean": validation, "iqm": iqm(total), "best": float(total.max())}
    return found


def lava(name: str) -> dict[str, Any]:
    """Digests of the kernel and of one Lava process of ours, over the episodes of 1000 decisions.

    Lava's stock processes, which take minutes an episode, are measured by ``benchmarks.results``.
    """
    entrant = Entrant.of(resolve(name), "loihi")
    lengths = np.cumsum([e.length for e in evaluate(entrant, episodes=EPISODES).episodes])
    episodes = min(1 + int(np.searchsorted(lengths, LAVA_DECISIONS)), EPISODES)
    digests = {
        backend: evaluate(Entrant.of(resolve(name), backend), episodes=episodes).digest
        for backend in ("loihi", "lava-fused")
    }
    return {"episodes": episodes, "decisions": int(lengths[episodes - 1]), "digest": digests}


def spikes() -> list[dict[str, Any]]:
    """Firing and return on the chip of transformers that were charged differently for a spike."""
    rows = []
    for cost in COSTS:
        path = KEPT / f"cost-{cost:g}.safetensors"
        if not path.exists():
            options = configure_sequence(HIDDEN, given={}, imitation={"spike_cost": cost})
            train_transformer(options, path)
        rows.append({"spike_cost": cost, **firing(str(path))})
    return rows


def firing(name: str) -> dict[str, Any]:
    """Return on the chip over the seeds 0..99, and the spikes of a neuron and driven tick."""
    found = evaluate(Entrant.of(resolve(name), "loihi"), episodes=len(TEST_SEEDS))
    assert found.activity is not None
    sent = np.sum([episode.spikes for episode in found.episodes], axis=0) / found.decisions
    ticks = resolve(name).semantics.ticks
    # The read-out is of neurons that cannot spike.
    populations = {p: sent[found.populations[p]] / ticks for p in found.computing if p != "out"}
    joules = next(iter(found.energy.values())).to_dict()["running_total_j"]
    return {
        "iqm": found.iqm,
        "mean": float(found.returns.mean()),
        "ci95": found.ci95,
        "firing": float(np.concatenate(list(populations.values())).mean()),
        "populations": {p: float(rate.mean()) for p, rate in populations.items()},
        "synops": found.activity.synaptic_ops / found.decisions,
        "core_j": joules["core"][0],
        "host_j": joules["host"][0],
        "decisions": found.decisions,
    }


def _each(measure: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return {name: measure(name) for name in NAMES if name in shipped()}


PARTS: Mapping[str, Callable[[], Any]] = {
    "equality": lambda: _each(lambda name: equality(name, Walk)),
    "in-use": lambda: _each(lambda name: equality(name, InUse)),
    "streaming": lambda: _each(streaming),
    "firing": lambda: _each(firing),
    "lava": lambda: _each(lava),
    "cut": lambda: _each(cut),
    "windows": windows,
    "attentions": lambda: attentions(KEPT),
    "maze-attentions": lambda: maze_attentions(KEPT),
    "memory": memory,
    "spikes": spikes,
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--table", action="store_true", help="write docs/transformer.md's tables and plot")
    args = parser.parse_args(argv)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    register()
    if not args.table:
        KEPT.mkdir(parents=True, exist_ok=True)
        for part in args.parts or PARTS:
            with one_thread():
                made = PARTS[part]()
            found = {**_measured(), part: made}
            RESULT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    write(_measured())
    return 0


def _measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    return found


if __name__ == "__main__":
    sys.exit(main())
