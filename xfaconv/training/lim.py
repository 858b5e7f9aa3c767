"""Linear inverse model: the best linear forecast in the space of the leading EOFs (Penland and Sardeshmukh 1995)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xfaconv.eofs import leading_modes
from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid
from xfaconv.training.data import WindowSource

_MODES = (5, 10, 15, 20, 30, 40, 60)
_HELD_OUT = 0.25


@dataclass(frozen=True, eq=False)
class LinearInverseModel:
    """Forecasts of standardised anomalies by one matrix over principal components.

    Parameters
    ----------
    patterns : ndarray (mode, variable * lat * lon)
        Orthonormal EOFs of the anomalies weighted by the square root of the cell area.
    propagator : ndarray (mode, mode)
        Takes the principal components one step ahead.
    weight : ndarray (variable, lat, lon)
        Square root of the cell area, 0 where a variable is always missing.
    """

    patterns: NDArray[np.float64]
    propagator: NDArray[np.float64]
    weight: NDArray[np.float64]

    @property
    def modes(self) -> int:
        """Number of EOFs."""
        return len(self.patterns)

    def forecast(self, anomalies: NDArray[np.floating], lead: int) -> NDArray[np.float32]:
        """Forecast from single states.

        Parameters
        ----------
        anomalies : ndarray (time, variable, lat, lon)
            Standardised anomalies, NaN where missing.
        lead : int
            Steps ahead.

        Returns
        -------
        ndarray (time, variable, lat, lon)
            0 where a variable is always missing.
        """
        components = _weighted(anomalies, self.weight) @ self.patterns.T
        ahead = components @ np.linalg.matrix_power(self.propagator, lead).T
        fields = (ahead @ self.patterns).reshape(len(anomalies), *self.weight.shape)
        return np.divide(fields, self.weight, out=np.zeros_like(fields), where=self.weight > 0).astype(np.float32)


def fit_linear_inverse_model(
    source: WindowSource, grid: Grid, train: slice, modes: int | None = None
) -> LinearInverseModel:
    """Fit a linear inverse model to the training steps.

    Parameters
    ----------
    source : WindowSource
        Standardised anomalies.
    grid : Grid
        Their grid.
    train : slice
        Positions of the training steps, without a gap.
    modes : int, optional
        Number of EOFs. By default the number that forecasts the last quarter of the training steps best when fitted
        to those before, of 5, 10, 15, 20, 30, 40 and 60.

    Returns
    -------
    LinearInverseModel

    Raises
    ------
    ArgumentError
        If there are more modes than training steps allow.
    """
    anomalies = np.stack([np.asarray(field[train], dtype=np.float32) for field in source.fields], axis=1)
    present = np.isfinite(anomalies).all(axis=0)
    weight = np.sqrt(np.asarray(grid.area, dtype=np.float64)) * present
    rows = _weighted(anomalies, weight)
    modes = _best_number(rows) if modes is None else modes
    if not 1 <= modes < len(rows):
        raise ArgumentError(
            "the number of EOFs does not fit the record",
            expected=f"1 to {len(rows) - 1}",
            found=str(modes),
            fix="modes=10",
        )
    patterns = leading_modes(rows, modes).patterns
    return LinearInverseModel(patterns, _propagator(rows @ patterns.T), weight)


def _weighted(anomalies: NDArray[np.floating], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of weighted anomalies (time, variable * lat * lon), 0 where missing."""
    return np.asarray((np.nan_to_num(anomalies) * weight).reshape(len(anomalies), -1), dtype=np.float64)


def _propagator(components: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares of the next components on the present ones, C(1) C(0)^-1."""
    return np.asarray(np.linalg.lstsq(components[:-1], components[1:], rcond=None)[0].T)


def _best_number(rows: NDArray[np.float64]) -> int:
    split = round(len(rows) * (1 - _HELD_OUT))
    allowed = [modes for modes in _MODES if modes < split // 2] or [1]
    patterns = leading_modes(rows[:split], max(allowed)).patterns
    components = rows @ patterns.T
    errors = []
    for modes in allowed:
        part = components[:, :modes]
        miss = part[split + 1 :] - part[split:-1] @ _propagator(part[:split]).T
        # What lies outside the kept EOFs is forecast as zero.
        outside = (rows[split + 1 :] ** 2).sum() - (part[split + 1 :] ** 2).sum()
        errors.append(float((miss**2).sum() + outside))
    return allowed[int(np.argmin(errors))]
