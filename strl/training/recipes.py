"""Hyperparameters as data: ``recipes.toml``, one table an environment, with their sources."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Literal

from strl.errors import UsageError

Algorithm = Literal["ppo", "dqn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertRecipe:
    """How the policy to imitate is trained.

    Args:
        algorithm: of Stable-Baselines3, always with its ``MlpPolicy``.
        steps: environment steps in all.
        envs: environments side by side.
        arguments: of the algorithm's constructor; ``"lin_x"`` falls linearly from x to 0.
        source: where the figures come from.
    """

    algorithm: Algorithm
    steps: int
    envs: int
    source: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def student_recipe(env_id: str, *, policy: str = "mlp") -> Mapping[str, Any]:
    """What the student of an environment does otherwise than the defaults for its architecture, by field."""
    table = _tables().get(env_id, {})
    return dict(table.get("student" if policy == "mlp" else policy, {}))


def expert_recipe(env_id: str, *, discrete: bool, steps: int | None = None) -> ExpertRecipe:
    """The recipe for an environment, else the default for its kind of actions; ``steps`` overrides."""
    tables = _tables()
    table = tables.get(env_id, {})
    if "expert" not in table:
        table = tables["default"]["discrete" if discrete else "box"]
    recipe = ExpertRecipe(**table["expert"])
    if steps is None:
        return recipe
    if steps < 1:
        raise UsageError(f"expert steps = {steps}, must be at least 1")
    return replace(recipe, steps=steps)


def _tables() -> Mapping[str, Any]:
    return tomllib.loads(files("strl.training").joinpath("recipes.toml").read_text("utf-8"))
