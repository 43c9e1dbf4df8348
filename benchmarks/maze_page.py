"""docs/mazes.md's tables and its plot, of ``benchmarks.maze``'s result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import conventional, plots, tables
from strl.policies.decision_transformer import DecisionConfig, DecisionTransformer

DOCS = Path(__file__).resolve().parents[1] / "docs"
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
            cells.append(_spread([r["weighted"] for r in runs]))
            cells.append(_spread([r["cut"] for r in runs if "cut" in r]))
            rows.append([view, label, str(len(runs)), *cells])
    head = (
        "view",
        "network",
        "seeds",
        "accuracy",
        "success",
        "shortest way taken",
        "success × shortest / moves",
        "accuracy, attention set to 0",
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
    module, done = DecisionTransformer(shape), conventional.work(shape)
    window = module.macs(shape.context, cached=False)
    bands = [
        f"{' to '.join(f'{joules * 1e6:.2f}' for joules in conventional.band(done, kind))} µJ {kind}"
        for kind in conventional.MAC
    ]
    operations = f"{done.macs:,} MAC cached, {window:,} window"
    fetched = f"{done.weights:,} + {done.kept:,} keys and values"
    return ["", operations, fetched, f"45 nm: {', '.join(bands)}", "", ""]


def fetches(_: Mapping[str, Any]) -> str:
    """The decision transformer's energy: arithmetic, and every weight, key and value read once."""
    rows = []
    for view in FEATURES:
        done = conventional.work(DecisionConfig(features=FEATURES[view], actions=4))
        for kind in conventional.MAC:
            alone = conventional.arithmetic(done, kind)
            size = done.values * conventional.BYTES[kind]
            cells = [
                f"{_micro(alone + conventional.fetching(done, kind, access))}{'' if size <= most else ' *'}"
                for most, access in conventional.SRAM.values()
            ]
            least, most_of_all = (
                _micro(alone + conventional.fetching(done, kind, access)) for access in conventional.DRAM
            )
            cells.append(f"{least} to {most_of_all}")
            rows.append([view, kind, f"{size / 1000:.0f} kB", _micro(alone), *cells])
    head = (
        "view",
        "numbers",
        "fetched",
        "MACs alone",
        *(f"and SRAM of {name}" for name in conventional.SRAM),
    )
    return tables.table((*head, "and DRAM"), rows)


def _micro(joules: float) -> str:
    return f"{joules * 1e6:.2f} µJ"


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
        f"silicon: {core * 1e6:.2f} µJ cores, {all_of_it * 1e6:.1f} µJ with the chip's power",
        f"{mean(lambda r: r['energy']['decision_s'][0]) * 1e6:.0f} µs",
        f"{firing:.1%} / {_driven(firing):.1%}",
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


def spike_costs(found: Mapping[str, Any]) -> str:
    """What a charge for spikes does to the network of signs; the plot below."""
    rows = []
    for row in found.get("spike_costs", []):
        firing = row["spikes"] / row["updates"]
        rows.append(
            [
                f"{row['spike_cost']:g}",
                f"{row['accuracy']:.2%}",
                f"{row['cut']:.2%}",
                f"{row['success']:.2%}",
                f"{firing:.1%} / {_driven(firing):.1%}",
                f"{row['synops']:,.0f}",
                _micro(row["energy"]["running_total_j"]["core"][0]),
            ]
        )
    head = (
        "`--spike-cost`",
        "accuracy",
        "accuracy, attention set to 0",
        "success",
        "firing, all / driven ticks",
        "synops",
        "core energy",
    )
    image = "\n\n![accuracy over firing, signs](maze-firing.svg)" if rows else ""
    return tables.table(head, rows) + image


def firing_plot(found: Mapping[str, Any]) -> str:
    """Accuracy over firing in driven ticks, a point a charge for spikes, as SVG."""
    points = [
        (_driven(row["spikes"] / row["updates"]), row["accuracy"], row["spike_cost"])
        for row in found["spike_costs"]
    ]
    least = min(0.98, np.floor(50 * min(reached for _, reached, _ in points)) / 50)
    marks = np.linspace(least, 1.0, round((1.0 - least) / 0.02) + 1 if least > 0.8 else 6).tolist()
    title = "accuracy on the chip in 1000 unseen mazes, signs"
    return plots.over_firing(points, y=marks, form=lambda share: f"{share:.0%}", title=title)


def _driven(firing: float) -> float:
    """Spikes of a neuron and driven tick, of those of any tick."""
    return firing * TICKS[1] / TICKS[0]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{np.mean(values):.2%} ({min(values):.2%}..{max(values):.2%})"


def plot(found: Mapping[str, Any]) -> str:
    """Operations of a decision over the decisions before it, both in powers of ten, as SVG."""
    ours, theirs = found["context"]["streaming"], found["context"]["dt"]
    lines = {
        "streaming, synops": (plots.BLUE, [(r["context"], r["synops"]) for r in ours]),
        "DT, keys and values kept, MACs": (plots.ORANGE, [(r["context"], r["macs_cached"]) for r in theirs]),
        "DT, window computed anew, MACs": (plots.GREY, [(r["context"], r["macs_window"]) for r in theirs]),
    }
    return plots.powers(lines, x=range(1, 5), y=range(4, 12), title="decisions in the context")


TABLES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "outcomes": outcomes,
    "costs": costs,
    "contexts": contexts,
    "fetches": fetches,
    "spike-costs": spike_costs,
}


def write(found: Mapping[str, Any]) -> None:
    """The document's tables and its plots."""
    text = (DOCS / "mazes.md").read_text("utf-8")
    for name, made in TABLES.items():
        text = tables.between(text, f"<!-- {name} -->", f"<!-- end of {name} -->", made(found))
    (DOCS / "mazes.md").write_text(text, "utf-8")
    (DOCS / "mazes.svg").write_text(plot(found), "utf-8")
    if found.get("spike_costs"):
        (DOCS / "maze-firing.svg").write_text(firing_plot(found), "utf-8")
