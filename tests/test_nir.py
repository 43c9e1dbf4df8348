"""Networks leave as NIR and come back equal; what is hostile or damaged ends in one clear error, at once."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import hypothesis.strategies as st
import nir
import numpy as np
import pytest
from hypothesis import given, settings

from exporters.disk import own_digest, to_json
from exporters.nir import NirExporter, decode, describe, encode, scan
from exporters.nir.forms import KINDS
from exporters.nir.graph import FIELDS
from strl.chip.exporter import Artefact
from strl.errors import BundleError, ModelError, UsageError
from strl.ir import (
    LIF,
    Conv,
    Delay,
    EnvironmentSpec,
    Input,
    Linear,
    Network,
    Node,
    Output,
    Pool,
    Readout,
    Reshape,
    Scale,
    Semantics,
)
from strl.ir.alpha import Alpha
from strl.ir.delta import Delta
from strl.ir.substep import SubstepLIF
from strl.ir.winner import Winner

CASES = Path(__file__).parents[2] / "shared" / "cases"
BAD = sorted((CASES / "bad_files").glob("*.nir"))

SEMANTICS = Semantics(
    ticks=8,
    state="reset",
    readout=Readout(kind="count"),
    encoder={"kind": "sign-split", "low": [-1.0, -0.1], "high": [1.0, 0.3]},
    decoder={"kind": "argmax", "actions": 2},
    environment=EnvironmentSpec(
        id="CartPole-v1", observation_shape=(2,), actions=2, kwargs={"max_episode_steps": 20}
    ),
)


def lif(size: int, **changes: Any) -> LIF:
    values: dict[str, Any] = {
        "alpha": np.zeros(size),
        "beta": np.full(size, 0.9),
        "threshold": np.ones(size),
        "reset": "zero",
        "reset_delay": False,
    }
    return LIF(**{**values, **changes})


def chain(**middle: Any) -> Network:
    """input 4 → fc [3, 4] → the given nodes → output 3."""
    rng = np.random.default_rng(1)
    nodes = {"input": Input(shape=(4,)), "fc": Linear(weight=rng.normal(size=(3, 4))), **middle}
    nodes["output"] = Output(shape=(3,))
    names = list(nodes)
    return Network(nodes=nodes, edges=tuple(pairwise(names)))


def returned(network: Network) -> Network:
    return decode(encode(network), json.loads(json.dumps(describe(network))), "test.nir")


RNG = np.random.default_rng(7)
IN = {Scale: (2, 3), Reshape: (2, 3, 4)}
MORE: list[tuple[Node, str]] = [
    (lif(3, inclusive=True, reset="once"), "LIF"),
    (lif(3, multiple=True, reset="once"), "LIF"),
    (lif(3, drive=0.3, start_v=-1.0, floor=-2.5), "LIF"),
    (lif(3, drive=RNG.normal(size=3), start_v=RNG.normal(size=3), floor=np.array([-1, -np.inf, 0])), "LIF"),
    (lif(3, beta=np.ones(3), drive=0.25), "IF"),
    (lif(3, alpha=np.exp(-RNG.random(3)), beta=np.exp(-RNG.random(3))), "CubaLIF"),
    (lif(3, grain=2.0**-6), "LIF"),
    (lif(3, beta=np.zeros(3), threshold=np.array([-1.0, 0, 2]), reset="none"), "Threshold"),
    (Conv(weight=RNG.normal(size=(4, 1, 3)), stride=(2,), padding=(1,), dilation=(2,), groups=2), "Conv1d"),
    (
        Conv(
            weight=RNG.normal(size=(4, 2, 3, 2)),
            bias=RNG.normal(size=4),
            stride=(1, 2),
            padding=(0, 1),
            dilation=(1, 1),
        ),
        "Conv2d",
    ),
    (Conv(weight=np.ones((1, 2, 1)), bias=np.zeros(1), stride=(1,), padding=(0,), dilation=(1,)), "Conv1d"),
    (Pool(window=(2, 3), stride=(1, 2), padding=(1, 0), mode="sum"), "SumPool2d"),
    (Pool(window=(2, 3), stride=(1, 2), padding=(1, 0), mode="mean"), "AvgPool2d"),
    (Pool(window=(3,), stride=(2,), padding=(1,), mode="mean"), "Conv1d"),
    (Pool(window=(3,), stride=(2,), padding=(1,), mode="sum"), "Conv1d"),
    (Scale(scale=np.array(0.3)), "Scale"),
    (Scale(scale=RNG.normal(size=(2, 3)), bias=RNG.normal(size=(2, 3))), "Scale"),
    (Scale(scale=RNG.normal(size=(2, 1)), bias=np.array([0.1])), "Scale"),
    (Reshape(shape=(4, 6)), "Flatten"),
    (Reshape(shape=(24,), axes=(1, 2, 0)), "Flatten"),
    (SubstepLIF(tau=np.array([20.0, 5, 3]), refractory=2.0), "strl.substep-lif"),
    (Alpha(alpha=np.full(3, 0.9), beta=np.full(3, 0.5), threshold=np.ones(3), reset="zero"), "strl.alpha"),
    (Delta(beta=np.full(3, 0.9), threshold=np.ones(3)), "strl.delta"),
    (
        Winner(
            alpha=np.zeros(3), beta=np.full(3, 0.9), threshold=np.ones(3), reset="none", reset_delay=False
        ),
        "strl.winner",
    ),
]
"""Nodes with all that NIR has no field for, and the type that they are written as."""


class TestRoundTrip:
    def test_order_names_and_loops(self) -> None:
        rng = np.random.default_rng(0)
        nodes = {
            "10": Input(shape=(3,)),
            "2": Linear(weight=rng.normal(size=(4, 3)), bias=rng.normal(size=4)),
            "a/b": lif(4),
            "..": Delay(ticks=3, shape=(4,)),
            "100 % ü.é": Linear(weight=rng.normal(size=(4, 4))),
            "1": Output(shape=(4,)),
        }
        edges = (
            ("10", "2"),
            ("2", "a/b"),
            ("100 % ü.é", "a/b"),
            ("a/b", ".."),
            ("..", "100 % ü.é"),
            ("a/b", "1"),
        )
        network = Network(nodes=nodes, edges=edges, dt=1e-3)
        back = returned(network)
        assert list(back.nodes) == list(nodes)
        assert back == network

    @pytest.mark.parametrize(
        ("node", "kind"),
        [
            (lif(3), "LIF"),
            (lif(3, beta=np.ones(3)), "IF"),
            (lif(3, alpha=np.full(3, 0.5)), "CubaLIF"),
            (lif(3, threshold=np.full(3, np.inf), reset="none"), "LI"),
            (lif(3, threshold=np.full(3, np.inf), beta=np.ones(3)), "I"),
            (lif(3, threshold=np.full(3, np.inf), alpha=np.array([0, 0.5, 1])), "CubaLI"),
        ],
    )
    def test_each_kind_of_neuron_is_the_nir_node_that_it_is(self, node: LIF, kind: str) -> None:
        network = chain(lif=node)
        graph = nir.read(io.BytesIO(encode(network)))
        assert type(graph.nodes["lif"]).__name__ == kind
        assert returned(network) == network

    def test_the_file_is_snntorchs_convention(self) -> None:
        node = nir.read(io.BytesIO(encode(chain(lif=lif(3, alpha=np.full(3, 0.75)))))).nodes["lif"]
        assert node.tau_mem == pytest.approx(np.full(3, 1e-4 / (1 - 0.9)))
        assert node.r == pytest.approx(node.tau_mem / 1e-4)
        assert node.tau_syn == pytest.approx(np.full(3, 1e-4 / 0.25))
        assert node.w_in == pytest.approx(np.full(3, 4.0))
        assert not node.v_leak.any()
        assert not node.v_reset.any()

    def test_no_float32_retention_needs_the_manifest(self) -> None:
        beta = np.random.default_rng(0).random(2000).astype(np.float32).astype(np.float64)
        network = Network(
            nodes={
                "input": Input(shape=(1,)),
                "fc": Linear(weight=np.ones((2000, 1))),
                "lif": lif(2000, beta=beta, alpha=beta),
                "output": Output(shape=(2000,)),
            },
            edges=(("input", "fc"), ("fc", "lif"), ("lif", "output")),
        )
        assert set(describe(network)["nodes"][2]) == {"name", "reset", "reset_delay"}
        assert returned(network) == network

    def test_the_bytes_are_the_same_every_time(self) -> None:
        first = encode(chain(lif=lif(3)))
        time.sleep(1.1)  # an HDF5 time stamp counts seconds
        assert encode(chain(lif=lif(3))) == first

    def test_a_threshold_below_the_reset_is_refused(self) -> None:
        with pytest.raises(ModelError, match="lif: threshold = -1, must not be below the reset"):
            encode(chain(lif=lif(3, threshold=np.array([1.0, -1, 1]))))

    def test_a_node_without_a_name_is_refused(self) -> None:
        network = chain(**{"": lif(3)})
        with pytest.raises(ModelError, match="a node has an empty name"):
            encode(network)

    def test_a_node_nir_has_no_word_for_is_refused(self) -> None:
        class Odd(Node):
            kind = "odd"

        with pytest.raises(ModelError, match="mine: NIR has no node for a odd"):
            encode(chain(lif=lif(3), mine=Odd()))

    @pytest.mark.parametrize(("node", "kind"), MORE, ids=lambda value: str(getattr(value, "kind", value)))
    def test_every_other_node_comes_back_equal(self, node: Node, kind: str) -> None:
        windowed = isinstance(node, Conv | Pool)
        shape = (2, *(6,) * len(node.stride)) if windowed else IN.get(type(node), (3,))
        out = node.output_shape(shape)
        network = Network(
            nodes={"input": Input(shape=shape), "node": node, "output": Output(shape=out)},
            edges=(("input", "node"), ("node", "output")),
        )
        found = scan(encode(network), "x.nir").nodes["node"].kind
        assert found == kind
        assert returned(network) == network

    def test_whatever_is_written_is_scanned(self) -> None:
        assert set(KINDS) == set(FIELDS)

    def test_mixed_infinite_thresholds_are_refused(self) -> None:
        with pytest.raises(ModelError, match="lif: some thresholds are infinite"):
            encode(chain(lif=lif(3, threshold=np.array([1, np.inf, 1]))))


unit = st.floats(0, 1, allow_nan=False)
small = st.floats(-1e3, 1e3, allow_nan=False)
finite = st.floats(-1e6, 1e6, allow_nan=False)
names = st.text(min_size=1, max_size=8).filter(lambda s: s not in ("input", "output") and s.isprintable())


@st.composite
def networks(draw: Any) -> Network:
    """Chains of layers, each perhaps with a recurrence through a Delay."""
    width = draw(st.integers(1, 4))
    nodes: dict[str, Any] = {"input": Input(shape=(width,))}
    edges: list[tuple[str, str]] = []
    free = draw(st.lists(names, min_size=8, max_size=8, unique=True))
    before = "input"
    for _ in range(draw(st.integers(1, 2))):
        out = draw(st.integers(1, 4))
        dense, cells = free.pop(), free.pop()
        nodes[dense] = Linear(
            weight=_matrix(draw, out, width), bias=draw(st.none() | st.just(_row(draw, finite, out)))
        )
        nodes[cells] = draw(_neurons(out))
        edges += [(before, dense), (dense, cells)]
        if draw(st.booleans()):
            late, back = free.pop(), free.pop()
            nodes[back] = Linear(weight=_matrix(draw, out, out))
            nodes[late] = Delay(ticks=draw(st.integers(1, 40)), shape=(out,))
            edges += [(cells, late), (late, back), (back, cells)]
        before, width = cells, out
    nodes["output"] = Output(shape=(width,))
    return Network(
        nodes=nodes, edges=(*edges, (before, "output")), dt=draw(st.sampled_from([1e-4, 1e-3, 1.0]))
    )


def _row(draw: Any, values: Any, size: int) -> np.ndarray:
    return np.array(draw(st.lists(values, min_size=size, max_size=size)), dtype=np.float64)


def _matrix(draw: Any, out: int, width: int) -> np.ndarray:
    return _row(draw, finite, out * width).reshape(out, width)


@st.composite
def _neurons(draw: Any, size: int) -> LIF:
    silent = draw(st.booleans())
    return LIF(
        alpha=_row(draw, unit, size) if draw(st.booleans()) else np.zeros(size),
        beta=_row(draw, unit, size),
        threshold=np.full(size, np.inf) if silent else _row(draw, st.floats(0, 1e6), size),
        reset=draw(st.sampled_from(["zero", "subtract", "none"])),
        reset_delay=draw(st.booleans()),
        inclusive=draw(st.booleans()),
        drive=draw(small) if draw(st.booleans()) else _row(draw, small, size),
        start_v=draw(small) if draw(st.booleans()) else _row(draw, small, size),
        floor=draw(st.just(-np.inf) | small) if draw(st.booleans()) else _row(draw, small, size),
    )


@given(networks())
@settings(max_examples=80, deadline=None)
def test_every_network_comes_back_equal(network: Network) -> None:
    assert returned(network) == network


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    artefact = Artefact(name="small", network=chain(lif=lif(3)), semantics=SEMANTICS, proof={"seed": 0})
    path = tmp_path / "small.nir"
    NirExporter().export(artefact, path)
    return path


class TestFile:
    def test_it_comes_back_with_its_semantics(self, exported: Path) -> None:
        back = NirExporter().load(exported)
        assert (back.name, back.network, back.proof) == ("small", chain(lif=lif(3)), {"seed": 0})
        assert back.semantics == SEMANTICS

    def test_it_needs_its_manifest(self, exported: Path) -> None:
        exported.with_name("small.nir.json").unlink()
        with pytest.raises(ModelError, match=r"has no manifest small\.nir\.json") as caught:
            NirExporter().load(exported)
        assert "--producer" in caught.value.hint

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda m: m.update(format="x"), "format is 'x'"),
            (lambda m: m.update(format_version=3), "is format 3, this strl reads up to 2"),
            (lambda m: m.update(format_version=1), "is format 1, which did not tell .* this strl reads 2"),
            (lambda m: m.update(format_version=2.0), r"is format 2\.0, this strl reads up to 2"),
            (lambda m: m.update(format_version=0), "is format 0, this strl reads up to 2"),
            (lambda m: m.pop("network"), "network is missing"),
            (lambda m: m["network"].update(dt=-1.0), "dt = -1.0"),
            (lambda m: m["network"].update(dt=1e-3), "tau = 0.001 s, must be at least|an input of 1 moves"),
            (lambda m: m["network"]["nodes"].pop(), "differ in nodes: output"),
            (lambda m: m["network"]["nodes"].append({"name": "lif"}), "described twice"),
            (lambda m: m["network"]["nodes"][2].update(reset="half"), "lif: lif: reset = 'half'"),
            (lambda m: m["network"]["nodes"][2].update(reset_delay=1), "reset_delay = 1"),
            (lambda m: m["network"]["nodes"][2].update(beta=[0.5] * 3), "beta is not that of the file"),
            (lambda m: m["network"]["nodes"][2].update(more=1), "unknown entry 'more'"),
            (lambda m: m["network"]["nodes"][1].update(reset="zero"), "unknown entry 'reset'"),
            (lambda m: m["semantics"].update(ticks=0), "ticks = 0"),
            (lambda m: m["semantics"].pop("state"), "'state' is missing"),
            (lambda m: m.update(sha256="0"), "is not the file that small.nir.json was made with"),
        ],
    )
    def test_a_manifest_that_does_not_fit(
        self, exported: Path, change: Callable[[Any], Any], message: str
    ) -> None:
        beside = exported.with_name("small.nir.json")
        manifest = json.loads(beside.read_text())
        change(manifest)
        manifest["digest"] = own_digest(manifest, ModelError)
        beside.write_bytes(to_json(manifest, ModelError))
        with pytest.raises(ModelError, match=message):
            NirExporter().load(exported)

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.replace('"ticks": 8', '"ticks": 9'),
            lambda text: text.replace('"name": "small"', '"name": "smaller"'),
            lambda text: text.replace("\n", "\n "),
            lambda text: text + "\n",
            lambda text: re.sub(r'\n "digest": "[0-9a-f]+",', "", text),
        ],
    )
    def test_a_manifest_that_was_edited(self, exported: Path, change: Callable[[str], str]) -> None:
        beside = exported.with_name("small.nir.json")
        text = beside.read_text()
        assert change(text) != text
        beside.write_text(change(text))
        with pytest.raises(ModelError, match=r"small\.nir\.json: was changed after it was written"):
            NirExporter().load(exported)

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', "[" * 100_000, "\xff"])
    def test_a_manifest_that_is_none(self, exported: Path, text: str) -> None:
        exported.with_name("small.nir.json").write_text(text, encoding="latin-1")
        with pytest.raises(ModelError, match=r"small\.nir\.json: "):
            NirExporter().load(exported)

    def test_something_else_is_not_overwritten_unasked(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.nir"
        path.write_text("mine")
        artefact = Artefact(name="small", network=chain(lif=lif(3)), semantics=SEMANTICS, proof={})
        with pytest.raises(UsageError, match="exists and is not ours"):
            NirExporter().export(artefact, path)
        assert path.read_text() == "mine"
        NirExporter().export(artefact, path, force=True)
        NirExporter().export(artefact, path)  # its own may be replaced
        assert NirExporter().load(path).name == "small"

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        artefact = Artefact(name="small", network=chain(lif=lif(3)), semantics=SEMANTICS, proof={})
        with pytest.raises(BundleError, match="cannot be written"):
            NirExporter().export(artefact, tmp_path / "file" / "x.nir")


def _described(path: Path) -> dict[str, Any]:
    """A description that fits the nodes of most bad files, so that only the file can be at fault."""
    neurons = {"name": "lif", "reset": "zero", "reset_delay": False}
    return {"dt": 1e-4, "nodes": [{"name": "input"}, {"name": "linear"}, neurons, {"name": "output"}]}


@pytest.mark.skipif(not BAD, reason="the shared cases are not here")
@pytest.mark.parametrize("path", BAD, ids=lambda p: p.stem)
def test_shared_bad_files_end_in_one_error_at_once(path: Path) -> None:
    began = time.process_time()
    with pytest.raises(ModelError, match=path.name):
        decode(path.read_bytes(), _described(path), path.name)
    with pytest.raises(ModelError, match=path.name) as caught:
        NirExporter().load(path)
    assert "has no manifest" not in caught.value.message or path.stem == "scalar_lif"  # which is sound
    assert time.process_time() - began < 1


def write(path: Path, make: Callable[[h5py.File], None]) -> Path:
    """A sound file of ours, then changed."""
    path.write_bytes(encode(chain(lif=lif(3))))
    with h5py.File(path, "r+") as file:
        make(file)
    return path


def replace(name: str, **settings: Any) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **settings)

    return make


def soft(file: h5py.File) -> None:
    file["node/nodes/fc/more"] = h5py.SoftLink("/node")


def deep(file: h5py.File) -> None:
    file.create_group("node/metadata/" + "/".join("abcdefghijklmnopq"))


def named_type(file: h5py.File) -> None:
    file["node/nodes/fc/kind"] = np.dtype("f8")


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(3, 4), dtype="f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(3, 4))
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_virtual_dataset("weight", layout)


def twice(file: h5py.File) -> None:
    file["node/nodes/more"] = file["node/nodes/fc"]


def empty(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc/weight"] = h5py.Empty("f8")


def zip_bomb(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    made = file["node/nodes/fc"].create_dataset("weight", (3, 4), "f8", chunks=(3, 4), compression="gzip")
    made.id.write_direct_chunk((0, 0), zlib.compress(bytes(64 << 20)))


HOSTILE: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "soft link": (soft, "is a SoftLink"),
    "deep": (deep, "nest deeper"),
    "named type": (named_type, "neither a group nor a dataset"),
    "virtual": (virtual, "lie in another file"),
    "two ways": (twice, "reached in two ways"),
    "zip bomb": (zip_bomb, "does not unpack to its 96 bytes"),
    "other packing": (
        replace("node/nodes/fc/weight", data=np.ones((3, 4)), compression="lzf"),
        "is packed otherwise",
    ),
    "many texts": (replace("node/edges", shape=(1 << 20, 2), dtype=h5py.string_dtype()), "texts, at most"),
    "empty": (empty, "is empty"),
    "huge chunk": (
        replace(
            "node/nodes/fc/weight", shape=(3, 4), chunks=(1 << 14, 1 << 14), maxshape=(None, None), dtype="f8"
        ),
        "chunks of",
    ),
    "text weight": (replace("node/nodes/fc/weight", data="x"), "not an array of numbers"),
    "scalar weight": (replace("node/nodes/fc/weight", data=1.0), "must be .out, in."),
    "flat weight": (replace("node/nodes/fc/weight", data=np.ones(3)), "must be .out, in."),
    "infinite": (replace("node/nodes/fc/weight", data=np.full((3, 4), np.inf)), "not finite"),
    "compound": (replace("node/nodes/fc/weight", data=np.zeros(3, "f4,i4")), "must be real numbers"),
    "no version": (replace("version", data=1), "has no version"),
    "odd version": (replace("version", data="one"), "'one' is not a version"),
    "no graph": (lambda f: f.move("node", "other"), "has no group 'node'"),
    "no nodes": (lambda f: f.move("node/nodes", "node/metadata"), "has no group 'nodes'"),
    "flat edges": (replace("node/edges", data=["a", "b"]), "edges have shape"),
    "number edges": (replace("node/edges", data=np.zeros((2, 2))), "has no edges"),
    "nested graph": (replace("node/nodes/lif/type", data="NIRGraph"), "graph has an unknown field"),
    "negative tau": (replace("node/nodes/lif/tau", data=np.full(3, -1.0)), "tau = -1, must be above 0"),
    "short tau": (replace("node/nodes/lif/tau", data=np.full(3, 1e-5)), "must be at least dt"),
    "other gain": (
        replace("node/nodes/lif/r", data=np.full(3, 1.0)),
        "an input of 1 moves the neuron by 0.1",
    ),
    "leak": (replace("node/nodes/lif/v_leak", data=np.full(3, 1.0)), "v_leak is not the manifest.s drive"),
    "ragged": (replace("node/nodes/lif/v_leak", data=np.zeros(2)), "different shapes"),
    "odd shape": (replace("node/nodes/input/shape", data=np.array([-1])), "must be a row of sizes"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files(case: str, tmp_path: Path) -> None:
    make, message = HOSTILE[case]
    path = write(tmp_path / "bad.nir", make)
    with pytest.raises(ModelError, match=message):
        decode(path.read_bytes(), describe(chain(lif=lif(3))), str(path))


class TestElsewhere:
    """Files that need an absolute path, and files that are none."""

    @pytest.fixture
    def secret(self, tmp_path: Path) -> Path:
        path = tmp_path / "secret"
        path.write_bytes(b"s" * 96)
        return path

    def test_external_storage(self, tmp_path: Path, secret: Path) -> None:
        def make(file: h5py.File) -> None:
            del file["node/nodes/fc/weight"]
            file["node/nodes/fc"].create_dataset("weight", (3, 4), "f8", external=[(str(secret), 0, 96)])

        path = write(tmp_path / "bad.nir", make)
        with pytest.raises(ModelError, match="lie in another file, which is not read"):
            scan(path.read_bytes(), str(path))

    def test_external_link(self, tmp_path: Path) -> None:
        other = write(tmp_path / "other.nir", lambda f: None)

        def make(file: h5py.File) -> None:
            file["node/nodes/more"] = h5py.ExternalLink(str(other), "/node/nodes/fc")

        path = write(tmp_path / "bad.nir", make)
        with pytest.raises(ModelError, match="is a ExternalLink"):
            scan(path.read_bytes(), str(path))

    @pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
    def test_truncated(self, share: float, exported: Path) -> None:
        data = exported.read_bytes()
        exported.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ModelError, match=r"small\.nir"):
            NirExporter().load(exported)

    @pytest.mark.parametrize(
        "data", [b"", b"\x89HDF", b"PK\x03\x04" * 100, b"\x89HDF\r\n\x1a\n" + b"\0" * 500]
    )
    def test_not_hdf5(self, data: bytes, tmp_path: Path) -> None:
        path = tmp_path / "x.nir"
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"x\.nir"):
            NirExporter().load(path)

    def test_neither_a_file(self, tmp_path: Path) -> None:
        import os

        os.mkfifo(tmp_path / "pipe.nir")  # opening one blocks, if one is not careful
        for name in ("pipe.nir", "missing.nir"):
            with pytest.raises(ModelError, match=name):
                NirExporter().load(tmp_path / name)

    @pytest.mark.parametrize(("entry", "length"), [(0, 0), (0, 8), (2, 1 << 40)])
    def test_a_heap_on_which_hdf5_never_returns(self, entry: int, length: int) -> None:
        """The second entry of the heap: one of size 0 (free), one too small, one too large."""
        data = bytearray(encode(chain(lif=lif(3))))
        at = data.index(b"GCOL") + 16 + 24
        data[at : at + 2] = entry.to_bytes(2, "little")
        data[at + 8 : at + 16] = length.to_bytes(8, "little")
        with pytest.raises(ModelError, match="is damaged: a heap entry of"):
            decode(bytes(data), describe(chain(lif=lif(3))), "x.nir")

    def test_bytes_changed_anywhere(self, exported: Path) -> None:
        """Whatever byte is changed, it ends in our error (the digest sees to that), and never in another."""
        data = exported.read_bytes()
        rng = np.random.default_rng(0)
        for at in rng.integers(0, len(data), 60):
            changed = bytearray(data)
            changed[at] ^= 1 << rng.integers(0, 8)
            exported.write_bytes(changed)
            with pytest.raises(ModelError):
                NirExporter().load(exported)

    def test_bytes_changed_under_a_manifest_that_agrees(self) -> None:
        """Without the digest the scan alone holds: a network, or our error."""
        network = chain(lif=lif(3))
        data, description = encode(network), describe(network)
        rng = np.random.default_rng(1)
        for at in rng.integers(0, len(data), 200):
            changed = bytearray(data)
            changed[at] ^= 1 << rng.integers(0, 8)
            try:
                assert isinstance(decode(bytes(changed), description, "x.nir"), Network)
            except ModelError:
                continue


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
def test_another_producers_file_is_never_guessed(tmp_path: Path) -> None:
    for graph in sorted((CASES / "producers").glob("*/graph.nir")):
        copy = tmp_path / f"{graph.parent.name}.nir"
        shutil.copy(graph, copy)
        with pytest.raises(ModelError, match=r"has no manifest .* as one of "):
            NirExporter().load(copy)
