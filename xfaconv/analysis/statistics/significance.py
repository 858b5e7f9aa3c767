"""Significance where values are autocorrelated: effective sample sizes, p-values, and the false discovery rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import check_arrays, horizontal_axes, in_one_chunk, require_dimension, time_axis
from xfaconv.analysis.statistics.seasons import adjacent_steps, step_numbers
from xfaconv.arguments import check_arguments, check_choice, check_rules, is_number
from xfaconv.errors import CoordinateError, TimeError

# A series whose spread is below this fraction of its size is constant but for rounding.
_CONSTANT = 1e-6
# The sum over lags ends where the autocorrelation has fallen below this: the rest adds less than a thousandth.
_NEGLIGIBLE = 1e-4
_LARGEST_AUTOCORRELATION = 0.999


class _Series(NamedTuple):
    """A series less its first value, its mean, and its sum of squares about that mean."""

    shifted: xr.DataArray
    mean: xr.DataArray
    squares: xr.DataArray


def _about_mean(series: xr.DataArray, valid: xr.DataArray, dim: str) -> _Series:
    # One pass over time needs sum(x^2) - n mean^2, which loses all digits where the mean is large (geopotential: 54,000
    # with a spread of 50). Less the first value, the numbers are of the size of the spread.
    count = valid.sum(dim)
    first = series.isel({dim: 0}, drop=True).astype(np.float64).fillna(0.0)
    shifted = (series.astype(np.float64) - first).where(valid, 0.0)
    mean = shifted.sum(dim) / count
    squares = (shifted**2).sum(dim) - count * mean**2
    constant = squares <= count * (_CONSTANT * (first + mean)) ** 2
    return _Series(shifted, mean, squares.where(~constant, 0.0))


def _lag_one(series: _Series, valid: xr.DataArray, dim: str) -> xr.DataArray:
    """Sum of products of adjacent steps over the sum of squares, both about the mean and per term."""
    adjacent = xr.DataArray(adjacent_steps(valid, dim), dims=(dim,))
    present, shifted = (array.drop_vars(dim, errors="ignore") for array in (valid, series.shifted))
    early, late = {dim: slice(None, -1)}, {dim: slice(1, None)}
    pair = present.isel(early) & present.isel(late) & adjacent
    first, second = (shifted.isel(part).where(pair, 0.0) for part in (early, late))
    pairs, count = pair.sum(dim), valid.sum(dim)
    product = (first * second).sum(dim) - series.mean * (first.sum(dim) + second.sum(dim)) + pairs * series.mean**2
    # A season selected from many years has fewer pairs than values: three months a year give two pairs. Without the
    # factor, r of a DJF record would be too small by a third.
    possible = count if bool(adjacent.all()) else pairs
    ratio: xr.DataArray = product / series.squares.where(series.squares > 0) * count / possible.where(possible > 0)
    return ratio


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
    found = _lag_one(_about_mean(series, valid, name), valid, name)
    found.attrs = {"long_name": "lag-one autocorrelation", "units": "1"}
    return found


def correlation_over_time(x: xr.DataArray, y: xr.DataArray, dim: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Pearson correlation and Bretherton's effective number of pairs, in one pass over time.

    Parameters
    ----------
    x, y : DataArray (time, ...)
        At the same times; missing values are left out pairwise.
    dim : str
        Name of the time dimension.

    Returns
    -------
    tuple of (DataArray, DataArray), float64
        NaN with fewer than three pairs or a constant series.

    Examples
    --------
    >>> x = xr.DataArray(np.arange(5.0), dims="time")
    >>> float(correlation_over_time(x, -x, "time")[0])
    -1.0
    """
    valid = x.notnull() & y.notnull()
    count = valid.sum(dim)
    first, second = (_about_mean(series, valid, dim) for series in (x, y))
    product = (first.shifted * second.shifted).sum(dim) - count * first.mean * second.mean
    scale = (first.squares * second.squares) ** 0.5
    correlation = (product / scale.where(scale > 0)).where(count > 2).clip(-1.0, 1.0)
    # The variance of a correlation depends on the product of the two autocorrelations alone (Bartlett 1935).
    both = _lag_one(first, valid, dim) * _lag_one(second, valid, dim)
    both = both.clip(-_LARGEST_AUTOCORRELATION, _LARGEST_AUTOCORRELATION)
    return correlation, effective_number(both, count, x, dim).where(count > 2)


def check_same_times(x: xr.DataArray, y: xr.DataArray, dim: str) -> None:
    """Refuse two series that are not at the same times.

    Examples
    --------
    >>> check_same_times(xr.DataArray([1.0], dims="time"), xr.DataArray([2.0], dims="time"), "time")
    """
    check_arrays(x=x, y=y)
    require_dimension(y, dim, "y")
    labelled = dim in x.coords and dim in y.coords
    if x.sizes[dim] != y.sizes[dim] or (labelled and not x.indexes[dim].equals(y.indexes[dim])):
        found = f"{x.sizes[dim]} and {y.sizes[dim]} steps" + (", not the same times" if labelled else "")
        fix = "x, y = xr.align(x, y, join='inner')" if labelled else "give both the coordinate of their times"
        raise TimeError("the two series have different lengths or different times", found=found, fix=fix)


def variance_inflation(
    autocorrelation: NDArray[np.floating], weights: NDArray[np.float64], numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Variance of a weighted sum of a first-order autoregressive series, over that of independent values.

    ``1 + 2 sum_k r^k sum_t w_t w_{t+k} / sum_t w_t^2``, over pairs that are k steps apart, breaks included.

    Parameters
    ----------
    autocorrelation : ndarray (...)
        Lag-one autocorrelations r.
    weights : ndarray (time,)
        Weights w of the values.
    numbers : ndarray (time,), int
        Number of each step, ascending.

    Returns
    -------
    ndarray (...)
        At least 1.

    Examples
    --------
    >>> variance_inflation(np.array([0.0, 0.5]), np.ones(3), np.array([0, 1, 12])).round(2)
    array([1.  , 1.33])
    """
    r = np.nan_to_num(np.asarray(autocorrelation, dtype=np.float64))
    strongest = min(float(np.abs(r).max(initial=0.0)), _LARGEST_AUTOCORRELATION)
    # Steps inside a break have the weight zero, so that a lag is a shift of the array.
    unbroken = np.zeros(int(numbers[-1] - numbers[0]) + 1)
    unbroken[numbers - numbers[0]] = weights
    power = float((weights**2).sum())
    total = np.zeros(r.shape)
    if strongest > 0 and power > 0:
        longest = min(int(np.ceil(np.log(_NEGLIGIBLE) / np.log(strongest))), len(unbroken) - 1)
        # Horner's rule from the longest lag: one product per lag for a whole map.
        for lag in range(longest, 0, -1):
            total = (total + float(unbroken[:-lag] @ unbroken[lag:]) / power) * r
    return np.maximum(1 + 2 * total, 1.0)


def _inflation_of_events(
    r: NDArray[np.floating], weights: NDArray[np.floating], *, numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    inside = np.nan_to_num(np.asarray(weights, dtype=np.float64))
    return variance_inflation(r, inside - inside.mean(), numbers)


def effective_number(autocorrelation: xr.DataArray, count: xr.DataArray, data: xr.DataArray, dim: str) -> xr.DataArray:
    """Count independent values by Bretherton et al. (1999): eq. 31 for an even record, the sum of eq. 30 with breaks.

    Parameters
    ----------
    autocorrelation : DataArray (...)
        Product of the two lag-one autocorrelations.
    count : DataArray (...)
        Valid pairs.
    data : DataArray (time, ...)
        Whose times say where the breaks are.
    dim : str
        Name of the time dimension.

    Returns
    -------
    DataArray (...)
        At most the count; lazy if the autocorrelation is.

    Examples
    --------
    >>> even = xr.DataArray(np.zeros(90), dims="time")
    >>> float(effective_number(xr.DataArray(0.5), xr.DataArray(90), even, "time"))
    30.0
    """
    if adjacent_steps(data, dim).all():
        return (count * (1 - autocorrelation) / (1 + autocorrelation)).clip(max=count)
    # Eq. 31 is the limit of a long unbroken record. In winters of three months it would count pairs that lie in
    # different years as neighbours, and reject next to nothing of slow fields.
    inflation: xr.DataArray = xr.apply_ufunc(
        variance_inflation,
        autocorrelation,
        dask="parallelized",
        output_dtypes=[np.float64],
        kwargs={"weights": np.ones(data.sizes[dim]), "numbers": step_numbers(data, dim)},
    )
    return count / inflation


def effective_sample_size(x: xr.DataArray, y: xr.DataArray | None = None, *, dim: str | None = None) -> xr.DataArray:
    """Count the independent pairs that two autocorrelated series are worth (Bretherton et al. 1999, eq. 31).

    ``n (1 - r_x r_y) / (1 + r_x r_y)`` with the lag-one autocorrelations; never more than n. Pairs of steps that do
    not follow each other (the break between two winters) do not count in the autocorrelation, and a record with breaks
    is summed over the pairs that it has (eq. 30): winters of three months are worth more than three months in a row
    each time, since the autocorrelation fades from one winter to the next.

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
    check_same_times(x, other, name)
    effective = correlation_over_time(x, other, name)[1]
    out = effective.astype(np.result_type(x.dtype, other.dtype, np.float32)).rename("effective_sample_size")
    out.attrs = {"long_name": "effective sample size (Bretherton et al. 1999)", "units": "1"}
    return out


def effective_sample_of_events(field: xr.DataArray, members: xr.DataArray, *, dim: str | None = None) -> xr.DataArray:
    """Count the independent values that the difference between events and the rest is worth.

    The events are taken as given and each cell as a first-order autoregressive series. With the departures d of the
    membership from its mean, the variance of the difference is that of independent values times
    ``1 + 2 sum_k r^k sum_t d_t d_{t+k} / sum_t d_t^2``. Bretherton's formula would take the membership for an
    autoregressive series too, which a series of zeros and ones is not: its autocorrelation falls faster at first and
    slower later, so that 6 to 11% of noise would be found significant at 5%. The lag-one autocorrelation r is freed of
    its bias in short records (Marriott and Pope 1954).

    Parameters
    ----------
    field : DataArray (time, ...)
        Anomalies. A break in time (between two winters) counts with its length.
    members : DataArray (time)
        True inside.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    DataArray (...), float64
        Effective number, at most the number of valid values; lazy if the field or the members are.

    Raises
    ------
    TimeError
        If there is no time dimension.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=400)
    >>> slow = xr.DataArray(np.convolve(noise, np.ones(20) / 20, "same"), dims="time")
    >>> members = xr.DataArray(np.arange(400) < 200, dims="time")
    >>> float(effective_sample_of_events(slow, members)) < 60
    True
    """
    name = time_axis(field, dim)
    count = field.notnull().sum(name)
    r = lag_one_autocorrelation(field, dim=name)
    # An estimate from n values is too small by (1 + 4 r) / n on average.
    unbiased = (r + (1 + 4 * r) / count.where(count > 0)).clip(-_LARGEST_AUTOCORRELATION, _LARGEST_AUTOCORRELATION)
    inflation = xr.apply_ufunc(
        _inflation_of_events,
        unbiased,
        in_one_chunk(members.astype(np.float64).reset_coords(drop=True), [name]),
        input_core_dims=[[], [name]],
        dask="parallelized",
        output_dtypes=[np.float64],
        kwargs={"numbers": step_numbers(field, name)},
    )
    effective: xr.DataArray = (count / inflation).where(r.notnull())
    effective.attrs = {"long_name": "effective sample size given the events", "units": "1"}
    return effective.rename("effective_sample_size")


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
    if not isinstance(effective, xr.DataArray):
        check_rules({"effective": effective}, {"effective": (is_number, "a number, or a DataArray", "20")})
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
    # The true series counts among its surrogates, so that no p-value is zero; equal but for rounding is as strong.
    exceed = (strength[1:] >= strength[0] * (1 - 1e-12)).sum(axis=0)
    value = np.where(constant | ~np.isfinite(strength[0]), np.nan, (1 + exceed) / len(series))
    return np.asarray(value.reshape(field.shape[:-1]).astype(field.dtype))


def _adjusted(p_value: NDArray[np.floating], *, method: str, core: int) -> NDArray[np.floating]:
    from scipy.stats import false_discovery_control

    families = int(np.prod(p_value.shape[: p_value.ndim - core], dtype=int))
    flat = np.asarray(p_value, dtype=np.float64).reshape(families, -1)
    out = np.full(flat.shape, np.nan)
    for row, values in zip(out, flat, strict=True):
        tested = np.isfinite(values)
        if tested.any():
            row[tested] = false_discovery_control(np.clip(values[tested], 0, 1), method=method)
    return out.reshape(p_value.shape)


def _describe_domain(data: xr.DataArray, dims: Sequence[str]) -> str:
    """Say in words which cells a family of tests covers, such as "lat 0 to 10 (2), lon 20 to 30 (2)"."""
    parts = []
    for dim in dims:
        numbers = dim in data.coords and np.issubdtype(data[dim].dtype, np.number)
        extent = f" {float(data[dim].min()):g} to {float(data[dim].max()):g}" if numbers else ""
        parts.append(f"{dim}{extent} ({data.sizes[dim]})")
    return ", ".join(parts)


def false_discovery(
    p_value: xr.DataArray,
    *,
    alpha: float = 0.05,
    dim: Sequence[str] | None = None,
    method: Literal["bh", "by"] = "bh",
) -> xr.Dataset:
    """Control the false discovery rate over a domain (Benjamini-Hochberg, as Wilks 2016 asks of maps).

    Parameters
    ----------
    p_value : DataArray (..., latitude, longitude)
        Each cell's p-value; NaN cells are not tested and do not count.
    alpha : float
        Expected share of false discoveries among the discoveries.
    dim : sequence of str, optional
        The dims that make one family of tests. Default: latitude and longitude; each base point, phase or time
        beside them is a family of its own.
    method : {"bh", "by"}
        Benjamini-Hochberg, or Benjamini-Yekutieli for any dependence.

    Returns
    -------
    Dataset (..., latitude, longitude)
        ``adjusted_p_value`` (float64, so that no cell changes sides by rounding), ``significant`` (adjusted p at
        most alpha) and ``number_of_tests`` (...). Attrs give alpha, the domain and its number of cells, and the
        number of tests where that is known without computing. The family is one lazy task.

    Raises
    ------
    ArgumentError
        If alpha is not in (0, 1) or the method is unknown.
    CoordinateError
        If a dim is missing.

    Examples
    --------
    >>> p = xr.DataArray([[0.001, 0.02], [0.04, np.nan]], {"lat": [0.0, 1.0], "lon": [0.0, 1.0]}, ("lat", "lon"))
    >>> false_discovery(p).significant.values
    array([[ True,  True],
           [ True, False]])
    """
    check_arguments(alpha=alpha)
    check_choice("method", method, ("bh", "by"))
    if dim is not None:
        check_rules({"dim": dim}, {"dim": (lambda v: isinstance(v, Iterable), "names of dims", "['lat', 'lon']")})
    dims = list(horizontal_axes(p_value) if dim is None else dim)
    absent = [name for name in dims if name not in p_value.dims]
    if absent:
        raise CoordinateError("p_value lacks a dim of the domain", expected=f"{p_value.dims}", found=f"{absent}")
    adjusted = xr.apply_ufunc(
        _adjusted,
        in_one_chunk(p_value, dims),
        input_core_dims=[dims],
        output_core_dims=[dims],
        dask="parallelized",
        output_dtypes=[np.float64],
        kwargs={"method": method, "core": len(dims)},
    ).transpose(*p_value.dims)
    significant = adjusted <= alpha
    tests = p_value.notnull().sum(dims)
    attrs: dict[str, object] = {
        "alpha": alpha,
        "method": {"bh": "Benjamini-Hochberg", "by": "Benjamini-Yekutieli"}[method],
        "domain": _describe_domain(p_value, dims),
        "number_of_cells": int(np.prod([p_value.sizes[name] for name in dims])),
    }
    if p_value.chunks is None:
        attrs["number_of_tests"] = int(tests) if tests.ndim == 0 else [int(count) for count in tests.values.ravel()]
    # Attributes of the p-values are not those of what is made of them.
    significant.attrs = {"long_name": "significant at the false discovery rate", **attrs}
    adjusted.attrs = {"long_name": "p-value adjusted for the false discovery rate", "units": "1", **attrs}
    tests.attrs = {"long_name": "number of tests in the family", "units": "1"}
    return xr.Dataset({"adjusted_p_value": adjusted, "significant": significant, "number_of_tests": tests}, attrs=attrs)
