"""From when to when each step reaches: where a file says so, the interval decides when a step is, not its stamp."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import cftime
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfaconv.names import FoundCoordinate, holds_dates
from xfaconv.names.tables import read_table
from xfaconv.names.units import STEP_SECONDS

_DAY = 86400.0
_SECOND = np.timedelta64(1, "s")
_YEAR_DAYS = {"noleap": 365.0, "365_day": 365.0, "360_day": 360.0, "all_leap": 366.0, "366_day": 366.0}
_MONTH_DAYS = (28.0, 31.0)
# Dates kept as days in single precision are off by up to this [seconds].
_ROUNDING = 60.0


@dataclass(frozen=True, eq=False)
class Intervals:
    """The intervals of the steps.

    Parameters
    ----------
    middle : ndarray (time,)
        Middle of each interval, datetime64 or cftime as the stamps are.
    step : str or None
        Step that the length of the intervals tells, None where it is no step that models have.
    note : str
        What was read.
    restamp : str
        Code that gives a Dataset these stamps, to be put behind its name.
    """

    middle: NDArray[Any]
    step: str | None
    note: str
    restamp: str


def read_intervals(ds: xr.Dataset, found: FoundCoordinate, stamps: NDArray[Any]) -> tuple[Intervals | None, str]:
    """Read the bounds of the time coordinate.

    Parameters
    ----------
    ds : xarray.Dataset
        The user's data, left alone.
    found : FoundCoordinate
        The time coordinate.
    stamps : ndarray (time,)
        Its stamps, datetime64 or cftime.

    Returns
    -------
    Intervals or None, str
        None where there are none that can be read, and what to say about bounds that are not read.

    Examples
    --------
    >>> days = np.array(["2007-01-01", "2007-02-01", "2007-03-01"], "M8[ns]")
    >>> ds = xr.Dataset({"time_bnds": (("time", "nv"), np.stack([days[:-1], days[1:]], 1))}, {"time": days[1:]})
    >>> ends = FoundCoordinate("time", "time", "time", "known name")
    >>> read_intervals(ds, ends, days[1:])[0].middle.astype("M8[D]")
    array(['2007-01-16', '2007-02-15'], dtype='datetime64[D]')
    """
    note = ""
    for names, climatology in _named(ds, found):
        read = _edges(ds, names, found, stamps)
        if read is None:
            note = note or f"{names[0]!r} is not read: it holds no dates"
            continue
        low, high = read
        middle, length = _middle(low, high, stamps, climatology=climatology)
        half = length / 2
        near = bool(((stamps >= low - half) & (stamps <= high + half)).all())
        if not (near or climatology) or not (_seconds(length) > 0).any() or _goes_back(middle, stamps):
            note = note or f"{names[0]!r} is not read: it holds no intervals around the stamps"
            continue
        if _are_guessed(low, stamps) and (np.abs(_seconds(middle - stamps)) > _ROUNDING).any():
            return None, f"{names[0]!r} is not read: its edges are the middles between the stamps"
        kept = f"the middle of {' to '.join(map(repr, names))} says when each step is, not the stamp"
        example = f"{show_stamp(low[0])} to {show_stamp(high[0])} for the stamp {show_stamp(stamps[0])}"
        return Intervals(middle, _step(_seconds(length)), f"{kept} ({example})", _restamp(ds, names, found)), ""
    return None, note


def _named(ds: xr.Dataset, found: FoundCoordinate) -> list[tuple[tuple[str, ...], bool]]:
    """Names of what may hold the bounds, those that the coordinate states first, and whether of a climatology."""
    table, own = read_table("coordinates")["bounds"], ds[found.name]
    stated = [str(place.get(key, "")) for place in (own.attrs, own.encoding) for key in ("climatology", "bounds")]
    words = [str(name) for name in ds.variables if any(word in str(name).lower() for word in table["words"])]
    out: list[tuple[tuple[str, ...], bool]] = []
    for name in dict.fromkeys([*stated, *words]):
        dims = ds[name].dims if name in ds.variables else ()
        others = [ds.sizes[dim] for dim in dims if dim != found.dim]
        if others == [2] and (found.dim in dims or not found.dim):
            declared = own.attrs.get("climatology", own.encoding.get("climatology"))
            out.append(((name,), bool(declared == name or "clim" in name.lower())))
    lower = {str(name).lower(): str(name) for name in ds.variables}
    pairs = [tuple(lower[name] for name in pair) for pair in table["pairs"] if set(pair) <= set(lower)]
    out += [(pair, False) for pair in pairs if all(ds[name].dims == own.dims for name in pair)]
    return out


def _edges(
    ds: xr.Dataset, names: tuple[str, ...], found: FoundCoordinate, stamps: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Start and end of each step as dates of the kind of the stamps, None where they are no dates."""
    sides = []
    for name in names:
        # A slice is a new variable: what lies in a file is not kept in the user's object.
        dates = _as_dates(ds[name].variable[...].transpose(*filter(None, [found.dim]), ...), ds[found.name])
        dates = None if dates is None else _of_kind(dates.reshape(len(stamps), -1), stamps)
        if dates is None:
            return None
        sides.append(dates)
    both = np.concatenate(sides, axis=1)
    return both.min(axis=1), both.max(axis=1)


def _as_dates(variable: xr.Variable, coordinate: xr.DataArray) -> NDArray[Any] | None:
    """Decode bounds by their own units, or as the conventions have it by those of their coordinate."""
    places = (variable.attrs, variable.encoding, coordinate.attrs, coordinate.encoding)
    units = next((str(place["units"]) for place in places if " since " in str(place.get("units", ""))), "")
    calendar = next((str(place["calendar"]) for place in places if "calendar" in place), "standard")
    kind = variable.dtype.kind
    if not (kind in "MO" or (kind in "fium" and units)):
        return None
    # Two numbers a step, which may lie in a chunked file: nothing else is computed before results are asked for.
    variable = variable.compute()
    if holds_dates(xr.DataArray(variable)):
        return np.asarray(variable.values)
    # Bounds in "days" without a date are lengths of time to xarray, counted from the date of their coordinate.
    values = variable.values / np.timedelta64(1, "D") if kind == "m" else variable.values
    units = f"days since {units.partition(' since ')[2]}" if kind == "m" else units
    if kind == "O" or not np.isfinite(values).all():
        return None
    coded = xr.Dataset({"bounds": (variable.dims, values, {"units": units, "calendar": calendar})})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(xr.decode_cf(coded)["bounds"].values)
    except (ValueError, OverflowError):
        return None


def _of_kind(dates: NDArray[Any], stamps: NDArray[Any]) -> NDArray[Any] | None:
    """Make dates of the kind of the stamps: a change of calendar often leaves the bounds as they were."""
    missing = np.isnat(dates).any() if dates.dtype.kind == "M" else not all(hasattr(d, "calendar") for d in dates.flat)
    if missing:
        return None
    try:
        if stamps.dtype.kind == "M" and dates.dtype.kind == "O":
            return np.array([np.datetime64(date.isoformat(), "us") for date in dates.flat]).reshape(dates.shape)
        if stamps.dtype.kind == "O" and (dates.dtype.kind == "M" or dates.flat[0].calendar != stamps[0].calendar):
            parts = dates.astype("M8[s]").tolist() if dates.dtype.kind == "M" else dates.tolist()
            return np.array(
                [[cftime.datetime(*date.timetuple()[:6], calendar=stamps[0].calendar) for date in row] for row in parts]
            )
    except ValueError:
        return None
    return dates


def _middle(
    low: NDArray[Any], high: NDArray[Any], stamps: NDArray[Any], *, climatology: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Middle and length; of a climatology those of the part of the year, or of the day, that it is about."""
    length = high - low
    if climatology:
        year = _YEAR_DAYS.get(stamps[0].calendar if stamps.dtype.kind == "O" else "", 365.2425) * _DAY
        seconds = _seconds(length)
        # Leap days move the end by less than a day.
        seconds = np.maximum(seconds - year * np.floor(seconds / year + 1.5 * _DAY / year), 0)
        within_a_day = len(stamps) > 1 and float(np.median(_seconds(np.diff(stamps)))) < _DAY
        seconds = np.mod(seconds, _DAY) if within_a_day else seconds
        length = np.round(seconds).astype("m8[s]")
        length = length if stamps.dtype.kind == "M" else length.astype(object)
    return low + length / 2, length


def _seconds(lengths: NDArray[Any]) -> NDArray[np.float64]:
    """Lengths of time in seconds."""
    if lengths.dtype.kind == "m":
        return np.asarray(lengths / _SECOND, dtype=np.float64)
    return np.array([length.total_seconds() for length in lengths])


def _are_guessed(low: NDArray[Any], stamps: NDArray[Any]) -> bool:
    """Whether edges were put half-way between the stamps, which programs do where nothing is known of the intervals."""
    between = stamps[:-1] + np.diff(stamps) / 2
    return len(stamps) > 1 and bool((np.abs(_seconds(low[1:] - between)) < _ROUNDING).all())


def _goes_back(middle: NDArray[Any], stamps: NDArray[Any]) -> bool:
    """Whether the intervals are in another order than the stamps."""
    return bool(len(stamps) > 1 and ((stamps[1:] > stamps[:-1]) & (middle[1:] <= middle[:-1])).any())


def _step(seconds: NDArray[np.float64]) -> str | None:
    """Step that has these lengths."""
    if _MONTH_DAYS[0] * _DAY <= seconds.min() and seconds.max() <= _MONTH_DAYS[1] * _DAY:
        return "1M"
    return next((step for step, length in STEP_SECONDS.items() if (np.abs(seconds - length) < 1).all()), None)


def _restamp(ds: xr.Dataset, names: tuple[str, ...], found: FoundCoordinate) -> str:
    """Code that puts the middle of the intervals in place of the stamps."""
    if len(names) != 1 or not found.dim or ds[names[0]].dtype.kind not in "MO":
        return ""
    width = next(dim for dim in ds[names[0]].dims if dim != found.dim)
    return f".assign_coords({found.name}=ds[{names[0]!r}].mean({width!r})).drop_vars({names[0]!r})"


def show_stamp(stamp: Any) -> str:
    """Write a stamp without an hour of midnight.

    Examples
    --------
    >>> show_stamp(np.datetime64("2000-01-01T00:00")), show_stamp(np.datetime64("2000-01-01T12:00"))
    ('2000-01-01', '2000-01-01T12:00')
    """
    text = np.datetime_as_string(stamp, unit="m") if isinstance(stamp, np.datetime64) else stamp.isoformat()[:16]
    return str(text).removesuffix("T00:00")
