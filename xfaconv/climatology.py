"""The climatology that anomalies are taken from: mean and harmonics of the year in each cell, and the spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]


def harmonic_basis(year_phase: ArrayLike, harmonics: int) -> FloatArray:
    """Constant, cosine and sine of each harmonic of the year.

    Parameters
    ----------
    year_phase : array_like (time,)
        Fraction of the year, 0 at its start.
    harmonics : int
        Number of harmonics; 0 gives the constant alone.

    Returns
    -------
    ndarray (time, 1 + 2 * harmonics), float32
        Columns 1, cos(2 pi p), sin(2 pi p), cos(4 pi p), ...

    Examples
    --------
    >>> harmonic_basis([0.0, 0.5], 1).round(3).tolist()
    [[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]
    """
    phase = 2 * np.pi * np.asarray(year_phase, dtype=np.float64)
    columns = [np.ones_like(phase)]
    for harmonic in range(1, harmonics + 1):
        columns += [np.cos(harmonic * phase), np.sin(harmonic * phase)]
    return np.asarray(np.stack(columns, axis=-1), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Climatology:
    """Coefficients of the seasonal cycle and the standard deviation of the anomalies, per variable and cell.

    Parameters
    ----------
    coefficients : ndarray (variable, 1 + 2 * harmonics, latitude, longitude), float32
        In the units of each variable; NaN where the variable is always missing.
    scale : ndarray (variable, latitude, longitude), float32
        Standard deviation of the anomalies in the same units, positive; NaN where always missing.
    """

    coefficients: FloatArray
    scale: FloatArray

    @property
    def harmonics(self) -> int:
        """Number of harmonics of the year."""
        return int(self.coefficients.shape[1] - 1) // 2

    def evaluate(self, year_phase: ArrayLike) -> FloatArray:
        """Seasonal mean at given times of the year.

        Parameters
        ----------
        year_phase : array_like (time,)
            Fraction of the year.

        Returns
        -------
        ndarray (time, variable, latitude, longitude), float32

        Examples
        --------
        >>> flat = Climatology(np.full((1, 3, 1, 1), 2, "f4"), np.ones((1, 1, 1), "f4"))
        >>> flat.evaluate([0.0])[0, 0, 0, 0]
        np.float32(4.0)
        """
        basis = harmonic_basis(year_phase, self.harmonics)
        mean = np.einsum("tk,vkij->tvij", basis, self.coefficients, optimize=True)
        return np.asarray(mean, dtype=np.float32)
