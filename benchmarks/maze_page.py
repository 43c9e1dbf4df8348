"""docs/mazes.md's tables and its plot, of ``benchmarks.maze``'s result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables
from strl.policies.decision_transformer import TOKENS, DecisionConfig, DecisionTransformer

DOCS = Path(__file__).resolve().parents[1] / "docs"
FLOAT_MAC, INT8_MAC = 4.6e-12, 0.23e-12
"""Joules, 45 nm, arithmetic alone (Horowitz, ISSCC 2014)."""
TICKS = (4, 13)
"""Driven ones of a decision, and all."""
FEATURES: Mapping[str, int] = {"colours": 19, "signs": 12}
LABELS: Mapping[str, str] = {
    "dt": "decision transformer, float32",
    "torch": "spiking transformer, snnTorch",
    "chip8": "the same on the chip, 8 bit",
    "chip4": "tuned to 4 bit, on the chip",
}


def outcomes(found: Mapping[str, Any]) -> str:
    """What every network reached, a row a view and variant; mean and range over the training seeds."""
    rows = []
    for view in FEATURES:
        for variant, label in LABELS.items():
            runs = _rows(found, view, variant)
            cells = [_spread([r[name] for r in runs]) for name in ("accuracy", "success", "optimal")]
            rows.append([view, label, str(len(runs)), *cells, _spread([r["weighted"] for r in runs])])
    head = (
        "view",
        "network",
        "seeds",
        "accuracy",
        "success",
        "shortest way taken",
        "success × shortest / moves",
    )
    return tables.table(head, rows)


def costs(found: Mapping[str, Any]) -> str:
    """What a decision takes, mean over the training seeds."""
    rows = []
    for view in FEATURES:
        rows.append([view, LABELS["dt"], *_conventional(DecisionConfig(features=FEATURES[view], actions=4))])
        for variant in ("chip8", "chip4"):
            rows.append([view, LABELS[variant], *_neural(_rows(found, view, variant))])
    head = (
        "view",
        "network",
        "spikes",
        "operations",
        "weight fetches",
        "energy",
        "chip time",
        "firing, all / driven ticks",
    )
    return tables.table(head, rows)


def _rows(found: Mapping[str, Any], view: str, variant: str) -> list[dict[str, Any]]:
    return [r["rows"][variant] for r in found["runs"] if r["view"] == view and variant in r["rows"]]


def _conventional(shape: DecisionConfig) -> list[str]:
    module = DecisionTransformer(shape)
    cached, window = (module.macs(shape.context, cached=c) for c in (True, False))
    weights = sum(p.numel() for p in module.parameters() if p.ndim == 2)
    kept = 2 * shape.blocks * shape.width * TOKENS * shape.context
    joules = f"≥ {cached * FLOAT_MAC * 1e6:.2f} µJ float, {cached * INT8_MAC * 1e6:.2f} µJ int8"
    operations = f"{cached:,} MAC cached, {window:,} window"
    return ["", operations, f"{weights:,} + {kept:,} keys and values", joules, "", ""]


def _neural(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    def mean(value: Any) -> float:
        return float(np.mean([value(run) for run in runs]))

    core, all_of_it = (mean(lambda r, n=n: r["energy"]["running_total_j"][n][0]) for n in ("core", "host"))
    firing = mean(lambda r: r["spikes"] / r["updates"])
    synops = f"{mean(lambda r: r['synops']):,.0f}"
    return [
        f"{mean(lambda r: r['spikes'] + r['host_spikes']):,.0f}",
        f"{synops} additions",
        synops,
        f"{core * 1e6:.2f} µJ cores, {all_of_it * 1e6:.1f} µJ with the chip's power",
        f"{mean(lambda r: r['energy']['decision_s'][0]) * 1e6:.0f} µs",
        f"{firing:.1%} / {firing * TICKS[1] / TICKS[0]:.1%}",
    ]


def contexts(found: Mapping[str, Any]) -> str:
    """How the cost of a decision grows."""
    rows = []
    for ours, theirs in zip(found["context"]["streaming"], found["context"]["dt"], strict=True):
        seconds = theirs["seconds_window"]
        rows.append(
            [
                f"{ours['context']:,}",
                f"{ours['synops']:,.0f}",
                f"{ours['seconds'] * 1e6:.0f} µs",
                f"{theirs['macs_cached']:,}",
                f"{theirs['macs_window']:,}",
                "" if seconds is None else f"{seconds * 1e6:,.0f} µs",
            ]
        )
    head = ("decisions before", "synops", "kernel", "DT MACs, cached", "DT MACs, window", "DT torch, window")
    return tables.table(head, rows)


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2%} ({min(values):.2%}..{max(values):.2%})"


def plot(found: Mapping[str, Any]) -> str:
    """Operations of a decision over the decisions before it, both in powers of ten, as SVG."""
    ours, theirs = found["context"]["streaming"], found["context"]["dt"]
    lines = {
        "streaming, synops": ("#1f5fbf", [(r["context"], r["synops"]) for r in ours]),
        "DT, keys and values kept, MACs": ("#c2571a", [(r["context"], r["macs_cached"]) for r in theirs]),
        "DT, window computed anew, MACs": ("#8a8a8a", [(r["context"], r["macs_window"]) for r in theirs]),
    }

    def at(context: float, cost: float) -> tuple[float, float]:
        return 70 + 130 * (np.log10(context) - 1), 330 - 42 * (np.log10(cost) - 4)

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 380" font-family="sans-serif"'
        ' font-size="13">'
    ]
    parts.append('<rect width="700" height="380" fill="white"/>')
    for power in range(4, 12):
        _, y = at(10, 10.0**power)
        parts.append(
            f'<path d="M70 {y:.0f}H460" stroke="#ddd"/><text x="30" y="{y + 4:.0f}">1e{power}</text>'
        )
    for power in range(1, 5):
        x, _ = at(10.0**power, 1e4)
        parts.append(f'<text x="{x - 12:.0f}" y="350">{10**power:,}</text>')
    parts.append('<text x="180" y="372">decisions in the context</text>')
    for label, (colour, points) in lines.items():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        x, y = at(*points[-1])
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 8:.0f}" y="{y + 4:.0f}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def write(found: Mapping[str, Any]) -> None:
    """The document's tables and its plot."""
    text = (DOCS / "mazes.md").read_text("utf-8")
    for name, made in (("outcomes", outcomes), ("costs", costs), ("contexts", contexts)):
        text = tables.between(text, f"<!-- {name} -->", f"<!-- end of {name} -->", made(found))
    (DOCS / "mazes.md").write_text(text, "utf-8")
    (DOCS / "mazes.svg").write_text(plot(found), "utf-8")
