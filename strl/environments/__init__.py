"""Environments of ours, which Gymnasium knows under ``strl/`` once ``register`` was called.

strl calls it itself; for ``gymnasium.make`` elsewhere: ``strl.environments.register()``.
"""

from strl.environments.registration import register

__all__ = ["register"]
