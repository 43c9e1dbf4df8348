"""Outputs take the place of nothing or of a regular file: a rename would replace a device of the machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from exporters.disk import write_files, write_folder
from strl.cli.main import main
from strl.errors import UsageError
from strl.files import check_replaceable
from strl.loop.arrays import write_arrays
from strl.loop.film import _moved
from strl.loop.journal import write_json
from strl.loop.trace import Trace
from strl.policies import Checkpoint, load_policy, save
from strl.report.page import write
from strl.training.files import run_folder, write_tensors


def _film(path: Path) -> None:
    (path.parent / "made").mkdir()
    film = path.parent / "made" / path.name
    film.write_bytes(b"film")
    _moved(film, path.parent)


def _trace(path: Path) -> None:
    none = np.zeros((1, 1))
    Trace(
        seed=0, observations=none, actions=none, rasters=none.astype(np.uint8), populations={}, offsets={}
    ).save(path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "arrays": lambda path: write_arrays(path, {"x": np.ones(2)}),
    "export": lambda path: write_files({path: b"x"}),
    "bundle": lambda path: write_folder(path, {"x": b"x"}),
    "report": lambda path: write(path, []),
    "json": lambda path: write_json(path, {}),
    "tensors": lambda path: write_tensors(path, {"x": torch.ones(2)}),
    "run": lambda path: run_folder(path, {}),
    "checkpoint": lambda path: save(Checkpoint(policy=load_policy("cartpole-mlp"), record={}), path),
    "trace": _trace,
    "film": _film,
}


@pytest.mark.parametrize("kind", ["pipe", "link"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_no_regular_file_is_not_replaced(writer: str, kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "link.npy").symlink_to("pipe.npy")
    path = tmp_path / f"{kind}.npy"
    with pytest.raises(UsageError, match=rf"{kind}\.npy: cannot be written: it is not a regular file"):
        WRITERS[writer](path)
    assert stat.S_ISFIFO(os.stat(path).st_mode)
    assert path.is_symlink() == (kind == "link")
    assert {p.name for p in tmp_path.iterdir()} <= {"pipe.npy", "link.npy", "made"}


def test_nothing_and_a_regular_file_are_replaceable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    for name in ("file", "new", "nowhere/new"):
        check_replaceable(tmp_path / name)
    with pytest.raises(UsageError, match="it is a folder"):
        check_replaceable(tmp_path)


def test_force_does_not_replace_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target, name in (("nir", "x.nir"), ("loihi", "x.bundle")):
        os.mkfifo(tmp_path / name)
        words = ["export", "cartpole-mlp", "--target", target, "-o", str(tmp_path / name), "--force"]
        assert main(words) == UsageError.exit_code
        assert "not a regular file" in capsys.readouterr().err
        assert stat.S_ISFIFO(os.stat(tmp_path / name).st_mode)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing/x.npy", "missing/x.npy: cannot be written: there is no folder"),
        ("x.txt", "x.txt: is not the name of a .npy or .npz file"),
        ("x", "x: is not the name of a .npy or .npz file"),
    ],
)
def test_where_simulate_does_not_write(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["simulate", "cartpole-mlp", "--input", str(tmp_path / "in.npy"), "-o", str(tmp_path / name)]
    assert main(words) == UsageError.exit_code
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
