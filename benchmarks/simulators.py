"""Our readings beside the producers' own simulators, node by node, on random input.

    pip install --no-deps --target DIR sinabs pbr norse nirtorch spikingjelly loguru rockpool nengo
    pip install --target DIR spyx
    PYTHONPATH=DIR python -m benchmarks.simulators          results/simulators.json, the table in docs/nir.md
    PYTHONPATH=DIR python -m benchmarks.simulators --json   the same, and what was measured on stdout

A layer of each kind of neuron with each of its options runs 200 ticks behind random weights; its own
exporter writes it (Nengo has none), strl reads the file and runs it. What is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise, product
from pathlib import Path
from types import ModuleType
from typing import Any

import nir
import numpy as np
import torch

from benchmarks import tables
from strl.loop.simulate import simulate_float
from strl.loop.subject import resolve

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results" / "simulators.json"
DOCS = ROOT / "docs" / "nir.md"
START, STOP = "<!-- simulators: made by `python -m benchmarks.simulators` -->", "<!-- end of simulators -->"
TICKS, INPUTS, SIZE = 200, 4, 6
TOLERANCE = 1e-4

Run = tuple[str, str, Sequence[Any], np.ndarray, np.ndarray]
"""Neuron, reading, NIR nodes, input [T, in], what the simulator gave [T, out]."""


def sinabs_runs() -> Iterator[Run]:
    sys.modules.setdefault("pylab", ModuleType("pylab"))  # for its plots only
    from sinabs import activation, layers
    from sinabs import nir as exporter

    for multi, sub, norm, floor in product((True, False), (True, False), (True, False), (None, -0.3)):
        settings = {
            "spike_fn": activation.MultiSpike if multi else activation.SingleSpike,
            "reset_fn": activation.MembraneSubtract() if sub else activation.MembraneReset(),
            "min_v_mem": floor,
        }
        reading = f"sinabs:multi={_text(multi)},sub={_text(sub)}" + (f",min_v_mem={floor}" if floor else "")
        lif = layers.LIF(tau_mem=torch.full((SIZE,), 6.0), norm_input=norm, **settings)
        # Its exporter of a LIF fails where the threshold is one number, which it always is; so by hand.
        file = {"tau": 6.0, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
        node = nir.LIF(**{name: np.full(SIZE, value) for name, value in file.items()})
        yield _sinabs("LIF", f"{reading},norm_input={_text(norm)}", lif, node, exporter)
        if norm:
            iaf = layers.IAF(**settings)
            yield _sinabs("IAF", reading, iaf, None, exporter)
    leak = layers.ExpLeak(tau_mem=torch.full((SIZE,), 6.0))
    yield _sinabs("ExpLeak", "sinabs", leak, None, exporter)


def _sinabs(name: str, reading: str, module: Any, node: Any, exporter: Any) -> Run:
    fc, values = torch.nn.Linear(INPUTS, SIZE), torch.randn(1, TICKS, INPUTS) * 3
    found = module(fc(values))[0]
    nodes = [exporter._extract_sinabs_module(fc), node or exporter._extract_sinabs_module(module)]
    return name, reading, nodes, values[0].numpy(), found.numpy()


def norse_runs() -> Iterator[Run]:
    import norse.torch as norse
    from norse.torch.functional.iaf import IAFParameters
    from norse.torch.utils.export_nir import _extract_norse_module

    def all_(value: float) -> torch.Tensor:
        return torch.full((SIZE,), value)

    fires = {"v_th": all_(0.8), "v_reset": all_(-0.1)}
    slow = {"tau_mem_inv": all_(150.0), "v_leak": all_(0.2)}
    cells = {
        "LIFBox": norse.LIFBoxCell(norse.LIFBoxParameters(**slow, **fires)),
        "LIF": norse.LIFCell(norse.LIFParameters(tau_syn_inv=all_(300.0), **slow, **fires)),
        "LIBox": norse.LIBoxCell(norse.LIBoxParameters(**slow)),
        "IAF": norse.IAFCell(IAFParameters(**fires)),
    }
    for name, cell in cells.items():
        fc, values, state, found = torch.nn.Linear(INPUTS, SIZE), torch.randn(TICKS, INPUTS) * 4, None, []
        for value in values:
            out, state = cell(fc(value[None]), state)
            found.append(out[0].numpy())
        nodes = [_affine(fc), _extract_norse_module(cell)]
        yield (
            name,
            "norse" if name == "LIBox" else "norse:v_reset=-0.1",
            nodes,
            values.numpy(),
            np.array(found),
        )


def spikingjelly_runs() -> Iterator[Run]:
    from spikingjelly.activation_based import neuron
    from spikingjelly.activation_based.nir_exchange import to_nir

    kinds: dict[str, Callable[[], Any]] = {
        "IF": lambda: neuron.IFNode(v_reset=0.1, v_threshold=0.9),
        "LIF": lambda: neuron.LIFNode(tau=3.0, v_reset=0.2),
        "LIF, decay_input off": lambda: neuron.LIFNode(tau=3.0, decay_input=False, v_reset=0.2),
        "PLIF": lambda: neuron.ParametricLIFNode(init_tau=3.0),
    }
    for name, make in kinds.items():
        net, values = (
            torch.nn.Sequential(torch.nn.Linear(INPUTS, SIZE), make()),
            torch.randn(TICKS, 1, INPUTS) * 2,
        )
        found = torch.stack([net(value) for value in values])[:, 0].numpy()
        net[1].reset()
        graph = to_nir.export_to_nir(net, torch.zeros(1, INPUTS))
        yield name, "spikingjelly", [graph], values[:, 0].numpy(), found


def rockpool_runs() -> Iterator[Run]:
    from rockpool.nn.modules import ExpSynTorch, LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import _extract_rockpool_module

    for dt in (1e-3, 2e-3):
        lif = LIFTorch(SIZE, tau_mem=0.02, tau_syn=0.01, dt=dt, bias=0.0)
        synapse = ExpSynTorch(SIZE, tau=torch.full((SIZE,), 0.01), dt=dt)
        for module in (lif, synapse):
            fc, values = LinearTorch((INPUTS, SIZE), has_bias=True), torch.randn(1, TICKS, INPUTS)
            found = module(fc(values)[0])[0][0].numpy()
            nodes = [_extract_rockpool_module(fc), _extract_rockpool_module(module)]
            yield type(module).__name__, f"rockpool:dt={dt}", nodes, values[0].numpy(), found


def spyx_runs() -> Iterator[Run]:
    import jax.numpy as jnp
    import spyx.nir as exporter
    import spyx.nn as spyx
    from flax import nnx

    rngs = nnx.Rngs(0)
    kinds: dict[str, Sequence[Any]] = {
        "IF": [spyx.IF((SIZE,))],
        "CuBaLIF": [spyx.CuBaLIF((SIZE,), rngs=rngs)],
        "RIF": [spyx.RIF((SIZE,), rngs=rngs)],
        "RLIF": [spyx.RLIF((SIZE,), rngs=rngs)],
        "RCuBaLIF": [spyx.RCuBaLIF((SIZE,), rngs=rngs)],
        "LIF, Conv, SumPool, Flatten": [
            nnx.Conv(2, 3, (3, 3), rngs=rngs),
            spyx.LIF((8, 8, 3), rngs=rngs),
            spyx.SumPool((2, 2), (2, 2), "VALID"),
            spyx.Flatten(),
            nnx.Linear(48, SIZE, rngs=rngs),
            spyx.LIF((SIZE,), rngs=rngs),
        ],
    }
    for name, layers in kinds.items():
        spatial = "Conv" in name
        shape = (2, 8, 8) if spatial else (INPUTS,)
        model = spyx.Sequential(*([] if spatial else [nnx.Linear(INPUTS, SIZE, rngs=rngs)]), *layers)
        values = np.random.default_rng(0).normal(0.6, 1, (TICKS, *shape)).astype(np.float32)
        given = values.transpose(0, 2, 3, 1) if spatial else values  # its channels come last
        found, _ = spyx.run(model, jnp.array(given)[:, None])
        graph = exporter.to_nir(model, {"input": np.array(shape)}, {"output": np.array((SIZE,))}, dt=1)
        yield name, "spyx", [graph], values, np.array(found)[:, 0]


def nengo_runs() -> Iterator[Run]:
    import nengo

    for tau_ref in (0.0, 0.002, 0.0035):
        values = np.random.default_rng(0).normal(1.5, 2, (TICKS, SIZE))
        neuron, v, wait = nengo.LIF(tau_rc=0.02, tau_ref=tau_ref), np.zeros(SIZE), np.zeros(SIZE)
        found = np.zeros((TICKS, SIZE))
        for tick in range(TICKS):
            neuron.step(1e-3, values[tick], found[tick], v, wait)
        file = {"tau": 0.02, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
        node = nir.LIF(**{name: np.full(SIZE, value) for name, value in file.items()})
        yield "LIF", f"nengo:tau_ref={tau_ref}", [node], values, found * 1e-3


RUNS: dict[str, Callable[[], Iterator[Run]]] = {
    "sinabs": sinabs_runs,
    "norse": norse_runs,
    "spikingjelly": spikingjelly_runs,
    "rockpool": rockpool_runs,
    "spyx": spyx_runs,
    "nengo": nengo_runs,
}


def measure(run: Run, folder: Path) -> dict[str, Any]:
    """How far the file under its reading is from the simulator."""
    name, reading, nodes, values, wanted = run
    path = folder / "x.nir"
    nir.write(path, nodes[0] if isinstance(nodes[0], nir.NIRGraph) else _chain(nodes, values, wanted))
    (found,) = simulate_float(resolve(str(path), producer=reading), values.astype(np.float64)).values()
    difference = np.abs(found - wanted)
    return {
        "neuron": name,
        "reading": reading,
        "mean": float(wanted.mean()),
        "share": float((difference > TOLERANCE).mean()),
        "largest": float(difference.max()),
    }


def _chain(nodes: Sequence[Any], values: np.ndarray, wanted: np.ndarray) -> Any:
    for node in nodes:
        for field, value in vars(node).items():
            if isinstance(value, torch.Tensor):
                setattr(node, field, value.detach().numpy())
    named: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(values.shape[1:])})}
    named |= {f"n{number}": node for number, node in enumerate(nodes)}
    named["output"] = nir.Output(output_type={"output": np.array(wanted.shape[1:])})
    return nir.NIRGraph(nodes=named, edges=list(pairwise(named)), type_check=False)


def _affine(fc: torch.nn.Linear) -> Any:
    return nir.Affine(weight=fc.weight.detach().numpy(), bias=fc.bias.detach().numpy())


def _text(value: bool) -> str:
    return str(value).lower()


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One row a neuron and producer: how many of its settings were run, and how far the worst is off."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["producer"], row["neuron"]), []).append(row)
    lines = [
        [
            *key,
            str(len(group)),
            f"{max(r['share'] for r in group):.2%}",
            f"{max(r['largest'] for r in group):.1e}",
        ]
        for key, group in groups.items()
    ]
    return tables.table(("simulator", "neuron", "settings", "values that differ", "by at most"), lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is installed; returns the exit code: 1 where something differs or nothing is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="what was measured, on stdout")
    args = parser.parse_args(arguments)
    torch.manual_seed(0)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        for package, runs in RUNS.items():
            try:
                found = [measure(run, Path(folder)) for run in runs()]
            except ModuleNotFoundError as error:
                sys.stderr.write(f"{package} is left out: {error}\n")
                continue
            rows += [{"producer": f"{package} {version(package)}", **row} for row in found]
    if not rows:
        return 1
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    DOCS.write_text(tables.between(DOCS.read_text(), START, STOP, table(rows)))
    sys.stdout.write((json.dumps(rows, indent=1) if args.json else table(rows)) + "\n")
    return int(any(row["share"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
