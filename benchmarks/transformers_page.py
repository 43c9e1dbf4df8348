"""docs/transformer.md's tables and its plot, of ``benchmarks.transformers``'s result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import attention_page, plots, tables

DOCS = Path(__file__).resolve().parents[1] / "docs"
ATTENTION = ("query", "key", "value", "memory")


def equality(found: Mapping[str, Any]) -> str:
    """How many spikes differ, of a random walk and of episodes."""
    rows = [
        [
            f"`{name}`",
            label,
            f"{row['decisions']:,}",
            f"{row['spikes']:,}",
            f"{row['compared']:,}",
            *(str(row["unlike"][what]) for what in ("module", "kernel", "actions")),
        ]
        for label, part in (("random walk", "equality"), ("episodes", "in-use"))
        for name, row in found.get(part, {}).items()
    ]
    head = (
        "policy",
        "observations",
        "decisions",
        "spikes",
        "places",
        "module unlike",
        "kernel unlike",
        "actions unlike",
    )
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
    """Decisions a second in closed loop, and of policy and environment alone."""
    rows = []
    for name, one in found["streaming"].items():
        for batch in ("1", "25"):
            alone = one.get("apart", {}).get(batch, {})
            parts = [_count(alone[key]) if key in alone else "" for key in ("agent", "environment")]
            load = " to ".join(f"{load:.1f}" for load in one["load"])
            rows.append([f"`{name}`", batch, _count(one["closed_loop"][batch]), *parts, load])
    head = ("policy", "side by side", "closed loop", "kernel and codec alone", "environment alone", "load")
    return tables.table(head, rows)


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
    rows = []
    for name, row in found["cut"].items():
        mazes = [row[key] for key in ("maze_whole", "maze_cut") if key in row]
        in_mazes = [" → ".join(f"{one[what]:.2%}" for one in mazes) for what in ("accuracy", "success")]
        rows.append([f"`{name}`", f"{row['whole']:.1f}", f"{row['cut']:.1f}", *in_mazes])
    head = ("policy", "IQM, float", "what attention adds set to 0", "accuracy in mazes", "mazes solved")
    return tables.table(head, rows)


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
    title = "mean return on the chip, hidden CartPole, seeds 0–99"
    return plots.over_firing(points, y=range(0, 501, 100), form=_count, title=title)


TABLES: Mapping[str, tuple[Callable[[Mapping[str, Any]], str], Sequence[str]]] = {
    "equality": (equality, ["equality"]),
    "streaming": (streaming, ["streaming"]),
    "speed": (speed, ["streaming"]),
    "memory": (memory, ["memory"]),
    "lava": (lava, ["lava"]),
    "cut": (cut, ["cut"]),
    "firing": (firing, ["firing", "spikes"]),
    "windows": (attention_page.windows, ["windows"]),
    "attentions": (attention_page.attentions, ["attentions"]),
    "maze-attentions": (attention_page.maze_attentions, ["maze-attentions"]),
}
PLOTS: Mapping[str, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    "firing.svg": (plot, "spikes"),
    "windows.svg": (attention_page.plot, "windows"),
}


def write(found: Mapping[str, Any]) -> None:
    """The document's tables and its plot, as far as they were measured."""
    text = (DOCS / "transformer.md").read_text("utf-8")
    for name, (made, needed) in TABLES.items():
        if found.keys() >= set(needed):
            text = tables.between(text, f"<!-- {name} -->", f"<!-- end of {name} -->", made(found))
    (DOCS / "transformer.md").write_text(text, "utf-8")
    for name, (drawn, needed_part) in PLOTS.items():
        if needed_part in found:
            (DOCS / name).write_text(drawn(found), "utf-8")
