"""A network open loop: an input for every tick, and what its outputs send in that tick."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from strl.errors import ModelError, UsageError
from strl.ir.network import Network, shapes
from strl.ir.nodes import Output
from strl.ir.reference import Reference
from strl.loop.arrays import BYTES_MAX
from strl.loop.subject import Subject

Float = NDArray[np.float64]
INPUT_MAX = 2.0**100
"""Greatest magnitude of an input value; what is beyond may leave the range of double precision on its way."""
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
        UsageError: an input of another shape, with a value beyond ``INPUT_MAX``, or an output too large to
            hold.
        ModelError: an output leaves the range of double precision; says which and when.
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
        with np.errstate(over="ignore", invalid="ignore"):  # said below
            sent = reference.tick(values[tick][None])
        for name in names:
            outputs[name][tick] = sent[name][0]
            if not np.isfinite(outputs[name][tick]).all():
                raise ModelError(
                    f"output {name!r} leaves the range of double precision in tick {tick}",
                    hint="make the input smaller, or the network's weights",
                )
    return outputs


def check_input(network: Network, values: Float) -> None:
    """An input is [ticks, *the network's input shape], within ``INPUT_MAX``; else raises ``UsageError``."""
    shape = shapes(network)[network.input]
    if values.shape[1:] != shape or not len(values):
        ticks = "ticks"
        wanted = f"[{', '.join([ticks, *map(str, shape)])}]"
        raise UsageError(f"the input has shape {list(values.shape)}, the network takes {wanted}")
    most = float(np.abs(values).max(initial=0.0))
    if not most <= INPUT_MAX:
        raise UsageError(
            f"the input has a value of magnitude {most:g}, must be at most {INPUT_MAX:g}",
            hint="scale the input down",
        )
