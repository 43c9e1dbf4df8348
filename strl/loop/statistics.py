"""Statistics of returns: interquartile mean and bootstrap intervals, deterministic.

Sources: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice" (IQM, stratified
percentile bootstrap); Efron and Tibshirani 1993, ch. 13 (percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

RESAMPLES = 2000
_SEED = 20240229
_CHUNK = 2_000_000  # values resampled at a time, which bounds memory


def iqm_rows(values: Float) -> Float:
    """Interquartile mean of each row: [rows, n] → [rows].

    The mean without the lowest and the highest ⌊n/4⌋ values.
    """
    from scipy.stats import trim_mean  # takes most of a second, which a worker that plays need not wait for

    return np.asarray(trim_mean(values, 0.25, axis=-1), dtype=np.float64)


def mean_rows(values: Float) -> Float:
    """Mean of each row: [rows, n] → [rows]."""
    return np.asarray(values.mean(axis=-1), dtype=np.float64)


def iqm(values: ArrayLike) -> float:
    """Interquartile mean of all values, see ``iqm_rows``."""
    return float(iqm_rows(np.asarray(values, dtype=np.float64).reshape(1, -1))[0])


def interval(
    *strata: ArrayLike,
    statistic: Callable[[Float], Float] = iqm_rows,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of a statistic, the same at every call.

    Args:
        strata: values [n], or several groups of them (one an environment, say); each is resampled within
            itself and the statistic taken over all.
        statistic: [resamples, n] → [resamples].
        level: probability that the interval shall hold.
        resamples: how often the values are drawn again.

    Returns:
        (low, high); ``None`` where a stratum has fewer than 2 values, which say nothing about their spread.
    """
    groups = [np.asarray(values, dtype=np.float64).ravel() for values in strata]
    if not groups or min(g.size for g in groups) < 2:
        return None
    rng = np.random.default_rng(_SEED)
    rows = max(1, _CHUNK // sum(g.size for g in groups))
    found: list[Float] = []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        drawn = [g[rng.integers(0, g.size, (count, g.size))] for g in groups]
        found.append(statistic(np.concatenate(drawn, axis=-1)))
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(np.concatenate(found), [tail, 100.0 - tail])
    return float(low), float(high)
