"""A float network inside a file of another format: the NIR file and manifest that strl reads it back from."""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from strl.chip.exporter import Artefact, exporter
from strl.errors import ModelError

FILE, MANIFEST = "nir", "manifest"


def embed(artefact: Artefact) -> dict[str, str]:
    """The network, semantics and proof of an artefact as texts, by the names of this module."""
    with tempfile.TemporaryDirectory(prefix="strl-") as folder:
        files = exporter("nir").export(replace(artefact, compiled=None), Path(folder) / "network.nir")
        nir, manifest = (file.read_bytes() for file in files)
    return {FILE: base64.b64encode(nir).decode(), MANIFEST: manifest.decode()}


def extract(found: Mapping[str, Any], where: str) -> Artefact:
    """The artefact that ``embed`` was given, without its program.

    Raises:
        ModelError: the texts are missing, or not what ``embed`` makes.
    """
    if not all(isinstance(found.get(key), str) for key in (FILE, MANIFEST)):
        raise ModelError(f"{where}: its network is missing or garbled", hint="export the policy again")
    try:
        nir = base64.b64decode(found[FILE], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ModelError(
            f"{where}: its network is garbled: {error}", hint="export the policy again"
        ) from error
    with tempfile.TemporaryDirectory(prefix="strl-") as folder:
        path = Path(folder) / "network.nir"
        path.write_bytes(nir)
        (Path(folder) / "network.nir.json").write_text(found[MANIFEST], "utf-8")
        try:
            return exporter("nir").load(path)
        except ModelError as error:
            raise ModelError(error.message.replace(str(path), where), hint=error.hint) from error
