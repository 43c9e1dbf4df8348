"""A worker of ``strl.loop.jobs``: plays the episodes that it is handed, and ends with its parent."""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import Connection
from typing import Any

from strl.errors import StrlError

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Arguments: the descriptor of the pipe to the parent, and the parent's process id."""
    descriptor, parent = (int(argument) for argument in sys.argv[1:])
    _tie(parent)
    pipe = Connection(descriptor)
    try:
        _say(pipe, seen=_play(pipe))
    except (EOFError, BrokenPipeError):
        os._exit(1)  # the parent is gone
    except BaseException as error:  # noqa: BLE001 (handed to the parent, who raises it)
        hint = error.hint if isinstance(error, StrlError) else ""
        text = error.message if isinstance(error, StrlError) else str(error)
        trace = "".join(traceback.format_exception(error))
        with suppress(OSError):  # nobody may be left to hear of it
            _say(pipe, error=type(error).__name__, message=text, hint=hint, trace=trace)


def _play(pipe: Connection) -> list[dict[str, Any]]:
    """Play until there are no more seeds; gives what an agent in the shadow saw."""
    from strl.loop.runner import play
    from strl.loop.shadow import Shadow

    task = pickle.loads(pipe.recv_bytes())
    if task.spec is not None:
        import gymnasium

        gymnasium.registry.setdefault(task.spec.id, task.spec)
    with ExitStack() as stack:
        agent = stack.enter_context(closing(task.agent(task.batch)))
        shadow = None
        if task.follower is not None:
            shadow = Shadow(agent, stack.enter_context(closing(task.follower(task.batch))))
        for episode in play(agent, task.environment, _seeds(pipe), watcher=shadow):
            _say(pipe, episode=episode.to_dict())
    return [] if shadow is None else [episode.to_dict() for episode in shadow.seen]


def _seeds(pipe: Connection) -> Iterator[int]:
    """Seeds as the parent hands them out, one at a time so that no worker waits for another."""
    while True:
        _say(pipe, next=True)
        seed = json.loads(pipe.recv_bytes())
        if seed is None:
            return
        yield seed


def _say(pipe: Connection, **message: Any) -> None:
    pipe.send_bytes(json.dumps(message).encode())


def _tie(parent: int) -> None:
    """End this process with its parent, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if sys.platform == "linux":  # also where a library holds the interpreter's lock
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
