"""Run directories that were damaged or edited: found out on reading, by line and field."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from strl.errors import UsageError
from strl.ir import EnvironmentSpec
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.journal import Journal, parse_json
from strl.loop.results import EpisodeResult, Evaluation
from strl.report.source import chapters
from strl.testing.policies import PoleSubject, pole_semantics

SHORT = "strl-test/JournalPole-v0"
DEEP = "[" * 100_000
KEY = {"format": 1, "seed": 0}


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    gymnasium.register(SHORT, entry_point=CartPoleEnv, max_episode_steps=8)
    yield
    del gymnasium.registry[SHORT]


def episode(seed: int) -> EpisodeResult:
    return EpisodeResult(
        seed=seed,
        return_=-1.5,
        length=3,
        digest="0f" * 32,
        ticks=30,
        spikes=np.arange(4),
        active=np.array([2**40, 0]),
        wall_s=0.25,
    )


def opened(folder: Path) -> Journal:
    return Journal(folder, KEY, neurons=4, populations=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory of a run with the episodes 0, 1, 2."""
    journal = opened(tmp_path / "run")
    for seed in range(3):
        journal.append(episode(seed))
    return tmp_path / "run"


def put(folder: Path, number: int, line: bytes) -> None:
    """Write ``line`` in the place of the line of that number."""
    path = folder / "episodes.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = line
    path.write_bytes(b"".join(lines))


def without_sum(folder: Path, **changes: Any) -> bytes:
    """The first line with some of its fields changed, as strl wrote lines before they had a checksum."""
    line = json.loads((folder / "episodes.jsonl").read_bytes().splitlines()[0])
    line.pop("sha256", None)
    return json.dumps({**line, **changes}).encode() + b"\n"


def test_what_was_written_is_read(folder: Path) -> None:
    assert opened(folder).finished == {seed: episode(seed) for seed in range(3)}


def test_a_line_without_a_checksum_is_read(folder: Path) -> None:
    put(folder, 1, without_sum(folder, **{"return": -7}))
    assert opened(folder).finished[0].return_ == -7


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "seed": [-1, None, "0", 1.0, True],
        "return": [None, "x", float("nan"), float("inf"), 10**400, True, [1]],
        "length": [0, -1, None, 2.0, 2**70, True, float("inf")],
        "digest": [None, "é", "", "0f", 0, "0F" * 32, ["0f"]],
        "ticks": [-1, 2**70, float("nan"), float("inf"), "3", None],
        "wall_s": [-1, None, float("nan"), "1"],
        "spikes": [None, [], [1], [1, 2, 3, -1], [0, 0, 0, 2**70], [0, 0, 0, 1.5], [[0] * 4], "abcd", {}],
        "active": [[], [1], [0, -1], [0, "x"], 3],
    }.items(),
)
def test_every_field_is_checked(folder: Path, field: str, values: list[Any]) -> None:
    for value in values:
        put(folder, 1, without_sum(folder, **{field: value}))
        with pytest.raises(UsageError, match=r"episodes.jsonl, line 1: not an episode") as caught:
            opened(folder)
        plain = "NaN" if value != value else "Infinity" if value == float("inf") else field
        assert plain in caught.value.message
        assert "played again" in caught.value.hint


@pytest.mark.parametrize(
    "field", ["seed", "return", "length", "digest", "ticks", "wall_s", "spikes", "active"]
)
def test_a_missing_field_is_named(folder: Path, field: str) -> None:
    line = json.loads(without_sum(folder))
    del line[field]
    put(folder, 2, json.dumps(line).encode() + b"\n")
    with pytest.raises(UsageError, match=f"line 2: not an episode: {field} is missing"):
        opened(folder)


def test_an_edited_line_is_found_out(folder: Path) -> None:
    line = json.loads((folder / "episodes.jsonl").read_text().splitlines()[1])
    put(folder, 2, json.dumps({**line, "return": 500.0}).encode() + b"\n")
    with pytest.raises(UsageError, match=r"line 2: not an episode: sha256 = .*: the line is not what was"):
        opened(folder)
    put(folder, 2, json.dumps({**line, "sha256": None}).encode() + b"\n")
    with pytest.raises(UsageError, match=r"line 2: not an episode: sha256 = None"):
        opened(folder)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\n",
        b"[]\n",
        b"\n",
        b"no json\n",
        DEEP.encode() + b"\n",
        b'{"seed": 1}\n',
        b"9" * 5000 + b"\n",
    ],
)
def test_a_line_that_is_none(folder: Path, line: bytes) -> None:
    """Refused where others follow it; as the last one it is dropped, and the file goes on before it."""
    put(folder, 2, line)
    before = (folder / "episodes.jsonl").read_bytes()
    with pytest.raises(UsageError, match="line 2: not an episode"):
        opened(folder)
    assert (folder / "episodes.jsonl").read_bytes() == before
    put(folder, 2, without_sum(folder, seed=1))
    put(folder, 3, line)
    journal = opened(folder)
    assert sorted(journal.finished) == [0, 1]
    journal.append(episode(2))
    assert sorted(opened(folder).finished) == [0, 1, 2]


def test_a_last_line_that_was_cut_is_dropped_wherever_it_was_cut(folder: Path) -> None:
    path = folder / "episodes.jsonl"
    whole = path.read_bytes()
    third = len(b"".join(whole.splitlines(keepends=True)[:2]))
    for at in range(third, len(whole)):
        path.write_bytes(whole[:at])
        assert sorted(opened(folder).finished) == [0, 1]
        assert path.read_bytes() == whole[:third]


@pytest.mark.parametrize("key", [b"\xff", b"[]", DEEP.encode(), b"", b'{"seed": NaN}', b"null"])
def test_a_key_that_is_none(folder: Path, key: bytes) -> None:
    (folder / "run.json").write_bytes(key)
    with pytest.raises(UsageError, match=r"not a run's key|holds another run"):
        opened(folder)


def ran(folder: Path) -> Evaluation:
    spec = EnvironmentSpec(id=SHORT, observation_shape=(4,), actions=2)
    subject = PoleSubject(semantics=pole_semantics(environment=spec))
    return evaluate(Entrant.of(subject, "loihi"), episodes=2, output=folder)


def test_spikes_of_another_network_are_refused(tmp_path: Path) -> None:
    first = ran(tmp_path)
    for field in ("spikes", "active"):
        line = first.episodes[0].to_dict()
        put(tmp_path, 1, json.dumps({**line, field: line[field][:-1]}).encode() + b"\n")
        with pytest.raises(UsageError, match=f"line 1: not an episode: {field} has"):
            ran(tmp_path)
    put(tmp_path, 1, json.dumps(first.episodes[0].to_dict()).encode() + b"\n")
    assert ran(tmp_path).digest == first.digest


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", '"x"', "null", DEEP])
def test_a_report_of_what_is_no_number(tmp_path: Path, number: str) -> None:
    ran(tmp_path)
    path = tmp_path / "result.json"
    path.write_text(path.read_text().replace('"mean": 8.0', f'"mean": {number}'))
    with pytest.raises(UsageError, match=r"result.json: "):
        chapters([tmp_path])


def test_json_is_read_strictly() -> None:
    assert parse_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    for odd in (b"NaN", b"[-Infinity]", DEEP.encode(), b"\xff", b"{"):
        with pytest.raises(ValueError, match=r"."):
            parse_json(odd)
