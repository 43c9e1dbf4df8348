"""Everything an exporter promises, as plain assertions; see ``strl.chip.exporter``."""

from __future__ import annotations

from pathlib import Path

from strl.chip.exporter import Artefact, Exporter
from strl.errors import StrlError


def check_exporter(tested: Exporter, artefact: Artefact, folder: Path) -> None:
    """Hold an exporter to its contract.

    Args:
        tested: the exporter.
        artefact: what it shall write; compiled, if it ``compiles``.
        folder: an empty directory to write in.

    Raises:
        AssertionError: a promise that does not hold.
    """
    path = folder / tested.default(artefact.name).name
    written = tested.export(artefact, path)
    first = {file: file.read_bytes() for file in written}
    assert first, "export names the files it wrote"
    assert tested.recognises(path), f"{path.name} is not recognised by who wrote it"
    _check_equal(tested, tested.load(path), artefact)

    assert tested.export(artefact, path) == written, "what it wrote, it may replace"
    assert {file: file.read_bytes() for file in written} == first, "the same artefact gives the same bytes"
    left = {p for p in folder.rglob("*") if p.is_file()}
    assert left == set(written), f"left behind: {sorted(str(p) for p in left ^ set(written))}"

    for file in written:
        file.write_bytes(first[file][:-1] + bytes([first[file][-1] ^ 1]))
        assert _refused(tested, path), f"a changed byte of {file.name} is not noticed"
        file.write_bytes(first[file])


def _refused(tested: Exporter, path: Path) -> bool:
    try:
        tested.load(path)
    except StrlError:
        return True
    return False


def _check_equal(tested: Exporter, back: Artefact, artefact: Artefact) -> None:
    assert back.name == artefact.name
    assert back.network == artefact.network, "the network comes back equal"
    assert back.semantics == artefact.semantics, "the semantics come back equal"
    assert dict(back.proof) == dict(artefact.proof), "the proof's record is kept"
    if tested.compiles:
        assert artefact.compiled is not None
        assert back.compiled is not None
        assert back.compiled.program == artefact.compiled.program, "the program comes back equal"
    else:
        assert back.compiled is None
