"""docs/transformer.md's tables of windows and of attentions, and the plot of the former."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks import plots, tables

Found = Mapping[str, Any]


def windows(found: Found) -> str:
    """The cost of a decision over the context, a row a K, streaming last; the plot below."""
    measured = found["windows"]
    rows = []
    for ours, theirs in zip(measured["sdsa"], measured["dt"], strict=True):
        macs = [f"{theirs['cached']:,}", f"{theirs['window']:,}"]
        rows.append([f"`sdsa`, {ours['context']}", *_cost(ours), *macs])
    rows.append(["`streaming`, any", *_cost(measured["streaming"]), "", ""])
    head = (
        "attention, K",
        "synops",
        "spikes",
        "neuron updates",
        "neurons",
        "synapses",
        "cores",
        "kernel",
        "DT MACs, cached",
        "DT MACs, window",
    )
    refused = [f"K = {r['context']}: {r['error']}." for r in measured["sdsa"] if "error" in r]
    image = "![operations of a decision over the context](windows.svg)"
    return "\n\n".join([tables.table(head, rows), *refused, image])


def _cost(row: Found) -> list[str]:
    if "error" in row:
        return ["refused", *[""] * 6]
    counts = [f"{row[key]:,.0f}" for key in ("synops", "spikes", "updates", "neurons", "synapses")]
    return [*counts, str(row["cores"]), f"{row['seconds'] * 1e6:.0f} µs"]


def plot(found: Found) -> str:
    """Operations of a decision over the context, both in powers of ten, as SVG."""
    measured = found["windows"]
    made = [row for row in measured["sdsa"] if "error" not in row]
    contexts = [row["context"] for row in measured["dt"]]
    flat = _operations(measured["streaming"])
    lines = {
        "DT, window computed anew, MACs": (plots.GREY, [(r["context"], r["window"]) for r in measured["dt"]]),
        "DT, keys and values kept, MACs": (
            plots.ORANGE,
            [(r["context"], r["cached"]) for r in measured["dt"]],
        ),
        "sdsa, synops + updates": (plots.GREEN, [(r["context"], _operations(r)) for r in made]),
        "streaming, synops + updates": (plots.BLUE, [(k, flat) for k in contexts]),
    }
    least = int(np.floor(np.log10(min(y for _, points in lines.values() for _, y in points))))
    return plots.powers(lines, x=range(3), y=range(least, 8), title="decisions in the context, K")


def _operations(row: Found) -> float:
    return float(row["synops"] + row["updates"])


def attentions(found: Found) -> str:
    """Hidden CartPole, a row an attention: mean and range over the training seeds."""
    rows = []
    for name, runs in _by_attention(found["attentions"]):
        cells = [_range([r[key] for r in runs], _one) for key in ("float", "cut")]
        rows.append([name, *_shape(runs), cells[0], _chip(runs, _one), cells[1]])
    head = (
        "attention",
        "seeds",
        "parameters",
        "firing",
        "IQM, float",
        "IQM on the chip",
        "what attention adds set to 0",
    )
    return tables.table(head, rows) + _refusals(found["attentions"])


def maze_attentions(found: Found) -> str:
    """Mazes, signs: the same, in accuracy and success."""
    rows = []
    for name, runs in _by_attention(found["maze-attentions"]):
        own = [_range([r[key] for r in runs], _share) for key in ("accuracy", "success")]
        cut = [_range([r["cut"][key] for r in runs], _share) for key in ("accuracy", "success")]
        rows.append([name, *_shape(runs), *own, _chip(runs, _share), *cut])
    head = (
        "attention",
        "seeds",
        "parameters",
        "firing",
        "accuracy",
        "success",
        "success on the chip",
        "accuracy, attention set to 0",
        "success, attention set to 0",
    )
    return tables.table(head, rows) + _refusals(found["maze-attentions"])


def _by_attention(rows: Sequence[Found]) -> list[tuple[str, list[Found]]]:
    return [(name, list(runs)) for name, runs in groupby(rows, key=lambda row: str(row["attention"]))]


def _shape(runs: Sequence[Found]) -> list[str]:
    firing = float(np.mean([r["firing"] for r in runs]))
    return [str(len(runs)), f"{runs[0]['parameters']:,}", f"{firing:.1%}"]


def _chip(runs: Sequence[Found], form: Callable[[float], str]) -> str:
    reached = [r["chip"] for r in runs if r["chip"] is not None]
    return _range(reached, form) if len(reached) == len(runs) else "refused"


def _refusals(rows: Sequence[Found]) -> str:
    """What the chip says of each that it refuses, once."""
    errors = dict.fromkeys(f"`{row['attention']}`: {row['error']}" for row in rows if row["error"])
    return "".join(f"\n\n{error}." for error in errors)


def _range(values: Sequence[float], form: Callable[[float], str]) -> str:
    mean = form(float(np.mean(values)))
    return mean if len(values) == 1 else f"{mean} ({form(min(values))}..{form(max(values))})"


def _one(value: float) -> str:
    return f"{value:.1f}"


def _share(value: float) -> str:
    return f"{value:.2%}"
