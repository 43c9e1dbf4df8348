"""examples/transformer.py, as it is run: what must come out does, and plays what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import strl

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "transformer.py"
POLICIES = ("cartpole-hidden-transformer", "lunarlander-transformer", "maze-transformer")


def run(name: str, folder: Path, *options: str) -> str:
    command = [sys.executable, str(SCRIPT), name, *options, "--episodes", "1", "-o", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(said: str) -> str:
    (found,) = re.findall("digest ([0-9a-f]{64})", said)
    return str(found)


def check(name: str, folder: Path, said: str) -> None:
    """All files are there, the bundle plays the episode that was compared, and the picture is one."""
    bundle = folder / f"{name}.bundle"
    assert strl.evaluate(bundle, episodes=1).digest == digest(said)
    assert strl.load(str(folder / f"{name}.nir")).network == strl.load(str(bundle)).network
    root = ElementTree.parse(folder / "episode.svg").getroot()
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"observed", "token", "query", "key", "value", "bind", "memory", "ask", "hidden", "done"} <= {
        *texts
    }
    assert any(f"{name} in" in str(text) and "seed 0" in str(text) for text in texts)
    assert "same action in 100.00% of all decisions" in said
    (film,) = folder.glob("*.mp4")
    assert film.stat().st_size > 1000


@pytest.mark.parametrize("name", POLICIES)
def test_quick(name: str, tmp_path: Path) -> None:
    said = run(name, tmp_path / "out", "--quick")
    assert f"this will not be the shipped {name}" in said
    assert (tmp_path / "out" / f"{name}.safetensors").exists()
    check(name, tmp_path / "out", said)
    assert digest(said) != strl.evaluate(name, episodes=1).digest


def test_shipped_twice(tmp_path: Path) -> None:
    name = "maze-transformer"
    said = run(name, tmp_path / "out", "--shipped")
    check(name, tmp_path / "out", said)
    assert digest(said) == strl.evaluate(name, episodes=1).digest
    picture = (tmp_path / "out" / "episode.svg").read_bytes()
    assert run(name, tmp_path / "out", "--shipped") == said, "the same folder again"
    assert (tmp_path / "out" / "episode.svg").read_bytes() == picture


def test_every_transformer_that_is_shipped_has_its_example() -> None:
    from strl.policies import shipped

    known = {name for name in shipped() if name.endswith("-transformer")}
    assert known == set(POLICIES)


def test_the_picture_in_the_docs_is_of_the_policy_that_is_shipped() -> None:
    said = (SCRIPT.parents[1] / "docs" / "episode.svg").read_text("utf-8")
    found = strl.evaluate("maze-transformer", episodes=1, seed=1)
    drawn = f"seed 1: return {found.iqm:.0f} in {found.decisions} decisions"
    command = "strl run maze-transformer --episodes 1 --seed 1 --picture docs/episode.svg"
    assert drawn in said, f"run `{command}`"
