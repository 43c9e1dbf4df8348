"""Files of other producers as snnTorch modules: what their own simulators gave, from a torch module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from exporters.snntorch import to_module
from strl import load_module
from strl.errors import ModelError
from strl.testing.cases import Case, cases

torch.set_num_threads(1)

CASES = cases(Path(__file__).parents[2] / "shared" / "cases" / "producers")
REFUSED = {"nengo_fc_lif": "a substep-lif is no module of snnTorch's"}

pytestmark = pytest.mark.skipif(not CASES, reason="no shared cases beside this checkout")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_module_gives_what_the_producer_gave(case: Case) -> None:
    if case.name in REFUSED:
        with pytest.raises(ModelError, match=REFUSED[case.name]):
            load_module(case.graph, producer=case.producer)
        return
    module = to_module(case.subject.network, dtype=torch.float64)
    with torch.no_grad():
        given = np.stack([module(x[None]).numpy()[0] for x in torch.from_numpy(case.values)])
    assert given.shape == case.wanted.shape
    assert np.abs(given - case.wanted).max() <= case.tolerance
