"""Lava's own process models without its runtime: in this process, one after the other.

For checks of many small programs, which would spend their time on starting Lava's runtime. Lava compiles the
network and builds the models, ports and variables; only its channels are replaced, by lists that cast what is
sent to the channel's type as Lava's do.

What makes an order possible: a synapse first sends what it summed in the tick before. So its buffer is
delivered early, then blanks and neurons run, the host, and last the synapses, whose real messages must equal
those that were delivered. Import after ``compat.load()``.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from lava.magma.compiler.compiler_graphs import ProcGroupDiGraphs
from lava.magma.compiler.utils import PortInitializer
from lava.magma.core.process.ports.ports import create_port_id
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.run_configs import Loihi1SimCfg
from numpy.typing import NDArray

from hardware_sims.lava.network import StockNetwork

Trace = dict[str, dict[str, NDArray[np.int64]]]


class Inline:
    """The models of a network; what Lava or a model raises comes through."""

    def __init__(self, network: StockNetwork) -> None:
        self._network = network
        self._senders: dict[Any, list[_Sender]] = {}
        try:
            with _quiet(), _discovered_once():
                self._models = self._build()
        finally:
            gone = {id(p) for p in network.processes}
            server = ProcessServer()
            server.processes = [p for p in server.processes if id(p) not in gone]
        self._rows: dict[str, dict[str, list[NDArray[Any]]]] = {name: {} for name in network.neurons}
        for name, process in network.neurons.items():
            for port, key in (("a_in", "a0"), ("a_in1", "a0"), ("a_in2", "a1")):
                if hasattr(process, port):
                    _listen(getattr(self._models[process], port), self._rows[name].setdefault(key, []))

    def steps(self, number: int) -> None:
        """Advance the network."""
        with _quiet():
            for _ in range(number):
                self._step()

    def clear(self) -> None:
        """What a new episode clears."""
        for process, name in self._network.state:
            getattr(self._models[process], name)[:] = 0

    def take(self) -> Trace:
        """What happened since the last call, by population: u and v after each tick where the model has them,
        and the synaptic sums ``a0`` (and ``a1`` of a product); int64 [ticks, n]."""
        found = {}
        for name, rows in self._rows.items():
            found[name] = {key: np.array(values).astype(np.int64) for key, values in rows.items()}
            for values in rows.values():
                values.clear()
        return found

    def _step(self) -> None:
        for process in self._network.synapses.values():
            model = self._models[process]
            buffer = model.a_buf if hasattr(process, "a_buf") else model.a_buff
            for sender in self._senders.get(process, ()):
                sender.deliver(buffer[:, 0] if hasattr(process, "delays") else buffer)
        for process in self._network.blanks.values():
            self._tick(process)
        for name, process in self._network.neurons.items():
            model = self._tick(process)
            if hasattr(process, "u"):
                self._rows[name].setdefault("u", []).append(model.u.copy())
                self._rows[name].setdefault("v", []).append(model.v.copy())
        self._tick(self._network.host)
        for process in self._network.synapses.values():
            self._tick(process)

    def _tick(self, process: Any) -> Any:
        model = self._models[process]
        model.time_step += 1
        model.run_spk()
        return model

    def _build(self) -> dict[Any, Any]:
        executable = self._network.host.compile(Loihi1SimCfg(select_tag="fixed_pt"))
        builders = executable.proc_builders
        for joint in executable.channel_builders:
            channel: deque[NDArray[Any]] = deque()
            source, target = joint.src_port_initializer, joint.dst_port_initializer
            sender, receiver = _Sender(source, channel), _Receiver(target.name, channel)
            self._senders.setdefault(joint.src_process, []).append(sender)
            builders[joint.src_process].set_csp_ports([sender])
            builders[joint.dst_process].set_csp_ports([receiver])
            port = create_port_id(joint.src_process.id, source.name)
            builders[joint.dst_process].add_csp_port_mapping(port, receiver)
        return {process: builder.build() for process, builder in builders.items()}


class _Sender:
    def __init__(self, port: PortInitializer, channel: deque[NDArray[Any]]) -> None:
        self.name = port.name
        self._port = port
        self._channel = channel
        self._delivered: NDArray[Any] | None = None

    def deliver(self, data: NDArray[Any]) -> None:
        """Hand over what will be sent later in this tick."""
        self._delivered = self._cast(data)
        self._channel.append(self._delivered)

    def send(self, data: NDArray[Any]) -> None:
        sent = self._cast(data)
        if self._delivered is None:
            self._channel.append(sent)
        elif not np.array_equal(sent, self._delivered):
            raise AssertionError(f"{self.name}: a synapse sent something else than its buffer")

    def _cast(self, data: NDArray[Any]) -> NDArray[Any]:
        kept = np.empty(self._port.shape, self._port.d_type)
        if data.shape != kept.shape:
            raise AssertionError(f"{data.shape} sent on a channel of {kept.shape}")
        kept[:] = data
        return kept


class _Receiver:
    def __init__(self, name: str, channel: deque[NDArray[Any]]) -> None:
        self.name = name
        self._channel = channel

    def recv(self) -> NDArray[Any]:
        return self._channel.popleft()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without scipy's warnings about what Lava does with sparse weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_MODELS: dict[type, Any] = {}
_find = ProcGroupDiGraphs._find_proc_models


@contextmanager
def _discovered_once() -> Iterator[None]:
    """Lava executes every module beside a process to find its models, anew for each, and keeps them all."""

    def find(proc: Any) -> Any:
        if type(proc) not in _MODELS:
            _MODELS[type(proc)] = _find(proc)
        return _MODELS[type(proc)]

    ProcGroupDiGraphs._find_proc_models = staticmethod(find)
    try:
        yield
    finally:
        ProcGroupDiGraphs._find_proc_models = staticmethod(_find)


def _listen(port: Any, rows: list[NDArray[Any]]) -> None:
    plain = port.recv

    def recv() -> NDArray[Any]:
        data: NDArray[Any] = plain()
        rows.append(data.copy())
        return data

    port.recv = recv
