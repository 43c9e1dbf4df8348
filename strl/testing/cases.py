"""Files that other producers wrote, with what their own simulators gave: folders to conform to.

A case is a folder with ``graph.nir``, ``input.npy`` [T, *shape], ``output.npy`` [T, *shape] and
``meta.json``, which names the reading under which the file reproduces its output (``profile``,
``profile_kw``), the literal one (``spec_kw``) and the tolerance (``tol``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LITERAL = {"dt": 1e-4, "dt_if": 1.0}
"""What the cases' own simulator takes where a case names neither."""
RESETS = {"sub": "subtract", "zero": "zero", "none": "none"}
WORDS = {"expo": "decay"}
VALUES = {("expo", True): "exponential", ("expo", False): "euler"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One folder."""

    path: Path
    meta: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def graph(self) -> Path:
        return self.path / "graph.nir"

    @property
    def values(self) -> Float:
        """Input [T, *shape]."""
        return np.asarray(np.load(self.path / "input.npy"), dtype=np.float64)

    @property
    def wanted(self) -> Float:
        """What the producer's simulator gave, [T, *shape]."""
        return np.asarray(np.load(self.path / "output.npy"), dtype=np.float64)

    @property
    def tolerance(self) -> float:
        return float(self.meta["tol"])

    @property
    def producer(self) -> str:
        """What ``--producer`` is given, by rule from the profile's name and its options."""
        name, options = self.meta["profile"], dict(self.meta["profile_kw"])
        if name == "Spec":
            return _reading("nir", {**LITERAL, **options})
        if name.startswith("SnnTorch"):
            mode = name.removeprefix("SnnTorch").lower()
            reset = next(word for key, word in RESETS.items() if mode.startswith(key))
            return _reading("snntorch", {"reset": reset, "reset_delay": mode.endswith("delay"), **options})
        return _reading(name.lower(), options)

    @property
    def literal(self) -> str:
        """What ``--producer`` is given to read the file by NIR's equations to the letter."""
        return _reading("nir", {**LITERAL, **self.meta["spec_kw"]})


def cases(folder: Path) -> list[Case]:
    """All cases in a folder, by name; none where it is not there."""
    found = sorted(path.parent for path in folder.glob("*/meta.json"))
    return [Case(path=path, meta=json.loads((path / "meta.json").read_text())) for path in found]


def _reading(name: str, options: Mapping[str, Any]) -> str:
    texts = [f"{WORDS.get(k, k)}={VALUES.get((k, v), str(v).lower())}" for k, v in options.items()]
    return f"{name}:{','.join(texts)}" if texts else name
