"""``docs/conformance.md`` from the cells of ``benchmarks.conformance``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Cell = Mapping[str, Any]

HEAD = """\
# Conformance

Written by `make conformance`; do not edit. A cell is *exact*, *refused* with the reason below its table,
or *fails*.

## Producer cases

*float*: the producer's file, read by its profile, against what the producer's own simulator gave. *chip*:
the first that has all its nodes. Then the network is moved onto that chip's grid (weights, decays,
thresholds and input become numbers that the chip has as they are), nothing is rounded any more, and each
backend has to give the float network's outputs, every spike and potential of every tick, to the last bit
(Lava and ONNX: of the first {short} ticks). *as it is* is a figure and no claim: how much of the outputs
stays the same when the file's own weights are rounded to 8 bits, or by how much potentials are off.
"""

NODES = """\
## Nodes

Kind of neuron and reset, or of synapse, × what the input drives it to, with the state reset in every decision
and carried: each backend against the definition, messages and, where there are any, potentials of every tick.
*loihi* is the kernel.
"""


def page(cells: Sequence[Cell], backends: Sequence[str]) -> str:
    """The page.

    Args:
        cells: plain ``Verdict``s.
        backends: the columns that are backends.
    """
    from benchmarks.conformance import SHORT

    columns = ["float", "chip", *backends, "as it is"]
    cases = _table([c for c in cells if c["table"] == "cases"], "case", columns)
    nodes = _table(_joined([c for c in cells if c["table"] == "nodes"]), "node | corner", list(backends))
    return "\n".join([HEAD.format(short=SHORT), *cases, "", NODES, *nodes, ""])


def _joined(cells: Sequence[Cell]) -> list[Cell]:
    """Cells of both states as one where they say the same."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for each in cells:
        row, _, _ = each["row"].rpartition(" | ")
        found.setdefault((row, each["column"]), []).append(each)
    joined: list[Cell] = []
    for (row, column), same in found.items():
        words = list(dict.fromkeys(c["word"] for c in same))
        notes = list(dict.fromkeys(c["note"] for c in same if c["note"]))
        joined.append({"row": row, "column": column, "word": ", ".join(words), "note": "; ".join(notes)})
    return joined


def _table(cells: Sequence[Cell], first: str, columns: Sequence[str]) -> list[str]:
    """Lines of a table, and of the reasons in it."""
    by_place = {(c["row"], c["column"]): c for c in cells}
    rows = list(dict.fromkeys(c["row"] for c in cells))
    heads = [*first.split(" | "), *columns]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    reasons: dict[str, int] = {}
    for row in rows:
        words = []
        for column in columns:
            each = by_place.get((row, column))
            if each is None:
                words.append("–")
                continue
            mark = ""
            if each["note"]:
                mark = f" [{reasons.setdefault(_first_line(each['note']), len(reasons) + 1)}]"
            words.append(f"{each['word']}{mark}")
        lines.append(f"| {row} | {' | '.join(words)} |")
    if reasons:
        lines += ["", *(f"{number}. {reason}" for reason, number in reasons.items())]
    return lines


def _first_line(note: str) -> str:
    return note.strip().partition("\n")[0][:300]
