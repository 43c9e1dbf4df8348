"""What a maze looks like: walls, the way so far, start, goal, agent, the last sign; and in characters."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from numpy.typing import NDArray

from strl.environments import register
from strl.environments.maze import MOVES, Maze
from strl.environments.maze_picture import AGAIN, AGENT, GOAL, ONCE, SIDE, SIGN, START, TINTS, WALL, WHITE

register()


def maze(seed: int = 0, *, moves: int = 0, **options: object) -> Maze:
    """After that many moves of the expert."""
    env = Maze(render_mode="rgb_array", **{"size": 9, "view": "signs", **options})  # type: ignore[arg-type]
    env.reset(seed=seed)
    for _ in range(moves):
        env.step(int(env.plan.move[env.cell]))
    return env


def seen(env: Maze) -> NDArray[np.uint8]:
    image = env.render()
    assert isinstance(image, np.ndarray)
    return image


def at(image: NDArray[np.uint8], size: int, row: float, column: float) -> tuple[int, ...]:
    """The colour in a place that is given in cells."""
    scale = len(image) // size
    return tuple(image[int(row * scale), int(column * scale)].tolist())


def middle(env: Maze, cell: tuple[int, int]) -> tuple[int, ...]:
    return at(seen(env), env.size, cell[0] + 0.5, cell[1] + 0.5)


@pytest.mark.parametrize("size", [3, 9, 21, 101])
def test_the_sides_are_even_and_about_as_long_for_every_maze(size: int) -> None:
    image = seen(maze(size=size))
    assert image.dtype == np.uint8
    assert image.shape[0] == image.shape[1]
    assert image.shape[0] % 2 == 0  # as films want them
    assert 0.75 * SIDE < image.shape[0] <= SIDE


def test_walls_are_where_no_way_is() -> None:
    env = maze()
    image = seen(env)
    for row, column, move in np.ndindex(9, 9, 4):
        down, right = MOVES[move]
        border = at(image, 9, row + 0.5 + 0.49 * down, column + 0.5 + 0.49 * right)
        assert (border == WALL) == (not env.plan.open[row, column, move])


def test_start_goal_and_agent_are_where_they_are() -> None:
    env = maze(moves=3)
    assert middle(env, env.plan.start) == START
    assert middle(env, env.cell) == AGENT
    image = seen(env)
    row, column = env.plan.goal
    assert at(image, 9, row + 0.5, column + 0.5 + 0.25) == GOAL


def test_the_way_is_blue_and_red_where_it_was_walked_twice() -> None:
    env = maze(view="colours", moves=2)
    (first, second) = env._way[0], env._way[1]
    between = ((first[0] + second[0] + 1) / 2, (first[1] + second[1] + 1) / 2)
    assert at(seen(env), 9, *between) == ONCE
    back = MOVES.index((first[0] - second[0], first[1] - second[1]))
    env = maze(view="colours", moves=1)
    env.step(back)
    env.step(int(env.plan.move[env.cell]))
    assert at(seen(env), 9, *between) == AGAIN
    assert not (seen(maze(view="colours")) == ONCE).all(axis=2).any()


def test_a_step_into_a_wall_draws_nothing() -> None:
    env = maze(view="colours")
    before = seen(env)
    env.step(int(np.flatnonzero(~env.plan.open[env.cell])[0]))
    assert np.array_equal(seen(env), before)


def test_the_last_sign_points_out_of_the_junction_it_speaks_of() -> None:
    env = maze(seed=1)
    assert env._read is not None
    junction, there = env._read.junction, MOVES[env._read.there]
    assert junction is not None
    spot = junction[0] + 0.5 + 0.35 * there[0], junction[1] + 0.5 + 0.35 * there[1]
    assert at(seen(env), 9, *spot) == SIGN
    while env.cell != junction:
        env.step(int(env.plan.move[env.cell]))
        assert at(seen(env), 9, *spot) == SIGN
    env.step(int(env.plan.move[env.cell]))  # and there is the next sign
    assert at(seen(env), 9, *spot) != SIGN


def test_colours_of_the_floor_are_shown_where_the_policy_sees_them() -> None:
    env = maze(view="colours")
    far = [cell for cell in np.ndindex(9, 9) if cell not in (env.plan.goal, env.cell)]
    assert all(middle(env, cell) == TINTS[env.plan.distance[cell] % 3] for cell in far)
    assert all(at(seen(maze()), 9, r + 0.3, c + 0.7) in (WHITE, SIGN, GOAL) for r, c in far)


def test_in_characters() -> None:
    env = gymnasium.make("strl/MazeSigns-v0", size=4, render_mode="ansi")
    env.reset(seed=2)
    inner = env.unwrapped
    assert isinstance(inner, Maze)
    inner.step(int(inner.plan.move[inner.cell]))
    drawn = inner.render()
    assert isinstance(drawn, str)
    lines = drawn.split("\n")
    assert [len(line) for line in lines] == [17] * 9
    for mark, cell in (("@", inner.cell), ("G", inner.plan.goal), ("·", inner.plan.start)):
        assert lines[2 * cell[0] + 1][4 * cell[1] + 2] == mark
    for row, column in np.ndindex(4, 4):
        assert (lines[2 * row + 1][4 * column + 4] == " ") == inner.plan.open[row, column, 1]
        assert (lines[2 * row + 2][4 * column + 2] == " ") == inner.plan.open[row, column, 2]
