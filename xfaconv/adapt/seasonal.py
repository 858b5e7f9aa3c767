"""The data's own seasonal cycle: harmonics of the year fitted per cell, lazily and with missing values."""

from __future__ import annotations

import warnings
from typing import Any

import dask.array as da
import numpy as np
from dask.graph_manipulation import clone
from numpy.typing import NDArray

from xfaconv.adapt.time_axis import TimeAxis
from xfaconv.climatology import harmonic_basis
from xfaconv.errors import TimeError

SCALE_FLOOR = 0.05
_SHORT_YEARS = 2.0
_WORST_CONDITION = 1e4
# tiny against the diagonal, so that a cell with values in one season only gives its mean and not an overflow
_RIDGE = 1e-8
_HOLD_BYTES = 256e6


def check_record(axis: TimeAxis, harmonics: int) -> tuple[str, ...]:
    """Say whether a record is long enough for a seasonal cycle of its own.

    Parameters
    ----------
    axis : TimeAxis
        The steps.
    harmonics : int
        Harmonics of the year.

    Returns
    -------
    tuple of str
        What to tell about a short record.

    Raises
    ------
    TimeError
        If the stamps do not cover the year.
    """
    basis = harmonic_basis(axis.year_phase, harmonics).astype(np.float64)
    condition = np.linalg.cond(basis.T @ basis / len(axis))
    if len(axis) <= basis.shape[1] or condition > _WORST_CONDITION or axis.years < 0.9:
        raise TimeError(
            "the data do not cover a year: their own seasonal cycle cannot be told from their anomalies",
            expected=f"at least one whole year for {harmonics} harmonics, ten or more for a good climatology",
            found=axis.describe(),
            fix="climatology='model'; or climatology=a Dataset with dimension month or dayofyear",
        )
    if axis.years < _SHORT_YEARS:
        message = (
            f"the seasonal cycle is estimated from {axis.years:.1f} years: anomalies are too small, "
            "because the cycle follows the weather of these years; climatology='model' does not have this fault"
        )
        warnings.warn(message, UserWarning, stacklevel=3)
        return (message,)
    return ()


def fit_seasonal(values: Any, axis: TimeAxis, harmonics: int, row_area: NDArray[np.float64]) -> tuple[Any, Any]:
    """Fit mean, harmonics and spread per cell.

    Parameters
    ----------
    values : numpy or dask array ([member,] time, latitude, longitude)
        Physical values, one block in latitude and longitude; members count as more years.
    axis : TimeAxis
        The steps.
    harmonics : int
        Harmonics of the year.
    row_area : ndarray (latitude,)
        Areas of the rows, which weight the floor of the spread.

    Returns
    -------
    coefficients : array (1 + 2 * harmonics, latitude, longitude), float32
    scale : array (latitude, longitude), float32
        Standard deviation of the anomalies, at least 5 % of its own root mean square over the grid.
    """
    basis = harmonic_basis(axis.year_phase, harmonics).astype(np.float64)
    terms = basis.shape[1]
    if not isinstance(values, da.Array):
        both = _solve(_sums(np.asarray(values), basis)[0], terms=terms, row_area=row_area)
        return both[:-1], both[-1]
    source = values if values.nbytes <= _HOLD_BYTES else clone(values, seed="seasonal")
    dims = "mtyx"[-values.ndim :]
    count = terms + terms * (terms + 1) // 2 + 1
    sums = da.blockwise(  # type: ignore[no-untyped-call]
        _sums,
        "tpyx",
        source,
        dims,
        da.from_array(basis, chunks=(values.chunks[-3], -1)),  # type: ignore[no-untyped-call]
        "tk",
        new_axes={"p": count},
        adjust_chunks={"t": 1},
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * 4),
    ).sum(axis=0, split_every=8)
    both = sums.map_blocks(
        _solve,
        terms=terms,
        row_area=row_area,
        chunks=((terms + 1,), *sums.chunks[1:]),
        dtype=np.float32,
        meta=np.empty((0,) * 3, dtype=np.float32),
    )
    return both[:-1], both[-1]


def _sums(block: NDArray[Any], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add up b x, b b' and x x over time and valid values; shape (1, sums, latitude, longitude)."""
    terms = basis.shape[1]
    upper = np.triu_indices(terms)
    products = (basis[:, :, None] * basis[:, None, :])[:, upper[0], upper[1]]
    cells = block.shape[-2:]
    total = np.zeros((terms + products.shape[1] + 1, int(np.prod(cells))))
    for member in block.reshape(-1, block.shape[-3], total.shape[1]):
        values = member.astype(np.float64)
        valid = np.isfinite(values)
        if not valid.all():
            values = np.where(valid, values, 0.0)
            total[terms:-1] += products.T @ valid.astype(np.float64)
        else:
            total[terms:-1] += products.sum(axis=0)[:, None]
        total[:terms] += basis.T @ values
        total[-1] += np.einsum("tc,tc->c", values, values)
    return total.reshape(1, -1, *cells)


def _solve(sums: NDArray[np.float64], terms: int, row_area: NDArray[np.float64]) -> NDArray[np.float32]:
    """Coefficients and, last, the spread, from the sums of one block that holds the whole grid."""
    cells = sums.shape[-2:]
    flat = sums.reshape(len(sums), -1)
    normal = np.empty((flat.shape[1], terms, terms))
    upper = np.triu_indices(terms)
    normal[:, upper[0], upper[1]] = flat[terms:-1].T
    normal[:, upper[1], upper[0]] = flat[terms:-1].T
    count = flat[terms]
    known = count > terms
    ridge = np.diag([0.0] + [_RIDGE] * (terms - 1))
    normal = np.where(known[:, None, None], normal + count[:, None, None] * ridge, np.eye(terms))
    right = flat[:terms].T
    solved = np.linalg.solve(normal, right[..., None])[..., 0]
    residual = flat[-1] - np.einsum("ck,ck->c", solved, right)
    variance = np.clip(residual, 0, None) / np.maximum(count - terms, 1)
    variance[~known] = np.nan
    solved[~known] = np.nan
    weight = np.repeat(row_area, cells[1])
    mean = np.nansum(weight * variance) / max(float(np.sum(weight[known])), 1e-30)
    floor = SCALE_FLOOR * np.sqrt(mean) if mean > 0 else 1.0
    scale = np.maximum(np.sqrt(variance), floor)
    return np.concatenate([solved.T, scale[None]]).reshape(terms + 1, *cells).astype(np.float32)
