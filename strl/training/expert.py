"""The expert: a plain network trained by Stable-Baselines3, kept as safetensors beside the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from strl.training.episodes import VALIDATION_SEEDS, Act, make_env, returns, training_seeds
from strl.training.files import progress, read_tensors, write_tensors
from strl.training.recipes import ExpertRecipe

_ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "dqn": DQN}
_EVALUATIONS = 10
_EPISODES = 40


def train_expert(env_id: str, recipe: ExpertRecipe, *, seed: int, path: Path, log: Path | None = None) -> Act:
    """Train an expert, keep the weights of its best evaluation in ``path``, return it as a function.

    Where ``path`` exists it is loaded instead. Losses and returns go to TensorBoard in ``log``.
    Deterministic for one seed, version of torch and machine.
    """
    model = _algorithm(env_id, recipe, seed, log)
    if not path.exists():
        best = _Best(env_id, recipe.steps)
        model.learn(recipe.steps, callback=best)
        best.consider()
        write_tensors(path, best.weights)
    model.policy.load_state_dict(read_tensors(path))
    return greedy(model)


def greedy(model: BaseAlgorithm) -> Act:
    """The model's best action for each of a batch of observations."""

    def act(observations: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(model.predict(observations, deterministic=True)[0])

    return act


def _algorithm(env_id: str, recipe: ExpertRecipe, seed: int, log: Path | None) -> BaseAlgorithm:
    arguments = {name: _schedule(value) for name, value in recipe.arguments.items()}
    first = training_seeds(seed).start
    env = make_vec_env(lambda: make_env(env_id), n_envs=recipe.envs, seed=first)
    return _ALGORITHMS[recipe.algorithm](
        "MlpPolicy",
        env,
        seed=first,
        device="cpu",
        tensorboard_log=None if log is None else str(log),
        **arguments,
    )


def _schedule(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("lin_"):
        start = float(value[4:])
        return lambda remaining: remaining * start
    return value


class _Best(BaseCallback):
    """Evaluates now and then and remembers the weights that did best."""

    def __init__(self, env_id: str, steps: int) -> None:
        super().__init__()
        self.weights: dict[str, torch.Tensor] = {}
        self._score = -np.inf
        self._env_id = env_id
        self._every = max(1, steps // _EVALUATIONS)
        self._next = self._every
        self._bar = progress(steps, label=f"expert {env_id}", unit="step")

    def consider(self) -> None:
        """Evaluate the weights of now."""
        score = float(returns(greedy(self.model), self._env_id, VALIDATION_SEEDS[:_EPISODES]).mean())
        self.logger.record("validation/return", score)
        if score >= self._score:  # the later of equals has seen more
            self._score = score
            self.weights = {k: v.detach().clone() for k, v in self.model.policy.state_dict().items()}
        self._bar.set_postfix(best=f"{self._score:.1f}", last=f"{score:.1f}")

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._next:
            self._next += self._every
            self.consider()

    def _on_step(self) -> bool:
        self._bar.update(self.training_env.num_envs)
        return True

    def _on_training_end(self) -> None:
        self._bar.close()
