"""Chapters from what is on disk: run directories, comparisons, or the JSON they printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from strl.chip.compile import Compiled
from strl.chip.fit import utilization
from strl.errors import UsageError
from strl.files import read_bytes
from strl.loop.journal import parse_json
from strl.loop.trace import FILE, Trace
from strl.report.data import Chapter, Core, difference_of, run_of


def chapters(paths: Sequence[Path]) -> list[Chapter]:
    """A chapter for every policy and environment, in the order in which they first come.

    Args:
        paths: directories of `strl run -o` or `strl compare -o`, or files of their ``--json``. Those of
            one policy and environment become one chapter.

    Raises:
        UsageError: a path that is none of these, or a run that is not finished.
    """
    found: dict[tuple[str, str], Chapter] = {}
    for path in paths:
        made = _chapter(path)
        key = made.runs[0].subject, made.runs[0].environment
        if key in found:
            known = found[key]
            made = replace(known, runs=known.runs + made.runs, difference=known.difference or made.difference)
        found[key] = made
    return [replace(c, runs=tuple(sorted(c.runs, key=lambda run: not run.is_float))) for c in found.values()]


def cores(compiled: Compiled) -> tuple[Core, ...]:
    """The cores that a program uses, and how full they are."""
    living: dict[int, list[str]] = {}
    for part in compiled.program.placement:
        living.setdefault(part.core, []).append(part.population)
    return tuple(
        Core(
            index=int(each["core"]),
            populations=tuple(dict.fromkeys(living[int(each["core"])])),
            use={name: (int(u["used"]), int(u["limit"])) for name, u in each["limits"].items()},
        )
        for each in utilization(compiled)["each"]
    )


def _chapter(path: Path) -> Chapter:
    if not path.is_dir():
        return _from_json(path, None)
    for name in ("compare.json", "result.json"):
        if (path / name).exists():
            return _from_json(path / name, path)
    if (path / "run.json").exists():
        raise UsageError(
            f"{path}: the run is not finished", hint="give its command again; it continues where it stopped"
        )
    raise UsageError(
        f"{path}: holds neither a run nor a comparison",
        hint="give the directory of `strl run -o DIR` or `strl compare -o DIR`",
    )


def _from_json(path: Path, folder: Path | None) -> Chapter:
    """The chapter of a file; ``folder`` is where traces may lie."""
    try:
        data: Any = parse_json(read_bytes(path))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file or directory") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if isinstance(data, dict) and {"a", "b"} <= data.keys():
        sides = [
            run_of(data[side], f"{path}, {side}", _trace(None if folder is None else folder / side))
            for side in ("a", "b")
        ]
        return Chapter(title=sides[0].subject, runs=tuple(sides), difference=difference_of(data, str(path)))
    run = run_of(data, str(path), _trace(folder))
    return Chapter(title=run.subject, runs=(run,))


def _trace(folder: Path | None) -> Trace | None:
    if folder is None or not (folder / FILE).exists():
        return None
    return Trace.load(folder / FILE)
