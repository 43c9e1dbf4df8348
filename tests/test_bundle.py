"""A bundle comes back equal, is the same bytes every time, and shows whatever happened to it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters import disk
from exporters.disk import to_json
from exporters.loihi import LoihiExporter
from exporters.loihi.bundle import LIMITS, MANIFEST, files
from exporters.loihi.integers import arrays, rebuild, structure
from strl import __version__
from strl.chip import chip
from strl.chip.compile import compile_network
from strl.chip.exporter import Artefact
from strl.chip.fit import summary, utilization
from strl.chip.text import text
from strl.content import digest
from strl.errors import BundleError, UsageError
from strl.ir import LIF, Delay, EnvironmentSpec, Input, Linear, Network, Output, Readout, Semantics
from strl.testing.programs import KINDS, random_program

EVERY = sorted([MANIFEST, *LIMITS])


def made() -> Artefact:
    """A recurrent network with biases and a 4-bit encoder, compiled."""
    rng = np.random.default_rng(3)
    neurons = {"threshold": np.ones(6), "reset": "zero", "reset_delay": False}
    nodes = {
        "input": Input(shape=(2,)),
        "fc/1": Linear(weight=rng.normal(size=(6, 2)), bias=rng.normal(size=6)),
        "hidden": LIF(alpha=np.full(6, 0.5), beta=np.linspace(0.1, 0.9, 6), **neurons),
        "again": Linear(weight=rng.normal(size=(6, 6))),
        "late": Delay(ticks=1, shape=(6,)),
        "fc2": Linear(weight=rng.normal(size=(3, 6))),
        "out": LIF(
            alpha=np.zeros(3),
            beta=np.full(3, 0.9),
            threshold=np.full(3, np.inf),
            reset="none",
            reset_delay=False,
        ),
        "output": Output(shape=(3,)),
    }
    edges = (
        ("input", "fc/1"),
        ("fc/1", "hidden"),
        ("hidden", "late"),
        ("late", "again"),
        ("again", "hidden"),
        ("hidden", "fc2"),
        ("fc2", "out"),
        ("out", "output"),
    )
    semantics = Semantics(
        ticks=6,
        state="reset",
        readout=Readout(kind="membrane"),
        encoder={"kind": "direct", "low": [-1.0, -1.0], "high": [1.0, 1.0], "precision": 4},
        decoder={"kind": "argmax", "actions": 3},
        environment=EnvironmentSpec(id="Acrobot-v1", observation_shape=(2,), actions=3),
    )
    network = Network(nodes=nodes, edges=edges)
    compiled = compile_network(network, semantics, chip("loihi1"))
    return Artefact(
        name="small",
        network=network,
        semantics=semantics,
        proof={"seed": 0, "mismatches": 0},
        compiled=compiled,
    )


@pytest.fixture(scope="module")
def artefact() -> Artefact:
    return made()


@pytest.fixture
def bundle(artefact: Artefact, tmp_path: Path) -> Path:
    folder = tmp_path / "small.bundle"
    LoihiExporter().export(artefact, folder)
    return folder


def load(folder: Path) -> Artefact:
    return LoihiExporter().load(folder)


class TestRoundTrip:
    def test_programs_of_every_kind(self) -> None:
        for seed in range(60):
            program = random_program(seed, kinds=KINDS)
            record = json.loads(json.dumps(structure(program)))
            assert rebuild(record, arrays(program), program.chip, program.semantics) == program

    def test_everything_comes_back_equal(self, artefact: Artefact, bundle: Path) -> None:
        back = load(bundle)
        assert back.network == artefact.network
        assert back.semantics == artefact.semantics
        assert (back.name, back.proof) == (artefact.name, artefact.proof)
        assert back.compiled is not None
        assert artefact.compiled is not None
        assert back.compiled.program == artefact.compiled.program
        assert back.compiled.program.digest == artefact.compiled.program.digest
        assert back.compiled.quantized == artefact.compiled.quantized
        assert utilization(back.compiled) == utilization(artefact.compiled)

    def test_the_files_are_the_ones_designed(self, bundle: Path) -> None:
        assert sorted(p.name for p in bundle.iterdir()) == EVERY
        manifest = json.loads((bundle / MANIFEST).read_text())
        assert (manifest["chip"], manifest["env"], manifest["strl"]) == ("loihi1", "Acrobot-v1", __version__)
        for name in LIMITS:
            assert manifest["files"][name] == hashlib.sha256((bundle / name).read_bytes()).hexdigest()

    def test_weights_are_integers_that_anybody_can_read(self, artefact: Artefact, bundle: Path) -> None:
        from safetensors.numpy import load_file

        found = load_file(bundle / "weights.safetensors")
        assert {array.dtype.str for array in found.values()} == {"<i2", "<i4"}
        assert artefact.compiled is not None
        for synapse in artefact.compiled.program.synapses:
            assert np.array_equal(found[f"weight/{synapse.name}"], synapse.weight)

    def test_it_is_the_same_bytes_in_every_process(self, artefact: Artefact) -> None:
        code = (
            "import sys, importlib.util as u; s = u.spec_from_file_location('t', sys.argv[1]);"
            "m = u.module_from_spec(s); s.loader.exec_module(m);"
            "print(m.everything(m.made()))"
        )
        for seed in ("1", "2"):
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            command = [sys.executable, "-c", code, __file__]
            found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            assert found.stdout.strip() == everything(artefact)

    @given(st.integers(0, 2**32 - 1))
    @settings(max_examples=30, deadline=None)
    def test_any_program_is_rebuilt(self, seed: int) -> None:
        program = random_program(seed)
        record = json.loads(to_json(structure(program), BundleError))
        back = rebuild(record, arrays(program), program.chip, program.semantics)
        assert back.digest == program.digest
        assert text(back) == text(program)


def everything(artefact: Artefact) -> str:
    """One digest of all files of a bundle."""
    hasher = hashlib.sha256()
    for name, data in sorted(files(artefact).items()):
        hasher.update(name.encode() + data)
    return hasher.hexdigest()


class TestDamage:
    @pytest.mark.parametrize("name", EVERY)
    def test_a_changed_byte_is_found_and_named(self, name: str, bundle: Path) -> None:
        data = (bundle / name).read_bytes()
        for at in np.random.default_rng(0).integers(0, len(data), 25):
            changed = bytearray(data)
            changed[at] ^= 1 << int(at) % 8
            (bundle / name).write_bytes(changed)
            with pytest.raises(BundleError, match=name.replace(".", r"\.")):
                load(bundle)
        (bundle / name).write_bytes(data)
        load(bundle)

    @pytest.mark.parametrize("name", EVERY)
    def test_a_missing_or_truncated_file_is_named(self, name: str, bundle: Path) -> None:
        data = (bundle / name).read_bytes()
        (bundle / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(BundleError, match=name.replace(".", r"\.")):
            load(bundle)
        (bundle / name).unlink()
        with pytest.raises(BundleError, match=name.replace(".", r"\.")):
            load(bundle)

    def test_the_first_format_is_refused(self, bundle: Path) -> None:
        resigned(bundle, lambda m: m.update(format_version=1))
        with pytest.raises(BundleError, match=r"format 1.*reset to zero"):
            load(bundle)

    def test_the_format_without_an_arithmetic_is_refused(self, bundle: Path) -> None:
        resigned(bundle, lambda m: m.update(format_version=2))
        with pytest.raises(BundleError, match=r"format 2.*arithmetic") as caught:
            load(bundle)
        assert "export" in caught.value.hint

    def test_a_newer_format_names_both_versions(self, bundle: Path) -> None:
        resigned(bundle, lambda m: m.update(format_version=7, strl="3.1.4"))
        with pytest.raises(
            BundleError, match=rf"format 7, written by strl 3\.1\.4.* {__version__} reads.* 3"
        ) as caught:
            load(bundle)
        assert "update" in caught.value.hint

    @pytest.mark.parametrize("content", [b"", b"null", b'{"format": "other"}', b"\xff\xfe", b"[" * 99_999])
    def test_a_foreign_directory(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / MANIFEST).write_bytes(content)
        with pytest.raises(BundleError, match=r"manifest\.json"):
            load(tmp_path)

    def test_no_directory_and_no_manifest(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="it has no manifest") as caught:
            load(tmp_path)
        assert "--target loihi" in caught.value.hint
        with pytest.raises(BundleError, match="is not a directory"):
            load(tmp_path / "nothing")

    def test_a_pipe_or_a_giant_in_place_of_a_file(self, bundle: Path) -> None:
        (bundle / "chip.toml").unlink()
        os.mkfifo(bundle / "chip.toml")
        with pytest.raises(BundleError, match=r"chip\.toml: cannot be read: it is not a regular file"):
            load(bundle)
        (bundle / "chip.toml").unlink()
        with (bundle / "chip.toml").open("wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(BundleError, match=r"chip\.toml: has 1099511627776 bytes"):
            load(bundle)


def resigned(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the manifest and make its digests agree again, as somebody who means harm would."""
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["digest"]
    manifest["files"] = {n: disk.sha256((folder / n).read_bytes()) for n in LIMITS}
    change(manifest)
    manifest["digest"] = disk.sha256(to_json(manifest, BundleError))
    (folder / MANIFEST).write_bytes(to_json(manifest, BundleError))


def _program(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        record = json.loads((folder / "program.json").read_text())
        change(record)
        (folder / "program.json").write_text(json.dumps(record))

    return damage


def _floats(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = folder / "weights.safetensors"
    save_file({name: array.astype("f8") for name, array in load_file(path).items()}, path)


HARM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "giant": (_program(lambda r: r["populations"][0].update(size=10**12)), "size = 1000000000000"),
    "odd kind": (_program(lambda r: r["populations"][0].update(kind="x")), "no population is a 'x'"),
    "no synapses": (_program(lambda r: r.pop("synapses")), "synapses"),
    "no weights": (_program(lambda r: r["synapses"][0].update(name="x")), "weight/x"),
    "odd field": (_program(lambda r: r["synapses"][0].update(more=1)), "more"),
    "far delay": (_program(lambda r: r["synapses"][0].update(delay=99)), "delay = 99"),
    "text delay": (_program(lambda r: r["synapses"][0].update(delay="1")), "delay = '1'"),
    "true delay": (_program(lambda r: r["synapses"][0].update(delay=True)), "delay = True"),
    "odd format": (_program(lambda r: r["synapses"][0].update(format="x")), "format = 'x', must be dense or"),
    "odd state": (_program(lambda r: r["schedule"].update(state="x")), "state = 'x'"),
    "odd window": (_program(lambda r: r["readout"].update(stop=0)), "stop = 0"),
    "odd unit": (_program(lambda r: r["readout"].update(unit="1")), "unit = '1'"),
    "odd name": (_program(lambda r: r["populations"][0].update(name=3)), "name = 3, must be a name"),
    "odd offset": (_program(lambda r: r["populations"][0].update(offset=-1)), "offset = -1"),
    "far core": (_program(lambda r: r["placement"][0].update(core=128)), r"core = 128, .* 0\.\.127"),
    "odd part": (_program(lambda r: r["placement"][0].update(stop=99)), "stop = 99"),
    "other part": (_program(lambda r: r["placement"][0].update(population="x")), "program: KeyError"),
    "float weights": (_floats, "is float64, must be int"),
    "long decision": (_program(lambda r: r["schedule"].update(total=10**9)), "total = 1000000000"),
    "other program": (
        _program(lambda r: r["synapses"][0].update(weight_exp=0)),
        "not the one it was made with",
    ),
    "odd list": (_program(lambda r: r.update(placement=5)), "program: TypeError"),
    "no json": (lambda f: (f / "program.json").write_text("{"), r"program\.json: is not JSON"),
    "no tensors": (lambda f: (f / "weights.safetensors").write_bytes(b"x" * 50), "SafetensorError"),
    "no chip": (lambda f: (f / "chip.toml").write_text("a = 1"), r"chip\.toml: not a chip"),
    "no text": (lambda f: (f / "chip.toml").write_bytes(b"\xff"), "utf-8"),
    "no network": (lambda f: (f / "network.nir").write_bytes(b"x"), r"network\.nir: is not a NIR file"),
}


@pytest.mark.parametrize("case", HARM)
def test_harm_under_digests_that_agree(case: str, bundle: Path) -> None:
    damage, message = HARM[case]
    damage(bundle)
    resigned(bundle, lambda m: None)
    with pytest.raises(BundleError, match=message):
        load(bundle)


@pytest.mark.parametrize("key", ["name", "network", "semantics", "proof", "program", "files"])
def test_a_manifest_without_an_entry(key: str, bundle: Path) -> None:
    resigned(bundle, lambda m: m.pop(key))
    with pytest.raises(BundleError, match=f"{key} is missing"):
        load(bundle)


class TestWriting:
    def test_a_bundle_of_ours_is_replaced(self, artefact: Artefact, bundle: Path) -> None:
        LoihiExporter().export(replace(artefact, name="other"), bundle)
        assert load(bundle).name == "other"
        assert [p.name for p in bundle.parent.iterdir()] == [bundle.name]

    @pytest.mark.parametrize("kind", ["folder", "file", "bundle and notes", "other manifest", "link"])
    def test_nothing_else_is_replaced_unasked(self, kind: str, artefact: Artefact, bundle: Path) -> None:
        path = bundle.parent / "mine"
        if kind == "file":
            path.write_text("mine")
        elif kind == "link":
            path.symlink_to(bundle)
        elif kind == "bundle and notes":
            bundle.rename(path)
            (path / "notes.txt").write_text("mine")
        else:
            path.mkdir()
            (path / (MANIFEST if kind == "other manifest" else "x")).write_text("{}")
        with pytest.raises(UsageError, match="is not a bundle of ours") as caught:
            LoihiExporter().export(artefact, path)
        assert "--force" in caught.value.hint
        LoihiExporter().export(artefact, path, force=True)
        assert load(path).name == "small"
        assert not path.is_symlink()
        if kind == "link":
            assert load(bundle).name == "small"  # what it pointed to is not ours to remove

    def test_where_one_stands_is_never_replaced(
        self, artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "inner").mkdir()
        monkeypatch.chdir(tmp_path / "inner")
        for place in (Path("."), tmp_path):
            with pytest.raises(UsageError, match="is where you are"):
                LoihiExporter().export(artefact, place, force=True)

    @pytest.mark.parametrize("before", [False, True])
    def test_a_full_disk_leaves_what_was_there(
        self, before: bool, artefact: Artefact, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not before:
            for path in bundle.iterdir():
                path.unlink()
            bundle.rmdir()
        written = []

        def full(file: Any, data: bytes) -> None:
            written.append(file.write(data[:100]))
            if len(written) == 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(disk, "_flush", full)
        with pytest.raises(BundleError, match="cannot be written: No space left on device") as caught:
            LoihiExporter().export(replace(artefact, name="other"), bundle)
        assert "nothing was left behind" in caught.value.hint
        assert [p.name for p in bundle.parent.iterdir()] == ([bundle.name] if before else [])
        if before:
            assert load(bundle).name == "small"

    def test_a_rename_that_fails_puts_the_old_one_back(
        self, artefact: Artefact, bundle: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.rename

        def once(source: Any, target: Any) -> None:
            if Path(target) == bundle and Path(source).name == "new":
                raise OSError(errno.EIO, "broken")
            real(source, target)

        monkeypatch.setattr(os, "rename", once)
        with pytest.raises(BundleError, match="broken"):
            LoihiExporter().export(replace(artefact, name="other"), bundle)
        assert load(bundle).name == "small"

    def test_what_could_not_be_read_back_is_not_written(
        self, artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("exporters.loihi.bundle.MANIFEST_MAX", 100)
        with pytest.raises(BundleError, match=r"manifest\.json would have \d+ bytes, at most 100"):
            LoihiExporter().export(artefact, tmp_path / "x")
        assert not (tmp_path / "x").exists()

    @pytest.mark.parametrize("name", ["\udcff", float("nan"), object()])
    def test_a_manifest_of_what_json_has_not(self, name: Any, artefact: Artefact, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match=r"^manifest: "):
            LoihiExporter().export(replace(artefact, name=name), tmp_path / "x")

    def test_a_policy_that_was_not_compiled(self, artefact: Artefact, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="has no program"):
            LoihiExporter().export(replace(artefact, compiled=None), tmp_path / "x")


class TestText:
    def test_the_program_reads_well(self, artefact: Artefact) -> None:
        assert artefact.compiled is not None
        lines = text(artefact.compiled.program).splitlines()
        assert lines[0].endswith("for loihi1, arithmetic lava")
        assert lines[1] == "decision: 8 ticks, 6 driven, state reset"
        assert "  input.bit3: source [2] offset=0 plane=3" in lines
        assert any(line.startswith("  again: hidden -> hidden [6, 6] 8 bit exp=") for line in lines)
        assert "  core 0: hidden 0..5" in lines

    def test_it_changes_with_a_single_weight(self, artefact: Artefact) -> None:
        assert artefact.compiled is not None
        program = artefact.compiled.program
        weight = program.synapses[0].weight.copy()
        weight[0, 0] = 2 - weight[0, 0] // 2
        other = replace(
            program, synapses=(replace(program.synapses[0], weight=weight), *program.synapses[1:])
        )
        assert text(other) != text(program)

    def test_the_fit_names_what_binds(self, artefact: Artefact) -> None:
        assert artefact.compiled is not None
        core = utilization(artefact.compiled)["each"][0]
        shares = {name: limit["share"] for name, limit in core["limits"].items()}
        assert shares[core["binding"]] == max(shares.values())
        assert core["limits"]["compartments"] == {"used": 9, "limit": 1024, "share": 9 / 1024}

    def test_the_summary_counts(self, artefact: Artefact) -> None:
        assert artefact.compiled is not None
        found = summary(artefact.compiled)
        assert (found["cores"], found["ticks"], found["ticks_per_decision"]) == (1, 6, 8)
        worst = max(e["largest"] for e in artefact.compiled.quantized.error.values())
        assert found["worst_error"]["largest"] == worst


GOLDEN = """\
program {digest} for loihi1, arithmetic lava
decision: 6 ticks, 4 driven, state reset
readout: count of lif2, ticks 2..5, unit 1.0

populations
  input: source [2] offset=0 plane=0
  gate0: gate [1] offset=0 ticks=0..3
  lif1: lif [3] offset=1 du=4095 dv=1024 vth=8192
  lif2: lif [2] offset=2 du=2047 dv=2048 vth=8192

synapses
  fc1: input -> lif1 [3, 2] 8 bit exp=6 delay=1 dense weights=-128..128 nonzero=6 {fc1}
  fc1.bias: gate0 -> lif1 [3, 1] 8 bit exp=4 delay=1 dense weights=-128..128 nonzero=2 {bias}
  fc2: lif1 -> lif2 [2, 3] 8 bit exp=6 delay=1 dense weights=-128..128 nonzero=6 {fc2}

placement
  core 0: lif1 0..2
  core 0: lif2 0..1
"""


def test_the_text_of_a_small_program() -> None:
    """Golden: whoever changes what is compiled sees it here, and says so in the CHANGELOG."""
    weight1 = np.array([[1.0, -1.0], [0.5, 0.25], [-0.5, 1.0]])
    weight2 = np.array([[1.0, 0.5, -1.0], [-0.25, 1.0, 0.5]])
    plain = {"threshold": np.ones(3), "reset": "zero", "reset_delay": False}
    network = Network(
        nodes={
            "input": Input(shape=(2,)),
            "fc1": Linear(weight=weight1, bias=np.array([0.25, 0.0, -0.25])),
            "lif1": LIF(alpha=np.zeros(3), beta=np.full(3, 0.75), **plain),
            "fc2": Linear(weight=weight2),
            "lif2": LIF(alpha=np.full(2, 0.5), beta=np.full(2, 0.5), **{**plain, "threshold": np.ones(2)}),
            "output": Output(shape=(2,)),
        },
        edges=(("input", "fc1"), ("fc1", "lif1"), ("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "output")),
    )
    semantics = Semantics(
        ticks=4,
        state="reset",
        readout=Readout(kind="count"),
        encoder={"kind": "sign-split", "low": [-1.0], "high": [1.0]},
        decoder={"kind": "argmax", "actions": 2},
        environment=EnvironmentSpec(id="", observation_shape=(1,), actions=2),
    )
    program = compile_network(network, semantics, chip("loihi1")).program
    marks = {"digest": program.digest[:16]}
    for name, synapse in zip(("fc1", "bias", "fc2"), program.synapses, strict=True):
        marks[name] = digest(synapse.weight)[:8]
    assert text(program) == GOLDEN.format(**marks)
