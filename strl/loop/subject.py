"""What a user names on the command line, as something that can be run, compared and exported.

A shipped policy's name, a checkpoint, ``file.py:factory``, a ``.nir`` file with its manifest, or a bundle.
A module always leaves through NIR, to a file and back, so that path is taken every time.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from strl.chip.arithmetic import ARITHMETICS, Arithmetic
from strl.chip.codec import check_codec
from strl.chip.compile import Compiled, compile_network
from strl.chip.exporter import Artefact, ForeignReader, exporter, exporters, frontend
from strl.chip.program import Program
from strl.chip.spec import chip as chip_named
from strl.errors import UsageError
from strl.ir.network import Network, shapes, size
from strl.ir.nodes import Output
from strl.ir.semantics import Semantics
from strl.policies.policy import SpikingPolicy
from strl.registry import suggest

DEFAULT_CHIP = "loihi1"

_Wish = tuple[str | None, int | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """A policy without its module: the network it is, and its program on a chip.

    Args:
        artefact: what was read; holds a program where it came from a bundle.
    """

    artefact: Artefact
    _made: dict[_Wish, Compiled] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.artefact.name

    @property
    def network(self) -> Network:
        return self.artefact.network

    @property
    def semantics(self) -> Semantics:
        return self.artefact.semantics

    def program(self, chip: str | None = None, weight_bits: int | None = None) -> Program:
        """The program: a bundle's own, else compiled (once) for ``chip``; raises as ``compiled``."""
        return self.compiled(chip, weight_bits).program

    def compiled(
        self, chip: str | None = None, weight_bits: int | None = None, arithmetic: str | None = None
    ) -> Compiled:
        """The program and how it was rounded.

        Args:
            chip: a chip's name or TOML file; a bundle's own, else ``loihi1``.
            weight_bits: what the policy was tuned for by default, else the chip's own width.
            arithmetic: one of the chip's, the first by default.

        Raises:
            ChipError: the network does not fit the chip.
            UsageError: a bundle is asked for another chip, width or arithmetic than it was made for.
        """
        held = self.artefact.compiled
        if held is not None:
            _refuse_recompiling(self.name, held.program, chip, weight_bits, arithmetic)
            return held
        weight_bits = self.artefact.weight_bits if weight_bits is None else weight_bits
        wish = (chip, weight_bits, arithmetic)
        if wish not in self._made:
            spec = chip_named(chip or DEFAULT_CHIP)
            self._made[wish] = compile_network(
                self.network,
                self.semantics,
                spec,
                weight_bits=weight_bits,
                arithmetic=_arithmetic(arithmetic),
            )
        return self._made[wish]


def resolve(name: str, *, producer: str | None = None, assume: str | None = None) -> Subject:
    """What ``name`` stands for.

    Args:
        name: as the user wrote it.
        producer: who wrote a file that is not ours, ``NAME`` or ``NAME:option=value,…``.
        assume: the same, where nothing says so: what is read carries a warning.

    Raises:
        ModelError: nothing, a module that is not understood, or a file that is damaged or not a policy.
        BundleError: a directory that is not a sound bundle.
        UsageError: a producer is given for what is not another's file, or there is none of that name.
    """
    path = Path(name)
    if producer is not None or assume is not None:
        return Subject(artefact=_foreign(path, producer, assume))
    if not _is_policy(name) and path.exists():
        for target in exporters():
            format_ = exporter(target)
            if format_.recognises(path):
                return Subject(artefact=format_.load(path))
    return Subject(artefact=_from_module(name))


def _foreign(path: Path, producer: str | None, assume: str | None) -> Artefact:
    if producer is not None and assume is not None:
        raise UsageError("--producer says who wrote the file, --assume that nobody knows; give one")
    given = assume if producer is None else producer
    if not (given or "").strip():
        option = "--assume" if producer is None else "--producer"
        raise UsageError(f"{option} is empty", hint="docs/nir.md lists who writes .nir files")
    for target in exporters():
        format_ = exporter(target)
        if path.exists() and isinstance(format_, ForeignReader) and format_.recognises(path):
            return format_.load_foreign(path, str(given), assumed=producer is None)
    raise UsageError(f"{path}: {_kind(path)}", hint="--producer and --assume are for .nir files")


def _kind(path: Path) -> str:
    """What a path is that no other producer's file is at."""
    if _is_policy(str(path)):
        return "is a policy of ours, whose meaning is known"
    if path.is_dir():
        return "is a folder"
    return "is not a .nir file" if path.exists() else "there is no such file"


def _is_policy(name: str) -> bool:
    from strl.policies.library import SUFFIX, shipped

    return name in shipped() or name.endswith(SUFFIX)


def of_policy(policy: SpikingPolicy, name: str = "") -> Subject:
    """A policy that was made in Python, under its module's name or another.

    Raises:
        ModelError: a module that is not understood.
    """
    return Subject(artefact=_translated(policy, name or type(policy.module).__name__))


def _from_module(name: str) -> Artefact:
    from strl.policies.library import load_policy

    return _translated(load_policy(name), _short(name))


def _translated(policy: SpikingPolicy, name: str) -> Artefact:
    network, proof = frontend()(policy)
    if len(network.of(Output)) == 1:  # of several heads, which is read is asked later
        found = shapes(network)
        check_codec(policy.semantics, size(found[network.input]), size(found[network.output]))
    artefact = Artefact(name=name, network=network, semantics=policy.semantics, proof=proof)
    with tempfile.TemporaryDirectory(prefix="strl-") as folder:
        path = Path(folder) / "network.nir"
        nir = exporter("nir")
        nir.export(artefact, path)
        return replace(nir.load(path), name=artefact.name, weight_bits=policy.weight_bits)


def _short(name: str) -> str:
    """``pole.py:small`` → ``pole-small``; a path → its stem."""
    file, colon, function = name.rpartition(":")
    return f"{Path(file).stem}-{function}" if colon and file else Path(name).stem


def _arithmetic(name: str | None) -> Arithmetic | None:
    found = [a for a in ARITHMETICS if a == name]
    if name is not None and not found:
        raise UsageError(f"there is no arithmetic {name!r}", hint=suggest(name, ARITHMETICS))
    return found[0] if found else None


def _refuse_recompiling(
    name: str, program: Program, chip: str | None, weight_bits: int | None, arithmetic: str | None
) -> None:
    if chip is not None and chip != program.chip.name:
        raise UsageError(
            f"{name}: is a bundle for {program.chip.name}, not for {chip}", hint="export the policy for it"
        )
    if arithmetic not in (None, program.arithmetic):
        raise UsageError(
            f"{name}: is a bundle for arithmetic {program.arithmetic}, not {arithmetic}",
            hint="export the policy for it",
        )
    if weight_bits is not None:
        raise UsageError(
            f"{name}: is a bundle, whose weights are rounded already", hint="export the policy again"
        )
