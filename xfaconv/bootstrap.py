"""Confidence intervals of statistics of time series, from blocks of steps drawn with replacement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def block_bootstrap(
    series: NDArray[np.floating],
    statistic: Callable[[Numbers], Numbers],
    block: int,
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Numbers, Numbers]:
    """Confidence interval of a statistic of sums over time.

    Blocks are contiguous and close around the end of the record, so that every step is drawn equally often
    (Politis and Romano 1992). A block must be longer than the errors are correlated.

    Parameters
    ----------
    series : ndarray (time, ...)
        What is summed.
    statistic : callable
        Maps sums (repeat, ...) to values (repeat, ...).
    block : int
        Steps in a block.
    repeats : int
        Resampled records.
    level : float
        Coverage.
    seed : int
        Seed of the draws; the same seed draws the same blocks of any series of that length.

    Returns
    -------
    lower, upper : ndarray (...)

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(5, 1, size=(400, 1))
    >>> low, high = block_bootstrap(noise, lambda sums: sums[:, 0] / 400, block=1)
    >>> bool(low < 5 < high), round(float(high - low), 1)
    (True, 0.2)
    """
    steps = len(series)
    block = min(block, steps)
    random = np.random.default_rng(seed)
    starts = random.integers(steps, size=(repeats, -(-steps // block)))
    drawn = (starts[:, :, None] + np.arange(block)).reshape(repeats, -1)[:, :steps] % steps
    # Counting how often each step was drawn makes all sums one product of matrices.
    counts = np.zeros((repeats, steps))
    np.add.at(counts, (np.arange(repeats)[:, None], drawn), 1)
    values = statistic(np.tensordot(counts, np.asarray(series, dtype=np.float64), axes=1))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)
