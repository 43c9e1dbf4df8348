"""Whether Lava really runs here; what ``strl doctor`` asks."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import numpy as np

from hardware_sims.lava import compat
from strl.errors import BackendError


def check() -> str:
    """Run two stock neurons for three ticks and compare their potential with the definition.

    Returns:
        One line for the user: the version that ran.

    Raises:
        BackendError: Lava is missing or cannot run, or computes something else; the hint is the command.
    """
    compat.load()
    from lava.proc.dense.process import Dense
    from lava.proc.lif.process import LIF

    from hardware_sims.lava.runtime import Cluster
    from hardware_sims.loihi.definition import update
    from strl.quantize.network import Lif

    lif = Lif(du=np.array([0, 2048]), dv=np.array([0, 1024]), vth=np.array([1000, 1000]))
    weight = np.array([[2, 0], [0, 4]])
    neurons = LIF(shape=(2,), u=100, v=0, du=lif.du.copy(), dv=lif.dv.copy(), vth=lif.vth.copy())
    dense = Dense(weights=weight)
    neurons.s_out.connect(dense.s_in)
    dense.a_out.connect(neurons.a_in)
    u, v = np.full((1, 2), 100, np.int64), np.zeros((1, 2), np.int64)
    for _ in range(3):
        u, v, _ = update(u, v, np.zeros((1, 2), np.int64), lif)
    found: list[object] = []
    cluster = Cluster(neurons, [neurons, dense])
    try:
        cluster.steps(3)
        cluster.call(lambda: found.append(neurons.v.get().tolist()))
    finally:
        cluster.close()
    if found != [v[0].tolist()]:
        raise BackendError(
            f"backend 'lava': potentials {found[0]} after 3 ticks, must be {v[0].tolist()}",
            hint=compat.INSTALL,
        )
    try:
        return f"lava-nc {version('lava-nc')} runs"
    except PackageNotFoundError:
        return "lava runs (version unknown)"
