"""Files of every producer, read as it means them, give what its own simulator gave."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from nir_files import X, chain, cuba, lif, simulated

from exporters.nir.reading import producers
from strl.cli import main
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
        outputs = simulated(case.graph, f"snntorch:reset_mechanism={words}", case.values)
        assert np.abs(outputs - case.wanted).max() <= case.tolerance

    @pytest.mark.parametrize(
        "case", [c for c in FOUND if (c.folder / "graph_corrected.nir").exists()], ids=lambda case: case.name
    )
    def test_corrected_files_are_nirs_own(self, case: Case) -> None:
        outputs = simulated(case.folder / "graph_corrected.nir", "nir:dt=1e-3,start=leak", case.values)
        assert np.abs(outputs - case.wanted).max() <= case.tolerance

    def test_a_reading_matters(self) -> None:
        """The default reset of snnTorch against the other: not a detail."""
        (case,) = (c for c in FOUND if c.name == "snntorch_fc_lif_subtract_default")
        assert (simulated(case.graph, "snntorch:reset=zero", case.values) != case.wanted).mean() > 0.05


Step = Callable[[float, dict[str, float]], float]


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
            lif(),
            f"snntorch:reset_mechanism={mode},reset_delay={str(delay).lower()}",
            _snntorch(mode, delay),
        )
        for mode in ("zero", "subtract", "none")
        for delay in (True, False)
    },
    **{
        f"snntorch synaptic zero {delay}": (
            cuba(2e-4, 4e-4, 4.0, 2.0),
            f"snntorch:reset=zero,reset_delay={str(delay).lower()}",
            _synaptic_zero(delay),
        )
        for delay in (True, False)
    },
    "norse": (lif(tau=4e-6, r=1.0, v_leak=0.3, v_reset=-0.2), "norse", _norse),
    "norse v_reset": (lif(tau=4e-6, r=1.0, v_leak=0.3), "norse:v_reset=-0.2", _norse),
    "norse cuba": (cuba(2e-6, 4e-6, 1.0, 1.0), "norse", _norse_cuba),
    **{
        f"sinabs {multi} {sub} {norm} {floor}": (
            lif(tau=4.0, r=1.0),
            f"sinabs:multi={str(multi).lower()},sub={str(sub).lower()},norm_input={str(norm).lower()}"
            + ("" if floor is None else f",min_v_mem={floor}"),
            _sinabs(multi, sub, norm, floor),
        )
        for multi in (True, False)
        for sub in (True, False)
        for norm in (True, False)
        for floor in (None, -0.5)
    },
    "spikingjelly hard": (lif(v_leak=0.25, v_reset=0.25), "spikingjelly", _spikingjelly(False)),
    "spikingjelly soft": (lif(), "spikingjelly:soft=true", _spikingjelly(True)),
    "rockpool": (cuba(10e-3, 20e-3, 20e-3 * np.exp(-0.1) / 2e-3, 1.0), "rockpool:dt=2e-3", _rockpool),
    "spyx": (lif(tau=4.0, r=0.75), "spyx", _spyx),
    "nengo": (lif(tau=20e-3, r=1.0), "nengo:tau_ref=2e-3", _nengo),
    "nir exponential": (
        lif(tau=4e-3, r=2.0, v_leak=0.1, v_reset=-0.5),
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
    found = simulated(chain(tmp_path / "x.nir", node), producer, drive)
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
    found = simulated(chain(tmp_path / "x.nir", *nodes, shape=(3,), out=(SIZE,)), producer, values.numpy())
    assert wanted.sum() > 20
    assert (found != wanted).mean() <= 1e-3  # float32 there, double here


def test_every_producer_is_tried_by_hand() -> None:
    assert {name.split()[0] for name in HAND} == set(producers())
