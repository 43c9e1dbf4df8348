"""netx: layers that spike as the program does, numbers that lava-dl keeps, and refusals by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from exporters.disk import own_digest, to_json
from exporters.loihi.integers import structure
from exporters.netx import NetxExporter
from exporters.netx.layers import decode, encode
from exporters.netx.lift import as_loaded, lifted
from exporters.netx.loader import loaded, stored
from exporters.netx.lower import lower
from strl.chip.arithmetic import Arithmetic
from strl.chip.backend import backend
from strl.chip.program import Program
from strl.chip.spec import chip
from strl.cli import main
from strl.errors import BundleError, ChipError, ModelError, StrlError, UsageError
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics
from strl.loop.subject import resolve
from strl.policies import shipped
from strl.quantize.convolution import Kernel
from strl.quantize.network import Population, ReadoutWindow, Schedule, Synapse
from strl.quantize.neurons import Gate, Graded, Lif, Source
from strl.testing import check_exporter, random_spikes

SEMANTICS = Semantics(
    ticks=6,
    state="reset",
    readout=Readout(kind="count"),
    encoder={},
    decoder={},
    environment=EnvironmentSpec(id="", observation_shape=(1,), actions=2),
)


def lif(n: int, rng: np.random.Generator, **changes: Any) -> Lif:
    arrays = {
        "du": rng.choice([4095, 3000], n),
        "dv": rng.choice([0, 1024, 4096], n),
        "vth": rng.integers(5, 60, n),
    }
    return Lif(**{k: v.astype(np.int32) for k, v in arrays.items()}, **changes)


def chain(seed: int = 0, *, state: str = "reset", arithmetic: Arithmetic = "lava", **changes: Any) -> Program:
    """Two planes, two layers and gates for both; ``changes`` replace synapses or populations by name."""
    rng = np.random.default_rng(seed)
    populations = [
        Population(name="in0", size=5, kind=Source(plane=0)),
        Population(name="g1", size=1, kind=Gate(start=1, stop=7)),
        Population(name="in1", size=5, kind=Source(plane=1)),
        Population(name="a", size=8, kind=lif(8, rng), offset=1),
        Population(name="g0", size=1, kind=Gate(start=0, stop=6)),
        Population(name="b", size=3, kind=lif(3, rng), offset=2),
    ]

    def synapse(
        name: str, pre: str, post: str, shape: tuple[int, int], exponent: int = 0, **more: Any
    ) -> Synapse:
        weight = 4 * rng.integers(-60, 61, shape)
        return Synapse(
            name=name, pre=pre, post=post, weight=weight.astype(np.int16), weight_exp=exponent, **more
        )

    synapses = [
        synapse("low", "in0", "a", (8, 5), -1),
        synapse("high", "in1", "a", (8, 5)),
        synapse("a.bias", "g0", "a", (8, 1), -1),
        synapse("ab", "a", "b", (3, 8)),
        synapse("b.bias", "g1", "b", (3, 1)),
    ]
    if state == "carry":
        synapses += [synapse("again", "b", "b", (3, 3))]
        synapses[3] = synapse("ab", "a", "b", (3, 8))
    schedule = Schedule(ticks=6, total=9, state=state)  # type: ignore[arg-type]
    return Program(
        chip=chip("loihi1"),
        arithmetic=arithmetic,
        populations=tuple(changes.get(p.name, p) for p in populations),
        synapses=tuple(changes.get(s.name, s) for s in synapses),
        placement=(),
        schedule=schedule,
        readout=ReadoutWindow(population="b", kind="count", start=2, stop=8, unit=1.0),
        semantics=replace(SEMANTICS, state=schedule.state, rest=3 if state == "carry" else 0),
    )


def convolved(seed: int = 0) -> Program:
    """Two planes of an image, two convolutions, a dense layer."""
    rng = np.random.default_rng(seed)
    image = (2, 6, 5)
    first = Kernel(weight=rng.integers(-50, 50, (4, 2, 3, 3)).astype(np.int16), image=image, padding=(1, 0))
    second = Kernel(
        weight=rng.integers(-50, 50, (4, 2, 2, 2)).astype(np.int16),
        image=first.shape,
        stride=(2, 1),
        groups=2,
    )
    sizes = [int(np.prod(s)) for s in (image, first.shape, second.shape)]
    dense = 2 * rng.integers(-60, 60, (3, sizes[2]))
    return Program(
        chip=chip("loihi1"),
        arithmetic="lava",
        populations=(
            Population(name="in0", size=sizes[0], kind=Source(plane=0)),
            Population(name="in1", size=sizes[0], kind=Source(plane=1)),
            Population(name="c1", size=sizes[1], kind=lif(sizes[1], rng), offset=1),
            Population(name="c2", size=sizes[2], kind=lif(sizes[2], rng), offset=2),
            Population(name="out", size=3, kind=lif(3, rng), offset=3),
        ),
        synapses=(
            Synapse(name="x0", pre="in0", post="c1", weight=first),
            Synapse(name="x1", pre="in1", post="c1", weight=first, weight_exp=1),
            Synapse(name="y", pre="c1", post="c2", weight=second),
            Synapse(name="z", pre="c2", post="out", weight=dense.astype(np.int16)),
        ),
        placement=(),
        schedule=Schedule(ticks=6, total=9, state="reset"),
        readout=ReadoutWindow(population="out", kind="membrane", start=3, stop=9, unit=1.0),
        semantics=SEMANTICS,
    )


def late(seed: int = 0) -> Program:
    """Carried state, so that a synapse may be late; a loop in another layer."""
    made = chain(seed, state="carry")
    return replace(made, synapses=tuple(replace(s, delay=4) if s.name == "low" else s for s in made.synapses))


PROGRAMS: dict[str, Callable[[int], Program]] = {
    "chain": chain,
    "loop": lambda seed: chain(seed, state="carry"),
    "late": late,
    "convolutions": convolved,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_lava_gets_spikes_as_the_program_does(name: str, seed: int) -> None:
    program = PROGRAMS[name](seed)
    built, columns = as_loaded(lower(program), program)
    ours, theirs = (backend("definition").load(p, batch=3) for p in (program, built))
    spiked = 0
    for number in range(4):
        spikes = random_spikes(program, 10 * seed + number, batch=3)
        a, b = ours.run(spikes), theirs.run(spikes)
        assert np.array_equal(a.raster, b.raster[..., columns])
        assert np.array_equal(a.readout, b.readout)
        spiked += int(a.raster[..., program.slices[built.populations[-1].name]].sum())
    assert spiked, "nothing was tried"


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_file_holds_every_number(name: str) -> None:
    program = PROGRAMS[name](1)
    lowered = lower(program)
    data = encode(lowered.net)
    assert data == encode(lowered.net)
    net = decode(data, "x.net")
    assert net == lowered.net
    layout = {"places": lowered.places, "relays": lowered.relays}
    assert lifted(net, structure(program), layout, program.chip, program.semantics) == program


def test_the_file_is_lava_dls(tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    path.write_bytes(encode(lower(convolved()).net))
    with h5py.File(path) as file:
        kinds = [file[f"layer/{k}/type"][0] for k in range(5)]
        assert kinds == [b"input", b"conv", b"conv", b"flatten", b"dense"]
        assert file["layer/0/shape"][()].tolist() == [4, 6, 5]
        assert file["layer/1/weight"].shape == (4, 4, 3, 3)
        assert file["layer/4/neuron/iDecay"][()].max() <= 4096
        assert not file.attrs
    path.write_bytes(encode(lower(chain()).net))
    with h5py.File(path) as file:
        dense = file["layer/1"]
        assert (dense["inFeatures"][()], dense["outFeatures"][()]) == (
            11,
            9,
        )  # with the gate's line and relay
        assert dense["neuron/vThMant"][()][-1] == 1
        assert dense["neuron/type"].dtype == "S10"


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_not_refused_is_loaded_as_it_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = sorted(rng.integers(-256, 256, 2).tolist())
    weight = rng.integers(low, high + 1, (3, 4)) & ~int(rng.choice([0, 1, 3, 7]))
    if not weight.any() or (
        (weight % 2).any() and weight.min() < 0 <= weight.max() and np.abs(weight).max() > 127
    ):
        with pytest.raises(ChipError, match=r"odd weights|no weight but 0"):
            loaded(weight, "w")
        return
    made = loaded(weight, "w")
    assert np.array_equal(stored(made) >> -made.exponent, weight)
    assert np.abs(made.weight).max() <= 256
    assert 0 <= made.bits <= 8


def test_what_the_loader_does_is_known() -> None:
    odd = loaded(np.array([[3, -4]]), "w")  # 3 alone would be cut to 2 in a mixed matrix
    assert (odd.weight.tolist(), odd.exponent, odd.bits) == ([[192, -256]], -6, 3)
    for weight, message in (
        ([[253, -2]], "odd weights beside"),
        ([[0, 0]], "no weight but 0"),
        ([[300]], "beyond the 9 bits"),
    ):
        with pytest.raises(ChipError, match=message):
            loaded(np.array(weight), "w")


def _population(name: str, **changes: Any) -> Population:
    return replace(chain().population(name), **changes)


def _synapse(name: str, **changes: Any) -> Synapse:
    return replace(next(s for s in chain().synapses if s.name == name), **changes)


RNG = np.random.default_rng(3)
REFUSED: dict[str, tuple[Program, str]] = {
    "reset": (chain(a=_population("a", kind=lif(8, RNG, reset="subtract"))), "a: resets by subtract"),
    "late reset": (chain(a=_population("a", kind=lif(8, RNG, reset_delay=True))), "a: resets a tick late"),
    "inclusive": (chain(a=_population("a", kind=lif(8, RNG, inclusive=True))), "a: spikes at its threshold"),
    "graded": (chain(a=_population("a", kind=Graded(vth=np.ones(8, np.int32)))), "a: is graded"),
    "levels": (chain(in0=_population("in0", kind=Source(plane=None))), "in0: sends graded messages"),
    "messages": (chain(ab=_synapse("ab", message_bits=8)), "ab: multiplies with graded messages"),
    "exponent": (chain(ab=_synapse("ab", weight_exp=2)), r"ab: weights · 2\^2 reach"),
    "fraction": (chain(ab=_synapse("ab", weight_exp=-3)), r"ab: weights · 2\^-3 are not whole"),
    "late gate": (chain(**{"b.bias": _synapse("b.bias", delay=2)}), "b.bias: a gate's synapse of 2 ticks"),
    "early gate": (chain(g1=_population("g1", kind=Gate(start=0, stop=6))), "b.bias: its gate spikes before"),
    "offset": (chain(b=_population("b", offset=3)), "b: begins at tick 3"),
    "skip": (chain(ab=_synapse("ab", pre="in0", weight=np.ones((3, 5), np.int16))), "hears in0"),
    "arithmetic": (chain(arithmetic="loihi1"), "netx: .*'loihi1'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_net_cannot_say_is_refused_by_name(name: str) -> None:
    program, message = REFUSED[name]
    with pytest.raises(ChipError, match=message):
        lower(program)


def test_a_loop_in_a_policy_that_resets_is_refused() -> None:
    made = chain()
    loop = replace(_synapse("ab"), name="again", pre="b", weight=np.full((3, 3), 2, np.int16))
    with pytest.raises(ChipError, match="again: drops the spikes from before a reset"):
        lower(replace(made, synapses=(*made.synapses, loop)))


@pytest.mark.parametrize("name", [name for name in shipped() if name.endswith("-mlp")])  # layers in a row
def test_shipped_policies(name: str, tmp_path: Path) -> None:
    subject = resolve(name)
    artefact = replace(subject.artefact, compiled=subject.compiled("loihi1-netx"))
    check_exporter(NetxExporter(), artefact, tmp_path)
    manifest = json.loads((tmp_path / f"{name}.net.json").read_text())
    assert manifest["loader"] == {"reset_interval": 11, "reset_offset": 1}
    assert manifest["proof"]["spikes"] > 0
    with pytest.raises(ChipError, match="--chip loihi1-netx"):
        NetxExporter().export(replace(artefact, compiled=subject.compiled("loihi1")), tmp_path / "other.net")
    assert not (tmp_path / "other.net").exists()


def test_a_file_runs_as_its_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.net"
    assert main(["export", "cartpole-mlp", "--target", "netx", "--chip", "loihi1-netx", "-o", str(path)]) == 0
    capsys.readouterr()
    assert main(["run", str(path), "--backend", "definition", "--episodes", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["return"]["mean"] == 500


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    subject = resolve("cartpole-mlp")
    path = tmp_path / "p.net"
    NetxExporter().export(replace(subject.artefact, compiled=subject.compiled("loihi1-netx")), path)
    return path


def spoiled(path: Path, change: Callable[[h5py.File], None]) -> bytes:
    with h5py.File(path, "r+") as file:
        change(file)
    return path.read_bytes()


def _external(file: h5py.File) -> None:
    del file["layer/1/weight"]
    file["layer/1"].create_dataset("weight", (65, 25), "i8", external=[("secret", 0, 65 * 25 * 8)])


def _replaced(key: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[key]
        if value is not None:
            file[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external, "another file"),
        (_replaced("layer/1/weight", h5py.ExternalLink("x", "y")), "ExternalLink"),
        (_replaced("layer/1/weight", None), "has no weight"),
        (_replaced("layer/1/weight", np.ones((65, 25))), "whole numbers"),
        (_replaced("layer/1/weight", np.ones(3, int)), "does not fit"),
        (_replaced("layer/1/type", np.array(["pool"], "S10")), "is 'pool'"),
        (_replaced("layer/0/type", np.array(["dense"], "S10")), "must be 'input'"),
        (_replaced("layer/1/neuron/type", np.array(["SDNN"], "S10")), "neurons of type 'SDNN'"),
        (_replaced("layer/1/neuron/vDecay", 5000), "vDecay must be"),
        (_replaced("layer/1/neuron/iDecay", 0), "iDecay must be"),
        (_replaced("layer/1/neuron/vThMant", np.arange(7)), "1 or 65 numbers"),
        (_replaced("layer/2", None), "layers 0, 1, 3"),
        (_replaced("layer/1/shape", np.array([], int)), "shape holds"),
        (lambda file: file.__setitem__("layer/1/bias", np.ones(65, int)), "has a bias in its neurons"),
    ],
)
def test_a_spoiled_file_is_one_error(change: Any, message: str, exported: Path) -> None:
    with pytest.raises(ModelError, match=message):
        decode(spoiled(exported, change), "p.net")
    with pytest.raises(StrlError):
        NetxExporter().load(exported)


def test_a_file_needs_its_manifest(exported: Path) -> None:
    beside = exported.with_name("p.net.json")
    text = json.loads(beside.read_text())
    for key, value, message in (
        ("format", "other", "must be 'strl-netx'"),
        ("format_version", 9, "reads up to 1"),
        ("name", "other", "was changed"),
    ):
        beside.write_text(json.dumps({**text, key: value}))
        with pytest.raises(ModelError, match=message):
            NetxExporter().load(exported)
    beside.unlink()
    with pytest.raises(ModelError, match="has no manifest"):
        NetxExporter().load(exported)
    exported.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    with pytest.raises(ModelError, match="damaged"):
        NetxExporter().load(exported)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("readout", {"unit": 0.0}, r"not what its network gives on loihi1-netx: readout\.unit = 0\.0"),
        ("readout", {"start": 0}, r"not what its network gives on loihi1-netx: readout\.start = 0"),
        ("schedule", {"total": 12}, r"not what its network gives on loihi1-netx: schedule\.total = 12"),
    ],
)
def test_a_program_that_was_edited_and_signed_again(
    part: str, change: dict[str, Any], message: str, exported: Path
) -> None:
    beside = exported.with_name("p.net.json")
    manifest = json.loads(beside.read_text())
    manifest["program"][part].update(change)
    manifest["digest"] = own_digest(manifest, BundleError)
    beside.write_bytes(to_json(manifest, BundleError))
    with pytest.raises(BundleError, match=message):
        NetxExporter().load(exported)


def test_other_peoples_files_are_kept(exported: Path, tmp_path: Path) -> None:
    artefact = NetxExporter().load(exported)
    (tmp_path / "q.net").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not ours"):
        NetxExporter().export(artefact, tmp_path / "q.net")
    with pytest.raises(UsageError, match="not the name"):
        NetxExporter().export(artefact, tmp_path / "q.h5")
