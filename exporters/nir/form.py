"""What a ``Form`` is: the two ways of one kind of node across the border to NIR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exporters.nir.graph import Found
from strl.errors import ModelError
from strl.ir.nodes import Node, Shape

Entries = Mapping[str, Any]
"""What a manifest says of one node."""


def nothing(node: Any, dt: float) -> Entries:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a node is written and read.

    Args:
        kinds: NIR's types that the node is written as.
        write: node, dt, shape of its input → NIR node.
        read: what stands in the file, the manifest's entries, dt → node; equal to what was written.
        describe: node, dt → the entries, for what NIR has no field for; plain data.
        entries: the names there can be.
    """

    kinds: tuple[str, ...]
    write: Callable[[Any, float, Shape], Any]
    read: Callable[[Found, Entries, float], Node]
    describe: Callable[[Any, float], Entries] = nothing
    entries: frozenset[str] = frozenset()


def sizes(value: Any, what: str) -> tuple[int, ...]:
    """A manifest's list of integers."""
    if not isinstance(value, list) or not all(isinstance(n, int) and not isinstance(n, bool) for n in value):
        raise ModelError(f"manifest: {what} = {value!r:.60}, must be a list of integers")
    return tuple(value)
