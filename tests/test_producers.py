"""Files of every producer, read as it means them, give what its own simulator gave."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import nir
import numpy as np
import pytest

from exporters.nir import encode, scan
from exporters.nir.graph import NEURONS
from exporters.nir.interpret import interpret
from exporters.nir.reading import Chosen, chosen, producers
from strl.cli import main
from strl.errors import ModelError, UsageError
from strl.ir import LIF, Input, Linear, Network, Output
from strl.loop.simulate import simulate_float
from strl.loop.subject import resolve
from strl.testing.cases import Case, cases

CASES = Path(__file__).parents[2] / "shared" / "cases" / "producers"
FOUND = cases(CASES)


@pytest.mark.skipif(not FOUND, reason="the shared cases are not here")
class TestShared:
    @pytest.mark.parametrize("case", FOUND, ids=lambda case: case.name)
    def test_case(self, case: Case, tmp_path: Path) -> None:
        made = tmp_path / "out.npy"
        arguments = [str(case.graph), "--input", str(case.folder / "input.npy"), "-o", str(made), "--json"]
        assert main(["simulate", *arguments, "--producer", case.producer]) == 0
        found = np.load(made)
        assert found.dtype == np.float64
        assert found.shape == case.wanted.shape
        assert np.abs(found - case.wanted).max() <= case.tolerance

    @pytest.mark.parametrize(
        "case", [c for c in FOUND if c.name.startswith("snntorch")], ids=lambda case: case.name
    )
    def test_snntorchs_files_read_as_snntorchs(self, case: Case) -> None:
        subtracts = case.meta["profile"].startswith("SnnTorchSub")
        words = "subtract" if subtracts else "zero,reset_delay=false"
        outputs = run(case.graph, f"snntorch:reset_mechanism={words}", case.values)
        assert np.abs(outputs - case.wanted).max() <= case.tolerance

    @pytest.mark.parametrize(
        "case", [c for c in FOUND if (c.folder / "graph_corrected.nir").exists()], ids=lambda case: case.name
    )
    def test_corrected_files_are_nirs_own(self, case: Case) -> None:
        outputs = run(case.folder / "graph_corrected.nir", "nir:dt=1e-3,start=leak", case.values)
        assert np.abs(outputs - case.wanted).max() <= case.tolerance

    def test_a_reading_matters(self) -> None:
        """The default reset of snnTorch against the other: not a detail."""
        (case,) = (c for c in FOUND if c.name == "snntorch_fc_lif_subtract_default")
        assert (run(case.graph, "snntorch:reset=zero", case.values) != case.wanted).mean() > 0.05


def run(file: Path, producer: str, values: np.ndarray) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    (found,) = simulate_float(resolve(str(file), producer=producer), array).values()
    return found


def chain(
    path: Path, *nodes: nir.ir.node.NIRNode, shape: tuple[int, ...] = (1,), out: tuple[int, ...] = (1,)
) -> Path:
    """input → the nodes → output, written by nir."""
    named: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
    named |= {f"n{i}": node for i, node in enumerate(nodes)}
    named["output"] = nir.Output(output_type={"output": np.array(out)})
    names = list(named)
    edges = list(pairwise(names))
    nir.write(path, nir.NIRGraph(nodes=named, edges=edges, type_check=False))
    return path


def row(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


RNG = np.random.default_rng(3)
X = RNG.normal(0.6, 1.0, (120, 1)).round(3)

Step = Callable[[float, dict[str, float]], float]


def _lif(tau: float = 4e-4, r: float = 4.0, thr: float = 1.0, **more: float) -> Any:
    leak, reset = more.get("v_leak", 0.0), more.get("v_reset", 0.0)
    return nir.LIF(tau=row(tau), r=row(r), v_leak=row(leak), v_threshold=row(thr), v_reset=row(reset))


def _cuba(tau_syn: float, tau_mem: float, r: float, w_in: float) -> Any:
    return nir.CubaLIF(
        tau_syn=row(tau_syn),
        tau_mem=row(tau_mem),
        r=row(r),
        v_leak=row(0),
        v_threshold=row(1),
        v_reset=row(0),
        w_in=row(w_in),
    )


def _snntorch(mode: str, delay: bool) -> Step:
    """snntorch/_neurons/leaky.py, as documented in facts and code: β = 0.75, threshold 1."""

    def step(x: float, s: dict[str, float]) -> float:
        v, beta = s.get("v", 0.0), 0.75
        rst = float(v > 1)
        if mode == "subtract":
            v = beta * v + x - rst
            z = float(v > 1)
            s["v"] = v if delay else v - (z - rst)
        elif mode == "zero":
            v = beta * v * (1 - rst) + x
            z, s["v"] = float(v > 1), v
        else:
            v = beta * v + x
            z, s["v"] = float(v > 1), v
        return z

    return step


def _synaptic_zero(delay: bool) -> Step:
    """snntorch/_neurons/synaptic.py: α = 0.5, β = 0.75; with delay the whole new v is cleared."""

    def step(x: float, s: dict[str, float]) -> float:
        v = s.get("v", 0.0)
        rst = float(v > 1)
        s["i"] = 0.5 * s.get("i", 0.0) + x
        v = 0.75 * v + s["i"]
        v = v * (1 - rst) if delay else v
        z = float(v > 1)
        s["v"] = v if delay else v * (1 - z)
        return z

    return step


def _norse(x: float, s: dict[str, float]) -> float:
    """norse lif_box_feed_forward_step: tau_mem_inv = 250, v_leak = 0.3, v_reset = −0.2, dt = 1e-3."""
    v = s.get("v", 0.3)
    v = v + 1e-3 * 250 * (0.3 - v + x)
    z = float(v - 1 > 0)
    s["v"] = -0.2 if z else v
    return z


def _norse_cuba(x: float, s: dict[str, float]) -> float:
    """norse lif_feed_forward_step: tau_mem_inv = 250, tau_syn_inv = 500."""
    i = s.get("i", 0.0) + x
    v = s.get("v", 0.0) + 1e-3 * 250 * (-s.get("v", 0.0) + i)
    s["i"] = i - 1e-3 * 500 * i
    z = float(v > 1)
    s["v"] = 0.0 if z else v
    return z


def _sinabs(multi: bool, subtract: bool, norm: bool, floor: float | None) -> Step:
    """sinabs lif_forward_single: tau = 4 steps."""

    def step(x: float, s: dict[str, float]) -> float:
        alpha = np.exp(-1 / 4)
        v = alpha * s.get("v", 0.0) + (1 - alpha if norm else 1.0) * x
        n = float(np.trunc(v)) * (v > 0) if multi else float(v >= 1)
        v = v - n if subtract else v * (n == 0)
        s["v"] = v if floor is None else max(v - floor, 0.0) + floor
        return n

    return step


def _spikingjelly(soft: bool) -> Step:
    """spikingjelly LIFNode(tau=4, decay_input=False, v_reset=0.25 or None)."""

    def step(x: float, s: dict[str, float]) -> float:
        reset = 0.0 if soft else 0.25
        v = s.get("v", reset)
        v = v - (v - reset) / 4 + x
        z = float(v >= 1)
        s["v"] = v - z if soft else (reset if z else v)
        return z

    return step


def _rockpool(x: float, s: dict[str, float]) -> float:
    """rockpool LIFTorch: tau_syn = 10 ms, tau_mem = 20 ms, dt = 2 ms."""
    s["i"] = (s.get("i", 0.0) + x) * np.exp(-0.2)
    v = s.get("v", 0.0) * np.exp(-0.1) + s["i"]
    n = np.floor(v) * (v >= 1)
    s["v"] = v - n
    return float(n)


def _spyx(x: float, s: dict[str, float]) -> float:
    """spyx LIF: β = 0.75."""
    v = s.get("v", 0.0)
    z = float(v > 1)
    s["v"] = 0.75 * v + x - z
    return z


def _nengo(x: float, s: dict[str, float]) -> float:
    """nengo LIF.step: tau_rc = 20 ms, tau_ref = 2 ms, dt = 1 ms, min_voltage = 0."""
    wait = s.get("wait", 0.0) - 1e-3
    v = s.get("v", 0.0)
    v = v - (x - v) * np.expm1(-min(max(1e-3 - wait, 0.0), 1e-3) / 20e-3)
    z = v > 1
    if z:
        wait = 2e-3 + 1e-3 + 20e-3 * np.log1p(-(v - 1) / (x - 1))
    s["v"], s["wait"] = (0.0 if z else max(v, 0.0)), wait
    return float(z)


def _exponential(x: float, s: dict[str, float]) -> float:
    """NIR's LIF solved exactly over a tick: tau = 4 ticks, r = 2, v_leak = 0.1, v_reset = −0.5, v = 0."""
    v = s.get("v", 0.0)
    goal = 0.1 + 2 * x
    v = goal + (v - goal) * np.exp(-0.25)
    z = float(v > 1)
    s["v"] = -0.5 if z else v
    return z


HAND: dict[str, tuple[Any, str, Step]] = {
    **{
        f"snntorch {mode} {delay}": (
            _lif(),
            f"snntorch:reset_mechanism={mode},reset_delay={str(delay).lower()}",
            _snntorch(mode, delay),
        )
        for mode in ("zero", "subtract", "none")
        for delay in (True, False)
    },
    **{
        f"snntorch synaptic zero {delay}": (
            _cuba(2e-4, 4e-4, 4.0, 2.0),
            f"snntorch:reset=zero,reset_delay={str(delay).lower()}",
            _synaptic_zero(delay),
        )
        for delay in (True, False)
    },
    "norse": (_lif(tau=4e-6, r=1.0, v_leak=0.3, v_reset=-0.2), "norse", _norse),
    "norse v_reset": (_lif(tau=4e-6, r=1.0, v_leak=0.3), "norse:v_reset=-0.2", _norse),
    "norse cuba": (_cuba(2e-6, 4e-6, 1.0, 1.0), "norse", _norse_cuba),
    **{
        f"sinabs {multi} {sub} {norm} {floor}": (
            _lif(tau=4.0, r=1.0),
            f"sinabs:multi={str(multi).lower()},sub={str(sub).lower()},norm_input={str(norm).lower()}"
            + ("" if floor is None else f",min_v_mem={floor}"),
            _sinabs(multi, sub, norm, floor),
        )
        for multi in (True, False)
        for sub in (True, False)
        for norm in (True, False)
        for floor in (None, -0.5)
    },
    "spikingjelly hard": (_lif(v_leak=0.25, v_reset=0.25), "spikingjelly", _spikingjelly(False)),
    "spikingjelly soft": (_lif(), "spikingjelly:soft=true", _spikingjelly(True)),
    "rockpool": (_cuba(10e-3, 20e-3, 20e-3 * np.exp(-0.1) / 2e-3, 1.0), "rockpool:dt=2e-3", _rockpool),
    "spyx": (_lif(tau=4.0, r=0.75), "spyx", _spyx),
    "nengo": (_lif(tau=20e-3, r=1.0), "nengo:tau_ref=2e-3", _nengo),
    "nir exponential": (
        _lif(tau=4e-3, r=2.0, v_leak=0.1, v_reset=-0.5),
        "nir:dt=1e-3,decay=exponential",
        _exponential,
    ),
}


@pytest.mark.parametrize("name", HAND)
def test_by_hand(name: str, tmp_path: Path) -> None:
    """One neuron, against the producer's update written out here."""
    node, producer, step = HAND[name]
    drive = X * (5 if "nengo" in name or "norse" in name else 1)
    state: dict[str, float] = {}
    wanted = [step(float(x), state) for x in drive[:, 0]]
    found = run(chain(tmp_path / "x.nir", node), producer, drive)
    assert sum(wanted) > 3
    assert found[:, 0].tolist() == wanted


SIZE = 5


def snntorch_module(kind: str, mode: str, delay: bool) -> Any:
    import snntorch
    import torch

    settings: dict[str, Any] = {
        "threshold": torch.full((SIZE,), 0.9),
        "beta": torch.linspace(0.5, 0.95, SIZE),
        "reset_mechanism": mode,
        "reset_delay": delay,
        "init_hidden": True,
    }
    if "Synaptic" in kind:
        settings["alpha"] = torch.linspace(0.3, 0.8, SIZE)
    if kind.startswith("R"):
        settings |= {"linear_features": SIZE, "all_to_all": True}
    return torch.nn.Sequential(torch.nn.Linear(3, SIZE), getattr(snntorch, kind)(**settings))


@pytest.mark.parametrize(
    ("kind", "delay"),
    [
        *((kind, delay) for kind in ("Leaky", "Synaptic", "RLeaky") for delay in (True, False)),
        ("RSynaptic", True),  # snnTorch 1.0.0's fails with a TypeError where reset_delay is off
    ],
)
@pytest.mark.parametrize("mode", ["zero", "subtract", "none"])
def test_snntorchs_own_exporter_beside_its_modules(
    kind: str, mode: str, delay: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exporter node by node: that imports nirtorch, which only its tracing needs."""
    import torch

    monkeypatch.setitem(sys.modules, "nirtorch", ModuleType("nirtorch"))
    exported = importlib.import_module("snntorch.export_nir")._extract_snntorch_module
    torch.manual_seed(4)
    net = snntorch_module(kind, mode, delay)
    values = torch.randn(150, 3) * 1.5
    with torch.no_grad():
        net[1].reset_mem()
        wanted = torch.stack([net(x[None])[0] for x in values]).numpy()
    producer = f"snntorch:reset_mechanism={mode},reset_delay={str(delay).lower()}"
    nodes = [exported(module) for module in net]
    found = run(chain(tmp_path / "x.nir", *nodes, shape=(3,), out=(SIZE,)), producer, values.numpy())
    assert wanted.sum() > 20
    assert (found != wanted).mean() <= 1e-3  # float32 there, double here


def test_every_producer_is_tried_by_hand() -> None:
    assert {name.split()[0] for name in HAND} == set(producers())


def test_readings_differ(tmp_path: Path) -> None:
    """One file, four readings, four results."""
    file = chain(tmp_path / "x.nir", _lif())
    readings = ("nir", "spikingjelly:soft=true", "snntorch:reset=subtract", "snntorch:reset=none")
    assert len({run(file, reading, X).tobytes() for reading in readings}) == 4


class TestRefused:
    def test_an_ambiguous_file(self, tmp_path: Path) -> None:
        with pytest.raises(
            ModelError, match=r"as one of nengo .*; nir .*; snntorch .*; spikingjelly"
        ) as caught:
            resolve(str(chain(tmp_path / "x.nir", _lif())))
        assert "--producer NAME" in caught.value.hint

    def test_a_later_norses_time_constants(self, tmp_path: Path) -> None:
        """Written as they are, they would come to seconds."""
        file = chain(tmp_path / "x.nir", _lif(tau=4e-3, r=1.0, v_leak=0.3, v_reset=-0.2))
        with pytest.raises(ModelError, match="n0: tau comes to 4 s"):
            resolve(str(file), producer="norse")
        state: dict[str, float] = {}
        found = run(file, "norse:tau_scale=1", 5 * X)
        assert found[:, 0].tolist() == [_norse(float(x), state) for x in 5 * X[:, 0]]

    def test_weights_alone_mean_the_same_to_everybody(self, tmp_path: Path) -> None:
        file = chain(tmp_path / "x.nir", nir.Affine(weight=np.full((1, 1), 2.0), bias=row(0.5)))
        (found,) = simulate_float(resolve(str(file)), X).values()
        assert found.tolist() == (2 * X + 0.5).tolist()

    @pytest.mark.parametrize(
        ("producer", "message"),
        [
            ("norse", "n0: r = 4, where its producer writes 1"),
            ("rockpool", r"n0: r = 4, where its producer writes tau\*exp"),
            ("snntorch:dt=1e-3", "n0: r = 4, where its producer writes tau/dt = 0.4"),
            ("spikingjelly:dt=2e-4", "n0: r = 4, where its producer writes 1 or tau/dt = 2"),
            ("nir:dt=1e-3", "n0: tau = 0.0004 s is less than a tick of dt = 0.001 s"),
            ("nir:dt=1,decay=exponential", "n0: tau = 0.0004 s: nothing is kept"),
        ],
    )
    def test_anothers_file_or_a_wrong_dt(self, producer: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=message):
            resolve(str(chain(tmp_path / "x.nir", _lif())), producer=producer)

    @pytest.mark.parametrize(
        ("producer", "message"),
        [
            ("nest", "there is no producer 'nest'"),
            ("snntorch:reset", "'reset' is not an option"),
            ("snntorch:reset=half", "must be one of zero, subtract, once, none"),
            ("snntorch:reset=zero,reset=none", "given twice"),
            ("snntorch:resett=zero", "no option 'resett'"),
            ("snntorch:reset_delay=1", "must be true or false"),
            ("nir:dt=soon", "must be a number"),
            ("nir:dt=0", "dt = 0.0, must be a number above 0"),
            ("nir:dt=nan", "dt = nan, must be a number above 0"),
            ("nir:dt_if=-1", "dt_if = -1.0"),
            ("nir:floor=nan", "floor = nan"),
            ("nir:spike=multiple,reset=subtract", "spike = multiple goes with"),
            ("sinabs:multi=perhaps", "must be one of true, false"),
        ],
    )
    def test_options(self, producer: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=message):
            resolve(str(chain(tmp_path / "x.nir", _lif())), producer=producer)

    def test_a_producer_for_something_else(self, tmp_path: Path) -> None:
        for name in ("x.nir", "pole"):
            with pytest.raises(UsageError, match="there is no such file of another producer"):
                resolve(str(tmp_path / name), producer="nir")
        with pytest.raises(UsageError, match="give one"):
            resolve("x.nir", producer="nir", assume="nir")


class TestWarnings:
    @staticmethod
    def warnings(file: Path, **who: str) -> list[str]:
        origin = resolve(str(file), **who).artefact.proof["origin"]
        return list(origin["warnings"])

    def test_what_nobody_said(self, tmp_path: Path) -> None:
        file = chain(tmp_path / "x.nir", _lif())
        assert self.warnings(file, producer="snntorch:reset=subtract,reset_delay=true") == []
        (said,) = self.warnings(file, producer="snntorch")
        assert "does not say reset_mechanism, reset_delay; taken: reset_mechanism=subtract" in said
        first, second = self.warnings(file, assume="snntorch")
        assert "nothing says who wrote the file" in first
        assert second == said

    def test_only_what_matters(self, tmp_path: Path) -> None:
        """A Leaky that resets to zero spikes alike with or without delay; a Synaptic does not."""
        leaky = chain(tmp_path / "leaky.nir", _lif())
        assert self.warnings(leaky, producer="snntorch:reset=zero") == []
        synaptic = chain(tmp_path / "synaptic.nir", _cuba(2e-4, 4e-4, 4.0, 2.0))
        (said,) = self.warnings(synaptic, producer="snntorch:reset=zero")
        assert "does not say reset_delay; taken: reset_delay=true" in said

    def test_they_travel_with_what_is_made_of_the_file(self, tmp_path: Path) -> None:
        file = chain(tmp_path / "x.nir", _lif())
        arguments = ["--assume", "snntorch", "--target", "nir", "-o", str(tmp_path / "y.nir"), "--json"]
        assert main(["export", str(file), *arguments]) == 0
        origin = resolve(str(tmp_path / "y.nir")).artefact.proof["origin"]
        assert origin["producer"] == "snntorch"
        assert origin["assumed"] is True
        assert len(origin["warnings"]) == 2
        with pytest.raises(UsageError, match=r"has a manifest, y\.nir\.json, which says"):
            resolve(str(tmp_path / "y.nir"), producer="snntorch")
        (ours,) = simulate_float(resolve(str(tmp_path / "y.nir")), X).values()
        assert ours.tolist() == run(file, "snntorch", X).tolist()


@pytest.mark.skipif(not FOUND, reason="the shared cases are not here")
@pytest.mark.parametrize("case", FOUND[::7], ids=lambda case: case.name)
def test_bytes_changed_anywhere(case: Case) -> None:
    """Whatever is changed in another's file: a network, or our error, and at once."""
    data = case.graph.read_bytes()
    rng, chosen_ = np.random.default_rng(0), chosen(case.producer)
    for _ in range(60):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        try:
            made, _ = interpret(scan(bytes(changed), "x.nir"), chosen_, "x.nir")
        except ModelError:
            continue
        assert isinstance(made, Network)


def test_what_strl_writes_is_snntorchs_convention(tmp_path: Path) -> None:
    """A network of ours, read without its manifest as snnTorch's, is the network that was written."""
    rng = np.random.default_rng(1)
    beta = rng.random(4).astype(np.float32).astype(np.float64)
    cells = LIF(alpha=np.zeros(4), beta=beta, threshold=np.ones(4), reset="subtract", reset_delay=True)
    nodes = {
        "input": Input(shape=(3,)),
        "fc": Linear(weight=rng.normal(size=(4, 3)), bias=rng.normal(size=4)),
        "lif": cells,
        "output": Output(shape=(4,)),
    }
    network = Network(nodes=nodes, edges=(("input", "fc"), ("fc", "lif"), ("lif", "output")))
    (tmp_path / "x.nir").write_bytes(encode(network))
    assert resolve(str(tmp_path / "x.nir"), producer="snntorch").network == network


class TestOwn:
    """A producer of the user's, as a TOML file."""

    @pytest.mark.parametrize(
        "line", ['spike = "x"', "dt = true", 'dt = "1"', "reset_delay = 1", "spike = []"]
    )
    def test_a_reading_that_is_none(self, line: str, tmp_path: Path) -> None:
        own = tmp_path / "mine.toml"
        own.write_text(f'title = "Mine"\nsource = "mine.py"\n[reading]\n{line}\n')
        with pytest.raises(UsageError, match=f"{line.split()[0]} = .*must be (one of|a)"):
            chosen(str(own))

    def test_it_is_read(self, tmp_path: Path) -> None:
        own = tmp_path / "mine.toml"
        own.write_text(
            'title = "Mine 1"\nsource = "mine.py"\n[reading]\nspike = "at"\nreset = "once"\n'
            '[options.soft]\nno = { reset = "zero" }\n'
        )
        file = chain(tmp_path / "x.nir", _lif())
        theirs = run(file, "spikingjelly:soft=true", X)
        assert run(file, str(own), X).tolist() == theirs.tolist()
        assert run(file, f"{own}:soft=no", X).tolist() != theirs.tolist()

    @pytest.mark.parametrize(
        "text",
        ["title = ", 'title = "x"', "reading = 1", 'title="x"\nsource="y"\nmore=1', "[reading]\nx = 1"],
    )
    def test_what_is_none(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(UsageError, match=r"bad\.toml: is not a producer"):
            chosen(str(tmp_path / "bad.toml"))
        with pytest.raises(UsageError, match=r"none\.toml: is not a producer"):
            chosen(str(tmp_path / "none.toml"))


def test_each_producer_names_its_source() -> None:
    for producer in producers().values():
        unsaid = Chosen(producer=producer, given={}).unsaid(set(NEURONS) | {"Delay"})
        assert set(unsaid) == set(producer.unsaid)
        assert len(producer.source) > 40
        assert any(digit in producer.title + producer.source for digit in "0123456789")
        assert set(producer.unsaid) <= {*producer.options, *producer.reading.__slots__}
