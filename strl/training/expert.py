"""The expert: a plain network trained by Stable-Baselines3, kept as safetensors beside the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.policies import ActorCriticPolicy

from strl.training.episodes import VALIDATION_SEEDS, make_env, returns, training_seeds
from strl.training.files import progress, read_tensors, write_tensors
from strl.training.recipes import ExpertRecipe

_ALGORITHMS: dict[str, type[BaseAlgorithm]] = {"ppo": PPO, "dqn": DQN}
_EVALUATIONS = 10
_EPISODES = 40


def train_expert(
    env_id: str, recipe: ExpertRecipe, *, seed: int, path: Path, log: Path | None = None
) -> Expert:
    """Train an expert, keep the weights of its best evaluation in ``path``, return it.

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
    return Expert(model)


class Expert:
    """A trained model as a function: its best action for each of a batch of observations."""

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model

    def __call__(self, observations: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self._model.predict(observations, deterministic=True)[0])

    def preferences(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Of discrete actions the probability of each, [batch, actions]; of a DQN's all for its best."""
        space, policy = self._model.action_space, self._model.policy
        if not isinstance(policy, ActorCriticPolicy):
            assert isinstance(space, Discrete)
            return np.asarray(np.eye(int(space.n))[self(observations)])
        with torch.no_grad():
            seen, _ = policy.obs_to_tensor(observations)
            found: Any = policy.get_distribution(seen).distribution
        return np.asarray(found.probs.numpy(), np.float64)


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
        score = float(returns(Expert(self.model), self._env_id, VALIDATION_SEEDS[:_EPISODES]).mean())
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
