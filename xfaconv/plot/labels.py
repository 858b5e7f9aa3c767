"""Text on figures: dates, places, quantities and units."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xfaconv.errors import ArgumentError

# An exponent follows a unit at once, or after ** or ^.
_EXPONENT = re.compile(r"(?<![A-Za-z0-9.])([A-Za-z]+)(?:\*\*|\^)?(-?\d+)(?![\w.])")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _parts(value: Any) -> tuple[int, int, int, int, int]:
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    return value.year, value.month, value.day, value.hour, value.minute


def is_date(value: Any) -> bool:
    """Whether a value is a date of any calendar.

    Parameters
    ----------
    value : object
        A coordinate value.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_date(np.datetime64("2000-01-01")), is_date(3.0)
    (True, False)
    """
    return isinstance(value, np.datetime64) or (hasattr(value, "year") and hasattr(value, "month"))


def date_text(value: Any, precision: str = "day") -> str:
    """Write a date.

    Parameters
    ----------
    value : datetime64 or cftime object
        The date.
    precision : {"month", "day", "minute"}
        How much of it to write.

    Returns
    -------
    str

    Examples
    --------
    >>> date_text(np.datetime64("2015-11-01"), "month"), date_text(np.datetime64("2015-11-03"))
    ('Nov 2015', '3 Nov 2015')
    """
    year, month, day, hour, minute = _parts(value)
    text = f"{_MONTHS[month - 1]} {year}"
    if precision == "month":
        return text
    text = f"{day} {text}"
    return text if precision == "day" else f"{text} {hour:02d}:{minute:02d}"


def date_precision(time: xr.DataArray) -> str:
    """How much of its dates a time coordinate needs: the month, the day or the minute.

    Parameters
    ----------
    time : DataArray
        Dates of any calendar, any shape.

    Returns
    -------
    {"month", "day", "minute"}

    Examples
    --------
    >>> date_precision(xr.DataArray(np.array(["2000-01-01", "2000-02-01"], dtype="M8[ns]"), dims="time"))
    'month'
    """
    parts = [_parts(value) for value in np.ravel(time.values)[:400]]
    if len({part[3:] for part in parts}) > 1:
        return "minute"
    same_day = len({part[2] for part in parts}) == 1 and (len(parts) > 1 or parts[0][2] == 1)
    distinct_months = len({part[:2] for part in parts}) == len(parts)
    return "month" if same_day and distinct_months else "day"


def period_text(time: xr.DataArray) -> str:
    """Write the time that a map represents: one date, or the first and last and how many.

    Parameters
    ----------
    time : DataArray
        Dates that a map is a mean over, or one date.

    Returns
    -------
    str
        Empty where there is nothing to say.

    Examples
    --------
    >>> months = np.array(["2000-01-01", "2000-02-01", "2000-03-01"], dtype="M8[ns]")
    >>> period_text(xr.DataArray(months, dims="time"))
    'mean of 3 steps, Jan 2000 to Mar 2000'
    >>> winters = np.array(["2000-01-01", "2000-02-01", "2000-12-01", "2001-01-01", "2001-02-01"], dtype="M8[ns]")
    >>> period_text(xr.DataArray(winters, dims="time"))
    'mean of 5 steps in Dec-Feb, Jan 2000 to Feb 2001'
    """
    values = np.ravel(time.values)
    if values.size == 0 or not is_date(values[0]):
        return ""
    precision = date_precision(time)
    if values.size == 1:
        return date_text(values[0], precision)
    first, last = date_text(values.min(), precision), date_text(values.max(), precision)
    return f"mean of {values.size} steps{_season_text(values)}, {first} to {last}"


def _season_text(values: Any) -> str:
    """Name the months of a season that was selected from several years."""
    parts = [_parts(value)[:2] for value in values]
    numbers = {12 * year + month - 1 for year, month in parts}
    months = sorted({month - 1 for _, month in parts})
    if len(numbers) > max(numbers) - min(numbers) or len(months) == 12:
        return ""
    starts = [month for month in months if (month - 1) % 12 not in months]
    ends = [month for month in months if (month + 1) % 12 not in months]
    if len(starts) > 1:
        return ""
    return f" in {_MONTHS[starts[0]]}" + (f"-{_MONTHS[ends[0]]}" if ends != starts else "")


def covered_text(attributes: Mapping[Hashable, Any]) -> str:
    """Write the time that a result without a time dimension covers, as the attributes of the analyses say.

    Parameters
    ----------
    attributes : mapping
        With ``season``, ``number_of_steps`` and ``period`` where known.

    Returns
    -------
    str

    Examples
    --------
    >>> covered_text({"season": "DJF", "number_of_steps": 33, "period": "1990-01-01 to 2000-12-01"})
    'DJF, 33 steps, 1990-01-01 to 2000-12-01'
    """
    season, steps = str(attributes.get("season", "all")), attributes.get("number_of_steps")
    parts = ["" if season == "all" else season, "" if steps is None else f"{steps} steps", attributes.get("period", "")]
    return ", ".join(part for part in parts if part)


def dots_text(stippling: object) -> str:
    """Say what dots mean, where their attributes say how they were tested.

    Parameters
    ----------
    stippling : object
        A boolean DataArray, such as ``significant`` of an analysis; anything else has no attributes.

    Returns
    -------
    str

    Examples
    --------
    >>> dots_text(xr.DataArray(True, attrs={"long_name": "significant at the false discovery rate", "alpha": 0.05}))
    'dots: significant (false discovery rate 5%)'
    """
    attributes = stippling.attrs if isinstance(stippling, xr.DataArray) else {}
    if "alpha" not in attributes:
        return ""
    rate = "false discovery rate " if "false discovery" in str(attributes.get("long_name")) else "p < "
    return f"dots: {attributes.get('meaning', 'significant')} ({rate}{100 * float(attributes['alpha']):g}%)"


def place_text(latitude: float, longitude: float) -> str:
    """Write a point on the globe.

    Parameters
    ----------
    latitude, longitude : float
        Degrees; a longitude beyond 180 stays one of the convention from 0 to 360.

    Returns
    -------
    str

    Examples
    --------
    >>> place_text(0, 220), place_text(0, -140), place_text(-12.5, 30)
    ('0°, 220°E', '0°, 140°W', '12.5°S, 30°E')
    """
    east = longitude if 180 < longitude < 360 else (longitude + 180) % 360 - 180
    north_south = f"{abs(latitude):g}°" + ("" if latitude == 0 else "N" if latitude > 0 else "S")
    east_west = f"{abs(east):g}°" + ("" if east in (0, -180) else "E" if east > 0 else "W")
    return f"{north_south}, {east_west}"


def quantity_text(data: xr.DataArray, fallback: str, longest: int = 60) -> str:
    """Name and units of what is drawn.

    Parameters
    ----------
    data : DataArray
        With `long_name` and `units` where known.
    fallback : str
        Name where the data have none.
    longest : int, default 60
        A `long_name` of more characters gives way to the name.

    Returns
    -------
    str

    Examples
    --------
    >>> quantity_text(xr.DataArray(0.0, attrs={"long_name": "sea level pressure", "units": "hPa"}), "field")
    'sea level pressure [hPa]'
    """
    units = str(data.attrs.get("units", "")).strip()
    return quantity_name(data, fallback, longest) + (f" [{units_text(units)}]" if units not in ("", "1") else "")


def quantity_name(data: xr.DataArray, fallback: str, longest: int = 60) -> str:
    """Name of what is drawn, for people.

    Parameters
    ----------
    data : DataArray
        With `long_name` or `standard_name` where known, else its own name is taken.
    fallback : str
        Name where the data have none.
    longest : int, default 60
        A `long_name` of more characters gives way to the name.

    Returns
    -------
    str

    Examples
    --------
    >>> quantity_name(xr.DataArray(0.0, attrs={"standard_name": "air_temperature"}), "field")
    'air temperature'
    """
    own = fallback if data.name is None else data.name
    name = str(data.attrs.get("long_name") or data.attrs.get("standard_name") or own)
    if len(name) > longest:
        name = str(own)
    return name.replace("_", " ")


def wrong_dimensions(data: xr.DataArray, problem: str, expected: str, fix: str | None = None) -> ArgumentError:
    """Make the error of data whose dimensions are not those of a figure.

    Parameters
    ----------
    data : DataArray
        Its dimensions are what was found.
    problem, expected, fix : str
        Parts of the error.

    Returns
    -------
    ArgumentError
        To be raised.

    Examples
    --------
    >>> print(wrong_dimensions(xr.DataArray(np.zeros((2, 3)), dims=("time", "k")), "too many", "time"))
    too many
      expected: time
      found:    time: 2, k: 3
    """
    found = ", ".join(f"{dim}: {size}" for dim, size in data.sizes.items())
    return ArgumentError(problem, expected=expected, found=found, fix=fix)


def units_text(units: str) -> str:
    """Write units as in print.

    Parameters
    ----------
    units : str
        As in a file.

    Returns
    -------
    str

    Examples
    --------
    >>> units_text("m**2 s**-2"), units_text("degC"), units_text("W m-2")
    ('m² s⁻²', '°C', 'W m⁻²')
    """
    if units.lower() in ("degc", "celsius", "degrees_celsius", "degree_celsius", "deg_c"):
        return "°C"
    return _EXPONENT.sub(lambda found: found.group(1) + found.group(2).translate(_SUPERSCRIPT), units)


def panel_text(names: dict[Hashable, Any], data: xr.DataArray) -> str:
    """Title of one panel of a facet grid.

    Parameters
    ----------
    names : dict
        Coordinate values of the panel, by dimension.
    data : DataArray
        That was split into panels.

    Returns
    -------
    str

    Examples
    --------
    >>> panel_text({"phase": "El Niño"}, xr.DataArray([0.0], {"phase": ["El Niño"]}, ("phase",)))
    'El Niño'
    >>> panel_text({"head": 2}, xr.DataArray([0.0], {"head": [2]}, ("head",)))
    'head 2'
    """
    parts = []
    for dim, value in names.items():
        if is_date(value):
            parts.append(date_text(value, date_precision(data[dim])))
        elif isinstance(value, str):
            parts.append(value)
        else:
            number = f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value)
            units = str(data[dim].attrs.get("units", "")) if dim in data.coords else ""
            parts.append(f"{dim} {number} {units}".strip())
    return ", ".join(parts)
