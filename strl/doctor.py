"""Is this installation whole? One small check a part, each with the command that mends it.

A backend is not judged by what is installed: it runs a small program, in a process of its own with a
time limit, and must give the spikes that the chip's definition gives.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement
from packaging.version import Version

from strl.errors import BackendError, StrlError

if TYPE_CHECKING:
    import numpy as np

    from strl.chip import Program, Session

Status = Literal["ok", "missing", "problem"]

OPTIONAL = ("lava", "onnx", "video")
"""Extras that a user may leave out; ``dev`` is not looked at."""

LAVA = Requirement("lava-nc==0.10.0")
PIP = f"{shlex.quote(sys.executable)} -m pip install"
MEND_LAVA = f"{PIP} --no-deps --ignore-requires-python {LAVA} && {PIP} 'strl[lava]'"
OWN = ("strl", "exporters", "hardware_sims")
GROUPS = ("strl.frontends", "strl.modules", "strl.exporters")
PROBE_SECONDS = 120.0
"""Time limit of a backend's run; numba compiles in it the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was found.

    Args:
        part: what was looked at.
        status: ``missing`` if it is not there, ``problem`` if it is there and wrong.
        found: what is there, or what went wrong; one line.
        mend: a command or sentence that helps; empty where all is well.
        needed: whether strl cannot do without it.
        backend: whether it is something that runs programs.
    """

    part: str
    status: Status
    found: str
    mend: str = ""
    needed: bool = True
    backend: bool = False


def examine() -> Iterator[Check]:
    """All checks, as they are made; the slow ones (backends) last."""
    yield _python()
    packages = tuple(_packages())
    yield from packages
    if any(c.needed and c.status == "missing" for c in packages):
        return  # nothing below could be imported
    yield from _shadows()
    yield from _borders()
    yield _cache()
    yield from _environments()
    yield _video()
    yield from _backends()


def exit_code(checks: tuple[Check, ...]) -> int:
    """0 if nothing needed is wrong and no backend fails; 6 if a backend fails; else 1.

    A backend whose optional packages are not installed is missing, not failing.
    """
    if any(c.status == "problem" and c.backend for c in checks):
        return BackendError.exit_code
    return int(any(c.status != "ok" and c.needed for c in checks))


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(part="Python", status="ok", found=f"{version}, {sys.executable}")


def _packages() -> Iterator[Check]:
    try:
        required = [Requirement(text) for text in metadata.requires("strl") or []]
    except metadata.PackageNotFoundError:
        yield Check(part="strl", status="missing", found="not installed as a package", mend=f"{PIP} -e .")
        return
    for requirement in required:
        if _applies(requirement, ""):
            yield _package(requirement, f"{PIP} '{_plain(requirement)}'", needed=True)
        for extra in OPTIONAL:
            if not _applies(requirement, "") and _applies(requirement, extra):
                yield _package(requirement, f"{PIP} 'strl[{extra}]'", needed=False)
    yield _package(LAVA, MEND_LAVA, needed=False)


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _plain(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _package(requirement: Requirement, mend: str, *, needed: bool) -> Check:
    part = requirement.name
    try:
        version = metadata.version(part)
    except metadata.PackageNotFoundError:
        return Check(part=part, status="missing", found="not installed", mend=mend, needed=needed)
    if not requirement.specifier.contains(Version(version), prereleases=True):
        wrong = f"{version}, must be {requirement.specifier}"
        return Check(part=part, status="problem", found=wrong, mend=mend, needed=needed)
    return Check(part=part, status="ok", found=version, needed=needed)


def _shadows() -> Iterator[Check]:
    """Our packages must come from one place. (lava-nc's wheel brings a package ``tests``: never ours.)"""
    home = Path(__file__).resolve().parents[1]
    for name in OWN:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve().parents[1] if spec and spec.origin else None
        if origin is None:
            yield Check(part=f"package {name}", status="missing", found="not found", mend=f"{PIP} -e .")
            continue
        folders = {(Path(p or ".") / name).resolve() for p in sys.path}
        others = sorted(str(f) for f in folders if f.is_dir() and f.parent != home)
        if origin != home or others:
            elsewhere = others[0] if others else str(origin / name)
            yield Check(
                part=f"package {name}",
                status="problem",
                found=f"shadowed: also at {elsewhere}",
                mend=f"move or uninstall {elsewhere}",
            )
        else:
            yield Check(part=f"package {name}", status="ok", found=str(origin))
    tests = find_spec("tests")
    if tests and tests.origin and Path(tests.origin).resolve().parents[1] != home:
        known = "a foreign package of this name is installed (lava-nc brings one); ours is never imported"
        yield Check(part="package tests", status="ok", found=known, needed=False)


def _borders() -> Iterator[Check]:
    """Entry points of exporters and front ends exist and load."""
    for group in GROUPS:
        found = sorted(metadata.entry_points(group=group), key=lambda e: e.name)
        if not found:
            yield Check(part=group, status="missing", found="no entry point", mend=f"{PIP} -e .")
        for entry in found:
            part = f"{group.removeprefix('strl.')[:-1]} {entry.name}"
            try:
                entry.load()
            except (ImportError, AttributeError, StrlError) as error:
                yield Check(part=part, status="problem", found=_line(error), mend=f"{PIP} -e .")
            else:
                yield Check(part=part, status="ok", found=entry.value)


def _cache() -> Check:
    """numba keeps the compiled kernel beside its source, or where NUMBA_CACHE_DIR says."""
    spec = find_spec("hardware_sims")
    beside = Path(spec.origin).parent if spec and spec.origin else Path()
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or beside)
    if os.access(folder if folder.exists() else folder.parent, os.W_OK):
        return Check(part="kernel cache", status="ok", found=str(folder), needed=False)
    return Check(
        part="kernel cache",
        status="problem",
        found=f"{folder} cannot be written: the kernel is compiled anew in every process",
        mend="export NUMBA_CACHE_DIR=~/.cache/strl",
        needed=False,
    )


def _environments() -> Iterator[Check]:
    import gymnasium

    for name in ("CartPole-v1", "LunarLander-v3", "Acrobot-v1"):
        try:
            gymnasium.make(name).close()
        except (gymnasium.error.Error, ImportError) as error:
            mend = f"{PIP} 'gymnasium[box2d,classic-control]'"
            yield Check(part=name, status="problem", found=_line(error), mend=mend)
        else:
            yield Check(part=name, status="ok", found="can be made")


def _video() -> Check:
    try:
        import imageio_ffmpeg

        found = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        return Check(
            part="ffmpeg",
            status="missing",
            found=_line(error),
            mend=f"{PIP} 'strl[video]'",
            needed=False,
        )
    return Check(part="ffmpeg", status="ok", found=Path(found).name, needed=False)


def _backends() -> Iterator[Check]:
    from strl.chip import backends

    truth = _probed("definition")
    for name in backends():
        answer = truth if name == "definition" else _probed(name)
        mends = {"lava": MEND_LAVA, "lava-fused": MEND_LAVA, "onnx": f"{PIP} 'strl[onnx]'"}
        status: Status = "ok"
        found, mend = f"runs, spikes as defined ({answer.seconds:.1f} s)", ""
        if answer.error:
            status, found = "missing" if answer.missing else "problem", answer.error
            mend = mends.get(name, f"{PIP} -e .")
        elif truth.digest and answer.digest != truth.digest:
            status, found = "problem", "runs, but its spikes are not those of the definition"
            mend = "report it, with the output of `strl doctor --json`"
        yield Check(
            part=f"backend {name}",
            status=status,
            found=found,
            mend=mend,
            needed=name not in mends,
            backend=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a backend's process said: the digest of its spikes, or why there is none."""

    digest: str = ""
    error: str = ""
    missing: bool = False
    seconds: float = 0.0


def _probed(name: str, seconds: float = PROBE_SECONDS) -> _Answer:
    """Run ``probe(name)`` in a process group of its own, which is ended whatever happens."""
    command = [sys.executable, "-c", "import sys; from strl.doctor import probe; probe(sys.argv[1])", name]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return _Answer(error=f"no answer within {seconds:.0f} s")
        finally:
            _end_group(process.pid)
    for line in reversed(out.splitlines()):
        if line.startswith("{"):
            return _Answer(**json.loads(line))
    last = err.strip().splitlines()[-1:] or [f"ended with code {process.returncode}"]
    return _Answer(error=last[0])


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def probe(name: str) -> None:
    """Run the probe's program on a backend; one JSON line on stdout. For ``_probed`` alone."""
    import time

    from strl.chip import backend

    started = time.monotonic()
    try:
        digest = _spikes(backend(name).load)
        answer = {"digest": digest, "seconds": time.monotonic() - started}
    except StrlError as error:
        answer = {"error": _line(error), "missing": isinstance(error.__cause__, ImportError)}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()


def _spikes(load: Callable[[Program], Session]) -> str:
    """SHA-256 over the rasters of three decisions of a small program with a fixed input."""
    import numpy as np

    draw = np.random.default_rng(1)
    session = load(_small_program(draw))
    hasher = hashlib.sha256()
    try:
        session.reset()
        for _ in range(3):
            spikes = draw.integers(0, 2, (8, 1, 3)).astype(np.uint8)
            hasher.update(session.run(spikes).raster.tobytes())
    finally:
        session.close()
    return hasher.hexdigest()


def _small_program(draw: np.random.Generator) -> Program:
    """Three sources, five hidden neurons and two more; weights are drawn."""
    import numpy as np

    from strl.chip import Part, Program, chip
    from strl.ir import EnvironmentSpec, Readout, Semantics
    from strl.quantize import Lif, Population, ReadoutWindow, Schedule, Source, Synapse

    def lif(name: str, size: int, offset: int) -> Population:
        kind = Lif(du=np.full(size, 4095), dv=np.full(size, 400), vth=np.full(size, 40))
        return Population(name=name, size=size, kind=kind, offset=offset)

    def synapse(pre: str, post: str, shape: tuple[int, int]) -> Synapse:
        weight = (2 * draw.integers(-20, 60, shape)).astype(np.int16)
        return Synapse(name=f"{pre}-{post}", pre=pre, post=post, weight=weight)

    spec = EnvironmentSpec(id="", observation_shape=(3,), actions=2)
    counted = Readout(kind="count")
    return Program(
        chip=chip("loihi1"),
        arithmetic="lava",
        populations=(
            Population(name="in", size=3, kind=Source()),
            lif("hidden", 5, 1),
            lif("out", 2, 2),
        ),
        synapses=(synapse("in", "hidden", (5, 3)), synapse("hidden", "out", (2, 5))),
        placement=(
            Part(population="hidden", start=0, stop=5, core=0),
            Part(population="out", start=0, stop=2, core=0),
        ),
        schedule=Schedule(ticks=8, total=10, state="reset"),
        readout=ReadoutWindow(population="out", kind="count", start=2, stop=10, unit=1.0),
        semantics=Semantics(
            ticks=8, state="reset", readout=counted, encoder={}, decoder={}, environment=spec
        ),
    )


def _line(error: Exception) -> str:
    """The error in one line."""
    return " ".join(str(getattr(error, "message", error)).split()) or type(error).__name__
