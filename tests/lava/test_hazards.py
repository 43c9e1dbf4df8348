"""Nothing that goes wrong in or around Lava hangs, and nothing is left behind."""

from __future__ import annotations

import dataclasses
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hardware_sims.lava import LavaBackend, LavaFusedBackend, compat
from strl.chip import Program
from strl.errors import BackendError
from strl.testing import random_program

pytestmark = [pytest.mark.lava, pytest.mark.timeout(60)]

SOON_S = 20.0
BACKENDS = {"lava": LavaBackend, "lava-fused": LavaFusedBackend}

# A shell that runs tests in the background has Ctrl-C ignored in all that it starts.
WORKER = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from hardware_sims.lava import LavaBackend, LavaFusedBackend
from strl.chip import Program
from strl.testing import random_program
{program}
program = simple_program()
sessions = [LavaBackend().load(program), LavaFusedBackend().load(program)]
print(*[pid for s in sessions for pid in s._cluster.pids], flush=True)
spikes = np.ones((program.schedule.ticks, 1, sum(p.size for p in program.sources)), np.uint8)
until = time.monotonic() + {seconds}
while time.monotonic() < until:
    for session in sessions:
        session.run(spikes)
"""


def simple_program() -> Program:
    """A random program that stock processes can run, with a neuron that only we have."""
    from dataclasses import replace

    program = random_program(32)
    late = program.population("lif1")
    late = replace(late, kind=replace(late.kind, reset="subtract", reset_delay=True))
    populations = tuple(late if p.name == late.name else p for p in program.populations)
    program = replace(program, populations=populations)
    synapses = [replace(s, weight=s.weight & 126) for s in program.synapses]
    schedule = replace(program.schedule, state="carry")
    return replace(program, synapses=tuple(synapses), schedule=schedule)


def silence(program: Program) -> np.ndarray:
    return np.zeros((program.schedule.ticks, 1, sum(p.size for p in program.sources)), np.uint8)


def alive(pids: list[int] | tuple[int, ...]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and _state(pid) != "Z"]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def gone(pids: list[int] | tuple[int, ...]) -> bool:
    until = time.monotonic() + SOON_S
    while alive(pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(pids)


@pytest.fixture(params=sorted(BACKENDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["PyLifModelBitAcc", "LateLIFModel", "FusedModel"])
def model(request: pytest.FixtureRequest) -> tuple[str, type]:
    """A process model, and the backend that runs it."""
    from lava.proc.lif.models import PyLifModelBitAcc

    from hardware_sims.lava.fused import FusedModel
    from hardware_sims.lava.neurons import LateLIFModel

    found = {m.__name__: m for m in (PyLifModelBitAcc, LateLIFModel, FusedModel)}[request.param]
    return ("lava-fused" if found is FusedModel else "lava"), found


def test_an_exception_in_a_process_model(model: tuple[str, type], monkeypatch: pytest.MonkeyPatch) -> None:
    name, failing = model
    plain = failing.run_spk

    def fail(self: object) -> None:
        if self.time_step == 2:  # type: ignore[attr-defined]
            raise ZeroDivisionError("as planned")
        plain(self)

    monkeypatch.setattr(failing, "run_spk", fail)
    session = BACKENDS[name]().load(simple_program())
    pids = session._cluster.pids
    started = time.monotonic()
    with pytest.raises(BackendError, match=rf"{failing.__name__} raised ZeroDivisionError\('as planned'\)"):
        [session.run(silence(session.program)) for _ in range(3)]
    assert time.monotonic() - started < SOON_S
    assert gone(pids)
    with pytest.raises(BackendError, match="closed"):
        session.run(silence(session.program))


def test_an_exception_while_a_process_model_is_built(
    model: tuple[str, type], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: object, proc_params: object) -> None:
        raise ZeroDivisionError("as planned")

    monkeypatch.setattr(model[1], "__init__", failing)
    with pytest.raises(BackendError, match="as planned"):
        BACKENDS[model[0]]().load(simple_program())
    assert not multiprocessing.active_children()


def test_a_child_that_is_killed(name: str) -> None:
    for victim in (0, -1):  # a process model, the runtime service
        session = BACKENDS[name]().load(simple_program())
        session.run(silence(session.program))
        pids = session._cluster.pids
        os.kill(pids[victim], signal.SIGKILL)
        with pytest.raises(BackendError, match=r"died \(exit code -9\)"):
            session.run(silence(session.program))
        assert gone(pids)


def test_a_child_that_is_killed_before_a_reset() -> None:
    session = LavaBackend().load(simple_program())
    session.run(silence(session.program))
    os.kill(session._cluster.pids[-1], signal.SIGKILL)
    with pytest.raises(BackendError, match=r"died \(exit code -9\)"):
        session.reset()


def test_closing_twice_and_using_what_is_closed(name: str) -> None:
    session = BACKENDS[name]().load(simple_program())
    pids = session._cluster.pids
    session.close()
    session.close()
    assert gone(pids)
    with pytest.raises(BackendError, match="closed"):
        session.run(silence(session.program))


def test_a_session_that_is_dropped(name: str) -> None:
    from lava.magma.core.process.process import ProcessServer

    session = BACKENDS[name]().load(simple_program())
    pids = session._cluster.pids
    del session
    gc.collect()
    assert gone(pids)
    assert not ProcessServer().processes


def test_building_again_and_again_leaks_no_handles(name: str) -> None:
    def build() -> int:
        session = BACKENDS[name]().load(simple_program())
        session.run(silence(session.program))
        session.close()
        del session
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    first = [build() for _ in range(2)]
    assert max(build() for _ in range(4)) <= max(first)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    process, pids = start(tmp_path, seconds=60)
    yield process, pids
    process.kill()
    process.communicate()


def start(folder: Path, seconds: float) -> tuple[subprocess.Popen[str], list[int]]:
    import inspect

    script = folder / "worker.py"
    script.write_text(WORKER.format(program=inspect.getsource(simple_program), seconds=seconds))
    command = [sys.executable, str(script)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    line = process.stdout.readline()
    return process, [int(pid) for pid in line.split()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_parent_that_is_killed(worker: tuple[subprocess.Popen[str], list[int]], number: int) -> None:
    process, pids = worker
    assert len(alive(pids)) == len(pids) > 4
    before = set(os.listdir("/dev/shm"))
    time.sleep(0.5)
    process.send_signal(number)
    process.wait(SOON_S)
    assert gone(pids)
    assert set(os.listdir("/dev/shm")) <= before
    assert not [f for f in before if f.startswith("psm_")], "Lava's channels have names"


def test_ctrl_c(worker: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, pids = worker
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and children alike
    _, errors = process.communicate(timeout=SOON_S)
    assert gone(pids)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert errors.count("Traceback") == 1


def test_leaving_without_closing(tmp_path: Path) -> None:
    process, pids = start(tmp_path, seconds=0.2)
    _, errors = process.communicate(timeout=2 * SOON_S)
    assert (process.returncode, errors) == (0, "")
    assert gone(pids)


def test_what_was_patched_for_the_import_is_restored() -> None:
    assert dataclasses.dataclass.__module__ == "dataclasses"
    assert multiprocessing.set_start_method.__qualname__ == "DefaultContext.set_start_method"


def test_spawn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: "spawn")
    with pytest.raises(BackendError, match="'spawn'") as caught:
        compat.load()
    assert "fork" in caught.value.hint


def test_reshape_works_on_this_numpy() -> None:
    from lava.magma.core.process.ports.ports import ReshapePort

    port = ReshapePort(new_shape=(2, 3), old_shape=(6,))
    forward, back = port.get_transform_func_fwd(), port.get_transform_func_bwd()
    assert forward(np.arange(6)).shape == (2, 3)
    assert back(np.zeros((2, 3))).shape == (6,)
