"""Which modules a checkpoint can hold: a name, a configuration of plain data, and the module made of it.

A new architecture is a module of its own file with a ``config`` that has ``to_dict``, and one entry here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from strl.errors import ModelError
from strl.policies.mlp import MLPConfig, SpikingMLP
from strl.policies.transformer import SpikingTransformer, TransformerConfig
from strl.registry import suggest

if TYPE_CHECKING:
    from torch import nn

ARCHITECTURES: Mapping[str, tuple[type[Any], type[Any]]] = {
    "mlp": (MLPConfig, SpikingMLP),
    "transformer": (TransformerConfig, SpikingTransformer),
}

LATER: Mapping[str, Mapping[str, Any]] = {"transformer": {"norm": False}}
"""Fields that came later, and what every checkpoint before them was."""


def describe(module: nn.Module) -> dict[str, Any]:
    """The architecture of a module as plain data.

    Raises:
        ModelError: a module that no name stands for.
    """
    for name, (_, kind) in ARCHITECTURES.items():
        if type(module) is kind:
            config: Any = module.config
            return {"kind": name, **config.to_dict()}
    raise ModelError(
        f"a {type(module).__name__} cannot be kept as a checkpoint",
        hint="keep your own module in Python, and name it as file.py:factory",
    )


def build(described: Mapping[str, Any]) -> nn.Module:
    """The module that ``describe`` told of, with weights of its own.

    Raises:
        ModelError: an unknown name or field, or a value out of range.
    """
    fields = {name: value for name, value in described.items() if name != "kind"}
    kind = str(described.get("kind"))
    if kind not in ARCHITECTURES:
        raise ModelError(f"architecture {kind!r} is unknown", hint=suggest(kind, ARCHITECTURES))
    config, module = ARCHITECTURES[kind]
    fields = {**LATER.get(kind, {}), **fields}
    missing = [field.name for field in dataclasses.fields(config) if field.name not in fields]
    if missing:  # a default of today need not be what it was trained with
        raise ModelError(
            f"architecture {kind!r} does not say {', '.join(missing)}",
            hint="an earlier strl made it, and what it meant is not known any more; train it again",
        )
    try:
        made: nn.Module = module(config(**fields))
    except TypeError as error:
        raise ModelError(f"architecture {kind!r} is garbled: {error}") from error
    return made


def outline(described: Mapping[str, Any]) -> nn.Module:
    """``build``'s module whose layers have shapes, but no memory for their weights yet; raises as it does."""
    with _Weightless():
        return build(described)


class _Weightless(TorchFunctionMode):
    """Makes ``torch.empty``, from which torch's layers take their weights, give shapes only.

    Not the device "meta" for all: snnTorch reads values of its tensors while it makes them.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {**(kwargs or {}), **({"device": "meta"} if func is torch.empty else {})}
        return func(*args, **given)
