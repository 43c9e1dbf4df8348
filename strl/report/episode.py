"""One episode as one picture (SVG): what was to be seen, who spiked, what was done, decision by decision.

The frames are drawn by the environment itself, which plays the kept actions once more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strl.errors import EnvironmentFault, UsageError
from strl.files import check_replaceable
from strl.loop.environment import Environment, environment
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.results import Evaluation
from strl.loop.trace import FILE, Trace
from strl.report.disk import write_text
from strl.report.png import data_url
from strl.report.text import escape, number

Image = NDArray[np.uint8]

MOST_DECISIONS = 1000
"""More than a picture has room for: of a longer episode the first are shown."""
FRAMES = 4
LEFT, PLOT, RIGHT, GAP = 118, 900, 142, 8
"""Widths in pixels: the names, the decisions, the remarks; and what lies between two bands."""
ROW, BAND = 2, (28, 150)
"""Pixels of a neuron, and the least and most of a band with something in it."""
CAPTION = (
    "A column is a decision, a row a neuron, the busiest on top and those without a spike left out; "
    "darker is more spikes, or a higher value of what was observed."
)
SEEN, DONE = "#39424e", "#1f7a4d"
HUES = ("#1466b8", "#c2571a", "#2a9d8f", "#8e5ea2", "#a07d12", "#d1495b", "#b5477e", "#4a7a2c", "#4656b0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Rows over decisions: ``values`` [rows, decisions] of 0..1, and what is said beside them."""

    name: str
    remark: str
    hue: str
    values: NDArray[np.float64]
    row: float

    @property
    def height(self) -> float:
        return float(np.clip(self.row * len(self.values), *BAND)) if len(self.values) else 14.0


def watched(
    entrant: Entrant,
    *,
    picture: Path | None,
    env: Environment | str | None = None,
    trace: Path | None = None,
    **options: Any,
) -> Evaluation:
    """``strl.loop.evaluate.evaluate``, and a picture of its first episode.

    Args:
        entrant, env, trace, options: as ``evaluate``'s.
        picture: file to draw it to, an SVG; ``None`` for none.

    Raises:
        UsageError: ``picture`` has another suffix or is no place for a file; said before anything is played.
        StrlError: as ``evaluate``'s; or the picture cannot be written.
        EnvironmentFault: as ``evaluate``'s; or, played again for its frames, it is another episode.
    """
    if picture is None:
        return evaluate(entrant, env=env, trace=trace, **options)
    if picture.suffix != ".svg":
        raise UsageError(
            f"{picture}: the picture is an SVG", hint=f"name it {picture.with_suffix('.svg').name}"
        )
    check_replaceable(picture)
    world = environment(entrant.semantics, env)
    with tempfile.TemporaryDirectory(prefix="strl-trace-") as folder:
        kept = Path(folder) / FILE if trace is None else trace
        found = evaluate(entrant, env=world, trace=kept, **options)
        write_text(picture, draw(found, Trace.load(kept), world), "the picture")
    return found


def draw(found: Evaluation, trace: Trace, world: Environment) -> str:
    """The picture of the episode that ``trace`` kept, as SVG; the same episode, the same text.

    Of an episode of more than ``MOST_DECISIONS`` the first are shown, as its axis says.

    Args:
        found: the run that the episode is the first of.
        world: where it was played; without frames of it where it draws none.

    Raises:
        EnvironmentFault: played again, it is another episode.
    """
    shown = min(len(trace.actions), MOST_DECISIONS)
    at = np.unique(np.rint(np.linspace(0, shown, FRAMES)).astype(int)).tolist()
    pictures = frames(world, trace, at)
    return "\n".join(_svg(_title(found, trace), list(bands(found, trace, shown)), pictures, shown)) + "\n"


def frames(world: Environment, trace: Trace, at: Sequence[int]) -> dict[int, Image]:
    """What the environment shows before each of the decisions ``at``, in their order; nothing if it cannot.

    Raises:
        EnvironmentFault: played again, it is another episode.
    """
    with world.opened() as plain:
        if "rgb_array" not in plain.metadata.get("render_modes", ()):
            return {}
    found = {}
    shown = replace(world, kwargs={**world.kwargs, "render_mode": "rgb_array"}, video=None)
    with shown.opened() as stage:
        seen, _ = stage.reset(seed=trace.seed)
        for decision in range(max(at) + 1):
            if decision in at:
                found[decision] = np.asarray(stage.render(), np.uint8)
            if decision == len(trace.actions):
                break
            if not np.array_equal(np.asarray(seen, np.float64), trace.observations[decision]):
                raise EnvironmentFault(
                    f"{world.id}: played again with seed {trace.seed}, it differs at step {decision}",
                    hint="the environment draws from something else than its seed",
                )
            action = trace.actions[decision]
            shape = stage.action_space.shape or ()
            seen, *_ = stage.step(action.reshape(shape) if action.ndim else action.item())
    return found


def bands(found: Evaluation, trace: Trace, shown: int) -> Iterator[Band]:
    """What was seen, each population in the order of the pipeline, what was done."""
    seen = trace.observations[:shown].reshape(shown, -1)
    yield Band(name="observed", remark=f"{seen.shape[1]} features", hue=SEEN, values=_spread(seen).T, row=7)
    order = sorted(found.computing, key=lambda name: trace.offsets[name])
    spikes = {name: _spikes(trace, name)[:shown] for name in order}
    most = max((int(counts.max()) for counts in spikes.values()), default=0) or 1
    short = _short(order)
    for position, (name, counts) in enumerate(spikes.items()):
        total = counts.sum(axis=0)
        busy = np.argsort(-total, kind="stable")[: int((total > 0).sum())]
        rate = f"{total.sum() / shown:.1f} spikes a decision" if len(busy) else "no spike"
        yield Band(
            name=short[name],
            remark=f"{len(busy)} of {len(total)} neurons\n{rate}",
            hue=HUES[position % len(HUES)],
            values=counts[:, busy].T / most,
            row=ROW,
        )
    acted = trace.actions[:shown]
    if acted.ndim == 1:
        kinds = np.unique(acted)
        values, remark = (acted[None] == kinds[:, None]).astype(np.float64), ", ".join(map(str, kinds))
    else:
        values, remark = _spread(acted.reshape(shown, -1)).T, "lowest to highest"
    yield Band(name="done", remark=f"actions {remark}", hue=DONE, values=values, row=9)


def _spikes(trace: Trace, name: str) -> NDArray[np.int64]:
    """Spikes of each neuron in each decision: [decisions, neurons]."""
    return np.asarray((trace.rasters[..., trace.populations[name]] != 0).sum(axis=1), np.int64)


def _spread(values: NDArray[Any]) -> NDArray[np.float64]:
    """Each column between its least and its most, as 0..1; 0 where it never changes."""
    low, high = values.min(axis=0), values.max(axis=0)
    return np.asarray((values - low) / np.where(high > low, high - low, 1.0), np.float64)


def _short(names: Sequence[str]) -> Mapping[str, str]:
    """The fewest last parts of dotted names that tell them apart."""
    found = {}
    for name in names:
        parts = name.split(".")
        ends = (".".join(parts[-k:]) for k in range(1, len(parts) + 1))
        found[name] = next(
            (end for end in ends if sum(f".{n}".endswith(f".{end}") for n in names) == 1), name
        )
    return found


def _title(found: Evaluation, trace: Trace) -> str:
    episode = next(e for e in found.episodes if e.seed == trace.seed)
    where = "float network" if found.chip is None else f"{found.chip} ({found.backend})"
    return (
        f"{found.subject} in {found.environment}, {where}, seed {trace.seed}: "
        f"return {number(episode.return_)} in {episode.length:,} decisions"
    )


def _svg(title: str, drawn: Sequence[Band], pictures: Mapping[int, Image], shown: int) -> Iterator[str]:
    top = 40.0
    strip = max((_frame(p)[1] for p in pictures.values()), default=0.0)
    first = top + (strip + 56 if pictures else 0)
    end = first + sum(band.height + GAP for band in drawn)
    width, height = LEFT + PLOT + RIGHT, end + 52
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="{width}" height="{height:.0f}" fill="white"/>'
    yield f'<text x="{LEFT}" y="24" font-size="15" font-weight="600">{escape(title)}</text>'
    yield from _strip(pictures, shown, top, strip, end)
    y = first
    for band in drawn:
        yield from _band(band, y)
        y += band.height + GAP
    yield from _axis(shown, end)
    yield "</svg>"


def _frame(picture: Image) -> tuple[float, float]:
    """Width and height of a frame in the strip, all of one width."""
    width = (PLOT - (FRAMES - 1) * GAP) / FRAMES
    return width, width * picture.shape[0] / picture.shape[1]


def _strip(pictures: Mapping[int, Image], shown: int, top: float, strip: float, end: float) -> Iterator[str]:
    """The frames, and from each a line down to its decision and along it."""
    for position, (decision, picture) in enumerate(pictures.items()):
        width, height = _frame(picture)
        x, y, to = LEFT + position * (width + GAP), top + strip, LEFT + PLOT * decision / shown
        yield (
            f'<path d="M{x + width / 2:.1f} {y + 22:.0f}V{y + 26:.0f}L{to:.1f} {y + 48:.0f}V{end:.0f}" '
            'fill="none" stroke="#a8b0bc" stroke-width="1"/>'
        )
        yield (
            f'<image x="{x:.1f}" y="{top:.0f}" width="{width:.1f}" height="{height:.1f}" '
            f'href="{data_url(picture)}"/>'
        )
        yield (
            f'<rect x="{x:.1f}" y="{top:.0f}" width="{width:.1f}" height="{height:.1f}" '
            'fill="none" stroke="#c3cad4"/>'
        )
        when = f"before decision {decision}" if decision < shown else f"after decision {decision - 1}"
        yield f'<text x="{x + width / 2:.1f}" y="{y + 17:.0f}" text-anchor="middle">{when}</text>'


def _band(band: Band, y: float) -> Iterator[str]:
    middle = y + band.height / 2
    box = f'x="{LEFT}" y="{y:.1f}" width="{PLOT}" height="{band.height:.1f}"'
    if len(band.values):
        yield (
            f'<image {box} preserveAspectRatio="none" style="image-rendering:pixelated" '
            f'href="{data_url(_coloured(band))}"/>'
        )
    yield f'<rect {box} fill="none" stroke="#c3cad4"/>'
    yield (
        f'<text x="{LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end" font-weight="600" '
        f'fill="{band.hue}">{escape(band.name)}</text>'
    )
    lines = band.remark.split("\n") if band.height >= BAND[0] else [band.remark.split("\n")[-1]]
    for k, line in enumerate(lines):
        yield (
            f'<text x="{LEFT + PLOT + 8}" y="{middle + 4 + 14 * (k - (len(lines) - 1) / 2):.1f}" '
            f'font-size="11" fill="#5b6673">{escape(line)}</text>'
        )


def _coloured(band: Band) -> Image:
    """Nothing is nearly white; from the least to the most, the band's colour grows from pale to full."""
    hue = np.array([int(band.hue[k : k + 2], 16) for k in (1, 3, 5)], np.float64)
    share = np.where(band.values > 0, 0.3 + 0.7 * band.values, 0.0)[..., None]
    mixed: NDArray[np.float64] = np.rint(np.array([248.0, 249, 251]) * (1 - share) + hue * share)
    return mixed.astype(np.uint8)


def _axis(shown: int, y: float) -> Iterator[str]:
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200) if shown <= 12 * s)
    for decision in range(0, shown + 1, step):
        x = LEFT + PLOT * decision / shown
        yield f'<text x="{x:.1f}" y="{y + 8:.0f}" text-anchor="middle" fill="#5b6673">{decision}</text>'
    yield f'<text x="{LEFT}" y="{y + 34:.0f}" fill="#5b6673">{CAPTION}</text>'
