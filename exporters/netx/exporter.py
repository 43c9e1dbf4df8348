"""A ``.net`` file with a manifest beside it, ``OUT.net`` and ``OUT.net.json``.

The file is what lava-dl loads onto Loihi. What it has no word for stands in the manifest: reset, schedule,
codec, read-out, which input is which bit of which feature, and which neurons are relays; see docs/netx.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from exporters.disk import from_json, own_digest, read, sha256, to_json, write_files
from exporters.embedded import embed, extract
from exporters.loihi.integers import structure
from exporters.loihi.sound import check_compiled, check_program, rounding
from exporters.netx.layers import decode, encode
from exporters.netx.lift import as_loaded, lifted
from exporters.netx.lower import Lowered, lower
from exporters.nir.scan import FILE_MAX
from strl import __version__
from strl.chip.backend import backend
from strl.chip.compile import Compiled
from strl.chip.exporter import Artefact
from strl.chip.program import Messages, Program
from strl.chip.spec import parse
from strl.errors import BundleError, ModelError, StrlError, UsageError
from strl.quantize.network import QuantizedNetwork

FORMAT, FORMAT_VERSION = "strl-netx", 1
MANIFEST_MAX = 128 << 20
"""Bytes of a manifest, in which the float network lies as well."""

DECISIONS, BATCH = 4, 2
ENTRIES = {
    "name": str,
    "network": dict,
    "program": dict,
    "chip": str,
    "layout": dict,
    "loader": dict,
    "error": dict,
    "proof": dict,
    "sha256": str,
}


class NetxExporter:
    """Answers ``strl.chip.exporter.Exporter``."""

    name = "netx"
    compiles = True

    def default(self, name: str) -> Path:
        return Path(f"{name}.net")

    def export(self, artefact: Artefact, path: Path, *, force: bool = False) -> tuple[Path, ...]:
        beside = manifest_path(path)
        if path.suffix != ".net":
            raise UsageError(f"{path}: is not the name of a .net file", hint=f"name it {path.name}.net")
        if path.is_dir():
            raise UsageError(f"{path}: is a directory", hint="name a file with -o")
        if not force and (path.exists() or beside.exists()) and not _is_ours(beside):
            raise UsageError(
                f"{path}: it or {beside.name} exists and is not ours", hint="name another, or give --force"
            )
        if artefact.compiled is None:
            raise BundleError(f"{artefact.name}: has no program; a .net file is made of a compiled policy")
        program, lowered = artefact.compiled.program, lower(artefact.compiled.program)
        data = encode(lowered.net)
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "strl": __version__,
            "name": artefact.name,
            "network": embed(artefact),
            "program": structure(program),
            "chip": program.chip.toml,
            "layout": _layout(lowered),
            "loader": lowered.schedule(program),
            "error": {name: dict(entry) for name, entry in artefact.compiled.quantized.error.items()},
            "proof": _prove(lowered, program, data),
            "sha256": sha256(data),
        }
        manifest["digest"] = own_digest(manifest, BundleError)
        write_files({path: data, beside: to_json(manifest, BundleError)})
        return path, beside

    def recognises(self, path: Path) -> bool:
        return path.suffix == ".net" and not path.is_dir()

    def load(self, path: Path) -> Artefact:
        """The policy: its numbers from the ``.net`` file, everything else from the manifest."""
        data, beside = read(path, FILE_MAX, ModelError), manifest_path(path)
        if not beside.exists():
            decode(data, str(path))
            raise ModelError(
                f"{path}: has no manifest {beside.name} beside it, and a .net file alone says nothing of "
                "reset, schedule and codec",
                hint="export it with `strl export POLICY --target netx`, which writes both",
            )
        manifest = _manifest(beside)
        if manifest["sha256"] != sha256(data):
            raise ModelError(
                f"{path}: is not the file that {beside.name} was made with", hint="export it again"
            )
        held = extract(manifest["network"], str(beside))
        net, chip = decode(data, str(path)), parse(manifest["chip"], str(beside))
        program = lifted(net, manifest["program"], manifest["layout"], chip, held.semantics)
        again = lower(program)
        if again.net != net or to_json(_layout(again), ModelError) != to_json(manifest["layout"], ModelError):
            raise ModelError(f"{path}: is not what its manifest says", hint="export the policy again")
        check_program(program, held.network)
        quantized = QuantizedNetwork(
            populations=program.populations,
            synapses=program.synapses,
            schedule=program.schedule,
            readout=program.readout,
            error=rounding(manifest["error"], f"{beside}: error"),
        )
        compiled = Compiled(program=program, quantized=quantized)
        check_compiled(compiled, held.network)
        return Artefact(
            name=manifest["name"],
            network=held.network,
            semantics=held.semantics,
            proof=held.proof,
            compiled=compiled,
        )


def manifest_path(path: Path) -> Path:
    """Where a ``.net`` file's manifest lies."""
    return path.with_name(path.name + ".json")


def _layout(lowered: Lowered) -> dict[str, Any]:
    return {
        "chain": list(lowered.chain),
        "places": {name: list(place) for name, place in lowered.places.items()},
        "relays": [[list(window) for window in windows] for windows in lowered.relays],
    }


def _prove(lowered: Lowered, program: Program, data: bytes) -> dict[str, Any]:
    """The file, read back and built as lava-dl builds it, spikes as the program does: both by the definition.

    Raises:
        ModelError: it does not.
    """
    if decode(data, "the file") != lowered.net:
        raise ModelError("netx: the file does not hold what was written")
    built, columns = as_loaded(lowered, program)
    ours, theirs = (backend("definition").load(p, batch=BATCH) for p in (program, built))
    rng, spiked = np.random.default_rng(0), 0
    shape = (program.schedule.ticks, BATCH, sum(p.size for p in program.sources))
    for number in range(DECISIONS):
        spikes: Messages = np.asarray(rng.random(shape) < 0.4).astype(program.message)
        a, b = ours.run(spikes), theirs.run(spikes)
        if not (np.array_equal(a.raster, b.raster[..., columns]) and np.array_equal(a.readout, b.readout)):
            raise ModelError(f"netx: the layers differ from the program in decision {number}")
        spiked += int(a.raster.sum())
    return {"decisions": DECISIONS, "batch": BATCH, "spikes": spiked, "weights": "as lava-dl loads them"}


def _manifest(path: Path) -> dict[str, Any]:
    data = read(path, MANIFEST_MAX, ModelError)
    found = from_json(data, path, ModelError)
    if found.get("format") != FORMAT:
        raise ModelError(f"{path}: format is {found.get('format')!r:.40}, must be {FORMAT!r}")
    version = found.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelError(
            f"{path}: is format {version!r:.20}, this strl reads up to {FORMAT_VERSION}", hint="update strl"
        )
    if found.get("digest") != own_digest(found, ModelError) or to_json(found, ModelError) != data:
        raise ModelError(f"{path}: was changed after it was written", hint="export the policy again")
    for key, kind in ENTRIES.items():
        if not isinstance(found.get(key), kind):
            raise ModelError(f"{path}: {key} is missing or no {kind.__name__}")
    return found


def _is_ours(beside: Path) -> bool:
    try:
        _manifest(beside)
    except StrlError:
        return False
    return True
