"""What a decision costs as a window grows, beside streaming: the same weights and the same observations.

For ``benchmarks.transformers``. A window's network is the shipped streaming policy of mazes with ``sdsa`` of
K decisions in its attention's place. All weights are taken over that both have; they differ in what sums
K ⊙ V alone, which in streaming has weights and memories and in a window neither. So token, query, key, value
and K ⊙ V spike the same for every K, and only what the sum lets through, and what comes after it, differs.
What is chosen by it is not looked at; the cost is.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.energy import Wiring
from strl.errors import StrlError
from strl.loop.agent import ChipAgent, episode_rng
from strl.loop.subject import of_policy
from strl.policies.decision_transformer import DecisionConfig, DecisionTransformer
from strl.policies.library import load_policy
from strl.policies.policy import SpikingPolicy
from strl.policies.transformer import SpikingTransformer
from strl.training.mazes import TEST_MAZES, collected

SHIPPED, ENV = "maze-transformer", "strl/MazeSigns-v0"
CONTEXTS = (1, 2, 5, 10, 20, 50, 100)
MAZES, WARM, COUNTED = 20, 100, 400
"""Mazes whose expert's observations are shown, one after another and nothing forgotten in between; decisions
before any is counted, so that every window is full; and decisions that are."""
SHARED = ("token", "attention.query", "attention.key", "attention.value", "attention.bind")
OF_THEIR_OWN = {"memory_in", "memory", "mask"}
"""What sums K ⊙ V in one and in the other, alone of which nothing is taken over."""


def windows(policy: SpikingPolicy | None = None) -> dict[str, Any]:
    """Cost of a decision for each K, of streaming, and of the decision transformer."""
    policy = load_policy(SHIPPED) if policy is None else policy
    seen = collected(ENV, TEST_MAZES[:MAZES], hindsight=False).observations[: WARM + COUNTED]
    assert len(seen) == WARM + COUNTED
    rows: list[dict[str, Any]] = []
    for context in CONTEXTS:
        try:
            row = cost(windowed(policy, context), seen)
        except StrlError as error:
            row = {"error": error.message}
        rows.append({"context": context, **row})
    features = seen.shape[1] - 5  # less the last action of four and the return to go
    module = DecisionTransformer(DecisionConfig(features=features, actions=4))
    macs = [
        {"context": k, "cached": module.macs(k, cached=True), "window": module.macs(k, cached=False)}
        for k in CONTEXTS
    ]
    return {"decisions": COUNTED, "sdsa": rows, "streaming": cost(policy, seen), "dt": macs}


def windowed(policy: SpikingPolicy, context: int) -> SpikingPolicy:
    """The policy with ``sdsa`` of K = ``context`` in the place of streaming, all else the same."""
    assert isinstance(policy.module, SpikingTransformer)
    module = SpikingTransformer(replace(policy.module.config, attention="sdsa", context=context))
    theirs, mine = policy.module.state_dict(), module.state_dict()
    left = {name.split(".attention.")[-1].split(".")[0] for name in theirs.keys() ^ mine.keys()}
    assert left == OF_THEIR_OWN, left
    module.load_state_dict({name: theirs.get(name, value) for name, value in mine.items()})
    module.eval()
    return replace(policy, module=module)


def cost(policy: SpikingPolicy, seen: NDArray[Any]) -> dict[str, Any]:
    """Of one decision on the chip, mean over those that are counted; time is the median, of the processor."""
    program = of_policy(policy).program()
    agent, wiring = ChipAgent(program, "loihi", 1), Wiring(program)
    agent.reset([0], [episode_rng(0)])
    seconds = []
    before = agent.counts().spikes[0]
    for number, now in enumerate(seen.astype(np.float64)):
        if number == len(seen) - COUNTED:
            before = agent.counts().spikes[0].copy()
        began = time.thread_time()
        agent.act(now[None])
        seconds.append(time.thread_time() - began)
    spikes = agent.counts().spikes[0] - before
    done = wiring.activity(spikes, ticks=COUNTED * agent.ticks, decisions=COUNTED, active=None)
    agent.close()
    shared = [columns for name, columns in agent.populations.items() if name.split(".", 2)[-1] in SHARED]
    return {
        "synops": done.synaptic_ops / COUNTED,
        "spikes": (int(done.spikes.sum()) + done.host_spikes) / COUNTED,
        "shared_spikes": sum(int(spikes[columns].sum()) for columns in shared) / COUNTED,
        "updates": int(done.updates.sum()) / COUNTED,
        "neurons": program.neurons,
        "synapses": sum(int((np.asarray(s.weight) != 0).sum()) for s in program.synapses),
        "cores": len({part.core for part in program.placement}),
        "seconds": float(np.median(seconds[-COUNTED:])),
    }
