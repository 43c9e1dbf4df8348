"""The torch backend equals the definition in every kind and arithmetic, on every device there is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from hardware_sims.loihi import DefinitionBackend
from hardware_sims.torch import TorchBackend
from hardware_sims.torch.arithmetic import DOUBLE, SINGLE, once_, wrap_
from hardware_sims.torch.backend import DEVICE
from hardware_sims.torch.session import TorchSession
from strl.chip import Program, backend
from strl.errors import BackendError
from strl.quantize import Kernel, Population, Source, Synapse
from strl.quantize.network import ReadoutWindow, Schedule
from strl.quantize.neurons import Graded, Lif
from strl.testing import check_backend, random_program
from strl.testing.conformance import check_program, compare_decisions
from strl.testing.programs import KINDS, random_spikes

DEVICES = ("cpu", *(["cuda"] if torch.cuda.is_available() else []))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wired(kind: Any, *synapses: Synapse, source: Source, inputs: int, ticks: int = 6) -> Program:
    """Sources "in" into the population "out"."""
    size = synapses[0].shape[0]
    return replace(
        random_program(0),
        populations=(
            Population(name="in", size=inputs, kind=source),
            Population(name="out", size=size, kind=kind, offset=1),
        ),
        synapses=synapses,
        schedule=Schedule(ticks=ticks, total=ticks + 2, state="carry"),
        readout=ReadoutWindow(population="out", kind="count", start=1, stop=ticks + 1, unit=1.0),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch", [1, 3])
def test_plain_programs(device: str, batch: int) -> None:
    check_backend(TorchBackend(device), batch=batch)


@pytest.mark.parametrize("device", DEVICES)
def test_all_kinds(device: str) -> None:
    check_backend(TorchBackend(device), seeds=range(60), make=partial(random_program, kinds=KINDS))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind(device: str, kind: str) -> None:
    check_backend(TorchBackend(device), seeds=range(12), make=partial(random_program, kinds=[kind]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kinds", [(), ("kernel", "sparse")], ids=["dense", "kernel, sparse"])
def test_the_other_arithmetic(device: str, kinds: tuple[str, ...]) -> None:
    make = partial(random_program, arithmetic="loihi1", kinds=kinds)
    check_backend(TorchBackend(device), seeds=range(30), make=make)


@pytest.mark.parametrize("arithmetic", ["lava", "loihi1"])
def test_state_equals_the_definitions(arithmetic: Any) -> None:
    for seed in range(25):
        program = random_program(seed, arithmetic=arithmetic)
        ours = TorchBackend("cpu").load(program, batch=2)
        theirs = DefinitionBackend().load(program, batch=2)
        for decision in range(3):
            spikes = random_spikes(program, decision, batch=2)
            compare_decisions(ours.run(spikes), theirs.run(spikes), program, f"seed {seed}")
            for name in theirs.u:
                assert np.array_equal(ours.u[name], theirs.u[name]), (seed, name)
                assert np.array_equal(ours.v[name], theirs.v[name]), (seed, name)


def test_many_slots_are_independent() -> None:
    program = random_program(4, kinds=KINDS)
    many = TorchBackend("cpu").load(program, batch=2000)
    spikes = random_spikes(program, 7, batch=2000)
    raster = many.run(spikes).raster
    for slot in (0, 999, 1999):
        alone = DefinitionBackend().load(program, batch=1)
        assert np.array_equal(alone.run(spikes[:, slot : slot + 1]).raster[0], raster[slot])


def test_decisions_of_more_ticks_than_a_byte_counts() -> None:
    synapse = Synapse(name="w", pre="in", post="out", weight=np.full((3, 5), 200))
    lif = Lif(du=[4095] * 3, dv=[4096] * 3, vth=[1, 300, 900])
    program = wired(lif, synapse, source=Source(), inputs=5, ticks=600)
    check_program(TorchBackend("cpu"), program, batch=2)


@pytest.mark.parametrize(("fan_in", "dtype"), [(500, torch.float32), (70_000, torch.float64)])
def test_sums_beyond_float32_are_held_in_float64(fan_in: int, dtype: torch.dtype) -> None:
    weight = np.full((2, fan_in), 255)
    weight[1, 0] = 254  # one less: gone in a float32 above 2²⁴
    lif = Lif(du=[4095] * 2, dv=[4096] * 2, vth=[131071] * 2)
    synapse = Synapse(name="w", pre="in", post="out", weight=weight)
    program = wired(lif, synapse, source=Source(), inputs=fan_in, ticks=2)
    session = TorchBackend("cpu").load(program, batch=1)
    assert session._blocks[0]._sums[0][1].dtype == dtype
    reference = DefinitionBackend().load(program, batch=1)
    spikes = np.ones((2, 1, fan_in), np.uint8)
    compare_decisions(session.run(spikes), reference.run(spikes), program, "all")
    assert np.array_equal(session.u["out"], reference.u["out"])


@pytest.mark.parametrize("exponent", [-7, 0, 7])
@pytest.mark.parametrize("shared", [False, True], ids=["dense", "kernel"])
def test_messages_beyond_float64_are_multiplied_by_halves(shared: bool, exponent: int) -> None:
    fan_in = 18_000
    rng = np.random.default_rng(1)
    weight: Any = rng.integers(-256, 256, (1, fan_in))
    assert int(np.abs(weight).sum()) * 2**31 > DOUBLE
    if shared:
        weight = Kernel(weight=weight.reshape(1, 1, 90, 200), image=(1, 90, 200))
    synapse = Synapse(name="w", pre="in", post="out", weight=weight, message_bits=32, weight_exp=exponent)
    program = wired(Graded(vth=[0]), synapse, source=Source(plane=None), inputs=fan_in)
    session = TorchBackend("cpu").load(program, batch=2)
    assert session._blocks[0]._sums[0][1]._halves
    reference = DefinitionBackend().load(program, batch=2)
    spikes = rng.integers(-(2**31), 2**31, (6, 2, fan_in)).astype(np.int32)
    found = session.run(spikes)
    compare_decisions(found, reference.run(spikes), program, "random")
    assert found.raster[..., fan_in:].any()


def test_lower_precision_asked_for_by_the_caller_changes_nothing() -> None:
    synapse = Synapse(name="w", pre="in", post="out", weight=np.full((1, 39), 255), weight_exp=-1)
    program = wired(Graded(vth=[0]), synapse, source=Source(), inputs=39)
    kept = torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            session = TorchBackend("cpu").load(program, batch=1)
            sent = session.run(np.ones((6, 1, 39), np.int32)).raster[0, 1, 39]
            assert sent == 39 * 255 // 2  # 4960 in bfloat16
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.backends.cuda.matmul.fp32_precision, torch.backends.mkldnn.matmul.fp32_precision = kept


def test_registers_wrap_as_the_definition_says() -> None:
    ends = [k * 2**23 + d for k in range(-5, 6) for d in (-1, 0, 1)]
    u = torch.tensor(ends, dtype=torch.float64)
    expected = [x - 2**24 if x > 2**23 else x + 2**24 if x <= -(2**23) else x for x in ends]
    assert once_(u, wide=True).tolist() == expected
    words = [k * 2**31 + d for k in range(-5, 6) for d in (-1, 0, 1)] + [SINGLE, -DOUBLE, DOUBLE]
    wrapped = wrap_(torch.tensor(words, dtype=torch.float64), 32).tolist()
    assert wrapped == [(x + 2**31) % 2**32 - 2**31 for x in words]


def test_the_device_is_the_environments_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, "cpu")
    session = backend("torch").load(random_program(0))
    assert isinstance(session, TorchSession)
    assert session.device == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cuda:x", "mps", "meta"])
def test_a_device_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="device = "):
        TorchBackend(name).load(random_program(0))
    monkeypatch.setenv(DEVICE, name)
    with pytest.raises(BackendError, match=DEVICE):
        backend("torch").load(random_program(0))


def test_memory_that_does_not_suffice_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    program = random_program(0)
    session = TorchBackend("cpu").load(program, batch=2)
    monkeypatch.setattr(session, "_drive", full)
    with pytest.raises(BackendError, match="2 slots do not fit the memory of cpu"):
        session.run(random_spikes(program, 0, batch=2))
    monkeypatch.setattr("hardware_sims.torch.session.blocks", full)
    with pytest.raises(BackendError, match="9 slots do not fit the memory of cpu"):
        TorchBackend("cpu").load(program, batch=9)


def test_close_gives_memory_back() -> None:
    session = TorchBackend("cpu").load(random_program(0), batch=4)
    session.close()
    session.close()
    assert not session._history.numel()
