"""Policies by name: the shipped ones, a checkpoint's path, or ``file.py:factory``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path

from strl.errors import ModelError
from strl.policies.checkpoint import load
from strl.policies.policy import SpikingPolicy
from strl.registry import suggest

SUFFIX = ".safetensors"


def shipped() -> Mapping[str, Path]:
    """Name → file of every policy that comes with strl."""
    with as_file(files("strl.policies") / "shipped") as folder:
        return {path.name.removesuffix(SUFFIX): path for path in sorted(folder.glob(f"*{SUFFIX}"))}


def load_policy(name: str) -> SpikingPolicy:
    """The policy that a user means: a shipped name, a checkpoint's path, or ``file.py:factory``.

    Raises:
        ModelError: nothing of that name, or what is there is not a policy; says why.
    """
    known = shipped()
    if name in known:
        return load(known[name]).policy
    file, colon, function = name.rpartition(":")
    if colon and file.endswith(".py"):
        from strl.policies.factory import make

        return make(Path(file), function)
    if Path(name).suffix == ".py":
        raise ModelError(f"{name}: which function makes the policy?", hint=f"write {name}:factory")
    if not Path(name).exists():
        raise ModelError(
            f"{name}: neither a shipped policy nor a file",
            hint=f"{suggest(name, known)} (or give a file's path)",
        )
    return load(Path(name)).policy
