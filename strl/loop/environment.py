"""Gymnasium environments: made, and checked against what a policy was made for, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from strl.chip.codec import check_first
from strl.environments import register
from strl.errors import EnvironmentFault, StrlError, UsageError
from strl.ir.semantics import EnvironmentSpec, Semantics
from strl.loop.film import filmed
from strl.registry import suggest

World = gymnasium.Env[Any, Any]

register()


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What ``gymnasium.make`` is called with; see ``environment``.

    Args:
        id, kwargs: its id and what it is given beside it.
        video: folder that every episode is filmed into, ``None`` for none.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    video: str | None = None

    def make(self) -> World:
        """A fresh instance. Observations that are no Box (a Discrete, a Dict, …) are flattened into one.

        Raises:
            EnvironmentFault: no such environment, a package it needs is missing, or its making failed.
        """
        extra = {} if self.video is None else {"render_mode": "rgb_array"}
        try:
            world = gymnasium.make(self.id, disable_env_checker=True, **{**self.kwargs, **extra})
        except gymnasium.error.DependencyNotInstalled as error:
            raise _missing_dependency(self.id, error) from error
        except (gymnasium.error.UnregisteredEnv, gymnasium.error.Error, ModuleNotFoundError) as error:
            raise _unknown(self.id, error) from error
        except (Exception, SystemExit) as error:
            raise EnvironmentFault(f"{self.id}: cannot be made: {_brief(error)}") from error
        if not isinstance(world.observation_space, spaces.Box):
            space = world.observation_space
            if not space.is_np_flattenable:
                raise EnvironmentFault(f"{self.id}: observations are {space}, must be a Box")
            world = gymnasium.wrappers.FlattenObservation(world)
        return world if self.video is None else filmed(world, self.id, self.video)

    @contextmanager
    def opened(self) -> Iterator[World]:
        """A fresh instance, closed in the end.

        Raises:
            EnvironmentFault: as ``make``; or it fails to close, unless something else was raised before.
        """
        world = self.make()
        try:
            yield world
        except BaseException:
            with suppress(Exception, SystemExit):
                world.close()
            raise
        try:
            world.close()
        except StrlError:
            raise
        except (Exception, SystemExit) as error:
            raise EnvironmentFault(
                f"{self.id}, close: the environment raised {_brief(error)}",
                hint="the fault is in the environment",
            ) from error


def environment(semantics: Semantics, asked: Environment | str | None = None) -> Environment:
    """The environment a policy shall run in: its own, or the one asked for.

    Raises:
        UsageError: none is asked for and the policy names none, or it is a bare network.
        EnvironmentFault: its spaces are not those of the policy; says both.
        ModelError: the decoder counts actions from another number.
    """
    made_for = semantics.environment
    if semantics.open_loop:
        raise UsageError(
            "it is a bare network, which has no codec for an environment",
            hint="run `strl simulate`, or make it a policy with `strl export FILE.nir --env ID`",
        )
    if isinstance(asked, Environment):
        chosen = asked
    else:
        name = asked or made_for.id
        chosen = Environment(id=name, kwargs=made_for.kwargs if name == made_for.id else {})
    if not chosen.id:
        raise UsageError("the policy names no environment", hint="give one with --env ID")
    with chosen.opened() as world:
        check_spaces(chosen.id, world, made_for)
        if isinstance(world.action_space, spaces.Discrete):
            check_first(semantics, int(world.action_space.start))
    return chosen


def check_spaces(name: str, world: World, policy: EnvironmentSpec) -> None:
    """The spaces of ``world`` are those that ``policy`` was made for.

    Raises:
        EnvironmentFault: they are not; says both.
    """
    observed, acted = world.observation_space.shape, world.action_space
    if observed != policy.observation_shape:
        raise _other_spaces(name, policy, f"observations of shape {observed}", f"{policy.observation_shape}")
    wanted = _describe(policy)
    if isinstance(acted, spaces.Discrete):
        if policy.actions != acted.n:
            raise _other_spaces(name, policy, f"{acted.n} discrete actions", wanted)
    elif isinstance(acted, spaces.Box):
        if policy.actions is not None or not _same_bounds(acted, policy):
            raise _other_spaces(name, policy, f"a Box of actions {acted.low} … {acted.high}", wanted)
    else:
        raise EnvironmentFault(f"{name}: actions are {acted}, must be Discrete or a Box")


def _same_bounds(box: spaces.Box, policy: EnvironmentSpec) -> bool:
    low, high = (np.asarray(b, np.float32) for b in (policy.action_low, policy.action_high))
    flat = box.low.ravel().astype(np.float32), box.high.ravel().astype(np.float32)
    return low.shape == flat[0].shape and np.allclose(low, flat[0]) and np.allclose(high, flat[1])


def _describe(policy: EnvironmentSpec) -> str:
    if policy.actions is not None:
        return f"{policy.actions} discrete actions"
    return f"a Box of actions {list(policy.action_low)} … {list(policy.action_high)}"


def _other_spaces(name: str, policy: EnvironmentSpec, found: str, wanted: str) -> EnvironmentFault:
    hint = f"run it in {policy.id}"
    if policy.id == name:
        hint = "this version of the environment, or its arguments, are not those it was made with"
    elif not policy.id:
        hint = "choose an environment with these spaces"
    return EnvironmentFault(f"{name} has {found}, the policy was made for {wanted}", hint=hint)


def _missing_dependency(name: str, error: Exception) -> EnvironmentFault:
    return EnvironmentFault(
        f"{name}: a package it needs is missing: {_brief(error)}",
        hint="install the extra that Gymnasium names, such as pip install 'gymnasium[mujoco]'",
    )


def _unknown(name: str, error: Exception) -> EnvironmentFault:
    if isinstance(error, gymnasium.error.NamespaceNotFound):
        hint = f"install the package that registers it, then name it as MODULE:{name}"
        if name.startswith("ALE/"):
            hint = f"pip install 'gymnasium[atari]', then name it as ale_py:{name}"
    else:
        hint = suggest(name, gymnasium.registry)
        if hint.startswith("known"):
            hint = "gymnasium.pprint_registry() lists what is installed"
    return EnvironmentFault(f"there is no environment {name!r}: {_brief(error)}", hint=hint)


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
