"""Statistics against known values; comparisons that must find what was changed, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from strl.errors import EnvironmentFault, UsageError
from strl.ir import Network
from strl.ir.maps import Linear
from strl.loop.compare import Comparison, compare
from strl.loop.shadow import Moment, PopulationDifference
from strl.loop.statistics import interval, iqm, iqm_rows, mean_rows
from strl.testing.policies import PoleSubject, pole_network, pole_semantics

# Statistics


def test_the_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    assert iqm([1, 2, 3, 4]) == 2.5
    assert iqm([-1000, 1, 2, 3, 4, 5, 6, 1e9]) == 3.5  # 2..5 stay: ⌊8/4⌋ = 2 are dropped at each end
    assert iqm([7.0]) == 7.0
    assert iqm([1, 2, 6]) == 3.0
    values = np.random.default_rng(0).normal(size=101)
    assert iqm(values) == pytest.approx(np.sort(values)[25:76].mean())


def test_the_interval_is_the_percentile_bootstrap() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 200)
    found = interval(values, statistic=mean_rows)
    reference = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert found == pytest.approx((reference.low, reference.high), abs=0.05)
    half = 1.96 * values.std() / np.sqrt(200)
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)


def test_the_interval_is_the_same_every_time_and_holds_the_statistic() -> None:
    values = np.random.default_rng(3).exponential(size=50)
    low, high = interval(values) or (0.0, 0.0)
    assert interval(values) == (low, high)
    assert low < iqm(values) < high
    narrow = interval(values, level=0.5)
    assert narrow is not None
    assert low < narrow[0] < narrow[1] < high


def test_one_value_has_no_interval_and_equal_ones_a_point() -> None:
    assert interval([5.0]) is None
    assert interval([5.0, 5.0, 5.0]) == (5.0, 5.0)


def test_strata_are_resampled_apart() -> None:
    # Two constant strata: resampled together the mean would spread, apart it cannot.
    found = interval([0.0] * 10, [10.0] * 10, statistic=mean_rows)
    assert found == (5.0, 5.0)
    mixed = interval([0.0] * 10 + [10.0] * 10, statistic=mean_rows)
    assert mixed is not None
    assert mixed[0] < 4 < 6 < mixed[1]
    assert interval([1.0, 2.0], [3.0]) is None


def test_rows_are_taken_one_by_one() -> None:
    rows = np.array([[1.0, 2, 3, 4], [10, 20, 30, 400]])
    assert iqm_rows(rows).tolist() == [2.5, 25.0]
    assert mean_rows(rows).tolist() == [2.5, 115.0]


# Comparisons


def changed(network: Network, node: str, factor: float) -> Network:
    old = network.nodes[node]
    assert isinstance(old, Linear)
    return Network(
        nodes={**network.nodes, node: replace(old, weight=old.weight * factor)}, edges=network.edges
    )


def test_a_program_equals_itself_on_two_backends() -> None:
    found = compare(short(60), backend_a="definition", backend_b="loihi", episodes=3)
    assert found.a.digest == found.b.digest
    assert found.action_agreement == 1.0
    assert found.decisions == found.a.decisions
    assert found.equivalent
    assert found.ci95 == (0.0, 0.0)
    for population in found.populations.values():
        assert population.differing == 0
        assert population.first is None
        assert population.share == 0.0
        assert population.spikes_a == population.spikes_b > 0


def test_the_float_network_and_its_program_are_aligned_in_time() -> None:
    found = compare(short(200), episodes=2)
    assert (found.a.backend, found.b.backend) == ("float", "loihi")
    assert found.equivalent
    assert found.action_agreement > 0.95
    # One tick out of step and far more than every tenth spike differs.
    assert set(found.populations) == {"lif1", "lif2"}
    assert all(0 < p.share < 0.1 for p in found.populations.values())
    assert found.b.ticks_per_decision > found.b.driven_ticks == found.a.ticks_per_decision
    total = found.a.rates["lif1"] * 16 * found.a.ticks
    assert found.a.rates["lif1"] == pytest.approx(found.b.rates["lif1"], rel=0.1)
    assert found.populations["lif1"].spikes_a == pytest.approx(total)


def test_a_difference_shows_where_it_begins() -> None:
    """Only the second layer is changed, so only its neurons may differ where A drives."""
    other = short(100, network=changed(pole_network(), "fc2", 0.5))
    found = compare(short(100), other, backend_b="float", episodes=3, batch=2)
    assert found.populations["lif1"].differing == 0
    output = found.populations["lif2"]
    assert output.first is not None
    assert output.first.seed == 0
    assert output.spikes_b < output.spikes_a
    assert 0 < output.share <= 1
    assert 0 < found.action_agreement < 1


def test_the_first_difference_is_counted_from_rasters(tmp_path: Path) -> None:
    """Against traces: the shadow's first difference is the first in A's own episode while actions agree."""
    from strl.loop.evaluate import Entrant, evaluate
    from strl.loop.trace import Trace

    found = compare(PoleSubject(), episodes=1).populations["lif1"].first
    traces = []
    for backend in ("float", "loihi"):
        path = tmp_path / f"{backend}.npz"
        evaluate(Entrant.of(PoleSubject(), backend), episodes=1, trace=path)
        trace = Trace.load(path)
        start = trace.offsets["lif1"]
        traces.append(trace.rasters[:, start : start + 8, trace.populations["lif1"]])
    count = min(len(t) for t in traces)
    decision, tick = np.argwhere((traces[0][:count] != traces[1][:count]).any(axis=2))[0]
    assert found == Moment(seed=0, decision=int(decision), tick=int(tick))


def test_the_comparison_does_not_depend_on_the_batch() -> None:
    one, many = (compare(short(100), episodes=3, batch=b) for b in (1, 3))
    assert one.populations == many.populations
    assert one.action_agreement == many.action_agreement


def test_the_share_counts_places_where_either_spiked() -> None:
    # A spiked at 5 places, B at 4, 3 of them common: 3 differ of 6.
    found = PopulationDifference(spikes_a=5, spikes_b=4, differing=3, first=None)
    assert found.share == 0.5
    assert PopulationDifference(spikes_a=0, spikes_b=0, differing=0, first=None).share == 0.0


@pytest.mark.parametrize(
    ("a", "b", "scale", "equivalent"),
    [
        ([500, 500, 500, 500], [480, 480, 480, 480], 500, True),  # no spread: |IQM| is the scale
        ([500, 500, 500, 500], [470, 470, 470, 470], 500, False),
        ([-100, 300, 250, 260], [240, 240, 240, 240], 400, True),  # best − worst, above |IQM| = 255
        ([-90, -80, -80, -70], [-85, -85, -85, -85], 80, False),  # 5 > 0.05 · 80
        ([-90, -80, -80, -70], [-77, -77, -77, -77], 80, True),  # better by 3 is within as well
    ],
)
def test_equivalence_is_a_share_of_the_range_of_a(
    a: list[float], b: list[float], scale: float, equivalent: bool
) -> None:
    base = compare(short(), episodes=1)
    found = replace(base, a=with_returns(base.a, a), b=with_returns(base.b, b))
    assert found.scale == scale
    assert found.equivalent is equivalent


def with_returns(evaluation: Any, returns: list[float]) -> Any:
    episode = evaluation.episodes[0]
    return replace(
        evaluation, episodes=tuple(replace(episode, seed=i, return_=float(r)) for i, r in enumerate(returns))
    )


def short(steps: int = 6, **options: Any) -> PoleSubject:
    spec = replace(pole_semantics().environment, kwargs={"max_episode_steps": steps})
    return PoleSubject(semantics=pole_semantics(environment=spec), **options)


def test_both_runs_and_the_comparison_are_kept_and_continued(tmp_path: Path) -> None:
    found = compare(short(), episodes=3, output=tmp_path / "c")
    for side in ("a", "b"):
        assert len((tmp_path / "c" / side / "episodes.jsonl").read_text().splitlines()) == 3
    held = json.loads((tmp_path / "c" / "compare.json").read_text())
    assert held == json.loads(json.dumps(found.to_dict()))
    again = compare(short(), episodes=3, output=tmp_path / "c")
    assert again.to_dict() == found.to_dict()


def test_the_json_form_has_what_the_design_lists() -> None:
    data = compare(short(), episodes=2).to_dict()
    assert {"a", "b", "action_agreement", "return_difference", "equivalent", "populations"} <= set(data)
    assert {"mean", "ci95"} <= set(data["return_difference"])
    assert {"first_tick", "share"} <= set(data["populations"]["lif1"])
    assert data["a"]["backend"] == "float"
    assert data["b"]["backend"] == "loihi"


def test_subjects_of_other_spaces_cannot_be_compared() -> None:
    acrobot = replace(pole_semantics().environment, id="Acrobot-v1", observation_shape=(6,), actions=3)
    with pytest.raises(EnvironmentFault, match="CartPole-v1"):
        compare(short(), PoleSubject(semantics=pole_semantics(environment=acrobot)), episodes=1)


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_a_tolerance_that_makes_no_sense(tolerance: float) -> None:
    with pytest.raises(UsageError, match="tolerance"):
        compare(short(), episodes=1, tolerance=tolerance)


def test_a_comparison_is_a_value() -> None:
    found = compare(short(), episodes=2)
    assert isinstance(found, Comparison)
    assert found.differences.shape == (2,)
