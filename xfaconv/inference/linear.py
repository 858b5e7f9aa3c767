"""The linear answer: ridge regression from the EOFs of what is visible, fitted to the steps of the training years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from dask.delayed import Delayed, delayed
from numpy.typing import NDArray

from xfaconv.eofs import PENALTIES, RANKS, leading_modes, ridge_errors
from xfaconv.grid import Grid

# Predictors are thinned to every n-th row and column above so many columns: 5 variables at 2.5 degrees have 52,560.
_MOST_PREDICTORS = 60_000
_MOST_TARGETS = 2_000
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Predictors:
    """What the regression reads: the visible cells of all variables, weighted by the root of their area.

    Parameters
    ----------
    weight : ndarray (variable, latitude, longitude), float32
        Root of the cell area, 0 where hidden.
    stride : int
        Every n-th row and column is read.
    """

    weight: NDArray[np.float32]
    stride: int

    @classmethod
    def of(cls, grid: Grid, variables: int, hide: NDArray[np.bool_] | None) -> Predictors:
        """Weigh the visible cells of a grid."""
        area = np.sqrt(grid.area) if hide is None else np.where(hide, 0, np.sqrt(grid.area))
        stride = int(np.ceil(np.sqrt(variables * area.size / _MOST_PREDICTORS)))
        weight = np.broadcast_to(area.astype(np.float32), (variables, *area.shape))
        return cls(np.ascontiguousarray(weight[:, ::stride, ::stride]), stride)

    def read(self, block: NDArray[np.floating]) -> NDArray[np.float64]:
        """Give the columns of some steps (time, column) from anomalies (time, variable, latitude, longitude)."""
        thinned = block[:, :, :: self.stride, :: self.stride]
        columns = np.nan_to_num(thinned, nan=0.0) * self.weight
        return np.asarray(columns.reshape(len(block), -1)[:, self.weight.ravel() > 0], dtype=np.float64)

    def spread(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put coefficients of columns back in their cells (variable, latitude, longitude), 0 where nothing is read."""
        rows, longitudes = self.weight.shape[-2:]
        thinned = np.zeros(self.weight.size)
        thinned[self.weight.ravel() > 0] = columns
        return thinned.reshape(-1, rows, longitudes) * self.weight


@dataclass(frozen=True, eq=False)
class LinearFit:
    """Coefficients of a regression of every target cell on the leading EOFs of the predictors.

    Parameters
    ----------
    predictors : Predictors
        What is read.
    mean : ndarray (column,)
        Mean of the predictors in training.
    patterns : ndarray (mode, column)
        EOFs of the predictors.
    coefficients : ndarray (mode, target)
        Change of the targets per unit of each principal component, shrunk by the ridge.
    intercept : ndarray (target,)
        Mean of the targets in training.
    rank, penalty : int, float
        Number of EOFs and ridge relative to the leading variance, chosen by cross-validation in the training years.
    """

    predictors: Predictors
    mean: NDArray[np.float64]
    patterns: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64]
    rank: int
    penalty: float

    def apply(self, block: NDArray[np.floating]) -> NDArray[np.float32]:
        """Infer the targets (time, target) of some steps (time, variable, latitude, longitude)."""
        series = (self.predictors.read(block) - self.mean) @ self.patterns.T
        return np.asarray(series @ self.coefficients + self.intercept, dtype=np.float32)

    def per_cell(self, weights: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
        """Write a weighted sum of targets as coefficients of the predictors' anomalies and a constant.

        Parameters
        ----------
        weights : ndarray (target,)
            Weights of the targets.

        Returns
        -------
        coefficients : ndarray (variable, latitude, longitude)
            On the thinned grid of the predictors; 0 where hidden.
        constant : float
            The sum where all anomalies are 0.
        """
        by_mode = self.coefficients @ weights
        columns = by_mode @ self.patterns
        return self.predictors.spread(columns), float(self.intercept @ weights - columns @ self.mean)


@dataclass(frozen=True, eq=False)
class _Basis:
    """Leading EOFs of the predictors in the training years, with the ridge that serves the targets best."""

    mean: NDArray[np.float64]
    patterns: NDArray[np.float64]
    series: NDArray[np.float64]
    rank: int
    penalty: float
    leading: float


def _find_basis(joined: NDArray[np.float64], columns: int) -> _Basis:
    """Decompose the predictors (time, column); choose rank and ridge by leaving out blocks of the training years."""
    predictors, targets = joined[:, :columns], joined[:, columns:]
    mean = predictors.mean(axis=0)
    found = leading_modes(predictors - mean, min(max(RANKS), min(predictors.shape) - 1))
    series = found.series * np.sqrt(np.maximum(found.variance, 0))
    wanted = np.nan_to_num(targets)
    leading = float(found.variance[0])
    steps, errors = np.arange(len(series)), np.zeros((len(RANKS), len(PENALTIES)))
    for left_out in np.array_split(steps, _FOLDS):
        kept = np.setdiff1d(steps, left_out)
        parts = (series[kept], series[left_out]), (wanted[kept], wanted[left_out])
        errors += ridge_errors(*parts, leading).sum(axis=-1)
    i, j = map(int, np.unravel_index(errors.argmin(), errors.shape))
    rank = min(RANKS[i], series.shape[1])
    return _Basis(mean, found.patterns[:rank], series[:, :rank], rank, PENALTIES[j], leading)


def _sums(basis: _Basis, start: int, targets: NDArray[np.floating]) -> tuple[Any, Any]:
    """Sum series times targets, and targets, over some training steps."""
    wanted = np.nan_to_num(np.asarray(targets, dtype=np.float64))
    return basis.series[start : start + len(wanted)].T @ wanted, wanted.sum(axis=0)


def _solve(predictors: Predictors, basis: _Basis, parts: Sequence[tuple[Any, Any]]) -> LinearFit:
    # The series of the EOFs are centred and orthogonal: a constant and each coefficient are found one by one.
    intercept = sum(total for _, total in parts) / len(basis.series)
    square = (basis.series**2).sum(axis=0)[:, None]
    coefficients = sum(product for product, _ in parts) / (square + basis.penalty * basis.leading)
    return LinearFit(predictors, basis.mean, basis.patterns, coefficients, intercept, basis.rank, basis.penalty)


def fit_linear(
    fields: da.Array, targets: da.Array, predictors: Predictors, now: NDArray[np.int64], later: NDArray[np.int64]
) -> Delayed:
    """Fit the regression lazily: each block of time is read once for the EOFs and once for the targets.

    Parameters
    ----------
    fields : dask array (time, variable, latitude, longitude)
        Standardised anomalies, NaN where missing.
    targets : dask array (time, target)
        What is to be inferred, of the same steps.
    predictors : Predictors
        What is read.
    now, later : ndarray of int64
        Positions of the training steps, and of the steps whose targets belong to them (the same steps for inference).

    Returns
    -------
    Delayed
        A `LinearFit`.
    """
    chosen = fields[now]
    columns = int((predictors.weight > 0).sum())
    read = da.map_blocks(  # type: ignore[no-untyped-call]
        _read, _whole_steps(chosen), predictors, chunks=(chosen.chunks[0], (columns,)), drop_axis=(2, 3), dtype=float
    )
    wanted = _whole_steps(targets[later])
    some = wanted[:, :: -(-wanted.shape[1] // _MOST_TARGETS)]
    # As one array, both are made from one reading of the data.
    basis = delayed(_find_basis)(da.concatenate([read, some.astype(float)], axis=1), columns)  # type: ignore[no-untyped-call]
    starts = np.cumsum((0, *wanted.chunks[0]))[:-1].tolist()
    blocks = wanted.to_delayed().ravel()  # type: ignore[no-untyped-call]
    parts = [delayed(_sums)(basis, start, block) for start, block in zip(starts, blocks, strict=True)]
    found: Delayed = delayed(_solve)(predictors, basis, parts)
    return found


def _read(block: NDArray[np.floating], predictors: Predictors) -> NDArray[np.float64]:
    return predictors.read(block)


def _whole_steps(array: da.Array) -> da.Array:
    """Join everything but time into one chunk."""
    joined: da.Array = array.rechunk(dict.fromkeys(range(1, array.ndim), -1))  # type: ignore[no-untyped-call]
    return joined


def apply_linear(fields: da.Array, fit: Delayed, hide: NDArray[np.bool_] | None) -> da.Array:
    """Infer the targets of some steps lazily.

    Parameters
    ----------
    fields : dask array (time, variable, latitude, longitude)
        Standardised anomalies of these steps.
    fit : Delayed
        From `fit_linear`, for the hidden cells of all variables in order.
    hide : ndarray (latitude, longitude) of bool, optional
        The hidden cells; None for all cells.

    Returns
    -------
    dask array (time, variable, latitude, longitude), float32
        NaN where nothing is hidden.
    """
    found: da.Array = da.map_blocks(  # type: ignore[no-untyped-call]
        _apply, _whole_steps(fields), fit, hide, dtype=np.float32, meta=np.empty((0, 0, 0, 0), np.float32)
    )
    return found


def _apply(block: NDArray[np.floating], fit: LinearFit, hide: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    cells = np.ones(block.shape[-2:], dtype=bool) if hide is None else hide
    out = np.full(block.shape, np.nan, dtype=np.float32)
    out[:, :, cells] = fit.apply(block).reshape(*block.shape[:2], -1)
    return out
