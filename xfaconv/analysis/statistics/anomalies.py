"""Anomalies from the data's own seasonal cycle, and scaling by the spread of each calendar month."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import time_axis
from xfaconv.climatology import fit_climatology, fraction_of_year, month_basis, seasonal_basis, standardise
from xfaconv.errors import ArgumentError, TimeError

BasePeriod = tuple[str, str]

# Annual cycle and two overtones for steps shorter than a month.
_HARMONICS = 3


def _months(data: xr.DataArray, dim: str) -> NDArray[np.int64]:
    try:
        return np.asarray(data[dim].dt.month.values, dtype=np.int64)
    except (AttributeError, TypeError, KeyError) as problem:
        dates = f"xr.date_range('the true first date', periods={data.sizes[dim]}, freq='the true step')"
        raise TimeError(
            f"coordinate '{dim}' holds no dates",
            expected="datetime64 or cftime",
            found=str(data[dim].dtype) if dim in data.coords else "no coordinate",
            fix=f"data = data.assign_coords({dim}={dates})",
        ) from problem


def is_monthly(data: xr.DataArray, dim: str) -> bool:
    """Whether steps are calendar months, whatever day they are stamped with.

    Examples
    --------
    >>> times = xr.date_range("2000-01-01", periods=3, freq="MS")
    >>> is_monthly(xr.DataArray(np.zeros(3), {"time": times}, ("time",)), "time")
    True
    """
    _months(data, dim)
    stamps = data[dim].dt.year.values * 12 + data[dim].dt.month.values
    return len(stamps) < 2 or bool((np.diff(np.sort(stamps)) >= 1).all())


def _base_steps(data: xr.DataArray, dim: str, base_period: BasePeriod | None) -> slice | NDArray[np.int64]:
    """Positions of the steps that a climatology is fitted to."""
    if base_period is None:
        return slice(None)
    positions = xr.DataArray(np.arange(data.sizes[dim]), {dim: data[dim]}, (dim,))
    try:
        first, last = base_period
        chosen = np.asarray(positions.sel({dim: slice(first, last)}).values)
    except (TypeError, ValueError, KeyError) as problem:
        raise ArgumentError(
            "base_period is no pair of dates", found=repr(base_period)[:200], fix="base_period=('1991', '2020')"
        ) from problem
    if len(chosen) == 0:
        raise TimeError(
            "no data in the base period",
            expected=f"times within {base_period[0]} to {base_period[1]}",
            found=f"{data[dim].values[0]} to {data[dim].values[-1]}",
            fix="base_period=None",
        )
    return chosen


def _cycle(
    data: xr.DataArray, dim: str, base_period: BasePeriod | None, basis: NDArray[np.float32], fewest: int | None = None
) -> xr.DataArray:
    """Seasonal cycle (time, ...) of each cell, fitted to its valid steps in the base period; lazy if the data are."""
    base = _base_steps(data, dim, base_period)
    ordered = data.transpose(dim, ...)
    coefficients, _ = fit_climatology(ordered.isel({dim: base}).data, basis[base], axis=0, fewest=fewest)
    terms = xr.DataArray(coefficients, dims=("term", *ordered.dims[1:]))
    if fewest is not None:
        return terms.isel(term=xr.DataArray(basis.argmax(axis=1), dims=(dim,)))
    columns = xr.DataArray(basis.astype(np.float64), dims=(dim, "term"))
    if data.chunks is not None:
        columns = columns.chunk({dim: data.chunksizes[dim]})
    cycle: xr.DataArray = xr.dot(columns, terms, dim="term")
    return cycle


def _month_means(data: xr.DataArray, dim: str, base_period: BasePeriod | None) -> xr.DataArray:
    """Mean of each step's calendar month (time, ...), NaN where it has no values."""
    return _cycle(data, dim, base_period, month_basis(_months(data, dim)), fewest=1)


def _harmonic_cycle(data: xr.DataArray, dim: str, base_period: BasePeriod | None) -> xr.DataArray:
    dates = data[dim].dt
    parts = (dates.month.values, dates.dayofyear.values, dates.days_in_year.values, dates.hour.values / 24)
    return _cycle(data, dim, base_period, seasonal_basis(fraction_of_year(*parts, monthly=False), _HARMONICS))


def anomalies(data: xr.DataArray, *, base_period: BasePeriod | None = None, dim: str | None = None) -> xr.DataArray:
    """Departures from the seasonal cycle.

    Monthly data lose the mean of each calendar month; finer steps lose the least-squares mean, annual cycle and two
    overtones of each cell.

    Parameters
    ----------
    data : DataArray (..., time, ...)
        With dates.
    base_period : (first, last), optional
        The years of the climatology, such as ``("1991", "2020")``. Default: all.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    DataArray (..., time, ...)
        In the units and precision of the data, lazy if they are; NaN where missing.

    Raises
    ------
    TimeError
        If time holds no dates or the base period holds no data.

    Examples
    --------
    >>> times = xr.date_range("2000-01-01", periods=24, freq="MS")
    >>> data = xr.DataArray(np.repeat([1.0, 3.0], 12), {"time": times}, ("time",))
    >>> anomalies(data).values[[0, -1]]
    array([-1.,  1.])
    """
    name = time_axis(data, dim)
    cycle = (_month_means if is_monthly(data, name) else _harmonic_cycle)(data, name, base_period)
    out = data.astype(np.float64) - cycle
    return out.astype(np.result_type(data.dtype, np.float32)).transpose(*data.dims).assign_attrs(data.attrs)


def standardised(data: xr.DataArray, *, base_period: BasePeriod | None = None, dim: str | None = None) -> xr.DataArray:
    """Anomalies divided by their own standard deviation in each calendar month.

    Parameters
    ----------
    data : DataArray (..., time, ...)
        With dates.
    base_period : (first, last), optional
        The years that mean and spread are taken from. Default: all.
    dim : str, optional
        Name of the time dimension.

    Returns
    -------
    DataArray (..., time, ...)
        Dimensionless, of the precision of the data, lazy if they are; NaN where the spread is zero.

    Raises
    ------
    TimeError
        If time holds no dates or the base period holds no data.

    Examples
    --------
    >>> times = xr.date_range("2000-01-01", periods=24, freq="MS")
    >>> data = xr.DataArray(np.repeat([1.0, 3.0], 12), {"time": times}, ("time",))
    >>> standardised(data).values[[0, -1]]
    array([-1.,  1.])
    """
    name = time_axis(data, dim)
    departure = anomalies(data, base_period=base_period, dim=name)
    spread = _month_means(departure.astype(np.float64) ** 2, name, base_period) ** 0.5
    out: xr.DataArray = standardise(departure, 0.0, spread.where(spread > 0)).astype(departure.dtype)
    out = out.transpose(*data.dims).assign_attrs({**data.attrs, "units": "1"})
    # A standard name says which units there may be, and no longer holds.
    out.attrs.pop("standard_name", None)
    return out
