"""``strl::Tick`` of a Program: every population one tick on, in integers.

A sum is a product with a matrix of floats where no input makes it larger than they hold exactly (2²⁴ in
single precision, 2⁵³ in double), since onnxruntime is ten times as fast there, and of 64-bit integers
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from exporters.onnx.cells import Integers, cell, name, parameters, ports, states
from exporters.onnx.graph import DOMAIN, function
from exporters.onnx.loop import Memory, Tick
from strl.chip.program import Program
from strl.errors import ModelError
from strl.quantize.network import Population, Synapse
from strl.quantize.neurons import COMPUTING, Ternary, binary

ROW, POTENTIAL = "row", "potential"
"""Outputs: the messages of all populations side by side, and what a probe of the read-out's v reads."""

MATRIX_MAX = 1 << 24
"""Weights of a synapse, those of a shared kernel once for every place."""

_EXACT: Mapping[type[Any], int] = {np.float32: 2**24, np.float64: 2**53, np.int64: 2**63}


def sent(population: str) -> str:
    """What the function calls a population's messages of this tick, int32 [batch, n]."""
    return f"{population}.sent"


def keep(population: str) -> str:
    """The input that is 0 in the tick in which the population's state is cleared, else 1."""
    return f"{population}.keep"


def opened(synapse: str) -> str:
    """The input that is 0 in ticks in which what the synapse brings is dropped, else 1."""
    return f"{synapse}.open"


def blanks(program: Program, synapse: Synapse) -> NDArray[np.int64]:
    """0 in the ticks of a decision in which ``Program.blanked``, else 1."""
    ticks = range(program.schedule.total)
    return np.array([not program.blanked(synapse, tick) for tick in ticks], np.int64)


def program_tick(program: Program) -> Tick:
    """The function of a program.

    Raises:
        ModelError: a population or synapse that it cannot hold; names it.
    """
    return _Writer(program).write()


class _Writer:
    def __init__(self, program: Program) -> None:
        if not program.sources:
            raise ModelError("program: has no source, so that nothing drives it")
        self._program = program
        self._body = Integers()
        self._cells: dict[str, onnx.FunctionProto] = {}
        self._memory: list[Memory] = []
        self._inputs: list[str] = []
        self._casts: dict[str, Any] = {}
        self._loihi1 = program.arithmetic == "loihi1"
        self._past = {
            p.name: Memory(name=f"{p.name}.past", shape=(reach, p.size), dtype=np.int32)
            for p in program.populations
            if (reach := max((s.delay for s in program.synapses if s.pre == p.name), default=0))
        }

    def write(self) -> Tick:
        program, b = self._program, self._body
        self._memory += self._past.values()
        for population in program.populations:
            if isinstance(population.kind, COMPUTING):
                self._neurons(population)
            else:
                self._inputs.append(sent(population.name))
        b.op("Concat", *(sent(p.name) for p in program.populations), axis=1, out=ROW)
        for population in program.populations:
            if population.name in self._past:
                self._push(population.name)
        outputs = (ROW, *self._probe())
        given = [*self._inputs, *(m.name for m in self._memory), *b.weights]
        made = [*outputs, *(m.next for m in self._memory)]
        return Tick(
            functions=(*self._cells.values(), function("Tick", given, made, b)),
            inputs=tuple(self._inputs),
            weights=b.weights,
            memory=tuple(self._memory),
            outputs=outputs,
            casts=self._casts,
        )

    def _neurons(self, population: Population) -> None:
        b, program, kind = self._body, self._program, population.kind
        assert isinstance(kind, COMPUTING)
        arithmetic, called = program.arithmetic, name(kind, program.arithmetic)
        self._cells.setdefault(called, cell(kind, arithmetic))
        held = [
            Memory(name=f"{population.name}.{s}", shape=(population.size,), dtype=np.int64)
            for s in states(kind, arithmetic)
        ]
        before = [m.name for m in held]
        if held and program.schedule.state == "reset":
            self._inputs.append(keep(population.name))
            before = [b.op("Mul", m, keep(population.name)) for m in before]
        given = [self._input(population, number) for number, _ in enumerate(ports(kind))]
        values = [self._parameter(population, p) for p in parameters(kind, arithmetic)]
        raw = b.fresh()
        b.ops(called, [*given, *before, *values], [raw, *(m.next for m in held)], domain=DOMAIN)
        b.op("Cast", raw, to=onnx.TensorProto.INT32, out=sent(population.name))
        self._memory += held

    def _parameter(self, population: Population, field: str) -> str:
        value = np.asarray(getattr(population.kind, field), np.int64)
        divisor = 1 << value if field == "shift" else value
        kept = self._body.weight(f"{population.name}.{field}", divisor, np.int32 if value.ndim else np.int64)
        if value.ndim:
            self._casts[kept] = np.int64
        return kept

    def _input(self, population: Population, port: int) -> str:
        """What arrives at a port, int64 [batch, n]."""
        b, bits = self._body, 16 if self._loihi1 else 32
        arriving = [s for s in self._program.synapses if s.post == population.name and s.port == port]
        parts, bound = [], 0
        for synapse in arriving:
            part, most = self._sum(synapse)
            parts.append(part)
            bound += most
        if not parts:
            copies = b.op("Shape", sent(self._program.sources[0].name), start=0, end=1)
            shape = b.op("Concat", copies, b.constant([population.size], np.int64), axis=0)
            return b.op("Expand", b.number(0), shape)
        total = b.sum(parts)
        return total if bound < 1 << bits - 1 else b.wrap(total, bits)

    def _sum(self, synapse: Synapse) -> tuple[str, int]:
        """What a synapse brings, and the most that it can be."""
        b, program = self._body, self._program
        post, pre = synapse.shape
        if post * pre > MATRIX_MAX:
            raise ModelError(
                f"{synapse.name}: joins {pre} with {post} neurons; {post * pre} weights are more than the "
                f"{MATRIX_MAX} that an ONNX file of ours holds"
            )
        sender = program.population(synapse.pre).kind
        spikes = binary(sender) or not synapse.message_bits
        messages = b.row(self._past[synapse.pre].name, synapse.delay - 1, 1)
        if spikes and not binary(sender):
            messages = b.cast(b.cast(messages, np.bool_), np.int32)
        exponent = 0 if self._loihi1 else synapse.weight_exp
        weight = synapse.matrix.T.astype(np.int64)
        if self._loihi1:  # where the exponent acts on each weight
            left, right = max(synapse.weight_exp, 0), max(-synapse.weight_exp, 0)
            weight = (weight << left) >> right
        largest = 1 if spikes or isinstance(sender, Ternary) else 2**31
        bound = int(np.abs(weight).sum(axis=0).max()) * largest
        held = next(kind for kind, most in _EXACT.items() if bound < most)
        kept = b.weight(f"{synapse.name}.weight", weight, np.int16)
        self._casts[kept] = held
        found = b.cast(b.op("MatMul", b.cast(messages, held), kept), np.int64)
        if bound >= 2**31:
            found, bound = b.wrap(found, 32), 2**31
        found = b.scaled(found, exponent)
        if not blanks(program, synapse).all():
            self._inputs.append(opened(synapse.name))
            found = b.op("Mul", found, opened(synapse.name))
        return found, (bound << max(exponent, 0)) + 1

    def _push(self, population: str) -> None:
        b, past = self._body, self._past[population]
        newest = b.op("Unsqueeze", sent(population), b.constant([1], np.int64))
        if past.shape[0] == 1:
            b.op("Identity", newest, out=past.next)
        else:
            kept = b.slice(past.name, [0], [past.shape[0] - 1], [1])
            b.op("Concat", newest, kept, axis=1, out=past.next)

    def _probe(self) -> tuple[str, ...]:
        program, b = self._program, self._body
        readout = program.readout
        if not readout.probed:
            return ()
        found = {m.name: m.next for m in self._memory}
        v, held = (found.get(f"{readout.population}.{s}") for s in ("v", "held"))
        if v is None:
            raise ModelError(f"{readout.population}: its potential is read, and it has none")
        if held is not None:
            told = b.op("Mul", held, b.number(128))
            v = b.op("Where", b.op("Greater", held, b.number(0)), told, v)
        b.op("Identity", v, out=POTENTIAL)
        return (POTENTIAL,)
