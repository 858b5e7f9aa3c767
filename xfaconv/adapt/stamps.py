"""Where the stamps come from: the time coordinate of a Dataset, decoded from integer dates where that is certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.errors import TimeError
from xfaconv.names.coordinates import FoundCoordinate, known_names


@dataclass(frozen=True, eq=False)
class Stamps:
    """The time coordinate of the data.

    Parameters
    ----------
    coordinate : FoundCoordinate
        The coordinate that holds the stamps, and the dimension it runs along ("" where it is a scalar).
    values : ndarray (time,)
        datetime64 or cftime.
    sentences : tuple of str
        What was done to read them.
    """

    coordinate: FoundCoordinate
    values: NDArray[Any]
    sentences: tuple[str, ...] = ()


def read_stamps(ds: xr.Dataset) -> Stamps:
    """Find the time coordinate and read its stamps.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data.

    Returns
    -------
    Stamps

    Raises
    ------
    TimeError
        If there is no time axis, more than one, or one that cannot be read without a guess.

    Examples
    --------
    >>> ds = xr.Dataset(coords={"date": [19840101, 19840201]})
    >>> read_stamps(ds).values.astype("M8[D]")
    array(['1984-01-01', '1984-02-01'], dtype='datetime64[D]')
    """
    candidates = _candidates(ds)
    if not candidates:
        raise _no_time(ds)
    lines = {str(ds[name].dims[0]) for name in candidates if ds[name].ndim == 1}
    if len(lines) > 1:
        raise TimeError(
            "more than one dimension can be time",
            expected="one",
            found=", ".join(repr(dim) for dim in sorted(lines)),
            fix=f"ds = ds.rename({{{min(lines)!r}: ...}})  # or select the variables of one axis: ds[['t2m']]",
        )
    flat = [name for name in candidates if ds[name].ndim == 1] or [name for name in candidates if ds[name].ndim == 0]
    if not flat or any(ds[name].ndim > 1 for name in candidates):
        name = next(name for name in candidates if ds[name].ndim > 1)
        first, second = (str(dim) for dim in ds[name].dims[:2])
        raise TimeError(
            f"time coordinate {name!r} has {ds[name].ndim} dimensions: these are forecasts",
            expected="one time axis",
            found=f"dimensions {first}, {second}",
            fix=f"ds = ds.isel({second}=0)  "
            f"# or all in a row: ds.stack(t=({first!r}, {second!r})).set_index(t={name!r}).sortby('t')",
        )
    # valid time is when the field holds; the start of a forecast is not
    flat.sort(key=lambda name: (name.lower() != "valid_time" and ds[name].attrs.get("standard_name") != "time",))
    readable = [name for name in flat if _holds_dates(ds[name])]
    name = (readable or flat)[0]
    array = ds[name]
    start = _start_in_memory(ds, name, flat) if array.chunks is not None else None
    if start is not None:
        found = FoundCoordinate("time", start, str(ds[start].dims[0]), _rule(ds[start]))
        values = ds[start].values + ds["step"].values
        return Stamps(found, values, (f"valid times are {start!r} plus 'step', since {name!r} is lazy",))
    if array.chunks is not None:
        raise TimeError(
            f"time coordinate {name!r} is lazy and would have to be computed",
            expected="stamps in memory",
            found="a dask array",
            fix=f"ds = ds.assign_coords({name}=ds[{name!r}].compute())",
        )
    found = FoundCoordinate("time", name, str(array.dims[0]) if array.ndim else "", _rule(array))
    if readable:
        return Stamps(found, np.atleast_1d(np.array(array.values)))
    return Stamps(found, *_decode(array, name))


def _start_in_memory(ds: xr.Dataset, name: str, flat: list[str]) -> str | None:
    """Name the start of the forecast where valid time is lazy (GRIB in chunks) but known: start plus step."""
    step = ds.coords.get("step")
    if name.lower() != "valid_time" or step is None or step.ndim or step.dtype.kind != "m" or step.chunks is not None:
        return None
    starts = [other for other in flat if other != name and ds[other].ndim == 1 and ds[other].chunks is None]
    return next((other for other in starts if ds[other].dtype.kind == "M"), None)


def _rule(array: xr.DataArray) -> str:
    return "CF standard_name" if array.attrs.get("standard_name") == "time" else "known name"


def _holds_dates(array: xr.DataArray) -> bool:
    return (isinstance(array.dtype, np.dtype) and array.dtype.kind == "M") or _is_cftime(array)


def _is_cftime(array: xr.DataArray) -> bool:
    return (
        isinstance(array.dtype, np.dtype)
        and array.dtype.kind == "O"
        and array.size > 0
        and hasattr(np.ravel(array.values)[0], "calendar")
    )


def _candidates(ds: xr.Dataset) -> list[str]:
    known = known_names("time")
    names = []
    for name, coordinate in ds.coords.items():
        is_date = coordinate.dtype.kind == "M" or (coordinate.dtype.kind == "O" and _is_cftime(coordinate))
        by_name = str(name).lower() in known
        by_attribute = coordinate.attrs.get("standard_name") == "time" or coordinate.attrs.get("axis") == "T"
        if by_name or by_attribute or (is_date and coordinate.dims == (name,)):
            names.append(str(name))
    return names


def _no_time(ds: xr.Dataset) -> TimeError:
    known = known_names("time")
    bare = [str(dim) for dim in ds.dims if dim not in ds.coords and str(dim).lower() in known]
    if bare:
        return TimeError(
            f"dimension {bare[0]!r} has no coordinate: when its steps are is not known",
            expected="a stamp for every step",
            found=f"{ds.sizes[bare[0]]} steps without stamps",
            fix=f"ds = ds.assign_coords({bare[0]}=xr.date_range('2000-01-01', periods={ds.sizes[bare[0]]}, freq='D'))",
        )
    sized = {str(dim): ds.sizes[dim] for dim in ds.dims}
    likely: str | None = next(
        (d for d in sized if d.lower() in {"month", "day", "year", "t", "dayofyear", "season"}), None
    )
    return TimeError(
        "there is no time axis" + (f": {likely!r} alone does not say when" if likely else ""),
        expected="a coordinate named time or valid_time that holds dates",
        found=f"dimensions {', '.join(sized) or 'none'}",
        fix=f"ds = ds.rename({{{likely or 'your_dim'!r}: 'time'}}).assign_coords("
        f"time=xr.date_range('2000-01-01', periods={sized.get(str(likely), 'n')}, freq='MS'))  # the true dates",
    )


def _decode(array: xr.DataArray, name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read integer dates such as 19840101 where the name says that they are dates."""
    units = str(array.attrs.get("units", ""))
    if " since " in units:
        raise TimeError(
            f"time axis {name!r} is not decoded",
            expected="dates",
            found=f"numbers in {units!r}",
            fix="ds = xr.decode_cf(ds)",
        )
    # Older xarray gives such an index out as objects.
    kept = str(array.indexes[name].dtype if name in array.indexes else array.dtype)
    if kept.startswith("period") or (kept.startswith("datetime64") and "," in kept):
        change = "to_timestamp()" if kept.startswith("period") else "tz_convert(None)"
        raise TimeError(
            f"time axis {name!r} does not hold dates",
            expected="datetime64 or cftime",
            found=kept,
            fix=f"ds = ds.assign_coords({name}=ds.indexes[{name!r}].{change})",
        )
    values = np.atleast_1d(np.array(array.values))
    words = f"{name} {array.attrs.get('long_name', '')}".lower()
    if array.dtype.kind in "iu" and ("date" in words or "yyyymm" in words):
        decoded = _integer_dates(values)
        if decoded is not None:
            return decoded, (f"time axis {name!r}: integers such as {values[0]} are read as dates",)
    form = {8: "%Y%m%d", 6: "%Y%m", 4: "%Y"}.get(len(str(values[0])) if values.size else 0, "%Y%m%d")
    if array.dtype.kind in "OSU":
        fix = f"ds = ds.assign_coords({name}=pd.to_datetime(ds[{name!r}].values))"
    else:
        text = f"ds[{name!r}].values.astype(int).astype(str)"
        fix = f"ds = ds.assign_coords({name}=pd.to_datetime({text}, format={form!r}))"
    raise TimeError(
        f"time axis {name!r} does not hold dates",
        expected="datetime64 or cftime",
        found=f"{array.dtype} such as {values[0] if values.size else 'nothing'}",
        fix=fix,
    )


def _integer_dates(values: NDArray[Any]) -> NDArray[Any] | None:
    """Yyyymmdd or yyyymm as dates; None unless every value is one between 1600 and 2399."""
    numbers = values.astype(np.int64)
    if ((numbers >= 16000101) & (numbers <= 23991231)).all():
        years, months, days = numbers // 10000, numbers // 100 % 100, numbers % 100
    elif ((numbers >= 160001) & (numbers <= 239912)).all():
        years, months, days = numbers // 100, numbers % 100, np.ones_like(numbers)
    else:
        return None
    if not ((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all():
        return None
    month_start = ((years - 1970) * 12 + months - 1).astype("datetime64[M]")
    dates = month_start.astype("datetime64[D]") + (days - 1)
    if (dates.astype("datetime64[M]") != month_start).any():
        return None
    return np.asarray(dates.astype("datetime64[ns]"))
