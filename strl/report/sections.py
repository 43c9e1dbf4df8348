"""The sections of a chapter, in reading order. Each says nothing where there is nothing to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strl.report import plots
from strl.report.data import Band, Chapter, Energy, Run
from strl.report.plots import Figure
from strl.report.raster import MOST_NEURONS, align
from strl.report.text import escape, number, percent, quantity, signed, table, tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, a sentence, a plot, and what stands under it; ``lead`` and ``body`` are HTML."""

    title: str
    lead: str = ""
    figure: Figure | None = None
    body: str = ""


def sections(chapter: Chapter) -> Iterator[Section]:
    """All that the chapter has values for."""
    for made in _SECTIONS:
        found = made(chapter)
        if found is not None:
            yield found


def _headline(chapter: Chapter) -> Section:
    """The figures one looks for first."""
    reference, chip = _float(chapter), _chip(chapter)
    cells = [_return_tile(run) for run in (reference, chip) if run]
    if reference and chip and reference.iqm > 0:
        cells.append((percent(chip.iqm / reference.iqm), "of the float return", "IQM on chip ÷ IQM in float"))
    if chapter.difference and chapter.difference.action_agreement is not None:
        cells.append(
            (percent(chapter.difference.action_agreement, 2), "equal actions", "on the same observations")
        )
    if chip and chip.energy:
        profile = chip.energy[0]
        value, low, high = profile.totals["core"]
        least = "≥ " if "core" in profile.at_least else ""
        band = "no band published" if low == high else f"{quantity(low, 'J')} to {quantity(high, 'J')}"
        cells.append(
            (
                f"{least}{quantity(value, 'J')}",
                "in the cores, a decision",
                f"{band}, {escape(profile.profile)}",
            )
        )
    if chip:
        cells.append((str(chip.ticks_per_decision), "ticks a decision", f"on {escape(chip.chip)}"))
    lead = f"{len(chapter.runs[0].seeds):,} episodes of {escape(chapter.runs[0].environment)}."
    return Section(title="", lead=lead, body=tiles(cells))


def _return_tile(run: Run) -> tuple[str, str, str]:
    name = "float network" if run.is_float else f"{run.chip}, {run.backend}"
    note = f"mean {number(run.mean)}, {len(run.seeds)} episodes"
    if run.ci95:
        note = f"95 %: {number(run.ci95[0])} to {number(run.ci95[1])}"
        note += f", {len(run.seeds)} episodes"
    return number(run.iqm), f"IQM return, {escape(name)}", escape(note)


def _agreement(chapter: Chapter) -> Section | None:
    """Whether the backends agree in every spike and action of the episodes that both played."""
    if sum(not run.is_float for run in chapter.runs) < 2:
        return None
    first, *others = [run for run in chapter.runs if not run.is_float]
    mine = dict(zip(first.seeds, first.digests, strict=True))
    rows = []
    for other in others:
        theirs = dict(zip(other.seeds, other.digests, strict=True))
        shared = sorted(mine.keys() & theirs.keys())
        equal = sum(mine[seed] == theirs[seed] for seed in shared)
        mark = "good" if shared and equal == len(shared) else "bad"
        rows.append((escape(other.backend), f'<b class="{mark}">{equal} of {len(shared)}</b>'))
    return Section(
        title="Backends",
        lead=f"Episodes that equal those of the backend {escape(first.backend)} in every spike and action.",
        body=table(("backend", "equal episodes"), rows),
    )


def _returns(chapter: Chapter) -> Section:
    several = len(chapter.runs) > 1
    return Section(
        title="Returns",
        lead="One mark an episode; a line joins the same seed." if several else "One mark an episode.",
        figure=plots.returns(chapter.runs),
    )


def _raster(chapter: Chapter) -> Section | None:
    chip = next((r.trace for r in chapter.runs if r.trace and not r.is_float), None)
    reference = next((r.trace for r in chapter.runs if r.trace and r.is_float), None)
    main = chip or reference
    if main is None:
        return None
    aligned = align(main, reference if chip else None)
    lead = (
        f"The first {aligned.decisions} decisions of the episode with seed {main.seed}, "
        f"{aligned.ticks} ticks each, between dotted lines; one row a neuron."
    )
    if aligned.paired:
        lead += (
            " The chip's pipeline delay is taken out, so that a tick is the same in both."
            f" Both saw the same observations for {aligned.same} decisions."
            f" Shown: {len(aligned.both):,} spikes in both, {len(aligned.only_float):,} in float only,"
            f" {len(aligned.only_chip):,} on the chip only."
        )
    if aligned.cut:
        lead += f" Of {escape(', '.join(aligned.cut))} the first {MOST_NEURONS} neurons are shown."
    return Section(title="Spikes", lead=lead, figure=plots.raster(aligned))


def _rates(chapter: Chapter) -> Section | None:
    runs = [run for run in (_float(chapter), _chip(chapter)) if run and run.rates]
    if not runs:
        return None
    return Section(
        title="Firing",
        lead="Mean over all episodes and neurons of a population.",
        figure=plots.rates(runs),
    )


def _difference(chapter: Chapter) -> Section | None:
    found = chapter.difference
    if found is None:
        return None
    paired = f"Return, second minus first, same seeds: {signed(found.mean)}"
    if found.ci95:
        paired += f" (95 %: {signed(found.ci95[0])} to {signed(found.ci95[1])})"
    verdict = "" if found.equivalent is None else _verdict(found.equivalent)
    rows = [
        (
            escape(name),
            "no spikes" if population.share is None else percent(population.share, 2),
            "none" if population.first is None else "seed {}, decision {}, tick {}".format(*population.first),
        )
        for name, population in found.populations.items()
    ]
    body = table(("population", "spikes that differ", "first"), rows) if rows else ""
    return Section(title="What differs", lead=f"{paired}. {verdict}", body=body)


def _verdict(equivalent: bool) -> str:
    if equivalent:
        return '<b class="good">Equivalent within the tolerance.</b>'
    return '<b class="bad">Not shown to be equivalent within the tolerance.</b>'


def _energy(chapter: Chapter) -> Section | None:
    chip = next((run for run in chapter.runs if run.energy), None)
    if chip is None:
        return None
    profiles = chip.energy
    totals = list(dict.fromkeys(name for p in profiles for name in p.totals))
    rows = [
        [
            escape(name if k == 0 else f"+ {name}"),
            *(_banded(p.totals[name], name in p.at_least) for p in profiles),
        ]
        for k, name in enumerate(totals)
    ]
    rows.append(["time on chip", *(_banded(p.decision_s, "time" in p.at_least, "s") for p in profiles)])
    return Section(
        title="Energy of a decision",
        lead="An estimate: counted events × published constants. Bars are the published band; "
        "the rows below are running totals, ≥ where one lacks the figure of something that happened. "
        "Compare only within a row.",
        figure=plots.energy(profiles),
        body=table(("up to", *(escape(p.profile) for p in profiles)), rows)
        + "".join(_origin(p) for p in profiles)
        + _activity(chip),
    )


def _banded(band: Band, lower_bound: bool, unit: str = "J") -> str:
    value, low, high = band
    text = f"≥ {quantity(value, unit)}" if lower_bound else quantity(value, unit)
    return text if low == high else f"{text}<br><small>{quantity(low, unit)} – {quantity(high, unit)}</small>"


def _origin(profile: Energy) -> str:
    """Where the figures are from, what has none, and what is left out."""
    entries = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(source)}</dd>"
        for name, source in profile.sources.items()
    )
    gaps = ""
    if profile.missing:
        without = escape(", ".join(profile.missing).replace("_", " "))
        gaps = f"<p>Happened, but the profile has no figure: {without}.</p>"
    outside = escape(", ".join(profile.not_modelled))
    return (
        f"<details><summary>Sources of {escape(profile.profile)}</summary>{gaps}"
        f"<p>Not modelled: {outside}.</p><dl>{entries}</dl></details>"
    )


def _activity(run: Run) -> str:
    counts = {name: count for name, count in run.activity.items() if count is not None}
    if not counts or not run.decisions:
        return ""
    rows = [
        (escape(name.replace("_", " ")), f"{count:,}", f"{count / run.decisions:,.1f}")
        for name, count in counts.items()
    ]
    inside = table(("event", "in all", "a decision"), rows)
    return f"<details><summary>Events counted on {escape(run.backend)}</summary>{inside}</details>"


def _cores(chapter: Chapter) -> Section | None:
    if not chapter.cores:
        return None
    rows = [(f"core {core.index}", escape(", ".join(core.populations))) for core in chapter.cores]
    return Section(
        title="On the chip",
        lead=f"Cores in use: {len(chapter.cores)}. How full each is, in percent of the chip's limit.",
        figure=plots.cores(chapter.cores),
        body=table(("core", "populations"), rows),
    )


def _float(chapter: Chapter) -> Run | None:
    return next((run for run in chapter.runs if run.is_float), None)


def _chip(chapter: Chapter) -> Run | None:
    return next((run for run in chapter.runs if not run.is_float), None)


_SECTIONS: tuple[Callable[[Chapter], Section | None], ...] = (
    _headline,
    _returns,
    _raster,
    _difference,
    _agreement,
    _rates,
    _energy,
    _cores,
)
