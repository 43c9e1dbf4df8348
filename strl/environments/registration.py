"""What ``gymnasium.make`` finds under ``strl/``."""

from __future__ import annotations

from typing import Any

import gymnasium

_SEQUENCE = "strl.environments.sequence:sequence"
_MAZE = "strl.environments.maze:maze"

# Hidden velocities, signs passed: what the policy needs can only be seen in what came before.
_ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "strl/Sequence-v0": (_SEQUENCE, {}),
    "strl/CartPoleHidden-v0": (_SEQUENCE, {"of": "CartPole-v1", "hide": (1, 3)}),
    "strl/LunarLanderHidden-v0": (_SEQUENCE, {"of": "LunarLander-v3", "hide": (2, 3, 5)}),
    "strl/Maze-v0": (_MAZE, {"view": "colours"}),
    "strl/MazeSigns-v0": (_MAZE, {"view": "signs"}),
}


def register() -> None:
    """Enter every environment of ours that Gymnasium does not know yet."""
    for name, (entry_point, kwargs) in _ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point=entry_point, kwargs=kwargs)
