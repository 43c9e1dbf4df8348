"""How each kind of node is written to NIR and read back: one ``Form`` a kind, entered in ``FORMS``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from exporters.nir.neurons import ENTRIES, describe_neurons, read_neurons, write_neurons
from strl.errors import ModelError
from strl.ir.maps import Linear
from strl.ir.neurons import LIF
from strl.ir.nodes import Delay, Input, Node, Output

Entries = Mapping[str, Any]
"""What a manifest says of one node."""


def _nothing(node: Any, dt: float) -> Entries:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The two ways across the border.

    Args:
        kinds: NIR's classes that the node is written as.
        write: node, dt → NIR node.
        read: NIR node, the manifest's entries, dt → node; equal to what was written.
        describe: node, dt → the entries, for what NIR has no field for; plain data.
        entries: the names there can be.
    """

    kinds: tuple[type, ...]
    write: Callable[[Any, float], Any]
    read: Callable[[Any, Entries, float], Node]
    describe: Callable[[Any, float], Entries] = _nothing
    entries: frozenset[str] = frozenset()


def _write_linear(node: Linear, dt: float) -> Any:
    return (
        nir.Linear(weight=node.weight)
        if node.bias is None
        else nir.Affine(weight=node.weight, bias=node.bias)
    )


def _read_linear(found: Any, entries: Entries, dt: float) -> Linear:
    return Linear(weight=found.weight, bias=getattr(found, "bias", None))


def _read_delay(found: Any, entries: Entries, dt: float) -> Delay:
    ticks = np.asarray(found.delay, dtype=np.float64) / dt
    whole = np.round(ticks)
    if (np.abs(ticks - whole) > 1e-6).any() or (whole != whole.flat[0]).any():
        raise ModelError(f"delay of {np.unique(ticks).tolist()} ticks, must be one whole number")
    return Delay(ticks=int(whole.flat[0]), shape=ticks.shape)


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in shape)


FORMS: Mapping[type[Node], Form] = {
    Input: Form(
        kinds=(nir.Input,),
        write=lambda node, dt: nir.Input(input_type={"input": np.array(node.shape, dtype=np.int64)}),
        read=lambda found, entries, dt: Input(shape=_sizes(found.input_type["input"])),
    ),
    Output: Form(
        kinds=(nir.Output,),
        write=lambda node, dt: nir.Output(output_type={"output": np.array(node.shape, dtype=np.int64)}),
        read=lambda found, entries, dt: Output(shape=_sizes(found.output_type["output"])),
    ),
    Linear: Form(kinds=(nir.Linear, nir.Affine), write=_write_linear, read=_read_linear),
    Delay: Form(
        kinds=(nir.Delay,),
        write=lambda node, dt: nir.Delay(delay=np.full(node.shape, node.ticks * dt)),
        read=_read_delay,
    ),
    LIF: Form(
        kinds=(nir.LIF, nir.LI, nir.IF, nir.I, nir.CubaLIF, nir.CubaLI),
        write=write_neurons,
        read=read_neurons,
        describe=describe_neurons,
        entries=ENTRIES,
    ),
}

KINDS: Mapping[type, Form] = {kind: form for form in FORMS.values() for kind in form.kinds}


def form(node: Node) -> Form:
    """How a node travels; raises ``ModelError`` where NIR has no word for it."""
    found = FORMS.get(type(node))
    if found is None:
        raise ModelError(f"NIR has no node for a {node.kind}")
    return found
