"""A torch module that is a graph of layers: what a network that was read from a file becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from strl.policies.modules import Delay, Sum


class SpikingGraph(nn.Module):
    """Layers that feed each other; one call is one tick: x [batch, *in] → what its outputs give.

    It returns one tensor, or of several outputs a dict of them. Its layers keep their states, which
    ``reset_mem`` clears, and stand in ``layers`` by name, with "/" for ".". It trains as any module does.

    Args:
        layers: name → module, each after what feeds it, but for what a ``Delay`` gives.
        sources: name → the layers that feed it, summed; ``""`` is the input.
        outputs: name → the layers whose sum it gives.
        potentials: layers of neurons that give their potential and not their spikes.
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        sources: Mapping[str, tuple[str, ...]],
        outputs: Mapping[str, tuple[str, ...]],
        potentials: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.layers, self.sums = nn.ModuleDict(), nn.ModuleDict()
        self._keys = {name: _key(name) for name in layers}
        self._sources, self._outputs = dict(sources), dict(outputs)
        self._potentials = potentials
        self._order = [name for name, layer in layers.items() if not isinstance(layer, Delay)]
        self._delays = [name for name, layer in layers.items() if isinstance(layer, Delay)]
        for name, layer in layers.items():
            self.layers[self._keys[name]] = layer
        for name, several in (*sources.items(), *outputs.items()):
            if len(several) > 1:
                self.sums[_key(name)] = Sum()

    def layer(self, name: str) -> nn.Module:
        """The layer of that name."""
        return self.layers[self._keys[name]]

    def reset_mem(self) -> None:
        """Clear all states."""
        for layer in self.layers.values():
            reset: Any = getattr(layer, "reset_mem", None)
            if reset is not None:
                reset()

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        values = {"": x}
        for name in self._delays:
            delay: Any = self.layer(name)
            values[name] = delay.due(x)
        for name in self._order:
            given = self.layer(name)(self._sum(name, self._sources[name], values))
            given = given[0] if isinstance(given, tuple) else given
            values[name] = self.layer(name).mem if name in self._potentials else given  # type: ignore[assignment]
        for name in self._delays:
            self.layer(name)(self._sum(name, self._sources[name], values))
        found = {name: self._sum(name, several, values) for name, several in self._outputs.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def _sum(self, name: str, sources: tuple[str, ...], values: Mapping[str, Tensor]) -> Tensor:
        parts = [values[source] for source in sources]
        if name not in self._outputs:  # snnTorch's spikes are float32 whatever its parameters are
            parts = [part.to(values[""].dtype) for part in parts]
        if len(parts) == 1:
            return parts[0]
        total: Tensor = self.sums[_key(name)](*parts)
        return total


def _key(name: str) -> str:
    """A name as torch takes it: without dots, and no name of a method of ``ModuleDict``."""
    key = name.replace(".", "/")
    return f"{key}_" if hasattr(nn.ModuleDict, key) else key
