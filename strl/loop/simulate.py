"""A network open loop: an input for every tick, and what its outputs send in that tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from strl.errors import UsageError
from strl.ir.network import Network, shapes
from strl.ir.nodes import Output
from strl.ir.reference import Reference
from strl.loop.arrays import BYTES_MAX
from strl.loop.subject import Subject

Float = NDArray[np.float64]
Ticks = Callable[[Iterable[int]], Iterable[int]]
"""Passes tick numbers on; a progress bar is one."""


def simulate_float(subject: Subject, values: Float, *, progress: Ticks = iter) -> dict[str, Float]:
    """The float network in double precision, from its initial state.

    Args:
        subject: its network is run; a policy's codec and schedule are not.
        values: [ticks, *input shape].
        progress: wraps the ticks.

    Returns:
        Output's name → [ticks, *its shape].

    Raises:
        UsageError: an input of another shape, or an output too large to hold.
    """
    network = subject.network
    check_input(network, values)
    ticks, found = len(values), shapes(network)
    names = network.of(Output)
    if ticks * sum(int(np.prod(found[name])) for name in names) * 8 > BYTES_MAX:
        raise UsageError(f"{ticks} ticks of output take more than {BYTES_MAX} bytes", hint="run fewer ticks")
    outputs = {name: np.empty((ticks, *found[name])) for name in names}
    reference = Reference(network)
    for tick in progress(range(ticks)):
        sent = reference.tick(values[tick][None])
        for name in names:
            outputs[name][tick] = sent[name][0]
    return outputs


def check_input(network: Network, values: Float) -> None:
    """An input is [ticks, *the network's input shape]; raises ``UsageError`` otherwise."""
    shape = shapes(network)[network.input]
    if values.shape[1:] != shape or not len(values):
        ticks = "ticks"
        wanted = f"[{', '.join([ticks, *map(str, shape)])}]"
        raise UsageError(f"the input has shape {list(values.shape)}, the network takes {wanted}")
