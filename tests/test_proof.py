"""What is told of a proof was checked, also where a file was forged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporters.disk import own_digest, to_json
from strl.chip.compile import compile_network
from strl.chip.exporter import Artefact, exporter
from strl.chip.spec import chip
from strl.cli.main import main
from strl.errors import BundleError, ModelError
from strl.testing.policies import pole_network, pole_semantics

ORIGIN = {"producer": "nir", "title": "plain NIR", "warnings": ["nothing says who wrote it"]}


def made(proof: dict[str, Any]) -> Artefact:
    return Artefact(name="pole", network=pole_network(), semantics=pole_semantics(), proof=proof)


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ({"origin": 3}, "proof: origin = 3, must be a table"),
        ({"origin": None}, "proof: origin = None"),
        ({"origin": {"warnings": 5}}, "producer = None, must be a text"),
        ({"origin": {**ORIGIN, "title": 5}}, "title = 5, must be a text"),
        ({"origin": {**ORIGIN, "warnings": 5}}, "warnings = 5, must be a list of texts"),
        ({"origin": {**ORIGIN, "warnings": "all"}}, "warnings = 'all', must be a list"),
        ({"origin": {**ORIGIN, "warnings": [5]}}, "must be a list of texts"),
        ({"silent": 3}, "proof: silent = 3"),
        ({"unread": [None]}, "proof: unread ="),
    ],
)
def test_odd_proofs(proof: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as caught:
        made(proof)
    assert said in caught.value.message


@pytest.mark.parametrize("proof", [{}, {"origin": ORIGIN}, {"silent": ["lif1"], "unread": [], "ticks": 3}])
def test_proofs_that_are_told(
    proof: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exporter("nir").export(made(proof), tmp_path / "x.nir")
    assert main(["inspect", str(tmp_path / "x.nir"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["proof"] == proof
    assert main(["export", str(tmp_path / "x.nir"), "--target", "nir", "-o", str(tmp_path / "y.nir")]) == 0


@pytest.mark.parametrize("command", [["inspect"], ["run", "--episodes", "1"], ["export", "--target", "nir"]])
@pytest.mark.parametrize("origin", [3, {"warnings": 5}])
def test_a_forged_bundle_is_one_error(
    origin: Any, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its digest is right, as its forger can make it."""
    folder = tmp_path / "pole.bundle"
    compiled = compile_network(pole_network(), pole_semantics(), chip("loihi1"))
    exporter("loihi").export(replace(made({}), compiled=compiled), folder)
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), "proof": {"origin": origin}}
    path.write_bytes(to_json({**manifest, "digest": own_digest(manifest, BundleError)}, BundleError))
    assert main([command[0], str(folder), *command[1:]]) == BundleError.exit_code
    said = capsys.readouterr().err
    assert f"strl: {folder}: pole: proof: origin" in said
