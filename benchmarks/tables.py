"""Measurements as Markdown: a table, a return with its interval, a document with a table between marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def iqm(returns: Mapping[str, Any]) -> str:
    """The interquartile mean of returns and its interval: ``499.0 [498.1, 500.0]``."""
    low, high = returns["ci95"]
    return f"{returns['iqm']:.1f} [{low:.1f}, {high:.1f}]"


def between(text: str, start: str, stop: str, made: str) -> str:
    """A document's text with what stands between two marks replaced."""
    head, rest = text.split(start, 1)
    return f"{head}{start}\n{made}\n{stop}{rest.split(stop, 1)[1]}"
