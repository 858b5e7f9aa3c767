"""Empirical orthogonal functions of a matrix, through the smaller of its two covariance matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
