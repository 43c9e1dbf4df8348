"""The chip, defined: what a tick does, in the plainest integer arithmetic. Slow on purpose.

Everything else that runs programs must equal this bit for bit in u, v and spikes. A program says which of
two arithmetics it runs in: ``lava``, that of lava-nc 0.10.0's ``fixed_pt`` models (lava/proc/dense/models.py,
lava/proc/lif/models.py), or ``loihi1``, what is published of the chip; docs/chip.md has the sources.

One tick t:
1. every source sends what the host says, every gate spikes in its window;
2. every other population receives a = Σ over its synapses of (W · m(t − delay)) · 2^weight_exp in 32 bits, m
   being the sender's messages, or 1 for each that is not 0 where message_bits is 0;
3. where the state is reset every decision, u and v are cleared at the population's own tick ``offset``;
   and a message that its sender sent before its own reset never arrives at or after the receiver's;
4. LIF neurons, plain and ternary, are updated:
       u ← trunc(u · (4096 − (du + 1)) / 4096) + 64·a      wrapped once into 24 bits
       v ← trunc(v · (4096 − dv) / 4096) + u               clipped to ±(2²³ − 1)
       spike ← v > 64·vth;  v ← 0 where it spiked
   (``lif`` has the other resets, v ≥ 64·vth, and several spikes at once); graded and product neurons send
   what they receive, without a state.

In ``loihi1`` there are spikes only, LIF neurons that reset to zero at once, and differently from the above:
2. a = Σ over its synapses of Σ ⌊W · 2^weight_exp⌋ · s(t − delay): the exponent acts on each weight. The
   accumulator has 16 bits (22 after the shift by 6), and what leaves them wraps;
4. u wraps into 24 bits, as often as it takes; v stays 0 for refractory − 1 ticks after that of a spike. Where
   a spike or this holds v, a probe reads 128 times the ticks until v lives again (128 right after a spike).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hardware_sims.loihi.inputs import check_batch, check_spikes, slot_indices, within_memory
from strl.chip.backend import Counts, Decision
from strl.chip.program import Messages, Program
from strl.quantize.network import Population
from strl.quantize.neurons import Gate, Graded, Lif, Neurons, Product, Source, Ternary

Int = NDArray[np.int64]

LIMIT = 2**23


def wrap(x: Int, bits: int) -> Int:
    """The value that a signed register of that many bits keeps of x."""
    half = 1 << bits - 1
    return (x + half) % (2 * half) - half


def wrap32(x: Int) -> Int:
    """The value that a signed 32-bit register keeps of x."""
    return wrap(x, 32)


def decay(x: Int, factor: Int) -> Int:
    """x · factor / 4096, towards zero."""
    magnitude: Int = (np.abs(x) * factor) >> 12
    return np.sign(x) * magnitude


def shift(x: Int, exponent: int) -> Int:
    """x · 2^exponent, towards −∞."""
    return x << exponent if exponent >= 0 else x >> -exponent


def clip(v: Int) -> Int:
    """v within 24 bits."""
    return np.clip(v, 1 - LIMIT, LIMIT - 1)


def integrate(u: Int, v: Int, a: Int, kind: Lif | Ternary) -> tuple[Int, Int]:
    """The current u, and the potential before it is clipped; all [batch, n]."""
    u = wrap32(decay(u, 4096 - (kind.du.astype(np.int64) + 1)) + (a << 6))
    u = np.where(u > LIMIT, u - 2 * LIMIT, np.where(u <= -LIMIT, u + 2 * LIMIT, u))
    return u, decay(v, 4096 - kind.dv.astype(np.int64)) + u


def lif(u: Int, v: Int, a: Int, kind: Lif) -> tuple[Int, Int, Int]:
    """u, v and spikes after one tick with synaptic input a; resets as ``strl.ir.nodes.LIF`` has them."""
    threshold = kind.vth.astype(np.int64) << 6
    least = threshold + (not kind.inclusive)  # v that spikes
    owed = v >= least  # only a reset that is late, never comes or was not enough leaves this
    u, v = integrate(u, v, a, kind)
    if kind.reset == "subtract":
        v = clip(v - owed * threshold)
        spikes = (v >= least).astype(np.int64)
        return u, v if kind.reset_delay else clip(v - (spikes - owed) * threshold), spikes
    v = clip(v)
    if kind.reset_delay:
        v = np.where(owed, 0, v)
    spikes = (v >= least).astype(np.int64)
    if kind.multiple:
        spikes = np.maximum(v, 0) // threshold
    if kind.reset == "zero" and not kind.reset_delay:
        v = np.where(spikes, 0, v)
    return u, clip(v - spikes * threshold) if kind.reset == "once" else v, spikes


def lif_loihi1(u: Int, v: Int, held: Int, a: Int, kind: Lif) -> tuple[Int, Int, Int, Int]:
    """u, v, what holds v and spikes after one tick; ``held`` counts down the ticks until v lives again."""
    held = np.maximum(held - 1, 0)
    u = wrap(decay(u, 4096 - (kind.du.astype(np.int64) + 1)) + (a << 6), 24)
    v = clip(decay(v, 4096 - kind.dv.astype(np.int64)) + u)
    spikes = (held == 0) & (v > (kind.vth.astype(np.int64) << 6))
    held = np.where(spikes, kind.refractory, held)
    return u, np.where(held > 0, 0, v), held, spikes.astype(np.int64)


def ternary(u: Int, v: Int, a: Int, kind: Ternary) -> tuple[Int, Int, Int]:
    """u, v and messages −1, 0, 1 after one tick with synaptic input a."""
    u, v = integrate(u, v, a, kind)
    v = clip(v)
    up, down = (v > (kind.high.astype(np.int64) << 6)), (v < (kind.low.astype(np.int64) << 6))
    messages = up.astype(np.int64) - down
    return u, np.where(up | down, 0, v), messages


def graded(a: Int, kind: Graded) -> Int:
    """a, or 0 where it is not large enough; −2³¹ never is, for 32 bits do not hold its magnitude."""
    return np.where((a if kind.rectify else wrap32(np.abs(a))) > kind.vth, a, 0)


def product(a: Int, b: Int, kind: Product) -> Int:
    """a · b / 2^shift towards −∞ in 32 bits, or 0 where it is not large enough."""
    p = wrap32(a * b) >> kind.shift
    return np.where(wrap32(np.abs(p)) > kind.vth, p, 0)


class DefinitionSession:
    """A program run by the definition; answers ``strl.chip.backend.Session``.

    For whoever compares, ``u``, ``v`` and ``held`` (of ``loihi1``) have the state [batch, n] by population,
    ``sums`` what arrived in the last tick by population and port.
    """

    def __init__(self, program: Program, batch: int) -> None:
        check_batch(batch)
        self.program = program
        self.batch = batch
        self._slices = program.slices
        self._memory = max((s.delay for s in program.synapses), default=1)
        self._weights = {s.name: s.matrix.astype(np.int64).T for s in program.synapses}
        stateful = [p for p in program.populations if isinstance(p.kind, Lif | Ternary)]
        self.u = {p.name: np.zeros((batch, p.size), np.int64) for p in stateful}
        self.v = {p.name: np.zeros((batch, p.size), np.int64) for p in stateful}
        self.held = {p.name: np.zeros((batch, p.size), np.int64) for p in stateful}
        self.sums: dict[tuple[str, int], Int] = {}
        # past[d] is the raster of d + 1 ticks ago.
        self._past = np.zeros((self._memory, batch, program.neurons), np.int64)
        self._ticks = np.zeros(batch, np.int64)
        self._spikes = np.zeros((batch, program.neurons), np.int64)
        self._active = np.zeros((batch, len(program.populations)), np.int64)

    def reset(self, slots: Sequence[int] | None = None) -> None:
        index = slot_indices(slots, self.batch)
        for state in (*self.u.values(), *self.v.values(), *self.held.values()):
            state[index] = 0
        self._past[:, index] = 0
        for count in (self._ticks, self._spikes, self._active):
            count[index] = 0

    def run(self, spikes: Messages) -> Decision:
        check_spikes(spikes, self.program, self.batch)
        schedule, readout = self.program.schedule, self.program.readout
        raster = np.zeros((self.batch, schedule.total, self.program.neurons), self.program.message)
        silence = np.zeros_like(spikes[0])
        read = self.program.population(readout.population).size
        potentials = np.zeros((self.batch, len(readout.probed), read), np.int32)
        for tick in range(schedule.total):
            raster[:, tick] = self.tick(tick, spikes[tick] if tick < schedule.ticks else silence)
            if tick in readout.probed:
                potentials[:, tick - readout.probed.start] = self.probe(readout.population)
        if readout.kind == "count":
            window = raster[:, readout.start : readout.stop, self._slices[readout.population]]
            return Decision(readout=window.sum(axis=1, dtype=np.int32), raster=raster)
        # A membrane is read after one tick, or after none.
        membrane = potentials.sum(axis=1, dtype=np.int32)
        return Decision(readout=membrane if readout.kind == "membrane" else potentials, raster=raster)

    def tick(self, tick: int, driven: Messages) -> Int:
        """Tick number ``tick`` of a decision, with source spikes [batch, inputs] → [batch, neurons]."""
        now: Int = np.zeros((self.batch, self.program.neurons), np.int64)
        column = 0
        for number, population in enumerate(self.program.populations):
            here = self._slices[population.name]
            if isinstance(population.kind, Source):
                now[:, here] = driven[:, column : column + population.size]
                column += population.size
            elif isinstance(population.kind, Gate):
                now[:, here] = population.kind.start <= tick < population.kind.stop
            else:
                now[:, here] = self._neurons(number, population, population.kind, tick)
        self._past = np.concatenate([now[None], self._past[:-1]])
        self._ticks += 1
        self._spikes += now != 0
        return now

    def probe(self, population: str) -> Int:
        """What a probe of v reads [batch, n]: v, or where a neuron holds it, for how long."""
        held = self.held[population]
        return np.where(held > 0, 128 * held, self.v[population])

    def counts(self) -> Counts:
        return Counts(ticks=self._ticks.copy(), spikes=self._spikes.copy(), active=self._active.copy())

    def close(self) -> None:
        return

    def _neurons(self, number: int, population: Population, kind: Neurons, tick: int) -> Int:
        name = population.name
        a = self._input(population, 0, tick)
        if isinstance(kind, Graded):
            self._active[:, number] += (a != 0).sum(axis=1)
            return graded(a, kind)
        if isinstance(kind, Product):
            b = self._input(population, 1, tick)
            self._active[:, number] += ((a != 0) | (b != 0)).sum(axis=1)
            return product(a, b, kind)
        if self.program.schedule.state == "reset" and tick == population.offset:
            for state in (self.u, self.v, self.held):
                state[name][:] = 0
        u, v = self.u[name], self.v[name]
        self._active[:, number] += ((a != 0) | (u != 0) | (v != 0)).sum(axis=1)
        if isinstance(kind, Lif) and self.program.arithmetic == "loihi1":
            self.u[name], self.v[name], self.held[name], messages = lif_loihi1(u, v, self.held[name], a, kind)
            return messages
        step = lif(u, v, a, kind) if isinstance(kind, Lif) else ternary(u, v, a, kind)
        self.u[name], self.v[name], messages = step
        return messages

    def _input(self, population: Population, port: int, tick: int) -> Int:
        a: Int = np.zeros((self.batch, population.size), np.int64)
        by_weight = self.program.arithmetic == "loihi1"
        for synapse in self.program.synapses:
            here = synapse.post == population.name and synapse.port == port
            if here and not self.program.blanked(synapse, tick):
                past = self._past[synapse.delay - 1][:, self._slices[synapse.pre]]
                messages = past if synapse.message_bits else (past != 0).astype(np.int64)
                weights, exponent = self._weights[synapse.name], synapse.weight_exp
                if by_weight:
                    a += messages @ shift(weights, exponent)
                else:
                    a += shift(wrap32(messages @ weights), exponent)
        self.sums[population.name, port] = a = wrap(a, 16 if by_weight else 32)
        return a


class DefinitionBackend:
    """The definition as a backend, for checks; the kernel is the one to use."""

    name = "definition"

    def load(self, program: Program, *, batch: int = 1) -> DefinitionSession:
        with within_memory(self.name, batch):
            return DefinitionSession(program, batch)
