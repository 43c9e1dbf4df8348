"""What a run keeps between its steps: tensors in safetensors, written whole or not at all; its bar."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from tqdm import tqdm

from strl.errors import UsageError
from strl.files import check_replaceable, read_bytes, write_bytes


def run_folder(output: Path, options: Mapping[str, Any]) -> Path:
    """The folder beside ``output`` that keeps its run: made, or found to belong to the same run.

    Raises:
        UsageError: it belongs to other options, or there is no folder to put it in.
    """
    if output.is_dir() or not output.name:
        raise UsageError(
            f"{output}: is a folder", hint="name the checkpoint to write, such as my.safetensors"
        )
    if not output.parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}")
    check_replaceable(output)
    folder = output.with_name(output.name + ".run")
    folder.mkdir(exist_ok=True)
    mine = json.dumps(options, sort_keys=True, indent=2)
    kept = folder / "options.json"
    if not kept.exists():
        kept.write_text(mine, "utf-8")
    elif read_bytes(kept) != mine.encode():
        raise UsageError(
            f"{folder}: holds a run with other options",
            hint="remove that folder to start anew, or choose another output",
        )
    return folder


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write ``path``, replacing what was there; ``OSError`` where the disk does not take it."""
    write_bytes(path, save({k: v.detach().clone().contiguous() for k, v in tensors.items()}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """What ``write_tensors`` wrote.

    Raises:
        UsageError: the file is damaged.
    """
    try:
        tensors: dict[str, Tensor] = load(read_bytes(path))
    except SafetensorError as error:
        raise UsageError(f"{path}: {error}", hint=f"remove {path.parent} and train anew") from error
    return tensors


def progress(total: int, *, label: str, unit: str, done: int = 0) -> tqdm:
    """A bar on stderr; where nobody watches, a line now and then for the log."""
    pause = 0.1 if sys.stderr.isatty() else 30.0
    return tqdm(total=total, initial=done, desc=label, unit=unit, mininterval=pause, file=sys.stderr)
