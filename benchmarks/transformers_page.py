"""docs/transformer.md's tables and its plot, of ``benchmarks.transformers``'s result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import tables

DOCS = Path(__file__).resolve().parents[1] / "docs"
BREAK_EVEN = 0.057
"""Spikes of a neuron and tick above which a conventional network takes less energy (arXiv 2409.08290)."""
ATTENTION = ("query", "key", "value", "memory")


def equality(found: Mapping[str, Any]) -> str:
    """How many spikes differ."""
    rows = [
        [
            f"`{name}`",
            f"{row['decisions']:,}",
            f"{row['spikes']:,}",
            f"{row['compared']:,}",
            *(str(row["unlike"][what]) for what in ("module", "kernel", "actions")),
        ]
        for name, row in found["equality"].items()
    ]
    head = ("policy", "decisions", "spikes", "places", "module unlike", "kernel unlike", "actions unlike")
    return tables.table(head, rows)


def streaming(found: Mapping[str, Any]) -> str:
    """The cost of a decision after more and more others."""
    measured = found["streaming"]
    contexts = [row["context"] for row in next(iter(measured.values()))["contexts"]]
    head = ("policy", *(f"{n:,}" for n in contexts), "most ÷ least")
    rows = []
    for name, one in measured.items():
        for label, key, form in (("synops", "synops", _count), ("time", "seconds", _micro)):
            values = [row[key] for row in one["contexts"]]
            rows.append([f"`{name}`, {label}", *map(form, values), f"{max(values) / min(values):.3f}"])
    return tables.table(head, rows)


def speed(found: Mapping[str, Any]) -> str:
    """Decisions a second in closed loop."""
    rows = [
        [
            f"`{name}`",
            *(f"{one['closed_loop'][batch]:,.0f}" for batch in ("1", "25")),
            " to ".join(f"{load:.1f}" for load in one["load"]),
        ]
        for name, one in found["streaming"].items()
    ]
    return tables.table(("policy", "one episode", "25 side by side", "load of the two cores"), rows)


def memory(found: Mapping[str, Any]) -> str:
    """What does without memory."""
    rows = [
        [label, f"{row['validation_mean']:.1f}", f"{row['iqm']:.1f}", f"{row['best']:.0f}"]
        for label, row in found["memory"].items()
    ]
    return tables.table(
        ("network", "mean, best round, 50 seeds", "IQM, seeds 0–99", "its best episode"), rows
    )


def lava(found: Mapping[str, Any]) -> str:
    """Whether Lava sends the kernel's spikes."""
    rows = []
    for name, row in found["lava"].items():
        same = "equal" if len(set(row["digest"].values())) == 1 else "DIFFERS"
        rows.append([f"`{name}`", f"{row['decisions']:,}", same])
    return tables.table(("policy", "decisions", "digest of every spike and action, kernel and Lava"), rows)


def cut(found: Mapping[str, Any]) -> str:
    """What attention is worth."""
    rows = [[f"`{name}`", f"{row['whole']:.1f}", f"{row['cut']:.1f}"] for name, row in found["cut"].items()]
    return tables.table(("policy", "IQM, float", "what attention adds set to 0"), rows)


def firing(found: Mapping[str, Any]) -> str:
    """Firing of the shipped ones, and what a charge for spikes does."""
    rows = [[f"`{name}`", "", *_fired(row)] for name, row in found["firing"].items()]
    rows += [["hidden CartPole", f"{row['spike_cost']:g}", *_fired(row)] for row in found["spikes"]]
    head = (
        "policy",
        "`--spike-cost`",
        "IQM on the chip",
        "firing",
        *ATTENTION,
        "synops",
        "core energy",
        "in all",
    )
    return tables.table(head, rows)


def _fired(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['iqm']:.1f} [{row['ci95'][0]:.1f}, {row['ci95'][1]:.1f}]",
        f"{row['firing']:.1%}",
        *(f"{row['populations'][f'blocks.0.attention.{name}']:.1%}" for name in ATTENTION),
        _count(row["synops"]),
        f"{row['core_j'] * 1e6:.2f} µJ",
        f"{row['host_j'] * 1e6:.1f} µJ",
    ]


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


def plot(found: Mapping[str, Any]) -> str:
    """Return over firing, one point a charge for spikes, as SVG."""
    points = [(row["firing"], row["mean"], row["spike_cost"]) for row in found["spikes"]]
    most = max(0.16, *(firing for firing, _, _ in points))

    def at(firing: float, total: float) -> tuple[float, float]:
        return 70 + 480 * firing / most, 290 - 0.48 * total

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360" font-family="sans-serif"'
        ' font-size="13">',
        '<rect width="640" height="360" fill="white"/>',
    ]
    for total in range(0, 501, 100):
        _, y = at(0, total)
        parts.append(f'<path d="M70 {y:.0f}H550" stroke="#ddd"/><text x="38" y="{y + 4:.0f}">{total}</text>')
    for percent in range(0, int(most * 100) + 1, 2):
        x, y = at(percent / 100, 0)
        parts.append(f'<text x="{x - 8:.0f}" y="{y + 18:.0f}">{percent} %</text>')
    x, y = at(BREAK_EVEN, 0)
    parts.append(f'<path d="M{x:.0f} {y:.0f}V40" stroke="#c2571a" stroke-dasharray="5 4"/>')
    parts.append(f'<text x="{x + 6:.0f}" y="{y - 8:.0f}" fill="#c2571a">break-even, 5.7 %</text>')
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point[:2]) for point in sorted(points)))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1f5fbf" stroke-width="2"/>')
    for firing, total, cost in points:
        x, y = at(firing, total)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f5fbf"/>')
        parts.append(f'<text x="{x - 10:.0f}" y="{y - 10:.0f}" fill="#1f5fbf">cost {cost:g}</text>')
    parts.append('<text x="190" y="345">spikes of a neuron and driven tick</text>')
    parts.append('<text x="20" y="25">mean return on the chip, hidden CartPole, seeds 0–99</text>')
    return "\n".join([*parts, "</svg>", ""])


TABLES: Mapping[str, tuple[Callable[[Mapping[str, Any]], str], Sequence[str]]] = {
    "equality": (equality, ["equality"]),
    "streaming": (streaming, ["streaming"]),
    "speed": (speed, ["streaming"]),
    "memory": (memory, ["memory"]),
    "lava": (lava, ["lava"]),
    "cut": (cut, ["cut"]),
    "firing": (firing, ["firing", "spikes"]),
}


def write(found: Mapping[str, Any]) -> None:
    """The document's tables and its plot, as far as they were measured."""
    text = (DOCS / "transformer.md").read_text("utf-8")
    for name, (made, needed) in TABLES.items():
        if found.keys() >= set(needed):
            text = tables.between(text, f"<!-- {name} -->", f"<!-- end of {name} -->", made(found))
    (DOCS / "transformer.md").write_text(text, "utf-8")
    if "spikes" in found:
        (DOCS / "firing.svg").write_text(plot(found), "utf-8")
