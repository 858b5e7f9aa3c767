"""Correlation that knows about autocorrelation: effective sample size, and a phase-randomised null."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import check_arrays, is_adjacent, time_axis
from xfaconv.analysis.memory import LONGEST_MEMORY, effective_number
from xfaconv.analysis.surrogates import surrogate_series
from xfaconv.arguments import check_arguments, is_number
from xfaconv.errors import ArgumentError, TimeError

Null = Literal["effective", "phase"]

# A series whose spread is below this fraction of its size is constant but for rounding.
_CONSTANT = 1e-6


def _shifted(series: xr.DataArray, valid: xr.DataArray, dim: str) -> xr.DataArray:
    """Series in float64 less its first value, 0 where not valid: sums of squares then keep their digits."""
    first = series.isel({dim: 0}, drop=True).astype(np.float64).fillna(0.0)
    return (series.astype(np.float64) - first).where(valid, 0.0)


def _spread(
    series: xr.DataArray, valid: xr.DataArray, count: xr.DataArray, dim: str
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Shifted series, its mean, and its sum of squares about that mean (0 where it is constant but for rounding)."""
    shifted = _shifted(series, valid, dim)
    mean = shifted.sum(dim) / count
    squares = (shifted**2).sum(dim) - count * mean**2
    size: xr.DataArray = series.isel({dim: 0}, drop=True).astype(np.float64).fillna(0.0) + mean
    return shifted, mean, squares.where(squares > count * (_CONSTANT * size) ** 2, 0.0)


def _lag_one(
    shifted: xr.DataArray,
    mean: xr.DataArray,
    squares: xr.DataArray,
    valid: xr.DataArray,
    adjacent: xr.DataArray,
    dim: str,
) -> xr.DataArray:
    early, late = slice(None, -1), slice(1, None)
    pair = valid.isel({dim: early}).drop_vars(dim, errors="ignore") & valid.isel({dim: late}).drop_vars(
        dim, errors="ignore"
    )
    pair = pair & adjacent
    first = shifted.isel({dim: early}).drop_vars(dim, errors="ignore").where(pair, 0.0)
    second = shifted.isel({dim: late}).drop_vars(dim, errors="ignore").where(pair, 0.0)
    pairs = pair.sum(dim)
    product = (first * second).sum(dim) - mean * (first.sum(dim) + second.sum(dim)) + pairs * mean**2
    # With breaks (a DJF selection) fewer products than steps are summed: both are brought to one step.
    count = valid.sum(dim)
    possible = count if bool(adjacent.all()) else pairs
    memory: xr.DataArray = product / squares.where(squares > 0) * count / possible.where(possible > 0)
    return memory


def lag_one_autocorrelation(series: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Lag-one autocorrelation; pairs across a break do not count, missing values are left out.

    Parameters
    ----------
    series : DataArray (time, ...)
        A series or field.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    DataArray (...), float64
        NaN for a constant series; lazy if the series is.

    Raises
    ------
    TimeError
        If there is no time dimension.

    Examples
    --------
    >>> wave = xr.DataArray(np.sin(np.arange(1000) * np.pi / 3), dims="time")
    >>> float(lag_one_autocorrelation(wave).round(2))
    0.5
    """
    name = time_axis(series, dim)
    valid = series.notnull()
    steps = is_adjacent(series[name]) if name in series.coords else np.ones(series.sizes[name] - 1, dtype=bool)
    shifted, mean, squares = _spread(series, valid, valid.sum(name), name)
    memory = _lag_one(shifted, mean, squares, valid, xr.DataArray(steps, dims=(name,)), name)
    memory.attrs = {"long_name": "lag-one autocorrelation", "units": "1"}
    return memory


def _pair(x: xr.DataArray, y: xr.DataArray, dim: str) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Correlation, count of valid pairs and Bretherton's effective count, in one pass over time."""
    valid = x.notnull() & y.notnull()
    count = valid.sum(dim)
    steps = is_adjacent(x[dim]) if dim in x.coords else np.ones(x.sizes[dim] - 1, dtype=bool)
    adjacent = xr.DataArray(steps, dims=(dim,))
    x_shifted, x_mean, x_squares = _spread(x, valid, count, dim)
    y_shifted, y_mean, y_squares = _spread(y, valid, count, dim)
    product = (x_shifted * y_shifted).sum(dim) - count * x_mean * y_mean
    scale = (x_squares * y_squares) ** 0.5
    correlation = (product / scale.where(scale > 0)).where(count > 2).clip(-1.0, 1.0)
    memory = _lag_one(x_shifted, x_mean, x_squares, valid, adjacent, dim) * _lag_one(
        y_shifted, y_mean, y_squares, valid, adjacent, dim
    )
    memory = memory.clip(-LONGEST_MEMORY, LONGEST_MEMORY)
    effective = effective_number(memory, count, x[dim] if dim in x.coords else None).where(count > 2)
    return correlation, count, effective


def _check_time(x: xr.DataArray, y: xr.DataArray, dim: str) -> None:
    check_arrays(x=x, y=y)
    if dim not in y.dims:
        raise TimeError("y has no time dimension", expected=dim, found=f"dimensions {tuple(y.dims)}")
    if x.sizes[dim] != y.sizes[dim]:
        raise TimeError(
            "the two series have different lengths",
            expected=f"{x.sizes[dim]} steps",
            found=f"{y.sizes[dim]} steps",
            fix="x, y = xr.align(x, y, join='inner')",
        )
    if dim in x.coords and dim in y.coords and not x.indexes[dim].equals(y.indexes[dim]):
        raise TimeError(
            "the two series have different times",
            found=f"first times {x[dim].values[0]} and {y[dim].values[0]}",
            fix="x, y = xr.align(x, y, join='inner')",
        )


def effective_sample_size(x: xr.DataArray, y: xr.DataArray | None = None, *, dim: str | None = None) -> xr.DataArray:
    """Count the independent pairs that two autocorrelated series are worth (Bretherton et al. 1999, eq. 31).

    ``n (1 - r_x r_y) / (1 + r_x r_y)`` with the lag-one autocorrelations; never more than n. Pairs of steps that do
    not follow each other (the break between two winters) do not count in the autocorrelation, and a record with breaks
    is summed over the pairs that it has (eq. 30): winters of three months are worth more than three months in a row
    each time, since memory fades from one winter to the next.

    Parameters
    ----------
    x : DataArray (time, ...)
        A series or field.
    y : DataArray (time, ...), optional
        The other. Default: x itself, the number that its autocorrelation alone would leave.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    DataArray (...)
        Effective number, of the precision of the data; NaN with fewer than three valid pairs or a constant series.

    Raises
    ------
    TimeError
        If the times differ.

    Examples
    --------
    >>> noise = xr.DataArray(np.random.default_rng(0).normal(size=200), dims="time")
    >>> int(effective_sample_size(noise)) > 150, int(effective_sample_size(noise.cumsum())) < 10
    (True, True)
    """
    name = time_axis(x, dim)
    other = x if y is None else y
    _check_time(x, other, name)
    effective = _pair(x, other, name)[2]
    out = effective.astype(np.result_type(x.dtype, other.dtype, np.float32)).rename("effective_sample_size")
    out.attrs = {"long_name": "effective sample size (Bretherton et al. 1999)", "units": "1"}
    return out


def _two_sided(correlation: NDArray[np.floating], effective: NDArray[np.floating]) -> NDArray[np.floating]:
    from scipy.special import stdtr

    freedom = np.asarray(effective, dtype=np.float64) - 2
    r = np.clip(np.asarray(correlation, dtype=np.float64), -1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(r) * np.sqrt(np.maximum(freedom, 0) / (1 - r**2))
        value = 2 * stdtr(np.where(freedom > 0, freedom, 1.0), -statistic)
    value = np.where(freedom > 0, value, 1.0)
    return np.where(np.isfinite(r) & np.isfinite(freedom), value, np.nan).astype(correlation.dtype)


def correlation_p_value(correlation: xr.DataArray, effective: xr.DataArray | float) -> xr.DataArray:
    """Two-sided p-value of a correlation, Student's t with ``effective - 2`` degrees of freedom.

    Parameters
    ----------
    correlation : DataArray (...)
        Pearson correlation, -1 to 1.
    effective : DataArray (...) or float
        Effective number of pairs, as `effective_sample_size` gives it.

    Returns
    -------
    DataArray (...)
        Of the precision of the correlation; 1 where two or fewer pairs are effective, NaN where either is NaN.

    Examples
    --------
    >>> float(correlation_p_value(xr.DataArray(0.5), 20).round(4))
    0.0248
    """
    check_arrays(correlation=correlation)
    if not isinstance(effective, xr.DataArray) and not is_number(effective):
        raise ArgumentError(
            "effective is no number of pairs", expected="a number, or a DataArray", found=repr(effective)[:200]
        )
    result: xr.DataArray = xr.apply_ufunc(
        _two_sided, correlation, effective, dask="parallelized", output_dtypes=[correlation.dtype], keep_attrs=False
    )
    return result.rename("p_value")


def exceedance(field: NDArray[np.floating], candidates: NDArray[np.float64]) -> NDArray[np.floating]:
    """Share of surrogate series that correlate with a field at least as strongly as the true one does.

    Parameters
    ----------
    field : ndarray (..., time)
        NaN where missing.
    candidates : ndarray (1 + surrogates, time)
        The true series first.

    Returns
    -------
    ndarray (...)
        ``(1 + exceeding) / (1 + surrogates)``, of the precision of the field; NaN where the field is constant.

    Examples
    --------
    >>> time = np.arange(32.0)
    >>> float(exceedance(time, np.stack([time, np.cos(time), np.sin(time)])).round(3))
    0.333
    """
    rows = np.asarray(field, dtype=np.float64).reshape(-1, field.shape[-1])
    valid = np.isfinite(rows)
    number = valid.sum(axis=1)
    mean = np.where(valid, rows, 0.0).sum(axis=1) / np.maximum(number, 1)
    centred = np.where(valid, rows - mean[:, None], 0.0)
    spread = np.sqrt((centred**2).sum(axis=1))
    constant = (number < 3) | (spread <= _CONSTANT * np.abs(mean) * np.sqrt(np.maximum(number, 1)))
    series = candidates - candidates.mean(axis=1, keepdims=True)
    # A field with gaps sees only part of each surrogate, whose mean and spread are taken over that part.
    partial = series @ valid.T.astype(np.float64)
    power = (series**2) @ valid.T.astype(np.float64) - partial**2 / np.maximum(number, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        strength = np.abs(series @ centred.T) / (np.sqrt(np.maximum(power, 0)) * spread)
    exceed = (strength[1:] >= strength[0] * (1 - 1e-12)).sum(axis=0)
    value = np.where(constant | ~np.isfinite(strength[0]), np.nan, (1 + exceed) / len(series))
    return np.asarray(value.reshape(field.shape[:-1]).astype(field.dtype))


def _phase_p(
    field: NDArray[np.floating], series: NDArray[np.floating], *, count: int, seed: int
) -> NDArray[np.floating]:
    true = np.asarray(series, dtype=np.float64)
    return exceedance(field, np.concatenate([true[None], surrogate_series(true, count, seed)]))


def correlate(
    x: xr.DataArray,
    y: xr.DataArray,
    *,
    dim: str | None = None,
    null: Null = "effective",
    surrogates: int = 999,
    seed: int = 0,
) -> xr.Dataset:
    """Correlation over time with a p-value that knows about autocorrelation.

    Parameters
    ----------
    x : DataArray (time, ...)
        A series; with ``null="phase"`` exactly ``(time,)``, complete, and evenly spaced.
    y : DataArray (time, ...)
        A series or field at the same times; missing values are left out pairwise.
    dim : str, optional
        Name of the time dimension.
    null : {"effective", "phase"}
        Student's t with Bretherton's effective sample size, or phase-randomised surrogates of x (Ebisuzaki 1997).
    surrogates : int
        Number of surrogates; the smallest p-value is ``1 / (surrogates + 1)``, too coarse for a false discovery
        rate over many cells unless many are drawn.
    seed : int
        Seed of the surrogates.

    Returns
    -------
    Dataset (...)
        ``correlation``, ``effective_sample_size`` and ``p_value``, of the precision of the data; lazy if either is.

    Raises
    ------
    TimeError
        If the times differ, or are not even where the null needs it.
    ArgumentError
        If ``null`` is unknown.
    MissingDataError
        If x has gaps and ``null="phase"``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = xr.DataArray(rng.normal(size=100), dims="time")
    >>> y = 0.8 * x + 0.6 * xr.DataArray(rng.normal(size=100), dims="time")
    >>> bool(correlate(x, y).p_value < 1e-6)
    True
    """
    check_arguments(null=null, surrogates=surrogates, seed=seed)
    name = time_axis(x, dim)
    _check_time(x, y, name)
    dtype = np.result_type(x.dtype, y.dtype, np.float32)
    correlation, _, effective = _pair(x, y, name)
    correlation, effective = correlation.astype(dtype), effective.astype(dtype)
    if null == "effective":
        p_value = correlation_p_value(correlation, effective)
    else:
        if x.dims != (name,):
            raise ArgumentError(
                "a phase-randomised null needs one series", expected="x with time alone", found=f"dims {x.dims}"
            )
        if name in x.coords and not is_adjacent(x[name]).all():
            raise TimeError(
                "the series has breaks",
                expected="even steps for a Fourier transform",
                fix="use null='effective', or correlate before selecting a season",
            )
        series, field = (array.chunk({name: -1}) if array.chunks is not None else array for array in (x, y))
        p_value = xr.apply_ufunc(
            _phase_p,
            field.astype(dtype),
            series,
            input_core_dims=[[name], [name]],
            dask="parallelized",
            output_dtypes=[dtype],
            kwargs={"count": surrogates, "seed": seed},
        )
    correlation.attrs = {"long_name": "Pearson correlation", "units": "1"}
    effective.attrs = {"long_name": "effective sample size (Bretherton et al. 1999)", "units": "1"}
    p_value.attrs = {
        "long_name": "two-sided p-value",
        "units": "1",
        "null": "Student t with effective sample size" if null == "effective" else f"{surrogates} phase surrogates",
    }
    return xr.Dataset({"correlation": correlation, "effective_sample_size": effective, "p_value": p_value})
