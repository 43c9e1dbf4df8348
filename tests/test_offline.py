"""Learning from data alone: layers over many ticks at once, windows of episodes, resuming, the baseline."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from strl.cli.main import main
from strl.environments import register
from strl.errors import UsageError
from strl.policies.checkpoint import load
from strl.policies.chip_layers import ChipLeaky
from strl.policies.decision_transformer import DecisionConfig, DecisionLearner, DecisionTransformer
from strl.policies.transformer import SpikingTransformer, TransformerConfig
from strl.training import maze_policy
from strl.training.maze_policy import MazeTraining, configure_maze, train_maze
from strl.training.mazes import TRAINING_MAZES, Episodes, collected
from strl.training.offline import Offline, OfflineRun, Stream, Streaming, accuracy
from strl.training.scan import over_ticks
from strl.training.sequence import price

register()
torch.set_num_threads(1)  # networks so small are slower on more
TICKS, REST = 4, 9


@pytest.fixture(autouse=True)
def few_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are of few mazes, and nobody walks through them: who was hardly trained walks on for long."""
    monkeypatch.setattr("strl.training.maze_policy.returns", lambda *_, **__: np.array([-5.0, -7.0]))
    monkeypatch.setattr("strl.training.maze_policy.TESTED", 20)


SMALL = MazeTraining(
    env="strl/Maze-v0", width=16, hidden=16, offline=Offline(mazes=20, updates=4, lanes=8, window=6, every=2)
)


def network(seed: int = 0, *, floor: float | None = None) -> SpikingTransformer:
    """A small one in which every layer spikes; ``floor`` takes the place of the registers' end."""
    torch.manual_seed(seed)
    module = SpikingTransformer(TransformerConfig(inputs=10, outputs=4, width=24, hidden=32, input_unit=2.0))
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3)
        for part in neurons(module):
            part.threshold.fill_(0.5 if part.resets else 1.5)  # of memories above one spike
            part.floor = part.floor if floor is None else floor
    return module


def neurons(module: SpikingTransformer) -> list[ChipLeaky]:
    return [part for part in module.modules() if isinstance(part, ChipLeaky)]


def one_by_one(module: SpikingTransformer, x: Tensor, starts: Tensor) -> Tensor:
    """The last potential of each decision, tick by tick, as the network itself computes."""
    found = []
    for decision, fresh in enumerate(starts):
        for part in neurons(module):
            if part.mem.ndim > 1:
                part.mem = torch.where(fresh[:, None], 0.0, part.mem)
        for tick in range(TICKS):
            module(x[decision * TICKS + tick])
        found.append(neurons(module)[-1].mem)
        for part in neurons(module):
            part.rest(REST)
    return torch.stack(found)


def at_once(module: SpikingTransformer, x: Tensor, starts: Tensor) -> Tensor:
    with over_ticks(module, starts, ticks=TICKS, rest=REST):
        found: Tensor = module(x)[TICKS - 1 :: TICKS]
    return found


class TestScan:
    x = torch.randint(-1, 2, (6 * TICKS, 5, 10), generator=torch.Generator().manual_seed(1)) * 2.0
    starts = torch.rand((6, 5), generator=torch.Generator().manual_seed(2)) < 0.2

    @pytest.mark.parametrize("floor", [None, -0.75])
    def test_all_ticks_at_once_are_those_one_by_one(self, floor: float | None) -> None:
        slow, fast = network(floor=floor), network(floor=floor)
        assert torch.equal(one_by_one(slow, self.x, self.starts), at_once(fast, self.x, self.starts))
        for a, b in zip(neurons(slow), neurons(fast), strict=True):
            assert torch.equal(a.mem, b.mem), "the state that is left"
        again = torch.zeros_like(self.starts)
        assert torch.equal(one_by_one(slow, self.x, again), at_once(fast, self.x, again)), "and gone on from"

    @pytest.mark.parametrize("floor", [None, -0.75])
    def test_the_gradient_is_that_of_snntorch(self, floor: float | None) -> None:
        slow, fast = network(floor=floor), network(floor=floor)
        weight = torch.randn((6, 5, 4), generator=torch.Generator().manual_seed(3))
        (one_by_one(slow, self.x, self.starts) * weight).sum().backward()  # type: ignore[no-untyped-call]
        (at_once(fast, self.x, self.starts) * weight).sum().backward()  # type: ignore[no-untyped-call]
        for (name, a), b in zip(slow.named_parameters(), fast.parameters(), strict=True):
            assert a.grad is not None
            assert b.grad is not None
            assert a.grad.abs().max() > 0, f"{name}: an equality of zeros proves little"
            assert torch.allclose(a.grad, b.grad, rtol=1e-3, atol=1e-4 * float(a.grad.abs().max())), name

    def test_the_floor_changes_nothing_where_it_is_not_reached(self) -> None:
        found = []
        for floor in (None, -math.inf, -0.75):
            module = network(floor=floor)
            out = at_once(module, self.x, self.starts)
            torch.autograd.backward(out.square().sum())
            found.append([out, *(part.grad for part in module.parameters())])
        free, bottomless, bounded = found
        assert all(torch.equal(a, b) for a, b in zip(free, bottomless, strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(free, bounded, strict=True))

    def test_afterwards_the_module_is_as_it_was(self) -> None:
        module = network()
        with pytest.raises(RuntimeError), over_ticks(module, self.starts, ticks=TICKS, rest=REST):
            module(torch.zeros(TICKS, 5, 11))
        assert all("forward" not in part.__dict__ for part in module.modules())


class TestStream:
    def episodes(self) -> Episodes:
        n = 100
        rows = np.arange(n)
        return Episodes(
            observations=rows[:, None].astype(np.float32),
            actions=rows,
            answers=rows,
            rewards=np.zeros(n, np.float32),
            starts=rows % 13 == 0,
        )

    def test_every_lane_goes_through_its_own_part(self) -> None:
        stream = Stream(self.episodes(), lanes=4, window=10)
        first, second, third = (stream.window(k) for k in range(3))
        assert first["answers"][:, 1].tolist() == list(range(25, 35))
        assert second["answers"][:, 1].tolist() == list(range(35, 45))
        assert third["answers"][:, 3].tolist() == [*range(95, 100), *range(75, 80)]
        assert third["starts"][5].all(), "what comes after the end of a lane's part is new to it"
        assert first["starts"][:, 0].tolist() == [True] + 9 * [False]
        assert second["starts"][:, 0].tolist() == [False] * 3 + [True] + 6 * [False]

    def test_too_little_data_is_refused(self) -> None:
        with pytest.raises(UsageError, match="too few"):
            Stream(self.episodes(), lanes=20, window=10)


class TestTraining:
    def test_it_learns_what_colours_say(self, tmp_path: Path) -> None:
        options = replace(SMALL, offline=Offline(mazes=40, updates=60, lanes=16, window=8, rate=2e-2))
        done = train_maze(options, tmp_path / "p.safetensors")
        record = load(tmp_path / "p.safetensors").record
        assert record["accuracy"] > 0.7  # by chance half or less
        assert record["returns"]["test_mean"] == done.test.mean() == -6
        assert record["offline"]["updates"] == 60

    def test_strl_train_makes_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = tmp_path / "maze.safetensors"
        small = ["--width", "16", "--hidden", "16", "--updates", "2"]
        start = ["train", "--env", "strl/Maze-v0", "--policy", "transformer", "-o", str(output)]
        monkeypatch.setattr("strl.training.maze_policy.data", lambda *_: collected(SMALL.env, range(80)))
        monkeypatch.setattr("sys.argv", ["strl", *start, *small])
        assert main([*start, *small]) == 0
        assert "float IQM" in capsys.readouterr().out
        assert load(output).record["command"].startswith("strl train --env strl/Maze-v0 --policy transformer")
        assert main([*start, "--rounds", "3"]) == 2
        assert "--rounds: strl/Maze-v0 is learned from data" in capsys.readouterr().err

    @pytest.mark.parametrize("norm", [False, True])
    def test_an_interrupted_run_ends_as_a_whole_one(self, norm: bool, tmp_path: Path) -> None:
        options = replace(SMALL, norm=norm)
        data = collected(SMALL.env, TRAINING_MAZES[:20])
        whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
        train_maze(options, whole, episodes=lambda: data)

        class Stop(Exception):
            pass

        class Breaking(Stream):
            def window(self, update: int) -> dict[str, Any]:
                if update == 3:
                    raise Stop
                return super().window(update)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("strl.training.offline.Stream", Breaking)
            with pytest.raises(Stop):
                train_maze(options, broken, episodes=lambda: data)
        assert not broken.exists()
        train_maze(options, broken, episodes=lambda: data)
        a, b = (load(path).policy.module.state_dict() for path in (whole, broken))
        assert all(torch.equal(a[name], b[name]) for name in a)

    @pytest.mark.parametrize("norm", [False, True])
    def test_four_bits_go_on_from_eight(self, norm: bool, tmp_path: Path) -> None:
        first = tmp_path / "first.safetensors"
        data = collected(SMALL.env, TRAINING_MAZES[:20])
        options = replace(SMALL, norm=norm)
        train_maze(options, first, episodes=lambda: data)
        still = replace(SMALL.offline, updates=1, rate=0.0)
        tuned = replace(options, weight_bits=4, after=str(first), offline=still)
        train_maze(tuned, tmp_path / "tuned.safetensors", episodes=lambda: data)
        before, after = load(first).policy, load(tmp_path / "tuned.safetensors").policy
        assert (before.weight_bits, after.weight_bits) == (None, 4)
        for mine, theirs in zip(after.module.parameters(), before.module.parameters(), strict=True):
            assert torch.equal(mine, theirs)

    def test_another_architecture_is_refused(self, tmp_path: Path) -> None:
        first = tmp_path / "first.safetensors"
        train_maze(SMALL, first)
        with pytest.raises(UsageError, match="no such transformer"):
            train_maze(replace(SMALL, width=20, after=str(first)), tmp_path / "other.safetensors")

    def test_spikes_cost_nothing_at_first_and_everything_from_half_way(self) -> None:
        """A charge from the start would silence attention before it is of use."""

        def trained(updates: int, cost: float) -> dict[str, Tensor]:
            options = replace(SMALL.offline, updates=6, spike_cost=cost)
            learner = Streaming(maze_policy._policy(SMALL))
            run = OfflineRun(learner, lambda: maze_policy.data(SMALL.offline, SMALL.env), options)
            stream = Stream(maze_policy.data(SMALL.offline, SMALL.env), lanes=8, window=6)
            for update in range(updates):
                run._update(stream.window(update))
                run.done += 1
            return learner.module.state_dict()

        def same(updates: int) -> bool:
            torch.manual_seed(0)
            free = trained(updates, 0.0)
            torch.manual_seed(0)
            dear = trained(updates, 10.0)
            return all(torch.equal(value, dear[name]) for name, value in free.items())

        assert same(1)
        assert not same(2)
        assert [price(0.4, part) for part in (0.0, 0.25, 0.5, 1.0)] == [0.0, 0.2, 0.4, 0.4]

    @pytest.mark.parametrize("wrong", [{"updates": 0}, {"window": -1}, {"noise": 2.0}, {"spike_cost": -1.0}])
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(UsageError):
            configure_maze("strl/Maze-v0", given={}, offline=wrong)


class TestDecisionTransformer:
    config = DecisionConfig(features=3, actions=2, width=8, hidden=12, context=5)

    def made(self) -> DecisionTransformer:
        torch.manual_seed(0)
        return DecisionTransformer(self.config)

    def test_neither_the_future_nor_another_episode_is_seen(self) -> None:
        module, x = self.made(), torch.randn(1, 5, 6)
        starts = torch.tensor([[True, False, True, False, False]])
        before = module(x, starts)
        for changed, seen in ((4, [4]), (2, [2, 3, 4]), (0, [0, 1])):
            other = x.clone()
            other[0, changed] += 1.0
            differs = (module(other, starts) - before).abs().amax(2)[0] > 1e-6
            assert np.flatnonzero(differs.numpy()).tolist() == seen

    def test_it_acts_on_the_last_decisions_as_it_reads_them(self) -> None:
        learner = DecisionLearner(self.made())
        rng = np.random.default_rng(0)
        x = rng.normal(size=(12, 3, 6)).astype(np.float32)
        starts = np.zeros((12, 3), bool)
        starts[0] = starts[7, 1] = True
        with torch.no_grad():
            read = learner.read(x, starts)[0].argmax(2).numpy()
        for decision in range(12):
            if decision:
                learner.clear(np.flatnonzero(starts[decision]).tolist())
            acted = learner(x[decision])
            if decision >= self.config.context - 1:  # before, reading counts positions from elsewhere
                assert np.array_equal(acted, read[decision])

    def test_its_multiplications_are_counted(self) -> None:
        module = self.made()
        linear = 2 * (4 * 64 + 2 * 8 * 12)  # of a token, all blocks
        assert module.macs(1, cached=True) == 6 * 8 + 3 * linear + 2 * 2 * 8 * (1 + 2 + 3) + 16
        assert module.macs(1, cached=True) == module.macs(1, cached=False)
        grown = [module.macs(n, cached=True) for n in (10, 11, 12)]
        assert grown[2] - grown[1] == grown[1] - grown[0] == 2 * 2 * 8 * 3 * 3

    def test_it_is_trained_as_the_other_is(self, tmp_path: Path) -> None:
        data = collected("strl/Maze-v0", TRAINING_MAZES[:40])
        torch.manual_seed(0)
        shape = DecisionConfig(features=19, actions=4, width=16, hidden=32, context=8)
        learner = DecisionLearner(DecisionTransformer(shape))
        options = Offline(updates=60, lanes=16, window=8, rate=1e-2)
        before = accuracy(learner, data)
        OfflineRun(learner, lambda: data, options).train(tmp_path / "dt.safetensors")
        assert accuracy(learner, data) > max(before, 0.6)


def test_accuracy_is_of_each_episode_from_its_start() -> None:
    class Parrot(Streaming):
        """Says 1 from the third decision of an episode on, 0 before."""

        def __init__(self) -> None:
            self.module = torch.nn.Module()

        def read(self, observations: Any, starts: Any) -> tuple[Tensor, Tensor]:
            assert starts[0].all()
            chosen = (torch.arange(len(observations)) >= 2).long()[:, None].expand(observations.shape[:2])
            return torch.eye(2)[chosen], torch.zeros(())

        def remember(self, memory: Any) -> None:
            return

    answers = np.array([0, 0, 1, 1, 0, 0, 1, 0, 1], np.int64)
    episodes = Episodes(
        observations=np.zeros((9, 1), np.float32),
        actions=answers,
        answers=answers,
        rewards=np.zeros(9, np.float32),
        starts=np.array([1, 0, 0, 0, 1, 0, 0, 1, 0], bool),
    )
    assert accuracy(Parrot(), episodes) == 8 / 9
