"""Mazes to look at: as pixels from above, and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from strl.environments.maze import Plan

Cell = tuple[int, int]
Image = NDArray[np.uint8]

SIDE = 504
"""Pixels that a picture's side is near; a multiple of 21, the cells of the usual maze."""

WALL, WHITE = (38, 43, 51), (255, 255, 255)
TINTS = (WHITE, (216, 231, 246), (246, 230, 204))
"""Floor without colours, and with them: by the distance to the goal modulo 3."""
ONCE, AGAIN = (134, 180, 226), (214, 92, 104)
START, GOAL, AGENT, SIGN = (120, 128, 140), (36, 150, 84), (18, 84, 168), (240, 166, 0)


@dataclass(frozen=True, slots=True)
class Sign:
    """What a sign said: at ``cell`` to go ``here``, and at the ``junction`` ahead to go ``there``."""

    cell: Cell
    here: int
    junction: Cell | None = None
    there: int = 0


def picture(plan: Plan, way: Sequence[Cell], sign: Sign | None = None, *, colours: bool = False) -> Image:
    """The maze from above: [height, width, 3], both even, as films want them.

    The way so far is blue, red where a passage was taken more than once; the start is grey, the goal green,
    the agent dark blue. The last sign is yellow: a diamond where it was read, and an arrow out of that cell
    and out of the junction it speaks of, each on the side it says.

    Args:
        way: cells the agent was in, the start first, the present one last.
        sign: the last that was read.
        colours: shows the floor's.
    """
    size = len(plan.distance)
    scale = max(4, SIDE // size // 2 * 2)
    image = _floor(plan, scale, colours)
    _walk(image, way, scale)
    _disc(image, plan.start, scale, 0.16, START)
    _disc(image, plan.goal, scale, 0.38, GOAL)
    _disc(image, plan.goal, scale, 0.15, WHITE)
    if sign is not None and sign.cell == plan.goal:
        sign = None  # from there it leads nowhere
    if sign is not None:
        _diamond(image, sign.cell, scale)
    _disc(image, way[-1], scale, 0.36, WHITE)
    _disc(image, way[-1], scale, 0.31, AGENT)
    if sign is not None:
        _arrow(image, sign.cell, sign.here, scale)
        if sign.junction is not None:
            _arrow(image, sign.junction, sign.there, scale)
    return image


def text(plan: Plan, way: Sequence[Cell]) -> str:
    """The maze in characters, three a cell: ``@`` is the agent, ``G`` the goal, ``·`` where it was before."""
    marks = {**dict.fromkeys(way, "·"), plan.goal: "G", way[-1]: "@"}
    size = len(plan.distance)
    lines = []
    for row in range(size):
        lines.append("+" + "+".join("   " if plan.open[row, k, 0] else "---" for k in range(size)) + "+")
        cells = "".join(
            f" {marks.get((row, k), ' ')} " + (" " if plan.open[row, k, 1] else "|") for k in range(size)
        )
        lines.append("|" + cells)
    return "\n".join([*lines, "+" + "---+" * size])


def _floor(plan: Plan, scale: int, colours: bool) -> Image:
    """Floor and walls; the wall between two cells is drawn by both of them."""
    tint = np.array(TINTS, np.uint8)[plan.distance % 3 if colours else np.zeros_like(plan.distance)]
    image = tint.repeat(scale, 0).repeat(scale, 1)
    size, thick = len(plan.distance), max(1, scale // 12)
    tiles = image.reshape(size, scale, size, scale, 3).transpose(0, 2, 1, 3, 4)  # a view: [row, column, y, x]
    shut = ~plan.open
    tiles[shut[..., 0], :thick] = WALL
    tiles[shut[..., 1], :, -thick:] = WALL
    tiles[shut[..., 2], -thick:] = WALL
    tiles[shut[..., 3], :, :thick] = WALL
    low, high = slice(thick), slice(-thick, None)
    for y, x in ((low, low), (low, high), (high, low), (high, high)):
        tiles[:, :, y, x] = WALL  # of walls that meet in a corner, none may be this cell's
    return image


def _walk(image: Image, way: Sequence[Cell], scale: int) -> None:
    taken: dict[tuple[Cell, Cell], int] = {}
    for a, b in pairwise(way):
        if a != b:  # else a wall was run into
            taken[min(a, b), max(a, b)] = taken.get((min(a, b), max(a, b)), 0) + 1
    wide = max(1, scale // 8)
    for times, colour in ((1, ONCE), (2, AGAIN)):  # red over blue
        for (a, b), count in taken.items():
            if min(count, 2) == times:
                low, high = (np.array(cell) * scale + scale // 2 for cell in (a, b))
                image[low[0] - wide : high[0] + wide, low[1] - wide : high[1] + wide] = colour


def _disc(image: Image, cell: Cell, scale: int, radius: float, colour: tuple[int, int, int]) -> None:
    y, x = _around(scale)
    _blend(image, cell, scale, radius - np.hypot(y, x), colour)


def _diamond(image: Image, cell: Cell, scale: int) -> None:
    y, x = _around(scale)
    _blend(image, cell, scale, 0.44 - np.abs(y) - np.abs(x), SIGN)


def _arrow(image: Image, cell: Cell, move: int, scale: int) -> None:
    """A triangle on the cell's side, pointing out of it."""
    y, x = _around(scale)
    ahead, aside = ((-y, x), (x, y), (y, x), (-x, y))[move]
    _blend(image, cell, scale, np.minimum(ahead - 0.2, (0.5 - ahead) * 1.3 - np.abs(aside)), SIGN)


def _around(scale: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates of a cell's pixels, rows and columns, from its middle in cells."""
    middle = (np.arange(scale) + 0.5) / scale - 0.5
    return middle[:, None], middle[None, :]


def _blend(
    image: Image, cell: Cell, scale: int, inside: NDArray[np.float64], colour: tuple[int, int, int]
) -> None:
    """Paint where ``inside`` (cells to the border, outside negative) is positive, with soft edges."""
    part = image[cell[0] * scale :, cell[1] * scale :][:scale, :scale]
    share = np.clip(inside * scale + 0.5, 0, 1)[..., None]
    part[:] = np.rint(part * (1 - share) + np.array(colour) * share).astype(np.uint8)
