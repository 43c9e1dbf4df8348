"""What stands in a scanned file, as plain data: nodes with their arrays, and edges; nothing is interpreted.

Nested graphs are laid flat: node ``b`` inside ``a`` is ``a.b``, and the inner Input and Output stay as nodes
of kind ``Inner``, which only pass values on.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from strl.errors import ModelError

EXTENSION = "strl."
"""What the types of our own nodes begin with, which NIR has no word for; see ``exporters.nir.extension``."""
INNER = "Inner"
"""Kind of the Input or Output of a nested graph."""
NODES_MAX = 1024
EDGES_MAX = 4096
VALUE_MAX = 1e30
"""No constant of a network is larger."""
NESTING_MAX = 6
"""Graphs in graphs."""

NEURONS = ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF", "Threshold")

FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "Input": ({"shape"}, set()),
    "Output": ({"shape"}, set()),
    "Linear": ({"weight"}, set()),
    "Affine": ({"weight", "bias"}, set()),
    "Scale": ({"scale"}, set()),
    "Conv1d": ({"weight", "bias", "stride", "padding", "dilation", "groups"}, {"input_shape"}),
    "Conv2d": ({"weight", "bias", "stride", "padding", "dilation", "groups"}, {"input_shape"}),
    "SumPool2d": ({"kernel_size", "stride", "padding"}, set()),
    "AvgPool2d": ({"kernel_size", "stride", "padding"}, set()),
    "Flatten": ({"start_dim", "end_dim"}, {"input_type"}),
    "Delay": ({"delay"}, set()),
    "Threshold": ({"threshold"}, set()),
    "I": ({"r"}, set()),
    "LI": ({"tau", "r", "v_leak"}, set()),
    "IF": ({"r", "v_threshold"}, {"v_reset"}),
    "LIF": ({"tau", "r", "v_leak", "v_threshold"}, {"v_reset"}),
    "CubaLI": ({"tau_syn", "tau_mem", "r", "v_leak", "w_in"}, set()),
    "CubaLIF": ({"tau_syn", "tau_mem", "r", "v_leak", "w_in", "v_threshold"}, {"v_reset"}),
}
"""Fields that a node of each type must and may have."""

WHOLE = {"shape", "stride", "padding", "dilation", "groups", "kernel_size", "start_dim", "end_dim"} | {
    "input_shape",
    "input_type",
}
"""Fields of integers."""
WORDS = {"same", "valid"}
"""What ``padding`` may say instead of numbers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A node as it stands in the file: its type, and its fields as arrays (``padding`` perhaps a word)."""

    kind: str
    values: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.values[field]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """Nodes by name in natural order ("2" before "10"), and edges; HDF5 keeps no order of nodes."""

    nodes: Mapping[str, Found]
    edges: tuple[tuple[str, str], ...]
    _into: dict[str, list[str]] = dataclasses.field(default_factory=dict, init=False, repr=False)
    _out_of: dict[str, list[str]] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for a, b in self.edges:
            self._into.setdefault(b, []).append(a)
            self._out_of.setdefault(a, []).append(b)

    def into(self, name: str) -> Sequence[str]:
        return self._into.get(name, ())

    def out_of(self, name: str) -> Sequence[str]:
        return self._out_of.get(name, ())


def natural(name: str) -> tuple[Any, ...]:
    """Sort key under which numbers in names count as numbers."""
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d{1,18})", name) if p)


def read_graph(file: h5py.File, where: str) -> Graph:
    """The graph of a file whose objects and links were examined.

    Raises:
        ModelError: a node or edge that NIR does not have, or a value that cannot be.
    """
    root = group_of(file, "node", where)
    kind = text_of(root, "type", where)
    if kind != "NIRGraph":
        raise ModelError(f"{where}: its root is a {kind}, must be a NIRGraph")
    nodes, edges = _level(root, where, "", 0)
    if len(nodes) > NODES_MAX or len(edges) > EDGES_MAX:
        raise ModelError(
            f"{where}: has {len(nodes)} nodes and {len(edges)} edges; {NODES_MAX} and {EDGES_MAX} are read"
        )
    ordered = {name: nodes[name] for name in sorted(nodes, key=natural)}
    return Graph(nodes=ordered, edges=tuple(edges))


def _level(
    group: h5py.Group, where: str, prefix: str, depth: int
) -> tuple[dict[str, Found], list[tuple[str, str]]]:
    """Nodes and edges of a graph and of those in it, under their full names."""
    at = f"{where}: {prefix.rstrip('.')}" if prefix else where
    if depth > NESTING_MAX:
        raise ModelError(f"{at}: graphs nest deeper than {NESTING_MAX}")
    _only(group, {"type", "nodes", "edges", "metadata"}, f"{at}: graph")
    children = group_of(group, "nodes", at)
    nodes: dict[str, Found] = {}
    ports: dict[str, tuple[str, str]] = {}
    edges: list[tuple[str, str]] = []
    for key in children:
        name = key if prefix and key.startswith(prefix) else prefix + key
        child = group_of(children, key, at)
        if text_of(child, "type", f"{where}: {name}") == "NIRGraph":
            inner, inside = _level(child, where, f"{name}.", depth + 1)
            ports[name] = (_port(inner, name, where, "Input"), _port(inner, name, where, "Output"))
            new = {n: Found(kind=INNER, values=f.values) if n in ports[name] else f for n, f in inner.items()}
            edges += inside
        else:
            new = {name: _node(child, f"{where}: {name}")}
        for fresh in new:
            if fresh in nodes:
                raise ModelError(f"{where}: two nodes are called {fresh!r} once nested graphs are laid flat")
        nodes |= new
    edges += _joined(group, at, prefix, nodes, ports)
    return nodes, edges


def _port(inner: Mapping[str, Found], name: str, where: str, kind: str) -> str:
    found = [n for n, f in inner.items() if f.kind == kind]
    if len(found) != 1:
        raise ModelError(f"{where}: {name}: a nested graph with {len(found)} {kind} nodes, must be 1")
    return found[0]


def _joined(
    group: h5py.Group,
    at: str,
    prefix: str,
    nodes: Mapping[str, Found],
    ports: Mapping[str, tuple[str, str]],
) -> list[tuple[str, str]]:
    """A graph's own edges; those of a nested graph lead from its Output and to its Input."""
    seen: set[tuple[str, str]] = set()
    joined = []
    for a, b in _edges(group, at):
        ends = []
        for end, side in ((a, 1), (b, 0)):
            name = end if prefix and end.startswith(prefix) else prefix + end
            if name not in ports and name not in nodes:
                raise ModelError(f"{at}: edge {a} → {b} names no node {end!r}")
            ends.append(ports[name][side] if name in ports else name)
        _directed(ends, nodes, f"{at}: edge {a} → {b}")
        edge = (ends[0], ends[1])
        if edge in seen:
            raise ModelError(f"{at}: edge {a} → {b} stands twice")
        seen.add(edge)
        joined.append(edge)
    return joined


def _directed(ends: Sequence[str], nodes: Mapping[str, Found], where: str) -> None:
    """Nothing leads into a graph's own Input or out of its Output; those of graphs in it are ``Inner``."""
    if nodes[ends[1]].kind == "Input":
        raise ModelError(f"{where} leads into an Input, which takes what comes from outside alone")
    if nodes[ends[0]].kind == "Output":
        raise ModelError(
            f"{where} leads out of an Output, where a graph ends", hint="let it begin at the node before"
        )


def _edges(group: h5py.Group, where: str) -> list[tuple[str, str]]:
    edges = group.get("edges")
    if not isinstance(edges, h5py.Dataset) or h5py.check_string_dtype(edges.dtype) is None:
        raise ModelError(f"{where}: has no edges")
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise ModelError(f"{where}: edges have shape {edges.shape}, must be [edges, 2]")
    try:
        return [(str(a), str(b)) for a, b in edges.asstr()[()]]
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: edges are not text: {error}") from error


def _node(group: h5py.Group, where: str) -> Found:
    """A node with every field that its type has, checked one by one and together."""
    kind = text_of(group, "type", where)
    if kind.startswith(EXTENSION):
        fields = [field for field in group if field not in ("type", "metadata")]
        return Found(kind=kind, values={field: _value(group, field, where) for field in fields})
    if kind not in FIELDS:
        raise ModelError(
            f"{where}: nodes of type {kind!r} are not read", hint=f"known: {', '.join(sorted(FIELDS))}"
        )
    needed, possible = FIELDS[kind]
    for field in sorted(needed):
        if field not in group:
            raise ModelError(f"{where}: a {kind} has a field {field!r}, this one has none")
    _only(group, needed | possible | {"type", "metadata"}, f"{where}: {kind}")
    values = {field: _value(group, field, where) for field in sorted(needed | (possible & set(group)))}
    if kind in NEURONS:
        _neurons(values, where)
    elif kind in ("Linear", "Affine", "Conv1d", "Conv2d"):
        _weights(kind, values, where)
    return Found(kind=kind, values=values)


def _value(group: h5py.Group, field: str, where: str) -> Any:
    dataset = group[field]
    if not isinstance(dataset, h5py.Dataset):
        raise ModelError(f"{where}: {field} is not an array of numbers")
    if field == "padding" and h5py.check_string_dtype(dataset.dtype) is not None:
        word = text_of(group, field, where)
        if word not in WORDS:
            raise ModelError(f"{where}: padding = {word!r}, must be 'same', 'valid' or integers")
        return word
    if dataset.dtype.kind not in ("iu" if field in WHOLE else "fiu"):
        raise ModelError(f"{where}: {field} is not an array of {'integers' if field in WHOLE else 'numbers'}")
    values = dataset[()]
    if not np.size(values) or not np.isfinite(values).all():
        raise ModelError(f"{where}: {field} is empty or not finite")
    if max(abs(float(values.max())), abs(float(values.min()))) > VALUE_MAX:
        raise ModelError(f"{where}: {field} holds a value beyond ±{VALUE_MAX:g}, which is taken for damage")
    if field in ("shape", "input_type") and (np.ndim(values) != 1 or not (values >= 0).all()):
        raise ModelError(f"{where}: {field} = {np.ravel(values)[:8].tolist()}, must be a row of sizes")
    if field == "shape" and not (values >= 1).all():
        raise ModelError(f"{where}: shape = {values[:8].tolist()}, must be a row of sizes")
    return values


def _weights(kind: str, values: Mapping[str, Any], where: str) -> None:
    shape = values["weight"].shape
    axes = {"Conv1d": (3,), "Conv2d": (4,)}.get(kind, tuple(range(2, 8)))
    if len(shape) not in axes:
        form = "[out, in]" if kind in ("Linear", "Affine") else "[out, in, *window]"
        raise ModelError(f"{where}: weight has shape {shape}, must be {form}")
    wanted = shape[:1] if len(axes) == 1 else shape[:-1]
    if "bias" in values and np.shape(values["bias"]) != wanted:
        raise ModelError(f"{where}: bias has shape {np.shape(values['bias'])}, must be {wanted}")


def _neurons(values: Mapping[str, Any], where: str) -> None:
    """Time constants are positive, and the shapes of the fields fit each other; single numbers fit any."""
    shapes = {field: value.shape for field, value in values.items() if np.size(value) > 1}
    if len(set(shapes.values())) > 1:
        raise ModelError(f"{where}: fields of different shapes {shapes}")
    for field in ("tau", "tau_mem", "tau_syn"):
        if field in values and not (values[field] > 0).all():
            raise ModelError(f"{where}: {field} = {np.min(values[field]):g}, must be above 0")
    if "v_reset" in values and not np.all(values["v_reset"] <= values["v_threshold"]):
        raise ModelError(f"{where}: v_reset lies above v_threshold: a spike would never end")


def group_of(parent: h5py.Group, name: str, where: str) -> h5py.Group:
    group = parent.get(name)
    if not isinstance(group, h5py.Group):
        raise ModelError(f"{where}: has no group {name!r}")
    return group


def text_of(group: h5py.Group, name: str, where: str) -> str:
    item = group.get(name)
    if not isinstance(item, h5py.Dataset) or h5py.check_string_dtype(item.dtype) is None or item.shape != ():
        raise ModelError(f"{where}: has no {name}")
    try:
        return str(item.asstr()[()])
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: {name} is not text: {error}") from error


def _only(group: h5py.Group, known: set[str], where: str) -> None:
    for name in group:
        if name not in known:
            raise ModelError(
                f"{where} has an unknown field {name!r}; ignoring it could change what it computes"
            )
