"""Which form the kernel's weights get, and what that costs."""

from __future__ import annotations

import numpy as np
import pytest

from hardware_sims.loihi import weights
from hardware_sims.loihi.kernel import columns
from strl.quantize.convolution import Kernel
from strl.quantize.network import Synapse


def synapse(weight: Kernel | np.ndarray) -> Synapse:
    return Synapse(name="w", pre="in", post="out", weight=weight)


def convolution(channels: int, side: int, out: int, *, width: int = 3, groups: int = 1) -> Synapse:
    weight = np.ones((out, channels // groups, width, width), np.int16)
    padding = (width // 2, width // 2)
    return synapse(Kernel(weight=weight, image=(channels, side, side), padding=padding, groups=groups))


def pruned(neurons: int, density: float) -> Synapse:
    rng = np.random.default_rng(0)
    return synapse((rng.random((neurons, neurons)) < density).astype(np.int16))


@pytest.mark.parametrize(
    ("made", "form"),
    [
        (synapse(np.ones((512, 512), np.int16)), columns.DENSE),
        (pruned(512, 0.3), columns.DENSE),
        (pruned(2048, 0.002), columns.LISTED),
        (convolution(8, 4, 8), columns.DENSE),
        (convolution(32, 8, 32), columns.SHARED),
        (convolution(32, 64, 64), columns.SHARED),
    ],
    ids=["dense", "pruned a little", "nearly empty", "small image", "image", "large image"],
)
def test_the_fastest_form(made: Synapse, form: int) -> None:
    assert weights.fastest(made) == form
    assert weights.Weights().add(made)[columns.FORM] == form


@pytest.mark.parametrize(
    "made",
    [
        convolution(32, 64, 64),
        convolution(4, 84, 32, width=8),
        convolution(64, 32, 64, groups=64),
        convolution(1, 128, 1, width=2),
    ],
    ids=["many channels", "wide kernel", "channel by channel", "one channel"],
)
def test_a_convolution_is_never_unrolled_beyond_the_cache(made: Synapse) -> None:
    """Unrolled, these are 10⁸ pairs of neurons and more."""
    room = weights.Weights()
    room.add(made)
    used = sum(array.nbytes for array in room.finish().values())
    neurons = sum(made.shape)
    assert used < weights.CACHE + 64 * neurons


def test_weights_begin_with_a_cache_line() -> None:
    room = weights.Weights()
    for made in (synapse(np.ones((40, 40), np.int16)), pruned(2048, 0.002), convolution(32, 8, 32)):
        room.add(made)
    for name, array in room.finish().items():
        assert array.size, name
        assert array.ctypes.data % 64 == 0, name
