"""Mazes: the shortest way, what each view tells, data of the expert, and learning from them alone."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from numpy.typing import NDArray

from benchmarks import maze_page
from strl.environments import register
from strl.environments.maze import MOVES, TARGET, Maze, Plan, plan
from strl.training import mazes
from strl.training.mazes import TEST_MAZES, TRAINING_MAZES, collected

register()
ROOT = Path(__file__).resolve().parents[1]
REVERSE = (2, 3, 0, 1)


def walked(found: Plan) -> NDArray[np.int64]:
    """Distances to the goal, found by walking: breadth first."""
    distance = np.full(found.distance.shape, -1)
    distance[found.goal] = 0
    waiting = deque([found.goal])
    while waiting:
        row, column = waiting.popleft()
        for move, (down, right) in enumerate(MOVES):
            beyond = (row + down, column + right)
            if found.open[row, column, move] and distance[beyond] < 0:
                distance[beyond] = distance[row, column] + 1
                waiting.append(beyond)
    return distance


def plans(count: int, *, size: int = 11, loops: float = 0.0) -> list[Plan]:
    return [plan(size, loops, np.random.default_rng(seed)) for seed in range(count)]


class TestPlan:
    @pytest.mark.parametrize(("size", "loops"), [(3, 0.0), (11, 0.0), (11, 0.2), (21, 0.05)])
    def test_the_experts_moves_are_a_shortest_way(self, size: int, loops: float) -> None:
        for found in plans(20, size=size, loops=loops):
            assert np.array_equal(found.distance, walked(found))
            for cell in np.argwhere(found.distance > 0):
                nearer = [
                    move
                    for move, step in enumerate(MOVES)
                    if found.open[(*cell, move)]
                    and found.distance[tuple(cell + step)] < found.distance[tuple(cell)]
                ]
                assert found.move[tuple(cell)] == min(nearer), "of several, the first of N, E, S, W"

    def test_walls_stand_on_both_sides_and_around(self) -> None:
        for found in plans(20, loops=0.1):
            assert not found.open[0, :, 0].any()
            assert not found.open[:, -1, 1].any()
            assert np.array_equal(found.open[1:, :, 0], found.open[:-1, :, 2])
            assert np.array_equal(found.open[:, 1:, 3], found.open[:, :-1, 1])

    def test_without_loops_it_is_a_tree_and_with_them_it_is_not(self) -> None:
        assert {int(found.open.sum()) // 2 for found in plans(20)} == {11 * 11 - 1}
        assert all(found.open.sum() // 2 > 11 * 11 - 1 for found in plans(20, loops=0.2))

    def test_every_seed_is_another_maze_and_the_same_one_again(self) -> None:
        seen = {found.open.tobytes() for found in plans(300)}
        assert len(seen) == 300
        for seed, found in enumerate(plans(5)):
            again = plan(11, 0.0, np.random.default_rng(seed))
            assert np.array_equal(found.open, again.open)
            assert (found.start, found.goal) == (again.start, again.goal)


def everywhere(env: Maze) -> list[tuple[bytes, int]]:
    """What is seen in each cell but the goal without having moved there, and the expert's action."""
    found = []
    env._sign = False
    for cell in np.argwhere(env.plan.distance > 0):
        env.cell = (int(cell[0]), int(cell[1]))
        found.append((env._observation().tobytes(), int(env.plan.move[env.cell])))
    return found


def actions_seen(view: Any, *, loops: float = 0.0) -> dict[bytes, set[int]]:
    """For each observation the expert's actions, over all cells of 100 mazes."""
    env, actions = Maze(size=21, view=view, loops=loops), {}
    for seed in range(100):
        env.reset(seed=seed)
        for observation, action in everywhere(env):
            actions.setdefault(observation, set()).add(action)
    return actions


@pytest.mark.parametrize("loops", [0.0, 0.1])
def test_colours_determine_the_action(loops: float) -> None:
    actions = actions_seen("colours", loops=loops)
    assert len(actions) > 50
    assert all(len(found) == 1 for found in actions.values())


def test_signs_alone_do_not() -> None:
    actions = actions_seen("signs")
    assert len(actions) == 15, "of passed signs only the open sides are left"
    assert all(len(found) == np.frombuffer(seen, np.float32).sum() for seen, found in actions.items())


class Reader:
    """Follows signs: knows what it saw, where it came from and the last sign, and nothing else."""

    def __call__(self, observation: NDArray[np.float32]) -> int:
        sides, here, ahead = observation[:4] > 0, observation[4:8], observation[8:12]
        if here.any():
            self.turn = int(ahead.argmax()) if ahead.any() else None
            self.way = int(here.argmax())
        elif sides.sum() > 2:
            assert self.turn is not None
            self.way = self.turn
        else:  # a corridor: on, wherever it bends
            (self.way,) = (k for k in np.flatnonzero(sides) if k != REVERSE[self.way])
        return int(self.way)


@pytest.mark.parametrize("loops", [0.0, 0.1])
def test_signs_and_what_came_before_do(loops: float) -> None:
    env, decisions = Maze(size=21, view="signs", loops=loops), 0
    for seed in range(200):
        observation, info = env.reset(seed=seed)
        reader, over = Reader(), False
        while not over:
            action = reader(observation)
            assert action == info["expert"], f"seed {seed}"
            observation, _, over, _, info = env.step(action)
            decisions += 1
    assert decisions > 5000


def test_a_wrong_turn_is_told_by_the_next_sign() -> None:
    env, wrong = Maze(size=21, view="signs"), 0
    for seed in range(50):
        _, info = env.reset(seed=seed)
        for _ in range(100):
            sides = np.flatnonzero(env.plan.open[env.cell])
            off = [k for k in sides if k != info["expert"]]
            if len(sides) > 2 and off:
                observation, _, _, _, info = env.step(int(off[0]))
                assert observation[4:8].argmax() == info["expert"]
                wrong += 1
                break
            _, _, ended, _, info = env.step(info["expert"])
            if ended:
                break
    assert wrong > 20


class TestEnvironment:
    @pytest.mark.parametrize("env_id", ["strl/Maze-v0", "strl/MazeSigns-v0"])
    def test_gymnasiums_checker_passes(self, env_id: str) -> None:
        env = gymnasium.make(env_id, render_mode="rgb_array")
        check_env(env.unwrapped)
        observation, info = env.reset(seed=1)
        assert env.observation_space.contains(observation)
        assert observation[-5:].tolist() == [0, 0, 0, 0, TARGET]
        action = info["expert"]
        observation, reward, *_ = env.step(action)
        assert reward == -1
        assert observation[-5:].tolist() == [*np.eye(4)[action].tolist(), TARGET + 1]

    def test_a_wall_is_not_passed_and_an_episode_ends_at_the_goal(self) -> None:
        env = Maze(size=5)
        env.reset(seed=3)
        (wall, *_) = np.flatnonzero(~env.plan.open[env.cell])
        before = env.cell
        env.step(int(wall))
        assert env.cell == before
        ended, steps = False, 0
        while not ended:
            _, _, ended, cut, _ = env.step(int(env.plan.move[env.cell]))
            steps += 1
        assert env.cell == env.plan.goal
        assert not cut
        assert steps == env.plan.distance[env.plan.start]

    def test_who_never_arrives_is_stopped(self) -> None:
        env = Maze(size=3)
        env.reset(seed=0)
        (wall, *_) = np.flatnonzero(~env.plan.open[env.cell])
        ends = [env.step(int(wall))[2:4] for _ in range(18)]
        assert ends == [(False, False)] * 17 + [(False, True)]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *[("size", value) for value in (2, 200, 7.5, "7", True)],
            *[("loops", value) for value in (1.5, -0.1, float("nan"), "a", None, True)],
            ("view", "smells"),
            *[("render_mode", value) for value in ("human", "", 1)],
        ],
    )
    def test_what_makes_no_sense_is_refused(self, name: str, value: object) -> None:
        wrong: dict[str, Any] = {name: value}
        with pytest.raises(ValueError, match=f"^{name} = {value!r}, must be "):
            Maze(**wrong)


class TestData:
    def test_the_expert_is_optimal_and_its_return_to_go_is_the_way_left(self) -> None:
        found = collected("strl/MazeSigns-v0", TRAINING_MAZES[:4])
        assert np.array_equal(found.actions, found.answers)
        lengths = found.ends - np.flatnonzero(found.starts)
        for seed, length, end in zip(TRAINING_MAZES[:4], lengths, found.ends, strict=True):
            env = gymnasium.make("strl/MazeSigns-v0")
            _, info = env.reset(seed=seed)
            assert info["distance"] == length
            assert found.observations[end - length : end, -1].tolist() == list(range(-length, 0))

    def test_noise_moves_every_other_episode_and_leaves_the_answers_right(self) -> None:
        found = collected("strl/Maze-v0", TRAINING_MAZES[:10], noise=0.3)
        episode = np.cumsum(found.starts) - 1
        moved = found.actions != found.answers
        assert not moved[episode % 2 == 0].any()
        assert 0.1 < moved[episode % 2 == 1].mean() < 0.4

    def test_without_hindsight_it_is_what_a_policy_sees(self) -> None:
        found = collected("strl/Maze-v0", TEST_MAZES[:2], hindsight=False)
        assert found.observations[found.starts, -1].tolist() == [TARGET, TARGET]

    def test_no_maze_is_in_both_splits(self) -> None:
        assert not set(TRAINING_MAZES[:1000]) & set(TEST_MAZES[:1000])
        assert TRAINING_MAZES.stop <= TEST_MAZES.start


def test_a_minari_dataset_has_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", "")
    assert mazes.main([str(tmp_path), "--mazes", "6", "--noise", "0.2"]) == 0
    name = "strl/mazesigns-training-v0"
    found = mazes.read(tmp_path, name)
    expected = collected("strl/MazeSigns-v0", TRAINING_MAZES[:6], noise=0.2)
    for field in ("observations", "actions", "answers", "rewards", "starts"):
        mine, theirs = getattr(found, field), getattr(expected, field)
        assert np.array_equal(mine, theirs), field
        assert mine.dtype == theirs.dtype, field
    dataset = minari.load_dataset(name)
    assert dataset.total_steps == len(expected.starts)
    assert dataset.recover_environment().spec.id == "strl/MazeSigns-v0"


def test_the_page_says_what_was_measured() -> None:
    found = json.loads((ROOT / "results" / "maze.json").read_text("utf-8"))
    page = (ROOT / "docs" / "mazes.md").read_text("utf-8")
    for name, made in maze_page.TABLES.items():
        assert made(found) in page, f"{name}: run `python -m benchmarks.maze --table`"
    assert maze_page.plot(found) == (ROOT / "docs" / "mazes.svg").read_text("utf-8")
    if found.get("spike_costs"):
        assert maze_page.firing_plot(found) == (ROOT / "docs" / "maze-firing.svg").read_text("utf-8")


def test_a_charge_for_spikes_is_shown_over_its_firing() -> None:
    row = {"accuracy": 0.97, "cut": 0.7, "success": 0.9, "spikes": 20.0, "updates": 1000, "synops": 1234.0}
    row["energy"] = {"running_total_j": {"core": [1.5e-6, 1e-6, 2e-6]}}
    cheaper = {**row, "accuracy": 0.91, "spikes": 10.0}
    found = {"spike_costs": [{"spike_cost": 0.0, **row}, {"spike_cost": 3.0, **cheaper}]}
    table = maze_page.spike_costs(found)
    assert "| 0 | 97.00% | 70.00% | 90.00% | 2.0% / 6.5% | 1,234 | 1.50 µJ |" in table
    drawn = maze_page.firing_plot(found)
    assert drawn.count("<circle") == 2
    assert ">90%<" in drawn
    best = [{**row, "accuracy": 1.0} for row in found["spike_costs"]]
    assert ">98%<" in maze_page.firing_plot({"spike_costs": best})
    assert ">100%<" in drawn


def test_both_networks_have_as_many_parameters_and_the_floors_are_reached() -> None:
    found = json.loads((ROOT / "results" / "maze.json").read_text("utf-8"))
    for run in found["runs"]:
        rows = run["rows"]
        if "dt" in rows and "torch" in rows:
            assert 0.95 < rows["dt"]["parameters"] / rows["torch"]["parameters"] < 1.05
        for name, row in rows.items():
            assert row["accuracy"] >= 0.996, (run["view"], run["seed"], name)
            assert row["success"] >= 0.98
    synops = [row["synops"] for row in found["context"]["streaming"]]
    assert max(synops) / min(synops) < 1.05
