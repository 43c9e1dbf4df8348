"""Lava's backends keep every promise of a backend, and our arithmetic is that of Lava's own model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hardware_sims.loihi.definition import LIMIT, lif, ternary
from strl.chip import backend
from strl.quantize.neurons import Lif, Ternary
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
    """One tick of many neurons in Lava's own LIF and TernaryLIF models, called without its runtime."""
    from lava.proc.lif.models import PyLifModelBitAcc, PyTernLifModelFixed

    rng = np.random.default_rng(0)
    n = 20_000
    ends = [0, 1, -1, LIMIT, LIMIT - 1, -LIMIT, 1 - LIMIT]
    for reach in (1, 1000, LIMIT, 2**31 - 2 * LIMIT):
        u = np.where(rng.random(n) < 0.1, rng.choice(ends, n), rng.integers(-reach, reach, n)).astype(
            np.int32
        )
        v = rng.integers(1 - LIMIT, LIMIT, n).astype(np.int32)
        a = rng.integers(-min(reach, 2**24), min(reach, 2**24) + 1, n).astype(np.int32)
        kind = Lif(du=rng.integers(0, 4096, n), dv=rng.integers(0, 4097, n), vth=rng.integers(0, 2**17, n))
        model = SimpleNamespace(
            u=u.copy(),
            v=v.copy(),
            du=kind.du,
            dv=kind.dv,
            vth=kind.vth,
            vth_hi=kind.vth,
            vth_lo=-kind.vth,
            ds_offset=1,
            dm_offset=0,
            decay_unity=4096,
            decay_shift=12,
            act_shift=6,
            vth_shift=6,
            max_uv_val=2**23,
            effective_bias=np.int32(0),
        )
        other = SimpleNamespace(**{**vars(model), "u": u.copy(), "v": v.copy()})
        PyLifModelBitAcc.subthr_dynamics(model, a)
        PyLifModelBitAcc.scale_threshold(model)
        spikes = PyLifModelBitAcc.spiking_activation(model)
        PyLifModelBitAcc.reset_voltage(model, spikes)
        before = [x.astype(np.int64)[None] for x in (u, v, a)]
        for name, mine, theirs in zip("uvs", lif(*before, kind), (model.u, model.v, spikes), strict=True):
            assert np.array_equal(mine[0], theirs), f"{name}, |u| up to {reach}"
        PyTernLifModelFixed.subthr_dynamics(other, a)
        PyTernLifModelFixed.scale_threshold(other)
        messages = PyTernLifModelFixed.spiking_activation(other)
        PyTernLifModelFixed.reset_voltage(other, messages)
        ours = ternary(*before, Ternary(du=kind.du, dv=kind.dv, high=kind.vth, low=-kind.vth))
        for name, mine, theirs in zip("uvs", ours, (other.u, other.v, messages), strict=True):
            assert np.array_equal(mine[0], theirs), f"ternary {name}, |u| up to {reach}"
