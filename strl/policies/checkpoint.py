"""Checkpoints: one safetensors file, whose header says everything else in JSON. Never pickle.

The header's entry ``strl`` holds the format, the version of strl that wrote it, the architecture, the
semantics, the record of the training, of a policy that was tuned to a chip's weights their bits, and a
digest over all of it and the tensors. No date goes in: the same training writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strl import __version__
from strl.errors import ModelError
from strl.files import read_bytes, regular, write_bytes
from strl.ir.semantics import Semantics
from strl.policies.policy import SpikingPolicy

if TYPE_CHECKING:
    import torch

FORMAT = "strl-policy"
VERSION = 2
"""2 has a digest. A file without one is refused, since nobody can tell a changed weight in it."""
MAX_FILE = 1 << 30
"""Bytes of a checkpoint, and of its header, above which it is not read."""
MAX_HEADER = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A policy and how it came to be.

    Args:
        policy: module, semantics, call.
        record: of the training: command, seeds, versions, figures; plain data.
    """

    policy: SpikingPolicy
    record: Mapping[str, Any] = field(default_factory=dict)


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Raises:
        ModelError: a module that no architecture stands for.
        OSError: the file cannot be written.
    """
    from safetensors.torch import save as serialise

    from strl.policies.architectures import describe

    module = checkpoint.policy.module
    try:
        architecture = describe(module)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from None
    entry = {
        "format": FORMAT,
        "version": VERSION,
        "strl": __version__,
        "architecture": architecture,
        "semantics": checkpoint.policy.semantics.to_dict(),
        "call": checkpoint.policy.call,
        **({} if checkpoint.policy.weight_bits is None else {"weight_bits": checkpoint.policy.weight_bits}),
        "record": dict(checkpoint.record),
    }
    tensors = {name: value.detach().clone().contiguous() for name, value in _learned(module).items()}
    table, values = _split(serialise(tensors))
    entry["digest"] = _digest(entry, table, values)
    data = serialise(tensors, metadata={"strl": json.dumps(entry, sort_keys=True, allow_nan=False)})
    write_bytes(path, data)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ModelError: it is missing, truncated, damaged, not ours, or of a newer format.
    """
    entry = header(path)
    try:
        architecture = dict(entry["architecture"])
        semantics = Semantics.from_dict(entry["semantics"])
        call, record = entry["call"], dict(entry["record"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: its header lacks or garbles {error}", hint=_DAMAGED) from error
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint) from None
    if call not in ("tick", "decision"):
        raise ModelError(f"{path}: call {call!r} is unknown to strl {__version__}")
    module = _module(path, architecture)
    try:
        policy = SpikingPolicy(
            module=module, semantics=semantics, call=call, weight_bits=entry.get("weight_bits")
        )
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=_DAMAGED) from None
    return Checkpoint(policy=policy, record=record)


def header(path: Path) -> Mapping[str, Any]:
    """The JSON entry of a checkpoint, once its digest is found to hold; without torch; raises as ``load``."""
    try:
        with open(path, "rb", opener=regular) as file:
            size = os.fstat(file.fileno()).st_size
            length = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))[0]
            if size > MAX_FILE or length > min(MAX_HEADER, size - 8):
                raise ModelError(f"{path}: {_FOREIGN}", hint=_EXPECTED)
            text, values = file.read(length), file.read()
    except FileNotFoundError:
        raise ModelError(
            f"{path}: there is no such file", hint="`strl policies` lists the shipped ones"
        ) from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        table = json.loads(text)
        entry = json.loads(table["__metadata__"]["strl"])
        ours = entry["format"] == FORMAT
        version = int(entry["version"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ModelError(f"{path}: {_FOREIGN}", hint=_EXPECTED) from None
    if not ours:
        raise ModelError(f"{path}: {_FOREIGN}", hint=_EXPECTED)
    if version > VERSION:
        raise ModelError(
            f"{path}: format {version}, this strl {__version__} reads up to {VERSION}",
            hint=f"it was written by strl {entry.get('strl', 'of a later version')}: upgrade strl",
        )
    if version < VERSION:
        raise ModelError(
            f"{path}: format {version}, written before checkpoints had a digest, is no longer read",
            hint="give the `strl train` command that made it again: what is in its .run folder is not redone",
        )
    _whole(path, size, length, table)
    del table["__metadata__"]
    if entry.get("digest") != _digest(entry, table, values):
        raise ModelError(f"{path}: its digest is not that of its weights and header", hint=_DAMAGED)
    return dict(entry)


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The table of tensors and their bytes."""
    start = 8 + struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:start]), data[start:]


def _digest(entry: Mapping[str, Any], table: Mapping[str, Any], values: bytes) -> str:
    """SHA-256 over everything a checkpoint says but its digest, as one JSON text, and the tensors' bytes."""
    told = {key: value for key, value in entry.items() if key != "digest"}
    text = json.dumps([told, table], sort_keys=True).encode()
    return hashlib.sha256(text + values).hexdigest()


def _whole(path: Path, size: int, length: int, table: Mapping[str, Any]) -> None:
    try:
        ends = [int(t["data_offsets"][1]) for name, t in table.items() if name != "__metadata__"]
    except (KeyError, TypeError, ValueError, IndexError):
        raise ModelError(f"{path}: its table of tensors is garbled", hint=_DAMAGED) from None
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise ModelError(f"{path}: has {size} bytes, its header promises {expected}", hint=_DAMAGED)


def _learned(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What training sets: parameters, thresholds, a norm's statistics. Other buffers follow from the rest."""
    kept = {n: b for n, b in module.named_buffers() if n.split(".")[-1] in _KEPT}
    return {**dict(module.named_parameters()), **kept}


def _module(path: Path, architecture: dict[str, Any]) -> Any:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load as parse

    from strl.policies.architectures import build, outline

    try:
        tensors = parse(read_bytes(path))
        wanted = _learned(outline(architecture))  # what it says is compared before any memory is taken for it
    except SafetensorError as error:
        raise ModelError(f"{path}: {error}", hint=_DAMAGED) from error
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", hint=error.hint or _DAMAGED) from None
    for name in sorted(set(wanted) ^ set(tensors)):
        raise ModelError(
            f"{path}: tensor {name!r} is {'missing' if name in wanted else 'too much'}", hint=_DAMAGED
        )
    for name, parameter in wanted.items():
        value = tensors[name]
        if value.shape != parameter.shape or value.dtype != torch.float32:
            raise ModelError(
                f"{path}: tensor {name!r} is {value.dtype} {list(value.shape)}, "
                f"must be float32 {list(parameter.shape)}",
                hint=_DAMAGED,
            )
        if not torch.isfinite(value).all():
            raise ModelError(f"{path}: tensor {name!r} holds a value that is not finite", hint=_DAMAGED)
        if name.endswith(".running_var") and (value < 0).any():
            raise ModelError(f"{path}: tensor {name!r} holds a negative variance", hint=_DAMAGED)
    module = build(architecture)
    with torch.no_grad():
        for name, parameter in _learned(module).items():
            parameter.copy_(tensors[name])
    module.eval()
    return module


_KEPT = ("threshold", "running_mean", "running_var")
_FOREIGN = "is not a policy of strl's"
_EXPECTED = "give what `strl train -o FILE` wrote, or a name from `strl policies`"
_DAMAGED = "the file is damaged or was changed: get it again, or train again"
