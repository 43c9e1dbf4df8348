"""Partition and placement: which neurons live on which core.

Populations are taken in the network's order and cut where a core is full; each core is filled before the
next is opened. What a core holds is decided by the limits of the chip's TOML alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

    How many cores a population sends to is known only when those are filled, so where a core turns out to
    send to more than it can, all are filled once more with what was learnt.

    Raises:
        ChipError: a delay that the chip has not, a neuron that fits no core, or more cores than the chip has;
            says the limit that binds.
    """
    for synapse in network.synapses:
        if synapse.delay > chip.limit("delay_max"):
            raise ChipError(
                f"{synapse.name}: delay = {synapse.delay} ticks, {chip.name} has {chip.limit('delay_max')}"
            )
    reach: dict[str, int] = {}
    while True:
        parts = _filled(network, chip, reach)
        if all(use.output_axons <= chip.limit("output_axons") for use in usage(network, parts).values()):
            return parts
        found = _reach(network, parts)
        reach = {p.name: max(reach.get(p.name, 0), found.get(p.name, 0)) for p in network.populations}


def _filled(network: QuantizedNetwork, chip: ChipSpec, reach: Mapping[str, int]) -> tuple[Part, ...]:
    """One core after the other, each as full as it gets where populations send to ``reach`` cores."""
    parts: list[Part] = []
    core, use = 0, CoreUse()
    for population in network.populations:
        if not isinstance(population.kind, COMPUTING):
            continue
        incoming = [s for s in network.synapses if s.post == population.name]
        cores = reach.get(population.name, 0)
        start = 0
        while start < population.size:
            stop = _fill(population, incoming, start, use, chip, cores)
            if stop > start:
                parts.append(Part(population=population.name, start=start, stop=stop, core=core))
                use = added(use, population, incoming, start, stop, reach=cores)
                start = stop
            elif use.compartments:
                core, use = core + 1, CoreUse()
            else:
                raise _too_large(population, incoming, start, chip, cores)
    _within(chip, core + 1)
    return tuple(parts)


def usage(network: QuantizedNetwork, placement: tuple[Part, ...]) -> dict[int, CoreUse]:
    """What every core in use holds."""
    by_name = {p.name: p for p in network.populations}
    found: dict[int, CoreUse] = {}
    reach = _reach(network, placement)
    for part in placement:
        incoming = [s for s in network.synapses if s.post == part.population]
        use, cores = found.get(part.core, CoreUse()), reach.get(part.population, 0)
        found[part.core] = added(use, by_name[part.population], incoming, part.start, part.stop, reach=cores)
    return found


def added(
    use: CoreUse, population: Population, incoming: list[Synapse], start: int, stop: int, *, reach: int = 0
) -> CoreUse:
    """A core's use with neurons ``start``..``stop − 1`` of a population, sending to ``reach`` cores."""
    kind = population.kind
    assert isinstance(kind, COMPUTING)
    profiles, thresholds = _distinct(kind, slice(start, stop))
    return CoreUse(
        compartments=use.compartments + stop - start,
        synapse_words=use.synapse_words + sum(words(s, start, stop, s.format) for s in incoming),
        input_axons=use.input_axons + sum(s.shape[1] for s in incoming),
        output_axons=use.output_axons + reach * (stop - start),
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


def _fill(
    population: Population, incoming: list[Synapse], start: int, use: CoreUse, chip: ChipSpec, reach: int
) -> int:
    """The greatest stop such that the core still holds neurons start..stop − 1 (``start`` if none)."""

    def fits(stop: int) -> bool:
        amounts = added(use, population, incoming, start, stop, reach=reach).amounts()
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


def _too_large(
    population: Population, incoming: list[Synapse], start: int, chip: ChipSpec, reach: int
) -> ChipError:
    amounts = added(CoreUse(), population, incoming, start, start + 1, reach=reach).amounts()
    over = next(name for name, amount in amounts.items() if amount > chip.limit(name))
    return ChipError(
        f"{population.name}: one neuron needs {amounts[over]} {over.replace('_', ' ')}, "
        f"a core of {chip.name} has {chip.limit(over)}",
        hint="give its layer fewer outputs" if over == "output_axons" else "give its layer fewer inputs",
    )


def _reach(network: QuantizedNetwork, placement: tuple[Part, ...]) -> dict[str, int]:
    """Population → cores that it sends to; each of its neurons is taken to need an axon for each of them."""
    homes: dict[str, set[int]] = {}
    for part in placement:
        homes.setdefault(part.population, set()).add(part.core)
    found: dict[str, set[int]] = {}
    for synapse in network.synapses:
        found.setdefault(synapse.pre, set()).update(homes.get(synapse.post, ()))
    return {name: len(cores) for name, cores in found.items()}


def _within(chip: ChipSpec, cores: int) -> None:
    if cores > chip.limit("cores"):
        raise ChipError(
            f"the network needs {cores} cores, {chip.name} has {chip.limit('cores')}",
            hint="use smaller layers, or fewer weight bits",
        )
