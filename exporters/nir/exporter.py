"""A ``.nir`` file with a manifest beside it, ``OUT.nir`` and ``OUT.nir.json``.

NIR has no word for reset, ticks, state, read-out, codec or dt, nor for the order of nodes; the manifest has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exporters.disk import MANIFEST_MAX, from_json, own_digest, read, sha256, to_json, write_files
from exporters.nir.decode import decode
from exporters.nir.encode import describe, encode
from exporters.nir.graph import NEURONS, Graph
from exporters.nir.interpret import interpret
from exporters.nir.reading import Chosen, chosen, producers
from exporters.nir.scan import FILE_MAX, scan
from strl import __version__
from strl.chip.exporter import Artefact
from strl.errors import ModelError, UsageError
from strl.ir.network import shapes
from strl.ir.semantics import MAX_TICKS, Semantics, open_loop

FORMAT = "strl-nir"
FORMAT_VERSION = 2
ENTRIES = {"name": str, "network": dict, "semantics": dict, "proof": dict, "sha256": str}


class NirExporter:
    """Answers ``strl.chip.exporter.Exporter``."""

    name = "nir"
    compiles = False

    def default(self, name: str) -> Path:
        return Path(f"{name}.nir")

    def export(self, artefact: Artefact, path: Path, *, force: bool = False) -> tuple[Path, ...]:
        beside = manifest_path(path)
        if path.suffix != ".nir":
            raise UsageError(f"{path}: is not the name of a NIR file", hint=f"name it {path.name}.nir")
        if path.is_dir():
            raise UsageError(f"{path}: is a directory", hint="name a file with -o")
        if not force and (path.exists() or beside.exists()) and not _is_ours(beside):
            raise UsageError(
                f"{path}: it or {beside.name} exists and is not ours",
                hint="name another file with -o, or give --force",
            )
        data = encode(artefact.network)
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "strl": __version__,
            "name": artefact.name,
            "network": describe(artefact.network),
            "semantics": artefact.semantics.to_dict(),
            "proof": dict(artefact.proof),
            "sha256": sha256(data),
        }
        manifest["digest"] = own_digest(manifest, ModelError)
        write_files({path: data, beside: to_json(manifest, ModelError)})
        return path, beside

    def recognises(self, path: Path) -> bool:
        return path.suffix == ".nir" and not path.is_dir()

    def load(self, path: Path) -> Artefact:
        data = read(path, FILE_MAX, ModelError)
        beside = manifest_path(path)
        if not beside.exists():
            graph = scan(data, str(path))
            if not any(node.kind in (*NEURONS, "Delay", "Flatten") for node in graph.nodes.values()):
                return self.load_foreign(path, "nir")  # weights mean the same to everybody
            raise _ambiguous(graph, path)
        manifest = _manifest(beside)
        if manifest["sha256"] != sha256(data):
            raise ModelError(
                f"{path}: is not the file that {beside.name} was made with", hint="export it again"
            )
        return Artefact(
            name=manifest["name"],
            network=decode(data, manifest["network"], str(path)),
            semantics=Semantics.from_dict(manifest["semantics"]),
            proof=manifest["proof"],
        )

    def readings(self) -> dict[str, str]:
        """Who may have written a file: name → what that reading is of."""
        return {name: producer.title for name, producer in producers().items()}

    def load_foreign(self, path: Path, producer: str, *, assumed: bool = False) -> Artefact:
        """Read a file that another producer wrote.

        Args:
            path: the file, without a manifest of ours.
            producer: ``NAME`` or ``NAME:option=value,…``, see ``exporters.nir.reading``.
            assumed: nothing says that it is that producer's.

        Raises:
            ModelError: it is damaged, hostile, or cannot be that producer's; names the node.
            UsageError: there is no such producer or option, or the file has a manifest of ours.
        """
        if _is_ours(manifest_path(path)):
            raise UsageError(
                f"{path}: has a manifest, {manifest_path(path).name}, which says what it means",
                hint="leave --producer and --assume out, or the manifest away",
            )
        chosen_ = chosen(producer, assumed=assumed)
        data = read(path, FILE_MAX, ModelError)
        network, remarks = interpret(scan(data, str(path)), chosen_, str(path))
        origin = {
            "producer": chosen_.text,
            "title": chosen_.producer.title,
            "source": chosen_.producer.source,
            "assumed": assumed,
            "warnings": list(remarks),
            "sha256": sha256(data),
        }
        shape = shapes(network)[network.input]
        return Artefact(
            name=path.stem,
            network=network,
            semantics=open_loop(shape, ticks=MAX_TICKS),
            proof={"origin": origin},
        )


def _ambiguous(graph: Graph, path: Path) -> ModelError:
    """Why a file without a manifest is not read: the readings that it would bear, or why it bears none."""
    fits: list[str] = []
    problems: dict[str, ModelError] = {}
    for name, producer in producers().items():
        try:
            interpret(graph, Chosen(producer=producer, given={}), str(path))
            fits.append(f"{name} ({producer.title})")
        except ModelError as error:
            problems[name] = error
    if not fits:
        plain = problems["nir"]
        if sum(problem.message == plain.message for problem in problems.values()) > 1:
            return plain  # wrong whoever wrote it
        return ModelError(
            f"{plain.message}; and no other producer's reading fits the file",
            hint="say who wrote it, with the options it needs: --producer nir:dt=1e-3",
        )
    return ModelError(
        f"{path}: has no manifest {manifest_path(path).name}, and a .nir file alone does not say its dt, nor "
        f"how its neurons reset, compare and start; it can be read as one of {'; '.join(fits)}",
        hint="say who wrote it with --producer NAME, or take it for one's with --assume NAME",
    )


def manifest_path(path: Path) -> Path:
    """Where a ``.nir`` file's manifest lies."""
    return path.with_name(path.name + ".json")


def _is_ours(beside: Path) -> bool:
    try:
        manifest = from_json(read(beside, MANIFEST_MAX, ModelError), beside, ModelError)
    except ModelError:
        return False
    return manifest.get("format") == FORMAT


def _manifest(path: Path) -> dict[str, Any]:
    data = read(path, MANIFEST_MAX, ModelError)
    manifest = from_json(data, path, ModelError)
    if manifest.get("format") != FORMAT:
        raise ModelError(f"{path}: format is {manifest.get('format')!r:.40}, must be {FORMAT!r}")
    version = manifest.get("format_version")
    if version == 1:
        raise ModelError(
            f"{path}: is format 1, which did not tell when it was changed; this strl reads {FORMAT_VERSION}",
            hint="export the policy again",
        )
    if not isinstance(version, int) or version != FORMAT_VERSION:
        raise ModelError(
            f"{path}: is format {version!r:.20}, this strl reads up to {FORMAT_VERSION}", hint="update strl"
        )
    if manifest.get("digest") != own_digest(manifest, ModelError) or to_json(manifest, ModelError) != data:
        raise ModelError(f"{path}: was changed after it was written", hint="export the policy again")
    for key, kind in ENTRIES.items():
        if not isinstance(manifest.get(key), kind):
            raise ModelError(f"{path}: {key} is missing or no {kind.__name__}")
    return manifest
