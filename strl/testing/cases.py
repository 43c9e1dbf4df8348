"""Cases to conform to: a producer's file, the input it was run on and what its own simulator gave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.loop.arrays import read_array
from strl.loop.subject import Subject, resolve

Float = NDArray[np.float64]

LITERAL = {"dt": 1e-4, "dt_if": 1.0}
"""What the cases' own simulator takes for NIR's equations where a case says neither."""
WORDS = {"expo": "decay"}
"""Options of the cases' own simulator that ours calls otherwise."""
VALUES = {("expo", True): "exponential", ("expo", False): "euler"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A folder of ``shared/cases/producers``.

    Args:
        folder: holds ``graph.nir``, ``input.npy``, ``output.npy`` and ``meta.json``.
        meta: the last of them.
    """

    folder: Path
    meta: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def graph(self) -> Path:
        return self.folder / "graph.nir"

    @property
    def tolerance(self) -> float:
        """How far an output may be from ``wanted``."""
        return float(self.meta["tol"])

    @property
    def producer(self) -> str:
        """What ``--producer`` is given."""
        return reading(self.meta)

    @property
    def literal(self) -> str:
        """What ``--producer`` is given to read the file by NIR's equations to the letter."""
        return reading({"profile": "Spec", "profile_kw": self.meta["spec_kw"]})

    @property
    def subject(self) -> Subject:
        return resolve(str(self.graph), producer=self.producer)

    @property
    def values(self) -> Float:
        """[ticks, *input shape]."""
        return read_array(self.folder / "input.npy")

    @property
    def wanted(self) -> Float:
        """[ticks, *output shape]."""
        return read_array(self.folder / "output.npy")


def cases(folder: Path) -> list[Case]:
    """All cases in a folder, by name; none where it is not there."""
    found = sorted(folder.glob("*/meta.json"))
    return [Case(folder=meta.parent, meta=json.loads(meta.read_text("utf-8"))) for meta in found]


def reading(meta: Mapping[str, Any]) -> str:
    """What ``--producer`` is given for a case, by rule."""
    name, given = str(meta["profile"]), dict(meta["profile_kw"])
    if name == "Spec":
        name = "nir"
        given = {**LITERAL, **given}
    elif name.startswith("SnnTorch"):
        name, mode = "snntorch", name.removeprefix("SnnTorch").lower()
        resets = {"sub": "subtract", "zero": "zero", "none": "none"}
        given["reset"] = next(word for key, word in resets.items() if mode.startswith(key))
        given["reset_delay"] = mode.endswith("delay") and not mode.endswith("nodelay")
    options = [
        f"{WORDS.get(key, key)}={VALUES.get((key, value), str(value).lower())}"
        for key, value in given.items()
    ]
    return name.lower() + (":" + ",".join(options) if options else "")
