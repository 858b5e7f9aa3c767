"""Time axes that hold no dates: which line makes dates of them, tried before it is offered; forecasts by their lead."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from xfaconv.names import candidates, holds_dates
from xfaconv.names.coordinates import DATES
from xfaconv.names.tables import read_table

# Beyond this a number is a fill value, such as netCDF's 9.97e36.
_FILL = 1e30
# Years that numbers can be meant as; dates of pandas reach from 1678 to 2261.
_YEARS = 1000, 2999
# Digits of numbers such as 1979010112, and what they are.
_DIGITS = {10: "%Y%m%d%H", 8: "%Y%m%d", 6: "%Y%m", 4: "%Y"}
# Decimal years of the starts of months may be rounded down: 2007.0833 is February [months].
_ROUNDED = 0.05
_PARTS = ("year", "month", "day", "hour")


def offer_dates(name: str, size: int | None) -> str:
    """Code that gives a dimension dates which only the user knows."""
    dates = f"xr.date_range('the true first date', periods={size or 'n'}, freq='the true step')"
    return f".assign_coords({name}={dates})  # the true dates, e.g. from '1979-01-01' in steps of 'MS' or 'D'"


def line_of_dates(array: xr.DataArray, name: str) -> str:
    """Find the line that makes dates of a time coordinate without them.

    Parameters
    ----------
    array : DataArray (time,)
        The coordinate, in memory.
    name : str
        Its name.

    Returns
    -------
    str
        A line that was tried and gives dates in ascending order; else one that asks for the true first date.

    Examples
    --------
    >>> line_of_dates(xr.DataArray([197901.0, 197902.0], dims="time", name="time"), "time")
    "ds = ds.assign_coords(time=pd.to_datetime(ds['time'].values.astype(int).astype(str), format='%Y%m'))"
    """
    dim = str(array.dims[0]) if array.ndim else ""
    if array.dtype.kind == "f":
        missing = ~(np.abs(array.values) < _FILL)
        if missing.any() and not missing.all():
            return f"ds = ds.isel({dim}=(abs(ds[{name!r}]) < {_FILL:g}).values)"
    if array.dtype.kind == "O" and 0 < int(pd.isna(array.values).sum()) < array.size:
        return f"ds = ds.isel({dim}=ds[{name!r}].notnull().values)"
    units = str(array.attrs.get("units", ""))
    if " since " in units and _can_be_decoded(array):
        return "ds = xr.decode_cf(ds)"
    ds = array.to_dataset(name="its values").drop_vars("its values", errors="ignore")
    ds = ds if name in ds.coords else ds.assign_coords({name: array})
    levels = line_of_parts(ds, name, [])
    if levels:
        return levels
    tried = _candidates(array, name, units)
    found = next((dates for dates, make in tried if _gives_dates(make, array.values)), None)
    if found is not None:
        return f"ds = ds.assign_coords({name}={found if dim in (name, '') else f'({dim!r}, {found})'})"
    return f"ds = ds{offer_dates(dim or name, array.size)}"


def _can_be_decoded(array: xr.DataArray) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coded = array.variable.to_base_variable()
            return holds_dates(xr.decode_cf(xr.Dataset({"its values": coded}))["its values"])
    except (ValueError, OverflowError):
        return False


def _candidates(array: xr.DataArray, name: str, units: str) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Give expressions that may make dates, the likeliest first, each with the function of the values that it is."""
    values = f"ds[{name!r}].values"
    if array.dtype.kind in "OSU":
        for form in ("%Y-%m-%d_%H:%M:%S", *_DIGITS.values()):
            text = f"pd.to_datetime({values}.astype(str), format={form!r})"
            yield text, partial(_dates_of_text, form=form)
        yield f"pd.to_datetime({values})", pd.to_datetime
        yield f"pd.to_datetime({values}.astype(str))", partial(_dates_of_text, form=None)
    if array.dtype.kind not in "iuf" or array.size == 0 or not np.isfinite(np.asarray(array.values, dtype=float)).all():
        return
    numbers = np.atleast_1d(np.asarray(array.values, dtype=np.float64))
    since = re.match(r"\s*(month|mon|year|yr)s?\s+since\s+(\d{1,4})(?:-(\d{1,2}))?", units.lower())
    if since is not None:
        first = (int(since[2]) - 1970) * 12 + int(since[3] or 1) - 1
        factor, rounded = (1, 0.0) if since[1].startswith("mon") else (12, _ROUNDED)
        inside = f"np.floor({values})" if factor == 1 else f"np.floor({values} * 12 + {_ROUNDED})"
        yield _months_written(f"{inside}.astype(int) + {first}"), partial(_months, factor, rounded, first)
    if " since " in units:
        return
    whole = bool((numbers == np.floor(numbers)).all())
    digits = {len(str(int(number))) for number in numbers}
    known = _DIGITS.get(digits.pop()) if len(digits) == 1 and numbers.min() > 0 else None
    dates = f"pd.to_datetime({values}.astype(int).astype(str), format={known!r})"
    if known is not None and whole:
        yield dates, partial(_dates_of_whole, form=known)
    elif known == "%Y%m%d":
        yield f"{dates} + pd.to_timedelta({values} % 1, 'D')", _dates_with_hours
    elif _YEARS[0] <= numbers.min() and numbers.max() <= _YEARS[1]:
        text = _months_written(f"np.floor({values} * 12 + {_ROUNDED}).astype(int) - {12 * 1970}")
        yield text, partial(_months, 12, _ROUNDED, -12 * 1970)
        # Of a day of the year; leap years may be counted as 365.25 days, so the day is known to a third.
        start = f"pd.to_datetime({values}.astype(int).astype(str), format='%Y')"
        text = f"({start} + pd.to_timedelta({values} % 1 * (365 + {start}.is_leap_year) + 0.3, 'D')).floor('D')"
        yield text, _dates_of_decimal_years


def _months_written(months: str) -> str:
    return f"({months}).astype('datetime64[M]').astype('datetime64[ns]')"


def _months(factor: int, rounded: float, first: int, values: Any) -> Any:
    months = np.floor(values * factor + rounded).astype(int) + first
    return months.astype("datetime64[M]").astype("datetime64[ns]")


def _dates_of_text(values: Any, form: str | None) -> Any:
    return pd.to_datetime(values.astype(str), format=form)


def _dates_of_whole(values: Any, form: str) -> Any:
    return pd.to_datetime(values.astype(int).astype(str), format=form)


def _dates_with_hours(values: Any) -> Any:
    return _dates_of_whole(values, "%Y%m%d") + pd.to_timedelta(values % 1, "D")


def _dates_of_decimal_years(values: Any) -> Any:
    start = _dates_of_whole(values, "%Y")
    return (start + pd.to_timedelta(values % 1 * (365 + start.is_leap_year) + 0.3, "D")).floor("D")


def _gives_dates(make: Callable[[Any], Any], values: Any) -> bool:
    """Try a function: it has to give distinct dates in the order of the axis, of years that numbers can mean."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stamps: NDArray[Any] = np.asarray(make(values), dtype="datetime64[ns]")
    except (ValueError, TypeError, OverflowError, KeyError):
        return False
    years = stamps.astype("datetime64[Y]").astype(int) + 1970
    known = stamps.size > 0 and not np.isnat(stamps).any() and years.min() >= 1678 and years.max() <= 2261
    return bool(known and (np.diff(stamps) > np.timedelta64(0)).all())


def line_of_parts(ds: xr.Dataset, name: str, dims: list[str]) -> str:
    """Find the line that makes dates of coordinates such as year and month; "" where there are none.

    Parameters
    ----------
    ds : xarray.Dataset
        With the coordinates.
    name : str
        The time dimension.
    dims : list of str
        Dimensions that are parts of the calendar.

    Returns
    -------
    str

    Examples
    --------
    >>> ds = xr.Dataset(coords={"year": ("time", [2007, 2007]), "month": ("time", [1, 2])})
    >>> line_of_parts(ds, "time", [])
    "ds = ds.assign_coords(time=pd.to_datetime({'year': ds['year'].values, 'month': ds['month'].values, 'day': 1}))"
    """
    if {"year", "month"} <= {dim.lower() for dim in dims}:
        ordered = sorted((dim for dim in dims if dim.lower() in _PARTS), key=lambda dim: _PARTS.index(dim.lower()))
        return f"ds = ds.stack(time={tuple(ordered)})"
    along = {str(key).lower(): str(key) for key in ds.variables if ds[key].dims == (name,)}
    parts = {part: f"ds[{along[part]!r}].values" for part in _PARTS if part in along}
    if not {"year", "month"} <= set(parts):
        return ""
    parts.setdefault("day", "1")
    dates = f"pd.to_datetime({{{', '.join(f'{part!r}: {value}' for part, value in parts.items())}}})"
    numbers = {part: 1 if value == "1" else ds[along[part]].to_numpy() for part, value in parts.items()}
    if not _gives_dates(pd.to_datetime, numbers):
        return ""
    indexed = f".reset_index({name!r})" if getattr(ds.indexes.get(name), "nlevels", 1) > 1 else ""
    return f"ds = ds{indexed}.assign_coords({name}={dates})"


def with_valid_times(ds: xr.Dataset) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Give forecasts that have a reference time and a lead, and no time, the times when they hold.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data, left alone.

    Returns
    -------
    Dataset, tuple of str
        With the time coordinate, and what was done; the same Dataset where nothing was.

    Examples
    --------
    >>> start = np.array(["1960-11-01"] * 2, "M8[ns]")
    >>> lead = ("time", [360, 1092], {"units": "hours", "standard_name": "forecast_period"})
    >>> ds = xr.Dataset(coords={"reftime": ("time", start), "leadtime": lead})
    >>> with_valid_times(ds)[0].time.values.astype("M8[h]")
    array(['1960-11-16T00', '1960-12-16T12'], dtype='datetime64[h]')
    """
    starts = [name for name in candidates(ds, "reference") if name in ds.coords and ds[name].dtype.kind == "M"]
    leads = [name for name in candidates(ds, "lead") if name in ds.coords and ds[name].chunks is None]
    # A start that only its dates make a time is not the time where there is a lead.
    known = {name for name, rule in candidates(ds, "time").items() if rule != DATES or name not in starts or not leads}
    if any(name in ds.coords and ds[name].ndim for name in known):
        return ds, ()
    for start, lead in ((start, lead) for start in starts for lead in leads if start != lead):
        months = lead.lower() in read_table("coordinates")["lead_months"] and ds[lead].dtype.kind in "iu"
        length = ds[lead] - 1 if months else _lengths(ds[lead])
        if length is None or ds[start].chunks is not None:
            continue
        valid = xr.apply_ufunc(_months_later, ds[start], length) if months else ds[start] + length
        if valid.ndim:
            name = str(valid.dims[0]) if valid.ndim == 1 and valid.dims[0] not in ds.coords else "valid_time"
            stamps = (valid.dims, valid.to_numpy(), {"standard_name": "time"})
            return ds.assign_coords({name: stamps}), (f"valid times are {start!r} plus {lead!r}",)
    return ds, ()


def _months_later(start: NDArray[Any], months: NDArray[Any]) -> NDArray[Any]:
    return (start.astype("M8[M]") + months.astype(np.int64)).astype("M8[ns]")


def _lengths(lead: xr.DataArray) -> xr.DataArray | None:
    """Leads as lengths of time, None where their units are not known."""
    if lead.dtype.kind == "m":
        return lead
    units = str(lead.attrs.get("units", "")).strip().lower()
    code = next((code for code, names in read_table("coordinates")["lead_units"].items() if units in names), None)
    if code is None or lead.dtype.kind not in "iuf":
        return None
    return lead.copy(data=np.asarray(pd.to_timedelta(np.ravel(lead.values), unit=code)).reshape(lead.shape))
