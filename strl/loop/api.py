"""The calls of ``strl.api`` that run a policy; each takes a name, a path or a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from strl.chip.exporter import composer
from strl.errors import UsageError
from strl.loop.agent import Agent
from strl.loop.compare import Comparison
from strl.loop.compare import compare as _compare
from strl.loop.evaluate import Entrant, Subject
from strl.loop.evaluate import evaluate as _evaluate
from strl.loop.results import Evaluation
from strl.loop.subject import of_policy
from strl.loop.subject import resolve as load
from strl.policies.policy import SpikingPolicy

__all__ = ["agent", "compare", "evaluate", "load", "load_module"]

Given = Subject | SpikingPolicy | str | Path
"""What ``load`` gave, a policy made in Python, or the name of either."""


def agent(subject: Given, *, backend: str = "loihi", batch: int = 1, strict: bool = False) -> Agent:
    """An agent with ``act``, ``reset`` and Stable-Baselines3's ``predict``; ``close`` it in the end."""
    return Entrant.of(subject_of(subject), backend, strict=strict).agent(batch)


def evaluate(
    subject: Given,
    *,
    backend: str = "loihi",
    weight_bits: int | None = None,
    strict: bool = False,
    **options: Any,
) -> Evaluation:
    """Play episodes; ``options`` are those of ``strl.loop.evaluate.evaluate``: env, episodes, seed, …"""
    return _evaluate(Entrant.of(subject_of(subject), backend, weight_bits, strict=strict), **options)


def compare(a: Given, b: Given | None = None, **options: Any) -> Comparison:
    """Compare two, or the float network of one with its chip program; see ``strl.loop.compare.compare``."""
    return _compare(subject_of(a), None if b is None else subject_of(b), **options)


def load_module(name: str | Path, *, producer: str | None = None, assume: str | None = None) -> Any:
    """The network of a ``.nir`` file (or of anything that ``load`` takes) as a snnTorch module, to train on.

    Args:
        name, producer, assume: as ``load``'s.

    Returns:
        A ``strl.policies.graph.SpikingGraph``: one call is one tick, ``reset_mem`` clears its states.

    Raises:
        ModelError: as ``load``; or a node that no module of snnTorch's is, which it names.
    """
    return composer()(load(str(name), producer=producer, assume=assume).network)


def subject_of(given: Given) -> Subject:
    """What ``given`` stands for; raises ``UsageError`` where it is nothing that runs."""
    if isinstance(given, SpikingPolicy):
        return of_policy(given)
    if isinstance(given, str | Path):
        return load(str(given))
    if not all(hasattr(given, what) for what in ("network", "semantics", "program")):
        raise UsageError(
            f"a {type(given).__name__} is not a policy",
            hint="give a name, a path, what strl.load returned, or SpikingPolicy(module=…, semantics=…)",
        )
    return given
