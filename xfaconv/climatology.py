"""The climatology: seasonal cycle and spread of each cell, fitted in one pass, and the anomalies taken from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]
Pairs = tuple[NDArray[np.intp], ...]

# Share of the area-weighted root mean square spread that no cell's spread falls below. Where a variable hardly varies
# (sea surface temperature under ice, rain in a desert) a smaller floor makes noise as large as the signal elsewhere.
SPREAD_FLOOR = 0.3
# Ridge of the harmonics, as a share of the number of values. Anomalies of other years and models that are stored need
# harmonics that stay finite between the values of a cell: 11 daily values in a row give amplitudes of at most 500 times
# the spread, and without a ridge any. It shrinks the harmonics of a whole record by 2e-7 of themselves.
_RIDGE = 1e-7
# Where the cycle is taken from the very values that it was fitted to, only the solver must not fail.
_NO_RIDGE = 1e-14
# A residual below this share of the sum of squares is the rounding of float32 values, (6e-8)^2 and a little more.
_ROUNDING = 1e-13
# A larger lazy record is read once for the fit and once for the anomalies; a smaller one is held between the two.
_HELD_BYTES = 256e6


def fraction_of_year(
    month: NDArray[Any],
    day_of_year: NDArray[Any],
    days_in_year: NDArray[Any],
    day_phase: NDArray[Any],
    *,
    monthly: bool,
) -> NDArray[np.float64]:
    """Phase of the year of some dates; the middle of the month where steps are calendar months.

    Parameters
    ----------
    month, day_of_year, days_in_year : ndarray (time,)
        Parts of the dates in their own calendar; month and day count from 1.
    day_phase : ndarray (time,)
        Fraction of the day.
    monthly : bool
        Whether steps are calendar months.

    Returns
    -------
    ndarray (time,)
        In [0, 1).

    Examples
    --------
    >>> parts = np.array([7]), np.array([183]), np.array([364]), np.array([0.0])
    >>> fraction_of_year(*parts, monthly=False), fraction_of_year(*parts, monthly=True).round(3)
    (array([0.5]), array([0.542]))
    """
    phase = (month - 0.5) / 12 if monthly else (day_of_year - 1 + day_phase) / days_in_year
    return np.asarray(phase, dtype=np.float64)


def seasonal_basis(year_phase: ArrayLike, harmonics: int) -> FloatArray:
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
    >>> seasonal_basis([0.0, 0.5], 1).round(3).tolist()
    [[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]
    """
    phase = 2 * np.pi * np.asarray(year_phase, dtype=np.float64)
    columns = [np.ones_like(phase)]
    for harmonic in range(1, harmonics + 1):
        columns += [np.cos(harmonic * phase), np.sin(harmonic * phase)]
    return np.asarray(np.stack(columns, axis=-1), dtype=np.float32)


def month_basis(month: ArrayLike) -> FloatArray:
    """One column for each calendar month: the coefficients are the means of the months.

    Parameters
    ----------
    month : array_like (time,) of int
        1 to 12.

    Returns
    -------
    ndarray (time, 12), float32

    Examples
    --------
    >>> month_basis([1, 12])[:, [0, 11]].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return np.asarray(np.asarray(month)[:, None] == np.arange(1, 13), dtype=np.float32)


def seasonal_mean(basis: NDArray[Any], coefficients: NDArray[Any]) -> NDArray[np.float64]:
    """Seasonal mean of some steps.

    Parameters
    ----------
    basis : ndarray (time, term), or (time, 1) of int
        Harmonics of the year, or the position in a table of seasonal means.
    coefficients : ndarray (term, ...)
        Coefficients of the harmonics, or the table.

    Returns
    -------
    ndarray (time, ...)
    """
    if basis.dtype.kind == "i":
        return np.asarray(coefficients[basis[:, 0]], dtype=np.float64)
    flat = basis.astype(np.float64) @ coefficients.reshape(len(coefficients), -1).astype(np.float64)
    return np.asarray(flat.reshape(-1, *coefficients.shape[1:]))


def standardise(values: Any, mean: Any, spread: Any) -> Any:
    """Standardised anomalies.

    Parameters
    ----------
    values, mean, spread : array
        In the same units; they broadcast.

    Returns
    -------
    array
        ``(values - mean) / spread``; float64 where the mean is, so that a large mean costs no digits.
    """
    return (values - mean) / spread


def fit_climatology(
    values: Any,
    basis: NDArray[Any],
    row_area: NDArray[np.float64] | None = None,
    *,
    axis: int = -3,
    fewest: int | None = None,
) -> tuple[Any, Any]:
    """Fit the seasonal cycle of each cell by least squares over its own valid steps, and the spread about it.

    Only sums over time are kept (of b x, of b b' and of x x, for the basis b and the values x), so a lazy record is
    read once, whatever its chunks in time, and never held.

    Parameters
    ----------
    values : numpy or dask array ([member,] time, latitude, longitude)
        Physical values, NaN where missing; members count as more years.
    basis : ndarray (time, term)
        As `seasonal_basis` or `month_basis` give it.
    row_area : ndarray (latitude,), optional
        Areas of the rows, which weight the floor of the spread. Without them the spread has no floor, and harmonics
        that the values of a cell hardly determine are not held small: for values that are themselves the record.
    axis : int, default -3
        Axis of time; the axes before it count as members, those behind it are cells.
    fewest : int, optional
        Values that a cell must have, by default more than twice as many as there are terms.

    Returns
    -------
    coefficients : array (term, latitude, longitude), float64
        NaN where a cell has too few values, or a calendar month none.
    spread : array (latitude, longitude), float64
        Standard deviation of the anomalies (degrees of freedom: values less terms), at least 0.3 of its area-weighted
        root mean square over the grid; NaN where a cell has too few values. 1 where the whole grid never varies.

    Examples
    --------
    >>> basis = seasonal_basis(np.arange(48) / 12, 1)
    >>> noise = np.random.default_rng(0).normal(0, 2, (48, 4, 6))
    >>> coefficients, spread = fit_climatology(5 + noise, basis, np.ones(4))
    >>> coefficients.shape, float(coefficients[0].mean().round()), float(spread.mean().round())
    ((3, 4, 6), 5.0, 2.0)
    """
    basis = np.asarray(basis, dtype=np.float64)
    terms, axis = basis.shape[1], axis % values.ndim
    # Products that are zero at every step, as those of two calendar months, need no sum.
    pairs: Pairs = np.nonzero(np.triu(np.abs(basis).T @ np.abs(basis)) + np.eye(terms))
    solve = {"terms": terms, "pairs": pairs, "row_area": row_area, "fewest": fewest or 2 * terms + 1}
    if isinstance(values, np.ndarray):
        both = _solve(_sums(values, basis, pairs=pairs, time=axis)[0], **solve)
        return both[:-1], both[-1]
    import dask.array as da
    from dask.graph_manipulation import clone

    source = values if values.nbytes <= _HELD_BYTES else clone(values, seed="climatology")
    dims, sum_dim, term_dim = tuple(range(values.ndim)), values.ndim, values.ndim + 1
    sums = da.blockwise(  # type: ignore[no-untyped-call]
        _sums,
        (axis, sum_dim, *dims[axis + 1 :]),
        source,
        dims,
        da.from_array(basis, chunks=(values.chunks[axis], -1)),  # type: ignore[no-untyped-call]
        (axis, term_dim),
        new_axes={sum_dim: terms + len(pairs[0]) + 2},
        adjust_chunks={axis: 1},
        concatenate=True,
        dtype=np.float64,
        meta=np.empty((0,) * (values.ndim - axis + 1)),
        pairs=pairs,
        time=axis,
    ).sum(axis=0, split_every=8)
    if row_area is not None:
        # The floor is one number of the whole grid; sums are small.
        sums = sums.rechunk(-1)
    chunks = ((terms + 1,), *sums.chunks[1:])
    meta = np.empty((0,) * sums.ndim)
    both = sums.map_blocks(_solve, **solve, chunks=chunks, dtype=np.float64, meta=meta)
    return both[:-1], both[-1]


def _sums(block: NDArray[Any], basis: NDArray[np.float64], *, pairs: Pairs, time: int) -> NDArray[np.float64]:
    """Add up b x, the products b b', the count and x x over time and valid values; shape (1, sum, *cells)."""
    terms, cells = basis.shape[1], block.shape[time + 1 :]
    products = basis[:, pairs[0]] * basis[:, pairs[1]]
    total = np.zeros((terms + products.shape[1] + 2, int(np.prod(cells))))
    for member in block.reshape(-1, block.shape[time], total.shape[1]):
        values = member.astype(np.float64)
        valid = np.isfinite(values)
        if valid.all():
            total[terms:-2] += products.sum(axis=0)[:, None]
        else:
            values = np.where(valid, values, 0.0)
            total[terms:-2] += products.T @ valid.astype(np.float64)
        total[:terms] += basis.T @ values
        total[-2] += valid.sum(axis=0)
        total[-1] += np.einsum("tc,tc->c", values, values)
    return total.reshape(1, -1, *cells)


def _solve(
    sums: NDArray[np.float64], *, terms: int, pairs: Pairs, row_area: NDArray[np.float64] | None, fewest: int
) -> NDArray[np.float64]:
    """Coefficients and, last, the spread, from the sums (sum, *cells)."""
    moments, (count, squares) = sums[:terms].reshape(terms, -1), sums[-2:].reshape(2, -1)
    products = sums[terms:-2].reshape(len(pairs[0]), -1)
    known = count >= fewest
    if len(products) == terms:
        # Orthogonal columns, as those of calendar months: means, of which one without values is missing.
        solved = np.divide(moments, products, out=np.full_like(moments, np.nan), where=products > 0)
    else:
        normal = np.zeros((len(count), terms, terms))
        normal[:, pairs[0], pairs[1]] = normal[:, pairs[1], pairs[0]] = products.T
        ridge = np.diag([0.0] + [_NO_RIDGE if row_area is None else _RIDGE] * (terms - 1))
        normal = np.where(known[:, None, None], normal + count[:, None, None] * ridge, np.eye(terms))
        solved = np.linalg.solve(normal, moments.T[..., None])[..., 0].T
    # |x - b c|^2 = x x - c b x, for the c of the normal equations.
    residual = squares - np.nansum(solved * moments, axis=0)
    variance = np.where(residual > _ROUNDING * squares, residual, 0.0) / np.maximum(count - terms, 1)
    solved[:, ~known] = variance[~known] = np.nan
    spread = np.sqrt(variance)
    if row_area is not None:
        weight = np.broadcast_to(row_area[:, None], sums.shape[1:]).ravel() * known
        mean = np.nansum(weight * variance) / max(float(weight.sum()), 1e-30)
        spread = np.maximum(spread, SPREAD_FLOOR * np.sqrt(mean) if mean > 0 else 1.0)
    return np.concatenate([solved, spread[None]]).reshape(terms + 1, *sums.shape[1:])


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
        terms = self.coefficients.swapaxes(0, 1)
        return np.asarray(seasonal_mean(seasonal_basis(year_phase, self.harmonics), terms), dtype=np.float32)
