"""ONNX: floats equal to the reference, integers to the chip bit for bit, files that are not believed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from exporters.onnx import OnnxExporter
from exporters.onnx.exporter import states
from exporters.onnx.network import decision_model, tick_model
from exporters.onnx.program import program_model
from exporters.onnx.proof import DECISIONS, Runner, prove_decisions, prove_program, prove_ticks
from strl.chip.exporter import Artefact
from strl.cli import main
from strl.codecs.stream import Stream
from strl.errors import BackendError, ModelError, StrlError, UsageError
from strl.ir import (
    LIF,
    Alpha,
    Conv,
    Delay,
    Delta,
    Input,
    Linear,
    Network,
    Output,
    Pool,
    Reshape,
    Scale,
    Winner,
)
from strl.ir.nodes import NODES, Neurons, Node
from strl.ir.semantics import EnvironmentSpec, Readout, Semantics, open_loop
from strl.ir.substep import SubstepLIF
from strl.loop.agent import FloatAgent
from strl.loop.simulate import simulate_float
from strl.loop.subject import Subject, resolve
from strl.policies import shipped
from strl.testing import KINDS, check_backend, check_exporter, random_program
from strl.testing.cases import cases

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")

from benchmarks.baselines import conventional, quantised, teacher
from hardware_sims.onnx import OnnxBackend

CASES = Path(__file__).parents[2] / "shared" / "cases" / "producers"

LIFS: dict[str, dict[str, Any]] = {
    "zero": {},
    "zero late": {"reset_delay": True},
    "subtract": {"reset": "subtract"},
    "subtract late": {"reset": "subtract", "reset_delay": True},
    "once": {"reset": "once"},
    "none": {"reset": "none"},
    "inclusive": {"inclusive": True},
    "multiple": {"inclusive": True, "multiple": True, "reset": "once"},
    "drive, start, floor": {"drive": 0.1, "start_v": -0.4, "floor": -0.2, "reset": "subtract"},
    "grain": {"grain": 2.0**-10},
    "potential": {"threshold": np.inf},
    "no current": {"alpha": 0.0},
}


def lif(shape: tuple[int, ...], seed: int = 0, **changes: Any) -> LIF:
    rng = np.random.default_rng(seed)
    base = {"alpha": rng.uniform(0.1, 0.9, shape), "beta": rng.uniform(0.3, 1.0, shape)}
    base["threshold"] = rng.uniform(0.4, 1.5, shape)
    arrays = {k: np.full(shape, changes.pop(k)) for k in ("alpha", "beta", "threshold") if k in changes}
    return LIF(**{**base, **arrays, "reset": "zero", "reset_delay": False, **changes})


def others(shape: tuple[int, ...]) -> dict[str, Neurons]:
    fast, slow = np.full(shape, 0.6), np.full(shape, 0.8)
    made: dict[str, Neurons] = {"delta": Delta(beta=slow, threshold=np.full(shape, 1.0))}
    made["substep"] = SubstepLIF(tau=np.full(shape, 5.0), refractory=1.5)
    for reset in ("zero", "subtract", "none"):
        made[f"alpha {reset}"] = Alpha(alpha=slow, beta=fast, threshold=np.full(shape, 0.3), reset=reset)
        for late in (False, True):
            for whole in (False, True):
                made[f"winner {reset} {late} {whole}"] = Winner(
                    alpha=fast, beta=slow, threshold=fast, reset=reset, reset_delay=late, whole=whole
                )
    return made


def around(node: Neurons) -> Network:
    """A loop through the neurons, with a bias, weights and a delay of several ticks."""
    rng, n = np.random.default_rng(1), node.size
    nodes: dict[str, Node] = {
        "in": Input(shape=(3,)),
        "fc": Linear(weight=rng.normal(size=(n, 3)), bias=rng.normal(size=n)),
        "neurons": node,
        "back": Delay(ticks=1, shape=(n,)),
        "rec": Linear(weight=rng.normal(size=(n, n)) * 0.3),
        "late": Delay(ticks=3, shape=(n,)),
        "out": Output(shape=(n,)),
        "delayed": Output(shape=(n,)),
    }
    edges = (("in", "fc"), ("fc", "neurons"), ("neurons", "back"), ("back", "rec"), ("rec", "neurons"))
    return Network(nodes=nodes, edges=(*edges, ("neurons", "out"), ("neurons", "late"), ("late", "delayed")))


def images() -> Network:
    rng = np.random.default_rng(2)
    nodes: dict[str, Node] = {
        "in": Input(shape=(2, 7, 6)),
        "conv": Conv(
            weight=rng.normal(size=(4, 1, 3, 2)),
            bias=rng.normal(size=4),
            stride=(2, 1),
            padding=(1, 1),
            dilation=(1, 2),
            groups=2,
        ),
        "a": lif((4, 4, 6)),
        "mean": Pool(window=(2, 2), stride=(2, 2), padding=(0, 1), mode="mean"),
        "sum": Pool(window=(2, 2), stride=(2, 2), padding=(0, 1), mode="sum"),
        "scale": Scale(scale=rng.normal(size=(4, 1, 1)), bias=np.full((1, 1, 4), 0.25)),
        "b": lif((4, 2, 4), 3),
        "flat": Reshape(shape=(32,), axes=(1, 2, 0)),
        "row": Reshape(shape=(2, 16)),
        "conv1": Conv(weight=rng.normal(size=(3, 2, 4)), stride=(3,), padding=(2,), dilation=(1,)),
        "out": Output(shape=(3, 6)),
    }
    edges = [("in", "conv"), ("conv", "a"), ("a", "mean"), ("a", "sum"), ("mean", "scale"), ("sum", "b")]
    edges += [("scale", "b"), ("b", "flat"), ("flat", "row"), ("row", "conv1"), ("conv1", "out")]
    return Network(nodes=nodes, edges=tuple(edges))


def proved(network: Network, *, scan: bool, rests: bool) -> Any:
    data = tick_model(network, scan=scan, rests=rests, metadata={})
    return prove_ticks(data, states(data), network, scan=scan, rests=rests)


class TestTicks:
    @pytest.mark.parametrize("scan", [False, True])
    @pytest.mark.parametrize("name", LIFS)
    def test_every_lif_is_the_references(self, name: str, scan: bool) -> None:
        record = proved(around(lif((5,), **LIFS[name])), scan=scan, rests=scan)
        assert record["largest_difference"] < 1e-9

    @pytest.mark.parametrize("name", others((5,)))
    def test_every_other_kind_of_neuron_is_the_references(self, name: str) -> None:
        assert proved(around(others((5,))[name]), scan=True, rests=False)["largest_difference"] < 1e-9

    @pytest.mark.parametrize("scan", [False, True])
    def test_images(self, scan: bool) -> None:
        assert proved(images(), scan=scan, rests=True)["spikes"] == "equal"

    def test_neurons_are_functions_that_populations_share(self) -> None:
        model = onnx.load_model_from_string(tick_model(images(), scan=False, rests=False, metadata={}))
        assert [f.name for f in model.functions] == ["LIF_zero_alpha", "Tick"]
        tick = model.functions[1]
        assert sum(n.domain == "strl" and n.op_type == "LIF_zero_alpha" for n in tick.node) == 2

    def test_a_node_without_a_form_is_refused_by_name(self) -> None:
        class Odd(Node):
            kind: ClassVar[str] = "odd"

        class Own(LIF):
            kind: ClassVar[str] = "own"

        node = lif((3,))
        own = Own(**{f: getattr(node, f) for f in LIF.__dataclass_fields__ if f != "kind"})
        for odd in (Odd(), own):
            nodes = {"in": Input(shape=(3,)), "strange": odd, "out": Output(shape=(3,))}
            network = Network(nodes=nodes, edges=(("in", "strange"), ("strange", "out")))
            with pytest.raises(ModelError, match=r"strange: .*no form in ONNX"):
                tick_model(network, scan=False, rests=False, metadata={})

    def test_every_node_of_strls_has_a_form(self) -> None:
        from exporters.onnx.neurons import CELLS
        from exporters.onnx.nodes import EMIT

        assert set(NODES) == {k.kind for k in (*EMIT, *CELLS, Input, Delay)}


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize("case", [case.name for case in sorted(CASES.iterdir())] if CASES.is_dir() else [])
def test_other_producers_networks_give_their_outputs(case: str) -> None:
    (found,) = (c for c in cases(CASES) if c.name == case)
    network = found.subject.network
    data = tick_model(network, scan=True, rests=False, metadata={})
    outputs = Runner(data, states(data), 1).run({"x": np.asarray(found.values, np.float64)[:, None]})
    (name,) = network.of(Output)
    wanted = simulate_float(found.subject, found.values)[name]
    np.testing.assert_allclose(outputs[name][:, 0], wanted, rtol=1e-6, atol=1e-6)
    assert np.abs(outputs[name][:, 0] - found.wanted).max() <= found.tolerance


ENCODERS: dict[str, dict[str, Any]] = {
    "direct": {"kind": "direct", "precision": 5},
    "rate": {"kind": "rate"},
    "random rate": {"kind": "rate", "random": True},
    "latency": {"kind": "latency"},
    "population": {"kind": "population", "fields": 4},
    "sign-split": {"kind": "sign-split"},
}
TANH = {"kind": "tanh", "low": [-2.0, 0.0], "high": [2.0, 1.0], "shape": [2]}
DECODERS: dict[str, tuple[int, dict[str, Any]]] = {
    "argmax": (4, {"kind": "argmax", "actions": 2, "per_action": 2, "first": 3}),
    "linear": (3, {"kind": "linear", "weight": [[1.0, -0.5, 0.3], [0.2, 0.4, 1.0]], "rates": True}),
    "tanh": (2, TANH),
    "mapped tanh": (
        3,
        {**TANH, "weight": [[1.0, 0.5, 2.0], [0.0, 1.0, 0.0]], "bias": [0.1, 0.2], "rates": True},
    ),
}


def policy(code: dict[str, Any], decoder: str, *, state: str = "reset", kind: str = "count") -> Subject:
    """A random policy of two layers with a loop."""
    width = {"population": 8, "sign-split": 4}.get(code["kind"], 2)
    outputs, decode = DECODERS[decoder]
    rng = np.random.default_rng(7)
    last = lif((outputs,), 5, alpha=0.0, **({"threshold": np.inf} if kind == "membrane" else {}))
    nodes: dict[str, Node] = {
        "in": Input(shape=(width,)),
        "fc1": Linear(weight=rng.normal(size=(6, width)), bias=rng.uniform(0, 0.5, 6)),
        "lif1": lif((6,), 4, alpha=0.0, reset="zero"),
        "back": Delay(ticks=1, shape=(6,)),
        "rec": Linear(weight=rng.normal(size=(6, 6)) * 0.3),
        "fc2": Linear(weight=rng.normal(size=(outputs, 6))),
        "lif2": last,
        "out": Output(shape=(outputs,)),
    }
    edges = [("in", "fc1"), ("fc1", "lif1"), ("lif1", "back"), ("back", "rec"), ("rec", "lif1")]
    edges += [("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "out")]
    box = decode["kind"] == "tanh"
    semantics = Semantics(
        ticks=6,
        state=state,  # type: ignore[arg-type]
        rest=3 if state == "carry" else 0,
        readout=Readout(kind=kind),  # type: ignore[arg-type]
        encoder={"low": [-1.0, -2.0], "high": [1.0, 3.0], **code},
        decoder=decode,
        environment=EnvironmentSpec(
            id="",
            observation_shape=(2,),
            actions=None if box else 2,
            action_low=(-2.0, 0.0) if box else (),
            action_high=(2.0, 1.0) if box else (),
        ),
    )
    network = Network(nodes=nodes, edges=tuple(edges))
    return Subject(artefact=Artefact(name="random", network=network, semantics=semantics, proof={}))


class TestDecisions:
    @pytest.mark.parametrize("state", ["reset", "carry"])
    @pytest.mark.parametrize("name", ENCODERS)
    def test_every_encoder_float_and_integer(self, name: str, state: str) -> None:
        subject = policy(ENCODERS[name], "argmax", state=state)
        self._check(subject, scan=state == "carry")

    @pytest.mark.parametrize("kind", ["count", "membrane"])
    @pytest.mark.parametrize("name", DECODERS)
    def test_every_decoder_float_and_integer(self, name: str, kind: str) -> None:
        self._check(policy(ENCODERS["direct"], name, kind=kind), scan=kind == "count")

    def _check(self, subject: Subject, *, scan: bool) -> None:
        semantics = subject.semantics
        data = decision_model(subject.network, semantics, scan=scan, metadata={})
        record = prove_decisions(data, states(data), subject.network, semantics)
        assert record["decisions"] == DECISIONS
        assert record["largest_difference"] < 1e-9
        program = subject.program("loihi2")
        data = program_model(program, scan=scan, codec=True, metadata={})
        assert prove_program(data, states(data), program, codec=True)["largest_difference"] == 0

    def test_the_proof_can_fail(self) -> None:
        subject = policy(ENCODERS["direct"], "argmax")
        other = replace(subject.semantics, ticks=5)
        data = decision_model(subject.network, other, scan=False, metadata={})
        with pytest.raises((ModelError, ValueError)):
            prove_decisions(data, states(data), subject.network, subject.semantics)
        program = subject.program("loihi2")
        lower = replace(program, readout=replace(program.readout, start=program.readout.start + 1))
        data = program_model(lower, scan=False, codec=True, metadata={})
        with pytest.raises(ModelError, match="differs"):
            prove_program(data, states(data), program, codec=True)

    def test_an_encoder_without_a_form_is_refused_by_name(self) -> None:
        from exporters.onnx.codecs import encode
        from exporters.onnx.graph import Body

        with pytest.raises(ModelError, match="'stream': has no form in ONNX, only direct"):
            encode(Body(), Stream(width=3), 3)


@pytest.mark.parametrize("name", shipped())
def test_shipped_policies_are_equal_decision_by_decision(name: str) -> None:
    subject = resolve(name)
    network, semantics = subject.network, subject.semantics
    program = subject.program()
    for scan in (False, True):
        data = decision_model(network, semantics, scan=scan, metadata={})
        assert prove_decisions(data, states(data), network, semantics)["largest_difference"] < 1e-9
        data = program_model(program, scan=scan, codec=True, metadata={})
        assert prove_program(data, states(data), program, codec=True)["spikes"] == "equal"


class TestBackend:
    def test_it_is_the_definition(self) -> None:
        check_backend(OnnxBackend(), seeds=range(8))

    def test_with_every_kind(self) -> None:
        check_backend(OnnxBackend(), seeds=range(16), make=lambda seed: random_program(seed, kinds=KINDS))

    def test_in_loihi1(self) -> None:
        check_backend(
            OnnxBackend(),
            seeds=range(8),
            make=lambda seed: random_program(seed, kinds=("kernel", "sparse"), arithmetic="loihi1"),
        )

    @pytest.mark.parametrize("kind", KINDS)
    def test_unrolled_is_equal_too(self, kind: str) -> None:
        for seed in range(3):
            program = random_program(seed, kinds=(kind,))
            data = program_model(program, scan=False, codec=False, metadata={})
            assert prove_program(data, states(data), program, codec=False)["spikes"] == "equal"

    def test_a_run_has_the_kernels_digest(self, capsys: pytest.CaptureFixture[str]) -> None:
        found = []
        for backend in ("loihi", "onnx"):
            command = ["run", "cartpole-mlp", "--episodes", "1", "--backend", backend, "--json"]
            assert main(command) == 0
            found.append(json.loads(capsys.readouterr().out))
        assert found[0]["digest"] == found[1]["digest"]
        assert found[0]["return"] == found[1]["return"]

    def test_an_open_loop_has_the_definitions_outputs(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(-3, 4, (20, 4)) / 4)
        found = []
        for backend in ("definition", "onnx"):
            command = ["simulate", "cartpole-mlp", "--input", str(tmp_path / "x.npy"), "--json"]
            assert main([*command, "--backend", backend]) == 0
            found.append(json.loads(capsys.readouterr().out)["outputs"])
        assert found[0] == found[1]
        (output,) = found[0].values()
        assert output["most"] > output["least"]


def test_a_teachers_network_is_torchs() -> None:
    rng = torch.Generator().manual_seed(0)
    hidden = "mlp_extractor.policy_net"
    shapes = {f"{hidden}.0": (8, 4), f"{hidden}.2": (8, 8), "action_net": (3, 8)}
    tensors = {f"{name}.weight": torch.randn(shape, generator=rng) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": torch.randn(shape[0], generator=rng) for name, shape in shapes.items()}
    x = torch.randn(64, 4, generator=rng)
    y = x
    for number, name in enumerate(shapes):
        y = torch.tanh(y) if number else y
        y = y @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
    data = teacher(tensors)
    wanted = y.argmax(dim=1).numpy()
    assert np.array_equal(conventional(data).act(x.numpy()), wanted)
    small = quantised(data, x.numpy())
    kinds = {node.op_type for node in onnx.load_model_from_string(small).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    assert (conventional(small).act(x.numpy()) == wanted).mean() > 0.9


FORMS = [{}, {"scan": True}, {"tick": True}, {"tick": True, "scan": True}]


class TestFile:
    @pytest.mark.parametrize("form", FORMS, ids=str)
    def test_it_keeps_the_contract_of_exporters(self, form: dict[str, bool], tmp_path: Path) -> None:
        subject = policy(ENCODERS["population"], "linear", state="carry")
        check_exporter(OnnxExporter(**form), subject.artefact, tmp_path)

    def test_an_open_loop_is_ticks(self, tmp_path: Path) -> None:
        network = around(lif((5,)))
        artefact = Artefact(name="net", network=network, semantics=open_loop((3,), ticks=9), proof={})
        check_exporter(OnnxExporter(scan=True), artefact, tmp_path)
        model = onnx.load(tmp_path / "net.onnx")
        assert model.graph.input[0].name == "x"
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "ticks"

    def test_the_model_is_self_describing(self, tmp_path: Path) -> None:
        path = tmp_path / "p.onnx"
        assert main(["export", "cartpole-mlp", "--target", "onnx", "--integer", "-o", str(path)]) == 0
        model = onnx.load(path)
        assert (model.ir_version <= 13, model.opset_import[0].version) == (True, 20)
        entries = {p.key: json.loads(p.value) for p in model.metadata_props}
        subject = resolve("cartpole-mlp")
        assert entries["strl.program"]["digest"] == subject.program().digest
        assert Semantics.from_dict(entries["strl.semantics"]) == subject.semantics
        assert entries["strl.proof"]["against"] == "definition of the chip"
        memory = {m["name"]: m for m in entries["strl.state"]}
        inputs = {i.name for i in model.graph.input}
        assert inputs == {"observation", *memory}
        assert {o.name for o in model.graph.output} == {
            *("action", "readout", "raster"),
            *(m["next"] for m in memory.values()),
        }
        first = path.read_bytes()
        assert main(["export", "cartpole-mlp", "--target", "onnx", "--integer", "-o", str(path)]) == 0
        assert path.read_bytes() == first
        with pytest.raises(ModelError, match="runs the bundle"):
            OnnxExporter().load(path)

    def test_a_float_policy_runs_alike_from_its_file(self, tmp_path: Path) -> None:
        path = tmp_path / "p.onnx"
        assert main(["export", "acrobot-mlp", "--target", "onnx", "-o", str(path)]) == 0
        a, b = (resolve(name) for name in ("acrobot-mlp", str(path)))
        observations = np.random.default_rng(0).normal(size=(4, 6))
        actions = [FloatAgent(s.network, s.semantics, 4).act(observations) for s in (a, b)]
        assert np.array_equal(*actions)

    def test_without_onnxruntime_nothing_is_proved_and_nothing_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("proof", "runtime"):
            monkeypatch.setattr(f"exporters.onnx.{module}.available", lambda: False)
        path, artefact = tmp_path / "p.onnx", policy(ENCODERS["direct"], "argmax").artefact
        OnnxExporter().export(artefact, path)
        entries = {p.key: json.loads(p.value) for p in onnx.load(path).metadata_props}
        assert entries["strl.proof"] is None
        assert OnnxExporter().load(path).network == artefact.network
        with pytest.raises(BackendError, match="onnxruntime is missing"):
            OnnxBackend().load(random_program(0))

    def test_long_decisions_are_loops(self, tmp_path: Path) -> None:
        subject = policy(ENCODERS["direct"], "argmax")
        artefact = replace(subject.artefact, semantics=replace(subject.semantics, ticks=300))
        with pytest.raises(UsageError, match="300 ticks"):
            OnnxExporter().export(artefact, tmp_path / "p.onnx")
        OnnxExporter(scan=True).export(artefact, tmp_path / "p.onnx")

    def test_options_belong_to_targets(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", "cartpole-mlp", "--scan"]) == 2
        assert "--scan: target 'loihi' has no such option" in capsys.readouterr().err
        with pytest.raises(UsageError, match="bound to its decisions"):
            OnnxExporter(integer=True, tick=True)

    def test_other_peoples_files_are_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "p.onnx"
        path.write_bytes(b"mine")
        artefact = policy(ENCODERS["direct"], "argmax").artefact
        with pytest.raises(UsageError, match="not ours"):
            OnnxExporter().export(artefact, path)
        OnnxExporter().export(artefact, path, force=True)
        OnnxExporter().export(artefact, path)
        with pytest.raises(UsageError, match="not the name"):
            OnnxExporter().export(artefact, tmp_path / "p.bin")


def foreign(path: Path) -> onnx.ModelProto:
    """A sound model of ours, to be spoiled."""
    OnnxExporter().export(policy(ENCODERS["direct"], "argmax").artefact, path)
    return onnx.load(path)


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret"


def entry(key: str, value: Any) -> Any:
    def spoil(model: onnx.ModelProto) -> None:
        found = next(p for p in model.metadata_props if p.key == key)
        found.value = value if isinstance(value, str) else json.dumps(value)

    return spoil


def renamed(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "ArgMin"


def bare(model: onnx.ModelProto) -> None:
    del model.metadata_props[:]


def operator(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["action"], ["more"]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (external, "is not what this strl makes"),
        (renamed, "is not what this strl makes"),
        (operator, "is not what this strl makes"),
        (bare, "not one that strl wrote"),
        (entry("strl", {"format": "strl-onnx", "format_version": 99, "name": "x"}), "this strl reads up to"),
        (entry("strl", [1]), "not one that strl wrote"),
        (entry("strl", {"format": "strl-onnx", "format_version": 1, "form": [1]}), "form is garbled"),
        (entry("strl.proof", "NaN"), "NaN is not a number"),
        (entry("strl", "{"), "is no ONNX file of ours"),
        (entry("strl.network", "%%%"), "is no ONNX file"),
        (entry("strl.network", {"a": 1}), "missing or garbled"),
        (entry("strl.network", [1]), "missing or garbled"),
        (entry("strl.network", {"nir": "%", "manifest": "{}"}), "network is garbled"),
        (entry("strl.network", {"nir": "AAAA", "manifest": "{}"}), "not HDF5|format is None"),
    ],
)
def test_a_file_that_is_not_ours_or_changed_is_one_error(spoil: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.onnx"
    model = foreign(path)
    spoil(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(StrlError, match=message):
        OnnxExporter().load(path)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff" * 100, b"\x08" * 7, b"ONNX" * 99])
def test_bytes_that_are_no_model_are_one_error(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError):
        OnnxExporter().load(path)
