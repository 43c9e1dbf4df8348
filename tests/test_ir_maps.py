"""Maps and neurons of a Network against torch, and against formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from strl.errors import ModelError
from strl.ir import LIF, Conv, Map, Pool, Reshape, Scale


def neurons(**options: Any) -> LIF:
    plain: dict[str, Any] = {
        "alpha": np.zeros(1),
        "beta": np.full(1, 0.5),
        "threshold": np.ones(1),
        "reset": "zero",
        "reset_delay": False,
    }
    return LIF(**{**plain, **options})


def spikes(lif: LIF, inputs: list[float]) -> list[float]:
    state = lif.start(1)
    return [float(lif.step(np.full((1, 1), x), state, driven=True)[0, 0]) for x in inputs]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_convolution_is_torchs(data: st.DataObject) -> None:
    axes = data.draw(st.sampled_from([1, 2]))
    few = st.integers(1, 3)
    window, stride, dilation = (tuple(data.draw(few) for _ in range(axes)) for _ in range(3))
    padding = tuple(data.draw(st.integers(0, 2)) for _ in range(axes))
    groups, per_in, per_out = data.draw(few), data.draw(few), data.draw(few)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    theirs = kind(
        groups * per_in, groups * per_out, window, stride, padding, dilation, groups, dtype=torch.float64
    )
    x = rng.normal(size=(2, groups * per_in, *(9, 7)[:axes]))
    ours = Conv(
        weight=theirs.weight.detach().numpy(),
        bias=theirs.bias.detach().numpy(),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    found = ours.step(x, {}, driven=True)
    assert found.shape[1:] == ours.output_shape(x.shape[1:])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    dense = ours.matrix(x.shape[1:]) @ x.reshape(2, -1).T
    np.testing.assert_allclose(dense.T, ours.apply(x).reshape(2, -1), atol=1e-12)


@pytest.mark.parametrize("stride", [(2, 2), (1, 2)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0)])
def test_pooling_is_torchs(stride: tuple[int, int], padding: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 7))
    ours = Pool(window=(2, 3), stride=stride, padding=padding, mode="mean")
    theirs = nn.AvgPool2d((2, 3), stride, padding)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours.apply(x), theirs, atol=1e-12)
    summed = Pool(window=(2, 3), stride=stride, padding=padding, mode="sum")
    np.testing.assert_allclose(summed.apply(x), theirs * 6, atol=1e-12)


def test_a_batch_of_one_computes_what_a_large_one_does() -> None:
    rng = np.random.default_rng(1)
    conv = Conv(weight=rng.normal(size=(4, 3, 3, 3)), stride=(1, 1), padding=(1, 1), dilation=(1, 1))
    x = rng.normal(size=(17, 3, 8, 8))
    together = conv.apply(x)
    assert all(np.array_equal(conv.apply(x[k : k + 1])[0], together[k]) for k in range(17))


@pytest.mark.parametrize(
    ("made", "shape", "message"),
    [
        (Scale(scale=np.ones(3)), (2,), "does not fit an input of"),
        (Scale(scale=np.ones((2, 2))), (2,), "does not fit an input of"),
        (Reshape(shape=(6,)), (2, 4), "does not fit"),
        (Pool(window=(2,), stride=(1,), padding=(0,), mode="sum"), (1, 1), "nothing is left"),
        (Pool(window=(2,), stride=(1,), padding=(0,), mode="sum"), (4,), "channels and 1 axes"),
        (
            Conv(weight=np.ones((2, 3, 2)), stride=(1,), padding=(0,), dilation=(1,)),
            (2, 5),
            "must be 3 channels",
        ),
    ],
)
def test_what_does_not_fit_is_refused(made: Map, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        made.output_shape(shape)


def test_rest_ticks_have_no_bias() -> None:
    scale = Scale(scale=np.full(2, 2.0), bias=np.ones(2))
    assert scale.step(np.ones((1, 2)), {}, driven=True).tolist() == [[3.0, 3.0]]
    assert scale.step(np.ones((1, 2)), {}, driven=False).tolist() == [[2.0, 2.0]]


class TestNeurons:
    def test_subtract_takes_a_second_threshold_off_the_next_tick_and_once_does_not(self) -> None:
        # v = 3, one threshold taken off: 2 is still above it. snnTorch takes another before it compares.
        assert spikes(neurons(reset="subtract", beta=np.ones(1)), [3, 0, 0, 0]) == [1, 0, 0, 0]
        assert spikes(neurons(reset="once", beta=np.ones(1)), [3, 0, 0, 0]) == [1, 1, 0, 0]

    def test_as_many_spikes_as_thresholds_fit(self) -> None:
        many = neurons(reset="once", beta=np.ones(1), multiple=True)
        assert spikes(many, [3.5, 0.5, -9, 8]) == [3, 1, 0, 0]
        assert spikes(neurons(multiple=True), [3.5, 0.5]) == [3, 0]

    def test_inclusive(self) -> None:
        assert spikes(neurons(), [1.0]) == [0]
        assert spikes(neurons(inclusive=True), [1.0]) == [1]

    def test_drive_start_and_floor(self) -> None:
        integrator = neurons(threshold=np.full(1, np.inf), reset="none", drive=0.25, start_v=2.0, floor=-0.5)
        assert spikes(integrator, [0, 0, -9, 0]) == [1.25, 0.875, -0.5, 0.0]

    def test_a_grain_cuts_off_what_decay_leaves_towards_zero(self) -> None:
        coarse = neurons(threshold=np.full(1, np.inf), reset="none", grain=0.25)
        assert spikes(coarse, [0.75, 0, -2, 0, 0]) == [0.75, 0.25, -2.0, -1.0, -0.5]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"reset": "once", "reset_delay": True},
            {"multiple": True, "reset": "subtract"},
            {"multiple": True, "threshold": np.zeros(1)},
            {"drive": np.nan},
            {"floor": np.inf},
            {"start_v": np.ones(2)},
            {"reset": "twice"},
            {"grain": -1.0},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ModelError):
            neurons(**wrong)
