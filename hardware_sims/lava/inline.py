"""Lava's own process models without its runtime: in this process, a thread each, joined by queues.

For checks of many small programs, which would spend their time on starting Lava's runtime. Lava compiles
the network and builds the models, ports and variables; only its channels are replaced, by queues that cast
what is sent to the channel's type as Lava's do. Each model blocks until its input is there, so that what
comes out does not depend on how the threads take turns. Import after ``compat.load()``.
"""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.compiler.utils import PortInitializer
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.run_configs import Loihi1SimCfg
from numpy.typing import NDArray

from hardware_sims.lava.network import StockNetwork
from strl.errors import BackendError

Trace = dict[str, NDArray[np.int64]]


class Inline:
    """The models of a network.

    A trace holds of each population, tick by tick, u and v after the tick where the model has them, and the
    synaptic sums ``a0`` (and ``a1`` of a product), int64 [ticks, n].

    Raises:
        BackendError: Lava cannot compile or build the network.
    """

    def __init__(self, network: StockNetwork) -> None:
        self._network = network
        self._inboxes: list[queue.SimpleQueue[Any]] = []
        self._rows: dict[str, dict[str, list[NDArray[Any]]]] = {}
        try:
            self._models = self._build()
        except Exception as error:
            raise BackendError(f"backend 'lava': Lava cannot compile the program: {error!r}") from error
        finally:
            gone = {id(p) for p in network.processes}
            server = ProcessServer()
            server.processes = [p for p in server.processes if id(p) not in gone]
        for name, process in network.neurons.items():
            rows = self._rows[name] = {}
            for port, key in (("a_in", "a0"), ("a_in1", "a0"), ("a_in2", "a1")):
                if hasattr(process, port):
                    _listen(getattr(self._models[process], port), rows.setdefault(key, []))

    def steps(self, number: int) -> None:
        """Advance the network.

        Raises:
            BackendError: a process model raised.
        """
        failures: list[tuple[str, Exception]] = []

        def work(model: Any, after: Callable[[], None]) -> None:
            try:
                for _ in range(number):
                    model.time_step += 1
                    model.run_spk()
                    after()
            except _Stopped:
                return
            except Exception as error:  # noqa: BLE001 (handed to the caller's thread)
                failures.append((type(model).__name__, error))
                for inbox in self._inboxes:
                    inbox.put(None)

        names = {id(process): name for name, process in self._network.neurons.items()}
        threads = [
            threading.Thread(
                target=work, args=(model, self._after(names.get(id(process)), model)), daemon=True
            )
            for process, model in self._models.items()
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy's, about how Lava compares sparse weights
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if failures:
            model, error = failures[0]
            raise BackendError(f"backend 'lava': {model} raised {error!r}") from error

    def clear(self) -> None:
        """What a new episode clears."""
        for process, name in self._network.state:
            getattr(self._models[process], name)[:] = 0

    def take(self) -> dict[str, Trace]:
        """The trace so far; it begins anew."""
        found = {}
        for name, rows in self._rows.items():
            found[name] = {key: np.array(values).astype(np.int64) for key, values in rows.items()}
            for values in rows.values():
                values.clear()
        return found

    def _build(self) -> dict[Any, Any]:
        executable = self._network.host.compile(Loihi1SimCfg(select_tag="fixed_pt"))
        builders = executable.proc_builders
        for joint in executable.channel_builders:
            source, target = joint.src_port_initializer, joint.dst_port_initializer
            inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
            self._inboxes.append(inbox)
            receiver = _Receiver(target.name, inbox)
            builders[joint.src_process].set_csp_ports([_Sender(source, inbox)])
            builders[joint.dst_process].set_csp_ports([receiver])
            port = f"{joint.src_process.id}_{source.name}"
            builders[joint.dst_process].add_csp_port_mapping(port, receiver)
        return {process: builder.build() for process, builder in builders.items()}

    def _after(self, name: str | None, model: Any) -> Callable[[], None]:
        if name is None or not hasattr(model, "u"):
            return lambda: None
        rows = self._rows[name]
        u, v = rows.setdefault("u", []), rows.setdefault("v", [])

        def keep() -> None:
            u.append(model.u.copy())
            v.append(model.v.copy())

        return keep


class _Stopped(Exception):
    """Another model failed."""


class _Sender:
    def __init__(self, port: PortInitializer, inbox: queue.SimpleQueue[Any]) -> None:
        self.name = port.name
        self._port = port
        self._inbox = inbox

    def send(self, data: NDArray[Any]) -> None:
        kept = np.empty(self._port.shape, self._port.d_type)
        if data.shape != kept.shape:
            raise AssertionError(f"{data.shape} sent on a channel of {kept.shape}")
        kept[:] = data
        self._inbox.put(kept)


class _Receiver:
    def __init__(self, name: str, inbox: queue.SimpleQueue[Any]) -> None:
        self.name = name
        self._inbox = inbox

    def recv(self) -> Any:
        data = self._inbox.get()
        if data is None:
            raise _Stopped
        return data


def _listen(port: Any, rows: list[NDArray[Any]]) -> None:
    plain = port.recv

    def recv() -> NDArray[Any]:
        data: NDArray[Any] = plain()
        rows.append(data.copy())
        return data

    port.recv = recv
