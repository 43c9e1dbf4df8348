"""Bundles that somebody edited and signed again: each loads and works, or is refused in one error.

Every digest of a forged bundle agrees, so only what the files say can give it away.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
import struct
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from exporters.disk import own_digest, sha256, to_json
from exporters.loihi.bundle import LIMITS, MANIFEST, artefact, files
from exporters.loihi.integers import arrays, rebuild, structure
from exporters.nir import NirExporter
from strl.chip.compile import compile_network
from strl.chip.exporter import Artefact
from strl.chip.fit import summary, utilization
from strl.chip.spec import chip, parse
from strl.chip.text import text
from strl.energy.activity import Wiring
from strl.errors import BundleError, StrlError
from strl.ir import Semantics
from strl.loop.agent import ChipAgent, FloatAgent, episode_rng
from strl.loop.subject import Subject, resolve
from strl.testing.policies import pole_network, pole_semantics
from strl.testing.programs import KINDS, random_program

Files = dict[str, bytes]
Place = tuple[Any, ...]
Edit = Callable[[Files], Files]

GONE = object()
ODD: tuple[Any, ...] = (
    GONE, None, True, -1, 0, 10**12, 2**62, 10**400, 1e308, 0.5, float("nan"), float("inf"),
    "x", "", [], [1], {}, {"kind": "x"},
)  # fmt: skip
"""What a field is replaced by."""

EACH = 80
"""Forgeries of each file."""


def made() -> Files:
    network, semantics = pole_network(hidden=4), pole_semantics(ticks=3)
    compiled = compile_network(network, semantics, chip("loihi1"))
    return files(
        Artefact(name="pole", network=network, semantics=semantics, proof={"seed": 0}, compiled=compiled)
    )


@pytest.fixture(scope="module")
def sound() -> Files:
    return made()


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every field of a tree of lists and dicts, as the way to it."""
    if here:
        yield here
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(entry, (*here, key))


def changed(tree: Any, place: Place, odd: Any) -> Any:
    tree = copy.deepcopy(tree)
    holder = tree
    for key in place[:-1]:
        holder = holder[key]
    if odd is GONE:
        del holder[place[-1]]
    else:
        holder[place[-1]] = odd
    return tree


def signed(forged: Files) -> Files:
    """The same files under digests that agree, as far as what they hold has one."""
    manifest = json.loads(forged[MANIFEST])
    manifest.pop("digest", None)
    manifest["files"] = {name: sha256(forged[name]) for name in LIMITS}
    try:
        spec = parse(forged["chip.toml"].decode(), "chip.toml")
        semantics = Semantics.from_dict(manifest["semantics"])
        record = json.loads(forged["program.json"])
        manifest["program"] = rebuild(record, forged["weights.safetensors"], spec, semantics).digest
    except (StrlError, KeyError):
        pass  # there is no program to sign
    try:
        manifest["digest"] = sha256(to_json(manifest, BundleError))
        return {**forged, MANIFEST: to_json(manifest, BundleError)}
    except BundleError:  # not a number: no JSON of ours
        return {**forged, MANIFEST: json.dumps(manifest).encode()}


def outcome(forged: Files) -> str:
    """``loaded``, or the message of the refusal; anything else but a StrlError ends the test."""
    try:
        found = artefact(lambda name, limit: forged[name], "b")
    except BundleError as error:
        return str(error)
    assert found.compiled is not None
    summary(found.compiled), utilization(found.compiled), text(found.compiled.program)
    Wiring(found.compiled.program)
    files(found)
    program = ChipAgent(found.compiled.program, batch=1)
    for agent in (program, FloatAgent(found.network, found.semantics)):
        agent.reset([0], [episode_rng(0)])
        agent.act(np.zeros((1, *found.semantics.environment.observation_shape)))
    return "loaded"


def to_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {to_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    return '"none"' if value is None else json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")


def forgeries(sound: Files, name: str) -> Iterator[tuple[str, Files]]:
    """``EACH`` of the places of a file, each with something odd in it."""
    data = sound[name].decode()
    tree = tomllib.loads(data) if name.endswith(".toml") else json.loads(data)
    rng = random.Random(name)
    every = [(place, odd) for place in places(tree) for odd in ODD]
    for place, odd in rng.sample(every, EACH):
        other = changed(tree, place, odd)
        if name.endswith(".toml"):
            forged = "\n".join(f"{json.dumps(key)} = {to_toml(entry)}" for key, entry in other.items())
        else:
            forged = json.dumps(other, indent=1, sort_keys=True)
        yield f"{name}: {place} = {odd!r:.40}", {**sound, name: forged.encode()}


def test_an_honest_bundle_loads(sound: Files) -> None:
    assert outcome(sound) == outcome(signed(sound)) == "loaded"


@pytest.mark.parametrize("name", [MANIFEST, "program.json", "quantization.json", "chip.toml"])
def test_a_forged_file_is_refused_or_works(name: str, sound: Files) -> None:
    outcomes = set()
    for what, forged in forgeries(sound, name):
        try:
            outcomes.add(outcome(signed(forged)))
        except Exception as error:
            error.add_note(what)
            raise
    assert len(outcomes) > 20  # many were refused, each for its own reason
    assert not any("digest differs" in said or "was changed after" in said for said in outcomes)


def limited(limit: str, value: int) -> Edit:
    """The chip has less of something."""

    def edit(forged: Files) -> Files:
        lines = forged["chip.toml"].decode()
        smaller = re.sub(rf"(\n{limit} = {{ value = )\d+", rf"\g<1>{value}", lines)
        assert smaller != lines
        return {**forged, "chip.toml": smaller.encode()}

    return edit


def program(change: Callable[[Any], Any]) -> Edit:
    """The program is another."""

    def edit(forged: Files) -> Files:
        record = json.loads(forged["program.json"])
        change(record)
        return {**forged, "program.json": to_json(record, BundleError)}

    return edit


def weights(change: Callable[[Any], Any]) -> Edit:
    """Its numbers are others."""

    def edit(forged: Files) -> Files:
        held = {name: array.copy() for name, array in load(forged["weights.safetensors"]).items()}
        change(held)
        return {**forged, "weights.safetensors": save(held)}

    return edit


def rounded(record: dict[str, Any], **change: float) -> Edit:
    """The record of rounding is another; changed, where none is given."""

    def edit(forged: Files) -> Files:
        found = record or json.loads(forged["quantization.json"])
        found[min(found)].update(change)
        return {**forged, "quantization.json": to_json(found, BundleError)}

    return edit


def later(forged: Files) -> Files:
    """Synapses that take longer than the chip's do."""
    slow = program(lambda r: r["synapses"][0].update(delay=63))
    return slow(limited("delay_max", 1)(forged))


OTHER: dict[str, tuple[Edit, str]] = {
    "compartments": (limited("compartments", 1), "not what its network gives on loihi1: placement"),
    "synapse memory": (
        limited("synapse_words", 1),
        "one neuron needs .* synapse words, a core of loihi1 has 1",
    ),
    "weight bits": (limited("weight_bits", 2), r"weight bits = 8, must be 2\.\.2 on loihi1"),
    "thresholds": (limited("threshold_max", 1), "not what its network gives|threshold"),
    "delays": (later, "not what its network gives on loihi1: synapses"),
    "resets": (
        lambda f: {**f, "chip.toml": f["chip.toml"].replace(b'resets = ["zero"]', b'resets = ["none"]')},
        "reset",
    ),
    "window": (program(lambda r: r["readout"].update(start=0)), r"readout\.start = 0, not 2"),
    "window of nothing": (program(lambda r: r["readout"].update(start=5, stop=5)), r"readout\.start = 5"),
    "unit 0": (program(lambda r: r["readout"].update(unit=0.0)), r"readout\.unit = 0\.0, not"),
    "unit -1": (program(lambda r: r["readout"].update(unit=-1.0)), r"readout\.unit = -1\.0, not"),
    "unit 1e308": (program(lambda r: r["readout"].update(unit=1e308)), r"readout\.unit = 1e\+308, not"),
    "long": (program(lambda r: r["schedule"].update(total=8192)), r"schedule\.total = 8192, not"),
    "no drain": (
        program(lambda r: (r["schedule"].update(total=3), r["readout"].update(start=0, stop=3))),
        r"readout\.start = 0, not 2",
    ),
    "no synapses": (program(lambda r: r.update(synapses=[])), "synapses has 0 entries, not"),
    "gate": (program(lambda r: gate(r).update(stop=8000)), r"populations\[\d\]\.stop = 8000, not"),
    "source": (
        program(lambda r: r["populations"][0].update(offset=1)),
        r"populations\[0\]\.offset = 1, not 0",
    ),
    "core": (program(lambda r: r["placement"][0].update(core=127)), r"placement\[0\]\.core = 127, not 0"),
    "weight": (weights(lambda w: w["weight/fc2"].__imul__(-1)), "a weight or parameter differs"),
    "threshold": (weights(lambda w: w["vth/lif1"].__imul__(0)), "a weight or parameter differs"),
    "rounding": (
        rounded({"x": {"largest": 0.0, "rms": 0.0}}),
        "rounding: is not that of the program: it has",
    ),
    "larger rounding": (
        rounded({}, largest=1e308),
        r"not that of the program: \w+.*\.largest = 1e\+308, not",
    ),
}
"""What is sound by itself and another program, or does not fit its chip: the edit, and why it is refused."""


def gate(record: Any) -> dict[str, Any]:
    return next(p for p in record["populations"] if p["kind"] == "gate")


@pytest.mark.parametrize("case", OTHER)
def test_another_program_than_the_network_gives(case: str, sound: Files) -> None:
    edit, message = OTHER[case]
    forged = signed(edit(sound))
    assert forged != sound
    with pytest.raises(BundleError, match=message):
        artefact(lambda name, limit: forged[name], "b")


def test_the_shipped_policies_are_what_their_networks_give() -> None:
    """Read back under every chip, whose program is compiled again."""
    for name, chip_name in itertools.product(("cartpole-mlp", "lunarlander-mlp"), ("loihi1", "loihi2")):
        subject = resolve(name)
        made = files(replace(subject.artefact, compiled=subject.compiled(chip_name, 6)))
        found = artefact(lambda name, limit, made=made: made[name], "b")  # type: ignore[misc]
        assert found.compiled is not None
        assert found.compiled.program.digest == subject.compiled(chip_name, 6).program.digest


def test_a_forged_manifest_of_a_nir_file_is_refused_or_works(tmp_path: Path) -> None:
    """Signed again, so that only what it says can give it away."""
    path, beside = tmp_path / "pole.nir", tmp_path / "pole.nir.json"
    plain = Artefact(name="pole", network=pole_network(hidden=4), semantics=pole_semantics(), proof={})
    NirExporter().export(plain, path)
    said = {"manifest": beside.read_bytes()}
    for what, forged in forgeries(said, "manifest"):
        with suppress(BundleError):  # not a number: no JSON of ours
            manifest = json.loads(forged["manifest"])
            manifest["digest"] = own_digest(manifest, BundleError)
            forged["manifest"] = to_json(manifest, BundleError)
        beside.write_bytes(forged["manifest"])
        try:
            Subject(artefact=NirExporter().load(path)).program()
        except StrlError:
            continue
        except Exception as error:
            error.add_note(what)
            raise


DTYPES = {"BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E8M0": 1, "BOOL": 1, "U16": 2, "I64": 8, "C64": 8, "F4": 1}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [[4, 24], [0], [], [2**40]])
def test_weights_of_odd_kinds(dtype: str, shape: list[int], sound: Files) -> None:
    data = sound["weights.safetensors"]
    start = 8 + struct.unpack("<Q", data[:8])[0]
    table, size = json.loads(data[8:start]), len(data) - start
    length = min(DTYPES[dtype] * int(np.prod(shape)), 4096)
    table["weight/fc2"] = {"dtype": dtype, "shape": shape, "data_offsets": [size, size + length]}
    head = json.dumps(table).encode()
    forged = struct.pack("<Q", len(head)) + head + data[start:] + bytes(length)
    found = outcome(signed({**sound, "weights.safetensors": forged}))
    assert "weights.safetensors" in found or "weight has shape" in found


def test_programs_of_every_kind_are_rebuilt_or_refused() -> None:
    """What the compiler makes for no chip yet: kernels, products, graded neurons, sources of levels."""
    rng = random.Random(0)
    for seed in range(60):
        program = random_program(seed, kinds=KINDS, largest=8)
        record = json.loads(json.dumps(structure(program)))
        for place in rng.sample(list(places(record)), 6):
            other = changed(record, place, rng.choice(ODD))
            try:
                text(rebuild(other, arrays(program), program.chip, program.semantics))
            except StrlError:
                continue
            except Exception as error:
                error.add_note(f"seed {seed}: {place}")
                raise


class TestParts:
    """Files that are sound each by itself and do not go together."""

    def test_sources_that_no_encoder_drives(self, sound: Files) -> None:
        forged = json.loads(sound["program.json"])
        forged["populations"] = [p for p in forged["populations"] if p["kind"] != "source"]
        forged["synapses"] = [s for s in forged["synapses"] if not s["pre"].startswith("input")]
        found = outcome(signed({**sound, "program.json": to_json(forged, BundleError)}))
        assert "sources of no neurons" in found

    @pytest.mark.parametrize("cores", [0, 2])
    def test_neurons_live_on_one_core(self, cores: int, sound: Files) -> None:
        forged = json.loads(sound["program.json"])
        part = forged["placement"].pop(0)
        forged["placement"] += [{**part, "core": core} for core in range(cores)]
        found = outcome(signed({**sound, "program.json": to_json(forged, BundleError)}))
        assert f"neuron 0 of lif1 lives on {cores} cores" in found

    @pytest.mark.parametrize(("field", "value"), [("ticks", 2), ("readout", {"kind": "membrane"})])
    def test_the_semantics_are_the_programs(self, field: str, value: Any, sound: Files) -> None:
        forged = json.loads(sound[MANIFEST])
        forged["semantics"][field] = value
        assert "the semantics say" in outcome(signed({**sound, MANIFEST: to_json(forged, BundleError)}))

    def test_the_codec_is_the_networks(self, sound: Files) -> None:
        forged = json.loads(sound[MANIFEST])
        del forged["semantics"]["encoder"]["kind"]
        assert "has no kind" in outcome(signed({**sound, MANIFEST: to_json(forged, BundleError)}))
