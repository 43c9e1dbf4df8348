"""Float weights on their way to the grid: bundles of synapses, in units of the float network's current.

A bias becomes a synapse from a gate that spikes so that it arrives at the population's own logical ticks; so
does what drives the potential of a neuron, or sets it before the first tick. Input values of more than one
bit become one source a bit, the exponents a power of two apart, or one source of graded messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from strl.errors import ChipError, ModelError
from strl.ir.network import Network
from strl.ir.neurons import LIF
from strl.ir.nodes import Float, Shape
from strl.ir.passes.chain import Shared, chain, pushed
from strl.quantize.connections import Bias, Connection, maps
from strl.quantize.network import Population, Schedule
from strl.quantize.neurons import Gate, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Weights from one source population (or gate) to one population, before scaling.

    Args:
        weight: per message of 1, [post, pre] or shared.
        message_bits: see ``Synapse``.
        reach: greatest magnitude of a message.
        once: it sends in one tick of a decision only.
    """

    name: str
    pre: str
    weight: Float | Shared
    delay: int
    message_bits: int = 0
    reach: float = 1.0
    once: bool = False

    @property
    def values(self) -> Float:
        return self.weight.weight if isinstance(self.weight, Shared) else self.weight

    @property
    def total(self) -> Float:
        """What all of it can add up to in a tick, [post]; shared weights as if no place lay at the border."""
        axes = (1, 2, 3) if isinstance(self.weight, Shared) else (1,)
        total: Float = np.abs(self.values).sum(axis=axes) * self.reach
        if isinstance(self.weight, Shared):
            return np.repeat(total, self.weight.places[0] * self.weight.places[1])
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """How the input of the network enters the chip.

    Args:
        name: of the Input.
        size: its channels.
        bits, unit: of its levels, see ``strl.codecs.Encoder``.
        graded: one source of graded messages, instead of one source of spikes a bit.
    """

    name: str
    size: int
    bits: int
    unit: float
    graded: bool

    @property
    def sources(self) -> list[Population]:
        if self.graded:
            return [Population(name=self.name, size=self.size, kind=Source(plane=None))]
        names = [f"{self.name}.bit{k}" if self.bits > 1 else self.name for k in range(self.bits)]
        return [Population(name=n, size=self.size, kind=Source(plane=k)) for k, n in enumerate(names)]

    def split(self, bundle: Bundle) -> list[Bundle]:
        """A bundle from the input as one from each source; two's complement: the top bit counts negative."""
        if self.graded:
            reach = 2.0 ** (self.bits - 1)
            return [replace(_times(bundle, self.unit), message_bits=self.bits, reach=reach)]
        if self.bits == 1:
            return [_times(bundle, self.unit)]
        values = [self.unit * 2.0**k for k in range(self.bits - 1)] + [-self.unit * 2.0 ** (self.bits - 1)]
        return [
            replace(_times(bundle, value), name=f"{bundle.name}.bit{k}", pre=source.name)
            for k, (source, value) in enumerate(zip(self.sources, values, strict=True))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The gates of a program, made as they are asked for.

    Args:
        schedule: of the program.
    """

    schedule: Schedule
    _windows: dict[tuple[int, int], str] = field(default_factory=dict)

    def lasting(self, start: int) -> str:
        """Name of the gate that spikes in T ticks from ``start`` on."""
        return self._windows.setdefault((start, start + self.schedule.ticks), f"gate{start}")

    def once(self, start: int) -> str:
        """Name of the gate that spikes in one tick."""
        return self._windows.setdefault((start, start + 1), f"gate{start}.once")

    @property
    def populations(self) -> list[Population]:
        return [
            Population(name=name, size=1, kind=Gate(start=start, stop=stop))
            for (start, stop), name in sorted(self._windows.items())
        ]


def joint(
    network: Network, c: Connection, shapes: Mapping[str, Shape], start: Mapping[str, int], inputs: Inputs
) -> list[Bundle]:
    """The bundles of a connection.

    Raises:
        ChipError: more weights than a chip can hold; names the population and the path.
    """
    try:
        weight = chain(maps(network, c.path), shapes[c.pre])
    except ModelError as error:
        route = " → ".join((c.pre, *c.path, c.post))
        raise ChipError(f"{c.post}: the path {route} {error.message}", hint=error.hint) from None
    delay = start[c.post] - start[c.pre] + c.delay
    bundle = Bundle(name=c.name, pre=c.pre, weight=weight, delay=delay)
    return inputs.split(bundle) if c.pre == inputs.name else [bundle]


def constant(network: Network, bias: Bias, shapes: Mapping[str, Shape], start: int, gates: Gates) -> Bundle:
    """The bundle of a bias, from a gate.

    Raises:
        ChipError: it would reach into the next decision.
    """
    schedule, at = gates.schedule, start - 1 + bias.late
    node = bias.way[0]
    if schedule.state == "carry" and at + schedule.ticks > schedule.total:
        raise ChipError(
            f"{node}: its bias, {bias.late} ticks late, reaches into the next decision",
            hint=f"rest at least {at} ticks, or put the delay before {node}",
        )
    through = maps(network, bias.way)
    value = np.broadcast_to(through[0].bias, shapes[node])  # type: ignore[arg-type]
    weight = pushed(through[1:], value[None]).reshape(-1, 1)
    return Bundle(name=bias.name, pre=gates.lasting(at), weight=weight, delay=1)


def drives(name: str, lif: LIF, start: int, gates: Gates) -> list[Bundle]:
    """What adds the drive to the potential in every tick, and ``start_v`` before the first.

    The chip adds to the current, which decays by alpha: c in every tick is c in the first and (1 − alpha)·c
    after it; and beta·start_v in the first alone needs −alpha·beta·start_v in the second.
    """
    drive, before = (np.broadcast_to(x, lif.shape) for x in (lif.drive, lif.beta * lif.start_v))
    found = []
    if drive.any():
        found.append(_driven(f"{name}.drive", (1 - lif.alpha) * drive, gates.lasting(start - 1)))
    if (first := lif.alpha * drive + before).any():
        found.append(_driven(f"{name}.start", first, gates.once(start - 1), once=True))
    if (second := -lif.alpha * before).any():
        found.append(_driven(f"{name}.after", second, gates.once(start), once=True))
    return found


def _driven(name: str, value: Float, gate: str, *, once: bool = False) -> Bundle:
    return Bundle(name=name, pre=gate, weight=value.reshape(-1, 1), delay=1, once=once)


def _times(bundle: Bundle, gain: float) -> Bundle:
    weight = bundle.weight
    if isinstance(weight, Shared):
        return replace(bundle, weight=replace(weight, weight=weight.weight * gain))
    return replace(bundle, weight=weight * gain)
