"""Lava's backends keep every promise of a backend, and our arithmetic is that of Lava's own model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hardware_sims.loihi.definition import LIMIT, update
from strl.chip import backend
from strl.quantize.neurons import Lif
from strl.testing import check_backend, check_program
from strl.testing.conformance import check_refusals
from strl.testing.policies import PoleSubject

pytestmark = pytest.mark.lava


@pytest.mark.parametrize("batch", [1, 3])
def test_fused(batch: int) -> None:
    check_backend(backend("lava-fused"), seeds=range(10), batch=batch)


def test_stock() -> None:
    program = PoleSubject().program()
    check_program(backend("lava"), program)
    check_refusals(backend("lava"), program)


def test_the_definition_is_lavas_model() -> None:
    """One tick of many neurons in Lava's own ``PyLifModelBitAcc``, called without its runtime."""
    from lava.proc.lif.models import PyLifModelBitAcc

    rng = np.random.default_rng(0)
    n = 20_000
    ends = [0, 1, -1, LIMIT, LIMIT - 1, -LIMIT, 1 - LIMIT]
    for reach in (1, 1000, LIMIT, 2**31 - 2 * LIMIT):
        u = np.where(rng.random(n) < 0.1, rng.choice(ends, n), rng.integers(-reach, reach, n)).astype(
            np.int32
        )
        v = rng.integers(1 - LIMIT, LIMIT, n).astype(np.int32)
        a = rng.integers(-min(reach, 2**24), min(reach, 2**24) + 1, n).astype(np.int32)
        lif = Lif(du=rng.integers(0, 4096, n), dv=rng.integers(0, 4097, n), vth=rng.integers(0, 2**17, n))
        model = SimpleNamespace(
            u=u.copy(),
            v=v.copy(),
            du=lif.du,
            dv=lif.dv,
            vth=lif.vth,
            ds_offset=1,
            dm_offset=0,
            decay_unity=4096,
            decay_shift=12,
            act_shift=6,
            vth_shift=6,
            max_uv_val=2**23,
            effective_bias=np.int32(0),
        )
        PyLifModelBitAcc.subthr_dynamics(model, a)
        PyLifModelBitAcc.scale_threshold(model)
        spikes = PyLifModelBitAcc.spiking_activation(model)
        PyLifModelBitAcc.reset_voltage(model, spikes)
        ours = update(*(x.astype(np.int64)[None] for x in (u, v, a)), lif)
        for name, mine, theirs in zip("uvs", ours, (model.u, model.v, spikes), strict=True):
            assert np.array_equal(mine[0], theirs), f"{name}, |u| up to {reach}"
