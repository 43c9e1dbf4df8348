"""Partition and placement: which neurons live on which core.

Populations are taken in the network's order and cut where a core is full; each core is filled before the
next is opened. What a core holds is decided by the limits of the chip's TOML alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from strl.chip.memory import best_format, words
from strl.chip.program import Part
from strl.chip.spec import ChipSpec
from strl.errors import ChipError
from strl.quantize.network import Population, QuantizedNetwork, Synapse
from strl.quantize.neurons import COMPUTING, Lif, Neurons, Product, Ternary


@dataclass(slots=True)
class CoreUse:
    """What the neurons on one core take of it."""

    compartments: int = 0
    synapse_words: int = 0
    input_axons: int = 0
    output_axons: int = 0
    profiles: set[tuple[int, ...]] = field(default_factory=set)
    thresholds: set[int] = field(default_factory=set)

    def amounts(self) -> dict[str, int]:
        """Amount by the name of its limit in the chip's TOML."""
        return {
            "compartments": self.compartments,
            "synapse_words": self.synapse_words,
            "input_axons": self.input_axons,
            "output_axons": self.output_axons,
            "compartment_profiles": len(self.profiles),
            "threshold_profiles": len(self.thresholds),
        }


def with_formats(network: QuantizedNetwork) -> QuantizedNetwork:
    """Each bundle of synapses in the format that takes less memory."""
    chosen = tuple(replace(s, format=best_format(s)) for s in network.synapses)
    return replace(network, synapses=chosen)


def place(network: QuantizedNetwork, chip: ChipSpec) -> tuple[Part, ...]:
    """Neurons on cores.

    Raises:
        ChipError: a delay that the chip has not, a neuron that fits no core, more cores than the chip has, or
            a core that sends to too many others; says the limit that binds.
    """
    for synapse in network.synapses:
        if synapse.delay > chip.limit("delay_max"):
            raise ChipError(
                f"{synapse.name}: delay = {synapse.delay} ticks, {chip.name} has {chip.limit('delay_max')}"
            )
    parts: list[Part] = []
    core, use = 0, CoreUse()
    for population in network.populations:
        if not isinstance(population.kind, COMPUTING):
            continue
        incoming = [s for s in network.synapses if s.post == population.name]
        start = 0
        while start < population.size:
            stop = _fill(population, incoming, start, use, chip)
            if stop > start:
                parts.append(Part(population=population.name, start=start, stop=stop, core=core))
                use = added(use, population, incoming, start, stop)
                start = stop
            elif use.compartments:
                core, use = core + 1, CoreUse()
            else:
                raise _too_large(population, incoming, start, chip)
    _within(chip, core + 1)
    _check_output(network, tuple(parts), chip)
    return tuple(parts)


def usage(network: QuantizedNetwork, placement: tuple[Part, ...]) -> dict[int, CoreUse]:
    """What every core in use holds."""
    by_name = {p.name: p for p in network.populations}
    found: dict[int, CoreUse] = {}
    for part in placement:
        incoming = [s for s in network.synapses if s.post == part.population]
        use = found.get(part.core, CoreUse())
        found[part.core] = added(use, by_name[part.population], incoming, part.start, part.stop)
    for core, axons in _output_axons(network, placement).items():
        found[core].output_axons = axons
    return found


def added(use: CoreUse, population: Population, incoming: list[Synapse], start: int, stop: int) -> CoreUse:
    """A core's use with neurons ``start``..``stop − 1`` of a population on it as well."""
    kind = population.kind
    assert isinstance(kind, COMPUTING)
    profiles, thresholds = _distinct(kind, slice(start, stop))
    return CoreUse(
        compartments=use.compartments + stop - start,
        synapse_words=use.synapse_words + sum(words(s, start, stop, s.format) for s in incoming),
        input_axons=use.input_axons + sum(s.shape[1] for s in incoming),
        profiles=use.profiles | profiles,
        thresholds=use.thresholds | thresholds,
    )


def _distinct(kind: Neurons, here: slice) -> tuple[set[tuple[int, ...]], set[int]]:
    """Compartment profiles and thresholds of some neurons; what computes without a state has one profile."""
    if isinstance(kind, Lif | Ternary):
        rest = kind.refractory if isinstance(kind, Lif) else 1
        decays = zip(kind.du[here].tolist(), kind.dv[here].tolist(), strict=True)
        profiles: set[tuple[int, ...]] = {(du, dv, rest) for du, dv in decays}
    else:
        profiles = {(kind.shift,) if isinstance(kind, Product) else (int(kind.rectify),)}
    if isinstance(kind, Ternary):
        return profiles, {int(t) for t in (*kind.high[here], *kind.low[here])}
    return profiles, {int(t) for t in kind.vth[here]}


def _fill(population: Population, incoming: list[Synapse], start: int, use: CoreUse, chip: ChipSpec) -> int:
    """The greatest stop such that the core still holds neurons start..stop − 1 (``start`` if none)."""

    def fits(stop: int) -> bool:
        amounts = added(use, population, incoming, start, stop).amounts()
        return all(amount <= chip.limit(name) for name, amount in amounts.items())

    if fits(population.size):
        return population.size
    return _bisect(fits, start, population.size)


def _bisect(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The greatest x in low..high − 1 with ``holds(x)``, ``low`` being taken for granted."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _too_large(population: Population, incoming: list[Synapse], start: int, chip: ChipSpec) -> ChipError:
    amounts = added(CoreUse(), population, incoming, start, start + 1).amounts()
    over = next(name for name, amount in amounts.items() if amount > chip.limit(name))
    return ChipError(
        f"{population.name}: one neuron needs {amounts[over]} {over.replace('_', ' ')}, "
        f"a core of {chip.name} has {chip.limit(over)}",
        hint="give its layer fewer inputs",
    )


def _output_axons(network: QuantizedNetwork, placement: tuple[Part, ...]) -> dict[int, int]:
    """Core → output axons: one for each of its neurons and each core that the neuron's population reaches."""
    homes: dict[str, set[int]] = {}
    for part in placement:
        homes.setdefault(part.population, set()).add(part.core)
    reached: dict[str, set[int]] = {}
    for synapse in network.synapses:
        reached.setdefault(synapse.pre, set()).update(homes.get(synapse.post, ()))
    found: dict[int, int] = dict.fromkeys((part.core for part in placement), 0)
    for part in placement:
        found[part.core] += (part.stop - part.start) * len(reached.get(part.population, ()))
    return found


def _check_output(network: QuantizedNetwork, placement: tuple[Part, ...], chip: ChipSpec) -> None:
    limit = chip.limit("output_axons")
    for core, axons in _output_axons(network, placement).items():
        if axons > limit:
            names = ", ".join(sorted({p.population for p in placement if p.core == core}))
            raise ChipError(
                f"core {core} ({names}): needs {axons} output axons, a core of {chip.name} has {limit}",
                hint="use smaller layers after it, so that they take fewer cores",
            )


def _within(chip: ChipSpec, cores: int) -> None:
    if cores > chip.limit("cores"):
        raise ChipError(
            f"the network needs {cores} cores, {chip.name} has {chip.limit('cores')}",
            hint="use smaller layers, or fewer weight bits",
        )
