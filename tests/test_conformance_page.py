"""``make conformance``: its verdicts, its page, and that the page in docs is of what there is now."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import conformance
from benchmarks.conformance_page import page
from hardware_sims.loihi import definition
from strl.errors import BackendError
from strl.testing.cases import cases
from strl.testing.matrix import ROWS

PAGE = conformance.PAGE.read_text("utf-8")
FOUND = {case.name: case for case in cases(conformance.CASES)}

shared = pytest.mark.skipif(not FOUND, reason="the shared cases are not here")


@shared
def test_the_page_in_docs_has_every_case_and_kind_and_nothing_fails() -> None:
    for name in (*FOUND, *ROWS):
        assert f"| {name} |" in PAGE
    assert "fails |" not in PAGE


def alone(name: str, folder: Path) -> Path:
    """A folder of cases with this one alone."""
    (folder / name).symlink_to(FOUND[name].folder, target_is_directory=True)
    return folder


@shared
def test_a_case_is_exact_or_refused(tmp_path: Path) -> None:
    folder = alone("nirspec_recurrent_flat", alone("nengo_fc_lif", tmp_path))
    found = {(v.row, v.column): v for v in conformance.check(folder, ["loihi"]) if v.table == "cases"}
    assert found["nirspec_recurrent_flat", "float"].word == "exact"
    assert found["nirspec_recurrent_flat", "chip"].word == "loihi1"
    assert found["nirspec_recurrent_flat", "loihi"].word == "exact"
    assert found["nengo_fc_lif", "float"].word == "exact"
    assert found["nengo_fc_lif", "loihi"].word == "refused"
    assert found["nengo_fc_lif", "chip"].note.startswith("lif: ")


def test_what_differs_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = definition.ternary
    monkeypatch.setattr(definition, "ternary", lambda u, v, a, kind: plain(u, v + 64, a, kind))
    monkeypatch.setattr(conformance, "BACKENDS", ("loihi",))
    monkeypatch.setattr(conformance, "_in_a_session", lambda _: iter(()))
    monkeypatch.setattr(conformance, "ROWS", ("ternary", "graded"))
    out = tmp_path / "page.md"
    assert conformance.main(["--cases", str(tmp_path / "none"), "-o", str(out), "--json"]) == 1
    cells = json.loads(capsys.readouterr().out)
    assert {c["word"] for c in cells if c["row"].startswith("graded")} == {"exact"}
    assert "fails" in {c["word"] for c in cells if c["row"].startswith("ternary")}
    assert "fails [" in out.read_text("utf-8")


def test_a_refusal_with_a_cause_is_a_failure() -> None:
    def refuses() -> None:
        raise BackendError("not here")

    def breaks() -> None:
        raise BackendError("broken") from ValueError("why")

    assert conformance._judged("nodes", "a", "b", refuses).word == "refused"
    assert conformance._judged("nodes", "a", "b", breaks).word == "fails"
    assert conformance._judged("nodes", "a", "b", lambda: np.testing.assert_equal(1, 2)).word == "fails"


def test_reasons_are_listed_once() -> None:
    cells = [
        {"table": "cases", "row": row, "column": column, "word": "refused", "note": "because\nhint"}
        for row in ("x", "y")
        for column in ("chip", "loihi")
    ]
    made = page(cells, ["loihi"])
    assert "| x | – | refused [1] | refused [1] | – |" in made
    assert made.count("1. because") == 1
    assert "hint" not in made
