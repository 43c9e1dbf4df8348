"""NIR files for tests, written by nir itself."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np

from strl.loop.simulate import simulate_float
from strl.loop.subject import resolve

Nodes = dict[str, Any]
Edges = list[tuple[str, str]]

X = np.random.default_rng(3).normal(0.6, 1.0, (120, 1)).round(3)
"""Input that makes one neuron spike now and then."""


def write(path: Path, nodes: Nodes, edges: Edges) -> Path:
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=edges, type_check=False))
    return path


def into(*shape: int) -> nir.Input:
    return nir.Input(input_type={"input": np.array(shape)})


def out(*shape: int) -> nir.Output:
    return nir.Output(output_type={"output": np.array(shape)})


def lifs(size: int | tuple[int, ...] = 3, **more: float) -> nir.LIF:
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **more}
    return nir.LIF(**{name: np.full(size, value) for name, value in values.items()})


def line(path: Path, shape: tuple[int, ...], to: tuple[int, ...], *nodes: Any) -> Path:
    named: Nodes = {"input": into(*shape), **{f"n{i}": n for i, n in enumerate(nodes)}, "output": out(*to)}
    return write(path, named, list(pairwise(named)))


def simulated(file: Path, producer: str, values: np.ndarray) -> np.ndarray:
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


def lif(tau: float = 4e-4, r: float = 4.0, thr: float = 1.0, **more: float) -> Any:
    leak, reset = more.get("v_leak", 0.0), more.get("v_reset", 0.0)
    return nir.LIF(tau=row(tau), r=row(r), v_leak=row(leak), v_threshold=row(thr), v_reset=row(reset))


def cuba(tau_syn: float, tau_mem: float, r: float, w_in: float) -> Any:
    return nir.CubaLIF(
        tau_syn=row(tau_syn),
        tau_mem=row(tau_mem),
        r=row(r),
        v_leak=row(0),
        v_threshold=row(1),
        v_reset=row(0),
        w_in=row(w_in),
    )
