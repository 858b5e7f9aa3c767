"""Anomalies from the seasonal cycle of the data themselves, and scaling by the spread of each calendar month."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.analysis.axes import time_axis
from xfaconv.climatology import harmonic_basis
from xfaconv.errors import ArgumentError, TimeError

BasePeriod = tuple[str, str]

# Annual cycle and two overtones for steps shorter than a month.
_HARMONICS = 3


def _months(data: xr.DataArray, dim: str) -> NDArray[np.int64]:
    try:
        return np.asarray(data[dim].dt.month.values, dtype=np.int64)
    except (AttributeError, TypeError, KeyError) as problem:
        raise TimeError(
            f"coordinate '{dim}' holds no dates",
            expected="datetime64 or cftime",
            found=str(data[dim].dtype) if dim in data.coords else "no coordinate",
            fix=f"ds['{dim}'] = xr.date_range('1981-01-01', periods=ds.sizes['{dim}'], freq='MS')",
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


def _in_base(data: xr.DataArray, dim: str, base_period: BasePeriod | None) -> NDArray[np.float64]:
    if base_period is None:
        return np.ones(data.sizes[dim])
    positions = xr.DataArray(np.arange(data.sizes[dim]), {dim: data[dim]}, (dim,))
    try:
        first, last = base_period
        chosen = positions.sel({dim: slice(first, last)}).values
    except (TypeError, ValueError, KeyError) as problem:
        raise ArgumentError(
            "base_period is no pair of dates",
            expected="('1991', '2020')",
            found=repr(base_period)[:200],
            fix="base_period=('1991', '2020')",
        ) from problem
    if len(chosen) == 0:
        raise TimeError(
            "no data in the base period",
            expected=f"times within {base_period[0]} to {base_period[1]}",
            found=f"{data[dim].values[0]} to {data[dim].values[-1]}",
            fix="base_period=None",
        )
    inside = np.zeros(data.sizes[dim])
    inside[chosen] = 1
    return inside


def _month_means(data: xr.DataArray, dim: str, weight: NDArray[np.float64]) -> xr.DataArray:
    """Mean of each calendar month (month, ...), NaN where it has no values; one pass whatever the chunks."""
    one_hot = (_months(data, dim)[:, None] == np.arange(1, 13)[None, :]) * weight[:, None]
    matrix = xr.DataArray(one_hot, dims=(dim, "month"))
    valid = data.notnull()
    counts = xr.dot(valid.astype(np.float64), matrix, dim=dim)
    means: xr.DataArray = xr.dot(data.astype(np.float64).where(valid, 0.0), matrix, dim=dim) / counts.where(counts > 0)
    return means


def _of_month(means: xr.DataArray, data: xr.DataArray, dim: str) -> xr.DataArray:
    number = xr.DataArray(_months(data, dim) - 1, dims=(dim,))
    return means.isel(month=number)


def _solve(gram: NDArray[np.float64], moments: NDArray[np.float64], least: NDArray[np.float64]) -> NDArray[np.float64]:
    enough = np.broadcast_to(gram[..., 0, 0] > least, gram.shape[:-2])
    safe = np.where(enough[..., None, None], gram, np.eye(gram.shape[-1]))
    solution = np.linalg.solve(safe, moments[..., None])[..., 0]
    return np.where(enough[..., None], solution, np.nan)


def _harmonic_cycle(data: xr.DataArray, dim: str, weight: NDArray[np.float64]) -> xr.DataArray:
    """Least-squares seasonal cycle of each cell over its own valid steps."""
    dates = data[dim].dt
    days = np.where(dates.is_leap_year.values, 366, 365) if hasattr(dates, "is_leap_year") else 365.25
    phase = (dates.dayofyear.values - 1 + dates.hour.values / 24) / days
    basis = harmonic_basis(phase, _HARMONICS).astype(np.float64)
    size = basis.shape[1]
    outer = xr.DataArray(basis[:, :, None] * basis[:, None, :] * weight[:, None, None], dims=(dim, "row", "column"))
    right = xr.DataArray(basis * weight[:, None], dims=(dim, "row"))
    valid = data.notnull()
    gram = xr.dot(valid.astype(np.float64), outer, dim=dim)
    moments = xr.dot(data.astype(np.float64).where(valid, 0.0), right, dim=dim)
    coefficients = xr.apply_ufunc(
        _solve,
        gram,
        moments,
        xr.DataArray(float(2 * size)),
        input_core_dims=[["row", "column"], ["row"], []],
        output_core_dims=[["row"]],
        dask="parallelized",
        output_dtypes=[np.float64],
    )
    cycle: xr.DataArray = xr.dot(xr.DataArray(basis, dims=(dim, "row")), coefficients, dim="row")
    return cycle


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
    weight = _in_base(data, name, base_period)
    if is_monthly(data, name):
        cycle = _of_month(_month_means(data, name, weight), data, name)
    else:
        cycle = _harmonic_cycle(data, name, weight)
    out = data.astype(np.float64) - cycle.drop_vars([name, "month"], errors="ignore")
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
    weight = _in_base(data, name, base_period)
    variance = _month_means(departure.astype(np.float64) ** 2, name, weight)
    spread = _of_month(variance, data, name).drop_vars([name, "month"], errors="ignore") ** 0.5
    out = (departure / spread.where(spread > 0)).astype(departure.dtype)
    out = out.transpose(*data.dims).assign_attrs({**data.attrs, "units": "1"})
    # A standard name says which units there may be, and no longer holds.
    out.attrs.pop("standard_name", None)
    return out
