"""The ``Form`` of each kind of node: how it is written to NIR and read back."""

from __future__ import annotations

from collections.abc import Mapping

import nir
import numpy as np

from exporters.nir import maps
from exporters.nir.extension import form_of, kind_of
from exporters.nir.form import Entries, Form
from exporters.nir.graph import EXTENSION, Found
from exporters.nir.neurons import ENTRIES, describe_neurons, read_neurons, write_neurons
from strl.errors import ModelError
from strl.ir.neurons import LIF
from strl.ir.nodes import NODES, Delay, Input, Node, Output


def _read_delay(found: Found, entries: Entries, dt: float) -> Delay:
    ticks = np.asarray(found["delay"], dtype=np.float64) / dt
    whole = np.round(ticks)
    if (np.abs(ticks - whole) > 1e-6).any() or (whole != whole.flat[0]).any():
        raise ModelError(f"delay of {np.unique(ticks)[:8].tolist()} ticks, must be one whole number")
    return Delay(ticks=int(whole.flat[0]), shape=ticks.shape)


def _shape(found: Found) -> tuple[int, ...]:
    return tuple(int(n) for n in found["shape"])


FORMS: Mapping[type[Node], Form] = {
    Input: Form(
        kinds=("Input",),
        write=lambda node, dt, shape: nir.Input(input_type={"input": np.array(node.shape, dtype=np.int64)}),
        read=lambda found, entries, dt: Input(shape=_shape(found)),
    ),
    Output: Form(
        kinds=("Output",),
        write=lambda node, dt, shape: nir.Output(
            output_type={"output": np.array(node.shape, dtype=np.int64)}
        ),
        read=lambda found, entries, dt: Output(shape=_shape(found)),
    ),
    Delay: Form(
        kinds=("Delay",),
        write=lambda node, dt, shape: nir.Delay(delay=np.full(node.shape, node.ticks * dt)),
        read=_read_delay,
    ),
    LIF: Form(
        kinds=("LIF", "LI", "IF", "I", "CubaLIF", "CubaLI", "Threshold"),
        write=write_neurons,
        read=read_neurons,
        describe=describe_neurons,
        entries=ENTRIES,
    ),
    **maps.FORMS,
}

KINDS: Mapping[str, Form] = {kind: form for form in FORMS.values() for kind in form.kinds}
"""By NIR's type. Where a node is written as a type that another form owns, the manifest says ``node``."""


def form(node: Node) -> Form:
    """How a node travels."""
    return FORMS[type(node)] if type(node) in FORMS else form_of(type(node))


def read_node(found: Found, entries: Entries, dt: float) -> Node:
    """The node that a manifest's entries and a file's node are together."""
    entries = dict(entries)
    kind = entries.pop("node", None)
    if kind is None and found.kind.startswith(EXTENSION):
        known = form_of(kind_of(found.kind))
    elif kind is None:
        known = KINDS[found.kind]  # the scan has let no other through
    elif kind in NODES and NODES[kind] in FORMS:
        known = FORMS[NODES[kind]]
    else:
        raise ModelError(f"manifest: there is no node {kind!r:.60}")
    for key in entries:
        if key not in known.entries:
            raise ModelError(f"manifest: unknown entry {key!r}")
    try:
        return known.read(found, entries, dt)
    except KeyError as error:
        raise ModelError(f"a {found.kind} is not a {kind}: has no {error}") from error
