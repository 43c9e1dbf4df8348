"""The few calls that ``import strl`` offers; each takes a name where a subject is wanted."""

from __future__ import annotations

from typing import Any

from strl.loop.agent import Agent
from strl.loop.compare import Comparison
from strl.loop.compare import compare as _compare
from strl.loop.evaluate import Entrant, Subject
from strl.loop.evaluate import evaluate as _evaluate
from strl.loop.results import Evaluation
from strl.loop.subject import resolve as load

__all__ = ["agent", "compare", "evaluate", "load"]


def agent(subject: Subject | str, *, backend: str = "loihi", batch: int = 1, strict: bool = False) -> Agent:
    """An agent with ``act``, ``reset`` and Stable-Baselines3's ``predict``; ``close`` it in the end."""
    return Entrant.of(_subject(subject), backend, strict=strict).agent(batch)


def evaluate(
    subject: Subject | str,
    *,
    backend: str = "loihi",
    weight_bits: int | None = None,
    strict: bool = False,
    **options: Any,
) -> Evaluation:
    """Play episodes; ``options`` are those of ``strl.loop.evaluate.evaluate``: env, episodes, seed, …"""
    return _evaluate(Entrant.of(_subject(subject), backend, weight_bits, strict=strict), **options)


def compare(a: Subject | str, b: Subject | str | None = None, **options: Any) -> Comparison:
    """Compare two, or the float network of one with its chip program; see ``strl.loop.compare.compare``."""
    return _compare(_subject(a), None if b is None else _subject(b), **options)


def _subject(subject: Subject | str) -> Subject:
    return load(subject) if isinstance(subject, str) else subject
