"""A run directory: finished episodes, one JSON line each, written as they end and never lost.

run.json        what is run: the key. A directory continues only the run that it was made for.
episodes.jsonl  one line an episode, in the order they ended, each with the SHA-256 of its rest.
result.json     the summary, once the run is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from strl.errors import StrlError, UsageError
from strl.files import read_bytes, regular, write_bytes
from strl.loop.results import EpisodeResult

_SUM = "sha256"
"""Field of a line: the first 16 digits of the SHA-256 of the line without it."""
_KEY, _EPISODES, _RESULT = "run.json", "episodes.jsonl", "result.json"


class Journal:
    """The directory of one run, opened to continue it.

    Args:
        folder: made where it is missing.
        key: JSON-able; two runs with the same key have the same episodes.
        neurons, populations: sizes of an episode's ``spikes`` and ``active``.

    Raises:
        UsageError: the folder holds another run, something else, or a line that is damaged.
        StrlError: it cannot be written (a full disk, say).
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], *, neurons: int, populations: int) -> None:
        self.folder = folder
        self._sizes = neurons, populations
        self._key = dict(key)
        self.finished: dict[int, EpisodeResult] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / _KEY).exists():
                self._check_key()
                self._read()
            else:
                self._check_empty()
                write_json(folder / _KEY, self._key)
        except OSError as error:
            raise self._unwritable(error) from error

    def append(self, episode: EpisodeResult) -> None:
        """Write a finished episode; it is on the disk when this returns.

        Raises:
            StrlError: it cannot be written; those before are kept.
        """
        line = episode.to_dict()
        try:
            with open(self.folder / _EPISODES, "ab", opener=regular) as file:
                file.write(_compact({**line, _SUM: _sum(line)}) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error
        self.finished[episode.seed] = episode

    def conclude(self, result: Mapping[str, Any]) -> None:
        """Write the summary; raises as ``append``."""
        try:
            write_json(self.folder / _RESULT, result)
        except OSError as error:
            raise self._unwritable(error) from error

    def _check_key(self) -> None:
        path = self.folder / _KEY
        try:
            found = parse_json(read_bytes(path))
        except ValueError as error:
            raise UsageError(f"{path}: not a run's key: {error}", hint="choose another directory") from error
        if found == json.loads(json.dumps(self._key)):
            return
        table = found if isinstance(found, dict) else {}
        names = [n for n in sorted({*table, *self._key}) if table.get(n) != self._key.get(n)]
        differ = ", ".join(f"{n} {_short(table.get(n))} ≠ {_short(self._key.get(n))}" for n in names)
        raise UsageError(
            f"{self.folder} holds another run: {differ}", hint="choose another directory, or remove this one"
        )

    def _check_empty(self) -> None:
        if any(self.folder.iterdir()):
            raise UsageError(
                f"{self.folder} is not empty and holds no {_KEY}", hint="choose a new directory for the run"
            )

    def _read(self) -> None:
        """Read the episodes; a last line that is no whole one, cut off say, is taken off the file."""
        path = self.folder / _EPISODES
        if not path.exists():
            return
        lines = read_bytes(path).splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                episode = self._episode(line)
            except ValueError as error:
                if number == len(lines):
                    os.truncate(path, sum(map(len, lines[:-1])))
                    return
                raise UsageError(
                    f"{path}, line {number}: not an episode: {error}",
                    hint="remove the line; its episode is played again",
                ) from error
            self.finished.setdefault(episode.seed, episode)

    def _episode(self, line: bytes) -> EpisodeResult:
        """The episode of a line; raises ValueError, which names the field, where it is damaged."""
        if not line.endswith(b"\n"):
            raise ValueError("it is cut off")
        found = parse_json(line)
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
        episode = EpisodeResult.from_dict(found)
        for name, counts, size in zip(
            ("spikes", "active"), (episode.spikes, episode.active), self._sizes, strict=True
        ):
            if counts is not None and len(counts) != size:
                raise ValueError(f"{name} has {len(counts)} entries, must have {size}")
        written = found.pop(_SUM, ...)  # older lines have none
        if written is not ... and written != _sum(found):
            raise ValueError(f"{_SUM} = {written!r:.40}: the line is not what was written")
        return episode

    def _unwritable(self, error: OSError) -> StrlError:
        return StrlError(
            f"{error.filename or self.folder}: {error.strerror or error}",
            hint=f"{len(self.finished)} finished episodes are kept; put that right and repeat the command",
        )


def parse_json(data: bytes) -> Any:
    """What JSON holds; raises ValueError for anything else, a NaN, an Infinity or endless nesting too."""
    try:
        return json.loads(data.decode(), parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside ``path`` and rename it there, so that no half of it is ever seen."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


def _compact(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _sum(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(line)).hexdigest()[:16]


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
