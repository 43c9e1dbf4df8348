"""strl: from a spiking policy to an exact integer program for a Loihi-style chip.

import strl

policy = strl.load("cartpole-mlp")                       # a name, checkpoint, .nir, bundle or file.py:factory
chip = strl.evaluate(policy, backend="loihi", episodes=100)
print(chip.iqm, chip.ci95, chip.digest)
print(strl.compare(policy, episodes=100).action_agreement)
agent = strl.agent(policy)                               # .predict, as Stable-Baselines3 wants it
strl.watch(policy, "episode.svg")                        # frames and spikes of an episode, side by side
strl.export(policy, "pole.nir", target="nir")
strl.train("MountainCar-v0", "car.safetensors")          # an expert, then imitation
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["agent", "compare", "evaluate", "export", "load", "load_module", "train", "watch"]

if TYPE_CHECKING:
    from strl.api import agent, compare, evaluate, export, load, load_module, train, watch


def __getattr__(name: str) -> Any:
    # Lazily, so that `import strl` and `strl --help` load no library.
    if name not in __all__:
        raise AttributeError(f"module 'strl' has no attribute {name!r}")
    from strl import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
