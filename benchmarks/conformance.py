"""What is exact where: every producer case and every kind of neuron on every backend.

    python -m benchmarks.conformance        # make conformance; writes docs/conformance.md

Cases: the float network against what the producer's own simulator gave; and, moved onto the chip's grid
(``strl.testing.grid``), the chip and every backend against the float network, all outputs of all ticks.
Nodes: ``strl.testing.matrix``, every backend against the definition, potentials included where there are any.
Exit code 1 where anything fails; what is refused is listed with its reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conformance_page import page
from strl.chip import Program, backend, chip
from strl.chip.openloop import shortened
from strl.errors import BackendError, ChipError, StrlError
from strl.loop.simulate import simulate_float
from strl.loop.stream import as_stream, simulate_chip
from strl.quantize.neurons import Lif, Ternary, binary
from strl.testing.cases import Case, cases
from strl.testing.conformance import compare_decisions
from strl.testing.grid import OnGrid, on_grid, output_shape, reference
from strl.testing.matrix import CORNERS, ROWS, cell

ROOT = Path(__file__).parents[1]
CASES = ROOT.parent / "shared" / "cases" / "producers"
PAGE = ROOT / "docs" / "conformance.md"
CHIPS = ("loihi1", "loihi2")
LAVA = ("lava", "lava-fused")
BACKENDS = ("loihi", "torch", *LAVA, "onnx")
SHORT = 30
"""Ticks of a case on the backends that are slow; the others run all of its ticks."""
LIMIT_S = 900.0
"""What the Lava part may take; after that its group of processes is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One cell.

    Args:
        table: ``cases`` or ``nodes``.
        row, column: of the table.
        word: ``exact``, ``refused``, ``fails``, or a share for what claims nothing.
        note: the reason, or what differs.
    """

    table: str
    row: str
    column: str
    word: str
    note: str = ""


def main(arguments: list[str] | None = None) -> int:
    """Run everything; 1 where something fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=Path, default=CASES, metavar="DIR", help="producer cases")
    parser.add_argument("-o", "--output", type=Path, default=PAGE, metavar="FILE", help="the page")
    parser.add_argument("--json", action="store_true", help="the cells on stdout instead of a summary")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.child:
        for found in check(args.cases, LAVA):
            sys.stdout.write(json.dumps(_plain(found)) + "\n")
        return 0
    verdicts = [*check(args.cases, [b for b in BACKENDS if b not in LAVA]), *_in_a_session(args.cases)]
    args.output.write_text(page([_plain(v) for v in verdicts], BACKENDS), encoding="utf-8")
    failed = [v for v in verdicts if v.word == "fails"]
    if args.json:
        sys.stdout.write(json.dumps([_plain(v) for v in verdicts]) + "\n")
    else:
        words = {word: sum(v.word == word for v in verdicts) for word in ("exact", "refused", "fails")}
        lines = [f"{words['exact']} exact, {words['refused']} refused, {words['fails']} fail; {args.output}"]
        lines += [f"  {v.table}: {v.row} × {v.column}: {v.note}" for v in failed]
        sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(failed))


def check(folder: Path, names: Iterable[str]) -> Iterator[Verdict]:
    """The cells of some backends; those of no backend with the kernel's."""
    names = list(names)
    for case in cases(folder):
        yield from _case(case, names)
    for name, corner, state in product(ROWS, CORNERS, ("reset", "carry")):
        made = _probed(cell(name, corner, state))  # type: ignore[arg-type]
        for column in names:
            row = f"{name} | {corner} | {state}"
            yield _judged("nodes", row, column, lambda made=made, column=column: _equal(made, column))


def _case(case: Case, names: list[str]) -> Iterator[Verdict]:
    if "loihi" in names:
        yield _judged("cases", case.name, "float", lambda: _within(case))
        yield _as_it_is(case)
    moved = _moved(case)
    if isinstance(moved, ChipError):
        for column in ("chip", *names) if "loihi" in names else names:
            yield Verdict(table="cases", row=case.name, column=column, word="refused", note=moved.message)
        return
    if "loihi" in names:
        note = "" if moved.rounding == 0 else f"rounded by {moved.rounding:.3g}"
        name = moved.compiled.program.chip.name
        yield Verdict(table="cases", row=case.name, column="chip", word="fails" if note else name, note=note)
    wanted = reference(moved.network, moved.values)
    for column in names:
        yield _judged("cases", case.name, column, lambda column=column: _runs(moved, wanted, column))


def _moved(case: Case) -> OnGrid | ChipError:
    """On the first chip that has it, or why the last has not."""
    refused: ChipError | None = None
    for name in CHIPS:
        try:
            return on_grid(case.subject.network, case.values, chip(name))
        except ChipError as error:
            refused = error
    assert refused is not None
    return refused


def _within(case: Case) -> None:
    (found,) = simulate_float(case.subject, case.values).values()
    off = float(np.abs(found - case.wanted).max())
    assert off <= case.meta["tol"], f"off by {off:.3g}"


def _as_it_is(case: Case) -> Verdict:
    """How much of the outputs stays the same where weights are rounded to 8 bits: a figure, no claim."""
    word, note = "refused", ""
    for name in CHIPS:
        try:
            program = as_stream(case.subject, case.values).program(name)
        except ChipError as error:
            note = error.message
            continue
        wanted = reference(case.subject.network, case.values)
        found = simulate_chip(program, output_shape(case.subject.network), case.values, "loihi")
        if program.readout.kind == "count":
            word = f"{(found == wanted).mean():.2%} of spikes"
        else:
            word = f"rms {np.sqrt(((found - wanted) ** 2).mean() / (wanted**2).mean()):.2%}"
        note = ""
        break
    return Verdict(table="cases", row=case.name, column="as it is", word=word, note=note)


def _runs(moved: OnGrid, wanted: np.ndarray, name: str) -> None:
    ticks = len(wanted) if name in ("loihi", "torch") else min(SHORT, len(wanted))
    program, shape = shortened(moved.compiled.program, ticks), wanted.shape[1:]
    found = simulate_chip(program, shape, moved.values[:ticks], name)
    different = (found != wanted[:ticks]).mean()
    assert not different, f"{different:.2%} of the outputs differ"


def _probed(program: Program) -> Program:
    """Read tick by tick where there is a potential, so that it is compared too."""
    read = program.population(program.readout.population)
    if not isinstance(read.kind, Lif | Ternary):
        return program
    return replace(program, readout=replace(program.readout, kind="potential"))


def _equal(program: Program, name: str) -> None:
    ours, theirs = backend(name).load(program), backend("definition").load(program)
    rng = np.random.default_rng(2)
    try:
        for decision in range(3):
            width = sum(p.size for p in program.sources)
            shape = (program.schedule.ticks, 1, width)
            spikes = (rng.random(shape) < 0.9).astype(program.message)
            if not all(binary(p.kind) for p in program.sources):
                spikes *= rng.integers(-3, 4, shape, dtype=np.int32)
            compare_decisions(ours.run(spikes), theirs.run(spikes), program, f"decision {decision}")
    finally:
        ours.close()


def _judged(table: str, row: str, column: str, run: Callable[[], None]) -> Verdict:
    def verdict(word: str, note: str = "") -> Verdict:
        return Verdict(table=table, row=row, column=column, word=word, note=note)

    try:
        run()
    except AssertionError as error:
        return verdict("fails", str(error))
    except BackendError as error:
        # A refusal is raised of itself; one that has a cause reports that something broke.
        return verdict("fails" if error.__cause__ else "refused", error.message)
    except StrlError as error:
        return verdict("refused", error.message)
    return verdict("exact")


def _in_a_session(folder: Path) -> Iterator[Verdict]:
    """The Lava part, in a group of processes of its own that is ended with it."""
    command = [sys.executable, "-m", "benchmarks.conformance", "--child", "--cases", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE) as child:
        try:
            said, _ = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            said = b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    for line in said.splitlines():
        yield Verdict(**json.loads(line))
    if child.returncode:
        yield Verdict(table="nodes", row="all", column="lava", word="fails", note=f"exit {child.returncode}")


def _plain(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in ("table", "row", "column", "word", "note")}


if __name__ == "__main__":
    raise SystemExit(main())
