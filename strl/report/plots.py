"""Plots as plotly figures in plain data: ``{"data": […], "layout": {…}}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from strl.report.data import Core, Energy, Run
from strl.report.raster import Aligned
from strl.report.text import escape

Figure = dict[str, Any]

FLOAT, CHIP, OTHER = "#7a8594", "#1466b8", "#2a9d8f"
ONLY_FLOAT, ONLY_CHIP = "#d1495b", "#e09f1f"
_OTHERS = ((OTHER, "x-thin"), ("#8e5ea2", "diamond-open"), ("#b5651d", "cross-thin"), ("#333", "square-open"))
"""Colour and symbol of what comes third, fourth, … on a plot."""
_GRID = "#e6e9ee"


def colour(run: Run, position: int = 1) -> str:
    """Grey is the float network, blue the chip; what comes later has a colour of its own."""
    return FLOAT if run.is_float else CHIP if position < 2 else _OTHERS[(position - 2) % len(_OTHERS)][0]


def symbol(runs: Sequence[Run], position: int) -> str:
    """Open, filled, and then one of its own, so that marks that lie on each other are all seen."""
    if len(runs) == 1:
        return "circle"
    named = ("circle-open", "circle")
    return named[position] if position < 2 else _OTHERS[(position - 2) % len(_OTHERS)][1]


def layout(height: int, x: str, y: str, **more: Any) -> dict[str, Any]:
    """What all plots share: small margins, no dragging (a phone scrolls), the legend on top."""
    axis = {"gridcolor": _GRID, "zeroline": False, "automargin": True, "fixedrange": True}
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 46},
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#222"},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "dragmode": False,
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "xaxis": {**axis, "title": {"text": x}},
        "yaxis": {**axis, "title": {"text": y}},
    }
    for name, value in more.items():
        base[name] = {**base[name], **value} if isinstance(base.get(name), dict) else value
    return base


def returns(runs: Sequence[Run]) -> Figure:
    """Return over seed, one mark a run; a line joins the runs of a seed."""
    data: list[dict[str, Any]] = []
    if len(runs) > 1:
        first, second = runs[0], runs[1]
        other = dict(zip(second.seeds, second.returns, strict=True))
        x: list[float | None] = []
        y: list[float | None] = []
        for seed, value in zip(first.seeds, first.returns, strict=True):
            if seed in other and other[seed] != value:
                x += [seed, seed, None]
                y += [value, other[seed], None]
        data.append(
            {"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "showlegend": False}
            | {"line": {"color": "#c3cad4", "width": 1}}
        )
    for position, run in enumerate(runs):
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(run.backend),
                "x": list(run.seeds),
                "y": list(run.returns),
                "marker": {
                    "color": colour(run, position),
                    "size": 6 if position == 1 else 8 + 2 * position,
                    "symbol": symbol(runs, position),
                    "line": {"width": 1.5, "color": colour(run, position)},
                },
                "hovertemplate": "seed %{x}: %{y}<extra></extra>",
            }
        )
    scale = {"rangemode": "tozero"} if min(min(run.returns) for run in runs) >= 0 else {}
    seeds = [seed for run in runs for seed in run.seeds]
    whole = {"dtick": 1} if max(seeds) - min(seeds) < 10 else {"tickformat": "d"}
    return {
        "data": data,
        "layout": layout(320, "seed of the episode", "return", xaxis=whole, yaxis=scale),
    }


def rates(runs: Sequence[Run]) -> Figure:
    """Spikes per neuron and decision, by population: those of the float network, where it ran."""
    known = next((run.rates for run in runs if run.is_float), None)
    names = list(dict.fromkeys(name for run in runs for name in (known or run.rates)))
    data = []
    for position, run in enumerate(runs):
        shown = [n for n in names if n in run.rates]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": escape(run.backend),
                "y": [escape(n) for n in shown],
                "x": [run.rates[n] * run.driven_ticks for n in shown],
                "marker": {"color": colour(run, position)},
                "hovertemplate": "%{y}: %{x:.3g}<extra></extra>",
            }
        )
    height = 110 + len(names) * (14 + 16 * len(runs))
    # A Sequential's layers are called "0", "2": names all the same, not numbers on a scale.
    top_down = {"type": "category", "autorange": "reversed", "ticksuffix": " "}
    return {
        "data": data,
        "layout": layout(height, "spikes per neuron and decision", "", yaxis=top_down, bargap=0.25),
    }


def raster(aligned: Aligned) -> Figure:
    """Spikes over ticks, population under population; colours say who spiked."""
    kinds = (
        ("both", "#39424e", aligned.both),
        ("float only", ONLY_FLOAT, aligned.only_float),
        ("chip only", ONLY_CHIP, aligned.only_chip),
    )
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [tick for tick, _ in spikes],
            "y": [row for _, row in spikes],
            "marker": {"color": hue, "size": 4, "symbol": "square"},
            "hovertemplate": "tick %{x}<extra></extra>",
        }
        for name, hue, spikes in kinds
        if spikes
    ]
    shapes = [
        {"type": "line", "x0": x - 0.5, "x1": x - 0.5, "yref": "paper", "y0": 0, "y1": 1}
        | {"line": {"color": "#c3cad4", "width": 1, "dash": "dot"}}
        for x in range(aligned.ticks, aligned.ticks * aligned.decisions, aligned.ticks)
    ]
    shapes += [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y - 0.5, "y1": y - 0.5}
        | {"line": {"color": "#8b95a3", "width": 1}}
        for y in list(aligned.rows.values())[1:]
    ]
    bounds = [*aligned.rows.values(), aligned.height]
    middles = [(a + b - 1) / 2 for a, b in pairwise(bounds)]
    names = {"tickvals": middles, "ticktext": [escape(n) + " " for n in aligned.rows], "showgrid": False}
    span = {"range": [-0.5, aligned.ticks * aligned.decisions - 0.5]}
    height = min(760, 150 + 4 * aligned.height + 10 * len(aligned.rows))
    top_down = {"range": [aligned.height - 0.5, -0.5], **names}
    legend = aligned.paired
    found = layout(height, "tick", "", shapes=shapes, xaxis=span, yaxis=top_down, showlegend=legend)
    return {"data": data, "layout": found}


def energy(profiles: Sequence[Energy]) -> Figure:
    """Joules of a decision by part, on a logarithmic axis with the band; a part at 0 has no mark."""
    hues = (CHIP, OTHER, ONLY_CHIP)
    data = []
    for position, profile in enumerate(profiles):
        parts = {n: b for n, b in profile.parts.items() if b[0] > 0}
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(profile.profile),
                "y": [escape(n) for n in parts],
                "x": [b[0] for b in parts.values()],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [b[2] - b[0] for b in parts.values()],
                    "arrayminus": [b[0] - b[1] for b in parts.values()],
                    "thickness": 2,
                    "width": 5,
                },
                "marker": {
                    "color": hues[position % 3],
                    "size": 11,
                    "symbol": ("circle", "diamond")[position % 2],
                },
                "hovertemplate": "%{y}: %{x:.3s}J<extra></extra>",
            }
        )
    names = list(dict.fromkeys(escape(n) for p in profiles for n in p.parts))
    logarithmic = {"type": "log", "exponentformat": "SI", "ticksuffix": "J", "dtick": 1}
    order = {"categoryorder": "array", "categoryarray": names[::-1], "ticksuffix": " "}
    return {
        "data": data,
        "layout": layout(120 + 34 * len(names), "joules per decision", "", xaxis=logarithmic, yaxis=order),
    }


def cores(used: Sequence[Core]) -> Figure:
    """How full each core is, by resource, in percent of its limit."""
    resources = list(dict.fromkeys(name for core in used for name in core.use))
    labels = [f"core {core.index}" for core in used]
    data = [
        {
            "type": "heatmap",
            "x": labels,
            "y": [escape(r.replace("_", " ")) for r in resources],
            "z": [[_share(core.use, r) for core in used] for r in resources],
            "text": [[_fraction(core.use, r) for core in used] for r in resources],
            "texttemplate": "%{z:.0f} %",
            "hovertemplate": "%{x}, %{y}: %{text}<extra></extra>",
            "zmin": 0,
            "zmax": 100,
            "colorscale": [[0, "#f2f6fb"], [1, CHIP]],
            "showscale": False,
            "xgap": 2,
            "ygap": 2,
        }
    ]
    top_down = {"autorange": "reversed", "ticksuffix": " ", "showgrid": False}
    height = 80 + 34 * len(resources)
    return {"data": data, "layout": layout(height, "", "", xaxis={"showgrid": False}, yaxis=top_down)}


def _share(use: Mapping[str, tuple[int, int]], resource: str) -> float:
    amount, limit = use.get(resource, (0, 1))
    return 100 * amount / limit


def _fraction(use: Mapping[str, tuple[int, int]], resource: str) -> str:
    amount, limit = use.get(resource, (0, 1))
    return f"{amount:,} of {limit:,}"
