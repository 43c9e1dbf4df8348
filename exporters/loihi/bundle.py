"""A bundle as files in memory: one pure function each way.

The manifest holds the digest of every other file and of itself, and is written in one canonical form, so
that no byte of a bundle can change unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exporters.disk import MANIFEST_MAX, from_json, own_digest, sha256, to_json
from exporters.loihi.integers import arrays, rebuild, structure
from exporters.loihi.sound import check_compiled, check_program, rounding
from exporters.nir import decode, describe, encode
from strl import __version__
from strl.chip.compile import Compiled
from strl.chip.exporter import Artefact
from strl.chip.fit import utilization
from strl.chip.program import Program
from strl.chip.spec import ChipSpec, parse
from strl.chip.text import text
from strl.errors import BundleError, StrlError
from strl.ir.semantics import Semantics
from strl.quantize.network import QuantizedNetwork

FORMAT = "strl-bundle"
FORMAT_VERSION = 3
MANIFEST = "manifest.json"
_PASSED: Mapping[int, str] = {
    1: "knew only neurons that reset to zero",
    2: "did not say in which arithmetic its program runs",
}
"""Formats that are no longer read, and what they lacked."""
LIMITS: Mapping[str, int] = {
    "network.nir": 256 << 20,
    "program.json": 64 << 20,
    "weights.safetensors": 256 << 20,
    "chip.toml": 1 << 20,
    "program.txt": 64 << 20,
    "quantization.json": 16 << 20,
    "utilization.json": 16 << 20,
}
"""The files beside the manifest, and the most bytes of each that are read."""

Read = Callable[[str, int], bytes]
"""Reads a file of the bundle, by name, of at most so many bytes."""


def files(artefact: Artefact) -> dict[str, bytes]:
    """The bundle of a compiled artefact: file name → bytes, the same for the same artefact."""
    compiled = artefact.compiled
    if compiled is None:
        raise BundleError(f"{artefact.name}: has no program; a bundle is made of a compiled policy")
    program = compiled.program
    made = {
        "network.nir": encode(artefact.network),
        "program.json": to_json(structure(program), BundleError),
        "weights.safetensors": arrays(program),
        "chip.toml": program.chip.toml.encode(),
        "program.txt": text(program).encode(),
        "quantization.json": to_json({n: dict(e) for n, e in compiled.quantized.error.items()}, BundleError),
        "utilization.json": to_json(utilization(compiled), BundleError),
    }
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "strl": __version__,
        "name": artefact.name,
        "chip": program.chip.name,
        "env": artefact.semantics.environment.id,
        "semantics": artefact.semantics.to_dict(),
        "network": describe(artefact.network),
        "proof": dict(artefact.proof),
        "program": program.digest,
        "files": {name: sha256(data) for name, data in made.items()},
    }
    made[MANIFEST] = to_json({**manifest, "digest": own_digest(manifest, BundleError)}, BundleError)
    for name, data in made.items():
        if len(data) > (limit := {**LIMITS, MANIFEST: MANIFEST_MAX}[name]):
            raise BundleError(
                f"{artefact.name}: {name} would have {len(data)} bytes, at most {limit} are read"
            )
    return made


def artefact(read: Read, where: str) -> Artefact:
    """The artefact that ``files`` was given.

    Raises:
        BundleError: a file that is missing, changed or too large, a newer format, or something else that
            is no bundle; names the file.
    """
    manifest = _manifest(read(MANIFEST, MANIFEST_MAX), where)
    found: dict[str, bytes] = {}
    for name, limit in LIMITS.items():
        found[name] = read(name, limit)
        if sha256(found[name]) != manifest["files"].get(name):
            raise BundleError(
                f"{where}/{name}: is not the file the bundle was made with: its digest differs",
                hint="export the policy again",
            )
    try:
        network = decode(found["network.nir"], manifest["network"], f"{where}/network.nir")
        semantics = Semantics.from_dict(manifest["semantics"])
        chip = parse(found["chip.toml"].decode(), f"{where}/chip.toml")
        compiled = _compiled(found, chip, semantics, where)
        check_program(compiled.program, network)
        if compiled.program.digest != manifest["program"]:
            raise BundleError("its program is not the one it was made with", hint="export the policy again")
        check_compiled(compiled, network)
        return Artefact(
            name=manifest["name"],
            network=network,
            semantics=semantics,
            proof=manifest["proof"],
            compiled=compiled,
        )
    except (UnicodeDecodeError, StrlError) as error:
        hint = error.hint if isinstance(error, StrlError) else ""
        message = error.message if isinstance(error, StrlError) else str(error)
        raise BundleError(message if where in message else f"{where}: {message}", hint=hint) from error


def _compiled(found: Mapping[str, bytes], chip: ChipSpec, semantics: Semantics, where: str) -> Compiled:
    record = from_json(found["program.json"], f"{where}/program.json", BundleError)
    program: Program = rebuild(record, found["weights.safetensors"], chip, semantics)
    beside = f"{where}/quantization.json"
    error = rounding(from_json(found["quantization.json"], beside, BundleError), beside)
    quantized = QuantizedNetwork(
        populations=program.populations,
        synapses=program.synapses,
        schedule=program.schedule,
        readout=program.readout,
        error=error,
    )
    return Compiled(program=program, quantized=quantized)


def _manifest(data: bytes, where: str) -> dict[str, Any]:
    path = f"{where}/{MANIFEST}"
    manifest = from_json(data, path, BundleError)
    if manifest.get("format") != FORMAT:
        raise BundleError(f"{path}: format is {manifest.get('format')!r}, must be {FORMAT!r}")
    version = manifest.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise BundleError(
            f"{where}: is bundle format {version}, written by strl {manifest.get('strl')}; this strl "
            f"{__version__} reads formats up to {FORMAT_VERSION}",
            hint="update strl, or export the policy again with this one",
        )
    if isinstance(version, int) and version in _PASSED:
        raise BundleError(
            f"{where}: is bundle format {version}, which {_PASSED[version]}; this strl reads "
            f"format {FORMAT_VERSION}",
            hint="export the policy again",
        )
    if manifest.get("digest") != own_digest(manifest, BundleError) or to_json(manifest, BundleError) != data:
        raise BundleError(f"{path}: was changed after it was written", hint="export the policy again")
    kinds = {"name": str, "network": dict, "semantics": dict, "proof": dict, "program": str, "files": dict}
    for key, kind in kinds.items():
        if not isinstance(manifest.get(key), kind):
            raise BundleError(f"{path}: {key} is missing or no {kind.__name__}")
    return manifest
