"""Two spike rasters on one time axis: what a population's logical tick k did in float and on the chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strl.chip.program import Messages
from strl.loop.trace import Trace

Spike = tuple[int, int]
"""(tick, row)."""

MOST_DECISIONS = 12
MOST_NEURONS = 64
"""More of a population would be less than a pixel each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """Spikes of the first decisions of an episode.

    Args:
        decisions, ticks: how many decisions, and logical ticks of each.
        rows: population → its first row.
        height: rows in all.
        cut: populations of which only the first ``MOST_NEURONS`` neurons are shown.
        both, only_float, only_chip: (tick, row); without a second trace all are in ``both``.
        paired: whether there are two traces.
        same: decisions from the start of the episode in which both saw the same observation; ``None``
            without a second trace.
    """

    decisions: int
    ticks: int
    rows: Mapping[str, int]
    height: int
    cut: tuple[str, ...]
    both: tuple[Spike, ...]
    only_float: tuple[Spike, ...]
    only_chip: tuple[Spike, ...]
    paired: bool
    same: int | None


def align(chip: Trace, reference: Trace | None = None) -> Aligned:
    """One raster, or two laid over each other.

    A population's logical tick k is tick k + offset of its raster. Two traces share the populations that
    both have; decisions are shown as far as both saw the same observations (at least one).
    """
    names = [n for n in chip.populations if reference is None or n in reference.populations]
    total = chip.rasters.shape[1]
    ticks = min(total - chip.offsets[n] for n in names) if names else total
    if reference is not None:
        ticks = min(ticks, reference.rasters.shape[1])
    same = None if reference is None else _same(chip, reference)
    decisions = min(len(chip.rasters), MOST_DECISIONS if same is None else max(1, min(same, MOST_DECISIONS)))
    rows, found, cut, height = {}, [], [], 0
    for name in names:
        mine = _logical(chip, name, decisions, ticks)
        other = mine if reference is None else _logical(reference, name, decisions, ticks)
        if max(mine.shape[1], other.shape[1]) > MOST_NEURONS:
            cut.append(name)
        width = min(mine.shape[1], other.shape[1], MOST_NEURONS)
        found.append((mine[:, :width], other[:, :width]))
        rows[name] = height
        height += width
    ours = np.concatenate([a for a, _ in found], axis=1) if found else np.zeros((0, 0), np.uint8)
    theirs = np.concatenate([b for _, b in found], axis=1) if found else ours
    return Aligned(
        decisions=decisions,
        ticks=ticks,
        rows=rows,
        height=height,
        cut=tuple(cut),
        both=_spikes((ours > 0) & (theirs > 0)),
        only_float=_spikes((ours == 0) & (theirs != 0)),
        only_chip=_spikes((ours != 0) & (theirs == 0)),
        paired=reference is not None,
        same=same,
    )


def _logical(trace: Trace, name: str, decisions: int, ticks: int) -> Messages:
    """[decisions · ticks, neurons] of one population, from its logical tick 0 on."""
    start = trace.offsets[name]
    found = trace.rasters[:decisions, start : start + ticks, trace.populations[name]]
    return found.reshape(-1, found.shape[2])


def _same(a: Trace, b: Trace) -> int:
    """Decisions from the start in which both saw the same observation."""
    if a.seed != b.seed or a.observations.shape[1:] != b.observations.shape[1:]:
        return 0
    length = min(len(a.observations), len(b.observations))
    axes = tuple(range(1, a.observations.ndim))
    differ = np.any(a.observations[:length] != b.observations[:length], axis=axes)
    return int(np.argmax(differ)) if differ.any() else length


def _spikes(raster: NDArray[np.bool_]) -> tuple[Spike, ...]:
    return tuple((int(t), int(n)) for t, n in np.argwhere(raster))
