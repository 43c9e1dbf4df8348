"""Without lava-nc everything but its two backends works, and these say what to install."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from hardware_sims.lava import compat
from strl.chip import backend, backends
from strl.errors import BackendError
from strl.testing import random_program


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """As if ``package`` were not installed."""
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # what the import system takes for "there is none"


@pytest.mark.parametrize("name", ["lava", "lava-fused"])
def test_lava_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "lava")
    assert name in backends()
    with pytest.raises(BackendError, match="lava-nc cannot be imported") as caught:
        backend(name).load(random_program(0))
    assert caught.value.exit_code == 6
    assert "make install" in caught.value.hint
    assert "pip install --no-deps --ignore-requires-python lava-nc==0.10.0" in caught.value.hint
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_need_of_lava_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    if not importlib.util.find_spec("lava"):
        pytest.skip("lava-nc is not installed")
    without(monkeypatch, "lava")
    monkeypatch.delitem(sys.modules, "lava")
    without(monkeypatch, "asteval")
    with pytest.raises(BackendError, match="asteval") as caught:
        compat.load()
    assert "asteval" in caught.value.hint


def test_loading_the_backends_imports_no_lava() -> None:
    import subprocess

    script = "import sys, hardware_sims.lava; sys.exit(any(n.split('.')[0] == 'lava' for n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
