"""Attention that waits in delays does on Lava what it does in the kernel."""

from __future__ import annotations

import numpy as np
import pytest

from hardware_sims.lava import LavaBackend, LavaFusedBackend
from hardware_sims.loihi import LoihiBackend
from strl.chip.compile import compile_network
from strl.chip.exporter import frontend
from strl.testing import random_spikes
from tests.test_transformer import LOIHI, transformer

pytestmark = pytest.mark.lava


@pytest.mark.parametrize("backend", [LavaBackend, LavaFusedBackend])
@pytest.mark.parametrize("context", [4, 7], ids=["window", "relayed"])
def test_sdsa(backend: type[LavaBackend], context: int) -> None:
    policy = transformer(seed=8, attention="sdsa", context=context)
    network, _ = frontend()(policy)
    program = compile_network(network, policy.semantics, LOIHI).program
    lava, kernel = backend().load(program), LoihiBackend().load(program, batch=1)
    spikes = 0
    try:
        for decision in range(10):
            drive = random_spikes(program, decision, batch=1)
            found, expected = lava.run(drive), kernel.run(drive)
            np.testing.assert_array_equal(found.raster, expected.raster)
            np.testing.assert_array_equal(found.readout, expected.readout)
            spikes += int(expected.raster.sum())
    finally:
        lava.close()
    assert spikes
