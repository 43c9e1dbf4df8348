"""What is measured of transformers: the measures, on small networks, and what the page says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import apart, attentions, conventional, equality, plots, transformers_page, windows
from strl.environments import register
from strl.loop.evaluate import Entrant, evaluate
from strl.loop.subject import of_policy
from strl.policies.checkpoint import Checkpoint, save
from strl.policies.decision_transformer import DecisionConfig
from strl.policies.threads import one_thread
from strl.training.maze_policy import _policy as maze_policy
from strl.training.maze_policy import configure_maze
from tests.test_transformer import transformer

register()
ROOT = Path(__file__).resolve().parents[1]
ENV = "strl/CartPoleHidden-v0"


def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "results" / "transformers.json").read_text("utf-8"))
    return found


class TestPage:
    def test_it_says_what_was_measured(self) -> None:
        found = measured()
        page = (ROOT / "docs" / "transformer.md").read_text("utf-8")
        for name, (made, needed) in transformers_page.TABLES.items():
            if found.keys() >= set(needed):
                assert made(found) in page, f"{name}: run `python -m benchmarks.transformers --table`"
        for name, (drawn, needed_part) in transformers_page.PLOTS.items():
            if needed_part in found:
                assert drawn(found) == (ROOT / "docs" / name).read_text("utf-8")

    def test_what_the_project_promises_was_reached(self) -> None:
        found = measured()
        for part in ("equality", "in-use"):
            for name, row in found.get(part, {}).items():
                assert row["decisions"] >= 100_000
                assert not any(row["unlike"].values()), (part, name)
        for name, row in found["streaming"].items():
            synops = [one["synops"] for one in row["contexts"]]
            assert max(synops) / min(synops) < 1.05, name
            assert min(row["closed_loop"].values()) >= 2000, name
        for name, row in found["lava"].items():
            assert row["decisions"] >= 1000
            assert len(set(row["digest"].values())) == 1, name

    def test_a_window_is_compared_at_the_same_firing(self) -> None:
        found = measured().get("windows")
        if found is not None:
            rows = [row for row in found["sdsa"] if "error" not in row] + [found["streaming"]]
            assert len({row["shared_spikes"] for row in rows}) == 1


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """As the benchmarks run: small networks are slower on many threads."""
    with one_thread():
        yield


@pytest.fixture
def kept(tmp_path: Path) -> str:
    path = tmp_path / "small.safetensors"
    save(Checkpoint(policy=transformer(), record={}), path)
    return str(path)


class TestEquality:
    @pytest.mark.parametrize("source", [equality.Walk, equality.InUse])
    def test_nothing_differs(self, kept: str, source: Callable[..., equality.Observed]) -> None:
        found = equality.equality(kept, source, decisions=160, slots=4)
        assert found["unlike"] == {"kernel": 0, "module": 0, "actions": 0}
        assert found["spikes"] > 1000
        assert found["decisions"] == 160
        assert (found["episodes"] > 4) == (source is equality.InUse), "a walk is never reset"

    def test_a_module_that_is_not_reset_is_found_out(
        self, kept: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(equality.ModuleAgent, "clear", lambda *_: None)
        found = equality.equality(kept, equality.InUse, decisions=160, slots=4)
        assert found["unlike"]["module"] > 0
        assert found["unlike"]["kernel"] == 0


class TestAttentions:
    def test_returns_and_firing_are_the_chips_whoever_plays_beside(self) -> None:
        policy = transformer(attention="sdsa")  # streaming's memories spike in quiet ticks too
        alone = attentions.played(policy, ENV, range(6), lanes=1)
        beside = attentions.played(policy, ENV, range(6), lanes=6)
        assert np.array_equal(alone[0], beside[0])
        assert alone[1] == pytest.approx(beside[1], rel=1e-6)
        chip = evaluate(Entrant.of(of_policy(policy), "loihi"), episodes=6)
        assert np.array_equal(beside[0], chip.returns)
        sent = np.sum([episode.spikes for episode in chip.episodes], axis=0)
        integrating = [p for p in chip.computing if p.split(".")[-1] not in ("out", "bind", "ask")]
        columns = np.concatenate([sent[chip.populations[p]] for p in integrating])
        assert beside[1] == pytest.approx(columns.mean() / (4 * chip.decisions), rel=1e-6)

    def test_without_attention_the_stream_gets_its_biases_alone(self) -> None:
        policy = transformer()
        before = [p.clone() for p in policy.module.parameters()]
        cut = attentions.without_attention(policy)
        block = cut.module.get_submodule("blocks.0.attention")
        added = [block(torch.ones(1, 24)) for _ in range(6)][-1]
        assert torch.equal(added[0], block.get_submodule("out").stored_bias)
        assert all(map(torch.equal, before, policy.module.parameters())), "the policy itself stays as it is"

    def test_what_the_chip_refuses_is_said_once_and_kept(self, tmp_path: Path) -> None:
        for kind, error in (("sdsa", None), ("ssa", "blocks.0.attention.score")):
            path = tmp_path / f"{kind}.safetensors"
            save(Checkpoint(policy=transformer(attention=kind), record={}), path)
            found = attentions._on_chip(path, lambda entrant: evaluate(entrant, episodes=2).iqm)
            assert (found["chip"] is None) == (error is not None)
            assert (found["error"] or "").startswith(error or "")
        calls: list[int] = []
        for _ in range(2):
            row = attentions._kept(tmp_path / "row.json", lambda: {"calls": len(calls) or calls.append(1)})
        assert row == {"calls": None}
        assert calls == [1]


class TestWindows:
    def test_a_window_has_the_weights_and_firing_of_streaming(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(windows, "COUNTED", 20)
        torch.manual_seed(0)
        policy = maze_policy(configure_maze(windows.ENV, given={"width": 16, "hidden": 16}, offline={}))
        with torch.no_grad():
            for parameter in policy.module.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(3.0)
        seen = np.random.default_rng(0).integers(0, 2, (30, 17)).astype(np.float64)
        rows = [windows.cost(windows.windowed(policy, k), seen) for k in (1, 3, 7)]
        streaming = windows.cost(policy, seen)
        assert len({row["shared_spikes"] for row in (*rows, streaming)}) == 1
        assert streaming["shared_spikes"] > 0
        assert rows[0]["neurons"] == rows[1]["neurons"] == streaming["neurons"]
        assert rows[2]["neurons"] == rows[0]["neurons"] + 6 * 16, "six populations that pass spikes on"
        assert rows[1]["synapses"] == rows[0]["synapses"] + 2 * 16


def test_a_loop_is_taken_apart_over_the_same_episodes() -> None:
    policy = of_policy(transformer())
    seen: list[int] = []

    class Counting:
        def __init__(self) -> None:
            self.agent = Entrant.of(policy, "loihi").agent(2)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.agent, name)

        def act(self, observations: Any) -> Any:
            actions = self.agent.act(observations)
            seen.append(hash((observations.tobytes(), actions.tobytes())))
            return actions

    found = apart.apart(Counting(), episodes=3)  # type: ignore[arg-type]
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :], "given again, it does again what it did"
    assert min(found.values()) > 0


def test_a_decision_transformers_energy_by_hand() -> None:
    shape = DecisionConfig(features=12, actions=4, width=40, hidden=120, blocks=2, context=20)
    done = conventional.work(shape)
    linear = 17 * 40 + 2 * (4 * 40 * 40 + 2 * 40 * 120) + 40 * 4
    assert done.weights == linear + 40
    assert done.kept == 2 * 2 * 3 * 20 * 40, (
        "keys and values, two blocks, three tokens, 20 decisions, width 40"
    )
    least, most = conventional.band(done, "int8")
    assert least == pytest.approx(done.macs * 0.23e-12)
    assert most - least == pytest.approx((linear + 40 + 9600) / 8 * 2.6e-9)
    single = conventional.band(done, "float32")
    assert single[1] - single[0] == pytest.approx(4 * (most - least))


def test_labels_of_lines_that_end_together_stand_apart() -> None:
    lines = {name: ("#000", [(1.0, 10.0), (100.0, end)]) for name, end in (("a", 50.0), ("b", 50.1))}
    drawn = plots.powers(lines, x=range(3), y=range(1, 4), title="x")
    heights = [int(line.split('y="')[1].split('"')[0]) for line in drawn.splitlines() if 'x="468"' in line]
    assert abs(heights[0] - heights[1]) >= 15
