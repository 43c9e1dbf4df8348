"""strl export, inspect and targets: what they print and leave, and every exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strl.chip.exporter import exporter, exporters, frontend
from strl.cli.main import main
from strl.errors import ChipError, UsageError
from strl.loop.subject import Subject, resolve
from strl.testing import check_exporter

FACTORY = '''
import snntorch as snn
import torch
from torch import nn
from torch.nn import functional

from strl.ir import EnvironmentSpec, Readout, Semantics
from strl.policies.policy import SpikingPolicy

torch.set_num_threads(1)
NEURONS = dict(beta=0.75, init_hidden=True, reset_mechanism="zero", reset_delay=False)


class Net(nn.Module):
    """Layers joined by ``way``."""

    def __init__(self, way, middle=None, hidden=12, **neurons):
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.lif1 = nn.Linear(8, hidden), snn.Leaky(**{**NEURONS, **neurons})
        self.fc2, self.lif2 = nn.Linear(hidden, 2), snn.Leaky(**{**NEURONS, **neurons})
        if middle is not None:
            self.middle = middle
        self.way = way

    def forward(self, x):
        return self.way(self, x)


def plain(m, x):
    return m.lif2(m.fc2(m.lif1(m.fc1(x))))


def policy(way=plain, **settings):
    bounds = dict(low=[-3.0, -3.0, -0.3, -3.0], high=[3.0, 3.0, 0.3, 3.0])
    return SpikingPolicy(
        module=Net(way, **settings),
        semantics=Semantics(
            ticks=8, state="reset", readout=Readout(kind="count"),
            encoder={"kind": "sign-split", **bounds}, decoder={"kind": "argmax", "actions": 2},
            environment=EnvironmentSpec(id="CartPole-v1", observation_shape=(4,), actions=2),
        ),
    )


def good():
    return policy()


def unknown():
    return policy(lambda m, x: m.lif2(m.fc2(m.middle(m.lif1(m.fc1(x))))), middle=nn.LayerNorm(12))


def between():
    return policy(lambda m, x: m.lif2(m.fc2(functional.relu(m.lif1(m.fc1(x))))))


def twice():
    return policy(lambda m, x: m.lif2(m.fc2(m.middle(m.middle(m.lif1(m.fc1(x)))))), middle=nn.Linear(12, 12))


def default():
    return policy(reset_mechanism="subtract", reset_delay=True)


def subtract():
    return policy(reset_mechanism="subtract")


def wide():
    return policy(hidden=20_000)


def broken():
    raise RuntimeError("mine")


def nothing():
    return None
'''


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``own.py``, its bundle and its NIR file."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "own.py").write_text(FACTORY)
    (folder / "folder.nir").mkdir()
    (folder / "taken.nir.json").write_text("{}")
    for target, name in (("loihi", "own.bundle"), ("nir", "own.nir")):
        assert main(["export", f"{folder}/own.py:good", "--target", target, "-o", str(folder / name)]) == 0
    return folder


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    out = capsys.readouterr().out
    found: dict[str, Any] = json.loads(out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and message; nothing may stand on stdout, and no traceback anywhere."""
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return code, captured.err


class TestExport:
    def test_a_bundle_from_a_factory(
        self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "x"
        assert main(["export", f"{home}/own.py:good", "-o", str(out), "--json"]) == 0
        found = printed(capsys)
        assert (found["policy"], found["env"], found["target"]) == ("own-good", "CartPole-v1", "loihi")
        assert found["proof"]["mismatches"] == 0
        assert found["proof"]["spikes"]["lif1"] > 0
        assert found["program"]["ticks_per_decision"] == 10
        assert found["program"]["cores"] == 1
        assert sorted(found["files"]) == sorted(str(p) for p in out.iterdir())

    def test_the_summary_says_what_matters(
        self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export", f"{home}/own.nir", "-o", str(tmp_path / "x")]) == 0
        out = capsys.readouterr().out
        for word in (
            "populations",
            "synapses",
            "of 128 cores of loihi1",
            "10 ticks, 8 of them",
            "largest value",
        ):
            assert word in out
        assert str(tmp_path / "x" / "manifest.json") in out

    def test_module_nir_and_bundle_are_one_program(self, home: Path, tmp_path: Path) -> None:
        assert main(["export", f"{home}/own.nir", "-o", str(tmp_path / "x")]) == 0
        for path in sorted((home / "own.bundle").iterdir()):
            assert (tmp_path / "x" / path.name).read_bytes() == path.read_bytes(), path.name

    def test_fewer_bits_are_another_program(
        self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        digests = set()
        for bits in ("8", "4"):
            command = [
                "export",
                f"{home}/own.nir",
                "--weight-bits",
                bits,
                "-o",
                str(tmp_path / bits),
                "--json",
            ]
            assert main(command) == 0
            digests.add(printed(capsys)["program"]["digest"])
        assert len(digests) == 2

    def test_the_default_place_is_here_and_named_after_the_policy(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["export", f"{home}/own.nir"]) == 0
        assert main(["export", f"{home}/own.nir", "--target", "nir"]) == 0
        assert sorted(p.name for p in tmp_path.iterdir()) == [
            "own-good.bundle",
            "own-good.nir",
            "own-good.nir.json",
        ]

    @pytest.mark.parametrize(
        ("function", "code", "words"),
        [
            ("unknown", 3, ("middle: a LayerNorm is not understood", "Linear")),
            ("between", 3, ("fc2: its input is not what lif1 gave", "make it a layer")),
            ("twice", 3, ("middle: is called 2 times in one tick", "a layer of its own")),
            ("subtract", 4, ("lif1: reset = 'subtract'", "reset_mechanism='zero'", "reset_delay=False")),
            ("wide", 4, ("lif2: one neuron needs", "synapse words", "16384")),
            ("broken", 3, ("RuntimeError: mine", "own.py")),
            ("nothing", 3, ("returned a NoneType", "SpikingPolicy")),
            ("god", 3, ("there is no function 'god'", "did you mean 'good'?")),
        ],
    )
    def test_modules_that_are_refused(
        self,
        function: str,
        code: int,
        words: tuple[str, ...],
        home: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        found, message = refused(capsys, "export", f"{home}/own.py:{function}", "-o", tmp_path / "x")
        assert found == code
        for word in words:
            assert word in message
        assert not (tmp_path / "x").exists()

    def test_snntorchs_default_neuron_runs_on_loihi2(
        self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = str(tmp_path / "x.bundle")
        assert main(["export", f"{home}/own.py:default", "--chip", "loihi2", "-o", out]) == 0
        capsys.readouterr()
        assert main(["run", out, "--episodes", "2", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        energy = found["energy"]
        assert energy["profile"] == "loihi2-estimate"
        low, high = energy["band_j"]
        assert 0 < low < high / 1.5
        assert {"spike", "message", "host_power", "neuron_time"} <= set(energy["missing"])
        text = (tmp_path / "x.bundle" / "program.txt").read_text()
        assert "reset=subtract late" in text

    def test_reset_by_subtraction_still_leaves_as_nir(self, home: Path, tmp_path: Path) -> None:
        out = tmp_path / "x.nir"
        assert main(["export", f"{home}/own.py:subtract", "--target", "nir", "-o", str(out)]) == 0
        lif = resolve(str(out)).network.nodes["lif1"]
        assert getattr(lif, "reset", None) == "subtract"

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["own.nir", "--target", "loihl"], 2, ("there is no target 'loihl'", "did you mean 'loihi'?")),
            (["own.nir", "--chip", "loihi7"], 4, ("there is no chip 'loihi7'", "loihi2")),
            (["own.nir", "--weight-bits", "9"], 4, ("weight bits = 9, must be 2..8",)),
            (["own.bundle", "--weight-bits", "4"], 2, ("is a bundle, whose weights are rounded",)),
            (["own.bundle", "--chip", "loihi2"], 2, ("is a bundle for loihi1, not for loihi2",)),
            (["missing.safetensors"], 3, ("missing.safetensors",)),
            (["own.py"], 3, ("which function",)),
            (["own.py:good", "-o", "own.py"], 2, ("own.py: exists and is not a bundle of ours", "--force")),
            (
                ["own.nir", "--target", "nir", "-o", "own.py"],
                2,
                ("own.py: is not the name of a NIR file", "own.py.nir"),
            ),
            (["own.nir", "--target", "nir", "-o", "folder.nir"], 2, ("folder.nir: is a directory",)),
            (["own.nir", "--target", "nir", "-o", "taken.nir"], 2, ("taken.nir", "not ours", "--force")),
            (["own.nir", "-o", "own.py/x"], 5, ("cannot be written",)),
        ],
    )
    def test_wrong_commands(
        self,
        arguments: list[str],
        code: int,
        words: tuple[str, ...],
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(home)
        before = sorted(p.name for p in home.rglob("*") if "__pycache__" not in str(p))
        found, message = refused(capsys, "export", *arguments)
        assert found == code
        for word in words:
            assert word in message
        assert sorted(p.name for p in home.rglob("*") if "__pycache__" not in str(p)) == before

    @pytest.mark.parametrize("target", ["nir", "onnx"])
    @pytest.mark.parametrize(
        "option",
        [
            ["--chip", "loihi2"],
            ["--weight-bits", "4"],
            ["--weight-bits", "0"],
            ["--arithmetic", "lava"],
            ["--strict"],
        ],
        ids=" ".join,
    )
    def test_options_of_a_program_where_the_target_has_none(
        self, target: str, option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["export", "cartpole-mlp", "--target", target, *option, "-o", tmp_path / f"x.{target}"]
        code, message = refused(capsys, *words)
        assert code == UsageError.exit_code
        assert f"{option[0]}: target '{target}' holds no program of a chip" in message
        assert not list(tmp_path.iterdir())

    def test_a_disk_with_no_room(self, home: Path, tmp_path: Path) -> None:
        """For real: no file may grow beyond 4 kB, as on a disk that is full after that."""
        code = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
            "from strl.cli.main import main; sys.exit(main(sys.argv[1:]))"
        )
        command = [sys.executable, "-c", code, "export", f"{home}/own.nir", "-o", str(tmp_path / "x")]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert found.returncode == 5, found.stderr
        assert f"{tmp_path / 'x'}: cannot be written: " in found.stderr
        assert "nothing was left behind" in found.stderr
        assert list(tmp_path.iterdir()) == []

    def test_ctrl_c(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("exporters.disk._flush", interrupted)
        code, message = refused(capsys, "export", f"{home}/own.nir", "-o", tmp_path / "x")
        assert (code, list(tmp_path.iterdir())) == (130, [])
        assert "interrupted" in message


class TestInspect:
    def test_a_bundle(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["inspect", f"{home}/own.bundle"]) == 0
        out = capsys.readouterr().out
        for word in (
            "own-good for CartPole-v1",
            "fc1: input -> lif1",
            "*",
            "1 of 128",
            "rounding",
            "sign-split",
        ):
            assert word in out

    def test_as_json(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["inspect", f"{home}/own.bundle", "--json"]) == 0
        found = printed(capsys)
        assert found["program"]["digest"] == resolve(f"{home}/own.bundle").program().digest
        assert found["utilization"]["each"][0]["binding"] in found["utilization"]["each"][0]["limits"]
        assert found["semantics"]["ticks"] == 8
        rounded = {"fc1", "fc1.bias", "fc2", "fc2.bias"}
        rounded |= {f"lif{k}.{what}" for k in (1, 2) for what in ("beta", "threshold")}
        assert set(found["quantization"]) == rounded

    def test_bundles_that_are_refused(
        self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export", f"{home}/own.nir", "-o", str(tmp_path / "x")]) == 0
        capsys.readouterr()
        weights = tmp_path / "x" / "weights.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        assert refused(capsys, "inspect", tmp_path / "x") == (
            5,
            f"strl: {weights}: is not the file the bundle was made with: its digest differs\n"
            "  hint: export the policy again\n",
        )
        manifest = tmp_path / "x" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"format_version": 3', '"format_version": 4'))
        code, message = refused(capsys, "inspect", tmp_path / "x")
        assert code == 5
        assert "is bundle format 4" in message
        manifest.unlink()
        code, message = refused(capsys, "inspect", tmp_path / "x")
        assert (code, "it has no manifest.json" in message) == (5, True)
        code, message = refused(capsys, "inspect", tmp_path / "gone")
        assert (code, "gone" in message) == (3, True)

    def test_nir_files_that_are_refused(
        self, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = tmp_path / "x.nir"
        data = (home / "own.nir").read_bytes()
        for content, word in ((data, "has no manifest"), (data[:2000], "damaged"), (b"hello", "not HDF5")):
            path.write_bytes(content)
            code, message = refused(capsys, "inspect", path)
            assert (code, word in message) == (3, True), message


class TestTargets:
    def test_what_there_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["targets", "--json"]) == 0
        found = printed(capsys)
        assert {"loihi", "nir"} <= set(found["targets"])
        assert "loihi1" in found["chips"]
        assert {"float", "loihi", "lava"} <= set(found["backends"])
        assert main(["targets"]) == 0
        assert "loihi1" in capsys.readouterr().out


class TestSubject:
    def test_a_program_is_compiled_once(self, home: Path) -> None:
        subject = resolve(f"{home}/own.nir")
        assert subject.program() is subject.program()
        assert subject.program(weight_bits=4) is not subject.program()

    def test_a_bundle_brings_its_own(self, home: Path) -> None:
        subject = resolve(f"{home}/own.bundle")
        assert subject.program("loihi1") is subject.program()
        with pytest.raises(UsageError):
            subject.program("loihi2")

    def test_every_way_to_name_a_policy_is_the_same_network(self, home: Path) -> None:
        found = [resolve(f"{home}/{name}") for name in ("own.py:good", "own.nir", "own.bundle")]
        assert len({s.network for s in found}) == 1
        assert {s.name for s in found} == {"own-good"}
        assert all(s.semantics == found[0].semantics for s in found)

    def test_what_no_chip_can_do_is_said_when_it_is_compiled(self, home: Path) -> None:
        subject = resolve(f"{home}/own.py:subtract")
        with pytest.raises(ChipError, match="reset"):
            subject.program()

    def test_the_doors(self) -> None:
        assert {"loihi", "nir"} <= set(exporters())
        assert exporter("nir").name == "nir"
        with pytest.raises(UsageError, match="there is no front end 'jax'"):
            frontend("jax")

    @pytest.mark.parametrize("target", exporters())
    def test_every_exporter_keeps_its_promises(self, target: str, home: Path, tmp_path: Path) -> None:
        held = resolve(f"{home}/own.bundle").artefact
        chip = "loihi1-netx" if target == "netx" else "loihi1"  # a .net file's weights have no exponents
        compiled = Subject(artefact=replace(held, compiled=None)).compiled(chip)
        check_exporter(exporter(target), replace(held, compiled=compiled), tmp_path)

    def test_a_door_that_leads_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from importlib.metadata import EntryPoint

        gone = EntryPoint(name="onnx", value="gone.away:Exporter", group="strl.exporters")
        monkeypatch.setattr("strl.chip.exporter.entry_points", lambda group: [gone])
        with pytest.raises(UsageError, match="target 'onnx' cannot be loaded: No module named 'gone'"):
            exporter("onnx")
