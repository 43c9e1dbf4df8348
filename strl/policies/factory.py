"""A user's own policy from ``file.py:factory``. Runs the named file, which only the user may choose."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from strl.errors import ModelError, StrlError
from strl.policies.policy import SpikingPolicy
from strl.registry import suggest


def make(path: Path, function: str) -> SpikingPolicy:
    """Call ``function()`` of the Python file and return the policy it makes.

    Raises:
        ModelError: no such file or function, an exception inside it, or another type returned.
    """
    where = f"{path}:{function}"
    module = _imported(path)
    factory = getattr(module, function, None)
    if not callable(factory):
        names = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise ModelError(f"{where}: there is no function {function!r}", hint=suggest(function, names))
    try:
        policy = factory()
    except StrlError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{where}: raised {_line(error)}", hint=_where(error, path)) from error
    if not isinstance(policy, SpikingPolicy):
        raise ModelError(
            f"{where}: returned a {type(policy).__name__}, must be a strl.policies.policy.SpikingPolicy",
            hint="return SpikingPolicy(module=…, semantics=…)",
        )
    return policy


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"strl_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # so that it can import its neighbours, as `python file.py` would
    try:
        spec.loader.exec_module(module)
    except StrlError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{path}: raised {_line(error)}", hint=_where(error, path)) from error
    finally:
        sys.path.remove(folder)
    return module


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _where(error: BaseException, path: Path) -> str:
    """The last line of the user's own file that the traceback names."""
    line, trace, whole = 0, error.__traceback__, path.resolve()
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == whole:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    return f"see line {line} of {path.name}" if line else ""
