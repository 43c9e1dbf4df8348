"""Lava's own multi-process runtime, guarded: it cannot hang, and it leaves nothing behind.

Plain lava-nc 0.10.0 waits for ever when a process model raises or dies, needs a polite ``stop()`` to let the
interpreter exit, leaves orphans when its parent is killed, and named shared memory with them. Here
- the parent waits with a time limit and looks at its children in between;
- children are ended by SIGKILL and waited for, at the latest when the interpreter exits; the kernel kills
  them when the thread that started them ends, and Ctrl-C is the parent's alone;
- channels live in anonymous memory that children inherit: it has no name that could stay.

Processes, models, compiler, scheduling and channels stay Lava's. Import after ``compat.load()``.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
import os
import queue
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi1SimCfg
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing, SystemProcess
from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime import Runtime
from numpy.typing import DTypeLike, NDArray

from strl.errors import BackendError

POLL_S = 0.1
"""Seconds between two looks at the children while waiting for them."""
START_S = 60.0
"""Seconds that the children may take to be built."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def shared(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros in anonymous memory that children forked from now on share with this process."""
    count = int(np.prod(shape))
    memory = mmap.mmap(-1, max(count * np.dtype(dtype).itemsize, 1))
    return np.frombuffer(memory, dtype, count).reshape(shape)


class Cluster:
    """The operating-system processes of one Lava network.

    Args:
        process: any Lava process of the network; all that are connected with it run.
        processes: all of them, so that closing frees what Lava keeps of each.

    Raises:
        BackendError: the network cannot be compiled or started; says what Lava said.
    """

    def __init__(self, process: Any, processes: Sequence[Any]) -> None:
        self._processes = list(processes)
        self._awake = threading.Event()
        try:
            executable = process.compile(Loihi1SimCfg(select_tag="fixed_pt"))
            self._runtime = _Runtime(executable, ActorType.MultiProcessing)
        except Exception as error:
            _forget(self._processes)
            raise BackendError(f"backend 'lava': Lava cannot compile the program: {error!r}") from error
        _LIVE.add(self)
        try:
            executable.assign_runtime_to_all_processes(self._runtime)
            self._runtime.initialize()
            self._runtime._is_started = True
        except BaseException:
            self.close()
            raise
        (self._answers,) = self._runtime.service_to_runtime

    def steps(self, number: int) -> None:
        """Advance the network; returns when it has.

        Raises:
            BackendError: a process model raised or died; everything is closed then.
        """
        self._require_open()
        try:
            self._awake.clear()
            self._answers.observer = self._awake.set
            self._runtime.start(RunSteps(number, blocking=False))
            while not self._answers.probe():
                self._awake.wait(POLL_S)
                self._awake.clear()
                if not self._answers.probe():
                    self._runtime.check_actors()
            self._answers.observer = None
            if not enum_equal(self._answers.peek(), MGMT_RESPONSE.DONE):
                time.sleep(POLL_S)  # the child that raised says why a moment later
                self._runtime.check_actors()
                raise BackendError("backend 'lava': the runtime reports an error and does not say which")
            self._runtime.wait()
        except BaseException:  # Ctrl-C too: the network is in the middle of something, nothing can go on
            self.close()
            raise

    def call(self, function: Callable[[], object]) -> None:
        """Do something that waits for children, such as ``Var.set``, under the same guard as ``steps``."""
        self._require_open()
        failure: list[BaseException] = []

        def attempt() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 (handed to the caller's thread)
                failure.append(error)

        worker = threading.Thread(target=attempt, daemon=True)
        try:
            worker.start()
            while worker.is_alive():
                worker.join(POLL_S)
                if worker.is_alive():
                    self._runtime.check_actors()
            if failure:
                raise BackendError(f"backend 'lava': {failure[0]!r}") from failure[0]
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the children."""
        return tuple(a.pid for a in self._runtime.actors if not a._is_done)

    def close(self) -> None:
        """End every child; may be called twice, and does nothing in a forked copy of this process."""
        if not self._runtime.ended:
            self._runtime.end()
            _forget(self._processes)
            _LIVE.discard(self)

    def __del__(self) -> None:
        if hasattr(self, "_runtime"):
            self.close()

    def _require_open(self) -> None:
        if self._runtime.ended:
            raise BackendError(
                "backend 'lava': this session is closed", hint="load the program again for a fresh one"
            )


class _Runtime(Runtime):  # type: ignore[misc]
    """Lava's runtime with children of ours."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ended = False
        self._pid = os.getpid()

    @property
    def actors(self) -> list[Any]:
        return list(self._messaging_infrastructure.actors) if self._messaging_infrastructure else []

    def initialize(self, node_cfg_idx: int = 0) -> None:
        """As Lava's own, but a child that dies or raises while it is built is an error, not a wait."""
        self._build_watchdog_manager()
        self._messaging_infrastructure = _Messaging()
        self._messaging_infrastructure.start()
        self._build_channels()
        self._build_sync_channels()
        # A Ctrl-C between fork and the child's own handling of it would end the child.
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._build_processes()
            self._build_runtime_services()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        self._start_ports()
        for answer in self.exception_q:
            self._await_built(answer)
        del self.exception_q
        self._is_initialized = True

    def _await_built(self, answer: Any) -> None:
        for _ in range(int(START_S / POLL_S)):
            try:
                error = answer.get(timeout=POLL_S)
            except queue.Empty:
                self.check_actors()
                continue
            if error:
                raise BackendError(f"backend 'lava': a process model cannot be built: {error!r}")
            return
        raise BackendError(f"backend 'lava': the process models were not built within {START_S:g} s")

    def check_actors(self) -> None:
        """Raise ``BackendError`` for the first child that raised, else the first that died."""
        dead = [a for a in self.actors if not a.is_alive()]  # before what they said, which came before that
        for actor in self.actors:
            if actor.exception:
                error, trace = actor.exception
                where = " ".join(line.strip() for line in trace.strip().splitlines()[-3:-1])
                raise BackendError(f"backend 'lava': {actor.role} raised {error!r} ({where})")
        for actor in dead:
            raise BackendError(f"backend 'lava': {actor.role} died (exit code {actor.exitcode})")

    def end(self) -> None:
        if self.ended or os.getpid() != self._pid:
            return
        self.ended = True
        self._is_started = self._is_running = False
        for actor in self.actors:
            actor.kill()
        for actor in self.actors:
            actor.join()
        self.join()

    def __del__(self) -> None:
        self.end()


class _Messaging(MultiProcessing):  # type: ignore[misc]
    def start(self) -> None:
        self._smm = _Memory()

    def build_actor(self, target_fn: Any, builder: Any, exception_q: Any = None) -> Any:
        model = getattr(builder, "proc_model", None) or builder.rs_class
        options = {"builder": builder, "exception_q": exception_q}
        actor = _Actor(model.__name__, target=target_fn, kwargs=options)
        self._actors.append(actor)
        actor.start()
        return actor


class _Memory:
    """Stands for Lava's manager of named shared memory."""

    def create_shared_memory(self, size: int) -> _Block:
        return _Block(size)

    def shutdown(self) -> None:
        return


class _Block:
    def __init__(self, size: int) -> None:
        self.buf = memoryview(mmap.mmap(-1, max(size, 1)))


class _Actor(SystemProcess):  # type: ignore[misc]
    """A child: one process model, or the service that synchronises them."""

    def __init__(self, role: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.role = role
        self._parent = os.getpid()

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        warnings.simplefilter("ignore")  # scipy's, about how Lava compares sparse weights
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:
            os._exit(1)
        super().run()


_LIVE: weakref.WeakSet[Cluster] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # Registered after multiprocessing's own, so it runs before: that one would wait for the children.
    for cluster in list(_LIVE):
        cluster.close()


def _forget(processes: Sequence[Any]) -> None:
    """Lava's registry keeps every process, weights and all, for as long as the interpreter runs."""
    gone = {id(p) for p in processes}
    server = ProcessServer()
    server.processes = [p for p in server.processes if id(p) not in gone]
