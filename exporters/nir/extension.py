"""Nodes that NIR has no word for, written as nodes of a type of our own: ``strl.KIND``.

Another reader stops at such a type, which is right: no node that it knows computes the same. Arrays stand in
the file, all else in the manifest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from exporters.nir.form import Entries, Form
from exporters.nir.graph import EXTENSION, Found
from strl.errors import ModelError
from strl.ir.nodes import NODES, Node, Shape


class Foreign:
    """A node of a type that nir does not know, as far as ``nir.write`` looks at it."""

    def __init__(self, type_: str, values: Mapping[str, Any]) -> None:
        self.type_, self.values = type_, values

    def to_dict(self) -> dict[str, Any]:
        return {"type": self.type_, **self.values}


def form_of(kind: type[Node]) -> Form:
    """The form of a node class that no other form knows: its fields, as they are.

    Raises:
        ModelError: the class is not registered, so that nothing could read it back.
    """
    if kind.kind not in NODES or NODES[kind.kind] is not kind:
        raise ModelError(f"NIR has no node for a {kind.kind}")
    names = [f.name for f in dataclasses.fields(kind)]

    def arrays(node: Node) -> dict[str, Any]:
        return {name: value for name in names if isinstance(value := getattr(node, name), np.ndarray)}

    def write(node: Node, dt: float, shape: Shape) -> Any:
        return Foreign(EXTENSION + kind.kind, {name: np.atleast_1d(v) for name, v in arrays(node).items()})

    def describe(node: Node, dt: float) -> Entries:
        held = arrays(node)
        plain = {name: getattr(node, name) for name in names if name not in held}
        for name, value in plain.items():
            if not isinstance(value, bool | int | float | str):
                raise ModelError(f"{name} is a {type(value).__name__}, which is not written")
        return plain

    def read(found: Found, entries: Entries, dt: float) -> Node:
        values = {**found.values, **entries}
        missing = sorted(set(names) ^ set(values))
        if missing:
            raise ModelError(f"manifest and file together have {', '.join(missing)} missing or too much")
        try:
            return kind(**values)
        except (TypeError, ValueError) as error:
            raise ModelError(f"manifest: {error}") from error

    return Form(
        kinds=(EXTENSION + kind.kind,), write=write, read=read, describe=describe, entries=frozenset(names)
    )


def kind_of(type_: str) -> type[Node]:
    """The node class that a type of ours stands for."""
    name = type_.removeprefix(EXTENSION)
    if name not in NODES:
        raise ModelError(f"there is no node {name!r:.60} in this strl", hint="update strl")
    return NODES[name]
