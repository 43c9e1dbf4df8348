"""The borders to other people's formats: what crosses them, and the doors through which they are found.

A front end (entry points of the group ``strl.frontends``) turns a framework's module into a Network. An
exporter (group ``strl.exporters``) writes and reads one format. Our own stand in ``exporters``; nothing in
strl imports them by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from strl.chip.compile import Compiled
from strl.errors import ModelError, UsageError
from strl.ir.network import Network
from strl.ir.semantics import Semantics
from strl.registry import suggest

FRONTENDS = "strl.frontends"
EXPORTERS = "strl.exporters"
MODULES = "strl.modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """What crosses a border, either way.

    Args:
        name: the policy's name.
        network, semantics: what it means.
        proof: the front end's record that the network equals the module it was made from; plain data.
        compiled: the program and how it was rounded, where the format holds one.
        weight_bits: that the policy was tuned for; ``None`` for the chip's own.

    Raises:
        ModelError: what is shown of the proof is of another kind; names the entry.
    """

    name: str
    network: Network
    semantics: Semantics
    proof: Mapping[str, Any]
    compiled: Compiled | None = None
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        check_proof(self.proof, f"{self.name}: proof")


def check_proof(proof: Mapping[str, Any], where: str) -> None:
    """What is shown of a proof is of its kind: names, and the ``origin`` of a network without a module.

    Raises:
        ModelError: it is not; names the entry.
    """
    for name in ("silent", "unread"):
        _check_texts(f"{where}: {name}", proof.get(name, []))
    if "origin" in proof:
        origin = proof["origin"]
        if not isinstance(origin, Mapping):
            raise ModelError(f"{where}: origin = {origin!r:.60}, must be a table")
        for name in ("producer", "title"):
            if not isinstance(origin.get(name), str):
                raise ModelError(f"{where}: origin: {name} = {origin.get(name)!r:.60}, must be a text")
        _check_texts(f"{where}: origin: warnings", origin.get("warnings", []))


def _check_texts(where: str, value: object) -> None:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise ModelError(f"{where} = {value!r:.60}, must be a list of texts")


class Frontend(Protocol):
    """A framework's module → the network it computes, proven by running both."""

    def __call__(self, policy: Any) -> tuple[Network, Mapping[str, Any]]:
        """The network, and the record of the proof.

        Raises:
            ModelError: what is not understood, by name, or a proof that fails.
        """


class Composer(Protocol):
    """A network → a module of a framework that computes it: the way back of a ``Frontend``."""

    def __call__(self, network: Network) -> Any:
        """The module.

        Raises:
            ModelError: a node that the framework has no module for; names it.
        """


class Exporter(Protocol):
    """One format on disk."""

    name: str
    compiles: bool
    """True where the format holds a program, so that ``export`` needs ``Artefact.compiled``."""

    def default(self, name: str) -> Path:
        """Where ``strl export`` writes an artefact of that name if not told."""

    def export(self, artefact: Artefact, path: Path, *, force: bool = False) -> tuple[Path, ...]:
        """Write it, all or nothing; returns the files.

        Raises:
            UsageError: ``path`` holds something else, and ``force`` is not given.
            BundleError: it cannot be written.
        """

    def recognises(self, path: Path) -> bool:
        """True where ``path`` looks like this format, damaged or not."""

    def load(self, path: Path) -> Artefact:
        """Read it; equal to what was exported.

        Raises:
            ModelError, BundleError: it is damaged, hostile, too new or not of this format.
        """


@runtime_checkable
class ForeignReader(Protocol):
    """What an exporter also is whose format other producers write, each with a meaning of its own."""

    def recognises(self, path: Path) -> bool:
        """True where ``path`` looks like this format, damaged or not."""

    def readings(self) -> Mapping[str, str]:
        """Who may have written a file: name → what that reading is of."""

    def load_foreign(self, path: Path, producer: str, *, assumed: bool = False) -> Artefact:
        """Read a file under a producer's reading, ``NAME`` or ``NAME:option=value,…``.

        The artefact is an open loop's (``strl.ir.semantics.open_loop``), and its proof has an ``origin``: the
        producer, the source of its reading and the warnings, which travel on with it.

        Raises:
            ModelError: it is damaged, hostile, or cannot be that producer's.
            UsageError: there is no such producer or option.
        """


def frontend(name: str = "snntorch") -> Frontend:
    """The front end of that name; raises ``UsageError`` where there is none."""
    found: Frontend = _entry(FRONTENDS, "front end", name)
    return found


def composer(name: str = "snntorch") -> Composer:
    """What makes modules of that framework; raises ``UsageError`` where there is none."""
    found: Composer = _entry(MODULES, "framework", name)
    return found


def exporter(name: str, **options: bool) -> Exporter:
    """The exporter of that name.

    Args:
        name: of its entry point.
        options: what is asked of it beyond its default, as its constructor takes them.

    Raises:
        UsageError: there is none, or it has no such option.
    """
    kind = _entry(EXPORTERS, "target", name)
    known = inspect.signature(kind).parameters if options else {}
    for option in options:
        if option not in known:
            raise UsageError(
                f"--{option}: target {name!r} has no such option",
                hint="`strl export --help` says which has it",
            )
    made: Exporter = kind(**options)
    return made


def exporters() -> tuple[str, ...]:
    """Names of the exporters that are installed."""
    return tuple(sorted({e.name for e in entry_points(group=EXPORTERS)}))


def _entry(group: str, what: str, name: str) -> Any:
    found = [e for e in entry_points(group=group) if e.name == name]
    if not found:
        known = [e.name for e in entry_points(group=group)]
        raise UsageError(f"there is no {what} {name!r}", hint=suggest(name, known))
    try:
        return found[0].load()
    except ImportError as error:
        raise UsageError(f"{what} {name!r} cannot be loaded: {error}", hint="run `strl doctor`") from error
