"""The proof at export: what onnxruntime makes of a file, beside what strl makes of what it came from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.onnx.codecs import ACTION, DRAWS, OBSERVATION, READOUT
from exporters.onnx.network import RASTER
from exporters.onnx.program import SPIKES
from exporters.onnx.runtime import available, session
from exporters.onnx.tick import DRIVEN, X, sent
from strl.chip.backend import backend
from strl.chip.program import Program
from strl.codecs import decoder, encoder
from strl.codecs.scaled import Scaled
from strl.errors import ModelError
from strl.ir.network import Network, shapes
from strl.ir.nodes import Neurons, Output
from strl.ir.reference import Reference
from strl.ir.semantics import Semantics
from strl.loop.agent import FloatAgent
from strl.quantize.neurons import binary

BATCH, DECISIONS, TICKS, SEED = 3, 6, 32, 0
TICKS_MAX = 256
"""Of the chip's definition, which is slow; beyond them one decision is tried."""
TOLERANCE = 1e-6

Record = Mapping[str, Any] | None
"""What was run and how far apart it was; ``None`` without onnxruntime."""


class Runner:
    """A model in onnxruntime with its states, which go from one run to the next."""

    def __init__(self, data: bytes, memory: Any, batch: int) -> None:
        self._session = session(data)
        self._memory = list(memory)
        self._states = {
            m["name"]: np.zeros((batch, *m["shape"][1:]), m["dtype"]) + np.asarray(m["start"], m["dtype"])
            for m in self._memory
        }
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One run; the outputs by name."""
        arrays = {name: np.asarray(value) for name, value in {**given, **self._states}.items()}
        made = self._session.run(self._outputs, arrays)
        found = dict(zip(self._outputs, made, strict=True))
        self._states = {m["name"]: found[m["next"]] for m in self._memory}
        return found


def prove_ticks(data: bytes, memory: Any, network: Network, *, scan: bool, rests: bool) -> Record:
    """Every output and every population in ``TICKS`` ticks of random input, against the float reference.

    Raises:
        ModelError: they differ.
    """
    if not available():
        return None
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(TICKS, BATCH, *shapes(network)[network.input])) * rng.choice([0.5, 2.0, 8.0])
    driven = np.ones(TICKS) if not rests else (np.arange(TICKS) < TICKS - 4).astype(np.float64)
    runner, reference = Runner(data, memory, BATCH), Reference(network, BATCH)
    if scan:
        rows = [runner.run({X: x, **({DRIVEN: driven} if rests else {})})]
    else:
        rows = [runner.run({X: x[t], **({DRIVEN: driven[t]} if rests else {})}) for t in range(TICKS)]
    names = {**{n: n for n in network.of(Output)}, **{sent(n): n for n in network.of(Neurons)}}
    found = {v: rows[0][v] if scan else np.stack([row[v] for row in rows]) for v in names}
    worst = 0.0
    for t in range(TICKS):
        wanted = reference.tick(x[t], driven=bool(driven[t]))
        worst = max(worst, *(_apart(found[v][t], wanted[n], f"{n}, tick {t}") for v, n in names.items()))
    return _record("float reference", ticks=TICKS, largest_difference=worst)


def prove_decisions(data: bytes, memory: Any, network: Network, semantics: Semantics) -> Record:
    """Raster, read-out and action of ``DECISIONS`` random observations, against ``FloatAgent``.

    Raises:
        ModelError: they differ.
    """
    if not available():
        return None
    runner, agent, worst = Runner(data, memory, BATCH), FloatAgent(network, semantics, BATCH), 0.0
    agent.reset(range(BATCH), [np.random.default_rng(slot) for slot in range(BATCH)])
    for number, given in enumerate(_observations(semantics)):
        where = f"decision {number}"
        action, found = agent.act(given[OBSERVATION]), runner.run(given)
        _equal(found[RASTER], agent.raster, f"{where}: spikes")
        worst = max(worst, _apart(found[ACTION], action, f"{where}: action"))
    return _record("float reference", decisions=DECISIONS, largest_difference=worst)


def prove_program(data: bytes, memory: Any, program: Program, *, codec: bool) -> Record:
    """Raster and read-out of random observations (or spikes), bit for bit, against the chip's definition.

    Raises:
        ModelError: they differ.
    """
    if not available():
        return None
    runner, chip = Runner(data, memory, BATCH), backend("definition").load(program, batch=BATCH)
    decisions = max(1, min(DECISIONS, TICKS_MAX // program.schedule.total))
    for number, (given, spikes) in enumerate(_driven(program, codec)[:decisions]):
        decision, found = chip.run(spikes), runner.run(given)
        for name, wanted in ((RASTER, decision.raster), (READOUT, decision.readout)):
            _equal(found[name], wanted, f"decision {number}: {name}")
        if codec:
            value = np.multiply(decision.readout, program.readout.unit, dtype=np.float64)
            action = decoder(program.semantics.decoder).decode(value, program.schedule.ticks)
            _apart(found[ACTION], action, f"decision {number}: action")
    return _record("definition of the chip", decisions=decisions, largest_difference=0.0)


def _driven(program: Program, codec: bool) -> list[tuple[dict[str, NDArray[Any]], NDArray[Any]]]:
    """What the model and what the chip is given in each decision."""
    if codec:
        code, rngs = encoder(program.semantics.encoder), [np.random.default_rng(s) for s in range(BATCH)]
        pairs = []
        for given in _observations(program.semantics):
            flat = given[OBSERVATION].reshape(BATCH, -1)
            pairs.append((given, program.spikes(code.encode(flat, program.schedule.ticks, rngs))))
        return pairs
    rng, size = np.random.default_rng(SEED), sum(p.size for p in program.sources)
    most = 1 if all(binary(p.kind) for p in program.sources) else 100
    shape = (DECISIONS, program.schedule.ticks, BATCH, size)
    graded = np.concatenate([np.full(p.size, not binary(p.kind)) for p in program.sources])
    values = np.where(graded, rng.integers(-most, most + 1, shape), rng.integers(0, 2, shape))
    return [({SPIKES: spikes}, spikes) for spikes in values.astype(program.message)]


def _observations(semantics: Semantics) -> list[dict[str, NDArray[Any]]]:
    """Observations over the encoder's ranges and a little beyond, with the random numbers that it draws."""
    code, shape = encoder(semantics.encoder), semantics.environment.observation_shape
    rng, draws = np.random.default_rng(SEED), [np.random.default_rng(slot) for slot in range(BATCH)]
    low, high = (code.low, code.high) if isinstance(code, Scaled) else (-1.0, 1.0)
    middle, half = np.add(low, high) / 2, np.subtract(high, low) / 2
    found = []
    for _ in range(DECISIONS):
        x = middle + half * rng.uniform(-1.2, 1.2, (BATCH, int(np.prod(shape))))
        given = {OBSERVATION: x.reshape(BATCH, *shape)}
        if getattr(code, "random", False):
            drawn = [r.random((semantics.ticks, code.size)) for r in draws]
            given[DRAWS] = np.stack(drawn, axis=1)
        found.append(given)
    return found


def _equal(found: NDArray[Any], wanted: NDArray[Any], where: str) -> None:
    if found.dtype != wanted.dtype or not np.array_equal(found, wanted):
        raise ModelError(f"the ONNX model differs from what it was made of: {where}")


def _apart(found: NDArray[Any], wanted: NDArray[Any], where: str) -> float:
    """The largest difference relative to the largest value, which must be within the tolerance."""
    wanted = np.asarray(wanted, np.float64)
    apart = float(np.abs(found - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
    if not apart <= TOLERANCE:
        raise ModelError(f"the ONNX model differs by {apart:.3g} from what it was made of: {where}")
    return apart


def _record(against: str, **found: Any) -> Record:
    return {
        "against": against,
        "batch": BATCH,
        "seed": SEED,
        "spikes": "equal",
        "onnxruntime": version("onnxruntime"),
        **found,
    }
