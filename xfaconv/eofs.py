"""Empirical orthogonal functions of a matrix, and ridge regression from their series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Numbers of EOFs among which a regression chooses, and ridges relative to the leading variance.
RANKS = (10, 20, 40, 80)
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class Eofs:
    """Leading singular vectors of a matrix, by falling variance.

    Parameters
    ----------
    series : ndarray (time, mode)
        Of unit length; zero for a mode without variance where there are more rows than columns.
    patterns : ndarray (mode, column)
        Of unit length; zero for a mode without variance where there are no more rows than columns.
    variance : ndarray (mode,)
        Squared singular values, the sum of squares that each mode explains.
    total : float
        Sum of squares of the matrix.
    """

    series: NDArray[np.float64]
    patterns: NDArray[np.float64]
    variance: NDArray[np.float64]
    total: float


def leading_modes(rows: NDArray[np.floating], modes: int) -> Eofs:
    """Decompose a matrix into its leading modes.

    Parameters
    ----------
    rows : ndarray (time, column)
        Without missing values; centred and weighted as the caller wants, by the square root of the cell area on a grid.
    modes : int
        How many, at most the smaller of the two sizes.

    Returns
    -------
    Eofs

    Examples
    --------
    >>> wave = np.outer(np.sin(np.arange(40.0)), [3.0, 4.0])
    >>> found = leading_modes(wave, 1)
    >>> abs(found.patterns).round(6), round(float(found.variance[0] / found.total), 6)
    (array([[0.6, 0.8]]), 1.0)
    """
    values = np.asarray(rows, dtype=np.float64)
    wide = values.shape[0] <= values.shape[1]
    # Both products have the same eigenvalues: 444 months of 10,512 cells need a matrix of 444 x 444 alone.
    product = values @ values.T if wide else values.T @ values
    variance, vectors = np.linalg.eigh(product)
    variance, vectors = variance[::-1][:modes], vectors[:, ::-1][:, :modes]
    others = values.T @ vectors if wide else values @ vectors
    others = others / np.maximum(np.linalg.norm(others, axis=0), _TINY)
    series, patterns = (vectors, others.T) if wide else (others, vectors.T)
    return Eofs(series, patterns, variance, float(np.trace(product)))


def ridge_errors(
    series: tuple[NDArray[np.floating], NDArray[np.floating]],
    targets: tuple[NDArray[np.floating], NDArray[np.floating]],
    leading: float,
) -> NDArray[np.float64]:
    """Sum the squared errors of ridge regressions from the leading series, for every rank and penalty.

    Parameters
    ----------
    series : (ndarray (time, mode), ndarray (time, mode))
        Series of the EOFs in the steps of the fit and in those that are predicted.
    targets : (ndarray (time, target), ndarray (time, target))
        What is to be predicted, in the same steps.
    leading : float
        Sum of squares of the leading series, the unit of the penalties.

    Returns
    -------
    ndarray (rank, penalty, target)
        For each of `RANKS` (or as many series as there are) and of `PENALTIES`.

    Examples
    --------
    >>> wave = np.sin(np.arange(40.0))[:, None]
    >>> errors = ridge_errors((wave[:30], wave[30:]), (2 * wave[:30], 2 * wave[30:]), float((wave**2).sum()))
    >>> errors.shape, bool(errors[0, 0] < errors[0, -1])
    ((4, 5, 1), True)
    """
    (past, future), (wanted, truth) = series, targets
    ranks = [min(rank, past.shape[1]) for rank in RANKS]
    middle, constant = past.mean(axis=0), wanted.mean(axis=0)
    square, product = (past - middle).T @ (past - middle), (past - middle).T @ (wanted - constant)
    errors = np.empty((len(ranks), len(PENALTIES), wanted.shape[1]))
    for i, rank in enumerate(ranks):
        for j, penalty in enumerate(PENALTIES):
            solved = np.linalg.solve(square[:rank, :rank] + penalty * leading * np.eye(rank), product[:rank])
            guess = (future - middle)[:, :rank] @ solved + constant
            errors[i, j] = ((guess - truth) ** 2).sum(axis=0)
    return errors
