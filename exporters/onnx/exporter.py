"""An ONNX file: a policy's decision, or a tick of it, that runs wherever onnxruntime does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from exporters.disk import read, write_files
from exporters.embedded import embed, extract
from exporters.onnx.network import STATE, decision_model, tick_model
from exporters.onnx.program import program_model
from exporters.onnx.proof import Record, prove_decisions, prove_program, prove_ticks
from exporters.onnx.runtime import session
from strl import __version__
from strl.chip.exporter import Artefact
from strl.chip.program import Program
from strl.errors import BundleError, ModelError, UsageError

FORMAT, FORMAT_VERSION = "strl-onnx", 1
FILE_MAX = 256 << 20
"""Bytes of a file that is read."""

ENTRIES = {"strl": dict, "strl.network": dict, "strl.proof": object}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExporter:
    """Answers ``strl.chip.exporter.Exporter``.

    Args:
        tick: one tick of the network without its codec, not a decision; always so of an open loop.
        scan: ticks in a loop; of ``tick``, as many as the input has.
        integer: the chip's program, bit for bit, rather than the float network.
    """

    name = "onnx"
    tick: bool = False
    scan: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if self.integer and self.tick:
            raise UsageError("--tick: a program's ticks are bound to its decisions", hint="leave out --tick")

    @property
    def compiles(self) -> bool:
        return self.integer

    def default(self, name: str) -> Path:
        return Path(f"{name}.onnx")

    def export(self, artefact: Artefact, path: Path, *, force: bool = False) -> tuple[Path, ...]:
        if path.suffix != ".onnx":
            raise UsageError(f"{path}: is not the name of an ONNX file", hint=f"name it {path.name}.onnx")
        if path.is_dir():
            raise UsageError(f"{path}: is a directory", hint="name a file with -o")
        if not force and path.exists() and not _is_ours(path):
            raise UsageError(f"{path}: exists and is not ours", hint="name another with -o, or give --force")
        write_files({path: self.model(artefact)})
        return (path,)

    def model(self, artefact: Artefact) -> bytes:
        """The file's bytes, proved where onnxruntime is installed.

        Raises:
            ModelError, ChipError: what ONNX cannot hold, by name; or a model that is not equal.
        """
        form = self._as_fits(artefact)
        return form._made(artefact, form._proof(artefact))

    def decision(self, program: Program) -> tuple[Any, list[dict[str, Any]]]:
        """A program in onnxruntime, for whoever runs it: an ``InferenceSession``, and its states.

        Raises:
            BackendError: onnxruntime is missing.
            ModelError: what ONNX cannot hold, by name.
        """
        data = program_model(program, scan=True, codec=False, metadata={})
        return session(data), states(data)

    def recognises(self, path: Path) -> bool:
        return path.suffix == ".onnx" and not path.is_dir()

    def load(self, path: Path) -> Artefact:
        """The network that a file of ours holds; nothing of its graph is believed, it is made again."""
        data = read(path, FILE_MAX, ModelError)
        entries = _entries(data, str(path))
        form = _form(entries["strl"], str(path))
        if form.integer:
            raise ModelError(
                f"{path}: holds a program as a graph, for onnxruntime; strl runs the bundle it was made of",
                hint="give the bundle, or the policy",
            )
        _check(entries, str(path))
        artefact = replace(extract(entries["strl.network"], str(path)), name=entries["strl"]["name"])
        if form._made(artefact, entries["strl.proof"]) != data:
            writer = f"{entries['strl'].get('strl')!s:.20}"
            raise ModelError(
                f"{path}: is not what this strl makes of the network in it: it was changed, or written by "
                f"another (by strl {writer}; this is {__version__} with onnx {onnx.__version__})",
                hint="export the policy again",
            )
        return artefact

    def _as_fits(self, artefact: Artefact) -> OnnxExporter:
        open_loop = artefact.semantics.open_loop and not self.integer
        return replace(self, tick=True) if open_loop else self

    def _proof(self, artefact: Artefact) -> Record:
        data = self._made(artefact, None)
        memory, network, semantics = states(data), artefact.network, artefact.semantics
        if self.integer:
            codec = not semantics.open_loop
            return prove_program(data, memory, _program(artefact), codec=codec)
        if self.tick:
            return prove_ticks(data, memory, network, scan=self.scan, rests=bool(semantics.rest))
        return prove_decisions(data, memory, network, semantics)

    def _made(self, artefact: Artefact, proof: Record) -> bytes:
        metadata = {**self._metadata(artefact), "strl.proof": proof}
        network, semantics = artefact.network, artefact.semantics
        if self.integer:
            codec = not semantics.open_loop
            return program_model(_program(artefact), scan=self.scan, codec=codec, metadata=metadata)
        if self.tick:
            return tick_model(network, scan=self.scan, rests=bool(semantics.rest), metadata=metadata)
        return decision_model(network, semantics, scan=self.scan, metadata=metadata)

    def _metadata(self, artefact: Artefact) -> dict[str, Any]:
        found: dict[str, Any] = {
            "strl": {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "strl": __version__,
                "name": artefact.name,
                "form": {"tick": self.tick, "scan": self.scan, "integer": self.integer},
            },
            "strl.semantics": artefact.semantics.to_dict(),
        }
        if self.integer:
            program = _program(artefact)
            found["strl.program"] = {
                "digest": program.digest,
                "chip": program.chip.name,
                "arithmetic": program.arithmetic,
                "populations": {name: [c.start, c.stop] for name, c in program.slices.items()},
            }
        else:
            found["strl.network"] = embed(artefact)
        return found


def states(data: bytes) -> list[dict[str, Any]]:
    """The states of a model of ours, from its metadata: name, dtype, shape, start, and the output's name."""
    model = onnx.load_model_from_string(data)
    found: list[dict[str, Any]] = next(json.loads(p.value) for p in model.metadata_props if p.key == STATE)
    return found


def _program(artefact: Artefact) -> Program:
    if artefact.compiled is None:
        raise BundleError(f"{artefact.name}: has no program; integers are made of a compiled policy")
    return artefact.compiled.program


def _entries(data: bytes, where: str) -> dict[str, Any]:
    """The metadata of a file of ours."""
    try:
        model = onnx.load_model_from_string(data)
        known = [p for p in model.metadata_props if p.key in ENTRIES]
        found = {p.key: json.loads(p.value, parse_constant=_refuse) for p in known}
    except (DecodeError, ValueError, RecursionError) as error:
        raise ModelError(f"{where}: is no ONNX file of ours: {error!s:.100}") from error
    if not isinstance(found.get("strl"), dict) or found["strl"].get("format") != FORMAT:
        raise ModelError(
            f"{where}: is an ONNX file, but not one that strl wrote",
            hint="strl reads networks from NIR: export the policy to NIR",
        )
    return found


def _check(found: Mapping[str, Any], where: str) -> None:
    for key, kind in ENTRIES.items():
        if not isinstance(found.get(key), kind) or not isinstance(found["strl"].get("name"), str):
            raise ModelError(f"{where}: its entry {key!r} is missing or garbled")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a number")


def _form(entry: Mapping[str, Any], where: str) -> OnnxExporter:
    version, form = entry.get("format_version"), entry.get("form")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelError(
            f"{where}: is format {version!r:.20}, this strl reads up to {FORMAT_VERSION}", hint="update strl"
        )
    flags = ("tick", "scan", "integer")
    if not isinstance(form, dict) or set(form) != set(flags) or {type(v) for v in form.values()} != {bool}:
        raise ModelError(f"{where}: its form is garbled")
    return OnnxExporter(**{flag: form[flag] for flag in flags})


def _is_ours(path: Path) -> bool:
    try:
        _entries(read(path, FILE_MAX, ModelError), str(path))
    except ModelError:
        return False
    return True
