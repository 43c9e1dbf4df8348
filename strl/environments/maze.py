"""Signposted mazes: random, large, a new one every episode.

The way is a matter of reading signs, so that a policy trained in some mazes can be right in every other. In
one view the floor's colours repeat along the way and what is seen says what to do; in the other signs are
read only on leaving a junction and tell the turn at the next, so that only memory can.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import depth_first_order, minimum_spanning_tree, shortest_path

from strl.environments.maze_picture import Cell, Image, Sign, picture, text
from strl.environments.sequence import Sequence, is_number

View = Literal["colours", "signs"]
VIEWS: tuple[View, ...] = ("colours", "signs")
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""North, east, south, west: (row, column); of two optimal moves the first is the expert's."""
COLOURS = 3
"""Distances to the goal, modulo this: neighbours differ by one, so three tell nearer from farther."""
BRANCHING = 0.1
"""Share of a depth-first tree's links that is replaced."""
SIZE_MAX = 101
TARGET = -52.0
"""Mean return of the optimal moves in mazes of 21 × 21."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A maze, its goal and what its expert would do.

    Args:
        open: [rows, columns, 4], whether one can move there.
        distance: [rows, columns], moves to the goal.
        move: [rows, columns], the optimal one; of several the first. Meaningless at the goal.
        start, goal: (row, column).
    """

    open: NDArray[np.bool_]
    distance: NDArray[np.int64]
    move: NDArray[np.int64]
    start: tuple[int, int]
    goal: tuple[int, int]


def plan(size: int, loops: float, rng: np.random.Generator) -> Plan:
    """A random maze of size × size cells: a spanning tree, and a share of the walls it leaves taken out.

    Depth-first trees wind far and hardly branch; so a share of their links is left for others to replace.
    """
    cells = size * size
    links = _links(size)
    order = rng.permutation(cells)  # a random numbering makes the depth-first order a random one
    ends = order[links]
    grid = csr_array((np.ones(len(links)), (ends[:, 0], ends[:, 1])), (cells, cells))
    _, before = depth_first_order(grid, int(rng.integers(cells)), directed=False)
    deep = (before[ends[:, 0]] == ends[:, 1]) | (before[ends[:, 1]] == ends[:, 0])
    cost = 1 + rng.random(len(links)) + ~(deep & (rng.random(len(links)) > BRANCHING))
    tree = minimum_spanning_tree(csr_array((cost, (links[:, 0], links[:, 1])), (cells, cells)))
    kept = np.asarray(tree[links[:, 0], links[:, 1]]).ravel() > 0
    kept |= rng.random(len(links)) < loops
    ways = links[kept]
    maze = csr_array((np.ones(len(ways)), (ways[:, 0], ways[:, 1])), (cells, cells))
    goal, start = (int(cell) for cell in rng.choice(cells, 2, replace=False))
    away = shortest_path(maze, directed=False, unweighted=True, indices=goal).astype(np.int64)
    distance = away.reshape(size, size)
    passable = np.zeros((size, size, 4), bool)
    for a, b in ways:
        (row, column), down = divmod(int(a), size), b - a == size
        passable[row, column, 2 if down else 1] = True
        passable[row + down, column + (not down), 0 if down else 3] = True
    nearer = passable & (_beside(distance) == distance[..., None] - 1)
    return Plan(
        open=passable,
        distance=distance,
        move=nearer.argmax(axis=2),
        start=(start // size, start % size),
        goal=(goal // size, goal % size),
    )


def _links(size: int) -> NDArray[np.int64]:
    """Pairs of neighbouring cells, the western or northern one first: [links, 2]."""
    cells = np.arange(size * size).reshape(size, size)
    east = np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()], axis=1)
    south = np.stack([cells[:-1].ravel(), cells[1:].ravel()], axis=1)
    return np.concatenate([east, south])


def _beside(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values of the four neighbours, −1 outside: [rows, columns, 4]."""
    padded = np.pad(values, 1, constant_values=-1)
    rows, columns = values.shape
    return np.stack([padded[1 + r : 1 + r + rows, 1 + c : 1 + c + columns] for r, c in MOVES], axis=2)


class Maze(gymnasium.Env[NDArray[np.float32], Any]):
    """A maze to find the goal of; every move costs 1, and one into a wall leads nowhere.

    Observations are of zeros and ones. Both views begin with the open sides (4). ``colours``: the colour of
    the floor here (3) and beyond each open side (4 × 3); the expert goes where the distance is one less.
    ``signs``: where an episode starts, and wherever a move began at a junction, a sign is read: the way from
    here (4), and the way at the next junction on it (4); elsewhere there is none, so that the way at a
    junction is known to those who remember the sign before it. ``info["expert"]`` has the optimal move, for
    training and for nobody else.

    Args:
        size: cells on a side, 3..101.
        view: see above.
        loops: share of a tree's walls that are missing; 0 leaves one way between any two cells.
        render_mode: ``rgb_array``, ``ansi`` or ``None``.

    Raises:
        ValueError: an argument of the wrong type or out of range.
    """

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 5}  # noqa: RUF012  # Gymnasium's own name and type

    def __init__(
        self, *, size: int = 21, view: View = "colours", loops: float = 0.0, render_mode: str | None = None
    ) -> None:
        if not is_number(size, Integral) or not 3 <= size <= SIZE_MAX:
            raise ValueError(f"size = {size!r}, must be an integer in 3..{SIZE_MAX}")
        if not is_number(loops) or not 0 <= loops <= 1:
            raise ValueError(f"loops = {loops!r}, must be a number in 0..1")
        if view not in VIEWS:
            raise ValueError(f"view = {view!r}, must be one of {', '.join(VIEWS)}")
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(f"render_mode = {render_mode!r}, must be None or one of {', '.join(modes)}")
        self.size, self.view, self.loops, self.render_mode = int(size), view, float(loops), render_mode
        features = 4 + COLOURS * 5 if view == "colours" else 4 + 8
        self.observation_space = spaces.Box(0.0, 1.0, (features,), np.float32)
        self.action_space = spaces.Discrete(4)
        self._limit = 2 * self.size**2

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self.plan = plan(self.size, self.loops, self.np_random)
        self.cell, self._moves, self._sign = self.plan.start, 0, True
        self._way, self._read = [self.cell], None if self.view == "colours" else self._words()
        return self._observation(), self._info()

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        self._sign = self._junction(self.cell)
        if self.plan.open[(*self.cell, int(action))]:
            self.cell = self._beyond(self.cell, int(action))
        self._moves += 1
        self._way.append(self.cell)
        if self._sign and self.view == "signs":
            self._read = self._words()
        found = self.cell == self.plan.goal
        return self._observation(), -1.0, found, not found and self._moves >= self._limit, self._info()

    def render(self) -> Image | str | None:
        """The maze, the way so far, the last sign: an image [height, width, 3], or characters (``ansi``)."""
        if self.render_mode == "ansi":
            return text(self.plan, self._way)
        if self.render_mode is None:
            return None
        return picture(self.plan, self._way, self._read, colours=self.view == "colours")

    def _beyond(self, cell: tuple[int, int], move: int) -> tuple[int, int]:
        return cell[0] + MOVES[move][0], cell[1] + MOVES[move][1]

    def _info(self) -> dict[str, Any]:
        return {"expert": int(self.plan.move[self.cell]), "distance": int(self.plan.distance[self.cell])}

    def _observation(self) -> NDArray[np.float32]:
        sides = self.plan.open[self.cell]
        seen = self._colours(sides) if self.view == "colours" else self._signs()
        return np.concatenate([sides, seen], dtype=np.float32)

    def _colours(self, sides: NDArray[np.bool_]) -> NDArray[np.float64]:
        kinds = np.eye(COLOURS)
        here = kinds[self.plan.distance[self.cell] % COLOURS]
        beyond = [
            kinds[self.plan.distance[self._beyond(self.cell, k)] % COLOURS] * 1.0
            if sides[k]
            else np.zeros(COLOURS)
            for k in range(4)
        ]
        return np.concatenate([here, *beyond])

    def _signs(self) -> NDArray[np.float64]:
        sign = np.zeros((2, 4))
        if self._sign and self._read is not None:
            sign[0, self._read.here] = 1.0
            if self._read.junction is not None:
                sign[1, self._read.there] = 1.0
        return sign.ravel()

    def _words(self) -> Sign:
        """What a sign in this cell says."""
        here, ahead = int(self.plan.move[self.cell]), self._next_junction()
        if ahead is None:
            return Sign(self.cell, here)
        return Sign(self.cell, here, ahead, int(self.plan.move[ahead]))

    def _junction(self, cell: tuple[int, int]) -> bool:
        return bool(self.plan.open[cell].sum() > 2)

    def _next_junction(self) -> Cell | None:
        """The first on the way from here to the goal, which ends the search."""
        cell = self.cell
        while cell != self.plan.goal:
            cell = self._beyond(cell, int(self.plan.move[cell]))
            if self._junction(cell):
                return None if cell == self.plan.goal else cell
        return None


def maze(*, target: float = TARGET, **kwargs: Any) -> Sequence:
    """A ``Maze`` with last action and return to go observed; what ``strl/Maze-v0`` makes.

    Args:
        target: return to go at the start. Nobody knows the way's length beforehand, so it is the same in all
            mazes; an expert's own data have what truly followed.
    """
    return Sequence(Maze(**kwargs), target=target)
