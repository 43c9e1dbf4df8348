"""The bundle directory: what a chip, ours or another's, is given to run."""

from __future__ import annotations

import os
from pathlib import Path

from exporters.disk import MANIFEST_MAX, from_json, read, write_folder
from exporters.loihi.bundle import FORMAT, LIMITS, MANIFEST, artefact, files
from strl.chip.exporter import Artefact
from strl.errors import BundleError, UsageError


class LoihiExporter:
    """Answers ``strl.chip.exporter.Exporter``."""

    name = "loihi"
    compiles = True

    def default(self, name: str) -> Path:
        return Path(f"{name}.bundle")

    def export(self, artefact: Artefact, path: Path, *, force: bool = False) -> tuple[Path, ...]:
        made = files(artefact)
        _may_replace(path, force)
        write_folder(path, made)
        return tuple(path / name for name in sorted(made))

    def recognises(self, path: Path) -> bool:
        return path.is_dir()

    def load(self, path: Path) -> Artefact:
        if not path.is_dir():
            raise BundleError(f"{path}: is not a directory, as a bundle is")
        if not (path / MANIFEST).exists():
            raise BundleError(
                f"{path}: is not a bundle: it has no {MANIFEST}",
                hint="make one with `strl export POLICY --target loihi -o DIRECTORY`",
            )
        return artefact(lambda name, limit: read(path / name, limit, BundleError), str(path))


def _may_replace(path: Path, force: bool) -> None:
    """Only a bundle, and nothing beside it, is replaced unasked."""
    if not os.path.lexists(path):
        return
    inside = path.resolve()
    if Path.cwd().resolve().is_relative_to(inside):
        raise UsageError(
            f"{path}: is where you are; a bundle would replace it", hint="name a new directory with -o"
        )
    if not force and not _is_ours(path):
        raise UsageError(
            f"{path}: exists and is not a bundle of ours alone",
            hint="name another directory with -o, or give --force to replace all of it",
        )


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    names = {entry.name for entry in path.iterdir()}
    if not names:
        return True
    if MANIFEST not in names or not names <= {MANIFEST, *LIMITS}:
        return False
    try:
        manifest = from_json(read(path / MANIFEST, MANIFEST_MAX, BundleError), path, BundleError)
    except BundleError:
        return False
    return manifest.get("format") == FORMAT
