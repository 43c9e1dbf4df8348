"""Codecs: plain data both ways, no row depends on its neighbours, spikes add up to the drive, ranges hold."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from hypothesis import given, settings
from hypothesis import strategies as st

from strl.codecs import (
    DECODERS,
    ENCODERS,
    decoder,
    default_codec,
    encoder,
    measured_ranges,
    ranges,
)
from strl.codecs.stream import Stream, fitting
from strl.errors import EnvironmentFault, ModelError, UsageError

LOW, HIGH = [-1.0, -2.0, -0.5], [1.0, 4.0, 0.5]
ENCODER_SPECS: list[dict[str, Any]] = [
    {"kind": "direct", "precision": 6},
    {"kind": "direct", "precision": 8, "gain": 2.0},
    {"kind": "rate"},
    {"kind": "rate", "random": True},
    {"kind": "latency"},
    {"kind": "population", "fields": 5},
    {"kind": "population", "fields": 10, "sigma": 0.05},
    {"kind": "sign-split"},
]
ENCODERS_HERE = [{**spec, "low": LOW, "high": HIGH} for spec in ENCODER_SPECS]
ENCODERS_HERE.append({"kind": "stream", "width": 3})
ENCODERS_HERE.append({"kind": "stream", "width": 3, "precision": 9, "step": 0.25})
DECODERS_HERE: list[dict[str, Any]] = [
    {"kind": "argmax", "actions": 3},
    {"kind": "argmax", "actions": 3, "per_action": 4, "first": -1},
    {"kind": "linear", "weight": [[1.0, 0.1, -0.2], [0.3, 1.0, 0.7]], "bias": [0.1, 0.0], "rates": True},
    {"kind": "tanh", "low": [-2.0, -1.0], "high": [2.0, 3.0], "shape": [2]},
    {
        "kind": "tanh",
        "low": [-1.0] * 4,
        "high": [1.0] * 4,
        "shape": [2, 2],
        "weight": [[0.3, -0.7, 1.1]] * 4,
        "bias": [0.1] * 4,
    },
]


def generators(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, k)) for k in range(count)]


def observed(seed: int, batch: int) -> np.ndarray:
    """Observations inside the range, beyond it, and on its edges."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, 3)) * 3
    edges = np.array([LOW, HIGH, [0, 0, 0], [1e300, -1e300, 1e300]])
    return np.concatenate([x, edges])[:batch] if batch < 4 else np.concatenate([x[4:], edges])


def test_every_kind_is_tested() -> None:
    assert {spec["kind"] for spec in ENCODERS_HERE} == set(ENCODERS)
    assert {spec["kind"] for spec in DECODERS_HERE} == set(DECODERS)


@pytest.mark.parametrize("spec", ENCODERS_HERE, ids=str)
def test_encoders_are_plain_data(spec: dict[str, Any]) -> None:
    made = encoder(spec)
    kept = json.loads(json.dumps(made.to_dict()))
    assert encoder(kept) == made
    assert kept == made.to_dict()
    assert spec.items() <= kept.items()


@pytest.mark.parametrize("spec", DECODERS_HERE, ids=str)
def test_decoders_are_plain_data(spec: dict[str, Any]) -> None:
    made = decoder(spec)
    kept = json.loads(json.dumps(made.to_dict()))
    assert decoder(kept) == made
    assert spec.items() <= kept.items()


@pytest.mark.parametrize("spec", ENCODERS_HERE, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 40), ticks=st.integers(1, 20))
def test_no_row_depends_on_its_neighbours(spec: dict[str, Any], seed: int, batch: int, ticks: int) -> None:
    made, x = encoder(spec), observed(seed, batch)
    together = made.encode(x, ticks, generators(batch))
    assert together.shape == (ticks, batch, made.size)
    assert together.dtype == np.int16
    for row in range(batch):
        alone = made.encode(x[row : row + 1], ticks, generators(batch)[row : row + 1])
        np.testing.assert_array_equal(alone[:, 0], together[:, row])


@pytest.mark.parametrize("spec", ENCODERS_HERE, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), ticks=st.integers(1, 30))
def test_levels_fit_their_bits(spec: dict[str, Any], seed: int, ticks: int) -> None:
    made = encoder(spec)
    levels = made.encode(observed(seed, 12), ticks, generators(12))
    if made.bits == 1:
        assert set(np.unique(levels)) <= {0, 1}
    else:
        most = 2 ** (made.bits - 1) - 1
        assert -most <= levels.min()
        assert levels.max() <= most


@settings(max_examples=50, deadline=None)
@given(x=st.floats(-1.0, 1.0), ticks=st.integers(1, 100))
def test_direct_is_the_value_to_half_a_step(x: float, ticks: int) -> None:
    made = encoder({"kind": "direct", "low": [-1.0], "high": [1.0], "precision": 8, "gain": 3.0})
    levels = made.encode(np.array([[x]]), ticks, generators(1))
    assert (levels == levels[0]).all()
    assert abs(levels[0, 0, 0] - 127 * x) <= 0.5 + 1e-9
    assert made.unit == 3.0 / 128


@settings(max_examples=50, deadline=None)
@given(x=st.floats(0.0, 1.0), ticks=st.integers(1, 100))
def test_spikes_add_up_to_the_drive_at_every_tick(x: float, ticks: int) -> None:
    made = encoder({"kind": "rate", "low": [0.0], "high": [1.0]})
    counts = made.encode(np.array([[x]]), ticks, generators(1))[:, 0, 0].cumsum()
    drive = np.arange(1, ticks + 1) * x
    assert (np.abs(counts - drive) < 1 + 1e-4).all()
    assert (counts <= drive + 1e-4).all()


def test_random_rates_are_the_drive_on_average_and_belong_to_the_episode() -> None:
    made = encoder({"kind": "rate", "low": [0.0], "high": [1.0], "random": True})
    x = np.array([[0.3]])
    spikes = made.encode(x, 20_000, generators(1))
    assert spikes.mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(spikes, made.encode(x, 20_000, generators(1)))
    assert (spikes != made.encode(x, 20_000, generators(1, seed=1))).any()
    with pytest.raises(UsageError, match="0 random generators for 1"):
        made.encode(x, 3, [])


def test_latency_is_one_spike_the_earlier_the_larger() -> None:
    made = encoder({"kind": "latency", "low": [0.0], "high": [1.0]})
    x = np.linspace(0, 1, 9)[:, None]
    levels = made.encode(x, 9, generators(9))
    assert (levels.sum(axis=0) == 1).all()
    np.testing.assert_array_equal(levels[:, :, 0].argmax(axis=0), np.arange(9)[::-1])


def test_population_is_popsan() -> None:
    """Against PopSAN's own loop: volt += drive; spike = volt > 0.999; volt -= spike * 0.999."""
    fields, sigma, ticks = 10, 0.15, 50
    x = np.random.default_rng(0).uniform(-3, 3, size=(40, 2))
    made = encoder(
        {
            "kind": "population",
            "low": [-3.0, -3.0],
            "high": [3.0, 3.0],
            "fields": fields,
            "sigma": sigma,
        }
    )
    centres = np.linspace(-3, 3, fields)
    drive = np.exp(-0.5 * ((x[:, :, None] - centres) / (3 * sigma)) ** 2).reshape(40, -1)
    volt, expected = np.zeros_like(drive), []
    for _ in range(ticks):
        volt += drive
        expected.append(volt > 0.999)
        volt -= expected[-1] * 0.999
    levels = made.encode(x, ticks, generators(40))
    assert (levels != np.array(expected)).mean() < 1e-3
    assert np.abs(levels.sum(axis=0) - np.array(expected).sum(axis=0)).max() <= 1


def test_sign_split_has_a_channel_for_each_sign() -> None:
    made = encoder({"kind": "sign-split", "low": [-2.0, 0.0], "high": [1.0, 4.0]})
    levels = made.encode(np.array([[-1.0, 3.0], [0.5, -9.0]]), 8, generators(2))
    np.testing.assert_array_equal(levels.sum(axis=0), [[0, 4, 6, 0], [4, 0, 0, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "dirct"}, "no encoder 'dirct'"),
        ({"kind": "direct", "fields": 3}, "has no field 'fields'"),
        ({"kind": "direct", "_span": [1.0]}, "has no field '_span'"),
        ({"kind": "direct", "precision": 1}, "precision = 1"),
        ({"kind": "direct", "precision": 6.5}, "precision = 6.5"),
        ({"kind": "direct", "gain": 0.0}, "gain = 0.0"),
        ({"kind": "direct", "gain": 1e308}, "gain = 1e\\+308"),
        ({"kind": "rate", "random": 1}, "random = 1"),
        ({"kind": "population", "fields": 1}, "fields = 1"),
        ({"kind": "population", "sigma": -1.0}, "sigma = -1.0"),
        ({"kind": "rate", "low": [0.0]}, "low has 1 features, high has 3"),
        ({"kind": "rate", "low": []}, "low must be a list"),
        ({"kind": "rate", "low": "abc"}, "low must be a list"),
        ({"kind": "rate", "low": [0.0, 4.0, 0.0]}, "feature 1: low = 4 must be below high = 4"),
        ({"kind": "rate", "high": [0.0, float("nan"), 0.0]}, r"high\[1\] = nan"),
        ({"kind": "rate", "low": [-1e308] * 3, "high": [1e308] * 3}, r"feature 0: the range .* is too wide"),
        ({"kind": "sign-split", "low": [0.5, 0.0, 0.0]}, "feature 0: the range 0.5..1 must hold 0"),
    ],
)
def test_bad_encoder_fields_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        encoder({"low": LOW, "high": HIGH, **change})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "argmax"}, "actions"),
        ({"kind": "argmax", "actions": 0}, "actions = 0"),
        ({"kind": "linear", "weight": []}, "weight must be rows"),
        ({"kind": "linear", "weight": [[1.0], [1.0, 2.0]]}, "weight must be rows of equal length"),
        ({"kind": "linear", "weight": [[1.0]], "bias": [1.0, 2.0]}, "bias has 2 values for 1 rows"),
        ({"kind": "tanh", "low": [0.0], "high": [1.0], "shape": [2]}, "1, 1 and 2 actions"),
        ({"kind": "tanh", "low": [2.0], "high": [1.0], "shape": [1]}, "low must not be above high"),
        ({"kind": "tanh", "low": [0.0], "high": [1.0], "shape": [1], "bias": [1.0]}, "bias without weight"),
    ],
)
def test_bad_decoder_fields_are_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        decoder(spec)


@pytest.mark.parametrize("spec", ENCODERS_HERE, ids=str)
def test_observations_that_do_not_fit_are_refused(spec: dict[str, Any]) -> None:
    made = encoder(spec)
    with pytest.raises(EnvironmentFault, match=r"shape \(2,\), must be \(3,\)"):
        made.encode(np.zeros((1, 2)), 4, generators(1))
    with pytest.raises(EnvironmentFault, match="not finite"):
        made.encode(np.array([[0.0, np.nan, 0.0]]), 4, generators(1))
    with pytest.raises(EnvironmentFault, match="not finite"):
        made.encode(np.array([[0.0, -np.inf, 0.0]]), 4, generators(1))


@pytest.mark.parametrize("spec", DECODERS_HERE, ids=str)
def test_no_action_depends_on_its_neighbours(spec: dict[str, Any]) -> None:
    made = decoder(spec)
    readout = np.random.default_rng(1).normal(size=(33, made.size))
    together = made.decode(readout, 8)
    for row in range(33):
        alone = made.decode(readout[row : row + 1].copy(), 8)
        np.testing.assert_array_equal(alone[0], together[row])


def test_argmax_takes_the_lowest_of_equals() -> None:
    made = decoder({"kind": "argmax", "actions": 3, "per_action": 2, "first": 5})
    actions = made.decode(np.array([[1, 1, 2, 0, 0, 0], [0, 0, 1, 1, 0, 3]], float), 4)
    assert actions.dtype == np.int64
    assert actions.tolist() == [5, 7]


def test_linear_decides_by_rates() -> None:
    spec = {"kind": "linear", "weight": [[1.0, 0.0], [0.0, 1.0]], "bias": [0.3, 0.0]}
    counts = np.array([[4.0, 5.0]])
    assert decoder(spec).decode(counts, 8).tolist() == [1]
    assert decoder({**spec, "rates": True}).decode(counts, 8).tolist() == [0]


def test_tanh_fills_its_bounds_and_no_more() -> None:
    made = decoder({"kind": "tanh", "low": [-2.0, 0.0], "high": [2.0, 1.0], "shape": [2, 1]})
    actions = made.decode(np.array([[0.0, 0.0], [1e9, -1e9]]), 8)
    assert actions.dtype == np.float32
    assert actions.shape == (2, 2, 1)
    np.testing.assert_array_equal(actions[:, :, 0], [[0.0, 0.5], [2.0, 0.0]])


@pytest.mark.parametrize("kind", sorted(set(ENCODERS) - {"stream"}))  # which no environment has
@pytest.mark.parametrize(
    "env_id", ["CartPole-v1", "Acrobot-v1", "MountainCarContinuous-v0", "Pendulum-v1", "LunarLander-v3"]
)
def test_every_box_has_a_codec(env_id: str, kind: str) -> None:
    env = gym.make(env_id)
    low, high = measured_ranges(env, steps=300)
    encode, decode = default_codec(
        env.observation_space, env.action_space, encoder_kind=kind, low=low, high=high
    )
    observation, _ = env.reset(seed=0)
    levels = encode.encode(observation[None], 8, generators(1))
    assert levels.shape == (8, 1, encode.size)
    action = decode.decode(np.zeros((1, decode.size)), 8)[0]
    assert env.action_space.contains(action)
    env.close()


def test_bounds_are_taken_where_there_are_some() -> None:
    encode, _ = default_codec(Box(-2.0, 3.0, (2, 2)), Discrete(4, start=-1))
    assert encode.to_dict()["low"] == [-2.0] * 4
    assert encode.to_dict()["high"] == [3.0] * 4


def test_ranges_ignore_outliers_and_keep_to_the_bounds() -> None:
    seen = np.concatenate([np.random.default_rng(0).uniform(-1, 1, (10_000, 2)), [[50.0, 50.0]]])
    low, high = ranges(seen, Box(np.array([-10.0, -0.5]), np.array([10.0, 0.5]), dtype=np.float64))
    assert high == [pytest.approx(1.1, abs=0.01), 0.5]
    assert low == [-value for value in high]


def test_ranges_need_not_be_symmetric_nor_move() -> None:
    seen = np.stack([np.linspace(2, 3, 500), np.full(500, 1000.0), np.zeros(500)], axis=1)
    box = Box(np.array([0, -2000, 0.0]), np.array([9, 2000, 0.0]), dtype=np.float64)
    low, high = ranges(seen, box, symmetric=False)
    assert low == [pytest.approx(1.95), 990.0, -1e-3]
    assert high == [pytest.approx(3.05), 1010.0, 1e-3]


@pytest.mark.parametrize(
    ("observations", "actions", "message"),
    [
        (Dict({"a": Box(0, 1, (1,))}), Discrete(2), "no encoder for observations of Dict"),
        (Discrete(3), Discrete(2), "no encoder for observations of Discrete"),
        (Box(0, 1, ()), Discrete(2), "no encoder"),
        (Box(0, 1, (2,)), MultiBinary(3), "no decoder for actions of MultiBinary"),
        (Box(0, 1, (2,)), Box(-np.inf, np.inf, (1,)), "have no bounds"),
        (Box(-np.inf, np.inf, (2,)), Discrete(2), "feature 0 of the observations has no low bound"),
    ],
)
def test_spaces_without_a_codec_are_refused(observations: Any, actions: Any, message: str) -> None:
    with pytest.raises(EnvironmentFault, match=message) as raised:
        default_codec(observations, actions)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("values", "given", "expected"),
    [
        ([0.0, 1.0, 1.0], {}, (1, 1.0)),
        ([0.0, 0.0], {}, (1, 1.0)),
        ([3.0, -2.0], {}, (3, 1.0)),
        ([0.75, -6.0], {}, (6, 0.25)),
        ([1024.0], {}, (2, 1024.0)),
        ([0.1, -1.0], {}, (12, 2.0**-10)),
        ([0.1, -1.0], {"precision": 8}, (8, 2.0**-6)),
        ([0.1, -1.0], {"step": 0.1}, (5, 0.1)),
        ([0.0, 1.0], {"precision": 4, "step": 0.5}, (4, 0.5)),
    ],
)
def test_a_stream_fits_its_values(values: list[float], given: dict[str, Any], expected: object) -> None:
    found = fitting(np.array(values), **given)
    assert found == expected
    made = Stream(width=len(values), precision=found[0], step=found[1])
    off = np.abs(made.levels(np.array(values)) * made.unit - values).max()
    assert off <= (made.unit / 2 if 0.1 in values else 0)
