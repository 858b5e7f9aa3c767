"""Skill of one forecast beside others on unseen steps, with intervals from a bootstrap over blocks of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network
from xfaconv.training.evaluation import damping, four_digits, predict_windows, tiling_windows
from xfaconv.training.lim import fit_linear_inverse_model
from xfaconv.training.sampling import WindowSource

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
MODEL = "model"


@dataclass(frozen=True, eq=False)
class Verification:
    """Area-weighted sums over the cells of each step, from which scores over any set of steps follow.

    Parameters
    ----------
    sums : ndarray (time, variable, 5)
        Squared error, forecast times truth, squared forecast, squared truth, and weight.
    """

    sums: NDArray[np.float64]

    def rmse(self) -> NDArray[np.float64]:
        """Root mean square error of each variable, in its units."""
        total = self.sums.sum(axis=0)
        return np.asarray(np.sqrt(total[:, 0] / total[:, 4]))

    def anomaly_correlation(self) -> NDArray[np.float64]:
        """Correlation of forecast and observed anomalies over all cells and steps, the mean not taken away."""
        total = self.sums.sum(axis=0)
        return np.asarray(total[:, 1] / np.sqrt(np.maximum(total[:, 2] * total[:, 3], np.finfo(float).tiny)))


def verify(
    forecast: NDArray[np.floating],
    truth: NDArray[np.floating],
    area: NDArray[np.floating],
    scale: NDArray[np.floating],
) -> Verification:
    """Compare forecasts with the truth.

    Parameters
    ----------
    forecast, truth : ndarray (time, variable, lat, lon)
        Standardised anomalies; the truth is NaN where missing.
    area : ndarray (lat, lon)
        Cell areas.
    scale : ndarray (variable, lat, lon)
        Standard deviation that the anomalies were divided by, in the units of the variable.

    Returns
    -------
    Verification

    Examples
    --------
    >>> ones = np.ones((6, 1, 2, 3))
    >>> found = verify(ones, 2 * ones, ones[0, 0], 3 * ones[0])
    >>> found.rmse(), found.anomaly_correlation()
    (array([3.]), array([1.]))
    """
    weight = area * (np.isfinite(truth) & np.isfinite(scale))
    guess, seen = np.nan_to_num(forecast * scale), np.nan_to_num(truth * scale)
    parts = ((guess - seen) ** 2, guess * seen, guess**2, seen**2, np.ones_like(seen))
    return Verification(np.stack([(weight * part).sum(axis=(-1, -2)) for part in parts], axis=-1).astype(np.float64))


def block_bootstrap(
    series: NDArray[np.floating],
    statistic: Statistic,
    block: int,
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of a statistic of sums over time, from blocks of steps drawn with replacement.

    Blocks are contiguous and close around the end of the record, so that every step is drawn equally often
    (Politis and Romano 1992). A block must be longer than the errors are correlated.

    Parameters
    ----------
    series : ndarray (time, column)
        What is summed.
    statistic : callable
        Maps sums (repeat, column) to values (repeat,).
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
    (float, float)
        Lower and upper end.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(5, 1, size=(400, 1))
    >>> low, high = block_bootstrap(noise, lambda sums: sums[:, 0] / 400, block=1)
    >>> bool(low < 5 < high), round(high - low, 1)
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
    values = statistic(counts @ np.asarray(series, dtype=np.float64))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def compare(
    found: Mapping[str, Verification], names: list[str], block: int, *, reference: str = MODEL, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Tabulate forecasts beside a reference, with intervals of the ratio of errors over the same blocks.

    Parameters
    ----------
    found : Mapping of str to Verification
        Each forecast's, of the same steps.
    names : list of str
        Variables.
    block : int
        Steps in a block.
    reference : str
        The forecast that stands over the others in the ratios.
    seed : int
        Seed of the blocks.

    Returns
    -------
    dict
        For each variable and forecast ``"rmse"`` and ``"anomaly_correlation"``, and for each but the reference
        ``"ratio"``: RMSE of the reference over this one's with its 95% interval (below 1: the reference is better).
    """
    table: dict[str, dict[str, Any]] = {}
    for position, name in enumerate(names):
        table[name] = {}
        ours = found[reference].sums[:, position, 0]
        for method, verification in found.items():
            row: dict[str, Any] = {
                "rmse": four_digits(verification.rmse()[position]),
                "anomaly_correlation": four_digits(verification.anomaly_correlation()[position]),
            }
            if method != reference:
                pair = np.stack([ours, verification.sums[:, position, 0]], axis=1)
                low, high = block_bootstrap(pair, lambda sums: np.sqrt(sums[:, 0] / sums[:, 1]), block, seed=seed)
                ratio = np.sqrt(pair[:, 0].sum() / pair[:, 1].sum())
                row["ratio"] = [four_digits(value) for value in (ratio, low, high)]
            table[name][method] = row
    return table


def verify_network(
    network: Network,
    source: WindowSource,
    grid: Grid,
    scale: NDArray[np.floating],
    *,
    test: slice,
    segment: int,
    warmup: int,
    lead: int = 1,
) -> tuple[Verification, NDArray[np.int64]]:
    """Verify a network's forecasts on the test steps.

    Parameters
    ----------
    network : Network
        The network.
    source : WindowSource
        Standardised anomalies of all years.
    grid : Grid
        The grid.
    scale : ndarray (variable, lat, lon)
        Standard deviation that the anomalies were divided by.
    test : slice
        Positions of the test steps.
    segment, warmup : int
        Steps kept and spun up in each window.
    lead : int
        Steps ahead; the network must read it out.

    Returns
    -------
    verification : Verification
    starts : ndarray (time,)
        Positions of the steps that the forecasts start from.
    """
    geometry = Geometry.from_grid(grid, network.spec.domain, network.spec.periodic)
    length = warmup + segment
    windows = tiling_windows(test, length, segment, lead, 0)
    position = network.spec.leads.index(lead)
    area, parts, starts = np.asarray(grid.area), [], []
    for first, predicted, _ in predict_windows(network, source, geometry, windows, length, warmup):
        span = np.arange(first + warmup, first + length)
        starts.append(span)
        parts.append(verify(predicted[:, position].numpy(), _fields(source, span + lead), area, scale).sums)
    return Verification(np.concatenate(parts)), np.concatenate(starts)


def verify_references(
    source: WindowSource,
    grid: Grid,
    scale: NDArray[np.floating],
    starts: NDArray[np.int64],
    *,
    train: slice,
    lead: int = 1,
) -> dict[str, Verification]:
    """Verify persistence, damped persistence and a linear inverse model on given steps.

    Parameters
    ----------
    source : WindowSource
        Standardised anomalies of all years.
    grid : Grid
        The grid.
    scale : ndarray (variable, lat, lon)
        Standard deviation that the anomalies were divided by.
    starts : ndarray (time,)
        Positions of the steps that the forecasts start from.
    train : slice
        Positions of the steps that the references are fitted to.
    lead : int
        Steps ahead.

    Returns
    -------
    dict of str to Verification
        ``"persistence"``, ``"damped persistence"`` (one coefficient for each variable) and ``"LIM, n EOFs"``.
    """
    area = np.asarray(grid.area)
    now, truth = _fields(source, starts), _fields(source, starts + lead)
    damped = damping(source, train, lead, np.asarray(area, dtype=np.float32))
    inverse = fit_linear_inverse_model(source, grid, train)
    forecasts: dict[str, NDArray[np.floating]] = {
        "persistence": now,
        "damped persistence": now * damped[:, None, None],
        f"LIM, {inverse.modes} EOFs": inverse.forecast(now, lead),
    }
    return {name: verify(np.nan_to_num(forecast), truth, area, scale) for name, forecast in forecasts.items()}


def one_step_skill(
    network: Network,
    source: WindowSource,
    grid: Grid,
    scale: NDArray[np.floating],
    names: list[str],
    *,
    train: slice,
    test: slice,
    segment: int,
    warmup: int,
    block: int,
    lead: int = 1,
) -> dict[str, dict[str, Any]]:
    """RMSE and anomaly correlation of a network beside persistence, damped persistence and a linear inverse model.

    Parameters
    ----------
    network : Network
        The network.
    source : WindowSource
        Standardised anomalies of all years.
    grid : Grid
        The grid.
    scale : ndarray (variable, lat, lon)
        Standard deviation that the anomalies were divided by.
    names : list of str
        Variables.
    train, test : slice
        Positions of the training and of the test steps.
    segment, warmup : int
        Steps kept and spun up in each window.
    block : int
        Steps in a block of the bootstrap.
    lead : int
        Steps ahead.

    Returns
    -------
    dict
        As `compare` gives it.
    """
    ours, starts = verify_network(network, source, grid, scale, test=test, segment=segment, warmup=warmup, lead=lead)
    references = verify_references(source, grid, scale, starts, train=train, lead=lead)
    return compare({MODEL: ours, **references}, names, block)


def _fields(source: WindowSource, steps: NDArray[np.int64]) -> NDArray[np.float32]:
    """Anomalies (time, variable, lat, lon) of some steps."""
    return np.stack([np.asarray(field[steps], dtype=np.float32) for field in source.fields], axis=1)
