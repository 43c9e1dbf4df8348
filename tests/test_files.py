"""Only regular files are read, and replaced: a pipe would hold us, a rename would replace a device."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from exporters.disk import write_files, write_folder
from exporters.nir import NirExporter
from exporters.nir.reading import chosen
from strl.chip.spec import chip
from strl.cli.main import main
from strl.errors import StrlError, UsageError
from strl.files import check_replaceable, write_bytes
from strl.loop.arrays import read_array, write_arrays
from strl.loop.film import _moved
from strl.loop.journal import Journal, write_json
from strl.loop.results import EpisodeResult
from strl.loop.subject import resolve
from strl.loop.trace import Trace
from strl.policies import Checkpoint, load, load_policy, save
from strl.report.page import write
from strl.report.source import chapters
from strl.training.files import read_tensors, run_folder, write_tensors


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


Put = Callable[[Path], Path]
"""Puts what is no regular file at a path, in the place of what is there."""


def _journal(folder: Path, put: Put, name: str) -> None:
    Journal(folder, {}, neurons=1, populations=1)
    put(folder / name)
    Journal(folder, {}, neurons=1, populations=1)


def _append(folder: Path, put: Put) -> None:
    journal = Journal(folder, {}, neurons=1, populations=1)
    put(folder / "episodes.jsonl")
    none = np.zeros(1, np.int64)
    journal.append(
        EpisodeResult(seed=0, return_=1.0, length=1, digest="", ticks=1, spikes=none, active=none, wall_s=0.0)
    )


def _bundle(folder: Path, put: Put) -> None:
    write_folder(folder / "x", {"manifest.json": b"{}"})
    put(folder / "x" / "manifest.json")
    resolve(str(folder / "x"))


def _options(folder: Path, put: Put) -> None:
    put(run_folder(folder / "x", {}) / "options.json")
    run_folder(folder / "x", {})


def _beside(folder: Path, put: Put) -> None:
    put(folder / "x.part")
    write_bytes(folder / "x", b"x")


READERS: dict[str, Callable[[Path, Put], object]] = {
    "array": lambda folder, put: read_array(put(folder / "x.npy")),
    "bundle": _bundle,
    "checkpoint": lambda folder, put: load(put(folder / "x.safetensors")),
    "chip": lambda folder, put: chip(str(put(folder / "x.toml"))),
    "journal's key": lambda folder, put: _journal(folder, put, "run.json"),
    "journal's episodes": lambda folder, put: _journal(folder, put, "episodes.jsonl"),
    "journal's next episode": _append,
    "network": lambda folder, put: NirExporter().load(put(folder / "x.nir")),
    "producer": lambda folder, put: chosen(str(put(folder / "x.toml"))),
    "report": lambda folder, put: chapters([put(folder / "x.json")]),
    "tensors": lambda folder, put: read_tensors(put(folder / "x")),
    "trace": lambda folder, put: Trace.load(put(folder / "x.npz")),
    "training's options": _options,
    "what is being written": _beside,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_holds_nobody_up(reader: str, kind: str, tmp_path: Path) -> None:
    def put(path: Path) -> Path:
        path.unlink(missing_ok=True)
        if kind == "device":
            path.symlink_to("/dev/zero")
        else:
            (os.mkfifo if kind == "pipe" else os.mkdir)(path)
        return path

    with pytest.raises((StrlError, OSError), match=r"not a regular file|s a directory|neither a run"):
        READERS[reader](tmp_path, put)


def test_a_run_whose_key_is_a_pipe_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "run.json")
    assert main(["run", "cartpole-mlp", "--episodes", "1", "-o", str(tmp_path)]) == StrlError.exit_code
    assert "run.json: it is not a regular file" in capsys.readouterr().err
